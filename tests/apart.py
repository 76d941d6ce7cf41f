"""Devices told apart where there is only the CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary


class Apart(TorchDispatchMode):
    """Refuses an operation on tensors of two devices, as GPUs would, and hands the device on to its results.

    Args:
        tensors: that belong to each device.

    Attributes:
        homes: number of the device of each tensor; tensors that are missing belong to none.
        operations: how many there were on each device.
    """

    def __init__(self, tensors: Sequence[Iterable[torch.Tensor]]) -> None:
        super().__init__()
        self.homes: Any = WeakTensorKeyDictionary()
        self.operations: Counter[int] = Counter()
        for number, own in enumerate(tensors):
            for tensor in own:
                self.homes[tensor] = number

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        inputs = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        found = {self.homes[t] for t in inputs if t in self.homes}
        assert len(found) < 2, f"{func} on tensors of devices {sorted(found)}"
        for home in found:
            self.operations[home] += 1
            for tensor in tree_leaves(out):
                if isinstance(tensor, torch.Tensor):
                    self.homes[tensor] = home
        return out
