"""Loading SAM 3.1 onto a device: network, compiled stages, streams and detector."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from maskferry.engines._sam.checkpoint import CENTRED
from maskferry.engines._sam.loaded_model import digest_of
from maskferry.engines._sam.multiplex.architecture import Architecture
from maskferry.engines._sam.multiplex.attention_kernels import AttentionKernels
from maskferry.engines._sam.multiplex.checkpoint import Checkpoint, published_name, read_checkpoint
from maskferry.engines._sam.multiplex.compiling import CompiledMultiplexStages
from maskferry.engines._sam.multiplex.detector import FileDetector
from maskferry.engines._sam.multiplex.loaded_model import LoadedMultiplex, Track
from maskferry.engines._sam.multiplex.network import MultiplexNetwork
from maskferry.engines._sam.multiplex.stage_types import FrameFeatures, MemoryBatch, Predictions
from maskferry.engines._sam.streams import Streams
from maskferry.engines._sam.text_detector import TextDetector
from maskferry.errors import EngineError

__all__ = ["load_network", "load_on_device"]

log = logging.getLogger(__name__)

ACCURATE_PARTS = (
    "interactive_sam_prompt_encoder.",
    "interactive_mask_downsample.",
    "image_pe_layer.",
    "obj_ptr_tpos_proj.",
    "iou_prediction_head.",
    "pred_obj_score_head.",
)
"""Parts that stay in float32 when the rest is in half precision: places, times, which mask is best, who is in sight."""


def load_on_device(
    engine: str,
    path: Path,
    size: Architecture,
    device: torch.device,
    dtype: torch.dtype,
    *,
    compile_stages: bool | Literal["auto"],
    max_buckets: int,
) -> LoadedMultiplex:
    """Load the model onto one device.

    Args:
        engine: its name.
        path: of the file of weights.
        size: of the network.
        device: where it runs.
        dtype: of its features.
        compile_stages: as `MultiplexEngine` takes ``compile``.
        max_buckets: at a time.

    Raises:
        EngineError: the file does not fit, or the device has too little memory.
        InputError: a file of another kind.
    """
    on_cuda = device.type == "cuda"
    network, checkpoint = load_network(engine, path, size, device, dtype)
    stages: CompiledMultiplexStages | MultiplexNetwork = network
    if compile_stages is True or (compile_stages == "auto" and on_cuda):
        stages = CompiledMultiplexStages(network, at_once=compile_stages is True)
    weights = digest_of((network.maskmem_tpos_enc, network.output_valid_embed, network.no_obj_ptr_linear.weight))
    return LoadedMultiplex(
        name=engine,
        network=network,
        encode=stages.encode,
        track=_with_fastest_attention(stages.track) if on_cuda else stages.track,
        mean_std=CENTRED,
        streams=Streams(device),
        max_buckets=max_buckets,
        detector=TextDetector(FileDetector(engine, path, network)) if checkpoint.holds_detector else None,
        identity={"engine": engine, "weights": weights, "precision": str(dtype)},
    )


def _with_fastest_attention(track: Track) -> Track:
    """The same function, run with the fastest attention kernel."""
    kernels = AttentionKernels()

    def run(features: FrameFeatures, batch: MemoryBatch) -> tuple[Predictions, tuple[Tensor, Tensor, Tensor]]:
        with kernels.fastest_first(batch):
            return track(features, batch)

    return run


def load_network(
    engine: str, path: Path, size: Architecture, device: torch.device, dtype: torch.dtype
) -> tuple[MultiplexNetwork, Checkpoint]:
    """The network with the weights of a file, on a device, and the file.

    Args:
        engine: its name, for messages.
        path: of the file.
        size: of the network.
        device: where it runs.
        dtype: of its features.

    Raises:
        EngineError: the file does not fit, or the device has too little memory.
        InputError: a file of another kind.
    """
    with torch.device("meta"):
        network = MultiplexNetwork(size, dtype)
    checkpoint = read_checkpoint(engine, path, network)
    log.info("engine %s: %s, %s, %s", engine, path, device, dtype)
    try:
        weights = {
            name: checkpoint.tensors[published_name(name)].to(device, _dtype_of(name, network), copy=True)
            for name in network.state_dict()
        }
        network.load_state_dict(weights, assign=True)
        network.eval().requires_grad_(requires_grad=False)
        with torch.inference_mode():
            network.prepare()
    except RuntimeError as err:
        raise EngineError(f"engine {engine!r}: the model cannot be moved to {device}: {err}") from err
    return network, checkpoint


def _dtype_of(name: str, network: MultiplexNetwork) -> torch.dtype:
    return network.accurate_dtype if any(part in name for part in ACCURATE_PARTS) else network.dtype
