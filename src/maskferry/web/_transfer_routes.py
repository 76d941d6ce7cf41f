"""Routes of files in and out."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from maskferry.child_processes import Message
from maskferry.errors import InputError
from maskferry.formats.registry import known_formats
from maskferry.outputs import RENDERINGS
from maskferry.tracks import Tracks, editing
from maskferry.web._answers import ApiError, answer
from maskferry.web._asked import Body, base_revision
from maskferry.web._showing import desk_of
from maskferry.web._transfers import MOST_IMPORT_BYTES

__all__ = ["apply_import", "drop_export", "drop_import", "get_export", "read_import", "write_export"]

OPTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "film": {"palette": ("default", "safe")},
    "sheet": {"palette": ("default", "safe")},
    "davis": {"overlap": ("smallest", "score", "first", "last")},
}
"""{format: {option: its values}}"""


# --- in ---------------------------------------------------------------------------------------------------------------


async def read_import(request: Request) -> Response:
    """Read a file of masks; nothing is given yet."""
    desk = desk_of(request)
    body = await Body.read(request, desk.tracks.video, ("name", "data", "frame"))
    desk.require_writable()
    data = body.text("data", MOST_IMPORT_BYTES * 2)
    frame = body.frame() if "frame" in body else None
    key, found = await desk.transfers.read(body.text("name", 1000), data, frame)
    more = {"kinds": found["kinds"], "left_out": found["left_out"], "notes": found["notes"]}
    return answer({"key": key, **_contents(desk.tracks, found), **more}, 201)


def _contents(tracks: Tracks, found: Message) -> Message:
    """Which objects a file has, on which frames, and where they have masks already."""
    there = editing.prompts(tracks)
    frames: dict[int, list[int]] = {}
    for given in found["frames"]:
        for i in given["masks"]:
            frames.setdefault(int(i), []).append(given["frame"])
    objects = [
        {"id": i, "label": found["labels"].get(str(i)), "frames": own, "is_new": i not in there}
        for i, own in sorted(frames.items())
    ]
    return {"objects": objects, "conflicts": _conflicts(tracks, found)}


def _conflicts(tracks: Tracks, found: Message) -> list[Message]:
    there = editing.prompts(tracks)
    return [
        {"object": int(i), "frame": given["frame"]}
        for given in found["frames"]
        for i in given["masks"]
        if int(i) in there and given["frame"] in there[int(i)].seeds
    ]


async def apply_import(request: Request) -> Response:
    """Give the masks of a file that was read."""
    desk, key = desk_of(request), request.path_params["key"]
    body = await Body.read(request, desk.tracks.video, ("replace",))
    base = {"revision": base_revision(request)}
    found = desk.transfers.given(key)
    conflicts = _conflicts(desk.tracks, found)
    if conflicts and not body.truth("replace"):
        first = conflicts[0]
        raise InputError(
            f"object {first['object']} has a mask on frame {first['frame']} already, and {len(conflicts) - 1} others: "
            "replace them, or leave the file out"
        )
    objects = sorted({int(i) for given in found["frames"] for i in given["masks"]})
    values = {"frames": found["frames"], "labels": found["labels"]}
    done = await desk.edit("give_all", values, base | {"objects": objects})
    desk.transfers.forget(key)
    return answer(done)


async def drop_import(request: Request) -> Response:
    """Forget a file that was read."""
    desk_of(request).transfers.forget(request.path_params["key"])
    return answer({})


# --- out --------------------------------------------------------------------------------------------------------------


async def write_export(request: Request) -> Response:
    """Begin to write results. Nothing of the run changes, but the page must be one that may write."""
    desk = desk_of(request)
    body = await Body.read(request, desk.tracks.video, ("format", "options"))
    name = body.choice("format", (*known_formats(), *RENDERINGS, "tracks"))
    known, options = OPTIONS.get(name, {}), body.mapping("options")
    for option, value in options.items():
        if value not in known.get(option, ()):
            raise InputError(f"options: {option[:50]!r} cannot be {value!r} in the format {name!r}")
    return answer(desk.transfers.write(name, options).show(), 202)


async def get_export(request: Request) -> Response:
    """How far an export is, or its file."""
    desk = desk_of(request)
    export = desk.transfers.export(request.path_params["key"])
    if export.problem is not None:
        status, problem = export.problem
        return answer(problem, status)
    if export.path is None:
        return answer(export.show(), 202)
    if not export.path.is_file():
        raise ApiError(404, "NotFoundError", "the file of this export is gone: begin it again")
    name = f"{_plain(desk.tracks.video.name)}-{_plain(export.kind)}{export.path.suffix}"
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
    return FileResponse(export.path, media_type="application/octet-stream", headers=headers)


async def drop_export(request: Request) -> Response:
    """Stop an export, and remove its file."""
    await desk_of(request).transfers.drop(request.path_params["key"])
    return answer({})


def _plain(name: str) -> str:
    """A name of letters and digits that no header and no file system minds."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name.rpartition(".")[0] or name).strip("-")[:60] or "tracks"
