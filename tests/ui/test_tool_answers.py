"""The tools of the tab Output from what is dropped and chosen to a job, and how those jobs are shown."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deforum_helpers.core.errors import DeforumError
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.output.video import VideoWriter
from deforum_helpers.tools.arguments import typed_arguments
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.controls import default_values
from deforum_helpers.ui.service import JobView
from deforum_helpers.ui.tool_answers import DEPTH_ROWS, INTERPOLATION_FIELDS, SHOWN, UPSCALE_ROWS, ToolAnswers
from tests.refusals import refuses
from tests.ui.fake_service import RUNNING, FakeService, facts

EVIL = "<img src=x onerror=alert(1)>"
TOOL = replace(RUNNING, tool="upscale", title="clip.mp4", frame=3, max_frames=4, state="running")


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    return FakeService(facts(tmp_path / "out"))


@pytest.fixture
def answers(service: FakeService) -> ToolAnswers:
    return ToolAnswers(service, lambda path: f"file={path}")


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    made = []
    folder = tmp_path / "out" / "shots"
    folder.mkdir(parents=True)
    for number in range(4):
        grey = np.full((32, 48, 3), 40 * number + 20, np.uint8)
        made.append(folder / f"shot_{number:04d}.png")
        write_frame(made[-1], grey)
    return made


@pytest.fixture
def video_file(tmp_path: Path, images: list[Path]) -> Path:
    path = tmp_path / "old video.mp4"
    with VideoWriter(
        path, width=48, height=32, fps=10, crf=17, preset="ultrafast", ffmpeg=find_ffmpeg("")
    ) as video:
        for image in images:
            video.write(read_frame(image))
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


def queued(service: FakeService) -> tuple[str, dict[str, Any], dict[str, list[Path]]]:
    """The only tool that was queued; its arguments are such as it has."""
    ((tool, arguments, dropped),) = service.tools
    paths = {name: [str(path) for path in found] for name, found in dropped.items()}
    typed_arguments(
        tool,
        {**arguments, **{name: found if name == "pictures" else found[0] for name, found in paths.items()}},
    )
    return tool, arguments, dropped


def test_what_a_video_holds_is_told_when_it_is_dropped(answers: ToolAnswers, video_file: Path) -> None:
    assert "4 frames, 10 fps, 48 x 32 px, 0.4 s" in answers.facts([video_file])
    assert answers.facts([]) == ""
    video_file.write_bytes(b"no video")
    assert 'class="deforum-verdict bad"' in answers.facts([video_file])


def test_a_video_to_interpolate_is_queued(
    answers: ToolAnswers, service: FakeService, video_file: Path
) -> None:
    answers.interpolate_video([video_file], *interpolation(frame_interpolation_slow_mo_enabled=True))
    tool, arguments, dropped = queued(service)
    assert (tool, dropped) == ("interpolate", {"video": [video_file]})
    assert arguments == {"engine": "Flow", "times": 3, "slower": 2, "keep_pictures": False}


def test_images_are_queued_in_the_order_of_their_names(
    answers: ToolAnswers, service: FakeService, images: list[Path]
) -> None:
    sound = {"add_soundtrack": "File", "soundtrack_path": " a.mp3 "}
    answers.interpolate_pictures(images[::-1], *interpolation(frame_interpolation_keep_imgs=True, **sound))
    tool, arguments, dropped = queued(service)
    assert (tool, dropped) == ("interpolate", {"pictures": images})
    assert arguments["slower"] is None
    assert (arguments["fps"], arguments["sound"], arguments["keep_pictures"]) == (12, "a.mp3", True)


def test_a_video_to_enlarge_is_queued(answers: ToolAnswers, service: FakeService, video_file: Path) -> None:
    answers.upscale([video_file], *(row.default for row in UPSCALE_ROWS))
    tool, arguments, _ = queued(service)
    assert (tool, arguments) == ("upscale", {"model": "Lanczos", "factor": "x2", "keep_pictures": True})


def test_a_video_to_get_the_depth_of_is_queued(
    answers: ToolAnswers, service: FakeService, video_file: Path
) -> None:
    answers.depth(
        [video_file], *depth(mode="Mixed", thresholding="Simple", invert=False, end_blur=1.5, lower=100.0)
    )
    tool, arguments, _ = queued(service)
    assert (tool, arguments["mode"], arguments["thresholding"]) == ("vid2depth", "Mixed", "Simple")
    assert (arguments["far_is_bright"], arguments["blur"], arguments["lower"]) == (True, 1.5, 100)


def test_numbered_images_are_queued(answers: ToolAnswers, service: FakeService, images: list[Path]) -> None:
    for pattern in (str(images[0]), "shots/shot_%04d.png"):
        answers.stitch(f" {pattern} ", 8.0, "None", "")
        assert queued(service) == ("stitch", {"pattern": pattern, "fps": 8, "sound": None}, {})
        service.tools.clear()


def test_images_elsewhere_or_behind_a_link_are_refused(
    answers: ToolAnswers, service: FakeService, images: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "out" / "link").symlink_to(images[0].parent, target_is_directory=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for image in images:
        (elsewhere / image.name).write_bytes(image.read_bytes())
        (tmp_path / "out" / image.name).symlink_to(elsewhere / image.name)
    for pattern in (str(elsewhere / "shot_%04d.png"), "link/shot_%04d.png", "../elsewhere/shot_%04d.png"):
        assert "not inside the output folder" in answers.stitch(pattern, 8.0, "None", "")
    assert "links or files that are not regular" in answers.stitch("shot_%04d.png", 8.0, "None", "")
    assert service.tools == []


@pytest.mark.parametrize(
    ("name", "value"), [("fps", "12"), ("frame_interpolation_x_amount", True), ("soundtrack_path", 1)]
)
def test_a_value_of_another_kind_is_refused_by_name(
    answers: ToolAnswers, images: list[Path], name: str, value: Any
) -> None:
    with refuses(DeforumError, "tab_tool_value"):
        answers.interpolate_pictures(images, *interpolation(**{name: value}))


def test_what_is_missing_is_said_before_anything_is_queued(
    answers: ToolAnswers, service: FakeService, video_file: Path
) -> None:
    assert "tab_tool_without_file" in answers.upscale([], "Lanczos", "x2", False)
    none = interpolation(frame_interpolation_engine="None")
    assert "tab_no_interpolation_engine" in answers.interpolate_video([video_file], *none)
    assert "tab_no_interpolation_engine" in answers.interpolate_pictures([video_file], *none)
    assert "tab_image_path_empty" in answers.stitch("  ", 8, "None", "")
    assert service.tools == []


def test_what_the_queue_refuses_is_said(answers: ToolAnswers, service: FakeService, video_file: Path) -> None:
    service.refuses = "factor is 'x9'."
    told = answers.upscale([video_file], "Lanczos", "x9", False)
    assert 'class="deforum-verdict bad"' in told
    assert "factor is &#x27;x9&#x27;" in told


def test_the_job_of_a_tool_has_the_progress_of_every_job(answers: ToolAnswers, service: FakeService) -> None:
    service.listed = (TOOL, replace(TOOL, id="batch(8)-0", tool=""))
    page = answers.html(service.listed)
    assert page.count('class="deforum-tool running"') == 1
    assert 'aria-valuenow="75"' in page
    assert "frame 3 of 4" in page
    assert "clip.mp4" in page
    assert re.search(rf'data-act="cancel" data-job="{re.escape(TOOL.id)}"', page)
    assert "<video" not in page


def test_the_newest_finished_video_is_shown_and_can_be_taken(
    answers: ToolAnswers, service: FakeService, video_file: Path
) -> None:
    service.made = {"video": video_file}
    done = replace(TOOL, state="done", phase="DONE", frame=4, warnings=("It was short.",))
    page = answers.html((done,))
    assert f'href="file={video_file}" download="{video_file.name}"' in page
    assert "<video" in page
    assert "It was short." in page
    assert 'data-act="cancel"' not in page
    assert "<video" not in answers.html((TOOL, done))


def test_only_the_newest_are_shown(answers: ToolAnswers) -> None:
    jobs = [replace(TOOL, id=f"batch({number})-0") for number in range(SHOWN + 3)]
    assert answers.html(jobs).count('class="deforum-tool ') == SHOWN


def test_names_and_messages_are_text(answers: ToolAnswers, service: FakeService, tmp_path: Path) -> None:
    service.made = {"video": tmp_path / f"{EVIL}.mp4"}
    evil: JobView = replace(
        TOOL, state="done", title=EVIL, message=EVIL, warnings=(EVIL,), tool=EVIL, id=EVIL
    )
    service.listed = (evil,)
    pages = answers.html(service.listed) + answers.stitch(f"/{EVIL}", 8, "None", "")
    assert "<img" not in pages
    assert "&lt;img" in pages


def test_the_page_is_told_of_tools_only_when_they_changed(service: FakeService) -> None:
    whole = Answers(service, str, default_values())
    service.listed = (TOOL,)
    _, table, page = whole.tick("{}")
    assert page
    assert table
    assert ", upscale" in table
    assert 'data-act="use"' not in table
    mark = re.search(r'class="deforum-tools" data-version="([^"]+)"', page)
    assert mark
    assert whole.tick(json.dumps({"tools": mark[1]}))[2] is None
    service.listed = (replace(TOOL, updates=9),)
    assert whole.tick(json.dumps({"tools": mark[1]}))[2]
