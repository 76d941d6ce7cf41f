"""The recipes of CONTRIBUTING, followed to the letter: each from another package, in two steps."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import maskferry
from maskferry.cli import main
from maskferry.detections import registry as detections_registry
from maskferry.engines.registry import engine_status
from maskferry.testing import EngineContract

PAGE = Path(__file__).parent.parent / "CONTRIBUTING.md"
MASK = np.zeros((24, 32), dtype=bool)
MASK[4:9, 5:12] = True
VIDEO = np.zeros((3, 24, 32, 3), dtype=np.uint8)


def recipe(kind: str) -> tuple[dict[str, str], str, dict[str, str]]:
    """The modules of a recipe, and the one group of entry points that it declares."""
    block = r"<!-- recipe: {}, {} -->\n```{}\n(.*?)^```$"
    text, flags = PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    modules = re.findall(block.format(kind, r"module (\w+)\.py", "python"), text, flags)
    (declared,) = re.findall(block.format(kind, "entry point", "toml"), text, flags)
    ((group, points),) = tomllib.loads(declared)["project"]["entry-points"].items()
    return dict(modules), group, points


@pytest.fixture
def follow(install_package):
    """Install what a recipe says."""

    def followed(kind: str) -> None:
        modules, group, points = recipe(kind)
        assert modules and len(points) == 1
        install_package(modules, group, points)
        detections_registry._plugins.cache_clear()

    return followed


def test_every_kind_takes_two_steps():
    text = PAGE.read_text(encoding="utf-8")
    for heading in ("Add an engine", "Add a format", "Add a reader of detections"):
        section = re.search(rf"^### {heading}$(.*?)(?=^###? |\Z)", text, re.MULTILINE | re.DOTALL)[1]
        assert re.findall(r"^Step (\d)\.", section, re.MULTILINE) == ["1", "2"]


def test_an_engine(follow, tmp_path, capsys):
    follow("engine")
    with maskferry.track(VIDEO, {7: MASK}, engine="still") as tracks:
        assert np.array_equal(tracks[2].mask(7), MASK)
    assert main(["engines"]) == 0
    assert "repeats each mask where it was given" in capsys.readouterr().out


class TestTheEngineOfTheRecipe(EngineContract):
    @pytest.fixture
    def engine(self, follow):
        from maskferry.engines.registry import load_engine

        follow("engine")
        assert engine_status("still").ready
        return load_engine("still")


def test_a_format(follow, finished_run, tmp_path):
    follow("format")
    with maskferry.track(VIDEO, {7: MASK}, engine="hold") as tracks:
        assert maskferry.export(tracks, tmp_path / "a.txt", "sizes") == [tmp_path / "a.txt"]
    assert (tmp_path / "a.txt").read_text() == "0 7 35\n1 7 35\n2 7 35\n"
    assert main(["export", str(finished_run), "--format", "sizes", "-o", str(tmp_path / "b.txt")]) == 0
    assert len((tmp_path / "b.txt").read_text().splitlines()) > 2


def test_a_reader_of_detections(follow):
    class Result:
        blobs = ({"mask": MASK, "p": 0.75},)

    follow("detections")
    assert maskferry.read_detections(Result(), MASK.shape).scores == [0.75]
    with maskferry.track(VIDEO, Result(), engine="hold") as tracks:
        assert np.array_equal(tracks[2].mask(tracks.object_ids[0]), MASK)
