"""``Workspace``: the open video, the tracks that it fills, and the engine."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

from maskferry.data import Frame, FrameLike, Source, StretchOption, VideoLike
from maskferry.engines.base import Engine
from maskferry.engines.registry import engine_status, load_engine, pick_engine
from maskferry.errors import InputError
from maskferry.run._resume import video_difference
from maskferry.sources import open_source, source_digest
from maskferry.tracks._journal import Journal
from maskferry.tracks._saving import check_replaceable
from maskferry.tracks._tracks import Tracks

__all__ = ["Workspace"]


class Workspace:
    """One video at a time, with its tracks, and an engine that is loaded when it is first needed."""

    def __init__(
        self,
        engine: str | Engine = "auto",
        engine_options: Mapping[str, Any] = MappingProxyType({}),
        tracks: Path | None = None,
        *,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Choose an engine and a place for results; nothing is opened yet. For the arguments see `MaskTracker`.

        Raises:
            UnknownEngineError: no engine of this name.
        """
        if isinstance(engine, str) and engine != "auto":
            engine_status(engine)
        self._engine_wanted, self._engine_options = engine, engine_options
        self._engine: Engine | None = None
        self._path, self._resume, self._overwrite = tracks, resume, overwrite
        self._source: Source | None = None
        self._journal: Journal | None = None

    # --- the video ----------------------------------------------------------------------------------------------

    def set_video(
        self, video: VideoLike, rate: float | str | Fraction | None = None, stretch: StretchOption | str = "auto"
    ) -> None:
        """Open a video and its tracks; those of an earlier one are closed. See `MaskTracker.set_video`."""
        source = open_source(video, rate=rate, stretch=stretch)
        try:
            journal = Journal(self._open_tracks(source))
        except BaseException:
            source.close()
            raise
        self.close()
        self._source, self._journal = source, journal

    def _open_tracks(self, source: Source) -> Tracks:
        wanted = Tracks.begin(source.info, self._path, digest=source_digest(source))
        if self._path is None:
            return wanted
        if not (self._resume and self._path.exists()):
            check_replaceable(self._path, overwrite=self._overwrite)
            return wanted
        tracks = Tracks.open(self._path)
        other = video_difference(tracks, wanted)
        if other is not None:
            tracks.close()
            raise InputError(
                f"{self._path} holds tracks of {other}, not of {source.info.name} ({source.info.width}x"
                f"{source.info.height}, {source.info.frame_count} frames): give another tracks file"
            )
        return tracks

    def save(self) -> None:
        """Give the tracks their file, whole; nothing is left to do where they have it."""
        self.journal.tracks.save(overwrite=self._overwrite)

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
            wanted = self._engine_wanted
            self._engine = load_engine(self.engine_name if wanted == "auto" else wanted, **self._engine_options)
        return self._engine

    @property
    def is_engine_loaded(self) -> bool:
        """Whether `engine` takes no time."""
        return self._engine is not None or not isinstance(self._engine_wanted, str)

    def prefer_text_engine(self) -> None:
        """With "auto", choose an engine that takes text, where one can run here and none has been chosen yet."""
        if self._engine_wanted == "auto":
            self._engine_wanted = pick_engine(takes_text=True)

    @property
    def engine_name(self) -> str:
        """Its name, known without loading it."""
        if self._engine is not None:
            return self._engine.name
        if not isinstance(self._engine_wanted, str):
            return self._engine_wanted.name
        if self._engine_wanted == "auto":
            self._engine_wanted = pick_engine()
        return self._engine_wanted

    # --- frames and closing -------------------------------------------------------------------------------------

    def frame(self, frame_idx: FrameLike) -> Frame:
        """Decode one frame.

        Raises:
            InputError: the frame is outside the video, or the video is a stream.
            SourceError: it cannot be decoded.
        """
        frame_idx = self.source.info.check_frame(frame_idx)
        for frame in self.source.frames([frame_idx]):
            return frame
        raise InputError(f"frame {frame_idx}: the video ended before it")

    def close(self) -> None:
        """Close the video. Tracks that were handed out can still be read. May be called twice."""
        if self._source is not None:
            self._source.close()
        if self._journal is not None:
            self._journal.tracks.settle()
        self._source = self._journal = None

    def shutdown(self) -> None:
        """Close everything, the engine too where it was loaded here. May be called twice."""
        self.close()
        if self._engine is not None and self._engine is not self._engine_wanted:
            self._engine.close()
        self._engine = None
