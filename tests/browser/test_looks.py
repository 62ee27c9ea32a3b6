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


def test_controls_of_a_line_stand_at_one_height(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        for first, second, box in (
            ("sampler", "scheduler", ".container > .wrap"),
            ("seed", "batch_name", ":is(input, textarea)"),
        ):
            here, there = (edges(one, f"#deforum_field_{name} {box}") for name in (first, second))
            assert abs(here[2] - there[2]) <= 2


def test_a_mistake_in_a_line_of_controls_is_inside_its_control(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.fill("seed", "-5")
        one.page.locator("#deforum_error_seed").wait_for()
        assert edges(one, "#deforum_error_seed")[2] <= edges(one, "#deforum_field_seed")[2] + 1


def test_a_name_is_as_strong_as_its_help(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        field = one.page.locator("#deforum_field_sampler")
        name, text = (
            field.locator(part).evaluate("element => getComputedStyle(element).color")
            for part in ("[data-testid=block-info]", ".info-text")
        )
        assert name == text


@pytest.mark.parametrize("width_px", [1280, 390])
def test_pieces_of_page_stand_under_the_buttons(browser: Any, url: str, width_px: int) -> None:
    with window(browser, url, width_px) as one:
        button, verdict = edges(one, "#deforum_generate"), edges(one, "#deforum_verdict .deforum-verdict")
        assert verdict[:2] == pytest.approx(button[:2], abs=1)
        rows = [edges(one, f"#deforum_file_buttons button >> nth={number}") for number in range(4)]
        assert len({round(height) for *_, height in rows}) == 1


def test_letters_in_drawings_are_large_enough_to_read(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.page.click("[data-preset=orbit_3d]")
        one.page.locator("#deforum_plots button").first.click()
        one.page.locator("#deforum_camera_svg polygon").first.wait_for()
        for drawing in ("schedules", "camera"):
            letters = one.page.locator(f"#deforum_{drawing}_svg svg").evaluate(LETTERS_PX)
            assert min(letters) >= 9.5
