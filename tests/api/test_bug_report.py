"""What goes into a bug report, and what stays at home."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deforum_api.hosts.bug_report import without_words
from deforum_api.hosts.standalone import main
from deforum_api.queue.logs import LOG_NAME
from deforum_api.queue.record import Job
from deforum_api.queue.sqlite import FILE_NAME, SqliteStore

SECRET = "a fox in velvet"
SUBMITTED = {
    "prompts": {"0": f"{SECRET}, 4k", "10": "moonlit"},
    "animation_prompts_negative": "no rain",
    "batch_name": "for_aunt_May",
    "init_image": "/home/ann/fox.png",
    "soundtrack": {"mine": ["velvet.mp3"]},
    "zoom": "0: (1.5)",
    "W": 512,
    "sampler": "Euler a",
}
LOG = f"""2026-01-01 INFO batch(1)-0 deforum_api: prompt {SECRET}, 4k is used
2026-01-01 WARNING - deforum_api: zoom 'sin(x' and "steps" of 'batch(1)-0' say `moonlit`
  |   File "/home/ann/site-packages/deforum_helpers/pipeline/job.py", line 7, in run
  | ValueError: the job's 'fox "in" velvet' isn't
"""
PRIVATE = ("fox", "velvet", "moonlit", "rain", "May", "ann", "hunter2")


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    root = tmp_path / "outputs"
    store = SqliteStore(root / FILE_NAME)
    job = Job("batch(1)-0", "batch(1)", 0, json.dumps(SUBMITTED), '{"sd_vae": "velvet.pt"}', 1.0, 1.0)
    message = f"invalid arguments: prompts says '{SECRET}'; zoom is fine."
    failed = replace(
        job, status="FAILED", message=message, warnings=(f"{SECRET}, 4k is long",), outdir="/home/ann"
    )
    store.add(
        [failed, *(replace(job, id=f"batch(2)-{n}", batch_id="batch(2)", order=n + 1) for n in range(4))]
    )
    store.close()
    (root / LOG_NAME).write_text(LOG, encoding="utf-8")
    return root


def report(outputs: Path, *more: str) -> dict[str, str]:
    path = outputs.parent / "report.zip"
    login = ("--api-auth", "ann:hunter2")
    assert main(["--deforum-outdir", str(outputs), "--deforum-debug", str(path), *login, *more]) == 0
    with zipfile.ZipFile(path) as files:
        return {name: files.read(name).decode() for name in files.namelist()}


def test_prompts_names_and_paths_stay_at_home(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = report(outputs)
    assert sorted(files) == ["about.json", LOG_NAME, "jobs.json"]
    found = {word for word in PRIVATE for name in ("jobs.json", LOG_NAME) if word in files[name]}
    assert found == set()
    assert "hunter2" not in files["about.json"]
    assert "Look through it" in capsys.readouterr().out


def test_the_jobs_come_from_the_database_that_the_flags_name(outputs: Path) -> None:
    elsewhere = outputs.parent / "local"
    elsewhere.mkdir()
    (outputs / FILE_NAME).rename(elsewhere / FILE_NAME)
    files = report(outputs, "--deforum-database", str(elsewhere))
    assert len(json.loads(files["jobs.json"])) == 5


def test_what_a_bug_needs_is_in(outputs: Path) -> None:
    files = report(outputs)
    about: dict[str, Any] = json.loads(files["about.json"])
    assert about["health"]["versions"]["python"]
    assert about["flags"]["port"] == 7860
    first = json.loads(files["jobs.json"])[0]
    remaining = {name: value for name, value in first["deforum_settings"].items() if value != "[left out]"}
    assert remaining == {"zoom": "0: (1.5)", "W": 512, "sampler": "Euler a"}
    assert first["message"] == "invalid arguments: prompts says '[left out]'; zoom is fine."
    assert (first["id"], first["status"], first["options_overrides"]) == ("batch(1)-0", "FAILED", ["sd_vae"])
    assert "2026-01-01 INFO batch(1)-0 deforum_api: prompt [left out] is used" in files[LOG_NAME]
    assert "zoom '[left out]' and \"steps\" of 'batch(1)-0' say `[left out]`" in files[LOG_NAME]
    assert 'File "deforum_helpers/pipeline/job.py", line 7, in run' in files[LOG_NAME]


def test_prompts_are_in_where_they_are_asked_for(outputs: Path) -> None:
    files = report(outputs, "--deforum-debug-prompts")
    assert files[LOG_NAME] == LOG
    assert json.loads(files["jobs.json"])[0]["deforum_settings"] == SUBMITTED
    assert "hunter2" not in "".join(files.values())


def test_only_the_last_jobs_are_told(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deforum_api.hosts.bug_report.JOBS_TOLD", 2)
    assert [job["id"] for job in json.loads(report(outputs)["jobs.json"])] == ["batch(2)-2", "batch(2)-3"]


def test_a_folder_without_jobs_and_broken_records_are_told(tmp_path: Path) -> None:
    files = report(tmp_path / "outputs")
    assert (files["jobs.json"], files[LOG_NAME]) == ("[]", "")
    assert not (tmp_path / "outputs").exists()
    (tmp_path / "report.zip").unlink()
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / FILE_NAME).write_bytes(b"no database at all" * 100)
    assert "readable" not in report(tmp_path / "outputs")["about.json"]


def test_nothing_is_overwritten(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(outputs)
    path = str(outputs.parent / "report.zip")
    assert main(["--deforum-outdir", str(outputs), "--deforum-debug", path]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["--deforum-outdir", str(outputs), "--deforum-debug", "/no/such/folder/x.zip"]) == 2


def test_apostrophes_are_no_quotes() -> None:
    assert without_words("the job's video isn't 'mine, or' so", []) == "the job's video isn't '[left out]' so"
