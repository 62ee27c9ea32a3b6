"""Workers of a Ray cluster as an executor: the server's side, which needs no Ray.

A program of its own (`driver`) joins the cluster. It is started again when it ends, and ended when it does not answer;
jobs wait meanwhile, or are rendered in this process if that was asked for.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deforum_api.queue import events
from deforum_api.queue import messages as queue_messages
from deforum_api.queue.executors import (
    LOCAL_WORKER,
    LocalExecutor,
    RenderHere,
    Report,
    WorkerInfo,
    WorkerTable,
)
from deforum_api.queue.ray import messages
from deforum_api.queue.ray.files import ReceivedFiles, below, relative, resume_pieces
from deforum_api.queue.ray.settings import OWN_CLUSTER, RaySettings, WorkerSetup, versions
from deforum_api.queue.record import Job
from deforum_api.queue.worker import run_to_resume
from deforum_helpers.core import errors
from deforum_helpers.core.child_programs import Message, read_message, write_message
from deforum_helpers.core.library_environment import let_waiting_threads_sleep
from deforum_helpers.core.progress import CancelToken, Progress
from deforum_helpers.output.paths import Run, claim
from deforum_helpers.output.runs import run_lock

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[3]
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from deforum_api.queue.ray.driver import main; main()"
)
LOOK_EVERY_S = 0.5
SIGN_EVERY_S = 10.0
# An own cluster took 39 s to start on a loaded small machine.
LONGEST_START_S = 180.0
SILENT_S = 10.0
LONGEST_SILENCE_S = 90.0
CLOSING_S = 5.0
PAUSES_S = (2.0, 5.0, 10.0, 30.0)
# After so many failed starts in a row the jobs are rendered here, if that was asked for.
STARTS_BEFORE_FALLBACK = 2
_NUMBERS = re.compile("[0-9]+")
ENDS = {kind.__name__: kind for kind in (events.Succeeded, events.Failed, events.Cancelled, events.Parked)}


class RayExecutor:
    """Renders on workers of a Ray cluster.

    Args:
        settings: from the flags.
        setup: what the workers render with.
        here: the worker of this process, for `settings.fallback`.
        expected: the versions that a worker must have; by default those of this process.
    """

    def __init__(
        self,
        settings: RaySettings,
        setup: WorkerSetup,
        here: LocalExecutor | None = None,
        expected: dict[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._setup = setup
        self._local = here or LocalExecutor()
        self._expected = expected or versions()
        self._table = WorkerTable(setup.checkpoint or setup.engine)
        self._shared: dict[str, bool] = {}
        self._pids: dict[str, int] = {}
        self._links: dict[str, _Link] = {}
        self._attempts = 0
        self._lock = threading.Lock()
        self._cluster_lacks: tuple[str, ...] = ()
        self._trouble = ""
        self._program: _Program | None = None
        self._closing = threading.Event()
        self._here_lock = threading.Lock()
        self._newest_second = datetime.min
        self._supervisor = threading.Thread(target=self._supervise, name="deforum-ray", daemon=True)

    def start(self, here: RenderHere, changed: Callable[[], None]) -> None:
        self._here, self._changed = here, changed
        self._local.start(here, changed)
        self._supervisor.start()

    def workers(self) -> tuple[WorkerInfo, ...]:
        return self._table.all()

    def lacks(self) -> tuple[str, ...]:
        program = self._program
        trouble = self._trouble
        if program is not None and program.joined and program.silence_s > SILENT_S:
            trouble = messages.SILENT(seconds=program.silence_s)
        found = (trouble, *self._cluster_lacks) if trouble else self._cluster_lacks
        return (*found, messages.RENDERS_HERE()) if found and self._renders_here else found

    @property
    def process_ids(self) -> dict[str, int]:
        """The process id of each worker on its node, the last one of those that are lost."""
        return dict(self._pids)

    def choose(self, worker_id: str, waiting: Iterable[Job]) -> Job | None:
        return self._table.choose(worker_id, waiting)

    def take(self, worker_id: str, job: Job) -> None:
        self._table.take(worker_id, job)

    def free(self, worker_id: str) -> None:
        self._table.free(worker_id)

    def drain(self, worker_id: str) -> WorkerInfo:
        return self._table.drain(worker_id)

    def undrain(self, worker_id: str) -> WorkerInfo:
        worker = self._table.undrain(worker_id)
        self._changed()
        return worker

    def abandon(self, worker_id: str) -> None:
        program = self._program
        if program is not None:
            program.send({"do": "kill", "worker": worker_id})

    def attempt(self, worker_id: str, job: Job, cancel: CancelToken, report: Report) -> events.Event:
        shared, program = self._shared.get(worker_id, True), self._program
        if worker_id == LOCAL_WORKER:
            return self._here(job, cancel, report)
        if job.is_tool and not shared:
            return self._attempt_here(job, cancel, report)  # it reads files of this machine
        if program is None:
            return events.Parked()
        with self._lock:
            self._attempts += 1
            link = _Link(program, worker_id, f"{self._attempts} {job.id}")
            self._links[link.key] = link
        try:
            return _RemoteAttempt(self, link, job, cancel, report, shared).run()
        except errors.RenderError as error:
            return events.Failed(str(error), retryable=error.retryable)
        finally:
            with self._lock:
                del self._links[link.key]

    def close(self, timeout: float) -> None:
        self._closing.set()
        if self._supervisor.is_alive():
            self._supervisor.join(timeout)

    @property
    def _renders_here(self) -> bool:
        return any(
            worker.id == LOCAL_WORKER and worker.state in ("idle", "busy") for worker in self._table.all()
        )

    def _attempt_here(self, job: Job, cancel: CancelToken, report: Report) -> events.Event:
        """Render a job in this process, one at a time."""
        try:
            while not self._here_lock.acquire(timeout=LOOK_EVERY_S):
                cancel.check()
        except errors.Cancelled:
            return events.Cancelled()
        except errors.Parked:
            return events.Parked()
        try:
            return self._here(job, cancel, report)
        finally:
            self._here_lock.release()

    def measure(self, worker_id: str, total: int, used: int) -> None:
        """Note the memory of a worker."""
        with suppress(errors.DeforumError):
            self._table.measure(worker_id, total, used)

    @property
    def root(self) -> Path:
        """The output folder."""
        return self._setup.root

    def describe(self, worker_id: str, reason: str) -> str:
        """Return worker, node, process and reason of a loss, for a job's message."""
        return messages.WORKER(
            worker=worker_id,
            node=self._table.get(worker_id).node,
            pid=self.process_ids.get(worker_id, 0),
            reason=reason or messages.CLUSTER_GONE(),
        )

    def unused_second(self) -> datetime:
        """Return the local time in whole seconds, later than any that was returned before."""
        with self._lock:
            now = datetime.now().replace(microsecond=0)
            self._newest_second = max(now, self._newest_second + timedelta(seconds=1))
            return self._newest_second

    def _supervise(self) -> None:
        """Keep the driver's program running until the server closes."""
        failures = 0
        while not self._closing.is_set():
            self._say_trouble(self._starting(failures + 1, 0.0))
            reason, joined = self._run_program(failures + 1)
            self._lose_all()
            failures = 1 if joined else failures + 1
            if self._closing.is_set():
                return
            delay = PAUSES_S[min(failures, len(PAUSES_S)) - 1]
            self._say_trouble(self._not_started(reason, delay), logging.WARNING)
            if self._settings.fallback and failures >= STARTS_BEFORE_FALLBACK:
                self._use_this_process()
            self._closing.wait(delay)

    def _run_program(self, attempt: int) -> tuple[str, bool]:
        """Run the driver's program until it ends; return why, and whether it had joined the cluster."""
        program = self._program = _Program(self._order(), self._hear)
        said_at = program.began
        while program.is_alive() and not self._closing.is_set():
            program.wait(LOOK_EVERY_S)
            if program.joined:
                if program.silence_s > LONGEST_SILENCE_S:
                    program.reason = messages.SILENT(seconds=program.silence_s)
                    program.kill()
            elif program.age_s > LONGEST_START_S:
                program.reason = messages.TOO_SLOW(seconds=LONGEST_START_S)
                program.kill()
            elif time.monotonic() - said_at > SIGN_EVERY_S:
                said_at = time.monotonic()
                self._say_trouble(self._starting(attempt, program.age_s))
        if self._closing.is_set():
            program.end(CLOSING_S)
        else:
            program.kill()
        return program.reason or messages.PROGRAM_ENDED(code=program.code), program.joined

    def _order(self) -> dict[str, Any]:
        settings, setup = self._settings, self._setup
        return {
            "address": settings.address,
            "workers": settings.workers,
            "gpu_share": settings.gpu_share,
            "files": settings.files,
            "versions": self._expected,
            "setup": {
                "engine": setup.engine,
                "checkpoint": setup.checkpoint,
                "allow_download": setup.allow_download,
                "root": str(setup.root.resolve()),
                "make_engine": setup.make_engine,
                "parts": asdict(setup.parts),
                "offload": setup.offload,
            },
        }

    def _starting(self, attempt: int, seconds: float) -> str:
        if self._settings.address == OWN_CLUSTER:
            return messages.STARTING(seconds=seconds, attempt=attempt)
        return messages.JOINING(address=self._settings.address, seconds=seconds, attempt=attempt)

    def _not_started(self, reason: str, delay: float) -> str:
        if self._settings.address == OWN_CLUSTER:
            return messages.NOT_STARTED(reason=reason, delay=delay)
        return messages.NOT_JOINED(address=self._settings.address, reason=reason, delay=delay)

    def _say_trouble(self, text: str, level: int = logging.INFO) -> None:
        self._trouble = text
        log.log(level, "%s", text)

    def _hear(self, program: _Program, head: dict[str, Any], content: bytes) -> None:
        """Note what the driver's program says; called on the thread that reads it."""
        said = head["said"]
        if said == "joined":
            self._trouble = ""
            log.info("The server has joined Ray (%s) after %.0f s.", self._settings.address, program.age_s)
            if not head["authenticated"]:
                log.warning("%s", messages.NO_AUTHENTICATION(address=self._settings.address))
        elif said == "failed":
            program.reason = head["reason"]
        elif said == "looked":
            self._note_lacks(tuple(head["lacks"]))
        elif said == "worker":
            self._join(head)
        elif said == "lost":
            self._lose(head["worker"])
            log.warning("The worker %s was lost.", self.describe(head["worker"], head["reason"]))
        elif link := self._links.get(head["key"]):
            link.heard.put((head, content))

    def _note_lacks(self, lacks: tuple[str, ...]) -> None:
        known = {_NUMBERS.sub("", text) for text in self._cluster_lacks}  # seconds count up
        for text in lacks:
            if _NUMBERS.sub("", text) not in known:
                log.warning("%s", text)
        self._cluster_lacks = lacks

    def _join(self, head: dict[str, Any]) -> None:
        worker = WorkerInfo(**head["worker"])
        self._shared[worker.id], self._pids[worker.id] = head["shared"], head["pid"]
        self._table.join(worker)
        how = "writes to the output folder" if head["shared"] else "sends its files to this server"
        log.info("The worker %s on %s (%s) has joined; it %s.", worker.id, worker.node, worker.device, how)
        if self._renders_here:
            self._table.drain(LOCAL_WORKER)
        self._changed()

    def _lose(self, worker_id: str) -> None:
        self._table.lose(worker_id)

    def _lose_all(self) -> None:
        """Note that all workers of the program that has ended are lost; their attempts see it themselves."""
        self._cluster_lacks = ()
        for worker in self._table.all():
            if worker.id != LOCAL_WORKER:
                self._lose(worker.id)

    def _use_this_process(self) -> None:
        if not self._renders_here:
            self._table.join(self._local.workers()[0])
            self._table.undrain(LOCAL_WORKER)
            self._changed()


class _Program:
    """The driver's program, for one life of the connection to a cluster."""

    def __init__(
        self, order: dict[str, Any], hear: Callable[[_Program, dict[str, Any], bytes], None]
    ) -> None:
        self.began = self._looked_at = time.monotonic()
        self.joined = False
        self.reason = ""
        self._killed = False
        self._hear = hear
        self._writing = threading.Lock()
        paths = [str(ROOT), *(path for path in sys.path if path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "RAY_DEDUP_LOGS": "0"}
        let_waiting_threads_sleep(environment)  # the workers of a cluster that it starts inherit this
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, json.dumps(paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=ROOT,
            start_new_session=os.name != "nt",  # Ctrl+C is for the server, which parks its jobs first
        )
        self.send(order)
        self._reader = threading.Thread(target=self._read, name="deforum-ray-reader", daemon=True)
        self._reader.start()

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.began

    @property
    def silence_s(self) -> float:
        """Seconds since the cluster last answered it."""
        return time.monotonic() - self._looked_at

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def is_alive(self) -> bool:
        return self._reader.is_alive()

    def wait(self, seconds: float) -> None:
        self._reader.join(seconds)

    def send(self, order: dict[str, Any], content: bytes = b"") -> None:
        assert self._process.stdin
        with self._writing, suppress(OSError, ValueError):  # that it has ended is seen at its output
            write_message(self._process.stdin, order, [content])

    def end(self, timeout: float) -> None:
        """Let it leave the cluster; kill it if that takes too long."""
        self._close_input()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        self.kill()

    def _close_input(self) -> None:
        assert self._process.stdin
        with self._writing, suppress(OSError, ValueError):
            self._process.stdin.close()

    def kill(self) -> None:
        """End it and what it has started."""
        if self._killed:  # its number may belong to another process by now
            return
        self._killed = True
        with suppress(OSError):
            if os.name == "nt":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close_input()

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as stream, suppress(ValueError, OSError):
            while (message := read_message(stream)) is not None:
                self._note(message)
        self._process.wait()

    def _note(self, message: Message) -> None:
        head, parts = message
        if head["said"] in ("joined", "looked"):
            self._looked_at = time.monotonic()
        self.joined = self.joined or head["said"] == "joined"
        self._hear(self, head, parts[0])


class _Link:
    """What one attempt says to its worker, and hears from it, by the driver's program."""

    def __init__(self, program: _Program, worker_id: str, key: str) -> None:
        self.worker_id = worker_id
        self.key = key
        self.heard: queue.SimpleQueue[tuple[dict[str, Any], bytes]] = queue.SimpleQueue()
        self._program = program

    def say(self, order: dict[str, Any], content: bytes = b"") -> None:
        self._program.send({**order, "worker": self.worker_id, "key": self.key}, content)

    def next(self) -> tuple[dict[str, Any], bytes]:
        """Return what is heard next; the end of the attempt if the program has ended."""
        while True:
            ended = not self._program.is_alive()  # all that it has said is there by then
            try:
                return self.heard.get(timeout=0.0 if ended else LOOK_EVERY_S)
            except queue.Empty:
                if ended:
                    return {"said": "ended", "lost": messages.CLUSTER_GONE()}, b""


class _RemoteAttempt:
    """One attempt at a job on a worker of the cluster, on the server's thread of that worker."""

    def __init__(
        self, executor: RayExecutor, link: _Link, job: Job, cancel: CancelToken, report: Report, shared: bool
    ) -> None:
        self._executor = executor
        self._link = link
        self._job = job
        self._cancel = cancel
        self._report = report
        self._shared = shared
        self._root = executor.root
        self._run: Run | None = None
        if run_to_resume(job) is not None and job.outdir and job.timestring:
            self._run = Run(Path(job.outdir), job.timestring)
        self._files = ReceivedFiles(self._root.resolve())
        self._stack = ExitStack()
        self._event: events.Event | None = None
        self._heard = False

    def run(self) -> events.Event:
        """Return the event that ends the attempt.

        Raises:
            RenderError: it cannot begin.
        """
        with self._stack:
            self._stack.callback(self._files.close)
            lost = None if self._shared or self._run is None else self._send_run(self._run)
            if lost is None:
                self._link.say({"do": "render", "request": json.dumps(self._request())})
                self._cancel.pass_on(lambda how: self._link.say({"do": "stop", "how": how}))
                lost = self._follow()
        if self._event is not None:
            return self._event
        if not self._heard:
            return events.Parked()  # the worker was lost before it could begin, and interrupts nothing
        return events.Interrupted(self._executor.describe(self._link.worker_id, lost or ""))

    def _request(self) -> dict[str, Any]:
        job, run = self._job, self._run
        names = (
            "id",
            "batch_id",
            "settings_json",
            "overrides_json",
            "kind",
            "frame",
            "max_frames",
            "attempt",
        )
        fields: dict[str, Any] = {name: getattr(job, name) for name in names}
        if run is not None:
            fields |= {"outdir": relative(run.outdir, self._root), "timestring": run.timestring}
        now = None if self._shared else self._executor.unused_second().isoformat()
        return {"job": fields, "shared": self._shared, "now": now}

    def _send_run(self, run: Run) -> str | None:
        """Send the files of the run that continues; return why the worker was lost meanwhile, or None."""
        self._stack.enter_context(run_lock(run))
        for head, content in resume_pieces(self._root, run):
            self._link.say({"do": "receive", "head": json.dumps(head)}, content)
            said, _ = self._link.next()
            if said["said"] == "ended":
                return str(said["lost"])
            self._cancel.beat()
        return None

    def _follow(self) -> str | None:
        """Take what the worker says until the attempt ends; return why the worker was lost, or None."""
        while True:
            head, content = self._link.next()
            self._cancel.beat()
            if head["said"] == "ended":
                return str(head["lost"]) if head["lost"] is not None else None
            self._link.say({"do": "ack"})
            if self._event is None:
                try:
                    self._take(json.loads(head["item"]), content)
                except (errors.Parked, errors.RenderError, ValueError) as error:
                    self._stop_after(error)

    def _stop_after(self, error: Exception) -> None:
        """Let the worker stop at its next frame; what it still sends is dropped."""
        if isinstance(error, errors.Parked):  # another attempt owns the files
            self._event = events.Parked()
        else:
            log.warning("%s: %s", self._job.id, error)
            self._event = events.Failed(
                queue_messages.GENERATION_ERROR(reason=error), getattr(error, "retryable", False)
            )
        self._link.say({"do": "stop", "how": "park"})

    def _take(self, item: dict[str, Any], content: bytes) -> None:
        """Take one item.

        Raises:
            Parked: another attempt at the job has begun.
            RenderError, ValueError: a file cannot be written.
        """
        self._heard = True
        if line := item.get("log"):
            logging.getLogger(line["logger"]).log(line["level"], "%s: %s", self._link.worker_id, line["text"])
        elif "run" in item:
            self._claim(Run(below(self._root.resolve(), item["run"]), item["timestring"]))
        elif "file" in item or "removed" in item:
            self._files.write(item, content)
        elif progress := item.get("progress"):
            self._executor.measure(self._link.worker_id, *item["memory"])
            progress |= {"outdir": self._folder(progress["outdir"]), "warnings": tuple(progress["warnings"])}
            self._report(Progress(**progress))
        elif name := item.get("event"):
            fields = item["fields"]
            if "outdir" in fields:
                fields |= {"outdir": self._folder(fields["outdir"]), "warnings": tuple(fields["warnings"])}
            self._event = ENDS[name](**fields)

    def _folder(self, name: str) -> str:
        return str(below(self._root.resolve(), name)) if name else ""

    def _claim(self, run: Run) -> None:
        """Claim the name of a run that a worker has begun in a folder of its own.

        Raises:
            RenderError: another run has it; the next attempt gets another one.
        """
        if not claim(run):
            error = errors.RenderError(messages.RUN_NAME_TAKEN(name=run.timestring))
            error.retryable = True
            raise error
        self._stack.enter_context(run_lock(run))
