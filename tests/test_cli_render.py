"""``maskferry render``: a film of tracks."""

from __future__ import annotations

import av
import numpy as np
import pytest

from cli_tools import COUNT, clip, one_json, run, tracked


@pytest.fixture
def out(tmp_path):
    return tracked(tmp_path, "--write", "none")


def pictures(path):
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def duration(path):
    with av.open(str(path)) as film:
        return film.duration / av.time_base


def inside(picture):
    """Mean colour in the middle of object 1."""
    return picture[35:45, 20:30].mean(axis=(0, 1))


@pytest.mark.parametrize("name", ["", "tracks.sqlite"])
def test_the_folder_or_the_file(name, out, tmp_path, capsys):
    film = tmp_path / "film.mp4"
    assert run("render", out / name, "-o", film) == 0
    assert capsys.readouterr() == (f"{film}\n", "")
    assert len(pictures(film)) == COUNT


def test_options_change_the_film(out, tmp_path, capsys):
    plain, bare, solid = (tmp_path / f"{name}.mp4" for name in ("plain", "bare", "solid"))
    assert run("render", out, "-o", plain, "--json") == 0
    assert one_json(capsys.readouterr().out) == {"files": {"film": str(plain)}}
    assert run("render", out, "-o", bare, "--alpha", 0, "--no-outline", "--no-labels") == 0
    assert run("render", out, "-o", solid, "--alpha", 1, "--stride", 3, "--rate", 5, "--zoom", 2) == 0
    original = pictures(tmp_path / "clip.mp4")
    assert np.abs(inside(pictures(bare)[0]) - inside(original[0])).max() < 12
    assert np.abs(inside(pictures(solid)[0][::2, ::2]) - (255, 127, 14)).max() < 12
    assert np.abs(inside(pictures(plain)[0]) - inside(original[0])).max() > 20
    assert pictures(solid)[0].shape == (192, 256, 3)
    assert len(pictures(solid)) == COUNT // 3
    assert duration(solid) == pytest.approx(COUNT / 3 / 5)
    assert duration(plain) == pytest.approx(duration(tmp_path / "clip.mp4"), abs=0.02)


def test_a_video_that_has_moved(out, tmp_path, capsys):
    moved = (tmp_path / "clip.mp4").rename(tmp_path / "elsewhere.mp4")
    assert run("render", out, "-o", tmp_path / "film.mp4") == 1
    assert "clip.mp4 does not exist" in capsys.readouterr().err
    assert run("render", out, moved, "-o", tmp_path / "film.mp4") == 0
    assert len(pictures(tmp_path / "film.mp4")) == COUNT


def test_refusals(out, tmp_path, capsys):
    film = tmp_path / "film.mp4"
    film.write_text("mine")
    assert run("render", out, "-o", film) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert film.read_text() == "mine"
    assert run("render", out, "-o", film, "--overwrite") == 0
    for wrong in (["-o", "film.avi"], ["-o", "new.mp4", "--audio", "--rate", 5], ["-o", "new.mp4", "--rate", "fast"]):
        assert run("render", out, *wrong) == 2, wrong
    assert run("render", tmp_path / "nothing", "-o", "new.mp4") == 2
    assert run("render", tmp_path, "-o", "new.mp4") == 2


def test_another_video_is_refused(out, tmp_path, capsys):
    other = clip(tmp_path, "other.mkv", 3)
    assert run("render", out, other, "-o", tmp_path / "film.mp4") != 0
    assert not (tmp_path / "film.mp4").exists()
