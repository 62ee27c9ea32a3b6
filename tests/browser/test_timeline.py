"""The timeline under a mouse, a finger and the keyboard, in a browser."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.timeline import Timeline
from tests.browser.window import window

ZOOM = "0: (1),  60 : (2) ~ease_in ,119:(1)"
PROMPTS = '{"0": "a lake",\n   "40": "a forest --neg x", "80": "a town"}'


@pytest.fixture(scope="module")
def line(browser: Any, url: str) -> Iterator[Timeline]:
    """One window for all tests of the file: a page loads for seconds."""
    with window(browser, url) as one:
        for title in ("Keyframes", "Prompts"):
            one.open(title)
        yield Timeline(one)


def test_a_dragged_key_rewrites_its_entry_alone(line: Timeline) -> None:
    line.holds(zoom=ZOOM)
    line.drag(line.key("zoom", 60, 2, 1, 2), line.key("zoom", 81, 1.5, 1, 2))
    assert line.text("zoom") == ZOOM.replace("60 : (2)", "81 : (1.5)")
    line.press("Control+z")
    assert line.text("zoom") == ZOOM
    line.press("Control+Shift+z")
    assert line.text("zoom") == ZOOM.replace("60 : (2)", "81 : (1.5)")
    line.one.verdict("Ready to render")


def test_keys_are_added_eased_copied_and_deleted(line: Timeline) -> None:
    line.holds(zoom="0: (1), 100: (2)")
    line.page.mouse.dblclick(*line.key("zoom", 50, 1.1, 1, 2))
    line.settled()
    assert line.text("zoom") == "0: (1), 50: (1.5), 100: (2)"
    line.page.get_by_label("Easing", exact=True).select_option("bounce")
    line.settled()
    assert line.text("zoom") == "0: (1), 50: (1.5) ~bounce, 100: (2)"
    line.page.get_by_label("Value", exact=True).fill("1 + t/100")
    line.page.get_by_label("Value", exact=True).press("Enter")
    line.settled()
    assert line.text("zoom") == "0: (1), 50: (1 + t/100) ~bounce, 100: (2)"
    line.press("Control+c")
    line.page.mouse.click(line.x(70), line.key("zoom", 0, 1, 1, 2)[1])
    line.press("Control+v")
    assert line.text("zoom") == "0: (1), 50: (1 + t/100) ~bounce, 70: (1 + t/100) ~bounce, 100: (2)"
    line.press("Delete")
    assert line.text("zoom") == "0: (1), 50: (1 + t/100) ~bounce, 100: (2)"


def test_a_formula_is_raised_or_replaced(line: Timeline) -> None:
    line.holds(zoom="0: (1), 50: (1 + (t-50)/50), 100: (1)")
    line.drag(line.key("zoom", 50, 1, 1, 1.98), line.key("zoom", 50, 1.5, 1, 1.98))
    assert line.text("zoom") == "0: (1), 50: ((1 + (t-50)/50) + 0.5), 100: (1)"
    line.page.get_by_role("button", name="Replace the formula").click()
    line.settled()
    assert line.text("zoom") == "0: (1), 50: (1.5), 100: (1)"


def test_several_keys_move_together_and_by_the_keyboard(line: Timeline) -> None:
    line.holds(zoom="0: (1), 50: (2), 70: (2)", angle="0: (0), 60: (5)")
    start, end = line.key("zoom", 40, 2.1, 1, 2), line.key("angle", 80, -0.5, 0, 5)
    line.drag(start, end)
    line.press("ArrowRight")
    assert line.text("zoom") == "0: (1), 51: (2), 71: (2)"
    assert line.text("angle") == "0: (0), 61: (5)"
    line.press("Shift+ArrowLeft")
    assert line.text("zoom") == "0: (1), 41: (2), 61: (2)"
    line.press("Control+z")
    line.press("Control+z")
    assert (line.text("zoom"), line.text("angle")) == ("0: (1), 50: (2), 70: (2)", "0: (0), 60: (5)")


def test_a_typed_text_is_drawn_and_undone_as_well(line: Timeline) -> None:
    line.holds(zoom=ZOOM)
    line.holds(zoom="0: (1.1), 30: (3)")
    line.drag(line.key("zoom", 30, 3, 1.1, 3), line.key("zoom", 45, 3, 1.1, 3))
    assert line.text("zoom") == "0: (1.1), 45: (3)"
    line.press("Control+z")
    line.press("Control+z")
    assert line.text("zoom") == ZOOM


def test_prompts_are_moved_split_and_rewritten(line: Timeline) -> None:
    line.holds(prompts=PROMPTS)
    line.drag(line.prompt(40), line.prompt(53))
    assert line.text("prompts") == PROMPTS.replace('"40"', '"53"')
    line.drag(line.prompt(60), line.prompt(70))
    assert line.text("prompts") == PROMPTS.replace('"40"', '"63"').replace('"80"', '"90"')
    line.page.mouse.click(line.x(20), line.prompt(0)[1] - 30)
    line.page.get_by_role("button", name="Split the prompt").click()
    line.settled()
    assert list(json.loads(line.text("prompts"))) == ["0", "20", "63", "90"]
    line.page.get_by_label("Prompt", exact=True).fill('a "pond"')
    line.page.get_by_label("Prompt", exact=True).press("Enter")
    line.settled()
    assert json.loads(line.text("prompts"))["20"] == 'a "pond"'
    line.press("Delete")
    for _ in range(5):
        line.press("Control+z")
    assert line.text("prompts") == PROMPTS


def test_the_end_is_dragged_to_another_length(line: Timeline) -> None:
    y = line.prompt(0)[1] - 30
    line.drag((line.x(120), y), (line.x(75), y))
    line.one.verdict("5.0 s at 15 fps")
    assert line.text("max_frames") == "75"
    line.press("Control+z")
    line.one.verdict("8.0 s at 15 fps")


def test_any_walk_can_be_undone_and_redone(line: Timeline) -> None:
    """Drags, typed texts, undo and redo in any order: what was undone is what was, and untouched entries stay."""
    chance = random.Random(11)
    line.holds(zoom=ZOOM)
    texts, place = [ZOOM], 0
    for _ in range(8):
        possible = ["undo"] * (place > 0) + ["redo"] * (place < len(texts) - 1)
        step = chance.choice(["drag", "drag", "type", *possible])
        if step == "undo" or step == "redo":
            place += -1 if step == "undo" else 1
            line.press("Control+z" if step == "undo" else "Control+y")
            assert line.text("zoom") == texts[place]
            continue
        if step == "type":
            line.holds(zoom=f"0: (1),  60 : (2) ~ease_in ,{chance.randint(100, 119)}:(1)")
        else:
            before = texts[place]
            frame = int(before.split(",")[1].split(":")[0])
            wanted = chance.choice([one for one in range(20, 95) if abs(one - frame) > 3])
            line.drag(line.key("zoom", frame, 2, 1, 2), line.key("zoom", wanted, 2, 1, 2))
            now = line.text("zoom")
            assert [now.split(",")[one] for one in (0, 2)] == [before.split(",")[one] for one in (0, 2)]
            assert now != before
        line.settled()
        if line.text("zoom") != texts[place]:
            texts = [*texts[: place + 1], line.text("zoom")]
            place += 1
    for _ in range(place):
        line.press("Control+z")
    assert line.text("zoom") == ZOOM
    for _ in texts[1:]:
        line.press("Control+y")
    assert line.text("zoom") == texts[-1]


def test_two_prompts_on_four_bars_with_the_mouse_alone(line: Timeline) -> None:
    """At 160 beats a minute and 15 fps a bar has 22.5 frames: bar 3 begins at frame 45, bar 5 at frame 90."""
    line.page.click("[data-preset=kaleidoscope]")
    line.page.locator(".deforum-preset-said", has_text="loaded").wait_for()
    line.one.open("Keyframes", "Sound")
    line.one.fill("bpm", "160")
    line.one.open("Prompts")
    line.page.locator(".deforum-tl-head[aria-label*='bars']").wait_for()
    line.page.locator("#deforum_timeline_fold").evaluate("fold => fold.scrollIntoView()")
    line.settled()
    y = line.prompt(0)[1] - 30
    line.drag((line.x(120), y), (line.x(90.7), y))
    line.one.verdict("6.0 s at 15 fps")
    line.settled()
    line.drag((line.x(60, 90), line.prompt(0)[1]), (line.x(45.6, 90), line.prompt(0)[1]))
    assert list(json.loads(line.text("prompts"))) == ["0", "45"]
    known = line.one.listed()
    line.page.click("#deforum_generate")
    line.one.fresh(known)


def test_a_phone_shows_all_of_it(line: Timeline) -> None:
    page, size = line.page, line.page.viewport_size
    page.set_viewport_size({"width": 390, "height": 900})
    try:
        page.locator(".deforum-tl-narrow").wait_for()
        for scheme in ("light", "dark"):
            page.evaluate("dark => document.body.classList.toggle('dark', dark)", scheme == "dark")
            for part in page.locator(".deforum-timeline :is(button, canvas, select):visible").all():
                box = part.bounding_box()
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= 390
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator(".deforum-tl-lanes").focus()
        page.keyboard.press("Home")
        page.get_by_role("button", name="Split the prompt").click()
        page.locator(".deforum-tl-said").wait_for()
    finally:
        page.evaluate("document.body.classList.remove('dark')")
        page.set_viewport_size(size)
