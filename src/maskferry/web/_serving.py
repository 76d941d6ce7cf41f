"""The server from Python: `serve` begins it beside the program, `show` puts its page into a notebook."""

from __future__ import annotations

import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskferry.closing import Closing
from maskferry.engines.registry import known_engines
from maskferry.errors import InputError, MaskferryError, MissingExtraError, OutputError, RunningElsewhereError
from maskferry.files import locked
from maskferry.outputs import tracks_file
from maskferry.tracker import MaskTracker
from maskferry.tracks import Tracks

if TYPE_CHECKING:
    from maskferry.web._desk import Desk, Settings

__all__ = ["Server", "serve", "show"]

HOST = "127.0.0.1"

NOTEBOOKS = ("http://localhost:*", "http://127.0.0.1:*")
"""Pages that may show ours in a frame, where a notebook asks for it."""

STARTUP = 30.0
"""Seconds that the server has to begin."""


class Server(Closing):
    """A review page that is being served, until it is closed.

    Attributes:
        url: the page's address, with the token that opens it; whoever has it can change the tracks.
        address: the same without the token.
        port: of this machine.
    """

    def __init__(self, settings: Settings, port: int, hosts: Collection[str], ancestors: Collection[str]) -> None:
        """Begin to serve, see `serve`."""
        uvicorn, desk_of, build = _parts()
        self._ending = ExitStack()
        try:
            listener = self._ending.enter_context(_listen(port))
            self.port: int = listener.getsockname()[1]
            self.address = f"http://{HOST}:{self.port}/"
            if not settings.read_only:
                self._ending.enter_context(_page_lock(settings.tracks, self.address))
            known = _hosts(self.port, hosts)
            self._desk = desk_of(settings)
            self._token = secrets.token_urlsafe(32)
            app = build(self._desk, self._token, known, ancestors)
        except BaseException:
            self._ending.close()
            raise
        self.url = f"{self.address}#token={self._token}"
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=3
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        self._wait_for_start()

    def _wait_for_start(self) -> None:
        give_up = time.monotonic() + STARTUP
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > give_up:
                self._ending.close()
                raise OutputError(f"the server cannot begin at {self.address}")
            time.sleep(0.005)

    @property
    def worker_pid(self) -> int | None:
        """The number of the process that edits and tracks; None where there is none."""
        return self._desk.worker.pid

    def wait(self) -> None:
        """Wait for its end."""
        while self._thread.is_alive():
            self._thread.join(0.2)

    def close(self) -> None:
        """End it; the frame that is being tracked is finished first. May be called twice."""
        if self._thread.is_alive():
            self._desk.say_goodbye()
            self._server.should_exit = True
            self._thread.join()
        self._ending.close()

    def __repr__(self) -> str:
        return f"<review page at {self.address}>"


def serve(
    run: MaskTracker | Tracks | str | Path,
    video: str | Path | None = None,
    *,
    port: int = 0,
    hosts: Collection[str] = (),
    read_only: bool = False,
    engine: str = "auto",
    ancestors: Collection[str] = (),
    **engine_options: Any,  # noqa: ANN401
) -> Server:
    """Serve the review page of a run on this machine, beside the program.

    The work is done in a process of its own, which opens the tracks file and the video again: both must lie on the
    disk.

    Args:
        run: a tracks file or the output folder with it, or a session or tracks that have a file.
        video: the video, where it is not the one that the tracks name.
        port: of 127.0.0.1; a free one where it is taken, or 0.
        hosts: further names by which the page may be asked for, such as "my.host:8765" behind a tunnel.
        read_only: show, and refuse every change.
        engine: what tracks, by its name; "auto" for the session's, or the one that tracked before, or the best that can
            run here.
        ancestors: origins of pages that may show this one in a frame.
        engine_options: for the engine's class, such as ``device``.

    Returns:
        The server, which is also a context manager; its ``url`` opens the page.

    Raises:
        InputError: the run has no file, or no video that can be opened again.
        RunningElsewhereError: a page of this run is open already.
        MissingExtraError: the extra ``web`` is not installed.

    Example:
        with maskferry.web.serve("out") as server:
            print(server.url)
            server.wait()
    """
    _parts()
    from maskferry.web._desk import Settings

    path = _file_of(run)
    if engine == "auto" and isinstance(run, MaskTracker) and run.engine_name in known_engines():
        engine = run.engine_name
    place = None if video is None else str(video)
    settings = Settings(path, place, read_only=read_only, engine=engine, engine_options=engine_options)
    return Server(settings, port, hosts, ancestors)


def show(run: MaskTracker | Tracks | str | Path, video: str | Path | None = None, *, height: int = 800) -> object:
    """Show the review page in a notebook, as long as the notebook's process lives.

    Args:
        run: see `serve`.
        video: see `serve`.
        height: of the frame, in pixels.

    Returns:
        What IPython displays: a frame with the page, and its server as ``server``.
    """
    from IPython.display import IFrame

    server = serve(run, video, ancestors=NOTEBOOKS)
    frame = IFrame(server.url, width="100%", height=height)
    setattr(frame, "server", server)  # noqa: B010
    return frame


def _file_of(run: MaskTracker | Tracks | str | Path) -> Path:
    """The tracks file of a run.

    Raises:
        InputError: it has none.
    """
    if isinstance(run, str | Path):
        return tracks_file(Path(run))
    if isinstance(run, MaskTracker):
        run.save()
    tracks = run.tracks if isinstance(run, MaskTracker) else run
    if tracks.path is None:
        raise InputError(
            "these tracks have no file: begin with MaskTracker(..., tracks='tracks.sqlite') to review them"
        )
    return tracks.path


def _parts() -> tuple[Any, Callable[[Settings], Desk], Callable[..., Any]]:
    """(uvicorn, what makes the desk, what makes the application).

    Raises:
        MissingExtraError: they need packages that are not there.
    """
    try:
        import uvicorn

        from maskferry.web._app import build_app
        from maskferry.web._desk import Desk
        from maskferry.web._gate import Rules, mask_limit
    except ModuleNotFoundError as err:
        if (err.name or "").startswith("maskferry"):
            raise
        raise MissingExtraError(
            f"the review page needs the package {err.name!r}: pip install 'maskferry[web]'"
        ) from err

    def build(desk: Desk, token: str, hosts: frozenset[str], ancestors: Collection[str]) -> Any:  # noqa: ANN401
        most = mask_limit(desk.tracks.video.size_hw)
        rules = Rules(hosts, token, desk.settings.read_only, most, tuple(ancestors))
        return build_app(desk, rules)

    return uvicorn, Desk, build


def _listen(port: int) -> socket.socket:
    """A socket on this port of this machine, or on a free one."""
    for wanted in (port, 0):
        # with its protocol named, asyncio sends small answers at once, and not 40 ms later
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if sys.platform != "win32":  # where it would let two servers have one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, wanted))
            return listener
        except OverflowError as err:
            listener.close()
            raise InputError(f"port: expected 0 to 65535, got {port}") from err
        except OSError:
            listener.close()
            if wanted == 0:
                raise
    raise OutputError(f"no port of {HOST} is free")


def _page_lock(tracks: Path, address: str) -> Any:  # noqa: ANN401
    """Let nobody else open a page of these tracks; says who has."""
    stack = ExitStack()
    try:
        stack.enter_context(locked(tracks.with_name(f"{tracks.name}.page"), address))
    except RunningElsewhereError as err:
        where = f"process {err.pid} on {err.host}" if err.pid is not None else "another process"
        raise RunningElsewhereError(
            f"{tracks} is open already, at {err.what or 'another page'} ({where}): use that page, or open it for "
            "reading only (--read-only)",
            host=err.host,
            pid=err.pid,
            what=err.what,
        ) from err
    except MaskferryError as err:
        raise OutputError(f"{err}; it can be opened for reading only (--read-only)") from err
    return stack


def _hosts(port: int, more: Collection[str]) -> frozenset[str]:
    """What the header Host may be."""
    own = {f"{name}:{port}" for name in (HOST, "localhost", "[::1]")}
    given = {name.strip().lower() for name in more}
    wrong = [name for name in given if not name or set(name) & set("/@?# \\*")]
    if wrong:
        raise InputError(f"hosts: expected names such as my.host or my.host:8765, got {wrong[0]!r}")
    return frozenset(own | given | {f"{name}:{port}" for name in given if ":" not in name.rpartition("]")[2]})
