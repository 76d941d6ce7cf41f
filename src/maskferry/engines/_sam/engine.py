"""The engines ``sam3``, ``sam2.1-*`` and ``edgetam`` as a caller loads them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from maskferry.data import BoxPrompt, MaskPrompt, PointPrompt, Prompt, TextPrompt, VideoInfo
from maskferry.engines._sam.checkpoint import Kind, find_folder, kind_of, load_model
from maskferry.engines._sam.compiling import Compiled, plain_follow
from maskferry.engines._sam.devices import pick_devices
from maskferry.engines._sam.loaded_model import SamModel, fingerprint
from maskferry.engines._sam.memory_bank import Bundle
from maskferry.engines._sam.multi_device import SpreadSession
from maskferry.engines._sam.network import Features, Found, Network
from maskferry.engines._sam.session import SamSession
from maskferry.engines._sam.streams import Lanes
from maskferry.engines._sam.text_detector import TextFinder
from maskferry.engines._weights import REPOSITORIES
from maskferry.errors import EngineError, InputError

__all__ = ["SamEngine"]

log = logging.getLogger(__name__)

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


class SamEngine:
    """SAM 3, SAM 2.1 or EdgeTAM: given masks in, all objects at once, memory that does not grow.

    Args:
        model: "sam3", "sam2.1-tiny", "sam2.1-small", "sam2.1-base-plus", "sam2.1-large" or "edgetam".
        checkpoint: a local folder or a repository of the Hugging Face hub; by default the model's own repository.
        device: "auto" (a GPU where there is one), or a device of torch: "cuda:0", "mps", "cpu". The objects are spread
            over several: "cuda:0,cuda:1", or a list.
        precision: "auto" (bfloat16 on CUDA where it is safe, float32 elsewhere), "float32", "bfloat16" or "float64".
        compile: compiled stages, tested before they are used: "auto" (on CUDA, once a video has proved long), True
            (from the first frame that has all its memories; takes a minute or two, later seconds), or False.
        max_batch: how many objects go through the network at a time; less needs less memory. Halved by itself when
            the device is full.

    Raises:
        InputError: no such model, device or precision, or a checkpoint of another model.
        EngineError: the weights cannot be had, or do not fit.
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
    ) -> None:
        if model not in REPOSITORIES:
            raise InputError(f"model: expected one of {', '.join(REPOSITORIES)}, got {model!r}")
        if not isinstance(max_batch, int) or isinstance(max_batch, bool) or max_batch < 1:
            raise InputError(f"engine {model!r}: max_batch must be a whole number from 1, got {max_batch!r}")
        if compile not in (True, False, "auto"):
            raise InputError(f"engine {model!r}: compile must be 'auto', True or False, got {compile!r}")
        self.name = model
        target, *others = pick_devices(model, device)
        folder = find_folder(model, checkpoint)
        kind = kind_of(model, folder)
        dtype = _dtype(model, precision, kind, target)
        if others and any(_dtype(model, precision, kind, other) != dtype for other in others):
            raise InputError(f"engine {model!r}: {device} do not all work in bfloat16: pass precision='float32'")
        self.accepts: frozenset[type[Prompt]] = frozenset({MaskPrompt, PointPrompt, BoxPrompt})
        network = Network(load_model(model, folder, kind, target, dtype), dtype, narrow=target.type == "cuda")
        stages = Compiled(network, at_once=True) if compile is True else None
        if compile == "auto" and target.type == "cuda":
            stages = Compiled(network, at_once=False)
        self._model: SamModel | None = SamModel(
            name=model,
            network=network,
            encode=network.encode if stages is None else stages.encode,
            follow=partial(
                _follow, partial(plain_follow, network) if stages is None else stages.follow, target.type == "cuda"
            ),
            mean=kind.mean,
            lanes=Lanes(target),
            max_batch=max_batch,
            finder=TextFinder(model, folder, network, kind.mean) if kind.text else None,
            identity={"engine": model, "weights": fingerprint(network), "precision": str(dtype)},
        )
        if kind.text:
            self.accepts |= {TextPrompt}
        options: dict[str, Any] = {"precision": precision, "compile": compile, "max_batch": max_batch}
        self._others = [SamEngine(model, checkpoint=folder, device=str(other), **options) for other in others]
        log.info("engine %s: %s, %s, %s", model, folder, target, dtype)

    def open(self, video: VideoInfo, snapshot: bytes | None = None) -> SamSession | SpreadSession:
        """Start a session, or go on from a snapshot.

        Raises:
            EngineError: the engine is closed, or the snapshot is not one of this engine's.
        """
        if self._model is None:
            raise EngineError(f"engine {self.name!r} is closed: load it again")
        models = [self._model, *(other._model for other in self._others if other._model is not None)]
        return SamSession(video, self._model, snapshot) if len(models) == 1 else SpreadSession(video, models, snapshot)

    def close(self) -> None:
        """Let the weights go. May be called twice."""
        self._model = None
        for other in self._others:
            other.close()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _follow(
    follow: Callable[[Features, Bundle], tuple[Found, Tensor]], cuda: bool, features: Features, bundle: Bundle
) -> tuple[Found, Tensor]:
    """Track, with cuDNN's attention kernel where there is one: the fastest, and the one that takes narrow values."""
    if not cuda:
        return follow(features, bundle)
    kernels = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel(kernels, set_priority=True):
        return follow(features, bundle)


def _dtype(name: str, wanted: str, kind: Kind, device: torch.device) -> torch.dtype:
    if wanted == "auto":
        if not kind.half or device.type != "cuda":
            return torch.float32
        with torch.cuda.device(device):
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if wanted not in PRECISIONS:
        raise InputError(f"engine {name!r}: precision must be auto, {' or '.join(PRECISIONS)}, got {wanted!r}")
    if wanted == "bfloat16" and not kind.half:
        raise InputError(f"engine {name!r} runs in float32 only: its backbone does not work in bfloat16")
    return PRECISIONS[wanted]
