"""Routes of drafts: masks that are being painted."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from maskferry.web._answers import answer
from maskferry.web._asked import LARGEST_ID, Body, path_number
from maskferry.web._desk import Desk
from maskferry.web._showing import desk_of

__all__ = ["drop_draft", "get_draft", "put_draft"]


async def get_draft(request: Request) -> Response:
    """A draft with its mask."""
    desk = desk_of(request)
    return answer(await asyncio.to_thread(desk.drafts.get, *_place(request)))


async def put_draft(request: Request) -> Response:
    """Keep a draft."""
    desk = desk_of(request)
    object_id, frame = _place(request)
    body = await Body.read(request, desk.tracks.video, ("mask", "revision", "client", "over"))
    desk.require_writable()
    draft = {"object": object_id, "frame": frame, "mask": body.mask()}
    draft |= {"revision": body.number("revision"), "client": body.text("client")}
    saved = await asyncio.to_thread(lambda: desk.drafts.put(draft, over=body.truth("over")))
    await _tell(desk)
    return answer({"saved": saved})


async def drop_draft(request: Request) -> Response:
    """Throw a draft away."""
    desk = desk_of(request)
    desk.require_writable()
    await asyncio.to_thread(desk.drafts.remove, *_place(request))
    await _tell(desk)
    return answer({})


def _place(request: Request) -> tuple[int, int]:
    frame = path_number(request, "frame")
    return path_number(request, "id", 0, LARGEST_ID), desk_of(request).tracks.video.check_frame(frame)


async def _tell(desk: Desk) -> None:
    desk.news.tell("drafts", {"drafts": await asyncio.to_thread(desk.drafts.list)})
