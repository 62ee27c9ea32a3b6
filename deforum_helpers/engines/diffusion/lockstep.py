"""Several jobs of one model in lockstep: what their networks are to evaluate at the same time becomes one batch.

Every job keeps its thread, sampler, steps and seeds. At each evaluation it waits until the others are at one too. Those
of equal shape run as one batch, in which every sample has its own time and prompt; the others run one after another.
A batch rounds in another way than its samples alone, so images equal those of a job alone up to rounding. A job with
no other beside it is evaluated as without lockstep, bit for bit.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.diffusion.conditioning import Conditioning, stacked

if TYPE_CHECKING:
    from deforum_helpers.engines.base import GenerateRequest
    from deforum_helpers.engines.diffusion.autoencoder import Autoencoder
    from deforum_helpers.engines.diffusion.families import Family, Scales
    from deforum_helpers.engines.diffusion.loading import LoadedModel
    from deforum_helpers.engines.memory import MemoryPlan
    from deforum_helpers.image.types import Image

_log = logging.getLogger(__name__)

# A waiting job looks so often whether it was cancelled.
LOOK_EVERY_S = 0.05
# The first evaluation of a model may take minutes, for which nobody waits again.
MOST_PATIENCE_S = 1.0
_NEVER = -math.inf


class Place:
    """The place of one job; made by `Lockstep.place`."""

    def __init__(self, lockstep: Lockstep, number: int, awaited_since: float) -> None:
        self.lockstep = lockstep
        self.number = number
        self.awaited_since = awaited_since  # when the others began to wait for its next evaluation

    @contextmanager
    def model(
        self, key: Hashable | None, prepare: Callable[[], LoadedModel], cancel: CancelToken
    ) -> Iterator[LoadedModel]:
        """Yield the model for one image; its evaluations join those of the other jobs that have the same `key`.

        Jobs with different keys have the model in turn, image by image.

        Args:
            key: of checkpoint, VAE and LoRAs; None = this image changes the network and needs the model alone.
            prepare: returns the model, loaded and with its LoRAs; called while nobody uses it.
            cancel: of the job; checked while it waits.

        Raises:
            Cancelled: the token said so.
        """
        with self.lockstep.turn(self, key, cancel):
            model = self.lockstep.prepared(self, prepare, cancel)
            if key is None:
                yield model
                return
            join = _Join(self, cancel)
            family = cast("Family", JoinedFamily(model.family, join))
            autoencoder = cast("Autoencoder", JoinedAutoencoder(model.autoencoder, join))
            yield replace(model, family=family, autoencoder=autoencoder)

    def alone(self) -> AbstractContextManager[None]:
        """Keep the other jobs from the model inside the context, which begins after their current images."""
        return self.lockstep.turn(self, None, CancelToken())


@dataclass(eq=False)
class _Call:
    """An evaluation that a job waits for; it has an output or an error once it has ended.

    Args:
        place: of the job.
        key: calls with equal keys can be joined.
        first: whether it runs before calls that are not; the jobs that are behind catch up by that.
        number: order of the calls.
        sample: what `evaluate` takes a list of.
        evaluate: returns one output per sample.
    """

    place: Place
    key: Hashable
    first: bool
    number: int
    sample: Any
    evaluate: Callable[[Sequence[Any]], Sequence[Any]]
    ended: bool = False
    output: Any = None
    error: BaseException | None = None


def _evaluate_alone(call: _Call) -> None:
    try:
        (call.output,) = call.evaluate([call.sample])
    except Exception as error:
        call.error = error


class Lockstep:
    """The places of the jobs on one engine. Any method may be called from any thread.

    Args:
        patience_s: how long evaluations wait for a job between two of its own; by default as long as the last one took,
            so that a job with much other work never more than doubles the time of the others.
        clock: seconds that never run back.
    """

    def __init__(self, patience_s: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._changed = threading.Condition()
        self._clock = clock
        self._fixed_patience_s = patience_s
        self._last_s = 0.0
        self._numbers = itertools.count()
        self._places: set[Place] = set()
        # Evaluations
        self._calls: list[_Call] = []
        self._evaluating = False
        self._most_joined: dict[Hashable, int] = {}
        # Use of the model
        self._entrance: list[Place] = []
        self._inside: set[Place] = set()
        self._key: Hashable | None = None
        self._model: LoadedModel | None = None
        self._preparing = False

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Yield a place for one job, for as long as it runs."""
        with self._changed:
            place = Place(self, next(self._numbers), self._clock())
            self._places.add(place)
        try:
            yield place
        finally:
            with self._changed:
                self._places.discard(place)
                if not self._places:
                    self._most_joined.clear()
                self._changed.notify_all()

    # Use of the model

    @contextmanager
    def turn(self, place: Place, key: Hashable | None, cancel: CancelToken) -> Iterator[None]:
        """Hold the model together with all that have the same key, with None alone; first come, first served."""
        self._enter(place, key, cancel)
        try:
            yield
        finally:
            with self._changed:
                self._inside.discard(place)
                if not self._inside:
                    self._model = None
                self._changed.notify_all()

    def _enter(self, place: Place, key: Hashable | None, cancel: CancelToken) -> None:
        with self._changed:
            self._entrance.append(place)
            try:
                if not self._admits(place, key):
                    self._await(place, _NEVER)  # it waits for the others
                while not self._admits(place, key):
                    cancel.check_cancel()
                    self._changed.wait(LOOK_EVERY_S)
                self._inside.add(place)
                self._key = key
                self._await(place, self._clock())
            finally:
                self._entrance.remove(place)
                self._changed.notify_all()

    def _admits(self, place: Place, key: Hashable | None) -> bool:
        shared = key is not None and key == self._key
        return self._entrance[0] is place and (shared or not self._inside)

    def prepared(self, place: Place, prepare: Callable[[], LoadedModel], cancel: CancelToken) -> LoadedModel:
        """Return the model that those inside share; the first one prepares it, the others wait."""
        with self._changed:
            while self._model is None and self._preparing:
                cancel.check_cancel()
                self._changed.wait(LOOK_EVERY_S)
            if self._model is not None:
                self._await(place, self._clock())
                return self._model
            self._preparing = True
        model = None
        try:
            model = prepare()
            return model
        finally:
            with self._changed:
                self._model, self._preparing = model, False
                self._await(place, self._clock())

    # Evaluations

    def evaluated(
        self,
        place: Place,
        key: Hashable,
        sample: Any,
        evaluate: Callable[[Sequence[Any]], Sequence[Any]],
        cancel: CancelToken,
        *,
        first: bool = False,
    ) -> Any:
        """Return the output of `evaluate` for `sample`, evaluated in one batch with the calls of the others.

        A batch that fails is repeated sample by sample, so that an error reaches the job that causes it. If no sample
        fails alone, as when memory ends, batches with this key have half as many samples from then on.

        Raises:
            Cancelled: the token said so; the other calls go on.
            Exception: whatever `evaluate` raises for this sample.
        """
        call = _Call(place, key, first, next(self._numbers), sample, evaluate)
        with self._changed:
            self._calls.append(call)
            self._changed.notify_all()
        back_at = _NEVER
        try:
            while not call.ended:
                cancel.check_cancel()
                if batch := self._led_by(call):
                    self._evaluate(batch)
            back_at = self._clock()
        finally:
            with self._changed:
                if call in self._calls:
                    self._calls.remove(call)
                self._await(place, back_at)
        if call.error is not None:
            raise call.error
        return call.output

    def _led_by(self, call: _Call) -> list[_Call]:
        """Return the batch that is due if `call` is its first, else wait a little and return an empty one."""
        with self._changed:
            if call.ended:
                return []
            wait_s = LOOK_EVERY_S if self._evaluating else self._due_in_s()
            if wait_s <= 0 and (batch := self._next_batch())[0] is call:
                self._calls = [other for other in self._calls if other not in batch]
                self._evaluating = True
                return batch
            self._changed.wait(min(wait_s, LOOK_EVERY_S) if wait_s > 0 else LOOK_EVERY_S)
        return []

    def _due_in_s(self) -> float:
        """Return how long the calls still wait for jobs that are between two of theirs."""
        patience_s = self._fixed_patience_s
        if patience_s is None:
            patience_s = min(self._last_s, MOST_PATIENCE_S)
        missing = self._places - {call.place for call in self._calls}
        until = max((place.awaited_since for place in missing), default=_NEVER) + patience_s
        return until - self._clock()

    def _next_batch(self) -> list[_Call]:
        oldest = min(self._calls, key=lambda call: (not call.first, call.number))
        batch = [call for call in self._calls if call.key == oldest.key]
        batch = sorted(batch, key=lambda call: call.number)[: self._most_joined.get(oldest.key, len(batch))]
        return sorted(batch, key=lambda call: call.place.number)

    def _evaluate(self, batch: list[_Call]) -> None:
        began = self._clock()
        try:
            if len(batch) == 1 or not self._as_one(batch):
                self._one_by_one(batch)
        except BaseException as error:
            for call in batch:
                call.error = error
            raise
        finally:
            with self._changed:
                self._evaluating = False
                self._last_s = self._clock() - began
                for call in batch:
                    call.ended = True
                self._changed.notify_all()

    def _as_one(self, batch: list[_Call]) -> bool:
        try:
            outputs = batch[0].evaluate([call.sample for call in batch])
        except Exception as error:
            _log.warning("%d joined evaluations failed: %s", len(batch), str(error)[:200])
            return False
        for call, output in zip(batch, outputs, strict=True):
            call.output = output
        return True

    def _one_by_one(self, batch: list[_Call]) -> None:
        # Not in the `except` above: while that error is alive, its traceback keeps the batch's tensors on the device.
        for call in batch:
            _evaluate_alone(call)
        if len(batch) > 1 and not any(call.error for call in batch):
            self._most_joined[batch[0].key] = len(batch) // 2

    def _await(self, place: Place, since: float) -> None:
        place.awaited_since = since
        self._changed.notify_all()


@dataclass(frozen=True)
class _Join:
    """A job's way to the common evaluations of one image."""

    place: Place
    cancel: CancelToken

    def __call__(
        self,
        key: Hashable,
        sample: Any,
        evaluate: Callable[[Sequence[Any]], Sequence[Any]],
        first: bool = False,
    ) -> Any:
        return self.place.lockstep.evaluated(self.place, key, sample, evaluate, self.cancel, first=first)


class JoinedFamily:
    """A family whose evaluations are joined with those of other jobs; all else is the family's own."""

    def __init__(self, family: Family, join: _Join) -> None:
        self._family = family
        self._join = join

    def __getattr__(self, name: str) -> Any:
        return getattr(self._family, name)

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        """Return the network's output; see `Family.predict`."""
        pooled = conditioning.pooled
        key = (
            "network",
            latents.shape[1:],
            conditioning.tokens.shape[1:],
            None if pooled is None else pooled.shape[1:],
            # Only networks that guide themselves read the CFG scale.
            scales if self._family.guides_itself else scales.distilled_cfg,
        )
        sample = (latents, timestep, conditioning, scales)
        return cast("torch.Tensor", self._join(key, sample, self._predicted))

    def _predicted(self, samples: Sequence[Any]) -> Sequence[torch.Tensor]:
        if len(samples) == 1:
            return [self._family.predict(*samples[0])]
        latents, timesteps, conditionings, scales = zip(*samples, strict=True)
        counts = [len(each) for each in latents]
        times = [time.expand(count) for time, count in zip(timesteps, counts, strict=True)]
        output = self._family.predict(torch.cat(latents), torch.cat(times), stacked(conditionings), scales[0])
        return _parts(output, counts)


class JoinedAutoencoder:
    """An autoencoder whose evaluations are joined with those of other jobs; all else is the autoencoder's own."""

    def __init__(self, autoencoder: Autoencoder, join: _Join) -> None:
        self._autoencoder = autoencoder
        self._join = join

    def __getattr__(self, name: str) -> Any:
        return getattr(self._autoencoder, name)

    def encode(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the latents of images; see `Autoencoder.encode`."""
        return self._joined("encode", batch)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the images of latents; see `Autoencoder.decode`."""
        return self._joined("decode", latents)

    def _joined(self, name: str, batch: torch.Tensor) -> torch.Tensor:
        work = getattr(self._autoencoder, name)

        def evaluate(batches: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
            if len(batches) == 1:
                return [work(batches[0])]
            return _parts(work(torch.cat(list(batches))), [len(each) for each in batches])

        return cast("torch.Tensor", self._join((name, batch.shape[1:]), batch, evaluate, first=True))


def _parts(output: torch.Tensor, counts: Sequence[int]) -> list[torch.Tensor]:
    """Return copies of the parts of a batch, none of which keeps the others in memory."""
    return [part.clone() for part in output.split(list(counts))]


class Placing(Protocol):
    """An engine that generates for a place."""

    name: str
    device: torch.device

    @property
    def memory_plan(self) -> MemoryPlan | None: ...

    @property
    def memory_notes(self) -> tuple[str, ...]: ...

    def generate(
        self, request: GenerateRequest, cancel: CancelToken, place: Place | None = None
    ) -> Image: ...

    def resting(self) -> AbstractContextManager[None]: ...

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]: ...


class PlacedEngine:
    """An engine as one of several jobs uses it."""

    def __init__(self, engine: Placing, place: Place) -> None:
        self.name = engine.name
        self.device = engine.device
        self._engine = engine
        self._place = place

    @property
    def memory_plan(self) -> MemoryPlan | None:
        """The engine's plan; see `ManagesMemory`."""
        return self._engine.memory_plan

    @property
    def memory_notes(self) -> tuple[str, ...]:
        """The engine's notes, of all jobs; see `ManagesMemory`."""
        return self._engine.memory_notes

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        """Return the image of `request`, up to rounding that of the engine alone; see `Engine.generate`."""
        return self._engine.generate(request, cancel, self._place)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Lend the engine's memory, while the other jobs wait; on the CPU there is nothing to lend."""
        if self.device.type == "cpu":
            yield
            return
        with self._place.alone(), self._engine.resting():
            yield

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        """Return the warnings about a request; see `Engine.warnings`."""
        return self._engine.warnings(request)
