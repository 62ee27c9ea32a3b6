"""The worker: a Ray actor that keeps its engine loaded and renders one job at a time.

It gets jobs as the JSON that was submitted, checks them again, and answers with JSON text and bytes. It decides
nothing about a job: what it sends are the progress and the event that ends an attempt.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import platform
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import ray

from deforum_api.queue.checks.request import prepared_job
from deforum_api.queue.logs import PACKAGES, log_level
from deforum_api.queue.ray import messages
from deforum_api.queue.ray.files import ReceivedFiles, SentFiles, relative
from deforum_api.queue.ray.segments import actor_image_workers, actor_workers
from deforum_api.queue.ray.settings import TOKEN_NAME, versions
from deforum_api.queue.record import Job
from deforum_api.queue.rendering import OwnRenderer
from deforum_api.queue.worker import attempt
from deforum_helpers.core.child_programs import WorkerUnusable, error_head
from deforum_helpers.core.errors import DeforumError, ModelError, RenderError, SettingsError, Stopped
from deforum_helpers.core.files.scratch import WORKER, ScratchFolder
from deforum_helpers.core.progress import CancelToken, Progress, StopRequest
from deforum_helpers.core.spread import Piece, do_piece, release_kept
from deforum_helpers.engines.memory import device_memory
from deforum_helpers.models.weights.checkpoints import ModelParts
from deforum_helpers.output.paths import Run
from deforum_helpers.output.step_files import encode_step
from deforum_helpers.pipeline.host_facts import check_checkpoint, own_facts
from deforum_helpers.pipeline.segments import EngineWorker, decode_task
from deforum_helpers.pipeline.work_orders import WorkOrder, open_worker

# What a worker yields: JSON text, and a piece of a file.
Item = tuple[str, bytes]

logger = logging.getLogger(__name__)

RENDER, CONTROL, SHARE = "render", "control", "share"
SIGN_EVERY_S = 1.0
LOG_LINES_WAITING = 1000


class RenderWorker:
    """Runs in the actor's process.

    Args:
        setup: JSON text: engine, checkpoint, allow_download, parts (of the checkpoint), offload (mode), precision, root
            (the server's output folder), make_engine ("module:function", which makes the engine).
    """

    def __init__(self, setup: str) -> None:
        self._setup: dict[str, Any] = json.loads(setup)
        self._root = Path(self._setup["root"])
        self._parts = ModelParts.of(self._setup.get("parts", {}))
        self._renderer = OwnRenderer(self._make_engine)
        self._lock = threading.Lock()
        self._running: tuple[str, CancelToken] | None = None
        self._stops: dict[str, str] = {}
        self._turn = threading.Lock()  # a job, or a part of another worker's
        self._own_job_waits = False
        self._shared: tuple[str, EngineWorker, ScratchFolder | None] | None = None
        self._sharing_stops: dict[str, StopRequest] = {}
        self._own_root: ScratchFolder | None = None
        self._received: ReceivedFiles | None = None
        self._not_received: RenderError | None = None
        self._log = _Lines()
        for name in PACKAGES:
            package = logging.getLogger(name)
            package.setLevel(log_level())
            package.addHandler(self._log)

    @ray.method(concurrency_group=CONTROL)
    def hello(self, token: str) -> str:
        """Return facts about the worker as JSON text, and write the file `token` into the output folder."""
        gpus = ray.get_gpu_ids()
        device = f"cuda:{gpus[0]}" if gpus else "cpu"
        problem = ""
        try:
            check_checkpoint(
                self._setup["engine"],
                self._setup["checkpoint"] or "",
                self._setup["allow_download"],
                self._parts,
            )
        except ModelError as error:
            problem = str(error)
        total, used = self._memory()
        return json.dumps(
            {
                "node": platform.node(),
                "pid": os.getpid(),
                "device": device,
                "memory_total": total,
                "memory_used": used,
                "versions": versions(),
                "checkpoint_problem": problem,
                "token": self._leave_token(token),
            }
        )

    @ray.method(concurrency_group=CONTROL)
    def until_ended(self) -> None:
        """Load what every job needs, then never return: the call fails when the actor ends."""
        importlib.import_module("deforum_helpers.pipeline.job")
        threading.Event().wait()

    @ray.method(concurrency_group=CONTROL)
    def stop(self, key: str, how: str) -> None:
        """Stop the attempt `key`, which may not have begun yet: "cancel" or "park"."""
        with self._lock:
            self._stops[key] = how
            running = self._running
        if running is not None and running[0] == key:
            _ask(running[1], how)

    @ray.method(concurrency_group=SHARE)
    def share(self, key: str, order: str, task: str, *parts: bytes) -> Iterator[Item]:
        """Render steps of another worker's run; yield JSON text and encoded steps.

        A job of its own comes first: the steps are refused during one, and end at the next frame when one begins.

        Args:
            key: names the run in `stop_sharing`.
            order: JSON text of a `WorkOrder`.
            task, parts: a `SegmentTask` as a message.
        """
        if not self._turn.acquire(blocking=False):
            yield json.dumps({"unusable": messages.HAS_A_JOB()}), b""
            return
        try:
            worker = self._segment_worker(key, order)
            begun = decode_task(json.loads(task), parts, self._renderer.engine().device)
            for step in worker.render(begun):
                yield json.dumps({"step": step.resume_state.state.steps_done}), encode_step(step)
        except (WorkerUnusable, SettingsError) as error:
            yield json.dumps({"unusable": str(error)}), b""
        except DeforumError as error:
            if isinstance(error, Stopped) and key not in self._sharing_stops:
                yield json.dumps({"unusable": messages.HAS_A_JOB()}), b""
            else:
                yield json.dumps({"error": error_head(error)}), b""
        finally:
            self._turn.release()

    @ray.method(concurrency_group=SHARE)
    def do_piece(self, key: str, function: str, arguments: str) -> Iterator[str]:
        """Do a piece of another worker's work on images; yield JSON text.

        A job of its own comes first, as in `share`.

        Args:
            key: names the work in `stop_sharing`.
            function: "module:name" of a function of this project, as in `Piece`.
            arguments: JSON text.
        """
        if not self._turn.acquire(blocking=False):
            yield json.dumps({"unusable": messages.HAS_A_JOB()})
            return
        said: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        piece = Piece(function, json.loads(arguments), size=0)
        thread = threading.Thread(target=self._piece, args=(key, piece, said), daemon=True)
        try:
            thread.start()
            while (about := said.get()) is not None:
                yield json.dumps(about)
        finally:
            thread.join()
            self._turn.release()

    def _piece(self, key: str, piece: Piece, said: queue.SimpleQueue[dict[str, Any] | None]) -> None:
        def done(count: int) -> None:
            if self._own_job_waits or key in self._sharing_stops:
                raise WorkerUnusable(messages.HAS_A_JOB())
            said.put({"done": count})

        try:
            do_piece(piece, done)
        except (DeforumError, WorkerUnusable) as error:
            said.put({"unusable": str(error)})
        except Exception as error:
            logger.exception("A piece of work failed unexpectedly")
            said.put({"unusable": type(error).__name__})
        finally:
            if key in self._sharing_stops:
                release_kept()
            said.put(None)

    @ray.method(concurrency_group=CONTROL)
    def stop_sharing(self, key: str, request: StopRequest) -> None:
        """Cancel or park what another worker shares, which may not have begun yet."""
        with self._lock:
            self._sharing_stops[key] = request
            shared = self._shared
        if not self._turn.locked():  # else the piece in progress lets go of it at its end
            release_kept()
        if shared is not None and shared[0] == key:
            shared[1].stop(request)

    def _segment_worker(self, key: str, text: str) -> EngineWorker:
        """Return the worker for a run, which is kept until another run needs one."""
        if self._shared is not None and self._shared[0] == key:
            return self._shared[1]
        self._drop_shared()
        order, scratch = WorkOrder(**json.loads(text)), None
        if not Path(order.outdir).is_dir():  # the run is in a folder that only its own worker sees
            scratch = ScratchFolder(WORKER)
            order = replace(order, outdir=str(scratch.path))
        facts = own_facts(self._setup["engine"], self._setup["checkpoint"], self._root, parts=self._parts)
        worker = open_worker(order, facts, self._renderer.engine())
        with self._lock:
            self._shared = key, worker, scratch
            if request := self._sharing_stops.get(key):
                worker.stop(request)
        return worker

    def _drop_shared(self) -> None:
        with self._lock:
            shared, self._shared = self._shared, None
            if shared is not None:
                self._sharing_stops.pop(shared[0], None)
        if shared is not None and shared[2] is not None:
            shared[2].remove()

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        """Wait until the frame of another worker's run is finished, if there is one, and share no more meanwhile."""
        with self._lock:
            shared = self._shared
        if shared is not None:
            shared[1].stop("park")
        self._own_job_waits = True
        with self._turn:
            self._own_job_waits = False
            self._drop_shared()
            self._sharing_stops.clear()
            release_kept()
            yield

    @ray.method(concurrency_group=RENDER)
    def receive(self, head: str, content: bytes) -> None:
        """Write a piece of a file of the run that the next attempt continues into a folder of this worker."""
        if self._received is None:
            self._received = ReceivedFiles(self._fresh_root())
        try:
            self._received.write(json.loads(head), content)
        except RenderError as error:
            self._not_received = error

    @ray.method(concurrency_group=RENDER)
    def render(self, key: str, request: str, others: Sequence[Any] = ()) -> Iterator[Item]:
        """Render a job; yield JSON text of progress, log lines and the final event, and pieces of files.

        Args:
            key: names the attempt in `stop`.
            request: JSON text: job (fields of the record, its outdir relative to the output folder), shared (whether
                files are written to the server's output folder), now (local time that names a new run, or null).
            others: the other actors, which share the job where its frames do not depend on each other.
        """
        asked = json.loads(request)
        shared, outbox = asked["shared"], _Outbox()
        root = self._root if shared else self._received_root()
        job = _job(asked["job"], root)
        sent = _Sent(root, job) if not shared else None
        token = CancelToken()
        with self._lock:
            self._running = key, token
            if how := self._stops.get(key):
                _ask(token, how)
        self._log.outbox = outbox
        self._renderer.now = datetime.now if asked["now"] is None else partial(_fixed, asked["now"])
        self._renderer.more_workers = actor_workers(others)
        self._renderer.image_workers = actor_image_workers(others) if shared else None
        thread = threading.Thread(target=self._work, args=(job, root, token, outbox), daemon=True)
        with self._own_turn():
            thread.start()
            try:
                yield from self._items(outbox, token, sent, root)
            finally:
                token.park()  # a server that does not listen any more has no use for further frames
                thread.join()
                self._log.outbox = None
                with self._lock:
                    self._running = None
                    self._stops.pop(key, None)
                self._drop_root()

    def _work(self, job: Job, root: Path, token: CancelToken, outbox: _Outbox) -> None:
        try:
            event = attempt(job, partial(self._check, root), self._renderer, token, outbox.progress)
            outbox.end({"event": type(event).__name__, "fields": asdict(event)})
        finally:
            outbox.end(None)

    def _items(self, outbox: _Outbox, token: CancelToken, sent: _Sent | None, root: Path) -> Iterator[Item]:
        signs = 0
        while True:
            said = outbox.next()
            if said is None:
                return
            if not said:
                if token.signs == signs:
                    continue
                said = {"sign": token.signs}
            signs = token.signs
            if sent is not None:
                yield from sent.changes(said)
            if progress := said.get("progress"):
                said["memory"] = self._memory()
                progress["outdir"] = relative(Path(progress["outdir"]), root) if progress["outdir"] else ""
            fields = said.get("fields", {})
            if fields.get("outdir"):
                fields["outdir"] = relative(Path(fields["outdir"]), root)
            yield json.dumps(said), b""

    def _check(self, root: Path, *submitted: Any, **more: Any) -> Any:
        if self._not_received is not None:
            raise self._not_received
        facts = own_facts(self._setup["engine"], self._setup["checkpoint"], root, parts=self._parts)
        return prepared_job(facts, *submitted, **more)

    def _make_engine(self) -> Any:
        module, _, name = self._setup["make_engine"].partition(":")
        make = getattr(importlib.import_module(module), name)
        setup = self._setup
        options = {"checkpoint": setup["checkpoint"], "allow_download": setup["allow_download"]}
        options |= {"offload": setup["offload"], "precision": setup["precision"], "parts": self._parts}
        return make(setup["engine"], **options)

    def _memory(self) -> tuple[int, int]:
        return device_memory("cuda:0" if ray.get_gpu_ids() else "cpu")  # Ray hides the others

    def _leave_token(self, token: str) -> str:
        """Write a random text to the file `token` of the output folder and return it; "" if that is not possible."""
        content = os.urandom(16).hex()
        try:
            with open(self._root / TOKEN_NAME.format(token=token), "x", encoding="ascii") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return ""
        return content

    def _fresh_root(self) -> Path:
        self._drop_root()
        self._own_root = ScratchFolder(WORKER)
        return self._own_root.path

    def _received_root(self) -> Path:
        if self._received is None or self._own_root is None:
            return self._fresh_root()
        self._received.close()
        return self._own_root.path

    def _drop_root(self) -> None:
        self._received = self._not_received = None
        if self._own_root is not None:
            self._own_root.remove()
            self._own_root = None


class _Outbox:
    """What the rendering thread says; of several reports that wait, the newest counts for all."""

    def __init__(self) -> None:
        self._said: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._newest: Progress | None = None
        self._before: Progress | None = None

    def progress(self, progress: Progress) -> None:
        with self._lock:
            waits, self._newest = self._newest is not None, progress
        if not waits:
            self._said.put({"progress": None})

    def line(self, line: dict[str, Any]) -> None:
        if self._said.qsize() < LOG_LINES_WAITING:
            self._said.put({"log": line})

    def end(self, event: dict[str, Any] | None) -> None:
        self._said.put(event)

    def next(self) -> dict[str, Any] | None:
        """Return what is said next; {} after `SIGN_EVERY_S` of silence, None at the end."""
        try:
            said = self._said.get(timeout=SIGN_EVERY_S)
        except queue.Empty:
            return {}
        if said is not None and "progress" in said:
            with self._lock:
                newest, self._newest = self._newest, None
            assert newest is not None
            return {"progress": asdict(newest)}
        return said


class _Lines(logging.Handler):
    """Sends log lines with the running attempt; the lines of an idle worker are in Ray's own log files."""

    outbox: _Outbox | None = None

    def emit(self, record: logging.LogRecord) -> None:
        outbox = self.outbox
        if outbox is None:
            return
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        outbox.line({"logger": record.name, "level": record.levelno, "text": text})


class _Sent:
    """The files of an attempt's run that the server does not see, from the moment when the run has a name."""

    def __init__(self, root: Path, job: Job) -> None:
        self._root = root
        self._files: SentFiles | None = None
        if job.outdir and job.timestring:
            self._files = SentFiles(root, Run(Path(job.outdir), job.timestring), known=True)

    def changes(self, said: dict[str, Any]) -> Iterator[Item]:
        """Yield the files that must be at the server before it hears `said`."""
        progress = said.get("progress") or {}
        if self._files is None and progress.get("timestring"):
            run = Run(Path(progress["outdir"]), progress["timestring"])
            yield json.dumps({"run": relative(run.outdir, self._root), "timestring": run.timestring}), b""
            self._files = SentFiles(self._root, run)
        if self._files is None or not (progress or "event" in said):
            return
        deep = "event" in said or progress["phase"] != "GENERATING"
        for head, content in self._files.changes(deep=deep):
            yield json.dumps(head), content


def _ask(token: CancelToken, how: str) -> None:
    if how == "cancel":
        token.cancel()
    else:
        token.park()


def _fixed(now: str) -> datetime:
    return datetime.fromisoformat(now)


def _job(fields: dict[str, Any], root: Path) -> Job:
    outdir = str(root.resolve() / fields.pop("outdir")) if fields.get("outdir") else None
    return Job(**{**fields, "outdir": outdir}, order=0, started_at=0.0, last_updated=0.0)
