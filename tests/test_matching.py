"""Overlap and assignment against what can be computed by hand."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from maskferry.masks._matching import assign, iou_matrix, share_matrix
from maskferry.masks._regions import intersection_over_union
from maskferry.rle import Rle

STACKS = hnp.arrays(bool, st.tuples(st.integers(0, 4), st.just(5), st.just(6)))


@given(STACKS, STACKS)
def test_overlaps_are_those_of_the_pixels(first, second):
    a, b = [Rle.encode(m) for m in first], [Rle.encode(m) for m in second]
    ious, shares = iou_matrix(a, b), share_matrix(a, b)
    assert ious.shape == shares.shape == (len(a), len(b))
    for (i, x), (j, y) in itertools.product(enumerate(first), enumerate(second)):
        wanted = intersection_over_union(x, y) if x.any() or y.any() else 0
        assert np.isclose(ious[i, j], wanted)
        assert np.isclose(shares[i, j], (x & y).sum() / x.sum() if x.any() else 0)


@given(hnp.arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(0, 4)), elements=st.floats(0, 1)))
def test_no_pairing_is_better(likeness):
    pairs = assign(likeness, 0.3)
    assert all(likeness[i, j] >= 0.3 for i, j in pairs)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    worth = np.where(likeness >= 0.3, likeness - 0.3 + 1e-6, 0)
    n, m = likeness.shape
    small, large = (range(n), range(m)) if n <= m else (range(m), range(n))
    table = worth if n <= m else worth.T
    best = max(
        sum(table[i, j] for i, j in zip(small, p, strict=True)) for p in itertools.permutations(large, len(small))
    )
    assert np.isclose(sum(worth[i, j] for i, j in pairs), best)


def test_masks_are_decoded_inside_their_boxes_only(monkeypatch):
    def refuse(rle):
        raise AssertionError("decoded at full size")

    a, b = np.zeros((2, 200, 300), dtype=bool)
    a[10:20, 30:50] = b[15:25, 40:60] = True
    masks = [Rle.encode(a), Rle.empty((200, 300))], [Rle.encode(b)]
    monkeypatch.setattr(Rle, "decode", refuse)
    assert iou_matrix(*masks).tolist() == [[np.float32(50 / 350)], [0]]
    assert share_matrix(*masks).tolist() == [[np.float32(50 / 200)], [0]]
