"""Where the tensors of the detector stand in the published file of SAM 3.1.

The detector is transformers' ``Sam3Model``, which has names of its own. The published names are those that its
conversion script for SAM 3 reads (``convert_sam3_to_hf.py`` of transformers, Apache-2.0): SAM 3.1's are the same, with
a neck of three levels. Queries, keys and values of an attention are one tensor in the file, in this order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

__all__ = ["UNUSED", "PublishedPlace", "published_place"]

UNUSED = ("detector.geometry_encoder.", "detector.backbone.language_backbone.encoder.text_projection")
"""How names of tensors begin that words do not need: boxes and points as examples, and CLIP's own projection."""

PARTS = {
    "vision_encoder.neck.fpn_layers": "backbone.vision_backbone.convs",
    "text_encoder.text_model.embeddings.token_embedding": "backbone.language_backbone.encoder.token_embedding",
    "text_encoder.text_model.embeddings.position_embedding.weight": (
        "backbone.language_backbone.encoder.positional_embedding"
    ),
    "text_encoder.text_model.encoder.layers": "backbone.language_backbone.encoder.transformer.resblocks",
    "text_encoder.text_model.final_layer_norm": "backbone.language_backbone.encoder.ln_final",
    "text_projection": "backbone.language_backbone.resizer",
    "detr_encoder.layers": "transformer.encoder.layers",
    "detr_decoder.layers": "transformer.decoder.layers",
    "detr_decoder.output_layer_norm": "transformer.decoder.norm",
    "detr_decoder.box_head": "transformer.decoder.bbox_embed",
    "detr_decoder.query_embed": "transformer.decoder.query_embed",
    "detr_decoder.reference_points": "transformer.decoder.reference_points",
    "detr_decoder.presence_token": "transformer.decoder.presence_token",
    "detr_decoder.presence_head": "transformer.decoder.presence_token_head",
    "detr_decoder.presence_layer_norm": "transformer.decoder.presence_token_out_norm",
    "detr_decoder.ref_point_head": "transformer.decoder.ref_point_head",
    "detr_decoder.box_rpb_embed_x": "transformer.decoder.boxRPB_embed_x",
    "detr_decoder.box_rpb_embed_y": "transformer.decoder.boxRPB_embed_y",
    "dot_product_scoring.text_mlp": "dot_prod_scoring.prompt_mlp",
    "dot_product_scoring.text_mlp_out_norm": "dot_prod_scoring.prompt_mlp.out_norm",
    "dot_product_scoring.text_proj": "dot_prod_scoring.prompt_proj",
    "dot_product_scoring.query_proj": "dot_prod_scoring.hs_proj",
    "mask_decoder.pixel_decoder": "segmentation_head.pixel_decoder",
    "mask_decoder.mask_embedder": "segmentation_head.mask_predictor.mask_embed",
    "mask_decoder.instance_projection": "segmentation_head.instance_seg_head",
    "mask_decoder.semantic_projection": "segmentation_head.semantic_seg_head",
    "mask_decoder.prompt_cross_attn": "segmentation_head.cross_attend_prompt",
    "mask_decoder.prompt_cross_attn_norm": "segmentation_head.cross_attn_norm",
}
"""Parts of ``Sam3Model`` and what they are called in the file, below ``detector.``; of several, the longest counts."""

INSIDE = {
    "vision_encoder.neck": {
        r"^0\.scale_layers\.0": "0.dconv_2x2_0",
        r"^0\.scale_layers\.2": "0.dconv_2x2_1",
        r"^1\.scale_layers\.0": "1.dconv_2x2",
        r"\bproj1\b": "conv_1x1",
        r"\bproj2\b": "conv_3x3",
    },
    "text_encoder": {
        r"\bself_attn\b": "attn",
        r"\blayer_norm(\d)\b": r"ln_\1",
        r"\bmlp\.fc1\b": "mlp.c_fc",
        r"\bmlp\.fc2\b": "mlp.c_proj",
    },
    "detr_encoder": {
        r"\bcross_attn\b": "cross_attn_image",
        r"\blayer_norm(\d)\b": r"norm\1",
        r"\bmlp\.fc(\d)\b": r"linear\1",
    },
    "detr_decoder": {
        r"\bvision_cross_attn_layer_norm\b": "norm1",
        r"\bself_attn_layer_norm\b": "norm2",
        r"\bmlp_layer_norm\b": "norm3",
        r"\btext_cross_attn_layer_norm\b": "catext_norm",
        r"\btext_cross_attn\b": "ca_text",
        r"\bvision_cross_attn\b": "cross_attn",
        r"\bmlp\.fc(\d)\b": r"linear\1",
    },
}
"""What is called otherwise inside of a part, as patterns of the rest of a name."""

FUSED = re.compile(r"\b([qkv])_proj\.(weight|bias)$")


@dataclass(frozen=True, slots=True)
class PublishedPlace:
    """Where a tensor of ``Sam3Model`` stands in the file.

    Attributes:
        name: of the file's tensor.
        third: which third of its rows, of three tensors that stand in it together; None where it stands alone.
    """

    name: str
    third: int | None = None

    def shape(self, own: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the file's tensor, of that of the tensor itself."""
        return own if self.third is None else (3 * own[0], *own[1:])

    def read(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The tensor itself, of those of the file."""
        whole = tensors[self.name]
        return whole if self.third is None else whole.chunk(3)[self.third]


def published_place(name: str) -> PublishedPlace:
    """Where a tensor stands in the file, by its name in ``Sam3Model``.

    Raises:
        KeyError: ``Sam3Model`` has a part that is not known here.
    """
    part = max((part for part in PARTS if f"{name}.".startswith(f"{part}.")), key=len, default=None)
    if part is None:
        raise KeyError(name)
    rest = name.removeprefix(part).removeprefix(".")
    for group, renamed in INSIDE.items():
        if part.startswith(group):
            for pattern, published in renamed.items():
                rest = re.sub(pattern, published, rest)
    rest = re.sub(r"\blayer(\d)\b", lambda found: f"layers.{int(found[1]) - 1}", rest)  # of an MLP
    rest = re.sub(r"\bo_proj\b", "out_proj", rest)
    third = None
    if found := FUSED.search(rest):
        third = "qkv".index(found[1])
        rest = FUSED.sub(r"in_proj_\2", rest)
    return PublishedPlace(".".join(filter(None, ("detector", PARTS[part], rest))), third)
