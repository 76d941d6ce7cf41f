"""What the weights in the wheel were made of: public domain, CC0 and CC-BY, and who is named beside them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from maskferry.engines._flow.network import WEIGHTS

SOURCES = Path(__file__).resolve().parent.parent / "training" / "sources.csv"


@pytest.fixture(scope="module")
def sources() -> list[dict[str, str]]:
    if not SOURCES.exists():
        pytest.skip("training/ is not in source distributions")
    with SOURCES.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_source_is_free_and_says_where_that_is_stated(sources: list[dict[str, str]]) -> None:
    assert len(sources) > 2000
    for row in sources:
        licence = row["licence"]
        free = licence in ("public-domain", "CC0-1.0") or (licence.startswith("CC-BY-") and licence[6].isdigit())
        assert free, row
        assert row["package"], row
        assert row["file"], row
        assert row["stated_in"], row


def test_authors_who_ask_to_be_named_are_named_in_the_wheel(sources: list[dict[str, str]]) -> None:
    named = " ".join((WEIGHTS / "ATTRIBUTION.txt").read_text(encoding="utf-8").split())
    authors = {row["author"] for row in sources if row["licence"].startswith("CC-BY-")}
    assert authors
    assert not {author for author in authors if " ".join(author.split()) not in named}


def test_the_weights_are_small_and_name_where_they_began() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.glob("*.onnx")) < 6_000_000
    assert "EfficientNet-Lite0" in (WEIGHTS / "NOTICE").read_text(encoding="utf-8")
