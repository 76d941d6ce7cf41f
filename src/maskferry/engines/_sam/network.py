"""The stages of a SAM video model, batched over objects.

Encode a frame; condition it on each object's memories; decode masks; encode them as new memories.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from maskferry.engines._sam.attention import MemoryAttention
from maskferry.engines._sam.resampler import resample, resampled_position
from maskferry.engines._sam.stage_types import Features, MemoryBatch, Predictions, PromptEmbedding, Stages
from maskferry.engines._sam.untyped import VideoModel

__all__ = ["GIVEN_LOGIT", "Network"]

NO_OBJECT_LOGIT = -1024.0
"""Logit of every pixel of an object that is not in sight."""

GIVEN_LOGIT = 10.0
"""Logit of the pixels inside a given mask; outside it is the negative."""


class Network(nn.Module):
    """A loaded model of transformers, split into stages that run for many objects at once.

    Every stage computes what the loop of transformers computes for one object after the other
    (``Sam3TrackerVideoModel.forward`` and those of the other models); a test compares them in float64.

    Args:
        model: Sam3TrackerVideoModel, Sam2VideoModel or EdgeTamVideoModel, on its device.
        dtype: of the features.
        narrow: see `MemoryAttention`.

    Attributes:
        image_size: side of the model's input, in pixels; S below.
        mask_hw: height and width of the masks that the model takes, (4h, 4w).
        grid_hw: height and width of the features at which objects are remembered.
        memory_dim: channels of memories.
        tokens_each: tokens of a pointer.
        accurate_dtype: of what is computed in float32 although the features are in half precision.
        keeps_trunk: `encode` also gives the backbone's output, on which SAM 3's detector works.
        unprompted: the prompt embedding of no prompt.
    """

    def __init__(self, model: VideoModel, dtype: torch.dtype, *, narrow: bool = False) -> None:
        super().__init__()
        self.model = model
        self.dtype = dtype
        self.config = model.config
        self.image_size = int(model.prompt_encoder.input_image_size)
        self.mask_hw: tuple[int, int] = tuple(model.prompt_encoder.mask_input_size)
        self.grid_hw: tuple[int, int] = tuple(model.backbone_feature_sizes[-1])
        self.memory_dim = int(model.mem_dim)
        self.tokens_each = int(model.hidden_dim) // self.memory_dim
        self.resampler = getattr(model, "spatial_perceiver", None)  # EdgeTAM's
        self.attention = MemoryAttention(model, grouped=self.resampler is not None, narrow=narrow)
        self.keeps_trunk = str(model.config.model_type).startswith("sam3")
        self.accurate_dtype = torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype
        with torch.inference_mode():
            self._constants()

    def _constants(self) -> None:
        """Position codes and the embedding of no prompt, which no frame changes."""
        model, device = self.model, self.device
        height, width = self.grid_hw
        code = model.vision_encoder.neck.position_encoding
        shape = torch.Size((1, model.hidden_dim, height, width))
        self.top_position = code(shape, device, self.accurate_dtype).flatten(2).transpose(1, 2).to(self.dtype)
        self.image_position = model.get_image_wide_positional_embeddings().to(self.dtype).contiguous()
        shape = torch.Size((1, self.memory_dim, height, width))
        self.spatial_position = model.memory_encoder.position_encoding(shape, device, self.accurate_dtype)
        self.memory_position = self.spatial_position.flatten(2).transpose(1, 2)
        if self.resampler is not None:
            self.memory_position = resampled_position(self.resampler, self.spatial_position)
        self.unprompted = self.embed_points(
            torch.zeros(1, 1, 2, device=device), -torch.ones(1, 1, dtype=torch.int32, device=device)
        )

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        device: torch.device = self.model.no_memory_embedding.device
        return device

    # --- stage 1: a frame, once for all objects -------------------------------------------------------------------

    def encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Features of T frames.

        Args:
            pixels: (T, 3, S, S), normalised.

        Returns:
            As in `Features`, with T for 1; without ``trunk``, where the network does not keep it.
        """
        out = self.model.get_image_features(pixels, return_dict=True)
        fine, middle, top = out.fpn_hidden_states
        sizes = self.model.backbone_feature_sizes
        levels = (
            fine.permute(1, 2, 0).unflatten(2, tuple(sizes[0])),
            middle.permute(1, 2, 0).unflatten(2, tuple(sizes[1])),
            top.transpose(0, 1),
        )
        return (*levels, out.last_hidden_state) if self.keeps_trunk else levels

    # --- stage 2: a frame's features in relation to memories ------------------------------------------------------

    def attend_to_memory(
        self, top: Tensor, memory: Tensor, position: Tensor, padding: Tensor, pointer_tokens: int, memory_frames: int
    ) -> Tensor:
        """A frame's ``top``, conditioned on each object's memories, (B, HW, C); as `MemoryAttention.forward`."""
        features = top + 0.1 * self.top_position
        conditioned: Tensor = self.attention(features, memory, position, padding, pointer_tokens, memory_frames)
        return conditioned

    def features_without_memory(self, features: Features) -> Tensor:
        """The frame for an object of which nothing is remembered, (1, HW, C)."""
        out: Tensor = features.top + self.model.no_memory_embedding
        return out

    # --- prompts --------------------------------------------------------------------------------------------------

    def embed_points(self, points_xy: Tensor, labels: Tensor, logits: Tensor | None = None) -> PromptEmbedding:
        """Encode points.

        Args:
            points_xy: (B, K, 2), pixels of the model's picture.
            labels: (B, K), 1 on the object, 0 off it, 2 and 3 the corners of a box, -1 no point.
            logits: (B, 1, 4h, 4w), a mask of before that the points are to correct.
        """
        sparse, dense = self.model.prompt_encoder(
            input_points=points_xy.to(self.accurate_dtype).unsqueeze(1),
            input_labels=labels.unsqueeze(1),
            input_boxes=None,
            input_masks=None if logits is None else logits.to(self.accurate_dtype),
        )
        return PromptEmbedding(sparse.to(self.dtype), dense.to(self.dtype))

    def embed_masks(self, masks: Tensor) -> PromptEmbedding:
        """Encode given masks (B, 1, S, S), 0 or 1."""
        small = _resize_masks(self.model.mask_downsample(masks.to(self.dtype)), self.mask_hw)
        dense = self.model.prompt_encoder.mask_embed(small.to(self.accurate_dtype))
        return PromptEmbedding(self.unprompted.sparse, dense.to(self.dtype))

    # --- stage 3: masks -------------------------------------------------------------------------------------------

    def decode(
        self, conditioned: Tensor, features: Features, prompt: PromptEmbedding | None = None, *, multimask: bool = True
    ) -> Predictions:
        """Masks of B objects on one frame.

        Args:
            conditioned: (B, HW, C), from `attend_to_memory` or `features_without_memory`.
            features: of the frame.
            prompt: None while tracking.
            multimask: let the model predict several masks and take the one it thinks best.
        """
        prompt = prompt or self.unprompted
        candidates = self.decode_candidates(
            conditioned, features.fine, features.middle, prompt.sparse, prompt.dense, multimask
        )
        return self.select_best(*candidates)

    def decode_candidates(
        self, conditioned: Tensor, fine: Tensor, middle: Tensor, sparse: Tensor, dense: Tensor, multimask: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All masks that the model predicts.

        Args:
            conditioned: as in `decode`.
            fine: of the frame's `Features`.
            middle: of the frame's `Features`.
            sparse: of a `PromptEmbedding`.
            dense: of the same.
            multimask: as in `decode`.

        Returns:
            M masks of each object as logits (B, 1, M, 4h, 4w), their qualities (B, 1, M), their tokens (B, 1, M, C),
            and the presence (B, 1, 1).
        """
        count = conditioned.shape[0]
        masks, quality, tokens, presence = self.model.mask_decoder(
            image_embeddings=conditioned.transpose(1, 2).unflatten(2, self.grid_hw),
            image_positional_embeddings=self.image_position.repeat(count, 1, 1, 1),
            sparse_prompt_embeddings=sparse.expand(count, -1, -1, -1),
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            high_resolution_features=[fine, middle],
        )
        return masks, quality, tokens, presence

    def select_best(self, masks: Tensor, quality: Tensor, tokens: Tensor, presence: Tensor) -> Predictions:
        """Of each object the mask that the model thinks best. Arguments as `decode_candidates` gives them."""
        in_sight = presence > 0  # (B, 1, 1)
        best = quality[:, 0].argmax(-1)  # (B,)
        each = torch.arange(len(best), device=best.device)
        token = tokens[each, 0, best] if tokens.shape[2] > 1 else tokens[:, 0, 0]
        logits = torch.where(in_sight[..., None], masks[each, 0, best][:, None], NO_OBJECT_LOGIT)
        pointer = self._pointer(token, in_sight[:, 0])
        return Predictions(logits, pointer, presence[:, 0], quality[each, 0, best].float())

    def _pointer(self, token: Tensor, in_sight: Tensor) -> Tensor:
        weight = in_sight.to(token.dtype)
        out: Tensor = weight * self.model.object_pointer_proj(token) + (1 - weight) * self.model.no_object_pointer
        return out

    def uses_multimask(self, point_count: int, *, first: bool) -> bool:
        """Whether the model is to predict several masks of an object, of which the best is taken.

        Args:
            point_count: how many points and corners of boxes the object is prompted with.
            first: nothing is known of the object yet.
        """
        config = self.config
        wanted = config.multimask_output_in_sam and (first or config.multimask_output_for_tracking)
        return bool(wanted and config.multimask_min_pt_num <= point_count <= config.multimask_max_pt_num)

    def use_given_masks(self, features: Features, masks: Tensor) -> Predictions:
        """Given masks (B, 1, S, S), 0 or 1, as if the model had found them."""
        conditioned = features.top.expand(masks.shape[0], -1, -1)
        found = self.decode(conditioned, features, self.embed_masks(masks))
        in_sight = masks.flatten(1).any(1, keepdim=True)
        presence = torch.where(in_sight, GIVEN_LOGIT, -GIVEN_LOGIT).to(self.dtype)
        weight = in_sight.to(self.dtype)
        pointer = weight * found.pointer + (1 - weight) * self.model.no_object_pointer
        return Predictions(found.logits, pointer, presence, torch.ones_like(found.quality))

    # --- stage 4: memories of what was found ----------------------------------------------------------------------

    def upscale_logits(self, logits: Tensor) -> Tensor:
        """Logits at the size of the model's picture, (B, 1, S, S)."""
        size = (self.image_size, self.image_size)
        wide = logits.float()
        if wide.device.type == "cpu":  # its kernel rounds one channel differently from transformers' three masks
            wide = wide.repeat(1, 3, 1, 1)
        return F.interpolate(wide, size=size, mode="bilinear", align_corners=False)[:, :1].to(logits.dtype)

    def encode_memory(self, top: Tensor, large: Tensor, presence: Tensor, *, hard: bool) -> Tensor:
        """Memories of B objects on a frame.

        Args:
            top: of the frame's `Features`.
            large: (B, 1, S, S), logits.
            presence: (B, 1), logits.
            hard: use binary masks, because they were prompted; otherwise probabilities.

        Returns:
            (B, T, 64).
        """
        config, encoder = self.config, self.model.memory_encoder
        if self.resampler is None:
            large = _resize_masks(large, (4 * self.mask_hw[0], 4 * self.mask_hw[1]))
        inside = (large > 0).to(large.dtype) if hard else large.sigmoid()
        inside = inside * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        features = top.transpose(1, 2).unflatten(2, self.grid_hw)
        x = encoder.feature_projection(features) + encoder.mask_downsampler(inside)
        x = encoder.projection(encoder.memory_fuser(x))
        occluded_code = self.model.occlusion_spatial_embedding_parameter
        if occluded_code is not None:
            x = x + ((presence <= 0)[..., None, None] * occluded_code[..., None, None]).to(x.dtype)
        if self.resampler is None:
            memory: Tensor = x.to(torch.bfloat16).flatten(2).transpose(1, 2)
            return memory
        return resample(self.resampler, x, self.spatial_position.to(x.dtype))

    # --- a tracked frame ------------------------------------------------------------------------------------------

    @property
    def stages(self) -> Stages:
        """The plain stages of `track`."""
        return Stages(self.attend_to_memory, self.decode_candidates, self.encode_predicted)

    def track(self, features: Features, batch: MemoryBatch, stages: Stages | None = None) -> tuple[Predictions, Tensor]:
        """Stages 2 to 4 for objects without a prompt on this frame.

        Args:
            features: of the frame.
            batch: the memories of B objects.
            stages: compiled ones; by default the plain ones.

        Returns:
            What is found of the objects, and their memories of it (B, T, 64).
        """
        stages = stages or self.stages
        conditioned = stages.attend_to_memory(
            features.top, batch.memory, batch.position, batch.padding, batch.pointer_tokens, batch.memory_frames
        )
        multimask, prompt = self.uses_multimask(0, first=False), self.unprompted
        candidates = stages.decode_candidates(
            conditioned, features.fine, features.middle, prompt.sparse, prompt.dense, multimask
        )
        found = self.select_best(*candidates)
        return found, stages.encode_predicted(features.top, found.logits, found.presence)

    def encode_predicted(self, top: Tensor, logits: Tensor, presence: Tensor) -> Tensor:
        """Memories of masks that the model has found, (B, T, 64); arguments as `Predictions` has them."""
        return self.encode_memory(top, self.upscale_logits(logits), presence, hard=False)


def _resize_masks(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Masks (B, 1, h, w) at another size, resized as the models do; unchanged where the size fits."""
    if tuple(x.shape[-2:]) == size_hw:
        return x
    return F.interpolate(x.float(), size=size_hw, mode="bilinear", align_corners=False, antialias=True).to(x.dtype)
