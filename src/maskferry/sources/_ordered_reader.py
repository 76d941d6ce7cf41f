"""Decoding the frames that are asked for, in the order in which they are asked for: forward or backward."""

from __future__ import annotations

import bisect
import logging
from collections.abc import Iterator, Sequence
from operator import neg
from pathlib import Path

from av.video.frame import VideoFrame

from maskferry.errors import SourceError
from maskferry.sources._decoder import Decoded, Decoder
from maskferry.sources._packet_index import PacketIndex

__all__ = ["OrderedReader"]

log = logging.getLogger(__name__)

_PIECE_BYTES = 256 * 2**20
"""Decoded frames held while reading backward."""

_SEEK_COST = 16
"""Frames that can be decoded in the time of a seek."""

_LATE = 8
"""Frames that may overtake one that comes out late."""

_FEW = 32
"""Reading backward takes several short groups of pictures at once, up to about this many frames."""


class OrderedReader:
    """Reads any ascending or descending frames of a video through one decoder."""

    def __init__(self, path: Path, index: PacketIndex, decoder: Decoder, frame_bytes: int) -> None:
        """Prepare to read; nothing is decoded yet.

        Args:
            path: of the video, for messages.
            index: of its packets.
            decoder: of the same file, not used by anyone else.
            frame_bytes: size of a decoded frame, which bounds how many are held while reading backward.
        """
        self._path = path
        self._index = index
        self._decoder = decoder
        self._frame_bytes = frame_bytes

    def read(self, wanted: Sequence[int]) -> Iterator[Decoded]:
        """Decode frames.

        Args:
            wanted: strictly ascending or strictly descending, each inside the video.

        Raises:
            SourceError: while iterating: a frame cannot be decoded; ``err.frame`` is its number.
        """
        is_backward = len(wanted) > 1 and wanted[0] > wanted[-1]
        return self._read_backward(wanted) if is_backward else self._read_forward(wanted)

    def _read_forward(self, wanted: Sequence[int]) -> Iterator[Decoded]:
        """Decode frames in ascending order, with seeks over far gaps.

        A frame that does not come out is tried again from one entry further back (after some keyframes a stream needs
        time to recover), and is an error when it does not come out then either.
        """
        done = 0
        is_retry = False
        while done < len(wanted):
            found = 0
            for shown in self._read_up_to_gap(wanted, done, is_retry=is_retry):
                yield shown
                if shown is not None:
                    found += 1
            if is_retry and not found:
                raise self._undecodable(wanted[done])
            is_retry = not found
            done += found

    def _read_up_to_gap(self, wanted: Sequence[int], done: int, *, is_retry: bool) -> Iterator[Decoded]:
        """Decode ``wanted[done:]`` from one entry, up to a frame that does not come out or a gap worth a seek."""
        entry = max(self._index.entry_of(wanted[done]) - int(is_retry), 0)
        decoded = self._decoder.decode_from(entry, strict=not is_retry)
        for shown in self._in_order(decoded, wanted, done):
            if shown is not None and is_retry and shown[1].is_corrupt:
                log.warning("%s: frame %d is damaged and was patched up by the decoder", self._path, shown[0])
            yield shown
            if shown is not None:
                done += 1
                if done < len(wanted) and self._should_seek(shown[0], wanted[done]):
                    return

    def _in_order(self, decoded: Iterator[Decoded], wanted: Sequence[int], done: int) -> Iterator[Decoded]:
        """Pick ``wanted[done:]`` (ascending) out of what is decoded, in that order; ends at the first that is absent.

        Absent is, too, what comes out after a frame that does not, in one group of pictures: it may build on that one,
        and a decoder that lacks it shows an earlier picture. Where a stream does not say how far it reorders, a frame
        may come out a little late.
        """
        late: dict[int, VideoFrame] = {}
        built_on = _BuiltOn(self._first_frame_of_group(wanted[done]))
        for shown in decoded:
            if shown is None:
                yield None
                continue
            built_on.add(shown[0])
            late[shown[0]] = shown[1]
            while done < len(wanted) and wanted[done] in late and built_on.has_all_before(wanted[done]):
                yield wanted[done], late.pop(wanted[done])
                done += 1
                if done < len(wanted):
                    built_on.start_at(self._first_frame_of_group(wanted[done]))
            if done == len(wanted):
                return
            late = {number: frame for number, frame in late.items() if number >= wanted[done]}
            if len(late) > _LATE:
                return

    def _should_seek(self, here: int, there: int) -> bool:
        return there - here > _SEEK_COST and self._first_frame_of_group(there) - here > _SEEK_COST

    def _first_frame_of_group(self, frame: int) -> int:
        """The first frame that comes out right from the entry from which ``frame`` is decoded."""
        return int(self._index.entry_frames[self._index.entry_of(frame)])

    def _undecodable(self, number: int, because: str = "") -> SourceError:
        return SourceError(
            f"{self._path}: frame {number} of {self._index.frame_count} cannot be decoded{because}: the file is "
            "damaged there; use the frames before it, or copy or record it again",
            frame=number,
        )

    def _read_backward(self, wanted: Sequence[int]) -> Iterator[Decoded]:
        """Decode frames in descending order: piece by piece forward, each piece given in reverse."""
        most_held = max(2, _PIECE_BYTES // self._frame_bytes)
        start = 0
        while start < len(wanted):
            end = self._end_of_piece(wanted, start, most_held)
            yield from self._read_piece(wanted[start:end])
            start = end

    def _end_of_piece(self, wanted: Sequence[int], start: int, most_held: int) -> int:
        """Where in ``wanted`` (descending) a piece from ``start`` ends: after whole groups of pictures where these fit.

        A group larger than ``most_held`` frames is split.
        """
        end = start
        while end < len(wanted) and end - start < _FEW:
            first = self._first_frame_of_group(wanted[end])
            group_end = bisect.bisect_right(wanted, -first, lo=end, key=neg)  # wanted[group_end:] is before the group
            if group_end - start > most_held:
                return end if end > start else start + most_held
            end = group_end
        return end

    def _read_piece(self, piece: Sequence[int]) -> Iterator[Decoded]:
        """Decode a piece (descending) forward, then give its frames from the last to the first."""
        held: list[tuple[int, VideoFrame]] = []
        error: SourceError | None = None
        try:
            for shown in self._read_forward(piece[::-1]):
                yield None
                if shown is not None:
                    held.append(shown)
        except SourceError as err:
            error = err
        if error is not None:
            held.clear()
            yield from self._read_piece_after_damage(piece, error)
        while held:
            yield held.pop()

    def _read_piece_after_damage(self, piece: Sequence[int], error: SourceError) -> Iterator[Decoded]:
        """Give the frames of a piece (descending) that do not build on the one that cannot be decoded, then raise.

        Raises:
            SourceError: of the first frame, in the order of the piece, that may build on it.
        """
        bad = piece[-1] if error.frame is None else error.frame
        later = [frame for frame in piece if self._first_frame_of_group(frame) > bad]
        if later:
            yield from self._read_piece(later)
        raise self._undecodable(piece[len(later)], f", as frame {bad}, which it may build on, is damaged") from error


class _BuiltOn:
    """Which frames of a group of pictures have come out."""

    def __init__(self, start: int) -> None:
        self._next = start  # all from the group's first to before this one have come out
        self._ahead: set[int] = set()

    def add(self, number: int) -> None:
        """A frame has come out."""
        if number >= self._next:
            self._ahead.add(number)
            self._go_on()

    def has_all_before(self, number: int) -> bool:
        """Whether all that a frame may build on have come out."""
        return self._next >= number

    def start_at(self, first: int) -> None:
        """Another group begins here: what was before it does not count any more."""
        if first > self._next:
            self._next = first
            self._ahead = {number for number in self._ahead if number >= first}
            self._go_on()

    def _go_on(self) -> None:
        while self._next in self._ahead:
            self._ahead.remove(self._next)
            self._next += 1
