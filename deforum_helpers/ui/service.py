"""The interface between the tab and the queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from deforum_helpers.pipeline.host_facts import HostFacts
from deforum_helpers.settings.host_options import Options

if TYPE_CHECKING:
    from deforum_helpers.pipeline.prepare import Prepared

JobState = Literal["queued", "paused", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class DeliveryView:
    """What is sent after a job's end.

    Args:
        kind: "webhook" or "upload".
        state: as the API names it: WAITING, SENDING, RETRYING, DELIVERED or FAILED.
        tries: number of tries so far.
        target: host of the webhook, or address of the uploaded files; empty if unknown.
        message: why the last try failed, or empty.
    """

    kind: str
    state: str
    tries: int = 0
    target: str = ""
    message: str = ""


@dataclass(frozen=True)
class JobView:
    """One job as the tab shows it.

    Args:
        id: its id.
        state: its state.
        phase: its phase as the API names it; `progress.state_words` turns it into text.
        fraction: finished share of the phase, 0..1.
        frame, max_frames: number of finished frames and of all frames.
        eta_seconds, seconds_per_frame: 0 = unknown.
        message: why it ended, or empty.
        warnings: full sentences.
        title: its folder or batch name.
        folder: the folder of its files, or None.
        position: number of jobs before it in the queue, or None.
        updates: grows with every change.
        cancelling: whether it was cancelled and has not ended yet.
        preview: whether it is a motion preview.
        tool: name of the tool that it runs; empty for a video.
        priority: jobs of a higher one are taken first.
        worker: which worker renders it, if there are several; else empty.
        deliveries: what is sent after its end.
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
    priority: int = 0
    worker: str = ""
    deliveries: tuple[DeliveryView, ...] = ()


@dataclass(frozen=True)
class ResumableRun:
    """A run that can be resumed.

    Args:
        timestring: of the run.
        folder: name of its folder.
        settings: its settings file.
        frames: number of its first missing frame.
    """

    timestring: str
    folder: str
    settings: Path
    frames: int


class Event(Protocol):
    """The function of an event of the tab, with the number of its inputs and outputs.

    It accepts any JSON value that a page may send; a value of the wrong kind is answered with a message.
    """

    inputs: int
    outputs: int

    def __call__(self, *values: Any) -> Any:
        """Return the output, or a list of outputs if there are several."""
        ...


class JobService(Protocol):
    """Checks, queues and lists jobs. Every method may be called from any thread and returns quickly.

    A method that fails raises `DeforumError` with a full sentence.

    Attributes:
        facts: about the host.
        keeps_options: whether the tab shows the host's options; a WebUI has them on its settings page.
        opens_folders: whether the browser runs on this machine and its user may see all files.
    """

    facts: HostFacts
    keeps_options: bool
    opens_folders: bool

    def facts_now(self) -> HostFacts:
        """Return current facts: models may have been added since the start."""
        ...

    def check(self, settings: Mapping[str, Any]) -> Prepared:
        """Return the planned job; raise `SettingsError` with all problems."""
        ...

    def submit(self, settings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Queue all jobs or none; return their ids."""
        ...

    def submit_tool(
        self, tool: str, arguments: Mapping[str, Any], dropped: Mapping[str, Sequence[Path]]
    ) -> str:
        """Queue a tool; return the id of its job.

        Args:
            tool: its name.
            arguments: without its files.
            dropped: files that were dropped into the page, by the name of their argument; the job keeps copies.
        """
        ...

    def jobs(self, limit: int) -> tuple[JobView, ...]:
        """Return all unfinished jobs and the `limit` newest of the others, newest first."""
        ...

    def job(self, job_id: str) -> JobView:
        """Return one job."""
        ...

    def settings(self, job_id: str) -> dict[str, Any]:
        """Return the settings that a job was submitted with; a tool's job has none."""
        ...

    def cancel(self, job_id: str) -> None:
        """End a job; its frames become a video."""
        ...

    def pause(self, job_id: str) -> None:
        """Stop a job at its next frame until it is resumed."""
        ...

    def resume(self, job_id: str) -> None:
        """Continue a paused, failed or cancelled job at its first missing frame."""
        ...

    def move_up(self, job_id: str) -> None:
        """Swap a queued job with the one before it."""
        ...

    def forget(self, job_id: str) -> None:
        """Remove a finished job from the list; its files stay."""
        ...

    def newest_frame(self, job_id: str) -> Path | None:
        """Return the frame with the highest number, or None."""
        ...

    def files(self, job_id: str) -> Mapping[str, Path]:
        """Return the finished files other than frames, by the names of their kinds (`output.kinds.KINDS`)."""
        ...

    def resumable_runs(self) -> tuple[ResumableRun, ...]:
        """Return the resumable runs on disk, newest first."""
        ...

    def options(self) -> Options:
        """Return the options that apply to jobs of the tab."""
        ...

    def set_options(self, overrides: Mapping[str, Any]) -> None:
        """Change options for all later jobs, also after a restart; raise `SettingsError` for invalid values."""
        ...

    def open_folder(self, job_id: str) -> None:
        """Open the folder of a job's files in the desktop's file manager."""
        ...

    def expected_seconds(self, prepared: Prepared) -> float | None:
        """Return the estimated time of a job in seconds, from the pace of earlier jobs, or None without any."""
        ...
