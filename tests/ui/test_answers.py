"""What the tab answers when something in it is pressed, changed or dropped."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deforum_helpers.engines.model_list import Machine
from deforum_helpers.output.frames import write_frame
from deforum_helpers.output.metadata import SETTINGS_KEYWORD
from deforum_helpers.settings import defaults
from deforum_helpers.ui import panels
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.controls import NAMES, default_values, option_rows, submitted_settings
from deforum_helpers.ui.preset_list import presets
from deforum_helpers.ui.service import DeliveryView, ResumableRun
from deforum_helpers.ui.uploads import Uploads
from tests.ui.fake_service import DONE, FAILED, PAUSED, QUEUED, RUNNING, FakeService, facts

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415408d763f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    return FakeService(facts(tmp_path))


@pytest.fixture
def answers(service: FakeService) -> Answers:
    return Answers(service, lambda path: f"file={path}")


def values(**changed: Any) -> tuple[Any, ...]:
    held = dict(zip(NAMES, default_values(), strict=True)) | changed
    return tuple(held[name] for name in NAMES)


def asked(**changed: Any) -> str:
    return json.dumps({"number": 7, "values": changed})


def marks(answer: str) -> dict[str, Any]:
    found = re.search(r'data-marks="([^"]*)"', answer)
    assert found
    read: dict[str, Any] = json.loads(html.unescape(found[1]))
    return read


def text(answer: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", " ", answer))


def test_a_run_that_is_not_there_is_told_before_anything_is_queued(answers: Answers) -> None:
    resumed = {"resume_from_timestring": True, "resume_timestring": "20200101000000"}
    answer = answers.check(*values(**resumed))
    assert "neither a resume state nor settings of that run" in text(answer)
    assert list(marks(answer)["problems"]) == ["resume_timestring"]


def test_the_models_here_are_listed(
    answers: Answers, service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFORUM_MODELS", str(tmp_path / "models" / "Deforum"))
    monkeypatch.setattr("deforum_helpers.ui.answers.this_machine", lambda: Machine("cuda", 8, 8))
    assert 'data-code="tab_no_model_folders"' in answers.list_models()
    assert 'data-code="tab_install_models"' in answers.list_models()
    (tmp_path / "models" / "Deforum").mkdir(parents=True)
    assert 'data-code="tab_no_models"' in answers.list_models()
    folder = tmp_path / "models" / "Stable-diffusion"
    folder.mkdir()
    (folder / "a<b>.ckpt").write_bytes(b"\x80")
    (folder / "c.safetensors").write_bytes(b"no")
    service.facts = replace(service.facts, model=str(folder / "c.safetensors"))
    found = answers.list_models()
    assert 'data-code="tab_install_models"' in found
    assert "a&lt;b&gt;.ckpt" in found
    assert "c.safetensors" in text(found)
    assert str(tmp_path) not in found


def test_good_settings_are_answered_with_their_cost(answers: Answers, service: FakeService) -> None:
    answer = text(answers.check(*values(max_frames=31, fps=10)))
    for part in ("Ready to render", "Frames 31", "Key frames 16", "3.1 s at 10 fps", "known after"):
        assert part in re.sub(r"\s+", " ", answer)
    service.pace = 150.0
    assert "2 min 30 s" in answers.check(*values())


def test_a_problem_is_marked_beside_its_field_at_its_column(answers: Answers) -> None:
    answer = answers.check(*values(zoom="0: (1.01+)"))
    (mark,) = marks(answer)["problems"]["zoom"]
    assert (mark["column"], mark["before"], mark["at"], mark["after"]) == (10, "0: (1.01+", ")", "")
    assert "1 problem" in answer
    assert 'data-go="zoom"' in answer


def test_all_problems_are_listed_at_once(answers: Answers) -> None:
    answer = answers.check(*values(zoom="0: (1.01+)", W=10, prompts='{"0": ', steps=0))
    assert set(marks(answer)["problems"]) >= {"W", "prompts", "steps"}


def test_broken_prompts_are_marked_where_the_text_breaks(answers: Answers) -> None:
    (mark,) = marks(answers.check(*values(prompts='{"0": "a" "b"}')))["problems"]["prompts"]
    assert (mark["before"], mark["at"]) == ('{"0": "a" ', '"')


def test_hidden_controls_are_told_with_and_without_problems(answers: Answers) -> None:
    for changed in ({"animation_mode": "3D"}, {"animation_mode": "3D", "W": 1}):
        hidden = marks(answers.check(*values(**changed)))["hidden"]
        assert "zoom" in hidden
        assert "translation_z" not in hidden


def test_what_did_not_change_is_as_it_was_at_the_start(service: FakeService) -> None:
    answers = Answers(service, str, values(max_frames=31, fps=10))
    assert "3.1 s at 10 fps" in answers.check_changes("{}")
    assert "3.1 s at 10 fps" in answers.check_changes(asked(W=256))
    assert "6.2 s at 5 fps" in answers.check_changes(asked(fps=5))


def test_generate_queues_what_the_controls_hold(answers: Answers, service: FakeService) -> None:
    answer = answers.generate(False, [], values(W=640, prompts='{"0": "a lake"}'))
    assert "tab_jobs_queued" in answer
    assert "batch(1)-0" in answer
    assert service.submitted[0]["W"] == 640
    assert service.submitted[0]["prompts"] == {"0": "a lake"}


def test_a_motion_preview_leaves_the_controls_as_they_are(
    answers: Answers, service: FakeService, tmp_path: Path
) -> None:
    assert "tab_jobs_queued" in answers.generate(False, [], values(W=640), preview=True)
    file = tmp_path / "a.txt"
    file.write_text('{"W": 512}')
    answers.generate(True, [file], values(W=64), preview=True)
    assert [(one["W"], one["motion_preview_mode"]) for one in service.submitted] == [(640, True), (512, True)]


def test_what_the_check_refuses_never_reaches_the_queue(answers: Answers, service: FakeService) -> None:
    assert "Not queued: 1 problem" in answers.generate(False, [], values(W=1))
    assert service.submitted == []


def test_a_full_queue_is_told(answers: Answers, service: FakeService) -> None:
    service.refuses = "The queue is full."
    assert "The queue is full." in answers.generate(False, [], values())


def test_batch_mode_queues_every_file(answers: Answers, service: FakeService, tmp_path: Path) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.json"]
    files[0].write_text('{"W": 512}')
    files[1].write_text('{"W": 768}')
    assert "batch(1)-1" in answers.generate(True, files, values(W=64))
    assert [one["W"] for one in service.submitted] == [512, 768]


@pytest.mark.parametrize("content", ["no settings", '{"W": 1}'])
def test_one_wrong_file_stops_the_batch(
    answers: Answers, service: FakeService, tmp_path: Path, content: str
) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    files[0].write_text("{}")
    files[1].write_text(content)
    assert "Not queued: 1 problem" in answers.generate(True, files, values())
    assert service.submitted == []


def test_batch_mode_without_files_says_so(answers: Answers) -> None:
    assert "tab_batch_without_files" in answers.generate(True, [], values())


def test_a_tick_sends_only_what_is_new(answers: Answers, service: FakeService) -> None:
    service.listed = (RUNNING, DONE)
    run, jobs, tools = answers.tick("{}")
    assert run is not None
    assert jobs is not None
    assert tools is not None
    seen = {"run": _version(run), "jobs": _version(jobs), "tools": _version(tools)}
    assert answers.tick(json.dumps(seen)) == (None, None, None)
    service.listed = (DONE,)
    run, jobs, tools = answers.tick(json.dumps(seen))
    assert run is not None
    assert jobs is not None
    assert tools is None


def _version(part: str) -> str:
    found = re.search(r'data-version="(\w+)"', part)
    assert found
    return found[1]


def test_what_waits_is_listed_in_the_order_of_its_turn() -> None:
    """So that a job that is moved up moves up."""
    last, first = replace(QUEUED, id="batch(9)-0", position=2), replace(QUEUED, position=0)
    listed = panels.in_order((DONE, last, QUEUED, PAUSED, first, RUNNING))
    assert listed == (RUNNING, first, QUEUED, last, DONE, PAUSED)
    assert panels.jobs_html((DONE, QUEUED, RUNNING)) == panels.jobs_html((RUNNING, QUEUED, DONE)).replace(
        panels.version((RUNNING, QUEUED, DONE)), panels.version((DONE, QUEUED, RUNNING))
    )


def test_what_stood_there_before_a_reload_comes_back(answers: Answers) -> None:
    stored = {"W": 640, "prompts": '{"0": "a half-typed', "unheard of": 1}
    filled, report = answers.fill(json.dumps({"act": "kept", "values": stored}), values())
    assert filled == values(W=640, prompts='{"0": "a half-typed')
    assert report == ""
    assert answers.fill(json.dumps({"act": "kept", "values": 5}), values())[0] == values()


def test_the_running_job_is_shown_unless_another_is_picked(answers: Answers, service: FakeService) -> None:
    service.listed = (QUEUED, RUNNING, DONE)
    run, *_ = answers.tick("{}")
    assert run is not None
    assert 'data-job="batch(1)-0"' in run
    assert "frame 5 of 10, 2.40 s per frame, 12 s left" in run
    assert 'aria-valuenow="50"' in run
    run, *_ = answers.tick(json.dumps({"job": DONE.id}))
    assert run is not None
    assert f'data-job="{DONE.id}"' in run


def test_a_finished_job_shows_its_video(answers: Answers, service: FakeService, tmp_path: Path) -> None:
    service.listed, service.made = (DONE,), {"video": tmp_path / "a.mp4", "subtitles": tmp_path / "a.srt"}
    run, *_ = answers.tick("{}")
    assert run is not None
    assert f'src="file={tmp_path}/a.mp4"' in run
    assert "Download subtitles" in run
    assert "Download GIF" not in run
    service.made = {
        "video": tmp_path / "a.mp4",
        "upscaled_video": tmp_path / "b.mp4",
        "interpolated_video": tmp_path / "c.mp4",
        "preview_video": tmp_path / "d.mp4",
    }
    run = panels.run_html(service, DONE, str)
    assert [f"Download {what} video" in run for what in ("upscaled", "interpolated", "preview")] == [
        True,
        True,
        False,
    ]


def test_a_running_job_offers_the_video_of_its_frames_so_far_alone(service: FakeService) -> None:
    service.made = {"video": Path("/half.mp4"), "preview_video": Path("/preview.mp4")}
    run = panels.run_html(service, RUNNING, str)
    assert "Download preview video" in run
    assert "half.mp4" not in run


def test_a_run_shows_how_far_its_deliveries_are(service: FakeService) -> None:
    webhook = DeliveryView("webhook", "RETRYING", 2, "hooks.test", "The server answered 503")
    upload = DeliveryView("upload", "WAITING")
    run = panels.run_html(service, replace(DONE, deliveries=(webhook, upload)), str)
    assert 'data-delivery="webhook" data-state="RETRYING"' in run
    for part in ("hooks.test", "2 tries", "The server answered 503"):
        assert part in run
    assert 'data-delivery="upload" data-state="WAITING"' in run
    # The page asks by version: a later state is another one.
    later = replace(webhook, state="DELIVERED", tries=3)
    sent = panels.run_html(service, replace(DONE, deliveries=(later,)), str)
    assert "The server answered 503" not in sent
    assert panels.run_version(service, replace(DONE, deliveries=(later,))) != panels.run_version(
        service, DONE
    )


def test_a_message_that_says_no_more_than_the_state_is_left_out(service: FakeService) -> None:
    stopping = replace(RUNNING, cancelling=True, message="Cancelling.")
    assert "Cancelling." not in panels.run_html(service, stopping, str)
    ended = replace(DONE, state="cancelled", message="Cancelled after 5 of 10 frames.")
    assert "Cancelled after 5 of 10 frames." in panels.run_html(service, ended, str)


def test_a_frame_is_shown_as_a_small_jpeg(answers: Answers, service: FakeService, tmp_path: Path) -> None:
    service.listed, service.frame = (RUNNING,), tmp_path / "f.png"
    service.frame.write_bytes(PNG)
    run, *_ = answers.tick("{}")
    assert run is not None
    assert 'src="data:image/jpeg;base64,' in run
    service.frame.unlink()
    assert "data:image" not in panels.run_html(service, RUNNING, str)


@pytest.mark.parametrize("state", ["", "null", "[]", "{", '{"job": 7}', None])
def test_any_state_of_the_page_is_answered(answers: Answers, state: Any) -> None:
    assert None not in answers.tick(state)


@pytest.mark.parametrize(
    ("job", "act", "call"),
    [
        (RUNNING, "toggle", "pause"),
        (PAUSED, "toggle", "resume"),
        (RUNNING, "cancel", "cancel"),
        (QUEUED, "up", "move_up"),
        (FAILED, "resume", "resume"),
        (DONE, "forget", "forget"),
        (DONE, "folder", "open_folder"),
    ],
)
def test_commands_reach_the_job(
    answers: Answers, service: FakeService, job: Any, act: str, call: str
) -> None:
    service.listed = (RUNNING, QUEUED, PAUSED, DONE, FAILED)
    assert answers.act(json.dumps({"act": act, "job": job.id})) == ""
    assert service.calls == [(call, job.id)]


def test_a_command_that_fails_says_why(answers: Answers) -> None:
    assert "There is no job" in answers.act('{"act": "cancel", "job": "batch(9)-9"}')
    assert answers.act('{"act": "__class__", "job": "x"}') == ""


def test_the_list_offers_what_each_job_can_do() -> None:
    urgent = replace(QUEUED, priority=5)
    rows = panels.jobs_html((RUNNING, urgent, PAUSED, DONE, FAILED)).split("<tr ")[1:]
    offered = [re.findall(r'data-act="(\w+)"', row) for row in rows]
    assert offered == [
        ["pause", "cancel"],
        ["cancel", "up"],
        ["resume", "cancel"],
        ["show", "use", "forget"],
        ["show", "resume", "use", "forget"],
    ]
    assert "generation error: no memory" in rows[4]
    assert "Number 2 in the queue" in rows[1]
    assert "on gpu-1 (&lt;node&gt;)" in panels.jobs_html((replace(RUNNING, worker="gpu-1 (<node>)"),))
    assert ["priority" in row for row in rows] == [False, True, False, False, False]


def filled(answer: tuple[tuple[Any, ...], str]) -> dict[str, Any]:
    return submitted_settings(answer[0])


def test_a_preset_replaces_everything(answers: Answers) -> None:
    name = presets()[0].name
    answer = answers.fill(json.dumps({"act": "preset", "name": name}), values(W=64, tiling=True))
    assert filled(answer)["W"] == 512
    assert filled(answer)["tiling"] is False
    assert name in answer[1]


def test_a_jobs_settings_come_back(answers: Answers, service: FakeService) -> None:
    service.listed = (DONE,)
    answer = answers.fill(json.dumps({"act": "use", "job": DONE.id}), values())
    assert (filled(answer)["W"], filled(answer)["prompts"]) == (640, {"0": "a lake"})


@pytest.mark.parametrize("command", ['{"act": "preset", "name": "../x"}', '{"act": "run", "name": "1"}'])
def test_what_is_not_there_changes_nothing(answers: Answers, command: str) -> None:
    answer = answers.fill(command, values(W=640))
    assert answer[0] == values(W=640)
    assert "tab_nothing_to_load" in answer[1]


def test_a_stopped_run_is_resumed_with_its_settings(
    answers: Answers, service: FakeService, tmp_path: Path
) -> None:
    path = tmp_path / "20260102030405_settings.txt"
    path.write_text('{"W": 640, "batch_name": "x_{timestring}"}')
    service.runs = (ResumableRun("20260102030405", "x_20260102030405", path, 3),)
    assert answers.runs() == [("x_20260102030405 (continue from frame 3)", "20260102030405")]
    found = filled(answers.fill('{"act": "run", "name": "20260102030405"}', values()))
    assert found["W"] == 640
    assert found["resume_from_timestring"] is True
    assert (found["resume_timestring"], found["batch_name"]) == ("20260102030405", "x_20260102030405")


def test_a_file_keeps_what_it_does_not_name_and_reports(answers: Answers, tmp_path: Path) -> None:
    path = tmp_path / "old.txt"
    path.write_text(
        '{"width": 640, "use_zoe_depth": true, "tiling": "yes", "color_coherence": "Match Frame 0 LAB", "odd": 1}'
    )
    answer = answers.load([path], values(seed=5, tiling=True))
    found = filled(answer)
    assert (found["W"], found["seed"], found["tiling"]) == (640, 5, True)
    assert found["depth_algorithm"] == "Zoe+AdaBins (old)"
    report = text(answer[1])
    for part in (
        "old.txt",
        "Changed (",
        "Width",
        "Unknown settings, ignored (1)",
        "odd",
        "width is read as W",
    ):
        assert part in report
    assert "tiling is 'yes'" in report
    assert report.count("odd") == 1


def test_settings_come_out_of_a_frame(answers: Answers, tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    write_frame(path, np.zeros((8, 8, 3), np.uint8), {SETTINGS_KEYWORD: '{"W": 704}'})
    assert filled(answers.load([path], values()))["W"] == 704
    path.write_bytes(PNG)
    answer = answers.load([path], values(W=640))
    assert answer[0] == values(W=640)
    assert "contains no Deforum settings" in answer[1]


def test_load_video_settings_takes_only_those(answers: Answers, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text('{"W": 640, "fps": 24}')
    found = filled(answers.load_named("some.txt", values(), video_only=True))
    assert (found["W"], found["fps"]) == (512, 24)


def test_saved_settings_come_back_the_same(answers: Answers, tmp_path: Path) -> None:
    wanted = values(W=640, prompts='{\n    "0": "ü <b>"\n}', tiling=True)
    assert "tab_settings_saved" in answers.save("mine.txt", wanted)
    assert answers.load_named("mine.txt", values())[0] == wanted
    assert set(json.loads((tmp_path / "mine.txt").read_text("utf-8"))) <= set(defaults())


@pytest.mark.parametrize("name", ["../a.txt", "/etc/passwd", "a.sh", "", "a/b.txt", "a\n.txt", "..txt/.txt"])
def test_settings_are_saved_in_the_output_folder_only(answers: Answers, tmp_path: Path, name: str) -> None:
    assert "tab_saved_file_name" in answers.save(name, values())
    assert "tab_saved_file_name" in answers.load_named(name, values())[1]
    assert list(tmp_path.iterdir()) == []


def test_reset_brings_the_defaults(answers: Answers) -> None:
    answer = answers.reset(values(W=640))
    assert answer[0] == default_values()
    assert "1 changed" in answer[1]


def test_options_hold_once_they_are_right(answers: Answers, service: FakeService) -> None:
    start = {row.name: row.default for row in option_rows()}
    assert "tab_options_applied" in answers.set_options(
        tuple((start | {"deforum_ffmpeg_crf": 20.0}).values())
    )
    assert service.options().deforum_ffmpeg_crf == 20
    assert "deforum_ffmpeg_crf" in answers.set_options(tuple((start | {"deforum_ffmpeg_crf": 99}).values()))
    assert service.options().deforum_ffmpeg_crf == 20


def test_a_folder_is_opened_only_where_the_browser_is_at_home(service: FakeService, tmp_path: Path) -> None:
    job = replace(DONE, folder=tmp_path)
    assert "Open folder" not in panels.run_html(service, job, str)
    service.opens_folders = True
    assert "Open folder" in panels.run_html(service, job, str)


def test_the_folder_is_told_from_the_output_folder(service: FakeService, tmp_path: Path) -> None:
    inside = replace(DONE, folder=tmp_path / "img2img-images" / "dream")
    assert ">img2img-images/dream<" in panels.run_html(service, inside, str)
    assert ">/elsewhere/dream<" in panels.run_html(
        service, replace(DONE, folder=Path("/elsewhere/dream")), str
    )


def test_a_look_needs_only_what_changed_and_returns_its_number(answers: Answers) -> None:
    changed = {"W": 640, "prompts": '{"0": "a lake"}', "zoom": "0: (1.01+)"}
    number = '<span data-number="7"></span>'
    assert answers.check_changes(asked(**changed)) == number + answers.check(*values(**changed))
    assert answers.check_changes(asked()) == number + answers.check(*values())
    assert answers.check_changes(asked(**{"no setting": 1})) == number + answers.check(*values())
    plots = answers.plot_changes([], asked())
    assert plots.startswith(number)
    assert ">zoom<" in plots


@pytest.mark.parametrize("text", ["", "[]", '{"number": "\'><b>", "values": 5}', '{"number": 1e99}', "{}"])
def test_a_look_without_a_number_is_answered_as_number_0(answers: Answers, text: str) -> None:
    assert answers.check_changes(text) == '<span data-number="0"></span>' + answers.check(*values())


@pytest.mark.parametrize(
    "image", [{"path": "/x/a.png"}, {"name": "/x/a.png"}, "/x/a.png", "a" * 32 + "/a.png", ["/x/a.png"], 1]
)
def test_an_image_that_was_not_dropped_is_no_image(answers: Answers, image: Any) -> None:
    text = asked(use_init=True, init_image_box=image)
    (problem,) = marks(answers.check_changes(text))["problems"]["init_image_box"]
    assert "tab_upload_" in answers.check_changes(text), problem
    assert "tab_plot_without_plan" in answers.plot_changes([], text)


def test_an_image_that_was_dropped_is_known_by_its_id_and_outlives_its_folder(
    service: FakeService, tmp_path: Path
) -> None:
    uploads = Uploads(tmp_path / "dropped", tmp_path)
    answers = Answers(service, str, uploads=uploads)
    still = next((Path(__file__).parents[2] / "config" / "presets").glob("*.jpg")).read_bytes()
    dropped = uploads.add("a lake.jpg", [still])
    assert marks(answers.check_changes(asked(use_init=True, init_image_box=dropped)))["problems"] == {}
    held = values(use_init=True, init_image_box=str(uploads.path(dropped)))
    assert "tab_jobs_queued" in answers.generate(False, [], held)
    stored = Path(service.submitted[0]["init_image_box"])
    assert stored.parent == tmp_path / "init-images"
    assert stored.read_bytes() == still
    assert uploads.path(uploads.id_of(stored)).read_bytes() == still


def test_what_no_control_holds_is_not_kept(answers: Answers) -> None:
    stored = {"W": 640, "H": {"path": "/etc/hostname"}, "init_image_box": "/etc/hostname", "seed": [1]}
    filled, _ = answers.fill(json.dumps({"act": "kept", "values": stored}), values())
    assert filled == values(W=640)


def test_keys_are_converted_and_the_rest_of_the_texts_stays(answers: Answers) -> None:
    written = values(
        max_frames=61,
        fps=20,
        zoom="0: (1),\n 50% : (1.2) ~ease_in",
        angle="0: (0), max_f: (t)",
        prompts='{"0": "a", "-1s": "b"}',
    )
    found, report = answers.convert_keys("seconds", written)
    settings = submitted_settings(found)
    assert settings["zoom"] == "0: (1),\n 1.5s : (1.2) ~ease_in"
    assert settings["angle"] == "0: (0), 3s: (t)"
    assert settings["prompts"] == {"0": "a", "2.05s": "b"}
    assert "tab_keys_converted" in report
    found, _ = answers.convert_keys("frames", found)
    assert submitted_settings(found)["zoom"] == "0: (1),\n 30 : (1.2) ~ease_in"


def test_keys_of_settings_with_problems_stay(answers: Answers) -> None:
    broken = values(zoom="0: (1.01+)")
    assert answers.convert_keys("frames", broken)[0] == broken
    found, report = answers.convert_keys("beats", values())
    assert found == values()
    assert "bpm" in report
