"""A tiny SAM 3.1 with random weights under the published names, as `checkpoint=` takes it."""

from __future__ import annotations

import copy
import functools
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

import sam_models
from maskferry.engines._sam.multiplex import MultiplexEngine
from maskferry.engines._sam.multiplex.architecture import Architecture, DetectorArchitecture
from maskferry.engines._sam.multiplex.checkpoint import published_name
from maskferry.engines._sam.multiplex.detector_names import published_place
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
    detector=DetectorArchitecture(
        vocabulary=60, text_width=32, text_depth=2, text_heads=2, text_mlp=48, layers=2, heads=2, mlp=48, queries=6
    ),
)


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


@functools.cache
def detector() -> Any:
    """The whole detector as transformers makes it: with a trunk, which is not TINY's, and a neck of four levels."""
    own = TINY.detector
    layers = {"hidden_size": TINY.hidden, "num_layers": own.layers, "num_attention_heads": own.heads}
    layers |= {"intermediate_size": own.mlp}
    trunk = {"model_type": "sam3_vit_model", "hidden_size": TINY.trunk_width, "num_hidden_layers": 1}
    trunk |= {"num_attention_heads": 2, "intermediate_size": 8, "global_attn_indexes": [0]}
    text = {"model_type": "clip_text_model", "vocab_size": own.vocabulary, "hidden_size": own.text_width}
    text |= {"num_hidden_layers": own.text_depth, "num_attention_heads": own.text_heads, "hidden_act": "gelu"}
    text |= {"intermediate_size": own.text_mlp, "max_position_embeddings": 32, "projection_dim": 16}
    text |= {"bos_token_id": 58, "eos_token_id": 59}
    config = transformers.Sam3Config(
        vision_config={"fpn_hidden_size": TINY.hidden, "backbone_config": trunk},
        text_config=text,
        geometry_encoder_config=layers,
        detr_encoder_config=layers,
        detr_decoder_config=layers | {"num_queries": own.queries},
        mask_decoder_config={"hidden_size": TINY.hidden, "num_attention_heads": own.heads},
    )
    model = transformers.Sam3Model(config).eval()
    sam_models.randomise(model)
    return model


def vision_output(levels: Any, positions: Any) -> Any:
    """A neck's levels as `detector` takes them."""
    cls = importlib.import_module("transformers.models.sam3.modeling_sam3").Sam3VisionEncoderOutput
    return cls(fpn_hidden_states=levels, fpn_position_encoding=positions)


@functools.cache
def detector_weights() -> dict[str, torch.Tensor]:
    """What the published file holds of `detector`: three levels of the neck, and what words do not need."""
    without = ("vision_encoder.backbone.", "vision_encoder.neck.fpn_layers.3.", "geometry_encoder.")
    thirds: dict[str, list[torch.Tensor]] = {}
    for name, tensor in detector().state_dict().items():  # queries come before keys, keys before values
        if not name.startswith((*without, "text_encoder.text_projection")):
            place = published_place(name)
            thirds.setdefault(place.name, [torch.empty(0)] * (1 if place.third is None else 3))
            thirds[place.name][place.third or 0] = tensor
    unused = {
        "detector.backbone.language_backbone.encoder.text_projection": torch.ones(32, 16),
        "detector.geometry_encoder.points_direct_project.weight": torch.ones(TINY.hidden, 2),
    }
    return {name: torch.cat(parts) for name, parts in thirds.items()} | unused


def published(tensors: dict[str, torch.Tensor], *, older: bool = False) -> dict[str, Any]:
    """All that a published file holds: the detector and tables too; with ``older``, by the names of before."""
    everything: dict[str, Any] = tensors | detector_weights()
    everything["detector.backbone.vision_backbone.trunk.blocks.0.attn.freqs_cis"] = torch.ones(4, dtype=torch.complex64)
    if older:
        renamed = {"detector.": "sam3_model.", "tracker.": "sam2_predictor."}
        for now, before in renamed.items():
            everything = {
                before + name.removeprefix(now) if name.startswith(now) else name: t for name, t in everything.items()
            }
    return everything


def save(path: Path, tensors: dict[str, torch.Tensor] | None = None) -> Path:
    """Write a checkpoint, ``.pt`` or ``.safetensors``, and a tokenizer beside it."""
    return write(path, published(weights() if tensors is None else tensors))


def write(path: Path, everything: dict[str, Any]) -> Path:
    """Write these tensors, and a tokenizer of letters beside them."""
    sam_models.write_tokenizer(path.parent)
    if path.suffix == ".pt":
        torch.save(everything, path)
    else:
        save_file({name: t for name, t in everything.items() if not t.is_complex()}, path)
    return path


def twin(engine: Any) -> Any:
    """The same engine, to be closed without closing the other."""
    return copy.copy(engine)
