"""Learn the weights of the score (engines/_flow/target.py) on synthetic videos, and print them.

python benchmarks/fit_score.py [number of videos, 120]
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from trials import trial

from maskferry import Frame, FrameInfo, MaskPrompt, VideoInfo
from maskferry.engines._flow import FlowEngine
from maskferry.engines._flow.target import Signs
from maskferry.masks._regions import intersection_over_union

Array = NDArray[np.float64]
Videos = list[tuple[Array, Array]]

FOLDS = 10


def observe(number: int) -> tuple[Array, Array]:
    """The signs (n, k) and the IoU (n,) of each frame of a video on which the object was seen, and found."""
    signs: list[Signs] = []
    iou: list[float] = []
    for i, (image, truth) in enumerate(trial(number)):
        frame = Frame(FrameInfo(i, None, str(i)), image)
        if i == 0:
            session = FlowEngine().open(VideoInfo(image.shape[1], image.shape[0]))
            session.step(frame, [MaskPrompt(0, 1, truth)])
            continue
        result = session.step(frame)
        if truth.any() and result[1].rle.area:
            signs.append(session._targets[1].signs)  # type: ignore[arg-type]
            iou.append(intersection_over_union(result.mask(1), truth))
    session.close()
    return np.array(signs).reshape(-1, len(Signs._fields)), np.array(iou)


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


def left_out(videos: Videos) -> Array:
    """The score of each frame by weights learned without its video and a tenth of the others."""
    scores = [np.zeros(len(iou)) for _, iou in videos]
    for fold in range(FOLDS):
        weights = regress(*join([v for k, v in enumerate(videos) if k % FOLDS != fold]))
        for k in range(fold, len(videos), FOLDS):
            scores[k] = expected(videos[k][0], weights)
    return np.concatenate(scores)


def join(videos: Videos) -> tuple[Array, Array]:
    """All frames of all videos."""
    return np.concatenate([signs for signs, _ in videos]), np.concatenate([iou for _, iou in videos])


def main() -> None:
    """Observe, learn, print."""
    videos = [observe(number) for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 120)]
    signs, iou = join(videos)
    print("offset and weights:", *(f"{w:.2f}" for w in regress(signs, iou)))
    score = left_out(videos)
    print(f"{len(iou)} frames, correlation on videos left out {np.corrcoef(score, iou)[0, 1]:.3f}")
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        inside = (score >= low) & (score < low + 0.2)
        if inside.any():
            print(f"score {low:.1f} to {low + 0.2:.1f}: {inside.sum()} frames, mean IoU {iou[inside].mean():.3f}")


if __name__ == "__main__":
    main()
