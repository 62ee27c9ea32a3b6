"""People's ways through the tab, in a browser, with the null engine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.window import PATIENCE_MS, window

CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
EVIL = '<img src=x onerror="window.evil=1"><script>window.evil=1</script>\'"${window.evil=1}{{1}}'


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [1280, 390])
def test_it_fits_its_window_in_both_themes(browser: Any, url: str, width_px: int, scheme: str) -> None:
    with window(browser, url, width_px, scheme) as one:
        assert one.page.evaluate("document.documentElement.scrollWidth") <= width_px
        assert ("dark" in one.page.evaluate("document.body.className")) == (scheme == "dark")
        for button in ("#deforum_generate", "#deforum_check", "[data-preset=fly_through_3d]"):
            one.page.locator(button).scroll_into_view_if_needed()
            box = one.page.locator(button).bounding_box()
            assert box
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width_px
        for titles in (("Run",), ("Keyframes",), ("Init",), ("Output", "Vid2depth")):
            one.open(*titles)
            assert one.page.evaluate(CONTRAST, "#deforum_interface") == {}
            assert one.page.evaluate("document.documentElement.scrollWidth") <= width_px


def test_a_mistake_is_marked_where_it_is_and_the_list_leads_to_it(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.open("Keyframes")
        one.field("zoom").fill("0: (1.01+)")
        error = one.page.locator("#deforum_error_zoom")
        assert "column 10" in error.inner_text()
        assert error.locator("mark").inner_text() == ")"
        assert one.field("zoom").get_attribute("aria-invalid") == "true"
        one.open("Output")
        one.page.click("#deforum_check")
        one.page.locator("#deforum_verdict [data-go=zoom]").click()
        one.page.wait_for_function("document.activeElement?.closest('#deforum_field_zoom') !== null")
        one.field("zoom").fill("0: (1.01)")
        error.wait_for(state="detached")
        assert one.field("zoom").get_attribute("aria-invalid") is None
        one.verdict("Ready to render")


def test_a_question_that_got_lost_is_asked_again(browser: Any, url: str) -> None:
    """A press that comes while gradio still sees to the one before is no event for it."""
    with window(browser, url) as one:
        one.open("Keyframes")
        one.page.evaluate(
            """() => {
                const button = document.getElementById("deforum_look");
                const click = button.click.bind(button);
                let presses = 0;
                button.click = () => { if (presses++) click(); };
            }"""
        )
        one.fill("max_frames", "33")
        one.verdict("2.2 s at 15 fps")


def test_a_server_that_is_away_is_waited_for(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.open("Keyframes")
        one.without_a_server()


def test_a_press_without_a_server_fails_alone(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.open("Keyframes")
        one.page.context.set_offline(True)
        one.page.click("#deforum_save")
        one.page.locator("#deforum_refused").wait_for()
        one.fill("max_frames", "33")
        one.page.context.set_offline(False)
        one.verdict("2.2 s at 15 fps")
        one.page.click("#deforum_save")
        one.page.locator("#deforum_report", has_text="Saved as").first.wait_for()
        assert one.page.locator("#deforum_refused").count() == 0
        one.complaints[:] = [text for text in one.complaints if "ERR_INTERNET_DISCONNECTED" not in text]


def _held_event(page: Any, button: str) -> list[Any]:
    """Keep back the next request of a button; return the list that gets it."""
    config = """button => {
        const { components, dependencies } = window.gradio_config;
        const { id } = components.find(one => one.props?.elem_id === button);
        return dependencies.find(one => one.backend_fn && one.targets.some(target => target[0] === id)).id;
    }"""
    number = page.evaluate(config, button)
    held: list[Any] = []

    def hold_the_first(route: Any) -> None:
        if held or route.request.post_data_json["fn_index"] != number:
            route.continue_()
        else:
            held.append(route)

    page.route(re.compile("run/predict"), hold_the_first)
    return held


def test_a_change_during_a_slow_check_is_checked_too(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.open("Keyframes")
        held = _held_event(one.page, "deforum_look")
        one.fill("max_frames", "33")
        one.until(lambda: bool(held))
        one.fill("max_frames", "45")
        one.until(lambda: '"max_frames":45' in one.page.evaluate("deforumTab.values()"))
        # The page presses again as if the answer were lost, and gradio drops the press since it still waits for it.
        press = """() => new Promise((done) => {
            document.getElementById("deforum_look").addEventListener("click", done);
            const now = Date.now;
            Date.now = () => now() + 60_000;
        })"""
        one.page.evaluate(press)
        held[0].continue_()
        one.verdict("3.0 s at 15 fps")


def test_typing_while_a_preset_is_loading_stays(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.open("Output")
        held = _held_event(one.page, "deforum_fill")
        one.page.click("[data-preset=fly_through_3d]")
        one.until(lambda: bool(held))
        one.fill("fps", "10")
        one.verdict("12.0 s at 10 fps")
        held[0].continue_()
        one.page.locator("#deforum_report", has_text="fly_through_3d").first.wait_for()
        one.page.locator(".deforum-preset-said").get_by_role("button", name="Undo").wait_for()
        assert one.field("fps").input_value() == "10"
        one.verdict("12.0 s at 10 fps")


def test_controls_come_and_go_with_the_mode(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.open("Keyframes")
        one.page.locator("#deforum_field_zoom").wait_for(state="visible")
        assert not one.page.locator("#deforum_field_translation_z").is_visible()
        one.field("animation_mode").click()
        one.page.get_by_role("option", name="3D").click()
        one.page.locator("#deforum_field_translation_z").wait_for(state="visible")
        one.page.locator("#deforum_field_zoom").wait_for(state="hidden")


@pytest.mark.parametrize("width_px", [1280, 390])
def test_help_of_a_slider_has_the_whole_width(browser: Any, url: str, width_px: int) -> None:
    """The number beside the name must not squeeze the help into a column of syllables."""
    share = """field => {
        const [help, name] = [".info-text", "[data-testid=block-info]"].map(part => field.querySelector(part));
        const lines = name.getBoundingClientRect().height / parseFloat(getComputedStyle(name).lineHeight);
        return [help.offsetWidth / field.querySelector(".head").offsetWidth, Math.round(lines)];
    }"""
    with window(browser, url, width_px) as one:
        for name in ("steps", "W", "H"):
            wide, lines = one.page.locator(f"#deforum_field_{name}").evaluate(share)
            assert wide > 0.95
            assert lines == 1


@pytest.mark.parametrize("width_px", [1280, 390])
def test_numbers_of_sliders_are_seen_whole(browser: Any, url: str, width_px: int) -> None:
    inside = """field => {
        const [mine, all] = [field.querySelector(".tab-like-container"), field].map(e => e.getBoundingClientRect());
        return mine.left >= all.left && mine.right <= all.right;
    }"""
    with window(browser, url, width_px) as one:
        one.open("Output", "Vid2depth")
        sliders = one.page.locator("[id^=deforum_tool_depth]:has(.tab-like-container)").all()
        assert len(sliders) >= 5
        assert all(slider.evaluate(inside) for slider in sliders)


@pytest.mark.parametrize("width_px", [1280, 390])
def test_tabs_keep_their_order_when_one_is_chosen(browser: Any, url: str, width_px: int) -> None:
    with window(browser, url, width_px) as one:
        one.open("Keyframes", "Checkpoint")
        chosen = one.page.get_by_role("tab", name="Checkpoint", exact=True, selected=True)
        chosen.wait_for()
        tabs = chosen.locator("xpath=..").get_by_role("tab").all_inner_texts()
        assert tabs[:3] == ["Strength", "CFG", "Seed"]
        assert tabs[-1] == "Checkpoint"


def test_a_mistake_in_a_choice_is_read_inside_its_control(browser: Any, url: str) -> None:
    inside = """error => {
        const [mine, field] = [error, error.closest("[id^=deforum_field_]")].map(one => one.getBoundingClientRect());
        return mine.height > 0 && mine.bottom <= field.bottom + 1;
    }"""
    with window(browser, url) as one:
        one.open("Hybrid Video")
        one.field("hybrid_motion").click()
        one.page.get_by_role("option", name="Optical Flow").click()
        error = one.page.locator("#deforum_error_hybrid_flow_method")
        error.wait_for()
        assert error.evaluate(inside)


def test_what_has_nothing_to_offer_says_so_or_is_not_there(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        schedules = one.page.locator("#deforum_left button.label-wrap", has_text="Hybrid Schedules")
        note = one.page.get_by_text("Hybrid video works in 2D and 3D")
        one.open("Hybrid Video")
        one.page.locator("#deforum_field_hybrid_composite").wait_for(state="visible")
        schedules.wait_for(state="hidden")
        assert not note.is_visible()
        one.open("Keyframes", "Depth Warping & FOV")
        one.page.get_by_text("Only 3D uses depth").wait_for(state="visible")
        one.field("animation_mode").click()
        one.page.get_by_role("option", name="Interpolation").click()
        one.page.locator("#deforum_left button.label-wrap", has_text="Guided Images").wait_for(state="hidden")
        one.open("Hybrid Video")
        note.wait_for(state="visible")


def test_a_reload_loses_nothing(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.open("Prompts")
        one.fill("prompts", '{"0": "a lake in the ☀"}')
        one.open("Run")
        one.fill("W", "320")
        one.verdict("Ready")
        one.page.reload()
        one.page.wait_for_function("document.querySelector('#deforum_field_W input')?.value === '320'")
        one.open("Prompts")
        assert one.field("prompts").input_value() == '{"0": "a lake in the ☀"}'


def test_the_verdict_comes_back_when_a_video_has_ended(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.short_run(3)
        job = one.generate()
        one.state(job, "done")
        one.verdict("Ready to render")


def test_a_video_from_generate_to_play_in_two_windows(browser: Any, url: str, outdir: Path) -> None:
    with window(browser, url) as one, window(browser, url) as other:
        one.short_run(8)
        job = one.generate()
        video = one.page.locator("#deforum_run video")
        video.wait_for()
        one.page.wait_for_function("document.querySelector('#deforum_run video').readyState >= 2")
        assert video.evaluate("video => [video.videoWidth, video.duration > 0.4]") == [64, True]
        other.state(job, "done")
        one.page.reload()
        one.state(job, "done")
        one.page.locator("#deforum_run video").wait_for()
        with one.page.expect_download() as download:
            one.page.get_by_text("Download video").click()
        assert Path(download.value.path()).stat().st_size > 500
        assert list(outdir.glob("img2img-images/*/*.mp4"))


def test_a_long_job_is_paused_resumed_and_cancelled(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.short_run(9000)
        job = one.generate()
        one.state(job, "running")
        one.page.locator("#deforum_run img.deforum-frame").wait_for()
        one.page.locator("#deforum_run", has_text="left").first.wait_for()
        one.page.reload()
        one.state(job, "running")
        one.page.locator("#deforum_run", has_text="left").first.wait_for()
        one.page.click("#deforum_pause")
        one.state(job, "paused")
        one.page.reload()
        one.state(job, "paused")
        one.page.locator(f'#deforum_run [data-job="{job}"][data-state=paused]').first.wait_for()
        one.page.click("#deforum_pause")
        one.state(job, "running")
        one.page.wait_for_function(r"/^\d+ % · Deforum$/.test(document.title)")
        one.page.click("#deforum_cancel")
        one.state(job, "cancelled")
        one.page.wait_for_function("document.title === 'Deforum'")
        one.row(job).get_by_text("Remove").click()
        one.row(job).wait_for(state="detached")


def test_presets_files_and_saved_settings(browser: Any, url: str, tmp_path: Path) -> None:
    with window(browser, url) as one:
        one.page.click("[data-preset=fly_through_3d]")
        one.page.locator("#deforum_report", has_text="fly_through_3d").first.wait_for()
        one.open("Keyframes")
        assert one.field("animation_mode").input_value() == "3D"
        path = tmp_path / "old.txt"
        path.write_text(json.dumps({"width": 320, "odd": 1, "max_frames": 33}))
        one.page.locator("#deforum_drop input[type=file]").set_input_files(path)
        one.page.locator("#deforum_report", has_text="width is read as W").first.wait_for(state="attached")
        one.open("Run")
        one.page.wait_for_function("document.querySelector('#deforum_field_W input').value === '320'")
        one.page.click("#deforum_save")
        one.page.locator("#deforum_report", has_text="Saved as").first.wait_for()
        one.page.click("#deforum_reset")
        one.page.wait_for_function("document.querySelector('#deforum_field_W input').value === '512'")
        one.page.click("#deforum_load")
        one.page.wait_for_function("document.querySelector('#deforum_field_W input').value === '320'")
        one.verdict("2.2 s at 15 fps")


def test_text_from_people_stays_text(browser: Any, url: str, tmp_path: Path) -> None:
    with window(browser, url) as one:
        one.short_run(3)
        one.open("Prompts")
        one.field("prompts").fill(json.dumps({"0": EVIL}))
        one.open("Run")
        one.fill("batch_name", EVIL)
        one.page.locator("#deforum_plots button").first.click()
        one.page.locator("#deforum_schedules_svg svg").wait_for()
        job = one.generate()
        one.state(job, "done")
        path = tmp_path / "<img src=x onerror=window.evil=1>.txt"
        path.write_text(json.dumps({EVIL: EVIL, "sampler": EVIL}))
        one.page.locator("#deforum_drop input[type=file]").set_input_files(path)
        one.page.locator("#deforum_report", has_text="Rejected").first.wait_for()
        assert one.page.evaluate("window.evil") is None


def test_the_plots_follow_the_settings(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.page.locator("#deforum_plots button").first.click()
        svg = one.page.locator("#deforum_schedules_svg svg")
        svg.wait_for()
        assert "zoom" in svg.inner_html()
        one.page.click("[data-preset=orbit_3d]")
        one.page.locator("#deforum_camera_svg polygon").first.wait_for()


def test_everything_is_reached_by_keyboard(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.page.locator("#deforum_generate").focus()
        reached = set()
        for _ in range(12):
            one.page.keyboard.press("Tab")
            reached.add(
                one.page.evaluate("document.activeElement.id || document.activeElement.dataset.preset")
            )
        assert {"deforum_pause", "deforum_cancel", "deforum_check", "fly_through_3d"} <= reached
        one.page.keyboard.press("Enter")
        one.page.locator("#deforum_report", has_text="changed").first.wait_for()
        assert one.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize(("page", "shown"), [("docs", ".opblock"), ("redoc", "h2")])
def test_the_api_pages_ask_nobody_else(browser: Any, url: str, page: str, shown: str) -> None:
    one = browser.new_page()
    try:
        asked: list[str] = []
        complaints: list[str] = []
        one.on("request", lambda request: asked.append(request.url))
        one.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        one.goto(f"{url}/{page}")
        one.wait_for_selector(shown, timeout=PATIENCE_MS)
        one.wait_for_load_state("networkidle", timeout=PATIENCE_MS)
        assert [address for address in asked if not address.startswith((url, "data:", "blob:"))] == []
        assert complaints == []
    finally:
        one.close()


def test_the_next_file_is_taken_while_the_last_one_is_on_its_way(
    browser: Any, url: str, tmp_path: Path
) -> None:
    files = [tmp_path / f"{frames}.txt" for frames in (30, 45, 60)]
    for file in files:
        file.write_text(json.dumps({"max_frames": int(file.stem)}))
    with window(browser, url) as one:
        slow: list[Any] = []

        def hold_the_first(route: Any) -> None:
            slow.append(route)
            if len(slow) > 1:
                route.continue_()

        one.page.route(re.compile("upload"), hold_the_first)
        for file in files:
            one.drop("#deforum_drop", file)
        one.verdict("4.0 s at 15 fps")
        slow[0].continue_()
        one.page.wait_for_timeout(1500)
        one.verdict("4.0 s at 15 fps")
        assert one.page.locator("#deforum_drop li").all_inner_texts() == ["60.txt"]
        one.drop("#deforum_drop", files[0])
        one.verdict("2.0 s at 15 fps")


def test_a_file_that_falls_beside_the_box_is_taken_too(browser: Any, url: str, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text(json.dumps({"max_frames": 30}))
    with window(browser, url) as one:
        one.drop("#deforum_drop", file, at="#deforum_jobs")
        one.verdict("2.0 s at 15 fps")


def test_a_preset_says_so_in_place_and_can_be_undone(browser: Any, url: str) -> None:
    with window(browser, url) as one:
        one.open("Keyframes")
        one.fill("max_frames", "77")
        one.verdict("5.1 s at 15 fps")
        said = one.page.locator(".deforum-preset-said")
        assert not said.is_visible()
        card = one.page.locator("[data-preset=fly_through_3d]")
        card.click()
        said.get_by_role("button", name="Undo").wait_for()
        assert card.get_attribute("aria-pressed") == "true"
        one.until(lambda: one.field("max_frames").input_value() != "77")
        said.get_by_role("button", name="Undo").click()
        one.until(lambda: one.field("max_frames").input_value() == "77")
        one.until(lambda: "undone" in said.inner_text() and card.get_attribute("aria-pressed") == "false")
        assert not said.get_by_role("button", name="Undo").is_visible()
        assert one.field("animation_mode").input_value() == "2D"
