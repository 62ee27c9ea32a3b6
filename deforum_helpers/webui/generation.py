"""The random generators that the whole host shares, set for the length of one of our frames."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Literal

import numpy as np
import torch

from deforum_helpers.core.errors import DeforumError, OutOfMemory, RenderError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.webui import messages
from deforum_helpers.webui.host_modules import part
from deforum_helpers.webui.host_scripts import Faults, attached
from deforum_helpers.webui.model_choice import Selection
from deforum_helpers.webui.option_overrides import borrowed_options
from deforum_helpers.webui.requests import host_options, make_processing
from deforum_helpers.webui.script_args import takings

# The host makes its initial noise of the same seed; the noise of what it draws before that must be another.
OFFSET = 0x9E3779B9


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Set the generators of torch, numpy and the host by `seed`, and give them their states back on any exit.

    Hosts seed torch only when they sample; by then they have drawn from the latent distribution of an init image.
    Python's own generator stays alone: hosts do not draw frames with it, but name other users' tasks meanwhile.

    Args:
        seed: of the request, any integer.
    """
    start = (seed + OFFSET) % 2**32
    rng = part("modules.rng")
    with ExitStack() as stack:
        for state, restore in _generators():
            stack.callback(restore, state())
        if rng is not None and hasattr(
            rng, "nv_rng"
        ):  # the generator of the option "Random number generator source: NV"
            stack.callback(setattr, rng, "nv_rng", rng.nv_rng)
            rng.manual_seed(start)
        torch.manual_seed(start)
        np.random.seed(start)
        yield


def _generators() -> Iterator[tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """Yield for each shared generator the functions that return and set its state."""
    yield np.random.get_state, np.random.set_state
    yield torch.get_rng_state, torch.set_rng_state
    for name in ("cuda", "xpu"):
        device = getattr(torch, name, None)
        if device is not None and device.is_available():
            yield device.get_rng_state_all, device.set_rng_state_all
    if torch.backends.mps.is_available():
        yield torch.mps.get_rng_state, torch.mps.set_rng_state


Ending = Literal["finished", "cancelled", "interrupted", "skipped"]

LOOK_EVERY_S = 0.05
JOB_NAME = "deforum"


class Turns:
    """The turns of one job.

    Between two of them the host serves its other users. A press on its Interrupt or Skip that was meant for us may
    come in that time as well; it counts if nobody else has had a turn since.
    """

    def __init__(self) -> None:
        self._began_at: float | None = None

    @contextmanager
    def next(self, cancel: CancelToken) -> Iterator[Turn]:
        """Wait for our turn, and hold the queue for the length of the context.

        Raises:
            Cancelled: the token said so before it was our turn.
        """
        from modules import call_queue, shared

        with locked(call_queue.queue_lock, cancel):
            pressed = self._pressed(shared.state)
            shared.state.begin(job=JOB_NAME)
            self._began_at = shared.state.time_start
            turn = Turn(shared.state, cancel, pressed)
            try:
                yield turn
            finally:
                turn.close()
                shared.state.end()

    def forget(self) -> None:
        """Let no press from before count: a reload of the host presses Interrupt as well."""
        self._began_at = None

    def _pressed(self, state: Any) -> Ending:
        if self._began_at is None or state.time_start != self._began_at:
            return "finished"
        return _ending(state)


class Turn:
    """Our turn: watches the job's token while the host draws.

    Args:
        state: of the host.
        cancel: the job's wish to stop.
        pressed: what was pressed before the turn began; "finished" = nothing.
    """

    def __init__(self, state: Any, cancel: CancelToken, pressed: Ending) -> None:
        self.pressed = pressed
        self._state = state
        self._cancel = cancel
        self._skipped = False
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, name="deforum-watch")
        self._watch.start()

    def ending(self) -> Ending:
        """Tell how the drawing ended; anything but "finished" leaves a half-baked picture, or none."""
        if self._cancel.stop_request == "cancel":
            return "cancelled"
        ending = _ending(self._state)
        return "skipped" if self._skipped and ending == "finished" else ending

    def close(self) -> None:
        """Stop watching, so that a late cancel cannot meet the next user's picture; take back our own flags."""
        self._over.set()
        self._watch.join()
        if self._cancel.stop_request == "cancel":
            self._state.interrupted = False
        self._state.skipped = False

    def _look(self) -> None:
        step = None
        while not self._over.wait(LOOK_EVERY_S):
            before, step = step, (self._state.job_no, self._state.sampling_step)
            if step != before:
                self._cancel.beat()
            if self._cancel.stop_request == "cancel":
                self._state.interrupted = True
                return
            # The host itself forgets a press that comes before its sampler runs.
            self._skipped = self._skipped or self._state.skipped


def _ending(state: Any) -> Ending:
    if state.interrupted or getattr(state, "stopping_generation", False):
        return "interrupted"
    return "skipped" if state.skipped else "finished"


@contextmanager
def locked(lock: Any, cancel: CancelToken) -> Iterator[None]:
    """Hold the host's lock, which has no timeout; a cancelled job gives its place in the line up."""
    place = None if lock.acquire(False) else _Place(lock)
    while place is not None and not place.reached.wait(LOOK_EVERY_S):
        cancel.beat()  # to wait for others is not to hang
        if cancel.stop_request == "cancel":
            place.leave()
            cancel.check_cancel()
    try:
        yield
    finally:
        lock.release()


class _Place:
    """A place in the line for a lock, kept by a thread of its own."""

    def __init__(self, lock: Any) -> None:
        self.reached = threading.Event()
        self._lock = lock
        self._left = False
        self._deciding = threading.Lock()
        threading.Thread(target=self._stand, name="deforum-place", daemon=True).start()

    def leave(self) -> None:
        """Give the place up; the lock is released as soon as it is ours."""
        with self._deciding:
            self._left = True
            if self.reached.is_set():
                self._lock.release()

    def _stand(self) -> None:
        self._lock.acquire()
        with self._deciding:
            if self._left:
                self._lock.release()
            else:
                self.reached.set()


logger = logging.getLogger(__name__)


class ModelsExchanged(RenderError):
    """Another thread of the host loaded other models while it drew for us; the image is of no use."""

    retryable = True


def host_images(
    request: GenerateRequest, selection: Selection, options: Mapping[str, Any], faults: Faults
) -> list[Any] | None:
    """Return the host's images, none if it was stopped, or None where its model gave only NaN.

    Args:
        request: what to draw.
        selection: the job's models.
        options: of the host, as they were when the job began.
        faults: gets what goes wrong in the host's scripts; the host goes on without them.

    Raises:
        ModelsExchanged: other models were loaded meanwhile.
        RenderError: what went wrong, as one of ours.
    """
    from modules.processing import process_images

    is_img2img = request.init_image is not None
    try:
        with (
            selection.held(request.checkpoint, request.vae) as still_ours,
            borrowed_options({**options, **host_options(request)}),
            seeded(request.seed),
            closing(make_processing(request)) as processing,
            attached(processing, takings(request), faults, is_img2img=is_img2img),
        ):
            try:
                images: list[Any] = list(process_images(processing).images)
            except Exception as error:
                if not still_ours():
                    raise _exchanged() from error
                raise
            if not still_ours():
                raise _exchanged()
    except DeforumError:
        raise
    except Exception as error:
        if type(error).__name__ == "NansException":
            logger.warning("The WebUI's model returned NaN instead of an image: %s", error)
            return None
        raise_fault(faults)  # the error that follows from it says less
        if "meta tensor" in str(error) or "device meta" in str(
            error
        ):  # where hosts put models to delete them
            raise _exchanged() from error
        raise _as_ours(error) from error
    return images


def raise_fault(faults: Faults) -> None:
    """Let no image count in which a script of the host failed.

    Raises:
        RenderError: one did; of several faults the first one is the cause.
    """
    if faults.seen:
        title, error = faults.seen[0]
        raise _as_ours(error, title) from error


def _as_ours(error: Exception, part: str = "") -> RenderError:
    what = " ".join(str(error).split())[:300]
    no_memory = isinstance(error, torch.cuda.OutOfMemoryError) or "out of memory" in what.lower()
    if no_memory or "not enough memory" in what:
        return OutOfMemory(messages.OUT_OF_MEMORY())
    kind, reason = type(error).__name__, what or "its console says why"
    if part:
        return RenderError(messages.PART_FAILED(part=part, kind=kind, reason=reason))
    return RenderError(messages.GENERATION_FAILED(kind=kind, reason=reason))


def _exchanged() -> ModelsExchanged:
    return ModelsExchanged(messages.CHECKPOINT_REPLACED())
