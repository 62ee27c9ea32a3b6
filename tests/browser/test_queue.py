"""The queue in a browser: batches of files, another order, runs that are continued, tools beside them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.browser.window import Window, window

# Minutes of rendering, however long a slow machine needs for a click.
LONG = {"W": 256, "H": 256, "max_frames": 3000, "seed": 1, "diffusion_cadence": 1}
EVIL = "<img src=x onerror=window.evil=1>"


def settings_file(folder: Path, name: str, **changed: Any) -> Path:
    path = folder / f"{name}.txt"
    path.write_text(json.dumps(LONG | {"batch_name": name} | changed))
    return path


def batch_of(one: Window, *files: Path) -> list[str]:
    """Queue files as one batch; return the jobs' ids in the order of the files."""
    one.open("Run")
    box = one.page.locator("#deforum_batch_files input[type=file]")
    if not one.page.locator("#deforum_batch").is_visible():
        one.page.locator("#deforum_left button.label-wrap", has_text="Batch Mode").click()
    one.page.locator("#deforum_batch input").check()
    box.set_input_files(list(files))
    for file in files:
        one.page.locator("#deforum_batch_files", has_text=file.stem).first.wait_for()
    known = one.listed()
    one.page.click("#deforum_generate")
    one.page.wait_for_function(
        "([known, count]) => document.querySelectorAll('#deforum_jobs tr[data-job]').length >= known + count",
        arg=[len(known), len(files)],
    )
    return sorted(set(one.listed()) - set(known))


def test_a_paused_video_stays_in_sight_until_the_same_button_resumes_it(
    browser: Any, url: str, tmp_path: Path
) -> None:
    files = [settings_file(tmp_path, name, max_frames=20000) for name in ("mine", "next")]
    with window(browser, url) as one:
        mine, following = batch_of(one, *files)
        one.state(mine, "running")
        one.page.locator(f'#deforum_run [data-job="{mine}"][data-state=running]').first.wait_for()
        one.page.click("#deforum_pause")
        one.state(following, "running")
        one.page.locator(f'#deforum_run [data-job="{mine}"][data-state=paused]').first.wait_for()
        one.page.click("#deforum_pause")
        one.state(mine, "queued")
        # the video of those frames that mine has is made when no other job runs
        for job in (mine, following):
            one.row(job).get_by_text("Cancel").click()
        for job in (mine, following):
            one.state(job, "cancelled")


PRESS = """([jobs]) => {
    for (const job of jobs) document.querySelector(`#deforum_jobs [data-act=cancel][data-job="${job}"]`).click();
}"""
ANOTHER = """([button, job]) => !button.isConnected || button.dataset.job !== job"""


def test_a_press_is_for_the_job_that_it_began_at(browser: Any, url: str, tmp_path: Path) -> None:
    files = [settings_file(tmp_path, name, max_frames=20000) for name in ("first", "second")]
    with window(browser, url) as one:
        first, second = batch_of(one, *files)
        one.state(first, "running")
        button = one.row(second).get_by_text("Cancel")
        button.scroll_into_view_if_needed()
        pressed = button.element_handle()
        box = button.bounding_box()
        assert box
        one.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        one.page.mouse.down()
        one.page.evaluate(PRESS, [[first]])
        one.page.wait_for_function(ANOTHER, arg=[pressed, second])
        one.page.mouse.up()
        one.state(second, "cancelled")


def test_buttons_pressed_in_one_moment_all_count(browser: Any, url: str, tmp_path: Path) -> None:
    files = [settings_file(tmp_path, name, max_frames=20000) for name in ("one", "two", "three")]
    with window(browser, url) as one:
        jobs = batch_of(one, *files)
        one.state(jobs[0], "running")
        one.page.evaluate(PRESS, [jobs[::-1]])
        for job in jobs:
            one.state(job, "cancelled")


def test_the_keyboard_stays_at_the_button_of_its_job(browser: Any, url: str, tmp_path: Path) -> None:
    files = [settings_file(tmp_path, name, max_frames=20000) for name in ("first", "second")]
    with window(browser, url) as one:
        first, second = batch_of(one, *files)
        one.state(first, "running")
        focused = one.row(second).get_by_text("Cancel").element_handle()
        focused.focus()
        one.page.evaluate(PRESS, [[first]])
        one.page.wait_for_function(ANOTHER, arg=[focused, second])
        one.page.wait_for_function(
            "job => document.activeElement?.matches(`[data-act=cancel][data-job='${job}']`)", arg=second
        )
        one.page.keyboard.press("Enter")
        one.state(second, "cancelled")


def test_what_can_be_done_to_a_job_is_in_sight_on_a_phone(browser: Any, url: str, tmp_path: Path) -> None:
    with window(browser, url, 390) as one:
        (job,) = batch_of(one, settings_file(tmp_path, "A video with a long name that goes on and on"))
        one.state(job, "running")
        button = one.row(job).get_by_text("Cancel")
        button.scroll_into_view_if_needed()
        box = button.bounding_box()
        assert box
        assert box["x"] + box["width"] <= 390
        assert one.page.evaluate("document.querySelector('#deforum_jobs .deforum-jobs').scrollLeft") == 0
        button.click()
        one.state(job, "cancelled")


def test_a_batch_of_files_waits_in_line_and_is_put_in_another_order(
    browser: Any, url: str, tmp_path: Path
) -> None:
    files = [settings_file(tmp_path, name) for name in ("first", "second", "third")]
    with window(browser, url) as one:
        running, second, third = batch_of(one, *files)
        one.state(running, "running")
        assert "Next in the queue" in one.row(second).inner_text()
        one.row(third).get_by_text("Move up").click()
        one.page.wait_for_function(
            "id => document.querySelector(`tr[data-job='${id}']`).innerText.includes('Next in the queue')",
            arg=third,
        )
        for job in (second, third, running):
            one.row(job).get_by_text("Cancel").click()
            one.state(job, "cancelled")
        wrong = settings_file(tmp_path, "wrong", W=1)
        one.page.locator("#deforum_batch_files button[aria-label='Clear']").first.click()
        one.page.locator("#deforum_batch_files input[type=file]").set_input_files([files[0], wrong])
        one.page.locator("#deforum_batch_files", has_text="wrong").first.wait_for()
        known = one.listed()
        one.page.click("#deforum_generate")
        one.verdict("Job 2: W is 1")
        assert one.listed() == known


def test_a_stopped_run_is_picked_from_the_list_and_goes_on(browser: Any, url: str, tmp_path: Path) -> None:
    with window(browser, url) as one:
        (job,) = batch_of(one, settings_file(tmp_path, "stopped"))
        one.state(job, "running")
        one.page.locator("#deforum_run", has_text="left").first.wait_for()
        one.page.click("#deforum_cancel")
        one.state(job, "cancelled")
        done = one.frames(job)
        assert 0 < done < 3000
        one.page.locator("#deforum_batch input").uncheck()
        one.page.locator("#deforum_runs_refresh").click()
        one.page.locator("#deforum_runs input").click()
        one.page.get_by_role("option").first.click()
        assert re.match(
            r"stopped \(continue from frame \d+\)", one.page.locator("#deforum_runs input").input_value()
        )
        one.page.click("#deforum_run_use")
        one.page.locator("#deforum_report", has_text="run 2").first.wait_for()
        assert re.fullmatch(r"\d{14}", one.field("resume_timestring").input_value())
        again = one.generate()
        one.state(again, "running")
        one.page.locator("#deforum_run", has_text="left").first.wait_for()
        one.page.click("#deforum_cancel")
        one.state(again, "cancelled")
        assert one.frames(again) >= done
        assert "stopped" in one.row(again).inner_text()


def test_dropped_frames_and_videos_give_their_settings_back(browser: Any, url: str, outdir: Path) -> None:
    with window(browser, url) as one:
        one.short_run(4)
        one.open("Run")
        one.fill("batch_name", "given_back")
        one.state(one.generate(), "done")
        (video,) = outdir.glob("img2img-images/given_back/*.mp4")
        frame = sorted(video.parent.glob("*_000000000.png"))[0]
        for file in (frame, video):
            one.page.click("#deforum_reset")
            one.page.wait_for_function("document.querySelector('#deforum_field_W input').value === '512'")
            one.drop("#deforum_drop", file)
            one.page.wait_for_function("document.querySelector('#deforum_field_W input').value === '64'")
            one.page.locator("#deforum_report", has_text=file.name).first.wait_for()
            one.page.locator("#deforum_drop button[aria-label='Clear']").first.click()


def test_a_motion_preview_and_a_tool_make_videos(browser: Any, url: str, tmp_path: Path) -> None:
    clip = tmp_path / f"{EVIL}.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 8.0, (48, 32))
    for number in range(3):
        writer.write(np.full((32, 48, 3), 60 * number, np.uint8))
    writer.release()
    with window(browser, url) as one:
        one.short_run(5)
        known = one.listed()
        one.page.click("#deforum_preview")
        job = one.fresh(known)
        one.state(job, "done")
        one.page.locator("#deforum_run", has_text="1 note").first.wait_for()
        one.open("Output", "Video Upscaling")
        one.page.click("#deforum_tool_run_upscale")
        one.page.locator("#deforum_tools [data-code=tab_tool_without_file]").first.wait_for()
        one.page.locator("#deforum_tool_upscale_film input[type=file]").set_input_files(clip)
        one.page.locator("#deforum_tool_upscale_film_facts", has_text="3 frames, 8 fps").first.wait_for()
        one.page.click("#deforum_tool_run_upscale")
        one.page.locator("#deforum_tools .deforum-tool.done", has_text="frame 3 of 3").first.wait_for()
        with one.page.expect_download() as download:
            one.page.locator("#deforum_tools").get_by_text("Download video").click()
        assert Path(download.value.path()).stat().st_size > 500
        assert one.page.evaluate("window.evil") is None


def test_what_was_asked_for_last_is_what_the_image_shows(browser: Any, url: str) -> None:
    """A preview beside a long job, then its cancelled rest."""

    def shown() -> str:
        return str(one.page.locator("#deforum_run section[data-job]").get_attribute("data-job"))

    with window(browser, url) as one:
        one.open("Keyframes")
        one.fill("max_frames", "2000")
        one.verdict("133.3 s at 15 fps")
        long = one.generate()
        one.until(lambda: shown() == long)
        one.fill("max_frames", "6")
        one.verdict("0.4 s at 15 fps")
        known = one.listed()
        one.page.click("#deforum_preview")
        preview = one.fresh(known)
        one.until(lambda: shown() == preview)
        one.state(preview, "done")
        one.page.locator("#deforum_run .deforum-mark").wait_for()
        one.page.locator("#deforum_run video").wait_for()
        assert "running" in str(one.row(long).get_attribute("class"))
        one.row(long).get_by_role("button", name="Cancel").click()
        one.until(lambda: shown() == long)
        one.state(long, "cancelled")
        one.page.locator("#deforum_run video").wait_for()
        assert one.page.locator("#deforum_run .deforum-mark").count() == 0
