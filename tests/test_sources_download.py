"""Downloads: cached, resumed only when the file is still the same, and refused when they are no video or picture."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from clips import make_clip, read_number
from maskferry.errors import InputError, OutputError, OutputExistsError, RunningElsewhereError, SourceError
from maskferry.sources import _download as download
from maskferry.sources import _http, open_source
from maskferry.sources._address import encode_url
from maskferry.sources._download import download_file
from maskferry.sources._http import Watch, _Gate


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
    trickle: float | None = None
    total: int | None = None
    length: str | None = None
    always_resume: bool = False
    url: str = ""
    requests: list[dict[str, str]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    served: Served

    def do_GET(self) -> None:
        served = self.served
        served.requests.append(dict(self.headers))
        start, status = 0, served.status
        if served.ranges and (wanted := self.headers.get("Range")):
            same = served.always_resume or self.headers.get("If-Range") in (served.etag, served.modified)
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if same else 0
            status = (416 if start >= len(served.body) else 206) if same else 200
        self.send_response(status)
        if status == 206:
            first = start + 1 if served.wrong_range else start
            self.send_header(
                "Content-Range", f"bytes {first}-{len(served.body) - 1}/{served.total or len(served.body)}"
            )
        body = served.body[start:] if status != 416 else b""
        for name, value in (
            ("Content-Type", served.kind),
            ("ETag", served.etag),
            ("Last-Modified", served.modified),
            ("Location", served.location),
            ("Content-Length", served.length or (str(len(body)) if served.send_length else None)),
        ):
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        for i in range(len(body) if served.trickle else 0):
            self.wfile.write(body[i : i + 1])
            time.sleep(served.trickle or 0)
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


def begin(served: Served, body: bytes, target: Path) -> None:
    """Download the first thousand bytes."""
    served.body, served.stop_after = body, 1000
    with pytest.raises(SourceError, match="after 1000 of"):
        download_file(served.url, target)
    served.stop_after, served.always_resume = None, True


@pytest.mark.parametrize("change", ["etag", "no etag", "modified", "total"])
def test_a_part_of_another_file_is_not_appended(served: Served, clip: bytes, tmp_path: Path, change: str) -> None:
    """By a server that leaves If-Range unread."""
    target = tmp_path / "clip.mp4"
    if change == "modified":
        served.etag, served.modified = None, "Wed, 21 Oct 2015 07:28:00 GMT"
    begin(served, bytes(len(clip) + (change == "total")), target)
    served.body = clip
    if change == "etag":
        served.etag = '"two"'
    elif change == "no etag":
        served.etag = None
    elif change == "modified":
        served.modified = "Wed, 21 Oct 2015 07:29:00 GMT"
    assert download_file(served.url, target).read_bytes() == clip
    assert "Range" in served.requests[1] and "Range" not in served.requests[2]


def test_two_addresses_with_one_path_are_not_mixed(served: Served, clip: bytes, tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    begin(served, bytes(len(clip)), target)
    served.body = clip
    assert download_file(f"{served.url}&other=1", target).read_bytes() == clip
    assert "Range" not in served.requests[1]


def test_two_downloads_to_one_path(served: Served, clip: bytes, tmp_path: Path) -> None:
    target, errors = tmp_path / "clip.mp4", []
    served.body = clip
    held = threading.Event()

    def second(have: int, total: int | None) -> None:
        if not held.is_set():
            held.set()
            with pytest.raises(RunningElsewhereError, match="a download holds it") as caught:
                download_file(f"{served.url}&other=1", target)
            errors.append(caught.value)

    assert download_file(served.url, target, progress=second).read_bytes() == clip
    assert len(errors) == 1
    assert leftovers(tmp_path) == ["clip.mp4"]


@pytest.mark.parametrize("in_the_way", ["file", "link", "folder"])
def test_a_part_that_is_none_is_left_alone(served: Served, clip: bytes, tmp_path: Path, in_the_way: str) -> None:
    served.body = clip
    mine, part = tmp_path / "mine.txt", tmp_path / "clip.mp4.part"
    mine.write_text("mine")
    if in_the_way == "file":
        part.write_text("mine")
    elif in_the_way == "folder":
        part.mkdir()
    else:
        part.symlink_to(mine)
    with pytest.raises(OutputError, match="in the way"):
        download_file(served.url, tmp_path / "clip.mp4")
    assert mine.read_text() == "mine"
    assert part.is_dir() or part.read_text() == "mine"


@pytest.mark.parametrize(
    ("url", "encoded"),
    [
        ("http://x/a.mp4", "http://x/a.mp4"),
        ("http://x/a b.mp4", "http://x/a%20b.mp4"),
        ("http://x/a%20b.mp4", "http://x/a%20b.mp4"),
        ("http://x/caf\u00e9.mp4?n=\u00e9 1#\u00e9", "http://x/caf%C3%A9.mp4?n=%C3%A9%201#%C3%A9"),
        ("http://x/100%.mp4", "http://x/100%25.mp4"),
        ("http://b\u00fccher.example/a", "http://xn--bcher-kva.example/a"),
        ("http://b\u00fccher.example:81/a", "http://xn--bcher-kva.example:81/a"),
        ("HTTP://x/a?b=c&d=/?", "http://x/a?b=c&d=/?"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("http://me:p\u00e4ss@x/a", "http://me:p%C3%A4ss@x/a"),
    ],
)
def test_addresses_are_encoded_once(url: str, encoded: str) -> None:
    assert encode_url(url) == encoded
    assert encode_url(encoded) == encoded


@pytest.mark.parametrize(
    "url",
    [
        None,
        3,
        b"http://x/a",
        "http://[::1/a",
        "http://x:99999/a",
        "http://x:y/a",
        "http://a b/c",
        "http://" + "\u00e9" * 80,
    ],
)
def test_what_is_no_address_is_refused(url: object) -> None:
    with pytest.raises(InputError, match="url: expected"):
        download_file(url)


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"timeout": "1"}, {"slowest": -1}, {"most_bytes": 0.5}])
def test_options_that_are_no_numbers(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"timeout|slowest|most_bytes"):
        download_file("http://127.0.0.1:1/a.mp4", **wrong)


def test_non_ascii_addresses_are_downloaded(served: Served, clip: bytes, cache: Path) -> None:
    served.body = clip
    url = served.url.replace("my%20clip", "caf\u00e9 1")
    assert download_file(url).read_bytes() == clip
    assert download_file(url).read_bytes() == clip
    assert len(served.requests) == 1


def test_a_body_that_trickles_ends(served: Served, clip: bytes, tmp_path: Path) -> None:
    served.body, served.trickle = clip, 0.01
    started = time.monotonic()
    with pytest.raises(SourceError, match="less than 1024 bytes a second"):
        download_file(served.url, tmp_path / "clip.mp4", timeout=0.5)
    assert time.monotonic() - started < 5
    served.body = clip[:50]
    assert download_file(served.url, tmp_path / "a.bin", timeout=0.5, slowest=10, check=False).stat().st_size == 50


def test_an_answer_whose_head_trickles_ends(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        started = time.monotonic()
        with pytest.raises(SourceError, match="does not answer"):
            download_file(f"http://127.0.0.1:{server.getsockname()[1]}/a.mp4", tmp_path / "a.mp4", timeout=0.3)
        assert time.monotonic() - started < 5
        stop.set()
        thread.join()


@pytest.mark.parametrize("says", ["nothing", "all", "less"])
def test_a_file_that_is_too_large(served: Served, tmp_path: Path, says: str) -> None:
    served.body = bytes(200_000)
    served.send_length = says != "nothing"
    served.length = "99" if says == "less" else None
    if says == "less":  # the rest is not read
        assert download_file(served.url, tmp_path / "a.bin", check=False, most_bytes=1000).stat().st_size == 99
        return
    with pytest.raises(SourceError, match="1000 bytes at most"):
        download_file(served.url, tmp_path / "a.bin", check=False, most_bytes=1000)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2000


@pytest.mark.parametrize("length", ["\u00b2", "-5", "1e3", "9" * 400])
def test_a_length_that_is_none(served: Served, clip: bytes, tmp_path: Path, length: str) -> None:
    served.body, served.length = clip, length
    assert download_file(served.url, tmp_path / "clip.mp4").read_bytes() == clip


OUTSIDE = "http://93.184.216.34/a.mp4"


@pytest.mark.parametrize(
    "there",
    [
        "http://127.0.0.1/a",
        "http://127.1/a",
        "http://2130706433/a",
        "http://localhost/a",
        "http://[::1]/a",
        "http://[::ffff:127.0.0.1]/a",
        "http://[64:ff9b::7f00:1]/a",
        "http://0.0.0.0/a",
        "http://10.1.2.3/a",
        "http://172.16.0.1/a",
        "http://192.168.1.1/a",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/a",
        "http://[fd00::1]/a",
        "http://100.64.0.1/a",
    ],
)
def test_redirects_do_not_lead_inside(there: str) -> None:
    with pytest.raises(SourceError, match="inside of a private network or of this computer"):
        _Gate(OUTSIDE, Watch()).check_redirect(OUTSIDE, there)


def test_redirects_that_pass() -> None:
    _Gate(OUTSIDE, Watch()).check_redirect(OUTSIDE, "https://93.184.216.35/a")
    _Gate("http://127.0.0.1:80/a", Watch()).check_redirect("http://127.0.0.1:80/a", "http://127.0.0.1:81/b")


@pytest.mark.parametrize("there", ["ftp://93.184.216.34/a", "file:///etc/passwd", "data:,x"])
def test_redirects_stay_with_http(there: str) -> None:
    with pytest.raises(SourceError, match="not http or https"):
        _Gate(OUTSIDE, Watch()).check_redirect(OUTSIDE, there)


def test_redirects_stay_encrypted() -> None:
    with pytest.raises(SourceError, match="not encrypted"):
        _Gate(OUTSIDE, Watch()).check_redirect("https://93.184.216.34/", OUTSIDE)


def test_a_redirect_inside_from_inside_is_followed(served: Served, clip: bytes, tmp_path: Path) -> None:
    served.status, served.location = 302, "/there.mp4"
    with pytest.raises(SourceError, match=r"infinite loop|answers 302"):
        download_file(served.url, tmp_path / "clip.mp4")
    with pytest.raises(SourceError, match="inside of a private network"):
        served.location = "http://169.254.169.254/latest"
        download_file(served.url, tmp_path / "clip.mp4")


def test_a_name_that_is_looked_up_otherwise_when_it_counts(
    served: Served, clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name lies outside when it is checked, and leads inside when the connection is made."""
    served.body = clip
    monkeypatch.setattr(_http, "lies_inside", lambda host: False)
    with pytest.raises(SourceError, match=r"leads to 127\.0\.0\.1"):
        download_file(served.url, tmp_path / "clip.mp4")
    assert served.requests == []
