"""The review page in a real Chromium, as a user drives it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from browser_tools import COUNT, Hands, block, make_run, rows_of
from clips import SIZE_HW, make_clip, read_number

pytestmark = pytest.mark.browser

Look = Callable[..., Hands]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path)


@pytest.fixture
def server(run: Path) -> Iterator:
    from maskferry.web import serve

    with serve(run) as found:
        yield found


@pytest.fixture
def hands(server, look: Look) -> Hands:
    return look(server.url)


def test_the_token_leaves_the_address_and_stays_in_the_tab(hands: Hands, server) -> None:
    assert hands.page.url == server.address
    assert hands.page.evaluate("document.cookie") == ""
    hands.page.reload()
    hands.page.wait_for_selector("#frame-number")
    assert hands.page.locator("h1").inner_text() == "clip.mp4"


def test_without_the_token_the_page_says_what_it_needs(server, look: Look) -> None:
    hands = look(server.address, first=".beginning")
    assert "address that maskferry open printed" in hands.page.inner_text("main")


def test_every_frame_is_the_one_that_its_number_says(hands: Hands) -> None:
    for index in (0, 1, 2, 17, 39, 3):
        hands.go(index)
        assert read_number(hands.film()) == index
    hands.press("ArrowRight", "ArrowRight", "ArrowLeft")
    hands.wait_for_frame(4)
    hands.press("Shift+ArrowRight")
    hands.wait_for_frame(14)
    assert read_number(hands.film()) == 14
    hands.press("End")
    hands.wait_for_frame(COUNT - 1)
    assert read_number(hands.film()) == COUNT - 1
    slider = hands.page.get_by_role("slider", name="Playhead")
    assert re.match(r"frame 39 of 39, 0:01\.\d\d", slider.get_attribute("aria-valuetext"))


def test_news_do_not_take_away_what_is_being_typed(hands: Hands) -> None:
    hands.press("g")
    hands.page.fill("#frame-number", "12")
    hands.js("(await m('film/frames.js')).loaded.value += 1; await new Promise((done) => setTimeout(done, 100))")
    assert hands.page.input_value("#frame-number") == "12"
    hands.press("Enter")
    hands.wait_for_frame(12)


def test_playing_shows_every_frame_once(hands: Hands) -> None:
    hands.js("window.seen = []; s.shownFrame.subscribe((at) => window.seen.push(at));")
    hands.press("Space")
    hands.wait(f"s.frame.value === {COUNT - 1} && !s.isPlaying.value")
    assert hands.page.evaluate("window.seen") == list(range(COUNT))


def test_selecting_on_the_film_and_in_the_list(hands: Hands) -> None:
    hands.click_pixel(15, 25)
    assert hands.state("selected") == 1
    assert "1 car" in hands.page.inner_text(".selected")
    hands.click_pixel(65, 25)
    assert hands.state("selected") == 2
    hands.press("ArrowUp")
    assert hands.state("selected") == 1
    hands.click_pixel(120, 90)
    assert hands.state("selected") is None
    hands.page.click("[data-object='2'] .name")
    assert hands.state("selected") == 2
    hands.page.fill(".filter input", "car")
    assert hands.page.locator("[data-object]").count() == 1


def test_a_correction_swaps_in_and_is_undone_to_the_byte(hands: Hands, run: Path) -> None:
    before, other = rows_of(run), rows_of(run, 2)
    hands.click_pixel(15, 25)
    hands.go(20)
    hands.pick("b")
    hands.stroke((15, 70), (35, 70))
    hands.wait_for_draft()
    wanted = hands.painted()
    assert wanted[70, 15:36].all() and wanted[20:40, 10:30].all()
    steps = hands.apply()
    hands.wait_for_job()
    assert steps == COUNT + 20  # on from frame 0 through all frames, and back from frame 20
    hands.wait_for_mask(1, wanted)
    hands.go(30)
    hands.wait_for_mask(1, wanted)
    assert rows_of(run, 2) == other and rows_of(run) != before
    assert hands.page.locator(".banner.draft").count() == 0
    after = rows_of(run)
    hands.press("Control+z")
    hands.wait("s.run.value.history.redo !== null && s.writing.value === 0")
    assert rows_of(run) == before
    hands.wait_for_mask(1, block(10))
    hands.press("Control+Shift+Z")
    hands.wait("s.run.value.history.redo === null && s.writing.value === 0")
    assert rows_of(run) == after
    assert hands.js("return s.run.value.pending.steps") == 0


def test_a_handle_drawn_inwards_pins_and_saves_steps(hands: Hands, run: Path) -> None:
    before = rows_of(run, 1)
    hands.click_pixel(15, 25)
    hands.go(20)
    hands.pick("b")
    hands.stroke((15, 70), (20, 70))
    hands.press("Enter")
    hands.page.locator(".cost").wait_for()
    hands.page.get_by_label(re.compile("^From: frame")).fill("15")
    hands.page.get_by_label(re.compile("^To: frame")).fill("25")
    hands.page.locator(".cost[data-steps='20']").wait_for()  # on and back between 15, 20 and 25
    hands.page.click(".dialog-apply button.main")
    hands.wait_for_job()
    assert hands.js("return s.objects.value[0].pins") == [15, 25]
    changed = [info.index for (info, row), was in zip(rows_of(run, 1), before, strict=True) if (info, row) != was]
    assert {19, 20, 21} <= set(changed) <= set(range(16, 25))


def test_eraser_fill_polygon_and_strokes_taken_back(hands: Hands) -> None:
    hands.click_pixel(15, 25)
    hands.pick("e")
    hands.js("s.brushRadius.value = 2")
    hands.stroke((20, 30))
    first = block(10)
    assert first.sum() - hands.painted().sum() == 21  # a disc of 5 x 5 without its corners
    hands.press("u")
    hands.click_pixel(20, 30)
    hands.wait_for_draft()
    assert np.array_equal(hands.painted(), first)
    hands.press("l")
    for corner in ((50, 60), (70, 60), (70, 80), (50, 80)):
        hands.click_pixel(*corner)
    hands.press("Enter")
    wanted = first.copy()
    wanted[60:81, 50:71] = True
    assert np.array_equal(hands.painted(), wanted)
    hands.press("Control+z")
    assert np.array_equal(hands.painted(), first)
    hands.press("Control+z", "Control+z")
    assert np.array_equal(hands.painted(), first)
    hands.press("Control+Shift+Z", "Control+Shift+Z", "Control+Shift+Z")
    assert np.array_equal(hands.painted(), wanted)
    assert hands.js("return s.run.value.history.redo") is None  # no edit was touched


def test_others_and_what_is_locked_are_not_painted_over(hands: Hands) -> None:
    hands.click_pixel(15, 25)
    hands.press("x")
    hands.pick("b")
    hands.stroke((40, 30), (75, 30))
    assert not (hands.painted() & block(60)).any()
    hands.press("x")
    hands.stroke((40, 30), (75, 30))
    assert (hands.painted() & block(60)).any()
    hands.press("Control+z")
    hands.page.get_by_label("Lock 2", exact=True).click()
    hands.stroke((40, 30), (75, 30))
    assert not (hands.painted() & block(60)).any()
    hands.press("Escape")
    hands.page.click("[data-object='2'] .name")
    hands.press("b")
    hands.stroke((100, 80), (110, 80))
    assert "locked" in hands.say()


def test_reload_in_the_middle_of_a_stroke(hands: Hands) -> None:
    hands.click_pixel(15, 25)
    hands.go(7)
    hands.pick("b")
    hands.stroke((15, 70), (20, 70))
    hands.begin_stroke((40, 80), (60, 80))
    wanted = hands.painted()
    hands.page.reload()
    hands.page.wait_for_selector(".banner.draft")
    hands.page.click(".banner.draft button")
    hands.wait("(await m('painting.js')).painting.value !== null")
    assert hands.state("frame") == 7
    assert np.array_equal(hands.painted(), wanted)
    hands.wait_for_draft()
    hands.apply()
    hands.wait_for_job()
    hands.wait_for_mask(1, wanted)


def test_a_new_object_with_the_keyboard_alone(tmp_path: Path, look: Look) -> None:
    from maskferry import MaskTracker
    from maskferry.web import serve

    video = make_clip(tmp_path / "clip.mp4", 12)
    with MaskTracker(video, engine="hold", tracks=tmp_path / "out" / "tracks.sqlite") as tracker:
        tracker.save()
    with serve(tmp_path / "out", engine="hold") as server:
        hands = look(server.url, first=".banner.empty")
        hands.wait("s.shownFrame.value === 0")
        hands.press("ArrowRight")
        hands.press("l")
        hands.wait("(await m('painting.js')).painting.value !== null")
        hands.press("Space", *["Shift+ArrowRight"] * 2, "Space", *["Shift+ArrowDown"] * 2, "Space", "Enter")
        assert hands.painted().sum() == 21 * 22 / 2
        wanted = hands.painted()
        hands.apply()
        hands.wait_for_job()
        new = hands.state("selected")
        assert new == hands.js("return s.objects.value[0].id")
        hands.wait_for_mask(new, wanted)
    assert [info.index for info, _ in rows_of(tmp_path / "out", new)] == list(range(12))


def test_names_splits_swaps_merges_and_undo(hands: Hands, run: Path) -> None:
    before = rows_of(run)
    edits = hands.js("return s.run.value.history.undo.length")
    hands.click_pixel(15, 25)
    hands.press("F2")
    hands.page.fill("dialog input", "<img src=x onerror=alert(1)>")
    hands.press("Enter")
    hands.page.locator(".object", has_text="<img src=x").wait_for()
    hands.go(10)
    for i, key in enumerate("swm"):
        hands.press(key)
        hands.page.click("dialog button[type=submit]")
        hands.wait("s.run.value.history.undo.length === a && !s.writing.value && !s.dialog.value", edits + 2 + i)
    assert rows_of(run) != before
    for left in range(edits + 3, edits - 1, -1):
        hands.press("Control+z")
        hands.wait("s.run.value.history.undo.length === a && !s.writing.value", left)
    assert rows_of(run) == before
    assert hands.js("return s.run.value.pending.steps") == 0


def test_the_queue(tmp_path: Path, look: Look) -> None:
    from maskferry.web import serve

    with serve(make_run(tmp_path, objects=3)) as server:
        hands = look(server.url)
        row = hands.page.locator(".moment").first
        row.wait_for()
        hands.press("Escape", ".")
        hands.wait("s.selected.value === s.queue.value.rows[0].object && s.frame.value === s.queue.value.rows[0].frame")
        row.get_by_text("correct:").wait_for()
        hands.press("q")
        hands.wait("s.queue.value.rows.some((item) => item.verdict === 'fine')")
        assert hands.page.locator(".moment.done").count() == 1
        hands.page.locator(".moment").first.get_by_text("Fix").click()
        hands.wait("s.tool.value === 'brush' && s.queue.value.rows.some((item) => item.verdict === 'fix')")


def test_exports_are_files_that_can_be_read(hands: Hands, tmp_path: Path) -> None:
    hands.press("Control+e")
    for name, sign in (("davis", b"PK"), ("tracks", b"SQLite format 3"), ("film", b"ftyp")):
        hands.page.select_option("dialog select", name)
        with hands.page.expect_download() as download:
            hands.page.click("dialog button.main")
        place = tmp_path / download.value.suggested_filename
        download.value.save_as(place)
        assert sign in place.read_bytes()[:16]
        if name == "davis":
            assert len([item for item in zipfile.ZipFile(place).namelist() if item.endswith(".png")]) == COUNT


def test_a_mask_from_a_file(hands: Hands, tmp_path: Path) -> None:
    labels = np.zeros(SIZE_HW, dtype=np.uint8)
    labels[70:90, 70:90] = 7
    Image.fromarray(labels).save(tmp_path / "first.png")
    hands.page.click("text=Import")
    hands.page.set_input_files("dialog input[type=file]", tmp_path / "first.png")
    hands.page.locator("dialog li", has_text="id 7").wait_for()
    hands.page.click("dialog button.main")
    hands.wait("s.objects.value.some((item) => item.id === 7)")
    hands.wait_for_job()
    hands.wait_for_mask(7, labels == 7)


def test_a_mask_file_that_is_dropped(hands: Hands, tmp_path: Path) -> None:
    hands.js(
        "const canvas = new OffscreenCanvas(a[1], a[0]); const c = canvas.getContext('2d'); c.fillStyle = 'black';"
        "c.fillRect(0, 0, a[1], a[0]); c.fillStyle = 'white'; c.fillRect(70, 70, 20, 20);"
        "const data = new DataTransfer(); data.items.add(new File([await canvas.convertToBlob()], 'mask.png'));"
        "document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}))",
        list(SIZE_HW),
    )
    hands.page.locator("dialog li").first.wait_for()
    assert hands.page.locator("dialog button.main").is_disabled()  # object 1 has a mask on frame 0
    hands.page.get_by_label("Replace 1 mask given before").check()
    hands.page.click("dialog button.main")
    hands.wait_for_mask(1, block(70, 70))


def test_read_only(run: Path, look: Look) -> None:
    from maskferry.web import serve

    before = rows_of(run)
    with serve(run, read_only=True) as server:
        hands = look(server.url)
        hands.click_pixel(15, 25)
        hands.press("b", "Delete", "F2", "a")
        assert hands.page.locator("dialog").count() == 0
        assert hands.state("tool") == "select"
        assert hands.page.inner_text(".saved") == "read-only"
        assert hands.page.locator("button[data-command=brush]").is_disabled()
        hands.go(20)
    assert rows_of(run) == before


def test_on_a_tablet(server, look: Look) -> None:
    hands = look(server.url, viewport={"width": 768, "height": 1024})
    assert hands.page.evaluate("document.documentElement.scrollWidth") <= 768
    box = hands.page.locator(".stage").bounding_box()
    assert box["width"] >= 250 and box["height"] >= 250
    hands.click_pixel(15, 25)
    hands.pick("b")
    hands.stroke((15, 70), (20, 70))
    assert hands.painted()[70, 18]


def test_keys_can_be_changed_and_switched_off(hands: Hands) -> None:
    hands.press("?")
    hands.page.get_by_label("Change the key of: A frame on").click()
    hands.press("j")
    hands.press("Escape")
    hands.press("j")
    hands.wait_for_frame(1)
    hands.press("ArrowRight")
    assert hands.state("frame") == 1
    hands.press("?")
    hands.page.get_by_label("Keys of one letter or sign").click()
    hands.press("Escape")
    hands.press("j", "b")
    assert (hands.state("frame"), hands.state("tool")) == (1, "select")


def test_three_corrections_of_one_of_three_objects(tmp_path: Path, look: Look) -> None:
    from maskferry.web import serve

    run = make_run(tmp_path, 120, objects=3)
    before = rows_of(run)
    others = [rows_of(run, i) for i in (2, 3)]
    with serve(run) as server:
        hands = look(server.url)
        hands.page.click("[data-object='1'] .name")
        steps = []
        for i, index in enumerate((60, 90, 75)):
            hands.go(index)
            hands.pick("b")
            hands.stroke((15 + 10 * i, 70), (20 + 10 * i, 70))
            hands.wait_for_draft()
            steps.append(hands.apply())
            hands.wait_for_job()
            assert [rows_of(run, other) for other in (2, 3)] == others
        assert steps == [180, 90, 60]
        after = rows_of(run)
        for key, wanted in (("Control+z", before), ("Control+Shift+Z", after)):
            for _ in range(3):
                revision = hands.state("revision")
                hands.press(key)
                hands.wait("s.revision.value > a && !s.writing.value", revision)
            assert rows_of(run) == wanted
            assert hands.js("return s.run.value.pending.steps") == 0
