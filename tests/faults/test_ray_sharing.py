"""A worker of a cluster that takes part in another one's video, without a cluster: the actor is an object here."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray")

from deforum_api.queue.logs import PACKAGES
from deforum_api.queue.ray import actor, segments
from deforum_helpers.core.child_programs import WorkerUnusable
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.core.spread import OwnPieceWorker, Piece, do_piece
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.image.types import Image
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.output.image_steps import upscale_by
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
    loggers = [logging.getLogger(name) for name in PACKAGES]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    setup: dict[str, Any] = {"engine": "null", "checkpoint": None, "allow_download": False}
    setup["root"] = str(tmp_path)
    setup["make_engine"] = "deforum_helpers.engines:make_engine"
    setup["offload"] = "auto"
    yield actor.RenderWorker(json.dumps(setup))
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


class _ImageActor(_Actor):
    """A handle whose calls for images run here as well; `pieces` counts those that it has done."""

    def __init__(self, worker: actor.RenderWorker) -> None:
        super().__init__(worker)
        self.pieces = 0
        self.do_piece = _Method(self._do_piece)

    def _do_piece(self, *arguments: Any) -> Iterator[str]:
        for said in self._worker.do_piece(*arguments):
            self.pieces += "done" in said
            yield said


def images(root: Path, sources: list[Path], *others: _ImageActor) -> list[bytes]:
    """Upscale images by a worker that asks `others`."""
    targets = [root / path.name for path in sources]
    workers = segments.actor_image_workers(others)
    settings = {"model": "Lanczos", "factor": "x2", "device": "cpu"}
    upscale_by(workers, sources, targets, CancelToken(), lambda share: None, **settings)
    return [path.read_bytes() for path in targets]


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for number, path in enumerate(paths):
        write_frame(path, np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8))
    return paths


def test_an_idle_worker_makes_images(
    tmp_path: Path, worker: actor.RenderWorker, sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = _ImageActor(worker)
    waits = threading.Event()

    def own_work(self: OwnPieceWorker, piece: Piece, done: Callable[[int], None]) -> None:
        assert waits.wait(60), "the other worker has taken nothing"
        do_piece(piece, done)

    monkeypatch.setattr(OwnPieceWorker, "work", own_work)
    other.do_piece = _Method(lambda *given: (waits.set(), other._do_piece(*given))[1])
    assert images(tmp_path / "shared", sources, other) == images(tmp_path / "one", sources)
    assert other.pieces > 0
    assert not worker._turn.locked()


def test_a_worker_with_a_job_or_without_the_files_makes_none(
    tmp_path: Path, worker: actor.RenderWorker, sources: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    other = _ImageActor(worker)
    with worker._own_turn():
        made = images(tmp_path / "shared", sources, other)
    assert made == images(tmp_path / "one", sources)
    assert other.pieces == 0
    missing = Piece("deforum_helpers.output.image_steps:upscale_range", {"sources": ["/no/such"]}, 1)
    with pytest.raises(WorkerUnusable):
        segments.ActorPieceWorker(other).work(missing, lambda count: None)
    assert not worker._turn.locked()


def test_a_job_of_its_own_ends_a_piece(
    tmp_path: Path, worker: actor.RenderWorker, sources: list[Path]
) -> None:
    other = _ImageActor(worker)
    settings = {"model": "Lanczos", "factor": "x2", "device": "cpu"}
    targets = [str(tmp_path / "made" / path.name) for path in sources]
    (tmp_path / "made").mkdir()
    arguments = {**settings, "sources": [str(path) for path in sources], "targets": targets}
    turn = threading.Thread(target=lambda: worker._own_turn().__enter__())

    def done(count: int) -> None:
        if count == 2:
            turn.start()

    piece = Piece("deforum_helpers.output.image_steps:upscale_range", arguments, len(targets))
    with pytest.raises(WorkerUnusable):
        segments.ActorPieceWorker(other).work(piece, done)
    turn.join(60)
    assert not turn.is_alive()
    assert 2 <= len(list((tmp_path / "made").iterdir())) < len(targets)
