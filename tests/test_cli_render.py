"""``maskferry render``: a film of tracks."""

from __future__ import annotations

import av
import numpy as np
import pytest

from cli_tools import COUNT, clip, one_json, run
from helpers import film_frames


def duration(path):
    with av.open(str(path)) as film:
        return film.duration / av.time_base


def inside(picture):
    """Mean colour in the middle of object 1."""
    return picture[35:45, 20:30].mean(axis=(0, 1))


@pytest.mark.parametrize("name", ["", "tracks.sqlite"])
def test_the_folder_or_the_file(name, finished_run, tmp_path, capsys):
    film = tmp_path / "film.mp4"
    assert run("render", finished_run / name, "-o", film) == 0
    assert capsys.readouterr() == (f"{film}\n", "")
    assert len(film_frames(film)) == COUNT


def test_options_change_the_film(finished_run, tmp_path, capsys):
    plain, bare, solid = (tmp_path / f"{name}.mp4" for name in ("plain", "bare", "solid"))
    assert run("render", finished_run, "-o", plain, "--json") == 0
    assert one_json(capsys.readouterr().out) == {"files": {"film": str(plain)}}
    assert run("render", finished_run, "-o", bare, "--alpha", 0, "--no-outline", "--no-labels") == 0
    assert run("render", finished_run, "-o", solid, "--alpha", 1, "--stride", 3, "--rate", 5, "--zoom", 2) == 0
    original = film_frames(tmp_path / "clip.mp4")
    assert np.abs(inside(film_frames(bare)[0]) - inside(original[0])).max() < 16
    assert np.abs(inside(film_frames(solid)[0][::2, ::2]) - (255, 127, 14)).max() < 16
    assert np.abs(inside(film_frames(plain)[0]) - inside(original[0])).max() > 20
    assert film_frames(solid)[0].shape == (192, 256, 3)
    assert len(film_frames(solid)) == COUNT // 3
    assert duration(solid) == pytest.approx(COUNT / 3 / 5)
    assert duration(plain) == pytest.approx(duration(tmp_path / "clip.mp4"), abs=0.02)


def test_a_video_that_has_moved(finished_run, tmp_path, capsys):
    moved = (tmp_path / "clip.mp4").rename(tmp_path / "elsewhere.mp4")
    assert run("render", finished_run, "-o", tmp_path / "film.mp4") == 1
    assert "clip.mp4 does not exist" in capsys.readouterr().err
    assert run("render", finished_run, moved, "-o", tmp_path / "film.mp4") == 0
    assert len(film_frames(tmp_path / "film.mp4")) == COUNT


def test_refusals(finished_run, tmp_path, capsys):
    film = tmp_path / "film.mp4"
    film.write_text("mine")
    assert run("render", finished_run, "-o", film) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run("render", finished_run, "-o", film, "--overwrite") == 2
    assert film.read_text() == "mine"
    film.unlink()
    assert run("render", finished_run, "-o", film) == 0
    assert run("render", finished_run, "-o", film, "--overwrite") == 0
    for wrong in (["-o", "film.avi"], ["-o", "new.mp4", "--audio", "--rate", 5], ["-o", "new.mp4", "--rate", "fast"]):
        assert run("render", finished_run, *wrong) == 2, wrong
    assert run("render", tmp_path / "nothing", "-o", "new.mp4") == 2
    assert run("render", tmp_path, "-o", "new.mp4") == 2


def test_another_video_is_refused(finished_run, tmp_path, capsys):
    other = clip(tmp_path, "other.mkv", 3)
    assert run("render", finished_run, other, "-o", tmp_path / "film.mp4") != 0
    assert not (tmp_path / "film.mp4").exists()
