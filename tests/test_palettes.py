"""Colours of objects: the default ones stay, the safe ones can be told apart by people who see fewer colours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cli_tools import COUNT, run
from clips import SIZE_HW
from format_samples import disk, masks_of, picture, row
from helpers import film_frames, square_mask
from maskferry import FrameInfo, MaskPrompt, ObjectMask, Rle, State, Tracks, VideoInfo
from maskferry.data import Frame
from maskferry.drawing import color_of, draw_overlay
from maskferry.errors import InputError
from maskferry.rendering import plot_frame, plot_frames, render, render_moments, render_sheet
from maskferry.tracks._journal import Journal
from maskferry.tracks.review import Moment

# Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency (2009),
# severity 1; on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(colors, vision):
    """CIE L*a*b* (N, 3) of sRGB colours, as somebody with this vision sees them."""
    srgb = np.asarray(colors, dtype=float) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.transpose(VISIONS[vision]), 0, 1) @ TO_XYZ.T / WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def differences(count, vision, palette):
    """Delta E of 1976 between the colours of the first objects, (count, count)."""
    seen = lab([color_of(i, palette) for i in range(1, count + 1)], vision)
    return np.linalg.norm(seen[:, None] - seen, axis=2)


def smallest(found):
    return found[np.triu_indices(len(found), 1)].min()


@pytest.mark.parametrize(
    ("vision", "first_eight", "neighbours"),
    [("normal", 26.4, 34.9), ("protan", 20.6, 29.6), ("deutan", 17.0, 26.7), ("tritan", 16.0, 26.9)],
)
def test_safe_colours_are_apart_for_everybody(vision, first_eight, neighbours):
    found = differences(64, vision, "safe")
    assert smallest(found[:8, :8]) >= first_eight
    assert np.diag(found, 1).min() >= neighbours


def test_the_default_is_what_they_are_better_than():
    assert smallest(differences(8, "protan", "default")) < 5


def test_any_id_has_a_safe_colour():
    assert all(0 <= c <= 255 for i in range(300) for c in color_of(i, "safe"))
    assert len({color_of(i, "safe") for i in range(1, 25)}) == 23  # white cannot become lighter


def overlay(**options):
    return draw_overlay(picture(), masks_of(row(1, disk((8, 8), 5)), row(2, disk((16, 20), 5))), **options)


def test_the_default_stays_and_safe_is_drawn_in_its_own_colours():
    np.testing.assert_array_equal(overlay(), overlay(palette="default"))
    solid = overlay(palette="safe", alpha=1.0, labels=False)
    found = {tuple(color) for color in solid.reshape(-1, 3).tolist()}
    assert found.issuperset([color_of(1, "safe"), color_of(2, "safe")])
    assert found.isdisjoint([color_of(1), color_of(2)])
    assert (overlay(palette="safe") != overlay()).any()


@pytest.fixture
def made():
    """Tracks of a square, and grey pictures."""
    height, width = SIZE_HW
    frames = np.full((3, height, width, 3), 100, np.uint8)
    tracks = Tracks.create(VideoInfo(width, height, None, 3, "made"))
    journal, mask = Journal(tracks), square_mask(SIZE_HW, 10, 10, 30)
    journal.add_prompts([MaskPrompt(0, 1, mask)])
    for t in range(3):
        journal.frames.write(FrameInfo(t, None, f"{t}"), [ObjectMask(1, Rle.encode(mask), 1.0, State.TRACKED)])
    return tracks, frames


def has_color(path, palette):
    found = np.array(Image.open(path).convert("RGB")).reshape(-1, 3)
    return (found == color_of(1, palette)).all(axis=1).any()


@pytest.mark.parametrize("palette", ["default", "safe"])
def test_sheets(made, tmp_path, palette):
    tracks, frames = made
    other = "safe" if palette == "default" else "default"
    for path in (
        render_sheet(tracks, tmp_path / "sheet.png", frames, palette=palette),
        render_moments(tracks, [Moment(1, 1, "looks", 1.5)], tmp_path / "moments.png", frames, palette=palette),
    ):
        assert has_color(path, palette)
        assert not has_color(path, other)


def test_films_and_plots(made, tmp_path):
    tracks, frames = made
    film = render(tracks, tmp_path / "film.mp4", frames, palette="safe", alpha=1.0, rate=5)
    middle = film_frames(film)[0][15:35, 15:35].mean(axis=(0, 1))
    assert np.abs(middle - color_of(1, "safe")).max() < 16
    pytest.importorskip("matplotlib")
    shown = Frame(FrameInfo(0, None, "0"), frames[0]), tracks[0]
    for figure in (plot_frame(*shown, palette="safe", alpha=1.0), plot_frames([shown], palette="safe", alpha=1.0)):
        drawn = figure.axes[0].get_images()[0].get_array()
        assert (np.asarray(drawn) == color_of(1, "safe")).all(axis=2).any()


@pytest.mark.parametrize("palette", ["Safe", "", "tab10", None, 1])
def test_other_names_are_refused_before_anything_is_written(made, tmp_path, palette):
    tracks, frames = made
    shown = Frame(FrameInfo(0, None, "0"), frames[0]), tracks[0]
    for draw in (
        lambda: color_of(1, palette),
        lambda: overlay(palette=palette),
        lambda: render(tracks, tmp_path / "film.mp4", frames, palette=palette),
        lambda: render_sheet(tracks, tmp_path / "sheet.png", frames, palette=palette),
        lambda: render_moments(tracks, [Moment(1, 1, "looks", 1.5)], tmp_path / "m.png", frames, palette=palette),
        lambda: plot_frame(*shown, palette=palette),
        lambda: plot_frames([], palette=palette),
    ):
        with pytest.raises(InputError, match="palette: expected default or safe"):
            draw()
    assert not list(tmp_path.iterdir())


def test_the_command_line(finished_run, tmp_path, capsys):
    films = {name: tmp_path / f"{name}.mp4" for name in ("default", "safe")}
    for name, film in films.items():
        assert run("render", finished_run, "-o", film, "--alpha", 1, "--palette", name) == 0
        middle = film_frames(film)[0][30:50, 15:35].mean(axis=(0, 1))
        assert np.abs(middle - color_of(1, name)).max() < 16
    assert run("render", finished_run, "-o", tmp_path / "x.mp4", "--palette", "blue") == 2
    assert "palette" in capsys.readouterr().err


def test_the_film_and_the_sheet_of_a_run(tmp_path):
    from cli_tools import clip, label_map

    video, masks, out = clip(tmp_path), label_map(tmp_path / "first.png", (10, 20, 40, 60)), tmp_path / "out"
    options = ["--engine", "hold", "--write", "film,sheet", "--palette", "safe", "-q"]
    assert run("track", video, "--masks", masks, "-o", out, *options) == 0
    assert has_color(out / "sheet.png", "safe")
    assert not has_color(out / "sheet.png", "default")
    assert len(film_frames(out / "overlay.mp4")) == COUNT
