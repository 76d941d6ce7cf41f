"""Tiny models of the three families with random weights, as `save_pretrained` writes them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
import transformers

H = 128  # twice the memories' 64 channels, so that a pointer is two tokens
COMMON = {
    "memory_attention_hidden_size": H,
    "memory_attention_num_layers": 2,
    "memory_encoder_hidden_size": H,
    "mask_downsampler_embed_dim": H,
    "memory_fuser_embed_dim": H,
    "memory_fuser_intermediate_dim": 64,
    "mask_decoder_config": {"hidden_size": H, "mlp_dim": 64, "iou_head_hidden_dim": 32, "num_attention_heads": 2},
}
SIZES = {"sam3": 112, "sam2.1-tiny": 128, "edgetam": 128}


def sam3_config() -> Any:
    """Tracker and detector."""
    vit = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 112,
        "patch_size": 14,
        "window_size": 4,
        "global_attn_indexes": [1],
        "pretrain_image_size": 56,
    }
    vision = {"model_type": "sam3_vision_model", "fpn_hidden_size": H, "backbone_config": vit}
    tracker = COMMON | {
        "model_type": "sam3_tracker_video",
        "vision_config": vision,
        "image_size": 112,
        "memory_attention_feed_forward_hidden_size": 64,
        "prompt_encoder_config": {"hidden_size": H},
    }
    text = {
        "model_type": "clip_text_model",
        "vocab_size": 60,
        "hidden_size": 32,
        "intermediate_size": 64,
        "projection_dim": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    layers = {"hidden_size": H, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    detector = {
        "model_type": "sam3",
        "vision_config": vision,
        "text_config": text,
        "geometry_encoder_config": layers,
        "detr_encoder_config": layers,
        "detr_decoder_config": layers | {"num_queries": 6},
        "mask_decoder_config": {"hidden_size": H, "num_attention_heads": 2},
    }
    return transformers.Sam3VideoConfig(
        detector_config=detector, tracker_config=tracker, low_res_mask_size=32, new_det_thresh=0.5, det_nms_thresh=0.9
    )


def sam2_parts() -> dict[str, Any]:
    """What SAM 2.1 and the EdgeTAM of these tests share; EdgeTAM's own backbone is tested on its own."""
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [128, 128],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [8, 4, 4, 4],
        "global_attention_blocks": [3],
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        "fpn_hidden_size": H,
        "backbone_config": backbone,
    }
    return COMMON | {
        "image_size": 128,
        "vision_config": vision,
        "memory_attention_rope_feat_sizes": [8, 8],
        "prompt_encoder_config": {"hidden_size": H, "image_size": 128},
    }


def edgetam_parts() -> dict[str, Any]:
    """What makes an EdgeTAM, with the backbone of SAM 2.1."""
    return sam2_parts() | {
        "memory_attention_rope_k_sizes": [4, 4],
        "memory_attention_mlp_hidden_size": 64,
        "perceiver_resampler_num_latents": 16,
        "perceiver_resampler_num_latents_2d": 16,
        "perceiver_resampler_num_layers": 1,
    }


torch.set_num_threads(1)  # threads that wait for each other cost more than such small products


def build(name: str) -> Any:
    """A whole model of transformers with weights that let objects, frames and masks differ."""
    if name == "sam3":
        model = transformers.Sam3VideoModel(sam3_config())
    elif name == "edgetam":
        model = transformers.EdgeTamVideoModel(transformers.EdgeTamVideoConfig(**edgetam_parts()))  # type: ignore[assignment]
    else:
        config = transformers.Sam2VideoConfig(**sam2_parts(), memory_attention_feed_forward_hidden_size=64)
        model = transformers.Sam2VideoModel(config)  # type: ignore[assignment]
    randomise(model)
    return model


def randomise(model: Any, gain: float = 1.0) -> None:
    """Weights with which objects, frames and masks differ."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim >= 2 and "embed" not in name and "encoding" not in name:
                strength = 4 * gain if "cross_attn_image.o_proj" in name else gain  # so that memories have an effect
                weight.copy_(noise * strength / max(1, weight[0].numel()) ** 0.5)
            elif "norm" in name and name.endswith("weight"):
                weight.fill_(1.0)
            else:
                weight.copy_(noise * (0.3 if weight.ndim >= 2 or name.endswith("scale") else 0.1))
            if name.endswith("pred_obj_score_head.proj_out.bias"):
                weight.fill_(2.0)  # most objects are in sight on most frames
            if name.endswith("presence_head.layer3.bias"):
                weight.fill_(6.0)  # and words find something


def save(name: str, folder: Path) -> Path:
    """Write a tiny model where `checkpoint=` finds it; ``sam3`` with a tokenizer of letters."""
    build(name).save_pretrained(folder)
    if name == "sam3":
        write_tokenizer(folder)
        settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 32}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def write_tokenizer(folder: Path) -> None:
    """CLIP's tokenizer with letters for words."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")


def twin(engine: Any) -> Any:
    """The same engine, to be closed without closing the other: loading one for each test takes long."""
    return copy.copy(engine)


class SteeredHead(torch.nn.Module):
    """The head that says whether an object is in sight, overruled on some frames; for the engine and the reference.

    Attributes:
        logit: the answer for an object on a frame, by (object id, frame).
        objects: of the batch that comes next.
        frame: that comes next.
    """

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.logit: dict[tuple[int, int], float] = {}
        self.objects: list[int] = []
        self.frame = -1

    def forward(self, tokens: Any) -> Any:
        out = self.inner(tokens).clamp(min=0.5)  # (B, 1, 1); in sight on all other frames
        for row, i in enumerate(self.objects):
            if (i, self.frame) in self.logit:
                out[row] = self.logit[i, self.frame]
        return out
