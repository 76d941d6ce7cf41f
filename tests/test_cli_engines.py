"""``maskferry engines``: what can track here."""

from __future__ import annotations

import pytest

from cli_tools import one_json, run
from maskferry.engines import registry


@pytest.fixture
def crippled(monkeypatch):
    """An engine whose packages are missing, and a plugin."""
    missing = registry.EngineSpec("nowhere:Engine", "the best", extra="sam", requires=("no_such_package",), rank=99)
    monkeypatch.setitem(registry.BUILT_IN, "grand", missing)
    monkeypatch.setattr(registry, "cached", lambda *_: None)  # whatever weights this machine has


def test_the_table(crippled, capsys):
    assert run("engines") == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    found = {cells[0].strip(): " ".join(cells) for cells in ([c for c in line if c.strip()] for line in lines) if cells}
    assert "runs here" in found["flow (auto)"]
    assert "runs here" in found["hold"]
    assert "no_such_package; pip install 'maskferry[sam]'" in found["grand"]


def test_json(crippled, capsys):
    assert run("engines", "--json") == 0
    value = one_json(capsys.readouterr().out)
    assert value["auto"] == "flow"
    names = [row["name"] for row in value["engines"]]
    assert names[0] == "flow"
    assert names[1:] == sorted(registry.BUILT_IN.keys() - {"flow"})
    grand = value["engines"][names.index("grand")]
    assert (grand["ready"], grand["summary"]) == (False, "the best")
    assert "no_such_package" in grand["reason"]
