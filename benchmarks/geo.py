"""How much memory and time the frames of a series of GeoTIFFs take to read, aligned and warped.

    python benchmarks/geo.py
    python benchmarks/geo.py --sides 2500 --dates 3 12

For each case this process makes a series (uint16, four bands, tiles of 512 pixels, DEFLATE), and another one reads all
of its frames and says its peak of memory: ``peak_mb`` is that of the whole process, ``opened_mb`` that before the first
frame was read. The series are made in a temporary folder; a side of 10,000 pixels takes some hundred MB a date. One
JSON object a case is printed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from machine import stamp

PIECE = 512


def make(folder: Path, side: int, dates: int, warped: bool) -> None:
    """Files of one date each; where they are to be warped, all but the first are off by a third of a pixel."""
    import rasterio

    rng = np.random.default_rng(0)
    tile = rng.integers(200, 4000, (4, PIECE, PIECE), dtype=np.uint16)
    for i in range(dates):
        shift = 3.3 if warped and i else 0.0
        transform = rasterio.Affine(10, 0, 450_000 + shift, 0, -10, 5_600_000 - shift)
        options: dict[str, Any] = {"tiled": True, "blockxsize": PIECE, "blockysize": PIECE, "compress": "deflate"}
        with rasterio.open(
            folder / f"scene_2020{i + 1:02d}01.tif", "w", driver="GTiff", dtype="uint16", count=4, width=side,
            height=side, crs="EPSG:32633", transform=transform, zlevel=1, **options,
        ) as file:  # fmt: skip
            for row in range(0, side, PIECE):
                for col in range(0, side, PIECE):
                    height, width = min(PIECE, side - row), min(PIECE, side - col)
                    window = ((row, row + height), (col, col + width))
                    file.write(tile[:, :height, :width] + np.uint16(row % 7), window=window)


def read(folder: Path) -> dict[str, Any]:
    """Open the series and read all frames, one after the other."""
    import maskferry

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        begun, cpu = time.perf_counter(), time.process_time()
        source = maskferry.open_series(folder)
    opened = peak_mb()
    count, total = source.info.frame_count or 0, 0
    for frame in source.frames(range(count)):
        total += int(frame.image[::97, ::97].sum())
        del frame
    source.close()
    return {
        "peak_mb": peak_mb(),
        "opened_mb": opened,
        "seconds_a_frame": round((time.perf_counter() - begun) / count, 2),
        "cpu_seconds_a_frame": round((time.process_time() - cpu) / count, 2),
        "checksum": total,
    }


def peak_mb() -> int:
    """Of this process, so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kB; on macOS bytes
    return round(peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024))


def main() -> None:
    """Run the cases that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--sides", type=int, nargs="+", default=[2500, 10_000])
    parser.add_argument("--dates", type=int, nargs="+", default=[3, 12])
    parser.add_argument("--kinds", nargs="+", default=["aligned", "warped"], choices=["aligned", "warped"])
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read is not None:
        print(json.dumps(read(arguments.read)))
        return
    for side in arguments.sides:
        for kind in arguments.kinds:
            for dates in arguments.dates:
                with tempfile.TemporaryDirectory(prefix="maskferry-geo-") as folder:
                    make(Path(folder), side, dates, kind == "warped")
                    command = [sys.executable, __file__, "--read", folder]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    case = {"side": side, "dates": dates, "kind": kind, **json.loads(done.stdout)}
                    print(json.dumps(case | stamp()), flush=True)


if __name__ == "__main__":
    main()
