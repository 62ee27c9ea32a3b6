"""Time that the timeline takes for one update of a drag, of 10,000 frames in 30 rows, in a browser."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, best_of
from benchmarks.tab import serving
from deforum_api.hosts.own_host import make_queue
from deforum_api.tab.service import QueueService
from deforum_helpers.engines import make_engine
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.timeline import SCHEDULES

NAME = "timeline"
BAR = "10,000 frames in 30 rows are dragged at 30 updates a second: 33.3 ms for one"

FRAMES, ROWS = 10_000, 30
NAMES = SCHEDULES[:ROWS]
TEXT = ", ".join(f"{frame}: ({1 + frame % 700 / 1000})" for frame in range(0, FRAMES, 250))
VALUES = {**dict.fromkeys(NAMES, TEXT), "max_frames": FRAMES}

# Drags all selected keys for three seconds; returns the milliseconds between two updates, and of the work in each.
DRAG = """([x, y]) => new Promise(done => {
    const canvas = document.elementFromPoint(x, y);
    const send = (type, dx) => canvas.dispatchEvent(new PointerEvent(type, {
        bubbles: true, pointerId: 1, pointerType: "mouse", clientX: x + dx, clientY: y,
        button: type === "pointermove" ? -1 : 0,
    }));
    send("pointerdown", 0);
    const start = performance.now();
    let [updates, work, last] = [0, 0, start];
    const turn = () => {
        const now = performance.now();
        send("pointermove", 10 + 40 * Math.sin(updates / 7));
        // The page's own callbacks of this frame run after this one.
        requestAnimationFrame(() => {
            updates += 1;
            if (performance.now() - start < 3000) turn();
            else {
                send("pointercancel", 0);
                done((performance.now() - start) / updates);
            }
        });
    };
    turn();
})"""


def run() -> list[Row]:
    return [*_server_rows(), *_browser_rows()]


def _server_rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as root:
        facts = own_facts("null", None, Path(root))
        queue = make_queue(facts, lambda: make_engine("null"))
        answers = Answers(QueueService(queue, facts), str)
        wanted = json.dumps({"values": VALUES, "rows": NAMES, "first": 0, "last": FRAMES})
        yield Row("the server's answer, after a drag", best_of(lambda: answers.timeline(wanted)))
        queue.close(5)


def _browser_rows() -> Iterator[Row]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None or any(importlib.util.find_spec(one) is None for one in ("playwright", "gradio")):
        return
    from playwright.sync_api import sync_playwright

    with serving() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1920, "height": 1000})
        one, all_of_them = _drags(page, url)
        browser.close()
    yield Row("one update, a key of one row dragged", one, 1000 / 30)
    yield Row("one update, a key of each of 30 rows dragged", all_of_them, 1000 / 30)


def _drags(page: Any, url: str) -> tuple[float, float]:
    kept = json.dumps({"deforum_held": json.dumps(VALUES), "deforum_timeline_rows": json.dumps(NAMES)})
    page.add_init_script(
        f"for (const [name, text] of Object.entries({kept})) sessionStorage.setItem(name, text)"
    )
    page.goto(url)
    page.wait_for_selector("#deforum_verdict .deforum-verdict", state="attached")
    page.locator("#deforum_timeline_fold button").first.click()
    page.locator(".deforum-tl-row").nth(ROWS - 1).wait_for(state="attached")
    page.locator(".deforum-tl-time", has_text=str(FRAMES - 1)).wait_for(state="attached")
    page.locator(".deforum-timeline[aria-busy=false]").wait_for()
    page.locator("#deforum_timeline_fold").evaluate("fold => fold.scrollIntoView()")
    box = page.locator(".deforum-tl-curve").first.bounding_box()
    # The key at frame 5000 has the value 1.1; the row shows 1 to 1.65 with 16 % above and below.
    share = (0.1 + 0.16 * 0.65) / (1.32 * 0.65)
    place = [box["x"] + 10 + (box["width"] - 20) / 2, box["y"] + box["height"] * (1 - share)]
    one = float(page.evaluate(DRAG, place))
    page.keyboard.press("Escape")
    page.locator(".deforum-tl-lanes").press("Control+a")
    return one, float(page.evaluate(DRAG, place))
