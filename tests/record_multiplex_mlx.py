"""Write tests/fixtures/multiplex_mlx.npz: what mlx-vlm's port of SAM 3.1 (MIT) answers to `multiplex_scenarios`.

    pip install "mlx[cpu]"
    pip download --no-deps mlx-vlm==0.7.10 && python -m zipfile -e mlx_vlm-0.7.10-*.whl mlx
    python tests/record_multiplex_mlx.py mlx

It computes in float32. Two things are done as in the original, not as in the port: the cells of the picture are coded
at their centres, and a frame on which an object is added or corrected is remembered as a prompt frame.
"""

from __future__ import annotations

import importlib
import re
import sys
import types
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import torch
from mlx.utils import tree_flatten, tree_unflatten

import multiplex_models
from maskferry.engines._sam.checkpoint import CENTRED
from maskferry.engines._sam.preprocessing import normalise
from maskferry.engines._sam.prompting import resize_masks
from multiplex_scenarios import SCENARIOS, Recorder, Scenario, mask, picture, weights

FIXTURE = Path(__file__).parent / "fixtures" / "multiplex_mlx.npz"
PLAYED = ("three", "three reverse", "twenty", "twenty reverse")
SIZE = multiplex_models.TINY
TRACKER, VISION = "tracker.model.", "detector.backbone.vision_backbone."
MEMORY = "memory_encoder."
NAMES: dict[str, dict[str, Any]] = {
    TRACKER: {
        r"transformer\.encoder\.norm\.": "memory_attention.layer_norm.",
        r"transformer\.encoder\.": "memory_attention.",
        r"maskmem_backbone\.mask_downsampler\.encoder\.(0|3|6|9)\.": lambda m: (
            f"{MEMORY}mask_downsampler.layers.{int(m[1]) // 3}.conv."
        ),
        r"maskmem_backbone\.mask_downsampler\.encoder\.(1|4|7|10)\.": lambda m: (
            f"{MEMORY}mask_downsampler.layers.{int(m[1]) // 3}.layer_norm."
        ),
        r"maskmem_backbone\.mask_downsampler\.encoder\.12\.": MEMORY + "mask_downsampler.final_conv.",
        r"maskmem_backbone\.pix_feat_proj\.": MEMORY + "feature_projection.",
        r"maskmem_backbone\.fuser\.": MEMORY + "memory_fuser.",
        r"\.dwconv\.": ".depthwise_conv.",
        r"\.pwconv(\d)\.": r".pointwise_conv\1.",
        r"(memory_fuser\.layers\.\d+)\.norm\.": r"\1.layer_norm.",
        r"\.gamma$": ".scale",
        r"^maskmem_tpos_enc": "memory_temporal_positional_encoding",
        r"^obj_ptr_tpos_proj\.": "temporal_positional_encoding_projection_layer.",
        r"pe_layer\.positional_encoding_gaussian_matrix": "shared_embedding.positional_embedding",
        r"^image_shared_embedding\.": "image_pe_layer.",
        r"mask_downscaling\.(0|3|6)\.": lambda m: f"mask_embed.conv{int(m[1]) // 3 + 1}.",
        r"mask_downscaling\.(1|4)\.": lambda m: f"mask_embed.layer_norm{int(m[1]) // 3 + 1}.",
        r"output_upscaling\.0\.": "upscale_conv1.",
        r"output_upscaling\.1\.": "upscale_layer_norm.",
        r"output_upscaling\.3\.": "upscale_conv2.",
        r"(transformer\.layers\.\d+)\.norm(\d)\.": r"\1.layer_norm\2.",
        r"norm_final_attn": "layer_norm_final_attn",
        r"(decoder\.transformer.*)\.out_proj\.": r"\1.o_proj.",
        r"\.mlp\.lin1\.": ".mlp.proj_in.",
        r"\.mlp\.lin2\.": ".mlp.proj_out.",
        r"((?:mlps\.\d|_head))\.layers\.0\.": r"\1.proj_in.",
        r"((?:mlps\.\d|_head))\.layers\.1\.": r"\1.layers.0.",
        r"((?:mlps\.\d|_head))\.layers\.2\.": r"\1.proj_out.",
    },
    VISION: {
        r"^trunk\.blocks\.": "backbone.layers.",
        r"^trunk\.ln_pre\.": "backbone.layer_norm.",
        r"^trunk\.patch_embed\.proj\.": "backbone.embeddings.patch_embeddings.projection.",
        r"^trunk\.pos_embed": "backbone.embeddings.position_embeddings",
        r"\.norm(\d)\.": r".layer_norm\1.",
        r"\.attn\.proj\.": ".attention.o_proj.",
        r"^(\w*convs)\.": r"neck.\1.",
        r"dconv_2x2_0": "scale_layers.0",
        r"dconv_2x2_1": "scale_layers.2",
        r"dconv_2x2": "scale_layers.0",
        r"conv_1x1": "proj1",
        r"conv_3x3": "proj2",
    },
}
"""Published names -> the port's, by prefix; each rule is applied in turn."""


def arrays_of(state: dict[str, torch.Tensor], prefix: str) -> dict[str, Any]:
    """The tensors below a prefix as the port names and lays them out."""
    found: dict[str, torch.Tensor] = {}
    points: dict[int, torch.Tensor] = {}
    for full, tensor in state.items():
        if not full.startswith(prefix):
            continue
        name = full.removeprefix(prefix)
        if point := re.search(r"point_embeddings\.(\d)\.weight", name):
            points[int(point[1])] = tensor
        elif qkv := re.fullmatch(r"trunk\.blocks\.(\d+)\.attn\.qkv\.(\w+)", name):
            for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                found[f"backbone.layers.{qkv[1]}.attention.{letter}_proj.{qkv[2]}"] = part
        else:
            for pattern, replacement in NAMES[prefix].items():
                name = re.sub(pattern, replacement, name)
            found[name] = tensor[:, 1:] if "position_embeddings" in name else tensor
    if points:
        rows = [points[i] for i in range(4)]
        found["interactive_sam_prompt_encoder.point_embed.weight"] = torch.cat(rows)
    return {name: mx.array(_laid_out(name, tensor)) for name, tensor in found.items()}


def _laid_out(name: str, tensor: torch.Tensor) -> Any:
    """Channels last, as MLX has them."""
    if tensor.ndim == 4 and "temporal" not in name:
        transposed = "scale_layers" in name or "upscale_conv" in name
        tensor = tensor.permute(1, 2, 3, 0) if transposed else tensor.permute(0, 2, 3, 1)
    return tensor.contiguous().numpy()


def fill(module: Any, arrays: dict[str, Any], unused: str) -> None:
    """Give a module its weights; all but those below ``unused`` must be there."""
    names = {name for name, _ in tree_flatten(module.parameters())}
    assert not arrays.keys() - names, sorted(arrays.keys() - names)[:5]
    assert all(name.startswith(unused) for name in names - arrays.keys()), sorted(names - arrays.keys())[:5]
    module.update(tree_unflatten(list(arrays.items())))


class Port:
    """The port with the weights of a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.module = importlib.import_module("mlx_vlm.models.sam3_1.tracker")
        configs = importlib.import_module("mlx_vlm.models.sam3_1.config")
        state, channels = weights(scenario), SIZE.hidden
        config = configs.TrackerConfig(
            image_size=SIZE.image_size,
            mask_decoder_config={"hidden_size": channels, "mlp_dim": SIZE.decoder_mlp},
            prompt_encoder_config={
                "hidden_size": channels,
                "image_size": SIZE.image_size,
                "patch_size": SIZE.patch_size,
            },
            memory_attention_feed_forward_hidden_size=SIZE.attention_mlp,
            memory_attention_hidden_size=channels,
            memory_attention_num_layers=SIZE.attention_layers,
            memory_attention_rope_feat_sizes=[SIZE.grid] * 2,
            mask_downsampler_embed_dim=channels,
            mask_downsampler_input_size=SIZE.mask_size,
            memory_encoder_hidden_size=channels,
            memory_fuser_embed_dim=channels,
            memory_fuser_intermediate_dim=4 * channels,
        )
        self.tracker = self.module.MultiplexTrackerModel(config)
        fill(self.tracker, arrays_of(state, TRACKER), "shared_image_embedding")
        vit = importlib.import_module("mlx_vlm.models.sam3.config").ViTConfig(
            hidden_size=SIZE.trunk_width,
            num_hidden_layers=SIZE.trunk_depth,
            num_attention_heads=SIZE.trunk_heads,
            intermediate_size=SIZE.trunk_mlp,
            image_size=SIZE.image_size,
            patch_size=SIZE.patch_size,
            window_size=SIZE.window,
            global_attn_indexes=list(SIZE.global_blocks),
            pretrain_image_size=SIZE.pretrain_size,
            layer_norm_eps=1e-5,
        )
        encoder = configs.VisionEncoderConfig(backbone_config=vit, fpn_hidden_size=channels)
        self.encoder = importlib.import_module("mlx_vlm.models.sam3_1.vision").VisionEncoder(encoder)
        fill(self.encoder, arrays_of(state, VISION), "neck.convs")

    def features(self, index: int) -> Any:
        image = torch.from_numpy(picture(index).image).permute(2, 0, 1)[None].float()
        pixels = normalise(image, CENTRED, torch.float32).permute(0, 2, 3, 1).contiguous()
        _, prompts, tracking = self.encoder(mx.array(pixels.numpy()))
        return self.tracker.prepare_frame_features(prompts, tracking)


def masks_of(seeds: list[int]) -> Any:
    resized = resize_masks([mask(seed) for seed in seeds], SIZE.mask_size, torch.device("cpu"))
    return mx.array(resized.numpy())


def drop(session: Any, number: int) -> None:
    """Remove the object of this number, as the port's predictor does."""
    keep = mx.array(session.multiplex_state.remove_objects([number]))
    for frames in (session.cond_frame_outputs, session.non_cond_frame_outputs):
        for out in frames.values():
            for key in ("maskmem_features", "maskmem_pos_enc", "obj_ptr"):
                out[key] = out[key][keep]


def play(scenario: Scenario) -> Recorder:
    port, recorder = Port(scenario), Recorder(scenario)
    tracker, ids = port.tracker, sorted(scenario.prompts[0])
    session, known = tracker.init_state(len(ids)), list(ids)
    for step, index in enumerate(scenario.frames):
        for i in scenario.drops.get(step, ()):
            drop(session, known.index(i))
            known.remove(i)
        given = scenario.prompts.get(step, {})
        corrected, added = ([i for i in given if step and (i in known) == wanted] for wanted in (True, False))
        features, before = port.features(index), list(known)
        extra: dict[str, Any] = {}
        if not step:
            extra["mask_inputs"] = masks_of([given[i] for i in ids])
        elif added:
            extra = {
                "new_object_masks": masks_of([given[i] for i in added]),
                "new_object_idxs": [len(known) + n for n in range(len(added))],
            }
            known += added
        out = tracker.track_step(
            session,
            frame_idx=index,
            is_init_cond_frame=not step,
            frame_features=features,
            num_frames=len(scenario.frames),
            run_mem_encoder=not corrected,
            track_in_reverse=scenario.frames[0] > scenario.frames[-1],
            **extra,
        )
        if corrected:
            correct(port, session, features, out, [known.index(i) for i in corrected], [given[i] for i in corrected])
        if step and given:
            session.cond_frame_outputs[index] = session.non_cond_frame_outputs.pop(index)
        pointers = session.multiplex_state.demux(out["obj_ptr"])
        for i in (i for i in before if i not in given):
            row = before.index(i)
            parts = (out["pred_masks"][row], out["object_score_logits"][row], pointers[known.index(i)])
            recorder.note_object(step, i, *parts)
        for bucket in range(len(out["maskmem_features"])):
            live = [i for i in known if _bucket_of(i, ids) == bucket]
            recorder.note_memory(step, live, out["maskmem_features"][bucket].reshape(-1, SIZE.hidden))
    return recorder


def _bucket_of(object_id: int, first: list[int]) -> int:
    """Objects fill slots in order, and a slot is not used again."""
    return (first.index(object_id) if object_id in first else len(first)) // SIZE.slots


def correct(port: Port, session: Any, features: Any, out: Any, numbers: list[int], seeds: list[int]) -> None:
    """New masks of known objects on the present frame, as the port reconditions."""
    out["pred_masks_high_res"] = port.module._resize_masks(out["pred_masks_high_res"], *[SIZE.mask_size] * 2)
    prompts = features["interactive"]
    port.tracker.recondition_masks_in_existing_state(
        interactive_pix_feat=port.tracker._get_interactive_pix_mem(prompts["vision_feat"]),
        interactive_high_res_features=prompts["high_res"],
        propagation_vision_feat=features["propagation"]["vision_feat"],
        new_masks=masks_of(seeds),
        obj_idxs_in_mask=numbers,
        obj_ids_in_mask=None,
        prev_output=out,
        state=session,
    )


def code_cells_at_their_centres() -> None:
    def grid(self: Any, size: tuple[int, int]) -> Any:
        rows, columns = ((mx.arange(n) + 0.5) / n for n in size)
        y, x = mx.meshgrid(rows, columns, indexing="ij")
        return self.forward_with_coords(mx.stack([x.reshape(-1), y.reshape(-1)], -1)[None])[0]

    importlib.import_module("mlx_vlm.models.sam3.sam_components").PositionalEmbedding.__call__ = grid


def main() -> None:
    for name in ("mlx_vlm", "mlx_vlm.models", "mlx_vlm.models.sam3", "mlx_vlm.models.sam3_1"):
        package = types.ModuleType(name)  # without their __init__, which imports what is not needed here
        package.__path__ = [str(Path(sys.argv[1], *name.split(".")))]
        sys.modules[name] = package
    mx.set_default_device(mx.cpu)
    code_cells_at_their_centres()
    kept: dict[str, Any] = {}
    for name in PLAYED:
        recorder = play(SCENARIOS[name])
        kept |= {f"{name}/objects": recorder.objects, f"{name}/memories": recorder.memories}
    np.savez_compressed(FIXTURE, **{name: values.astype(np.float32) for name, values in kept.items()})


if __name__ == "__main__":
    main()
