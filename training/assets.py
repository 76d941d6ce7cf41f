"""Builds the asset pack of the clip generator: photographs, cut-outs, silhouettes and turntables of 3D models.

    python training/assets.py OUT [--work DIR]

What OUT holds:

    photos/NNN.jpg        photographs and textures, shorter side 512, longer side at most 768
    cutouts_NNN.jpg       tiles of 160 x 160, 20 a row, colours going on outside of the mask
    cutouts.npz           "mask": their masks, bits packed along the last axis of (n, 160 * 160); "shape"
    silhouettes.npz       "mask", "shape": outlines without colours, as above
    turntables_KKK.jpg    one model: 2 rows (elevations of 8 and 30 degrees) of 24 tiles of 128 x 128 (azimuths
                          every 15 degrees); the camera keeps its distance, the model its scale
    turntables.npz        "mask": (k, 48, 128 * 128) packed as above, row by row; "shape" (k, 48, 128, 128)
    sources.csv           for each picture or tile: package, file, author, licence and where it is stated
    ATTRIBUTION.txt       the credits made from it

Everything is fetched by the name of its package, filtered file by file to the public domain, CC0 and CC-BY
(`licences.py`), and told of in OUT/sources.csv and OUT/ATTRIBUTION.txt. Two runs with the same versions of the
packages write the same pack. Needs a Debian with fresh package lists (`apt-get update`) and pip; takes about eight
minutes on one core.
"""

from __future__ import annotations

import argparse
import logging
import zipfile
from pathlib import Path

import cutouts
import cv2
import furniture
import numpy as np
import photos
from packages import Package, debian, pypi
from PIL import Image
from provenance import Row, attribution, row, write_rows
from turntables import turntable

log = logging.getLogger("assets")

DEBIAN = (
    "openclipart-png", "sweethome3d-furniture", "gcompris-qt-data", "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04", "endless-sky-data", "supertuxkart-data",
)  # fmt: skip
PYPI = ("scikit-image", "scikit-learn")
TILES_A_ROW, ROWS_A_SHEET = 20, 20
PHOTO_QUALITY = 85
CUTOUT_QUALITY = 85
TURNTABLE_QUALITY = 80


def save_jpeg(image: np.ndarray, path: Path, quality: int) -> None:
    """Writes (H, W, 3) uint8 RGB."""
    Image.fromarray(image).save(path, quality=quality, optimize=True)


def pack_photos(packages: dict[str, Package], out: Path) -> list[Row]:
    """Writes photos/NNN.jpg."""
    (out / "photos").mkdir()
    rows = []
    for index, photo in enumerate(photos.photos(packages)):
        path = f"photos/{index:03d}.jpg"
        save_jpeg(photo.image, out / path, PHOTO_QUALITY)
        file = photo.file + (f" (region at {photo.region})" if photo.region else "")
        rows.append(row(path, None, photo.package, file, photo.grant))
    return rows


def pack_cutouts(packages: dict[str, Package], out: Path) -> list[Row]:
    """Writes cutouts_NNN.jpg, cutouts.npz and silhouettes.npz."""
    tiles = [*cutouts.gcompris(packages["gcompris-qt-data"]), *cutouts.open_clip_art(packages["openclipart-png"])]
    textured, plain = cutouts.split(iter(tiles))
    rows = []
    for first in range(0, len(textured), TILES_A_ROW * ROWS_A_SHEET):
        sheet = textured[first : first + TILES_A_ROW * ROWS_A_SHEET]
        path = f"cutouts_{first // (TILES_A_ROW * ROWS_A_SHEET):03d}.jpg"
        save_jpeg(_sheet([t.image for t in sheet]), out / path, CUTOUT_QUALITY)
        rows += [row(path, i, t.package, t.file, t.grant) for i, t in enumerate(sheet)]
    rows += [row("silhouettes.npz", i, t.package, t.file, t.grant) for i, t in enumerate(plain)]
    for name, kind in (("cutouts", textured), ("silhouettes", plain)):
        save_masks(np.stack([t.mask for t in kind]), out / f"{name}.npz")
    return rows


def _sheet(images: list[np.ndarray]) -> np.ndarray:
    """Tiles (T, T, 3) in rows of TILES_A_ROW; what is left of the last row is grey."""
    size = images[0].shape[0]
    images = images + [np.full_like(images[0], 128)] * (-len(images) % TILES_A_ROW)
    grid = np.stack(images).reshape(-1, TILES_A_ROW, size, size, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(-1, TILES_A_ROW * size, 3)


def save_masks(masks: np.ndarray, path: Path) -> None:
    """Writes masks (..., H, W) bool as {"mask": bits packed along the last, flattened axis, "shape"}."""
    packed = np.packbits(masks.reshape(*masks.shape[:-2], -1), axis=-1)
    np.savez_compressed(path, mask=packed, shape=np.array(masks.shape))


def pack_turntables(package: Package, out: Path) -> list[Row]:
    """Writes turntables_KKK.jpg and turntables.npz."""
    chosen = furniture.choose(list(furniture.candidates(package)))
    log.info("%d models", len(chosen))
    rows, masks = [], []
    for index, candidate in enumerate(chosen):
        with zipfile.ZipFile(f"{furniture.folder_of(package)}/{candidate.catalogue}.sh3f") as archive:
            model = furniture.load(archive, candidate.entry)
        sheet, mask = turntable(model, furniture.light_azimuth_deg(candidate.entry))
        path = f"turntables_{index:03d}.jpg"
        save_jpeg(sheet, out / path, TURNTABLE_QUALITY)
        masks.append(mask)
        file = f"{candidate.catalogue}.sh3f: {candidate.entry['model'].lstrip('/')}"
        rows.append(row(path, None, package, file, candidate.grant))
    save_masks(np.stack(masks), out / "turntables.npz")
    return rows


def build(out: Path, work: Path) -> None:
    """Writes the whole pack into the new folder out."""
    out.mkdir(parents=True)
    packages = {name: debian(name, work) for name in DEBIAN} | {name: pypi(name, work) for name in PYPI}
    rows = pack_photos(packages, out)
    log.info("%d photographs", len(rows))
    rows += pack_cutouts(packages, out)
    log.info("%d with cut-outs and silhouettes", len(rows))
    rows += pack_turntables(packages["sweethome3d-furniture"], out)
    write_rows(rows, out / "sources.csv")
    (out / "ATTRIBUTION.txt").write_text(attribution(rows), encoding="utf-8")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    log.info("%d rows, %.1f MiB", len(rows), size / 2**20)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the pack; it must not exist yet")
    parser.add_argument("--work", type=Path, default=Path("assets-work"), help="folder for what is downloaded")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    build(arguments.out, arguments.work)


if __name__ == "__main__":
    main()
