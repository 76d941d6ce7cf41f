"""Routes of the review queue."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from maskferry.child_processes import Message
from maskferry.web._answers import answer
from maskferry.web._asked import Body
from maskferry.web._showing import desk_of

__all__ = ["make_queue", "queue", "set_verdict", "stop_check"]

ANSWERS = ("fine", "fix", "later")


def queue(request: Request) -> Response:
    """What may be wrong, the worst first."""
    desk = desk_of(request)
    found = {"state": desk.judge.state(), "revision": desk.tracks.revision, "frame_revision": desk.judge.revision}
    return answer(found | {"progress": desk.judge.progress, "problem": desk.judge.problem, "rows": desk.judge.rows()})


async def make_queue(request: Request) -> Response:
    """Look for what may be wrong."""
    desk = desk_of(request)
    body = await Body.read(request, desk.tracks.video, ("whole", "check"))
    if body.truth("check"):
        desk.check()
    else:
        desk.judge_now(whole=body.truth("whole"))
    return answer({"state": "working"}, 202)


async def stop_check(request: Request) -> Response:
    """Stop tracking back."""
    desk = desk_of(request)
    desk.require_writable()
    desk.judge.stop()
    return answer({"state": desk.judge.state()}, 202)


async def set_verdict(request: Request) -> Response:
    """What a person says of a row: of all of its moments."""
    desk = desk_of(request)
    body = await Body.read(request, desk.tracks.video, ("answer",))
    said = body.choice("answer", ANSWERS) if "answer" in body else None
    moments: list[Message] = [asdict(moment) for moment in desk.judge.row(request.path_params["key"]).moments]
    found = await desk.edit("verdict", {"moments": moments, "answer": said})
    desk.news.tell("queue", await asyncio.to_thread(desk.judge.show))
    return answer(found)
