"""The page's own files, as they lie in the package: no path of a request is ever put together with a folder's."""

from __future__ import annotations

import hashlib
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from maskferry.web._answers import ApiError

__all__ = ["page"]

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
"""What is served, and as what."""


def page(request: Request) -> Response:
    """A file of the page; "/" is index.html."""
    name = request.path_params.get("name", "") or "index.html"
    found = _files(resources.files("maskferry.web") / "static").get(name)
    if found is None:
        raise ApiError(404, "NotFoundError", "there is no such file")
    data = found.read_bytes()
    mark = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"Cache-Control": "no-cache", "ETag": mark}
    if request.headers.get("if-none-match") == mark:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=KINDS[_suffix(name)], headers=headers)


def _files(folder: Traversable, prefix: str = "") -> dict[str, Traversable]:
    """{name in addresses: file} of all that is served."""
    found: dict[str, Traversable] = {}
    for entry in folder.iterdir() if folder.is_dir() else ():
        name = prefix + entry.name
        if entry.is_dir():
            found |= _files(entry, f"{name}/")
        elif _suffix(name) in KINDS and not entry.name.startswith("."):
            found[name] = entry
    return found


def _suffix(name: str) -> str:
    return "." + name.rpartition(".")[2].lower()
