"""The memory network: what the masks that are remembered say about a new picture; how it is run.

Its weights lie beside this module; ``training/`` makes them. The pictures it sees come from a `Lens`: sides are
multiples of 16 pixels, its cells. Masks go in at a quarter of the picture's size, logits come out at half of it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Image
from maskferry.engines._flow.grid import Box, FloatArray
from maskferry.errors import EngineError, MissingExtraError

__all__ = ["Answer", "Features", "Half", "Memory", "Network", "join"]

WEIGHTS = Path(__file__).with_name("weights")

KEY, VALUE = 64, 128
"""Channels of keys and values."""

MASK = 16
"""The first channels of a value: which of its cell's 4x4 quarter cells are object, from -1 to 1."""

Half = NDArray[np.float16]


class Features(NamedTuple):
    """Of a picture of h x w pixels, float32 (1, channels, h / stride, w / stride)."""

    stride2: FloatArray
    stride4: FloatArray
    stride8: FloatArray
    stride16: FloatArray
    key: FloatArray

    def part(self, box: Box) -> Features:
        """The same in some cells of the picture, x1, y1, x2, y2; views, not copies."""
        x1, y1, x2, y2 = box
        return Features(
            *(values[:, :, n * y1 : n * y2, n * x1 : n * x2] for values, n in zip(self, (8, 4, 2, 1, 1), strict=True))
        )


class Memory(NamedTuple):
    """Some cells of frames and what was object there.

    Attributes:
        keys: float16 (KEY, n).
        values: float16 (VALUE, n).
    """

    keys: Half
    values: Half

    @property
    def covered(self) -> FloatArray:
        """The share of each cell that was object, float32 (n,) in [0, 1]."""
        return np.asarray(self.values[:MASK].mean(axis=0, dtype=np.float32) / 2 + 0.5, dtype=np.float32)


class Answer(NamedTuple):
    """What the network sees of an object.

    Attributes:
        logits: float32 (h/2, w/2), positive is object.
        quality: the IoU that it expects of them, 0 to 1.
    """

    logits: FloatArray
    quality: float


def join(memories: list[Memory]) -> Memory:
    """Several as one; of none of them nothing."""
    if not memories:
        return Memory(np.zeros((KEY, 0), np.float16), np.zeros((VALUE, 0), np.float16))
    return Memory(np.concatenate([m.keys for m in memories], 1), np.concatenate([m.values for m in memories], 1))


class _Graph:
    """One of the graphs, loaded."""

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime  # takes a while to load
        except ImportError as err:
            package = f"the memory network of the engine 'flow' needs onnxruntime, which cannot be imported ({err})"
            raise MissingExtraError(
                f"{package}: pip install onnxruntime, or leave the network out: preset='fast'"
            ) from err
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = 1, 1
        options.log_severity_level = 3
        options.enable_mem_pattern = False  # sizes change from call to call
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def __call__(self, feed: Mapping[str, NDArray[Any]]) -> list[FloatArray]:
        """All outputs; where onnxruntime fails, by whichever of its errors, an `EngineError`."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in feed.items()}
        try:
            outputs: list[FloatArray] = self._session.run(None, contiguous)
        except Exception as err:
            raise EngineError(f"the memory network failed: {err}") from err
        return outputs


class Network:
    """The three graphs of the network, run by onnxruntime on the thread that calls; several may call at once.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        EngineError: on a call, onnxruntime failed.
    """

    def __init__(self) -> None:
        self._encoder, self._memoriser, self._decoder = _graphs()

    def encode(self, picture: Image) -> Features:
        """RGB uint8 (h, w, 3), sides multiples of 16."""
        return Features(*self._encoder({"picture": picture}))

    def remember(self, features: Features, mask: FloatArray) -> Memory:
        """A picture with a mask, float32 (h/4, w/4) in [0, 1]."""
        feed = {"stride4": features.stride4, "stride16": features.stride16, "mask": mask[None, None]}
        (value,) = self._memoriser(feed)
        keys, values = (part.reshape(part.shape[1], -1).astype(np.float16) for part in (features.key, value))
        return Memory(keys, values)

    def answer(
        self,
        features: Features,
        given: Memory,
        kept: Memory,
        last: Memory,
        moved_xy: tuple[FloatArray, FloatArray],
        carried: FloatArray,
    ) -> Answer:
        """Where the object is.

        Args:
            features: of this frame.
            given: the frames on which the object was given; not empty.
            kept: other frames.
            last: the last frame; not empty.
            moved_xy: places of this frame's cells and of the last one's, float32 (2, n) in cells.
            carried: where the object was on the last frame, float32 (h/4, w/4) in [0, 1].
        """
        feed: dict[str, Any] = features._asdict()
        for name, memory in (("given", given), ("kept", kept), ("last", last)):
            feed[f"{name}_keys"] = memory.keys[None].astype(np.float32)
            feed[f"{name}_values"] = memory.values[None].astype(np.float32)
        feed["places"], feed["last_places"] = (places[None] for places in moved_xy)
        feed["carried"] = carried[None, None]
        logits, quality = self._decoder(feed)
        return Answer(logits, float(quality))


_loading = threading.Lock()


def _graphs() -> tuple[_Graph, ...]:
    with _loading:
        return _load()


@lru_cache(maxsize=1)
def _load() -> tuple[_Graph, ...]:
    """Encoder, memoriser and decoder, loaded once a process: sessions of a video add no weights."""
    return tuple(_Graph(WEIGHTS / f"{name}.onnx") for name in ("encoder", "memoriser", "decoder"))
