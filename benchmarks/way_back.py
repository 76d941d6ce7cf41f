"""What the check by the way back says of masks, beside the engine's score; tables of docs/flow.md.

    python benchmarks/way_back.py "development sequences=DAVIS_ROOT" "made videos=ROOT"    # names and data sets
    python benchmarks/way_back.py --render

Each data set has DAVIS's layout. The first frame's mask is given and tracked forwards, then back. A frame is bad where
the IoU of its mask with the truth is below 0.7; frames without a mask are left out, as the tracks say so themselves.
ROOT is made as `fit_score.py` says.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fit_score import BAD, agreement
from machine import stamp
from numpy.typing import NDArray

from maskferry import MaskTracker
from maskferry.formats._davis import read_label_map
from maskferry.masks._regions import intersection_over_union
from maskferry.way_back import check_way_back

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results" / "way_back.json", HERE.parent / "docs" / "flow.md"
RECALL = 0.8
PRESETS = ("standard", "fast")

Values = NDArray[np.float64]
Row = dict[str, Any]


class Observed(NamedTuple):
    """Of the masks of one video, (n,) each: IoU with the truth, score, IoU with the way back, its lowest so far."""

    iou: Values
    score: Values
    agreement: Values
    lowest: Values


def observe(root: Path, preset: str, name: str) -> Observed | None:
    """Track the object of a video forwards and back; None where there is none on its first frame."""
    truths = [read_label_map(path) > 0 for path in sorted((root / "Annotations" / "480p" / name).iterdir())]
    if not truths[0].any():
        return None
    with MaskTracker(root / "JPEGImages" / "480p" / name, engine="flow", preset=preset) as tracker:
        tracker.add_mask_prompt(truths[0], 1)
        tracks = tracker.propagate(direction="forward")
        found = check_way_back(tracks, tracker.source, tracker.engine)
        agreed = dict(zip(found[0].frames.tolist(), found[0].iou.tolist(), strict=True)) if found else {}
        rows, lowest = [], 1.0
        for frame, truth in enumerate(truths):
            lowest = min(lowest, agreed.get(frame, 1.0))
            mask, score = tracks[frame].mask(1), tracks[frame][1].score
            if frame and mask.any():
                iou = intersection_over_union(mask, truth)
                rows.append((iou, score, agreed.get(frame, 1.0), lowest))
    return Observed(*np.array(rows, np.float64).reshape(-1, 4).T)


def precision(value: Values, bad: NDArray[np.bool_]) -> float:
    """Of the frames that must be looked at, lowest value first, to see 80 % of the bad ones: how many are bad."""
    order = np.argsort(value, kind="stable")
    seen = np.cumsum(bad[order])
    count = int(np.searchsorted(seen, RECALL * seen[-1])) + 1
    return float(seen[count - 1] / count)


def measure(title: str, root: Path, preset: str) -> Iterator[Row]:
    """What each sign tells on a data set."""
    names = sorted(path.name for path in (root / "Annotations" / "480p").iterdir())
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        videos = [one for one in pool.map(partial(observe, root, preset), names) if one is not None]
    iou, score, agreed, lowest = (np.concatenate(column) for column in zip(*videos, strict=True))
    bad = iou < BAD
    signs = {
        "score": score,
        "agreement": agreed,
        "lowest agreement so far": lowest,
        "score x agreement": score * agreed,
    }
    head = {"data": title, "videos": len(videos), "preset": preset, "frames": len(iou), "bad": float(bad.mean())}
    for name, value in signs.items():
        _, auroc = agreement(value, iou)
        told = {"auroc": auroc, "precision": precision(value, bad)} if bad.any() else {"auroc": None, "precision": None}
        yield head | {"sign": name} | told


def table(rows: Sequence[Row]) -> str:
    """For the page."""
    lines = ["| data | preset | frames | bad | sign | AUROC | precision at 80 % recall |", "|" + " --- |" * 7]
    for r in rows:
        told = " | " if r["auroc"] is None else f"{r['auroc']:.3f} | {r['precision']:.2f}"
        head = f"| {r['videos']} {r['data']} | {r['preset']} | {r['frames']} | {r['bad']:.1%} |"
        lines.append(f"{head} {r['sign']} | {told} |")
    return "\n".join(lines)


def render(rows: Sequence[Row]) -> None:
    """Put the table between its markers."""
    text = PAGE.read_text(encoding="utf-8")
    head, start, rest = text.partition("<!-- table:way-back -->\n")
    _, end, tail = rest.partition("<!-- end:way-back -->")
    PAGE.write_text(f"{head}{start}{table(rows)}\n{end}{tail}", encoding="utf-8")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", metavar="NAME=ROOT", help="what the table calls a data set, and where it is")
    parser.add_argument("--render", action="store_true", help="the table from the results there are")
    args = parser.parse_args()
    rows: list[Row] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    if not args.render:
        about = stamp()
        rows = []
        for preset in PRESETS:
            for text in args.data:
                title, _, root = text.partition("=")
                rows += [row | about for row in measure(title, Path(root), preset)]
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    render(rows)


if __name__ == "__main__":
    main()
