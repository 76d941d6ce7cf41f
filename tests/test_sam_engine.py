"""The SAM engines as a caller sees them: the session's contract, prompts, snapshots, bounds, odd input."""

from __future__ import annotations

import logging
from contextlib import contextmanager

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the SAM engines need torch")
pytest.importorskip("transformers", reason="the SAM engines need transformers")

import sam_models
from maskferry import MaskTracker, Tracks
from maskferry.data import BoxPrompt, Frame, FrameInfo, MaskPrompt, PointPrompt, State, TextPrompt, VideoInfo
from maskferry.engines._sam import SamEngine, SessionHooks, snapshot
from maskferry.engines._sam.batching import BatchRunner
from maskferry.engines._sam.mask_encoding import logits_to_masks, masks_to_rles
from maskferry.engines._sam.text_detector import non_maximum_suppression
from maskferry.engines.base import TextThresholds
from maskferry.engines.registry import load_engine
from maskferry.errors import EngineError, InputError, PromptNotSupportedError
from maskferry.rle import Rle
from maskferry.testing import EngineContract
from sam_scene import HEIGHT, WIDTH, picture

VIDEO = VideoInfo(WIDTH, HEIGHT, frame_count=80)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: sam_models.save(name, tmp_path_factory.mktemp(name)) for name in sam_models.SIZES}


@pytest.fixture(scope="module")
def sam3(folders):
    return SamEngine("sam3", checkpoint=folders["sam3"], device="cpu")


@pytest.fixture(scope="module")
def sam2(folders):
    return SamEngine("sam2.1-tiny", checkpoint=str(folders["sam2.1-tiny"]), device="cpu")


@pytest.fixture(scope="module")
def loaded(folders):
    """By name, on the device that is taken by default; in half precision too."""
    engines = {name: load_engine(name, checkpoint=folder) for name, folder in folders.items()}
    return engines | {"half": SamEngine("sam3", checkpoint=folders["sam3"], precision="bfloat16")}


class TestSam3(EngineContract):
    @pytest.fixture
    def engine(self, loaded):
        return sam_models.twin(loaded["sam3"])


class TestSam2(EngineContract):
    @pytest.fixture
    def engine(self, loaded):
        return sam_models.twin(loaded["sam2.1-tiny"])


class TestEdgeTam(EngineContract):
    @pytest.fixture
    def engine(self, loaded):
        return sam_models.twin(loaded["edgetam"])


class TestHalfPrecision(EngineContract):
    @pytest.fixture
    def engine(self, loaded):
        return sam_models.twin(loaded["half"])


def box_mask(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    mask[y1:y2, x1:x2] = True
    return mask


LEFT, RIGHT = box_mask(10, 10, 30, 40), box_mask(60, 20, 90, 50)


def rows_of(engine: SamEngine, frames: range, prompts, **options) -> list:
    session = engine.open(VIDEO)
    try:
        return [session.step(picture(i), prompts.get(i, ())) for i in frames]
    finally:
        session.close()


# --- masks in, masks out ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_hw", [(17, 23), (1, 1), (1, 5), (5, 1), (300, 500)])
def test_encoding_on_the_device_is_that_of_the_host(size_hw):
    rng = np.random.default_rng(0)
    masks = rng.random((9, *size_hw)) > np.array([2, -1, 0.6, 0.9, 0.1, 0.999, 0.001, 0.5, 0.3])[:, None, None]
    masks[7, : size_hw[0] // 2], masks[8, :, size_hw[1] // 2 :] = True, False
    found, areas = masks_to_rles(torch.from_numpy(masks.transpose(0, 2, 1).copy()))
    assert found == [Rle.encode(mask) for mask in masks]
    assert areas == masks.sum((1, 2)).tolist()


def test_masks_are_enlarged_as_transformers_does():
    logits = torch.randn(5, 1, 9, 9)
    wanted = torch.nn.functional.interpolate(logits, size=(40, 30), mode="bilinear", align_corners=False) > 0
    assert torch.equal(logits_to_masks(logits, (40, 30)).transpose(1, 2), wanted[:, 0])


def test_a_faithful_mask_is_not_complained_about_and_a_thin_one_is(sam3, caplog):
    session = sam3.open(VIDEO)
    with caplog.at_level(logging.WARNING):
        rows = session.step(picture(0), [MaskPrompt(0, 1, LEFT)])
        assert 0.95 < rows[1].fidelity <= 1
        assert rows[1].fidelity == session.fidelity[1]
        assert not caplog.records
        assert session.step(picture(1))[1].fidelity is None
    large = VideoInfo(1920, 1080)
    session = sam3.open(large)
    mask = np.zeros(large.size_hw, dtype=np.bool_)
    mask[500:503, 900:903] = True  # half a pixel of the tiny model's picture
    with caplog.at_level(logging.WARNING):
        rows = session.step(
            Frame(FrameInfo(0, None, "0"), np.zeros((*large.size_hw, 3), np.uint8)), [MaskPrompt(0, 5, mask)]
        )
    assert np.array_equal(rows.mask(5), mask)
    assert 0 < rows[5].fidelity < 0.8
    assert "object 5: of the given mask the model sees a version with IoU" in caplog.text


def test_states_and_scores(sam3, monkeypatch):
    """Lost without a mask, returned on the first frame that has one again."""
    session = sam3.open(VIDEO)
    session.step(picture(0), [MaskPrompt(0, 1, LEFT)])
    network, select_best = sam3._models[0].network, sam3._models[0].network.select_best

    def unseen(*args, **kwargs):
        found = select_best(*args, **kwargs)
        return type(found)(found.logits * 0 - 1024, found.pointer, found.presence * 0 - 3, found.quality)

    monkeypatch.setattr(network, "select_best", unseen)
    row = session.step(picture(1))[1]
    assert (row.state, row.score, row.rle.area) == (State.LOST, 0.0, 0)
    monkeypatch.undo()
    row = session.step(picture(2))[1]
    assert row.state is State.RETURNED
    assert 0 < row.score < 1
    assert session.step(picture(3))[1].state in {State.TRACKED, State.OCCLUDED}


# --- points, boxes, words -----------------------------------------------------------------------------------------


def test_points_and_boxes_begin_and_correct(sam2):
    point = PointPrompt(0, 1, np.array([[20.0, 20.0], [70.0, 30.0]]), np.array([1, 0]))
    session = sam2.open(VIDEO)
    first = session.step(picture(0), [point, BoxPrompt(0, 2, (60, 20, 90, 50))])
    assert first.object_ids == (1, 2)
    assert all(row.state is not State.GIVEN for row in first)
    plain, corrected = (rows_of(sam2, range(9), {0: [point]} | more) for more in ({}, {4: [_click(4)]}))
    assert plain[3] == corrected[3]
    assert plain[4] != corrected[4]
    assert plain[8] != corrected[8]


def _click(index: int) -> PointPrompt:
    return PointPrompt(index, 1, np.array([[50.0, 50.0], [20.0, 20.0], [5.0, 5.0]]), np.array([1, 1, 0]))


def test_a_box_and_points_of_one_object_belong_together(sam2):
    box, point = BoxPrompt(0, 1, (5, 5, 40, 40)), PointPrompt(0, 1, np.array([[20.0, 20.0]]), np.array([1]))
    both = rows_of(sam2, range(1), {0: [box, point]})
    assert both == rows_of(sam2, range(1), {0: [point, box]})
    assert both != rows_of(sam2, range(1), {0: [box]})


def test_words_find_and_are_tracked(sam3):
    assert TextPrompt in sam3.accepts
    session = sam3.open(VIDEO)
    found = session.step(picture(0), [MaskPrompt(0, 7, LEFT), TextPrompt(0, "a red car", (3,))])
    assert len(found) > 2
    assert found.object_ids[:3] == (3, 7, 8)
    assert all(0.5 < row.score <= 1 for row in found)
    assert session.step(picture(1)).object_ids == found.object_ids
    backbones = [m.vision_encoder.backbone for m in (sam3._models[0].network.model, sam3._models[0].detector._detector)]
    assert backbones[0] is backbones[1]


def test_words_that_name_nothing(sam3, monkeypatch):
    assert sam3.open(VIDEO).step(picture(0), [TextPrompt(0, "car")]).objects
    monkeypatch.setattr(sam3._models[0].detector, "_thresholds", TextThresholds(0.5, 0.999, 0.9))
    assert sam3.open(VIDEO).step(picture(0), [TextPrompt(0, "car")]).objects == ()


def test_the_best_of_overlapping_finds_is_kept():
    masks = torch.zeros(4, 10, 10, dtype=torch.bool)
    masks[0, :5], masks[1, :6], masks[2, 8:] = True, True, True
    scores = torch.tensor([0.8, 0.9, 0.75, 0.95])
    assert non_maximum_suppression(scores, masks, 0.7, 0.1) == [1, 2]
    assert non_maximum_suppression(scores, masks, 0.7, 0.99) == [1, 0, 2]
    assert non_maximum_suppression(scores, masks, 0.8, 0.1) == [1]


# --- passes -------------------------------------------------------------------------------------------------------


def test_a_dropped_object_leaves_the_others_alone(sam3):
    kept, dropped = sam3.open(VIDEO), sam3.open(VIDEO)
    for session in (kept, dropped):
        session.step(picture(0), [MaskPrompt(0, 1, LEFT), MaskPrompt(0, 2, RIGHT)])
    dropped.drop(1)
    for i in range(1, 4):
        one, two = dropped.step(picture(i)), kept.step(picture(i))
        assert one.object_ids == (2,)
        assert one[2].rle == two[2].rle
        assert one[2].score == pytest.approx(two[2].score, rel=1e-4)


def test_batches_give_the_same_as_one_batch(folders, sam3):
    one = SamEngine("sam3", checkpoint=folders["sam3"], max_batch=1, device="cpu")
    prompts = {0: [MaskPrompt(0, i, np.roll(LEFT, 7 * i, axis=1)) for i in range(1, 6)]}
    runs = [[row.rle.area for rows in rows_of(e, range(4), prompts) for row in rows] for e in (sam3, one)]
    assert np.allclose(*runs, atol=3)


def test_looking_ahead_changes_nothing(sam3):
    plain, ahead = sam3.open(VIDEO), sam3.open(VIDEO)
    ahead.look_ahead([picture(i) for i in range(3)])
    for i in range(5):
        prompts = [MaskPrompt(0, 1, LEFT)] if not i else []
        assert plain.step(picture(i), prompts) == ahead.step(picture(i), prompts)
    assert plain.ahead == 1


def test_memory_does_not_grow_with_the_video(sam3):
    """Not with frames, and not with corrections."""
    session = sam3.open(VideoInfo(WIDTH, HEIGHT))
    sizes = []
    for i in range(70):
        prompts = [MaskPrompt(i, 1, LEFT)] if i % 3 == 0 else []
        session.step(picture(i % 10), [*prompts, *([MaskPrompt(0, 2, RIGHT)] if not i else [])])
        sizes.append(len(session.snapshot()))
    assert max(sizes[40:]) <= max(sizes[20:40]) + 64  # a place has one digit more
    assert len(session._bank.objects[1].prompted) == 4
    known = session._bank.objects[2]
    assert len(known.prompted) == 1
    assert len(known.recent) == 16
    assert sum(entry.memory is not None for entry in known.recent.values()) == 6


# --- snapshots ----------------------------------------------------------------------------------------------------


def test_a_snapshot_of_an_old_session_goes_on_to_the_byte(sam2):
    whole, halves = sam2.open(VIDEO), sam2.open(VIDEO)
    prompts = {0: [MaskPrompt(0, 1, LEFT)], 5: [MaskPrompt(5, 2, RIGHT)], 20: [_click(20)]}
    for i in range(24):
        whole.step(picture(i), prompts.get(i, ()))
        halves.step(picture(i), prompts.get(i, ()))
        if i in {3, 11, 22}:
            halves = sam2.open(VIDEO, halves.snapshot())
    assert halves.snapshot() == whole.snapshot()
    assert halves.step(picture(24)) == whole.step(picture(24))


def test_a_snapshot_that_does_not_fit_is_refused(sam2, sam3, monkeypatch):
    session = sam2.open(VIDEO)
    session.step(picture(0), [MaskPrompt(0, 1, LEFT)])
    data = session.snapshot()
    for engine, video, message in (
        (sam3, VIDEO, "engine 'sam2.1-tiny', this session 'sam3'"),
        (sam2, VideoInfo(WIDTH + 1, HEIGHT, frame_count=80), "size"),
    ):
        with pytest.raises(EngineError, match=message):
            engine.open(video, data)
    for broken in (b"", b"rubbish", data[:-5]):
        with pytest.raises(EngineError, match="not a complete snapshot"):
            sam2.open(VIDEO, broken)
    monkeypatch.setattr(snapshot, "MAX_BYTES", 1000)
    assert session.snapshot() is None


# --- trouble ------------------------------------------------------------------------------------------------------


def test_bad_input_is_refused_and_the_session_goes_on(sam2):
    session = sam2.open(VIDEO)
    small = Frame(FrameInfo(0, None, "0"), np.zeros((10, 10, 3), np.uint8))
    for frame, prompts, message in (
        (small, [], "expected RGB uint8"),
        (picture(0), [MaskPrompt(0, 1, LEFT[:5])], "expected a mask"),
        (picture(0), [MaskPrompt(0, 1, np.zeros_like(LEFT))], "not empty"),
        (picture(0), [MaskPrompt(0, 1, LEFT), BoxPrompt(0, 1, (1, 1, 5, 5))], "not both"),
    ):
        with pytest.raises(InputError, match=message):
            session.step(frame, prompts)
    with pytest.raises(PromptNotSupportedError, match=r"'sam2\.1-tiny' takes no text here: use engine 'sam3'"):
        session.step(picture(0), [TextPrompt(0, "car")])
    assert session.step(picture(0), [MaskPrompt(0, 1, LEFT)]).object_ids == (1,)


def test_batches_are_halved_when_the_device_is_full(caplog):
    taken = []

    def work(part):
        if len(part) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        taken.append(list(part))
        return sum(part)

    batches = BatchRunner(64)
    assert sum(batches.run(range(10), work)) == 45
    assert taken == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert (batches.size, "continuing with 2 objects at a time" in caplog.text) == (2, True)


def test_out_of_memory_at_last_says_what_can_be_done(sam2, monkeypatch):
    session = sam2.open(VIDEO)
    session.step(picture(0), [MaskPrompt(0, 1, LEFT)])

    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(sam2._models[0].network, "select_best", full)
    with pytest.raises(EngineError, match="ran out of memory on frame 1, one object at a time: close other programs"):
        session.step(picture(1))


def test_a_closed_engine_opens_nothing(folders):
    engine = SamEngine("edgetam", checkpoint=folders["edgetam"])
    engine.close()
    with pytest.raises(EngineError, match="is closed"):
        engine.open(VIDEO)


# --- whole runs ---------------------------------------------------------------------------------------------------


def video(count: int = 8) -> np.ndarray:
    return np.stack([picture(i).image for i in range(count)])


def test_a_tracker_runs_both_ways_and_corrects(sam3):
    tracker = MaskTracker(video(), engine=sam3)
    tracker.add_mask_prompt(LEFT, obj_id=1, frame_idx=3)
    tracker.propagate()
    before = [tracker.tracks[i] for i in range(8)]
    assert np.array_equal(before[3].mask(1), LEFT)
    tracker.add_mask_prompt(RIGHT, obj_id=1, frame_idx=5)
    tracker.propagate()
    after = [tracker.tracks[i] for i in range(8)]
    assert np.array_equal(after[5].mask(1), RIGHT)
    assert after[:4] == before[:4]
    assert after[6:] != before[6:]
    tracker.close()


def test_hooks_time_the_stages_and_change_masks_but_not_memories(sam3):
    entered, left = [], []

    @contextmanager
    def timer(stage):
        entered.append(stage)
        yield
        left.append(stage)

    plain, hooked = sam3.open(VIDEO), sam_models.twin(sam3)
    hooked.hooks = SessionHooks(timer=timer, change_logits=lambda logits: torch.ones_like(logits))
    session = hooked.open(VIDEO)
    for i in range(3):
        prompts = [MaskPrompt(0, 1, LEFT)] if not i else []
        rows, plain_rows = session.step(picture(i), prompts), plain.step(picture(i), prompts)
    assert rows.mask(1).all()
    assert not plain_rows.mask(1).all()
    assert rows.scores == plain_rows.scores
    assert entered == left == ["encode", "track", "prompts", "masks"] * 3


def test_how_well_a_mask_is_seen_stands_in_the_tracks(sam3, tmp_path):
    frames = video().repeat(4, axis=1).repeat(4, axis=2)
    large, small = LEFT.repeat(4, axis=0).repeat(4, axis=1), np.zeros(frames.shape[1:3], dtype=np.bool_)
    small[101:103, 200:203] = True
    with MaskTracker(frames, engine=sam3, tracks=tmp_path / "t.sqlite") as tracker:
        tracker.add_masks_prompt([large, small], [1, 2], 3)
        tracker.propagate()
    with Tracks.open(tmp_path / "t.sqlite") as tracks:
        assert np.array_equal(tracks[3].mask(2), small)
        assert tracks[3][1].fidelity > 0.95 > tracks[3][2].fidelity > 0
        assert all(row.fidelity is None for frame in tracks.frames() if frame.info.index != 3 for row in frame.masks)
