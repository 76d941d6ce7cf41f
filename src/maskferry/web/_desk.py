"""``Desk``: what all routes share: the open tracks, the frames, the worker, the job, the queue, the news."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskferry.child_processes import Message
from maskferry.data import Source
from maskferry.engines.registry import engine_status, known_engines, pick_engine
from maskferry.errors import MaskferryError
from maskferry.tracks import Tracks, editing
from maskferry.web._answers import ApiError, problem_of
from maskferry.web._drafts import DraftStore
from maskferry.web._events import News, changes_json
from maskferry.web._frames import Frames
from maskferry.web._judging import Judge
from maskferry.web._lane_cache import LaneCache
from maskferry.web._transfers import Transfers
from maskferry.web._video import open_video
from maskferry.web._worker_client import RefusedError, WorkerClient

__all__ = ["RUNNING", "Desk", "Settings"]

LOOK_EVERY = 0.1
"""Seconds between two looks at the tracks."""

CALM = 0.5
"""Seconds without a change before the queue is made anew."""

SMALL = 100_000
"""Masks, at most, that are judged without being asked to."""

RUNNING = ("starting", "running", "stopping")
"""States of a job in which the worker has it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a page is opened on.

    Attributes:
        tracks: the file.
        video: the video, where it is not the one that the tracks name.
        read_only: refuse every change.
        engine: what tracks; "auto" for the one that tracked before, or the best that can run here.
        engine_options: for its class.
    """

    tracks: Path
    video: str | None = None
    read_only: bool = False
    engine: str = "auto"
    engine_options: Mapping[str, Any] = field(default_factory=dict)


class Desk:
    """The open tracks and all that works on them. Built in any thread; then used in the server's event loop.

    Attributes:
        settings: what was asked for.
        tracks: for reading.
        video_problem: why there are no frames; None where there are.
        job: the job as the page is told of it.
        revision: of the tracks, when they were looked at last.
    """

    def __init__(self, settings: Settings) -> None:
        """Open everything.

        Raises:
            InputError: there is no such tracks file, or the engine has no such name.
            DamagedTracksError: it is damaged.
        """
        self.settings = settings
        self.tracks = Tracks.open(settings.tracks, read_only=settings.read_only)
        try:
            self.engine = _engine(self.tracks, settings.engine)
            source, self.video_problem = self._open_video()
            self.frames = Frames(source, self.tracks.video.frame_count or 0)
        except BaseException:
            self.tracks.close()
            raise
        common = {"tracks": str(settings.tracks), "video": settings.video}
        options = {"engine": settings.engine, "options": dict(settings.engine_options)}
        self.worker = WorkerClient(common | options, self._hear)
        self.drafts = DraftStore(settings.tracks)
        self.lanes = LaneCache(self.tracks)
        self.news = News()
        self.judge = Judge(self.tracks, common | {"has_video": self.video_problem is None}, self._tell_queue)
        self.transfers = Transfers(common, self.news)
        self.job: Message = {"state": "idle"}
        self.revision = self.tracks.revision
        self._job_changed = self._is_gone = False
        self._changed_at = time.monotonic()
        self._tasks: set[asyncio.Task[Any]] = set()

    def _open_video(self) -> tuple[Callable[[], Source], str | None]:
        """(what gives the open video, why there is none)."""
        try:
            source = open_video(self.tracks, self.settings.video)
        except MaskferryError as err:
            problem = err

            def refuse() -> Source:
                raise problem

            return refuse, str(err)
        return (lambda: source), None

    # --- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look at the tracks, and have a worker ready."""
        self._loop = asyncio.get_running_loop()
        if not self.settings.read_only:
            self.worker.start()
        self._spawn(self._watch())

    def say_goodbye(self) -> None:
        """End the streams of news, from any thread: the server waits for them before it ends."""
        self._loop.call_soon_threadsafe(self.news.end)

    async def close(self) -> None:
        """End everything; the worker comes to the end of its frame."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.news.end()
        await self.judge.close()
        await self.transfers.close()
        self.tracks.close()  # before the worker, which leaves one self-contained file where nobody reads
        await asyncio.to_thread(self.worker.close)
        await asyncio.to_thread(self.frames.close)

    def _spawn(self, work: Any) -> None:  # noqa: ANN401
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- what happens -------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Tell what changes, whoever changes it."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if self._job_changed:
                self._job_changed = False
                self.news.tell("job", self.job)
            try:
                await self._look()
            except MaskferryError as err:
                if not self._is_gone:
                    self._is_gone = True
                    self.news.tell("gone", {"problem": str(err)})
                continue
            await self._keep_queue()

    async def _look(self) -> None:
        def look() -> tuple[int, Message]:
            self.tracks.database.check_place()
            now = self.tracks.revision
            if now == self.revision:
                return now, {}
            return now, changes_json(self.tracks.changes_since(self.revision))

        now, changes = await asyncio.to_thread(look)
        if now != self.revision:
            self.revision, self._changed_at = now, time.monotonic()
            self.news.tell("revision", {"revision": now, "changes": changes})

    async def _keep_queue(self) -> None:
        """Judge what has changed, once nothing changes any more."""
        is_calm = time.monotonic() - self._changed_at > CALM and self.job["state"] not in RUNNING
        if not is_calm or self.judge.is_working:
            return
        state = await asyncio.to_thread(self.judge.state)
        if state == "outdated" or (state == "none" and await asyncio.to_thread(self._is_small)):
            self.judge_now(whole=False)

    def _is_small(self) -> bool:
        return 0 < len(self.tracks) * len(self.tracks.object_ids) <= SMALL

    def judge_now(self, *, whole: bool) -> None:
        """Make the queue, and keep it in the tracks file where that may be changed."""
        self._spawn(self._judge(whole=whole))

    async def _judge(self, *, whole: bool) -> None:
        found = await self.judge.judge(whole=whole)
        if found is not None and not self.settings.read_only:
            with suppress(MaskferryError):  # it is made again the next time
                await self.worker.ask("save_review", found)

    def check(self) -> None:
        """Track every object back with the engine, and look where the ways part.

        Raises:
            ApiError: nothing may be changed, there are no frames, or something else is at work.
        """
        self.require_writable()
        if self.video_problem is not None:
            raise ApiError(409, "SourceError", self.video_problem, "open the page with the video")
        if self.job["state"] in RUNNING or self.judge.is_working:
            raise ApiError(409, "BusyError", "something is being tracked, or looked at: wait for its end, or stop it")
        self._spawn(self._check({"engine": self.engine["name"], "options": dict(self.settings.engine_options)}))

    async def _check(self, engine: Message) -> None:
        found = await self.judge.check(engine)
        if found is not None:
            with suppress(MaskferryError):
                await self.worker.ask("save_review", found)

    def _tell_queue(self) -> None:
        async def tell() -> None:
            self.news.tell("queue", await asyncio.to_thread(self.judge.show))

        self._spawn(tell())

    # --- the job ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Have the worker track what is to be tracked."""
        self._set_job({"state": "starting"})
        self.worker.say({"do": "run"})

    def stop(self) -> None:
        """Have it stop after its frame."""
        if self.job["state"] in RUNNING:
            self._set_job(self.job | {"state": "stopping"})
            self.worker.say({"do": "stop"})

    def _hear(self, message: Message) -> None:
        """News of the worker."""
        if message["event"] == "job":
            known = message.pop("engine", None)
            if known is not None:
                self.engine |= known | {"loaded": True}
            del message["event"]
            self._set_job(_ended(self.job, message))
        elif message["event"] == "unusable":
            self._set_job({"state": "failed", "problem": message["error"]})
        elif message["event"] == "died" and self.job["state"] in RUNNING:
            text = f"the worker died: {message['how']}; everything that was finished is kept"
            problem = {"kind": "WorkerError", "message": text, "hint": "go on, or take the edit back"}
            self._set_job(self.job | {"state": "died", "problem": problem})

    def _set_job(self, job: Message) -> None:
        self.job, self._job_changed, self._changed_at = job, True, time.monotonic()

    @property
    def seconds_per_step(self) -> float | None:
        """How long a step took last; None before the first."""
        return self.job.get("seconds_per_step")

    # --- for the routes -----------------------------------------------------------------------------------------

    async def edit(self, name: str, values: Message, base: Message | None = None) -> Message:
        """Have the worker make an edit, see `_worker_edits`.

        Raises:
            ApiError: the page may not change anything.
            RefusedError: it was not made.
            WorkerDiedError: nobody knows whether it was.
        """
        self.require_writable()
        return await self.worker.ask(name, values, base)

    def require_writable(self) -> None:
        """Refuse to change anything where the page was opened for reading.

        Raises:
            ApiError: it was.
        """
        if self.settings.read_only:
            raise ApiError(403, "ReadOnlyError", "this page was opened with --read-only", "open it without")

    def job_json(self) -> Message:
        """The job for the page, with all of its fields."""
        empty = dict.fromkeys(("total", "frame", "backward", "seconds_per_step", "problem"))
        return empty | {"done": 0, "objects": []} | self.job


def _ended(before: Message, now: Message) -> Message:
    """A job's news; when it has ended, how far it had come is told on."""
    if now["state"] in ("running", "starting"):
        pace = before.get("seconds_per_step")
        return ({} if pace is None else {"seconds_per_step": pace}) | now
    if now.get("problem") is not None:
        now["problem"] = problem_of(RefusedError(now["problem"]))[1]
    return before | {"problem": None} | now


def _engine(tracks: Tracks, wanted: str) -> Message:
    """What is known of the engine before it is loaded.

    Raises:
        UnknownEngineError: there is none of this name.
    """
    name = wanted
    if wanted == "auto":
        name = editing.last_run(tracks).engine or pick_engine()
    spec = known_engines().get(name)
    status = engine_status(name)
    accepts = ["mask"]
    if spec is not None and spec.weights is not None:
        accepts += ["points", "box"]
    if spec is not None and spec.takes_text:
        accepts += ["text"]
    return {"name": name, "ready": status.ready, "reason": status.reason, "loaded": False, "accepts": accepts}
