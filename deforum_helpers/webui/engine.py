"""The host's own model as an engine: each image is generated within one turn of the host's queue."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from deforum_helpers.core.errors import Cancelled, RenderError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.registry import WEBUI
from deforum_helpers.image.convert import from_bytes, resized
from deforum_helpers.image.types import Image
from deforum_helpers.webui import messages, pages
from deforum_helpers.webui.facts import check_faces
from deforum_helpers.webui.generation import (
    CheckpointReplaced,
    Ending,
    Turns,
    host_images,
    locked,
    raise_script_error,
)
from deforum_helpers.webui.host_modules import optional_module
from deforum_helpers.webui.host_scripts import ScriptErrors
from deforum_helpers.webui.model_choice import MODEL_OPTIONS, make_selection
from deforum_helpers.webui.option_overrides import generation_options
from deforum_helpers.webui.requests import padded_size

logger = logging.getLogger(__name__)

PAUSE_POLL_S = 0.1
MAX_REPLACEMENTS = 5
_LORA = re.compile(r"<(?:lora|lyco):([^:>]+)")


def _device() -> torch.device:
    from modules import devices

    kind = torch.device(devices.get_optimal_device())
    return kind if kind.type == "cuda" else torch.device("cpu")


@contextmanager
def exclusive_device(cancel: CancelToken) -> Iterator[torch.device]:
    """Hold the host's queue, with the host's models unloaded from the device.

    Raises:
        Cancelled: the job was cancelled while it waited for the queue.
    """
    from modules import call_queue, devices

    with locked(call_queue.queue_lock, cancel):
        restore = _unload()
        devices.torch_gc()
        try:
            yield _device()
        finally:
            restore()


class HostEngine:
    """Generates with the models and options that were selected in the host when the job began; one per job.

    The host's Interrupt cancels the job and its Skip pauses it until the next Skip. "Reload UI" interrupts an image,
    too, but the image is generated again afterwards.
    """

    name = WEBUI.name

    def __init__(self) -> None:
        self.device = _device()
        self._selection = make_selection()
        selected = generation_options()
        self._options = {name: value for name, value in selected.items() if name not in MODEL_OPTIONS}
        self._turns = Turns()

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        """Return the image of `request`.

        Raises:
            Cancelled: the job was cancelled, or a user pressed Interrupt in the host.
            Parked: the job was parked while it was paused.
            OutOfMemory: the device ran out of memory.
            ModelError: the host has no such checkpoint, VAE, sampler or scheduler.
            MissingFeature: the host has no ControlNet, FreeU or Kohya HRFix, which the request needs.
            CheckpointReplaced: other threads of the host loaded other models during every attempt.
            RenderError: the host failed to generate.
        """
        replacements = 0
        while True:
            if pages.wait_for_reload(cancel):
                self._turns.forget()
            cancel.check_cancel()
            try:
                ending, generated = self._generate(request, cancel)
            except CheckpointReplaced:
                replacements += 1
                if replacements == MAX_REPLACEMENTS:
                    raise
                logger.info("The WebUI has loaded another checkpoint; the frame is generated again.")
                continue
            if ending == "finished" and generated is not None:
                image = from_bytes(_cropped(generated, request), self.device)
                return resized(image, request.width_px, request.height_px)
            cancel.check_cancel()
            if ending == "skipped":
                _pause(cancel)
            elif not pages.reload_begins_within(pages.GRACE_S):
                raise Cancelled(messages.INTERRUPTED())

    def _generate(self, request: GenerateRequest, cancel: CancelToken) -> tuple[Ending, np.ndarray | None]:
        """Generate once; return the image as (H, W, 3) uint8, or None if it was interrupted."""
        script_errors = ScriptErrors()
        with self._turns.next(cancel) as turn:
            if turn.pressed != "finished":
                return turn.pressed, None
            images = host_images(request, self._selection, self._options, script_errors)
            ending = turn.ending()
        if ending != "finished":
            return ending, None
        raise_script_error(script_errors)
        if request.restore_faces:
            check_faces()
        if images is None:
            width, height = padded_size(request)
            return ending, np.zeros((height, width, 3), np.uint8)
        if not images:
            raise RenderError(messages.NO_IMAGE())
        generated = np.asarray(images[0].convert("RGB"))
        if not generated.any():
            logger.warning("The WebUI generated a black image.")
        return ending, generated

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Unload the host's models from the device and hold the host's queue for the length of the context."""
        with exclusive_device(CancelToken()):
            yield

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        """Return warnings about parts of `request` that the host ignores silently."""
        found = [
            messages.LORA_MISSING(name=name)
            for name in _unknown_loras(f"{request.prompt} {request.negative_prompt}")
        ]
        if request.tiling and optional_module("modules_forge.main_entry"):
            found.append(messages.NO_TILING())
        if request.blend is not None:
            found.append(messages.BLENDS_ARE_WEIGHTED())
        return tuple(found)


def _cropped(generated: np.ndarray, request: GenerateRequest) -> np.ndarray:
    """Remove the padding up to the host's multiple; an image that the host made smaller stays unchanged."""
    return generated[: request.height_px, : request.width_px]


def _pause(cancel: CancelToken) -> None:
    """Wait until Skip is pressed again; a press while the host serves another user is not counted.

    Raises:
        Cancelled, Parked: the job was cancelled or parked, or a user pressed Interrupt.
    """
    from modules import shared

    before = (shared.state.skipped, shared.state.interrupted)
    logger.info("The job is paused: press Skip again to continue.")
    while True:
        time.sleep(PAUSE_POLL_S)
        cancel.check()
        now = (shared.state.skipped, shared.state.interrupted)
        pressed = [flag and not old for flag, old in zip(now, before, strict=True)]
        before = now
        if shared.state.job or not any(pressed):
            continue
        shared.state.skipped = False
        if pressed[0]:
            logger.info("The job continues.")
            return
        if not pages.reload_begins_within(pages.GRACE_S):
            raise Cancelled(messages.INTERRUPTED())
        pages.wait_for_reload(cancel)


def _unload() -> Callable[[], None]:
    """Unload the host's models from the device; return a function that loads back those that the host would not."""
    from modules import sd_models, shared

    memory = optional_module("backend.memory_management") or optional_module(
        "ldm_patched.modules.model_management"
    )
    if memory is not None:
        memory.unload_all_models()
        return lambda: None
    sd_models.send_model_to_cpu(shared.sd_model)
    return lambda: sd_models.send_model_to_device(shared.sd_model)


def _unknown_loras(prompt: str) -> list[str]:
    """Return the LoRAs of a prompt that are missing in the host's list."""
    networks = sys.modules.get("networks")
    known = {
        name
        for table in ("available_networks", "available_network_aliases", "forbidden_network_aliases")
        for name in getattr(networks, table, ())
    }
    wanted = dict.fromkeys(name.strip() for name in _LORA.findall(prompt))
    return [name for name in wanted if known and name not in known]
