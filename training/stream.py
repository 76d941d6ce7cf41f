"""Clips made beside the training, by a process of its own: making them takes the host as long as learning does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import multiprocessing

from clips import Batch, Clips

AHEAD = 2
"""Batches that wait."""


class Stream:
    """Batches of made clips without an end.

    Args:
        assets: the pack.
        device: where they are made and lie.
        size: of a frame.
        seed: the same seed gives the same batches, if the same are asked for.
    """

    def __init__(self, assets: Path, device: torch.device, size: int, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._wish = context.Array("i", [0, 0])
        self._queue = context.Queue(AHEAD)
        settings = (assets, str(device), size, seed, self._queue, self._wish)
        self._process = context.Process(target=_make, args=settings, daemon=True)
        self._started = False

    def batch(self, clips: int, frames: int) -> Batch:
        """The next batch; right after another number was asked for, the ones that wait are still of the old one."""
        self._wish[0], self._wish[1] = clips, frames
        if not self._started:
            self._process.start()
            self._started = True
        pictures, masks, valid = self._queue.get()
        return Batch(pictures.float(), masks.float(), valid.clone())

    def close(self) -> None:
        """End the process."""
        if self._started:
            self._process.terminate()
            self._process.join()


def _make(assets: Path, device: str, size: int, seed: int, queue: Any, wish: Any) -> None:  # noqa: ANN401
    if device != "cpu":
        torch.set_num_threads(1)  # what is left to the host are small tensors; more threads only wait for each other
    clips = Clips(assets, device, size, seed)
    while True:
        batch = clips.batch(wish[0], wish[1])
        if device != "cpu":
            torch.cuda.synchronize()
        queue.put((batch.pictures.to(torch.uint8), batch.masks.half(), batch.valid))
