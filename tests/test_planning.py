"""Which passes are made for which prompts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskferry.errors import InputError
from maskferry.tracks._jobs import ENDLESS, FrameRange, Job, Span
from maskferry.tracks._planner import plan

WHOLE = FrameRange().within(100)


def shape(jobs):
    return [(job.backward, job.spans) for job in jobs]


def test_one_seed_on_the_first_frame_is_one_forward_pass():
    assert shape(plan({1: [0]}, "both", WHOLE)) == [(False, (Span(1, 0, None),))]


def test_a_seed_in_the_middle_goes_both_ways():
    jobs = plan({1: [40]}, "both", WHOLE)
    assert shape(jobs) == [(False, (Span(1, 40, None),)), (True, (Span(1, 40, None),))]
    assert list(jobs[0].frames()) == list(range(40, 100))
    assert list(jobs[1].frames()) == list(range(40, -1, -1))


def test_a_gap_is_filled_from_both_sides_and_the_second_pass_blends():
    forward, backward = plan({1: [0, 40]}, "both", WHOLE)
    assert forward.spans == (Span(1, 0, 40), Span(1, 40, None))
    assert backward.spans == (Span(1, 40, 0, blend=True),)
    assert list(backward.frames()) == list(range(40, 0, -1))


def test_forward_only_never_looks_before_the_first_seed():
    (job,) = plan({1: [40], 2: [60]}, "forward", WHOLE)
    assert min(job.frames()) == 40


def test_a_correction_plans_only_its_own_span_of_its_own_object():
    before = plan({1: [0, 80], 2: [0]}, "both", WHOLE)
    after = plan({1: [0, 40, 80], 2: [0]}, "both", WHOLE, before)
    assert shape(after) == [
        (False, (Span(1, 0, 40), Span(1, 40, 80))),
        (True, (Span(1, 80, 40, blend=True), Span(1, 40, 0, blend=True))),
    ]


def test_what_is_known_is_not_planned_again():
    jobs = plan({1: [0, 40], 2: [7]}, "both", WHOLE)
    assert plan({1: [0, 40], 2: [7]}, "both", WHOLE, jobs) == []
    assert plan({1: [0, 40], 2: [7]}, "both", FrameRange(0, 50).within(100), jobs) != []


def test_a_forward_pass_after_a_backward_one_blends():
    backward = plan({1: [0, 40]}, "backward", WHOLE)
    (forward,) = plan({1: [0, 40]}, "both", WHOLE, backward)
    assert forward.spans == (Span(1, 0, 40, blend=True), Span(1, 40, None))


def test_spans_far_apart_are_passes_of_their_own():
    jobs = plan({1: [0, 5], 2: [50, 60]}, "forward", FrameRange(0, 100), plan({1: [5], 2: [60]}, "forward", WHOLE))
    assert [list(job.frames()) for job in jobs] == [list(range(5)), list(range(50, 60))]


def test_a_stride_keeps_seeds_off_the_grid():
    forward, backward = plan({1: [3, 41]}, "both", FrameRange(0, 100, 10).within(100))
    assert list(forward.frames()) == [3, 10, 20, 30, 40, 41, 50, 60, 70, 80, 90]
    assert list(backward.frames()) == [41, 40, 30, 20, 10, 3, 0]


def test_a_stream_has_no_end():
    (job,) = plan({1: [2]}, "both", FrameRange(2).within(None))
    assert job.frames() == range(2, ENDLESS)


@pytest.mark.parametrize("bad", [FrameRange(-1), FrameRange(5, 5), FrameRange(100), FrameRange(0, 50, 0)])
def test_a_bad_range_is_refused(bad):
    with pytest.raises(InputError):
        bad.within(100)


def test_a_bad_direction_is_refused():
    with pytest.raises(InputError, match="direction"):
        plan({1: [0]}, "sideways", WHOLE)


@given(
    st.dictionaries(st.integers(1, 4), st.sets(st.integers(0, 29), min_size=1, max_size=4), min_size=1),
    st.integers(1, 7),
)
def test_every_frame_of_the_range_is_reached_from_every_seed_side(seeds, stride):
    """Both directions together find every object on every frame of the range, each direction at most once."""
    frames = FrameRange(0, 30, stride)
    reached = {False: set(), True: set()}
    for job in plan(seeds, "both", frames):
        for frame in job.frames():
            for span in job.spans:
                low, high = span.reach(frames, backward=job.backward)
                if low <= frame < high:
                    assert (span.object_id, frame, span.seed) not in reached[job.backward]
                    reached[job.backward].add((span.object_id, frame, span.seed))
    for object_id, own in seeds.items():
        for frame in set(range(0, 30, stride)) | own:
            sides = [backward for backward in reached if any(r[:2] == (object_id, frame) for r in reached[backward])]
            between = min(own) < frame < max(own) and frame not in own
            assert len(sides) == 2 if between else len(sides) >= 1


def test_job_frames_are_cheap_for_long_videos():
    job = Job(False, FrameRange(0, 10**9), (Span(1, 0, None),))
    assert len(job.frames()) == 10**9
