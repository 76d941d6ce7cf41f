"""Names in pictures and films: any script, any characters, and never another name."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import ImageFont

from cli_tools import run, tracked
from format_samples import disk, masks_of, row
from maskferry.drawing import _fonts, _text, contact_sheet, draw_overlay
from maskferry.drawing._fonts import SHIPPED, check_font, font_of
from maskferry.drawing._text import line_of, readable
from maskferry.drawing._writing_order import clusters_of, in_order_of_drawing, mirrored
from maskferry.errors import InputError
from maskferry.tracks import Tracks, editing

SIZE, ROOM = 18, 600
BIG = (120, 300)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Nothing remembered, no font named, no fonts in the system but those that a test makes."""
    monkeypatch.delenv("MASKFERRY_FONT", raising=False)
    monkeypatch.setattr(_fonts, "_homes", {})
    monkeypatch.setattr(_fonts, "_font_folders", list)
    caches = (
        _fonts.load_font,
        _fonts._has,
        _fonts._find_fonts,
        _fonts._system_fonts,
        _text._fitted,
        _text._knows_scripts,
    )
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.fixture
def without_raqm(monkeypatch):
    monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", False)


def make_font(path: Path, chars: str) -> Path:
    """A font in which these characters are black bars, each as wide as its place among them says."""
    names = [".notdef", *(f"c{i}" for i in range(len(chars)))]
    glyphs = {name: box(100 + 40 * i) for i, name in enumerate(names)}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(char): f"c{i}" for i, char in enumerate(chars)})
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


def box(width: int):
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 700), (width, 700), (1000, 0)):
        pen.lineTo(point)
    pen.closePath()
    return pen.glyph()


def line(text: str) -> np.ndarray:
    return line_of(readable(text), SIZE, ROOM)


def overlay(name: str) -> np.ndarray:
    masks = masks_of(row(1, disk((150, 70), 12, BIG)), size_hw=BIG)
    return draw_overlay(np.full((*BIG, 3), 90, np.uint8), masks, labels={1: name})


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.array_equal(a, b)


# --- what the shipped font has --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("große Kugel, rot", ["1", "groe Kugel, rot", "grosse Kugel, rot"]),
        ("Łódź", ["1", "odz", "Lodz", "ódź"]),
        ("Rückkehrer", ["Ruckkehrer"]),
        ("ball \u2013 left", ["1", "ball - left", "ball  left", "ball left"]),
        ("Ørsted œuvre", ["rsted uvre", "Orsted oeuvre"]),
        ("большой мяч", ["1"]),
        ("μεγάλη μπάλα", ["1", "μεγαλη μπαλα"]),
        ("Việt", ["Viet"]),
        ("5 € ½ °", ["5", "5 1/2"]),
        ("כדור", ["1", "רודכ"]),
        ("كرة", ["1", "ةرك"]),
    ],
)
def test_a_name_is_drawn_as_it_is(name, others, caplog):
    assert font_of(name) == SHIPPED
    drawn = overlay(name)
    assert not any(same(drawn, overlay(other)) for other in others)
    assert not caplog.records


def test_composed_and_decomposed_names_are_drawn_alike():
    assert same(line("u\u0308ber"), line("über"))


def test_a_caption_is_drawn_as_it_is():
    image = np.zeros((60, 80, 3), np.uint8)
    sheets = [contact_sheet([image], [text], width=300) for text in ("große Kugel", "groe Kugel", "мяч", "")]
    assert not any(same(a, b) for i, a in enumerate(sheets) for b in sheets[:i])


# --- what breaks lines or commands ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\tc", "a b c"),
        ("  a  ", "a"),
        ("a\x1b[31m", "a\ufffd[31m"),
        ("\ud800", "\ufffd"),
        ("a\u202eb\u2066c\u200f", "abc"),
        ("\u200b\ufeff", ""),
        ("\u200d", ""),
        ("\u2028", ""),
    ],
)
def test_a_name_is_one_line_that_commands_nothing(text, expected):
    assert readable(text) == expected


def test_a_name_that_is_too_wide_ends_in_an_ellipsis():
    whole, cut = line_of("x" * 60, SIZE, 10_000), line_of("x" * 60, SIZE, 100)
    assert cut.shape[1] <= 100 < whole.shape[1]
    ending = line("…").shape[1] // 2
    assert not same(cut[:, -ending:], whole[:, cut.shape[1] - ending : cut.shape[1]])
    assert line_of("x" * 100_000, SIZE, 10**6).shape[1] < 300 * 2 * SIZE


def test_there_is_a_line_for_the_narrowest_room():
    assert line_of("xyz", SIZE, 0).max() > 0


@pytest.mark.parametrize("name", [None, 5, b"ball"])
def test_a_name_that_is_no_text_is_refused(name):
    with pytest.raises(InputError, match="labels: expected a text for object 1"):
        overlay(name)


# --- other fonts ----------------------------------------------------------------------------------------------------


def test_what_the_shipped_font_lacks_is_drawn_in_a_font_of_the_system(tmp_path, monkeypatch, caplog):
    boxes = line("球体")
    _fonts._homes.clear()
    _fonts._find_fonts.cache_clear()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    font = make_font(tmp_path / "deep" / "er" / "Some Sans.ttf", "球体")
    make_font(tmp_path / "Some Bold.ttf", "球体")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    (tmp_path / "LastResort.otf").write_bytes(make_font(tmp_path / "x.ttf", "大").read_bytes())
    monkeypatch.setattr(_fonts, "_font_folders", lambda: [tmp_path, tmp_path / "none"])
    _fonts._system_fonts.cache_clear()
    caplog.clear()
    _text._fitted.cache_clear()
    assert font_of("球体") == font
    assert not same(line("球体"), boxes)
    assert not caplog.records


def test_a_name_in_two_fonts_is_drawn_whole(tmp_path, monkeypatch):
    make_font(tmp_path / "Some Sans.ttf", "球")
    monkeypatch.setattr(_fonts, "_font_folders", lambda: [tmp_path])
    assert font_of("ball 球 ball") is None
    found = line("ball 球 ball")
    assert found.shape[1] >= 2 * line("ball").shape[1] + SIZE
    assert same(found[:, :20], line("ball ball")[:, :20])


def test_what_no_font_has_is_a_box_for_each_character_and_said_once(caplog):
    with caplog.at_level(logging.WARNING):
        one, three = line("球"), line("球球球")
        drawn = overlay("球 and 体")
        overlay("球 and 体")
    assert one.max() == 1
    assert three.shape[1] > 2 * one.shape[1]
    assert not same(drawn, overlay("1"))
    assert not same(drawn, overlay("and"))
    assert [("球 (U+7403)" in r.message, "体 (U+4F53)" in r.message) for r in caplog.records] == [
        (True, False),
        (False, True),
    ]
    assert all("MASKFERRY_FONT" in r.message for r in caplog.records)


def test_many_names_without_a_font_are_one_warning(caplog):
    masks = masks_of(row(1, disk((50, 60), 12, BIG)), row(2, disk((120, 60), 12, BIG)), size_hw=BIG)
    names = {1: "球体", 2: "大きい", 3: "บอล"}
    for _ in range(3):
        draw_overlay(np.zeros((*BIG, 3), np.uint8), masks, labels=names)
    assert [record.message.count("U+") for record in caplog.records] == [5]
    assert "and 3 others" in caplog.text


@pytest.mark.parametrize("emoji", ["🚗", "👩‍🚀", "🏳️‍🌈"])
def test_emoji_are_something_and_no_other_text(emoji):
    drawn = overlay(f"car {emoji}")
    assert not any(same(drawn, overlay(other)) for other in ("1", "car", "car "))


def test_a_font_that_is_named_comes_first(tmp_path, monkeypatch):
    plain = line("ab球")
    _text._fitted.cache_clear()
    monkeypatch.setenv("MASKFERRY_FONT", str(make_font(tmp_path / "mine.ttf", "ab球")))
    assert check_font() == font_of("ab球") == tmp_path / "mine.ttf"
    assert font_of("abc") == SHIPPED
    assert not same(line("ab球"), plain)


@pytest.mark.parametrize("content", [None, b"", b"no font at all"])
def test_a_named_font_that_cannot_be_read_is_refused(content, tmp_path, monkeypatch):
    path = tmp_path / "mine.ttf"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("MASKFERRY_FONT", str(path))
    with pytest.raises(InputError, match=r"MASKFERRY_FONT: .*mine\.ttf is no font"):
        overlay("ball")


def test_a_named_font_that_cannot_be_read_is_refused_before_work_starts(tmp_path, monkeypatch, capsys):
    folder = tracked(tmp_path, "--write", "none")
    monkeypatch.setenv("MASKFERRY_FONT", str(tmp_path / "none.ttf"))
    masks, out = tmp_path / "first.png", tmp_path / "out2"
    assert run("track", tmp_path / "clip.mp4", "--masks", masks, "--engine", "hold", "-o", out, "--write", "sheet") == 2
    assert "MASKFERRY_FONT" in capsys.readouterr().err
    assert not out.exists()
    assert run("render", folder, "-o", tmp_path / "film.mp4") == 2
    assert not (tmp_path / "film.mp4").exists()
    assert run("track", tmp_path / "clip.mp4", "--masks", masks, "--engine", "hold", "-o", out, "--write", "csv") == 0


def test_the_command_line_warns_once_of_characters_without_a_font(tmp_path, capsys):
    folder = tracked(tmp_path, "--write", "none")
    with Tracks.open(folder / "tracks.sqlite") as tracks:
        editing.rename(tracks, 1, "große 球")
    assert run("render", folder, "-o", tmp_path / "film.mp4") == 0
    err = capsys.readouterr().err
    assert err.count("warning: ") == err.count("球 (U+7403)") == 1


def test_another_font_named_later_is_heeded(tmp_path, monkeypatch):
    first = line("abc")
    monkeypatch.setenv("MASKFERRY_FONT", str(make_font(tmp_path / "mine.ttf", "abc")))
    assert not same(line("abc"), first)


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_the_usual_folders_of_every_system(system, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr("sys.platform", system)
    folders = _fonts._font_folders()
    assert len(folders) >= 2
    assert all("ont" in folder.name for folder in folders)


# --- from right to left ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ball", [("ball", False)]),
        ("כדור", [("כדור", True)]),
        ("כדור 12:30", [("12:30", False), ("כדור ", True)]),
        ("red כדור, big", [("red ", False), ("כדור", True), (", big", False)]),
        ("כדור (red) גדול", [(") גדול", True), ("red", False), ("כדור (", True)]),
        ("12", [("12", False)]),
        ("...", [("...", False)]),
    ],
)
def test_the_order_of_drawing(text, parts):
    assert in_order_of_drawing(text) == parts


def test_marks_stay_with_their_letters():
    assert clusters_of("שָׁe\u0301x") == ["שָׁ", "e\u0301", "x"]
    assert clusters_of("👩‍🚀!") == ["👩‍🚀", "!"]
    assert mirrored("אבָ(") == ")בָא"


def test_hebrew_without_raqm_is_drawn_from_right_to_left(without_raqm):
    drawn = line("אבגד")
    _text._fitted.cache_clear()
    assert not same(drawn, line("דגבא"))
    first_letter = line("א")
    ink = first_letter[:, first_letter.any(axis=0)]
    at_the_end = drawn[:, drawn.any(axis=0)][:, -ink.shape[1] :]
    assert np.abs(at_the_end - ink).mean() < 0.05  # glyphs may stand between two pixels


def test_with_and_without_raqm_numbers_stand_on_the_left(without_raqm):
    drawn, number = line("כדור 7"), line("7")
    ink = number[:, number.any(axis=0)]
    assert same(drawn[:, drawn.any(axis=0)][:, : ink.shape[1]], ink)
