"""Arrays, lists, generators, and what `open_source` makes of everything else."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskferry.errors import InputError, SourceError
from maskferry.sources import open_source
from maskferry.sources._checks import parse_rate
from maskferry.sources._in_memory import ArraySource, StreamSource


def clip(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)


def test_array() -> None:
    frames = clip()
    before = frames.copy()
    with open_source(frames, rate=10) as source:
        assert (source.info.width, source.info.height, source.info.frame_count) == (8, 6, 5)
        assert source.info.path is None
        assert source.seekable
        got = list(source.frames(range(5)))
        assert [f.info.time for f in got] == [0, 0.1, 0.2, 0.3, 0.4]
        assert [f.info.name for f in got][:2] == ["000000", "000001"]
        for frame in got:
            assert np.array_equal(frame.image, frames[frame.index])
            with pytest.raises(ValueError, match="read-only"):
                frame.image[0, 0] = 7
        assert [f.index for f in source.frames([4, 2, 0])] == [4, 2, 0]
        for indices in ([5], [-1], [1, 1], [0, 2, 1]):
            with pytest.raises(InputError):
                source.frames(indices)
    assert np.array_equal(frames, before)
    assert frames.flags.writeable


def test_grey_becomes_rgb() -> None:
    grey = clip()[..., 0]
    with open_source(grey) as source:
        image = next(source.frames([3])).image
        assert image.shape == (6, 8, 3)
        assert all(np.array_equal(image[..., c], grey[3]) for c in range(3))


def test_one_picture() -> None:
    with open_source(clip()[0]) as source:
        assert source.info.frame_count == 1
        assert source.info.size_hw == (6, 8)
    with open_source(clip()[0, :, :, 0]) as source:
        assert source.info.frame_count == 1


def test_list_of_pictures() -> None:
    pictures = list(clip())
    with open_source([*pictures, pictures[0][:, :, 0]]) as source:
        assert isinstance(source, ArraySource)
        assert source.info.frame_count == 6
        assert next(source.frames([5])).image.shape == (6, 8, 3)


class Tensor:
    """What a tensor of another library looks like."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self._array


def test_anything_that_turns_into_an_array() -> None:
    with open_source(Tensor(clip())) as source:
        assert source.info.frame_count == 5


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        (clip() / 255.0, "multiply by 255"),
        (clip().astype(np.uint16), "common scale"),
        (clip()[..., 0] > 7, "masks are given to the tracker"),
        (np.dstack([clip()[0], clip()[0][:, :, :1]]), "drop the fourth"),
        (np.zeros((2, 6, 8, 4), np.uint8), "drop the fourth"),
        (clip().transpose(0, 3, 1, 2), "channels last"),
        (np.zeros((2, 6, 8, 2), np.uint8), "expected RGB"),
        (np.zeros((0, 6, 8, 3), np.uint8), "got none"),
        (np.zeros((1, 2, 6, 8, 3), np.uint8), "shape"),
        (np.zeros(7, np.uint8), "shape"),
        (np.zeros((2, 0, 8, 3), np.uint8), "expected RGB"),
        ([], "got none"),
        ([clip()[0], clip()[0][:, :7]], r"frames\[1\] is 7x6, but the first frame is 8x6"),
        ([clip()[0], clip()[1] / 255], r"frames\[1\]"),
        (["a.png", "b.png"], "list of paths"),
        (7, "got int"),
        (None, "got NoneType"),
        (b"clip.mp4", "got bytes"),
        ({"frames": 1}, "got dict"),
        ("", "expected a path"),
        (iter(()), "empty"),
        (iter([clip()[0] / 255]), "multiply by 255"),
    ],
)
def test_bad_input_is_refused_with_advice(frames, says: str) -> None:
    with pytest.raises(InputError, match=says):
        open_source(frames)


def test_a_source_is_returned_as_it_is() -> None:
    source = ArraySource(clip())
    assert open_source(source) is source
    with pytest.raises(InputError, match="rate"):
        open_source(source, rate=25)


def test_stream() -> None:
    frames, taken = clip(), []

    def camera():
        for i, frame in enumerate(frames):
            taken.append(i)
            yield frame

    with open_source(camera(), rate=5) as source:
        assert isinstance(source, StreamSource)
        assert taken == [0]
        assert not source.seekable
        assert source.info.frame_count is None
        assert source.info.size_hw == (6, 8)
        iterator = source.frames(range(1000))
        first = next(iterator)
        assert taken == [0]
        assert (first.index, first.info.time) == (0, 0)
        rest = list(iterator)
        assert [f.index for f in rest] == [1, 2, 3, 4]
        assert all(np.array_equal(f.image, frames[f.index]) for f in rest)
        with pytest.raises(InputError, match="read already: a stream can be read once"):
            source.frames(range(5))


def test_stream_skips_and_refuses_to_go_back() -> None:
    source = open_source(iter(clip()))
    with pytest.raises(InputError, match="forward"):
        source.frames([3, 1])
    assert [f.index for f in source.frames([1, 3, 9])] == [1, 3]


def test_stream_that_changes() -> None:
    for bad in (clip()[0][:5], clip()[0] / 255):
        source = open_source(iter([clip()[0], clip()[1], bad]))
        seen: list[int] = []
        with pytest.raises(SourceError, match=r"frames\[2\]") as caught:
            seen.extend(f.index for f in source.frames(range(9)))
        assert (seen, caught.value.frame) == ([0, 1], 2)


def test_closing_a_stream_closes_the_generator() -> None:
    closed = []

    def camera():
        try:
            while True:
                yield clip()[0]
        finally:
            closed.append(True)

    source = open_source(camera())
    source.close()
    source.close()
    assert closed == [True]
    with pytest.raises(InputError):
        source.frames([0])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (25, Fraction(25)),
        (25.0, Fraction(25)),
        (29.97, Fraction(30000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        ("2997/100", Fraction(2997, 100)),
        (Fraction(2997, 100), Fraction(2997, 100)),
        (12.5, Fraction(25, 2)),
        (1 / 3, Fraction(1, 3)),
        (0.0001, Fraction(1, 10000)),
        ("24", Fraction(24)),
    ],
)
def test_rates(given, expected: Fraction) -> None:
    assert parse_rate(given) == expected


@pytest.mark.parametrize("rate", [0, -25, "fast", float("nan"), float("inf"), True, "1/0", None, [25]])
def test_bad_rates(rate) -> None:
    with pytest.raises(InputError, match="rate"):
        parse_rate(rate)


@given(st.fractions(min_value=Fraction(1, 1000), max_value=1000, max_denominator=1001))
def test_exact_rates_stay_exact(rate: Fraction) -> None:
    assert parse_rate(rate) == rate
    assert parse_rate(str(rate)) == rate


def test_importing_the_package_imports_no_decoder() -> None:
    code = (
        "import sys, maskferry.sources; bad = {'av', 'cv2', 'PIL'} & set(sys.modules); "
        "import numpy; maskferry.sources.open_source(numpy.zeros((2, 4, 4, 3), 'uint8')); "
        "bad |= {'av', 'cv2', 'PIL'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
