"""``Frames``: exact frames as JPEG, decoded by one thread, which reads on in the direction of travel."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import suppress

from maskferry.closing import Closing
from maskferry.data import Frame, Source
from maskferry.errors import InputError, SourceError
from maskferry.web._jpegs import Jpeg, Jpegs, jpeg_of

__all__ = ["AHEAD", "Frames"]

AHEAD = 48
"""Frames that are decoded before they are asked for; one so near is waited for rather than sought."""

RAW = 4
"""Decoded frames that are kept, for other widths."""


class Frames(Closing):
    """Gives frames to many at once. The newest wish comes first: who drags the playhead wants the last one."""

    def __init__(self, open_source: Callable[[], Source], count: int) -> None:
        """Begin; the video is opened in the thread.

        Args:
            open_source: opens the video; what it raises is the answer to every wish.
            count: how many frames the video has.
        """
        self._open_source, self._count = open_source, count
        self._changed = threading.Condition()
        self._wishes: list[tuple[int, int, Future[Jpeg]]] = []
        self._jpegs = Jpegs()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def get(self, frame: int, width: int) -> Future[Jpeg]:
        """A frame.

        Args:
            frame: index, inside the video.
            width: pixels, at most; 0 for its own size.

        Returns:
            What will hold it, or the `SourceError` that says why there is none.
        """
        wish: Future[Jpeg] = Future()
        with self._changed:
            if self._is_closed:
                wish.set_exception(InputError("the page is being closed"))
                return wish
            found = self._jpegs.get(frame, width)
            if found is not None and not self._wishes:
                wish.set_result(found)  # and the thread is told where the playhead is
            self._wishes.append((frame, width, wish))
            self._changed.notify()
        return wish

    def close(self) -> None:
        """Stop; wishes that are open are refused. May be called twice."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    # --- in the thread ------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            source = self._open_source()
        except Exception as err:  # the answer to every wish
            self._refuse_all(err)
            return
        with source:
            reader = _Reader(source, self._count)
            try:
                while (wish := self._next(reader)) is not None:
                    self._answer(reader, *wish)
            finally:
                reader.close()

    def _next(self, reader: _Reader) -> tuple[int, int, Future[Jpeg]] | None:
        """The newest wish; None when it is time to end. Without wishes, frames are decoded ahead."""
        while True:
            with self._changed:
                while not self._wishes and not self._is_closed and not reader.has_more:
                    self._changed.wait()
                if self._is_closed:
                    self._end(InputError("the page is being closed"))
                    return None
                while self._wishes:
                    wish = self._wishes.pop()
                    if not wish[2].cancelled():
                        return wish
            self._read_ahead(reader)

    def _answer(self, reader: _Reader, frame: int, width: int, wish: Future[Jpeg]) -> None:
        with self._changed:
            found = self._jpegs.get(frame, width)
        if found is not None:
            reader.follow(frame, width)
            if not wish.done():
                wish.set_result(found)
            return
        try:
            for decoded in reader.read_to(frame, width):
                self._keep(decoded, width)
                if decoded.index == frame and not wish.done():
                    wish.set_result(self._jpegs.get(frame, width) or jpeg_of(decoded, width))
        except Exception as err:  # told to whoever asked; other frames may be sound
            if not wish.done():
                wish.set_exception(_as_source_error(err, frame))

    def _read_ahead(self, reader: _Reader) -> None:
        decoded = reader.read_one()
        if decoded is not None:
            with self._changed:
                is_kept = self._jpegs.get(decoded.index, reader.width) is not None
            if not is_kept:
                self._keep(decoded, reader.width)

    def _keep(self, decoded: Frame, width: int) -> None:
        jpeg = jpeg_of(decoded, width)
        with self._changed:
            self._jpegs.put(decoded.index, width, jpeg)

    def _refuse_all(self, err: Exception) -> None:
        while True:
            with self._changed:
                while not self._wishes and not self._is_closed:
                    self._changed.wait()
                self._end(err)
                if self._is_closed:
                    return

    def _end(self, err: Exception) -> None:
        for _, _, wish in self._wishes:
            if not wish.done():
                wish.set_exception(err)
        self._wishes.clear()


class _Reader:
    """Reads frames of a source in one direction, and turns where the wishes do.

    Attributes:
        width: that was asked for last.
    """

    def __init__(self, source: Source, count: int) -> None:
        self._source, self._count = source, count
        self._stream: Generator[Frame] | None = None
        self._step, self._following = 1, 0  # the way of the stream, and the frame that it gives next
        self._last = -1  # the frame that was asked for last
        self._raw: deque[Frame] = deque(maxlen=RAW)
        self.width = 0

    @property
    def has_more(self) -> bool:
        """Whether frames are to be read ahead."""
        return self._stream is not None and (self._following - self._last) * self._step <= AHEAD

    def follow(self, frame: int, width: int) -> None:
        """A frame was asked for that is there already; the stream goes on only where it is near."""
        self._last, self.width = frame, width
        if self._stream is not None and not 0 <= (self._following - frame) * self._step <= AHEAD + RAW:
            self.close()

    def read_to(self, frame: int, width: int) -> Generator[Frame]:
        """The frames up to one that is asked for."""
        before, self._last, self.width = self._last, frame, width
        for kept in self._raw:
            if kept.index == frame:
                yield kept
                return
        if self._stream is None or not 0 <= (frame - self._following) * self._step <= AHEAD:
            self._turn_to(frame, before)
        while self._stream is not None:
            decoded = self.read_one()
            if decoded is None:
                break
            yield decoded
            if decoded.index == frame:
                return
        raise SourceError(f"frame {frame} cannot be decoded: the video ends before it", frame=frame)

    def _turn_to(self, frame: int, before: int) -> None:
        """Begin a stream at a frame: backward, where the frame lies a little before the last one."""
        self.close()
        self._step = -1 if 0 < before - frame <= AHEAD else 1
        wanted = range(frame, self._count) if self._step == 1 else range(frame, -1, -1)
        self._following = frame
        self._stream = self._source.frames(wanted)

    def read_one(self) -> Frame | None:
        """The next frame of the stream; None at its end, or where it cannot be read on by itself."""
        if self._stream is None:
            return None
        try:
            decoded = next(self._stream)
        except StopIteration:
            self.close()
            return None
        except SourceError:
            self.close()
            if (self._following - self._last) * self._step > 0:  # nobody has asked for it
                return None
            raise
        kept = Frame(decoded.info, decoded.image.copy())
        self._raw.append(kept)
        self._following = decoded.index + self._step
        return kept

    def close(self) -> None:
        """End the stream."""
        if self._stream is not None:
            with suppress(SourceError):
                self._stream.close()
            self._stream = None


def _as_source_error(err: Exception, frame: int) -> Exception:
    if isinstance(err, SourceError) and err.frame is None:
        return SourceError(str(err), frame=frame)
    return err
