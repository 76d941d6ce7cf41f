"""The contract, on the simplest engine there is; and the registry."""

from __future__ import annotations

import logging
import sys

import pytest

from maskferry import VideoInfo
from maskferry.engines import registry
from maskferry.engines._hold import HoldEngine
from maskferry.errors import EngineError, InputError, MissingExtraError, UnknownEngineError
from maskferry.testing import EngineContract


class TestHold(EngineContract):
    @pytest.fixture
    def engine(self):
        return HoldEngine()


def test_a_foreign_snapshot_is_refused():
    with pytest.raises(EngineError, match="no snapshot of the engine hold"):
        HoldEngine().open(VideoInfo(8, 8), b"\x00nonsense")


def test_an_unknown_engine_is_named_with_those_there_are():
    with pytest.raises(UnknownEngineError, match=r"'nope'.*flow, flow-accurate, hold"):
        registry.load_engine("nope")


def test_an_unknown_option_is_an_input_error():
    with pytest.raises(InputError, match="engine 'hold'"):
        registry.load_engine("hold", colour="red")


def test_a_loaded_engine_passes_through():
    engine = HoldEngine()
    assert registry.load_engine(engine) is engine


@pytest.fixture
def no_weights(monkeypatch):
    """As on a machine without a GPU's engines: no weights in any cache."""
    monkeypatch.setattr(registry, "cached", lambda *_: None)


def test_auto_says_what_it_took(caplog, no_weights):
    with caplog.at_level(logging.INFO, logger="maskferry"):
        assert registry.pick_engine() == "flow"
    assert "engine auto: flow" in caplog.text


def test_an_engine_without_its_packages_says_which_extra(monkeypatch, no_weights):
    spec = registry.EngineSpec("nowhere:Engine", "needs much", extra="sam", requires=("no_such_package",), rank=99)
    monkeypatch.setitem(registry.BUILT_IN, "big", spec)
    with pytest.raises(MissingExtraError, match=r"no_such_package.*maskferry\[sam\]"):
        registry.load_engine("big")
    assert not registry.engine_status("big").ready
    assert registry.pick_engine() == "flow"


def test_a_status_imports_nothing(monkeypatch):
    for name in [n for n in sys.modules if n.startswith("maskferry.engines._flow")]:
        monkeypatch.delitem(sys.modules, name)
    registry.engine_status("flow")
    assert "maskferry.engines._flow" not in sys.modules
