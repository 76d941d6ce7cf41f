"""The modules of the engine ``flow``, each alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskferry.data import State
from maskferry.engines._flow import appearance
from maskferry.engines._flow.appearance import Model, Place, evaluate, fit, gram, solve
from maskferry.engines._flow.grid import Grid, box_of
from maskferry.engines._flow.motion import (
    FlowEstimator,
    fit_affine,
    fit_homography,
    flow_grey,
    grey_image,
    map_points,
    warp,
)
from maskferry.engines._flow.options import PRESETS, FlowOptions
from maskferry.engines._flow.propagation import distance_prior, keep_believable
from maskferry.engines._flow.scene import CHANNELS, RandomFeatures, feature_map, is_cut, lab_image
from maskferry.engines._flow.segmentation import Claim, edge_weights, minimise, nested_pairs, settle
from maskferry.engines._flow.target import Target
from maskferry.errors import InputError
from maskferry.masks._regions import intersection_over_union, signed_distance


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth coloured noise, RGB uint8."""
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


# options


def test_every_option_has_a_range_and_is_documented() -> None:
    for name in FlowOptions.__dataclass_fields__:
        assert f"{name}:" in (FlowOptions.__doc__ or "")
        with pytest.raises(InputError, match=name):
            FlowOptions(**{name: float("nan")})


@pytest.mark.parametrize("value", [0, -1, True, 2.5, "many"])
def test_a_bad_value_says_what_is_expected(value: object) -> None:
    with pytest.raises(InputError, match="random_features must be a whole number from 8 to 4096"):
        FlowOptions.from_preset("fast", random_features=value)


def test_a_misspelt_option_names_the_valid_ones() -> None:
    with pytest.raises(InputError, match=r"did you mean smoothness\?.*grid_cells.*motion_weight"):
        FlowOptions.from_preset("fast", smoothnes=3)
    with pytest.raises(InputError, match="fast, standard, best"):
        FlowOptions.from_preset("quick")


def test_overrides_leave_the_preset_alone() -> None:
    assert FlowOptions.from_preset("best", smoothness=1).random_features == PRESETS["best"].random_features
    assert PRESETS["best"].smoothness == 4.0


# grid


@pytest.mark.parametrize(
    ("frame_hw", "size_hw"),
    [((480, 854), (120, 214)), ((48, 64), (48, 64)), ((2160, 3840), (120, 214)), ((16, 4096), (10, 2564))],
)
def test_a_grid_follows_the_frame(frame_hw: tuple[int, int], size_hw: tuple[int, int]) -> None:
    assert Grid.for_frame(frame_hw, 25_680).size_hw == size_hw


@settings(max_examples=40, deadline=None)
@given(st.integers(16, 3000), st.integers(16, 3000), st.integers(256, 60_000))
def test_a_grid_is_never_larger_than_asked_or_than_the_frame(height: int, width: int, cells: int) -> None:
    grid = Grid.for_frame((height, width), cells)
    h, w = grid.size_hw
    assert 1 <= h <= height
    assert 1 <= w <= width
    assert h * w <= cells * 1.1 + h + w
    assert grid.unit >= 0.5


@settings(max_examples=25, deadline=None)
@given(st.integers(40, 300), st.integers(40, 300), st.data())
def test_to_the_grid_and_back_keeps_a_shape(height: int, width: int, data: st.DataObject) -> None:
    grid = Grid.for_frame((height, width), 4000)
    centre = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    mask = cv2.circle(np.zeros((height, width), np.uint8), centre, 15, 1, -1) > 0
    share = grid.mask_to_grid(mask)
    box = box_of(share > 0, margin=1)
    assert box is not None
    pixels, (x1, y1, x2, y2) = grid.grid_to_frame(share, box)
    back = np.zeros_like(mask)
    back[y1:y2, x1:x2] = pixels > 0.5
    assert intersection_over_union(mask, back) > 0.85


def test_upsampling_a_box_is_upsampling_the_whole() -> None:
    grid = Grid.for_frame((97, 131), 2000)
    values = np.random.default_rng(0).random(grid.size_hw, dtype=np.float32)
    h, w = grid.size_hw
    whole, _ = grid.grid_to_frame(values, (0, 0, w, h))
    part, (x1, y1, x2, y2) = grid.grid_to_frame(values, (7, 5, 20, 17))
    assert np.abs(whole[y1:y2, x1:x2] - part).max() < 0.06  # OpenCV rounds positions to 1/32


@pytest.mark.parametrize("spot", [(0, 0), (479, 853), (200, 300)])
def test_one_pixel_is_still_an_object_on_the_grid(spot: tuple[int, int]) -> None:
    mask = np.zeros((480, 854), dtype=np.bool_)
    mask[spot] = True
    share = Grid.for_frame(mask.shape, 25_680).mask_to_grid(mask)
    assert share.max() == 1
    assert np.count_nonzero(share) == 1


# features


def test_features_of_one_colour_are_constant_and_finite() -> None:
    features = feature_map(lab_image(np.full((20, 30, 3), 90, np.uint8)), 0.5)
    assert features.shape == (20, 30, CHANNELS)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.ptp(features, axis=(0, 1)).max() < 1e-3


def test_random_features_depend_on_the_seed_only() -> None:
    x = np.random.default_rng(3).random((50, CHANNELS), dtype=np.float32)
    p = np.random.default_rng(1).normal(0, 1, (len(x), 2)).astype(np.float32)
    assert np.array_equal(RandomFeatures(64, 1)(x, p), RandomFeatures(64, 1)(x, p))
    assert not np.array_equal(RandomFeatures(64, 1)(x, p), RandomFeatures(64, 2)(x, p))
    assert not np.array_equal(RandomFeatures(64, 1)(x, p), RandomFeatures(64, 1)(x, -p))
    assert (RandomFeatures(64, 1)(x, p)[:, -1] == 1).all()


# motion


def test_flow_finds_a_shift_and_trusts_it() -> None:
    picture = texture(200, 300)
    grid = Grid.for_frame((180, 270), 12_000)
    before, after = picture[8:188, 12:282], picture[2:182, 6:276]  # everything moves by (6, 6) pixels
    estimator = FlowEstimator()
    flow = estimator.between(*(flow_grey(grey_image(p), grid) for p in (before, after)), grid)  # type: ignore[call-arg]
    inner = flow.backward[15:-15, 15:-15]
    expected = -6 * grid.size_hw[1] / 270
    assert np.abs(inner - expected).max() < 0.3
    assert flow.confidence[15:-15, 15:-15].min() > 0.9
    camera = fit_homography(flow.backward, np.ones(grid.size_hw, np.bool_), grid, np.random.default_rng(0))
    assert camera is not None
    assert np.allclose(map_points(camera, np.array([[40, 30]], np.float32)), [[40 + expected, 30 + expected]], atol=0.3)


@pytest.mark.parametrize("size_hw", [(16, 16), (16, 200), (17, 33), (63, 65)])
def test_flow_of_small_pictures(size_hw: tuple[int, int]) -> None:
    grid = Grid.for_frame(size_hw, 25_680)
    estimator = FlowEstimator()
    flow = estimator.between(*(flow_grey(grey_image(texture(*size_hw, i)), grid) for i in (1, 2)), grid)  # type: ignore[call-arg]
    assert flow.backward.shape == flow.forward.shape == (*grid.size_hw, 2)
    assert np.isfinite(flow.backward).all()
    assert ((flow.confidence >= 0) & (flow.confidence <= 1)).all()


def test_warp_takes_from_where_the_flow_points() -> None:
    grid = Grid.for_frame((20, 30), 600)
    values = np.zeros((20, 30), np.float32)
    values[10, 10] = 1
    flow = np.zeros((20, 30, 2), np.float32)
    flow[:, :, 0] = -4
    assert warp(values, flow, grid)[10, 14] == 1


def test_no_motion_is_fitted_to_nothing() -> None:
    grid = Grid.for_frame((20, 30), 600)
    rng = np.random.default_rng(0)
    flow = np.zeros((20, 30, 2), np.float32)
    nowhere = np.zeros((20, 30), np.bool_)
    assert fit_affine(flow, nowhere, grid, rng) is None
    assert fit_homography(flow, nowhere, grid, rng) is None
    line = nowhere.copy()
    line[4] = True  # points on one line determine neither
    assert fit_affine(rng.normal(0, 50, flow.shape).astype(np.float32), line, grid, rng) is None


@pytest.mark.parametrize(
    ("after", "cut"),
    [
        (texture(120, 160, 9), True),
        (texture(130, 170, 1)[10:, 10:], False),  # a shift
        (np.clip(texture(130, 170, 1)[:120, :160].astype(int) + 40, 0, 255).astype(np.uint8), False),  # a flash
        (texture(130, 170, 1)[:120, :160], False),
    ],
)
def test_what_is_a_cut(after: np.ndarray, cut: bool) -> None:
    before = texture(130, 170, 1)[:120, :160]
    grid = Grid.for_frame((120, 160), 25_680)
    estimator = FlowEstimator()
    greys = flow_grey(grey_image(before), grid), flow_grey(grey_image(after), grid)
    assert is_cut(*greys, estimator.between(*greys, grid), grid) is cut


# place


def test_places_move_and_grow_with_the_object() -> None:
    grid, size = Grid.for_frame((90, 120), 90 * 120), 20
    masks = np.zeros((3, 90, 120), np.bool_)
    masks[0, 10:30, 10:30] = masks[1, 40:60, 70:90] = masks[2, 20:60, 30:70] = True
    first, moved, grown = (Place.of(mask, grid).coordinates(grid.xy) for mask in masks)
    assert np.array_equal(first[10 : 10 + size, 10 : 10 + size], moved[40 : 40 + size, 70 : 70 + size])
    assert np.allclose(grown[20:60, 30:70].reshape(20, 2, 20, 2, 2).mean(axis=(1, 3)), first[10:30, 10:30], atol=1e-6)
    assert np.abs(first).max() == 1.5
    assert not Place.of(np.zeros_like(masks[0]), grid).coordinates(grid.xy).any()


def test_the_classifier_tells_a_part_from_a_twin_beside_the_object() -> None:
    image = np.full((60, 90, 3), 90, np.uint8)
    image[20:40, 30:50] = (200, 30, 30)
    image[12:20, 36:44] = image[25:33, 60:68] = (30, 30, 200)  # a head, and a thing that looks like it
    soft = np.zeros((60, 90), np.float32)
    soft[20:40, 30:50] = soft[12:20, 36:44] = 1
    features, lift = feature_map(lab_image(image), 0.5), RandomFeatures(256, 0)
    grid = Grid.for_frame((60, 90), 60 * 90)
    theta = fit(soft, features, lift, grid, 800, np.random.default_rng(0)).solve(1e-3)
    similarity = evaluate(features, lift, {1: Model(theta, (0, 0, 90, 60), Place.of(soft > 0, grid))})[1]
    assert (similarity[12:20, 36:44] > 0).mean() > 0.9
    assert (similarity[25:33, 60:68] < 0).mean() > 0.9


# appearance


def test_the_classifier_tells_object_from_background() -> None:
    image = texture(60, 90)
    image[20:40, 30:60] = texture(20, 30, 5) // 4 + np.array([150, 20, 20], np.uint8)
    soft = np.zeros((60, 90), np.float32)
    soft[20:40, 30:60] = 1
    features, lift = feature_map(lab_image(image), 0.5), RandomFeatures(128, 0)
    grid = Grid.for_frame((60, 90), 60 * 90)
    equations = fit(soft, features, lift, grid, 300, np.random.default_rng(0))
    assert np.array_equal(equations.gram, equations.gram.T)  # snapshots keep one half
    model = Model(equations.solve(1e-3), (10, 5, 80, 55), Place.of(soft > 0, grid))
    similarity = evaluate(features, lift, {1: model})[1]
    assert similarity.shape == (50, 70)
    assert ((similarity > 0) == (soft[5:55, 10:80] > 0)).mean() > 0.97


def test_a_value_does_not_depend_on_the_other_objects_nor_on_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appearance, "WORTH_SHARING", 0)
    features, lift = feature_map(lab_image(texture(70, 90)), 0.5), RandomFeatures(64, 0)
    rng = np.random.default_rng(1)
    thetas = rng.normal(0, 1, (3, lift.size)).astype(np.float32)
    boxes = [(3, 4, 40, 50), (20, 10, 90, 70), (0, 0, 90, 70)]
    places = [Place((20, 30), 10), Place((50, 40), 20), Place((0, 0), np.inf)]
    xy = Grid.for_frame((70, 90), 70 * 90).xy
    models = {i + 1: Model(*parts) for i, parts in enumerate(zip(thetas, boxes, places, strict=True))}
    together = evaluate(features, lift, models)
    with ThreadPoolExecutor(3) as workers:
        shared = evaluate(features, lift, models, workers)
    assert all(np.array_equal(shared[i], together[i]) for i in models)
    for i, (theta, (x1, y1, x2, y2), place) in models.items():
        phi = lift(features.reshape(-1, CHANNELS), place.coordinates(xy).reshape(-1, 2))
        assert np.array_equal(together[i], evaluate(features, lift, {i: models[i]})[i])
        assert np.allclose(together[i], (phi @ theta).reshape(70, 90)[y1:y2, x1:x2], atol=1e-3)


@pytest.mark.parametrize("soft_value", [0.2, 1.0])
@pytest.mark.parametrize("where", [np.s_[:, :], np.s_[3:4, 5:6]])
def test_a_fit_of_all_or_next_to_nothing_is_finite(where: tuple[slice, slice], soft_value: float) -> None:
    soft = np.zeros((20, 30), np.float32)
    soft[where] = soft_value
    features, lift = feature_map(lab_image(np.zeros((20, 30, 3), np.uint8)), 0.5), RandomFeatures(32, 0)
    theta = fit(soft, features, lift, Grid.for_frame((20, 30), 600), 100, np.random.default_rng(0)).solve(1e-3)
    assert np.isfinite(theta).all()


# linear


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 150), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_pieces_make_the_whole(n: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, weights = rng.normal(size=(n, d)).astype(np.float32), rng.random(n, dtype=np.float32)
    exact = (rows.astype(np.float64).T * weights) @ rows
    found = gram(rows, weights)
    assert np.allclose(found, exact, atol=1e-3)
    with ThreadPoolExecutor(3) as workers:
        assert np.array_equal(gram(rows, weights, workers), found)
    assert np.array_equal(found, found.T)
    system = found + np.float32(0.5) * np.eye(d, dtype=np.float32)
    assert np.allclose(system @ solve(system, rows[0]), rows[0], atol=1e-2)


# segmentation


def energy(u: np.ndarray, unary: np.ndarray, weights: np.ndarray) -> float:
    """The cost that `minimise` lowers, of a binary mask."""
    every, first, last = slice(None), slice(None, -1), slice(1, None)
    edges = [((every, first), (every, last)), ((first, every), (last, every))]
    edges += [((first, first), (last, last)), ((first, last), (last, first))]
    cost = -(unary * u).sum()
    return float(cost + sum((w[a] * np.abs(u[a] - u[b])).sum() for w, (a, b) in zip(weights, edges, strict=True)))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_segmentation_beats_every_single_flip(seed: int) -> None:
    rng = np.random.default_rng(seed)
    unary = rng.normal(0, 2, (7, 9)).astype(np.float32)
    weights = edge_weights(rng.random((7, 9, 3), dtype=np.float32), 0.8)
    mask = (minimise(unary, weights, (0, 0, 9, 7), 400) > 0.5).astype(float)
    best = energy(mask, unary, weights)
    for cell in np.ndindex(mask.shape):
        flipped = mask.copy()
        flipped[cell] = 1 - flipped[cell]
        assert best <= energy(flipped, unary, weights) + 0.05


def test_without_smoothness_evidence_decides_and_nothing_leaves_the_box() -> None:
    unary = np.where(np.indices((12, 12)).sum(axis=0) % 2, 1, -1).astype(np.float32)
    u = minimise(unary, edge_weights(np.zeros((12, 12, 3), np.float32), 0), (2, 3, 9, 10), 100)
    expected = np.zeros((12, 12), np.bool_)
    expected[3:10, 2:9] = unary[3:10, 2:9] > 0
    assert np.array_equal(u > 0.5, expected)


def test_one_cell_can_be_segmented() -> None:
    weights = edge_weights(np.zeros((1, 1, 3), np.float32), 5)
    assert minimise(np.full((1, 1), 2, np.float32), weights, (0, 0, 1, 1), 200)[0, 0] > 0.5


# propagation and recovery


def test_the_prior_is_weaker_where_the_flow_is_not_trusted() -> None:
    inside = np.zeros((40, 40), np.bool_)
    inside[10:30, 10:30] = True
    trusted, doubted = (distance_prior(signed_distance(inside), 20, np.full((40, 40), c, np.float32)) for c in (1, 0.2))
    assert trusted[20, 20] == 2.5
    assert trusted[0, 0] == -3
    assert (doubted <= trusted).all()
    assert doubted[20, 20] < 0


def make_target(area: float, *, cut_off: bool) -> Target:
    soft = np.zeros((60, 80), np.float32)
    features, lift = feature_map(lab_image(texture(60, 80)), 0.5), RandomFeatures(16, 0)
    soft[:10, :10] = 1
    seen = fit(soft, features, lift, Grid.for_frame((60, 80), 4800), 50, np.random.default_rng(0))
    target = Target.begin(1, Grid.for_frame((60, 80), 25_680), soft, seen, FlowOptions())
    target.area, target.cut_off, target.hidden = area, cut_off, 3
    return target


@pytest.mark.parametrize(
    ("cut_off", "side", "alike", "rival", "kept"),
    [
        (False, 10, 0.9, False, True),
        (False, 10, 0.3, False, False),  # does not look like it
        (False, 2, 0.9, False, False),  # a crumb
        (True, 10, 0.9, False, True),
        (True, 10, 0.6, False, False),  # after a cut that is not enough
        (True, 10, 0.9, True, False),  # two of them: which is it?
        (True, 4, 0.9, False, False),  # not whole
        (True, 30, 0.9, False, False),  # too large
    ],
)
def test_what_is_believed_of_a_find(cut_off: bool, side: int, alike: float, rival: bool, kept: bool) -> None:
    mask = np.zeros((60, 80), np.bool_)
    mask[5 : 5 + side, 5 : 5 + side] = True
    similarity = np.where(mask, alike, -1).astype(np.float32)
    if rival:
        mask[45:55, 60:70] = True
        similarity[45:55, 60:70] = alike
    grid = Grid.for_frame((60, 80), 25_680)
    found = keep_believable(mask, similarity, np.zeros((60, 80), np.float32), make_target(100, cut_off=cut_off), grid)
    assert found[6, 6] == kept


def test_a_hidden_object_keeps_its_usual_area_and_its_state_says_so() -> None:
    target = make_target(100, cut_off=False)
    target.hidden = 0
    some, none = np.zeros((60, 80), np.bool_), np.zeros((60, 80), np.bool_)
    some[:3, :10] = True
    seen = [(some, State.OCCLUDED), (none, State.LOST), (none, State.LOST), (some, State.RETURNED)]
    for mask, state in seen:
        target.see(mask, target.grid, (0, 0), appearance=0.9)
        assert target.state is state
    assert 90 < target.area <= 100
    whole = none.copy()
    whole[:10, :10] = True
    target.see(whole, target.grid, (0, 0), appearance=0.9)
    assert target.state is State.TRACKED
    assert target.hidden == 0


# competition

CLAIMS = st.dictionaries(
    st.integers(1, 5),
    st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1)),
    min_size=2,
)


@settings(max_examples=60, deadline=None)
@given(CLAIMS)
def test_every_claimed_cell_goes_to_one_of_its_strongest_claimants(
    drawn: dict[int, tuple[int, int, int, int, int]],
) -> None:
    claims, full = {}, {}
    for i, (x, y, w, h, seed) in drawn.items():
        strength = np.random.default_rng(seed).integers(-2, 4, (h, w)).astype(np.float32)
        claims[i] = Claim(strength, (x, y, x + w, y + h))
        full[i] = np.zeros((12, 12), np.float32)
        full[i][y : y + h, x : x + w] = strength
    owners = np.zeros((12, 12), int)
    for i, mask in settle(dict(reversed(claims.items())), set()).items():
        x1, y1, x2, y2 = claims[i].box
        owners[y1:y2, x1:x2][mask] += i * (owners[y1:y2, x1:x2][mask] == 0) + 100 * (owners[y1:y2, x1:x2][mask] > 0)
    ids = np.array(sorted(full))
    stack = np.stack([full[i] for i in ids])
    expected = np.where(stack.max(axis=0) > 0, ids[stack.argmax(axis=0)], 0)
    assert np.array_equal(owners, expected)


def test_nested_masks_do_not_compete() -> None:
    jacket, tie, hat = (np.zeros((20, 20), np.bool_) for _ in range(3))
    jacket[5:20, 5:15] = True
    tie[8:15, 9:11] = True
    hat[0:6, 5:15] = True  # one row, a sixth of it, is shared
    pairs = nested_pairs({3: hat, 1: jacket, 2: tie})
    assert pairs == {(1, 2): True, (1, 3): False, (2, 3): False}
    claims = {1: Claim.on(jacket, 5.0), 2: Claim.on(tie, 1.0), 3: Claim.on(hat, 9.0)}
    kept = settle(claims, {pair for pair, nested in pairs.items() if nested})
    assert kept[2].all()
    assert kept[1].sum() == jacket.sum() - 10
