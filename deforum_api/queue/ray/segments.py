"""Segments of one video on several workers: a worker that renders a job asks the others for what they can do."""

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
from deforum_helpers.core.child_programs import error_of
from deforum_helpers.core.progress import StopRequest
from deforum_helpers.output.step_files import StepFiles, decode_step
from deforum_helpers.pipeline.segments import SegmentTask, WorkerUnusable, encode_task
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
