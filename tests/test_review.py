"""What is reported of tracks whose faults are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from maskferry import FrameInfo, MaskPrompt, ObjectMask, Rle, State, Tracks, VideoInfo, open_source
from maskferry.tracks._journal import Journal
from maskferry.tracks.review import Moment, ObjectSummary, summarize, worst_moments

COUNT, HEIGHT, WIDTH = 30, 60, 90
RED, BLUE = (220, 30, 30), (30, 30, 220)


def box(x, y, w=10, h=10):
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y : y + h, x : x + w] = True
    return mask


def make(paths, colors):
    """Tracks and video of boxes; a path gives (x, y, ...) for a frame, or None where the object is lost."""
    frames = np.full((COUNT, HEIGHT, WIDTH, 3), 100, dtype=np.uint8)
    tracks = Tracks.create(VideoInfo(WIDTH, HEIGHT, None, COUNT, "made"))
    journal = Journal(tracks)
    journal.add_prompts([MaskPrompt(0, i, box(*path(0))) for i, path in paths.items()])
    for t in range(COUNT):
        rows = []
        for i, path in sorted(paths.items()):
            mask = box(*path(t)) if path(t) else np.zeros((HEIGHT, WIDTH), dtype=bool)
            frames[t][mask] = colors[i](t)
            state = State.GIVEN if t == 0 else State.TRACKED if path(t) else State.LOST
            rows.append(ObjectMask(i, Rle.encode(mask), 0.5 if path(t) else 0.0, state))
        journal.frames.write(FrameInfo(t, None, f"{t}"), rows)
    return tracks, open_source(frames)


def kinds(summary):
    return [(m.frame, m.kind) for m in summary.moments]


def test_a_quiet_object_raises_no_alarm():
    tracks, source = make({1: lambda t: (5 + t, 10)}, {1: lambda t: RED})
    (summary,) = summarize(tracks, source)
    assert (summary.frames, summary.seen, summary.given, summary.lost_spans) == (COUNT, COUNT, 1, [])
    assert summary.mean_score == 0.5
    assert summary.moments == []


def test_lost_spans_and_their_first_frames():
    tracks, source = make({1: lambda t: None if 5 <= t < 9 or t == 20 else (5 + t, 10)}, {1: lambda t: RED})
    (summary,) = summarize(tracks, source)
    assert summary.lost_spans == [(5, 8), (20, 20)]
    assert kinds(summary) == [(5, "lost"), (20, "lost")]
    assert (summary.frames, summary.seen) == (COUNT, COUNT - 5)


def test_jumps_in_area_place_and_looks():
    tracks, source = make(
        {
            1: lambda t: (5 + t, 2) if t < 10 else (5 + t, 2, 20, 12),
            2: lambda t: (5 + t, 20) if t < 15 else (40 + t, 20),
            3: lambda t: (5 + t, 40),
        },
        {1: lambda t: RED, 2: lambda t: RED, 3: lambda t: RED if t < 20 else BLUE},
    )
    area, place, colours = summarize(tracks, source)
    assert kinds(area) == [(10, "area")]
    assert area.moments[0].severity == pytest.approx(2.4 / 1.6)
    assert kinds(place) == [(15, "place")]
    assert kinds(colours) == [(20, "looks")]
    assert str(colours.moments[0]) == "frame 20: object 3 colours change"
    assert [m.kind for m in worst_moments([area, place, colours])] == ["looks", "place", "area"]
    without = summarize(tracks)
    assert kinds(without[2]) == []
    json.dumps([s.to_dict() for s in without])


def test_objects_that_pass_each_other_and_keep_their_ids():
    paths = {1: lambda t: (5 + 2 * t, 20), 2: lambda t: (65 - 2 * t, 20)}
    tracks, source = make(paths, {1: lambda t: RED, 2: lambda t: BLUE})
    assert all(m.kind != "swap" for s in summarize(tracks, source) for m in s.moments)


def test_objects_that_change_places_are_suspected():
    # The red square goes right and the blue one left, but from the meeting on the ids follow the other one.
    paths = {
        1: lambda t: (5 + 2 * t, 20) if t < 15 else (65 - 2 * t, 20),
        2: lambda t: (65 - 2 * t, 20) if t < 15 else (5 + 2 * t, 20),
    }
    tracks, source = make(paths, {1: lambda t: RED if t < 15 else BLUE, 2: lambda t: BLUE if t < 15 else RED})
    swaps = [m for s in summarize(tracks, source) for m in s.moments if m.kind == "swap"]
    assert [(m.object_id, m.other) for m in swaps] == [(1, 2), (2, 1)]
    assert 15 < swaps[0].frame < 25


def scored(scores, fidelity=None):
    """Tracks of one object that rests, with these scores; None is a frame on which it is lost, 1 one that is given."""
    tracks = Tracks.create(VideoInfo(WIDTH, HEIGHT, None, len(scores), "made"))
    journal = Journal(tracks)
    journal.add_prompts([MaskPrompt(0, 1, box(5, 5))])
    seen, nothing = Rle.encode(box(5, 5)), Rle.empty((HEIGHT, WIDTH))
    for t, score in enumerate(scores):
        state = State.LOST if score is None else State.GIVEN if score == 1 else State.TRACKED
        told = fidelity if state is State.GIVEN else None
        row = ObjectMask(1, nothing if score is None else seen, score or 0.0, state, told)
        journal.frames.write(FrameInfo(t, None, f"{t}"), [row])
    return tracks


@pytest.mark.parametrize(
    ("scores", "frames"),
    [
        ([1] + [0.8] * 20, []),
        ([1] + [0.8] * 9 + [0.5] + [0.8] * 9, [10]),
        ([1] + [0.8] * 9 + [0.6, 0.4, 0.5] + [0.8] * 9, [11]),  # one stretch, at its lowest
        ([1] + [0.8] * 9 + [0.6, 0.7, 0.5] + [0.8] * 9, [12]),  # it has not come back in between
        ([1] + [0.8] * 9 + [0.6, 0.8, 0.5] + [0.8] * 9, [10, 12]),
        ([1] + [0.8] * 9 + [0.71] * 5 + [0.8] * 9, []),  # lower, not low
        ([1] + [0.3] * 9 + [0.29] + [0.3] * 9, []),  # low for another object, usual for this one
        ([1] + [0.3] * 9 + [0.1] + [0.3] * 9, [10]),
        ([1] + [0.8] * 9 + [None, None] + [0.8] * 9, []),  # lost is another kind
        ([1] + [0.8] * 9 + [0.5, None, 0.4] + [0.8] * 9, [10, 12]),
        ([1] * 5, []),
        ([1] + [None] * 3, []),
        ([1] + [0.0] * 3, []),
        ([1] + [0.9] * 9 + [0.0] + [0.9] * 9, [10]),
    ],
)
def test_low_scores_are_low_for_this_object(scores, frames):
    (summary,) = summarize(scored(scores))
    assert [m.frame for m in summary.moments if m.kind == "score"] == frames
    assert all(m.severity > 1 for m in summary.moments if m.kind == "score")


def test_a_low_score_in_words_and_as_json():
    (summary,) = summarize(scored([1] + [0.8] * 9 + [0.4] + [0.8] * 9))
    assert str(summary.moments[0]) == "frame 10: object 1 score falls to 50% of what is usual"
    (zero,) = summarize(scored([1] + [0.8] * 9 + [0.0] + [0.8] * 9))
    assert zero.moments[0].severity > summary.moments[0].severity
    json.dumps(zero.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("fidelity", "found"), [(None, []), (0.81, []), (0.8, []), (0.62, [0, 3])])
def test_given_masks_that_the_engine_sees_differently(fidelity, found):
    (summary,) = summarize(scored([1, 0.8, 0.8, 1, 0.8], fidelity))
    moments = [m for m in summary.moments if m.kind == "fidelity"]
    assert [m.frame for m in moments] == found
    assert summary.fidelity == fidelity
    if found:
        assert str(moments[0]) == "frame 0: object 1 was given a mask that the engine sees differently (fidelity 0.62)"


def test_the_order_of_the_worst():
    kinds = ["swap", "looks", "place", "area", "lost", "score", "fidelity"]
    moments = [Moment(k, 1, kind, 1.5) for k, kind in enumerate(reversed(kinds))]
    moments += [Moment(50 + k, 1, kind, 2.5) for k, kind in enumerate(kinds)]
    worst = worst_moments([ObjectSummary(1, None, moments=moments)], 20)
    assert [m.kind for m in worst] == [kind for kind in kinds for _ in range(2)]
    assert all(m.severity == 2.5 for m in worst[::2])
