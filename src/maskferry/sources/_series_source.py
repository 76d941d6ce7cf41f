"""``SeriesSource``: frames of a series of georeferenced pictures, all on one map grid and under one stretch."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from maskferry.data import Frame, FrameInfo, Image, Mask, SeriesFile, SeriesRecipe, VideoInfo
from maskferry.errors import SourceError
from maskferry.sources._checks import check_indices
from maskferry.sources._frame_info import check_index
from maskferry.sources._identity import add_file
from maskferry.sources._raster_file import read_header, windows
from maskferry.sources._read_ahead import ReadAheadSource
from maskferry.sources._stretch import to_8bit

__all__ = ["SeriesSource", "describe_series", "reopen_series"]


class SeriesSource(ReadAheadSource):
    """The files of a series, or the bands of one file, as frames.

    Attributes:
        info: size, map grid and recipe; ``info.stretch`` is None, as each band has its own, in the recipe.
        seekable: True.
        digest: what identifies the series: names, sizes, heads and tails of its files, and how it is opened.
    """

    seekable = True
    announced_frame_count: int | None = None

    def __init__(self, info: VideoInfo, recipe: SeriesRecipe) -> None:
        """Take what `open_series` has found, or what tracks have kept of it."""
        super().__init__()
        self.info = replace(info, recipe=recipe, frame_count=len(recipe.files))
        self._recipe = recipe
        self.digest = _digest(self.info, recipe)

    def frames(self, indices: Sequence[int]) -> Generator[Frame]:
        """Read these frames, a few ahead, on a thread; see `Source.frames`."""
        return self.read_ahead(self._produce(check_indices(indices, self.info.frame_count)), self.info)

    def frame_info(self, index: int) -> FrameInfo:
        """A frame's row of the frame table, with its date; see `Source.frame_info`."""
        index = check_index(index, self.info)
        file, dates = self._recipe.files[index], self._recipe.dates
        time = None if self.info.rate is None else float(index / self.info.rate)
        if dates is not None:
            time = (dates[index] - dates[0]).total_seconds()
        path = Path(file.path)
        name = path.name if file.band is None else f"{path.stem}_{file.band:03d}{path.suffix}"
        return FrameInfo(index, time, name, file.date)

    def _produce(self, wanted: Sequence[int]) -> Generator[Frame | None]:
        for index in wanted:
            try:
                yield Frame(self.frame_info(index), *self._read(self._recipe.files[index]))
            except SourceError as err:
                raise SourceError(f"frame {index}: {err}", frame=index) from err

    def _read(self, file: SeriesFile) -> tuple[Image, Mask | None]:
        """A frame, and which of its pixels are valid in one of the bands; None where all are."""
        recipe = self._recipe
        bands = recipe.bands if file.band is None else (file.band,) * 3
        each = sorted(set(bands))
        image, seen = np.zeros((*self.info.size_hw, 3), np.uint8), _Seen(self.info.size_hw)
        header = read_header(Path(file.path))
        for row, col, samples, shown in windows(header, each, self.info.grid, recipe.nodata, recipe.resampling):
            height, width = samples.shape[1:]
            part = np.s_[row : row + height, col : col + width]
            seen.add(part, np.asarray(shown.any(axis=0)))
            for channel, band in enumerate(bands):
                k = each.index(band)
                values = samples[k] if recipe.stretch is None else to_8bit(samples[k], recipe.stretch[channel])
                np.copyto(image[(*part, channel)], values, where=shown[k])
        return image, seen.valid()


class _Seen:
    """Gathers which pixels are valid; as long as all are, no mask of the whole frame is made."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self._size_hw = size_hw
        self._whole: list[tuple[slice, slice]] = []
        self._pixels = 0
        self._mask: Mask | None = None

    def add(self, part: tuple[slice, slice], valid: Mask) -> None:
        if self._mask is None and valid.all():
            self._whole.append(part)
            self._pixels += valid.size
        else:
            self._need_mask()[part] = valid

    def valid(self) -> Mask | None:
        """The mask; None where all pixels are valid."""
        if self._mask is None and self._pixels == self._size_hw[0] * self._size_hw[1]:
            return None
        return self._need_mask()

    def _need_mask(self) -> Mask:
        if self._mask is None:
            self._mask = np.zeros(self._size_hw, np.bool_)
            for part in self._whole:
                self._mask[part] = True
        return self._mask


def reopen_series(info: VideoInfo, folder: Path | None = None) -> SeriesSource:
    """Open a series as it was opened when it was tracked.

    Args:
        info: of the tracks, with their recipe.
        folder: where the files lie now; None for where they lay.

    Raises:
        SourceError: a file is not there, or has been changed.
    """
    recipe = info.recipe
    if recipe is None:
        raise SourceError(f"{info.name} was not opened as a series")
    files = []
    for file in recipe.files:
        path = Path(file.path) if folder is None else folder / Path(file.path).name
        try:
            found = path.stat()
        except OSError as err:
            raise SourceError(f"{path}, a file of the series that was tracked, cannot be read: {err.strerror}") from err
        if found.st_size != file.size:
            raise SourceError(f"{path} is not the file that was tracked: it has been changed or replaced since")
        files.append(replace(file, path=str(path)))
    return SeriesSource(info, replace(recipe, files=tuple(files)))


def describe_series(video: VideoInfo) -> list[str]:
    """What is worth knowing of a series before it is tracked, a sentence each; nothing of other videos."""
    recipe, grid = video.recipe, video.grid
    if recipe is None:
        return []
    dates = video.dates
    when = "no dates" if dates is None else f"{dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}"
    where = "no map" if grid is None else f"pixels of {grid.transform[0]:g} x {abs(grid.transform[4]):g} map units"
    told = [f"{len(recipe.files)} frames, {when}; {video.width}x{video.height}, {where}"]
    if recipe.stretch is not None:
        bands = dict(zip(recipe.bands, recipe.stretch, strict=True))
        shown = ", ".join(f"band {band}: {low:g} to {high:g}" for band, (low, high) in bands.items())
        told.append(f"one stretch for all dates, from black to white: {shown}")
    return told


def _digest(info: VideoInfo, recipe: SeriesRecipe) -> str:
    found = hashlib.sha256()
    opening = (info.size_hw, info.grid, recipe.bands, recipe.stretch, recipe.nodata, recipe.resampling)
    found.update(repr(opening).encode())
    for path in dict.fromkeys(file.path for file in recipe.files):
        found.update(f"{Path(path).name}\n".encode("utf-8", "surrogateescape"))
        try:
            add_file(found, Path(path))
        except OSError as err:
            raise SourceError(f"{path} cannot be read: {err.strerror}") from err
    found.update(repr([(file.date, file.band) for file in recipe.files]).encode())
    return found.hexdigest()
