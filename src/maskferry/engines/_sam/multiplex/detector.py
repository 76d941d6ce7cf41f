"""SAM 3.1's detector: transformers' ``Sam3Model`` with the weights that stand in the published file beside the tracker.

Its own neck is in it; the trunk, which the tracker has run, is not.
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
import transformers
from torch import nn

from maskferry.engines._sam.multiplex.architecture import Architecture
from maskferry.engines._sam.multiplex.checkpoint import read_detector
from maskferry.engines._sam.multiplex.detector_names import UNUSED, published_place
from maskferry.engines._sam.multiplex.network import MultiplexNetwork
from maskferry.engines._sam.multiplex.tokenizer import find_tokenizer
from maskferry.engines._sam.text_detector import TEXT_TOKENS, Overlap
from maskferry.engines._sam.untyped import DetectorModel, Tokenizer
from maskferry.engines.base import TextThresholds

__all__ = ["FileDetector", "build_detector", "published_shapes"]

log = logging.getLogger(__name__)

THRESHOLDS = TextThresholds(min_score=0.4, min_new_score=0.65, max_iou=0.1)
"""The defaults of SAM 3.1's authors; the file has none."""


class FileDetector:
    """See `text_detector.DetectorSource`.

    Args:
        name: of the engine.
        path: of the published file.
        network: the tracker.
    """

    overlap: Overlap = "iom"

    def __init__(self, name: str, path: Path, network: MultiplexNetwork) -> None:
        self._name, self._path, self._network = name, path, network

    def thresholds(self) -> TextThresholds:
        """Those of SAM 3.1's authors."""
        return THRESHOLDS

    def load(self) -> tuple[DetectorModel, Tokenizer]:
        """The detector, in the tracker's precision and on its device, and the tokenizer.

        Raises:
            EngineError: the file does not hold the whole detector, or there is no tokenizer.
        """
        network = self._network
        tokenizer = find_tokenizer(self._name, self._path, network.size.detector.vocabulary)
        log.info("engine %s: loading the detector, which takes text", self._name)
        detector = build_detector(network.size)
        tensors = read_detector(self._name, self._path, published_shapes(detector), UNUSED)
        weights = {
            name: published_place(name).read(tensors).to(network.device, network.dtype, copy=True)
            for name in detector.state_dict()
        }
        detector.load_state_dict(weights, assign=True)
        numbers = torch.arange(TEXT_TOKENS, device=network.device)
        detector.text_encoder.text_model.embeddings.position_ids = numbers[None]  # no weight, and not in the file
        return detector.eval().requires_grad_(requires_grad=False), tokenizer


def build_detector(size: Architecture) -> DetectorModel:
    """``Sam3Model`` without weights, and without what words do not need: trunk, geometry encoder, CLIP's projection.

    Args:
        size: of the network.
    """
    own = size.detector
    layers = {
        "hidden_size": size.hidden,
        "num_layers": own.layers,
        "num_attention_heads": own.heads,
        "intermediate_size": own.mlp,
    }
    trunk = {"model_type": "sam3_vit_model", "hidden_size": size.trunk_width, "num_hidden_layers": 0}
    text = {
        "model_type": "clip_text_model",
        "vocab_size": own.vocabulary,
        "hidden_size": own.text_width,
        "intermediate_size": own.text_mlp,
        "num_hidden_layers": own.text_depth,
        "num_attention_heads": own.text_heads,
        "max_position_embeddings": TEXT_TOKENS,
        "hidden_act": "gelu",
        "bos_token_id": own.vocabulary - 2,
        "eos_token_id": own.vocabulary - 1,
    }
    config = transformers.Sam3Config(
        vision_config={"fpn_hidden_size": size.hidden, "scale_factors": [4.0, 2.0, 1.0], "backbone_config": trunk},
        text_config=text,
        geometry_encoder_config=layers | {"num_layers": 0},
        detr_encoder_config=layers,
        detr_decoder_config=layers | {"num_queries": own.queries},
        mask_decoder_config={"hidden_size": size.hidden, "num_attention_heads": own.heads},
    )
    with torch.device("meta"):
        detector: DetectorModel = transformers.Sam3Model(config)
    detector.vision_encoder.backbone = nn.Identity()
    detector.geometry_encoder = nn.Identity()
    detector.text_encoder.text_projection = nn.Identity()
    return detector.requires_grad_(requires_grad=False)


def published_shapes(detector: DetectorModel) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors that the file is to hold of a detector, by their published names."""
    places = {name: published_place(name) for name in detector.state_dict()}
    return {place.name: place.shape(tuple(detector.state_dict()[name].shape)) for name, place in places.items()}
