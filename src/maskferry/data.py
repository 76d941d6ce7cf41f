"""The values that cross module boundaries, and the conventions that all of them follow.

Written here once:

    images      RGB, uint8, shape (H, W, 3)
    masks       bool, shape (H, W), at the size of the video; a stack is (N, H, W)
    sizes       ``size_hw`` is (height, width) in pixels; single lengths are named width and height
    boxes       float xyxy in pixels, x2 and y2 exclusive
    points      float (x, y) in pixels
    frames      0-based indices, in presentation order
    times       seconds from the start of the video, float
    dates       ``datetime`` in UTC, of series of dated pictures
    maps        CRS as WKT2; (a, b, c, d, e, f) with x = a col + b row + c, y = d col + e row + f, from pixel corners
    rates       frames per second, an exact ``Fraction``
    object ids  whole numbers from 1, stable, never reused
    scores      float in [0, 1]
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from datetime import date as day
from enum import StrEnum
from fractions import Fraction
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from maskferry._arguments import whole
from maskferry.errors import InputError
from maskferry.limits import MOST_FRAMES, check_stretch, check_video
from maskferry.rle import Rle

__all__ = [
    "BoxPrompt",
    "Frame",
    "FrameInfo",
    "FrameLike",
    "FrameMasks",
    "FrameTracks",
    "Image",
    "MapGrid",
    "Mask",
    "MaskPrompt",
    "ObjectMask",
    "PointPrompt",
    "Prompt",
    "SeriesFile",
    "SeriesRecipe",
    "Source",
    "State",
    "Stretch",
    "StretchOption",
    "TextPrompt",
    "VideoInfo",
    "VideoLike",
]

Image = NDArray[np.uint8]
"""RGB, (H, W, 3)."""

Mask = NDArray[np.bool_]
"""One object, (H, W)."""

Stretch = tuple[float, float]
"""Which samples of more than 8 bits are shown as black and as white; what lies between is linear."""

FrameLike = int | str | day
"""A frame: its index; in series of dated pictures also its date, such as "2020-01-21", see `VideoInfo.check_frame`."""

StretchOption = Literal["auto", "none"] | Stretch
"""What is wanted of a source of such samples, see `sources.open_source`."""


@dataclass(frozen=True, slots=True)
class MapGrid:
    """Where the pixels of all frames lie on a map.

    Attributes:
        crs_wkt: the coordinate reference system, as WKT2.
        transform: (a, b, c, d, e, f): the corner of a pixel is at x = a col + b row + c, y = d col + e row + f.
        width: pixels.
        height: pixels.
    """

    crs_wkt: str
    transform: tuple[float, float, float, float, float, float]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SeriesFile:
    """One frame of a series: a file, or a band of one.

    Attributes:
        path: absolute.
        size: bytes.
        mtime_ns: when it was changed last, in nanoseconds.
        date: UTC; None where it is not known.
        band: from 1; None where the series' bands are taken.
    """

    path: str
    size: int
    mtime_ns: int
    date: datetime | None = None
    band: int | None = None


@dataclass(frozen=True, slots=True)
class SeriesRecipe:
    """How a series was opened: with the map grid, all that it takes to open it again to the bit.

    Attributes:
        files: one for each frame, in order.
        bands: three band numbers from 1, for red, green and blue.
        stretch: for each of them, which samples are shown as black and as white; None where samples are taken as
            they are (8 bits).
        nodata: the value that the caller says to be no data; None for what the files say.
        resampling: how files on other grids are warped.
    """

    files: tuple[SeriesFile, ...]
    bands: tuple[int, int, int]
    stretch: tuple[Stretch, Stretch, Stretch] | None = None
    nodata: float | None = None
    resampling: str = "bilinear"

    @property
    def dates(self) -> tuple[datetime, ...] | None:
        """UTC, of each frame; None where they are not known."""
        found = tuple(file.date for file in self.files if file.date is not None)
        return found if len(found) == len(self.files) else None


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a video before a frame of it is decoded.

    Attributes:
        width: pixels, after rotation has been applied.
        height: pixels, after rotation has been applied.
        rate: frames per second; None where the source has none (a folder of pictures).
        frame_count: None where only the end will tell (a stream).
        name: for people: the file's or folder's name.
        path: where the video can be opened again; None for arrays and streams.
        stretch: of samples of more than 8 bits, which of them are shown as black and as white, on all frames alike;
            None where nothing is stretched, as in all videos of 8 bits.
        grid: where the frames lie on a map; None where they do not.
        recipe: of a series of georeferenced pictures, how it was opened.
    """

    width: int
    height: int
    rate: Fraction | None = None
    frame_count: int | None = None
    name: str = "video"
    path: str | None = None
    stretch: Stretch | None = None
    grid: MapGrid | None = None
    recipe: SeriesRecipe | None = None

    def __post_init__(self) -> None:
        """Refuse what no video is, see `limits.check_video`."""
        plain = check_video(self.width, self.height, self.rate, self.frame_count, self.name)
        for name, value in zip(("width", "height", "frame_count"), plain, strict=True):
            object.__setattr__(self, name, value)
        if self.stretch is not None:
            object.__setattr__(self, "stretch", check_stretch(self.stretch, "stretch"))

    @property
    def size_hw(self) -> tuple[int, int]:
        """(height, width), as in an array's shape."""
        return self.height, self.width

    @property
    def dates(self) -> tuple[datetime, ...] | None:
        """UTC, of each frame; None where the frames have no dates."""
        return None if self.recipe is None else self.recipe.dates

    def check_frame(self, frame_idx: FrameLike) -> int:
        """A frame index, as int; or that of the frame of a date, such as "2020-01-21", where frames have dates.

        Raises:
            InputError: no whole number, outside the video, or not the date of exactly one frame.
        """
        if isinstance(frame_idx, str | day):
            return self._frame_of_date(frame_idx)
        index, count = whole(frame_idx, "frame_idx"), self.frame_count
        if not 0 <= index < (MOST_FRAMES if count is None else count):
            last = " or more" if count is None else f" to {count - 1}"
            raise InputError(f"frame_idx: expected 0{last} in {self.name}, got {index}")
        return index

    def _frame_of_date(self, date: str | day) -> int:
        text = date.strip() if isinstance(date, str) else date.isoformat()
        if self.dates is None:
            raise InputError(f"frame_idx: the frames of {self.name} have no dates, got {text!r:.60}: give a number")
        try:
            wanted = datetime.fromisoformat(text)
        except ValueError as err:
            raise InputError(f"frame_idx: expected a number or a date such as 2020-01-21, got {text!r:.60}") from err
        is_day = len(text) <= 10
        wanted = wanted.replace(tzinfo=UTC) if wanted.tzinfo is None else wanted.astimezone(UTC)
        found = [i for i, d in enumerate(self.dates) if (d.date() == wanted.date() if is_day else d == wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            times = ", ".join(self.dates[i].isoformat() for i in found[:5])
            raise InputError(f"frame_idx: {self.name} has {len(found)} frames of {text} ({times}): give the time too")
        near = min(self.dates, key=lambda d: abs(d - wanted))
        raise InputError(f"frame_idx: {self.name} has no frame of {text}; the nearest date is {near.isoformat()}")


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """A row of the frame table.

    Attributes:
        index: 0-based.
        time: presentation time in seconds from the start; None where the source has no clock.
        name: the source's own name of the frame (a file's name); for a video file the index, six digits.
        date: when the picture was taken, UTC; None where that is not known.
    """

    index: int
    time: float | None
    name: str
    date: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded frame.

    Attributes:
        info: its row of the frame table.
        image: RGB, uint8 (H, W, 3). Who keeps it copies it.
        valid: bool (H, W), which pixels show anything (no cloud mask, no edge of a scene); None where all do.
    """

    info: FrameInfo
    image: Image
    valid: Mask | None = None

    @property
    def index(self) -> int:
        """0-based."""
        return self.info.index


class Source(Protocol):
    """Frames by index, decoded when asked for and never all in memory.

    Attributes:
        info: size, rate, frame count, name.
        announced_frame_count: how many frames a file's header promises, more than ``info.frame_count`` where the file
            was cut short; None where nothing is promised.
        seekable: whether frames can be read in any order and again. A stream is not: it can be read once, forward.
    """

    info: VideoInfo
    announced_frame_count: int | None
    seekable: bool

    def frames(self, indices: Sequence[int]) -> Generator[Frame]:
        """Decode these frames, lazily.

        Args:
            indices: strictly ascending or strictly descending, each inside the video. A stream, whose length is
                unknown, takes an ascending range past its end and stops where it ends.

        Returns:
            A generator; closing it stops whatever decodes ahead.

        Raises:
            InputError: at once, not at the first frame: an index is outside the video, the order is neither
                ascending nor descending, or a stream is asked to go back.
            SourceError: while iterating: a frame cannot be decoded; ``err.frame`` is its index. Every frame before
                it has been given.
        """
        ...

    def frame_info(self, index: int) -> FrameInfo:
        """A frame's row of the frame table, without decoding the frame: what `frames` gives as ``frame.info``.

        This one decodes it, for sources that have nothing better to go by. A stream says what is known before it is
        read. InputError where the frame is outside the video.
        """
        with closing(self.frames([index])) as frames:
            return next(frames).info

    def close(self) -> None:
        """Free what the source holds. May be called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


VideoLike = str | Path | Source | Any
"""A file, a folder, a URL, an open binary file or bytes, an array (T, H, W, 3), a list of arrays, an iterable of
frames, or a `Source`."""


class State(StrEnum):
    """What is known of an object on a frame."""

    GIVEN = "given"  # the caller's own mask, to the pixel
    TRACKED = "tracked"
    OCCLUDED = "occluded"  # a good part of it is hidden; the mask is what is seen
    LOST = "lost"  # not found: the mask is empty
    RETURNED = "returned"  # the first frame on which it is found again


@dataclass(frozen=True, slots=True)
class ObjectMask:
    """One object on one frame.

    Attributes:
        object_id: >= 1.
        rle: the mask, at the size of the video; empty while the object is lost.
        score: in [0, 1]; 1 for a given mask, 0 for a lost object.
        state: see `State`.
        fidelity: of a given mask, its IoU with what the engine's model sees of it at its own resolution, in [0, 1];
            low where the object is too small or too thin for the model. None elsewhere, and where the engine does
            not say.
    """

    object_id: int
    rle: Rle
    score: float
    state: State
    fidelity: float | None = None


@dataclass(frozen=True, slots=True)
class FrameMasks:
    """All objects on one frame, by ascending id; one out of sight keeps its row, with an empty mask.

    Masks are kept run-length encoded, so that a thousand objects cost kilobytes; `mask` and `stack` decode.

    Attributes:
        frame: 0-based index.
        objects: by ascending object id.
        size_hw: the video's, so that a frame without objects still has a shape.
    """

    frame: int
    size_hw: tuple[int, int]
    objects: tuple[ObjectMask, ...] = ()

    def __post_init__(self) -> None:
        if any(a >= b for a, b in itertools.pairwise(self.object_ids)):
            raise InputError(f"frame {self.frame}: object ids must ascend, each once, got {self.object_ids}")

    def __iter__(self) -> Iterator[ObjectMask]:
        return iter(self.objects)

    def __len__(self) -> int:
        return len(self.objects)

    def __contains__(self, object_id: object) -> bool:
        return object_id in self.object_ids

    def __getitem__(self, object_id: int) -> ObjectMask:
        """The row of one object; KeyError where it has none."""
        place = bisect_left(self.objects, object_id, key=attrgetter("object_id"))
        if place == len(self.objects) or self.objects[place].object_id != object_id:
            raise KeyError(object_id)
        return self.objects[place]

    @property
    def object_ids(self) -> tuple[int, ...]:
        """(N,), ascending."""
        return tuple(row.object_id for row in self.objects)

    @property
    def scores(self) -> NDArray[np.float32]:
        """(N,), in [0, 1]."""
        return np.array([row.score for row in self.objects], dtype=np.float32)

    def mask(self, object_id: int) -> Mask:
        """One object's mask, bool (H, W)."""
        return self[object_id].rle.decode()

    def stack(self) -> NDArray[np.bool_]:
        """All masks, bool (N, H, W), in the order of `object_ids`. N * H * W bytes."""
        out = np.zeros((len(self.objects), *self.size_hw), dtype=np.bool_)
        for mask, row in zip(out, self.objects, strict=True):
            mask[:] = row.rle.decode()
        return out


@dataclass(frozen=True, slots=True)
class FrameTracks:
    """A finished frame: its row of the frame table and its objects. What exporters are fed, in order."""

    info: FrameInfo
    masks: FrameMasks


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrompt:
    """Track what this mask covers; on this frame the answer is this mask, to the pixel.

    Attributes:
        frame: 0-based index.
        object_id: >= 1.
        mask: bool (H, W) at the size of the video, with at least one pixel.
    """

    frame: int
    object_id: int
    mask: Mask


@dataclass(frozen=True, slots=True, eq=False)
class PointPrompt:
    """Track what these points lie on.

    Attributes:
        frame: 0-based index.
        object_id: >= 1.
        points_xy: float (K, 2), pixels.
        labels: int (K,), 1 on the object, 0 off it.
    """

    frame: int
    object_id: int
    points_xy: NDArray[np.float64]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BoxPrompt:
    """Track what this box encloses.

    Attributes:
        frame: 0-based index.
        object_id: >= 1.
        box_xyxy: pixels, x2 and y2 exclusive.
    """

    frame: int
    object_id: int
    box_xyxy: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """Find everything that these words name, on this frame.

    Attributes:
        frame: 0-based index.
        text: a short noun phrase.
        object_ids: the ids that the finds may take, in order; more are numbered on.
    """

    frame: int
    text: str
    object_ids: tuple[int, ...] = field(default=())


Prompt = MaskPrompt | PointPrompt | BoxPrompt | TextPrompt
"""What an engine may be told of an object on a frame."""
