"""Frames of a video file, by index, through FFmpeg (PyAV)."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from maskferry.data import Frame, FrameInfo, StretchOption, VideoInfo
from maskferry.errors import SourceError
from maskferry.sources._announced import announced_frames
from maskferry.sources._checks import check_indices
from maskferry.sources._container import open_video
from maskferry.sources._decoder import Decoder
from maskferry.sources._deep_video import deep_samples, find_stretch
from maskferry.sources._frame_info import check_index, time_at
from maskferry.sources._numbering import scan_packets
from maskferry.sources._ordered_reader import OrderedReader
from maskferry.sources._orientation import read_orientation
from maskferry.sources._pictures import three_channels
from maskferry.sources._read_ahead import ReadAheadSource
from maskferry.sources._stretch import to_8bit

__all__ = ["VideoSource"]

log = logging.getLogger(__name__)

_MOST_PACKETS = 1.5
"""For each frame; where there are more, the file's rate may be that of the packets."""


class VideoSource(ReadAheadSource):
    """A video file.

    Frames are found by an index of the file's packets, which is made when it is opened, so that frame 100 is the
    hundred and first frame that a player shows, from whichever side it is reached. Rotation is applied; pixels that
    are not square stay as they are stored.

    Attributes:
        info: size after rotation, average rate, exact number of frames.
        seekable: True.
        announced_frame_count: frames that the file's header promises; more than ``info.frame_count`` where the file
            has been cut off. None where it promises nothing.
    """

    seekable = True

    def __init__(self, path: Path, *, rate: Fraction | None = None, stretch: StretchOption = "auto") -> None:
        """Index a video file.

        Args:
            path: the file.
            rate: frames per second to use instead of the file's; times are then index / rate.
            stretch: of samples of more than 8 bits, see `open_source`.

        Raises:
            SourceError: there is no such file, it is no video, or not one frame of it can be decoded.
        """
        super().__init__()
        self._path = path
        self._index = scan_packets(path)
        with open_video(path) as (_, stream):
            self.announced_frame_count = announced_frames(path, stream, self._index)
            self._time_base = Fraction(stream.time_base or 0)
            file_rate = self._average_rate(stream)
            self._is_live = not stream.frames
        self._forced_rate = rate
        rate = rate or (Fraction(file_rate) if file_rate else None)
        self._decode_first()
        height, width = self._orientation.shown_hw(self._stored_hw)
        self._stretch = find_stretch(path, self._index, self._first, stretch)
        del self._first
        self.info = VideoInfo(width, height, rate, self._index.frame_count, path.name, str(path), self._stretch)
        self._warn_if_cut()

    def frames(self, indices: Sequence[int]) -> Generator[Frame]:
        """Decode these frames, a few ahead, on a thread; see `Source.frames`.

        Reading backward decodes up to 256 MB of frames at a time, whatever the distance of the keyframes.
        """
        wanted = check_indices(indices, self.info.frame_count)
        return self.read_ahead(self._produce(wanted), self.info)

    def frame_info(self, index: int) -> FrameInfo:
        """A frame's row of the frame table, from the index of the packets; see `Source.frame_info`."""
        return self._info(check_index(index, self.info))

    def _info(self, index: int) -> FrameInfo:
        return FrameInfo(index, self.time_of(index), f"{index:06d}")

    def time_of(self, index: int) -> float | None:
        """Presentation time of a frame in seconds, the first frame's being 0; None where the file has no clock."""
        if self._forced_rate is None and self._index.shown_pts is not None:
            shown = self._index.shown_pts
            return float(int(shown[index] - shown[0]) * self._time_base)
        return time_at(index, self.info.rate)

    def _average_rate(self, stream: VideoStream) -> Fraction | None:
        """The file's average rate; that of the times where it is missing, or counts dropped frames or fields."""
        shown, given = self._index.shown_pts, stream.average_rate
        if shown is None or len(shown) < 2 or not self._time_base:
            return given or stream.guessed_rate
        measured = ((len(shown) - 1) / (int(shown[-1] - shown[0]) * self._time_base)).limit_denominator(1001)
        may_count_others = stream.container.format.name == "avi" or len(self._index.pts) > _MOST_PACKETS * len(shown)
        return measured if not given or (may_count_others and given > _MOST_PACKETS * measured) else given

    def _decode_first(self) -> None:
        """Learn size and orientation from the first frame that can be decoded; leave out those before a keyframe."""
        with Decoder(self._path, self._index) as decoder:
            for shown in decoder.decode_from(0):
                if shown is not None:
                    number, frame = shown
                    self._first = frame
                    self._stored_hw = (frame.height, frame.width)
                    self._stored_bytes = sum(plane.buffer_size for plane in frame.planes)
                    self._orientation = read_orientation(frame)
                    if not decoder.undecodable or self._is_live:
                        self._drop_start(number)
                    return
        raise SourceError(
            f"{self._path}: not one frame can be decoded: the file is damaged or encrypted; try to play it, and "
            "convert it to H.264 if it plays"
        )

    def _drop_start(self, first_shown: int) -> None:
        """Leave out the frames of a recording cut in mid-stream that need others from before the cut."""
        if 0 < first_shown <= self._index.first_key:
            log.warning("%s starts between keyframes: its first %d frames cannot be shown", self._path, first_shown)
            self._index = self._index.without_first(first_shown)
            if self.announced_frame_count is not None:
                self.announced_frame_count -= first_shown

    def _warn_if_cut(self) -> None:
        announced, count = self.announced_frame_count, self._index.frame_count
        if announced is not None and announced > count:
            log.warning("%s announces %d frames but holds %d: it has been cut off", self._path, announced, count)
        elif self._index.damaged:
            log.warning("%s is damaged: %d frames of it can be read", self._path, count)

    def _produce(self, wanted: Sequence[int]) -> Generator[Frame | None]:
        convert = VideoReformatter()
        with Decoder(self._path, self._index) as decoder:
            reader = OrderedReader(self._path, self._index, decoder, self._stored_bytes)
            for shown in reader.read(wanted):
                yield None if shown is None else self._convert(convert, *shown)

    def _convert(self, convert: VideoReformatter, number: int, frame: VideoFrame) -> Frame:
        if (frame.height, frame.width) != self._stored_hw:
            height, width = self._stored_hw
            raise SourceError(
                f"{self._path}: frame {number} is {frame.width}x{frame.height}, but the video began with "
                f"{width}x{height}: split it there, or convert it to one size",
                frame=number,
            )
        samples = deep_samples(frame) if self._stretch else None
        if self._stretch and samples is not None:
            image = three_channels(to_8bit(samples, self._stretch))
        else:
            image = np.asarray(convert.reformat(frame, format="rgb24").to_ndarray(), dtype=np.uint8)
        return Frame(self._info(number), np.ascontiguousarray(self._orientation.apply(image)))
