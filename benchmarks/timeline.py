"""Time that the timeline takes for one update of a drag, of 10,000 frames in 30 rows, in a browser."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
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
BAR = "10,000 frames in 30 rows are dragged at 30 updates a second: 33.3 ms for one, also of the page's CPU time"

FRAMES, ROWS = 10_000, 30
NAMES = SCHEDULES[:ROWS]
TEXT = ", ".join(f"{frame}: ({1 + frame % 700 / 1000})" for frame in range(0, FRAMES, 250))
VALUES = {**dict.fromkeys(NAMES, TEXT), "max_frames": FRAMES}

KINDS = ("a key of one row", "40 keys in each of 30 rows")
# Drags all selected keys until `drag.end` is called; `drag.updates` counts the updates.
DRAG = """([x, y]) => {
    const canvas = document.elementFromPoint(x, y);
    const send = (type, dx) => canvas.dispatchEvent(new PointerEvent(type, {
        bubbles: true, pointerId: 1, pointerType: "mouse", clientX: x + dx, clientY: y,
        button: type === "pointermove" ? -1 : 0,
    }));
    const drag = (window.drag = { updates: 0, end: () => { drag.over = true; send("pointercancel", 0); } });
    send("pointerdown", 0);
    const turn = () => {
        if (drag.over) return;
        send("pointermove", 10 + 40 * Math.sin(drag.updates / 7));
        // The page's own callbacks of this frame run after this one.
        requestAnimationFrame(() => {
            drag.updates += 1;
            turn();
        });
    };
    turn();
}"""
COUNTED = "() => [performance.now(), window.drag.updates]"


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
        page.set_default_timeout(180_000)
        system = browser.new_browser_cdp_session()
        for kind, (wall, work) in zip(KINDS, _drags(page, url, partial(_page_seconds, system)), strict=True):
            yield Row(f"one update, {kind} dragged", wall, 1000 / 30)
            yield Row(f"one update, {kind} dragged, CPU time of the page", work, 1000 / 30)
        browser.close()


def _page_seconds(system: Any) -> float:
    """CPU time of the processes of pages: on a busy machine the time of a clock says little."""
    listed = system.send("SystemInfo.getProcessInfo")["processInfo"]
    return float(sum(one["cpuTime"] for one in listed if one["type"] == "renderer"))


def _drags(page: Any, url: str, seconds: Callable[[], float]) -> Iterator[tuple[float, float]]:
    """Yield the milliseconds of an update and the page's CPU time in it, for a key and for all keys of 30 rows."""
    stored = json.dumps({"deforum_held": json.dumps(VALUES), "deforum_timeline_rows": json.dumps(NAMES)})
    page.add_init_script(
        f"for (const [name, text] of Object.entries({stored})) sessionStorage.setItem(name, text)"
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
    for all_of_them in (False, True):
        if all_of_them:
            page.keyboard.press("Escape")
            page.locator(".deforum-tl-lanes").press("Control+a")
        page.evaluate(DRAG, place)
        # gradio takes answers that were on their way before it.
        page.wait_for_timeout(2000)
        (began, first), before = page.evaluate(COUNTED), seconds()
        page.wait_for_timeout(3000)
        (ended, last), after = page.evaluate(COUNTED), seconds()
        page.evaluate("window.drag.end()")
        yield (ended - began) / (last - first), (after - before) * 1000 / (last - first)
