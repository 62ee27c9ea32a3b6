"""Generation of one image by the host: turns in its queue, its shared random generators, its errors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Literal

import numpy as np
import torch

from deforum_helpers.core.errors import DeforumError, MissingFeature, OutOfMemory, RenderError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import FreeU, GenerateRequest, KohyaHRFix
from deforum_helpers.webui import messages
from deforum_helpers.webui.controlnet import controlnet_script_args
from deforum_helpers.webui.facts import SCRIPTS, reason_missing
from deforum_helpers.webui.host_modules import optional_module
from deforum_helpers.webui.host_scripts import ScriptArgs, ScriptErrors, attached, find_script
from deforum_helpers.webui.model_choice import Selection
from deforum_helpers.webui.option_overrides import option_overrides
from deforum_helpers.webui.requests import host_options, make_processing, padded_size

# The host makes its initial noise from the same seed; the random numbers before that must differ from it.
OFFSET = 0x9E3779B9


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators of torch, numpy and the host, and restore their states on exit.

    Hosts seed torch only when sampling starts, after they have sampled the latent distribution of an init image.
    Python's own generator is left alone: hosts do not use it for images, but name other users' tasks with it.

    Args:
        seed: of the request, any integer.
    """
    start = (seed + OFFSET) % 2**32
    rng = optional_module("modules.rng")
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
    """Yield, for each shared generator, the functions that get and set its state."""
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
    """The turns of one job in the host's queue.

    Between two turns the host serves other users. Interrupt or Skip may be pressed for the job in that time, too; it
    counts if nobody else has had a turn since.
    """

    def __init__(self) -> None:
        self._began_at: float | None = None

    @contextmanager
    def next(self, cancel: CancelToken) -> Iterator[Turn]:
        """Wait for the host's queue and hold it for the length of the context.

        Raises:
            Cancelled: the job was cancelled while it waited.
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
        """Ignore earlier presses: a reload of the host sets Interrupt, too."""
        self._began_at = None

    def _pressed(self, state: Any) -> Ending:
        if self._began_at is None or state.time_start != self._began_at:
            return "finished"
        return _ending(state)


class Turn:
    """One turn: watches the job's token while the host generates.

    Args:
        state: of the host.
        cancel: of the job.
        pressed: the button pressed before the turn began; "finished" = none.
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
        """Return how generation ended; except for "finished" the image is incomplete or missing."""
        if self._cancel.stop_request == "cancel":
            return "cancelled"
        ending = _ending(self._state)
        return "skipped" if self._skipped and ending == "finished" else ending

    def close(self) -> None:
        """Stop watching, so that a late cancel cannot reach the next user's image, and reset the flags set here."""
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
            # The host resets a press that comes before its sampler runs.
            self._skipped = self._skipped or self._state.skipped


def _ending(state: Any) -> Ending:
    if state.interrupted or getattr(state, "stopping_generation", False):
        return "interrupted"
    return "skipped" if state.skipped else "finished"


@contextmanager
def locked(lock: Any, cancel: CancelToken) -> Iterator[None]:
    """Hold the host's lock, which has no timeout; a cancelled job leaves the waiting line."""
    place = None if lock.acquire(False) else _Place(lock)
    while place is not None and not place.reached.wait(LOOK_EVERY_S):
        cancel.beat()  # waiting for others does not count as hanging
        if cancel.stop_request == "cancel":
            place.leave()
            cancel.check_cancel()
    try:
        yield
    finally:
        lock.release()


class _Place:
    """A place in the waiting line for a lock, held by a thread of its own."""

    def __init__(self, lock: Any) -> None:
        self.reached = threading.Event()
        self._lock = lock
        self._left = False
        self._deciding = threading.Lock()
        threading.Thread(target=self._stand, name="deforum-place", daemon=True).start()

    def leave(self) -> None:
        """Leave the line; the lock is released as soon as the thread gets it."""
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


class CheckpointReplaced(RenderError):
    """Another thread of the host loaded other models during generation; the image is discarded."""

    retryable = True


def host_images(
    request: GenerateRequest, selection: Selection, options: Mapping[str, Any], script_errors: ScriptErrors
) -> list[Any] | None:
    """Return the host's images: empty if it was stopped, None if its model returned NaN.

    Args:
        request: the image to generate.
        selection: the job's models.
        options: of the host when the job began.
        script_errors: collects errors of the host's scripts; the host continues without the script.

    Raises:
        CheckpointReplaced: other models were loaded meanwhile.
        RenderError: generation failed.
    """
    from modules.processing import process_images

    is_img2img = request.init_image is not None
    try:
        with (
            selection.held(request.checkpoint, request.vae) as still_ours,
            option_overrides({**options, **host_options(request)}),
            seeded(request.seed),
            closing(make_processing(request)) as processing,
            attached(processing, script_args(request), script_errors, is_img2img=is_img2img),
        ):
            try:
                images: list[Any] = list(process_images(processing).images)
            except Exception as error:
                if not still_ours():
                    raise _checkpoint_replaced() from error
                raise
            if not still_ours():
                raise _checkpoint_replaced()
    except DeforumError:
        raise
    except Exception as error:
        if type(error).__name__ == "NansException":
            logger.warning("The WebUI's model returned NaN instead of an image: %s", error)
            return None
        raise_script_error(script_errors)  # it is the cause of `error` and says more
        if "meta tensor" in str(error) or "device meta" in str(
            error
        ):  # the device that hosts move models to before deleting them
            raise _checkpoint_replaced() from error
        raise _as_ours(error) from error
    return images


def raise_script_error(script_errors: ScriptErrors) -> None:
    """Fail if a script of the host failed during generation.

    Raises:
        RenderError: the first error, which is the cause of the others.
    """
    if script_errors.seen:
        title, error = script_errors.seen[0]
        raise _as_ours(error, title) from error


def _as_ours(error: Exception, part: str = "") -> RenderError:
    reason = " ".join(str(error).split())[:300]
    no_memory = isinstance(error, torch.cuda.OutOfMemoryError) or "out of memory" in reason.lower()
    if no_memory or "not enough memory" in reason:
        return OutOfMemory(messages.OUT_OF_MEMORY())
    kind, reason = type(error).__name__, reason or "its console says why"
    if part:
        return RenderError(messages.PART_FAILED(part=part, kind=kind, reason=reason))
    return RenderError(messages.GENERATION_FAILED(kind=kind, reason=reason))


def _checkpoint_replaced() -> CheckpointReplaced:
    return CheckpointReplaced(messages.CHECKPOINT_REPLACED())


def script_args(request: GenerateRequest) -> tuple[ScriptArgs, ...]:
    """Return the scripts of the host that `request` needs, with their arguments.

    Raises:
        MissingFeature: the host does not have one of them.
        RenderError: the host's ControlNet refuses a unit.
    """
    is_img2img = request.init_image is not None
    units = controlnet_script_args(request.controls, padded_size(request), is_img2img=is_img2img)
    return (*units, *_unet_script_args(request, is_img2img))


def _unet_script_args(request: GenerateRequest, is_img2img: bool) -> Iterator[ScriptArgs]:
    wanted = {
        "freeu_enabled": _freeu_arguments(request.freeu) if request.freeu else None,
        "kohya_hrfix_enabled": _hrfix_arguments(request.kohya_hrfix) if request.kohya_hrfix else None,
    }
    for switch, arguments in wanted.items():
        if arguments is None:
            continue
        script = find_script(SCRIPTS[switch][0], is_img2img=is_img2img)
        if script is None:
            raise MissingFeature(reason_missing(switch).at(switch))
        yield ScriptArgs(script, arguments[: script.args_to - script.args_from])


def _freeu_arguments(freeu: FreeU) -> tuple[Any, ...]:
    """Return enabled, the four factors, and start and end of sampling; older versions lack the last two."""
    return (True, freeu.b1, freeu.b2, freeu.s1, freeu.s2, 0.0, 1.0)


def _hrfix_arguments(fix: KohyaHRFix) -> tuple[Any, ...]:
    return (
        True,
        fix.block_number,
        fix.downscale_factor,
        fix.start,
        fix.end,
        fix.downscale_after_skip,
        fix.downscale_method,
        fix.upscale_method,
    )
