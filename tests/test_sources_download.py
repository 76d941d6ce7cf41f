"""Downloads: cached, resumed only when the file is still the same, and refused when they are no video or picture."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from clips import make_clip, read_number
from maskferry.errors import InputError, OutputError, OutputExistsError, SourceError
from maskferry.sources import _download as download
from maskferry.sources import open_source
from maskferry.sources._download import download_file


@dataclass
class Served:
    """What the server sends, and what it was asked."""

    body: bytes = b""
    kind: str | None = "video/mp4"
    etag: str | None = '"one"'
    modified: str | None = None
    status: int = 200
    stop_after: int | None = None
    send_length: bool = True
    ranges: bool = True
    wrong_range: bool = False
    location: str | None = None
    url: str = ""
    requests: list[dict[str, str]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    served: Served

    def do_GET(self) -> None:
        served = self.served
        served.requests.append(dict(self.headers))
        start, status = 0, served.status
        if served.ranges and (wanted := self.headers.get("Range")):
            same = self.headers.get("If-Range") in (served.etag, served.modified)
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if same else 0
            status = (416 if start >= len(served.body) else 206) if same else 200
        self.send_response(status)
        if status == 206:
            first = start + 1 if served.wrong_range else start
            self.send_header("Content-Range", f"bytes {first}-{len(served.body) - 1}/{len(served.body)}")
        body = served.body[start:] if status != 416 else b""
        for name, value in (
            ("Content-Type", served.kind),
            ("ETag", served.etag),
            ("Last-Modified", served.modified),
            ("Location", served.location),
            ("Content-Length", str(len(body)) if served.send_length else None),
        ):
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if served.stop_after is None else body[: served.stop_after])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneHandler", (Handler,), {"served": served}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}/clips/my%20clip.mp4?key=1"
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr(download.platformdirs, "user_cache_dir", lambda name: str(folder / name))
    monkeypatch.setenv("no_proxy", "*")
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("served") / "clip.mp4", 30).read_bytes()


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_url_is_downloaded_once_and_opened(served: Served, clip: bytes, cache: Path) -> None:
    served.body = clip
    with open_source(served.url, rate=5) as source:
        assert [read_number(f.image) for f in source.frames([7, 29])] == [7, 29]
        assert source.info.rate == 5
        path = Path(source.info.path or "")
    assert path.is_relative_to(cache / "maskferry")
    assert path.name.endswith("-my_clip.mp4")
    assert leftovers(cache) == [path.name]
    assert download_file(served.url) == path
    assert len(served.requests) == 1
    served.body = clip + bytes(8)
    assert download_file(served.url, overwrite=True) == path
    assert path.read_bytes() == served.body


def test_progress(served: Served, clip: bytes, tmp_path: Path) -> None:
    served.body = clip
    calls: list[tuple[int, int | None]] = []
    download_file(served.url, tmp_path / "a.mp4", progress=lambda have, total: calls.append((have, total)))
    assert calls[-1] == (len(clip), len(clip))
    assert calls == sorted(calls)
    served.send_length = False
    download_file(served.url, tmp_path / "b.mp4", progress=lambda have, total: calls.append((have, total)))
    assert calls[-1] == (len(clip), None)
    assert (tmp_path / "b.mp4").read_bytes() == clip


def test_path_may_be_a_folder_and_is_not_overwritten(served: Served, clip: bytes, tmp_path: Path) -> None:
    served.body = clip
    folder = tmp_path / "videos"
    folder.mkdir()
    assert download_file(served.url, folder) == folder / "my_clip.mp4"
    with pytest.raises(OutputExistsError, match=r"my_clip\.mp4"):
        download_file(served.url, folder)
    assert len(served.requests) == 1
    assert download_file(served.url, folder / "my_clip.mp4", overwrite=True).read_bytes() == clip


@pytest.mark.parametrize("by", ["etag", "modified"])
def test_interrupted_download_goes_on(served: Served, clip: bytes, tmp_path: Path, by: str) -> None:
    served.body, served.stop_after = clip, 1000
    if by == "modified":
        served.etag, served.modified = 'W/"weak"', "Wed, 21 Oct 2015 07:28:00 GMT"
    target = tmp_path / "clip.mp4"
    with pytest.raises(SourceError, match=f"after 1000 of {len(clip)} bytes"):
        download_file(served.url, target)
    assert not target.exists()
    assert (tmp_path / "clip.mp4.part").stat().st_size == 1000
    served.stop_after = None
    assert download_file(served.url, target).read_bytes() == clip
    assert served.requests[1]["Range"] == "bytes=1000-"
    assert served.requests[1]["If-Range"] == (served.etag if by == "etag" else served.modified)
    assert [n for n in leftovers(tmp_path) if "part" in n] == []


def test_changed_file_is_not_glued_together(served: Served, clip: bytes, tmp_path: Path) -> None:
    served.body, served.stop_after = bytes(5000), 1000
    with pytest.raises(SourceError):
        download_file(served.url, tmp_path / "clip.mp4")
    served.body, served.stop_after, served.etag = clip, None, '"two"'
    assert download_file(served.url, tmp_path / "clip.mp4").read_bytes() == clip
    assert served.requests[1]["If-Range"] == '"one"'


@pytest.mark.parametrize("change", ["no ranges", "no marks", "shorter"])
def test_resuming_that_cannot_be_had_starts_again(served: Served, clip: bytes, tmp_path: Path, change: str) -> None:
    served.body, served.stop_after = bytes(50000) if change == "shorter" else clip, len(clip) - 10
    if change == "shorter":
        served.stop_after = 40000
    if change == "no marks":
        served.etag = None
    with pytest.raises(SourceError):
        download_file(served.url, tmp_path / "clip.mp4")
    served.body, served.stop_after, served.ranges = clip, None, change != "no ranges"
    assert download_file(served.url, tmp_path / "clip.mp4").read_bytes() == clip


def test_wrong_part_is_refused(served: Served, clip: bytes, tmp_path: Path) -> None:
    served.body, served.stop_after = clip, 1000
    with pytest.raises(SourceError):
        download_file(served.url, tmp_path / "clip.mp4")
    served.stop_after, served.wrong_range = None, True
    with pytest.raises(SourceError, match="another part"):
        download_file(served.url, tmp_path / "clip.mp4")
    served.wrong_range = False
    assert download_file(served.url, tmp_path / "clip.mp4").read_bytes() == clip


@pytest.mark.parametrize(("status", "says"), [(404, "no such file"), (403, "browser"), (500, "later"), (429, "wait")])
def test_http_errors(served: Served, status: int, says: str, cache: Path) -> None:
    served.status = status
    with pytest.raises(SourceError, match=f"answers {status}.*{says}"):
        download_file(served.url)
    assert leftovers(cache) == []


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json"])
def test_a_page_is_refused(served: Served, kind: str, cache: Path) -> None:
    served.body, served.kind = b"<html>Log in</html>", kind
    with pytest.raises(SourceError, match="address of a page"):
        open_source(served.url)
    assert leftovers(cache) == []


@pytest.mark.parametrize("name", ["/clip.mp4", "/picture.png"])
def test_what_cannot_be_opened_is_removed(served: Served, cache: Path, name: str) -> None:
    served.body, served.kind = b"<html>Log in</html>" * 50, "application/octet-stream"
    url = served.url.split("/clips")[0] + name
    with pytest.raises(SourceError, match="no video or picture that can be opened"):
        download_file(url)
    assert leftovers(cache) == []
    assert download_file(url, check=False).read_bytes() == served.body


def test_suffix_from_the_content_type(served: Served, tmp_path: Path) -> None:
    PilImage.fromarray(np.full((5, 7, 3), 90, np.uint8)).save(tmp_path / "one.png")
    served.body, served.kind = (tmp_path / "one.png").read_bytes(), "image/png"
    url = served.url.split("/clips")[0] + "/picture?id=3"
    path = download_file(url)
    assert path.name.endswith("-picture.png")
    assert download_file(url) == path
    assert len(served.requests) == 1
    with open_source(url) as source:
        assert source.info.size_hw == (5, 7)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a.mp4", "http://", "C:\\a.mp4", "a.mp4"])
def test_only_http_and_https(url: str) -> None:
    with pytest.raises(InputError, match="expected http"):
        download_file(url)


def test_redirects_leave_http_for_nothing_else(served: Served) -> None:
    served.status, served.location = 302, "ftp://example.org/a.mp4"
    with pytest.raises(SourceError, match="redirects to"):
        download_file(served.url)


def test_server_that_is_not_there(served: Served) -> None:
    with pytest.raises(SourceError, match="check the address and the network"):
        download_file("http://127.0.0.1:1/a.mp4", timeout=2)


def test_where_nothing_can_be_written(served: Served, clip: bytes, tmp_path: Path) -> None:
    served.body = clip
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be saved"):
        download_file(served.url, tmp_path / "file" / "clip.mp4")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://x/a/b/clip.mp4", "clip.mp4"),
        ("http://x/..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("http://x/a%5C..%5Cclip.mp4", "clip.mp4"),
        ("http://x/", "download"),
        ("http://x/..", "download"),
        ("http://x/%00%0a.mp4", "mp4"),
        ("http://x/.hidden.mp4", "hidden.mp4"),
        ("http://x/caf%C3%A9 clip:1.mp4", "caf_clip_1.mp4"),
        ("http://x/" + "a" * 300 + ".mp4", "a" * 80 + ".mp4"),
    ],
)
def test_names_are_harmless(url: str, name: str) -> None:
    assert download._file_name(url) == name
