"""The engines ``sam3``, ``sam2.1-*`` and ``edgetam`` as a caller loads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from maskferry.data import BoxPrompt, MaskPrompt, PointPrompt, Prompt, TextPrompt, VideoInfo
from maskferry.engines._sam.checkpoint import FAMILIES, family_of, kind_of
from maskferry.engines._sam.devices import pick_devices, pick_dtype
from maskferry.engines._sam.hooks import SessionHooks
from maskferry.engines._sam.loading import Checkpoint, load_on_device
from maskferry.engines._sam.multi_device import MultiDeviceSession
from maskferry.engines._sam.session import SamSession
from maskferry.engines._sam.weights_folder import find_folder
from maskferry.engines._weights import REPOSITORIES
from maskferry.errors import EngineError, InputError

__all__ = ["SamEngine"]


class SamEngine:
    """SAM 3, SAM 2.1 or EdgeTAM: given masks in, all objects at once, memory that does not grow.

    Args:
        model: "sam3", "sam2.1-tiny", "sam2.1-small", "sam2.1-base-plus", "sam2.1-large" or "edgetam".
        checkpoint: a local folder or a repository of the Hugging Face hub; by default the model's own repository.
        device: "auto" (a GPU where there is one), or a device of torch: "cuda:0", "mps", "cpu". The objects are
            distributed over several: "cuda:0,cuda:1", or a list.
        precision: "auto" (bfloat16 on CUDA where it is safe, float32 elsewhere), "float32", "bfloat16" or "float64".
        compile: compiled stages, tested before they are used: "auto" (on CUDA, once a video has proved long), True
            (from the first frame that has all its memories; takes a minute or two, later seconds), or False.
        max_batch: how many objects go through the network at a time; less needs less memory. Halved automatically
            when the device runs out of memory.
        memory_selection: of SAM 3 only, where it is the default, as the model's authors run it: remember the frames on
            which an object was well in sight, however long ago. False: the last frames, as transformers does.

    Attributes:
        name: as in the registry.
        accepts: the kinds of prompt that its sessions take.
        hooks: what its sessions call, for measurements; sessions take it when they are opened.

    Raises:
        InputError: no such model, device or precision, or a checkpoint of another model.
        EngineError: the weights are unavailable, or do not fit.
    """

    def __init__(
        self,
        model: str = "sam3",
        *,
        checkpoint: str | Path | None = None,
        device: str | Sequence[str] = "auto",
        precision: str = "auto",
        compile: bool | Literal["auto"] = "auto",  # noqa: A002
        max_batch: int = 64,
        memory_selection: bool | None = None,
    ) -> None:
        _check_options(model, compile, max_batch, memory_selection)
        devices = pick_devices(model, device)
        folder = find_folder(model, checkpoint)
        kind = kind_of(model, folder)
        dtypes = {pick_dtype(model, precision, one, bfloat16=kind.bfloat16) for one in devices}
        if len(dtypes) > 1:
            raise InputError(f"engine {model!r}: {device} do not all work in bfloat16: pass precision='float32'")
        selects = kind.memory_selection if memory_selection is None else memory_selection
        weights, dtype = Checkpoint(model, folder, kind), dtypes.pop()
        self.name = model
        self.accepts: frozenset[type[Prompt]] = frozenset({MaskPrompt, PointPrompt, BoxPrompt})
        if kind.takes_text:
            self.accepts |= {TextPrompt}
        self.hooks = SessionHooks()
        self._models = [
            load_on_device(weights, one, dtype, compile_stages=compile, max_batch=max_batch, memory_selection=selects)
            for one in devices
        ]

    def open(self, video: VideoInfo, snapshot: bytes | None = None) -> SamSession | MultiDeviceSession:
        """Start a session, or continue from a snapshot.

        Raises:
            EngineError: the engine is closed, or the snapshot is not one of this engine's.
        """
        if not self._models:
            raise EngineError(f"engine {self.name!r} is closed: load it again")
        if len(self._models) == 1:
            return SamSession(video, self._models[0], snapshot, self.hooks)
        return MultiDeviceSession(video, self._models, snapshot, self.hooks)

    def close(self) -> None:
        """Free the weights. May be called twice."""
        self._models = []
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _check_options(model: str, compile_stages: object, max_batch: object, memory_selection: object) -> None:
    """Refuse options before anything is loaded.

    Raises:
        InputError: an option that there is not.
    """
    models = [name for name in REPOSITORIES if name.split("-")[0] in FAMILIES]
    if model not in models:
        raise InputError(f"model: expected one of {', '.join(models)}, got {model!r}")
    if not isinstance(max_batch, int) or isinstance(max_batch, bool) or max_batch < 1:
        raise InputError(f"engine {model!r}: max_batch must be a whole number from 1, got {max_batch!r}")
    if compile_stages not in (True, False, "auto"):
        raise InputError(f"engine {model!r}: compile must be 'auto', True or False, got {compile_stages!r}")
    if memory_selection is not None:
        if not any(kind.memory_selection for kind in family_of(model).values()):
            raise InputError(f"engine {model!r} has no memory selection; it is an option of sam3")
        if not isinstance(memory_selection, bool):
            raise InputError(f"engine {model!r}: memory_selection must be True or False, got {memory_selection!r}")
