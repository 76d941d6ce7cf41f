"""Routes of the job, and of what it would cost."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from maskferry.child_processes import Message
from maskferry.tracks import Tracks, editing
from maskferry.web._answers import ApiError, answer
from maskferry.web._asked import Body
from maskferry.web._desk import RUNNING
from maskferry.web._showing import desk_of, preview_json

__all__ = ["preview", "start_job", "stop_job"]


async def start_job(request: Request) -> Response:
    """Track what is to be tracked."""
    desk = desk_of(request)
    await Body.read(request, desk.tracks.video, ())
    desk.require_writable()
    if not await asyncio.to_thread(lambda: desk.tracks.pending):
        return answer({"job": desk.job_json()})
    if desk.job["state"] in RUNNING:
        raise ApiError(409, "BusyError", "it is being tracked already", job=desk.job_json())
    desk.run()
    return answer({"job": desk.job_json()}, 202)


async def stop_job(request: Request) -> Response:
    """Stop after the frame that is being tracked."""
    desk = desk_of(request)
    desk.require_writable()
    desk.stop()
    return answer({"job": desk.job_json()}, 202)


async def preview(request: Request) -> Response:
    """What a correction would cost; nothing is written."""
    desk = desk_of(request)
    body = await Body.read(request, desk.tracks.video, ("prompts", "pins"))
    prompts, pins = body.pairs("prompts"), body.pairs("pins")
    pace = desk.seconds_per_step

    def look() -> Message:
        revision = desk.tracks.revision
        found = preview_json(editing.preview(desk.tracks, prompts, pins))
        seconds = None if pace is None else round(found["steps"] * pace, 3)
        neighbours = _neighbours(desk.tracks, prompts, pins)
        return {"revision": revision, **found, "seconds": seconds, "neighbours": neighbours}

    return answer(await asyncio.to_thread(look))


def _neighbours(tracks: Tracks, prompts: list[tuple[int, int]], pins: list[tuple[int, int]]) -> list[Message]:
    """The nearest prompts on both sides of each that would be given."""
    there = editing.prompts(tracks)
    found = []
    for object_id, frame in prompts:
        own = there.get(object_id, editing.ObjectPrompts([], [], []))
        frames = {*own.seeds, *own.pins, *(f for i, f in (*pins, *prompts) if i == object_id)}
        before, after = [f for f in frames if f < frame], [f for f in frames if f > frame]
        nearest = {"before": max(before, default=None), "after": min(after, default=None)}
        found.append({"object": object_id, "frame": frame, **nearest})
    return found
