"""What words name on a frame: SAM 3's or SAM 3.1's detector, on the output of the tracker's own backbone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

from maskferry.engines._sam.hooks import SessionHooks
from maskferry.engines._sam.mask_encoding import logits_to_masks
from maskferry.engines._sam.untyped import DetectorModel, Tokenizer
from maskferry.engines.base import ScoredMask, TextThresholds

__all__ = ["DetectorSource", "Overlap", "TextDetector", "non_maximum_suppression"]

TEXT_TOKENS = 32
"""Tokens of a text, as the detector was trained."""

PHRASES_AT_ONCE = 8
"""So many phrases go through the detector together."""

KEPT_LEVELS = 3
"""Of the neck's levels, those that the detector reads. ``Sam3Model`` drops one more at the end of what it is given."""

Overlap: TypeAlias = Literal["iou", "iom"]
"""How much two masks overlap: as a share of what both cover, or of the smaller one (intersection over minimum)."""


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A phrase as the detector takes it: (1, 32, C), and (1, 32) of 0 and 1."""

    embedding: Tensor
    attention_mask: Tensor


class DetectorSource(Protocol):
    """Where a detector comes from.

    Attributes:
        overlap: by which the weaker of two detections is left out.
    """

    overlap: Overlap

    def thresholds(self) -> TextThresholds:
        """Those of its makers.

        Raises:
            EngineError: the checkpoint cannot be read.
        """
        ...

    def load(self) -> tuple[DetectorModel, Tokenizer]:
        """The detector, on its device, and the tokenizer.

        Raises:
            EngineError: the checkpoint holds no detector, or there is no tokenizer.
        """
        ...


class TextDetector:
    """Detects what words name. The detector is loaded with the first words and shares the tracker's backbone.

    What counts as a detection is as in ``Sam3VideoModel`` of transformers: its probability is above a least score,
    after non-maximum suppression of what one phrase names.

    Args:
        source: of the detector.
    """

    def __init__(self, source: DetectorSource) -> None:
        self._source = source
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
            self._thresholds = self._source.thresholds()
        return self._thresholds

    def detect(
        self,
        trunk: Tensor,
        size_hw: tuple[int, int],
        phrases: Sequence[str],
        *,
        min_score: float,
        max_iou: float,
        hooks: SessionHooks | None = None,
    ) -> list[list[ScoredMask]]:
        """Masks and scores of what each phrase names on a frame, the best first.

        Args:
            trunk: the backbone's output for the frame, (1, W, h, w).
            size_hw: of the video.
            phrases: short noun phrases.
            min_score: scores above it count.
            max_iou: of two detections of one phrase that overlap by more, the weaker is left out.
            hooks: of the session.

        Raises:
            EngineError: the checkpoint holds no detector or no tokenizer.
        """
        if self._detector is None:
            self._detector, self._tokenizer = self._source.load()
        found: list[list[ScoredMask]] = []
        levels, positions = self._detector.vision_encoder.neck(trunk)
        for start in range(0, len(phrases), PHRASES_AT_ONCE):
            known = [self._phrase(text) for text in phrases[start : start + PHRASES_AT_ONCE]]
            for scores, logits in self._run(levels, positions, known):
                kept = non_maximum_suppression(scores, logits > 0, min_score, max_iou, overlap=self._source.overlap)
                changed = (hooks or SessionHooks()).changed(logits[kept][:, None])
                found.append(_scored_masks(changed, scores[kept].tolist(), size_hw) if kept else [])
        return found

    def _run(
        self, levels: Sequence[Tensor], positions: Sequence[Tensor], phrases: Sequence[_Phrase]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """For each phrase, the scores (D,) and the logits (D, h, w) of all that the detector looked for."""
        count = len(phrases)
        levels, positions = ((*one[:KEPT_LEVELS], one[KEPT_LEVELS - 1]) for one in (levels, positions))
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
            device = self._detector.device
            words = self._tokenizer(
                text, return_tensors="pt", padding="max_length", max_length=TEXT_TOKENS, truncation=True
            )
            mask = words.attention_mask.to(device)
            out = self._detector.get_text_features(words.input_ids.to(device), mask, return_dict=True)
            self._phrases[text] = _Phrase(out.pooler_output, mask)
        return self._phrases[text]


def _scored_masks(logits: Tensor, scores: Sequence[float], size_hw: tuple[int, int]) -> list[ScoredMask]:
    """Masks at the size of the video, those that have a pixel, with their scores; logits are (B, 1, h, w)."""
    masks = logits_to_masks(logits, size_hw).transpose(1, 2).cpu().numpy()
    return [(mask, score) for mask, score in zip(masks, scores, strict=True) if mask.any()]


def non_maximum_suppression(
    scores: Tensor, masks: Tensor, min_score: float, max_overlap: float, *, overlap: Overlap = "iou"
) -> list[int]:
    """Which detections are kept: the best, and then each that overlaps none kept before.

    Args:
        scores: (D,), in [0, 1].
        masks: bool (D, h, w).
        min_score: scores above it count.
        max_overlap: above it, the weaker of two is dropped.
        overlap: how it is measured.

    Returns:
        Indices, the best first; detections without a pixel are left out.
    """
    order = scores.argsort(descending=True, stable=True)
    order = order[scores[order] > min_score]
    flat = masks[order].flatten(1).float()
    areas = flat.sum(1)
    both = flat @ flat.T  # whole numbers, which float32 holds exactly up to 2^24 pixels
    whole = areas[:, None] + areas[None] - both if overlap == "iou" else torch.minimum(areas[:, None], areas[None])
    overlaps, empty = ((both > max_overlap * whole).tolist(), (areas == 0).tolist())  # the device is waited for once
    kept: list[int] = []
    for i, is_empty in enumerate(empty):
        if not is_empty and not any(overlaps[i][j] for j in kept):
            kept.append(i)
    numbers: list[int] = order.tolist()
    return [numbers[i] for i in kept]
