"""The tab's job service over the queue that the API uses, with its options file and folders on the desktop."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any, cast

from deforum_api.http.outputs import Output, outputs
from deforum_api.queue.errors import FilesGone, InvalidBatch
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_api.queue.runner import is_preview
from deforum_api.queue.store import Delivery
from deforum_api.tab import messages
from deforum_helpers.core.errors import DeforumError, Problem, SettingsError
from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import make_folder, read_file
from deforum_helpers.core.files.regular import UnusableFile
from deforum_helpers.core.messages import Text
from deforum_helpers.core.net.fetch import host_and_port
from deforum_helpers.output.paths import IMAGES_FOLDER, SETTINGS_ENDING, Run
from deforum_helpers.pipeline.host_facts import HostFacts
from deforum_helpers.settings.host_options import Options, override
from deforum_helpers.ui.service import DeliveryView, JobState, JobView, ResumableRun
from deforum_helpers.ui.settings_files import OPTIONS_FILE, run_settings
from deforum_helpers.ui.uploads import keep_input, remove_input, remove_unneeded

if TYPE_CHECKING:
    from deforum_helpers.pipeline.prepare import Prepared

log = logging.getLogger(__name__)

PACE_JOBS = 5
MAX_OPTIONS_BYTES = 1 << 20
# A tab asks for several things of a job at once, and each tab does; a folder may hold 100,000 frames.
LOOK_EVERY_S = 1.0
LOOKS_KEPT = 64
SETTLED_NS = 100_000_000
MAX_RUNS = 200
_RUN = re.compile(rf"[0-9]{{14}}{re.escape(SETTINGS_ENDING)}")
_STATES: dict[str, JobState] = {"SUCCEEDED": "done", "FAILED": "failed", "CANCELLED": "cancelled"}


@dataclass(frozen=True)
class _Listing:
    """A job's files, when they were listed, and in which state the job was then."""

    mark: tuple[object, ...]
    at_s: float
    files: tuple[Output, ...]


class QueueService:
    """The tab's `JobService` over the queue that the API has too.

    Args:
        queue: keeps and renders the jobs.
        facts: of the host.
        look: finds them anew; by default they stay.
        keeps_options: keep options of the tab in a file in the output folder; a WebUI has its own.
        opens_folders: let the tab open folders on this machine's desktop.
    """

    def __init__(
        self,
        queue: JobQueue,
        facts: HostFacts,
        *,
        look: Callable[[], HostFacts] | None = None,
        keeps_options: bool = False,
        opens_folders: bool = False,
    ) -> None:
        self.facts = facts
        self.keeps_options = keeps_options
        self.opens_folders = opens_folders
        self._options = OptionsFile(facts.output_root.resolve() / OPTIONS_FILE)
        self._overrides = self._options.read(facts.options) if keeps_options else {}
        self._look = look
        self._queue = queue
        self._listings: dict[str, _Listing] = {}

    def facts_now(self) -> HostFacts:
        return self._look() if self._look else self.facts

    def check(self, settings: Mapping[str, Any]) -> Prepared:
        return cast("Prepared", self._queue.check(settings, self._overrides))

    def submit(self, settings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        try:
            return tuple(job.id for job in self._queue.submit(settings, self._overrides or None))
        except InvalidBatch as error:
            raise SettingsError([_problem(entry, len(settings)) for entry in error.errors]) from None

    def submit_tool(
        self, tool: str, arguments: Mapping[str, Any], dropped: Mapping[str, Sequence[Path]]
    ) -> str:
        root = self.facts.output_root
        remove_unneeded(root, self._needed_inputs())
        kept: list[Path] = []
        try:
            given = dict(arguments)
            for name, paths in dropped.items():
                copies = [keep_input(root, path) for path in paths]
                kept += copies
                given[name] = [str(copy) for copy in copies] if name == "pictures" else str(copies[0])
            return self._queue.submit_tool(tool, given, self._overrides or None).id
        except BaseException as error:
            for copy in kept:
                remove_input(copy)
            if isinstance(error, InvalidBatch):
                raise SettingsError([_problem(entry, 1) for entry in error.errors]) from None
            raise

    def _needed_inputs(self) -> str:
        """Return the arguments of all tools that may still run."""
        jobs = (job for job in self._queue.store.page() if job.is_tool and job.status != "SUCCEEDED")
        return "".join(job.settings_json for job in jobs)

    def jobs(self, limit: int) -> tuple[JobView, ...]:
        newest_first = self._queue.store.page()[::-1]
        positions = self._queue.positions()
        ended = [job for job in newest_first if job.finished][:limit]
        kept, workers = {job.id for job in ended}, self._workers()
        listed = [job for job in newest_first if job.id in kept or not job.finished]
        deliveries = self._queue.deliveries(listed)
        return tuple(
            _view(job, positions.get(job.id), workers.get(job.id, ""), deliveries.get(job.id, ()))
            for job in listed
        )

    def job(self, job_id: str) -> JobView:
        job, position = self._located(job_id), self._queue.positions().get(job_id)
        deliveries = self._queue.deliveries((job,)).get(job_id, ())
        return _view(job, position, self._workers().get(job_id, ""), deliveries)

    def _workers(self) -> dict[str, str]:
        """Return the worker of each job that one renders, as id and machine; empty if there is only one worker."""
        workers = self._queue.workers()
        several = len(workers) > 1
        return {one.job: f"{one.id} ({one.node})" for one in workers if one.job and several}

    def settings(self, job_id: str) -> dict[str, Any]:
        job = self._queue.job(job_id)
        if job.is_tool:
            raise DeforumError(messages.JOB_RUNS_TOOL(id=job_id, tool=job.kind))
        settings: dict[str, Any] = json.loads(job.settings_json)
        return settings

    def cancel(self, job_id: str) -> None:
        self._queue.cancel(job_id)

    def pause(self, job_id: str) -> None:
        self._queue.pause(job_id)

    def resume(self, job_id: str) -> None:
        self._queue.resume(job_id)

    def move_up(self, job_id: str) -> None:
        self._queue.move_up(job_id)

    def forget(self, job_id: str) -> None:
        self._queue.forget(job_id)

    def _located(self, job_id: str) -> Job:
        job = self._queue.job(job_id)
        try:
            return self._queue.located(job)
        except FilesGone:
            return job

    def _files(self, job: Job) -> tuple[Output, ...]:
        """Return the job's files: listed anew when its folder has changed, and once a second at most while it runs."""
        mark, now = (job.finished, job.outdir, job.timestring, _changed_ns(job.outdir)), time.monotonic()
        look = self._listings.get(job.id)
        recent = look is not None and not job.finished and now - look.at_s < LOOK_EVERY_S
        if look is None or look.mark[:3] != mark[:3] or (look.mark != mark and not recent):
            look = _Listing(mark, now, tuple(outputs(job)))
            if len(self._listings) >= LOOKS_KEPT:
                self._listings = {}
            self._listings[job.id] = look
        return look.files

    def newest_frame(self, job_id: str) -> Path | None:
        frames = [found.path for found in self._files(self._located(job_id)) if found.kind == "frame"]
        return frames[-1] if frames else None

    def files(self, job_id: str) -> dict[str, Path]:
        found = self._files(self._located(job_id))
        return {one.kind: one.path for one in found if one.frame is None}

    def resumable_runs(self) -> tuple[ResumableRun, ...]:
        root = (self.facts.output_root / IMAGES_FOLDER).resolve()
        found = [path for path in root.glob(f"*/*{SETTINGS_ENDING}") if _RUN.fullmatch(path.name)]
        newest = sorted(found, key=lambda path: path.name, reverse=True)[:MAX_RUNS]
        names = {folder: frozenset(os.listdir(folder)) for folder in {path.parent for path in newest}}
        return tuple(run for path in newest if (run := _stopped(path, names[path.parent])))

    def options(self) -> Options:
        return override(self.facts.options, self._overrides)

    def set_options(self, overrides: Mapping[str, Any]) -> None:
        override(self.facts.options, dict(overrides))
        self._options.write(overrides)
        self._overrides = dict(overrides)

    def open_folder(self, job_id: str) -> None:
        folder = self.job(job_id).folder
        if not self.opens_folders or folder is None or not folder.is_dir():
            raise DeforumError(messages.FOLDER_NOT_OPENED())
        show_folder(folder)

    def expected_seconds(self, prepared: Prepared) -> float | None:
        preview = prepared.settings.motion_preview_mode
        newest_first = self._queue.store.page("SUCCEEDED")[::-1]
        alike = (
            job
            for job in newest_first
            if job.attempt == 1 and job.work and job.generating_since and is_preview(job) == preview
        )
        paces = [(job.last_updated - job.generating_since) / job.work for job in islice(alike, PACE_JOBS)]
        return sorted(paces)[len(paces) // 2] * prepared.work if paces else None


def _changed_ns(folder: str | None) -> int:
    """Return when a folder's list of names changed last; 0 where there is no folder, now where it has just changed.

    A second change within the clock's tick would leave no trace.
    """
    try:
        changed = os.stat(folder).st_mtime_ns if folder else 0
    except OSError:
        return 0
    now = time.time_ns()
    return now if now - changed < SETTLED_NS else changed


def _problem(entry: Mapping[str, Any], jobs: int) -> Problem:
    """Return an entry of `errors` as a problem; with several jobs the message names the job."""
    message = Text(entry["message"], entry["code"])
    if jobs > 1 and entry["job"] is not None:
        message = message.at(messages.JOB_NUMBER(number=entry["job"] + 1))
    known = {name: entry[name] for name in ("setting", "frame", "column", "found", "allowed")}
    return Problem(message=message, **known)


def _view(job: Job, position: int | None, worker: str, deliveries: Sequence[Delivery]) -> JobView:
    return JobView(
        id=job.id,
        state=_state(job),
        phase=job.phase,
        fraction=job.phase_progress,
        frame=job.frame,
        max_frames=job.max_frames,
        eta_seconds=job.eta_seconds,
        seconds_per_frame=job.seconds_per_frame,
        message=job.message or "",
        warnings=job.warnings,
        title=_title(job),
        folder=Path(job.outdir) if job.outdir else None,
        position=position,
        updates=job.updates,
        cancelling=job.cancel_requested and not job.finished,
        preview=is_preview(job),
        tool=job.kind if job.is_tool else "",
        priority=job.priority,
        worker=worker,
        deliveries=tuple(_delivery(one, job) for one in deliveries),
    )


def _delivery(one: Delivery, job: Job) -> DeliveryView:
    """Return a delivery for the tab; the address of a webhook may be secret, its host is not."""
    target = one.place if one.kind == "upload" else host_and_port(job.webhook_url)[0]
    return DeliveryView(one.kind, one.state, one.tries, target or "", one.message or "")


def _state(job: Job) -> JobState:
    if job.finished:
        return _STATES[job.status]
    if job.held:
        return "paused"
    return "queued" if job.queued else "running"


def _title(job: Job) -> str:
    if job.is_tool:
        return _input_name(json.loads(job.settings_json))
    if job.outdir:
        return Path(job.outdir).name
    return str(json.loads(job.settings_json).get("batch_name", ""))[:80]


def _input_name(arguments: Mapping[str, Any]) -> str:
    """Return the name of the file that a tool works on."""
    pictures = arguments.get("pictures") or [""]
    path = arguments.get("video") or arguments.get("pattern") or pictures[0]
    return PureWindowsPath(path).name[:80]


def _stopped(settings: Path, names: frozenset[str]) -> ResumableRun | None:
    """Return the run of a settings file, or None if it has all its frames or no state to resume from.

    Args:
        settings: the file.
        names: of all that lies in its folder.
    """
    run = Run(settings.parent, settings.name.removesuffix(SETTINGS_ENDING))
    try:
        known = run_settings(settings)
    except SettingsError:
        return None
    wanted = known.get("max_frames")
    numbers: Iterable[int] = count()
    if known.get("reverse_generation") is True and isinstance(wanted, int):
        numbers = range(wanted - 1, -2, -1)
    frames = next(place for place, number in enumerate(numbers) if run.frame_path(number).name not in names)
    if not frames and run.resume_state_path.name not in names:
        return None
    if isinstance(wanted, int) and frames >= wanted:
        return None
    return ResumableRun(run.timestring, run.outdir.name, settings, frames)


class OptionsFile:
    """Options that were chosen in the tab, as JSON.

    Args:
        path: of the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, options: Options) -> dict[str, Any]:
        """Return the overrides of `options` that the file holds; a file that cannot be used is left alone."""
        try:
            found = json.loads(read_file(self._path, MAX_OPTIONS_BYTES))
            override(options, found)
        except (OSError, ValueError, AttributeError, SettingsError) as error:
            if not (isinstance(error, UnusableFile) and error.absent):
                log.warning("%s is not used: %s", self._path, error)
            return {}
        return dict(found)

    def write(self, overrides: Mapping[str, Any]) -> None:
        """Keep the overrides.

        Raises:
            DiskFull, RenderError: the file cannot be written.
        """
        with disk_errors(self._path.name):
            make_folder(self._path.parent)
        write_whole(self._path, json.dumps(dict(overrides), indent=4).encode())


def has_desktop() -> bool:
    """Tell whether this machine has a desktop that can show folders."""
    return _file_browser() is not None


def _file_browser() -> str | None:
    """Return the program that shows folders, or None."""
    if sys.platform == "win32":
        return "explorer"
    if sys.platform == "darwin":
        return shutil.which("open")
    return (
        shutil.which("xdg-open") if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") else None
    )


def show_folder(folder: Path) -> None:
    """Show `folder` in the desktop's file browser.

    Raises:
        DeforumError: this machine has none.
    """
    program = _file_browser()
    if program is None:
        raise DeforumError(messages.NO_DESKTOP(folder=folder))
    nothing = subprocess.DEVNULL
    shown = subprocess.Popen(
        [program, str(folder)], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
    )
    threading.Thread(target=shown.wait, name="deforum-folder", daemon=True).start()
