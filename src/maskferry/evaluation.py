"""Scoring: an engine on a DAVIS data set (J and F), and tracks against the truth (HOTA, IDF1, id switches)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry.data import FrameMasks, ObjectMask, State
from maskferry.engines.base import Engine
from maskferry.engines.registry import load_engine
from maskferry.errors import InputError
from maskferry.formats import _youtube_vis as youtube_vis
from maskferry.formats._davis import VOID, read_label_map, read_sequence
from maskferry.formats._images import list_pictures
from maskferry.masks._labels import split_labels, to_label_map
from maskferry.metrics._davis import Score, mean_score, score_sequence
from maskferry.metrics._tracking import TrackingScore, score_tracking
from maskferry.rle import Rle
from maskferry.tracker import MaskTracker
from maskferry.tracks._tracks import Tracks

__all__ = ["Evaluation", "SequenceResult", "evaluate_davis", "evaluate_tracks"]

LabelMap = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class SequenceResult:
    """One sequence.

    Attributes:
        name: the sequence's folder.
        frames: its length.
        seconds: for decoding and tracking, without scoring.
        scores: {object id: its score}.
    """

    name: str
    frames: int
    seconds: float
    scores: dict[int, Score]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An engine's results on a data set.

    Attributes:
        engine: its name.
        sequences: in the order in which they were run.
    """

    engine: str
    sequences: tuple[SequenceResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, in percent: {"engine", "fps", "mean": {"j", "f", "jf"}, "sequences": {name: {...}}}.

        The mean is over all objects, each counting once however many share a sequence, as DAVIS 2017 defines it; with
        one object a sequence it is DAVIS 2016's.
        """
        everything = [score for sequence in self.sequences for score in sequence.scores.values()]
        frames, seconds = sum(s.frames for s in self.sequences), sum(s.seconds for s in self.sequences)
        return {
            "engine": self.engine,
            "fps": round(frames / seconds, 2),
            "mean": _percent(mean_score(everything)),
            "sequences": {
                s.name: {
                    **_percent(mean_score(s.scores.values())),
                    "fps": round(s.frames / s.seconds, 2),
                    "frames": s.frames,
                }
                for s in self.sequences
            },
        }


def evaluate_davis(
    root: str | Path,
    *,
    sequences: Sequence[str] | None = None,
    engine: str | Engine = "auto",
    resolution: str = "480p",
    callback: Callable[[str, int, int], object] | None = None,
) -> Evaluation:
    """Run an engine over sequences of a DAVIS data set and score it by the semi-supervised protocol.

    Args:
        root: holds ``JPEGImages/<resolution>/<sequence>`` and ``Annotations/<resolution>/<sequence>``.
        sequences: names of folders; all of them by default.
        engine: a name, "auto" for the best that can run here, or a loaded engine.
        resolution: name of the folders below JPEGImages and Annotations.
        callback: called with (sequence, frames done, frames) as it goes.

    Raises:
        InputError: a folder is missing, or pictures and annotations do not match.
    """
    pictures, annotations = _folders(Path(root), resolution)
    names = sorted(p.name for p in annotations.iterdir() if p.is_dir()) if sequences is None else list(sequences)
    if not names:
        raise InputError(f"{annotations} holds no sequences")
    truths = {name: _truth_files(pictures / name, annotations / name) for name in names}
    loaded = load_engine(engine)
    results = []
    for name in names:
        results.append(_evaluate(name, pictures / name, truths[name], loaded, callback))
    return Evaluation(loaded.name, tuple(results))


def evaluate_tracks(tracks: Tracks, truth: str | Path) -> TrackingScore:
    """Score tracks against the truth, on the frames of the truth.

    Args:
        tracks: of one video; on frames that they lack there is nothing.
        truth: a folder of label maps, a picture for each frame, or a YouTube-VIS file of one video.

    Raises:
        InputError: the truth cannot be read, is of several videos, or has another size.
        MissingExtraError: TrackEval is not installed.
    """
    empty = FrameMasks(0, tracks.video.size_hw)
    return score_tracking((wanted, tracks.get(wanted.frame, empty)) for wanted in _read_truth(Path(truth)))


def _read_truth(path: Path) -> Iterator[FrameMasks]:
    if path.suffix.lower() == ".json":
        videos = youtube_vis.read(path)
        if len(videos) != 1:
            raise InputError(f"{path} holds {len(videos)} videos; expected the one that was tracked")
        yield from (frame.masks for frame in videos[0].frames)
        return
    for index, (_, labels) in enumerate(read_sequence(path)):
        rows = (
            ObjectMask(i, Rle.encode(mask), 1.0, State.GIVEN) for i, mask in split_labels(labels, void=VOID).items()
        )
        yield FrameMasks(index, (labels.shape[0], labels.shape[1]), tuple(rows))


def _evaluate(
    name: str, pictures: Path, truth: list[Path], engine: Engine, callback: Callable[[str, int, int], object] | None
) -> SequenceResult:
    first = read_label_map(truth[0])
    binary = set(np.unique(first).tolist()) <= {0, VOID}  # DAVIS 2016 writes its one object as 255
    seeds = {1: first > 0} if binary else split_labels(first, void=VOID)
    started = time.perf_counter()
    with MaskTracker(pictures, engine=engine) as tracker:
        tracker.add_masks_prompt(list(seeds.values()), list(seeds))
        for progress in tracker.steps(direction="forward"):
            if callback is not None:
                callback(name, progress.done, len(truth))
        tracks = tracker.tracks
        seconds = time.perf_counter() - started
    wanted = ((m > 0).astype(np.uint8) if binary else m for m in map(read_label_map, truth))
    scores = score_sequence(wanted, _label_maps(tracks), object_ids=list(seeds), void_label=None if binary else VOID)
    return SequenceResult(name, len(truth), seconds, scores)


def _label_maps(tracks: Tracks) -> Iterator[LabelMap]:
    for frame in tracks.frames():
        yield to_label_map(frame.masks)


def _folders(root: Path, resolution: str) -> tuple[Path, Path]:
    folders = root / "JPEGImages" / resolution, root / "Annotations" / resolution
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{root} is no DAVIS data set: there is no folder {folder.relative_to(root)}")
    return folders


def _truth_files(pictures: Path, annotations: Path) -> list[Path]:
    for folder in (pictures, annotations):
        if not folder.is_dir():
            raise InputError(f"there is no sequence {folder.name!r}: {folder} is missing")
    frames, truth = list_pictures(pictures), list_pictures(annotations)
    if [p.stem for p in frames] != [p.stem for p in truth]:
        raise InputError(
            f"sequence {pictures.name!r}: {len(frames)} frames, but {len(truth)} annotations of other names"
        )
    return truth


def _percent(score: Score) -> dict[str, float]:
    return {
        "j": round(100 * score.region.mean, 2),
        "f": round(100 * score.boundary.mean, 2),
        "jf": round(100 * score.j_and_f, 2),
    }
