"""What words name on one frame: SAM 3's detector, on the tracker's own backbone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from maskferry.data import Frame, Mask
from maskferry.engines._sam.checkpoint import pretrained
from maskferry.engines._sam.frame_encoder import Mean, normalise, resize, upload
from maskferry.engines._sam.mask_encoding import enlarge_masks
from maskferry.engines._sam.network import Network
from maskferry.errors import EngineError

__all__ = ["TextFinder", "best_first"]

log = logging.getLogger(__name__)

WORDS = 32
"""Tokens of a text, as the detector was trained."""


class TextFinder:
    """Finds what words name. The detector is loaded with the first text and shares the tracker's backbone.

    What counts as found is what ``Sam3VideoModel`` takes for a new object on a frame: a probability above
    ``new_det_thresh`` of the checkpoint's config, after non-maximum suppression at an IoU of ``det_nms_thresh``.

    Args:
        name: of the engine.
        folder: of the checkpoint.
        network: the tracker.
        mean: of the pictures it was trained on.
    """

    def __init__(self, name: str, folder: Path, network: Network, mean: Mean) -> None:
        self._name, self._folder, self._network, self._mean = name, folder, network, mean
        self._detector: Any = None
        self._tokenizer: Any = None
        self._limits = (0.7, 0.1)

    def __call__(self, frame: Frame, text: str) -> list[tuple[Mask, float]]:
        """Masks (H, W) at the size of the frame and scores, the best first."""
        if self._detector is None:
            self._load()
        network = self._network
        pixels = normalise(resize(upload(frame.image, network.device), network.image_size), self._mean, network.dtype)
        words = self._tokenizer(text, return_tensors="pt", padding="max_length", max_length=WORDS, truncation=True)
        out = self._detector(
            pixel_values=pixels,
            input_ids=words.input_ids.to(network.device),
            attention_mask=words.attention_mask.to(network.device),
        )
        scores = (out.pred_logits.float().sigmoid() * out.presence_logits.float().sigmoid())[0]
        new, overlap = self._limits
        kept = best_first(scores, out.pred_masks[0] > 0, new, overlap)
        if not kept:
            return []
        masks = enlarge_masks(out.pred_masks[0][kept][:, None], frame.image.shape[:2]).transpose(1, 2)
        found = zip(masks.cpu().numpy(), scores[kept].tolist(), strict=True)
        return [(mask, score) for mask, score in found if mask.any()]

    def _load(self) -> None:
        log.info("engine %s: loading the detector, which takes text", self._name)
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
            config = transformers.AutoConfig.from_pretrained(self._folder, local_files_only=True)
        except (OSError, ValueError, KeyError, ImportError) as err:
            raise EngineError(f"engine {self._name!r}: {self._folder} holds no tokenizer: {err}") from err
        self._limits = (float(config.new_det_thresh), float(config.det_nms_thresh))
        detector = pretrained(self._name, "Sam3Model", self._folder)
        detector.vision_encoder.backbone = self._network.model.vision_encoder.backbone  # one copy of 446 M weights
        for parameter in detector.parameters():
            parameter.data = parameter.data.to(self._network.device, self._network.dtype)
        if self._network.dtype == torch.float64:
            detector.double()
        self._detector = detector.to(self._network.device).eval().requires_grad_(requires_grad=False)


def best_first(scores: Tensor, masks: Tensor, threshold: float, overlap: float) -> list[int]:
    """Which detections are kept: the best, and then each that overlaps none kept before.

    Args:
        scores: (D,), in [0, 1].
        masks: bool (D, h, w).
        threshold: scores above it count.
        overlap: IoU from which the weaker of two is dropped.
    """
    kept: list[int] = []
    order = scores.argsort(descending=True, stable=True).tolist()
    areas = masks.flatten(1).sum(1)
    for i in order:
        if float(scores[i]) <= threshold or not int(areas[i]):
            continue
        both = (masks[i] & masks[kept]).flatten(1).sum(1)
        if not bool((both > overlap * (areas[i] + areas[kept] - both)).any()):
            kept.append(i)
    return kept
