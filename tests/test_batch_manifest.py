"""Manifests: what a row may say, and that every fault is named with its line, field and cause."""

from __future__ import annotations

import csv
import json
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from cli_tools import one_json, run
from maskferry.batch import BatchOptions, Fault, Row, plan
from maskferry.batch._manifest import open_manifest
from maskferry.errors import InputError

HOLD = BatchOptions(engine="hold", kinds=())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two videos that nobody opens, with masks."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.mp4").write_bytes(b"x")
        Image.new("L", (4, 4), 1).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, *rows: object) -> Path:
    path = folder / "videos.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def faults_of(manifest: Path, out: str = "out") -> list[tuple[int, str, str]]:
    made = plan(manifest, manifest.parent / out, HOLD)
    made.close()
    assert len(made.faults) == made.fault_count
    return [(fault.line, fault.field, fault.cause) for fault in made.faults]


A = {"id": "a", "video": "a.mp4", "masks": "a.png"}


# --- what is taken ----------------------------------------------------------------------------------------------------


def test_a_row_with_everything(folder):
    row = {
        **A,
        "masks": [{"frame": 3, "path": "a.png"}, {"path": "b.png"}],
        "direction": "backward",
        "start": 2,
        "stop": 9,
        "stride": 2,
        "rate": "30000/1001",
        "frames": 100,
    }
    (found,) = open_manifest(write(folder, row))
    masks = ((3, str(folder / "a.png")), (None, str(folder / "b.png")))
    assert found == Row(1, "a", str(folder / "a.mp4"), masks, "backward", 2, 9, 2, "30000/1001", 100)


def test_paths_start_at_the_manifests_folder_and_ids_are_stems(folder, monkeypatch):
    (folder / "elsewhere").mkdir()
    path = write(folder, {"video": "a.mp4", "masks": "a.png"}, "", {"video": "s3://bucket/c.d.mp4", "masks": "b.png"})
    monkeypatch.chdir(folder / "elsewhere")
    first, second = open_manifest(path)
    assert (first.id, first.video) == ("a", str(folder / "a.mp4"))
    assert (second.line, second.id, second.video) == (3, "c.d", "s3://bucket/c.d.mp4")


def test_csv_and_parquet_say_the_same(folder):
    rows = [
        {"id": "a", "video": "a.mp4", "masks": "a.png", "start": 1, "rate": "25"},
        {"id": "b", "video": "b.mp4", "masks": '[{"frame": 2, "path": "b.png"}]', "start": 0},
    ]
    with (folder / "videos.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "video", "masks", "start", "rate"])
        writer.writeheader()
        writer.writerows(rows)
    found = list(open_manifest(folder / "videos.csv"))
    assert [row.masks for row in found] == [((None, str(folder / "a.png")),), ((2, str(folder / "b.png")),)]
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "videos.parquet")
    again = list(open_manifest(folder / "videos.parquet"))
    assert [(r.id, r.video, r.masks, r.start, r.rate) for r in again] == [
        (r.id, r.video, r.masks, r.start, r.rate) for r in found
    ]


def test_a_folder_and_a_pattern(folder):
    (folder / "b.png").unlink()
    (folder / "b").mkdir()
    expected = [("a", ((0, str(folder / "a.png")),)), ("b", ((None, str(folder / "b")),))]
    assert [(row.id, row.masks) for row in open_manifest(folder)] == expected
    assert [(row.id, row.masks) for row in open_manifest(folder / "*.mp4")] == expected
    assert [row.id for row in open_manifest(str(folder / "[b]*.mp4"))] == ["b"]


def test_masks_that_lie_elsewhere(folder):
    (folder / "masks").mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.png").rename(folder / "masks" / f"{name}_first.png")
    found = list(open_manifest(folder, masks_like="masks/{stem}_first.png"))
    assert [row.masks[0][1] for row in found] == [str(folder / f"masks/{name}_first.png") for name in ("a", "b")]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field", "cause"),
    [
        ({"id": "../x"}, "id", "expected 1 to 128 of A-Z"),
        ({"id": ".hidden"}, "id", "the first one no dot"),
        ({"id": "x" * 129}, "id", "expected 1 to 128"),
        ({"id": 5}, "id", "got 5"),
        ({"id": "a\n"}, "id", "got 'a\\n'"),
        ({"video": None}, "video", "expected a path or a URL, got None"),
        ({"video": "zip::s3://bucket/a.zip"}, "video", "chains of protocols (::) are not taken"),
        ({"video": "zip://a.mp4::s3://bucket/a.zip"}, "video", "chains of protocols (::) are not taken"),
        ({"video": "ftp://host/a.mp4"}, "video", "expected a path, or a URL of file, http, https, s3, gs"),
        ({"video": "missing.mp4"}, "video", "No such file"),
        ({"masks": None}, "masks", "there is nothing to start from"),
        ({"masks": []}, "masks", "there is nothing to start from"),
        ({"masks": "missing.png"}, "masks", "No such file"),
        ({"masks": "empty.png"}, "masks", "is empty"),
        ({"masks": "text.png"}, "masks", "cannot be read as a picture"),
        ({"masks": [{"frame": -1, "path": "a.png"}]}, "frame", "expected a whole number from 0, got -1"),
        ({"masks": [{"mask": "a.png"}]}, "masks", "expected {frame, path}"),
        ({"direction": "sideways"}, "direction", "expected both, forward, backward, got 'sideways'"),
        ({"start": 5, "stop": 5}, "stop", "expected a frame behind start, 5, got 5"),
        ({"start": True}, "start", "expected a whole number"),
        ({"stride": 0}, "stride", "expected a whole number from 1"),
        ({"rate": "fast"}, "rate", "such as 25 or 30000/1001, got 'fast'"),
        ({"mask": "a.png"}, "mask", "no such field: expected id, video, masks"),
        ({"video": "out/film.mp4"}, "video", "lies where the results go"),
    ],
)
def test_a_fault_names_line_field_and_cause(folder, change, field, cause):
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no picture")
    (fault,) = faults_of(write(folder, {**A, "id": "other", "video": "b.mp4"}, {**A, **change}))
    assert fault[:2] == (2, field)
    assert cause in fault[2]


@pytest.mark.parametrize("line", ["{", "[1]", "3", '{"id": "a", }', "\udcff"])
def test_lines_that_are_no_objects(folder, line):
    path = folder / "videos.jsonl"
    path.write_text(f"{json.dumps(A)}\n{line}\n", encoding="utf-8", errors="surrogateescape")
    ((number, field, cause),) = faults_of(path)
    assert (number, field) == (2, "")
    assert "expected a JSON object" in cause


def test_ids_that_differ_in_case_alone_are_one(folder):
    found = faults_of(write(folder, A, {**A, "id": "b"}, {**A, "id": "A"}, {**A, "id": "a"}))
    assert found == [(3, "id", "line 1 has this id already"), (4, "id", "line 1 has this id already")]


def test_all_faults_are_told_and_nothing_is_written(folder, capsys):
    path = write(folder, A, {**A, "id": "../x"}, {**A, "id": "c", "video": "zip::x"}, {**A, "id": "a"})
    assert run("batch", path, "-o", folder / "out", "--engine", "hold") == 2
    err = capsys.readouterr().err
    assert [line.split(":")[1].strip() for line in err.splitlines()[:3]] == [
        "line 2 (../x), id",
        "line 3 (c), video",
        "line 4 (a), id",
    ]
    assert "3 rows cannot be taken; nothing was begun" in err
    assert not (folder / "out").exists()


def test_many_faults_are_counted(folder):
    made = plan(write(folder, *[{**A, "id": f"x{k}", "video": "no.mp4"} for k in range(80)]), folder / "out", HOLD)
    made.close()
    assert (made.fault_count, len(made.faults)) == (80, 50)
    with pytest.raises(InputError, match=r"80 rows cannot be taken: line 1 .*; and 30 more"):
        made.require_sound()


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("missing.jsonl", "no such manifest"),
        ("a.png", "expected a manifest in .jsonl"),
        ("*.mkv", "no videos there"),
        ("empty.jsonl", "there are no videos in it"),
    ],
)
def test_manifests_that_are_none(folder, manifest, message):
    (folder / "empty.jsonl").touch()
    with pytest.raises(InputError, match=message):
        plan(manifest, "out", HOLD).close()


def test_a_folder_in_which_masks_are_missing_or_several(folder):
    (folder / "a.json").write_text("{}")
    (folder / "b.png").unlink()
    found = list(open_manifest(folder))
    assert all(isinstance(fault, Fault) and fault.field == "masks" for fault in found)
    assert "there are several masks beside" in found[0].cause
    assert "expected masks beside" in found[1].cause


# --- a dry run --------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_done(folder, capsys):
    path = write(folder, {**A, "frames": 90_000}, {**A, "id": "b", "frames": 10}, {**A, "id": "c"})
    assert run("batch", path, "-o", folder / "out", "--engine", "hold", "--dry-run", "--json") == 0
    found = one_json(capsys.readouterr().out)
    assert (found["videos"], found["to_do"], found["frames"], found["of_unknown_length"]) == (3, 3, 90_010, 1)
    assert found["longest"] == [["a", 90_000], ["b", 10]]
    assert run("batch", path, "-o", folder / "out", "--engine", "hold", "--dry-run") == 0
    assert "90010 frames, and 1 videos of unknown length; at 25 frames/s, 1.0 hours" in capsys.readouterr().out
    assert not (folder / "out").exists()


@pytest.mark.slow
def test_a_long_manifest_takes_little_memory_and_its_faults_are_found(folder):
    """A million rows are measured by `benchmarks/batch.py`."""
    count, planted = 30_000, {10_000: {"id": "v5"}, 20_000: {"id": "../x"}, 29_999: {"video": "zip::http://host/x"}}
    with (folder / "videos.jsonl").open("w") as file:
        for k in range(count):
            row = {"id": f"v{k}", "video": "a.mp4", "masks": "a.png", "frames": 300}
            file.write(json.dumps(row | planted.get(k, {})) + "\n")
    tracemalloc.start()
    made = plan(folder / "videos.jsonl", folder / "out", HOLD)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(fault.line - 1, fault.field) for fault in made.faults] == [
        (10_000, "id"),
        (20_000, "id"),
        (29_999, "video"),
    ]
    assert len(made) == count - 3
    assert made.is_sharded
    made.close()
    assert peak < 40_000_000, "grows with the number of rows"
