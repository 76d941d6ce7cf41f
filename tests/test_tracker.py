"""The session: prompts, passes, corrections, cancellation and resumption, with an engine whose answers are known."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from helpers import contents, square_mask
from maskferry import FrameMasks, MaskPrompt, MaskTracker, State, Tracks, VideoInfo, open_source, track
from maskferry.engines._hold import HoldEngine, HoldSession
from maskferry.errors import (
    DamagedSourceWarning,
    EngineError,
    InputError,
    MaskResizedWarning,
    OutputError,
    OutputExistsError,
    PromptNotSupportedError,
    SourceError,
    UnknownEngineError,
    UnknownObjectError,
)
from maskferry.tracks import _job_store
from maskferry.tracks.review import summarize

COUNT, HEIGHT, WIDTH = 60, 24, 32


@pytest.fixture
def video():
    return np.random.default_rng(0).integers(0, 255, (COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)


def block(x, y=4, size=6):
    return square_mask((HEIGHT, WIDTH), x, y, size)


class CountingEngine(HoldEngine):
    """Counts steps, and fails, cancels or forgets where it is told to."""

    def __init__(self, fail_at=None, snapshots=True):
        self.steps, self.sessions, self.fail_at, self.snapshots = [], [], fail_at, snapshots

    def open(self, video, snapshot=None):
        session = CountingSession(self, video.size_hw)
        if snapshot is not None:
            session.restore(snapshot)
        self.sessions.append(session)
        return session


class CountingSession(HoldSession):
    def __init__(self, engine, size_hw):
        super().__init__(size_hw)
        self.engine, self.closed = engine, False

    def step(self, frame, prompts=()):
        if frame.index == self.engine.fail_at:
            raise EngineError(f"frame {frame.index}: told to fail")
        result = super().step(frame, prompts)
        self.engine.steps.append((frame.index, result.object_ids))
        return result

    def snapshot(self):
        return super().snapshot() if self.engine.snapshots else None

    def close(self):
        self.closed = True


# --- passes ---------------------------------------------------------------------------------------------------------


def test_a_mask_goes_both_ways_and_is_exact_on_its_frame(video):
    mask = block(3)
    tracks = track(video, mask, frame_idx=20, engine="hold")
    assert list(tracks) == list(range(COUNT))
    assert tracks.object_ids == (100,)
    assert all(np.array_equal(tracks[i].mask(100), mask) for i in tracks)
    states = [tracks[i][100].state for i in tracks]
    assert states[20] is State.GIVEN
    assert set(states[:20] + states[21:]) == {State.TRACKED}
    assert tracks[20][100].score == 1


def test_objects_seeded_on_frames_1_2_and_40_all_survive(video):
    with MaskTracker(video, engine="hold") as tracker:
        for object_id, (frame, x) in enumerate([(1, 0), (2, 10), (40, 20)], 1):
            tracker.add_mask_prompt(block(x), object_id, frame)
        tracks = tracker.propagate()
    for i in range(COUNT):
        assert tracks[i].object_ids == (1, 2, 3)
        assert np.array_equal(tracks[i].stack(), np.stack([block(0), block(10), block(20)]))


def test_a_later_seed_never_acts_on_the_past_in_a_forward_run(video):
    with MaskTracker(video, engine="hold") as tracker:
        tracker.add_mask_prompt(block(0), 1, 5)
        tracker.add_mask_prompt(block(10), 2, 40)
        tracks = tracker.propagate(direction="forward")
    assert list(tracks) == list(range(5, COUNT))
    assert all(tracks[i].object_ids == ((1,) if i < 40 else (1, 2)) for i in tracks)


def test_between_two_seeds_the_answers_are_merged(video):
    with MaskTracker(video, engine="hold") as tracker:
        tracker.add_mask_prompt(block(4), 1, 0)
        tracker.add_mask_prompt(block(8), 1, 40)
        tracks = tracker.propagate()
    assert np.array_equal(tracks[0].mask(1), block(4))
    assert np.array_equal(tracks[40].mask(1), block(8))
    assert np.array_equal(tracks[59].mask(1), block(8))
    lefts = [int(np.flatnonzero(tracks[i].mask(1).any(axis=0))[0]) for i in range(41)]
    assert lefts == sorted(lefts)
    assert set(lefts) >= {4, 8}


def test_a_correction_recomputes_only_its_object_between_its_neighbours(video):
    engine = CountingEngine()
    with MaskTracker(video, engine=engine) as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2])
        tracker.add_mask_prompt(block(2), 1, 50)
        tracks = tracker.propagate()
        others, before = contents(tracks, 2), dict(zip(tracks, contents(tracks, 1), strict=True))
        engine.steps.clear()
        tracker.add_mask_prompt(block(20), 1, 30)
        tracker.propagate()
        assert {ids for _, ids in engine.steps} == {(1,)}
        assert {frame for frame, _ in engine.steps} == set(range(51))
        assert contents(tracks, 2) == others
        assert np.array_equal(tracks[30].mask(1), block(20))
        after = dict(zip(tracks, contents(tracks, 1), strict=True))
        changed = {i for i in tracks if before[i] != after[i]}
        assert changed <= set(range(1, 50))
        assert 30 in changed
        engine.steps.clear()
        tracker.propagate()
        assert engine.steps == []


def test_a_new_object_leaves_the_others_untouched(video):
    engine = CountingEngine()
    with MaskTracker(video, engine=engine) as tracker:
        tracker.add_mask_prompt(block(0))
        before = contents(tracker.propagate(), 100)
        engine.steps.clear()
        tracker.add_mask_prompt(block(10), frame_idx=30)
        tracks = tracker.propagate()
        assert contents(tracks, 100) == before
        assert tracks.object_ids == (100, 101)
        assert {ids for _, ids in engine.steps} == {(101,)}


def test_range_and_stride(video):
    with MaskTracker(video, engine="hold") as tracker:
        tracker.add_mask_prompt(block(0), frame_idx=17)
        tracks = tracker.propagate(start=10, stop=30, stride=5)
    assert list(tracks) == [10, 15, 17, 20, 25]
    assert [f.info.index for f in tracks.frames(stride=2)] == [10, 17, 25]


def test_every_session_is_closed(video):
    engine = CountingEngine(fail_at=30)
    with MaskTracker(video, engine=engine) as tracker:
        tracker.add_mask_prompt(block(0), frame_idx=20)
        with pytest.raises(EngineError, match="frame 30"):
            tracker.propagate()
    assert engine.sessions
    assert all(session.closed for session in engine.sessions)


# --- stopping and going on ------------------------------------------------------------------------------------------


def whole_run(video):
    with MaskTracker(video, engine="hold") as tracker:
        tracker.add_mask_prompt(block(4), 1, 10)
        tracker.add_mask_prompt(block(9), 1, 45)
        tracker.add_mask_prompt(block(20), 2, 30)
        return contents(tracker.propagate())


@pytest.mark.parametrize("snapshots", [True, False])
@pytest.mark.parametrize("after", [1, 20, 49, 50, 51, 70, 94])
def test_a_cancelled_run_goes_on_to_the_same_result(video, after, snapshots):
    engine, seen = CountingEngine(snapshots=snapshots), []
    with MaskTracker(video, engine=engine) as tracker:
        tracker.add_mask_prompt(block(4), 1, 10)
        tracker.add_mask_prompt(block(9), 1, 45)
        tracker.add_mask_prompt(block(20), 2, 30)
        tracker.propagate(callback=seen.append, cancelled=lambda: len(seen) >= after)
        assert len(seen) == after
        total = seen[-1].total
        tracker.propagate(callback=seen.append)
        if snapshots:
            assert len(seen) == total
        assert contents(tracker.tracks) == whole_run(video)


def test_a_run_that_failed_goes_on_behind_its_last_frame(video, tmp_path):
    path = tmp_path / "tracks.sqlite"
    with MaskTracker(video, engine=CountingEngine(fail_at=40), tracks=path) as tracker:
        tracker.add_mask_prompt(block(4), 1, 10)
        tracker.add_mask_prompt(block(9), 1, 45)
        tracker.add_mask_prompt(block(20), 2, 30)
        with pytest.raises(EngineError):
            tracker.propagate()
        assert list(tracker.tracks)[-2:] == [39, 45]
    with MaskTracker(video, engine="hold", tracks=path, resume=True) as tracker:
        tracker.add_mask_prompt(block(4), 1, 10)
        tracker.add_mask_prompt(block(9), 1, 45)
        tracker.add_mask_prompt(block(20), 2, 30)
        assert contents(tracker.propagate()) == whole_run(video)


def test_leaving_the_iteration_keeps_what_is_done(video):
    engine = CountingEngine()
    with MaskTracker(video, engine=engine) as tracker:
        tracker.add_mask_prompt(block(4))
        for progress in tracker.steps():
            if progress.frame == 9:
                break
        del progress
        assert len(tracker.tracks) == 10
        engine.steps.clear()
        tracker.propagate()
        assert engine.steps[0][0] == 10


def test_tracks_are_read_while_the_run_goes_on(video, tmp_path):
    path = tmp_path / "tracks.sqlite"
    with MaskTracker(video, engine="hold", tracks=path) as tracker:
        tracker.add_mask_prompt(block(4))
        for progress in tracker.steps():
            with Tracks.open(path) as other:
                assert progress.frame in other
                assert np.array_equal(other[progress.frame].mask(100), block(4))


def test_a_finished_file_is_one_file_and_tells_all(video, tmp_path):
    path = tmp_path / "deep" / "tracks.sqlite"
    tracks = track(video, {7: block(4)}, engine="hold", tracks=path)
    wanted = contents(tracks)
    tracks.close()
    assert [p.name for p in path.parent.iterdir()] == ["tracks.sqlite"]
    with Tracks.open(path) as again:
        assert contents(again) == wanted
        assert again.video == VideoInfo(WIDTH, HEIGHT, None, COUNT, again.video.name)
    again = track(video, {7: block(4)}, engine="hold", tracks=path)
    assert contents(again) == wanted
    again.close()


def test_going_on_with_other_input_is_refused(video, tmp_path):
    path = tmp_path / "tracks.sqlite"
    track(video, block(4), engine="hold", tracks=path).close()
    with pytest.raises(InputError, match="holds tracks of"):
        track(video[:10], block(4), engine="hold", tracks=path)
    with pytest.raises(InputError, match="has a prompt on frame 0 already"):
        track(video, block(5), engine="hold", tracks=path)
    with pytest.raises(OutputExistsError, match="exists already"):
        MaskTracker(video, engine="hold", tracks=path)
    track(video, block(5), engine="hold", tracks=path, overwrite=True).close()


def test_another_engine_does_not_finish_a_run(video, tmp_path):
    path = tmp_path / "tracks.sqlite"
    with MaskTracker(video, engine="hold", tracks=path) as tracker:
        tracker.add_mask_prompt(block(4))
        tracker.propagate(cancelled=lambda: True)
    going_on = MaskTracker(video, engine="flow", tracks=path, resume=True)
    with going_on as tracker, pytest.raises(InputError, match="begun with engine 'hold'"):
        tracker.propagate()


def test_what_is_too_large_to_keep_is_stepped_through_again(video, tmp_path, monkeypatch):
    monkeypatch.setattr(_job_store, "LARGEST", 10)
    path, seen, engine = tmp_path / "tracks.sqlite", [], CountingEngine()
    with MaskTracker(video, engine=engine, tracks=path) as tracker:
        tracker.add_mask_prompt(block(10), 1)
        tracker.propagate(callback=seen.append, cancelled=lambda: len(seen) >= 8)
    with MaskTracker(video, engine=engine, tracks=path, resume=True) as tracker:
        assert len(tracker.propagate()) == COUNT
    assert [index for index, _ in engine.steps] == [*range(8), *range(COUNT)]


class Squinting(HoldEngine):
    """Says that it sees object n of a given mask with an IoU of 1 / n, and nothing of others."""

    def open(self, video, snapshot=None):
        session = super().open(video, snapshot)
        step = session.step

        def squint(frame, prompts=()):
            masks = step(frame, prompts)
            rows = (replace(r, fidelity=1 / r.object_id if r.state is State.GIVEN else None) for r in masks)
            return replace(masks, objects=tuple(rows))

        session.step = squint
        return session


def test_what_the_engine_sees_of_a_given_mask_is_kept_with_it(video, tmp_path):
    with MaskTracker(video, engine=Squinting(), tracks=tmp_path / "tracks.sqlite") as tracker:
        tracker.add_masks_prompt([block(10), block(20)], [1, 4], 3)
        tracker.add_mask_prompt(block(30), 4, 6)
        assert tracker.tracks[3][4].fidelity is None
        tracker.propagate()
    with Tracks.open(tmp_path / "tracks.sqlite") as tracks:
        told = {(frame.info.index, r.object_id): r.fidelity for frame in tracks.frames() for r in frame.masks}
        assert {key: value for key, value in told.items() if value is not None} == {
            (3, 1): 1,
            (3, 4): 0.25,
            (6, 4): 0.25,
        }
        assert np.array_equal(tracks[3].mask(4), block(20))
        assert tracks[3][4].state is State.GIVEN
        assert [summary.fidelity for summary in summarize(tracks)] == [1, 0.25]
    with MaskTracker(video, engine="hold", tracks=tmp_path / "tracks.sqlite", resume=True) as tracker:
        tracker.add_mask_prompt(block(24), 4, 6, replace=True)
        assert tracker.propagate()[6][4].fidelity is None


def test_a_file_that_is_no_tracks_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such tracks file"):
        Tracks.open(tmp_path / "missing")
    (tmp_path / "text").write_text("hello, this is not a database at all" * 40)
    with pytest.raises(InputError, match="not a tracks file"):
        Tracks.open(tmp_path / "text")
    sqlite3.connect(tmp_path / "other").execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(InputError, match="not one of maskferry's"):
        Tracks.open(tmp_path / "other")


def test_a_full_disk_is_named_and_what_is_done_is_kept(video, tmp_path):
    noise = np.random.default_rng(0).random((HEIGHT, WIDTH)) > 0.5
    with MaskTracker(video, engine="hold", tracks=tmp_path / "tracks.sqlite") as tracker:
        tracker.add_masks_prompt([noise] * 40)
        tracker.save()
        database = tracker.tracks.database
        ((pages,),) = database.rows("PRAGMA page_count")
        database.execute(f"PRAGMA max_page_count = {pages + 60}")
        with pytest.raises(OutputError, match="no room left on the disk"):
            tracker.propagate()
        done = contents(tracker.tracks)
        assert 1 < len(tracker.tracks) < COUNT
        database.execute("PRAGMA max_page_count = 1000000")  # somebody made room
        tracks = tracker.propagate()
        assert len(tracks) == COUNT
        assert contents(tracks)[: len(done)] == done


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "7", 1 << 40])
def test_bad_ids(video, bad):
    with MaskTracker(video, engine="hold") as tracker, pytest.raises(InputError, match="whole numbers from 1"):
        tracker.add_mask_prompt(block(4), bad)


@pytest.mark.parametrize("bad", [-1, COUNT, 1.0, True, None])
def test_bad_frames(video, bad):
    with MaskTracker(video, engine="hold") as tracker, pytest.raises(InputError, match="frame_idx"):
        tracker.add_mask_prompt(block(4), 1, bad)


def test_bad_masks_leave_nothing_behind(video):
    with MaskTracker(video, engine="hold") as tracker:
        for bad in (np.zeros((HEIGHT, WIDTH)), np.full((HEIGHT, WIDTH), np.nan), np.ones((HEIGHT, WIDTH, 3)), [1, 2]):
            with pytest.raises(InputError):
                tracker.add_masks_prompt([block(4), bad])
        assert tracker.tracks.object_ids == ()
        with pytest.raises(InputError, match="expected one for each of 2 masks, got 1"):
            tracker.add_masks_prompt([block(4), block(5)], [1])
        with pytest.raises(InputError, match="more than once"):
            tracker.add_masks_prompt([block(4), block(5)], [1, 1])
        with pytest.raises(InputError, match="nothing to track"):
            tracker.propagate()


def test_a_second_mask_on_one_frame_must_be_meant(video):
    with MaskTracker(video, engine="hold") as tracker:
        tracker.add_mask_prompt(block(4), 1)
        tracker.propagate()
        with pytest.raises(InputError, match="has a prompt on frame 0 already"):
            tracker.add_mask_prompt(block(4), 1)
        tracker.add_mask_prompt(block(9), 1, replace=True)
        tracks = tracker.propagate()
        assert np.array_equal(tracks[33].mask(1), block(9))


def test_a_mask_of_another_size_is_resized_with_a_warning(video):
    big = np.kron(block(4), np.ones((2, 2), dtype=bool))
    with MaskTracker(video, engine="hold") as tracker:
        with pytest.warns(MaskResizedWarning, match="64x48 but the video is 32x24"):
            tracker.add_mask_prompt(big, 1)
        assert np.array_equal(tracker.masks(0).mask(1), block(4))


def test_masks_from_files(video, tmp_path):
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    labels[block(2)], labels[block(15)] = 3, 7
    Image.fromarray(labels).save(tmp_path / "labels.png")
    tracks = track(video, tmp_path / "labels.png", frame_idx=5, engine="hold")
    assert tracks.object_ids == (3, 7)
    assert np.array_equal(tracks[30].stack(), np.stack([block(2), block(15)]))
    with MaskTracker(video, engine="hold") as tracker:
        Image.fromarray(block(4)).save(tmp_path / "one.png")
        assert tracker.add_mask_prompt(tmp_path / "one.png") == 100
        assert tracker.add_masks_prompt([str(tmp_path / "one.png")], [5]) == [5]
        with pytest.raises(InputError, match="use add_masks_file"):
            tracker.add_masks_prompt(str(tmp_path / "labels.png"))


def test_ids_are_never_reused_by_themselves(video):
    with MaskTracker(video, engine="hold") as tracker:
        assert tracker.add_masks_prompt(np.stack([block(0), block(8)])) == [100, 101]
        tracker.remove_object(101)
        assert tracker.add_mask_prompt(block(9)) == 102
        assert tracker.add_mask_prompt(block(9), 65535) == 65535
        assert tracker.add_mask_prompt(block(9)) == 65536
        with pytest.raises(UnknownObjectError, match="no object has the id 101"):
            tracker.remove_object(101)


def test_a_removed_object_is_gone_and_the_others_stay(video):
    with MaskTracker(video, engine="hold") as tracker:
        tracker.add_masks_prompt([block(0), block(8)], [1, 2])
        tracks = tracker.propagate()
        before = contents(tracks, 2)
        tracker.remove_object(1)
        assert contents(tracks) == before
        tracker.reset()
        assert len(tracks) == 0
        assert tracker.add_mask_prompt(block(0)) == 100


def test_prompts_that_the_engine_does_not_take(video):
    with MaskTracker(video, engine="hold") as tracker:
        for call in (
            lambda: tracker.generate_masks("car"),
            lambda: tracker.add_box_prompt((1, 1, 5, 5)),
            lambda: tracker.add_point_prompts([[1, 1]], [1]),
        ):
            with pytest.raises(PromptNotSupportedError, match=r"engine 'hold' takes masks, not .*add_masks_prompt"):
                call()


def test_no_video_and_no_engine():
    with pytest.raises(UnknownEngineError, match="nope"):
        MaskTracker(engine="nope")
    tracker = MaskTracker(engine="hold")
    with pytest.raises(InputError, match="call set_video first"):
        tracker.propagate()
    tracker.shutdown()
    tracker.shutdown()


def test_a_missing_video_is_refused_before_tracks_are_made(tmp_path):
    with pytest.raises(SourceError, match=r"missing\.mp4"):
        MaskTracker(tmp_path / "missing.mp4", tracks=tmp_path / "tracks.sqlite")
    assert list(tmp_path.iterdir()) == []


# --- streams --------------------------------------------------------------------------------------------------------


def test_a_stream_is_tracked_forward_to_its_end(video):
    tracks = track((frame for frame in video), block(4), engine="hold")
    assert len(tracks) == COUNT
    assert tracks.stopped_at is None


def test_a_stream_with_a_late_seed(video):
    with MaskTracker(iter(video), engine="hold") as tracker:
        tracker.add_mask_prompt(block(4), 1, 5)
        with pytest.raises(InputError, match='direction="forward"'):
            tracker.propagate()
        assert list(tracker.propagate(direction="forward")) == list(range(5, COUNT))


# --- an engine of another kind --------------------------------------------------------------------------------------


class TextEngine(HoldEngine):
    """Finds one object wherever it is asked by text."""

    name = "text"

    def __init__(self):
        from maskferry import TextPrompt

        self.accepts = frozenset({MaskPrompt, TextPrompt})
        self.kind = TextPrompt

    def open(self, video, snapshot=None):
        engine = self

        class Session(HoldSession):
            def step(self, frame, prompts=()):
                found = [MaskPrompt(frame.index, 1, block(4)) for p in prompts if isinstance(p, engine.kind)]
                return super().step(frame, found or prompts)

        return Session(video.size_hw)


def test_text_finds_masks_which_are_then_tracked(video):
    with MaskTracker(video, engine=TextEngine()) as tracker:
        assert tracker.generate_masks("car", frame_idx=3) == [100]
        tracks = tracker.propagate()
        assert tracks.labels == {100: "car"}
        assert np.array_equal(tracks[50].mask(100), block(4))


class MuteEngine(HoldEngine):
    def open(self, video, snapshot=None):
        class Session(HoldSession):
            def step(self, frame, prompts=()):
                super().step(frame, prompts)
                return FrameMasks(frame.index, video.size_hw)

        return Session(video.size_hw)


def test_an_engine_that_breaks_its_promise_is_named(video):
    with MaskTracker(video, engine=MuteEngine()) as tracker:
        tracker.add_mask_prompt(block(4))
        with pytest.raises(EngineError, match="gave no row for object 100 on frame 1"):
            tracker.propagate()


# --- damaged videos -------------------------------------------------------------------------------------------------


class BrokenSource:
    """Gives frames up to one that cannot be decoded."""

    seekable = True
    announced_frame_count = None

    def __init__(self, video, broken_at):
        self.inner, self.broken_at = open_source(video), broken_at
        self.info = self.inner.info

    def frames(self, indices):
        for frame in self.inner.frames(indices):
            if frame.index == self.broken_at:
                raise SourceError("cannot decode", frame=frame.index)
            yield frame

    def frame_info(self, index):
        return self.inner.frame_info(index)

    def close(self):
        self.inner.close()


def test_a_damaged_video_is_tracked_up_to_the_damage(video):
    source = BrokenSource(video, 33)
    with MaskTracker(source, engine="hold") as tracker:
        tracker.add_mask_prompt(block(4), 1, 10)
        with pytest.warns(DamagedSourceWarning, match="stopped before frame 33"):
            tracks = tracker.propagate()
        assert list(tracks) == list(range(33))
        assert "frame 33" in tracks.stopped_at
        source.broken_at = None  # it was the network
        assert list(tracker.propagate()) == list(range(COUNT))
        assert tracks.stopped_at is None


def test_a_video_that_was_cut_short_says_so(video):
    source = BrokenSource(video, None)
    source.announced_frame_count = 100
    with MaskTracker(source, engine="hold") as tracker:
        tracker.add_mask_prompt(block(4))
        with pytest.warns(DamagedSourceWarning, match=r"before frame 60.*announces 100 frames"):
            tracks = tracker.propagate()
        assert len(tracks) == COUNT
        assert tracks.stopped_at is not None


def test_a_stream_that_ends_before_a_prompt_says_so(video):
    with MaskTracker(iter(video[:20]), engine="hold") as tracker:
        tracker.add_mask_prompt(block(4), 1, 0)
        tracker.add_mask_prompt(block(9), 2, 30)
        with pytest.warns(DamagedSourceWarning, match=r"ended after frame 19, before the prompt on frame 30"):
            tracks = tracker.propagate(direction="forward")
        assert tracks[19].object_ids == (1,)


# --- engines that look ahead ----------------------------------------------------------------------------------------


class AheadEngine(HoldEngine):
    """Wants to see three frames at once."""

    def __init__(self):
        self.groups, self.stepped, self.order = [], [], []

    def open(self, video, snapshot=None):
        engine = self

        class Session(HoldSession):
            ahead = 3

            def look_ahead(self, frames):
                engine.groups.append([frame.index for frame in frames])
                engine.order.append(engine.groups[-1])

            def step(self, frame, prompts=()):
                engine.stepped.append(frame.index)
                engine.order.append(frame.index)
                return super().step(frame, prompts)

        return Session(video.size_hw)


def test_a_session_is_shown_frames_in_groups_before_it_steps_into_them(video):
    engine = AheadEngine()
    tracks = track(video[:8], block(4), engine=engine)
    assert engine.groups == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert engine.stepped == list(tracks) == list(range(8))
    assert engine.order == [[0, 1, 2], [3, 4, 5], 0, 1, 2, [6, 7], 3, 4, 5, 6, 7]  # work for the time of each group
    engine = AheadEngine()
    track(iter(video[:8]), block(4), engine=engine)  # of a stream, each frame is stepped into as it comes
    assert engine.groups == []
    assert engine.stepped == list(range(8))
