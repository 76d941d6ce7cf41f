"""The notebook for external masks, cell by cell, on a tiny SAM 3 that lies where the hub would have put it."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the SAM engines need torch")
pytest.importorskip("transformers", reason="the SAM engines need transformers")
mpl = pytest.importorskip("matplotlib", reason="pictures need matplotlib")

from PIL import Image

import sam_models
from cli_tools import label_map, run
from clips import SIZE_HW, make_clip
from maskferry.engines.base import TextThresholds
from maskferry.errors import EngineError
from maskferry.formats import _table as table
from maskferry.samgeo import SamGeo3Video

mpl.use("agg")
COUNT = 10


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of the hub that holds facebook/sam3, whole; random weights are not sure of what they find."""
    root = tmp_path_factory.mktemp("hub")
    repository = root / "models--facebook--sam3"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123abc")
    config = sam_models.save("sam3", repository / "snapshots" / "0123abc") / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"new_det_thresh": 0.3}))
    return root


@pytest.fixture
def offline(cache, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def read(path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def test_a_notebook_from_its_first_cell_to_its_last(offline, tmp_path, capsys):
    sam = SamGeo3Video(engine="sam3")
    sam.set_video(str(make_clip(tmp_path / "cars.mp4", COUNT)))
    sam.show_frame(0, axis="on", output=tmp_path / "bare.png")

    # words find objects, which are followed through the video
    found = sam.generate_masks("car", frame_idx=0, propagate=False)
    assert list(found) == [0]
    ids, masks = found[0]["out_obj_ids"].tolist(), found[0]["out_binary_masks"].copy()
    assert len(ids) >= 3
    assert ids == sorted(set(ids))
    assert masks.shape == (len(ids), *SIZE_HW)
    assert masks.any(axis=(1, 2)).all()
    outputs = sam.generate_masks("car", frame_idx=0)
    assert f"Found {len(ids)} object(s) matching 'car' on frame 0." in capsys.readouterr().out
    assert list(outputs) == list(range(COUNT))
    assert all(outputs[i]["out_obj_ids"].tolist() == outputs[0]["out_obj_ids"].tolist() for i in outputs)
    assert np.array_equal(outputs[0]["out_binary_masks"], masks)

    # the same masks as another model's, one by one
    sam.init_tracker()
    assert list(sam.outputs_per_frame) == list(range(COUNT))
    assert not any(found["out_obj_ids"].size for found in sam.outputs_per_frame.values())
    assert not any(found["out_obj_ids"].size for found in sam.propagate().values())
    assert "There are no objects to follow yet." in capsys.readouterr().out
    external = [masks[0], masks[1].astype(np.uint8) * 255, masks[2].astype(np.float32)]
    for number, mask in enumerate(external[:2]):
        assert sam.add_mask_prompt(mask, obj_id=10 + number, frame_idx=0, num_points=5) == 10 + number
    outputs = sam.propagate()
    assert [frame["out_obj_ids"].tolist() for frame in outputs.values()] == [[10, 11]] * COUNT
    assert np.array_equal(outputs[0]["out_binary_masks"], masks[:2])
    first = [frame["out_binary_masks"].copy() for frame in outputs.values()]
    assert any(frame.any() for frame in first[1:])
    assert any((frame != first[0]).any() for frame in first[1:])
    assert all(((frame["out_probs"] >= 0) & (frame["out_probs"] <= 1)).all() for frame in outputs.values())
    sam.show_frame(0, show_ids={10: "left", 11: "right"}, output=tmp_path / "drawn.png")
    assert (read(tmp_path / "drawn.png") != read(tmp_path / "bare.png")).any()
    sam.show_frames(frame_stride=3, ncols=2)

    # and all at once: the same answers, and one object more
    sam.init_tracker()
    assert sam.add_masks_prompt(external) == [100, 101, 102]
    outputs = sam.propagate()
    assert [frame["out_obj_ids"].tolist() for frame in outputs.values()] == [[100, 101, 102]] * COUNT
    assert np.array_equal(outputs[0]["out_binary_masks"], masks[:3])
    together = [frame["out_binary_masks"][:2] for frame in outputs.values()]
    assert np.mean([np.mean(a != b) for a, b in zip(first, together, strict=True)]) < 1e-3  # rounding, at borders
    sam.show_frames(frame_stride=4, ncols=3, show_ids=True)

    # saved, twice, as a cell that is run again
    for _ in range(2):
        paths = sam.save_masks(str(tmp_path / "masks"))
        film = sam.save_video(str(tmp_path / "tracked.mp4"), fps=25, alpha=0.6)
    assert paths == [str(tmp_path / "masks" / f"{i:02d}.png") for i in range(COUNT)]
    for path, frame in zip(paths, outputs.values(), strict=True):
        labels, covered = read(path), frame["out_binary_masks"].any(axis=0)
        assert np.array_equal(labels > 0, covered)
        for object_id, mask in zip(frame["out_obj_ids"], frame["out_binary_masks"], strict=True):
            assert not (labels[~mask] == object_id).any()
    with av.open(film) as container:
        assert sum(1 for _ in container.decode(video=0)) == COUNT

    engine = sam._tracker.engine
    for _ in range(2):
        sam.close()
    for _ in range(2):
        sam.shutdown()
    assert np.array_equal(outputs[0]["out_binary_masks"], masks[:3])  # what was handed out stays
    with pytest.raises(EngineError, match="is closed"):
        engine.open(None)
    said = capsys.readouterr().out
    assert f"Propagated 3 object(s) to {COUNT} frames." in said
    assert said.count("Video closed.") == 1


def test_words_that_name_nothing_leave_nothing(offline, capsys, monkeypatch):
    sam = SamGeo3Video(engine="sam3")
    sam.set_video(np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8))
    assert len(sam.generate_masks("car", propagate=False)) == 1
    monkeypatch.setattr(sam._tracker.engine._models[0].detector, "_thresholds", TextThresholds(0.9999, 0.9999, 0.9))
    assert not any(found["out_obj_ids"].size for found in sam.generate_masks("zebra").values())
    assert "Found 0 object(s) matching 'zebra' on frame 0." in capsys.readouterr().out
    sam.propagate()
    assert "There are no objects to follow yet." in capsys.readouterr().out
    sam.shutdown()


def test_the_command_line_names_devices(offline, tmp_path, capsys):
    video = make_clip(tmp_path / "cars.mp4", 3)
    masks = label_map(tmp_path / "masks.png", (10, 20, 40, 60), (60, 30, 100, 80))
    command = ["track", video, "--masks", masks, "--write", "csv", "-q"]
    tables = []
    for device in ("cpu", "cpu,cpu"):
        assert run(*command, "-o", tmp_path / device, "--engine", "sam3", "--device", device) == 0
        tables.append(table.read(tmp_path / device / "tracks.csv"))
    alone, spread = ([(row.frame, row.object_id, row.state) for row in rows] for rows in tables)
    assert alone == spread
    assert [row.area for row in tables[0]] == pytest.approx([row.area for row in tables[1]], rel=0.01, abs=5)
    assert {row.fidelity for row in tables[0] if row.frame} == {None}
    assert all(row.fidelity > 0.9 for row in tables[0] if not row.frame)
    capsys.readouterr()
    for options, message in (
        (["--engine", "sam3", "--device", "cpu,cuda:99"], "device 'cuda:99' is unavailable"),
        (
            ["--engine", "hold", "--device", "cpu"],
            "engine 'hold' runs on the CPU and takes no weights; device is an option of sam3",
        ),
    ):
        assert run(*command, "-o", tmp_path / "none", *options) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "none").exists()


def test_the_command_line_takes_a_folder_of_weights(cache, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = next(cache.glob("*/snapshots/*"))
    video = make_clip(tmp_path / "cars.mp4", 3)
    masks = label_map(tmp_path / "masks.png", (10, 20, 40, 60))
    command = ["track", video, "--masks", masks, "--write", "csv", "-q", "-o", tmp_path / "out"]
    assert run(*command, "--engine", "sam3") == 1
    assert "are not on this machine" in capsys.readouterr().err
    assert run(*command, "--engine", "flow", "--checkpoint", folder) == 2
    assert "checkpoint is an option of sam3" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run(*command, "--engine", "sam3", "--checkpoint", folder) == 0
    assert {row.frame for row in table.read(tmp_path / "out" / "tracks.csv")} == {0, 1, 2}
