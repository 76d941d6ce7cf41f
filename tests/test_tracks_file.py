"""The tracks file: made whole, checked when it is read, written by one at a time, and never acting by itself."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from helpers import contents, saved_contents, square_mask
from maskferry import MaskTracker, Tracks, VideoInfo
from maskferry._locks import Lock, locked
from maskferry._own_files import OwnKind, own_kind
from maskferry.errors import (
    DamagedTracksError,
    InputError,
    MaskferryError,
    OutputError,
    OutputExistsError,
    RunningElsewhereError,
)
from maskferry.tracks import STATE_CODES, editing
from maskferry.tracks._journal import Journal
from maskferry.tracks._table import Table

COUNT, HEIGHT, WIDTH = 16, 24, 32
VIDEO = np.zeros((COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)
INFO = VideoInfo(WIDTH, HEIGHT, frame_count=COUNT)
FIXTURES = Path(__file__).parent / "fixtures"
ROUNDS = int(os.environ.get("MASKFERRY_ROUNDS", "3"))
FLIPS = int(os.environ.get("MASKFERRY_FLIPS", "150"))


def block(x, y=4, size=6):
    return square_mask((HEIGHT, WIDTH), x, y, size)


def session(path, **options):
    return MaskTracker(VIDEO, engine="hold", tracks=path, **options)


@pytest.fixture
def path(tmp_path):
    """A finished run of two objects, with an edit."""
    path = tmp_path / "run" / "tracks.sqlite"
    with session(path) as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2], 3, labels=["car", None])
        tracker.propagate()
        editing.swap(tracker.tracks, 1, 2, 8)
    return path


def listing(folder):
    return {p.name: (p.stat().st_size, p.stat().st_mtime_ns, p.read_bytes()) for p in folder.iterdir() if p.is_file()}


def look_at_all(tracks):
    """Read everything that there is to read."""
    found = contents(tracks), tracks.labels, tracks.given_scores, tracks.stopped_at, tracks.pending, tracks.video
    lanes = [tuple(a.tolist() for a in tracks.lane(i)) for i in tracks.object_ids]
    return found, lanes, [list(tracks.timeline(i)) for i in tracks.object_ids], editing.history(tracks), list(tracks)


# --- made whole -----------------------------------------------------------------------------------------------------


def test_nothing_is_made_before_the_first_step(tmp_path):
    path = tmp_path / "out" / "tracks.sqlite"
    with session(path) as tracker:
        for wrong in (
            lambda: tracker.add_mask_prompt(np.zeros((HEIGHT, WIDTH), bool)),
            lambda: tracker.add_mask_prompt(block(0), 0),
            lambda: tracker.add_mask_prompt("missing.png"),
            lambda: tracker.add_masks_prompt([block(0), np.zeros((HEIGHT, WIDTH), bool)]),
            lambda: tracker.add_mask_prompt(block(0), 1, 99),
            tracker.propagate,
        ):
            with pytest.raises(InputError):
                wrong()
        tracker.add_mask_prompt(block(0), 1)
        for options in ({"direction": "sideways"}, {"start": 5}, {"stride": 0}, {"start": 3, "stop": 2}):
            with pytest.raises(InputError):
                tracker.propagate(**options)
    assert not list(tmp_path.rglob("*.sqlite*"))


def test_a_refused_run_leaves_the_run_of_before(path):
    before = listing(path.parent)
    with session(path, overwrite=True) as tracker:
        for wrong in (
            lambda: tracker.add_mask_prompt(np.zeros((HEIGHT, WIDTH), bool)),
            lambda: tracker.add_mask_prompt(block(0), 0),
            lambda: tracker.add_mask_prompt("missing.png"),
        ):
            with pytest.raises(InputError):
                wrong()
        tracker.add_mask_prompt(block(0), 1)
        with pytest.raises(InputError):
            tracker.propagate(direction="sideways")
    assert listing(path.parent) == before


def test_a_run_that_is_overwritten_is_replaced_whole(path):
    with session(path, overwrite=True) as tracker:
        tracker.add_mask_prompt(block(20), 7)
        assert saved_contents(path)[0][1].object_id == 1
        tracker.propagate()
    assert {row.object_id for _, row in saved_contents(path)} == {7}
    assert [p.name for p in path.parent.iterdir()] == ["tracks.sqlite"]


@pytest.mark.parametrize("make", [lambda p: p.write_bytes(b"film"), lambda p: p.touch()])
def test_what_is_no_tracks_file_is_not_overwritten(make, tmp_path):
    path = tmp_path / "clip.mp4"
    make(path)
    before = path.read_bytes()
    for start in (lambda: session(path, overwrite=True), lambda: Tracks.create(INFO, path, overwrite=True)):
        with pytest.raises(OutputExistsError):
            start()
    assert path.read_bytes() == before


def test_saving_without_a_run(tmp_path):
    path = tmp_path / "tracks.sqlite"
    with session(path) as tracker:
        tracker.add_mask_prompt(block(0), 1)
        tracker.save()
        assert Tracks.open(path).object_ids == (1,)
    with session(path, resume=True) as tracker:
        assert len(tracker.propagate()) == COUNT


# --- read without a trace -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read_only", [True, False])
def test_reading_leaves_no_trace(path, read_only):
    before = listing(path.parent)
    with Tracks.open(path, read_only=read_only) as tracks:
        look_at_all(tracks)
        assert listing(path.parent) == before
    assert listing(path.parent) == before


def killed_copy(path, folder):
    """A run's files as they are when its process dies."""
    folder.mkdir()
    seen = []

    def copy(progress):
        seen.append(progress)
        if len(seen) == 9:
            for file in path.parent.iterdir():
                if not file.name.endswith(".lock"):
                    shutil.copyfile(file, folder / file.name)

    with session(path) as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2], 3)
        tracker.propagate(callback=copy)
    return folder / path.name


def test_reading_a_killed_run_leaves_no_trace(tmp_path):
    killed = killed_copy(tmp_path / "a" / "tracks.sqlite", tmp_path / "b")
    before = listing(killed.parent)
    assert f"{killed.name}-wal" in before
    with Tracks.open(killed, read_only=True) as tracks:
        assert len(contents(tracks)) == 2 * 9
        assert tracks.pending
        with pytest.raises(OutputError, match="reading only"):
            editing.rename(tracks, 1, "car")
    assert listing(killed.parent) == before
    with Tracks.open(killed) as tracks:
        assert len(contents(tracks)) == 2 * 9
    with session(killed, resume=True) as tracker:
        tracker.propagate()
    assert saved_contents(killed) == saved_contents(tmp_path / "a" / "tracks.sqlite")


@pytest.mark.skipif(os.name == "nt", reason="rights of folders")
@pytest.mark.parametrize("state", ["finished", "killed", "format_1", "format_2"])
def test_a_folder_that_cannot_be_written_to(state, path, tmp_path):
    folder = tmp_path / "locked"
    if state == "killed":
        killed_copy(tmp_path / "a" / "tracks.sqlite", folder)
    else:
        folder.mkdir()
        shutil.copyfile(path if state == "finished" else FIXTURES / f"tracks_{state}.sqlite", folder / "tracks.sqlite")
    for file in folder.iterdir():
        file.chmod(0o444)
    before = listing(folder)
    folder.chmod(0o555)
    try:
        with Tracks.open(folder / "tracks.sqlite", read_only=True) as tracks:
            look_at_all(tracks)
            assert len(tracks)
        assert listing(folder) == before
    finally:
        folder.chmod(0o755)


def test_readers_are_never_stopped(path):
    with session(path, overwrite=True) as tracker:
        tracker.add_mask_prompt(block(20), 7)
        for count, _ in enumerate(tracker.steps(), 1):
            for read_only in (True, False):
                with Tracks.open(path, read_only=read_only) as tracks:
                    assert len(tracks) == count
    assert [p.name for p in path.parent.iterdir()] == ["tracks.sqlite"]


def test_a_reader_sees_what_is_edited_elsewhere(path):
    with Tracks.open(path) as reader:
        revision = reader.revision
        with Tracks.open(path) as editor:
            editing.swap(editor, 1, 2, 10)
            editing.rename(editor, 1, "bus")
        assert reader.labels[1] == "bus"
        assert reader.revision > revision
        assert reader.changes_since(revision) == {1: [(10, COUNT)], 2: [(10, COUNT)]}
        assert reader.changes_since(reader.revision) == {}
        with Tracks.open(path) as editor:
            revision = editor.revision
            editing.rename(editor, 2, "tram")
        assert reader.changes_since(revision) == {2: []}


def test_old_changes_are_forgotten_and_everything_counts_as_changed(path, monkeypatch):
    monkeypatch.setattr("maskferry.tracks._database.KEPT_CHANGES", 3)
    with Tracks.open(path) as tracks:
        revision = tracks.revision
        for frame in (4, 5, 6, 7):
            editing.swap(tracks, 1, 2, frame)
        assert set(tracks.changes_since(revision)) == {1, 2}
        assert tracks.changes_since(revision)[1] == [(0, 1 << 62)]
        assert tracks.changes_since(tracks.revision - 1)[1] == [(7, COUNT)]


def test_a_lane_is_what_the_timeline_is(path):
    with Tracks.open(path) as tracks:
        for i in tracks.object_ids:
            lane, rows = tracks.lane(i), list(tracks.timeline(i))
            assert lane.frames.tolist() == [frame for frame, _ in rows]
            assert [STATE_CODES[code] for code in lane.states] == [row.state for _, row in rows]
            assert lane.scores.tolist() == pytest.approx([row.score for _, row in rows])
        assert not len(tracks.lane(99).frames)


# --- earlier formats ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
def test_files_of_earlier_formats_are_read_edited_and_gone_on_with(version, tmp_path):
    path = tmp_path / "tracks.sqlite"
    shutil.copyfile(FIXTURES / f"tracks_format_{version}.sqlite", path)
    with Tracks.open(path, read_only=True) as tracks:
        old = contents(tracks)
        assert len(tracks) == 12
        assert tracks.labels == {1: "car", 2: "bus"}
        assert tracks.pending == [(3, 0, 3), (3, 6, 12)]
        assert editing.history(tracks) == ["rename 2", "swap 1 and 2 from 6"]
    assert path.read_bytes() == (FIXTURES / path.name.replace(".", f"_format_{version}.")).read_bytes()
    with Tracks.open(path) as tracks:
        assert contents(tracks) == old
    video = VIDEO[:12]
    with MaskTracker(video, engine="hold", tracks=path, resume=True) as tracker:
        steps = []
        tracks = tracker.propagate(callback=steps.append)
        assert tracks.finished
        assert len(steps) == 6 + 3
        assert np.array_equal(tracks[11].mask(1), block(10))
        assert editing.undo(tracks) == "swap 1 and 2 from 6"
        assert np.array_equal(tracks[11].mask(1), block(0))
        assert editing.undo(tracks) == "rename 2"
        assert tracks.labels == {1: "car"}
        assert editing.redo(tracks) == "rename 2"
        assert tracks.finished


# --- one writer at a time -------------------------------------------------------------------------------------------


def test_an_edit_during_a_run_elsewhere_is_refused_and_names_it(path):
    with session(path, overwrite=True) as tracker, Tracks.open(path) as other:
        tracker.add_mask_prompt(block(20), 7)
        running = tracker.steps()
        next(running)
        with Tracks.open(path) as other, pytest.raises(RunningElsewhereError, match=r"a run holds it, in this process"):
            editing.rename(other, 7, "car")
        with (
            session(path, resume=True) as second,
            pytest.raises(RunningElsewhereError, match="a run holds it") as caught,
        ):
            second.propagate()
        assert caught.value.pid == os.getpid()
        with session(path, overwrite=True) as third, pytest.raises(RunningElsewhereError):
            third.add_mask_prompt(block(0))
            third.propagate()
        list(running)
    assert {row.object_id for _, row in saved_contents(path)} == {7}


def test_a_short_edit_elsewhere_is_waited_for(path):
    lock = Lock(path, "an edit")
    lock.acquire()
    threading.Timer(0.2, lock.release).start()
    with Tracks.open(path) as tracks:
        editing.rename(tracks, 1, "bus")
        assert tracks.labels[1] == "bus"


def test_a_file_that_was_moved_or_replaced_is_not_written_to(path):
    with session(path, overwrite=True) as tracker:
        tracker.add_mask_prompt(block(20), 7)
        running = tracker.steps()
        next(running)
        shutil.move(path, path.with_name("moved.sqlite"))
        with pytest.raises(OutputError, match="moved, removed or replaced"):
            list(running)
    assert not path.exists()


class Worker:
    """Another process that writes to a tracks file when it is told to, see `two_writers.py`."""

    def __init__(self, work, path):
        script = Path(__file__).with_name("two_writers.py")
        command = [sys.executable, str(script), work, str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "ready\n"

    def start(self):
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def result(self):
        return json.loads(self._process.stdout.readline())

    def end(self):
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


@pytest.mark.parametrize("works", ["add add", "edit edit", "run run", "run edit", "run add"])
def test_two_at_once_never_mix(works, path):
    workers = [Worker(work, path) for work in works.split()]
    try:
        for _ in range(ROUNDS):
            for worker in workers:
                worker.start()
            results = [worker.result() for worker in workers]
            if "run" not in works:  # an edit is waited for, a run is not
                assert "refused" not in results
            if works == "add add":
                ids = [i for found in results for i in found]
                assert len(set(ids)) == len(ids) == 10
            with Tracks.open(path) as tracks:
                look_at_all(tracks)
        assert {str(found) for found in results} <= {"ran", "refused", "edited"} or "add" in works
    finally:
        for worker in workers:
            worker.end()
    assert sorted(p.name for p in path.parent.iterdir()) == ["tracks.sqlite"]


def test_reading_the_bytes_of_an_open_file_keeps_its_locks(path):
    """Whoever closes a descriptor of a file ends the locks that its process has on the file."""
    take_it = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN EXCLUSIVE')"
    outsider = [sys.executable, "-c", take_it, str(path)]
    with Tracks.open(path) as tracks:
        tracks.database.execute("BEGIN")
        tracks.database.rows("SELECT * FROM meta")  # a reader's lock, until COMMIT
        for _ in range(2):  # with a new descriptor, and with one that was kept
            assert own_kind(path) is OwnKind.tracks
            Tracks.open(path).close()
            assert "database is locked" in subprocess.run(outsider, capture_output=True, text=True).stderr
        tracks.database.execute("COMMIT")
        assert subprocess.run(outsider, capture_output=True).returncode == 0
    if sys.platform == "linux":
        gc.collect()  # the session that made the file can still be read
        still_open = [f.readlink() for f in Path("/proc/self/fd").iterdir() if f.is_symlink()]
        assert path not in still_open


def test_a_commit_that_fails_leaves_no_transaction_open(path):
    with Tracks.open(path) as tracks, Tracks.open(path) as reader:
        editing.rename(tracks, 1, "bus")
        reader.database.execute("BEGIN")
        reader.database.rows("SELECT * FROM meta")
        with pytest.raises(OutputError, match="database is locked"), tracks.database.transaction():
            tracks.database.execute("PRAGMA busy_timeout = 10")
            tracks.database.execute("UPDATE meta SET value = value")
        reader.database.execute("COMMIT")
        editing.rename(tracks, 1, "tram")
    with Tracks.open(path) as tracks:
        assert tracks.labels[1] == "tram"


# --- a file is not trusted ------------------------------------------------------------------------------------------


@pytest.fixture
def rich_path(tmp_path):
    """A run that was stopped, with scores, a snapshot, an absence, a pin, corrections and edits, one of them undone."""
    path = tmp_path / "rich" / "tracks.sqlite"
    seen = []
    with session(path) as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2], 3, labels=["car", None])
        Journal(tracker.tracks).prompts.add_scores({1: 0.5, 2: 0.75})
        tracker.propagate()
        editing.swap(tracker.tracks, 1, 2, 8)
        editing.absent(tracker.tracks, 2, 10, 12)
        editing.pin(tracker.tracks, 1, 5)
        editing.rename(tracker.tracks, 1, "bus")
        tracker.add_mask_prompt(block(20), 1, 12)
        tracker.propagate(callback=seen.append, cancelled=lambda: len(seen) == 2)
        editing.rename(tracker.tracks, 1, "tram")
        editing.undo(tracker.tracks)
        assert tracker.tracks.pending
        assert tracker.tracks.given_scores
    return path


@pytest.mark.parametrize("width", [1, 20])
@pytest.mark.parametrize("file", ["path", "rich_path"])
def test_one_changed_byte_is_noticed_or_changes_nothing(file, width, request, tmp_path):
    """Flips of a bit, and of some bytes in a row, at random places: right data, or a typed error, and soon."""
    path = request.getfixturevalue(file)
    with Tracks.open(path, read_only=True) as tracks:
        right = repr(look_at_all(tracks))
    original, generator = path.read_bytes(), random.Random(1)
    copy, noticed = tmp_path / "flipped.sqlite", 0
    for _ in range(FLIPS):
        place = generator.randrange(len(original) - width)
        flipped = bytearray(original)
        flipped[place] ^= 1 << generator.randrange(8)
        flipped[place + 1 : place + width] = generator.randbytes(width - 1)
        copy.write_bytes(flipped)
        started = time.process_time()
        try:
            with Tracks.open(copy, read_only=True) as tracks:
                assert repr(look_at_all(tracks)) == right, f"byte {place}"
        except InputError:
            noticed += 1
        assert time.process_time() - started < 5, f"byte {place}"
    assert noticed > FLIPS / 20


def test_a_row_that_has_left_an_index_is_noticed(path):
    """A lane is read from an index alone: an entry that is missing there must not shorten it silently."""
    page = 4096
    content = bytearray(path.read_bytes())
    start = 5 * page  # the index mask_timeline is the fifth thing in the schema: pages are given in order
    cells = int.from_bytes(content[start + 3 : start + 5], "big")
    assert content[start] == 10
    assert cells == 2 * COUNT
    content[start + 3 : start + 5] = (cells - 1).to_bytes(2, "big")
    path.write_bytes(content)
    with pytest.raises(DamagedTracksError):
        look_at_all(Tracks.open(path))


@pytest.mark.parametrize("cut", [0, 10, 99, 100, 4096, 20_000])
def test_files_that_were_cut_short(cut, path, tmp_path):
    copy = tmp_path / "cut.sqlite"
    copy.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError):
        look_at_all(Tracks.open(copy))
    assert listing(tmp_path)["cut.sqlite"][2] == path.read_bytes()[:cut]


HOSTILE = {
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM mask; END",
    "a view": "CREATE VIEW v AS SELECT * FROM mask",
    "another table": "CREATE TABLE mine (a)",
    "an index on an expression": "CREATE INDEX i ON mask (abs(frame))",
    "another column": "ALTER TABLE mask ADD COLUMN mine",
    "a missing table": "DROP TABLE edit",
    "a state": "UPDATE mask SET state = 'foo' WHERE frame = 3",
    "a score": "UPDATE mask SET score = 7 WHERE frame = 3",
    "a score that is text": "UPDATE mask SET score = 'abc' WHERE frame = 3",
    "a huge id": "UPDATE object SET id = 9223372036854775807 WHERE id = 1",
    "a negative id": "UPDATE object SET id = -1 WHERE id = 1",
    "a label that is no text": "UPDATE object SET label = x'00ff' WHERE id = 1",
    "a time that is text": "UPDATE frame SET time = 'x'",
    "a negative frame": "UPDATE frame SET idx = -5 WHERE idx = 0",
    "another video": """UPDATE meta SET value = '{"width": 1000000}' WHERE key = 'video'""",
    "no video": "DELETE FROM meta WHERE key = 'video'",
    "a format of the future": "PRAGMA user_version = 9",
    "a format of the past": "PRAGMA user_version = 2",
    "no format": "PRAGMA user_version = 0",
    "another program": "PRAGMA application_id = 7",
}


@pytest.mark.parametrize("sql", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("read_only", [True, False])
def test_a_strangers_file_is_refused(sql, read_only, path):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(sql)
    before = path.read_bytes()
    with pytest.raises(MaskferryError):
        look_at_all(Tracks.open(path, read_only=read_only))
    assert path.read_bytes() == before


FORGED: dict[str, list[tuple[object, ...]]] = {
    "mask": [
        (3, 1, b"\xff" * 9, 0.5, "tracked", None),
        (3, 1, b"00" * 50_000, 0.5, "tracked", None),
        (3, 1, b"oooooooooo1", 0.5, "tracked", None),
        (3, 1, b"", 0.5, "tracked", None),
        (3, 1, b"0", -0.1, "tracked", None),
        (3, 1, b"0", 0.1, "TRACKED", None),
        (3, 1, b"0", 0.1, "tracked", 2.0),
        (3, -1, b"0", 0.1, "tracked", None),
    ],
    "frame": [(-1, 0.0, "x"), (0, float("inf"), "x")],
    "object": [(0, "x", 0), (-3, None, 0)],
    "meta": [("video", "[]"), ("video", "{"), ("video", "[" * 100_000), ("video", '{"width": 9, "height": 1e9}')],
}


@pytest.mark.parametrize("table, row", [(table, row) for table, rows in FORGED.items() for row in rows])
def test_rows_with_right_checksums_and_wrong_values(table, row, path):
    with Tracks.open(path) as tracks, tracks.database.transaction():
        Table(tracks.database, table).put([row])
    with pytest.raises(MaskferryError):
        look_at_all(Tracks.open(path))


def test_an_sqlite_file_of_another_program_is_not_touched(tmp_path):
    path = tmp_path / "foreign.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE mine (a)")
    (tmp_path / "empty.sqlite").touch()
    before = listing(tmp_path)
    for name in ("foreign.sqlite", "empty.sqlite"):
        with pytest.raises(InputError, match="not"):
            Tracks.open(tmp_path / name)
    assert listing(tmp_path) == before


def test_an_export_of_a_damaged_file_ends(path, tmp_path):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE frame SET name = 'other' WHERE idx = 9")
    with Tracks.open(path) as tracks, pytest.raises(DamagedTracksError, match="table 'frame'"):
        list(tracks.frames())


# --- whose video ----------------------------------------------------------------------------------------------------


def write_pictures(folder, brightness):
    folder.mkdir(exist_ok=True)
    for i in range(5):
        Image.fromarray(np.full((48, 64, 3), brightness + i, np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize("kind", ["film", "folder"])
def test_a_video_that_was_replaced_is_refused(kind, tmp_path):
    def make(brightness):
        if kind == "folder":
            return write_pictures(tmp_path / "clip", brightness)
        path = tmp_path / "clip.mp4"
        write_film(path, brightness)
        return path

    video = make(10)
    with MaskTracker(video, engine="hold", tracks=tmp_path / "t.sqlite") as tracker:
        tracker.add_mask_prompt(np.ones(tracker.source.info.size_hw, bool), 1)
        next(tracker.steps())
    moved = video.rename(tmp_path / f"moved{video.suffix}")
    with MaskTracker(moved, engine="hold", tracks=tmp_path / "t.sqlite", resume=True) as tracker:
        assert len(tracker.tracks) == 1  # the same content under another name
    make(90)
    with pytest.raises(InputError, match="has been changed or replaced"):
        MaskTracker(video, engine="hold", tracks=tmp_path / "t.sqlite", resume=True)


def write_film(path, brightness):
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for i in range(5):
            picture = np.full((48, 64, 3), brightness + i, np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(stream.encode())


def test_a_lock_is_not_in_the_way_of_reading(path):
    with locked(path, "a run"), Tracks.open(path) as tracks:
        look_at_all(tracks)
