"""Frames of a video file, by index, through FFmpeg (PyAV)."""

from __future__ import annotations

import bisect
import logging
from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from maskferry.data import Frame, FrameInfo, VideoInfo
from maskferry.errors import SourceError
from maskferry.sources._checks import check_indices
from maskferry.sources._container import open_video
from maskferry.sources._decoder import Decoded, Decoder
from maskferry.sources._frame_info import check_index, time_at
from maskferry.sources._packet_index import PacketIndex, scan_packets
from maskferry.sources._read_ahead import FrameReader

__all__ = ["VideoSource"]

log = logging.getLogger(__name__)

_PIECE_BYTES = 256 * 2**20
"""Decoded frames held while reading backward."""

_SEEK_COST = 16
"""Frames that can be decoded in the time of a seek."""

_LATE = 8
"""Frames that may overtake one that comes out late."""

_FEW = 32
"""Reading backward takes several short groups of pictures at once, up to about this many frames."""


class VideoSource(FrameReader):
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

    def __init__(self, path: Path, *, rate: Fraction | None = None) -> None:
        """Index a video file.

        Args:
            path: the file.
            rate: frames per second to use instead of the file's; times are then index / rate.

        Raises:
            SourceError: there is no such file, it is no video, or not one frame of it can be decoded.
        """
        super().__init__()
        self._path = path
        self._index = scan_packets(path)
        with open_video(path) as (_, stream):
            self.announced_frame_count = _announced_frames(stream, self._index)
            self._time_base = Fraction(stream.time_base or 0)
            file_rate = stream.average_rate or stream.guessed_rate
            has_table = bool(stream.frames)
        self._forced_rate = rate
        rate = rate or (Fraction(file_rate) if file_rate else None)
        first_shown = self._decode_first()
        if not has_table:
            self._drop_start(first_shown)
        height, width = self._stored_hw if self._turn % 2 == 0 else self._stored_hw[::-1]
        self.info = VideoInfo(width, height, rate, self._index.frame_count, path.name, str(path))
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

    def _decode_first(self) -> int:
        """Learn size and orientation from the first frame that can be decoded; give its number."""
        with Decoder(self._path, self._index) as decoder:
            for shown in decoder.decode_from(0):
                if shown is not None:
                    number, frame = shown
                    self._stored_hw = (frame.height, frame.width)
                    self._stored_bytes = sum(plane.buffer_size for plane in frame.planes)
                    self._turn, self._mirror = _orientation(frame)
                    return number
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
        backward = len(wanted) > 1 and wanted[0] > wanted[-1]
        convert = VideoReformatter()
        read = self._read_backward if backward else self._read_forward
        with Decoder(self._path, self._index) as decoder:
            for shown in read(decoder, wanted):
                yield None if shown is None else self._convert(convert, *shown)

    def _convert(self, convert: VideoReformatter, number: int, frame: VideoFrame) -> Frame:
        if (frame.height, frame.width) != self._stored_hw:
            height, width = self._stored_hw
            raise SourceError(
                f"{self._path}: frame {number} is {frame.width}x{frame.height}, but the video began with "
                f"{width}x{height}: split it there, or convert it to one size",
                frame=number,
            )
        image = np.asarray(convert.reformat(frame, format="rgb24").to_ndarray(), dtype=np.uint8)
        if self._mirror:
            image = image[:, ::-1]
        if self._turn:
            image = np.rot90(image, self._turn)
        return Frame(self._info(number), np.ascontiguousarray(image))

    def _read_forward(self, decoder: Decoder, wanted: Sequence[int]) -> Iterator[Decoded]:
        """Decode frames in ascending order, with seeks over far gaps.

        A frame that does not come out is tried again from one entry further back (after some keyframes a stream needs
        time to recover), and is an error when it does not come out then either.
        """
        done, attempt = 0, 0
        while done < len(wanted):
            before = done
            entry = max(self._index.entry_of(wanted[done]) - attempt, 0)
            for shown in _in_order(decoder.decode_from(entry, strict=not attempt), wanted, done):
                if shown is not None and attempt and shown[1].is_corrupt:
                    log.warning("%s: frame %d is damaged and was patched up by the decoder", self._path, shown[0])
                yield shown
                if shown is not None:
                    done += 1
                    if done < len(wanted) and self._should_seek(shown[0], wanted[done]):
                        break
            if done == before and attempt:
                raise self._undecodable(wanted[done])
            attempt = int(done == before)

    def _should_seek(self, here: int, there: int) -> bool:
        return (
            there - here > _SEEK_COST and int(self._index.entry_frames[self._index.entry_of(there)]) - here > _SEEK_COST
        )

    def _undecodable(self, number: int, because: str = "") -> SourceError:
        return SourceError(
            f"{self._path}: frame {number} of {self._index.frame_count} cannot be decoded{because}: the file is "
            "damaged there; use the frames before it, or copy or record it again",
            frame=number,
        )

    def _read_backward(self, decoder: Decoder, wanted: Sequence[int]) -> Iterator[Decoded]:
        """Decode frames in descending order: piece by piece forward, each piece given in reverse."""
        room = max(2, _PIECE_BYTES // self._stored_bytes)
        start = 0
        while start < len(wanted):
            end = self._end_of_piece(wanted, start, room)
            yield from self._read_piece(decoder, wanted[start:end])
            start = end

    def _end_of_piece(self, wanted: Sequence[int], start: int, room: int) -> int:
        """Where in ``wanted`` (descending) a piece from ``start`` ends: after whole groups where they fit into room."""
        end = start
        while end < len(wanted) and end - start < _FEW:
            first = int(self._index.entry_frames[self._index.entry_of(wanted[end])])
            group_end = bisect.bisect_right(wanted, -first, lo=end, key=lambda i: -i)
            if group_end - start > room:
                return end if end > start else start + room
            end = group_end
        return end

    def _read_piece(self, decoder: Decoder, piece: Sequence[int]) -> Iterator[Decoded]:
        held: list[tuple[int, VideoFrame]] = []
        error: SourceError | None = None
        try:
            for shown in self._read_forward(decoder, piece[::-1]):
                yield None
                if shown is not None:
                    held.append(shown)
        except SourceError as err:
            error = err
        if error is None:
            while held:
                yield held.pop()
            return
        held.clear()
        bad = piece[-1] if error.frame is None else error.frame
        later = [i for i in piece if self._index.entry_frames[self._index.entry_of(i)] > bad]
        if later:
            yield from self._read_piece(decoder, later)
        raise self._undecodable(piece[len(later)], f", as frame {bad}, which it may build on, is damaged") from error


def _in_order(decoded: Iterator[Decoded], wanted: Sequence[int], done: int) -> Iterator[Decoded]:
    """Pick ``wanted[done:]`` (ascending) out of what is decoded, in that order; ends at the first that is absent.

    Where a stream does not say how far it reorders, a frame may come out a little late.
    """
    late: dict[int, VideoFrame] = {}
    for shown in decoded:
        if shown is None:
            yield None
            continue
        late[shown[0]] = shown[1]
        while done < len(wanted) and wanted[done] in late:
            yield wanted[done], late.pop(wanted[done])
            done += 1
        if done == len(wanted):
            return
        late = {number: frame for number, frame in late.items() if number > wanted[done]}
        if len(late) > _LATE:
            return


def _announced_frames(stream: VideoStream, index: PacketIndex) -> int | None:
    """How many frames the header promises: a count, or in Matroska what the length of the track has room for."""
    if stream.frames:
        return stream.frames
    parts = stream.metadata.get("DURATION", "").split(":")
    if not stream.average_rate or not stream.time_base or index.shown_pts is None or len(parts) != 3:
        return None
    try:
        hours, minutes, seconds = (Fraction(part) for part in parts)
    except ValueError:
        return None
    missing = hours * 3600 + minutes * 60 + seconds - int(index.shown_pts[-1]) * Fraction(stream.time_base)
    return index.frame_count + max(0, round(missing * Fraction(stream.average_rate)) - 1)


def _orientation(frame: VideoFrame) -> tuple[int, bool]:
    """Read the display matrix: (quarter turns counter-clockwise, whether mirrored left to right before them).

    The matrix is 3x3 of 16.16 fixed point, row by row, and maps stored to shown pixels as (x, y, 1) * M, with y
    downward (FFmpeg, libavutil/display.h; ISO/IEC 14496-12, 8.2.2).
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(data, dtype=np.int32)[:5].tolist()
    key = tuple(0 if abs(v) < 2**12 else (1 if v > 0 else -1) for v in (a, b, c, d))
    turns: dict[tuple[int, ...], tuple[int, bool]] = {
        (1, 0, 0, 1): (0, False),
        (0, -1, 1, 0): (1, False),
        (-1, 0, 0, -1): (2, False),
        (0, 1, -1, 0): (3, False),
        (-1, 0, 0, 1): (0, True),
        (0, 1, 1, 0): (1, True),
        (1, 0, 0, -1): (2, True),
        (0, -1, -1, 0): (3, True),
    }
    if key not in turns:
        log.warning("the video is to be shown at an odd angle, which is left out (display matrix %s)", (a, b, c, d))
    return turns.get(key, (0, False))
