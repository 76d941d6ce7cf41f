"""Measure the engine flow; write benchmarks/results/flow.json and the tables of docs/flow.md.

    python benchmarks/flow.py --davis DAVIS_ROOT          # everything
    python benchmarks/flow.py --only objects --only aerial
    python benchmarks/flow.py --render                    # tables from the results there are

Each part replaces its own rows; a row says with which commit, command and machine it was measured.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fit_score import BAD, agreement
from machine import stamp
from numpy.typing import NDArray
from synthetic import aerial, crowd

from maskferry import Frame, FrameInfo, FrameMasks, MaskPrompt, VideoInfo
from maskferry.engines import FlowEngine
from maskferry.engines._flow.timing import STAGES, Timer
from maskferry.evaluation import evaluate_davis
from maskferry.formats._davis import read_label_map
from maskferry.metrics import score_sequence

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results" / "flow.json", HERE.parent / "docs" / "flow.md"

Row = dict[str, Any]
Array = NDArray[np.float64]
Video = Iterable[tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]]

OBJECTS = (1, 5, 20, 50, 100)
PRESETS = ("standard", "fast", "best")
LIVE = ("standard", "fast")
"""Those whose speed is compared."""

LONG, STOPS = 60, (100, 1000, 10_000)
"""A long video is one of so many frames, played forwards and backwards in turn; where its memory is read."""

PLAIN = {
    "objects": {
        "objects": "objects",
        "preset": "preset",
        "ms": "ms a frame",
        "fps": "frames/s",
        "cpu_ms": "CPU ms a frame",
        "iou": "mean IoU",
        "peak_mb": "peak memory, MB",
    },
    "long": {"frames": "frames", "peak_mb": "peak memory, MB", "iou": f"mean IoU on the last {LONG}"},
    "aerial": {
        "preset": "preset",
        "objects": "objects",
        "frames": "frames",
        "iou_last": "mean IoU on the last",
        "iou_last_worst": "worst object",
        "iou_all": "mean IoU on all",
        "fps": "frames/s",
    },
}
"""Tables whose lines are rows: what they show, and how it is called."""


def davis(root: Path, seeds: list[int]) -> Iterator[Row]:
    """J, F and frames per second, by DAVIS's protocol."""
    for preset in PRESETS:
        for seed in seeds:
            result = evaluate_davis(root, engine=FlowEngine(preset, seed=seed)).to_dict()
            each = {name: row["jf"] for name, row in result["sequences"].items()}
            yield {
                "part": "davis",
                "preset": preset,
                "seed": seed,
                **result["mean"],
                "fps": result["fps"],
                "jf_of": each,
            }


def backwards(root: Path) -> Iterator[Row]:
    """J and F of the same sequences played backwards, from the mask of the last frame."""
    for preset in PRESETS:
        each = {}
        for name in sorted(p.name for p in (root / "Annotations" / "480p").iterdir()):
            frames = list(_sequence(root, name))[::-1]
            _, masks, _ = _track(frames, preset)
            drawn = [frames[0][1], *(m.mask(1).astype(np.uint8) for m in masks)]
            each[name] = score_sequence([labels for _, labels in frames], drawn, object_ids=[1])[1]
        j, f = (100 * float(np.mean([getattr(s, kind).mean for s in each.values()])) for kind in ("region", "boundary"))
        jf = {name: round(100 * s.j_and_f, 1) for name, s in each.items()}
        yield {"part": "backwards", "preset": preset, "j": j, "f": f, "jf": (j + f) / 2, "jf_of": jf}


def objects() -> Iterator[Row]:
    """Cost against the number of objects; each in a process of its own, for its memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for count in OBJECTS:
            for preset in LIVE:
                yield pool.submit(_objects, count, preset).result()


def _objects(count: int, preset: str) -> Row:
    frames = list(crowd(count, 23))
    _track(frames[:3], preset)  # compile
    seconds, masks, busy = _track(frames, preset)
    ious = [_ious(m, labels) for m, (_, labels) in zip(masks, frames[1:], strict=True)]
    milliseconds = 1000 * float(np.median(seconds[3:]))
    row = {
        "part": "objects",
        "preset": preset,
        "objects": count,
        "ms": round(milliseconds, 1),
        "fps": round(1000 / milliseconds, 1),
        "cpu_ms": round(1000 * busy, 1),
    }
    return row | {"iou": round(float(np.mean(ious[-1])), 3), "peak_mb": _peak_mb()}


def _peak_mb() -> int:
    """The most memory that this process has had."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2))


def long() -> Iterator[Row]:
    """Memory over many frames; in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        yield from pool.submit(_long, 2).result()


def _long(count: int) -> list[Row]:
    frames = list(crowd(count, LONG))
    there_and_back = [*frames, *frames[-2:0:-1]]
    height, width = frames[0][1].shape
    tracker = FlowEngine().open(VideoInfo(width, height, frame_count=STOPS[-1]))
    tracker.step(_frame(0, frames[0][0]), _prompts(frames[0][1]))
    rows: list[Row] = []
    ious = []
    for i in range(1, STOPS[-1]):
        image, labels = there_and_back[i % len(there_and_back)]
        ious.append(float(np.mean(_ious(tracker.step(_frame(i, image)), labels))))
        if i + 1 in STOPS:
            iou = round(float(np.mean(ious[-LONG:])), 3)
            rows.append({"part": "long", "objects": count, "frames": i + 1, "peak_mb": _peak_mb(), "iou": iou})
    tracker.close()
    return rows


def aerial_view() -> Iterator[Row]:
    """30 cars of 12 to 60 pixels in 4K, 100 frames after they were given."""
    for preset in LIVE:
        yield _aerial_view(preset)


def _aerial_view(preset: str) -> Row:
    truths, masks, seconds = [], [], []
    video = aerial()
    image, labels = next(video)
    tracker = FlowEngine(preset).open(VideoInfo(image.shape[1], image.shape[0]))
    tracker.step(_frame(0, image), _prompts(labels))
    for i, (image, labels) in enumerate(video, 1):
        started = time.perf_counter()
        result = tracker.step(_frame(i, image))
        seconds.append(time.perf_counter() - started)
        masks.append(_ious(result, labels))
        truths.append(i)
    tracker.close()
    return {
        "part": "aerial",
        "preset": preset,
        "objects": len(masks[0]),
        "frames": truths[-1],
        "iou_last": round(float(np.mean(masks[-1])), 3),
        "iou_last_worst": round(min(masks[-1]), 3),
        "iou_all": round(float(np.mean(masks)), 3),
        "fps": round(1 / float(np.median(seconds)), 2),
    }


def score(root: Path, seeds: list[int]) -> Iterator[Row]:
    """What masks of a score are worth: mean IoU in bins of the score, and the correlation of both."""
    for preset in PRESETS:
        scores: dict[str, list[float]] = defaultdict(list)
        ious: dict[str, list[float]] = defaultdict(list)
        for seed in seeds:
            for name in sorted(p.name for p in (root / "Annotations" / "480p").iterdir()):
                frames = list(_sequence(root, name))
                _, masks, _ = _track(frames, preset, seed)
                for result, (_, labels) in zip(masks, frames[1:], strict=True):
                    scores[name].append(result[1].score)
                    ious[name] += _ious(result, labels)
        yield from _worth(preset, np.concatenate(list(scores.values())), np.concatenate(list(ious.values())))
        for name, values in scores.items():
            mean = {"score": round(float(np.mean(values)), 3), "iou": round(float(np.mean(ious[name])), 3)}
            yield {"part": "score", "preset": preset, "sequence": name, **mean, **_agreement(values, ious[name])}


def _worth(preset: str, value: Array, iou: Array) -> Iterator[Row]:
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        inside = (value >= low) & ((value < low + 0.2) | (low == 0.8))
        mean = round(float(iou[inside].mean()), 3) if inside.any() else None
        yield {"part": "score", "preset": preset, "from": low, "frames": int(inside.sum()), "iou": mean}
    yield {"part": "score", "preset": preset, "frames": len(value), **_agreement(value, iou)}


def _agreement(value: Array | list[float], iou: Array | list[float]) -> Row:
    correlation, found = agreement(np.asarray(value), np.asarray(iou))
    row = {"correlation": round(correlation, 3)}
    return row if math.isnan(found) else row | {"auroc": round(found, 3)}


def profile() -> Iterator[Row]:
    """Where the milliseconds of a frame go, one object and twenty at 854x480; waiting for other threads included."""
    for count in (1, 20):
        spent: dict[str, float] = defaultdict(float)
        frames = list(crowd(count, 33))
        _track(frames[:3])  # compile
        seconds, _, _ = _track(frames, timer=_stopwatch(spent))
        total = 1000 * sum(seconds) / len(seconds)
        stages = {name: 1000 * spent[name] / len(seconds) for name in STAGES}
        stages["the rest"] = total - sum(stages.values())
        for name, milliseconds in stages.items():
            yield {"part": "profile", "objects": count, "stage": name, "ms": round(milliseconds, 2)}


def _stopwatch(spent: dict[str, float]) -> Timer:
    """Adds up the time that each stage takes."""

    @contextmanager
    def timer(stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        spent[stage] += time.perf_counter() - started

    return timer


def _track(
    frames: list[tuple[NDArray[np.uint8], NDArray[Any]]],
    preset: str = "standard",
    seed: int = 0,
    timer: Timer = nullcontext,
) -> tuple[list[float], list[FrameMasks], float]:
    """Seconds and result of each frame but the first, whose objects are given; processor seconds a frame."""
    image, labels = frames[0]
    engine = FlowEngine(preset, seed=seed)
    engine.timer = timer
    tracker = engine.open(VideoInfo(image.shape[1], image.shape[0]))
    tracker.step(_frame(0, image), _prompts(labels))
    seconds, masks = [], []
    busy = time.process_time()
    for i, (image, _) in enumerate(frames[1:], 1):
        started = time.perf_counter()
        masks.append(tracker.step(_frame(i, image)))
        seconds.append(time.perf_counter() - started)
    busy = (time.process_time() - busy) / (len(frames) - 1)
    tracker.close()
    return seconds, masks, busy


def _frame(index: int, image: NDArray[np.uint8]) -> Frame:
    return Frame(FrameInfo(index, None, str(index)), image)


def _prompts(labels: NDArray[Any]) -> list[MaskPrompt]:
    return [MaskPrompt(0, int(i), labels == i) for i in np.unique(labels) if i]


def _ious(result: FrameMasks, labels: NDArray[Any]) -> list[float]:
    """IoU of every object; 1 where it neither is nor was seen."""
    truth_area, both = np.bincount(labels.ravel(), minlength=max(result.object_ids) + 1), []
    for row in result:
        inside = labels[row.rle.decode()]
        shared = int(np.count_nonzero(inside == row.object_id))
        union = int(truth_area[row.object_id]) + inside.size - shared
        both.append(shared / union if union else 1.0)
    return both


def _sequence(root: Path, name: str) -> Iterator[tuple[NDArray[np.uint8], NDArray[Any]]]:
    pictures, truths = (sorted((root / kind / "480p" / name).iterdir()) for kind in ("JPEGImages", "Annotations"))
    for picture, truth in zip(pictures, truths, strict=True):
        image = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)  # type: ignore[arg-type]
        yield np.asarray(image, dtype=np.uint8), (read_label_map(truth) > 0).astype(np.uint8)


def render(rows: list[Row]) -> None:
    """Put the tables between the markers of docs/flow.md."""
    text = PAGE.read_text(encoding="utf-8")
    for part, table in _tables(rows).items():
        start, end = f"<!-- table:{part} -->", f"<!-- end:{part} -->"
        head, _, rest = text.partition(start)
        _, _, tail = rest.partition(end)
        text = f"{head}{start}\n{table}\n{end}{tail}"
    PAGE.write_text(text, encoding="utf-8")


def _tables(rows: list[Row]) -> dict[str, str]:
    by_part: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_part[row["part"]].append(row)
    made = {}
    if by_part["davis"]:
        means = []
        for preset in PRESETS:
            runs = [r for r in by_part["davis"] if r["preset"] == preset]
            if runs:
                j, f, jf, fps = (np.mean([r[k] for r in runs]) for k in ("j", "f", "jf", "fps"))
                means.append((preset, len(runs), f"{j:.1f}", f"{f:.1f}", f"{jf:.1f}", f"{fps:.1f}"))
        made["davis"] = _table(("preset", "seeds", "J", "F", "J&F", "frames/s"), means)
    if by_part["backwards"]:
        names = tuple(sorted(by_part["backwards"][0]["jf_of"]))
        cells = [
            (r["preset"], *(f"{r[k]:.1f}" for k in ("j", "f", "jf")), *(r["jf_of"][n] for n in names))
            for r in by_part["backwards"]
        ]
        made["backwards"] = _table(("preset", "J", "F", "J&F", *names), cells)
    for part, heads in PLAIN.items():
        if by_part[part]:
            made[part] = _table(tuple(heads.values()), [tuple(r[k] for k in heads) for r in by_part[part]])
    if by_part["score"]:
        made["score"] = _score_tables(by_part["score"])
    if by_part["profile"]:
        stages = list(dict.fromkeys(r["stage"] for r in by_part["profile"]))
        ms = {(r["stage"], r["objects"]): r["ms"] for r in by_part["profile"]}
        cells = [(s, *(f"{ms.get((s, n), 0):.1f}" for n in (1, 20))) for s in stages]
        total = [f"{sum(ms.get((s, n), 0) for s in stages):.1f}" for n in (1, 20)]
        made["profile"] = _table(("stage", "1 object, ms", "20 objects, ms"), [*cells, ("all", *total)])
    return made


def _score_tables(rows: list[Row]) -> str:
    """Bins, then sequences; presets side by side."""
    bins = {(r["from"], r["preset"]): (r["frames"], "" if r["iou"] is None else r["iou"]) for r in rows if "from" in r}
    each = {(r["sequence"], r["preset"]): (r["score"], r["iou"], r["correlation"]) for r in rows if "sequence" in r}
    whole = {r["preset"]: r for r in rows if "correlation" in r and "sequence" not in r}
    heads = [f"{preset}: {what}" for preset in whole for what in ("frames", "mean IoU")]
    lows = sorted({low for low, _ in bins})
    cells = [(f"{low:.1f} to {low + 0.2:.1f}", *(v for p in whole for v in bins[low, p])) for low in lows]
    counted = ", ".join(f"{preset} {row['correlation']}" for preset, row in whole.items())
    told = ", ".join(f"{preset} {row['auroc']}" for preset, row in whole.items())
    by_bin = _table(("score", *heads), cells)
    heads = [f"{preset}: {what}" for preset in whole for what in ("mean score", "mean IoU", "correlation")]
    cells = [(name, *(v for p in whole for v in each[name, p])) for name in sorted({name for name, _ in each})]
    by_sequence = _table(("sequence", *heads), cells)
    counts = f"Correlation of score and IoU: {counted}.\nAUROC of frames with an IoU below {BAD}: {told}."
    return f"{by_bin}\n\n{counts}\n\n{by_sequence}"


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(str(c) for c in line) + " |" for line in lines)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--davis", type=Path, help="root of a DAVIS data set, for the parts davis, backwards and score")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--only", action="append", choices=["davis", "backwards", "objects", "long", "aerial", "score", "profile"]
    )
    parser.add_argument("--render", action="store_true", help="only make the tables")
    options = parser.parse_args()
    rows: list[Row] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []
    parts: dict[str, Callable[[], Iterator[Row]]] = {
        "objects": objects,
        "long": long,
        "aerial": aerial_view,
        "profile": profile,
    }
    if options.davis is not None:
        parts["davis"] = lambda: davis(options.davis, options.seeds)
        parts["backwards"] = lambda: backwards(options.davis)
        parts["score"] = lambda: score(options.davis, options.seeds)
    for name, run in ({} if options.render else parts).items():
        if options.only and name not in options.only:
            continue
        new = []
        for row in run():
            print(json.dumps(row), flush=True)
            new.append(row | stamp())
        rows = [r for r in rows if r["part"] != name] + new
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    render(rows)


if __name__ == "__main__":
    main()
