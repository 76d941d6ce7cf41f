"""Words with sam3.1, on a tiny checkpoint: the file's detector is read strictly, and finds what Sam3Model finds."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the SAM engines need torch")
pytest.importorskip("transformers", reason="the SAM engines need transformers")

import multiplex_models
from helpers import square_mask
from maskferry import AssociationOptions, MaskPrompt, MaskTracker, TextPrompt, VideoInfo
from maskferry.data import Frame, FrameInfo, State
from maskferry.engines._sam.multiplex.architecture import PUBLISHED
from maskferry.engines._sam.multiplex.detector import build_detector, published_shapes
from maskferry.engines._sam.multiplex.detector_names import PublishedPlace, published_place
from maskferry.engines._sam.multiplex.tokenizer import find_tokenizer
from maskferry.engines._sam.text_detector import non_maximum_suppression
from maskferry.engines.base import DetectsText, TextThresholds
from maskferry.errors import EngineError, InputError, PromptNotSupportedError
from maskferry.samgeo import SamGeo3Video

HEIGHT, WIDTH, COUNT = 64, 96, 7
VIDEO = VideoInfo(WIDTH, HEIGHT, frame_count=COUNT)
IMAGES = np.random.default_rng(5).integers(0, 256, (COUNT, 8, 12, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
LEFT = square_mask((HEIGHT, WIDTH), 8, 12, 24)
ALL = {"min_score": 0.0, "max_iou": 1.0}


def picture(index):
    return Frame(FrameInfo(index, None, str(index)), IMAGES[index])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return multiplex_models.save(tmp_path_factory.mktemp("sam31") / "sam3.1_multiplex.pt")


@pytest.fixture(scope="module")
def engine(checkpoint):
    return multiplex_models.TinyEngine(checkpoint=checkpoint, device="cpu")


@pytest.fixture
def encoded(engine):
    """How many frames each run of the trunk had."""
    counts: list[int] = []
    trunk = engine._models[0].network.vision.trunk
    handle = trunk.register_forward_hook(lambda module, inputs, output: counts.append(len(inputs[0])))
    yield counts
    handle.remove()


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "published"),
    [
        ("vision_encoder.neck.fpn_layers.0.scale_layers.0.bias", "backbone.vision_backbone.convs.0.dconv_2x2_0.bias"),
        ("vision_encoder.neck.fpn_layers.0.scale_layers.2.bias", "backbone.vision_backbone.convs.0.dconv_2x2_1.bias"),
        ("vision_encoder.neck.fpn_layers.1.scale_layers.0.bias", "backbone.vision_backbone.convs.1.dconv_2x2.bias"),
        ("vision_encoder.neck.fpn_layers.2.proj1.weight", "backbone.vision_backbone.convs.2.conv_1x1.weight"),
        ("vision_encoder.neck.fpn_layers.2.proj2.weight", "backbone.vision_backbone.convs.2.conv_3x3.weight"),
        (
            "text_encoder.text_model.embeddings.position_embedding.weight",
            "backbone.language_backbone.encoder.positional_embedding",
        ),
        (
            "text_encoder.text_model.encoder.layers.23.self_attn.k_proj.bias",
            ("backbone.language_backbone.encoder.transformer.resblocks.23.attn.in_proj_bias", 1),
        ),
        (
            "text_encoder.text_model.encoder.layers.3.layer_norm2.weight",
            "backbone.language_backbone.encoder.transformer.resblocks.3.ln_2.weight",
        ),
        (
            "text_encoder.text_model.encoder.layers.3.mlp.fc2.weight",
            "backbone.language_backbone.encoder.transformer.resblocks.3.mlp.c_proj.weight",
        ),
        ("text_encoder.text_model.final_layer_norm.bias", "backbone.language_backbone.encoder.ln_final.bias"),
        ("text_projection.weight", "backbone.language_backbone.resizer.weight"),
        (
            "detr_encoder.layers.5.cross_attn.v_proj.weight",
            ("transformer.encoder.layers.5.cross_attn_image.in_proj_weight", 2),
        ),
        ("detr_encoder.layers.5.self_attn.o_proj.bias", "transformer.encoder.layers.5.self_attn.out_proj.bias"),
        ("detr_encoder.layers.5.layer_norm3.bias", "transformer.encoder.layers.5.norm3.bias"),
        ("detr_encoder.layers.5.mlp.fc1.bias", "transformer.encoder.layers.5.linear1.bias"),
        ("detr_decoder.layers.0.vision_cross_attn_layer_norm.bias", "transformer.decoder.layers.0.norm1.bias"),
        ("detr_decoder.layers.0.self_attn_layer_norm.bias", "transformer.decoder.layers.0.norm2.bias"),
        ("detr_decoder.layers.0.mlp_layer_norm.bias", "transformer.decoder.layers.0.norm3.bias"),
        ("detr_decoder.layers.0.text_cross_attn_layer_norm.bias", "transformer.decoder.layers.0.catext_norm.bias"),
        (
            "detr_decoder.layers.0.text_cross_attn.q_proj.weight",
            ("transformer.decoder.layers.0.ca_text.in_proj_weight", 0),
        ),
        (
            "detr_decoder.layers.0.vision_cross_attn.k_proj.weight",
            ("transformer.decoder.layers.0.cross_attn.in_proj_weight", 1),
        ),
        ("detr_decoder.layers.0.mlp.fc2.bias", "transformer.decoder.layers.0.linear2.bias"),
        ("detr_decoder.output_layer_norm.bias", "transformer.decoder.norm.bias"),
        ("detr_decoder.box_head.layer3.bias", "transformer.decoder.bbox_embed.layers.2.bias"),
        ("detr_decoder.presence_token.weight", "transformer.decoder.presence_token.weight"),
        ("detr_decoder.presence_head.layer1.bias", "transformer.decoder.presence_token_head.layers.0.bias"),
        ("detr_decoder.presence_layer_norm.bias", "transformer.decoder.presence_token_out_norm.bias"),
        ("detr_decoder.box_rpb_embed_x.layer2.bias", "transformer.decoder.boxRPB_embed_x.layers.1.bias"),
        ("dot_product_scoring.text_mlp.layer1.bias", "dot_prod_scoring.prompt_mlp.layers.0.bias"),
        ("dot_product_scoring.text_mlp_out_norm.bias", "dot_prod_scoring.prompt_mlp.out_norm.bias"),
        ("dot_product_scoring.text_proj.bias", "dot_prod_scoring.prompt_proj.bias"),
        ("dot_product_scoring.query_proj.bias", "dot_prod_scoring.hs_proj.bias"),
        ("mask_decoder.pixel_decoder.norms.2.bias", "segmentation_head.pixel_decoder.norms.2.bias"),
        ("mask_decoder.mask_embedder.layers.0.bias", "segmentation_head.mask_predictor.mask_embed.layers.0.bias"),
        ("mask_decoder.instance_projection.bias", "segmentation_head.instance_seg_head.bias"),
        ("mask_decoder.semantic_projection.bias", "segmentation_head.semantic_seg_head.bias"),
        ("mask_decoder.prompt_cross_attn.o_proj.bias", "segmentation_head.cross_attend_prompt.out_proj.bias"),
        ("mask_decoder.prompt_cross_attn_norm.bias", "segmentation_head.cross_attn_norm.bias"),
    ],
)
def test_published_names(own, published):
    """As the conversion script of transformers reads them."""
    name, third = (published, None) if isinstance(published, str) else published
    assert published_place(own) == PublishedPlace(f"detector.{name}", third)


def test_the_published_tensors_are_1166_of_the_detector():
    """With the trunk and its tables, the other two necks, and what words do not need."""
    shapes = published_shapes(build_detector(PUBLISHED))
    parts = Counter(".".join(name.split(".")[1:3]) for name in shapes)
    assert (parts["backbone.vision_backbone"], parts["backbone.language_backbone"]) == (18, 294)
    geometry, points, projection = 70, 6, 1
    assert len(shapes) + geometry + points + projection + 388 + 32 + 2 * 18 == 1166
    assert shapes["detector.backbone.language_backbone.encoder.token_embedding.weight"] == (49408, 1024)
    assert shapes["detector.transformer.decoder.layers.5.ca_text.in_proj_weight"] == (768, 256)
    assert shapes["detector.transformer.decoder.query_embed.weight"] == (200, 256)


# --- what is found ------------------------------------------------------------------------------------------------


def test_it_finds_what_transformers_finds(engine, checkpoint):
    """Each phrase alone, by a model with a geometry encoder and a neck of four levels, on the same features."""
    session, phrases = engine.open(VIDEO), ["car", "a red dog"]
    assert isinstance(session, DetectsText)
    found = session.detect(picture(0), phrases, **ALL)
    reference, tokenizer = multiplex_models.detector(), find_tokenizer("sam3.1", checkpoint, 60)
    trunk = session._trackers[0].encoder.current_features(picture(0)).trunk
    for text, own in zip(phrases, found, strict=True):
        words = tokenizer(text, return_tensors="pt", padding="max_length", max_length=32)
        with torch.inference_mode():
            levels, positions = reference.vision_encoder.neck(trunk)
            vision = multiplex_models.vision_output(levels, positions)
            out = reference(vision_embeds=vision, input_ids=words.input_ids, attention_mask=words.attention_mask)
        scores = (out.pred_logits.sigmoid() * out.presence_logits.sigmoid())[0]
        logits = out.pred_masks[:, scores.argsort(descending=True)]
        masks = torch.nn.functional.interpolate(logits, (HEIGHT, WIDTH), mode="bilinear")[0] > 0
        assert [score for _, score in own] == pytest.approx(sorted(scores.tolist(), reverse=True), abs=1e-5)
        agree = [np.mean(mask == wanted.numpy()) for (mask, _), wanted in zip(own, masks, strict=True)]
        assert min(agree) > 0.999  # but for rounding, at borders
    assert [score for _, score in found[0]] != [score for _, score in found[1]]


def test_thresholds_are_those_of_the_authors(engine):
    assert engine.open(VIDEO).text_thresholds() == TextThresholds(min_score=0.4, min_new_score=0.65, max_iou=0.1)


def test_overlap_is_measured_by_the_smaller_mask():
    large = torch.zeros(10, 10, dtype=torch.bool)
    large[:, :8] = True
    small = torch.zeros(10, 10, dtype=torch.bool)
    small[:2, 7:] = True
    scores, masks = torch.tensor([0.9, 0.8]), torch.stack([large, small])  # 2 pixels in both: 2 of 84, 2 of 6
    assert non_maximum_suppression(scores, masks, 0, 0.3, overlap="iou") == [0, 1]
    assert non_maximum_suppression(scores, masks, 0, 0.3, overlap="iom") == [0]
    assert non_maximum_suppression(scores, masks, 0, 0.4, overlap="iom") == [0, 1]


def test_in_half_precision_and_on_several_devices(engine, checkpoint):
    exact = engine.open(VIDEO).detect(picture(0), ["car"], **ALL)[0]
    half = multiplex_models.TinyEngine(checkpoint=checkpoint, device="cpu", precision="bfloat16")
    near = half.open(VIDEO).detect(picture(0), ["car"], **ALL)[0]
    assert [score for _, score in near] == pytest.approx([score for _, score in exact], abs=0.02)
    several = multiplex_models.TinyEngine(checkpoint=checkpoint, device=["cpu", "cpu"]).open(VIDEO)
    assert [score for _, score in several.detect(picture(0), ["car"], **ALL)[0]] == [score for _, score in exact]


# --- in a session -------------------------------------------------------------------------------------------------


def test_the_detector_is_loaded_with_the_first_words_and_the_trunk_runs_once_a_frame(checkpoint):
    engine = multiplex_models.TinyEngine(checkpoint=checkpoint, device="cpu")
    assert TextPrompt in engine.accepts
    session, counts = engine.open(VIDEO), []
    engine._models[0].network.vision.trunk.register_forward_hook(lambda *_: counts.append(1))
    session.step(picture(0), [MaskPrompt(0, 1, LEFT)])
    assert engine._models[0].detector._detector is None
    for index in range(1, 4):
        session.detect(picture(index), ["car"], **ALL)
        session.step(picture(index), [TextPrompt(index, "dog"), MaskPrompt(index, 1, LEFT)])
        session.detect(picture(index), ["car", "dog"], **ALL)
        session.reprompt(picture(index), [MaskPrompt(index, 1, LEFT)])
        assert len(counts) == index + 1


def test_looking_for_words_changes_nothing_that_is_tracked(engine):
    plain, asked = engine.open(VIDEO), engine.open(VIDEO)
    for index in range(3):
        prompts = [MaskPrompt(0, 1, LEFT)] if not index else []
        assert asked.step(picture(index), prompts) == plain.step(picture(index), prompts)
        asked.detect(picture(index), ["car"], **ALL)
    assert asked.snapshot() == plain.snapshot()


def test_a_text_prompt_begins_objects(engine, monkeypatch):
    session = engine.open(VIDEO)
    found = session.detect(picture(0), ["car"], **ALL)[0]
    monkeypatch.setattr(engine._models[0].detector, "_thresholds", TextThresholds(0.1, found[2][1], 1.0))
    rows = session.step(picture(0), [MaskPrompt(0, 4, LEFT), TextPrompt(0, "car", (9,))])
    assert rows.object_ids == (4, 9, 10)  # what is above the threshold: the best two
    for i, (mask, score) in zip((9, 10), found, strict=False):
        assert (rows[i].state, rows[i].score) == (State.TRACKED, score)
        assert np.array_equal(rows.mask(i), mask)
    assert rows[4].state is State.GIVEN
    assert session.step(picture(1)).object_ids == (4, 9, 10)


def test_a_run_with_words_joins_what_enters(engine, encoded):
    options = AssociationOptions(
        every=3, min_score=0.1, min_new_score=0.1, max_iou=0.9, on_loss=False, new_area=None, confirm=0
    )
    with MaskTracker(IMAGES, engine=multiplex_models.twin(engine)) as tracker:
        tracker.add_mask_prompt(LEFT, 7)
        tracks = tracker.propagate(text=["car", "dog"], association=options, direction="forward")
    assert encoded == [1] * COUNT
    assert len(tracks.object_ids) > 1
    assert set(tracks.labels.values()) <= {"car", "dog"}
    assert 7 not in tracks.labels


def test_words_in_samgeo(engine, monkeypatch, tmp_path, capsys):
    for index, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    detector = engine._models[0].detector
    monkeypatch.setattr(detector, "_thresholds", TextThresholds(0.1, 0.1, 0.9))
    with SamGeo3Video(engine=multiplex_models.twin(engine)) as sam:
        sam.set_video(tmp_path)
        outputs = sam.generate_masks("car")
        found = outputs[0]["out_obj_ids"].tolist()
    assert found[0] == 1
    assert f"Found {len(found)} object(s) matching 'car' on frame 0." in capsys.readouterr().out
    assert list(outputs) == list(range(COUNT))
    assert all(outputs[k]["out_obj_ids"].tolist()[: len(found)] == found for k in range(COUNT))


# --- what is refused ----------------------------------------------------------------------------------------------


def test_a_file_without_a_detector_takes_no_text(tmp_path):
    path = multiplex_models.write(tmp_path / "m.pt", multiplex_models.weights())
    engine = multiplex_models.TinyEngine(checkpoint=path, device="cpu")
    assert TextPrompt not in engine.accepts
    session = engine.open(VIDEO)
    with pytest.raises(PromptNotSupportedError, match=r"'sam3\.1' takes no text here: its file of weights holds no"):
        session.detect(picture(0), ["car"], **ALL)
    with pytest.raises(PromptNotSupportedError, match=r"'sam3\.1' takes no text here: use engine 'sam3' or 'sam3\.1'"):
        session.step(picture(0), [TextPrompt(0, "car")])
    assert session.step(picture(0), [MaskPrompt(0, 1, LEFT)]).object_ids == (1,)


def test_what_is_missing_unexpected_or_misshapen_is_named(tmp_path):
    tensors = multiplex_models.published(multiplex_models.weights())
    del tensors["detector.dot_prod_scoring.hs_proj.bias"]
    tensors["detector.transformer.surplus"] = torch.zeros(2)
    tensors["detector.transformer.decoder.query_embed.weight"] = torch.zeros(5, 64)
    tensors["detector.transformer.encoder.layers.0.self_attn.in_proj_weight"] = torch.zeros(64, 64)
    path = multiplex_models.write(tmp_path / "m.pt", tensors)
    session = multiplex_models.TinyEngine(checkpoint=path, device="cpu").open(VIDEO)
    session.step(picture(0), [MaskPrompt(0, 1, LEFT)])  # without words, nobody looks
    with pytest.raises(EngineError) as caught:
        session.detect(picture(0), ["car"], **ALL)
    for part in (
        "m.pt does not hold the whole detector of SAM 3.1, which words need",
        "1 missing (detector.dot_prod_scoring.hs_proj.bias)",
        "1 unexpected (detector.transformer.surplus)",
        "detector.transformer.decoder.query_embed.weight (5, 64) instead of (6, 64)",
        "detector.transformer.encoder.layers.0.self_attn.in_proj_weight (64, 64) instead of (192, 64)",
    ):
        assert part in str(caught.value)


def test_a_frame_of_another_size_is_refused(engine):
    small = Frame(FrameInfo(0, None, "0"), np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(InputError, match="expected RGB uint8"):
        engine.open(VIDEO).detect(small, ["car"], **ALL)


def test_where_the_tokenizer_is_looked_for(tmp_path, checkpoint, monkeypatch):
    assert len(find_tokenizer("sam3.1", checkpoint, 60)) == 54
    with pytest.raises(EngineError, match=r"has 54 tokens, expected CLIP's, of at most 50"):
        find_tokenizer("sam3.1", checkpoint, 50)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EngineError) as caught:
        find_tokenizer("sam3.1", tmp_path / "m.pt", 60)
    for part in (
        f"neither in {tmp_path} nor to be had of the hub's openai/clip-vit-base-patch32",
        f"Put vocab.json and merges.txt of openai/clip-vit-base-patch32 or of facebook/sam3 into {tmp_path}",
    ):
        assert part in str(caught.value)
    root = tmp_path / "cache" / "models--openai--clip-vit-base-patch32"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("abc123")
    (root / "snapshots" / "abc123").mkdir(parents=True)
    for name in ("vocab.json", "merges.txt"):
        (root / "snapshots" / "abc123" / name).write_bytes(checkpoint.with_name(name).read_bytes())
    assert len(find_tokenizer("sam3.1", tmp_path / "m.pt", 60)) == 54
    (tmp_path / "merges.txt").write_bytes(b"#version: 0.2\n")
    (tmp_path / "vocab.json").write_bytes(b"rubbish")
    with pytest.raises(EngineError, match="holds no tokenizer of CLIP"):
        find_tokenizer("sam3.1", tmp_path / "m.pt", 60)
