"""samgeo's names and habits, cell by cell as a notebook has them."""

from __future__ import annotations

import copy
import http.server
import inspect
import json
import pickle
import subprocess
import sys
import threading
import warnings
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from any_prompt_engine import AnyPromptEngine
from clips import SIZE_HW, make_clip, read_number
from helpers import read_picture, square_mask
from maskferry import MaskTracker
from maskferry.errors import (
    InputError,
    MaskResizedWarning,
    OutputExistsError,
    PromptNotSupportedError,
    SourceError,
    UnknownEngineError,
    UnknownObjectError,
)
from maskferry.rle import Rle
from maskferry.samgeo import SamGeo3Video, download_file
from maskferry.samgeo._messages import ProgressMessages
from maskferry.samgeo._sampled_source import SampledSource

mpl.use("agg")
COUNT = 12
HEIGHT, WIDTH = SIZE_HW


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return str(make_clip(tmp_path_factory.mktemp("clip") / "cars.mp4", COUNT))


@pytest.fixture
def sam(clip):
    with SamGeo3Video(engine="hold") as sam:
        sam.set_video(clip)
        yield sam


def block(x, y=10, size=20, size_hw=SIZE_HW):
    return square_mask(size_hw, x, y, size)


# --- the whole notebook ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["hold", "flow"])
def test_a_notebook_from_its_first_cell_to_its_last(clip, tmp_path, engine, capsys):
    external_masks = [block(5), block(60).astype(np.uint8)]
    sam = SamGeo3Video(engine=engine)
    sam.set_video(clip)
    if engine == "flow":
        with pytest.raises(PromptNotSupportedError, match="add_masks_prompt"):
            sam.generate_masks("car", frame_idx=0, propagate=True)
    sam.init_tracker()
    sam.show_frame(0, axis="on")
    for i, mask in enumerate(external_masks):
        sam.add_mask_prompt(mask, obj_id=100 + i, frame_idx=0, num_points=5)
    outputs = sam.propagate()
    assert list(outputs) == list(range(COUNT))
    assert all(list(frame) == ["out_obj_ids", "out_binary_masks", "out_probs"] for frame in outputs.values())
    sam.show_frame(0, axis="on", figsize=(4, 3), alpha=0.5, show_ids={100: "left"}, output=tmp_path / "frame.png")
    sam.show_frames(frame_stride=4, ncols=3)
    formatted = sam._format_outputs()
    frame_0_masks = formatted.get(0, {})
    assert all(isinstance(object_id, int) for object_id in frame_0_masks)
    again = [np.array(mask) for mask in frame_0_masks.values()]
    assert all(np.array_equal(a, b) for a, b in zip(again, external_masks, strict=True))
    sam.init_tracker()
    assert sam.add_masks_prompt(again) == [100, 101]
    sam.propagate()
    paths = sam.save_masks(str(tmp_path / "masks"), img_ext="png", dtype="uint8")
    assert paths == [str(tmp_path / "masks" / f"{i:02d}.png") for i in range(COUNT)]
    assert np.array_equal(read_picture(paths[0]), 100 * again[0] + 101 * again[1])
    film = sam.save_video(str(tmp_path / "out.mp4"), fps=25, alpha=0.6, frame_stride=1, show_ids=True)
    assert film == str(tmp_path / "out.mp4")
    with av.open(film) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert sum(1 for _ in container.decode(video=0)) == COUNT
    sam.show_video(film)
    sam.close()
    sam.close()
    sam.shutdown()
    sam.shutdown()
    said = capsys.readouterr().out
    assert f"Engine: {engine}" in said
    assert f"Propagated 2 object(s) to {COUNT} frames." in said
    assert said.count("Video closed.") == 1


def test_every_saving_cell_can_run_twice(sam, tmp_path):
    sam.add_masks_prompt([block(5)])
    sam.propagate()
    for _ in range(2):
        sam.add_mask_prompt(block(5), 100)
        sam.propagate()
        assert len(sam.save_masks(tmp_path / "masks")) == COUNT
        sam.save_video(tmp_path / "out.mp4")
        sam.show_frame(3, output=tmp_path / "frame.png")
    assert len(list((tmp_path / "masks").iterdir())) == COUNT


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "set_video": "video_path output_dir frame_rate prefix bands",
        "generate_masks": "prompt frame_idx propagate",
        "init_tracker": "frame_idx",
        "reset": "",
        "add_mask_prompt": "mask obj_id frame_idx num_points",
        "add_masks_prompt": "masks obj_ids frame_idx",
        "add_point_prompts": "points labels obj_id frame_idx point_crs",
        "add_box_prompt": "box obj_id frame_idx box_crs",
        "remove_object": "obj_id",
        "propagate": "",
        "save_masks": "output_dir img_ext dtype",
        "save_video": "output_path fps alpha dpi frame_stride show_ids",
        "show_frame": "frame_idx figsize alpha show_ids axis output",
        "show_frames": "frame_stride ncols figsize_per_frame alpha show_ids",
        "show_video": "video_path embed kwargs",
        "close": "",
        "shutdown": "",
    }.items(),
)
def test_arguments_stand_where_samgeo_has_them(name, expected):
    method = getattr(SamGeo3Video, name)
    assert " ".join(inspect.signature(method).parameters) == f"self {expected}".strip()
    assert method.__doc__


def test_arguments_of_download_file_stand_where_samgeo_has_them():
    expected = "url output quiet proxy speed use_cookies verify id fuzzy resume unzip overwrite subfolder"
    assert " ".join(inspect.signature(download_file).parameters) == expected


def test_importing_it_imports_neither_matplotlib_nor_torch():
    code = "import sys, maskferry.samgeo; sys.exit(bool({'matplotlib', 'torch', 'IPython', 'av'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- beginning ------------------------------------------------------------------------------------------------------


def test_what_has_no_meaning_here_is_accepted_and_explained(clip, capsys):
    sam = SamGeo3Video([0, 1], "vocabulary.gz", engine="hold", compile=True)
    assert sam.gpus_to_use == [0, 1]
    sam.set_video(clip, output_dir="frames", prefix="car_", bands=[1, 2, 3])
    said = capsys.readouterr().out
    for name in ("gpus_to_use", "bpe_path", "compile", "output_dir", "prefix", "bands"):
        assert f"{name} is not used here: " in said
    sam.shutdown()


def test_an_engine_may_be_a_loaded_one_and_must_be_known(capsys):
    SamGeo3Video(engine=AnyPromptEngine()).shutdown()
    assert "Engine: hold" in capsys.readouterr().out
    with pytest.raises(UnknownEngineError, match="sam9"):
        SamGeo3Video(engine="sam9")


def test_the_engine_is_chosen_where_none_is_named(capsys):
    SamGeo3Video().shutdown()
    assert "Engine: flow (optical flow" in capsys.readouterr().out


@pytest.mark.parametrize(
    "call",
    [
        lambda sam: sam.init_tracker(),
        lambda sam: sam.reset(),
        lambda sam: sam.add_mask_prompt(block(0), 100),
        lambda sam: sam.propagate(),
        lambda sam: sam._format_outputs(),
        lambda sam: sam.show_frame(),
        lambda sam: sam.show_frames(),
        lambda sam: sam.save_masks("x"),
        lambda sam: sam.save_video("x.mp4"),
        lambda sam: sam.remove_object(100),
    ],
)
def test_without_a_video_it_says_so(call):
    with pytest.raises(ValueError, match="set_video"):
        call(SamGeo3Video(engine="hold"))


def test_videos_from_a_folder_and_an_array(tmp_path, capsys):
    for i in range(3):
        Image.fromarray(np.full((20, 30, 3), i, dtype=np.uint8)).save(tmp_path / f"{i}.png")
    sam = SamGeo3Video(engine="hold")
    sam.set_video(tmp_path, frame_rate=2)
    assert (sam.frame_width, sam.frame_height, len(sam.video_frames)) == (30, 20, 3)
    assert "frame_rate is not used here" in capsys.readouterr().out
    sam.set_video(np.zeros((4, 8, 9, 3), dtype=np.uint8))
    assert len(sam.video_frames) == 4
    sam.shutdown()


def test_video_frames_are_a_sequence(sam):
    frames = sam.video_frames
    assert [read_number(image) for image in frames] == list(range(COUNT))
    assert read_number(frames[-1]) == COUNT - 1
    assert [read_number(image) for image in frames[2:8:3]] == [2, 5]
    with pytest.raises(IndexError):
        frames[COUNT]


@pytest.mark.parametrize(("rate", "kept"), [(25, 1), (13, 1), (12, 2), (5, 5), (0.1, 250)])
def test_frame_rate_keeps_every_nth_frame_and_numbers_them_anew(clip, rate, kept, tmp_path):
    sam = SamGeo3Video(engine="hold")
    sam.set_video(clip, frame_rate=rate)
    assert [read_number(image) for image in sam.video_frames] == list(range(0, COUNT, kept))
    sam.add_mask_prompt(block(5), 1)
    assert list(sam.propagate()) == list(range(len(sam.video_frames)))
    with av.open(sam.save_video(tmp_path / "out.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(sam.video_frames)
    sam.shutdown()


def test_frame_rate_must_be_above_0(clip):
    with pytest.raises(InputError, match="frame_rate"):
        SamGeo3Video(engine="hold").set_video(clip, frame_rate=0)


def test_a_damaged_frame_of_a_sampled_source_keeps_its_number():
    class Broken:
        info = None
        announced_frame_count = 13
        seekable = True

        def frames(self, indices):
            def read():
                raise SourceError("torn", frame=8)
                yield

            return read()

        def close(self):
            self.closed = True

    broken = Broken()
    with MaskTracker(np.zeros((12, 4, 4, 3), dtype=np.uint8), engine="hold") as tracker:
        broken.info = tracker.source.info
    with SampledSource(broken, 4) as source:
        assert (source.info.frame_count, source.announced_frame_count) == (3, 4)
        with pytest.raises(SourceError, match="torn") as caught:
            list(source.frames([2]))
    assert caught.value.frame == 2
    assert broken.closed


def test_a_folder_of_plain_tiffs_is_read(tmp_path):
    for i in range(2):
        Image.fromarray(np.full((8, 8), i, dtype=np.uint8)).save(tmp_path / f"{i}.tif")
    sam = SamGeo3Video(engine="hold")
    sam.set_video(str(tmp_path))
    assert len(sam.video_frames) == 2


def test_a_broken_tiff_is_left_to_who_opens_it(tmp_path):
    (tmp_path / "0.tif").write_bytes(b"nonsense")
    with pytest.raises(SourceError, match=r"0\.tif"):
        SamGeo3Video(engine="hold").set_video(tmp_path)


# --- prompts --------------------------------------------------------------------------------------------------------


def test_the_mask_itself_is_the_prompt_whatever_num_points_says(sam):
    ring = block(20, 20, 40) & ~block(25, 25, 30)
    sam.add_mask_prompt(ring, 7, 3, 0)
    assert np.array_equal(sam.propagate()[3]["out_binary_masks"][0], ring)


def test_a_mask_on_the_same_frame_replaces_the_one_before(sam):
    sam.add_mask_prompt(block(5), 100)
    sam.propagate()
    sam.add_mask_prompt(block(50), 100)
    formatted = sam._format_outputs()
    sam.propagate()
    assert all(np.array_equal(masks[100], block(50)) for masks in formatted.values())


def test_ids_start_at_100_and_are_never_ones_in_use(sam):
    assert sam.add_masks_prompt([block(0), block(30)]) == [100, 101]
    sam.add_mask_prompt(block(60), obj_id=250, frame_idx=2)
    assert sam.add_masks_prompt([block(80)], frame_idx=4) == [251]
    sam.remove_object(251)
    assert sam.add_masks_prompt([block(80)]) == [252]


def test_lengths_that_differ_are_refused_and_nothing_is_added(sam):
    with pytest.raises(ValueError, match="one for each of 2 masks, got 1"):
        sam.add_masks_prompt([block(0), block(30)], obj_ids=[1])
    with pytest.raises(ValueError, match="one for each of 2 masks, got 1"):
        sam.add_masks_prompt([block(0), np.zeros(SIZE_HW)], obj_ids=[1])
    assert len(sam._format_outputs()) == 0


def test_a_mask_of_another_size_is_resized_with_a_warning(sam):
    with pytest.warns(MaskResizedWarning):
        sam.add_mask_prompt(np.ones((HEIGHT // 2, WIDTH // 2)), 100)
    assert sam._format_outputs()[0][100].all()


def test_numbers_may_be_numpys(sam):
    one = np.int64(1)
    sam.add_mask_prompt(block(0), one, one)
    sam.add_masks_prompt([block(30)], np.array([2]), one)
    outputs = sam.propagate()
    assert outputs[one]["out_obj_ids"].tolist() == [1, 2]
    assert one in outputs
    sam.show_frame(one)
    sam.remove_object(np.array([1, 2]))


def test_what_prompts_return_is_an_id_and_samgeos_dict(sam):
    one = sam.add_mask_prompt(block(5), obj_id=7, frame_idx=2)
    many = sam.add_masks_prompt([block(30), block(60)], frame_idx=2)
    assert (one, many) == (7, [100, 101])
    assert {answer["frame_index"] for answer in (one, *many)} == {2}
    assert one["outputs"]["out_obj_ids"].tolist() == [7]
    assert many[1]["outputs"]["out_obj_ids"].tolist() == [7, 100, 101]
    assert np.array_equal(many[0]["outputs"]["out_binary_masks"], [block(5), block(30), block(60)])
    assert set(one) == set(one.keys()) == dict(one).keys() == {"frame_index", "outputs"}
    assert one.get("session_id") is None
    assert "outputs" in one
    with pytest.raises(KeyError):
        one["masks"]
    assert {one: "name"}[7] == "name"
    assert (repr(one), str(one), json.dumps(many), np.array(many).tolist()) == ("7", "7", "[100, 101]", [100, 101])
    for again in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert again == 7
        assert np.array_equal(again["outputs"]["out_binary_masks"], [block(5)])
    sam.remove_object(many)
    assert list(sam._format_outputs()[2]) == [7]


def test_empty_masks_are_left_out_with_a_line(sam, capsys):
    ids = sam.add_masks_prompt([np.zeros(SIZE_HW), block(0), np.zeros(SIZE_HW, bool), block(30)])
    assert ids == [100, 101, 102, 103]
    assert [len(answer["outputs"]["out_obj_ids"]) for answer in ids] == [0, 2, 0, 2]
    said = capsys.readouterr().out
    assert said.count("Warning: Empty mask for object 10") == 2
    assert list(sam._format_outputs()[0]) == [101, 103]
    stack = np.zeros((2, *SIZE_HW), dtype=np.uint8)
    stack[1] = block(60)
    assert sam.add_masks_prompt(stack, [1, 2]) == [1, 2]
    assert sam.add_mask_prompt(-np.ones(SIZE_HW), 9) == 9
    assert list(sam._format_outputs()[0]) == [2, 101, 103]
    for ids in (["a"], [0], 7, [1.5], [None]):
        with pytest.raises(InputError, match="obj_ids"):
            sam.add_masks_prompt([np.zeros(SIZE_HW)], ids)
    with pytest.raises(InputError, match="frame_idx"):
        sam.add_masks_prompt([np.zeros(SIZE_HW)], [1], COUNT)
    assert sam.add_masks_prompt([np.zeros(SIZE_HW)]) == [104]
    assert 104 not in sam._format_outputs()[0]


def soft(mask: np.ndarray) -> np.ndarray:
    """Probabilities, 0.1 and 0.9 on the object."""
    values = np.where(mask, 0.1, 0.0)
    values[12:16] *= 9
    return values


@pytest.mark.parametrize(
    ("given", "is_said"),
    [
        (block(5)[None, None], False),
        (block(5)[:, :, None], False),
        (np.where(block(5), 3.5, -4.0), False),
        (np.where(block(5), 1e-3, -8.0)[None, None], False),
        (soft(block(5)), True),
        (soft(block(5)).astype(np.float32)[None], True),
        (np.where(block(5), 1.0, 0.0), False),
        (np.where(block(5), 255.0, 0.0), False),
        (block(5).astype(np.uint8) * 7, False),
        (block(5).tolist(), False),
    ],
)
def test_masks_are_cut_as_in_samgeo(sam, capsys, given, is_said):
    capsys.readouterr()
    sam.add_mask_prompt(given, 1)
    assert np.array_equal(sam._format_outputs()[0][1], block(5))
    assert ("all values above 0 belong" in capsys.readouterr().out) == is_said
    sam.add_masks_prompt([given, given], [2, 3])
    assert np.array_equal(sam._format_outputs()[0][3], block(5))
    if isinstance(given, np.ndarray) and given.shape[-2:] == SIZE_HW:
        sam.add_masks_prompt(np.stack([given, given]), [4, 5])
        assert np.array_equal(sam._format_outputs()[0][5], block(5))
        assert len(sam.add_masks_prompt(given, [6])) == 1


def test_not_a_number_is_no_mask(sam):
    with pytest.raises(InputError, match="NaN"):
        sam.add_mask_prompt(np.where(block(5), np.nan, 1.0), 1)


def test_a_stack_with_its_axes_in_another_order_is_refused(sam):
    with pytest.raises(InputError, match="moveaxis"):
        sam.add_masks_prompt(np.moveaxis(np.array([block(0), block(30)], dtype=float), 0, 2))


def test_removing_one_or_several(sam):
    sam.add_masks_prompt([block(0), block(30), block(60)], [1, 2, 3])
    outputs = sam.propagate()
    sam.remove_object(obj_id=[1, 3])
    assert outputs[5]["out_obj_ids"].tolist() == [2]
    sam.remove_object(2)
    with pytest.raises(UnknownObjectError, match="2"):
        sam.remove_object(2)
    with pytest.raises(InputError, match="add"):
        sam.propagate()


def test_reset_forgets_everything_but_the_video(sam):
    sam.add_mask_prompt(block(0), 100)
    sam.propagate()
    sam.reset()
    assert len(sam._format_outputs()) == 0
    assert sam.add_masks_prompt([block(5)]) == [100]


@pytest.mark.parametrize(
    "call",
    [
        lambda sam: sam.generate_masks("car"),
        lambda sam: sam.add_point_prompts([[5, 5]], [1], 1),
        lambda sam: sam.add_box_prompt([5, 5, 9, 9], 1),
    ],
)
def test_prompts_that_the_engine_does_not_take_come_with_advice_and_cost_nothing(sam, call):
    sam.add_mask_prompt(block(0), 100)
    with pytest.raises(NotImplementedError, match="add_masks_prompt"):
        call(sam)
    assert list(sam._format_outputs()[0]) == [100]


@pytest.fixture
def anything(clip):
    with SamGeo3Video(engine=AnyPromptEngine()) as sam:
        sam.set_video(clip)
        yield sam


def test_text_where_the_engine_takes_it(anything, capsys):
    anything.add_mask_prompt(block(90), 7)
    outputs = anything.generate_masks("car", 2)
    assert "Found 2 object(s) matching 'car' on frame 2." in capsys.readouterr().out
    assert list(outputs) == list(range(COUNT))
    assert outputs[9]["out_obj_ids"].tolist() == [1, 2]  # what was there before is forgotten, as in samgeo
    assert list(anything.generate_masks("car", 3, propagate=False)) == [3]
    nothing = anything.generate_masks("unicorn")
    assert len(nothing) == COUNT
    assert all(len(frame["out_obj_ids"]) == 0 for frame in nothing.values())


def test_a_box_is_xywh(anything):
    assert anything.add_box_prompt([10, 20, 30, 40], obj_id=5, frame_idx=1) == 5
    expected = np.zeros(SIZE_HW, dtype=bool)
    expected[20:60, 10:40] = True
    assert np.array_equal(anything.propagate()[1]["out_binary_masks"][0], expected)
    anything.add_box_prompt([10, 20, 3, 4], 5, 1)
    with pytest.raises(InputError, match="width, height"):
        anything.add_box_prompt([10, 20, 30], 5)
    with pytest.raises(InputError, match="box_crs"):
        anything.add_box_prompt([10, 20, 30, 40], 5, box_crs="EPSG:4326")


def test_points_and_boxes_are_answered_by_the_engine(anything):
    anything.add_mask_prompt(block(60), 3, 1)
    answer = anything.add_box_prompt([10, 20, 30, 40], obj_id=5, frame_idx=1)
    assert answer["outputs"]["out_obj_ids"].tolist() == [3, 5]
    assert answer["outputs"]["out_binary_masks"][1].sum() == 30 * 40
    anything.propagate()
    point = anything.add_point_prompts([[40, 30]], [1], obj_id=5, frame_idx=1)
    assert np.argwhere(point["outputs"]["out_binary_masks"][1]).tolist() == [[30, 40]]
    again = pickle.loads(pickle.dumps(point))
    assert (again, again["frame_index"]) == (5, 1)
    assert again["outputs"]["out_obj_ids"].tolist() == [3, 5]


def test_points_are_pixels(anything):
    assert anything.add_point_prompts([[40, 30], [1, 1]], [1, 0], obj_id=2) == 2
    anything.add_point_prompts([[41, 30]], [1], 2)
    assert np.argwhere(anything.propagate()[0]["out_binary_masks"][0]).tolist() == [[30, 41]]
    with pytest.raises(InputError, match="point_crs"):
        anything.add_point_prompts([[40, 30]], [1], 2, point_crs="EPSG:4326")


# --- results --------------------------------------------------------------------------------------------------------


def test_outputs_are_arrays_of_samgeos_kinds(sam):
    sam.add_masks_prompt([block(0), block(30)], [3, 300], 4)
    outputs = sam.propagate()
    frame = outputs[7]
    assert {key: (value.dtype.name, value.shape) for key, value in frame.items()} == {
        "out_obj_ids": ("int64", (2,)),
        "out_binary_masks": ("bool", (2, *SIZE_HW)),
        "out_probs": ("float32", (2,)),
    }
    assert outputs[4]["out_probs"].tolist() == [1, 1]
    assert "out_boxes" not in frame
    with pytest.raises(KeyError):
        frame["out_boxes"]
    with pytest.raises(KeyError):
        outputs[COUNT]
    assert COUNT not in outputs
    assert "0" not in outputs
    assert len(outputs) == len(sam.outputs_per_frame) == COUNT
    assert dict(outputs).keys() == set(range(COUNT))


def test_masks_are_decoded_only_when_they_are_looked_at(sam, monkeypatch):
    sam.add_masks_prompt([block(0), block(30)])
    sam.propagate()
    decoded = []
    decode = Rle.decode
    monkeypatch.setattr(Rle, "decode", lambda rle: decoded.append(1) or decode(rle))
    outputs, formatted = sam.outputs_per_frame, sam._format_outputs()
    frame, masks = outputs[3], formatted[3]
    assert frame["out_obj_ids"].tolist() == list(masks) == [100, 101]
    assert len(masks) == 2
    assert 100 in masks
    assert 7 not in masks
    assert decoded == []
    assert np.array_equal(masks[101], block(30))
    assert len(decoded) == 1
    assert frame["out_binary_masks"] is frame["out_binary_masks"]
    assert len(decoded) == 3
    masks[100][:] = True
    assert np.array_equal(masks[100], block(0))


def test_a_cell_that_ends_in_results_shows_a_line(sam):
    sam.add_mask_prompt(block(0), 100)
    outputs = sam.propagate()
    assert repr(outputs) == f"<masks of 1 object(s) on {COUNT} frames, by frame index>"
    assert repr(outputs[0]) == "<outputs of frame 0: out_obj_ids, out_binary_masks, out_probs; objects [100]>"
    assert repr(sam._format_outputs()[0]) == "<masks of frame 0, by object id [100]>"


def test_results_stay_when_the_video_is_closed(sam):
    sam.add_mask_prompt(block(0), 100)
    outputs = sam.propagate()
    sam.close()
    assert np.array_equal(outputs[5]["out_binary_masks"][0], block(0))
    assert sam.outputs_per_frame is outputs
    assert np.array_equal(sam._format_outputs()[5][100], block(0))


def test_session_and_predictor(clip):
    sam = SamGeo3Video(engine=AnyPromptEngine())
    assert sam.session_id is None
    sam.set_video(clip)
    first = sam.session_id
    assert isinstance(first, str)
    assert sam.predictor.name == "hold"
    sam.set_video(clip)
    assert sam.session_id not in (None, first)
    sam.close()
    assert sam.session_id is None
    sam.shutdown()


def test_a_slow_run_talks(monkeypatch, capsys, sam):
    monkeypatch.setattr("maskferry.samgeo._messages.SECONDS_BETWEEN", 0)
    sam.add_mask_prompt(block(0), 100)
    sam.propagate()
    said = capsys.readouterr().out
    assert f"Tracking: step {COUNT} of {COUNT}, frame {COUNT - 1} ..." in said
    assert said.count("Tracking:") == COUNT
    assert callable(ProgressMessages())


def copies(results):
    return [copy.copy(results), copy.deepcopy(results), results.copy(), pickle.loads(pickle.dumps(results))]


def test_copies_and_pickles_hold_what_was_there(sam):
    sam.add_masks_prompt([block(0), block(30)])
    outputs, formatted = sam.propagate(), sam._format_outputs()
    kept = [*copies(outputs), dict(outputs), {**outputs}]
    kept_masks = [*copies(formatted), dict(formatted)]
    kept_frames, kept_objects = copies(outputs[3]), copies(formatted[3])
    sam.reset()
    sam.close()
    for results in kept:
        assert list(results) == list(range(COUNT))
        assert np.array_equal(results[7]["out_binary_masks"], [block(0), block(30)])
    for masks in kept_masks:
        assert np.array_equal(masks[7][101], block(30))
    for frame in kept_frames:
        assert frame["out_obj_ids"].tolist() == [100, 101]
    for objects in kept_objects:
        assert np.array_equal(objects[100], block(0))
    assert repr(kept[0]) == f"<masks of 2 object(s) on {COUNT} frames, by frame index>"


def test_results_can_be_changed_as_dicts_can(sam, tmp_path):
    sam.add_masks_prompt([block(0), block(30)], [1, 2])
    outputs = sam.propagate()
    assert outputs is sam.outputs_per_frame
    outputs[3]["out_binary_masks"] = np.array([block(60), block(30)])
    outputs[4] = {"out_obj_ids": np.array([300]), "out_binary_masks": np.array([[block(90)]], dtype=float)}
    outputs[5] = {7: block(50)}
    del outputs[6]
    for frame in range(COUNT):
        assert (frame in outputs) == (frame in sam._format_outputs()) == (frame != 6)
    assert len(outputs) == COUNT - 1
    with pytest.raises(KeyError):
        outputs[6]
    expected = {3: block(60) + 2 * block(30), 4: 300 * block(90), 5: 7 * block(50)}
    paths = {int(Path(path).stem): path for path in sam.save_masks(tmp_path / "masks")}
    assert sorted(paths) == sorted(set(range(COUNT)) - {6})
    for frame, path in paths.items():
        assert np.array_equal(read_picture(path), expected.get(frame, block(0) + 2 * block(30)))
    assert np.array_equal(sam._format_outputs()[4][300], block(90))
    sam.save_video(tmp_path / "out.mp4")
    with av.open(tmp_path / "out.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == COUNT - 1
    sam.show_frame(4, output=tmp_path / "4.png")
    sam.show_frames(4)
    copied = copy.deepcopy(outputs)
    copied[0]["out_probs"] = np.zeros(2)
    assert outputs[0]["out_probs"].tolist() == [1, 1]
    assert list(copied) == list(outputs)
    assert copied[5].keys() == {7}
    sam.propagate()
    assert len(outputs) == COUNT
    assert np.array_equal(outputs[3]["out_binary_masks"][0], block(0))


def test_results_can_be_assigned(sam, tmp_path):
    sam.add_mask_prompt(block(0), 1)
    sam.propagate()
    sam.outputs_per_frame = {i: {1: block(i)} for i in range(0, COUNT, 2)}
    assert [int(Path(path).stem) for path in sam.save_masks(tmp_path)] == list(range(0, COUNT, 2))
    assert np.array_equal(read_picture(tmp_path / "04.png"), block(4))
    sam.outputs_per_frame = sam.outputs_per_frame
    assert len(sam.outputs_per_frame) == COUNT // 2
    sam.outputs_per_frame = None
    assert np.array_equal(sam._format_outputs()[3][1], block(0))


@pytest.mark.parametrize(
    "value",
    [5, {"out_obj_ids": [1, 2], "out_binary_masks": [block(0)]}, {1: np.zeros(4)}, {0: block(0)}, {1: "mask"}],
)
def test_results_that_are_none_are_refused_where_they_are_saved(sam, tmp_path, value):
    sam.add_mask_prompt(block(0), 1)
    outputs = sam.propagate()
    outputs[2] = value
    with pytest.raises(InputError, match=r"outputs_per_frame\[2\]"):
        sam.save_masks(tmp_path / "masks")
    assert not (tmp_path / "masks").exists()


def test_the_tracker_starts_with_empty_outputs_on_every_frame(sam, capsys):
    assert len(sam.outputs_per_frame) == 0
    sam.init_tracker()
    outputs = sam.outputs_per_frame
    assert list(outputs) == list(sam._format_outputs()) == list(range(COUNT))
    assert outputs[COUNT - 1]["out_binary_masks"].shape == (0, *SIZE_HW)
    assert dict(sam._format_outputs()[0]) == {}
    assert copy.copy(outputs)[4]["out_obj_ids"].tolist() == []
    assert len(sam.propagate()) == COUNT
    assert "no objects" in capsys.readouterr().out
    sam.add_mask_prompt(block(0), 1, 2)
    assert [len(frame["out_obj_ids"]) for frame in outputs.values()] == [0, 0, 1, *[0] * (COUNT - 3)]
    sam.propagate()
    assert all(len(frame["out_obj_ids"]) == 1 for frame in outputs.values())
    sam.reset()
    assert len(outputs) == 0
    assert COUNT not in outputs


# --- saving and showing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "dtype", "mode"),
    [([1, 254], "uint8", "L"), ([1, 255], "uint8", "I;16"), ([1, 300], "uint8", "I;16"), ([1, 2], "uint16", "I;16")],
)
@pytest.mark.parametrize("img_ext", ["png", ".tif"])
def test_label_maps_are_grey_and_wide_enough(sam, tmp_path, ids, dtype, mode, img_ext):
    sam.add_masks_prompt([block(0), block(30)], ids, 11)
    sam.propagate()
    for path in sam.save_masks(tmp_path, img_ext, dtype):
        with Image.open(path) as image:
            assert image.mode == mode
            assert np.array_equal(np.array(image), ids[0] * block(0) + ids[1] * block(30))


def test_where_objects_overlap_the_smallest_gets_the_pixel(sam, tmp_path):
    sam.add_masks_prompt([block(10, size=5), block(0, 0, 60)], [1, 2])
    sam.propagate()
    assert read_picture(sam.save_masks(tmp_path)[0])[12, 12] == 1


def test_names_have_the_digits_of_the_number_of_frames(tmp_path):
    sam = SamGeo3Video(engine="hold")
    for count, first in [(9, "0.png"), (10, "00.png"), (100, "000.png")]:
        sam.set_video(np.zeros((count, 4, 4, 3), dtype=np.uint8))
        sam.add_mask_prompt(np.ones((4, 4)), 1)
        assert sam.save_masks(tmp_path / str(count)) == [str(tmp_path / str(count) / first)]
    sam.shutdown()


@pytest.mark.parametrize("options", [{"img_ext": "exe"}, {"img_ext": None}, {"dtype": "float32"}])
def test_options_that_would_spoil_label_maps_are_refused(sam, tmp_path, options):
    sam.add_mask_prompt(block(0), 100)
    with pytest.raises(InputError, match=next(iter(options))):
        sam.save_masks(tmp_path / "masks", **options)
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("img_ext", ["jpg", ".JPEG", "bmp"])
def test_pictures_that_would_not_keep_ids_are_saved_as_png(sam, tmp_path, img_ext, capsys):
    sam.add_mask_prompt(block(0), 100)
    paths = sam.save_masks(tmp_path / "masks", img_ext=img_ext)
    assert [Path(path).suffix for path in paths] == [".png"]
    assert np.array_equal(read_picture(paths[0]), 100 * block(0))
    assert "these are PNG files" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["x.avi", "x", "x.MOV"])
def test_films_are_mp4_whatever_the_name(sam, tmp_path, name, capsys):
    sam.add_mask_prompt(block(0), 100)
    sam.propagate()
    for _ in range(2):
        assert sam.save_video(str(tmp_path / name)) == str(tmp_path / "x.mp4")
        assert "Films are MP4: this one is saved as x.mp4." in capsys.readouterr().out
    sam.show_video(tmp_path / "x.mp4")


@pytest.mark.parametrize("frame", [COUNT, 99, -1, np.int64(99)])
def test_a_frame_outside_of_the_video_is_said_to_be_none(sam, tmp_path, frame, capsys):
    sam.add_mask_prompt(block(0), 100)
    assert sam.show_frame(frame, output=tmp_path / "a.png") is None
    assert f"Frame {frame} is not in the outputs: the video has frames 0 to {COUNT - 1}." in capsys.readouterr().out
    assert not (tmp_path / "a.png").exists()


def test_nothing_to_save(sam, tmp_path):
    with pytest.raises(ValueError, match="propagate"):
        sam.save_masks(tmp_path)
    with pytest.raises(ValueError, match="propagate"):
        sam.save_video(tmp_path / "out.mp4")


@pytest.mark.parametrize(("fps", "stride", "step"), [(None, 1, 0.04), (None, 5, 0.2), (10, 1, 0.1), (10, 5, 0.1)])
def test_films_of_odd_sizes_at_any_rate(tmp_path, fps, stride, step):
    clip = make_clip(tmp_path / "odd.mov", 10, codec="png", size_hw=(45, 61))
    sam = SamGeo3Video(engine="hold")
    sam.set_video(clip)
    sam.add_mask_prompt(block(5, size_hw=(45, 61)), 100)
    sam.propagate()
    film = sam.save_video(tmp_path / "deep" / "out.mp4", fps, 0.3, 100, stride, {100: "car"})
    with av.open(film) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(video=0))
        assert stream.codec_context.name == "h264"
        assert (stream.width, stream.height) == (62, 46)
        assert len(frames) == 10 // stride
        assert frames[1].time - frames[0].time == pytest.approx(step, abs=0.002)
    sam.shutdown()


def test_pictures_are_drawn_without_a_screen(sam, tmp_path):
    sam.add_mask_prompt(block(5), 100)
    sam.propagate()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sam.show_frame(2, figsize=(4, 3), axis="on", output=tmp_path / "a.png") is None
        assert sam.show_frames(5, 2, (2, 2), 0.5, True) is None
        sam.show_frames(frame_stride=100, show_ids={100: "car"})
    assert read_picture(tmp_path / "a.png").shape == (300, 400, 4)
    assert mpl.pyplot.get_fignums() == []
    with pytest.raises(InputError, match="stride"):
        sam.show_frames(0)


# --- downloads ------------------------------------------------------------------------------------------------------


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def site(tmp_path, clip):
    """A web server with a film, an archive and something that is neither; its address."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "cars.mp4").write_bytes(Path(clip).read_bytes())
    (folder / "weights.bin").write_bytes(b"12345")
    (folder / "torn.zip").write_bytes(b"no archive")
    (folder / "torn.mp4").write_bytes(b"no film")
    with zipfile.ZipFile(folder / "frames.zip", "w") as archive:
        archive.writestr("frames/0.txt", "zero")
    with (
        zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("b.txt", "w") as member,
    ):
        for _ in range(300):
            member.write(bytes(10**6))
    with zipfile.ZipFile(folder / "in_the_way.zip", "w") as archive:
        archive.writestr("first.txt", "first")
        archive.writestr("mine.txt", "theirs")
    data = (folder / "frames.zip").read_bytes()
    at = data.index(b"PK\1\2")
    (folder / "encrypted.zip").write_bytes(data[:6] + b"\1" + data[7 : at + 8] + b"\1" + data[at + 9 :])

    def handler(*args):
        return QuietHandler(*args, directory=str(folder))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_download_a_video_once_and_use_it(site, tmp_path, monkeypatch, capsys):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    path = download_file(f"{site}/cars.mp4")
    assert path == str(tmp_path / "work" / "cars.mp4")
    assert "Downloaded cars.mp4" in capsys.readouterr().out
    assert download_file(f"{site}/cars.mp4") == path
    assert "there already" in capsys.readouterr().out
    assert download_file(f"{site}/cars.mp4", overwrite=True, quiet=True, proxy="x", speed=1, verify=False) == path
    assert capsys.readouterr().out == ""
    sam = SamGeo3Video(engine="hold")
    sam.set_video(path)
    assert len(sam.video_frames) == COUNT
    sam.shutdown()


@pytest.mark.parametrize("what", ["bomb", "in the way", "encrypted"])
def test_archives_that_are_not_unpacked(site, tmp_path, what):
    target = tmp_path / "a.zip"
    if what == "in the way":
        (tmp_path / "mine.txt").write_text("mine")
    error = OutputExistsError if what == "in the way" else SourceError
    with pytest.raises(error, match=r"would unpack to 300000000 bytes|mine\.txt exists|is encrypted"):
        download_file(f"{site}/{what.replace(' ', '_')}.zip", target)
    assert {path.name: path.read_text() for path in tmp_path.glob("*.txt")} == (
        {"mine.txt": "mine"} if what == "in the way" else {}
    )


def test_download_other_things(site, tmp_path):
    assert Path(download_file(f"{site}/weights.bin", str(tmp_path))).read_bytes() == b"12345"
    download_file(f"{site}/frames.zip", tmp_path / "frames.zip")
    assert (tmp_path / "frames" / "0.txt").read_text() == "zero"
    for _ in range(2):
        folder = download_file(f"{site}/frames.zip", tmp_path / "sub" / "some.zip", subfolder=True)
        assert folder == str(tmp_path / "sub" / "some")
        assert [path.name for path in Path(folder).rglob("*.txt")] == ["0.txt"]
    download_file(f"{site}/frames.zip", tmp_path / "frames.zip", overwrite=True)  # the same again
    (tmp_path / "frames" / "0.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        download_file(f"{site}/frames.zip", tmp_path / "frames.zip", overwrite=True)
    assert (tmp_path / "frames" / "0.txt").read_text() == "mine"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    download_file(f"{site}/torn.zip", tmp_path / "torn.zip", unzip=False)
    with pytest.raises(SourceError, match="no zip"):
        download_file(f"{site}/torn.zip", tmp_path / "torn.zip", overwrite=True)
    with pytest.raises(SourceError, match=r"torn\.mp4"):
        download_file(f"{site}/torn.mp4", tmp_path / "torn.mp4")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "http"),
        ({"id": "abc"}, "Google Drive"),
        ({"url": "https://drive.google.com/file/d/abc/view"}, "Google Drive"),
        ({"url": "https://example.org/"}, "output"),
        ({"url": "ftp://example.org/a.mp4"}, "http"),
    ],
)
def test_addresses_that_are_refused(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        download_file(**arguments)


def test_a_page_on_github_is_taken_for_its_file(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        "maskferry.samgeo._download.fetch_file", lambda url, path, **_: (asked.append(url), path.touch())
    )
    download_file("https://github.com/a/b/blob/main/c.mp4", tmp_path / "c.mp4")
    assert asked == ["https://raw.githubusercontent.com/a/b/main/c.mp4"]


def test_the_rate_of_a_sampled_video_is_exact(clip):
    sam = SamGeo3Video(engine="hold")
    sam.set_video(clip, frame_rate=8)
    assert sam._tracker.source.info.rate == Fraction(25, 3)
    sam.shutdown()
