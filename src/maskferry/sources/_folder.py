"""Frames from a folder of pictures, or from one picture file."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from fractions import Fraction
from pathlib import Path

from maskferry.data import Frame, FrameInfo, Image, Stretch, StretchOption, VideoInfo
from maskferry.errors import SourceError
from maskferry.images import FRAME_SUFFIXES, natural_key
from maskferry.sources._checks import check_indices
from maskferry.sources._frame_info import check_index, time_at
from maskferry.sources._pictures import Header, decode_rgb, read_header, read_samples, three_channels
from maskferry.sources._read_ahead import ReadAheadSource
from maskferry.sources._stretch import choose_stretch, spread, thin, to_8bit, warn_if_unused

__all__ = ["FolderSource"]


class FolderSource(ReadAheadSource):
    """The pictures of a folder in natural order (2 before 10), or a single picture.

    Pictures may be of any format that Pillow or OpenCV reads. Alpha is dropped, palettes, grey and CMYK become RGB,
    EXIF orientation is applied (8 bit). Deep pictures (16 bit, float) are brought to 8 bit by one stretch for the whole
    series, so that brightness stays comparable.

    Attributes:
        info: size, rate, number of pictures.
        seekable: True.
    """

    seekable = True
    announced_frame_count: int | None = None

    def __init__(self, path: Path, *, rate: Fraction | None = None, stretch: StretchOption = "auto") -> None:
        """List the pictures and check their sizes by their headers.

        Args:
            path: a folder, or one picture.
            rate: frames per second; without it frames have no time.
            stretch: of deep pictures, see `open_source`.

        Raises:
            SourceError: no pictures, pictures of several sizes, or one that cannot be read.
        """
        super().__init__()
        self._files = _list_pictures(path) if path.is_dir() else [path]
        self._headers = [read_header(file) for file in self._files]
        first = self._headers[0]
        if len(self._files) == 1 and first.pages > 1:
            raise SourceError(
                f"{self._files[0]} holds {first.pages} pictures: save each as a file of its own, or read them "
                "into one array (T, H, W, 3) and pass that"
            )
        for file, header in zip(self._files, self._headers, strict=True):
            if header.size_hw != first.size_hw:
                raise _size_error(self._files[0], first, file, header.size_hw)
        self._stretch = self._find_stretch(stretch, path.name)
        height, width = first.size_hw
        self.info = VideoInfo(width, height, rate, len(self._files), path.name, str(path), self._stretch)

    def frames(self, indices: Sequence[int]) -> Generator[Frame]:
        """Decode these pictures, a few ahead, on a thread; see `Source.frames`."""
        wanted = check_indices(indices, self.info.frame_count)
        return self.read_ahead(self._produce(wanted), self.info)

    def frame_info(self, index: int) -> FrameInfo:
        """A picture's row of the frame table, with the name of its file; see `Source.frame_info`."""
        return self._info(check_index(index, self.info))

    def _info(self, index: int) -> FrameInfo:
        return FrameInfo(index, time_at(index, self.info.rate), self._files[index].name)

    def _produce(self, wanted: Sequence[int]) -> Generator[Frame | None]:
        for index in wanted:
            file, header = self._files[index], self._headers[index]
            try:
                image = self._decode(file, header)
            except SourceError as err:
                raise SourceError(f"frame {index}: {err}", frame=index) from err
            if image.shape[:2] != self.info.size_hw:
                raise SourceError(
                    f"frame {index}: {file} has changed since it was opened: its size is now "
                    f"{image.shape[1]}x{image.shape[0]}",
                    frame=index,
                )
            yield Frame(self._info(index), image)

    def _decode(self, file: Path, header: Header) -> Image:
        if header.deep and self._stretch is not None:
            return three_channels(to_8bit(read_samples(file), self._stretch))
        return decode_rgb(file)

    def _find_stretch(self, option: StretchOption, name: str) -> Stretch | None:
        deep = [file for file, header in zip(self._files, self._headers, strict=True) if header.deep]
        if not deep:
            warn_if_unused(option, name)
            return None
        return choose_stretch(option, [thin(read_samples(deep[i])) for i in spread(len(deep))], name)


def _list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder by natural order; other and hidden files are left out.

    Raises:
        SourceError: there are none, or the folder cannot be read.
    """
    try:
        found = [p for p in folder.iterdir() if not p.name.startswith(".") and p.is_file()]
    except OSError as err:
        raise SourceError(f"{folder} cannot be read: {err.strerror}") from err
    pictures = [p for p in found if p.suffix.lower() in FRAME_SUFFIXES]
    if not pictures:
        what = f"{len(found)} other files" if found else "no files"
        raise SourceError(
            f"{folder} holds no pictures, but {what}: expected a folder of .jpg, .png, .tif or the like, one per "
            "frame; a video file is given by its own path"
        )
    return sorted(pictures, key=natural_key)


def _size_error(first: Path, header: Header, other: Path, size_hw: tuple[int, int]) -> SourceError:
    height, width = header.size_hw
    return SourceError(
        f"all frames must have one size, but {first.name} is {width}x{height} and {other.name} is "
        f"{size_hw[1]}x{size_hw[0]} (in {first.parent}): bring them to one size, or move those that differ elsewhere"
    )
