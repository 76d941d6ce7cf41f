"""SAM 3.1 with random weights of full size, and its stages timed one by one; for `sam.py`."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from maskferry.data import Frame, MaskPrompt, VideoInfo
from maskferry.engines._sam import MultiplexEngine
from maskferry.engines._sam.multiplex.architecture import PUBLISHED, Architecture, DetectorArchitecture
from maskferry.engines._sam.multiplex.attention_kernels import AttentionKernels, kernel_times, name_of
from maskferry.engines._sam.multiplex.checkpoint import published_name
from maskferry.engines._sam.multiplex.compiling import CompiledMultiplexStages
from maskferry.engines._sam.multiplex.detector import build_detector, published_shapes
from maskferry.engines._sam.multiplex.network import MultiplexNetwork
from maskferry.engines._sam.multiplex.stage_types import FrameFeatures, MemoryBatch

TINY = Architecture(
    image_size=84,
    pretrain_size=56,
    trunk_width=32,
    trunk_depth=2,
    trunk_heads=2,
    trunk_mlp=48,
    window=4,
    global_blocks=(1,),
    hidden=64,
    attention_layers=1,
    attention_mlp=64,
    decoder_mlp=64,
    mask_channels=(16, 16, 16, 32),
    detector=DetectorArchitecture(
        vocabulary=60, text_width=32, text_depth=1, text_heads=2, text_mlp=48, layers=1, heads=2, mlp=48, queries=24
    ),
)
"""Sizes with which this script is tried out."""

RUNS, WARM_UP_RUNS = 20, 3


# --- weights ------------------------------------------------------------------------------------------------------


def random_checkpoint(folder: Path, device: str, size: Architecture | None = None, *, detector: bool = False) -> Path:
    """A file of random weights in float32, made on a device, with a detector on demand; every object is in sight."""
    with torch.device("meta"):
        network = MultiplexNetwork(size or PUBLISHED, torch.float32)
    generator = torch.Generator(device).manual_seed(1)
    shapes = {published_name(name): tuple(t.shape) for name, t in sorted(network.state_dict().items())}
    if detector:
        shapes |= published_shapes(build_detector(network.size))
    weights = {name: _random(name, shape, generator).cpu() for name, shape in shapes.items()}
    weights["tracker.model.sam_mask_decoder.pred_obj_score_head.layers.2.bias"] += 6.0
    path = folder / "sam3.1_multiplex.safetensors"
    save_file(weights, path)
    return path


def _random(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Weights with which nothing vanishes and nothing explodes."""
    noise = torch.randn(shape, generator=generator, device=generator.device)
    if "gaussian_matrix" in name:
        return noise
    if "gamma" in name or (name.endswith("weight") and len(shape) == 1):
        return 1 + 0.1 * noise
    if name.endswith("bias"):
        return 0.1 * noise
    if len(shape) >= 2 and name.endswith("weight") and "embed" not in name and "token" not in name:
        transposed = "dconv" in name or "output_upscaling" in name
        inputs = shape[0] if transposed else noise[0].numel()
        return noise * (0.7 / math.sqrt(inputs))
    return 0.5 * noise


# --- stages -------------------------------------------------------------------------------------------------------


def stage_times(
    engine: MultiplexEngine, video: VideoInfo, frames: Iterable[Frame], prompts: Sequence[MaskPrompt], *, compiled: bool
) -> dict[str, Any]:
    """Milliseconds of each stage for the largest group of buckets, once all memories are filled.

    Args:
        engine: loaded; its first device is measured.
        video: that is opened.
        frames: as many as fill all memories.
        prompts: of the first frame.
        compiled: measure compiled stages, too.
    """
    features, batch = _steady_batch(engine, video, frames, prompts)
    network = engine._models[0].network
    found: dict[str, Any] = {"buckets": len(batch.valid), "memory_frames": len(batch.keys)}
    on_cuda = network.device.type == "cuda"
    with torch.inference_mode(), engine._models[0].streams.tracking():
        if on_cuda:
            found["attention_ms"] = {
                name_of(kernel): ms if math.isfinite(ms) else None for kernel, ms in kernel_times(batch).items()
            }
        for kind in ("plain", "compiled") if compiled else ("plain",):
            compiler = CompiledMultiplexStages(network, at_once=True, backend="inductor" if on_cuda else "eager")
            kernels = AttentionKernels()
            with kernels.fastest_first(batch) if on_cuda else torch.inference_mode():
                stages = network.stages if kind == "plain" else compiler._compile_stages(features, batch)
                memories = (batch.codes, batch.pointers, batch.distances, *batch.keys, *batch.values)
                attend = _time(stages.attend_to_memory, features.top, *memories)
                conditioned = network.attend_to_memory(features.top, *memories)
                decode = _time(stages.decode_candidates, conditioned, features.fine, features.middle, batch.valid)
                candidates = network.decode_candidates(conditioned, features.fine, features.middle, batch.valid)
                seen = network.select_best(candidates)
                remember = _time(stages.encode_predicted, features.top, seen.logits, seen.presence, batch.valid)
            found[kind] = {
                "attend_to_memory_ms": attend,
                "decode_candidates_ms": decode,
                "select_best_ms": _time(network.select_best, candidates),
                "encode_predicted_ms": remember,
                "prompt_features_ms": _time(network.prompt_features, features),
            }
    return found


def _steady_batch(
    engine: MultiplexEngine, video: VideoInfo, frames: Iterable[Frame], prompts: Sequence[MaskPrompt]
) -> tuple[FrameFeatures, MemoryBatch]:
    """What goes into the network on the last of the frames."""
    seen: list[tuple[FrameFeatures, MemoryBatch]] = []
    model = engine._models[0]

    def watched(features: FrameFeatures, batch: MemoryBatch) -> Any:  # noqa: ANN401
        seen[:] = [(features, batch)]
        return model.track(features, batch)

    engine._models[0] = replace(model, track=watched)
    try:
        session = engine.open(video)
        for number, frame in enumerate(frames):
            session.step(frame, () if number else prompts)
        session.close()
    finally:
        engine._models[0] = model
    return seen[0]


def _time(function: Callable[..., object], *inputs: object) -> float:
    """The median of single runs, in milliseconds, with the device waited for."""
    times = []
    for _ in range(WARM_UP_RUNS + RUNS):
        _wait()
        start = time.perf_counter()
        function(*inputs)
        _wait()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times[WARM_UP_RUNS:])


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
