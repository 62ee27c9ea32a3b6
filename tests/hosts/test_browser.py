"""The tab inside the fake host's pages, in a real browser: on the gradio that the environment has.

With DEFORUM_SCREENSHOTS=FOLDER it leaves an image of each page there.
"""

from __future__ import annotations

import importlib.util
import os
import re
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import CHROMIUM, missing
from tests.browser.timeline import Timeline
from tests.browser.window import Window, window
from tests.hosts.test_fake_webui import HOST_GRADIO, LOGIN, ROOT, Program

pytestmark = pytest.mark.skipif(
    not HOST_GRADIO or bool(missing()) or importlib.util.find_spec("torch") is None,
    reason="needs the gradio of a host, torch, Playwright and Chromium",
)
FRAMES = 6


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("host")
    kind = "a1111" if metadata.version("gradio")[0] == "3" else "forge"
    (folder / "extensions").mkdir()
    extension = folder / "extensions" / "deforum"
    extension.symlink_to(ROOT)
    flags = ("--deforum-api", "--api-auth", LOGIN, "--kind", kind, "--step-seconds", "0.1")
    started = Program(folder, extension, *flags)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def browser(host: Program) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


def opened(one: Window) -> None:
    """Go to our tab, which stands beside the host's own."""
    one.page.locator("#tabs button").filter(has_text=re.compile(r"^\s*Deforum\s*$")).first.click()
    one.page.locator("#deforum_generate").wait_for(state="visible")


def photographed(one: Window, name: str) -> None:
    folder = os.environ.get("DEFORUM_SCREENSHOTS")
    if folder:
        path = Path(folder, f"{metadata.version('gradio')}-{metadata.version('fastapi')}-{name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        one.page.screenshot(path=str(path))


# Whether a piece of our page is fainter than it should be while its answer is on its way, as old gradios show it.
FADED = """[...document.querySelectorAll('#deforum_interface .pending')].some(
  each => Number(getComputedStyle(each).opacity) < 1)"""


def test_a_video_from_the_tab_to_the_end(host: Program, browser: Any) -> None:
    with window(browser, host.base) as one:
        opened(one)
        one.short_run(FRAMES)
        job = one.generate()
        one.page.wait_for_function(
            "[...document.querySelectorAll('#deforum_run img')].some(each => each.naturalWidth > 0)"
        )
        seen = set()
        deadline = time.monotonic() + 60
        while one.row(job).get_attribute("class") not in ("done", "failed"):
            seen.add(one.frames(job))
            assert not one.page.evaluate(FADED)
            assert time.monotonic() < deadline
            one.page.wait_for_timeout(150)
        assert len(seen) > 1  # it was followed while it went on
        one.state(job, "done")
        video = one.page.locator("#deforum_run video")
        video.wait_for()
        one.page.wait_for_function("document.querySelector('#deforum_run video').readyState >= 2")
        assert video.evaluate("video => video.videoWidth") == 64
        photographed(one, "video")
    assert len(list(host.folder.glob("outputs/img2img-images/*/*.mp4"))) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [1280, 390])
def test_it_fits_its_window_in_both_themes(host: Program, browser: Any, width_px: int, scheme: str) -> None:
    address = host.base + ("/?__theme=dark" if scheme == "dark" else "/?__theme=light")
    with window(browser, address, width_px, scheme) as one:
        opened(one)
        one.open("Keyframes")
        photographed(one, f"{scheme}-{width_px}")
        for button in ("#deforum_generate", "#deforum_check"):
            box = one.page.locator(button).bounding_box()
            assert box
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width_px


def test_a_server_that_is_away_is_waited_for(host: Program, browser: Any) -> None:
    with window(browser, host.base) as one:
        opened(one)
        one.open("Keyframes")
        one.without_a_server()


def test_a_key_and_a_prompt_are_dragged_in_the_timeline(host: Program, browser: Any) -> None:
    prompts = '{"0": "a lake",\n   "40": "a forest --neg x", "80": "a town"}'
    with window(browser, host.base) as one:
        opened(one)
        for name, title, text in (
            ("prompts", "Prompts", prompts),
            ("zoom", "Keyframes", "0: (1),  60 : (2)"),
        ):
            one.open(title)
            one.fill(name, text)
        line = Timeline(one)
        line.drag(line.key("zoom", 60, 2, 1, 2), line.key("zoom", 81, 1.5, 1, 2))
        assert line.text("zoom") == "0: (1),  81 : (1.5)"
        line.drag(line.prompt(40), line.prompt(53))
        assert line.text("prompts") == prompts.replace('"40"', '"53"')
        photographed(one, "timeline")
        line.press("Control+z")
        line.press("Control+z")
        assert (line.text("zoom"), line.text("prompts")) == ("0: (1),  60 : (2)", prompts)
