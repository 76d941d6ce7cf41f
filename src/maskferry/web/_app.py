"""The routes, put together behind the gate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from maskferry.errors import MaskferryError
from maskferry.web import _draft_routes as drafts
from maskferry.web import _editing_routes as editing
from maskferry.web import _job_routes as jobs
from maskferry.web import _queue_routes as queue
from maskferry.web import _showing as showing
from maskferry.web import _transfer_routes as transfers
from maskferry.web._answers import ApiError, answer, explain
from maskferry.web._desk import Desk
from maskferry.web._gate import Gate, Rules
from maskferry.web._pages import page

__all__ = ["ROUTES", "build_app"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "run", showing.run),
    ("GET", "frames/{frame}", showing.frame),
    ("GET", "masks", showing.masks),
    ("GET", "lanes", showing.lanes),
    ("GET", "scores/{id}", showing.scores),
    ("GET", "events", showing.events),
    ("GET", "queue", queue.queue),
    ("POST", "queue", queue.make_queue),
    ("DELETE", "queue/check", queue.stop_check),
    ("PUT", "queue/{key}/verdict", queue.set_verdict),
    ("POST", "objects", editing.add_object),
    ("POST", "objects/merge", editing.merge),
    ("POST", "objects/split", editing.split),
    ("POST", "objects/swap", editing.swap),
    ("PATCH", "objects/{id}", editing.rename),
    ("DELETE", "objects/{id}", editing.remove_object),
    ("PUT", "objects/{id}/seeds/{frame}", editing.set_seed),
    ("DELETE", "objects/{id}/seeds/{frame}", editing.remove_seed),
    ("PUT", "objects/{id}/pins/{frame}", editing.pin),
    ("DELETE", "objects/{id}/pins/{frame}", editing.unpin),
    ("PUT", "objects/{id}/absent", editing.absent),
    ("POST", "undo", editing.undo),
    ("POST", "redo", editing.redo),
    ("POST", "preview", jobs.preview),
    ("POST", "jobs", jobs.start_job),
    ("DELETE", "jobs/current", jobs.stop_job),
    ("GET", "drafts/{id}/{frame}", drafts.get_draft),
    ("PUT", "drafts/{id}/{frame}", drafts.put_draft),
    ("DELETE", "drafts/{id}/{frame}", drafts.drop_draft),
    ("POST", "imports", transfers.read_import),
    ("POST", "imports/{key}", transfers.apply_import),
    ("DELETE", "imports/{key}", transfers.drop_import),
    ("POST", "exports", transfers.write_export),
    ("GET", "exports/{key}", transfers.get_export),
    ("DELETE", "exports/{key}", transfers.drop_export),
)
"""(method, path below /api/v1/, what answers)"""


def build_app(desk: Desk, rules: Rules) -> ASGIApp:
    """The server as an ASGI application. The desk is closed when it ends."""

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        desk.start()
        try:
            yield
        finally:
            await desk.close()

    routes = [Route(f"/api/v1/{path}", call, methods=[method]) for method, path, call in ROUTES]

    def refuse(request: Request) -> Response:
        """A path, or a method of it, that there is not."""
        if any(route.path_regex.match(request.url.path) for route in routes):
            raise ApiError(405, "MethodError", f"{request.method}: not here")
        raise ApiError(404, "NotFoundError", "there is no such address")

    pages = [Route("/api/{rest:path}", refuse, methods=[*METHODS]), Route("/", page), Route("/{name:path}", page)]
    handlers: Any = {HTTPException: _refuse, MaskferryError: explain, Exception: explain}
    app = Starlette(routes=[*routes, *pages], exception_handlers=handlers, lifespan=life)
    app.state.desk = desk
    return Gate(app, rules)


async def _refuse(_: Request, err: HTTPException) -> Response:
    """What Starlette itself refuses."""
    kind = {404: "NotFoundError", 405: "MethodError"}.get(err.status_code, "InputError")
    return answer({"kind": kind, "message": str(err.detail), "hint": None}, err.status_code)
