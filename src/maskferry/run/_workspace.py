"""``Workspace``: the open video, the tracks that it fills, and the engine: what `MaskTracker` works on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from maskferry.data import Frame, FrameInfo, Source, VideoLike
from maskferry.engines.base import Engine
from maskferry.engines.registry import engine_status, load_engine, pick_engine
from maskferry.errors import InputError
from maskferry.prompts._checks import check_frame
from maskferry.sources import open_source
from maskferry.tracks._journal import Journal
from maskferry.tracks._results import Tracks

__all__ = ["Workspace"]


class Workspace:
    """One video at a time, with its tracks, and an engine that is loaded when it is first needed."""

    def __init__(
        self,
        video: VideoLike | None = None,
        *,
        engine: str | Engine = "auto",
        tracks: str | Path | None = None,
        resume: bool = False,
        overwrite: bool = False,
        **engine_options: Any,  # noqa: ANN401
    ) -> None:
        """Choose an engine, and a video now or later (`set_video`). No weights are loaded yet.

        Args:
            video: see `set_video`.
            engine: a name, "auto" for the best that can run here, or a loaded engine.
            tracks: file that receives the results as they come; without it they are kept in memory.
            resume: go on with ``tracks`` where an earlier run stopped, if the file is there.
            overwrite: replace ``tracks``, if the file is there.
            engine_options: for the engine's class.

        Raises:
            UnknownEngineError: no engine of this name.
            OutputExistsError: ``tracks`` exists, and neither resume nor overwrite is set.
        """
        if isinstance(engine, str) and engine != "auto":
            engine_status(engine)
        self._engine_asked, self._engine_options = engine, engine_options
        self._engine: Engine | None = None
        self._path = Path(tracks) if tracks is not None else None
        self._resume, self._overwrite = resume, overwrite
        self._source: Source | None = None
        self._journal: Journal | None = None
        self._restored: set[tuple[int, int]] = set()
        self._last_info: FrameInfo | None = None
        if video is not None:
            self.set_video(video)

    # --- the video ----------------------------------------------------------------------------------------------

    def set_video(self, video: VideoLike, *, rate: float | str | Fraction | None = None) -> None:
        """Choose the video; results of an earlier one are closed.

        Args:
            video: a file, a folder of pictures, a URL, an array (T, H, W, 3), a list of arrays, any iterable of frames.
            rate: frames per second, where the source has none or a wrong one.

        Raises:
            SourceError: it cannot be opened.
            InputError: the tracks file to go on with is of another video.
            OutputExistsError: the tracks file exists.
        """
        source = open_source(video, rate=rate)
        try:
            tracks = self._open_tracks(source)
        except BaseException:
            source.close()
            raise
        self.close()
        self._source, self._journal = source, Journal(tracks)
        self._restored = {(frame, i) for i, frames in self._journal.seeds().items() for frame in frames}

    def _open_tracks(self, source: Source) -> Tracks:
        if self._path is None or not (self._resume and self._path.exists()):
            return Tracks.create(source.info, self._path, overwrite=self._overwrite)
        tracks = Tracks.open(self._path)
        then, now = tracks.video, source.info
        if (then.size_hw, then.frame_count, then.name) != (now.size_hw, now.frame_count, now.name):
            tracks.close()
            raise InputError(
                f"{self._path} holds tracks of {then.name} ({then.width}x{then.height}, {then.frame_count} frames), "
                f"not of {now.name} ({now.width}x{now.height}, {now.frame_count} frames): give another tracks file"
            )
        return tracks

    @property
    def source(self) -> Source:
        """The open video.

        Raises:
            InputError: no video has been set.
        """
        if self._source is None:
            raise InputError("no video yet: call set_video first")
        return self._source

    @property
    def tracks(self) -> Tracks:
        """The results so far.

        Raises:
            InputError: no video has been set.
        """
        return self.journal.tracks

    @property
    def journal(self) -> Journal:
        """The run's prompts and jobs, beside its tracks.

        Raises:
            InputError: no video has been set.
        """
        if self._journal is None:
            raise InputError("no video yet: call set_video first")
        return self._journal

    # --- the engine ---------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """The engine, loaded when it is first needed."""
        if self._engine is None:
            asked = self._engine_asked
            self._engine = load_engine(self.engine_name if asked == "auto" else asked, **self._engine_options)
        return self._engine

    @property
    def engine_name(self) -> str:
        """Its name, known without loading it."""
        if self._engine is not None:
            return self._engine.name
        if not isinstance(self._engine_asked, str):
            return self._engine_asked.name
        if self._engine_asked == "auto":
            self._engine_asked = pick_engine()
        return self._engine_asked

    # --- frames -------------------------------------------------------------------------------------------------

    def frame(self, frame_idx: int) -> Frame:
        """Decode one frame.

        Raises:
            InputError: the frame is outside the video, or the video is a stream.
            SourceError: it cannot be decoded.
        """
        frame_idx = self._check_frame(frame_idx)
        for frame in self.source.frames([frame_idx]):
            return frame
        raise InputError(f"frame {frame_idx}: the video ended before it")

    def _check_frame(self, frame_idx: int) -> int:
        return check_frame(frame_idx, self.source.info)

    def _info(self, frame_idx: int) -> FrameInfo | None:
        """The frame's row of the frame table, by decoding it, where that can be done without disturbing the run."""
        if not self.source.seekable:
            return None
        if self._last_info is None or self._last_info.index != frame_idx:
            self._last_info = self.frame(frame_idx).info
        return self._last_info

    # --- life ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the video. Tracks that were handed out can still be read. May be called twice."""
        if self._source is not None:
            self._source.close()
        if self._journal is not None:
            self._journal.tracks.settle()
        self._source = self._journal = self._last_info = None
        self._restored.clear()

    def shutdown(self) -> None:
        """Close everything, the engine too where it was loaded here. May be called twice."""
        self.close()
        if self._engine is not None and self._engine is not self._engine_asked:
            self._engine.close()
        self._engine = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
