"""The check by the way back, on tracks whose faults are known, with an engine that leaves masks where they are."""

from __future__ import annotations

import numpy as np
import pytest

from maskferry import FrameInfo, MaskPrompt, ObjectMask, Rle, State, Tracks, VideoInfo, open_source
from maskferry.engines import HoldEngine
from maskferry.errors import DamagedTracksError, InputError
from maskferry.tracks import editing
from maskferry.tracks._journal import Journal
from maskferry.tracks._notes import Notes
from maskferry.tracks._review_rules import agreement_moments
from maskferry.tracks.review import Agreement, load_agreements, summarize, worst_moments
from maskferry.way_back import check_way_back

COUNT, HEIGHT, WIDTH = 20, 40, 60


def box(x: int, width: int = 10) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    mask[5:15, x : x + width] = True
    return mask


NOTHING = box(0, 0)


def make(given: dict[int, list[int]], masks) -> Tracks:
    """Tracks of objects given on some frames; ``masks(object id, frame)``, None where there is no row."""
    tracks = Tracks.create(VideoInfo(WIDTH, HEIGHT, None, COUNT, "made"))
    journal = Journal(tracks)
    journal.add_prompts([MaskPrompt(f, i, masks(i, f)) for i, frames in given.items() for f in frames])
    for t in range(COUNT):
        rows = []
        for i, frames in given.items():
            if (mask := masks(i, t)) is not None:
                state = State.GIVEN if t in frames else State.TRACKED if mask.any() else State.LOST
                rows.append(ObjectMask(i, Rle.encode(mask), 0.5, state))
        journal.frames.write(FrameInfo(t, None, f"{t}"), rows)
    return tracks


@pytest.fixture(scope="module")
def source():
    return open_source(np.zeros((COUNT, HEIGHT, WIDTH, 3), np.uint8))


def checked(tracks, source, **options) -> dict[int, dict[int, float]]:
    found = check_way_back(tracks, source, HoldEngine(), **options)
    return {one.object_id: dict(zip(one.frames.tolist(), one.iou.tolist(), strict=True)) for one in found}


def test_a_leak_is_where_the_ways_part(source):
    """From frame 8 on the mask covers the neighbour too; on the way back it goes on to."""
    tracks = make({1: [0]}, lambda i, t: box(5) if t < 8 else box(5, 20))
    before = tracks.digest
    assert checked(tracks, source) == {1: dict.fromkeys(range(8), 0.5) | dict.fromkeys(range(8, COUNT - 1), 1.0)}
    assert tracks.digest == before
    (summary,) = summarize(tracks)
    (moment,) = [m for m in summary.moments if m.kind == "back"]
    assert (moment.frame, moment.object_id) == (8, 1)
    assert str(moment) == "frame 8: object 1 leads back to something else (IoU 0.50)"
    assert worst_moments([summary])[0] is moment  # before the leap of its area
    assert [m for s in summarize(tracks, frames=(5, 9)) for m in s.moments if m.kind == "back"] == [moment]
    assert [m.kind for s in summarize(tracks, frames=(9, COUNT)) for m in s.moments] == []


@pytest.mark.parametrize(
    ("given", "bad", "moments"),
    [
        ([0], range(8), [8]),  # wrong from 8 on
        ([0], range(5, 8), [6]),  # wrong for a while
        ([19], range(12, 20), [11]),  # the other way
        ([10], range(7, 14), [6, 14]),
        ([10], range(11, 13), [13]),
        ([0], range(20), [19]),  # it never leads back
        ([0], range(0), []),
    ],
)
def test_where_the_ways_part(given, bad, moments):
    iou = {t: (0.3 if t == min(6, bad[0] + 3) else 0.5) if t in bad else 0.95 for t in range(COUNT)}
    found = [*agreement_moments(4, Agreement.of(4, iou), np.array(given))]
    assert [m.frame for m in found] == moments
    assert all((m.object_id, m.kind) == (4, "back") and m.severity > 1 for m in found)


def test_each_object_goes_its_own_way(source):
    def masks(i: int, t: int) -> np.ndarray | None:
        if i == 1:  # given on 0 and 6; between them it was tracked from both
            return box(5 if t < 10 else 6)
        if i == 2:  # given on 12, tracked both ways, lost at the end
            return NOTHING if t > 16 else box(20)
        if i == 3:  # given on the last frame
            return box(30 - (t == 2), 8)
        return box(40) if t >= 18 else None  # nothing is left to compare

    tracks, steps = make({1: [0, 6], 2: [12], 3: [COUNT - 1], 4: [18]}, masks), []
    found = checked(tracks, source, callback=lambda done, total: steps.append((done, total)))
    assert {i: (min(f), max(f)) for i, f in found.items()} == {1: (6, 18), 2: (1, 15), 3: (1, 19), 4: (18, 18)}
    assert 12 in found[2]
    assert found[1][6] == found[1][9] == pytest.approx(9 / 11)
    assert found[1][10] == 1
    assert found[3][2] == pytest.approx(7 / 9)
    total = len(range(19, 5, -1)) + COUNT
    assert steps == [(n, total) for n in range(1, total + 1)]


def test_where_it_was_lost_on_one_way_alone(source):
    tracks = make({1: [0]}, lambda i, t: NOTHING if 5 <= t < 9 else box(5))
    assert checked(tracks, source)[1] == {t: 0.0 if 5 <= t < 9 else 1.0 for t in range(COUNT - 1)}


def test_what_has_changed_since_is_not_reported(source):
    tracks = make({1: [0], 2: [0]}, lambda i, t: box(5) if t < 8 else box(5, 20))
    checked(tracks, source)
    assert set(load_agreements(tracks)) == {1, 2}
    editing.rename(tracks, 1, "jacket")
    assert len(load_agreements(tracks)[1].frames) == COUNT - 1
    Journal(tracks).add_prompts([MaskPrompt(3, 1, box(6))])
    found = load_agreements(tracks)
    assert 3 not in found[1].frames
    assert 3 in found[2].frames


def test_nothing_to_check(source):
    assert checked(make({1: [0]}, lambda i, t: box(5) if t == 0 else NOTHING), source) == {}


def test_what_is_refused(source):
    tracks = make({1: [0]}, lambda i, t: box(5))
    stream = open_source(iter(np.zeros((2, HEIGHT, WIDTH, 3), np.uint8)))
    with pytest.raises(InputError, match="stream cannot be read backward"):
        check_way_back(tracks, stream, HoldEngine())
    for broken in ([1], [0, [[1, [1, 2], [0.5]]]], [0, [[1]]], "x"):
        Notes(tracks.database).set_json("note:way back", broken)
        with pytest.raises(DamagedTracksError, match="the check"):
            load_agreements(tracks)
