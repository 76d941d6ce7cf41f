"""Nothing that is painted is lost: the server dies, the worker dies, two tabs paint, eight are open."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser_tools import COUNT, Hands, block, make_run, rows_of
from web_tools import Client

pytestmark = pytest.mark.browser

Look = Callable[..., Hands]

SERVE = """
import sys
from maskferry.web import serve
with serve(sys.argv[1], port=int(sys.argv[2])) as server:
    print(server.url, flush=True)
    server.wait()
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path)


@contextmanager
def served(run: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen, str]]:
    """A server in a process of its own, that can be killed; its address."""
    command = [sys.executable, "-c", SERVE, str(run), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def painting_on(hands: Hands, frame: int) -> np.ndarray:
    """Begin to paint object 1 on a frame; the mask after a stroke."""
    hands.page.click("[data-object='1'] .name")
    hands.go(frame)
    hands.pick("b")
    hands.stroke((15, 70), (25, 70))
    return hands.painted()


def test_the_server_is_killed_while_painting(run: Path, look: Look) -> None:
    with served(run) as (process, url):
        hands = look(url)
        painting_on(hands, 12)
        process.send_signal(signal.SIGKILL)
        process.wait()
        hands.stroke((60, 80), (90, 80))
        hands.page.locator(".banner.problem", has_text="does not answer").wait_for()
        wanted = hands.painted()
        assert wanted[80, 60:91].all()
        assert hands.page.inner_text(".saved") == "kept in this browser"
    port = int(url.partition("#")[0].rstrip("/").rpartition(":")[2])
    with served(run, port) as (_, again):
        assert f":{port}/" in again
        hands.page.goto("about:blank")
        hands.page.goto(again)
        hands.page.click(".banner.draft button")
        hands.wait("(await m('painting.js')).painting.value !== null")
        assert np.array_equal(hands.painted(), wanted)
        hands.apply()
        hands.wait_for_job()
        hands.wait_for_mask(1, wanted)


def test_the_worker_is_killed_before_it_tracks(run: Path, look: Look) -> None:
    from maskferry.web import serve

    with serve(run) as server:
        hands = look(server.url)
        wanted = painting_on(hands, 20)
        hands.page.route("**/api/v1/jobs", lambda route: route.abort())
        hands.apply()
        hands.wait("s.run.value.pending.steps > 0 && s.writing.value === 0")
        hands.page.unroute("**/api/v1/jobs")
        assert server.worker_pid
        os.kill(server.worker_pid, signal.SIGKILL)
        hands.wait("s.run.value.pending.steps > 0")
        hands.page.click(".bar .job button >> nth=0")
        hands.wait("s.job.value.state === 'died' || s.run.value.pending.steps === 0")
        if hands.js("return s.job.value.state") == "died":  # it was noticed after the click
            hands.page.click(".banner.problem >> text=Try again")
        hands.wait_for_job()
        hands.wait_for_mask(1, wanted)
        hands.press("Control+z")
        hands.wait_for_mask(1, block(10))


def test_two_tabs_change_the_same_object(run: Path, look: Look, browser: Any) -> None:
    from maskferry.web import serve

    context = browser.new_context(viewport={"width": 1280, "height": 800})
    with serve(run) as server:
        first, second = look(server.url, context=context), look(server.url, context=context)
        wanted = painting_on(first, 5)
        client = Client(server)
        client.look()
        second.page.click("[data-object='1'] .name")
        second.press("F2")
        second.page.fill("dialog input", "van")
        second.press("Enter")
        first.page.locator(".object", has_text="van").wait_for()  # the news reaches the other tab
        first.wait_for_draft()
        first.press("Enter")
        first.page.locator(".cost").wait_for()
        first.page.click(".dialog-apply button.main")
        first.page.locator(".dialog-conflict").wait_for()
        assert first.js("return s.run.value.drafts.length") == 1
        assert {row.rle for _, row in rows_of(run, 1)} == {rows_of(run, 1)[0][1].rle}
        first.page.click(".dialog-conflict button.main")
        first.wait_for_job()
        first.wait_for_mask(1, wanted)
        second.go(5)
        second.wait_for_mask(1, wanted)
    context.close()


def test_two_tabs_paint_the_same_mask(run: Path, look: Look, browser: Any) -> None:
    from maskferry.web import serve

    context = browser.new_context(viewport={"width": 1280, "height": 800})
    with serve(run) as server:
        first, second = look(server.url, context=context), look(server.url, context=context)
        painting_on(first, 5)
        first.wait_for_draft()
        second.page.click("[data-object='1'] .name")
        second.go(5)
        second.pick("b")  # goes on with what the first has saved
        second.stroke((60, 80), (90, 80))
        second.page.locator(".dialog-others-draft").wait_for()
        second.page.click(".dialog-others-draft button.main")
        second.wait_for_draft()
        found = Client(server).get("drafts/1/5").json
        assert second.js("return (await m('painting.js')).countsNow()") == found["mask"]["counts"]
    context.close()


def test_eight_tabs(run: Path, look: Look, browser: Any) -> None:
    from maskferry.web import serve

    context = browser.new_context(viewport={"width": 900, "height": 600})
    with serve(run) as server:
        tabs = [look(server.url, context=context) for _ in range(8)]
        wanted = painting_on(tabs[3], 9)
        tabs[3].apply()
        tabs[3].wait_for_job()
        for tab in (tabs[0], tabs[7]):
            tab.go(9)
            tab.wait_for_mask(1, wanted)
        tabs[0].page.close()  # the one that held the stream
        tabs[7].page.click("[data-object='1'] .name")
        tabs[7].press("F2")
        tabs[7].page.fill("dialog input", "van")
        tabs[7].press("Enter")
        tabs[2].page.locator(".object", has_text="van").wait_for()
    context.close()


def test_stop_and_take_back(run: Path, look: Look) -> None:
    from maskferry.web import serve

    before = rows_of(run)
    with serve(run) as server:
        hands = look(server.url)
        painting_on(hands, 20)
        hands.page.route("**/api/v1/jobs", lambda route: route.abort())
        hands.apply()
        bar = hands.page.locator(".bar .job")
        bar.wait_for()
        assert f"{COUNT + 20} steps to do" in bar.inner_text()
        bar.get_by_role("button", name="Undo").click()
        hands.wait("s.run.value.pending.steps === 0 && !s.writing.value")
    assert rows_of(run) == before
