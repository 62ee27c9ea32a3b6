"""Real servers in processes of their own, which meet the faults that they are told to meet.

They are forked from a process that has imported everything, so that a restart takes no longer than it must.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from deforum_api.hosts import standalone
from deforum_api.hosts.own_host import health, make_queue
from deforum_api.hosts.standalone import Server as StandaloneServer
from deforum_api.hosts.standalone import listen, make_app
from deforum_api.http.security import Access
from deforum_api.queue import sqlite
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_api.queue.submission import Limits
from deforum_helpers.core.errors import OutOfMemory
from deforum_helpers.core.files import regular
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import Engine
from deforum_helpers.output import image_steps, writer
from deforum_helpers.pipeline import job as rendering
from deforum_helpers.pipeline import postproduction
from deforum_helpers.pipeline.host_facts import own_facts
from tests.integration.server import WAIT_S, Client

FRAMES = 8
# Key frames at 0, 3 and 6; what a frame is depends on the frame before it.
SETTINGS: dict[str, Any] = {
    "W": 64,
    "H": 64,
    "max_frames": FRAMES,
    "diffusion_cadence": 3,
    "seed": 7,
    "prompts": {"0": "a hill"},
    "animation_mode": "2D",
    "angle": "0: (4 * sin(t))",
    "zoom": "0: (1.05)",
    "noise_schedule": "0: (0.1)",
    "color_coherence": "LAB",
    "fps": 8,
}

Fault = Callable[[], None]


def ended(jobs: JobQueue, job_id: str) -> Job:
    """Wait until a job has ended."""
    deadline = time.monotonic() + WAIT_S
    while not (job := jobs.job(job_id)).finished:
        assert time.monotonic() < deadline, job
        time.sleep(0.01)
    return job


class FaultyEngine:
    """Generates as another engine does, after `before` was called with the number of the image."""

    def __init__(self, engine: Engine, before: Callable[[int, Any], None]) -> None:
        self.name, self.device = engine.name, engine.device
        self.resting, self.warnings = engine.resting, engine.warnings
        self.generated = 0
        self._engine = engine
        self._before = before

    def generate(self, request: Any, cancel: Any) -> Any:
        self.generated += 1
        self._before(self.generated, cancel)
        return self._engine.generate(request, cancel)


class Answering:
    """Counts the requests that the program has not answered yet."""

    now = 0

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        requests = 1 if scope["type"] == "http" else 0
        Answering.now += requests
        try:
            await self._app(scope, receive, send)
        finally:
            Answering.now -= requests


def die() -> None:
    """Kill the program once everybody has the answer that they wait for: a job may begin before its 202 is sent."""
    deadline = time.monotonic() + WAIT_S
    while Answering.now and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at_key_frame(number: int, cancel: Any) -> None:
    if number == 2:
        die()


def _out_of_memory_once(number: int, cancel: Any) -> None:
    if number == 2:
        raise OutOfMemory("The device's memory did not suffice.")


def _out_of_memory_now_and_then(number: int, cancel: Any) -> None:
    if number % 29 == 28:
        raise OutOfMemory("The device's memory did not suffice.")


def _hold(number: int, cancel: Any) -> None:
    """At the second key frame, wait until the file `go` lies in the working folder."""
    while number == 2 and not Path("go").exists():
        cancel.check_cancel()
        time.sleep(0.005)


def _deaf(number: int, cancel: Any) -> None:
    """Hang at the second key frame, whatever the token says."""
    while number == 2 and not Path("go").exists():
        time.sleep(0.005)


ENGINES: dict[str, Callable[[int, Any], None]] = {
    "key frame": _die_at_key_frame,
    "out of memory": _out_of_memory_once,
    "hold": _hold,
    "impatient": _hold,
    "video": _hold,
    "deaf": _deaf,
    "now and then out of memory": _out_of_memory_now_and_then,
}


def _die_before(owner: Any, name: str, when: Callable[..., bool] = lambda *_: True) -> None:
    whole = getattr(owner, name)

    def dying(*arguments: Any, **more: Any) -> Any:
        if when(*arguments):
            die()
        return whole(*arguments, **more)

    setattr(owner, name, dying)


def _die_behind(owner: Any, name: str) -> None:
    whole = getattr(owner, name)

    def dying(*arguments: Any, **more: Any) -> None:
        whole(*arguments, **more)
        die()

    setattr(owner, name, dying)


PLACES: dict[str, Fault] = {
    "preparing": lambda: _die_before(rendering._Job, "fresh_start"),
    "before the first checkpoint": lambda: _die_before(
        writer, "write_whole", lambda path, _: path.suffix == ".checkpoint"
    ),
    "between key frame and in-between frames": lambda: _die_before(
        writer, "write_whole", lambda path, *_: path.name.endswith("_000000005.png")
    ),
    "in ffmpeg": lambda: _die_before(writer.VideoWriter, "_close_input"),
    "between video and end": lambda: _die_behind(writer, "write_manifest"),
}
# Places that a job only meets when more is asked for than a video.
LATER_PLACES: dict[str, Fault] = {
    "while frames are enlarged": lambda: _die_before(
        image_steps,
        "write_frame",
        lambda path, *_: path.parent.name.endswith("_upscaled") and "0005" in path.name,
    ),
    "while in-between frames are rendered": lambda: _die_before(
        image_steps, "write_frame", lambda path, *_: path.name == "000000005.png"
    ),
    "before the list of outputs has a video": lambda: _die_before(postproduction, "write_manifest"),
    "before frames are removed": lambda: _die_behind(postproduction, "write_manifest"),
    "while frames are removed": lambda: _die_before(
        Path, "unlink", lambda path, *_: path.name.endswith("_000000003.png")
    ),
}


QUIRKS: dict[str, Fault] = {
    "impatient": lambda: setattr(sqlite, "BUSY_TIMEOUT_S", 0.2),
    "deaf": lambda: setattr(standalone, "PARKING_TIME_S", 0.3),
    "video": PLACES["in ffmpeg"],
    "hanging drive": lambda: _hang_at(regular, "_opened"),
}


def serve(outputs: Path, fault: str, engine: str, address: Connection, port: int) -> None:
    """Serve the outputs on `port`, 0 = a free one, which `address` is told; meet `fault`."""
    os.chdir(outputs.parent)
    logging.basicConfig(filename="server.log", level="INFO", force=True)
    (PLACES | LATER_PLACES | QUIRKS).get(fault, lambda: None)()
    listening = listen(port, "127.0.0.1")
    # Told before any job can kill the program: those that an earlier one left begin with the queue.
    address.send(listening.getsockname()[1])
    facts = own_facts(engine, None, outputs)
    faulty = FaultyEngine(make_engine(engine), ENGINES.get(fault, lambda *_: None))
    queue = make_queue(facts, lambda: faulty, limits=Limits(retry_after_s=(0.1, 0.1, 0.1)))
    app = make_app(queue, Access(), lambda: health(facts))
    app.add_middleware(Answering)
    server = StandaloneServer(app, queue, listening, lambda: None)
    server.run(sockets=[listening])
    queue.store.close()


def _hang_at(owner: Any, name: str) -> None:
    """Let a function wait for ever, and not be waited for long."""
    setattr(owner, name, lambda *_: threading.Event().wait())
    owner.LOOK_S = owner.READ_S = 0.2


_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload([__name__])


class FaultyServer(Client):
    """A server on `outputs` that meets `fault`: of `PLACES`, `LATER_PLACES`, `QUIRKS` or `ENGINES`, "" for none."""

    def __init__(self, outputs: Path, fault: str = "", engine: str = "null", port: int = 0) -> None:
        self.go = outputs.parent / "go"
        here, there = _FORKING.Pipe(duplex=False)
        self.process = _FORKING.Process(target=serve, args=(outputs, fault, engine, there, port), daemon=True)
        self.process.start()
        there.close()
        try:
            assert here.poll(WAIT_S), "it did not start"
            super().__init__(f"http://127.0.0.1:{here.recv()}")
        finally:
            here.close()

    def dies(self) -> None:
        """Wait until the server has killed itself."""
        self.process.join(WAIT_S)
        assert self.process.exitcode == -signal.SIGKILL, self.log()[-2000:]

    def log(self) -> str:
        """What it has written to its log."""
        return (self.go.parent / "server.log").read_text(encoding="utf-8")

    def kill(self) -> None:
        self.process.kill()
        self.process.join(WAIT_S)

    def terminate(self) -> int | None:
        """Send SIGTERM and return the exit code."""
        self.process.terminate()
        self.process.join(WAIT_S)
        return self.process.exitcode
