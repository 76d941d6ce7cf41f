"""Who may ask the page's server for what: each attack that such servers have fallen to, tried."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import socket
import time
import zipfile

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("starlette", reason="needs the extra web")

from maskferry import Rle
from maskferry.web import serve
from maskferry.web._app import ROUTES
from maskferry.web._gate import mask_limit
from web_tools import Client, coco, make_run, rows_of

SIZE_HW = (96, 128)
WRITES = [(method, path) for method, path, _ in ROUTES if method != "GET"]
EVERY = [(method, path) for method, path, _ in ROUTES]
XSS = "<img src=x onerror=alert(1)>"


def filled(path: str) -> str:
    """A route's path with something in its places."""
    return re.sub(r"\{\w+\}", "1", path)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("gate"), 12)


@pytest.fixture(scope="module")
def page(out):
    with serve(out, hosts=["my.host"]) as server:
        client = Client(server)
        client.look()
        yield client


@pytest.fixture(scope="module")
def reader(out, page):
    """The same run, opened for reading beside the other page."""
    with serve(out, read_only=True) as server:
        client = Client(server)
        client.look()
        yield client


@pytest.fixture(autouse=True)
def unchanged(out):
    """No attack changes a mask."""
    before = rows_of(out)
    yield
    assert rows_of(out) == before


# --- hosts, tokens, origins -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/api/v1/run"])
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1:{port}.evil.example",
        "evil.example@127.0.0.1:{port}",
        "127.0.0.2:{port}",
        "0.0.0.0:{port}",
        "[::]:{port}",
        "",
    ],
)
def test_other_hosts_are_refused(page, host, path):
    """A name of an attacker's that leads here (DNS rebinding), and ports of others."""
    found = page.raw("GET", path, host=host.format(port=page.port) or " ")
    assert found.status == (421 if host else found.status)
    assert found.status in (400, 421)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}", "my.host"]
)
def test_own_hosts(page, host):
    assert page.raw("GET", "/api/v1/run", host=host.format(port=page.port)).status == 200


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_no_host_at_all(page, version):
    with socket.create_connection(("127.0.0.1", page.port)) as connection:
        connection.sendall(b"GET / " + version + b"\r\n\r\n")
        assert re.match(rb"HTTP/1.1 4(00|21) ", connection.recv(100))


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_no_route_without_the_token(page, method, path):
    wrong = page.token[:-1] + ("A" if page.token[-1] != "A" else "B")
    tries = [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {wrong}",
        f"Bearer {page.token}x",
        page.token,
        f"Basic {page.token}",
    ]
    tries += [f"bearer {page.token}", f"Bearer {page.token[:-1]}", f"Bearer  {page.token}"]
    for value in tries:
        found = page.raw(method, f"/api/v1/{filled(path)}", b"{}", {"Authorization": value, "If-Match": "1"})
        assert (found.status, found.json["kind"]) == (401, "TokenError"), value
    for place in (f"?token={page.token}", f"?access_token={page.token}"):
        found = page.raw(method, f"/api/v1/{filled(path)}{place}", b"{}", {"Authorization": None})
        assert found.status == 401
    found = page.raw(method, f"/api/v1/{filled(path)}", b"{}", {"Authorization": None, "Cookie": f"token={page.token}"})
    assert found.status == 401


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_no_write_from_elsewhere(page, method, path):
    address = f"/api/v1/{filled(path)}"
    for origin in (None, "null", "http://evil.example", "http://127.0.0.1:1", "http://127.0.0.1", page.origin + "/"):
        found = page.raw(method, address, b"{}", {"Origin": origin, "If-Match": "1"})
        assert (found.status, found.json["kind"]) == (403, "OriginError"), origin
    found = page.raw(method, address, b"{}", {"Sec-Fetch-Site": "cross-site", "If-Match": "1"})
    assert found.status == 403
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonx",
        "",
        None,
    ):
        found = page.raw(method, address, b"{}", {"Content-Type": kind, "If-Match": "1"})
        assert (found.status, found.json["kind"]) == (415, "ContentTypeError"), kind


@pytest.mark.parametrize(("method", "path"), [row for row in WRITES if not row[1].startswith("exports")])
def test_no_write_where_it_was_opened_for_reading(reader, out, method, path):
    found = reader.send(method, filled(path), {})
    assert (found.status, found.json["kind"]) == (403, "ReadOnlyError")


def test_reading_goes_on_where_it_was_opened_for_reading(reader):
    run = reader.look()
    assert run["read_only"]
    for path in ("frames/3", "masks?from=0&to=3", "lanes", "scores/1", "queue"):
        assert reader.get(path).status == 200
    found = reader.send("POST", "exports", {"format": "csv"})  # a download changes nothing
    assert found.status == 202
    key, end = found.json["key"], time.monotonic() + 60
    while reader.get(f"exports/{key}").status == 202:
        assert time.monotonic() < end
    assert reader.get(f"exports/{key}").status == 200
    assert reader.send("DELETE", f"exports/{key}", {}).status == 200


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_other_methods(page, method):
    assert page.raw(method, "/api/v1/run").status in (400, 404, 405)
    assert page.raw(method, "/api/v1/events").status in (400, 404, 405)


def test_no_other_origin_is_ever_allowed(page):
    found = page.raw("OPTIONS", "/api/v1/undo", headers={"Access-Control-Request-Method": "POST"})
    assert not [name for name in found.headers if name.startswith("access-control")]
    found = page.raw("GET", "/api/v1/run", headers={"Origin": "http://evil.example"})
    assert not [name for name in found.headers if name.startswith("access-control")]


# --- headers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/nothing", "/api/v1/run", "/api/v1/frames/1", "/api/v1/nothing"])
def test_every_answer_is_fenced_in(page, path):
    headers = page.raw("GET", path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["content-security-policy"]
    assert "*" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in headers
    assert "server" not in headers


def test_what_may_be_kept(page):
    assert page.get("run").headers["cache-control"] == "no-store"
    frame = page.get("frames/1").headers
    assert "private" in frame["cache-control"]
    assert frame["vary"] == "Authorization"  # another token, another page


def test_a_notebook_may_show_it(out, page):
    with serve(out, read_only=True, ancestors=["http://localhost:*"]) as server:
        headers = Client(server).raw("GET", "/").headers
    assert "frame-ancestors http://localhost:*" in headers["content-security-policy"]
    assert "x-frame-options" not in headers


def test_the_token_is_in_no_log_and_in_no_answer(page, caplog, capfd):
    with caplog.at_level(logging.DEBUG):
        for method, path in EVERY:
            if path != "events":
                found = page.raw(method, f"/api/v1/{filled(path)}", b"{}", {"If-Match": "0"})
                assert page.token.encode() not in found.data
        page.raw("GET", "/", headers={"Authorization": None})
    out, err = capfd.readouterr()
    assert page.token not in caplog.text + out + err
    assert len(page.token) >= 43


# --- paths ----------------------------------------------------------------------------------------------------------

PATHS = [
    "..",
    "../../../etc/passwd",
    "%2e%2e/%2e%2e/pyproject.toml",
    "..%2f..%2f_gate.py",
    "%5c..%5c..%5c_gate.py",
    "..%00",
    "%00",
    "index.html%00.png",
    "/etc/passwd",
    "//etc/passwd",
    "C:/Windows/win.ini",
    "file:///etc/passwd",
    "http://127.0.0.1:1/",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_file_but_the_pages_own(page, path):
    for prefix in ("/", "/static/", "/vendor/"):
        assert page.raw("GET", prefix + path).status in (400, 404)


PLACES = [(method, path) for method, path in EVERY if "{" in path]


@pytest.mark.parametrize("value", ["..", "%2e%2e", "%2e%2e%2f", "%5c", "%00", "1%00", "-1", "1e3", "٣", "9" * 30, XSS])
@pytest.mark.parametrize(("method", "path"), PLACES)
def test_odd_values_in_paths(page, method, path, value):
    value = value if value.isascii() and "<" not in value else "%D9%A3"
    for place in re.findall(r"\{\w+\}", path):
        found = page.send(method, filled(path.replace(place, value)), {})
        assert 400 <= found.status < 500 or (method == "DELETE" and "ports" in path), found.data


@pytest.mark.parametrize("value", ["..", "%00", "-1", "x", "1,..", "1,%00", "9" * 30, ""])
def test_odd_values_behind_the_question_mark(page, value):
    for path in ("masks?from={}&to=3", "masks?from=0&to={}", "masks?from=0&to=3&objects={}", "lanes?objects={}"):
        assert page.get(path.format(value)).status in ((200, 422) if value in ("", "..") else (422,))
    for path in ("frames/1?w={}", "events?since={}"):
        assert page.get(path.format(value)).status == 422


def test_too_many_at_once(page):
    assert page.get("masks?from=0&to=100000000").status == 422
    assert page.get("lanes?objects=" + ",".join(map(str, range(1, 1000)))).status in (200, 422)


# --- texts ----------------------------------------------------------------------------------------------------------


def test_a_name_with_markup_stays_a_text(out, page):
    assert page.send("PATCH", "objects/1", {"label": XSS}).status == 200
    try:
        found = page.get("run")
        assert found.headers["content-type"] == "application/json"
        assert found.json["objects"][0]["label"] == XSS
        assert page.raw("GET", f"/{XSS}".replace(" ", "%20")).headers["content-type"] == "application/json"
        wrong = page.send("PATCH", "objects/1", {XSS: 1})
        assert wrong.headers["content-type"] == "application/json"
    finally:
        page.look()
        page.send("POST", "undo", {})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b'{"label": "\\ud800"}',
        b'{"label": 1e999}',
        b"[" * 5000,
        b'{"a":' * 5000,
        json.dumps({"label": "x" * 201}).encode(),
    ],
)
def test_bodies_that_are_none(page, body):
    found = page.raw("PATCH", "/api/v1/objects/1", body or None, {"If-Match": str(page.revision)})
    if body:
        assert found.status in (400, 422)


# --- masks ----------------------------------------------------------------------------------------------------------

WHOLE = Rle.encode(np.ones(SIZE_HW, bool)).counts.decode()


@pytest.mark.parametrize(
    "mask",
    [
        None,
        "x",
        {},
        {"size": [96, 128]},
        {"size": [60_000, 60_000], "counts": WHOLE},
        {"size": [128, 96], "counts": WHOLE},
        {"size": [96.0, "128"], "counts": WHOLE},
        {"size": [96, 128], "counts": WHOLE[:-1]},
        {"size": [96, 128], "counts": WHOLE + "1"},
        {"size": [96, 128], "counts": "0" * 60_000},
        {"size": [96, 128], "counts": "\x00\x01"},
        {"size": [96, 128], "counts": "ä"},
        {"size": [96, 128], "counts": [0, 1]},
        {"size": [96, 128], "counts": [-1, 96 * 128 + 1]},
        {"size": [96, 128], "counts": [0, 1 << 70]},
        {"size": [96, 128], "counts": {"a": 1}},
        {"size": [96, 128], "counts": [96 * 128]},  # without a pixel
    ],
)
def test_masks_that_are_none(page, mask):
    page.look()
    for method, path in (("PUT", "objects/1/seeds/3"), ("POST", "objects")):
        body = {"mask": mask} | ({"frame": 3} if method == "POST" else {})
        assert page.send(method, path, body).status == 422
    draft = page.send("PUT", "drafts/1/3", {"mask": mask, "revision": 1, "client": "a"})
    assert draft.status == (200 if mask == {"size": [96, 128], "counts": [96 * 128]} else 422)
    page.send("DELETE", "drafts/1/3")


# --- sizes and times ------------------------------------------------------------------------------------------------


def answer_to(page, head, *parts):
    """The status of a request whose body comes in parts."""
    with socket.create_connection(("127.0.0.1", page.port), timeout=60) as connection:
        connection.sendall(head)
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:
                break
        try:
            return int(connection.recv(1000).split()[1])
        except (OSError, IndexError):
            return None  # it hung up


def head_of(page, path, *lines, method="PUT"):
    given = [f"{method} /api/v1/{path} HTTP/1.1", f"Host: 127.0.0.1:{page.port}", f"Authorization: Bearer {page.token}"]
    given += [f"Origin: {page.origin}", "Content-Type: application/json", "If-Match: 1", *lines]
    return ("\r\n".join(given) + "\r\n\r\n").encode()


def test_a_body_that_is_too_long(page):
    most = mask_limit(SIZE_HW)
    assert page.look()["limits"]["mask_bytes"] == most
    found = page.raw("PUT", "/api/v1/objects/1/seeds/3", b" " * (most + 1), {"If-Match": "1"})
    assert (found.status, found.json["kind"]) == (413, "TooLargeError")
    assert page.raw("PUT", "/api/v1/objects/1/seeds/3", b" " * most, {"If-Match": "1"}).status == 400
    # one that does not say how long it is
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    chunked = head_of(page, "objects/1/seeds/3", "Transfer-Encoding: chunked")
    assert answer_to(page, chunked, *[chunk] * 3, b"0\r\n\r\n") == 413
    assert answer_to(page, head_of(page, "objects/1/seeds/3", "Content-Length: 999999999999")) == 413


def test_a_file_that_is_too_long(page):
    data = "A" * (65 * (1 << 20) // 3 * 4)
    body = json.dumps({"name": "x.png", "data": data}).encode()
    found = page.raw("POST", "/api/v1/imports", body)
    assert (found.status, found.json["kind"]) == (413, "TooLargeError")


def test_a_body_that_does_not_come(page, monkeypatch):
    monkeypatch.setattr("maskferry.web._gate.IDLE", 0.2)
    assert answer_to(page, head_of(page, "objects/1", "Content-Length: 10", method="PATCH"), b"{") == 408
    assert page.look()["objects"]


def test_two_lengths_at_once(page):
    """Smuggling: what says where a body ends must be one thing."""
    head = head_of(page, "objects/1/seeds/3", "Content-Length: 2", "Transfer-Encoding: chunked")
    assert answer_to(page, head, b"{}") in (400, 413, 422, None)


# --- files of masks -------------------------------------------------------------------------------------------------


def offer(page, name, data):
    return page.send("POST", "imports", {"name": name, "data": base64.b64encode(data).decode(), "frame": 0})


def png_header(width, height):
    """A picture that claims a size, and has no pixels."""
    buffer = io.BytesIO()
    PIL.Image.new("1", (8, 8)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


LAUGHS = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c
"&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]><annotations>&d;</annotations>"""

OUTSIDE = (
    """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>"""
)


def bomb():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("../../first.png", b"\0" * (200 << 20))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("mask.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
        ("mask.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("mask.html", b"<script>alert(1)</script>"),
        ("mask.png", b"<html><script>alert(1)</script></html>"),
        ("mask.xml", LAUGHS.encode()),
        ("mask.xml", OUTSIDE.encode()),
        ("mask.png", png_header(60_000, 60_000)),
        ("mask.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }" + b" " * 60),
        ("mask.pkl", b"\x80\x04cos\nsystem\n(S'true'\ntR."),
        ("mask.json", b"[" * 100_000),
        ("mask.json", b'{"info": 1'),
        ("mask.zip", b"PK\x03\x04"),
        ("mask.zip", None),
        ("../../mask.png", b""),
        ("mask", b"\x00" * 100),
        ("/etc/passwd", b"x"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_files_that_are_no_masks(page, name, data):
    found = offer(page, name, bomb() if data is None else data)
    assert (found.status, found.json["kind"]) == (422, "InputError")
    assert "passwd" not in found.json["message"]
    assert "root:" not in found.json["message"]


def test_what_was_sent_is_never_given_back(page):
    marker = b"<script>marker</script>"
    buffer = io.BytesIO()
    labels = np.zeros(SIZE_HW, np.uint8)
    labels[10:20, 10:20] = 1
    PIL.Image.fromarray(labels).save(buffer, "PNG")
    found = offer(page, "marker.png", buffer.getvalue() + marker)
    assert found.status == 201
    assert b"marker" not in found.data
    assert page.get(f"imports/{found.json['key']}").status == 405
    assert page.send("DELETE", f"imports/{found.json['key']}").status == 200
    assert page.send("POST", f"imports/{found.json['key']}", {}).status == 404


@pytest.mark.parametrize("value", ["../x", "/etc/passwd", "http://evil.example", "tracks/../..", "", None, 5, "DAVIS"])
def test_formats_are_names(page, value):
    assert page.send("POST", "exports", {"format": value}).status == 422


@pytest.mark.parametrize(
    "options", [{"path": "/etc"}, {"palette": "x"}, {"video": "http://x"}, [], {"overwrite": True}]
)
def test_options_are_known(page, options):
    assert page.send("POST", "exports", {"format": "film", "options": options}).status == 422


def test_a_draft_is_of_the_own_video(page):
    found = page.send("PUT", "drafts/1/3", {"mask": coco(5), "revision": 1, "client": "x" * 1000})
    assert found.status == 422
    assert page.send("PUT", "drafts/1/12", {"mask": coco(5), "revision": 1, "client": "x"}).status == 422
