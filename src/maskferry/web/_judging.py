"""``Judge``: keeps the review queue up to date, in a process of its own, and remembers what was there before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from maskferry.child_processes import Message
from maskferry.errors import DamagedTracksError, MaskferryError
from maskferry.tracks import Tracks
from maskferry.tracks.review import Moment, ObjectSummary, load_summaries, verdicts
from maskferry.web._answers import ApiError, problem_of
from maskferry.web._errands import run_errand
from maskferry.web._queue import NEAR, Row, is_open, queue_rows, row_json

__all__ = ["Judge"]


class Judge:
    """The queue of one tracks file. Used in the server's event loop, but for `show`."""

    def __init__(self, tracks: Tracks, settings: Message, told: Callable[[], None]) -> None:
        """Take what was judged earlier.

        Args:
            tracks: the open tracks, for reading.
            settings: arguments of the task: ``tracks``, ``video``, ``has_video``.
            told: called when the state has changed.
        """
        self._tracks, self._settings, self._told = tracks, settings, told
        self._summaries: list[ObjectSummary] = []
        self.revision: int | None = None
        self.problem: Message | None = None
        self.progress: float | None = None
        self._work: asyncio.Task[Message | None] | None = None
        self._before: set[tuple[int, int]] = set()
        with suppress(DamagedTracksError):  # then it is made anew
            self.revision, self._summaries = load_summaries(tracks) or (None, [])

    @property
    def is_working(self) -> bool:
        """Whether the tracks are being looked at."""
        return self._work is not None and not self._work.done()

    def state(self) -> str:
        """none, working, failed, outdated or ready."""
        if self.is_working:
            return "working"
        if self.problem is not None:
            return "failed"
        if self.revision is None:
            return "none"
        return "ready" if self.revision == self._tracks.revision else "outdated"

    def rows(self) -> list[Message]:
        """The rows for the page: open ones first."""
        said = verdicts(self._tracks)
        rows = [row_json(row, said, self._before) for row in queue_rows(self._summaries)]
        return sorted(rows, key=lambda row: not is_open(row))

    def show(self) -> Message:
        """The state in short."""
        rows = self.rows()
        return {
            "state": self.state(),
            "revision": self.revision,
            "rows": len(rows),
            "open": sum(map(is_open, rows)),
            "progress": self.progress,
        }

    def row(self, key: str) -> Row:
        """A row.

        Raises:
            ApiError: there is none.
        """
        for row in queue_rows(self._summaries):
            if row.key == key:
                return row
        raise ApiError(404, "NotFoundError", "there is no such row in the queue: read it again")

    async def judge(self, *, whole: bool = False) -> Message | None:
        """Look at what has changed, or at everything.

        Returns:
            What is to be kept in the tracks file; None where it failed.
        """
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._judge(whole=whole))
            self._told()
        return await asyncio.shield(self._work)

    async def check(self, engine: Message) -> Message | None:
        """Have every object tracked back, and look at everything anew, see `way_back.check_way_back`.

        Args:
            engine: the ``engine`` and its ``options``.

        Returns:
            As `judge`; None, too, where it was stopped, or tracks are being looked at already.
        """
        if self.is_working:
            return None
        self._work = asyncio.create_task(self._check(engine))
        self._told()
        with suppress(asyncio.CancelledError):
            return await asyncio.shield(self._work)
        return None

    async def _check(self, engine: Message) -> Message | None:
        self.problem, self.progress = None, 0.0
        try:
            place = {"tracks": self._settings["tracks"], "video": self._settings["video"]}
            await run_errand("check", {**place, **engine}, self._hear)
        except MaskferryError as err:
            self.problem = problem_of(err)[1]
            return None
        finally:
            self.progress = None
            asyncio.get_running_loop().call_soon(self._told)
        return await self._judge(whole=True)

    def _hear(self, message: Message) -> None:
        self.progress = message["done"] / max(message["total"] or 1, 1)
        self._told()

    def stop(self) -> None:
        """Stop a check. What it has found so far is not kept."""
        if self._work is not None and self.progress is not None:
            self._work.cancel()

    async def _judge(self, *, whole: bool) -> Message | None:
        self.problem = None
        found: Message | None = None
        try:
            found = await run_errand("review", {**self._settings, "whole": whole})
        except MaskferryError as err:
            self.problem = problem_of(err)[1]
        if found is not None:
            summaries = [ObjectSummary.from_dict(value) for value in found["summaries"]]
            await asyncio.to_thread(self._replace, summaries, found["revision"])
        asyncio.get_running_loop().call_soon(self._told)  # when this task is done
        return found

    def _replace(self, summaries: list[ObjectSummary], revision: int) -> None:
        """Take new summaries; what was there before, and may be there still, is remembered."""
        changes = self._tracks.changes_since(self.revision) if self.revision is not None else {}
        moments = [moment for summary in self._summaries for moment in summary.moments]
        self._before = {(m.object_id, m.frame) for m in moments if _is_near(m, changes.get(m.object_id, []))}
        self._summaries, self.revision = summaries, revision

    async def close(self) -> None:
        """Stop looking."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)


def _is_near(moment: Moment, changes: list[tuple[int, int]]) -> bool:
    """Whether masks have changed near a moment."""
    return any(start <= moment.frame + NEAR and moment.frame - NEAR < stop for start, stop in changes)
