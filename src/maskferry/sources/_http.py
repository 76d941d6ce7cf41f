"""One request over HTTP: redirects that do not lead inside a network, and an end to answers that do not come."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPResponse
from socket import SHUT_RDWR, socket
from typing import Any, cast

from maskferry.errors import SourceError
from maskferry.sources._address import encode_url, is_inside, is_link_local, lies_inside

__all__ = ["Watch", "request"]


class Watch:
    """Ends a connection that has nothing to show for its time: whatever waits for it goes on, with an error.

    A time limit of a socket is one of each single byte; this one is of the whole.
    """

    def __init__(self) -> None:
        self.expired = False
        self._sockets: list[socket] = []
        self._deadline = 0.0
        self._done = False
        self._change = threading.Condition()

    def allow(self, seconds: float) -> None:
        """Give the connection so much time from now on."""
        with self._change:
            self._deadline = time.monotonic() + seconds
            self._change.notify()

    def add(self, connection: socket) -> None:
        """A socket to be closed when the time is over."""
        self._sockets.append(connection)

    @contextmanager
    def running(self, seconds: float) -> Iterator[Watch]:
        """Watch, for the time of a block."""
        self.allow(seconds)
        thread = threading.Thread(target=self._run, name="maskferry-download-watch", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            with self._change:
                self._done = True
                self._change.notify()
            thread.join()

    def _run(self) -> None:
        with self._change:
            while not self._done:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    self.expired = True
                    for connection in self._sockets:
                        with suppress(OSError):
                            connection.shutdown(SHUT_RDWR)
                    left = 0.1  # a connection may be opened just now
                self._change.wait(left)


def request(url: str, headers: Mapping[str, str], timeout: float, watch: Watch) -> HTTPResponse:
    """Ask for a file.

    Args:
        url: encoded, see `encode_url`.
        headers: of the request.
        timeout: seconds without a byte until it fails.
        watch: gets the sockets.

    Raises:
        SourceError: a redirect leads elsewhere than to http(s), from https to http, or inside a network.
        OSError: of the network; `urllib.error.HTTPError` where the server refuses.
    """
    gate = _Gate(url, watch)
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Http(gate),
        _Https(gate),
        _Redirects(gate),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    asked = urllib.request.Request(url, headers=dict(headers))
    try:
        return cast(HTTPResponse, opener.open(asked, timeout=timeout))
    except urllib.error.URLError as err:
        if isinstance(err.reason, SourceError):  # as raised while connecting
            raise err.reason from None
        raise


class _Gate:
    """Where a request may go: a host that the user named himself may lie inside of his network, others may not."""

    def __init__(self, url: str, watch: Watch) -> None:
        self.watch = watch
        host = urllib.parse.urlsplit(url).hostname or ""
        self.from_inside, self.from_link = lies_inside(host), is_link_local(host)

    def check_redirect(self, here: str, there: str) -> None:
        """Refuse a redirect."""
        before, after = urllib.parse.urlsplit(here), urllib.parse.urlsplit(there)
        scheme, host = after.scheme.lower(), after.hostname or ""
        if scheme not in ("http", "https"):
            raise SourceError(f"{here} redirects to {there}, which is not http or https")
        if before.scheme.lower() == "https" and scheme != "https":
            raise SourceError(f"{here} redirects to {there}, which is not encrypted: use that address if you trust it")
        if (not self.from_inside and lies_inside(host)) or (not self.from_link and is_link_local(host)):
            raise SourceError(
                f"{here} redirects to {there}, inside of a private network or of this computer: use that address "
                "yourself if it is meant"
            )

    def check_peer(self, connection: socket) -> None:
        """Refuse a host inside whose name was said to lie outside when it was looked up before."""
        peer = connection.getpeername()
        if not self.from_inside and isinstance(peer, tuple) and is_inside(str(peer[0])):
            raise SourceError(f"the address leads to {peer[0]}, inside of a private network or of this computer")


def _guarded(kind: type[http.client.HTTPConnection], gate: _Gate, direct: bool) -> Callable[..., Any]:
    """Connections of a kind that go through the gate; those to a proxy, which may lie inside, are only watched."""

    class Guarded(kind):  # type: ignore[valid-type,misc]
        def connect(self) -> None:
            super().connect()
            gate.watch.add(self.sock)
            if direct:
                gate.check_peer(self.sock)

    return Guarded


class _Http(urllib.request.HTTPHandler):
    def __init__(self, gate: _Gate) -> None:
        super().__init__()
        self._gate = gate

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        kind = _guarded(http.client.HTTPConnection, self._gate, not req.has_proxy())
        return self.do_open(kind, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, gate: _Gate) -> None:
        super().__init__()
        self._gate = gate

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        direct = not getattr(req, "_tunnel_host", None)
        return self.do_open(partial(_guarded(http.client.HTTPSConnection, self._gate, direct)), req)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects that the gate lets pass."""

    def __init__(self, gate: _Gate) -> None:
        self._gate = gate

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,  # noqa: ANN401
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """See `urllib.request.HTTPRedirectHandler`."""
        self._gate.check_redirect(req.full_url, newurl)
        fp.close()  # else its body, of any length, would be read
        return super().redirect_request(req, fp, code, msg, headers, encode_url(newurl))
