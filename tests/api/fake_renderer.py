"""The whole API over a renderer that renders nothing and does as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from deforum_api.http.app import mount
from deforum_api.http.security import Access
from deforum_api.queue.checks.request import CheckRequest, batch_body, prepared_job
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.submission import Limits
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.pipeline.host_facts import own_facts

WAIT_S = 120.0
LOCAL = "http://127.0.0.1:7860"


SMALL = {"max_frames": 4, "W": 64, "H": 64, "prompts": {"0": "a"}}


@dataclass(frozen=True)
class Step:
    """A progress report, as the pipeline makes them."""

    phase: str
    fraction: float
    frame: int
    max_frames: int
    outdir: str
    timestring: str
    warnings: tuple[str, ...] = ()


@dataclass
class Renderer:
    """Writes tiny files instead of frames; waits before each while `gate` is closed.

    `plans` maps a batch_name to the error that its job ends with at frame 2. No job ends while `ending` is closed.
    """

    root: Path
    gate: threading.Event = field(default_factory=threading.Event)
    ending: threading.Event | None = None
    plans: dict[str, Exception] = field(default_factory=dict)
    runs: list[tuple[str, str | None]] = field(default_factory=list)
    running: int = 0
    most_at_once: int = 0

    def check(
        self,
        submitted: Mapping[str, Any],
        overrides: Mapping[str, Any] | None,
        *,
        resume: str | None = None,
        kind: str = "animation",
    ) -> Any:
        """Settings are good unless `max_frames` is not a number."""
        frames = submitted.get("max_frames", 4)
        problems = []
        if not isinstance(frames, int):
            problems.append(
                Problem(
                    "max_frames must be a number.", "max_frames", None, None, str(frames)[:20], "1 to 100"
                )
            )
        if overrides and "evil" in overrides:
            problems.append(Problem("The option 'evil' cannot be overridden.", "options_overrides.evil"))
        if problems:
            raise SettingsError(problems)
        warnings = ("The setting 'unknown' is ignored.",) if "unknown" in submitted else ()
        summary = {"frames": frames, "diffused_frames": frames, "sampling_steps": frames, "disk_bytes": 10}
        summary["segments"] = 1
        return SimpleNamespace(
            name=submitted.get("batch_name", "job"),
            summary=summary,
            work=float(frames),
            warnings=warnings,
            frames=frames,
            resume=resume,
        )

    def render(
        self,
        prepared: Any,
        cancel: CancelToken,
        report: Callable[[Any], None],
    ) -> Any:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        self.runs.append((prepared.name, prepared.resume))
        try:
            return self._render(prepared, cancel, report)
        finally:
            assert self.ending is None or self.ending.wait(WAIT_S)
            self.running -= 1

    def _render(self, prepared: Any, cancel: CancelToken, report: Callable[[Any], None]) -> Any:
        outdir, stamp, frames = (
            self.root / "img2img-images" / prepared.name,
            "20260102030405",
            prepared.frames,
        )
        outdir.mkdir(parents=True, exist_ok=True)
        report(Step("PREPARING", 1.0, 0, frames, str(outdir), stamp))
        for frame in range(frames):
            while not self.gate.wait(0.005):
                cancel.check()
            cancel.check()
            if frame == 2 and prepared.name in self.plans:
                raise self.plans[prepared.name]
            (outdir / f"{stamp}_{frame:09d}.png").write_bytes(PNG)
            report(Step("GENERATING", (frame + 1) / frames, frame + 1, frames, str(outdir), stamp))
        report(Step("POST_PROCESSING", 0.5, frames, frames, str(outdir), stamp))
        for ending in (".mp4", ".srt", ".gif"):
            (outdir / f"{stamp}{ending}").write_bytes(bytes(range(200)))
        (outdir / f"{stamp}_settings.txt").write_text("{}")
        return SimpleNamespace(outdir=str(outdir), timestring=stamp, frames=frames, video=None, warnings=())


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415408d763f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


@pytest.fixture
def renderer(tmp_path: Path) -> Renderer:
    made = Renderer(tmp_path)
    made.gate.set()
    return made


@pytest.fixture
def jobs(renderer: Renderer) -> Iterator[JobQueue]:
    queue = JobQueue(
        renderer.check, renderer.render, limits=Limits(queued=20, batch=5, finished=12, retry_after_s=())
    )
    yield queue
    assert queue.close(WAIT_S)


FACTS = {
    "host": "standalone",
    "engine": "null",
    "model": "none",
    "versions": {"deforum": "6.5.0"},
    "free_disk_bytes": 1,
    "unavailable": [],
}


def make_app(queue: JobQueue, access: Access | None = None, **flags: bool) -> FastAPI:
    app = FastAPI(title="Deforum", version="6.5.0")
    mount(app, queue, access or Access(), lambda: FACTS, **flags)
    return app


@lru_cache
def shared_app() -> FastAPI:
    """One app for most tests, as building its routes takes longer than a test; its queue is exchanged."""
    return FastAPI(title="Deforum", version="6.5.0")


@contextmanager
def serving(queue: JobQueue, access: Access | None = None) -> Iterator[TestClient]:
    """A client of `queue` behind the shared app; whatever was served before is served again afterwards."""
    app = shared_app()
    before = getattr(app.state, "deforum", None)
    mount(app, queue, access or Access(), lambda: FACTS)
    try:
        with TestClient(app, base_url=LOCAL, raise_server_exceptions=False) as made:
            yield made
    finally:
        app.state.deforum = before or app.state.deforum


@pytest.fixture
def client(jobs: JobQueue) -> Iterator[TestClient]:
    with serving(jobs) as made:
        yield made


def strict_queue(renderer: Renderer) -> JobQueue:
    """A queue with the real checks whose renderer is `renderer`."""
    facts = own_facts("null", None, renderer.root)

    check = partial(prepared_job, facts)

    def render(prepared: Any, cancel: CancelToken, report: Callable[[Any], None]) -> Any:
        few = min(prepared.plan.frames, 4)
        return renderer.render(SimpleNamespace(name="job", frames=few, resume=None), cancel, report)

    return JobQueue(check, render, limits=Limits(queued=50, batch=5, finished=500, retry_after_s=()))


def asking(settings: list[dict[str, Any]]) -> CheckRequest:
    """A batch as its request comes in."""
    return CheckRequest("submit", batch_body(settings, None), 100)


def submit(client: TestClient, *settings: dict[str, Any]) -> list[str]:
    answer = client.post("/deforum_api/batches", json={"deforum_settings": list(settings)})
    assert answer.status_code == 202, answer.text
    return list(answer.json()["job_ids"])


def until(
    client: TestClient, job_id: str, wanted: Callable[[dict[str, Any]], bool], wait_s: float = WAIT_S
) -> dict[str, Any]:
    """Poll the job until `wanted` holds, and return it."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        job = dict(client.get(f"/deforum_api/jobs/{job_id}").json())
        if wanted(job):
            return job
        time.sleep(0.002)
    raise AssertionError(f"{job_id} never got there: {job}")


def ended(client: TestClient, job_id: str) -> dict[str, Any]:
    return until(client, job_id, lambda job: job["status"] != "ACCEPTED")


def refused(client: TestClient, settings: dict[str, Any], named: str) -> str:
    """Submit what must be refused; return the message about the setting `named`."""
    answer = client.post("/deforum_api/batches", json={"deforum_settings": {**SMALL, **settings}})
    assert answer.status_code == 400, answer.text
    about = [error["message"] for error in answer.json()["errors"] if error["setting"] == named]
    assert about, answer.json()["errors"]
    assert client.get("/deforum_api/jobs").json() == {}
    return str(about[0])
