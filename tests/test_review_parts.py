"""A summary of some objects, or of a part of the video, says there what the summary of everything says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from maskferry import FrameInfo, MaskPrompt, ObjectMask, Rle, State, Tracks, VideoInfo, open_source
from maskferry.errors import InputError, UnknownObjectError
from maskferry.tracks import _review_contacts, _review_lanes, editing
from maskferry.tracks._journal import Journal
from maskferry.tracks.review import (
    Moment,
    load_summaries,
    save_summaries,
    set_verdict,
    summarize,
    verdicts,
)

COUNT, HEIGHT, WIDTH = 90, 40, 60
IDS = 1, 2, 3, 5
COLORS = {1: (220, 30, 30), 2: (30, 30, 220), 3: (30, 200, 30), 5: (240, 240, 240)}


def path_of(rng):
    """Where an object is on each frame, (x, y, side); None where it is lost. Leaps and changes of size happen."""
    x, y, side, places = rng.integers(0, 45), rng.integers(0, 25), 10, []
    lost_until = -1
    for t in range(COUNT):
        x, y = (
            int(np.clip(v + d, 0, limit)) for v, d, limit in zip((x, y), rng.integers(-3, 4, 2), (45, 25), strict=True)
        )
        chance = rng.random()
        if chance < 0.03:
            x, y = int(rng.integers(0, 45)), int(rng.integers(0, 25))
        elif chance < 0.06:
            side = int(rng.integers(4, 15))
        elif chance < 0.09:
            lost_until = t + int(rng.integers(1, 12))
        places.append(None if t < lost_until else (x, y, side))
    return places


def make(seed):
    """Tracks and pictures of four objects, of which one comes later and one has gaps; every third frame is missing."""
    rng = np.random.default_rng(seed)
    finished = [t for t in range(COUNT) if t % 3 or t < 30]
    frames = rng.integers(90, 110, (COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)
    tracks = Tracks.create(VideoInfo(WIDTH, HEIGHT, None, COUNT, "made"))
    journal = Journal(tracks)
    seed_mask = np.ones((HEIGHT, WIDTH), dtype=bool)
    journal.add_prompts([MaskPrompt(0, i, seed_mask) for i in IDS])
    journal.frames.remove(IDS[2])
    paths = {i: path_of(rng) for i in IDS}
    for t in finished:
        rows = []
        for i in IDS:
            if (i == IDS[2] and t < 40) or (i == IDS[3] and rng.random() < 0.2):
                continue
            mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
            if place := paths[i][t]:
                x, y, side = place
                mask[y : y + side, x : x + side] = True
                looks_like = 3 - i if i < 3 and t // 17 % 2 else i  # objects 1 and 2 change places now and then
                frames[t][mask] = np.array(COLORS[looks_like] if rng.random() > 0.05 else rng.integers(0, 255, 3))
            state = State.LOST if not place else State.GIVEN if rng.random() < 0.08 else State.TRACKED
            fidelity = float(rng.random()) if state is State.GIVEN else None
            score = (
                0.0
                if not place
                else 1.0
                if fidelity
                else float(rng.choice([0.9, 0.85, 0.5, 0.2], p=[0.5, 0.4, 0.06, 0.04]))
            )
            rows.append(ObjectMask(i, Rle.encode(mask), score, state, fidelity))
        journal.frames.write(FrameInfo(t, None, f"{t}"), rows)
    return tracks, open_source(frames)


def moments_of(summaries, ids=IDS, start=0, stop=COUNT):
    return [m for s in summaries if s.object_id in ids for m in s.moments if start <= m.frame < stop]


@pytest.fixture(scope="module", params=range(6))
def made(request):
    tracks, source = make(request.param)
    return tracks, source, summarize(tracks, source)


@pytest.fixture(scope="module")
def tracks():
    return make(0)[0]


def test_every_kind_occurs_in_what_is_compared():
    kinds = {m.kind for seed in range(6) for m in moments_of(summarize(*make(seed)))}
    assert kinds == {"swap", "looks", "area", "place", "lost", "score", "fidelity"}


@pytest.mark.parametrize("part", [(0, 90), (0, 1), (1, 2), (20, 50), (41, 44), (45, 90), (89, 90), (60, 1000)])
@pytest.mark.parametrize("reach", [1, 64])
def test_a_range(made, part, reach, monkeypatch):
    monkeypatch.setattr(_review_contacts, "FIRST_REACH", reach)
    tracks, source, whole = made
    assert moments_of(summarize(tracks, source, frames=part)) == moments_of(whole, IDS, *part)


@pytest.mark.parametrize("ids", [[], [1], [5, 2], [3, 3, 5], IDS])
def test_some_objects(made, ids):
    tracks, source, whole = made
    found = summarize(tracks, source, objects=ids)
    assert found == [s for s in whole if s.object_id in ids]
    few = summarize(tracks, source, objects=iter(ids), frames=(33, 71))
    assert moments_of(few) == moments_of(whole, ids, 33, 71)


def test_without_pictures(made):
    tracks, _, whole = made
    rows_only = [replace(s, moments=[m for m in s.moments if m.kind not in ("swap", "looks")]) for s in whole]
    assert summarize(tracks) == rows_only
    found = summarize(tracks, objects=[5, 2], frames=(33, 71))
    assert moments_of(found) == moments_of(rows_only, [2, 5], 33, 71)


def test_numbers_and_lost_stretches_are_of_the_range_alone(made):
    tracks, _, whole = made
    start, stop = 25, 60
    for part, all_of_it in zip(summarize(tracks, frames=(start, stop)), whole, strict=True):
        rows = [(f, row) for f, row in tracks.timeline(part.object_id) if start <= f < stop]
        seen = [row.score for _, row in rows if row.rle.area]
        assert (part.frames, part.seen, part.label) == (len(rows), len(seen), all_of_it.label)
        assert part.mean_score == pytest.approx(sum(seen) / len(seen) if seen else 0)
        lost = {f for first, last in part.lost_spans for f in range(first, last + 1)}
        assert lost.issuperset(f for f, row in rows if not row.rle.area)
        assert all(start <= first <= last < stop for first, last in part.lost_spans)


def test_rows_read_in_small_pieces_give_the_same(made, monkeypatch):
    tracks, source, whole = made
    monkeypatch.setattr(_review_lanes, "ROWS_AT_ONCE", 7)
    assert summarize(tracks, source) == whole


@pytest.mark.parametrize("few", [0.0, 1.0])
def test_reading_by_objects_and_by_frames_gives_the_same(made, few, monkeypatch):
    tracks, source, whole = made
    monkeypatch.setattr(_review_lanes, "FEW_OBJECTS", few)
    assert summarize(tracks, source, objects=[1, 5]) == [s for s in whole if s.object_id in (1, 5)]


def test_a_range_decodes_only_the_pictures_that_it_needs(made):
    tracks, source, _ = made
    asked = []

    class Counted:
        info = source.info

        def frames(self, indices):
            asked.extend(indices)
            return source.frames(indices)

    summarize(tracks, Counted(), frames=(50, 60), objects=[1])
    assert len(asked) < 30


def test_a_range_of_a_long_video_reads_only_what_is_near():
    """Two objects that meet every 50 frames; a third one that is lost for long."""
    height, width = 20, 60
    tracks = Tracks.create(VideoInfo(width, height, None, 1000, "long"))
    journal, read = Journal(tracks), set()
    journal.add_prompts([MaskPrompt(0, i, np.ones((height, width), dtype=bool)) for i in (1, 2, 3)])
    with tracks.database.transaction():
        for t in range(1000):
            rows = []
            for i, x in ((1, 10), (2, 12 if t % 50 < 8 else 30), (3, 45)):
                mask = np.zeros((height, width), dtype=bool)
                if i < 3 or t < 600:
                    mask[5:10, x : x + 5] = True
                rows.append(ObjectMask(i, Rle.encode(mask), 0.5, State.TRACKED if mask.any() else State.LOST))
            journal.frames.write(FrameInfo(t, None, f"{t}"), rows)

    class Watched(Tracks):
        def frames(self, start=0, stop=None, stride=1):
            for frame in super().frames(start, stop, stride):
                read.add(frame.info.index)
                yield frame

    found = _review_contacts.partings(Watched(tracks.database), [1], 805, 815)
    assert found == [_review_contacts.Parting(810, (1, 2), 799)]
    assert min(read) == 805 - 64
    whole = _review_contacts.partings(tracks, [1, 2, 3], 0, None)
    assert [p for p in whole if 805 <= p.frame < 815] == found


@pytest.mark.parametrize("objects", [[4], [1, 9], [0], [-1], [1 << 80]])
def test_unknown_objects(tracks, objects):
    with pytest.raises(UnknownObjectError, match="there is no object"):
        summarize(tracks, objects=objects)


@pytest.mark.parametrize("objects", [1, [1.5], ["1"], [None], [[1]], math.pi])
def test_what_are_no_ids(tracks, objects):
    with pytest.raises(InputError, match="objects: expected whole numbers"):
        summarize(tracks, objects=objects)


@pytest.mark.parametrize(
    "frames",
    [(5, 5), (6, 5), (-1, 5), (90, 95), (COUNT, COUNT), 5, (1,), (1, 2, 3), ("0", "5"), (0.0, 5.0), (None, 5), "05"],
)
def test_bad_ranges(tracks, frames):
    with pytest.raises(InputError, match="frames"):
        summarize(tracks, frames=frames)


def test_tracks_without_objects():
    tracks = Tracks.create(VideoInfo(WIDTH, HEIGHT, None, COUNT, "made"))
    assert summarize(tracks) == []


@pytest.mark.parametrize("counts", [b"\x7f", b"12P", b"P" * 30 + b"0"])
def test_a_damaged_mask_is_named(counts):
    tracks, _ = make(0)
    row = ObjectMask(2, Rle((HEIGHT, WIDTH), counts), 0.5, State.TRACKED)
    Journal(tracks).frames.put(40, [row])
    with pytest.raises(InputError, match="object 2 on frame 40 is damaged"):
        summarize(tracks)
    assert summarize(tracks, objects=[1], frames=(0, 30))


def test_summaries_are_kept_with_their_revision():
    tracks, _ = make(0)
    assert load_summaries(tracks) is None
    found = summarize(tracks)
    save_summaries(tracks, found)
    assert load_summaries(tracks) == (tracks.revision, found)
    editing.rename(tracks, 1, "x")
    editing.swap(tracks, 1, 2, 20)
    revision, kept = load_summaries(tracks)
    assert kept == found
    assert set(tracks.changes_since(revision)) == {1, 2}


def test_verdicts_end_where_masks_change():
    tracks, _ = make(0)
    near, far = Moment(30, 1, "place", 2.0), Moment(3, 1, "lost", 1.0)
    set_verdict(tracks, near, "fine")
    set_verdict(tracks, far, "later")
    assert [v.holds for v in verdicts(tracks).values()] == [True, True]
    editing.swap(tracks, 1, 2, 37)
    said = verdicts(tracks)
    assert (said[30, 1, "place"].answer, said[30, 1, "place"].holds) == ("fine", False)
    assert said[3, 1, "lost"].holds
    set_verdict(tracks, far, None)
    assert set(verdicts(tracks)) == {(30, 1, "place")}
    for wrong in ("good", 3, []):
        with pytest.raises(InputError, match="expected one of fine, fix, later"):
            set_verdict(tracks, near, wrong)
