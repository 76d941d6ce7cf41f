"""The table as Parquet, where pyarrow is installed; and what is said where it is not."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from format_samples import VIDEO, tracks
from maskferry.errors import InputError, MissingExtraError, OutputExistsError
from maskferry.formats import _parquet as parquet
from maskferry.formats._table import COLUMNS, rows_of


def test_without_pyarrow(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for call in (
        lambda: parquet.write(VIDEO, tracks(), tmp_path / "t.parquet"),
        lambda: parquet.read(tmp_path / "t.parquet"),
        parquet.require_pyarrow,
    ):
        with pytest.raises(MissingExtraError, match=r"pip install .maskferry\[parquet\]"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_round_trip(tmp_path: Path):
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    parquet.write(VIDEO, tracks(), path, labels={7: "duck"})
    assert parquet.read(path) == list(rows_of(tracks(), {7: "duck"}))
    assert parquet.read_frames(path) == [f.info for f in tracks()]
    assert tuple(pq.read_table(path).column_names) == COLUMNS
    with pytest.raises(OutputExistsError):
        parquet.write(VIDEO, tracks(), path)
    pq.write_table(pq.read_table(path).drop_columns(["fidelity"]), tmp_path / "earlier.parquet")
    then = parquet.read(tmp_path / "earlier.parquet")
    assert then == [replace(r, fidelity=None) for r in rows_of(tracks(), {7: "duck"})]


def test_refusals(tmp_path: Path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    with pytest.raises(InputError, match="cannot read"):
        parquet.read(tmp_path / "none.parquet")
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="is no Parquet"):
        parquet.read(tmp_path / "x.parquet")
    pq.write_table(pa.table({"frame": [1]}), tmp_path / "y.parquet")
    with pytest.raises(InputError, match="missing: time"):
        parquet.read(tmp_path / "y.parquet")
    with pytest.raises(InputError, match="expected a frame table"):
        parquet.read_frames(tmp_path / "y.parquet")
