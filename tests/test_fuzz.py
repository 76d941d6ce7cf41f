"""Bad input of every kind raises nothing but typed errors; `fuzz` says what is tried, and tries more by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import fuzz

CASES = {"masks": 300, "rle": 250, "options": 250, "source": 120, "detections": 350, "files": 500}


@pytest.mark.parametrize("kind", CASES)
def test_nothing_untyped_comes_out(kind: str, tmp_path: Path) -> None:
    assert not fuzz.run(CASES[kind], 20261, {kind: fuzz.CASES[kind]}, tmp_path)


def test_the_harness_sees_what_escapes(tmp_path: Path) -> None:
    def fails(rng: object, folder: Path) -> object:
        raise KeyError(1)

    assert len(fuzz.run(3, 0, {"wrong": (fails, 1)}, tmp_path)) == 1
