"""J, F and their statistics: worked by hand, and against a plain reference that loops over pixels."""

from __future__ import annotations

import itertools
import math
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from maskferry.errors import InputError
from maskferry.metrics import _davis as metrics
from maskferry.metrics._davis import (
    Score,
    Statistics,
    boundary_accuracy,
    boundary_map,
    mean_score,
    region_similarity,
    score_sequence,
    sequence_statistics,
)


def mask_of(*rows):
    return np.array([[c == "#" for c in row] for row in rows])


def square(size, x1, y1, x2, y2):
    mask = np.zeros((size, size), dtype=bool)
    mask[y1:y2, x1:x2] = True
    return mask


# ---- the plain reference -------------------------------------------------------------------------------------------


def plain_boundary(mask):
    """Read off ``seg2bmap``: neighbours outside of the picture are background, except along the last row and column."""
    height, width = mask.shape
    found = set()
    for y, x in itertools.product(range(height), range(width)):
        right = mask[y, x + 1] if x + 1 < width else False
        below = mask[y + 1, x] if y + 1 < height else False
        corner = mask[y + 1, x + 1] if x + 1 < width and y + 1 < height else False
        if y == height - 1 and x == width - 1:
            differs = False
        elif x == width - 1:
            differs = mask[y, x] != below
        elif y == height - 1:
            differs = mask[y, x] != right
        else:
            differs = mask[y, x] != right or mask[y, x] != below or mask[y, x] != corner
        if differs:
            found.add((y, x))
    return found


def plain_f(truth, mask, void, bound_th):
    if void is not None:
        truth, mask = truth & ~void, mask & ~void
    radius = bound_th if bound_th >= 1 else math.ceil(bound_th * math.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))
    wanted, drawn = plain_boundary(truth), plain_boundary(mask)

    def share(these, those):
        near = [any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in those) for y, x in these]
        return sum(near) / len(near)

    if not drawn and not wanted:
        return 1.0
    if not drawn or not wanted:
        return 0.0
    precision, recall = share(drawn, wanted), share(wanted, drawn)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def plain_j(truth, mask, void):
    both = either = 0
    for y, x in np.ndindex(truth.shape):
        if void is not None and void[y, x]:
            continue
        both += truth[y, x] and mask[y, x]
        either += truth[y, x] or mask[y, x]
    return both / either if either else 1.0


sizes = st.tuples(st.integers(1, 11), st.integers(1, 11))
triples = sizes.flatmap(
    lambda size: st.tuples(*[hnp.arrays(np.bool_, size)] * 2, st.none() | hnp.arrays(np.bool_, size))
)


@given(triples, st.sampled_from([0, 0.008, 0.1, 0.3, 1, 2, 2.5, 20]))
def test_equals_the_plain_reference(masks, bound_th):
    truth, mask, void = masks
    assert {tuple(map(int, p)) for p in np.argwhere(boundary_map(truth))} == plain_boundary(truth)
    assert region_similarity(truth, mask, void) == pytest.approx(plain_j(truth, mask, void), abs=1e-12)
    assert boundary_accuracy(truth, mask, void, bound_th) == pytest.approx(
        plain_f(truth, mask, void, bound_th), abs=1e-12
    )


@given(triples, st.sampled_from([0.008, 0.2, 2]))
def test_both_measures_are_symmetric_and_one_for_the_truth_itself(masks, bound_th):
    truth, mask, void = masks
    for measure in (region_similarity, lambda a, b, v: boundary_accuracy(a, b, v, bound_th)):
        assert measure(truth, mask, void) == pytest.approx(measure(mask, truth, void), abs=1e-12)
        assert 0 <= measure(truth, mask, void) <= 1
        assert measure(truth, truth, void) == 1


# ---- J by hand -----------------------------------------------------------------------------------------------------


def test_region_similarity_by_hand():
    truth = mask_of("##..", "##..", "....")
    mask = mask_of(".##.", ".##.", "....")
    assert region_similarity(truth, mask) == pytest.approx(2 / 6, abs=1e-6)  # 2 in both, 4 + 4 - 2 in either
    void = mask_of("#...", "#...", "....")
    assert region_similarity(truth, mask, void) == pytest.approx(2 / 4, abs=1e-6)  # the two left pixels do not count


def test_region_similarity_of_empty_and_full():
    empty, full = np.zeros((3, 4), dtype=bool), np.ones((3, 4), dtype=bool)
    assert region_similarity(empty, empty) == 1
    assert region_similarity(full, full) == 1
    assert region_similarity(full, empty) == region_similarity(empty, full) == 0
    assert region_similarity(full, empty, full) == 1  # all void: the union is empty


# ---- F by hand -----------------------------------------------------------------------------------------------------


def test_boundary_lies_half_a_pixel_up_and_left():
    expected = mask_of(".....", ".###.", ".#.#.", ".###.", ".....")
    assert np.array_equal(boundary_map(square(5, 2, 2, 4, 4)), expected)


def test_boundary_along_the_border():
    # Rows but the last look right, down and across; the last row looks right only, the last column down only.
    assert np.array_equal(boundary_map(mask_of("..#", "..#", "...")), mask_of(".#.", ".##", "..."))
    assert np.array_equal(boundary_map(mask_of("...", "...", "##.")), mask_of("...", "##.", ".#."))
    assert not boundary_map(np.ones((3, 3), dtype=bool)).any()


def test_boundary_accuracy_by_hand():
    truth, mask = square(5, 2, 2, 4, 4), square(5, 2, 2, 5, 4)
    # Truth: the ring of 8 from (1, 1) to (3, 3). Mask: rows 1 and 3 at x = 1 to 4, row 2 at x = 1 only; row 1 to the
    # last column, whose pixels look down: (1, 4) differs from (2, 4), (3, 4) from (4, 4). So 4 + 1 + 4 = 9.
    assert np.array_equal(boundary_map(mask), mask_of(".....", ".####", ".#...", ".####", "....."))
    # Radius 0: 7 in both. P = 7 / 9, R = 7 / 8, F = 2 * 7 / (9 + 8) = 14 / 17.
    assert boundary_accuracy(truth, mask, bound_th=0) == pytest.approx(14 / 17, abs=1e-6)
    # Radius 1: (1, 4) and (3, 4) lie beside (1, 3) and (3, 3); (2, 3) beside (1, 3). All match.
    assert boundary_accuracy(truth, mask, bound_th=1) == 1


def test_disk_is_round_and_closed():
    truth, mask = square(30, 5, 5, 6, 6), square(30, 8, 9, 9, 10)  # moved by (3, 4), a distance of 5
    # Boundaries are the 2x2 blocks at x, y = 4..5 and x = 7..8, y = 8..9. With radius 4 pixels match whose offset has
    # a length <= 4: from block to block dx is 2..4 and dy 3..5: (2, 3) yes (13 <= 16), (3, 3) no (18), (2, 4) no (20).
    # So one pixel of either block matches: P = R = 1 / 4.
    assert boundary_accuracy(truth, mask, bound_th=4) == pytest.approx(1 / 4, abs=1e-6)
    # Radius 5: 25 admits (2, 3), (2, 4), (3, 3), (3, 4), (4, 3). From the near pixel dx is 2..3, dy 3..4: matches;
    # from its side neighbour dx is 3..4 and dy 3..4: matches; from the one above dx is 2..3, dy 4..5: matches; from
    # the far one dx is 3..4, dy 4..5: (3, 4) matches. P = R = 1.
    assert boundary_accuracy(truth, mask, bound_th=5) == 1


def test_threshold_below_one_is_a_share_of_the_diagonal_rounded_up():
    # 80x60 has a diagonal of 100: 0.008 * 100 = 0.8, so 1 pixel; 0.011 gives 1.1, so 2.
    truth, mask = np.zeros((60, 80), dtype=bool), np.zeros((60, 80), dtype=bool)
    truth[:, 40:], mask[:, 42:] = True, True  # boundaries are whole columns, x = 39 and 41
    assert boundary_accuracy(truth, mask) == 0
    assert boundary_accuracy(truth, mask, bound_th=0.011) == 1
    mask[:, 41] = True  # x = 40
    assert boundary_accuracy(truth, mask) == 1


def test_boundary_accuracy_of_empty_and_full():
    empty, full, part = np.zeros((6, 6), dtype=bool), np.ones((6, 6), dtype=bool), square(6, 2, 2, 4, 4)
    assert boundary_accuracy(empty, empty) == 1
    assert boundary_accuracy(part, empty) == boundary_accuracy(empty, part) == 0
    assert boundary_accuracy(full, empty) == 1  # the reference's own habit: neither has a boundary
    assert boundary_accuracy(full, part) == 0


def test_void_is_taken_out_of_both_masks():
    truth = square(20, 2, 2, 6, 6)
    mask = truth | square(20, 12, 12, 16, 16)
    # Ring of truth: 5 * 5 - 3 * 3 = 16; the second square has as many. P = 16 / 32, R = 1, F = 2 / 3.
    assert boundary_accuracy(truth, mask) == pytest.approx(2 / 3, abs=1e-6)
    assert boundary_accuracy(truth, mask, square(20, 12, 12, 16, 16)) == 1


def test_crop_changes_nothing_far_from_the_corner():
    truth, mask = np.zeros((90, 120), dtype=bool), np.zeros((90, 120), dtype=bool)
    truth[70:90, 100:120], mask[66:88, 101:118] = True, True
    for bound_th in (0.008, 0.02, 3):
        assert boundary_accuracy(truth, mask, bound_th=bound_th) == pytest.approx(
            plain_f(truth, mask, None, bound_th), abs=1e-12
        )


def test_numbers_are_taken_as_masks():
    truth = square(8, 1, 1, 5, 5)
    assert region_similarity(truth * 7, truth * 0.5) == 1
    assert boundary_accuracy(truth * 7, truth * 255) == 1


@pytest.mark.parametrize("measure", [region_similarity, boundary_accuracy])
def test_shapes_that_differ_are_refused(measure):
    one = np.zeros((3, 4), dtype=bool)
    with pytest.raises(InputError, match=r"one size, got truth \(3, 4\), mask \(4, 3\)$"):
        measure(one, one.T)
    with pytest.raises(InputError, match=r"void \(1, 4\)"):
        measure(one, one, one[:1])
    with pytest.raises(InputError, match=r"\(1, 3, 4\)"):
        measure(one[None], one[None])


@pytest.mark.parametrize("bound_th", [-0.1, math.inf, math.nan])
def test_radius_is_checked(bound_th):
    with pytest.raises(InputError, match="bound_th: expected a radius >= 0"):
        boundary_accuracy(square(4, 1, 1, 2, 2), square(4, 1, 1, 2, 2), bound_th=bound_th)


def test_boundaries_are_compared_on_the_part_of_the_frame_that_has_them(monkeypatch):
    y, x = np.mgrid[:480, :854]
    truth, mask = (y - 100) ** 2 + (x - 400) ** 2 < 40**2, (y - 96) ** 2 + (x - 405) ** 2 < 37**2
    shapes, dilate = [], metrics._dilate

    def watched(boundary, radius):
        shapes.append(boundary.shape)
        return dilate(boundary, radius)

    monkeypatch.setattr(metrics, "_dilate", watched)
    boundary_accuracy(truth, mask)
    assert shapes
    assert all(height <= 90 and width <= 90 for height, width in shapes)


# ---- statistics ----------------------------------------------------------------------------------------------------


def test_statistics_by_hand():
    values = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
    # linspace(1, 9, 5) = 1, 3, 5, 7, 9: quarters are frames 1-3 and 7-9 (both ends in).
    found = sequence_statistics(values)
    assert found.mean == pytest.approx(0.6, abs=1e-6)  # 5.4 / 9
    assert found.recall == pytest.approx(5 / 9, abs=1e-6)  # 0.5 itself is no hit
    assert found.decay == pytest.approx(0.9 - 0.3, abs=1e-6)


def test_quarters_round_half_up():
    # linspace(1, 3, 5) = 1, 1.5, 2, 2.5, 3; the 1e-10 turns 1.5 into 2 (even anyway) and 2.5 into 3: 1, 2, 2, 3, 3.
    # First quarter: frames 1-2, mean 0.75; last: frame 3.
    assert sequence_statistics([1.0, 0.5, 0.25]).decay == pytest.approx(0.75 - 0.25, abs=1e-6)


def test_one_frame():
    assert sequence_statistics([0.7]) == Statistics(mean=0.7, recall=1.0, decay=0.0)
    assert sequence_statistics([0.5]).recall == 0


def test_nan_is_left_out_of_means_but_is_a_miss():
    # linspace(1, 5, 5): quarters are frames 1-2 and 4-5.
    found = sequence_statistics([math.nan, 0.8, 0.6, 0.4, 0.2])
    assert found.mean == pytest.approx(0.5, abs=1e-6)  # 2.0 / 4
    assert found.recall == pytest.approx(2 / 5, abs=1e-6)  # NaN > 0.5 is false, and is counted
    assert found.decay == pytest.approx(0.8 - 0.3, abs=1e-6)
    lost = sequence_statistics([math.nan, math.nan])
    assert math.isnan(lost.mean)
    assert lost.recall == 0
    assert math.isnan(lost.decay)


def test_no_frames():
    assert all(math.isnan(v) for v in vars_of(sequence_statistics([])))


def vars_of(found):
    return found.mean, found.recall, found.decay


@given(hnp.arrays(np.float64, st.integers(1, 600), elements=st.floats(0, 1) | st.just(math.nan)))
def test_statistics_against_loops(values):
    def mean(items):
        known = [v for v in items if not math.isnan(v)]
        return sum(known) / len(known) if known else math.nan

    # Quarter borders, counted from 1: 1 + k (n - 1) / 4, halves upward, in whole numbers.
    n = len(values)
    border = [(4 + k * (n - 1) + 2) // 4 for k in range(5)]
    first, last = values[border[0] - 1 : border[1]], values[border[3] - 1 : border[4]]
    expected = mean(values), sum(v > 0.5 for v in values) / n, mean(first) - mean(last)
    assert vars_of(sequence_statistics(values)) == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_long_sequences_do_not_wrap():
    assert sequence_statistics(np.linspace(1, 0, 2001)).decay == pytest.approx(0.875 - 0.125, abs=1e-3)


def test_values_must_be_one_a_frame():
    with pytest.raises(InputError, match=r"shape \(T,\), got shape \(2, 2\)"):
        sequence_statistics([[0.1, 0.2], [0.3, 0.4]])


# ---- sequences -----------------------------------------------------------------------------------------------------


def labels(*masks):
    out = np.zeros(masks[0].shape, dtype=np.uint8)
    for i, mask in enumerate(masks, 1):
        out[mask] = i
    return out


TRUTH = labels(square(20, 2, 2, 6, 6), square(20, 10, 10, 14, 14))
SHIFTED = labels(square(20, 4, 2, 8, 6), square(20, 10, 10, 14, 14))


def test_a_sequence_by_hand():
    nothing = np.zeros_like(TRUTH)
    found = score_sequence([TRUTH] * 5, [nothing, TRUTH, SHIFTED, nothing, nothing])
    assert list(found) == [1, 2]
    # Ends are left out: frames 1 to 3. Object 1: J = 1, 8 / 24, 0; quarters of three frames: 1-2 and 3.
    one = found[1].region
    assert one.mean == pytest.approx((1 + 1 / 3 + 0) / 3, abs=1e-6)
    assert one.recall == pytest.approx(1 / 3, abs=1e-6)
    assert one.decay == pytest.approx((1 + 1 / 3) / 2 - 0, abs=1e-6)
    # F of frame 2: rings of 16 pixels, 2 apart; the radius is ceil(0.008 * 28.3) = 1. The mask's spans x = 3..7 and
    # y = 1..5, the truth's x = 1..5. Of the mask's rows y = 1 and y = 5 x = 3..6 match: 2 * 4. Of its column x = 3
    # y = 2 and y = 4 lie beside a row of the truth: 2. Of x = 7 none. P = 10 / 16, and R likewise, mirrored.
    assert found[1].boundary.mean == pytest.approx((1 + 10 / 16 + 0) / 3, abs=1e-6)
    assert found[2] == Score(
        Statistics(pytest.approx(2 / 3), pytest.approx(2 / 3), 1.0),
        Statistics(pytest.approx(2 / 3), pytest.approx(2 / 3), 1.0),
    )
    assert found[2].j_and_f == pytest.approx(2 / 3, abs=1e-6)


def test_mean_score_counts_objects():
    scores = score_sequence([TRUTH] * 3, [TRUTH, SHIFTED, TRUTH])
    both = mean_score(scores.values())
    assert both.region.mean == pytest.approx((1 / 3 + 1) / 2, abs=1e-6)
    assert both.boundary.mean == pytest.approx((10 / 16 + 1) / 2, abs=1e-6)
    assert both.j_and_f == pytest.approx((2 / 3 + 13 / 16) / 2, abs=1e-6)
    with pytest.raises(InputError, match="at least one score"):
        mean_score([])


def test_void_label_counts_neither_way():
    truth = TRUTH.copy()
    truth[TRUTH == 2] = 255
    found = score_sequence([truth] * 3, [np.where(TRUTH == 2, 1, TRUTH)] * 3)
    assert list(found) == [1]
    assert (found[1].region.mean, found[1].boundary.mean) == (1, 1)
    assert list(score_sequence([truth] * 3, [truth] * 3, void_label=None)) == [1, 255]


def test_davis_2016_is_one_object():
    truth = np.where(TRUTH > 0, 255, 0).astype(np.uint8)
    with pytest.raises(InputError, match="pass label_map > 0"):
        score_sequence([truth] * 3, [truth] * 3)
    found = score_sequence((t > 0 for t in [truth] * 3), (t > 0 for t in [TRUTH] * 3))
    assert found == {1: Score(Statistics(1.0, 1.0, 0.0), Statistics(1.0, 1.0, 0.0))}


def test_ends_can_be_scored_too():
    nothing = np.zeros_like(TRUTH)
    found = score_sequence([TRUTH] * 3, [TRUTH, TRUTH, nothing], skip_ends=False)
    assert found[1].region.mean == pytest.approx(2 / 3, abs=1e-6)
    assert score_sequence([TRUTH], [TRUTH], skip_ends=False)[2].j_and_f == 1


@pytest.mark.parametrize("count", [1, 2])
def test_nothing_between_the_ends(count):
    with pytest.raises(InputError, match="skip_ends=False"):
        score_sequence([TRUTH] * count, [TRUTH] * count)


def test_objects_can_be_chosen():
    late = np.where(square(20, 16, 16, 19, 19), np.uint16(300), TRUTH)
    truth = [TRUTH.astype(np.uint16), late, late, late]
    with pytest.raises(InputError, match=r"frame 1: the result has object ids \[300\], the truth only \[1, 2\]"):
        score_sequence(truth, truth)
    found = score_sequence(truth, truth, object_ids=[300, 2])
    assert list(found) == [2, 300]
    assert found[300].j_and_f == 1


def test_an_object_out_of_sight_in_both_scores_one():
    only_two = np.where(TRUTH == 1, 0, TRUTH)
    assert score_sequence([TRUTH, only_two, TRUTH], [TRUTH, only_two, TRUTH])[1].j_and_f == 1


def test_sequences_that_do_not_match_are_refused():
    with pytest.raises(InputError, match="the result ends after 3 frames, the truth goes on"):
        score_sequence([TRUTH] * 4, [TRUTH] * 3)
    with pytest.raises(InputError, match="the truth ends after 3 frames"):
        score_sequence([TRUTH] * 3, [TRUTH] * 4)
    with pytest.raises(InputError, match=r"frame 1: .* got \(20, 20\) and \(20, 19\)"):
        score_sequence([TRUTH] * 3, [TRUTH, TRUTH[:, :-1], TRUTH])
    with pytest.raises(InputError, match="no frames"):
        score_sequence([], [])


def test_frames_are_read_one_by_one():
    seen, most = [], 0

    def frames(count):
        nonlocal most
        for _ in range(count):
            frame = TRUTH.copy()
            seen.append(weakref.ref(frame))
            most = max(most, sum(ref() is not None for ref in seen))
            yield frame

    score_sequence(frames(40), itertools.repeat(TRUTH, 40))
    assert len(seen) == 40
    assert most <= 4
