"""Run an engine on the clip, and say what came out."""

from __future__ import annotations

import logging
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from maskferry.data import Frame, FrameInfo, FrameMasks, Mask, MaskPrompt, State, VideoInfo
from maskferry.engine_check._clip import FRAMES, SIZE_HW, frame
from maskferry.engines.base import Engine
from maskferry.engines.registry import known_engines, load_engine
from maskferry.run._look_ahead import looking_ahead

__all__ = ["EngineCheck", "Pass", "check_engine"]

ROUNDS_COMPILED = 3
"""Compiled stages take the place of others once all memories are filled: the clip is played there and back so often."""

LIBRARIES = ("maskferry", "torch", "transformers", "numpy", "opencv-python-headless", "onnxruntime")

Clip = list[tuple[Frame, dict[int, Mask]]]


@dataclass(frozen=True, slots=True)
class Pass:
    """What one run over the clip gave.

    Attributes:
        compiled: stages were to be compiled.
        frames: how many were tracked.
        first_ms: the frame on which the masks were given, in milliseconds.
        ms: median of the last half of the frames, in milliseconds a frame.
        iou: mean of all objects and frames after the first, 0 to 1.
        iou_by_object: likewise, by object id.
        fidelity: of the given masks, by object id; empty where the engine tells none.
    """

    compiled: bool
    frames: int
    first_ms: float
    ms: float
    iou: float
    iou_by_object: dict[int, float]
    fidelity: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "compiled": self.compiled,
            "frames": self.frames,
            "first_ms": round(self.first_ms, 1),
            "ms": round(self.ms, 1),
            "iou": round(self.iou, 4),
            "iou_by_object": {str(i): round(v, 4) for i, v in self.iou_by_object.items()},
            "fidelity": {str(i): round(v, 4) for i, v in self.fidelity.items()},
        }


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """What an engine did with a clip whose masks are known.

    Attributes:
        engine: its name.
        machine: system, processor and, where torch finds one, the GPU.
        versions: of the libraries that are installed, by name.
        load_seconds: until the engine was ready.
        gpu_peak_mb: the most memory that torch has had on the GPU, in MiB; None without one.
        passes: one as the engine is, and one with compiled stages where it has them and there is a GPU.
        said: what the engine told the log, such as what was compiled.
    """

    engine: str
    machine: str
    versions: dict[str, str]
    load_seconds: float
    gpu_peak_mb: int | None
    passes: tuple[Pass, ...]
    said: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "engine": self.engine,
            "machine": self.machine,
            "versions": self.versions,
            "load_seconds": round(self.load_seconds, 1),
            "gpu_peak_mb": self.gpu_peak_mb,
            "passes": [one.to_dict() for one in self.passes],
            "said": list(self.said),
        }

    def to_text(self) -> str:
        """A block of text to paste into an issue."""
        memory = "" if self.gpu_peak_mb is None else f", peak of GPU memory {self.gpu_peak_mb} MiB"
        lines = [
            f"engine {self.engine}, loaded in {self.load_seconds:.1f} s{memory}",
            f"on {self.machine}",
            ", ".join(f"{name} {number}" for name, number in self.versions.items()),
        ]
        for one in self.passes:
            lines.append(
                f"{'compiled' if one.compiled else 'plain'}: {one.frames} frames, first {one.first_ms:.0f} ms, "
                f"then {one.ms:.1f} ms a frame"
            )
            lines.append(f"  IoU {one.iou:.3f} ({_by_object(one.iou_by_object)})")
            lines.append(f"  fidelity {_by_object(one.fidelity) or 'not told by this engine'}")
        return "\n".join([*lines, *(f"log: {line}" for line in self.said)])


def check_engine(name: str, compiled: bool | None = None, **options: Any) -> EngineCheck:  # noqa: ANN401
    """Track a clip of 20 frames whose masks are known: three things of 640x360, one of which passes behind a post.

    Args:
        name: of `maskferry.engines.known_engines`.
        compiled: whether to run once more with compiled stages, for engines that have them; by default where torch
            finds a CUDA GPU. Compiling takes a minute or more.
        options: for the engine, such as ``device`` and ``checkpoint``.

    Raises:
        UnknownEngineError: no engine of this name.
        MissingExtraError: its dependencies are not installed.
        EngineError: its weights are unavailable, or it failed.
        InputError: it has no such option.
    """
    spec = known_engines().get(name)
    has_stages = spec is not None and "compile" in spec.takes
    clip = [
        (Frame(FrameInfo(i, i / 25, str(i)), image), masks)
        for i, (image, masks) in enumerate(map(frame, range(FRAMES)))
    ]
    passes = []
    with _listening() as said:
        started = time.perf_counter()
        with closing(load_engine(name, **options, **({"compile": False} if has_stages else {}))) as engine:
            load_seconds = time.perf_counter() - started
            passes.append(_run(engine, clip, compiled=False))
        if has_stages and (_gpu() is not None if compiled is None else compiled):
            with closing(load_engine(name, **options, compile=True)) as engine:
                passes.append(_run(engine, _there_and_back(clip), compiled=True))
    return EngineCheck(name, _machine(), _versions(), load_seconds, _gpu_peak_mb(), tuple(passes), tuple(said))


def _run(engine: Engine, clip: Clip, *, compiled: bool) -> Pass:
    height, width = SIZE_HW
    session = engine.open(VideoInfo(width, height, frame_count=len(clip)))
    prompts = [MaskPrompt(0, i, mask) for i, mask in clip[0][1].items()]
    found: list[FrameMasks] = []
    times = [time.perf_counter()]
    try:
        for shown in looking_ahead(session, (shown for shown, _ in clip)):
            found.append(session.step(shown, prompts if shown.index == 0 else ()))
            times.append(time.perf_counter())
    finally:
        session.close()
    spent = np.diff(times) * 1000
    ious = {
        i: float(
            np.mean([_iou(masks.mask(i), truth[i]) for masks, (_, truth) in zip(found[1:], clip[1:], strict=True)])
        )
        for i in clip[0][1]
    }
    fidelity = {
        row.object_id: row.fidelity for row in found[0] if row.fidelity is not None and row.state is State.GIVEN
    }
    return Pass(
        compiled,
        len(clip),
        float(spent[0]),
        statistics.median(spent[len(spent) // 2 :].tolist()),
        statistics.mean(ious.values()),
        ious,
        fidelity,
    )


def _there_and_back(clip: Clip) -> Clip:
    around = [*clip, *clip[-2:0:-1]] * ROUNDS_COMPILED
    return [
        (Frame(FrameInfo(i, i / 25, str(i)), shown.image), masks) for i, (shown, masks) in enumerate([*around, clip[0]])
    ]


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Messages that engines log meanwhile, each once."""
    said: dict[str, None] = {}

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said[record.getMessage()] = None

    logger, handler = logging.getLogger("maskferry.engines"), Listener(logging.INFO)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(min(logging.INFO, logger.getEffectiveLevel()))
    lines: list[str] = []
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        lines.extend(said)


def _iou(a: Mask, b: Mask) -> float:
    either = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / either if either else 1.0


def _by_object(values: dict[int, float]) -> str:
    return ", ".join(f"object {i}: {value:.3f}" for i, value in values.items())


def _machine() -> str:
    gpu = _gpu()
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}" + (f", {gpu}" if gpu else "")


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _gpu() -> str | None:
    """The first CUDA GPU's name, where an engine has loaded torch."""
    torch: Any = sys.modules.get("torch")
    return str(torch.cuda.get_device_name()) if torch is not None and torch.cuda.is_available() else None


def _gpu_peak_mb() -> int | None:
    torch: Any = sys.modules.get("torch")
    return None if _gpu() is None else round(torch.cuda.max_memory_allocated() / 2**20)
