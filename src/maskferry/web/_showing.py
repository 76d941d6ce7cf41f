"""Routes that read: the run, frames, masks, lanes, scores, the queue, events."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from maskferry import __version__
from maskferry.child_processes import Message
from maskferry.data import FrameTracks
from maskferry.errors import InputError, UnknownObjectError
from maskferry.formats.registry import known_formats
from maskferry.rendering import color_of
from maskferry.tracks import STATE_CODES, Tracks, editing
from maskferry.tracks.editing import Preview
from maskferry.web._answers import ApiError, answer
from maskferry.web._asked import id_list, path_number, query_number
from maskferry.web._desk import Desk
from maskferry.web._events import FOREVER, changes_json, stream
from maskferry.web._frames import AHEAD
from maskferry.web._gate import mask_limit
from maskferry.web._jpegs import WIDEST, Jpeg
from maskferry.web._runs import score_runs, state_runs, worst_runs
from maskferry.web._transfers import MOST_IMPORT_BYTES

__all__ = ["desk_of", "events", "frame", "lanes", "masks", "preview_json", "run", "scores"]

MOST_MASKS = 256
"""Frames of which masks are given at once."""

MOST_LANES = 64
"""Objects of which lanes are given at once."""

MOST_HISTORY = 50
"""Edits that are named."""


def desk_of(request: Request) -> Desk:
    """What the server works with."""
    desk: Desk = request.app.state.desk
    return desk


# --- the run ----------------------------------------------------------------------------------------------------------


def run(request: Request) -> Response:
    """Everything that a page needs to begin."""
    desk = desk_of(request)
    tracks, pending = desk.tracks, editing.preview(desk.tracks)
    return answer(
        {
            "version": __version__,
            "revision": tracks.revision,
            "read_only": desk.settings.read_only,
            "video": _video(desk),
            "tracks": {"name": desk.settings.tracks.name, "frames": len(tracks), "finished": not pending.steps},
            "objects": _objects(tracks),
            "next_id": editing.next_id(tracks),
            "engine": desk.engine,
            "job": desk.job_json(),
            "pending": preview_json(pending),
            "history": {"undo": editing.history(tracks)[-MOST_HISTORY:], "redo": editing.next_redo(tracks)},
            "drafts": desk.drafts.list(),
            "formats": _formats(),
            "queue": desk.judge.show(),
            "limits": {
                "mask_bytes": mask_limit(tracks.video.size_hw),
                "import_bytes": MOST_IMPORT_BYTES,
                "frames": AHEAD,
                "masks": MOST_MASKS,
            },
        }
    )


def _video(desk: Desk) -> Message:
    video = desk.tracks.video
    return {
        "name": video.name,
        "width": video.width,
        "height": video.height,
        "rate": None if video.rate is None else float(video.rate),
        "frame_count": video.frame_count,
        "available": desk.video_problem is None,
        "problem": desk.video_problem,
        "stopped_at": desk.tracks.stopped_at,
    }


def _objects(tracks: Tracks) -> list[Message]:
    labels, scores = tracks.labels, tracks.given_scores
    return [
        {
            "id": i,
            "label": labels.get(i),
            "color": list(color_of(i)),
            "safe_color": list(color_of(i, "safe")),
            "score": scores.get(i),
            "seeds": own.seeds,
            "pins": own.pins,
            "absent": [list(stretch) for stretch in own.absent],
        }
        for i, own in editing.prompts(tracks).items()
    ]


def _formats() -> list[Message]:
    return [
        {"name": name, "summary": spec.summary, "is_folder": spec.is_folder, "needs_pictures": spec.needs_pictures}
        for name, spec in known_formats().items()
    ]


def preview_json(preview: Preview) -> Message:
    """What a run would have to do, for the page."""
    spans = [
        {"object": s.object_id, "start": s.start, "stop": min(s.stop, FOREVER), "backward": s.backward}
        for s in preview.spans
    ]
    return {"steps": preview.steps, "done": preview.done, "spans": spans}


# --- frames and masks -------------------------------------------------------------------------------------------------


async def frame(request: Request) -> Response:
    """A frame as JPEG."""
    desk = desk_of(request)
    index = desk.tracks.video.check_frame(path_number(request, "frame"))
    width = min(query_number(request, "w", WIDEST), 1 << 16)
    own = desk.tracks.video.width
    wish = desk.frames.get(index, 0 if width >= own else width)
    jpeg = await _wait(wish, request)
    headers = {"Cache-Control": "private, max-age=86400, immutable", "Vary": "Authorization"}
    if jpeg.time is not None:
        headers["X-Frame-Time"] = f"{jpeg.time:.6f}"
    return Response(jpeg.data, media_type="image/jpeg", headers=headers)


async def _wait(wish: Future[Jpeg], request: Request) -> Jpeg:
    """Wait for a frame, as long as somebody wants it."""
    found = asyncio.wrap_future(wish)
    while not found.done():
        await asyncio.wait([found], timeout=0.25)
        if not found.done() and await request.is_disconnected():
            found.cancel()
            raise ApiError(408, "SlowRequestError", "nobody waits for this frame any more")
    return found.result()


def masks(request: Request) -> Response:
    """Masks of a stretch of frames."""
    tracks = desk_of(request).tracks
    start, stop = query_number(request, "from"), query_number(request, "to")
    if not 0 < stop - start <= MOST_MASKS:
        raise InputError(f"from, to: expected a stretch of 1 to {MOST_MASKS} frames, got {start} to {stop}")
    objects = id_list(request)
    revision = tracks.revision
    wanted = None if objects is None else set(objects)
    frames = [_frame_json(found, wanted) for found in tracks.frames(start, stop)]
    return answer({"revision": revision, "size": list(tracks.video.size_hw), "frames": frames})


def _frame_json(found: FrameTracks, wanted: set[int] | None) -> Message:
    rows = [
        {
            "id": row.object_id,
            "state": STATE_CODES.index(row.state),
            "score": round(row.score, 4),
            "fidelity": row.fidelity,
            "counts": row.rle.counts.decode(),
        }
        for row in found.masks
        if wanted is None or row.object_id in wanted
    ]
    return {"frame": found.info.index, "time": found.info.time, "name": found.info.name, "masks": rows}


# --- over time --------------------------------------------------------------------------------------------------------


def lanes(request: Request) -> Response:
    """States of objects over time."""
    desk = desk_of(request)
    tracks = desk.tracks
    revision, count = tracks.revision, tracks.video.frame_count or 0
    if request.query_params.get("overview") == "1":
        runs = worst_runs((desk.lanes.get(i) for i in tracks.object_ids), count)
        return answer({"revision": revision, "frame_count": count, "runs": runs})
    known = tracks.object_ids
    wanted = id_list(request)
    chosen = known[:MOST_LANES] if wanted is None else [i for i in wanted if i in known]
    if len(chosen) > MOST_LANES:
        raise InputError(f"objects: expected at most {MOST_LANES}, got {len(chosen)}")
    prompts = editing.prompts(tracks)
    pending = tracks.pending
    found = []
    for i in chosen:
        own = prompts.get(i, editing.ObjectPrompts([], [], []))
        left = [[part.start, min(part.stop, count)] for part in pending if part.object_id == i]
        lane = {"id": i, "runs": state_runs(desk.lanes.get(i)), "seeds": own.seeds, "pins": own.pins, "pending": left}
        found.append(lane | {"absent": [list(stretch) for stretch in own.absent]})
    return answer({"revision": revision, "frame_count": count, "lanes": found})


def scores(request: Request) -> Response:
    """Scores of an object over time."""
    desk = desk_of(request)
    tracks = desk.tracks
    object_id = path_number(request, "id")
    if object_id not in tracks.object_ids:
        raise UnknownObjectError(f"no object has the id {object_id}")
    return answer({"revision": tracks.revision, "id": object_id, "runs": score_runs(desk.lanes.get(object_id))})


# --- news -------------------------------------------------------------------------------------------------------------


def events(request: Request) -> Response:
    """The stream of news."""
    desk = desk_of(request)
    since = query_number(request, "since", -1)

    def hello() -> Message:
        now = desk.tracks.revision
        changes = changes_json(desk.tracks.changes_since(since)) if since >= 0 else {}
        return {"revision": now, "job": desk.job_json(), "queue": desk.judge.show(), "changes": changes}

    return StreamingResponse(
        stream(desk.news, hello), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )
