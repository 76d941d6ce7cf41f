"""Seeded random numbers and smooth random paths, on the CPU: the few numbers that describe a clip."""

import math

import torch
from recipe import Span
from torch import Tensor


class Dice:
    """Random numbers of one generator."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, span: Span, *shape: int) -> Tensor:
        """Evenly distributed float32."""
        return torch.rand(shape, generator=self.generator) * (span[1] - span[0]) + span[0]

    def log_uniform(self, span: Span, *shape: int) -> Tensor:
        """Float32 whose logarithm is evenly distributed."""
        return self.uniform((math.log(span[0]), math.log(span[1])), *shape).exp()

    def normal(self, *shape: int) -> Tensor:
        """Standard normal float32."""
        return torch.randn(shape, generator=self.generator)

    def chance(self, share: float, *shape: int) -> Tensor:
        """True with the given probability."""
        return torch.rand(shape, generator=self.generator) < share

    def whole(self, count: int, *shape: int) -> Tensor:
        """Int64 in 0 .. count - 1."""
        return torch.randint(max(count, 1), shape, generator=self.generator)

    def kind(self, weights: tuple[float, ...], *shape: int) -> Tensor:
        """Int64 index drawn with the given weights."""
        edges = torch.tensor(weights).cumsum(0)
        return torch.bucketize(torch.rand(shape, generator=self.generator) * edges[-1], edges[:-1])

    def path(self, steps: Tensor, speed: Tensor) -> Tensor:
        """Smooth random paths.

        Args:
            steps: times, in steps, broadcastable to (*s, T).
            speed: (*s) typical change per step.

        Returns:
            (*s, T), 0 where ``steps`` is 0: a straight part and two waves.
        """
        shape = speed.shape
        line = self.uniform((-1, 1), *shape)[..., None] * steps
        for _ in range(2):
            wave, phase = self.uniform((0.3, 1.6), *shape)[..., None], self.uniform((0, 6.28), *shape)[..., None]
            height = 0.7 * self.uniform((-1, 1), *shape)[..., None] / wave
            line = line + height * (torch.sin(wave * steps + phase) - torch.sin(phase))
        return speed[..., None] * line
