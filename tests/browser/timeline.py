"""The timeline of the tab under a mouse, in frames and values."""

from __future__ import annotations

import json

from tests.browser.window import Window

PAD_PX, BAND_PX = 10, 20
# The rows leave 16 % free above and below their values.
FREE = 0.16


class Timeline:
    """The timeline of a window, in frames and values.

    Args:
        one: the window, whose timeline is opened.
    """

    def __init__(self, one: Window) -> None:
        self.one, self.page = one, one.page
        self.page.locator("#deforum_timeline_fold .label-wrap").first.click()
        self.page.locator(".deforum-tl-row").first.wait_for()
        self.page.locator("#deforum_timeline_fold").evaluate("fold => fold.scrollIntoView()")
        self.settled()

    def settled(self) -> None:
        """Wait until the server has applied all edits."""
        self.page.wait_for_timeout(60)
        self.page.locator(".deforum-timeline[aria-busy=false]").wait_for()

    def holds(self, **texts: str) -> None:
        """Type texts and wait until the timeline shows them."""
        for name, text in texts.items():
            if self.text(name) != text:
                self.one.open("Prompts" if name == "prompts" else "Keyframes")
                self.one.fill(name, text)
        self.page.locator("#deforum_timeline_fold").evaluate("fold => fold.scrollIntoView()")
        for name, text in texts.items():
            curve_is_drawn = (
                f"[...document.querySelectorAll('.deforum-tl-name')].some(one => one.title === {name}Text)"
            )
            if name == "prompts":
                frames = ", ".join(json.loads(text))
                curve_is_drawn = (
                    f"document.querySelector('.deforum-tl-head').ariaLabel === 'Prompts at frames {frames}'"
                )
            self.page.wait_for_function(curve_is_drawn.replace(f"{name}Text", json.dumps(f"{name}: {text}")))
        self.settled()

    def x(self, frame: float, frames: int = 120) -> float:
        box = self.page.locator(".deforum-tl-head").bounding_box()
        assert box
        return float(box["x"] + PAD_PX + frame / frames * (box["width"] - 2 * PAD_PX))

    def key(self, name: str, frame: float, value: float, low: float, high: float) -> tuple[float, float]:
        """Where a value stands in a row whose values run from `low` to `high`."""
        box = self.page.locator(f".deforum-tl-row[data-schedule={name}] canvas").bounding_box()
        assert box
        share = (value - low + FREE * (high - low)) / ((1 + 2 * FREE) * (high - low))
        return self.x(frame), float(box["y"] + box["height"] * (1 - share))

    def prompt(self, frame: float) -> tuple[float, float]:
        box = self.page.locator(".deforum-tl-head").bounding_box()
        assert box
        return self.x(frame), float(box["y"] + box["height"] - BAND_PX)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=5)
        self.page.mouse.up()
        self.settled()

    def press(self, keys: str) -> None:
        self.page.keyboard.press(keys)
        self.settled()

    def text(self, name: str) -> str:
        return str(self.one.field(name).input_value())
