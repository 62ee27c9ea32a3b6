"""A worker of a cluster that takes part in another one's video, without a cluster: the actor is an object here."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from deforum_api.queue.logs import PACKAGES
from deforum_api.queue.ray import actor, segments
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.image.types import Image
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import prepare

SETTINGS = {
    "W": 64,
    "H": 64,
    "animation_mode": "Interpolation",
    "max_frames": 9,
    "seed": 1,
    "skip_video_creation": True,
}


class _Method:
    def __init__(self, call: Callable[..., Any]) -> None:
        self.remote = call

    def options(self, **options: Any) -> _Method:
        return self


class _Actor:
    """A handle of an actor whose calls run here; `shared` counts the steps that it has sent."""

    def __init__(self, worker: actor.RenderWorker) -> None:
        self.shared = 0
        self.sent = threading.Event()
        self._worker = worker
        self.share = _Method(self._share)
        self.stop_sharing = _Method(worker.stop_sharing)

    def _share(self, *arguments: Any) -> Iterator[actor.Item]:
        for said, content in self._worker.share(*arguments):
            self.shared += bool(content)
            self.sent.set()
            yield said, content


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[actor.RenderWorker]:
    monkeypatch.setattr(segments.ray, "get", lambda ref: ref)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    loggers = [logging.getLogger(name) for name in PACKAGES]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    setup = {"engine": "null", "checkpoint": None, "allow_download": False, "root": str(tmp_path)}
    made = {"make_engine": "deforum_helpers.engines:make_engine", "threads": "1"}
    yield actor.RenderWorker(json.dumps(setup | made))
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


class Patient(NullEngine):
    """Begins when the other worker has said something."""

    def __init__(self, other: _Actor) -> None:
        super().__init__()
        self._other = other

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        assert self._other.sent.wait(60)
        return super().generate(request, cancel)


def frames(root: Path, engine: NullEngine, *others: _Actor) -> list[Any]:
    prepared = prepare(SETTINGS, own_facts("null", None, root))
    more = segments.actor_workers(others)
    result = run_job(prepared, engine, CancelToken(), lambda progress: None, more_workers=more)
    return [read_frame(path).tolist() for path in sorted(result.outdir.glob("*_[0-9]*.png"))]


def test_an_idle_worker_takes_part(tmp_path: Path, worker: actor.RenderWorker) -> None:
    other = _Actor(worker)
    assert frames(tmp_path / "shared", Patient(other), other) == frames(tmp_path / "one", NullEngine())
    assert other.shared > 0
    assert not worker._turn.locked()


def test_a_worker_with_a_job_of_its_own_refuses(tmp_path: Path, worker: actor.RenderWorker) -> None:
    other = _Actor(worker)
    with worker._own_turn():
        made = frames(tmp_path / "shared", Patient(other), other)
    assert made == frames(tmp_path / "one", NullEngine())
    assert other.shared == 0


def test_a_job_of_its_own_ends_its_part(tmp_path: Path, worker: actor.RenderWorker) -> None:
    """The other worker leaves at its next frame; the rest of the video is finished without it."""
    other = _Actor(worker)
    started, share = threading.Event(), worker.share

    def interrupted(*arguments: Any) -> Iterator[actor.Item]:
        for item in share(*arguments):
            yield item
            if not started.is_set() and worker._shared is not None:
                worker._shared[1].stop("park")  # as `_own_turn` does
                started.set()

    worker.share = interrupted  # type: ignore[method-assign]
    made = frames(tmp_path / "shared", Patient(other), other)
    assert started.is_set()
    assert made == frames(tmp_path / "one", NullEngine())
