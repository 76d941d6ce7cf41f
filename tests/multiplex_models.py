"""A tiny SAM 3.1 with random weights under the published names, as `checkpoint=` takes it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from maskferry.engines._sam.multiplex import MultiplexEngine
from maskferry.engines._sam.multiplex.architecture import Architecture
from maskferry.engines._sam.multiplex.checkpoint import published_name
from maskferry.engines._sam.multiplex.network import MultiplexNetwork

torch.set_num_threads(1)  # threads that wait for each other cost more than such small products

TINY = Architecture(
    image_size=84,
    pretrain_size=56,
    trunk_width=32,
    trunk_depth=3,
    trunk_heads=2,
    trunk_mlp=48,
    window=4,
    global_blocks=(2,),
    hidden=64,
    attention_layers=2,
    attention_mlp=96,
    decoder_mlp=96,
    quality_hidden=64,
    mask_channels=(16, 32, 32, 64),
)
DETECTORS = {
    "detector.backbone.vision_backbone.convs.0.conv_1x1.weight": (4, 4, 1, 1),
    "detector.backbone.language_backbone.encoder.token_embedding.weight": (5, 4),
    "detector.transformer.decoder.query_embed.weight": (6, 4),
}
"""Some of what the published file holds besides."""


class TinyEngine(MultiplexEngine):
    """The engine with a tiny network."""

    architecture = TINY


def weights(seed: int = 0, in_sight: float = 3.0) -> dict[str, torch.Tensor]:
    """Weights with which objects, frames and masks differ; ``in_sight`` is added to the logits of presence."""
    with torch.device("meta"):
        network = MultiplexNetwork(TINY, torch.float32)
    shapes = {published_name(name): tuple(t.shape) for name, t in network.state_dict().items()}
    random = np.random.RandomState(seed)
    made = {name: _weight(name, shape, random) for name, shape in sorted(shapes.items())}
    decoder = "tracker.model.sam_mask_decoder."
    for i in range(TINY.candidates):
        made[f"{decoder}output_hypernetworks_mlps.{i}.layers.2.weight"] *= 6
    made[decoder + "pred_obj_score_head.layers.2.bias"] += in_sight
    return {name: torch.from_numpy(value.astype(np.float32)) for name, value in made.items()}


def _weight(name: str, shape: tuple[int, ...], random: Any) -> Any:
    noise = random.standard_normal(shape)
    if "gaussian_matrix" in name:
        return noise
    if "gamma" in name or (name.endswith("weight") and len(shape) == 1):
        return 1 + 0.1 * noise
    if name.endswith("bias"):
        return 0.1 * noise
    if len(shape) >= 2 and "weight" in name and "embed" not in name and "token" not in name:
        transposed = "dconv" in name or "output_upscaling" in name
        return 0.7 * noise / np.sqrt(shape[0] if transposed else np.prod(shape[1:]))
    return 0.5 * noise


def published(tensors: dict[str, torch.Tensor], *, older: bool = False) -> dict[str, Any]:
    """All that a published file holds: the detector and tables too; with ``older``, by the names of before."""
    everything: dict[str, Any] = dict(tensors)
    everything |= {name: torch.ones(shape) for name, shape in DETECTORS.items()}
    everything["detector.backbone.vision_backbone.trunk.blocks.0.attn.freqs_cis"] = torch.ones(4, dtype=torch.complex64)
    if older:
        renamed = {"detector.": "sam3_model.", "tracker.": "sam2_predictor."}
        for now, before in renamed.items():
            everything = {
                before + name.removeprefix(now) if name.startswith(now) else name: t for name, t in everything.items()
            }
    return everything


def save(path: Path, tensors: dict[str, torch.Tensor] | None = None) -> Path:
    """Write a checkpoint, ``.pt`` or ``.safetensors``."""
    everything = published(weights() if tensors is None else tensors)
    if path.suffix == ".pt":
        torch.save(everything, path)
    else:
        save_file({name: t for name, t in everything.items() if not t.is_complex()}, path)
    return path


def twin(engine: Any) -> Any:
    """The same engine, to be closed without closing the other."""
    return copy.copy(engine)
