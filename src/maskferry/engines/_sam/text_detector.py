"""What words name on a frame: SAM 3's detector, on the output of the tracker's own backbone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

from maskferry.engines._sam.checkpoint import load_pretrained
from maskferry.engines._sam.hooks import SessionHooks
from maskferry.engines._sam.mask_encoding import logits_to_masks
from maskferry.engines._sam.network import Network
from maskferry.engines._sam.stage_types import Features
from maskferry.engines._sam.untyped import DetectorModel, Tokenizer
from maskferry.engines.base import ScoredMask, TextThresholds
from maskferry.errors import EngineError

__all__ = ["TextDetector", "non_maximum_suppression"]

log = logging.getLogger(__name__)

TEXT_TOKENS = 32
"""Tokens of a text, as the detector was trained."""

PHRASES_AT_ONCE = 8
"""So many phrases go through the detector together."""


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A phrase as the detector takes it: (1, 32, C), and (1, 32) of 0 and 1."""

    embedding: Tensor
    attention_mask: Tensor


class TextDetector:
    """Detects what words name. The detector is loaded with the first words and shares the tracker's backbone.

    What counts as a detection is as in ``Sam3VideoModel`` of transformers: its probability is above a least score,
    after non-maximum suppression of what one phrase names.

    Args:
        name: of the engine.
        folder: of the checkpoint.
        network: the tracker.
    """

    def __init__(self, name: str, folder: Path, network: Network) -> None:
        self._name, self._folder, self._network = name, folder, network
        self._detector: DetectorModel = None
        self._tokenizer: Tokenizer = None
        self._thresholds: TextThresholds | None = None
        self._phrases: dict[str, _Phrase] = {}

    def thresholds(self) -> TextThresholds:
        """The checkpoint's own.

        Raises:
            EngineError: the checkpoint cannot be read.
        """
        if self._thresholds is None:
            config = self._read("config", transformers.AutoConfig)
            self._thresholds = TextThresholds(
                float(config.score_threshold_detection), float(config.new_det_thresh), float(config.det_nms_thresh)
            )
        return self._thresholds

    def detect(
        self,
        features: Features,
        size_hw: tuple[int, int],
        phrases: Sequence[str],
        *,
        min_score: float,
        max_iou: float,
        hooks: SessionHooks | None = None,
    ) -> list[list[ScoredMask]]:
        """Masks and scores of what each phrase names on a frame, the best first.

        Args:
            features: of the frame, with its trunk.
            size_hw: of the video.
            phrases: short noun phrases.
            min_score: scores above it count.
            max_iou: of two detections of one phrase with a higher IoU, the weaker is left out.
            hooks: of the session.

        Raises:
            EngineError: the checkpoint holds no detector or no tokenizer.
        """
        if self._detector is None:
            self._load()
        found: list[list[ScoredMask]] = []
        levels, positions = self._detector.vision_encoder.neck(self._as_picture(features))
        for start in range(0, len(phrases), PHRASES_AT_ONCE):
            known = [self._phrase(text) for text in phrases[start : start + PHRASES_AT_ONCE]]
            for scores, logits in self._run(levels, positions, known):
                kept = non_maximum_suppression(scores, logits > 0, min_score, max_iou)
                changed = (hooks or SessionHooks()).changed(logits[kept][:, None])
                found.append(_scored_masks(changed, scores[kept].tolist(), size_hw) if kept else [])
        return found

    def _as_picture(self, features: Features) -> Tensor:
        """The backbone's output, (1, D, h, w)."""
        if features.trunk is None:
            raise EngineError(f"engine {self._name!r}: its encoder keeps no output of the backbone to detect on")
        picture: Tensor = features.trunk.transpose(1, 2).unflatten(2, self._network.grid_hw)
        return picture

    def _run(
        self, levels: Sequence[Tensor], positions: Sequence[Tensor], phrases: Sequence[_Phrase]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """For each phrase, the scores (D,) and the logits (D, h, w) of all that the detector looked for."""
        count = len(phrases)
        out = self._detector(
            vision_embeds=Sam3VisionEncoderOutput(
                fpn_hidden_states=tuple(level.expand(count, -1, -1, -1) for level in levels),
                fpn_position_encoding=tuple(position.expand(count, -1, -1, -1) for position in positions),
            ),
            text_embeds=BaseModelOutputWithPooling(pooler_output=torch.cat([one.embedding for one in phrases])),
            attention_mask=torch.cat([one.attention_mask for one in phrases]),
        )
        scores = out.pred_logits.float().sigmoid() * out.presence_logits.float().sigmoid()
        return zip(scores, out.pred_masks, strict=True)

    def _phrase(self, text: str) -> _Phrase:
        """A phrase, embedded once."""
        if text not in self._phrases:
            device = self._network.device
            words = self._tokenizer(
                text, return_tensors="pt", padding="max_length", max_length=TEXT_TOKENS, truncation=True
            )
            mask = words.attention_mask.to(device)
            out = self._detector.get_text_features(words.input_ids.to(device), mask, return_dict=True)
            self._phrases[text] = _Phrase(out.pooler_output, mask)
        return self._phrases[text]

    def _read(self, what: str, reader: Any) -> Any:  # noqa: ANN401
        try:
            return reader.from_pretrained(self._folder, local_files_only=True)
        except (OSError, ValueError, KeyError, ImportError) as err:
            raise EngineError(f"engine {self._name!r}: {self._folder} holds no {what}: {err}") from err

    def _load(self) -> None:
        log.info("engine %s: loading the detector, which takes text", self._name)
        self._tokenizer = self._read("tokenizer", transformers.AutoTokenizer)
        detector = load_pretrained(self._name, "Sam3Model", self._folder)
        detector.vision_encoder.backbone = self._network.model.vision_encoder.backbone  # one copy of 446 M weights
        for parameter in detector.parameters():
            parameter.data = parameter.data.to(self._network.device, self._network.dtype)
        if self._network.dtype == torch.float64:
            detector.double()
        self._detector = detector.to(self._network.device).eval().requires_grad_(requires_grad=False)


def _scored_masks(logits: Tensor, scores: Sequence[float], size_hw: tuple[int, int]) -> list[ScoredMask]:
    """Masks at the size of the video, those that have a pixel, with their scores; logits are (B, 1, h, w)."""
    masks = logits_to_masks(logits, size_hw).transpose(1, 2).cpu().numpy()
    return [(mask, score) for mask, score in zip(masks, scores, strict=True) if mask.any()]


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
    order = scores.argsort(descending=True, stable=True)
    order = order[scores[order] > min_score]
    flat = masks[order].flatten(1).float()
    areas = flat.sum(1)
    both = flat @ flat.T  # whole numbers, which float32 holds exactly up to 2^24 pixels
    either = areas[:, None] + areas[None] - both
    overlaps, empty = ((both > max_iou * either).tolist(), (areas == 0).tolist())  # the device is waited for once
    kept: list[int] = []
    for i, is_empty in enumerate(empty):
        if not is_empty and not any(overlaps[i][j] for j in kept):
            kept.append(i)
    numbers: list[int] = order.tolist()
    return [numbers[i] for i in kept]
