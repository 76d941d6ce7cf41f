"""The memory network of the engine ``flow``: what it looks at, what objects share, what it remembers."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskferry.data import Frame, FrameInfo, FrameMasks, Image, Mask, MaskPrompt, State, VideoInfo
from maskferry.engines._flow import FlowEngine, network, recognition
from maskferry.engines._flow.grid import Grid
from maskferry.engines._flow.lens import CELL, Detail, Lens, Place, lens_for
from maskferry.engines._flow.network import Network
from maskferry.engines._flow.recognition import MOST, due
from maskferry.engines._flow.recollection import GIVEN, KEPT, Sighting
from maskferry.engines._flow.session import FlowSession
from maskferry.engines._flow.viewing import FEW, FINER, LARGEST, SEVERAL, Viewer, detail_for, regions
from maskferry.errors import EngineError, MissingExtraError

HEIGHT, WIDTH = 180, 320
COUNT = FEW + 3


def texture(seed: int, height: int, width: int, blur: float = 3) -> np.ndarray:
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), blur)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


@st.composite
def lenses(draw: st.DrawFn, frame_hw: tuple[int, int] | None = None) -> Lens:
    """Some window of some frame."""
    height, width = frame_hw or (draw(st.integers(20, 300)), draw(st.integers(20, 300)))
    pitch = draw(st.integers(5, 40))
    spans = []
    for size in (width, height):
        first = draw(st.integers(0, -(-size // pitch) - 1))
        spans.append((first, draw(st.integers(first + 1, -(-size // pitch)))))
    (x1, x2), (y1, y2) = spans
    return Lens((height, width), pitch, (x1, y1, x2, y2))


def ramp(xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Something that interpolation keeps, in pixels of the frame, whose first one has its centre at 0.5."""
    return (0.03 * xs[None, :] - 0.02 * ys[:, None] + 1).astype(np.float32)


def ramp_seen(lens: Lens, a_cell: int) -> np.ndarray:
    """The ramp at so many samples a cell."""
    x1, y1, x2, y2 = lens.box
    xs, ys = (
        lens.pitch * (first + (np.arange(a_cell * (last - first)) + 0.5) / a_cell)
        for first, last in ((x1, x2), (y1, y2))
    )
    return ramp(xs, ys)


PLACES = st.builds(Place, st.tuples(st.floats(-50, 900), st.floats(-50, 600)), st.floats(1, 900, allow_subnormal=False))


@settings(deadline=None)
@given(st.integers(16, 700), st.integers(16, 900), PLACES, st.floats(64**2, 400**2), st.sampled_from([1, FEW + 1, 50]))
def test_a_lens_shows_the_object_with_room_around_it(
    height: int, width: int, place: Place, pixels: float, count: int
) -> None:
    detail = detail_for(count, pixels)
    lens = lens_for((height, width), place, detail)
    x1, y1, x2, y2 = lens.pixels
    (h, w), (x, y) = lens.size_hw, place.centre_xy
    assert 0 <= x1 < x2 < width + lens.pitch
    assert 0 <= y1 < y2 < height + lens.pitch
    assert lens.pitch >= detail.finest
    side = max(detail.smallest, detail.room * place.side)
    if lens.pitch > detail.finest:
        assert min(side, width) * min(side, height) * (CELL / lens.pitch) ** 2 <= 1.1 * detail.pixels
    for low, high, at, size in ((x1, x2, x, width), (y1, y2, y, height)):
        assert low <= max(0, at - side / 2 + lens.pitch)
        assert high >= min(size, at + side / 2 - lens.pitch)
    image = texture(0, 60, 60)
    picture = lens.picture(cv2.resize(image, (width, height)))
    assert picture.shape == (CELL * h, CELL * w, 3)
    assert picture.dtype == np.uint8
    assert lens.places().shape == (2, h * w)
    assert lens_for((height, width), place, detail, lens) == lens


def test_a_lens_stays_while_the_object_moves_little_and_keeps_its_pitch_longer() -> None:
    frame_hw, detail = (480, 854), Detail(160_000, finest=14)
    lens = lens_for(frame_hw, Place((400, 240), 100), detail)
    assert lens_for(frame_hw, Place((410, 236), 105), detail, lens) == lens
    moved = lens_for(frame_hw, Place((480, 240), 105), detail, lens)
    assert moved != lens
    assert moved.pitch == lens.pitch
    assert lens_for(frame_hw, Place((400, 240), 250), detail, lens).pitch > lens.pitch


@settings(deadline=None)
@given(lenses(), st.integers(0, 99))
def test_masks_come_as_shares_and_a_crop_of_one_says_the_same(lens: Lens, seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = lens.frame_hw
    mask = rng.random(lens.frame_hw) < 0.5
    x1, x2 = np.sort(rng.integers(0, width + 1, 2))
    y1, y2 = np.sort(rng.integers(0, height + 1, 2))
    inside = np.zeros_like(mask)
    inside[y1:y2, x1:x2] = mask[y1:y2, x1:x2]
    shares = lens.mask(inside)
    assert shares.shape == tuple(4 * n for n in lens.size_hw)
    assert np.array_equal(lens.mask(mask[y1:y2, x1:x2], (int(x1), int(y1))), shares)
    left, top, right, bottom = lens.pixels
    if lens.pitch > 4:  # scaled by area: nothing is lost
        area = np.count_nonzero(inside[top:bottom, left:right])
        assert shares.sum() * (lens.pitch / 4) ** 2 == pytest.approx(area, rel=0.02, abs=1)


@settings(deadline=None)
@given(st.data())
def test_what_one_lens_shows_moves_onto_another_where_both_look(data: st.DataObject) -> None:
    lens = data.draw(lenses())
    onto = data.draw(lenses(lens.frame_hw))
    values = ramp_seen(lens, 4)
    assert lens.move(values, lens) is values
    moved = lens.move(values, onto)
    assert moved.shape == tuple(4 * n for n in onto.size_hw)
    xs, ys = (
        (np.arange(4 * n) + 0.5) / 4 * onto.pitch + first
        for n, first in zip(reversed(onto.size_hw), onto.pixels[:2], strict=True)
    )
    compare(lens, lens.pitch / 4, moved, ramp_seen(onto, 4), xs, ys, outside=0)


def compare(
    lens: Lens, step: float, found: np.ndarray, wanted: np.ndarray, xs: np.ndarray, ys: np.ndarray, outside: float
) -> None:
    """Equal well inside of the lens, and constant well outside of it."""
    x1, y1, x2, y2 = lens.pixels
    inside = np.ix_((ys > y1 + step) & (ys < y2 - step), (xs > x1 + step) & (xs < x2 - step))
    assert np.allclose(found[inside], wanted[inside], atol=0.06 * step)
    assert np.allclose(found[:, (xs < x1 - step) | (xs > x2 + step)], outside)
    assert np.allclose(found[(ys < y1 - step) | (ys > y2 + step)], outside)


@settings(deadline=None)
@given(lenses(), st.data())
def test_logits_lie_on_pixels_and_on_cells_where_the_lens_shows_them(lens: Lens, data: st.DataObject) -> None:
    height, width = lens.frame_hw
    logits = ramp_seen(lens, 8)
    x1, x2 = sorted(data.draw(st.lists(st.integers(0, width), min_size=2, max_size=2, unique=True)))
    y1, y2 = sorted(data.draw(st.lists(st.integers(0, height), min_size=2, max_size=2, unique=True)))
    xs, ys = np.arange(x1, x2) + 0.5, np.arange(y1, y2) + 0.5
    compare(lens, lens.pitch / 8, lens.on_pixels(logits, (x1, y1, x2, y2), -8), ramp(xs, ys), xs, ys, outside=-8)
    grid = Grid.for_frame(lens.frame_hw, data.draw(st.integers(100, 5000)))
    h, w = grid.size_hw
    left, right = sorted(data.draw(st.lists(st.integers(0, w), min_size=2, max_size=2, unique=True)))
    part = grid.part((left, 0, right, h))
    xs, ys = (np.arange(left, right) + 0.5) * grid.pitch_xy[0], (np.arange(h) + 0.5) * grid.pitch_xy[1]
    compare(lens, lens.pitch / 8, lens.on_grid(logits, part, -8), ramp(xs, ys), xs, ys, outside=-8)


def test_beyond_the_frame_a_picture_goes_on_and_a_mask_ends() -> None:
    lens = Lens((50, 70), 16, (2, 1, 5, 4))  # 80 x 64 pixels are 5 x 4 cells
    image = texture(1, 50, 70)
    picture, shares = lens.picture(image), lens.mask(np.ones((50, 70), np.bool_))
    assert np.array_equal(picture[:34, :38], image[16:, 32:])
    assert (picture[:, 38:] == picture[:, 37:38]).all()
    assert (picture[34:] == picture[33:34]).all()
    assert (shares[:8, :9] == 1).all()
    assert not shares[9:].any()
    assert not shares[:, 10:].any()


@given(st.lists(lenses((300, 400)), min_size=1, max_size=12), st.randoms())
def test_regions_cover_their_lenses_with_no_more_cells_whatever_the_order(views: list[Lens], random) -> None:
    around = regions(views)
    shuffled = views[:]
    random.shuffle(shuffled)
    assert regions(shuffled) == around
    for lens in views:
        region = around[lens]
        assert region.pitch == lens.pitch
        x1, y1, x2, y2 = region.inside(lens)
        assert 0 <= x1 < x2 <= region.size_hw[1]
        assert 0 <= y1 < y2 <= region.size_hw[0]

    def cells(some) -> int:
        return sum(lens.size_hw[0] * lens.size_hw[1] for lens in some)

    assert cells(set(around.values())) <= cells(set(views))


def test_shared_pictures_are_bounded() -> None:
    views = [Lens((2160, 3840), 11, (x, y, x + 8, y + 8)) for x in range(0, 340, 4) for y in range(0, 190, 6)]
    shared = set(regions(views).values())
    assert len(shared) < len(views) / 20
    assert all(lens.size_hw[0] * lens.size_hw[1] <= LARGEST for lens in shared)
    whole = Lens((2160, 3840), 11, (0, 0, 349, 196))
    assert set(regions([*views, whole]).values()) == {whole}


def test_many_objects_have_fewer_pixels_each() -> None:
    assert detail_for(FEW, 160_000) == Detail(160_000)
    assert detail_for(1, 160_000) == detail_for(SEVERAL, 160_000) == Detail(160_000, finest=FINER)
    pixels = [detail_for(count, 160_000).pixels for count in range(1, 200)]
    assert pixels == sorted(pixels, reverse=True)
    assert pixels[-1] > 64**2
    assert detail_for(100, 5000).pixels == 5000


@pytest.mark.parametrize("count", [0, 1, MOST, MOST + 1, 5 * MOST - 3])
def test_of_very_many_objects_each_has_its_turn(count: int) -> None:
    looked = dict.fromkeys((3 * i + 1 for i in reversed(range(count))), -1)
    for frame in range(-(-count // MOST)):
        some = due(looked)
        assert len(some) == min(count, MOST)
        looked |= dict.fromkeys(some, frame)
    assert -1 not in looked.values()


@pytest.fixture(scope="module")
def viewer():
    with ThreadPoolExecutor(2) as workers:
        yield Viewer(workers)


def seen(viewer: Viewer, image: Image, lenses: dict[int, Lens], *, sharing: bool) -> dict[int, network.Features]:
    return {i: features() for i, features in viewer.see(image, lenses, sharing=sharing).items()}


def test_features_of_a_shared_picture_are_those_of_an_own_one_away_from_borders(viewer: Viewer) -> None:
    image = texture(2, 640, 640, 1)
    views = {
        1: Lens((640, 640), 16, (2, 2, 30, 36)),
        2: Lens((640, 640), 16, (5, 3, 38, 38)),
        3: Lens((640, 640), 20, (0, 0, 5, 5)),
    }
    assert len(set(regions(views.values()).values())) == 2
    own, shared = (seen(viewer, image, views, sharing=sharing) for sharing in (False, True))
    for i, lens in views.items():
        h, w = lens.size_hw
        for name, a_cell, away in (
            ("stride2", 8, 1),
            ("stride4", 4, 2),
            ("stride8", 2, 5),
            ("stride16", 1, 13),
            ("key", 1, 13),
        ):
            a, b = (getattr(features[i], name) for features in (own, shared))
            assert a.shape == b.shape
            assert a.shape[2:] == (a_cell * h, a_cell * w)
            inner = (
                slice(None),
                slice(None),
                slice(away * a_cell, (h - away) * a_cell),
                slice(away * a_cell, (w - away) * a_cell),
            )
            assert np.allclose(a[inner], b[inner], rtol=1e-3, atol=1e-3 * float(np.abs(a).max()))
    assert np.array_equal(own[3].key, shared[3].key)


def test_lenses_that_are_the_same_share_a_picture_in_any_case(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = []
    encode = Network.encode

    def count(self: Network, picture: np.ndarray) -> network.Features:
        pictures.append(picture)
        return encode(self, picture)

    monkeypatch.setattr(Network, "encode", count)
    lens = Lens((64, 64), 16, (0, 0, 4, 4))
    views = {1: lens, 2: lens, 3: Lens((64, 64), 16, (1, 0, 4, 4))}
    features = seen(viewer, texture(3, 64, 64), views, sharing=False)
    assert len(pictures) == 2
    assert np.array_equal(features[1].key, features[2].key)


@pytest.mark.parametrize("threads", [1, 3])
def test_neither_company_nor_the_number_of_workers_counts(viewer: Viewer, threads: int) -> None:
    image = texture(4, 480, 640, 1)
    sizes = {i: (8 + i, 13) for i in range(4)} | {4: (20, 25)}
    views = {i: Lens((480, 640), 16, (i, 0, i + w, h)) for i, (h, w) in sizes.items()}
    masks = {i: np.random.default_rng(i).random((4 * h, 4 * w)).astype(np.float32) for i, (h, w) in sizes.items()}

    def ask(some_viewer: Viewer, some: dict[int, Lens]) -> dict[int, list[bytes]]:
        features = seen(some_viewer, image, some, sharing=False)

        def answer(of: Network, i: int) -> list[bytes]:
            memory = of.remember(features[i], masks[i])
            places = views[i].places() / np.float32(16)
            found = of.answer(features[i], memory, network.join([memory] * 2), memory, (places, places), masks[i])
            return [array.tobytes() for array in (*features[i], *memory, found.logits)]

        return {i: answers.result() for i, answers in some_viewer.start(answer, some).items()}

    wanted = ask(viewer, views)
    with ThreadPoolExecutor(threads) as workers:
        other = Viewer(workers)
        assert ask(other, views) == wanted
        for i, lens in views.items():
            assert ask(other, {i: lens})[i] == wanted[i]


def frame_with(index: int, count: int) -> tuple[Frame, dict[int, Mask]]:
    """Squares of several colours that drift."""
    image, masks = texture(5, HEIGHT, WIDTH), {}
    for k in range(count):
        x, y = 12 + 76 * (k % 4) + index, 20 + 80 * (k // 4) + (index if k % 2 else 0)
        mask = np.zeros((HEIGHT, WIDTH), np.bool_)
        mask[y : y + 36, x : x + 36] = True
        color = cv2.cvtColor(np.array([[[k * 40 % 180, 230, 220]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
        image[mask] = image[mask] // 3 + color // 3 * 2
        masks[k + 1] = mask
    return Frame(FrameInfo(index, None, str(index)), image), masks


def opened(data: bytes | None = None, **options: float) -> FlowSession:
    small = {"grid_cells": 4000, "random_features": 48, "samples": 200, "iterations": 15, "network_pixels": 16_384}
    return FlowEngine(**small | options).open(VideoInfo(WIDTH, HEIGHT), data)


def step(session: FlowSession, index: int, given: list[int] | None = None) -> FrameMasks:
    frame, masks = frame_with(index, COUNT)
    return session.step(frame, [MaskPrompt(index, i, masks[i]) for i in given or []])


def test_many_objects_go_on_from_any_snapshot_whatever_their_order() -> None:
    everyone = list(range(1, COUNT + 1))
    whole, reverse = opened(), opened()
    snapshots, results = [], []
    prompts = {0: everyone[:FEW], 2: everyone[FEW:], 4: [1]}
    for i in range(7):
        snapshots.append(whole.snapshot())
        assert reverse.snapshot() == snapshots[-1]
        results.append(step(whole, i, prompts.get(i)))
        assert step(reverse, i, prompts.get(i, [])[::-1]) == results[-1]
    for start in (1, 3, 5):
        session = opened(snapshots[start])
        for i in range(start, 7):
            assert session.snapshot() == snapshots[i]
            assert step(session, i, prompts.get(i)) == results[i]
        session.close()
    for session in (whole, reverse):
        session.close()


def test_a_few_objects_are_found_as_if_each_were_alone() -> None:
    alone, together = (opened(grid_cells=HEIGHT * WIDTH) for _ in range(2))  # so fine that none needs a window
    for i in range(4):
        a, b = step(alone, i, [1] if i == 0 else None), step(together, i, list(range(1, FEW + 1)) if i == 0 else None)
        assert a[1] == b[1]
    for session in (alone, together):
        session.close()


def test_after_a_cut_the_whole_frame_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    session = opened()
    for i in range(2):
        step(session, i, [1] if i == 0 else None)
    looked_at = []
    finish = session._recognition.finish

    def note() -> dict[int, Sighting]:
        sightings = finish()
        looked_at.append(sightings[1].lens)
        return sightings

    monkeypatch.setattr(session._recognition, "finish", note)
    step(session, 2)
    session.step(Frame(FrameInfo(3, None, "3"), 255 - texture(6, HEIGHT, WIDTH)))
    assert session._targets[1].cut_off
    before, after = looked_at
    assert before.size_hw != after.size_hw
    assert after.pixels[2] >= WIDTH
    assert after.pixels[3] >= HEIGHT
    session.close()


def test_memory_is_bounded() -> None:
    session = opened()
    again = 3 + 5 * KEPT
    for i in range(again + 6 * KEPT):
        step(session, i, [1] if i < 3 + GIVEN or i == again else None)
        memory = session._targets[1].recollection
        assert memory is not None
        assert 1 <= len(memory.given) <= GIVEN
        assert len(memory.kept) <= KEPT
        assert all(0 < age <= memory.age for age in memory.kept)
        sizes = [part.keys.shape[1] for part in (*memory.given, *memory.kept.values(), memory.last)]
        assert max(sizes) <= 2 * 16_384 / 16**2
    session.close()


def test_of_very_many_objects_new_ones_go_without_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "REMEMBERED", 2)
    session = opened()
    frame, masks = frame_with(0, 3)
    session.step(frame, [MaskPrompt(0, i, mask) for i, mask in masks.items()])
    assert [session._targets[i].recollection is not None for i in (1, 2, 3)] == [False] * 3
    frame, masks = frame_with(1, 3)
    assert [row.state for row in session.step(frame)] == [State.TRACKED] * 3
    session.drop(2)
    session.reprompt(frame, [MaskPrompt(1, 3, masks[3])])
    assert session._targets[3].recollection is not None
    session.close()


def test_without_onnxruntime_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    network._load.cache_clear()
    with pytest.raises(MissingExtraError, match="pip install onnxruntime"):
        opened()
    opened(network_weight=0).close()


def test_a_failing_network_is_an_engine_error() -> None:
    session = opened()
    step(session, 0, [1])
    target = session._targets[1]
    target.recollection.last = network.join([])
    target.recollection.given = []
    with pytest.raises(EngineError, match="memory network"):
        step(session, 1)
    session.close()


def test_what_is_far_away_is_not_slow() -> None:
    """Of places far apart hardly anything is left; numbers that small must not become denormal, which is slow."""
    seeing = Network()
    features = seeing.encode(texture(3, 24 * CELL, 24 * CELL))
    memory = seeing.remember(features, np.ones((24 * 4, 24 * 4), np.float32))
    carried = np.ones((24 * 4, 24 * 4), np.float32)
    ys, xs = np.indices((24, 24), dtype=np.float32)
    together, apart = (np.stack([xs.ravel(), ys.ravel()]) * np.float32(spread) for spread in (0, 1))

    def seconds(places: np.ndarray) -> float:
        started = time.perf_counter()
        seeing.answer(features, memory, memory, memory, (places, places), carried)
        return time.perf_counter() - started

    times = [(seconds(together), seconds(apart)) for _ in range(7)]
    near, far = np.min(times, axis=0)
    assert far < 2 * near
