"""Prompts as the network takes them: masks, points and boxes in the pixels of the model's input."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from maskferry.data import BoxPrompt, Frame, Mask, MaskPrompt, PointPrompt, Prompt, TextPrompt, VideoInfo
from maskferry.engines._checks import check_frame, checked_mask
from maskferry.engines._sam.mask_encoding import logits_to_masks
from maskferry.engines._sam.network import GIVEN_LOGIT
from maskferry.errors import InputError, PromptNotSupportedError

__all__ = [
    "MAX_LOGIT",
    "Prompts",
    "detect_texts",
    "enclosing_box_xyxy",
    "mask_fidelity",
    "resize_masks",
    "scale_points",
    "sort_prompts",
    "warn_if_poorly_seen",
]

log = logging.getLogger(__name__)

MIN_FIDELITY = 0.8
"""Below this IoU of a given mask with what the model sees of it, a warning is logged."""

MAX_LOGIT = 32.0
"""Logits that are given back to the model with new points are clamped to this, as Meta's predictor does."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of one frame.

    Attributes:
        masks: by ascending object id.
        points: points and boxes, by ascending object id.
        texts: in the caller's order.
        detected: what the texts name, by ascending object id: mask, bool (H, W), and score.
    """

    masks: dict[int, Mask] = field(default_factory=dict)
    points: dict[int, list[PointPrompt | BoxPrompt]] = field(default_factory=dict)
    texts: tuple[TextPrompt, ...] = ()
    detected: dict[int, tuple[Mask, float]] = field(default_factory=dict)


def sort_prompts(frame: Frame, prompts: Sequence[Prompt], video: VideoInfo, name: str, *, text: bool) -> Prompts:
    """Check the frame and its prompts.

    Raises:
        InputError: a frame or a mask has not the size of the video, a mask is empty, points are malformed, or an
            object has a mask and something else.
        PromptNotSupportedError: text, where the model takes none.
    """
    size_hw, at = video.size_hw, f"frame {frame.index}"
    check_frame(frame, size_hw)
    texts = tuple(p for p in prompts if isinstance(p, TextPrompt))
    if texts and not text:
        raise PromptNotSupportedError(
            f"{at}: engine {name!r} takes no text here: use engine 'sam3' or 'sam3.1' with a checkpoint that holds the "
            "detector (facebook/sam3, facebook/sam3.1), or give masks, points or boxes"
        )
    masks: dict[int, Mask] = {}
    points: dict[int, list[PointPrompt | BoxPrompt]] = {}
    for prompt in prompts:
        if isinstance(prompt, MaskPrompt):
            masks[prompt.object_id] = checked_mask(prompt, frame.index, size_hw)
        elif isinstance(prompt, PointPrompt | BoxPrompt):
            points.setdefault(prompt.object_id, []).append(prompt)
    if both := sorted(masks.keys() & points.keys()):
        raise InputError(f"{at}, objects {both}: give either a mask or points and a box, not both on one frame")
    return Prompts(dict(sorted(masks.items())), dict(sorted(points.items())), texts)


def detect_texts(
    frame: Frame, prompts: Prompts, detect: Callable[[Frame, str], list[tuple[Mask, float]]], known: Iterable[int]
) -> Prompts:
    """The same prompts, with what the texts among them name.

    Args:
        frame: on which to detect.
        prompts: of this frame.
        detect: masks and scores of what one text names on a frame, the best first.
        known: ids of all objects of the pass so far.
    """
    detected: dict[int, tuple[Mask, float]] = {}
    for text in prompts.texts:
        ids = list(text.object_ids)
        used = {*known, *prompts.masks, *prompts.points, *detected, *ids, 0}
        for number, scored_mask in enumerate(detect(frame, text.text)):
            object_id = ids[number] if number < len(ids) else max(used) + 1
            detected[object_id] = scored_mask
            used.add(object_id)
    return replace(prompts, detected=dict(sorted(detected.items())), texts=())


def resize_masks(masks: Sequence[Mask], size: int, device: torch.device) -> Tensor:
    """Masks as the model sees them, float32 (B, 1, S, S) of 0 and 1.

    Resized with antialiasing and cut at a half, as transformers does. Of a mask so thin that nothing reaches a half,
    what comes closest is kept, so that no object vanishes.
    """
    resized = []
    for mask in masks:
        full = torch.from_numpy(np.array(mask)).to(device)[None, None].float()
        small = F.interpolate(full, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
        resized.append((small > 0) & (small >= (0.5 * small.amax()).where(small.amax() < 0.5, 0.5)))
    return torch.cat(resized).float()


def mask_fidelity(masks: Sequence[Mask], resized: Tensor) -> list[float]:
    """IoU of each mask (H, W) with what the model sees of it (B, 1, S, S), at the size of the video."""
    seen = logits_to_masks((resized * 2 - 1) * GIVEN_LOGIT, masks[0].shape)
    given = torch.from_numpy(np.stack([mask.T for mask in masks])).to(seen.device)
    both = (seen & given).flatten(1).sum(1)
    either = (seen | given).flatten(1).sum(1)
    return [float(v) for v in (both / either).cpu()]


def warn_if_poorly_seen(object_id: int, fidelity: float, size: int) -> None:
    """Log a warning where a model whose picture has ``size`` x ``size`` pixels sees another mask than was given."""
    if fidelity < MIN_FIDELITY:
        log.warning(
            "object %d: of the given mask the model sees a version with IoU %.2f, because its picture is %d x %d "
            "pixels; it may be too small or too thin to be followed well",
            *(object_id, fidelity, size, size),
        )


def scale_points(
    prompts: Sequence[PointPrompt | BoxPrompt], video: VideoInfo, size: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Points and corners of one object for `Network.embed_points`: (1, K, 2) and (1, K).

    Corners come first, as in the models' training; of several boxes the smallest around all of them is taken.
    """
    xy: list[list[float]] = []
    labels: list[int] = []
    if (box := enclosing_box_xyxy(prompts)) is not None:
        xy, labels = [list(box[:2]), list(box[2:])], [2, 3]
    for prompt in prompts:
        if isinstance(prompt, PointPrompt):
            xy += prompt.points_xy.tolist()
            labels += [int(v) for v in prompt.labels]
    points = np.asarray(xy, dtype=np.float64) * (size / video.width, size / video.height)
    return torch.tensor(points[None], dtype=dtype), torch.tensor([labels], dtype=torch.int32)


def enclosing_box_xyxy(prompts: Sequence[PointPrompt | BoxPrompt]) -> tuple[float, float, float, float] | None:
    """The box around all boxes among the prompts, xyxy; None without one."""
    boxes = [p.box_xyxy for p in prompts if isinstance(p, BoxPrompt)]
    if not boxes:
        return None
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)
