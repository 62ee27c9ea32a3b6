"""The tools of the tab Output from what is dropped and chosen to the film that can be downloaded."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deforum_helpers.errors import DeforumError
from deforum_helpers.output.ffmpeg import find_ffmpeg
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.output.video import VideoWriter
from deforum_helpers.tools.results import ToolResult, Work
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.controls import default_values
from deforum_helpers.ui.tool_answers import ToolAnswers
from deforum_helpers.ui.tool_rows import DEPTH_ROWS, INTERPOLATION_FIELDS, UPSCALE_ROWS
from deforum_helpers.ui.tool_runs import ToolRun
from tests.ui.fake_service import FakeService, facts

pytest.importorskip("torch")

WAIT_S = 60.0
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def answers(tmp_path: Path) -> ToolAnswers:
    return ToolAnswers(FakeService(facts(tmp_path / "out")), lambda path: f"file={path}")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    made = []
    folder = tmp_path / "out" / "shots"
    folder.mkdir(parents=True)
    for number in range(4):
        grey = np.full((32, 48, 3), 40 * number + 20, np.uint8)
        grey[8:16, 4 + 4 * number : 12 + 4 * number] = 250
        made.append(folder / f"shot_{number:04d}.png")
        write_frame(made[-1], grey)
    return made


@pytest.fixture
def film(tmp_path: Path, pictures: list[Path]) -> Path:
    path = tmp_path / "old film.mp4"
    with VideoWriter(
        path, width=48, height=32, fps=10, crf=17, preset="ultrafast", ffmpeg=find_ffmpeg("")
    ) as video:
        for picture in pictures:
            video.write(read_frame(picture))
        video.finish()
    return path


def interpolation(**changed: Any) -> tuple[Any, ...]:
    values = {
        "frame_interpolation_engine": "Flow",
        "frame_interpolation_x_amount": 3.0,
        "frame_interpolation_slow_mo_enabled": False,
        "frame_interpolation_slow_mo_amount": 2,
        "frame_interpolation_keep_imgs": False,
        "fps": 12,
        "add_soundtrack": "None",
        "soundtrack_path": "",
    } | changed
    return tuple(values[name] for name in INTERPOLATION_FIELDS)


def depth(**changed: Any) -> tuple[Any, ...]:
    return tuple(changed.get(row.name, row.default) for row in DEPTH_ROWS)


def finished(answers: ToolAnswers) -> ToolRun:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        run = answers.runs.listed()[0]
        if run.state not in ("waiting", "running"):
            return run
        time.sleep(0.01)
    raise AssertionError("The tool did not end in time.")


def made(answers: ToolAnswers) -> ToolResult:
    run = finished(answers)
    assert run.state == "done", run.message
    assert run.result
    assert run.result.video.is_file()
    return run.result


def test_what_a_film_holds_is_told_when_it_is_dropped(answers: ToolAnswers, film: Path) -> None:
    assert "4 frames, 10 fps, 48 x 32 px, 0.4 s" in answers.facts([film])
    assert answers.facts([]) == ""
    film.write_bytes(b"no film")
    assert 'class="deforum-verdict bad"' in answers.facts([film])


def test_a_film_gets_frames_in_between_and_can_be_downloaded(answers: ToolAnswers, film: Path) -> None:
    assert "old film.mp4" in answers.interpolate_video([film], *interpolation())
    result = made(answers)
    assert (result.frames, result.fps) == (10, 30.0)
    page = answers.html()
    assert f'href="file={result.video}" download="{result.video.name}"' in page
    assert "10 frames at 30 fps" in page
    assert "<video" in page


def test_a_film_is_slowed_down_where_that_is_on(answers: ToolAnswers, film: Path) -> None:
    answers.interpolate_video([film], *interpolation(frame_interpolation_slow_mo_enabled=True))
    assert made(answers).fps == 15.0


def test_pictures_become_a_film_in_the_order_of_their_names(
    answers: ToolAnswers, pictures: list[Path]
) -> None:
    answers.interpolate_pictures(pictures[::-1], *interpolation(frame_interpolation_keep_imgs=True))
    result = made(answers)
    assert (result.frames, result.fps) == (10, 12)
    assert answers.runs.listed()[0].source == "shot_0000.png"
    assert len(result.pictures) == 10


def test_a_film_is_enlarged(answers: ToolAnswers, film: Path) -> None:
    answers.upscale([film], *(row.default for row in UPSCALE_ROWS))
    assert "96 x 64 px" in answers.facts([made(answers).video])


def test_a_film_of_depth_in_grey(answers: ToolAnswers, film: Path) -> None:
    answers.depth([film], *depth(mode="None (just grayscale)", keep_imgs=False, lower=100.0))
    assert made(answers).frames == 4


def test_numbered_pictures_become_a_film(answers: ToolAnswers, pictures: list[Path]) -> None:
    for pattern in (str(pictures[0]), "shots/shot_%04d.png"):
        answers.stitch(pattern, 8.0, "None", "")
        assert (made(answers).frames, made(answers).fps) == (4, 8)


def test_pictures_elsewhere_or_behind_a_link_do_not(
    answers: ToolAnswers, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "out" / "link").symlink_to(pictures[0].parent, target_is_directory=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for picture in pictures:
        (elsewhere / picture.name).write_bytes(picture.read_bytes())
        (tmp_path / "out" / picture.name).symlink_to(elsewhere / picture.name)
    for pattern in (str(elsewhere / "shot_%04d.png"), "link/shot_%04d.png", "../elsewhere/shot_%04d.png"):
        answers.stitch(pattern, 8.0, "None", "")
        assert "not inside the output folder" in finished(answers).message
    answers.stitch("shot_%04d.png", 8.0, "None", "")
    assert "links or no regular files" in finished(answers).message


@pytest.mark.parametrize(
    ("name", "value"), [("fps", "12"), ("frame_interpolation_x_amount", True), ("soundtrack_path", 1)]
)
def test_a_value_of_another_kind_is_refused_by_name(
    answers: ToolAnswers, pictures: list[Path], name: str, value: Any
) -> None:
    with pytest.raises(DeforumError, match="must be"):
        answers.interpolate_pictures(pictures, *interpolation(**{name: value}))


def test_what_is_missing_is_said_before_anything_runs(answers: ToolAnswers, film: Path) -> None:
    assert "no file is there yet" in answers.upscale([], "Lanczos", "x2", False)
    none = interpolation(frame_interpolation_engine="None")
    assert "Engine is None" in answers.interpolate_video([film], *none)
    assert "Engine is None" in answers.interpolate_pictures([film], *none)
    assert "Image path is empty" in answers.stitch("  ", 8, "None", "")
    assert answers.runs.listed() == ()


def test_what_cannot_be_done_ends_as_one_sentence(answers: ToolAnswers, film: Path) -> None:
    answers.upscale([film], "realesrgan-x4plus", "x2", False)
    run = finished(answers)
    assert (run.state, "r_upscale_factor is 'x2'" in run.message) == ("failed", True)
    assert "r_upscale_factor is" in answers.html()
    answers.stitch("shots/shot_0001.png", None, "None", "")
    assert "fps is 0" in finished(answers).message
    answers.depth([film], *depth(block_size=4))
    assert "block_size is 4" in finished(answers).message


def test_names_and_messages_are_text(answers: ToolAnswers, tmp_path: Path) -> None:
    def bad(work: Work) -> ToolResult:
        raise DeforumError(EVIL)

    answers.runs.start(EVIL, EVIL, bad)
    finished(answers)
    evil = ToolResult(tmp_path / f"{EVIL}.mp4", 1, 1.0, (), (EVIL,))
    answers.runs.start(EVIL, EVIL, lambda work: evil)
    finished(answers)
    pages = answers.html() + answers.stitch(f"/{EVIL}", 8, "None", "")
    assert "<img" not in pages
    assert "&lt;img" in pages


def test_a_run_is_cancelled_from_the_page(tmp_path: Path) -> None:
    whole = Answers(FakeService(facts(tmp_path)), str, default_values())

    def slow(work: Work) -> ToolResult:
        while True:
            work.cancel.check()
            time.sleep(0.005)

    whole.tools.runs.start("Slow", "a", slow)
    _, _, page = whole.tick("{}")
    assert page
    found = re.search(r'data-act="tool_cancel" data-job="([^"]+)"', page)
    assert found
    assert whole.act(json.dumps({"act": "tool_cancel", "job": found[1]})) == ""
    assert finished(whole.tools).state == "cancelled"
    assert "no run" in whole.act(json.dumps({"act": "tool_cancel", "job": "tool-99"}))
