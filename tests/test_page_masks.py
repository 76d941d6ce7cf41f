"""The page's masks agree with the library's: the codec with ``Rle``, the brush with numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from browser_tools import WATCH, make_run
from maskferry import Rle

pytestmark = pytest.mark.browser

SIZES = st.tuples(st.integers(1, 24), st.integers(1, 24))
MASKS = SIZES.flatmap(lambda size: arrays(np.bool_, size))
POINTS = st.tuples(st.integers(-5, 30), st.integers(-5, 30))

Call = Callable[[str, Any], Any]


@pytest.fixture(scope="module")
def call(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Call]:
    """Evaluate code with the modules `rle` and `brush` of the served page, and an argument `a`."""
    from maskferry.web import serve

    with serve(make_run(Path(tmp_path_factory.mktemp("run")), 2)) as server:
        page = browser.new_page()
        page.add_init_script(WATCH)
        page.goto(server.address)

        def evaluate(code: str, argument: Any) -> Any:
            modules = "const rle = await import('/rle.js'); const brush = await import('/brush.js');"
            return page.evaluate(f"async (a) => {{ {modules} {code} }}", argument)

        yield evaluate
        page.close()


def few(count: int) -> Any:
    return examples(max_examples=count, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few(150)
@given(mask=MASKS)
def test_codec_agrees_with_the_library(call: Call, mask: np.ndarray) -> None:
    counts = Rle.encode(mask).to_coco()["counts"]
    found = call(
        "const d = rle.decodeRle(a.counts, a.height, a.width);"
        "return [Array.from(d), rle.encodeRle(d, a.height, a.width), rle.areaOf(a.counts)]",
        {"counts": counts, "height": mask.shape[0], "width": mask.shape[1]},
    )
    assert np.array_equal(np.array(found[0], dtype=bool).reshape(mask.shape), mask)
    assert found[1:] == [counts, mask.sum()]


@few(100)
@given(mask=MASKS, data=st.data())
def test_encoding_within_a_box(call: Call, mask: np.ndarray, data: st.DataObject) -> None:
    height, width = mask.shape
    x0, y0 = data.draw(st.integers(0, width)), data.draw(st.integers(0, height))
    x1, y1 = data.draw(st.integers(x0, width)), data.draw(st.integers(y0, height))
    inside = np.zeros_like(mask)
    inside[y0:y1, x0:x1] = mask[y0:y1, x0:x1]
    found = call(
        "return rle.encodeRle(Uint8Array.from(a.mask), a.height, a.width, a.box)",
        {"mask": inside.ravel().tolist(), "height": height, "width": width, "box": [x0, y0, x1, y1]},
    )
    assert found == Rle.encode(inside).to_coco()["counts"]


def test_codec_on_large_masks(call: Call) -> None:
    mask = np.zeros((2160, 3840), dtype=bool)
    mask[100:2160, 5:3840:7] = True
    mask[:, 3000:] = True
    counts = Rle.encode(mask).to_coco()["counts"]
    code = "const d = rle.decodeRle(a, 2160, 3840); return rle.encodeRle(d, 2160, 3840)"
    assert call(code, counts) == counts


def brushed(size: tuple[int, int], a: tuple[int, int], b: tuple[int, int], radius: int) -> np.ndarray:
    """What a brush paints, pixel by pixel: discs on the way, one a pixel of the longer side."""
    mask = np.zeros(size, dtype=bool)
    ys, xs = np.mgrid[: size[0], : size[1]]
    steps = max(abs(b[0] - a[0]), abs(b[1] - a[1]))
    for i in range(steps + 1):
        share = i / steps if steps else 0
        x = a[0] + int(np.floor((b[0] - a[0]) * share + 0.5))
        y = a[1] + int(np.floor((b[1] - a[1]) * share + 0.5))
        mask |= (xs - x) ** 2 + (ys - y) ** 2 <= radius * radius + radius
    return mask


def paint(call: Call, size: tuple[int, int], what: str, argument: dict, before: np.ndarray | None = None) -> Any:
    """(the mask after a call of the brush, the box that it returned)"""
    start = np.zeros(size, dtype=bool) if before is None else before
    found = call(
        "const mask = {data: Uint8Array.from(a.start), width: a.width, height: a.height};"
        f"const box = {what}; return [Array.from(mask.data), box]",
        {"start": start.ravel().tolist(), "height": size[0], "width": size[1], **argument},
    )
    return np.array(found[0], dtype=bool).reshape(size), found[1]


def assert_inside(changed: np.ndarray, box: list | None) -> None:
    """What has changed lies in the box."""
    outside = changed.copy()
    if box:
        outside[box[1] : box[3], box[0] : box[2]] = False
    assert not outside.any()


@few(100)
@given(size=SIZES, a=POINTS, b=POINTS, radius=st.integers(0, 6))
def test_brush(call: Call, size: tuple[int, int], a: Any, b: Any, radius: int) -> None:
    argument = {"from": a, "to": b, "radius": radius}
    found, box = paint(call, size, "brush.paintLine(mask, a.from, a.to, a.radius, 1)", argument)
    wanted = brushed(size, a, b, radius)
    assert (wanted & ~found).sum() == 0
    # Rows of a slanting stroke are filled from the first disc to the last: between them nothing is left out.
    assert (found & ~brushed(size, a, b, radius + 1)).sum() == 0
    if a == b:
        assert np.array_equal(found, wanted)
    assert_inside(found, box)


@few(60)
@given(size=SIZES, corners=st.lists(POINTS, min_size=3, max_size=6))
def test_polygon(call: Call, size: tuple[int, int], corners: list) -> None:
    found, box = paint(call, size, "brush.paintPolygon(mask, a.corners, 1)", {"corners": corners})
    assert_inside(found, box)
    ys, xs = np.mgrid[: size[0], : size[1]]
    inside = np.zeros(size, dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        if ay != by:
            cut = ax + (ys - ay) * (bx - ax) / (by - ay)
            inside ^= ((ay <= ys) != (by <= ys)) & (xs >= np.ceil(cut))
    sides = np.zeros(size, dtype=bool)
    for start, stop in zip(corners, corners[1:] + corners[:1], strict=True):
        sides |= brushed(size, start, stop, 0)
    near = np.zeros(size, dtype=bool)
    for start, stop in zip(corners, corners[1:] + corners[:1], strict=True):
        near |= brushed(size, start, stop, 1)
    assert not (found & ~inside & ~near).any()
    assert not ((inside & ~near) & ~found).any()
    assert not (sides & ~found).any()


@few(60)
@given(mask=MASKS, kept=st.data())
def test_fill_and_what_is_kept(call: Call, mask: np.ndarray, kept: st.DataObject) -> None:
    from scipy import ndimage

    height, width = mask.shape
    x, y = kept.draw(st.integers(0, width - 1)), kept.draw(st.integers(0, height - 1))
    others = kept.draw(arrays(np.bool_, mask.shape))
    value = 0 if mask[y, x] else 1
    found, box = paint(
        call,
        mask.shape,
        "brush.fillFrom(mask, a.at, a.value, Uint8Array.from(a.others))",
        {"at": [x, y], "value": value, "others": others.ravel().tolist()},
        mask,
    )
    labels, _ = ndimage.label((mask == mask[y, x]) & ~others)
    part = (labels == labels[y, x]) & (labels[y, x] > 0)
    wanted = np.where(part, value == 1, mask)
    assert np.array_equal(found, wanted)
    assert_inside(found != mask, box)
