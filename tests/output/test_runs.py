"""Which run is to go on, what is said where it is not there, and that one program at a time renders it."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from deforum_helpers.core.errors import RunInUse
from deforum_helpers.output.paths import Run, new_run
from deforum_helpers.output.runs import remove_unused_claims, resume_problems, run_lock
from deforum_helpers.settings import Settings, load_settings
from tests.holding import held_elsewhere

LOOKED_FOR = "20200101000000"
FOLDER = "img2img-images/run"


def settings_of(name: str = "run") -> Settings:
    return replace(load_settings({}).settings, batch_name=name)


def written(root: Path, *names: str) -> None:
    for name in names:
        path = root / "img2img-images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def said(root: Path, timestring: str | None = LOOKED_FOR) -> list[str]:
    return [problem.message for problem in resume_problems(root, settings_of(), timestring)]


def refused(root: Path, code: str, *words: str) -> None:
    (problem,) = resume_problems(root, settings_of(), LOOKED_FOR)
    assert problem.code == code
    assert all(word in problem.message for word in (LOOKED_FOR, FOLDER, *words)), problem.message


@pytest.mark.parametrize(
    "name", [f".{LOOKED_FOR}.checkpoint", f"{LOOKED_FOR}.checkpoint", f"{LOOKED_FOR}_settings.txt"]
)
def test_a_run_is_there_with_its_checkpoint_or_its_settings(tmp_path: Path, name: str) -> None:
    written(tmp_path, f"run/{name}")
    assert said(tmp_path) == []


def test_a_video_that_begins_anew_looks_for_none(tmp_path: Path) -> None:
    assert said(tmp_path, None) == []


def test_a_run_in_a_folder_of_its_own_is_found_by_the_name_that_it_had(tmp_path: Path) -> None:
    written(tmp_path, f"a/b/Deforum_{LOOKED_FOR}/{LOOKED_FOR}.checkpoint")
    settings = settings_of("Deforum_{timestring}")
    assert resume_problems(tmp_path, settings, LOOKED_FOR, "img2img-images/a/b") == []


def test_the_newest_runs_of_the_folder_are_told(tmp_path: Path) -> None:
    written(tmp_path, *(f"run/2024010{day}000000_settings.txt" for day in range(1, 6)), "run/notes.txt")
    written(tmp_path, "run/.20240105000000.checkpoint", "other/20250101000000_settings.txt")
    refused(tmp_path, "run_not_found", "20240105000000, 20240104000000, 20240103000000")


def test_else_those_of_other_folders_are(tmp_path: Path) -> None:
    written(
        tmp_path, "run/20240101000000.mp4", "b/20250101000000_settings.txt", "a/20240101000000_settings.txt"
    )
    refused(tmp_path, "run_not_in_folder", "20250101000000 in b, 20240101000000 in a")


def test_a_run_in_another_folder_is_named(tmp_path: Path) -> None:
    written(tmp_path, "run/20240101000000.checkpoint", f"other/{LOOKED_FOR}_settings.txt")
    refused(tmp_path, "run_in_other_folder", "img2img-images/other", "batch_name")


def test_an_empty_output_folder_has_none(tmp_path: Path) -> None:
    (problem,) = resume_problems(tmp_path / "none", settings_of(), LOOKED_FOR)
    assert problem.code == "no_runs"
    assert (problem.setting, problem.found) == ("resume_timestring", LOOKED_FOR)


def test_what_is_no_time_is_told_as_such(tmp_path: Path) -> None:
    assert "14 digits" in said(tmp_path, "20241399000000")[0]


def test_a_run_is_rendered_by_one_program_at_a_time(tmp_path: Path) -> None:
    run = Run(tmp_path, LOOKED_FOR)
    with held_elsewhere(run.lock_path) as program:
        with pytest.raises(RunInUse) as caught, run_lock(run):
            raise AssertionError("it is rendered twice")
        with run_lock(Run(tmp_path, "20200101000001")):
            pass
    assert caught.value.message_code == "run_being_rendered"
    assert all(word in str(caught.value) for word in (LOOKED_FOR, tmp_path.name, str(program.pid)))
    assert caught.value.retryable
    with run_lock(run):
        assert run.lock_path.exists()
    assert not list(tmp_path.iterdir())


def test_a_run_of_a_machine_that_was_found_dead_or_of_this_program_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(tmp_path, LOOKED_FOR)
    with held_elsewhere(run.lock_path, host="far away"), run_lock(run):
        assert "of far away; this job takes it over" in caplog.text
    with run_lock(run), run_lock(run):
        assert caplog.text.count("takes it over") == 2
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_has_no_lock(tmp_path: Path) -> None:
    with run_lock(Run(tmp_path / "gone", LOOKED_FOR)):
        assert not list(tmp_path.iterdir())


def claimed(root: Path, batch_name: str = "run") -> Run:
    """A run that was claimed and locked by a program that was killed before it wrote anything of it."""
    run = new_run(root, settings_of(batch_name), datetime(2026, 1, 2, 3, 4, 5))
    run.lock_path.write_text('{"program": "gone", "host": "here", "pid": 1}')
    return run


def test_what_a_killed_program_left_of_a_run_that_it_had_not_begun_goes(tmp_path: Path) -> None:
    run = claimed(tmp_path)
    remove_unused_claims(tmp_path / "img2img-images")
    assert list(run.outdir.iterdir()) == []
    remove_unused_claims(tmp_path / "nowhere")


@pytest.mark.parametrize("file", ["settings_path", "resume_state_path"])
def test_of_a_run_that_was_begun_only_the_lock_goes(file: str, tmp_path: Path) -> None:
    run = claimed(tmp_path)
    getattr(run, file).touch()
    remove_unused_claims(tmp_path / "img2img-images")
    assert {path.name for path in run.outdir.iterdir()} == {run.manifest_path.name, getattr(run, file).name}


def test_a_lock_that_is_held_stays(tmp_path: Path) -> None:
    run = claimed(tmp_path)
    with held_elsewhere(run.lock_path):
        remove_unused_claims(tmp_path / "img2img-images")
        assert run.lock_path.exists()
        assert run.manifest_path.exists()


def test_links_and_other_names_are_left_alone(tmp_path: Path) -> None:
    run = claimed(tmp_path)
    notes_lock = run.outdir / ".notes.lock"
    notes_lock.touch()
    target = tmp_path / "elsewhere"
    target.write_text("kept")
    if os.name != "nt":
        run.lock_path.unlink()
        run.lock_path.symlink_to(target)
        (tmp_path / "img2img-images" / "link").symlink_to(tmp_path)
    remove_unused_claims(tmp_path / "img2img-images")
    assert notes_lock.exists()
    assert target.read_text() == "kept"
