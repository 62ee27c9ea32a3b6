"""A job service that keeps what it is told, with the real checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import DeforumError
from deforum_helpers.engines.names import samplers, schedulers
from deforum_helpers.pipeline.prepare import HostFacts, Prepared, prepare
from deforum_helpers.settings.host_options import Options, override
from deforum_helpers.ui.service import JobView, ResumableRun


def facts(root: Path) -> HostFacts:
    return HostFacts("standalone", "null", None, root, samplers(), schedulers())


@dataclass
class FakeService:
    """Jobs are whatever stands in `listed`; every call is noted in `calls`."""

    facts: HostFacts
    listed: tuple[JobView, ...] = ()
    submitted: list[dict[str, Any]] = field(default_factory=list)
    tools: list[tuple[str, dict[str, Any], dict[str, list[Path]]]] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    runs: tuple[ResumableRun, ...] = ()
    frame: Path | None = None
    made: dict[str, Path] = field(default_factory=dict)
    refuses: str = ""
    pace: float | None = None
    keeps_options: bool = True
    opens_folders: bool = False
    overrides: dict[str, Any] = field(default_factory=dict)

    def facts_now(self) -> HostFacts:
        return self.facts

    def check(self, settings: Mapping[str, Any]) -> Prepared:
        return prepare(settings, self.facts)

    def submit(self, settings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        if self.refuses:
            raise DeforumError(self.refuses)
        for one in settings:
            self.check(one)
        self.submitted += [dict(one) for one in settings]
        return tuple(f"batch(1)-{number}" for number in range(len(settings)))

    def submit_tool(
        self, tool: str, arguments: Mapping[str, Any], dropped: Mapping[str, Sequence[Path]]
    ) -> str:
        if self.refuses:
            raise DeforumError(self.refuses)
        self.tools.append((tool, dict(arguments), {name: list(paths) for name, paths in dropped.items()}))
        return "batch(9)-0"

    def jobs(self, limit: int) -> tuple[JobView, ...]:
        return self.listed[:limit]

    def job(self, job_id: str) -> JobView:
        for job in self.listed:
            if job.id == job_id:
                return job
        raise DeforumError(f"There is no job {job_id!r}.")

    def settings(self, job_id: str) -> dict[str, Any]:
        self.job(job_id)
        return {"W": 640, "prompts": {"0": "a lake"}}

    def cancel(self, job_id: str) -> None:
        self._note("cancel", job_id)

    def pause(self, job_id: str) -> None:
        self._note("pause", job_id)

    def resume(self, job_id: str) -> None:
        self._note("resume", job_id)

    def move_up(self, job_id: str) -> None:
        self._note("move_up", job_id)

    def forget(self, job_id: str) -> None:
        self._note("forget", job_id)

    def newest_frame(self, job_id: str) -> Path | None:
        return self.frame

    def files(self, job_id: str) -> dict[str, Path]:
        return self.made

    def resumable_runs(self) -> tuple[ResumableRun, ...]:
        return self.runs

    def options(self) -> Options:
        return override(self.facts.options, self.overrides)

    def set_options(self, overrides: Mapping[str, Any]) -> None:
        override(self.facts.options, dict(overrides))
        self.overrides = dict(overrides)

    def open_folder(self, job_id: str) -> None:
        self._note("open_folder", job_id)

    def expected_seconds(self, prepared: Prepared) -> float | None:
        return self.pace

    def _note(self, call: str, job_id: str) -> None:
        self.job(job_id)
        self.calls.append((call, job_id))


RUNNING = JobView("batch(1)-0", "running", "GENERATING", 0.5, 5, 10, 12.0, 2.4, title="run", updates=7)
QUEUED = replace(RUNNING, id="batch(2)-0", state="queued", phase="QUEUED", frame=0, position=1, updates=0)
PAUSED = replace(RUNNING, id="batch(3)-0", state="paused", phase="QUEUED")
DONE = replace(RUNNING, id="batch(4)-0", state="done", phase="DONE", frame=10)
FAILED = replace(RUNNING, id="batch(5)-0", state="failed", message="generation error: no memory")
