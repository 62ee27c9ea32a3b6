"""The 3D view of the camera: what is dragged, nudged or flown becomes the text of camera_path, and the plan follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.browser.window import Window, window

CANVAS = "canvas.deforum-view"
PATH = "0: pose(0, 0, 0), 10: pose(0.5, 0, 0.5), 20: pose(1, 0.2, 1, pan=-30)"


@pytest.fixture(scope="module")
def opened(browser: Any, url: str) -> Iterator[Window]:
    """A window with the plots open, for all tests of this file."""
    with window(browser, url) as made:
        made.page.wait_for_function("window.deforumTab?.set && window.deforumTab.camera")
        made.page.locator("#deforum_plots button").first.click()
        yield made


@pytest.fixture
def one(opened: Window) -> Window:
    """The window, whose view shows three poses of a 3D video of 21 frames."""
    settings = {"animation_mode": "3D", "max_frames": 21, "W": 64, "H": 64, "camera_path": PATH}
    opened.page.evaluate("values => window.deforumTab.set(values)", settings)
    shows(opened, PATH)
    return opened


def shows(one: Window, text: str) -> None:
    """Wait until the view shows these poses, and the settings have them."""
    script = """([canvas, text]) => document.querySelector(canvas)?.dataset.keys === text
        && JSON.parse(window.deforumTab.values()).camera_path === text"""
    one.page.wait_for_function(script, arg=[CANVAS, text])


def planned(one: Window) -> list[list[float]]:
    """The key poses of the newest plan that the server sent."""
    scene: str = one.page.locator("#deforum_camera_view").get_attribute("data-scene")
    keys: list[list[float]] = json.loads(scene)["keys"]
    return keys


def test_a_pose_is_moved_by_keys_and_the_move_undone(one: Window) -> None:
    one.page.focus(CANVAS)
    one.page.keyboard.press("]")
    one.page.keyboard.press("]")
    one.page.keyboard.press("PageUp")
    moved = PATH.replace("pose(0.5, 0, 0.5)", "pose(0.5, 0, 0.52)")
    shows(one, moved)
    one.until(lambda: planned(one)[1][3] == 0.52)
    one.page.focus(CANVAS)
    one.page.keyboard.press("Control+z")
    shows(one, PATH)
    one.page.keyboard.press("Control+y")
    shows(one, moved)


def test_a_pose_is_dragged_with_the_pointer(one: Window) -> None:
    canvas = one.page.locator(CANVAS)
    canvas.scroll_into_view_if_needed()
    x, y, _ = one.page.evaluate("window.deforumTab.camera.places()[2]")
    box = canvas.bounding_box()
    one.page.mouse.move(box["x"] + x, box["y"] + y)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + x + 40, box["y"] + y - 20, steps=4)
    one.page.mouse.up()
    one.until(lambda: planned(one)[2][1:4] != [1, 0.2, 1])
    frame, right, up, *_ = planned(one)[2]
    assert (frame, up > 0.2) == (20, True)
    assert right > 1
    assert planned(one)[:2] == [[0, 0, 0, 0, 0, 0, 0], [10, 0.5, 0, 0.5, 0, 0, 0]]


def test_poses_are_added_and_removed(one: Window) -> None:
    one.page.locator(".deforum-view-time input").fill("15")
    one.page.locator(".deforum-view-box").get_by_role("button", name="Add pose").click()
    one.until(lambda: [key[0] for key in planned(one)] == [0, 10, 15, 20])
    one.page.locator(".deforum-view-box").get_by_role("button", name="Remove").click()
    shows(one, PATH)


@contextmanager
def key_w(page: Any) -> Iterator[None]:
    page.keyboard.down("w")
    yield
    page.keyboard.up("w")


@contextmanager
def stick(page: Any) -> Iterator[None]:
    """A gamepad whose left stick is pushed forward."""
    page.evaluate(
        """() => {
            const buttons = Array.from({ length: 8 }, () => ({ value: 0 }));
            navigator.getGamepads = () => [{ axes: [0, -1, 0, 0], buttons }];
        }"""
    )
    yield
    page.evaluate("delete navigator.getGamepads")


@pytest.mark.parametrize("forward_by", [key_w, stick])
def test_a_flight_is_recorded_and_smoothed_into_poses(one: Window, forward_by: Any) -> None:
    one.page.locator(".deforum-view-time input").fill("0")  # where the flight begins
    one.page.locator(".deforum-view-box").get_by_role("button", name="Record").click()
    with forward_by(one.page):
        # It is there again when the length of the video has passed.
        one.page.locator(".deforum-view-box").get_by_role("button", name="Record").wait_for()
    one.until(lambda: len(planned(one)) > 1 and planned(one)[1][0] != 10)
    forward = [key[3] for key in planned(one)]
    assert planned(one)[-1][0] == 20
    assert forward == sorted(forward)
    assert forward[-1] > 0.2
    assert all(abs(key[1]) < 1e-3 for key in planned(one))


def test_the_camera_of_the_settings_is_downloaded(one: Window) -> None:
    box = one.page.locator(".deforum-view-box")
    box.locator("select").select_option("JSON")
    with one.page.expect_download() as download:
        box.get_by_role("button", name="Camera file").click()
    assert download.value.suggested_filename == "camera.json"
    assert len(json.loads(download.value.path().read_text(encoding="utf-8"))["frames"]) == 21


def test_a_video_in_2d_has_no_view(one: Window) -> None:
    one.page.evaluate("window.deforumTab.set({ animation_mode: '2D' })")
    one.page.locator(CANVAS).wait_for(state="hidden")
