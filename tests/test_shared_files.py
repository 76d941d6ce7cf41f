"""Files of somebody else that would act: make requests, open other files, command a terminal, run in a spreadsheet."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from clips import make_clip
from maskferry.cli import main
from maskferry.cli._console import harmless
from maskferry.data import FrameInfo, FrameMasks, FrameTracks, ObjectMask, State, VideoInfo
from maskferry.errors import InputError, SourceError
from maskferry.formats import _frame_table as frame_table
from maskferry.formats import _mot as mot
from maskferry.formats import _table as table
from maskferry.formats._sound import Sound
from maskferry.outputs import export
from maskferry.rendering import render, render_sheet
from maskferry.rle import Rle
from maskferry.sources import open_source
from maskferry.tracker import MaskTracker
from maskferry.tracks import Tracks

ESCAPE = "\x1b]0;owned\x07\x1b[31m"


@pytest.fixture
def requests() -> Iterator[list[str]]:
    """What a server at ``requests[0]`` was asked for, from the second item on."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    asked.append(f"http://127.0.0.1:{server.server_address[1]}/clip.mp4")
    yield asked
    server.shutdown()
    server.server_close()
    thread.join()


def run(source: object, folder: Path) -> Path:
    mask = np.zeros((48, 64), dtype=bool)
    mask[2:9, 2:9] = True
    folder.mkdir()
    with MaskTracker(source, engine="hold", tracks=folder / "tracks.sqlite") as tracker:
        tracker.add_mask_prompt(mask, label=ESCAPE + "dog\nUSER")
        tracker.propagate()
    return folder


@pytest.fixture
def tracked(tmp_path: Path) -> Path:
    return run(np.zeros((3, 48, 64, 3), dtype=np.uint8), tmp_path / "out")


@pytest.fixture
def of_an_address(tmp_path: Path, requests: list[str]) -> Path:
    """Tracks whose file says that their video is at an address."""
    source = open_source(np.zeros((3, 48, 64, 3), dtype=np.uint8))
    source.info = replace(source.info, path=requests[0])
    return run(source, tmp_path / "out") / "tracks.sqlite"


@pytest.mark.parametrize(
    "use",
    [
        lambda tracks, folder: render(tracks, folder / "film.mp4"),
        lambda tracks, folder: render_sheet(tracks, folder / "sheet.png"),
        lambda tracks, folder: export(tracks, folder / "cutouts", "cutouts"),
        lambda tracks, folder: export(tracks, folder / "cutouts.webm", "webm"),
    ],
    ids=["render", "sheet", "cutouts", "webm"],
)
def test_no_request_is_made_for_stored_addresses(use, of_an_address: Path, requests: list[str], tmp_path: Path) -> None:
    with Tracks.open(of_an_address) as tracks, pytest.raises(InputError, match="pass the video"):
        use(tracks, tmp_path)
    assert len(requests) == 1


@pytest.mark.parametrize("command", [["render"], ["export", "--format", "cutouts"], ["review"]])
def test_nor_by_a_command(command: list[str], of_an_address: Path, requests: list[str], tmp_path: Path, capsys) -> None:
    assert main([*command, str(of_an_address), "-o", str(tmp_path / "made.mp4")]) == 2
    assert "pass the video" in capsys.readouterr().err
    assert len(requests) == 1


def test_an_address_that_the_user_names_is_asked(of_an_address: Path, requests: list[str], tmp_path: Path) -> None:
    with Tracks.open(of_an_address) as tracks, pytest.raises(SourceError, match="404"):
        render(tracks, tmp_path / "film.mp4", requests[0])
    assert len(requests) == 2


LISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nclip.mp4\n#EXT-X-ENDLIST\n",
    "hls behind a mark": "\ufeff#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nclip.mp4\n#EXT-X-ENDLIST\n",
    "hls address": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile clip.mp4\n",
    "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>clip.mp4</BaseURL></MPD>',
    "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n",
}


@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".txt", ".mkv"])
@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_other_files_are_refused(kind: str, suffix: str, requests: list[str], tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", 3)
    path = tmp_path / f"list{suffix}"
    path.write_text(LISTS[kind].replace("{url}", requests[0]), encoding="utf-8", newline="")
    with pytest.raises(SourceError, match="names other files or addresses"):
        open_source(path)
    with pytest.raises(InputError, match="names other files or addresses"), Sound.open(path):
        pass
    assert len(requests) == 1


def test_a_list_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "list.m3u8").write_text("\n" * 5000 + LISTS["hls"])
    with pytest.raises(SourceError, match="playlist"):
        open_source(tmp_path / "list.m3u8")


def test_a_link_to_a_film_is_one(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", 3)
    (tmp_path / "link.mp4").symlink_to(tmp_path / "clip.mp4")
    with open_source(tmp_path / "link.mp4") as source:
        assert source.info.frame_count == 3


@pytest.mark.parametrize("path", ["a" * 5000, "a\0b.mp4", "/dev/null", "/dev/zero"])
def test_paths_that_are_no_files(path: str) -> None:
    with pytest.raises(SourceError):
        open_source(path)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain café 犬 👩‍👩‍👧", "plain café 犬 👩‍👩‍👧"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b31m", r"\x9b31m"),
        ("a\rb\x07\x08", r"a\rb\x07\x08"),
        ("a\u202eb\u2066c", r"a\u202eb\u2066c"),
        ("a\u2028b", r"a\u2028b"),
        ("a\udcffb", r"a\udcffb"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    assert harmless(text) == shown


def is_harmless(text: str) -> bool:
    return not any(c in text for c in "\x1b\x07\r\x9b\u202e")


def test_labels_do_not_command_a_terminal(tracked: Path, capsys) -> None:
    assert main(["review", str(tracked / "tracks.sqlite")]) == 0
    out, err = capsys.readouterr()
    assert r"\x1b[31mdog\nUSER" in out.replace("\n", "")
    assert is_harmless(out + err)


@pytest.mark.parametrize("more", [[], ["--debug"], ["--json"], ["-vv"]])
def test_names_of_files_do_not_command_a_terminal(more: list[str], tmp_path: Path, capsys) -> None:
    path = tmp_path / f"a{ESCAPE}\u202e.png"
    path.write_bytes(b"no picture")
    for words, code in (
        (["track", str(path), "--masks", str(path), "-o", str(tmp_path / "out")], 1),  # the video cannot be read
        (["inspect", str(path)], 2),
        (["render", str(path), "-o", str(tmp_path / "out")], 2),
        (["review", f"{path}.not there", "-o", str(tmp_path / "out")], 2),
    ):
        assert main([*words, *more]) == code
    out, err = capsys.readouterr()
    assert is_harmless(out + err)
    assert r"\x1b[31m" in err


PROGRAM = "import sys; from maskferry.cli import main; sys.exit(main(['engines']))"


@pytest.mark.skipif(sys.platform == "win32", reason="closed by a shell")
@pytest.mark.parametrize("end", ["| head -n 1 | grep -q .", ">&-", "2>&-", ">&- 2>&-", "<&- >&-", ">/dev/full"])
def test_a_stdout_that_nobody_reads_ends_quietly(end: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "{PROGRAM}" {end}', sys.executable], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.returncode in (0, 1)
    if "full" not in end:
        assert done.stderr == ""


FORMULAS = ["=1+0", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", " =1", "'=1", "''=1", "=cmd|'/C calc'!A0", "\uff1d1"]


@pytest.mark.parametrize("text", [*FORMULAS, "'tis", "plain", "1", "a=b", ""])
def test_texts_do_not_run_in_a_spreadsheet(text: str, tmp_path: Path) -> None:
    infos = [FrameInfo(0, -0.5, text)]
    frame_table.write_frames(infos, frame_table.sidecar(tmp_path / "t.txt"))
    assert frame_table.read_frames(tmp_path / "t.txt") == {0: infos[0]}
    row = ObjectMask(1, Rle.encode(np.eye(9, dtype=bool)), 0.5, State.TRACKED)
    frames = [FrameTracks(infos[0], FrameMasks(0, (9, 9), (row,)))]
    table.write(VideoInfo(9, 9), frames, tmp_path / "t.csv", labels={1: text})
    (read,) = table.read(tmp_path / "t.csv")
    assert (read.name, read.label, read.time) == (text, text, -0.5)
    mot.write(VideoInfo(9, 9), frames, tmp_path / "m.txt")
    for path in (tmp_path / "t.frames.csv", tmp_path / "t.csv", tmp_path / "m.frames.csv"):
        written = path.read_bytes().decode()
        assert "-0.5" in written and "'-0.5" not in written
        if text in FORMULAS:
            assert f"'{text}".encode() in path.read_bytes()
