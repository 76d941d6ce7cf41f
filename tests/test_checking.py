"""``tracks.checking`` and ``maskferry check``: damage is found and said; what is sound is saved, and only that."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from cli_tools import one_json, run
from helpers import contents, square_mask
from maskferry import MaskTracker, Tracks, VideoInfo
from maskferry._locks import locked
from maskferry.errors import DamagedTracksError, InputError, MaskferryError, OutputExistsError
from maskferry.tracks import editing
from maskferry.tracks._schema import TABLES
from maskferry.tracks._table import Table
from maskferry.tracks.checking import check, repair

COUNT, HEIGHT, WIDTH = 60, 24, 32
VIDEO = np.zeros((COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)
INFO = VideoInfo(WIDTH, HEIGHT, frame_count=COUNT, name="array")
FIXTURES = Path(__file__).parent / "fixtures"
FLIPS = int(os.environ.get("MASKFERRY_FLIPS", "24"))
PAGE = 4096
REMADE = {"meta", "change"}
"""Tables in which repairing writes: it says what has changed."""


def block(x, y=4, size=6):
    return square_mask((HEIGHT, WIDTH), x, y, size)


def noise(seed):
    return np.random.default_rng(seed).random((HEIGHT, WIDTH)) < 0.5


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of three objects with large masks, with absences, scores, pins and edits."""
    path = tmp_path_factory.mktemp("made") / "tracks.sqlite"
    with MaskTracker(VIDEO, engine="hold", tracks=path) as tracker:
        tracker.add_masks_prompt([noise(1), noise(2), block(20)], [1, 2, 3], 3, labels=["car", None, "bus"])
        tracker.tracks.note_inputs(Path("first.png"))
        tracker.propagate()
        tracks = tracker.tracks
        editing.swap(tracks, 1, 2, 30)
        editing.absent(tracks, 3, 40, 45)
        editing.pin(tracks, 3, 10)
        tracker.add_mask_prompt(noise(4), 1, 50)
        tracker.propagate()
        editing.rename(tracks, 3, "truck")
        editing.rename(tracks, 3, "tram")
        editing.undo(tracks)
    return path


@pytest.fixture
def path(made, tmp_path):
    (tmp_path / "run").mkdir()
    return Path(shutil.copyfile(made, tmp_path / "run" / "tracks.sqlite"))


def rows_of(path):
    """{table: its rows}, read by SQLite alone."""
    with closing(sqlite3.connect(path)) as database:
        return {name: set(database.execute(f"SELECT * FROM {name}").fetchall()) for name in TABLES}


def listing(folder):
    return {p.name: (p.stat().st_size, p.stat().st_mtime_ns, p.read_bytes()) for p in folder.iterdir()}


def assert_repaired(path, made, out, *, nameless=False):
    """A repaired file opens, is sound, holds rows of the original alone, and the next run gives the original's."""
    report = repair(path, out)
    again = check(out)
    assert again.is_sound, again.problems
    assert (again.pending, again.masks) == (report.pending, report.masks)
    right = rows_of(made)
    for name, rows in rows_of(out).items():
        if name in REMADE:
            continue
        if name == "object" and nameless:
            rows = {row for row in rows if row[1] is not None}
        assert rows <= right[name], name
    copy = shutil.copyfile(out, out.with_suffix(".copy"))
    with Tracks.open(copy) as tracks:
        assert {part.object_id for part in report.pending} <= set(tracks.object_ids)
        contents(tracks), editing.history(tracks), [list(tracks.timeline(i)) for i in tracks.object_ids]
        while editing.undo(tracks):
            pass
        while editing.redo(tracks):
            pass
    assert check(copy).is_sound
    return report


# --- sound files ----------------------------------------------------------------------------------------------------


def test_a_sound_file(path):
    before = listing(path.parent)
    report = check(path)
    assert report.is_sound
    assert (report.format, report.frames, report.masks) == (3, COUNT, 3 * COUNT)
    assert (report.video, report.objects, report.pending) == (INFO, (1, 2, 3), ())
    with Tracks.open(path) as tracks:
        assert report.revision == tracks.revision
    assert listing(path.parent) == before


def test_what_is_pending_is_said(path):
    with MaskTracker(VIDEO, engine="hold", tracks=path, resume=True) as tracker:
        tracker.add_mask_prompt(block(3), 2, 20)
        pending = tracker.tracks.pending
    assert check(path).pending == tuple(pending) != ()


@pytest.mark.parametrize("version", [1, 2])
def test_files_of_earlier_formats_are_sound(version, tmp_path):
    path = FIXTURES / f"tracks_format_{version}.sqlite"
    before = path.read_bytes()
    report = check(path)
    assert report.is_sound
    assert (report.format, report.frames, report.objects) == (version, 12, (1, 2, 3))
    assert len(report.pending) == 2
    assert path.read_bytes() == before
    repair(path, tmp_path / "new.sqlite")
    assert check(tmp_path / "new.sqlite").is_sound
    with Tracks.open(path, read_only=True) as old, Tracks.open(tmp_path / "new.sqlite") as new:
        assert contents(old) == contents(new)
        assert old.pending == new.pending
        assert editing.history(old) == editing.history(new)


def killed_run(folder):
    """The files of a run as they are when its process dies."""
    seen, path = [], folder / "going" / "tracks.sqlite"
    (folder / "killed").mkdir()

    def copy(progress):
        seen.append(progress)
        if len(seen) == 9:
            for file in path.parent.iterdir():
                shutil.copyfile(file, folder / "killed" / file.name)
            assert check(path).is_sound  # beside the one that writes
            assert check(path).frames == 9

    with MaskTracker(VIDEO, engine="hold", tracks=path) as tracker:
        tracker.add_masks_prompt([noise(1), block(10)], [1, 2])
        tracker.propagate(callback=copy)
    return folder / "killed" / "tracks.sqlite"


def test_a_run_that_goes_on_and_one_that_was_killed(tmp_path):
    killed = killed_run(tmp_path)
    before = listing(killed.parent)
    report = check(killed)
    assert report.is_sound
    assert (report.frames, report.masks) == (9, 18)
    assert report.pending == ((1, 9, COUNT), (2, 9, COUNT))
    assert listing(killed.parent) == before
    wal = killed.with_name("tracks.sqlite-wal")
    wal.write_bytes(wal.read_bytes()[: wal.stat().st_size // 2])  # its last transactions are lost
    assert check(killed).is_sound
    assert check(killed).frames < 9


def test_what_is_no_tracks_file(tmp_path):
    (tmp_path / "text.sqlite").write_text("no" * 5000, encoding="utf-8")
    (tmp_path / "empty.sqlite").touch()
    with closing(sqlite3.connect(tmp_path / "foreign.sqlite")) as database, database:
        database.execute("CREATE TABLE meta (key, value, checksum)")
        database.executemany("INSERT INTO meta VALUES (?, ?, 7)", [("a" * 500, "b")] * 50)
    before = listing(tmp_path)
    for name in ("text", "empty", "foreign", "missing"):
        with pytest.raises(InputError, match="tracks file"):
            check(tmp_path / f"{name}.sqlite")
    assert listing(tmp_path) == before


# --- damaged files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 20])
def test_changed_bytes(width, path, made, tmp_path):
    original, generator = made.read_bytes(), random.Random(width)
    found = 0
    for n in range(FLIPS):
        place = generator.randrange(len(original) - width)
        flipped = bytearray(original)
        for at in range(place, place + width):
            flipped[at] ^= generator.randrange(1, 256)
        path.write_bytes(flipped)
        try:
            report = check(path)
            found += not report.is_sound
            if not report.is_sound and report.video is not None:
                assert_repaired(path, made, tmp_path / f"{n}.sqlite", nameless=True)
        except InputError:
            found += 1
    assert found > FLIPS / 10


def pages(path):
    return range(path.stat().st_size // PAGE)


def test_zeroed_pages(path, made, tmp_path):
    original = made.read_bytes()
    for page in pages(made):
        damaged = bytearray(original)
        damaged[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
        path.write_bytes(damaged)
        report = check(path)
        if report.video is None:  # the page that says what the video is
            with pytest.raises(DamagedTracksError, match="give the video"):
                repair(path, tmp_path / "none.sqlite")
            repair(path, tmp_path / f"{page}.sqlite", video=INFO)
            assert check(tmp_path / f"{page}.sqlite").masks == 3 * COUNT
        elif not report.is_sound:
            assert_repaired(path, made, tmp_path / f"{page}.sqlite", nameless=True)
            assert report.masks > 2.5 * COUNT  # also where the page is the one that leads to all others
    assert not (tmp_path / "none.sqlite").exists()


def test_a_page_in_the_place_of_another(path, made, tmp_path):
    original, generator = made.read_bytes(), random.Random(5)
    for n in range(20):
        one, other = generator.sample(pages(made), 2)
        damaged = bytearray(original)
        damaged[one * PAGE : (one + 1) * PAGE] = original[other * PAGE : (other + 1) * PAGE]
        path.write_bytes(damaged)
        report = check(path)
        if report.video is not None and not report.is_sound:
            assert_repaired(path, made, tmp_path / f"{n}.sqlite", nameless=True)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_cut_files(share, path, made, tmp_path):
    path.write_bytes(made.read_bytes()[: int(made.stat().st_size * share)])
    report = check(path)
    assert not report.is_sound
    assert_repaired(path, made, tmp_path / "new.sqlite", nameless=True)


LOST = {
    "masks": "UPDATE mask SET score = 0.25 WHERE object = 2 AND frame IN (17, 35)",
    "given masks": "UPDATE mask SET counts = x'30' WHERE frame IN (3, 40)",
    "frames": "UPDATE frame SET name = 'x' WHERE idx BETWEEN 20 AND 25",
    "a prompt that is among the masks": "UPDATE prompt SET value = x'00' WHERE frame = 40",
    "passes": "UPDATE job SET engine = 'x'",
    "spans": "UPDATE span SET until = 9",
    "a snapshot": "UPDATE snapshot SET data = x'00'",
    "notes": "UPDATE meta SET value = '[9]' WHERE key LIKE 'retired%'",
}


@pytest.mark.parametrize("stopped_after", [None, 45])
@pytest.mark.parametrize("sql", LOST.values(), ids=LOST)
def test_what_is_lost_is_tracked_again(sql, stopped_after, tmp_path):
    """The next run gives the very same results."""

    def go_on(path, stop=None):
        with MaskTracker(VIDEO, engine="hold", tracks=path, resume=True) as tracker:
            tracker.add_masks_prompt([noise(1), noise(2)], [1, 2], 3)
            tracker.add_mask_prompt(noise(3), 2, 40)
            seen = []
            tracker.propagate(callback=seen.append, cancelled=lambda: stop is not None and len(seen) >= stop)
            return tracker.tracks.finished, tracker.tracks.digest()

    _, right = go_on(tmp_path / "right.sqlite")
    go_on(tmp_path / "tracks.sqlite", stopped_after)
    with closing(sqlite3.connect(tmp_path / "tracks.sqlite")) as database, database:
        has_snapshot = database.execute(sql).rowcount
    report = repair(tmp_path / "tracks.sqlite", tmp_path / "new.sqlite")
    assert report.is_sound == (not has_snapshot)
    assert check(tmp_path / "new.sqlite").is_sound
    assert go_on(tmp_path / "new.sqlite") == (True, right)


def test_what_can_be_saved_is_said(path):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE mask SET score = 0.25 WHERE object = 2 AND frame IN (17, 35)")
    line = "object 2: 2 of 60 masks are damaged or missing: frames 0 to 16, 18 to 34 and 36 to 59 can be saved"
    assert line in check(path).problems


@pytest.mark.parametrize("index", ["mask_timeline", "mask_gap"])
def test_a_dropped_index(index, path, made, tmp_path):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"DROP INDEX {index}")
    report = assert_repaired(path, made, tmp_path / "new.sqlite")
    assert report.masks == 3 * COUNT
    assert report.pending == ()
    assert any(index in problem and "missing" in problem for problem in report.problems)
    with Tracks.open(made) as one, Tracks.open(tmp_path / "new.sqlite") as other:
        assert one.digest() == other.digest()


CHANGED = {
    "meta": "UPDATE meta SET value = '77' WHERE key = 'highest_id'",
    "frame": "UPDATE frame SET name = 'x' WHERE idx = 9",
    "object": "UPDATE object SET label = 'x' WHERE id = 1",
    "mask": "UPDATE mask SET counts = x'3131' WHERE frame = 7 AND object = 2",
    "prompt": "UPDATE prompt SET kind = 'box' WHERE frame = 3 AND object = 2",
    "absence": "UPDATE absence SET stop = 44",
    "request": "UPDATE request SET digest = x'00' WHERE object = 2",
    "job": "UPDATE job SET engine = 'other' WHERE id = (SELECT max(id) FROM job)",
    "span": "UPDATE span SET seed = seed + 1 WHERE object = 2",
    "snapshot": "INSERT INTO snapshot VALUES (1, x'00', 7)",
    "edit": "UPDATE edit SET what = 'x' WHERE id = 2",
    "edit_row": "UPDATE edit_row SET row = '[]' WHERE edit = 1",
    "change": "UPDATE change SET stop = stop + 1 WHERE revision = 3",
}


@pytest.mark.parametrize("table", CHANGED)
def test_a_changed_row_of_each_table(table, path, made, tmp_path):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(CHANGED[table])
    report = assert_repaired(path, made, tmp_path / "new.sqlite", nameless=True)
    assert not report.is_sound
    assert any(table in problem or "masks are damaged" in problem for problem in report.problems)
    with Tracks.open(tmp_path / "new.sqlite") as tracks:
        assert (len(contents(tracks)) >= 3 * COUNT - 3) == (table != "nothing")
    if table in ("mask", "frame", "span", "job"):
        assert report.pending


FORGED: dict[str, list[tuple[object, ...]]] = {
    "prompt": [(3, 1, "mask", b"oooooo"), (3, 1, "lasso", b""), (3, 9, "pin", b"0"), (3, 1, "points", b"[" * 9999)],
    "absence": [(5, 1, 5), (-5, 1, 5), (5, 99, 8)],
    "job": [(1, "hold", 7, 0, 60, 1, None, None, 1), (1, "hold", 0, 0, 60, 0, None, None, 1)],
    "span": [(1, 999, 1, 3, None, 0), (1, 1, 1, -3, None, 0)],
    "edit": [(1, "x", "[", "[]", "null", 0), (1, "x", "[1]", "[]", "[[1]]", 0)],
    "edit_row": [(1, "sqlite_schema", 0, 0, None), (1, "mask", 9, 9, '[1, 2, "x", 0.5, "tracked", null]')],
    "frame": [(-1, 0.0, "x"), (9, float("inf"), "x")],
    "object": [(0, "x", 0), (1, "x", 9)],
    "mask": [(3, 1, b"oooooooooo1", 0.5, "tracked", None), (3, 1, b"", 0.5, "tracked", None)],
    "meta": [("score:1", "9"), ("run", "[]"), ("highest_id", "many"), ("retired:1", "7")],
    "change": [(1, "a,b", 0, 5)],
}


@pytest.mark.parametrize("table, row", [(table, row) for table, rows in FORGED.items() for row in rows])
def test_rows_that_no_run_writes(table, row, path, tmp_path):
    with Tracks.open(path) as tracks, tracks.database.transaction():
        Table(tracks.database, table).put([row])
    assert not check(path).is_sound
    repair(path, tmp_path / "new.sqlite")
    assert check(tmp_path / "new.sqlite").is_sound


HOSTILE = {
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM mask; END",
    "a view": "CREATE VIEW v AS SELECT randomblob(1000000000) FROM mask",
    "another table": "CREATE TABLE mine (a)",
    "an index on an expression": "CREATE INDEX i ON mask (abs(frame))",
    "another column": "ALTER TABLE mask ADD COLUMN mine",
}


@pytest.mark.parametrize("sql", HOSTILE.values(), ids=HOSTILE)
def test_a_strangers_file(sql, path, made, tmp_path):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(sql)
    before = listing(path.parent)
    report = assert_repaired(path, made, tmp_path / "new.sqlite")
    assert not report.is_sound
    assert report.masks == 3 * COUNT
    assert listing(path.parent) == before


@pytest.mark.parametrize("version", [1, 2])
def test_damaged_files_of_earlier_formats(version, tmp_path):
    original, generator = (FIXTURES / f"tracks_format_{version}.sqlite").read_bytes(), random.Random(version)
    path = tmp_path / "tracks.sqlite"
    for n, page in enumerate(range(1, len(original) // PAGE)):
        damaged = bytearray(original)
        damaged[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
        path.write_bytes(damaged)
        repair_old(path, tmp_path / f"{n}.sqlite")
    for n in range(FLIPS // 3):
        flipped = bytearray(original)
        flipped[generator.randrange(len(original))] ^= 1 << generator.randrange(8)
        path.write_bytes(flipped)
        repair_old(path, tmp_path / f"flip{n}.sqlite")


def repair_old(path, out):
    try:
        report = repair(path, out)
    except MaskferryError:
        return
    assert check(out).is_sound
    with Tracks.open(out) as tracks:
        assert len(contents(tracks)) <= report.masks


def test_a_repaired_file_replaces_nothing(path, tmp_path):
    before = listing(path.parent)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for out in (path, tmp_path / "link"):
        with pytest.raises(OutputExistsError, match="exists already"):
            repair(path, out)
    assert listing(path.parent) == before


def test_an_edit_that_does_not_end(path, monkeypatch):
    monkeypatch.setattr("maskferry.tracks._untrusted.PATIENCE", 0.1)
    with locked(path, "an edit"), pytest.raises(BlockingIOError, match="being edited"):
        check(path)


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command(path, tmp_path, capsys):
    assert run("check", path.parent) == 0
    out = capsys.readouterr().out
    assert "result       sound" in out
    assert "objects      1, 2, 3" in out
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE mask SET score = 0.25 WHERE object = 2 AND frame = 17")
    assert run("check", path) == 1
    out = capsys.readouterr().out
    assert "object 2: 1 of 60 masks are damaged or missing: frames 0 to 16 and 18 to 59 can be saved" in out
    assert "pending      object 2 from frame" in out
    assert run("check", path, "--repair", tmp_path / "new.sqlite", "--json") == 1
    report = one_json(capsys.readouterr().out)
    assert report["files"] == {"repaired": str(tmp_path / "new.sqlite")}
    assert report["problems"]
    assert run("check", tmp_path / "new.sqlite", "--json") == 0
    assert one_json(capsys.readouterr().out)["is_sound"] is True
    assert run("check", path, "--repair", tmp_path / "new.sqlite") == 2
    assert run("check", tmp_path / "missing") == 2


def test_the_command_where_the_video_is_lost(path, tmp_path, capsys):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE meta SET value = '{}' WHERE key = 'video'")
    assert run("check", path, "--repair", tmp_path / "new.sqlite") == 1
    captured = capsys.readouterr()
    assert "video        lost" in captured.out
    assert "give the video" in captured.err
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    from PIL import Image

    for i in range(3):
        Image.fromarray(VIDEO[i]).save(pictures / f"{i}.png")
    assert run("check", path, "--repair", tmp_path / "new.sqlite", "--video", pictures) == 1
    assert run("check", tmp_path / "new.sqlite") == 0
