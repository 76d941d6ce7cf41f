"""Corrections through the page's server: exactly the steps that were shown, no other row, undone to the byte."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="needs the extra web")

from helpers import contents
from maskferry import MaskTracker, Rle, Tracks
from maskferry.tracks import editing
from maskferry.web import serve
from web_tools import COUNT, Client, block, coco, make_run, rows_of


@pytest.fixture
def out(tmp_path):
    return make_run(tmp_path)


@pytest.fixture
def page(out):
    with serve(out) as server:
        client = Client(server)
        client.look()
        yield client


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    """(the output folder, a page of it) that several tests share: nothing is changed."""
    out = make_run(tmp_path_factory.mktemp("steady"))
    with serve(out) as server:
        yield out, Client(server)


# --- corrections ----------------------------------------------------------------------------------------------------


def test_a_correction_costs_what_was_shown_and_changes_no_other_row(page, out):
    before = rows_of(out)
    for frame, x in ((30, 20), (45, 25), (38, 30)):
        shown = page.send("POST", "preview", {"prompts": [[1, frame]]}).json
        given = page.send("PUT", f"objects/1/seeds/{frame}", {"mask": coco(x)})
        assert (given.status, given.json["existed"]) == (200, False)
        job = page.finish()["job"]
        assert (job["state"], job["done"], job["total"]) == ("idle", shown["steps"], shown["steps"])
        after = rows_of(out)
        others = [(a, b) for a, b in zip(before, after, strict=True) if a != b and a[1].object_id != 1]
        assert not others
        assert Rle.encode(block(x)) in [row.rle for info, row in after if info.index == frame]
    corrected = rows_of(out)
    for _ in range(3):
        assert page.send("POST", "undo", {}).json["what"].startswith("correct 1")
    assert rows_of(out) == before
    for _ in range(3):
        assert page.send("POST", "redo", {}).json["what"].startswith("correct 1")
    assert rows_of(out) == corrected
    run = page.look()
    assert run["pending"]["steps"] == 0
    assert page.send("POST", "jobs", {}).status == 200  # nothing is to be done
    assert page.send("POST", "redo", {}).json["what"] is None


def test_the_steps_of_120_frames(tmp_path):
    """One given frame: the whole film; two: what lies between; three: what lies between the nearest."""
    out = make_run(tmp_path, 120)
    with serve(out) as server:
        page = Client(server)
        page.look()
        for frame, steps in ((60, 180), (90, 90), (75, 60)):
            assert page.send("POST", "preview", {"prompts": [[1, frame]]}).json["steps"] == steps
            assert page.send("PUT", f"objects/1/seeds/{frame}", {"mask": coco(20)}).status == 200
            job = page.finish()["job"]
            assert (job["state"], job["done"]) == ("idle", steps)


def test_pins_make_a_correction_cheap(page):
    shown = page.send("POST", "preview", {"prompts": [[1, 30]], "pins": [[1, 25], [1, 35]]}).json
    assert shown["neighbours"] == [{"object": 1, "frame": 30, "before": 25, "after": 35}]
    assert {(s["start"], s["stop"]) for s in shown["spans"]} == {(25, 30), (26, 31), (30, 35), (31, 36)}
    page.send("PUT", "objects/1/seeds/30", {"mask": coco(20), "pins": [25, 35]})
    run = page.finish()
    assert run["job"]["done"] == shown["steps"]
    assert run["objects"][0] | {"color": 0, "safe_color": 0} == {
        "id": 1, "label": "car", "color": 0, "safe_color": 0, "score": None, "seeds": [0, 30], "pins": [25, 35],
        "absent": [],
    }  # fmt: skip
    assert page.send("DELETE", "objects/1/pins/25").status == 200


def test_the_same_as_the_library(page, out, tmp_path):
    """What the page does is what a session does."""
    (tmp_path / "other").mkdir()
    other = make_run(tmp_path / "other")
    with MaskTracker(
        tmp_path / "other" / "clip.mp4", engine="hold", tracks=other / "tracks.sqlite", resume=True
    ) as own:
        own.add_mask_prompt(block(20), 1, 30)
        own.propagate()
        own.add_mask_prompt(block(70), None, 12, label="new")
        own.propagate()
        editing.swap(own.tracks, 1, 2, 40)
        editing.absent(own.tracks, 100, 50, 55)
        own.propagate()
        wanted = contents(own.tracks)
    page.send("PUT", "objects/1/seeds/30", {"mask": coco(20)})
    page.finish()
    made = page.send("POST", "objects", {"frame": 12, "mask": coco(70), "label": "new"})
    assert (made.status, made.json["ids"]) == (201, [100])
    page.finish()
    assert page.send("POST", "objects/swap", {"first": 1, "second": 2, "frame": 40}).status == 200
    assert page.send("PUT", "objects/100/absent", {"start": 50, "stop": 55}).status == 200
    page.finish()
    assert rows_of(out) == wanted


def test_every_edit(page, out):
    assert page.send("PATCH", "objects/1", {"label": "tram"}).status == 200
    assert page.send("PATCH", "objects/2", {"label": None}).status == 200
    assert page.send("PUT", "objects/1/pins/20").status == 200
    assert page.send("POST", "objects/split", {"object": 1, "frame": 30}).json["id"] == 100
    assert page.send("POST", "objects/merge", {"keep": 1, "other": 100}).status == 200
    assert page.send("PUT", "objects/2/seeds/10", {"mask": coco(50)}).status == 200
    assert page.send("DELETE", "objects/2/seeds/10").status == 200
    assert page.send("DELETE", "objects/2").status == 200
    run = page.look()
    assert [(o["id"], o["label"]) for o in run["objects"]] == [(1, "tram")]
    assert len(run["history"]["undo"]) == 8
    for _ in range(8):
        assert page.send("POST", "undo", {}).json["what"]
    assert page.look()["history"]["redo"] == "rename 1"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("PATCH", "objects/9", {"label": "x"}, 404, "UnknownObjectError"),
        ("PATCH", "objects/1", {"label": ""}, 422, "InputError"),
        ("PATCH", "objects/1", {"label": 5}, 422, "InputError"),
        ("PATCH", "objects/1", {"name": "x"}, 422, "InputError"),
        ("PATCH", "objects/x", {"label": "x"}, 422, "InputError"),
        ("DELETE", "objects/1/seeds/0", None, 422, "InputError"),
        ("DELETE", "objects/1/pins/5", None, 422, "InputError"),
        ("PUT", "objects/1/pins/0", None, 422, "InputError"),
        ("PUT", f"objects/1/pins/{COUNT}", None, 422, "InputError"),
        ("PUT", "objects/1/seeds/5", {}, 422, "InputError"),
        ("PUT", "objects/1/seeds/5", {"mask": {"size": [96, 128], "counts": "`P1"}}, 422, "InputError"),
        ("PUT", "objects/1/seeds/5", {"box": [1, 2, 30, 40]}, 422, "PromptNotSupportedError"),
        ("PUT", "objects/1/seeds/5", {"points": [[1, 2]], "labels": [1]}, 422, "PromptNotSupportedError"),
        ("POST", "objects", {"frame": 5, "text": "car"}, 422, "PromptNotSupportedError"),
        ("POST", "objects", {"frame": 5, "mask": coco(5), "id": 1}, 422, "InputError"),
        ("POST", "objects", {"frame": COUNT, "mask": coco(5)}, 422, "InputError"),
        ("POST", "objects/merge", {"keep": 1, "other": 1}, 422, "InputError"),
        ("POST", "objects/split", {"object": 1}, 422, "InputError"),
        ("POST", "objects/swap", {"first": 1, "second": 7, "frame": 3}, 404, "UnknownObjectError"),
        ("PUT", "objects/1/absent", {"start": 0, "stop": 3}, 422, "InputError"),
        ("POST", "preview", {"prompts": [[1, 600]]}, 422, "InputError"),
        ("POST", "preview", {"prompts": [1]}, 422, "InputError"),
        ("POST", "undo", {"x": 1}, 422, "InputError"),
        ("PUT", "objects/1", {}, 405, "MethodError"),
        ("POST", "nothing", {}, 404, "NotFoundError"),
        ("PUT", "queue/1-1-score/verdict", {"answer": "fine"}, 404, "NotFoundError"),
    ],
)
def test_bad_edits_are_refused_in_the_librarys_words(steady, method, path, body, status, kind):
    out, page = steady
    page.look()
    before = rows_of(out)
    found = page.send(method, path, body)
    assert (found.status, found.json["kind"]) == (status, kind)
    assert found.json["message"]
    assert "hint" in found.json
    assert rows_of(out) == before


# --- conflicts ------------------------------------------------------------------------------------------------------


def test_two_tabs(page, out):
    other = page.revision
    assert page.send("PATCH", "objects/1", {"label": "tram"}).status == 200
    stale = page.send("PATCH", "objects/1", {"label": "bus"}, revision=other)
    assert (stale.status, stale.json["kind"], stale.json["objects"]) == (409, "OutdatedError", [1])
    assert stale.json["revision"] == page.look()["revision"]
    assert page.send("PUT", "objects/2/seeds/10", {"mask": coco(50)}, revision=other).status == 200  # another object
    assert page.send("POST", "undo", {}, revision=other).status == 409
    assert page.send("PATCH", "objects/1", {"label": "bus"}, revision=stale.json["revision"]).status == 200
    assert page.raw("POST", "/api/v1/undo", b"{}").status == 428
    assert page.raw("POST", "/api/v1/undo", b"{}", {"If-Match": "*"}).status == 428
    assert {o["id"]: o["label"] for o in page.look()["objects"]} == {1: "bus", 2: None}


def test_an_edit_of_another_program_is_a_conflict_too(page, out):
    with Tracks.open(out / "tracks.sqlite") as tracks:
        editing.rename(tracks, 1, "tram")
    assert page.send("PATCH", "objects/1", {"label": "bus"}).status == 409
    assert page.look()["objects"][0]["label"] == "tram"
