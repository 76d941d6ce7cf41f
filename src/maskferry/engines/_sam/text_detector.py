"""What a text names on one frame: SAM 3's detector, on the tracker's own backbone."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
import transformers
from torch import Tensor

from maskferry.data import Frame, Mask
from maskferry.engines._sam.checkpoint import load_pretrained
from maskferry.engines._sam.mask_encoding import logits_to_masks
from maskferry.engines._sam.network import Network
from maskferry.engines._sam.preprocessing import MeanStd, normalise, resize, upload
from maskferry.engines._sam.untyped import DetectorModel, Tokenizer
from maskferry.errors import EngineError

__all__ = ["ScoredMask", "TextDetector", "non_maximum_suppression"]

log = logging.getLogger(__name__)

ScoredMask = tuple[Mask, float]
"""A mask, bool (H, W) at the size of the frame, and its score in [0, 1]."""

TEXT_TOKENS = 32
"""Tokens of a text, as the detector was trained."""


class TextDetector:
    """Detects what a text names. The detector is loaded with the first text and shares the tracker's backbone.

    A detection counts if ``Sam3VideoModel`` would take it for a new object on a frame: its probability is above
    ``new_det_thresh`` of the checkpoint's config, after non-maximum suppression at an IoU of ``det_nms_thresh``.

    Args:
        name: of the engine.
        folder: of the checkpoint.
        network: the tracker.
        mean_std: of the pictures it was trained on.
    """

    def __init__(self, name: str, folder: Path, network: Network, mean_std: MeanStd) -> None:
        self._name, self._folder, self._network, self._mean_std = name, folder, network, mean_std
        self._detector: DetectorModel = None
        self._tokenizer: Tokenizer = None
        self._min_score, self._max_iou = 0.7, 0.1

    def detect(self, frame: Frame, text: str) -> list[ScoredMask]:
        """Masks and scores of what a text names on a frame, the best first.

        Raises:
            EngineError: the checkpoint holds no detector or no tokenizer.
        """
        if self._detector is None:
            self._load()
        network = self._network
        small = resize(upload(frame.image, network.device), network.image_size)
        words = self._tokenizer(
            text, return_tensors="pt", padding="max_length", max_length=TEXT_TOKENS, truncation=True
        )
        out = self._detector(
            pixel_values=normalise(small, self._mean_std, network.dtype),
            input_ids=words.input_ids.to(network.device),
            attention_mask=words.attention_mask.to(network.device),
        )
        scores = (out.pred_logits.float().sigmoid() * out.presence_logits.float().sigmoid())[0]
        kept = non_maximum_suppression(scores, out.pred_masks[0] > 0, self._min_score, self._max_iou)
        if not kept:
            return []
        masks = logits_to_masks(out.pred_masks[0][kept][:, None], frame.image.shape[:2]).transpose(1, 2)
        scored = zip(masks.cpu().numpy(), scores[kept].tolist(), strict=True)
        return [(mask, score) for mask, score in scored if mask.any()]

    def _load(self) -> None:
        log.info("engine %s: loading the detector, which takes text", self._name)
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
            config = transformers.AutoConfig.from_pretrained(self._folder, local_files_only=True)
        except (OSError, ValueError, KeyError, ImportError) as err:
            raise EngineError(f"engine {self._name!r}: {self._folder} holds no tokenizer: {err}") from err
        self._min_score, self._max_iou = float(config.new_det_thresh), float(config.det_nms_thresh)
        detector = load_pretrained(self._name, "Sam3Model", self._folder)
        detector.vision_encoder.backbone = self._network.model.vision_encoder.backbone  # one copy of 446 M weights
        for parameter in detector.parameters():
            parameter.data = parameter.data.to(self._network.device, self._network.dtype)
        if self._network.dtype == torch.float64:
            detector.double()
        self._detector = detector.to(self._network.device).eval().requires_grad_(requires_grad=False)


def non_maximum_suppression(scores: Tensor, masks: Tensor, min_score: float, max_iou: float) -> list[int]:
    """Which detections are kept: the best, and then each that overlaps none kept before.

    Args:
        scores: (D,), in [0, 1].
        masks: bool (D, h, w).
        min_score: scores above it count.
        max_iou: above it, the weaker of two is dropped.

    Returns:
        Indices, the best first; detections without a pixel are left out.
    """
    kept: list[int] = []
    order = scores.argsort(descending=True, stable=True).tolist()
    areas = masks.flatten(1).sum(1)
    for i in order:
        if float(scores[i]) <= min_score or not int(areas[i]):
            continue
        both = (masks[i] & masks[kept]).flatten(1).sum(1)
        if not bool((both > max_iou * (areas[i] + areas[kept] - both)).any()):
            kept.append(i)
    return kept
