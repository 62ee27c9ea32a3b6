"""One video on several workers: a worker that renders a job asks the others for segments and images of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from deforum_api.queue.ray import messages
from deforum_helpers.core.child_programs import WorkerUnusable, error_of
from deforum_helpers.core.progress import StopRequest
from deforum_helpers.core.spread import (
    Done,
    OpenPieceWorkers,
    OwnPieceWorker,
    Piece,
    PieceWorker,
    release_kept,
)
from deforum_helpers.output.step_files import StepFiles, decode_step
from deforum_helpers.pipeline.segments import SegmentTask, encode_task
from deforum_helpers.pipeline.work_orders import MoreWorkers, WorkOrder

if TYPE_CHECKING:
    import torch


def actor_workers(actors: Sequence[Any]) -> MoreWorkers | None:
    """Return a function that opens other actors as workers for a run, as `run_job` takes it; None without any."""
    if not actors:
        return None

    @contextmanager
    def opened(
        order: WorkOrder, device: torch.device, beat: Callable[[], None]
    ) -> Iterator[list[ActorWorker]]:
        yield [ActorWorker(actor, order, device, beat) for actor in actors]

    return opened


class ActorWorker:
    """Another actor as a worker; see `SegmentWorker`. One that has a job of its own, or gets one, is left out."""

    def __init__(self, actor: Any, order: WorkOrder, device: torch.device, beat: Callable[[], None]) -> None:
        self._actor = actor
        self._key = secrets.token_hex(8)
        self._order = json.dumps(asdict(order))
        self._device = device
        self._beat = beat

    def render(self, task: SegmentTask) -> Iterator[StepFiles]:
        """Yield the steps of a task; see `SegmentWorker`."""
        head, parts = encode_task(task)
        method = self._actor.share.options(num_returns="streaming")
        try:
            for ref in method.remote(self._key, self._order, json.dumps(head), *parts):
                said, content = ray.get(ref)
                self._beat()
                about = json.loads(said)
                if "unusable" in about:
                    raise WorkerUnusable(about["unusable"])
                if "error" in about:
                    raise error_of(about["error"])
                yield decode_step(content, self._device)
        except RayError as error:  # its place gets another actor, which this run does not know
            raise WorkerUnusable(messages.ENDED(kind=type(error).__name__)) from error

    def stop(self, request: StopRequest) -> None:
        """Stop; see `SegmentWorker`."""
        self._actor.stop_sharing.remote(self._key, request)


def actor_image_workers(actors: Sequence[Any]) -> OpenPieceWorkers | None:
    """Return a function that opens this process and other actors as workers for images; None without any actors."""
    if not actors:
        return None

    @contextmanager
    def opened() -> Iterator[list[PieceWorker]]:
        try:
            yield [OwnPieceWorker(), *(ActorPieceWorker(actor) for actor in actors)]
        finally:
            release_kept()

    return opened


class ActorPieceWorker:
    """Another actor as a worker for images; see `PieceWorker`.

    It leaves when it has a job of its own, or when a piece fails there: it may lack a model or not see the files. The
    worker that has the job does that piece then, and knows whether it fails everywhere.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._key = secrets.token_hex(8)

    def work(self, piece: Piece, done: Done) -> None:
        """Do a piece; see `PieceWorker`."""
        method = self._actor.do_piece.options(num_returns="streaming")
        try:
            for ref in method.remote(self._key, piece.function, json.dumps(dict(piece.arguments))):
                about = json.loads(ray.get(ref))
                if "unusable" in about:
                    raise WorkerUnusable(about["unusable"])
                done(about["done"])
        except RayError as error:  # its place gets another actor, which this run does not know
            raise WorkerUnusable(messages.ENDED(kind=type(error).__name__)) from error

    def stop(self) -> None:
        """Stop; see `PieceWorker`."""
        self._actor.stop_sharing.remote(self._key, "cancel")
