"""The network of SAM 3.1, in stages that run for many buckets at once.

Encode a frame; condition it on each bucket's memories; decode the masks of all slots; encode them as one new memory.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from maskferry.engines._sam.multiplex.architecture import Architecture
from maskferry.engines._sam.multiplex.layers import Mlp, split_heads
from maskferry.engines._sam.multiplex.mask_decoder import MaskDecoder, paint
from maskferry.engines._sam.multiplex.memory_attention import MemoryAttention
from maskferry.engines._sam.multiplex.memory_encoder import MemoryEncoder
from maskferry.engines._sam.multiplex.positions import FourierCode, distance_code, rotary_tables, rotate, sine_grid
from maskferry.engines._sam.multiplex.prompt_encoder import PromptEncoder
from maskferry.engines._sam.multiplex.stage_types import (
    Candidates,
    FrameFeatures,
    MemoryBatch,
    Predictions,
    PromptFeatures,
    Stages,
)
from maskferry.engines._sam.multiplex.trunk import PictureEncoder
from maskferry.engines._sam.network import GIVEN_LOGIT, NO_OBJECT_LOGIT

__all__ = ["MultiplexNetwork", "enlarge"]

STABLE_MARGIN, STABLE_SHARE = 0.05, 0.98
"""A prompted mask is stable if the areas above and below 0 by this margin have at least this IoU."""


class MemoryTransformer(nn.Module):
    """The place of memory attention in the published file."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self.encoder = MemoryAttention(size)


class MultiplexNetwork(nn.Module):
    """SAM 3.1 without the detector. Modules have the names of the published file; ``vision`` is its picture encoder.

    Args:
        size: of the network.
        dtype: of the features.

    Attributes:
        size: the same.
        dtype: the same.
        accurate_dtype: of what is computed in float32 although the features are in half precision.
    """

    def __init__(self, size: Architecture, dtype: torch.dtype) -> None:
        super().__init__()
        channels, slots = size.hidden, size.slots
        self.size, self.dtype = size, dtype
        self.accurate_dtype = torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype
        self.vision = PictureEncoder(size)
        self.transformer = MemoryTransformer(size)
        self.maskmem_backbone = MemoryEncoder(size)
        self.maskmem_tpos_enc = nn.Parameter(torch.zeros(size.temporal_codes, 1, 1, channels))
        self.interactivity_no_mem_embed = nn.Parameter(torch.zeros(1, 1, channels))
        self.no_obj_ptr_linear = nn.Linear(channels, channels)
        self.no_obj_embed_spatial = nn.Parameter(torch.zeros(slots, channels))
        self.output_valid_embed = nn.Parameter(torch.zeros(slots, channels))
        self.output_invalid_embed = nn.Parameter(torch.zeros(slots, channels))
        self.interactive_mask_downsample = nn.Conv2d(1, 1, 4, 4)
        self.image_pe_layer = FourierCode(channels // 2)
        self.interactive_sam_prompt_encoder = PromptEncoder(size)
        self.interactive_sam_mask_decoder = MaskDecoder(size, 1, size.candidates + 1)
        self.sam_mask_decoder = MaskDecoder(size, slots, size.candidates)
        self.obj_ptr_proj, self.interactive_obj_ptr_proj = (Mlp(channels, channels, channels, channels) for _ in "12")
        self.obj_ptr_tpos_proj = nn.Linear(channels, channels)

    def prepare(self, *, trunk: bool = True) -> None:
        """Make the constants that no frame changes, those of the trunk too; once the weights are there."""
        size, device, accurate = self.size, self.device, self.accurate_dtype
        if trunk:
            self.vision.trunk.prepare(accurate)
        position = sine_grid(size.grid, size.hidden, accurate).to(device)
        cos, sin = rotary_tables(size.grid, size.hidden // size.attention_heads, accurate)
        self.rotary = cos.to(device), sin.to(device)
        self.top_position = position[None]  # (1, HW, C)
        codes = position + self.maskmem_tpos_enc.detach().flatten(1)[:, None].to(accurate)
        turned = rotate(split_heads(codes, size.attention_heads), self.rotary)
        self.key_codes = turned.to(self.dtype)  # (rows, heads, HW, d), turned as keys are
        self.image_position = self.image_pe_layer.grid(size.grid).to(self.dtype).contiguous()
        prompts = self.interactive_sam_prompt_encoder.pe_layer
        self.prompt_position = prompts.grid(size.grid).to(self.dtype).contiguous()

    @property
    def image_size(self) -> int:
        """Side of the model's picture, in pixels."""
        return self.size.image_size

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.maskmem_tpos_enc.device

    # --- stage 1: a frame, once for all buckets -------------------------------------------------------------------

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features of T frames.

        Args:
            pixels: (T, 3, S, S), normalised.

        Returns:
            As in `FrameFeatures`, with T for 1.
        """
        trunk = self.vision.trunk(pixels)
        fine, middle, top = self._levels(self.vision.propagation_convs(trunk), self.sam_mask_decoder)
        return fine, middle, top, trunk

    def prompt_features(self, features: FrameFeatures) -> PromptFeatures:
        """The frame as prompts are decoded on it: a second neck over the same trunk."""
        levels = self.vision.interactive_convs(features.trunk)
        return PromptFeatures(*self._levels(levels, self.interactive_sam_mask_decoder))

    def _levels(self, levels: tuple[Tensor, Tensor, Tensor], decoder: MaskDecoder) -> tuple[Tensor, Tensor, Tensor]:
        fine, middle, top = levels
        return decoder.conv_s0(fine), decoder.conv_s1(middle), top.flatten(2).transpose(1, 2).contiguous()

    # --- stage 2: a frame's features in relation to memories ------------------------------------------------------

    def attend_to_memory(
        self, top: Tensor, codes: Tensor, pointers: Tensor, distances: Tensor, *keys_values: Tensor
    ) -> Tensor:
        """A frame's ``top``, conditioned on each bucket's memories, (B, HW, C).

        Args:
            top: of the frame's `FrameFeatures`.
            codes: of a `MemoryBatch`.
            pointers: of the same.
            distances: of the same.
            keys_values: keys of all frames, then values of all frames, as in a `MemoryBatch`.
        """
        frames = len(keys_values) // 2
        memories = list(zip(keys_values[:frames], keys_values[frames:], codes[0].unbind(), strict=True))
        x = (top + 0.1 * self.top_position).to(top.dtype)
        conditioned: Tensor = self.transformer.encoder(
            x, top, memories, pointers, self._pointer_codes(distances), self.rotary
        )
        return conditioned

    def _pointer_codes(self, distances: Tensor) -> Tensor:
        """(1, P * M, C) of (1, P)."""
        weight = self.obj_ptr_tpos_proj.weight
        code = distance_code(distances.to(self.accurate_dtype), self.size.hidden)
        projected: Tensor = self.obj_ptr_tpos_proj(code.to(weight.dtype)).to(self.dtype)
        return projected.repeat_interleave(self.size.slots, dim=1)

    # --- stage 3: masks -------------------------------------------------------------------------------------------

    def decode_candidates(self, conditioned: Tensor, fine: Tensor, middle: Tensor, valid: Tensor) -> Candidates:
        """All masks that the model predicts of B buckets.

        Args:
            conditioned: (B, HW, C), from `attend_to_memory`.
            fine: of the frame's `FrameFeatures`.
            middle: of the same.
            valid: bool (B, M), slots that hold an object.
        """
        codes = torch.where(valid[..., None], self.output_valid_embed, self.output_invalid_embed)
        found: Candidates = self.sam_mask_decoder(conditioned, self.image_position, fine, middle, slot_codes=codes)
        return found

    def select_best(self, found: Candidates) -> Predictions:
        """Of each slot the mask that the model thinks best; only that one is painted."""
        best = found.quality.argmax(-1, keepdim=True)
        kernel = found.kernels.take_along_dim(best[..., None], 2)[:, :, 0]
        token = found.tokens.take_along_dim(best[..., None], 2)[:, :, 0]
        in_sight = found.presence > 0
        logits = torch.where(in_sight[..., None], paint(kernel, found.picture), NO_OBJECT_LOGIT)
        pointer = self._unless_absent(self.obj_ptr_proj(token), in_sight)
        return Predictions(logits, pointer, found.presence[..., 0], found.quality.take_along_dim(best, 2)[..., 0])

    def _unless_absent(self, pointer: Tensor, in_sight: Tensor) -> Tensor:
        """Pointers (B, M, C); those of objects that are not in sight (B, M, 1) are replaced."""
        weight = in_sight.to(pointer.dtype)
        out: Tensor = weight * pointer + (1 - weight) * self.no_obj_ptr_linear(pointer)
        return out

    # --- stage 4: memories of what was found ----------------------------------------------------------------------

    def encode_predicted(
        self, top: Tensor, logits: Tensor, presence: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Memories of masks that the model has found in B buckets.

        Args:
            top: of the frame's `FrameFeatures`.
            logits: (B, M, 4h, 4w).
            presence: (B, M), logits.
            valid: bool (B, M).

        Returns:
            The memory, (B, HW, C), and its keys and values, (B, layers, heads, HW, d).
        """
        inside = _inside(enlarge(logits, self.size.image_size), valid)
        memory = self._encode_memory(top, enlarge(inside, self.size.mask_size), None, presence, valid)
        return memory, *self.project_memory(top, memory)

    def encode_prompted(
        self, top: Tensor, large: Tensor, flags: Tensor, presence: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Memories of a frame on which masks were given; as `encode_predicted`.

        Args:
            top: of the frame's `FrameFeatures`.
            large: (B, M, S, S), logits of all slots, in the size of the model's picture or of masks.
            flags: (B, M), 1 where the mask was given.
            presence: (B, M), logits.
            valid: bool (B, M).
        """
        inside = enlarge(_inside(large, valid), self.size.mask_size)
        memory = self._encode_memory(top, inside, flags.to(large.dtype) * valid, presence, valid)
        return memory, *self.project_memory(top, memory)

    def _encode_memory(
        self, top: Tensor, inside: Tensor, flags: Tensor | None, presence: Tensor, valid: Tensor
    ) -> Tensor:
        features = top.transpose(1, 2).unflatten(2, (self.size.grid, self.size.grid))
        memory = self.maskmem_backbone(features, inside, flags).flatten(2).transpose(1, 2)
        away = ~((presence > 0) & valid)  # empty slots, too
        out: Tensor = memory + (away.to(memory.dtype) @ self.no_obj_embed_spatial)[:, None]
        return out.contiguous()  # as it comes out of a snapshot: rounding depends on the layout

    def project_memory(self, top: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a memory (B, HW, C) of the frame with this ``top``, (B, layers, heads, HW, d) each."""
        return self.transformer.encoder.project_memory(top, memory, self.rotary)

    # --- a tracked frame ------------------------------------------------------------------------------------------

    @property
    def stages(self) -> Stages:
        """The plain stages of `track`."""
        return Stages(self.attend_to_memory, self.decode_candidates, self.encode_predicted)

    def track(
        self, features: FrameFeatures, batch: MemoryBatch, stages: Stages | None = None
    ) -> tuple[Predictions, tuple[Tensor, Tensor, Tensor]]:
        """Stages 2 to 4 for B buckets.

        Args:
            features: of the frame.
            batch: the memories of the buckets.
            stages: compiled ones; by default the plain ones.

        Returns:
            What is found, and the frame's memory, keys and values as from `encode_predicted`.
        """
        stages = stages or self.stages
        conditioned = stages.attend_to_memory(
            features.top, batch.codes, batch.pointers, batch.distances, *batch.keys, *batch.values
        )
        candidates = stages.decode_candidates(conditioned, features.fine, features.middle, batch.valid)
        found = self.select_best(candidates)
        remembered = stages.encode_predicted(features.top, found.logits, found.presence, batch.valid)
        memory, keys, values = (t.contiguous() for t in remembered)  # compilers choose other layouts, and are fussy
        return found, (memory, keys, values)

    # --- prompts, each object for itself, without memory ----------------------------------------------------------

    def take_masks(self, features: PromptFeatures, masks: Tensor) -> Predictions:
        """Given masks as if the model had found them.

        Args:
            features: of the frame.
            masks: (N, 1, 16h, 16w), 0 or 1.

        Returns:
            Logits (N, 1, 16h, 16w) are `GIVEN_LOGIT` inside and its negative outside; an empty mask is not in sight.
        """
        encoder, weight = self.interactive_sam_prompt_encoder, self.interactive_mask_downsample.weight
        small = self.interactive_mask_downsample(masks.to(weight.dtype))
        nowhere = masks.new_zeros(len(masks), 1, 2)
        sparse = encoder.points(nowhere, -torch.ones(len(masks), 1, device=masks.device))
        found = self._decode_prompt(features, sparse, encoder.masks(small), several=False)
        there = masks.flatten(1).any(1, keepdim=True)
        pointer = self._unless_absent(found.pointer, there[..., None])
        presence = torch.where(there, GIVEN_LOGIT, -GIVEN_LOGIT).to(found.presence.dtype)
        logits = ((masks * 2 - 1) * GIVEN_LOGIT).to(self.dtype)
        return Predictions(logits, pointer, presence, torch.ones_like(found.quality))

    def take_points(
        self, features: PromptFeatures, xy: Tensor, labels: Tensor, logits: Tensor | None = None
    ) -> Predictions:
        """Masks at points and in boxes.

        Args:
            features: of the frame.
            xy: (N, K, 2), pixels of the model's picture.
            labels: (N, K), as `PromptEncoder.points` takes them.
            logits: (N, 1, 4h, 4w), a mask of before that the points are to correct.
        """
        encoder = self.interactive_sam_prompt_encoder
        dense = encoder.no_mask() if logits is None else encoder.masks(logits)
        return self._decode_prompt(features, encoder.points(xy, labels), dense, several=labels.shape[1] <= 1)

    def _decode_prompt(self, features: PromptFeatures, sparse: Tensor, dense: Tensor, *, several: bool) -> Predictions:
        """Decode N prompts; with ``several``, the best of several masks is taken, otherwise the single one if it is
        stable. The pointer comes from the single one's token unless ``several``."""
        image = (features.top + self.interactivity_no_mem_embed + dense).to(self.dtype)
        image = image.expand(len(sparse), -1, -1)
        found: Candidates = self.interactive_sam_mask_decoder(
            image, self.prompt_position, features.fine, features.middle, sparse=sparse.to(self.dtype)
        )
        best = 1 + found.quality[:, 0, 1:].argmax(-1)
        single = torch.zeros_like(best)
        taken = best if several else torch.where(self._is_stable(_painted(found, single)), single, best)
        each = torch.arange(len(best), device=best.device)
        in_sight = found.presence[:, 0] > 0
        logits = torch.where(in_sight[..., None, None], _painted(found, taken), NO_OBJECT_LOGIT)
        token = found.tokens[each, 0, best if several else single][:, None]
        pointer = self._unless_absent(self.interactive_obj_ptr_proj(token), in_sight[:, None])
        return Predictions(logits, pointer, found.presence[:, 0], found.quality[each, 0, taken][:, None])

    def _is_stable(self, logits: Tensor) -> Tensor:
        """Whether masks (N, 1, h, w) hardly depend on the threshold, bool (N,)."""
        flat = logits.flatten(1)
        smaller, larger = (flat > STABLE_MARGIN).sum(-1), (flat > -STABLE_MARGIN).sum(-1)
        return (larger == 0) | (smaller >= STABLE_SHARE * larger)


def _painted(found: Candidates, which: Tensor) -> Tensor:
    """Logits (N, 1, h, w) of one candidate of each prompted object, by number (N,)."""
    each = torch.arange(len(which), device=which.device)
    return paint(found.kernels[each, 0, which][:, None], found.picture)


def _inside(large: Tensor, valid: Tensor) -> Tensor:
    """Logits as the memory encoder takes them: from -1 outside to 1 inside, and 0 in slots without an object."""
    return (2 * large.sigmoid() - 1) * valid[..., None, None]


def enlarge(x: Tensor, side: int) -> Tensor:
    """(B, M, side, side), bilinear, computed in float32 at least.

    The models resize masks with antialiasing and logits without, which is the same where nothing becomes smaller.
    """
    if x.shape[-1] == side:
        return x
    wide = x if x.dtype == torch.float64 else x.float()
    return F.interpolate(wide, size=(side, side), mode="bilinear", align_corners=False).to(x.dtype)
