"""Two answers for one object, from the seed before and from the seed after, become one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskferry.data import ObjectMask, State
from maskferry.masks._merge import merge
from maskferry.rle import Rle

SIZE = (40, 60)


def answer(x, y=10, width=12, height=12, score=0.8, state=State.TRACKED):
    mask = np.zeros(SIZE, dtype=bool)
    mask[y : y + height, x : x + width] = True
    return ObjectMask(7, Rle.encode(mask), score, state)


LOST = ObjectMask(7, Rle.empty(SIZE), 0.0, State.LOST)


def left_edge(row):
    return int(np.flatnonzero(row.rle.decode().any(axis=0))[0])


def test_equal_answers_stay_what_they_are():
    row = answer(20)
    assert merge(row, row, 0.3) == row


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_pass_that_lost_the_object_yields(share):
    row = answer(20)
    assert merge(row, LOST, share) is row
    assert merge(LOST, row, share) is row
    assert merge(LOST, LOST, share).state is State.LOST


def test_the_outline_moves_from_one_answer_to_the_other():
    before, after = answer(20), answer(26)
    edges = [left_edge(merge(before, after, share)) for share in np.linspace(1, 0, 11)]
    assert edges[0] == 20
    assert edges[-1] == 26
    assert edges == sorted(edges)
    assert edges[5] in (22, 23, 24)


def test_the_better_score_weighs_more():
    even = merge(answer(20), answer(26), 0.5)
    forward_better = merge(answer(20, score=0.9), answer(26, score=0.1), 0.5)
    assert left_edge(forward_better) < left_edge(even)


@pytest.mark.parametrize(("share", "expected"), [(0.7, 5), (0.3, 40)])
def test_where_they_disagree_the_nearer_one_is_taken(share, expected):
    merged = merge(answer(5), answer(40), share)
    assert left_edge(merged) == expected
    assert merged.score == pytest.approx(0.8 * 0.5)  # nothing in common halves the score


def test_the_score_is_lowered_by_how_far_they_disagree():
    agreement = (10 * 12) / (14 * 12)
    merged = merge(answer(20, score=0.9), answer(22, score=0.6), 0.5)
    weight = 0.9 / (0.9 + 0.6)
    assert merged.score == pytest.approx((weight * 0.9 + (1 - weight) * 0.6) * (0.5 + 0.5 * agreement), rel=1e-5)


def test_what_is_merged_was_tracked_not_given():
    merged = merge(answer(20, state=State.GIVEN), answer(22), 0.9)
    assert merged.state is State.TRACKED
    assert merge(answer(20), answer(22, state=State.OCCLUDED), 0.1).state is State.OCCLUDED


@given(st.integers(0, 48), st.integers(0, 28), st.integers(0, 48), st.integers(0, 28), st.floats(0, 1))
def test_the_result_lies_between_what_both_saw_and_what_either_saw(x1, y1, x2, y2, share):
    first, second = answer(x1, y1), answer(x2, y2)
    merged = merge(first, second, share)
    mask, a, b = (row.rle.decode() for row in (merged, first, second))
    assert merged.object_id == 7
    assert mask.any()
    assert not (mask & ~(a | b)).any()
    assert not (a & b & ~mask).any()
    assert 0 <= merged.score <= 0.8 + 1e-9
