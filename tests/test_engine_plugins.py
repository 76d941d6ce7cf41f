"""Engines of other packages: found by entry points, described by themselves, blamed for their own faults."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest

import maskferry
from maskferry.cli import main
from maskferry.engines.registry import BUILT_IN, engine_status, known_engines, load_engine, pick_engine
from maskferry.errors import EngineError, InputError, MissingExtraError, UnknownEngineError

SPEC = """
from maskferry.engines.registry import EngineSpec

SPEC = EngineSpec("other_engine:Engine", "a twin of hold", requires=("{requires}",), rank={rank})
"""
ENGINE = """
from maskferry.engines import HoldEngine


class Engine(HoldEngine):
    name = "twin"

    def __init__(self, size=1):
        self.size = 2 / size
        if size == "three":
            raise TypeError("a fault of the plugin")
"""


@pytest.fixture
def twin(install_package):
    install_package(
        {"other_spec": SPEC.format(requires="other_engine", rank=99), "other_engine": ENGINE},
        "maskferry.engines",
        {"twin": "other_spec:SPEC"},
    )


def test_a_plugin_tracks_like_any_other(twin):
    mask = np.zeros((24, 32), dtype=bool)
    mask[4:9, 5:12] = True
    with maskferry.track(np.zeros((3, 24, 32, 3), dtype=np.uint8), {7: mask}, engine="twin") as tracks:
        assert np.array_equal(tracks[2].mask(7), mask)


def test_a_spec_says_what_it_is_and_imports_nothing(twin, install_package):
    status = engine_status("twin")
    assert (status.ready, status.summary) == (True, "a twin of hold")
    assert status.reason == "installed, with other_engine; it has not been tried here"
    assert "other_engine" not in sys.modules


def test_auto_takes_the_highest_rank_of_plugins_too(twin):
    assert pick_engine() == "twin"
    assert load_engine().name == "twin"


def test_the_command_line_lists_it(twin, capsys):
    assert main(["engines"]) == 0
    assert "a twin of hold" in capsys.readouterr().out


def test_a_missing_package_of_a_plugin(install_package):
    install_package(
        {"other_spec": SPEC.format(requires="no_such_package", rank=1)},
        "maskferry.engines",
        {"twin": "other_spec:SPEC"},
    )
    status = engine_status("twin")
    assert (status.ready, status.reason) == (False, "not installed: no_such_package")
    with pytest.raises(MissingExtraError, match="not installed: no_such_package"):
        load_engine("twin")


def test_a_class_is_known_by_its_entry_point_alone(install_package):
    install_package({"other_engine": ENGINE}, "maskferry.engines", {"twin": "other_engine:Engine"})
    assert known_engines()["twin"].summary == "plugin other_engine:Engine"
    assert engine_status("twin").reason == "installed; it has not been tried here"
    assert load_engine("twin", size=4).size == 0.5
    assert pick_engine() != "twin"


def test_an_unknown_option_is_the_callers_fault_and_an_error_inside_the_plugins(twin):
    with pytest.raises(InputError, match="engine 'twin': got an unexpected keyword argument 'colour'"):
        load_engine("twin", colour="red")
    with pytest.raises(EngineError, match="engine 'twin', a plugin, failed to load: TypeError"):
        load_engine("twin", size="three")
    with pytest.raises(EngineError, match="ZeroDivisionError"):
        load_engine("twin", size=0)


def test_a_spec_without_requirements_does_not_import_its_engine(install_package):
    install_package(
        {"other_spec": SPEC.replace('("{requires}",)', "()").format(rank=1), "other_engine": ENGINE},
        "maskferry.engines",
        {"twin": "other_spec:SPEC"},
    )
    assert engine_status("twin").reason == "installed; it has not been tried here"
    assert "other_engine" not in sys.modules


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("SPEC = 7", "expected an EngineSpec or a class, got 7"),
        (SPEC.replace('("{requires}",)', "()").format(rank=99), "there is no package 'other_engine'"),
    ],
)
def test_an_entry_point_that_leads_nowhere_says_so(install_package, code, reason):
    install_package({"other_spec": code}, "maskferry.engines", {"twin": "other_spec:SPEC"})
    status = engine_status("twin")
    assert (status.ready, status.reason) == (False, f"cannot be loaded: {reason}")
    assert pick_engine() != "twin"


def test_a_broken_plugin_is_reported_and_stops_nobody(install_package, caplog, capsys):
    install_package(
        {"other_engine": "raise RuntimeError('broken at import')"}, "maskferry.engines", {"twin": "other_engine:Engine"}
    )
    with caplog.at_level(logging.WARNING):
        status = engine_status("twin")
    assert (status.ready, status.reason) == (False, "cannot be loaded: RuntimeError: broken at import")
    assert "engine plugin 'twin' (other_engine:Engine) cannot be loaded" in caplog.text
    assert load_engine("hold").name == "hold"
    assert main(["engines"]) == 0
    assert "broken at import" in " ".join(capsys.readouterr().out.split())


def test_a_builtin_name_cannot_be_taken(install_package):
    install_package({"other_engine": ENGINE}, "maskferry.engines", {"flow": "other_engine:Engine"})
    assert known_engines()["flow"] is BUILT_IN["flow"]
    assert load_engine("flow").name == "flow"


def test_plugins_are_among_the_known_names(twin):
    with pytest.raises(UnknownEngineError, match=r"there are: .*twin"):
        engine_status("nope")
