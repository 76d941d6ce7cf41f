"""``Gate``: who may ask the server, for what, and how much he may send; and the headers of every answer.

Every program of this machine can reach the port, and so can every page that a browser shows: a page of another site can
send requests, and with a name of its own that leads to 127.0.0.1 it can read the answers. So the host must be one of
ours with its port; the API asks for the token, which only our page knows; there is no cookie, because cookies are sent
to every port. What changes something must come from our own page, too, and must be JSON.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Collection
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskferry.web._answers import ApiError, answer, problem_of
from maskferry.web._transfers import MOST_IMPORT_BYTES

__all__ = ["Gate", "Rules", "mask_limit"]

API = "/api/"

EXPORTS = f"{API}v1/exports"
"""What is written to be downloaded changes nothing of the run."""

READING = ("GET", "HEAD")

SLACK = 64 << 10
"""Bytes of a body besides its mask or file."""

DISCARDED = 64 << 20
"""Bytes of a body that is too long which are still read."""

IDLE = 10.0
"""Seconds within which more of a body must come."""

SLOWEST = 100_000
"""Bytes a second that a body must come with, after the first seconds."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "worker-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types maskferry; frame-ancestors {ancestors}"
)


def mask_limit(size_hw: tuple[int, int]) -> int:
    """How many bytes a body with a mask may have."""
    return size_hw[0] * size_hw[1] + SLACK


@dataclass(frozen=True, slots=True)
class Rules:
    """What is asked of requests.

    Attributes:
        hosts: what the header Host may be, in small letters, with the port.
        token: what the API asks for.
        read_only: refuse what changes something.
        most_bytes: of a body.
        ancestors: origins of pages that may show this one in a frame.
    """

    hosts: frozenset[str]
    token: str
    read_only: bool
    most_bytes: int
    ancestors: Collection[str] = ()


class Gate:
    """Middleware around the whole server."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules
        self._policy = POLICY.format(ancestors=" ".join(rules.ancestors) or "'none'")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a WebSocket: there is none here
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add_headers(MutableHeaders(scope=message))
            await send(message)

        try:
            self._check(scope)
            body = await self._body(scope, receive)
        except ApiError as err:
            status, found = problem_of(err)
            response = answer(found, status)
            response.headers["Connection"] = "close"  # what is still on its way is not read
            await response(scope, receive, send_with_headers)
            return
        await self._app(scope, _replay(body, receive), send_with_headers)

    def _add_headers(self, headers: MutableHeaders) -> None:
        for name, value in HEADERS.items():
            headers[name] = value
        headers["Content-Security-Policy"] = self._policy
        if not self._rules.ancestors:
            headers["X-Frame-Options"] = "DENY"

    # --- what is asked for --------------------------------------------------------------------------------------

    def _check(self, scope: Scope) -> None:
        headers, is_api = Headers(scope=scope), scope["path"].startswith(API)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._rules.hosts:
            raise ApiError(
                421,
                "HostError",
                "this server does not go by that name",
                "use the address that it printed, or --allow-host",
            )
        if is_api:
            self._check_token(headers)
        if scope["method"] in READING:
            if is_api and scope["method"] == "HEAD":
                raise ApiError(405, "MethodError", "HEAD: not here")
            return
        if not is_api:
            raise ApiError(405, "MethodError", f"{scope['method']}: not here")
        self._check_origin(headers)
        if self._rules.read_only and not scope["path"].startswith(EXPORTS):
            raise ApiError(403, "ReadOnlyError", "this page was opened with --read-only", "open it without")
        is_empty = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not (is_empty and not kind):
            raise ApiError(415, "ContentTypeError", f"expected application/json, got {kind[:100]!r}")

    def _check_token(self, headers: Headers) -> None:
        given = headers.getlist("authorization")
        wanted = f"Bearer {self._rules.token}".encode()
        if len(given) != 1 or not hmac.compare_digest(given[0].encode(), wanted):
            raise ApiError(
                401, "TokenError", "the token is missing or wrong", "open the address that `maskferry open` printed"
            )

    def _check_origin(self, headers: Headers) -> None:
        origins = headers.getlist("origin")
        own = {f"{scheme}://{host}" for host in self._rules.hosts for scheme in ("http", "https")}
        if any(origin.lower() not in own for origin in origins) or len(origins) != 1:
            raise ApiError(403, "OriginError", "this does not come from the page itself")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise ApiError(403, "OriginError", "this does not come from the page itself")

    # --- bodies -------------------------------------------------------------------------------------------------

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body, which must be short enough and come fast enough."""
        if scope["method"] in READING:
            return b""
        most = self._rules.most_bytes
        if scope["path"].endswith("/imports"):
            most = max(most, (MOST_IMPORT_BYTES + 2) // 3 * 4 + SLACK)
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if length and "transfer-encoding" in headers:
            raise ApiError(400, "InputError", "the request says twice, and differently, where its body ends")
        if length.isdigit() and int(length) > most + DISCARDED:
            raise _too_large(most)
        try:
            async with asyncio.timeout(2 * IDLE + most / SLOWEST):
                return await _read(receive, most)
        except TimeoutError as err:
            raise ApiError(408, "SlowRequestError", "the body of the request did not come in time") from err


async def _read(receive: Receive, most: int) -> bytes:
    """A body. One that is somewhat too long is heard to its end: who is cut short never hears the answer."""
    found, length = bytearray(), 0
    while True:
        async with asyncio.timeout(IDLE):
            message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(400, "InputError", "the request was broken off")
        length += len(message.get("body", b""))
        if length <= most:
            found += message.get("body", b"")
        is_last = not message.get("more_body", False)
        if length > most + DISCARDED or (is_last and length > most):
            raise _too_large(most)
        if is_last:
            return bytes(found)


def _too_large(most: int) -> ApiError:
    return ApiError(413, "TooLargeError", f"a body may have {most} bytes here")


def _replay(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the body that was read, then what comes after it."""
    is_given = False

    async def replayed() -> Message:
        nonlocal is_given
        if not is_given:
            is_given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replayed
