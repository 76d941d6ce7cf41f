"""The engine ``sam3.1`` as a caller loads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch

from maskferry.data import BoxPrompt, MaskPrompt, PointPrompt, Prompt, TextPrompt, VideoInfo
from maskferry.engines._sam.devices import pick_devices, pick_dtype
from maskferry.engines._sam.hooks import SessionHooks
from maskferry.engines._sam.multiplex.architecture import PUBLISHED, Architecture
from maskferry.engines._sam.multiplex.bucket_bank import BucketOptions
from maskferry.engines._sam.multiplex.loading import load_on_device
from maskferry.engines._sam.multiplex.session import MultiplexSession
from maskferry.engines._sam.weights_folder import find_file
from maskferry.errors import EngineError, InputError

__all__ = ["MultiplexEngine"]

NAME = "sam3.1"


class MultiplexEngine:
    """SAM 3.1: sixteen objects share one memory, a *bucket*, and are tracked for the price of one.

    What is found of an object depends on the others in its bucket: on those first prompted on the same frame, sixteen
    by ascending id. With ``isolate`` it depends on nothing else that is said of others.

    It finds what words name where its file holds the detector, as the published one does. Words also need CLIP's
    tokenizer: ``vocab.json`` and ``merges.txt`` beside the file, else those of ``openai/clip-vit-base-patch32``.

    Args:
        checkpoint: the published file (``sam3.1_multiplex.pt`` or ``.safetensors``, float32 or half precision), a
            folder with it, or a repository of the Hugging Face hub; by default ``facebook/sam3.1``.
        device: "auto" (a GPU where there is one), or a device of torch: "cuda:0", "mps", "cpu". Buckets are spread
            over several: "cuda:0,cuda:1", or a list.
        precision: "auto" (bfloat16 on CUDA, float32 elsewhere), "float32", "bfloat16" or "float64".
        compile: compiled stages, tested before they are used: "auto" (on CUDA, once a video has proved long), True
            (from the first frame that has all its memories), or False.
        max_batch: how many objects go through the network at a time, in whole buckets; less needs less memory. Halved
            automatically when the device runs out of memory.
        isolate: a correction, an object that is added and one that is dropped leave all other objects' masks as they
            would have been, byte for byte. Objects of a later frame get buckets of their own, and a correction costs a
            bucket more. False: as Meta's predictor, cheaper where objects come one by one; all that is said changes
            the masks of those in the same bucket.
        capacity: objects in a bucket, from 1 to 16. With 1, an object's masks do not depend on others at all, except
            for rounding, and each costs what sixteen cost.

    Attributes:
        architecture: sizes of the network; of the class, so that tests can make a smaller one.
        name: as in the registry.
        accepts: the kinds of prompt that its sessions take.
        hooks: what its sessions call, for measurements; sessions take it when they are opened.

    Raises:
        InputError: no such option, device or precision, or a file of another kind.
        EngineError: the weights are unavailable, or are not those of the model; the message names the tensors.
    """

    architecture: ClassVar[Architecture] = PUBLISHED

    def __init__(
        self,
        *,
        checkpoint: str | Path | None = None,
        device: str | Sequence[str] = "auto",
        precision: str = "auto",
        compile: bool | Literal["auto"] = "auto",  # noqa: A002
        max_batch: int = 128,
        isolate: bool = True,
        capacity: int = 16,
    ) -> None:
        size = self.architecture
        _check_options(compile, max_batch, isolate, capacity, size.slots)
        devices = pick_devices(NAME, device)
        dtypes = {pick_dtype(NAME, precision, one, bfloat16=True) for one in devices}
        if len(dtypes) > 1:
            raise InputError(f"engine {NAME!r}: {device} do not all work in bfloat16: pass precision='float32'")
        path, dtype = find_file(NAME, checkpoint), dtypes.pop()
        self.name = NAME
        self.accepts: frozenset[type[Prompt]] = frozenset({MaskPrompt, PointPrompt, BoxPrompt})
        self.hooks = SessionHooks()
        self._options = BucketOptions(size.slots, capacity, isolate, len(devices))
        max_buckets = max(1, max_batch // size.slots)
        self._models = [
            load_on_device(NAME, path, size, one, dtype, compile_stages=compile, max_buckets=max_buckets)
            for one in devices
        ]
        if self._models[0].takes_text:
            self.accepts |= {TextPrompt}

    def open(self, video: VideoInfo, snapshot: bytes | None = None) -> MultiplexSession:
        """Start a session, or continue from a snapshot.

        Raises:
            EngineError: the engine is closed, or the snapshot is not one of this engine's.
        """
        if not self._models:
            raise EngineError(f"engine {self.name!r} is closed: load it again")
        return MultiplexSession(video, self._models, self._options, snapshot, self.hooks)

    def close(self) -> None:
        """Free the weights. May be called twice."""
        self._models = []
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _check_options(compile_stages: object, max_batch: object, isolate: object, capacity: object, slots: int) -> None:
    """Refuse options before anything is loaded.

    Raises:
        InputError: an option that there is not.
    """
    if not isinstance(max_batch, int) or isinstance(max_batch, bool) or max_batch < 1:
        raise InputError(f"engine {NAME!r}: max_batch must be a whole number from 1, got {max_batch!r}")
    if not isinstance(capacity, int) or isinstance(capacity, bool) or not 1 <= capacity <= slots:
        raise InputError(f"engine {NAME!r}: capacity must be a whole number from 1 to {slots}, got {capacity!r}")
    if not isinstance(isolate, bool):
        raise InputError(f"engine {NAME!r}: isolate must be True or False, got {isolate!r}")
    if compile_stages not in (True, False, "auto"):
        raise InputError(f"engine {NAME!r}: compile must be 'auto', True or False, got {compile_stages!r}")
