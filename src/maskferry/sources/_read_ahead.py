"""Reading ahead: a source's decoding runs on a thread, a few frames before whoever iterates."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing

from maskferry.closing import Closing
from maskferry.data import Frame, VideoInfo
from maskferry.errors import InputError, SourceError

__all__ = ["ReadAheadSource"]

_AHEAD_BYTES = 128 * 2**20
"""RGB frames waiting for the consumer, four at most."""


class ReadAheadSource(Closing):
    """Base of the sources that decode files: each iterator decodes a few frames ahead, on a thread of its own.

    The thread starts with the first frame asked for and ends with the iterator, however that ends: at its last
    frame, by an error, when it is closed or forgotten, or when the source is closed.
    """

    def __init__(self) -> None:
        self._closed = False
        self._running: weakref.WeakSet[_DecodingThread] = weakref.WeakSet()

    def read_ahead(self, produce: Generator[Frame | None], video: VideoInfo) -> Generator[Frame]:
        """Iterate over the frames of ``produce``, which runs on a thread.

        Args:
            produce: frames, and None now and then so that it can be stopped between frames.
            video: its frame size bounds the queue.

        Raises:
            InputError: at once: the source has been closed.
        """
        if self._closed:
            raise InputError("this source is closed: open it again with open_source")
        depth = min(4, _AHEAD_BYTES // (video.width * video.height * 3))
        return self._iterate(produce, depth) if depth else self._one_by_one(produce)

    def _one_by_one(self, produce: Generator[Frame | None]) -> Generator[Frame]:
        """Without a thread: of frames as large as these, none waits while another one is made."""
        with closing(produce):
            for frame in produce:
                if self._closed:
                    raise SourceError("the source was closed while its frames were being read")
                if frame is not None:
                    yield frame
                del frame

    def _iterate(self, produce: Generator[Frame | None], depth: int) -> Generator[Frame]:
        if self._closed:
            raise SourceError("the source was closed before its frames were read")
        ahead = _DecodingThread(produce, depth)
        self._running.add(ahead)
        try:
            yield from ahead
        finally:
            ahead.close()

    def close(self) -> None:
        """Stop all iterators and their threads. May be called twice."""
        self._closed = True
        for ahead in list(self._running):
            ahead.close()


class _DecodingThread:
    """A bounded queue between a thread that decodes and the one that iterates."""

    def __init__(self, produce: Generator[Frame | None], depth: int) -> None:
        self._produce = produce
        self._depth = depth
        self._ready: deque[Frame] = deque()
        self._error: BaseException | None = None
        self._done = False
        self._stop = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="maskferry-decode", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._ready or self._done or self._stop)
                if self._stop:
                    raise SourceError("the source was closed while its frames were being read")
                if not self._ready:
                    break
                frame = self._ready.popleft()
                self._change.notify_all()
            yield frame
            del frame
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stop the thread, at once, and wait until it is gone."""
        with self._change:
            self._stop = True
            self._ready.clear()
            self._change.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            with closing(self._produce):
                for frame in self._produce:
                    if not self._put(frame):
                        return
        except BaseException as err:
            self._error = err
        finally:
            with self._change:
                self._done = True
                self._change.notify_all()

    def _put(self, frame: Frame | None) -> bool:
        """Wait for a free place in the queue and put a frame there; False once the reading has been stopped."""
        with self._change:
            if frame is not None:
                self._change.wait_for(lambda: self._stop or len(self._ready) < self._depth)
                if not self._stop:
                    self._ready.append(frame)
                    self._change.notify_all()
            return not self._stop
