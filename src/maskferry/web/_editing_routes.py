"""Routes that change the tracks: objects, their masks, pins and absences; undo and redo."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from starlette.requests import Request
from starlette.responses import Response

from maskferry.child_processes import Message
from maskferry.errors import InputError
from maskferry.web._answers import answer
from maskferry.web._asked import LARGEST_ID, Body, base_revision, path_number
from maskferry.web._showing import desk_of

__all__ = [
    "absent",
    "add_object",
    "merge",
    "pin",
    "redo",
    "remove_object",
    "remove_seed",
    "rename",
    "set_seed",
    "split",
    "swap",
    "undo",
    "unpin",
]

PROMPTS = ("mask", "points", "box", "text")


async def add_object(request: Request) -> Response:
    """A new object, or all that words name."""
    body = await _body(request, "frame", "id", "label", "labels", *PROMPTS)
    object_id = body.object_id("id") if "id" in body else None
    values: Message = {"object_id": object_id, "frame": body.frame(), "is_new": True} | _prompt(body, PROMPTS)
    if "label" in body:
        values["label"] = body.text("label")
    found = await _edit(request, "give", values, [])
    return answer({"revision": found["revision"], "ids": found["ids"]}, 201)


async def set_seed(request: Request) -> Response:
    """A mask, points or a box of an object on a frame."""
    desk, object_id = desk_of(request), _id(request)
    body = await _body(request, "mask", "points", "labels", "box", "pins")
    frame = desk.tracks.video.check_frame(path_number(request, "frame"))
    values = {"object_id": object_id, "frame": frame, "pins": body.frames("pins")}
    values |= _prompt(body, ("mask", "points", "box"))
    found = await _edit(request, "give", values, [object_id], [(object_id, frame)])
    return answer({"revision": found["revision"], "existed": found["existed"]})


def _prompt(body: Body, kinds: Collection[str]) -> Message:
    """The one prompt that a body holds."""
    given = [kind for kind in kinds if kind in body]
    if len(given) != 1:
        raise InputError(f"expected one of {', '.join(kinds)}, got {' and '.join(given) or 'none'}")
    if given == ["mask"]:
        return {"mask": body.mask()}
    if given == ["points"]:
        return body.points()
    return {"box": body.box()} if given == ["box"] else {"text": body.text("text")}


async def rename(request: Request) -> Response:
    """Another name, or none."""
    body, object_id = await _body(request, "label"), _id(request)
    values = {"object_id": object_id, "label": body.text("label") if "label" in body else None}
    return answer(await _edit(request, "rename", values, [object_id]))


async def remove_object(request: Request) -> Response:
    """Take an object away."""
    await _body(request)
    object_id = _id(request)
    return answer(await _edit(request, "remove", {"object_id": object_id}, [object_id]))


async def remove_seed(request: Request) -> Response:
    """Take back what an object was prompted with on a frame."""
    return await _on_frame(request, "remove_prompt")


async def pin(request: Request) -> Response:
    """Make a tracked mask a prompt."""
    return await _on_frame(request, "pin")


async def unpin(request: Request) -> Response:
    """Take a pin away."""
    return await _on_frame(request, "unpin")


async def _on_frame(request: Request, name: str) -> Response:
    await _body(request)
    desk, object_id = desk_of(request), _id(request)
    frame = desk.tracks.video.check_frame(path_number(request, "frame"))
    masks = [(object_id, frame)] if name == "pin" else []
    return answer(await _edit(request, name, {"object_id": object_id, "frame": frame}, [object_id], masks))


async def absent(request: Request) -> Response:
    """Say that an object is not there."""
    body, object_id = await _body(request, "start", "stop"), _id(request)
    values = {"object_id": object_id, "start": body.frame("start"), "stop": body.end()}
    return answer(await _edit(request, "absent", values, [object_id]))


async def merge(request: Request) -> Response:
    """Two objects are one."""
    body = await _body(request, "keep", "other")
    values = {"keep": body.object_id("keep"), "other": body.object_id("other")}
    return answer(await _edit(request, "merge", values, [*values.values()]))


async def split(request: Request) -> Response:
    """From a frame on it is another object."""
    body = await _body(request, "object", "frame")
    values = {"object_id": body.object_id("object"), "frame": body.frame()}
    return answer(await _edit(request, "split", values, [values["object_id"]]))


async def swap(request: Request) -> Response:
    """Exchange two objects from a frame on."""
    body = await _body(request, "first", "second", "frame")
    first, second = body.object_id("first"), body.object_id("second")
    values = {"first": first, "second": second, "frame": body.frame()}
    return answer(await _edit(request, "swap", values, [first, second]))


async def undo(request: Request) -> Response:
    """Take the last edit back."""
    await _body(request)
    return answer(await _edit(request, "undo", {}, None))


async def redo(request: Request) -> Response:
    """Do again what was undone last."""
    await _body(request)
    return answer(await _edit(request, "redo", {}, None))


def _id(request: Request) -> int:
    return path_number(request, "id", 1, LARGEST_ID)


async def _body(request: Request, *names: str) -> Body:
    return await Body.read(request, desk_of(request).tracks.video, names)


async def _edit(
    request: Request, name: str, values: Message, objects: Sequence[int] | None, masks: Sequence[tuple[int, int]] = ()
) -> Message:
    """Have an edit made, if nobody else has edited these objects since the revision that the user looked at."""
    base = {"revision": base_revision(request), "objects": objects, "masks": masks}
    return await desk_of(request).edit(name, values, base)
