"""Learn the weights of the score (engines/flow/scoring.py) on synthetic videos, and print them.

python benchmarks/fit_score.py [number of videos, 60]
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from trials import trial

from maskferry import Frame, FrameInfo, MaskPrompt, VideoInfo
from maskferry.engines.flow import FlowEngine
from maskferry.engines.flow.scoring import Signs
from maskferry.masks.regions import intersection_over_union

Array = NDArray[np.float64]


def observe(number: int) -> list[tuple[Signs, float]]:
    """The signs and the IoU of each frame of a video on which something was found and something is to be found."""
    rows: list[tuple[Signs, float]] = []
    for i, (image, truth) in enumerate(trial(number)):
        frame = Frame(FrameInfo(i, None, str(i)), image)
        if i == 0:
            session = FlowEngine().open(VideoInfo(image.shape[1], image.shape[0]))
            session.step(frame, [MaskPrompt(0, 1, truth)])
            continue
        result = session.step(frame)
        if truth.any() and result[1].rle.area:
            rows.append((session._targets[1].signs, intersection_over_union(result.mask(1), truth)))
    session.close()
    return rows


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


def main() -> None:
    """Observe, learn, print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    rows = [row for number in range(count) for row in observe(number)]
    signs, iou = np.array([signs for signs, _ in rows]), np.array([iou for _, iou in rows])
    weights = regress(signs, iou)
    score = 1 / (1 + np.exp(-weights[0] - signs @ weights[1:]))
    print(f"{len(iou)} frames, correlation {np.corrcoef(score, iou)[0, 1]:.3f}")
    print("offset and weights:", *(f"{w:.2f}" for w in weights))


if __name__ == "__main__":
    main()
