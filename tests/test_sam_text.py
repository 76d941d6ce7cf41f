"""Words on the frames of a pass, on a tiny SAM 3: the trunk runs once a frame, and finds are those of transformers."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the SAM engines need torch")
transformers = pytest.importorskip("transformers", reason="the SAM engines need transformers")

import sam_models
from helpers import contents, saved_contents, square_mask
from maskferry import AssociationOptions, MaskPrompt, MaskTracker, TextPrompt, VideoInfo
from maskferry.data import Frame, FrameInfo
from maskferry.engines._sam import SamEngine
from maskferry.engines._sam import text_detector as module
from maskferry.engines._sam.preprocessing import normalise, resize, upload
from maskferry.engines.base import DetectsText, TextThresholds
from maskferry.errors import InputError, PromptNotSupportedError

HEIGHT, WIDTH, COUNT = 64, 96, 9
VIDEO = VideoInfo(WIDTH, HEIGHT, frame_count=COUNT)
IMAGES = np.random.default_rng(5).integers(0, 256, (COUNT, 8, 12, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
LEFT = square_mask((HEIGHT, WIDTH), 8, 12, 24)
ALL = {"min_score": 0.0, "max_iou": 0.9}


def picture(index):
    return Frame(FrameInfo(index, None, str(index)), IMAGES[index])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return sam_models.save("sam3", tmp_path_factory.mktemp("sam3"))


@pytest.fixture(scope="module")
def sam3(folder):
    return SamEngine("sam3", checkpoint=folder, device="cpu")


@pytest.fixture
def encoded(sam3):
    """How many frames each run of the trunk had."""
    counts: list[int] = []
    backbone = sam3._models[0].network.model.vision_encoder.backbone
    handle = backbone.register_forward_hook(lambda module, inputs, output: counts.append(len(inputs[0])))
    yield counts
    handle.remove()


def test_it_finds_what_transformers_finds(sam3, folder):
    """On the backbone's output and with all phrases in one batch, as one after the other on the picture."""
    session, phrases = sam3.open(VIDEO), ["car", "a red dog", "tree"]
    assert isinstance(session, DetectsText)
    found = session.detect(picture(0), phrases, **ALL)
    reference = transformers.Sam3Model.from_pretrained(folder).eval()
    pixels = normalise(resize(upload(IMAGES[0], torch.device("cpu")), 112), sam3._models[0].mean_std, torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text, own in zip(phrases, found, strict=True):
        words = tokenizer(text, return_tensors="pt", padding="max_length", max_length=32)
        with torch.inference_mode():
            out = reference(pixels, input_ids=words.input_ids, attention_mask=words.attention_mask)
        scores = (out.pred_logits.sigmoid() * out.presence_logits.sigmoid())[0]
        logits = out.pred_masks[:, scores.argsort(descending=True)]
        masks = torch.nn.functional.interpolate(logits, (HEIGHT, WIDTH), mode="bilinear")[0] > 0
        assert [score for _, score in own] == pytest.approx(sorted(scores.tolist(), reverse=True)[: len(own)], abs=1e-4)
        assert len(own) == len(masks)
        agree = [np.mean(mask == wanted.numpy()) for (mask, _), wanted in zip(own, masks, strict=True)]
        assert min(agree) > 0.999  # but for rounding, at borders


def test_many_phrases_go_in_batches_and_each_is_embedded_once(sam3, monkeypatch):
    session, phrases = sam3.open(VIDEO), ["a", "bb", "ccc", "dd", "e"]
    session.detect(picture(0), ["a"], **ALL)
    detector, runs, embedded = sam3._models[0].detector._detector, [], []
    features = detector.get_text_features
    monkeypatch.setattr(module, "PHRASES_AT_ONCE", 2)
    monkeypatch.setattr(detector, "get_text_features", lambda *a, **k: embedded.append(1) or features(*a, **k))
    handle = detector.register_forward_hook(
        lambda _, args, options, out: runs.append(len(options["attention_mask"])), with_kwargs=True
    )
    for _ in range(2):
        together = session.detect(picture(0), phrases, **ALL)
    handle.remove()
    assert (runs, len(embedded)) == ([2, 2, 1] * 2, 4)
    for text, found in zip(phrases, together, strict=True):
        alone = session.detect(picture(0), [text], **ALL)[0]
        assert [score for _, score in found] == pytest.approx([score for _, score in alone], abs=1e-5)


def test_a_frame_is_encoded_once_whatever_is_asked_of_it(sam3, encoded):
    session = sam3.open(VIDEO)
    for index in range(3):
        session.detect(picture(index), ["car"], **ALL)
        session.step(picture(index), [TextPrompt(index, "dog"), MaskPrompt(index, 1, LEFT)])
        session.detect(picture(index), ["car", "dog"], **ALL)
        session.reprompt(picture(index), [MaskPrompt(index, 2, LEFT)])
        assert encoded == [1] * (index + 1)
    for index in range(3, 6):  # frames that are only looked at are not piled up
        session.detect(picture(index), ["car"], **ALL)
    assert len(encoded) == 6
    assert not session._encoder._ready


def test_looking_for_words_changes_nothing_that_is_tracked(sam3):
    plain, asked = sam3.open(VIDEO), sam3.open(VIDEO)
    for index in range(4):
        prompts = [MaskPrompt(0, 1, LEFT)] if not index else []
        assert asked.step(picture(index), prompts) == plain.step(picture(index), prompts)
        asked.detect(picture(index), ["car"], **ALL)
    assert asked.snapshot() == plain.snapshot()


OPTIONS = AssociationOptions(every=3, min_new_score=0.55, max_iou=0.1, on_loss=False, new_area=None, confirm=0)


def test_a_run_with_words_runs_the_trunk_once_a_frame(sam3, encoded):
    with MaskTracker(IMAGES, engine=sam_models.twin(sam3)) as tracker:
        tracker.add_mask_prompt(LEFT, 7)
        tracks = tracker.propagate(text=["car", "dog"], association=OPTIONS, direction="forward")
        assert encoded == [1] * COUNT
        assert len(tracks.object_ids) > 1
        assert set(tracks.labels.values()) <= {"car", "dog"}
        assert 7 not in tracks.labels
        assert all(tracks[0].object_ids == masks.object_ids for masks in tracks.values() if masks.frame < 3)


def test_a_stopped_run_goes_on_to_the_same_result(sam3, tmp_path):
    def go(path, *stops):
        for stop in (*stops, None):
            seen = []
            with MaskTracker(IMAGES, engine=sam_models.twin(sam3), tracks=path, resume=True) as tracker:
                tracks = tracker.propagate(
                    text=["car", "dog"],
                    association=OPTIONS,
                    callback=seen.append,
                    cancelled=lambda seen=seen, stop=stop: stop is not None and len(seen) >= stop,
                )
                assert contents(tracks)
        return saved_contents(path)

    assert go(tmp_path / "stopped.sqlite", 2, 3, 2) == go(tmp_path / "whole.sqlite")


def test_thresholds_are_the_checkpoints(sam3, monkeypatch):
    session = sam3.open(VIDEO)
    assert session.text_thresholds() == TextThresholds(min_score=0.5, min_new_score=0.5, max_iou=0.9)
    detector = sam3._models[0].detector
    scores = [score for _, score in session.detect(picture(0), ["car"], **ALL)[0]]
    monkeypatch.setattr(detector, "_thresholds", TextThresholds(0.1, scores[1], 0.9))
    assert len(session.step(picture(0), [TextPrompt(0, "car")])) == 1  # what begins an object is above it
    assert len(session.detect(picture(0), ["car"], min_score=scores[2], max_iou=0.9)[0]) == 2
    assert len(session.detect(picture(0), ["car"], min_score=0, max_iou=0)[0]) < len(scores)


def test_in_half_precision(sam3, folder):
    half = SamEngine("sam3", checkpoint=folder, device="cpu", precision="bfloat16")
    near, exact = (
        [
            score
            for found in engine.open(VIDEO).detect(picture(0), ["car", "dog"], min_score=0, max_iou=1)
            for _, score in found
        ]
        for engine in (half, sam3)
    )
    assert near == pytest.approx(exact, abs=0.02)


def test_on_several_devices(folder):
    engine = SamEngine("sam3", checkpoint=folder, device="cpu,cpu")
    one = SamEngine("sam3", checkpoint=folder, device="cpu").open(VIDEO)
    session = engine.open(VIDEO)
    assert isinstance(session, DetectsText)
    assert session.text_thresholds() == one.text_thresholds()
    session.step(picture(0), [MaskPrompt(0, 1, LEFT)])
    found, alone = (s.detect(picture(0), ["car"], **ALL)[0] for s in (session, one))
    assert [score for _, score in found] == [score for _, score in alone]


def test_what_is_refused(sam3, tmp_path):
    small = Frame(FrameInfo(0, None, "0"), np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(InputError, match="expected RGB uint8"):
        sam3.open(VIDEO).detect(small, ["car"], **ALL)
    sam2 = SamEngine("sam2.1-tiny", checkpoint=sam_models.save("sam2.1-tiny", tmp_path), device="cpu")
    with pytest.raises(PromptNotSupportedError, match=r"'sam2\.1-tiny' takes no text here"):
        sam2.open(VIDEO).detect(picture(0), ["car"], **ALL)
    with MaskTracker(IMAGES, engine=sam2) as tracker, pytest.raises(PromptNotSupportedError, match="use sam3"):
        tracker.propagate(text="car")
