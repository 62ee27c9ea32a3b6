"""What workers are started with, where they are placed, and the files that they send; without Ray."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from deforum_api.hosts.flags import flag_problem, make_parser, ray_settings
from deforum_api.queue.events import Claimed, Interrupted
from deforum_api.queue.ray import settings
from deforum_api.queue.ray.driver import Node, needs_gpus, places
from deforum_api.queue.ray.files import PIECE_BYTES, ReceivedFiles, SentFiles, below, resume_pieces
from deforum_api.queue.ray.settings import (
    RaySettings,
    address_problem,
    ray_problem,
    version_problem,
    versions,
)
from deforum_api.queue.record import Job, after
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.output.paths import Run

STAMP = "20260102030405"


def flags(*given: str) -> argparse.Namespace:
    return make_parser().parse_args(list(given))


def code(text: str | None) -> str:
    return getattr(text, "code", "")


def test_the_flags_say_where_the_workers_are() -> None:
    assert ray_settings(flags()) is None
    given = ("--deforum-workers", "4", "--deforum-gpus-per-worker", "0.5", "--deforum-ray-fallback")
    found = ray_settings(flags("--deforum-ray", "head:6379", "--deforum-ray-files", "shared", *given))
    assert found == RaySettings("head:6379", 4, 0.5, "shared", True)


@pytest.mark.parametrize(
    "given",
    [
        ("--deforum-workers", "0"),
        ("--deforum-workers", "two"),
        ("--deforum-gpus-per-worker", "0"),
        ("--deforum-gpus-per-worker", "1.5"),
        ("--deforum-gpus-per-worker", "nan"),
        ("--deforum-ray-files", "nfs"),
    ],
)
def test_odd_values_are_refused_at_the_start(given: tuple[str, str]) -> None:
    with pytest.raises(SystemExit):
        flags("--deforum-ray", "local", *given)


def test_flags_of_workers_need_the_one_that_says_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert code(flag_problem(flags("--deforum-workers", "2"))) == "flag_without_ray"
    assert code(flag_problem(flags("--deforum-ray", "ray://head:10001"))) == "ray_address_invalid"
    monkeypatch.setattr(settings, "_installed", {"ray": None}.get)
    assert code(flag_problem(flags("--deforum-ray", "local"))) == "ray_not_installed"


@pytest.mark.parametrize(
    ("found", "problem"),
    [("2.60.0", ""), ("2.71.3", ""), ("2.59.1", "ray_wrong_version"), ("3.0.0", "ray_wrong_version")],
)
def test_the_version_of_ray_is_checked(monkeypatch: pytest.MonkeyPatch, found: str, problem: str) -> None:
    monkeypatch.setattr(settings, "_installed", {"ray": found}.get)
    assert code(ray_problem()) == problem


@pytest.mark.parametrize("address", ["local", "auto", "10.0.0.1:6379", "head-svc.deforum:6379"])
def test_addresses_of_clusters(address: str) -> None:
    assert address_problem(address) is None


def test_a_worker_has_the_versions_of_its_server() -> None:
    here = versions()
    assert version_problem(here, here, "a") is None
    assert "python" in here
    assert code(version_problem({**here, "numpy": "0.1"}, here, "a")) == "ray_version_differs"
    without = {package: version for package, version in here.items() if package != "numpy"}
    assert code(version_problem(without, here, "a")) == "ray_version_differs"


CPUS = [Node("head", "head", 0, 0), Node("a", "a", 8, 0), Node("b", "b", 2, 0)]
GPUS = [Node("head", "head", 8, 0), Node("a", "a", 8, 2), Node("b", "b", 8, 1)]


@pytest.mark.parametrize(
    ("nodes", "wanted", "share", "expected"),
    [
        (CPUS, 0, 0.0, {"a": 1, "b": 1}),
        (CPUS, 5, 0.0, {"a": 3, "b": 2}),
        (CPUS, 50, 0.0, {"a": 8, "b": 2}),
        (CPUS, 2, 1.0, {}),
        (GPUS, 0, 0.0, {"a": 2, "b": 1}),
        (GPUS, 0, 0.5, {"a": 4, "b": 2}),
        (GPUS, 3, 0.5, {"a": 2, "b": 1}),
        (GPUS, 0, 2.0, {"a": 1}),
        ([], 2, 0.0, {}),
    ],
)
def test_places_of_workers(nodes: list[Node], wanted: int, share: float, expected: dict[str, int]) -> None:
    assert +places(nodes, wanted, share) == expected


def test_workers_are_on_gpus_where_there_are_some() -> None:
    assert not needs_gpus(CPUS, 0.0)
    assert needs_gpus(CPUS, 1.0)
    assert needs_gpus(GPUS, 0.0)


JOB = Job("batch(1)-0", "batch(1)", 0, "{}", "null", 0.0, 0.0)


def test_a_job_survives_two_lost_workers_and_fails_with_the_third() -> None:
    job = JOB
    for attempt in (2, 3):
        job = after(after(job, Claimed(), 1.0), Interrupted("ray-1 on a"), 2.0)
        assert (job.phase, job.attempt, code(job.message)) == ("QUEUED", attempt, "worker_lost")
    job = after(after(job, Claimed(), 1.0), Interrupted("ray-1 on a"), 2.0)
    assert (job.status, job.error_type) == ("FAILED", "RETRYABLE")
    assert "ray-1 on a" in str(job.message)
    tool = after(after(replace(JOB, kind="stitch"), Claimed(), 1.0), Interrupted("ray-1 on a"), 2.0)
    assert code(tool.message) == "tool_worker_lost"


def test_requests_to_stop_are_passed_on_once_each() -> None:
    told: list[str] = []
    token = CancelToken()
    token.park()
    token.pass_on(told.append)
    token.park()
    token.cancel()
    token.cancel()
    token.park()
    assert told == ["park", "cancel"]


def send(sent: SentFiles, received: ReceivedFiles, *, deep: bool = False) -> list[str]:
    """Send what has changed; return the paths in the order in which they came."""
    names = []
    for head, content in sent.changes(deep=deep):
        received.write(head, content)
        names.append(head.get("file") or f"- {head['removed']}")
    return list(dict.fromkeys(names))


def test_files_of_a_run_arrive_frames_first_and_whole(tmp_path: Path) -> None:
    here, there = tmp_path / "worker", tmp_path / "server"
    run = Run(here / "images" / "run", STAMP)
    run.outdir.mkdir(parents=True)
    there.mkdir()
    sent, received = SentFiles(here, run), ReceivedFiles(there)
    run.manifest_path.write_text("claimed")
    assert send(sent, received) == [f"images/run/.{STAMP}_manifest.json"]
    run.resume_state_path.write_bytes(b"after 1")
    run.frame_path(0).write_bytes(b"0")
    run.settings_path.write_text("{}")
    (run.outdir / f".{STAMP}_x.part").write_bytes(b"unfinished")
    (run.outdir / "20200101000000_000000000.png").write_bytes(b"of another run")
    names = [Path(name).name for name in send(sent, received)]
    assert names == [run.settings_path.name, run.frame_path(0).name, run.resume_state_path.name]
    assert send(sent, received) == []
    run.resume_state_path.write_bytes(b"after frame 2")
    large = bytes(PIECE_BYTES) + b"end"
    run.video_path.write_bytes(large)
    inside = run.outdir / f"{STAMP}_upscaled" / "0.png"
    inside.parent.mkdir()
    inside.write_bytes(b"")
    run.frame_path(0).unlink()
    assert f"- images/run/{run.frame_path(0).name}" in send(sent, received, deep=True)
    copy = Run(there / "images" / "run", STAMP)
    assert copy.video_path.read_bytes() == large
    assert copy.resume_state_path.read_bytes() == b"after frame 2"
    assert (copy.outdir / f"{STAMP}_upscaled" / "0.png").read_bytes() == b""
    left = {f"{STAMP}{ending}" for ending in (".mp4", "_settings.txt", "_upscaled")}
    assert {path.name for path in copy.outdir.iterdir()} == {
        *left,
        f".{STAMP}_manifest.json",
        f".{STAMP}.checkpoint",
    }


def test_a_run_goes_back_to_another_worker(tmp_path: Path) -> None:
    here, there = tmp_path / "server", tmp_path / "worker"
    run = Run(here / "run", STAMP)
    run.outdir.mkdir(parents=True)
    there.mkdir()
    for path in (run.settings_path, run.frame_path(0), run.resume_state_path, run.manifest_path):
        path.write_text(path.name)
    received = ReceivedFiles(there)
    for head, content in resume_pieces(here, run):
        received.write(head, content)
    copy = Run(there / "run", STAMP)
    assert copy.resume_state_path.read_text() == run.resume_state_path.name
    assert list(SentFiles(there, copy, known=True).changes(deep=True)) == []


def test_a_file_that_stays_unfinished_gets_no_name(tmp_path: Path) -> None:
    received = ReceivedFiles(tmp_path)
    received.write({"file": f"run/{STAMP}.mp4", "size": 10, "at": 0}, b"12345")
    received.close()
    assert list((tmp_path / "run").iterdir()) == []
    with pytest.raises(ValueError):
        received.write({"file": f"run/{STAMP}.mp4", "size": 10, "at": 5}, b"67890")


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "", "a\\b", "C:/a"])
def test_no_worker_writes_outside_the_output_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError):
        below(tmp_path, name)
    with pytest.raises(ValueError):
        ReceivedFiles(tmp_path).write({"file": name, "size": 1, "at": 0}, b"x")
