"""A window of the browser with what it complained about and whom it asked."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_MS = 120_000
TOASTS = ".toast-body, .toast-wrap > *"
LISTED = "[...document.querySelectorAll('#deforum_jobs tr[data-job]')].map(row => row.dataset.job)"


class Window:
    """One page that shows the tab.

    Args:
        page: Playwright's page.
        url: of the server.
    """

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append("dialog"), dialog.dismiss()))
        home = url.partition("?")[0]
        page.on("request", lambda request: self._asked(request.url, home))
        page.goto(url)
        self.checked()

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _asked(self, address: str, url: str) -> None:
        if not address.startswith((url, "data:", "blob:")):
            self.foreign.append(address)

    def checked(self) -> None:
        """Wait for the verdict on the settings."""
        self.page.wait_for_selector("#deforum_verdict .deforum-verdict", state="attached")

    def without_a_server(self) -> None:
        """Take the network away until the page says so, and give it back until it has gone on.

        gradio must not complain of a single request, and a reload of the page keeps what was changed meanwhile.
        """
        lost = self.page.locator("#deforum_interface.deforum-server-silent")
        self.page.context.set_offline(True)
        lost.wait_for()
        self.fill("max_frames", "33")
        self.page.wait_for_timeout(1000)
        self.page.context.set_offline(False)
        lost.wait_for(state="detached")
        self.verdict("2.2 s at 15 fps")
        assert self.page.locator(TOASTS).count() == 0
        heard = [one for one in self.complaints if "ERR_INTERNET_DISCONNECTED" not in one]
        self.complaints[:] = heard

    def until(self, stands: Callable[[], bool]) -> None:
        """Wait until the page stands as wanted: its parts come one after the other."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not stands():
            assert time.monotonic() < deadline, "it never stood so"
            self.page.wait_for_timeout(50)

    def open(self, *titles: str) -> None:
        """Open a tab, and one inside it."""
        for title in titles:
            tabs = "#deforum_left :is([role=tab], .tab-nav > button, .overflow-dropdown > button)"
            named = re.compile(rf"^\s*{title}\s*$")
            self.page.locator(tabs).filter(has_text=named, visible=True).first.click()

    def field(self, name: str) -> Any:
        """The input of a setting."""
        return self.page.locator(f"#deforum_field_{name} :is(textarea, input)").first

    def fill(self, name: str, text: str) -> None:
        self.field(name).fill(text)
        self.field(name).press("Tab")

    def verdict(self, part: str) -> str:
        """Wait until the verdict has `part`; return it as it stood then, for a later check may replace it."""
        script = """part => {
            const text = document.querySelector("#deforum_verdict")?.innerText ?? "";
            return text.includes(part) ? text : null;
        }"""
        return str(self.page.wait_for_function(script, arg=part).json_value())

    def short_run(self, frames: int) -> None:
        """Make the video of the settings small enough to wait for."""
        self.open("Run")
        self.fill("W", "64")
        self.fill("H", "64")
        self.open("Keyframes")
        self.fill("max_frames", str(frames))
        self.verdict(f"{frames / 15:.1f} s at 15 fps")

    def generate(self) -> str:
        """Press Generate; return the job's id, which is the new one in the list of jobs."""
        known = self.listed()
        self.page.click("#deforum_generate")
        return self.fresh(known)

    def listed(self) -> list[str]:
        """The ids of the jobs in the list."""
        found: list[str] = self.page.evaluate(LISTED)
        return found

    def fresh(self, known: list[str]) -> str:
        """Wait for a job that is not `known`; return its id."""
        fresh = self.page.wait_for_function(f"known => {LISTED}.find(id => !known.includes(id))", arg=known)
        return str(fresh.json_value())

    def row(self, job_id: str) -> Any:
        return self.page.locator(f'#deforum_jobs tr[data-job="{job_id}"]')

    def drop(self, selector: str, file: Path, at: str = "") -> None:
        """Drag a file from outside onto a box, or to another part of the page, and let it fall."""
        script = """([text, name]) => {
            const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
            const dragged = new DataTransfer();
            dragged.items.add(new File([bytes], name));
            return dragged;
        }"""
        text = base64.b64encode(file.read_bytes()).decode("ascii")
        dragged = self.page.evaluate_handle(script, [text, file.name])
        box = self.page.locator(at or f"{selector} .deforum-box-pick").first
        box.dispatch_event("drop", {"dataTransfer": dragged})

    def frames(self, job_id: str) -> int:
        """How many frames the list says that a job has."""
        return int(self.row(job_id).locator("td").nth(1).inner_text().split("/")[0])

    def state(self, job_id: str, state: str) -> None:
        """Wait until a job is in a state."""
        self.page.wait_for_selector(f'#deforum_jobs tr.{state}[data-job="{job_id}"]')


@contextmanager
def window(browser: Any, url: str, width_px: int = 1280, scheme: str = "light") -> Iterator[Window]:
    """Open a window of its own, which must have nothing to complain about when it is closed."""
    context = browser.new_context(viewport={"width": width_px, "height": 900}, color_scheme=scheme)
    try:
        made = Window(context.new_page(), url)
        yield made
        assert made.complaints == [], made.complaints
        assert made.foreign == [], made.foreign
    finally:
        context.close()
