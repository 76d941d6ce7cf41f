"""``Rle``: one binary mask, run-length encoded as COCO does.

The format is that of pycocotools (``common/maskApi.c``): pixels in column-major order, runs alternate between
background and object and start with background; ``counts`` is the compressed string, in which a run is written as
its difference to the run two before it, five bits a character. Only the columns that an object touches are read
and written, which is several times faster on the small objects of large frames.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry._arguments import foreign, show
from maskferry.errors import InputError
from maskferry.limits import size_problem

__all__ = ["Rle"]

Runs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rle:
    """One mask of a fixed size.

    Attributes:
        size_hw: (height, width) in pixels.
        counts: COCO's compressed run lengths.
    """

    size_hw: tuple[int, int]
    counts: bytes

    @classmethod
    def encode(cls, mask: NDArray[np.bool_]) -> Rle:
        """Encode a bool mask (H, W).

        >>> import numpy as np
        >>> rle = Rle.encode(np.eye(3, dtype=bool))
        >>> rle.area, rle.decode().tolist()[1]
        (3, [False, True, False])
        """
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 2:
            raise InputError(f"mask: expected bool (H, W), got {show(mask)}")
        height, width = mask.shape
        return cls.encode_crop(mask, (0, 0), (height, width))

    @classmethod
    @foreign("Rle.encode_crop")
    def encode_crop(cls, crop: NDArray[np.bool_], corner_xy: tuple[int, int], size_hw: tuple[int, int]) -> Rle:
        """Encode a bool crop (h, w) whose upper left pixel lies at ``corner_xy`` in a mask of ``size_hw``.

        The crop must lie inside the mask; everything outside of it is background.
        """
        _check_size(size_hw)
        height, width = size_hw
        x, y = corner_xy
        columns = np.flatnonzero(crop.any(axis=0))
        if not columns.size:
            return cls.empty(size_hw)
        first, last = int(columns[0]), int(columns[-1]) + 1
        tall = np.zeros((last - first, height), dtype=np.bool_)
        tall[:, y : y + crop.shape[0]] = crop[:, first:last].T
        flat = tall.ravel()
        edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        if flat[0]:
            edges = np.insert(edges, 0, 0)
        if flat[-1]:
            edges = np.append(edges, flat.size)
        edges += (x + first) * height
        runs = np.diff(edges, prepend=0, append=height * width)
        return cls.from_runs(runs if runs[-1] else runs[:-1], size_hw)

    @classmethod
    @foreign("Rle.from_runs")
    def from_runs(cls, runs: Runs, size_hw: tuple[int, int]) -> Rle:
        """Make from run lengths (R,), background first, that add up to H * W."""
        return cls(size_hw, _compress(runs))

    @classmethod
    @foreign("Rle.empty")
    def empty(cls, size_hw: tuple[int, int]) -> Rle:
        """The mask of ``size_hw`` without a pixel."""
        return cls.from_runs(np.array([size_hw[0] * size_hw[1]]), size_hw)

    @classmethod
    def from_coco(cls, value: dict[str, Any]) -> Rle:
        """Take COCO's ``{"size": [h, w], "counts": list | str | bytes}``, compressed or not.

        Raises:
            InputError: the value is no RLE, or its runs do not add up to H * W.
        """
        try:
            height, width = (_whole(v) for v in value["size"])
            runs = _read_counts(value["counts"])
        except InputError:
            raise
        except Exception as err:  # of foreign objects, whatever they do
            raise InputError(f'expected an RLE {{"size": [h, w], "counts": ...}}, got {show(value)}') from err
        if height < 1 or width < 1:
            raise InputError(f"expected an RLE of positive size, got height {height}, width {width}")
        _check_runs(runs, (height, width))
        return cls.from_runs(runs, (height, width))

    def to_coco(self) -> dict[str, Any]:
        """COCO's form, ready for JSON: ``{"size": [h, w], "counts": str}``."""
        return {"size": list(self.size_hw), "counts": self.counts.decode()}

    def check(self) -> Rle:
        """Make sure that the counts are those of a mask of this size, without decoding it; gives itself back.

        What it takes grows with the counts, not with the mask.

        Raises:
            InputError: no size of a picture, or counts that are damaged or do not add up to it.
        """
        _check_size(self.size_hw)
        _check_runs(_expand(self.counts), self.size_hw)
        return self

    @property
    def runs(self) -> Runs:
        """Run lengths (R,), background first; they add up to H * W.

        Raises:
            InputError: the counts are damaged. So with all that decodes or measures the mask.
        """
        runs = _expand(self.counts)
        _check_runs(runs, self.size_hw)
        return runs

    def decode(self) -> NDArray[np.bool_]:
        """The mask, bool (H, W), a fresh array.

        Raises:
            InputError: the counts are damaged, or the mask is larger than `limits` allow; nothing is allocated then.
        """
        first, columns = self._columns()
        mask = np.zeros(self.size_hw, dtype=np.bool_)
        mask[:, first : first + len(columns)] = columns.T
        return mask

    def decode_crop(self) -> tuple[tuple[int, int, int, int], NDArray[np.bool_]] | None:
        """The bounding box, as `box_xyxy`, and the mask inside of it, bool (h, w); None where the mask is empty.

        It touches what is in the box alone, so that on a large frame small objects cost little.
        """
        first, columns = self._columns()
        x, y = np.flatnonzero(columns.any(axis=1)), np.flatnonzero(columns.any(axis=0))
        if not x.size:
            return None
        x1, y1, x2, y2 = int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1
        return (first + x1, y1, first + x2, y2), columns[x1:x2, y1:y2].T.astype(np.bool_, order="C")

    def _columns(self) -> tuple[int, NDArray[np.int8]]:
        """The first column that the object touches, and all from there to the last one: 0 and 1, (columns, H)."""
        _check_size(self.size_hw)
        height = self.size_hw[0]
        edges = np.cumsum(self.runs)
        starts, stops = edges[:-1:2], edges[1::2]
        if not starts.size:
            return 0, np.zeros((0, height), dtype=np.int8)
        first, last = int(starts[0]) // height, -(-int(stops[-1]) // height)
        flat = np.zeros((last - first) * height + 1, dtype=np.int8)
        # The first and last runs may be empty in foreign files: add up, so that a start and a stop on one pixel cancel.
        np.add.at(flat, starts - first * height, 1)
        np.add.at(flat, stops - first * height, -1)
        np.cumsum(flat, out=flat)
        return first, flat[:-1].reshape(last - first, height)

    @property
    def area(self) -> int:
        """Number of pixels of the object."""
        return int(self.runs[1::2].sum())

    @property
    def box_xyxy(self) -> tuple[int, int, int, int] | None:
        """Bounding box in pixels, x2 and y2 exclusive; None where the mask is empty."""
        height = self.size_hw[0]
        runs = self.runs
        edges = np.cumsum(runs)
        full = runs[1::2] > 0
        starts, ends = edges[:-1:2][full], edges[1::2][full] - 1
        if not starts.size:
            return None
        x1, x2 = int(starts[0]) // height, int(ends[-1]) // height + 1
        if (starts // height != ends // height).any():  # a run that goes on in the next column touches both borders
            return x1, 0, x2, height
        return x1, int((starts % height).min()), x2, int((ends % height).max()) + 1


_LONGEST_CODE = 7
"""Characters of one run: 35 bits with their sign, more than any mask has pixels."""


def _check_size(size_hw: tuple[int, int]) -> None:
    try:
        height, width = size_hw
        problem = size_problem(width, height)
    except InputError:
        raise
    except Exception as err:  # of foreign objects, whatever they do
        raise InputError(f"size_hw of an RLE: expected (height, width), got {show(size_hw)}") from err
    if problem is not None:
        raise InputError(f"an RLE: {problem}")


def _check_runs(runs: Runs, size_hw: tuple[int, int]) -> None:
    """Refuse runs that are negative or do not add up to the mask."""
    total = sum(runs.tolist())  # in whole numbers: those of a damaged file may not fit into 64 bits
    if total != size_hw[0] * size_hw[1] or runs.min() < 0:
        height, width = size_hw
        raise InputError(
            f"RLE counts must be runs >= 0 that add up to {height} * {width} = {height * width}, "
            f"got {runs.size} of them that add up to {total}"
        )


def _read_counts(counts: Any) -> Runs:  # noqa: ANN401
    """Run lengths of COCO's string, or of a list of them."""
    if isinstance(counts, str | bytes):
        return _expand(counts.encode() if isinstance(counts, str) else counts)
    if not isinstance(counts, list | tuple | np.ndarray):
        raise InputError(f"RLE counts: expected an RLE's string or a list of run lengths, got {show(counts)}")
    return np.array([_whole(n) for n in counts], dtype=np.int64)


def _whole(value: Any) -> int:  # noqa: ANN401
    """A whole number; some tools write floats for it."""
    return int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)


def _compress(runs: Runs) -> bytes:
    """COCO's string of run lengths (``rleToString``)."""
    values = np.asarray(runs, dtype=np.int64).copy()
    values[3:] -= runs[1:-2]
    size = np.ones(values.size, dtype=np.int64)  # characters that each value takes
    widest = int(np.abs(values).max(initial=0))
    limit, longest = 16, 1
    while widest >= limit:
        size += (values >= limit) | (values < -limit)
        limit <<= 5
        longest += 1
    digit = np.arange(longest)
    code = (values[:, None] >> (5 * digit)) & 31
    code |= (digit < size[:, None] - 1) * 32
    return (code[digit < size[:, None]] + 48).astype(np.uint8).tobytes()


def _expand(counts: bytes) -> Runs:
    """Run lengths of COCO's string (``rleFrString``).

    Raises:
        InputError: no bytes, a character outside of the code, a string cut short, or a run longer than any mask.
    """
    if not isinstance(counts, bytes):
        raise InputError(f"RLE counts: expected bytes, got {show(counts)}")
    code = np.frombuffer(counts, dtype=np.uint8).astype(np.int64) - 48
    if not code.size:
        return code
    if code.min() < 0 or code.max() > 63:
        raise InputError("RLE counts hold a character that is not part of COCO's code")
    last = (code & 32) == 0
    if not last[-1]:
        raise InputError("RLE counts end in the middle of a run")
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    length = ends - starts + 1
    if length.max() > _LONGEST_CODE:
        raise InputError("RLE counts hold a run longer than any mask")
    digit = np.arange(code.size) - np.repeat(starts, length)
    values = np.add.reduceat((code & 31) << (5 * digit), starts)
    values -= np.where(code[ends] & 16, np.int64(1) << (5 * length), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
