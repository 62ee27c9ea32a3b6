"""How the page's parts stand to each other."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.window import window

EDGES = """element => {
    const {left, right, bottom, height} = element.getBoundingClientRect();
    return [left, right, bottom, height];
}"""
LETTERS_PX = """drawing => [...drawing.querySelectorAll("text")].map(
    text => parseFloat(getComputedStyle(text).fontSize) * drawing.getScreenCTM().a
)"""


def edges(one: Any, selector: str) -> list[float]:
    """Left, right, bottom and height of an element, in px."""
    found: list[float] = one.page.locator(selector).first.evaluate(EDGES)
    return found


@pytest.mark.parametrize(
    ("first", "second", "box"),
    [("sampler", "scheduler", ".container > .wrap"), ("seed", "batch_name", ":is(input, textarea)")],
)
def test_controls_of_a_line_stand_at_one_height(
    browser: Any, url: str, first: str, second: str, box: str
) -> None:
    def level() -> bool:
        bottoms = [edges(one, f"#deforum_field_{name} {box}")[2] for name in (first, second)]
        return abs(bottoms[0] - bottoms[1]) <= 2

    with window(browser, url) as one:
        one.until(level)


def test_a_mistake_in_a_line_of_controls_is_inside_its_control(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.fill("seed", "-5")
        one.page.locator("#deforum_error_seed").wait_for()
        one.until(lambda: edges(one, "#deforum_error_seed")[2] <= edges(one, "#deforum_field_seed")[2] + 1)


def test_a_name_is_as_strong_as_its_help(browser: Any, url: str) -> None:
    def colour(part: str) -> str:
        found = one.page.locator(f"#deforum_field_sampler {part}")
        return str(found.evaluate("element => getComputedStyle(element).color"))

    with window(browser, url) as one:
        one.until(lambda: colour("[data-testid=block-info]") == colour(".info-text"))


@pytest.mark.parametrize("width_px", [1280, 390])
def test_pieces_of_page_stand_under_the_buttons(browser: Any, url: str, width_px: int) -> None:
    def flush() -> bool:
        button, verdict = edges(one, "#deforum_generate"), edges(one, "#deforum_verdict .deforum-verdict")
        return abs(verdict[0] - button[0]) <= 1 and abs(verdict[1] - button[1]) <= 1

    def even() -> bool:
        rows = [edges(one, f"#deforum_file_buttons button >> nth={number}") for number in range(4)]
        return len({round(height) for *_, height in rows}) == 1

    with window(browser, url, width_px) as one:
        one.until(flush)
        one.until(even)


def test_letters_in_drawings_are_large_enough_to_read(browser: Any, url: str) -> None:
    def readable() -> bool:
        drawings = [one.page.locator(f"#deforum_{name}_svg svg") for name in ("schedules", "camera")]
        return min(size for drawing in drawings for size in drawing.evaluate(LETTERS_PX)) >= 9.5

    with window(browser, url) as one:
        one.page.click("[data-preset=orbit_3d]")
        one.page.locator("#deforum_plots button").first.click()
        one.page.locator("#deforum_camera_svg polygon").first.wait_for()
        one.until(readable)


def test_no_label_shows_through_the_bar_of_a_phone(browser: Any, url: str) -> None:
    script = """() => {
        const bar = document.querySelector(".deforum-dock").getBoundingClientRect();
        const label = document.querySelector("#deforum_keys_unit [data-testid=block-info]");
        const place = label.getBoundingClientRect();
        window.scrollBy(0, place.top - bar.top - 5);
        const [x, y] = [place.left + 5, label.getBoundingClientRect().top + 5];
        return document.elementFromPoint(x, y).closest(".deforum-dock") !== null;
    }"""
    with window(browser, url, 390) as one:
        assert one.page.evaluate(script)


def test_a_phone_has_image_progress_settings_and_generate_at_hand(browser: Any, url: str) -> None:
    def seen(selector: str) -> bool:
        box = one.page.locator(selector).first.bounding_box()
        end = one.page.viewport_size["height"] + 1
        return bool(box) and box["y"] >= -1 and box["y"] + box["height"] <= end and box["height"] > 0

    with window(browser, url, 390) as one:
        dock = one.page.locator("#deforum_interface .deforum-dock")
        dock.get_by_role("button", name="Settings").click()
        one.until(lambda: seen("#deforum_left button[role=tab]"))
        one.open("Keyframes")
        one.fill("max_frames", "300")
        one.verdict("20.0 s at 15 fps")
        one.page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
        dock.get_by_role("button", name="Generate").click()
        one.until(lambda: "frame " in dock.inner_text())
        dock.locator("img").wait_for()
        one.until(lambda: seen(".deforum-dock img") and seen(".deforum-dock .deforum-bar"))
        dock.locator("button").first.click()
        one.until(lambda: seen("#deforum_run :is(img.deforum-frame, video)"))
        one.page.set_viewport_size({"width": 1280, "height": 845})
        one.until(lambda: not dock.is_visible())
