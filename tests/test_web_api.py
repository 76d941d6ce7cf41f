"""What the page reads: the run, exact frames, masks, lanes, scores, the queue; files in and out."""

from __future__ import annotations

import base64
import http.client
import importlib
import io
import sys
import threading
import time
import zipfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("starlette", reason="needs the extra web")

from clips import make_clip, read_number
from maskferry import MaskTracker, Rle, Tracks, open_source
from maskferry.data import State
from maskferry.errors import InputError, RunningElsewhereError
from maskferry.tracks import STATE_CODES, editing
from maskferry.tracks._journal import Journal
from maskferry.tracks.review import load_agreements, load_summaries, summarize, verdicts
from maskferry.web import serve, show
from web_tools import COUNT, Client, block, coco, make_run, rows_of

SIZE_HW = (96, 128)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Two objects; 2 is lost for a while, and absent later; 1 has a pin."""
    out = make_run(tmp_path_factory.mktemp("api"), seeds=(0, 40))
    with Tracks.open(out / "tracks.sqlite") as tracks:
        journal = Journal(tracks)
        with journal.transaction():
            journal.frames.mark_lost(2, 10, 14)
            journal.frames.mark_returns([2])
        editing.absent(tracks, 2, 50, 55)
        editing.pin(tracks, 1, 20)
    return out


@pytest.fixture(scope="module")
def page(out):
    with serve(out) as server:
        yield Client(server)


# --- reading --------------------------------------------------------------------------------------------------------


def test_the_run(page, out):
    run = page.get("run").json
    assert run["video"] | {"rate": float(run["video"]["rate"])} == {
        "name": "clip.mp4", "width": 128, "height": 96, "rate": 25.0, "frame_count": COUNT, "available": True,
        "problem": None, "stopped_at": None,
    }  # fmt: skip
    one, two = run["objects"]
    assert (one["id"], one["label"], one["seeds"], one["pins"], one["absent"]) == (1, "car", [0, 40], [20], [])
    assert (two["id"], two["label"], two["pins"], two["absent"]) == (2, None, [55], [[50, 55]])
    assert one["color"] != one["safe_color"]
    assert run["next_id"] == 100
    assert run["engine"]["name"] == "hold"  # the one that tracked before
    assert run["job"]["state"] == "idle"
    assert {"davis", "csv", "cvat"} <= {one["name"] for one in run["formats"]}
    assert str(out) not in str(run)


@pytest.mark.parametrize(
    "order", [range(COUNT), range(COUNT - 1, -1, -1), [3, 59, 0, 30, 29, 28, 27, 45, 44, 46, 2, 2]]
)
def test_frames_are_exactly_those(page, order):
    for index in order:
        found = page.get(f"frames/{index}")
        assert found.headers["content-type"] == "image/jpeg"
        image = np.asarray(PIL.Image.open(io.BytesIO(found.data)))
        assert image.shape == (*SIZE_HW, 3)
        assert read_number(image) == index
        assert float(found.headers["x-frame-time"]) == pytest.approx(index / 25)


@pytest.mark.parametrize(("width", "wanted"), [(64, 64), (0, 128), (127, 127), (128, 128), (5000, 128), (1, 1)])
def test_frames_of_other_widths(page, width, wanted):
    for index in (5, 6, 5):
        image = PIL.Image.open(io.BytesIO(page.get(f"frames/{index}?w={width}").data))
        assert image.width == wanted
        assert image.height == max(1, round(96 * wanted / 128))


def test_masks(page, out):
    found = page.get("masks?from=8&to=16&objects=2").json
    assert found["size"] == list(SIZE_HW)
    assert [frame["frame"] for frame in found["frames"]] == list(range(8, 16))
    with Tracks.open(out / "tracks.sqlite") as tracks:
        for frame in found["frames"]:
            (row,) = frame["masks"]
            there = tracks[frame["frame"]][2]
            assert row["counts"].encode() == there.rle.counts
            assert STATE_CODES[row["state"]] is there.state
            assert row["score"] == pytest.approx(there.score, abs=1e-4)
    assert len(page.get("masks?from=0&to=256").json["frames"]) == COUNT
    assert len(page.get("masks?from=5&to=6").json["frames"][0]["masks"]) == 2


def test_lanes_and_scores(page, out):
    one, two = page.get("lanes").json["lanes"]
    assert one["runs"] == [[0, 1, 0], [1, 40, 1], [40, 41, 0], [41, 60, 1]]
    assert (one["seeds"], one["pins"], one["absent"], one["pending"]) == ([0, 40], [20], [], [])
    assert [10, 15, 3] in two["runs"]
    assert [15, 16, 4] in two["runs"]
    assert [50, 55, 3] in two["runs"]
    assert two["absent"] == [[50, 55]]
    assert page.get("lanes?objects=2").json["lanes"] == [two]
    worst = page.get("lanes?overview=1").json["runs"]
    assert [10, 15, 3] in worst
    assert worst[0] == [0, 1, 0]
    (run,) = page.get("scores/2").json["runs"]
    with Tracks.open(out / "tracks.sqlite") as tracks:
        assert run["scores"] == [round(row.score, 3) for _, row in tracks.timeline(2)]
    assert page.get("scores/9").status == 404


def test_a_video_that_is_gone(tmp_path):
    out = make_run(tmp_path, 12)
    moved = (tmp_path / "clip.mp4").rename(tmp_path / "moved.mp4")
    with serve(out) as server:
        page = Client(server)
        run = page.look()
        assert not run["video"]["available"]
        assert "clip.mp4" in run["video"]["problem"]
        assert (page.get("frames/3").status, page.get("frames/3").json["kind"]) == (500, "SourceError")
        assert page.get("masks?from=0&to=3").json["frames"]
        assert page.send("PATCH", "objects/1", {"label": "x"}).status == 200
        page.send("PUT", "objects/1/seeds/5", {"mask": coco(20)})
        job = page.finish()["job"]
        assert (job["state"], job["problem"]["kind"]) == ("failed", "SourceError")
    with serve(out, moved) as server:
        page = Client(server)
        assert page.look()["video"]["available"]
        assert page.finish()["job"]["state"] == "idle"
    other = make_clip(tmp_path / "other.mp4", 13)
    with serve(out, other) as server:
        assert "13 frames" in Client(server).look()["video"]["problem"]


def test_a_damaged_video_gives_the_frames_that_it_has(tmp_path):
    out = make_run(tmp_path, 60)
    video = tmp_path / "clip.mp4"
    data = bytearray(video.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = b"\x00" * 3000
    with Tracks.open(out / "tracks.sqlite") as tracks, tracks.database.transaction():
        tracks.database.execute("DELETE FROM meta WHERE key = 'digest'")
    video.write_bytes(data)
    with serve(out) as server:
        page = Client(server)
        found = [page.get(f"frames/{i}") for i in (0, 30, 59, 1)]
        assert [answer.status for answer in found] == [200, 200, 500, 200]
        assert found[2].json["kind"] == "SourceError"
        assert 30 < found[2].json["frame"] <= 59  # the first one that cannot be had


def test_tracks_that_were_replaced(tmp_path):
    out = make_run(tmp_path, 12)
    with serve(out) as server:
        page = Client(server)
        page.look()
        with page.events() as events:
            next(events)
            (out / "tracks.sqlite").rename(out / "moved.sqlite")
            assert any(name == "gone" and "moved" in data["problem"] for name, data in events)


# --- beginning ------------------------------------------------------------------------------------------------------


def test_the_first_mask_of_a_video(tmp_path):
    video = make_clip(tmp_path / "clip.mp4", 12)
    with MaskTracker(video, engine="hold", tracks=tmp_path / "tracks.sqlite") as tracker, serve(tracker) as server:
        page = Client(server)
        run = page.look()
        assert (run["objects"], run["tracks"]["frames"], run["queue"]["state"]) == ([], 0, "none")
        assert page.get("lanes").json["lanes"] == page.get("masks?from=0&to=5").json["frames"] == []
        assert page.send("POST", "objects", {"frame": 4, "mask": coco(20), "label": "car"}).json["ids"] == [100]
        assert page.finish()["tracks"] == {"name": "tracks.sqlite", "frames": 12, "finished": True}
    with Tracks.open(tmp_path / "tracks.sqlite") as tracks:
        assert all((tracks[i].mask(100) == block(20)).all() for i in range(12))


def test_what_cannot_be_served(tmp_path, out, page):
    with pytest.raises(RunningElsewhereError, match=rf"is open already, at http://127.0.0.1:{page.port}/") as caught:
        serve(out)
    assert caught.value.what == f"http://127.0.0.1:{page.port}/"
    with pytest.raises(InputError, match="no such tracks file"):
        serve(tmp_path)
    tracker = MaskTracker(np.zeros((3, 24, 32, 3), np.uint8), engine="hold")
    with tracker, pytest.raises(InputError, match="these tracks have no file"):
        serve(tracker)
    with pytest.raises(InputError, match="hosts"):
        serve(out, read_only=True, hosts=["http://x/"])
    with pytest.raises(InputError, match="port"):
        serve(out, read_only=True, port=70_000)


def test_a_port_that_is_taken(out, page):
    with serve(out, read_only=True, port=page.port) as server:
        assert server.port != page.port
        assert Client(server).look()["read_only"]


def test_pictures_with_a_rate(tmp_path):
    """A folder of pictures, which has no rate of its own."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(6):
        PIL.Image.fromarray(np.full((*SIZE_HW, 3), 40 * i, np.uint8)).save(folder / f"{i:03}.png")
    with MaskTracker(engine="hold", tracks=tmp_path / "t.sqlite") as tracker:
        tracker.set_video(folder, rate=10)
        tracker.add_mask_prompt(block(10), 1)
        tracker.propagate()
    with serve(tmp_path / "t.sqlite") as server:
        page = Client(server)
        assert page.look()["video"]["rate"] == 10
        page.send("PUT", "objects/1/seeds/3", {"mask": coco(20)})
        assert page.finish()["job"]["state"] == "idle"


# --- the queue ------------------------------------------------------------------------------------------------------


def kept_revision(out) -> int | None:
    """Of the review that lies in the tracks file; it is written some moments after the page shows it."""
    with Tracks.open(out / "tracks.sqlite", read_only=True) as tracks:
        kept = load_summaries(tracks)
    return None if kept is None else kept[0]


def test_the_queue_is_made_kept_and_made_anew(tmp_path):
    out = make_run(tmp_path, seeds=(0, 40))
    with Tracks.open(out / "tracks.sqlite") as tracks:
        journal = Journal(tracks)
        with journal.transaction():  # leaps, and low scores
            row = tracks[20][1]
            journal.frames.put(20, [replace(row, rle=Rle.encode(block(100, 70)), score=0.3, state=State.TRACKED)])
            journal.frames.put(50, [replace(row, rle=Rle.encode(block(100, 70)), score=0.3, state=State.TRACKED)])
    with serve(out) as server:
        page = Client(server)
        page.wait_for(lambda run: run["queue"]["state"] == "ready")
        queue = page.get("queue").json
        rows = {row["start"]: row for row in queue["rows"]}
        assert set(rows) == {20, 50}
        first = rows[20]
        assert (first["object"], first["stop"], first["verdict"], first["holds"]) == (1, 22, None, True)
        assert {moment["kind"] for moment in first["moments"]} >= {"place", "score"}
        assert first["text"].startswith("frame 2")
        key = first["key"]
        assert page.send("PUT", f"queue/{key}/verdict", {"answer": "fine"}).status == 200
        assert [row["key"] for row in page.get("queue").json["rows"]][-1] == key  # what is open comes first
        assert page.send("PUT", f"queue/{key}/verdict", {"answer": "no"}).status == 422
        page.wait_for(lambda run: kept_revision(out) == run["revision"])
        with Tracks.open(out / "tracks.sqlite") as tracks:
            assert {verdict.answer for verdict in verdicts(tracks).values()} == {"fine"}
        # a correction of one of them: the row closes itself, the other one stays
        page.look()
        page.send("PUT", "objects/1/seeds/50", {"mask": coco(10)})
        page.finish()
        page.wait_for(lambda run: run["queue"]["state"] == "ready" and run["queue"]["revision"] == run["revision"])
        (row,) = page.get("queue").json["rows"]
        assert (row["start"], row["verdict"], row["holds"]) == (20, "fine", True)
        page.wait_for(lambda run: kept_revision(out) == run["revision"])
        with Tracks.open(out / "tracks.sqlite") as tracks, open_source(tmp_path / "clip.mp4") as source:
            assert load_summaries(tracks)[1] == summarize(tracks, source)
        assert page.raw("POST", "/api/v1/queue", b'{"whole": true}').status == 202
        page.wait_for(lambda run: run["queue"]["state"] == "ready")
        assert len(page.get("queue").json["rows"]) == 1


def test_every_object_is_tracked_back(tmp_path):
    out = make_run(tmp_path)
    with Tracks.open(out / "tracks.sqlite") as tracks:
        journal = Journal(tracks)
        with journal.transaction():  # from the middle on it follows something else
            for frame in range(30, COUNT):
                row = replace(tracks[frame][1], rle=Rle.encode(block(100, 70)), state=State.TRACKED)
                journal.frames.put(frame, [row])
    with serve(out, engine="hold") as server:
        page = Client(server)
        page.wait_for(lambda run: run["queue"]["state"] == "ready")
        before = {row["kind"] for row in page.get("queue").json["rows"]}
        assert page.raw("POST", "/api/v1/queue", b'{"check": true}').status == 202
        assert page.raw("POST", "/api/v1/queue", b'{"check": true}').status == 409
        page.wait_for(lambda run: run["queue"]["state"] == "ready")
        moments = [moment for row in page.get("queue").json["rows"] for moment in row["moments"]]
        assert "back" not in before
        assert any(moment["kind"] == "back" and moment["frame"] in range(25, 35) for moment in moments)
        assert page.raw("DELETE", "/api/v1/queue/check").status == 202  # nothing is at work
        assert page.get("queue").json["progress"] is None
    with Tracks.open(out / "tracks.sqlite") as tracks:
        assert load_agreements(tracks)[1].iou.min() == 0
    with serve(out, read_only=True) as server:
        page = Client(server)
        assert page.raw("POST", "/api/v1/queue", b'{"check": true}').status == 403
        assert page.raw("DELETE", "/api/v1/queue/check").status == 403


def test_tracking_back_is_stopped(tmp_path):
    out = make_run(tmp_path)
    with serve(out, engine="flow") as server:
        page = Client(server)
        page.wait_for(lambda run: run["queue"]["state"] == "ready")
        assert page.raw("POST", "/api/v1/queue", b'{"check": true}').status == 202
        assert page.get("queue").json["progress"] is not None
        assert page.raw("DELETE", "/api/v1/queue/check").status == 202
        page.wait_for(lambda run: run["queue"]["state"] == "ready")
    with Tracks.open(out / "tracks.sqlite") as tracks:
        assert load_agreements(tracks) == {}


# --- files in and out -----------------------------------------------------------------------------------------------


def png(*boxes):
    labels = np.zeros(SIZE_HW, np.uint8)
    for i, (x, y) in enumerate(boxes, 1):
        labels[y : y + 10, x : x + 10] = i
    buffer = io.BytesIO()
    PIL.Image.fromarray(labels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_a_file_of_masks_is_shown_then_taken(tmp_path):
    out = make_run(tmp_path, 12)
    with serve(out) as server:
        page = Client(server)
        page.look()
        before = rows_of(out)
        found = page.send("POST", "imports", {"name": "first.png", "data": png((5, 5), (30, 5), (60, 5)), "frame": 0})
        assert found.status == 201
        assert [(o["id"], o["frames"], o["is_new"]) for o in found.json["objects"]] == [
            (1, [0], False),
            (2, [0], False),
            (3, [0], True),
        ]
        assert found.json["conflicts"] == [{"object": 1, "frame": 0}, {"object": 2, "frame": 0}]
        assert rows_of(out) == before
        key = found.json["key"]
        assert page.send("POST", f"imports/{key}", {}).status == 422
        assert page.send("POST", f"imports/{key}", {"replace": True}).json["ids"] == [1, 2, 3]
        assert page.send("POST", f"imports/{key}", {"replace": True}).status == 404
        page.finish()
        with Tracks.open(out / "tracks.sqlite") as tracks:
            assert tracks[11].object_ids == (1, 2, 3)
            assert int(tracks[11].mask(3).sum()) == 100
        page.send("POST", "undo", {})
        assert rows_of(out) == before
        smaller = io.BytesIO()
        PIL.Image.fromarray((np.arange(48)[:, None] + np.zeros(64, int) > 40).astype(np.uint8)).save(smaller, "PNG")
        data = base64.b64encode(smaller.getvalue()).decode()
        found = page.send("POST", "imports", {"name": "x.png", "data": data, "frame": 3}).json
        assert any("resized" in note for note in found["notes"])


def export(page, name, options=None):
    body = {"format": name} | ({} if options is None else {"options": options})
    found = page.send("POST", "exports", body)
    assert found.status == 202
    key, end = found.json["key"], time.monotonic() + 60
    while (found := page.get(f"exports/{key}")).status == 202:
        assert time.monotonic() < end
        time.sleep(0.05)
    return key, found


def test_results_are_written_and_read_back(page, out, tmp_path):
    from maskferry.formats import read_label_map

    _, found = export(page, "davis", {"overlap": "first"})
    assert found.headers["content-disposition"] == 'attachment; filename="clip-davis.zip"'
    with zipfile.ZipFile(io.BytesIO(found.data)) as file:
        file.extractall(tmp_path)
    maps = sorted(tmp_path.rglob("*.png"))
    assert len(maps) == COUNT
    labels = np.array(PIL.Image.open(maps[5]))
    assert ((labels == 1) == block(10)).all()
    assert read_label_map is not None
    _, found = export(page, "csv")
    assert found.data.count(b"\n") > COUNT
    _, found = export(page, "tracks")
    (tmp_path / "copy.sqlite").write_bytes(found.data)
    with Tracks.open(tmp_path / "copy.sqlite") as copy, Tracks.open(out / "tracks.sqlite") as tracks:
        assert copy.digest() == tracks.digest()
    key, found = export(page, "film", {"palette": "safe"})
    assert found.data[4:8] == b"ftyp"
    assert page.send("DELETE", f"exports/{key}").status == 200
    assert page.get(f"exports/{key}").status == 404


@pytest.mark.slow
def test_every_format_can_be_written(page):
    for one in page.get("run").json["formats"]:
        if one["name"] != "parquet":
            _, found = export(page, one["name"])
            assert found.status in (200, 422, 500), one["name"]
            assert found.status == 200 or found.json["message"]


def test_the_times_in_the_documentation_are_those_that_were_measured():
    sys.path.append(str(Path(__file__).parent.parent / "docs"))
    tables = importlib.import_module("tables")
    for name in ("page_times", "browser_times"):
        there, made = tables.pages(name)
        assert there == made, "docs/review.md is stale: run `python docs/tables.py`"


def test_the_page_in_a_notebook(tmp_path):
    out = make_run(tmp_path, 12)
    frame = show(out, height=500)
    with frame.server as server:
        html = frame._repr_html_()
        assert server.url in html
        assert 'height="500"' in html
        policy = Client(server).raw("GET", "/").headers["content-security-policy"]
        assert "frame-ancestors http://localhost:*" in policy


# --- quick ----------------------------------------------------------------------------------------------------------


def test_small_answers_are_sent_at_once(page):
    """Over a connection that is kept, nothing waits for the other side's acknowledgement (40 ms)."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port)
    times = []
    for i in range(30):
        begun = time.monotonic()
        connection.request(
            "GET", f"/api/v1/masks?from={i}&to={i + 1}", headers={"Authorization": f"Bearer {page.token}"}
        )
        assert connection.getresponse().read()
        times.append(time.monotonic() - begun)
    connection.close()
    assert np.median(times) < 0.035


def test_eight_streams_of_news(tmp_path):
    out = make_run(tmp_path, 12)
    with serve(out) as server, ExitStack() as stack:
        page = Client(server)
        page.look()
        streams = [stack.enter_context(page.events()) for _ in range(8)]
        for events in streams:
            assert next(events)[0] == "hello"
        page.send("PATCH", "objects/1", {"label": "tram"})
        for events in streams:
            assert any(name == "revision" and data["changes"] == {"1": []} for name, data in events)


def test_the_end_of_the_server_is_told(tmp_path):
    out = make_run(tmp_path, 12)
    server = serve(out)
    with Client(server).events() as events:
        next(events)
        threading.Thread(target=server.close).start()
        assert [name for name, _ in events][-1] == "bye"
    server.close()


def test_lanes_are_read_again_where_they_have_changed(tmp_path):
    out = make_run(tmp_path, 12)
    with serve(out) as server:
        page = Client(server)
        page.look()
        before = page.get("lanes").json["lanes"]
        page.send("PUT", "objects/1/absent", {"start": 5, "stop": 8})
        after = page.get("lanes").json["lanes"]
        assert after[0]["runs"] == [[0, 1, 0], [1, 5, 1], [5, 8, 3], [8, 9, 4], [9, 12, 1]]
        assert after[1] == before[1]
        page.send("POST", "undo", {})
        assert page.get("lanes").json["lanes"] == before
