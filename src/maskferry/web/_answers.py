"""Answers as JSON, and errors as answers: each kind has its status, its text and what to do."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from maskferry.child_processes import Message, describe
from maskferry.errors import MaskferryError
from maskferry.web._worker_client import RefusedError, WorkerDiedError

__all__ = ["ApiError", "answer", "explain", "problem_of"]

STATUS = {
    "InputError": 422,
    "NothingFoundError": 422,
    "PromptNotSupportedError": 422,
    "UnknownEngineError": 422,
    "UnknownObjectError": 404,
    "OutdatedError": 409,
    "RunningElsewhereError": 423,
}
"""The status of an error of the library; others are 500."""

HINTS = {
    "OutdatedError": "look at it again, or apply on top of it: send the request again with the new revision",
    "RunningElsewhereError": "wait for its end, or stop it",
    "DamagedTracksError": "`maskferry check` says what can be saved",
    "WorkerError": "compare the revision, then try again",
    "MissingExtraError": "install it, and open the page again",
}


class ApiError(MaskferryError):
    """A request that is refused by the server itself.

    Attributes:
        status: of HTTP.
        kind: of the error.
        hint: what to do.
        more: what else the answer holds.
    """

    def __init__(self, status: int, kind: str, message: str, hint: str | None = None, **more: Any) -> None:  # noqa: ANN401
        super().__init__(message)
        self.status, self.kind, self.hint, self.more = status, kind, hint, more


def answer(value: Message, status: int = 200) -> Response:
    """A value as JSON, which nobody keeps."""
    return JSONResponse(value, status, {"Cache-Control": "no-store"})


def problem_of(err: BaseException) -> tuple[int, Message]:
    """(status, the answer) of an error."""
    if isinstance(err, ApiError):
        found: Message = {"kind": err.kind, "message": str(err), "hint": err.hint, **err.more}
        return err.status, found
    if isinstance(err, RefusedError):
        found = dict(err.problem)
    elif isinstance(err, WorkerDiedError):
        found = {"kind": "WorkerError", "message": str(err)}
    else:
        found = describe(err)
    status = 503 if found["kind"] == "WorkerError" else STATUS.get(found["kind"], 500)
    return status, {"hint": HINTS.get(found["kind"]), **found}


async def explain(_: Request, err: Exception) -> Response:
    """The answer to a request that failed."""
    status, found = problem_of(err)
    return answer(found, status)
