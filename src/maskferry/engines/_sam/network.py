"""The stages of a SAM video model, batched over objects: encode a frame, recall, decode masks, remember them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from maskferry.engines._sam.attention import MemoryAttention
from maskferry.engines._sam.resampler import position_of, resample

__all__ = ["Features", "Found", "Network", "Prompted", "Stages"]

NO_OBJECT = -1024.0
"""Logit of every pixel of an object that is not in sight."""

GIVEN = 10.0
"""Logit of the pixels inside a given mask; outside it is the negative."""


@dataclass(frozen=True, slots=True)
class Features:
    """One encoded frame.

    Attributes:
        fine: (1, c, 4h, 4w), for the mask decoder.
        middle: (1, c, 2h, 2w), for the mask decoder.
        top: (1, HW, C), the level at which objects are remembered.
    """

    fine: Tensor
    middle: Tensor
    top: Tensor


@dataclass(frozen=True, slots=True)
class Prompted:
    """What the prompt encoder makes of prompts: (B or 1, 1, K, C) and (B or 1, C, h, w)."""

    sparse: Tensor
    dense: Tensor


@dataclass(frozen=True, slots=True)
class Found:
    """B objects on one frame.

    Attributes:
        logits: (B, 1, 4h, 4w), > 0 inside the mask.
        pointer: (B, C).
        presence: (B, 1), logit; > 0 where the object is in sight.
        quality: (B,), the IoU that the model expects of its mask, in [0, 1]; float32.
    """

    logits: Tensor
    pointer: Tensor
    presence: Tensor
    quality: Tensor


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of `Network.follow`, as they are or compiled."""

    recall: Callable[[Tensor, Tensor, Tensor, int, int], Tensor]
    answers: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, bool], tuple[Tensor, Tensor, Tensor, Tensor]]
    remember: Callable[[Tensor, Tensor, Tensor], Tensor]


class Network(nn.Module):
    """A loaded model of transformers, taken apart into stages that run for many objects at once.

    Every stage computes what the loop of transformers (``Sam3TrackerVideoModel.forward`` and its sisters) computes
    for one object after the other; a test compares them in float64.

    Args:
        model: Sam3TrackerVideoModel, Sam2VideoModel or EdgeTamVideoModel, on its device.
        dtype: of the features.
        narrow: see `MemoryAttention`.
    """

    def __init__(self, model: Any, dtype: torch.dtype, *, narrow: bool = False) -> None:  # noqa: ANN401
        super().__init__()
        self.model = model
        self.dtype = dtype
        self.config = model.config
        self.image_size = int(model.prompt_encoder.input_image_size)
        self.mask_size: tuple[int, int] = tuple(model.prompt_encoder.mask_input_size)
        self.grid_hw: tuple[int, int] = tuple(model.backbone_feature_sizes[-1])
        self.memory_dim = int(model.mem_dim)
        self.resampler = getattr(model, "spatial_perceiver", None)  # EdgeTAM's
        self.attention = MemoryAttention(model, grouped=self.resampler is not None, narrow=narrow)
        self.exact = torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype
        with torch.inference_mode():
            self._constants()

    def _constants(self) -> None:
        model, device = self.model, self.device
        height, width = self.grid_hw
        code = model.vision_encoder.neck.position_encoding
        shape = torch.Size((1, model.hidden_dim, height, width))
        self.top_position = code(shape, device, self.exact).flatten(2).transpose(1, 2).to(self.dtype)
        self.image_position = model.get_image_wide_positional_embeddings().to(self.dtype).contiguous()
        shape = torch.Size((1, self.memory_dim, height, width))
        self.spatial_position = model.memory_encoder.position_encoding(shape, device, self.exact)
        self.memory_position = self.spatial_position.flatten(2).transpose(1, 2)
        if self.resampler is not None:
            self.memory_position = position_of(self.resampler, self.spatial_position)
        self.unprompted = self.embed_points(
            torch.zeros(1, 1, 2, device=device), -torch.ones(1, 1, dtype=torch.int32, device=device)
        )

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        device: torch.device = self.model.no_memory_embedding.device
        return device

    # --- stage 1: a frame, once for all objects -------------------------------------------------------------------

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of T frames.

        Args:
            pixels: (T, 3, S, S), normalised.

        Returns:
            As in `Features`, with T for 1.
        """
        fine, middle, top = self.model.get_image_features(pixels, return_dict=True).fpn_hidden_states
        sizes = self.model.backbone_feature_sizes
        return (
            fine.permute(1, 2, 0).unflatten(2, tuple(sizes[0])),
            middle.permute(1, 2, 0).unflatten(2, tuple(sizes[1])),
            top.transpose(0, 1),
        )

    # --- stage 2: what is remembered ------------------------------------------------------------------------------

    def recall(self, top: Tensor, memory: Tensor, position: Tensor, pointer_tokens: int, memories: int) -> Tensor:
        """A frame's ``top`` in the light of each object's memories, (B, HW, C); as `MemoryAttention.forward`."""
        looks = top + 0.1 * self.top_position
        seen: Tensor = self.attention(looks, memory, position, pointer_tokens, memories)
        return seen

    def without_memory(self, features: Features) -> Tensor:
        """The frame for an object of which nothing is remembered, (1, HW, C)."""
        out: Tensor = features.top + self.model.no_memory_embedding
        return out

    # --- prompts --------------------------------------------------------------------------------------------------

    def embed_points(self, points_xy: Tensor, labels: Tensor, logits: Tensor | None = None) -> Prompted:
        """Encode points.

        Args:
            points_xy: (B, K, 2), pixels of the model's picture.
            labels: (B, K), 1 on the object, 0 off it, 2 and 3 the corners of a box, -1 no point.
            logits: (B, 1, 4h, 4w), a mask of before that the points are to correct.
        """
        sparse, dense = self.model.prompt_encoder(
            input_points=points_xy.to(self.exact).unsqueeze(1),
            input_labels=labels.unsqueeze(1),
            input_boxes=None,
            input_masks=None if logits is None else logits.to(self.exact),
        )
        return Prompted(sparse.to(self.dtype), dense.to(self.dtype))

    def embed_masks(self, masks: Tensor) -> Prompted:
        """Encode given masks (B, 1, S, S), 0 or 1."""
        small = _resize(self.model.mask_downsample(masks.to(self.dtype)), self.mask_size)
        dense = self.model.prompt_encoder.mask_embed(small.to(self.exact))
        return Prompted(self.unprompted.sparse, dense.to(self.dtype))

    # --- stage 3: masks -------------------------------------------------------------------------------------------

    def decode(
        self, seen: Tensor, fine: Tensor, middle: Tensor, prompted: Prompted | None = None, *, several: bool = True
    ) -> Found:
        """Masks of B objects on one frame.

        Args:
            seen: (B, HW, C), from `recall` or `without_memory`.
            fine: of the frame's `Features`.
            middle: of the frame's `Features`.
            prompted: none while tracking.
            several: let the model answer with several masks and take the one it thinks best.
        """
        prompted = prompted or self.unprompted
        return self.choose(*self.answers(seen, fine, middle, prompted.sparse, prompted.dense, several))

    def answers(
        self, seen: Tensor, fine: Tensor, middle: Tensor, sparse: Tensor, dense: Tensor, several: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All masks that the model offers: (B, 1, M, 4h, 4w), their qualities, their tokens, and the presence."""
        count = seen.shape[0]
        masks, quality, tokens, presence = self.model.mask_decoder(
            image_embeddings=seen.transpose(1, 2).unflatten(2, self.grid_hw),
            image_positional_embeddings=self.image_position.repeat(count, 1, 1, 1),
            sparse_prompt_embeddings=sparse.expand(count, -1, -1, -1),
            dense_prompt_embeddings=dense,
            multimask_output=several,
            high_resolution_features=[fine, middle],
        )
        return masks, quality, tokens, presence

    def choose(self, masks: Tensor, quality: Tensor, tokens: Tensor, presence: Tensor) -> Found:
        """Of each object the mask that the model thinks best. Arguments as `answers` gives them."""
        in_sight = presence > 0  # (B, 1, 1)
        best = quality[:, 0].argmax(-1)  # (B,)
        each = torch.arange(len(best), device=best.device)
        token = tokens[each, 0, best] if tokens.shape[2] > 1 else tokens[:, 0, 0]
        logits = torch.where(in_sight[..., None], masks[each, 0, best][:, None], NO_OBJECT)
        pointer = self._pointer(token, in_sight[:, 0])
        return Found(logits, pointer, presence[:, 0], quality[each, 0, best].float())

    def _pointer(self, token: Tensor, in_sight: Tensor) -> Tensor:
        weight = in_sight.to(token.dtype)
        out: Tensor = weight * self.model.object_pointer_proj(token) + (1 - weight) * self.model.no_object_pointer
        return out

    def answers_several(self, points: int, *, first: bool) -> bool:
        """Whether the model is to answer with several masks.

        Args:
            points: how many points and corners there are.
            first: nothing is known of the object yet.
        """
        config = self.config
        wanted = config.multimask_output_in_sam and (first or config.multimask_output_for_tracking)
        return bool(wanted and config.multimask_min_pt_num <= points <= config.multimask_max_pt_num)

    def take_given(self, features: Features, masks: Tensor) -> Found:
        """Given masks (B, 1, S, S), 0 or 1, as if the model had found them."""
        seen = features.top.expand(masks.shape[0], -1, -1)
        found = self.decode(seen, features.fine, features.middle, self.embed_masks(masks))
        in_sight = masks.flatten(1).any(1, keepdim=True)
        presence = torch.where(in_sight, GIVEN, -GIVEN).to(self.dtype)
        weight = in_sight.to(self.dtype)
        pointer = weight * found.pointer + (1 - weight) * self.model.no_object_pointer
        return Found(found.logits, pointer, presence, torch.ones_like(found.quality))

    # --- stage 4: remembering -------------------------------------------------------------------------------------

    def enlarge(self, logits: Tensor) -> Tensor:
        """Logits at the size of the model's picture, (B, 1, S, S)."""
        size = (self.image_size, self.image_size)
        wide = logits.float()
        if wide.device.type == "cpu":  # whose kernel rounds a single channel otherwise than transformers' three masks
            wide = wide.repeat(1, 3, 1, 1)
        return F.interpolate(wide, size=size, mode="bilinear", align_corners=False)[:, :1].to(logits.dtype)

    def remember(self, top: Tensor, large: Tensor, presence: Tensor, *, hard: bool) -> Tensor:
        """What is to be remembered of B objects on a frame.

        Args:
            top: of the frame's `Features`.
            large: (B, 1, S, S), logits.
            presence: (B, 1), logits.
            hard: the masks were prompted: nothing about them is uncertain.

        Returns:
            (B, T, 64).
        """
        config, encoder = self.config, self.model.memory_encoder
        if self.resampler is None:
            large = _resize(large, (4 * self.mask_size[0], 4 * self.mask_size[1]))
        inside = (large > 0).to(large.dtype) if hard else large.sigmoid()
        inside = inside * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        looks = top.transpose(1, 2).unflatten(2, self.grid_hw)
        x = encoder.feature_projection(looks) + encoder.mask_downsampler(inside)
        x = encoder.projection(encoder.memory_fuser(x))
        hidden = self.model.occlusion_spatial_embedding_parameter
        if hidden is not None:
            x = x + ((presence <= 0)[..., None, None] * hidden[..., None, None]).to(x.dtype)
        if self.resampler is None:
            memory: Tensor = x.to(torch.bfloat16).flatten(2).transpose(1, 2)
            return memory
        return resample(self.resampler, x, self.spatial_position.to(x.dtype))

    # --- a tracked frame ------------------------------------------------------------------------------------------

    def follow(
        self,
        features: Features,
        memory: Tensor,
        position: Tensor,
        pointer_tokens: int,
        memories: int,
        stages: Stages | None = None,
    ) -> tuple[Found, Tensor]:
        """Stages 2 to 4 for objects without a prompt on this frame: what is found, and what is to be remembered."""
        stages = stages or Stages(self.recall, self.answers, self.remember_found)
        seen = stages.recall(features.top, memory, position, pointer_tokens, memories)
        several, plain = self.answers_several(0, first=False), self.unprompted
        offered = stages.answers(seen, features.fine, features.middle, plain.sparse, plain.dense, several)
        found = self.choose(*offered)
        return found, stages.remember(features.top, found.logits, found.presence)

    def remember_found(self, top: Tensor, logits: Tensor, presence: Tensor) -> Tensor:
        """What is to be remembered of masks that the model has found, (B, T, 64)."""
        return self.remember(top, self.enlarge(logits), presence, hard=False)


def _resize(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """As the models do to masks; nothing where the size fits."""
    if tuple(x.shape[-2:]) == size_hw:
        return x
    return F.interpolate(x.float(), size=size_hw, mode="bilinear", align_corners=False, antialias=True).to(x.dtype)
