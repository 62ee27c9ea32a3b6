"""Take the screenshots of the documentation: start the standalone server, render a short video, photograph the tab.

    python tools/screenshots.py [--engine demo|null] [--out docs/images]

Needs playwright and a Chromium on this machine.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PRESET, FRAMES = "fly_through_3d", 24
TIMELINE = {
    "translation_z": "0: (0.5), 30: (4) ~ease_in_out, 60: (4), 75: (9) ~ease_out, 90: (3) ~bounce, 119: (1)",
    "rotation_3d_y": "0: (0), 45: (0.6*sin(t/9)), 90: (0)",
    "strength_schedule": "0: (0.65), 60: (0.4) ~hold, 66: (0.65) ~ease_in_out",
}
PATIENCE_MS = 400_000


def main() -> int:
    """Take all screenshots; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default="demo", choices=("demo", "null"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("Chromium is not installed.", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    with _serving(options.engine) as (url, outputs), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        _photograph(browser, url, options.out, outputs)
        browser.close()
    return 0


@contextmanager
def _serving(engine: str) -> Iterator[tuple[str, Path]]:
    command = [
        sys.executable,
        "-m",
        "deforum_api.hosts.standalone",
        "--port",
        "0",
        "--deforum-engine",
        engine,
    ]
    with tempfile.TemporaryDirectory() as outputs:
        server = subprocess.Popen(
            [*command, "--deforum-outdir", outputs], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout
            found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
            assert found
            _wait(found[0])
            yield found[0], Path(outputs)
        finally:
            server.terminate()
            server.wait(60)


def _wait(url: str) -> None:
    while True:
        with urllib.request.urlopen(url, timeout=60) as answer:
            if b"gradio_config" in answer.read():
                return
        time.sleep(0.5)


def _photograph(browser: Any, url: str, out: Path, outputs: Path) -> None:
    page = _page(browser, url, 1280, "light")
    page.click(f"[data-preset={PRESET}]")
    page.locator("#deforum_report", has_text=PRESET).first.wait_for()
    _tab(page, "Keyframes")
    page.locator("#deforum_field_max_frames input").first.fill(str(FRAMES))
    page.locator("#deforum_verdict", has_text=f"{FRAMES / 15:.1f} s at 15 fps").first.wait_for()
    page.click("#deforum_generate")
    page.wait_for_selector("#deforum_run img.deforum-frame")
    page.locator("#deforum_run", has_text="left").first.wait_for()
    _save(page, out / "webui_rendering.png")
    page.wait_for_selector("#deforum_run video")
    page.wait_for_timeout(1500)
    _save(page, out / "webui_video.png")
    page.locator("#deforum_field_translation_z :is(textarea, input)").first.fill("0: (3), 12: (3+), 23: (5)")
    page.locator("#deforum_error_translation_z").wait_for()
    _save(page, out / "webui_mistake.png")
    page.locator("#deforum_field_translation_z :is(textarea, input)").first.fill("0: (3), 12: (1), 23: (5)")
    page.locator("#deforum_plots button").first.click()
    page.locator("#deforum_camera_svg polygon").first.wait_for()
    _save(page, out / "webui_plots.png", part="#deforum_plots")
    page.wait_for_selector("#deforum_camera_view[data-scene*=surface]", state="attached")
    _save(page, out / "camera_view.png", part=".deforum-view-box")
    for width_px, scheme in ((1280, "dark"), (390, "light"), (390, "dark")):
        other = _page(browser, url, width_px, scheme)
        other.wait_for_selector("#deforum_run video")
        other.wait_for_timeout(1500)
        _save(other, out / f"webui_{width_px}_{scheme}.png")
    _tab(page, "Output")
    _tab(page, "Vid2depth")
    film = next(outputs.glob("img2img-images/*/*.mp4"))
    page.locator("#deforum_tool_depth_film input[type=file]").set_input_files(film)
    page.locator("#deforum_tool_depth_film_facts", has_text="frames").first.wait_for()
    page.locator("#deforum_tool_depth_algorithm input").click()
    page.get_by_role("option", name="Built-in", exact=True).click()
    page.click("#deforum_tool_run_depth")
    page.locator("#deforum_tools .done").first.wait_for()
    page.locator("#deforum_tools video").evaluate("video => { video.currentTime = 0.5; }")
    page.locator("#deforum_tools").scroll_into_view_if_needed()
    _save(page, out / "webui_tools.png")
    for width_px, scheme in ((1280, "light"), (390, "dark")):
        _photograph_timeline(_page(browser, url, width_px, scheme), out / f"timeline_{width_px}_{scheme}.png")


def _photograph_timeline(page: Any, path: Path) -> None:
    page.click(f"[data-preset={PRESET}]")
    page.locator("#deforum_report", has_text=PRESET).first.wait_for()
    _tab(page, "Keyframes")
    for name, text in TIMELINE.items():
        page.locator(f"#deforum_field_{name} :is(textarea, input)").first.fill(text)
    page.locator("#deforum_timeline_fold button").first.click()
    for name in TIMELINE:
        page.locator(f".deforum-tl-row[data-schedule={name}]").wait_for()
    page.locator(".deforum-tl-lanes").press("Period")
    page.locator("#deforum_timeline_fold").evaluate("fold => fold.scrollIntoView()")
    _save(page, path, part="#deforum_timeline_fold")


def _page(browser: Any, url: str, width_px: int, scheme: str) -> Any:
    page = browser.new_context(
        viewport={"width": width_px, "height": 900 if width_px > 600 else 844}, color_scheme=scheme
    ).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    page.wait_for_selector("#deforum_verdict .deforum-verdict", state="attached")
    page.wait_for_selector("#deforum_run [data-version]", state="attached")
    return page


def _tab(page: Any, title: str) -> None:
    page.locator("#deforum_left").get_by_role("tab", name=title, exact=True).first.click()


def _save(page: Any, path: Path, part: str | None = None) -> None:
    """Save a screenshot with a palette of 256 colours, which keeps files small."""
    page.wait_for_timeout(400)
    taken = page.locator(part).first.screenshot() if part else page.screenshot()
    picture = Image.open(io.BytesIO(taken)).convert("RGB")
    picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
    print(path, path.stat().st_size)


if __name__ == "__main__":
    raise SystemExit(main())
