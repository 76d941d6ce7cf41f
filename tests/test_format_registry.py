"""The one table of formats: what is derived from it, and formats of other packages."""

from __future__ import annotations

import importlib
import inspect
import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import maskferry
from maskferry.cli import main
from maskferry.errors import InputError, MissingExtraError
from maskferry.formats import registry
from maskferry.formats.registry import BUILT_IN, FormatSpec, format_spec, known_formats, load_writer
from maskferry.outputs import Outputs

ROOT = Path(__file__).parent.parent

WRITER = '''
"""A format of another package: a line for each object."""

from maskferry.files import atomic_path
from maskferry.formats.registry import FormatSpec

SPEC = FormatSpec("other_package:write", output="extents.txt", summary="a line for each object on each frame")


def write(video, frames, path, *, labels, overwrite):
    with atomic_path(path, overwrite=overwrite) as part, part.open("w") as file:
        for frame in frames:
            for row in frame.masks:
                file.write(f"{frame.info.index} {labels.get(row.object_id)} {row.rle.area}\\n")
'''


@pytest.fixture
def tracks():
    mask = np.zeros((24, 32), dtype=bool)
    mask[4:9, 5:12] = True
    video = np.zeros((3, 24, 32, 3), dtype=np.uint8)
    with maskferry.track(video, {7: mask}, engine="hold") as found:
        yield found


# --- derived from the table -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_writer_takes_what_its_spec_says(name):
    spec = BUILT_IN[name]
    for package in spec.requires:
        pytest.importorskip(package)
    parameters = inspect.signature(load_writer(name).func).parameters
    assert list(parameters)[:2] == ["video", "frames"]
    assert {"overwrite", *spec.takes, *spec.options} <= set(parameters)


def test_names_in_a_runs_folder_differ():
    outputs = [spec.output for spec in BUILT_IN.values()]
    assert len(set(outputs)) == len(outputs)
    for spec in BUILT_IN.values():
        assert spec.is_folder == (not Path(spec.output).suffix)


def test_readme_shows_the_table():
    module = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    script = importlib.util.module_from_spec(module)
    module.loader.exec_module(script)
    text, wanted = script.pages("formats")
    assert text == wanted, "README is stale: run `python docs/tables.py`"
    assert set(re.findall(r"^\| `([a-z-]+)` \|", script.formats(), re.MULTILINE)) == set(BUILT_IN)


def test_help_names_every_format(capsys):
    assert main(["export", "--help"]) == 0
    shown = "".join(capsys.readouterr().out.split())  # lines are broken at hyphens
    for name in BUILT_IN:
        assert f"{name}:" in shown


def test_an_unknown_format_names_those_that_there_are(tracks, tmp_path):
    with pytest.raises(InputError, match=r"expected one of davis, masks, .* got 'nonsense'"):
        maskferry.export(tracks, tmp_path / "x", "nonsense")


def test_a_missing_package_is_named_before_anything_is_written(tracks, tmp_path, monkeypatch):
    spec = replace(BUILT_IN["csv"], requires=("no_such_package",), extra="some")
    monkeypatch.setitem(registry.BUILT_IN, "csv", spec)
    with pytest.raises(MissingExtraError, match=r"needs no_such_package: pip install 'maskferry\[some\]'"):
        maskferry.export(tracks, tmp_path / "x.csv", "csv")
    assert list(tmp_path.iterdir()) == []


# --- of other packages ------------------------------------------------------------------------------------------


def test_a_plugins_format_is_written_like_any_other(install_package, tracks, tmp_path, capsys):
    install_package({"other_package": WRITER}, "maskferry.formats", {"extents": "other_package:SPEC"})
    assert known_formats()["extents"].output == "extents.txt"
    assert maskferry.export(tracks, tmp_path / "a.txt", "extents") == [tmp_path / "a.txt"]
    assert (tmp_path / "a.txt").read_text() == "0 None 35\n1 None 35\n2 None 35\n"
    Outputs(tmp_path / "run", ("extents",)).write("extents", tracks, None)
    assert (tmp_path / "run" / "extents.txt").read_text() == (tmp_path / "a.txt").read_text()


def test_a_plugins_format_on_the_command_line(install_package, tmp_path, capsys):
    install_package({"other_package": WRITER}, "maskferry.formats", {"extents": "other_package:SPEC"})
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    mask = np.zeros((24, 32), dtype=np.uint8)
    mask[4:9, 5:12] = 1
    import PIL.Image

    for index in range(2):
        PIL.Image.fromarray(np.zeros((24, 32, 3), dtype=np.uint8)).save(pictures / f"{index}.png")
    PIL.Image.fromarray(mask).save(tmp_path / "first.png")
    out = tmp_path / "out"
    command = ["track", str(pictures), "--masks", str(tmp_path / "first.png"), "-o", str(out), "--engine", "hold"]
    assert main([*command, "--write", "extents"]) == 0
    assert (out / "extents.txt").read_text() == "0 None 35\n1 None 35\n"
    assert main(["export", str(out), "--format", "extents", "-o", str(tmp_path / "b.txt")]) == 0
    assert (tmp_path / "b.txt").exists()


def test_a_builtin_name_cannot_be_taken(install_package, caplog):
    install_package({"other_package": WRITER}, "maskferry.formats", {"csv": "other_package:SPEC"})
    with caplog.at_level(logging.WARNING):
        assert known_formats()["csv"] is BUILT_IN["csv"]
    assert "the name is that of a built-in one" in caplog.text


@pytest.mark.parametrize(
    ("source", "value", "says"),
    [
        ("raise RuntimeError('broken at import')", "other_package:SPEC", "broken at import"),
        ("SPEC = 3", "other_package:SPEC", "expected a FormatSpec, got 3"),
        ("x = 1", "other_package:SPEC", "AttributeError"),
    ],
)
def test_a_broken_plugin_is_reported_and_stops_nobody(install_package, tracks, tmp_path, caplog, source, value, says):
    install_package({"other_package": source}, "maskferry.formats", {"broken": value})
    with caplog.at_level(logging.WARNING):
        found = known_formats()
    assert "broken" not in found and set(BUILT_IN) <= set(found)
    assert "'broken'" in caplog.text and says in caplog.text
    maskferry.export(tracks, tmp_path / "t.csv", "csv")


def test_a_writer_that_is_not_there_is_an_input_error(install_package):
    source = "from maskferry.formats.registry import FormatSpec\nSPEC = FormatSpec('other_package:gone', 'x.txt', 'x')"
    install_package({"other_package": source}, "maskferry.formats", {"gone": "other_package:SPEC"})
    assert format_spec("gone") == FormatSpec("other_package:gone", "x.txt", "x")
    with pytest.raises(InputError, match="'other_package:gone'"):
        load_writer("gone")


def test_builtin_formats_need_no_look_at_plugins(monkeypatch):
    monkeypatch.setattr(registry, "load_plugins", lambda *_: pytest.fail("plugins were looked for"))
    assert format_spec("csv") is BUILT_IN["csv"]
