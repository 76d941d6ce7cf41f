"""The worker: the one process that edits and tracks for the page. It ends, after its frame, when its input ends.

A thread would do its arithmetic at the cost of the server's answers. Edits that come while a pass runs are made between
two frames, through the very tracks of the pass, which takes them in.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from maskferry.child_processes import Message, describe, own_pipes, read_lines
from maskferry.data import BoxPrompt, FrameInfo, MaskPrompt, PointPrompt, TextPrompt
from maskferry.errors import MaskferryError
from maskferry.run import Progress
from maskferry.tracker import MaskTracker
from maskferry.tracks import ENDLESS, Tracks, editing
from maskferry.web._video import open_video
from maskferry.web._worker_edits import make_edit

__all__ = ["Worker", "main"]

KINDS: dict[type, str] = {MaskPrompt: "mask", PointPrompt: "points", BoxPrompt: "box", TextPrompt: "text"}
"""What the page calls the kinds of prompts."""

MEASURED = 20
"""Steps over which the pace is taken."""


class Worker:
    """Makes edits and runs.

    Attributes:
        settings: the ``tracks`` file, the ``video`` or None, the ``engine`` and its ``options``.
    """

    def __init__(self, settings: Message, told: SimpleQueue[Message | None], tell: Callable[[Message], None]) -> None:
        """Open the tracks; the video and the engine are opened when they are needed.

        Args:
            settings: see the class.
            told: commands; None ends it.
            tell: takes answers and news.
        """
        self.settings, self._told, self._tell = settings, told, tell
        self._tracks: Tracks | None = Tracks.open(Path(settings["tracks"]))
        self._tracker: MaskTracker | None = None
        self._has_ended = self._stops = self._is_running = False
        self._edits = 0
        self._engine: Message | None = None  # what is known of it once it is loaded

    # --- what edits are made with -------------------------------------------------------------------------------

    @property
    def tracks(self) -> Tracks:
        """The tracks: those of the session, once there is one."""
        if self._tracker is not None:
            return self._tracker.tracks
        if self._tracks is None:
            self._tracks = Tracks.open(Path(self.settings["tracks"]))
        return self._tracks

    @property
    def tracker(self) -> MaskTracker:
        """The session, opened when it is first asked for."""
        if self._tracker is None:
            source = open_video(self.tracks, self.settings["video"])
            wanted = self.settings["engine"]
            engine = editing.last_run(self.tracks).engine or wanted if wanted == "auto" else wanted
            self.tracks.close()
            self._tracks = None
            try:
                tracker = MaskTracker(
                    engine=engine, tracks=self.settings["tracks"], resume=True, **self.settings["options"]
                )
                tracker.set_video(source)
            except BaseException:
                source.close()
                raise
            self._tracker = tracker
        return self._tracker

    def frame_info(self, frame: int) -> FrameInfo | None:
        """A frame's row of the frame table, where the tracks do not have it yet."""
        return None if frame in self.tracks else self.tracker.source.frame_info(frame)

    # --- commands -----------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Do what is said, until nothing more is."""
        while not self._has_ended:
            self._obey(self._told.get())
        with suppress(MaskferryError), self.tracks.database.transaction():
            pass  # whoever writes last leaves one self-contained file behind
        if self._tracker is not None:
            self._tracker.shutdown()
        elif self._tracks is not None:
            self._tracks.close()

    def _obey_all(self) -> None:
        """Do what has been said up to now."""
        with suppress(Empty):
            while not self._has_ended:
                self._obey(self._told.get_nowait())

    def _obey(self, command: Message | None) -> None:
        if command is None:
            self._has_ended = self._stops = True
        elif command["do"] == "stop":
            self._stops = True
        elif command["do"] == "run":
            if not self._is_running:
                self._run()
        else:
            self._edit(command)

    def _edit(self, command: Message) -> None:
        try:
            found = make_edit(self, command["do"], command["values"], command["base"])
        except Exception as err:  # told to whoever asked
            self._tell({"id": command["id"], "error": describe(err)})
        else:
            self._edits += 1
            self._tell({"id": command["id"], "found": found})

    # --- runs ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Track what is to be tracked, and what is asked for meanwhile."""
        self._stops, self._is_running = False, True
        self._tell_job("starting")
        problem = None
        try:
            self._track()
        except Exception as err:  # told to the page; the worker goes on
            problem = describe(err)
        finally:
            self._is_running = False
        is_left = bool(self.tracks.pending)
        state = "failed" if problem else "stopped" if is_left and self._stops else "idle"
        self._tell_job(state, problem=problem)

    def _track(self) -> None:
        done = 0
        while True:
            seen = self._edits
            done += self._pass(done)
            if self._stops or seen == self._edits or not self.tracks.pending:
                return

    def _pass(self, done_before: int) -> int:
        """Track what is to be tracked now; how many steps it took."""
        last = editing.last_run(self.tracks)
        stop = None if last.frames.stop >= ENDLESS else last.frames.stop
        options: Any = {"direction": last.direction, "start": last.frames.start, "stop": stop}
        options |= {"stride": last.frames.stride, "cancelled": lambda: self._stops}
        done, times = 0, [time.monotonic()]
        for progress in self.tracker.steps(**options):
            done = progress.done
            self._engine = self._engine or _known(self.tracker)
            times = [*times[-MEASURED:], time.monotonic()]
            self._tell_progress(progress, done_before, (times[-1] - times[0]) / (len(times) - 1))
            self._obey_all()
        return done

    def _tell_progress(self, progress: Progress, done_before: int, pace: float) -> None:
        total = None if progress.total is None else progress.total + done_before
        self._tell_job(
            "stopping" if self._stops else "running",
            done=progress.done + done_before,
            total=total,
            frame=progress.frame,
            backward=progress.backward,
            objects=list(progress.masks.object_ids),
            seconds_per_step=pace,
        )

    def _tell_job(self, state: str, **values: Any) -> None:  # noqa: ANN401
        if self._engine is not None:
            values["engine"] = self._engine
        self._tell({"event": "job", "state": state, **values})


def _known(tracker: MaskTracker) -> Message:
    """What is told of an engine that is loaded."""
    accepts = [name for kind, name in KINDS.items() if kind in tracker.engine.accepts]
    return {"name": tracker.engine_name, "accepts": accepts}


def main() -> None:
    """The process: settings come in the first line."""
    lines, tell = own_pipes()
    told = read_lines(lines)
    settings = told.get()
    if settings is None:
        return
    try:
        worker = Worker(settings, told, tell)
    except MaskferryError as err:
        tell({"event": "unusable", "error": describe(err)})
        return
    tell({"event": "ready"})
    worker.work()


if __name__ == "__main__":
    main()
