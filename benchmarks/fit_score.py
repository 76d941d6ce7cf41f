"""Learn the weights of the score (engines/_flow/score.py) on made videos, and print them.

    python benchmarks/fit_score.py
    python benchmarks/fit_score.py --worlds LEARN --test ROOT --test DAVIS_ROOT [--weights FOLDER]

Without a network: on 120 videos of `trials`. With the network (``--worlds``): on the folder
LEARN, on ten of its videos that dissolve into others and on six whose object turns into something else (`films`), and
on 60 videos of `trials`. LEARN and ROOT are made from the asset pack that ``training/assets.py`` makes:

    python training/worlds.py ASSETS LEARN --part train --seed 22 --frames 32 --count 60
    python training/worlds.py ASSETS ROOT --seed 23 --frames 32 --count 100

With two processes this takes a few minutes.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from films import Film, dissolving, film, names, turning
from numpy.typing import NDArray
from trials import trial

from maskferry import Frame, FrameInfo, MaskPrompt, VideoInfo
from maskferry.engines._flow import FlowEngine, network
from maskferry.engines._flow.session import FlowSession
from maskferry.masks._regions import intersection_over_union

Array = NDArray[np.float64]

ALONE, WITH_NETWORK = ("apart", "given", "whole"), ("given", "whole", "seen", "known")
"""The signs that are learned."""

FOLDS = 10
BAD = 0.7
"""The IoU below which a mask is called bad."""


class Video:
    """What was observed of one.

    Attributes:
        signs: of each frame on which a mask was drawn, (n, k).
        iou: of these frames, (n,); 0 where a mask was drawn of a hidden object.
        lost: frames on which none was drawn though the object was to be seen.
    """

    def __init__(self, signs: list[list[float]], iou: list[float], lost: int, kinds: int) -> None:
        self.signs, self.iou, self.lost = np.array(signs).reshape(-1, kinds), np.array(iou), lost


def observe(film: Film, preset: str, kinds: tuple[str, ...]) -> Video:
    """Track the object of a film, and look at the signs that are remembered."""
    signs: list[list[float]] = []
    iou: list[float] = []
    lost = 0
    for i, (image, truth) in enumerate(film):
        frame = Frame(FrameInfo(i, None, str(i)), image)
        if i == 0:
            session = FlowEngine(preset).open(VideoInfo(image.shape[1], image.shape[0]))
            session.step(frame, [MaskPrompt(0, 1, truth)])
            continue
        result = session.step(frame)
        if result[1].rle.area:
            signs.append(_signs(session, kinds))
            iou.append(intersection_over_union(result.mask(1), truth))
        else:
            lost += bool(truth.any())
    session.close()
    return Video(signs, iou, lost, len(kinds))


def _signs(session: FlowSession, kinds: tuple[str, ...]) -> list[float]:
    target = session._targets[1]
    known = {} if target.signs is None else target.signs._asdict()
    if target.recollection is not None and target.recollection.signs is not None:
        known |= target.recollection.signs._asdict()
    return [known[kind] for kind in kinds]


def regress(signs: Array, iou: Array, penalty: float = 1e-5, steps: int = 200_000) -> Array:
    """Offset and weights >= 0 of the logistic model, by projected, accelerated gradient descent."""
    design = np.column_stack((np.ones(len(iou)), signs))
    scale = design.std(axis=0).clip(0.01)
    scale[0] = 1
    middle = np.concatenate(([0], signs.mean(axis=0)))
    normal = (design - middle) / scale
    step = 4 / np.linalg.eigvalsh(normal.T @ normal / len(iou)).max()
    weights = ahead = np.zeros(normal.shape[1])
    for k in range(steps):
        slope = normal.T @ (1 / (1 + np.exp(-normal @ ahead)) - iou) / len(iou) + 2 * penalty * ahead / scale**2
        slope[0] -= 2 * penalty * ahead[0]
        moved = ahead - step * slope
        moved[1:] = moved[1:].clip(0)
        ahead = moved + k / (k + 3) * (moved - weights)
        if np.abs(moved - weights).max() < 1e-10:
            break
        weights = moved
    out = weights / scale
    out[0] = weights[0] - (out[1:] * middle[1:]).sum()
    return out


def expected(signs: Array, weights: Array) -> Array:
    """The score."""
    return np.asarray(1 / (1 + np.exp(-weights[0] - signs @ weights[1:])))


def left_out(videos: list[Video]) -> list[Array]:
    """The score of each frame by weights learned without its video and a tenth of the others."""
    scores = [np.zeros(len(video.iou)) for video in videos]
    for fold in range(FOLDS):
        weights = learn([v for k, v in enumerate(videos) if k % FOLDS != fold])
        for k in range(fold, len(videos), FOLDS):
            scores[k] = expected(videos[k].signs, weights)
    return scores


def learn(videos: list[Video]) -> Array:
    """Offset and weights from all frames of all videos."""
    return regress(np.concatenate([v.signs for v in videos]), np.concatenate([v.iou for v in videos]))


def report(title: str, videos: list[Video], scores: list[Array]) -> None:
    """Print how scores and IoU agree: where a mask was drawn, and with the frames on which the object was lost."""
    score, iou = np.concatenate(scores), np.concatenate([v.iou for v in videos])
    nothing = np.zeros(sum(v.lost for v in videos))
    print(f"{title}: drawn: {_agreement(score, iou)}")
    print(f"{'':{len(title)}}  and lost: {_agreement(np.append(score, nothing), np.append(iou, nothing))}")
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        inside = (score >= low) & (score < low + 0.2)
        if inside.any():
            print(f"  score {low:.1f} to {low + 0.2:.1f}: {inside.sum()} frames, mean IoU {iou[inside].mean():.3f}")


def agreement(score: Array, iou: Array) -> tuple[float, float]:
    """Correlation of both, and the AUROC of bad masks: how often, of a bad and a good one, the bad has the lower score.

    The AUROC is NaN where there are only good ones, or only bad ones; equal scores count as half.
    """
    good, bad = np.sort(score[iou >= BAD]), score[iou < BAD]
    ranks = (np.searchsorted(good, bad, "left") + np.searchsorted(good, bad, "right")) / 2
    found = 1 - float(ranks.mean()) / len(good) if len(good) and len(bad) else float("nan")
    return float(np.corrcoef(score, iou)[0, 1]), found


def _agreement(score: Array, iou: Array) -> str:
    correlation, found = agreement(score, iou)
    return f"{len(iou)} frames, {(iou < BAD).sum()} bad, correlation {correlation:.3f}, AUROC {found:.3f}"


def lessons(worlds: Path | None) -> Iterator[partial[Film]]:
    """The films to learn from; each is made by a call."""
    if worlds is None:
        yield from (partial(trial, number) for number in range(120))
        return
    known = names(worlds)
    yield from (partial(film, worlds, name) for name in known)
    for make, count in ((dissolving, 10), (turning, 6)):
        yield from (partial(make, worlds, known[i], known[i + len(known) // 2]) for i in range(count))
    yield from (partial(_short, number) for number in range(60))


def _short(number: int) -> Film:
    return islice(trial(number), 41)


def _observe(make: partial[Film], preset: str, kinds: tuple[str, ...], weights: Path) -> Video:
    network.WEIGHTS = weights
    return observe(make(), preset, kinds)


def main() -> None:
    """Observe, learn, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=Path, help="made videos to learn from, in the layout of DAVIS")
    parser.add_argument("--test", type=Path, action="append", default=[], help="videos to be judged, likewise")
    parser.add_argument("--weights", type=Path, default=network.WEIGHTS, help="the network's ONNX files")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    preset, kinds = ("fast", ALONE) if options.worlds is None else ("standard", WITH_NETWORK)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with Pool(options.processes) as pool:

        def observed(films: Iterable[partial[Film]]) -> list[Video]:
            look = partial(_observe, preset=preset, kinds=kinds, weights=options.weights)
            return list(pool.imap(look, films, chunksize=1))

        videos = observed(lessons(options.worlds))
        weights = learn(videos)
        print("offset and weights:", *(f"{k} {w:.2f}" for k, w in zip(("offset", *kinds), weights, strict=True)))
        report("left out", videos, left_out(videos))
        for root in options.test:
            seen = observed(partial(film, root, name) for name in names(root))
            report(root.name, seen, [expected(video.signs, weights) for video in seen])


if __name__ == "__main__":
    main()
