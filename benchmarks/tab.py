"""Time from a changed control to the checked plan of 1,000 frames, in the server and in a browser."""

from __future__ import annotations

import importlib.util
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, best_of
from deforum_api.hosts.own_host import make_queue
from deforum_api.tab.service import QueueService
from deforum_helpers.engines import make_engine
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.controls import NAMES, default_values

NAME = "tab"
BAR = "a slider's change to the checked plan of 1,000 frames: 150 ms"

FRAMES, REPEATS = 1_000, 15
CHANGED = {"max_frames": FRAMES, "strength_schedule": "0: (0.6 + 0.1*sin(t/10)), 500: (0.4)"}

# Moves the slider "Cadence" and returns the milliseconds until the page shows the new result; fails after a minute.
MOVE = """stop => new Promise((done, fail) => {
    const verdict = document.getElementById("deforum_verdict");
    const slider = document.querySelector("#deforum_field_diffusion_cadence input[type=range]");
    const wanted = String(Math.ceil(999 / stop) + 1);
    const counted = () => (verdict.innerText.match(/Key frames\\s+([\\d,]+)/) || [])[1];
    if (!counted()) throw new Error("The page shows no number of key frames: " + verdict.innerText);
    if (counted() === wanted) throw new Error("The slider stands there already.");
    setTimeout(() => fail(new Error(`No ${wanted} key frames: ${verdict.innerText}`)), 60_000);
    const start = performance.now();
    const watch = new MutationObserver(() => {
        if (counted() !== wanted) return;
        watch.disconnect();
        done(performance.now() - start);
    });
    watch.observe(verdict, {childList: true, subtree: true, characterData: true});
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(slider, stop);
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    slider.dispatchEvent(new Event("change", {bubbles: true}));
})"""


def run() -> list[Row]:
    return [*_server_rows(), *_browser_rows()]


def _server_rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as root:
        facts = own_facts("null", None, Path(root))
        queue = make_queue(facts, lambda: make_engine("null"))
        answers = Answers(QueueService(queue, facts), str)
        for mode in ("2D", "3D"):
            held = {**dict(zip(NAMES, default_values(), strict=True)), **CHANGED, "animation_mode": mode}
            values = tuple(held.values())
            yield Row(f"the server's part, {mode}", best_of(partial(answers.check, *values)), 150.0)
        queue.close(5)


def _browser_rows() -> Iterator[Row]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None or any(importlib.util.find_spec(one) is None for one in ("playwright", "gradio")):
        return
    from playwright.sync_api import sync_playwright

    with serving() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        times = _moves(browser.new_page(), url)
        browser.close()
    yield Row("in a browser, median", statistics.median(times), 150.0)
    yield Row("in a browser, slowest", max(times))


def _moves(page: Any, url: str) -> list[float]:
    page.goto(url)
    page.wait_for_selector("#deforum_verdict .deforum-verdict", state="attached")
    page.locator("#deforum_left").get_by_role("tab", name="Keyframes", exact=True).first.click()
    for name, value in CHANGED.items():
        page.locator(f"#deforum_field_{name} :is(input, textarea)").first.fill(str(value))
    page.locator("#deforum_verdict", has_text=f"{FRAMES:,}").first.wait_for()
    page.wait_for_timeout(1000)
    times = []
    for number in range(REPEATS):
        times.append(float(page.evaluate(MOVE, 4 + number % 5)))
        page.wait_for_timeout(200)
    return times[2:]


@contextmanager
def serving() -> Iterator[str]:
    """Run a server with the null engine; yield its address when its tab is ready."""
    command = [
        sys.executable,
        "-m",
        "deforum_api.hosts.standalone",
        "--port",
        "0",
        "--deforum-engine",
        "null",
    ]
    with tempfile.TemporaryDirectory() as root:
        server = subprocess.Popen(
            [*command, "--deforum-outdir", root], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert server.stdout
            found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
            assert found
            until = time.monotonic() + 120
            while b"gradio_config" not in urllib.request.urlopen(found[0], timeout=60).read():
                assert time.monotonic() < until, "The tab did not start within two minutes."
                time.sleep(0.2)
            yield found[0]
        finally:
            server.terminate()
            server.wait(60)
