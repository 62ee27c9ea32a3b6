"""What the tab needs of whoever keeps the jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from deforum_helpers.pipeline.prepare import HostFacts, Prepared
from deforum_helpers.settings.host_options import Options

JobState = Literal["queued", "paused", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class JobView:
    """One job as the tab shows it.

    Args:
        id: its id.
        state: what became of it so far.
        phase: what it does now, in the word that the API has for it; `progress.state_words` has those for people.
        fraction: share of the phase that is done, 0..1.
        frame, max_frames: finished frames, and those of the whole film.
        eta_seconds, seconds_per_frame: 0 where nothing is known.
        message: why it ended as it did, or empty.
        warnings: plain sentences.
        title: its folder or batch name.
        folder: the folder of its files, or None.
        position: place in the queue from 0, or None.
        updates: grows with every change.
        cancelling: it was told to end and has not ended yet.
        preview: it is a motion preview, for which nothing is generated.
        tool: name of the tool that it runs, or empty where it is a video.
    """

    id: str
    state: JobState
    phase: str
    fraction: float
    frame: int
    max_frames: int
    eta_seconds: float = 0.0
    seconds_per_frame: float = 0.0
    message: str = ""
    warnings: tuple[str, ...] = ()
    title: str = ""
    folder: Path | None = None
    position: int | None = None
    updates: int = 0
    cancelling: bool = False
    preview: bool = False
    tool: str = ""


@dataclass(frozen=True)
class StoppedRun:
    """A run that can be continued: the settings file it wrote, the folder's name, and its first missing frame."""

    timestring: str
    folder: str
    settings: Path
    frames: int


class Event(Protocol):
    """What an event of the tab calls, of so many values and with so many answers.

    It takes whatever a page may send as a value: one that no control holds is answered with a sentence.
    """

    inputs: int
    outputs: int

    def __call__(self, *values: Any) -> Any:
        """Return the answer, or a list of them where there are several."""
        ...


class JobService(Protocol):
    """Checks, queues and shows jobs. Every method may be called from any thread and returns soon.

    All raise `DeforumError` with a plain sentence where they cannot do it.

    Attributes:
        facts: of the host.
        keeps_options: it has options of its own; a WebUI has them on its settings page.
        opens_folders: the browser and the files are on one machine, and the one at the browser may see all files.
    """

    facts: HostFacts
    keeps_options: bool
    opens_folders: bool

    def facts_now(self) -> HostFacts:
        """Return the facts as they are now: people add models while a WebUI runs."""
        ...

    def check(self, settings: Mapping[str, Any]) -> Prepared:
        """Return the planned job, or raise `SettingsError` with every problem."""
        ...

    def submit(self, settings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Queue jobs, all of them or none; return their ids."""
        ...

    def submit_tool(
        self, tool: str, arguments: Mapping[str, Any], dropped: Mapping[str, Sequence[Path]]
    ) -> str:
        """Queue a tool; return the id of its job.

        Args:
            tool: its name.
            arguments: other than its files.
            dropped: files that were dropped into the page, by the argument that they are for; the job keeps a copy.
        """
        ...

    def jobs(self, limit: int) -> tuple[JobView, ...]:
        """Return the unfinished jobs, and the `limit` newest of the others; newest first."""
        ...

    def job(self, job_id: str) -> JobView:
        """Return one job."""
        ...

    def settings(self, job_id: str) -> dict[str, Any]:
        """Return the settings that a job was submitted with; that of a tool has none."""
        ...

    def cancel(self, job_id: str) -> None:
        """End a job; its frames become a film."""
        ...

    def pause(self, job_id: str) -> None:
        """Stop a job at the next frame until it is resumed."""
        ...

    def resume(self, job_id: str) -> None:
        """Let a paused, failed or cancelled job go on from its last frame."""
        ...

    def move_up(self, job_id: str) -> None:
        """Let a queued job change places with the one before it."""
        ...

    def forget(self, job_id: str) -> None:
        """Take a finished job off the list; its files stay."""
        ...

    def newest_frame(self, job_id: str) -> Path | None:
        """Return the picture with the highest number, or None."""
        ...

    def files(self, job_id: str) -> Mapping[str, Path]:
        """Return the finished files other than frames, by the names of their kinds (`output.kinds.KINDS`)."""
        ...

    def stopped_runs(self) -> tuple[StoppedRun, ...]:
        """Return the runs on disk that can be continued, newest first."""
        ...

    def options(self) -> Options:
        """Return the options that hold for jobs of the tab."""
        ...

    def set_options(self, overrides: Mapping[str, Any]) -> None:
        """Change options for all jobs to come, also after a restart; raise `SettingsError` for wrong values."""
        ...

    def open_folder(self, job_id: str) -> None:
        """Show the folder of a job's files in the desktop's file browser."""
        ...

    def expected_seconds(self, prepared: Prepared) -> float | None:
        """Return how long a job will take at the pace of the last ones, or None if there were none."""
        ...
