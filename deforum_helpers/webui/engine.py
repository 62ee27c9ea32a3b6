"""The host's own model as an engine: one picture at a time, in our turn at the host's queue."""

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
from deforum_helpers.webui.features import check_faces
from deforum_helpers.webui.generation import Ending, ModelsExchanged, Turns, host_images, locked, raise_fault
from deforum_helpers.webui.host_modules import part
from deforum_helpers.webui.host_scripts import Faults
from deforum_helpers.webui.model_choice import MODEL_OPTIONS, make_selection
from deforum_helpers.webui.option_overrides import drawing_options
from deforum_helpers.webui.requests import padded_size

logger = logging.getLogger(__name__)

PAUSE_LOOK_EVERY_S = 0.1
MOST_EXCHANGES = 5
_LORA = re.compile(r"<(?:lora|lyco):([^:>]+)")


def _device() -> torch.device:
    from modules import devices

    kind = torch.device(devices.get_optimal_device())
    return kind if kind.type == "cuda" else torch.device("cpu")


@contextmanager
def lent_device(cancel: CancelToken) -> Iterator[torch.device]:
    """Wait for our turn at the host's queue; then hold it, with the host's models out of the device's memory.

    Raises:
        Cancelled: the token said so before it was our turn.
    """
    from modules import call_queue, devices

    with locked(call_queue.queue_lock, cancel):
        back = _unload()
        devices.torch_gc()
        try:
            yield _device()
        finally:
            back()


class HostEngine:
    """Draws with the models and options that were chosen in the host when the job began; one per job.

    The host's Interrupt ends the job, its Skip pauses it until the next Skip, and its "Reload UI" does neither.
    """

    name = WEBUI.name

    def __init__(self) -> None:
        self.device = _device()
        self._selection = make_selection()
        chosen = drawing_options()
        self._options = {name: value for name, value in chosen.items() if name not in MODEL_OPTIONS}
        self._turns = Turns()

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        """Return the picture of `request`.

        Raises:
            Cancelled: the token said so, or someone pressed Interrupt in the host.
            Parked: the token said so while the job was paused.
            OutOfMemory: the device's memory did not suffice.
            ModelError: the host has no such checkpoint, VAE, sampler or scheduler.
            MissingFeature: it has no ControlNet, FreeU or Kohya HRFix, which the request asks for.
            ModelsExchanged: other threads of the host loaded other models, each time that it drew.
            RenderError: the host failed to draw.
        """
        exchanges = 0
        while True:
            if pages.wait_until_over(cancel):
                self._turns.forget()
            cancel.check_cancel()
            try:
                ending, drawn = self._draw(request, cancel)
            except ModelsExchanged:
                exchanges += 1
                if exchanges == MOST_EXCHANGES:
                    raise
                logger.info("The WebUI has loaded another checkpoint; the frame is generated again.")
                continue
            if ending == "finished" and drawn is not None:
                image = from_bytes(_cut(drawn, request), self.device)
                return resized(image, request.width_px, request.height_px)
            cancel.check_cancel()
            if ending == "skipped":
                _pause(cancel)
            elif not pages.seen_within(pages.GRACE_S):
                raise Cancelled(messages.INTERRUPTED())

    def _draw(self, request: GenerateRequest, cancel: CancelToken) -> tuple[Ending, np.ndarray | None]:
        """Let the host draw once; the picture is (H, W, 3) uint8, and None where it is not to be used."""
        faults = Faults()
        with self._turns.next(cancel) as turn:
            if turn.pressed != "finished":
                return turn.pressed, None
            images = host_images(request, self._selection, self._options, faults)
            ending = turn.ending()
        if ending != "finished":
            return ending, None
        raise_fault(faults)
        if request.restore_faces:
            check_faces()
        if images is None:
            width, height = padded_size(request)
            return ending, np.zeros((height, width, 3), np.uint8)
        if not images:
            raise RenderError(messages.NO_IMAGE())
        drawn = np.asarray(images[0].convert("RGB"))
        if not drawn.any():
            logger.warning("The WebUI generated a black image.")
        return ending, drawn

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Take the host's models out of the device's memory, and let nobody draw meanwhile."""
        with lent_device(CancelToken()):
            yield

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        """Return what the host will silently leave out of `request`."""
        found = [
            messages.LORA_MISSING(name=name)
            for name in _unknown_loras(f"{request.prompt} {request.negative_prompt}")
        ]
        if request.tiling and part("modules_forge.main_entry"):
            found.append(messages.NO_TILING())
        if request.blend is not None:
            found.append(messages.BLENDS_ARE_WEIGHTED())
        return tuple(found)


def _cut(drawn: np.ndarray, request: GenerateRequest) -> np.ndarray:
    """Cut off what was added up to the host's multiple; a host that chose a smaller size leaves it as it is."""
    return drawn[: request.height_px, : request.width_px]


def _pause(cancel: CancelToken) -> None:
    """Return when Skip is pressed again; a press counts while nobody is served.

    Raises:
        Cancelled, Parked: the token said so, or someone pressed Interrupt.
    """
    from modules import shared

    before = (shared.state.skipped, shared.state.interrupted)
    logger.info("The job is paused: press Skip again to continue.")
    while True:
        time.sleep(PAUSE_LOOK_EVERY_S)
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
        if not pages.seen_within(pages.GRACE_S):
            raise Cancelled(messages.INTERRUPTED())
        pages.wait_until_over(cancel)


def _unload() -> Callable[[], None]:
    """Take the host's models out of the device's memory; return what brings back those that nobody else would."""
    from modules import sd_models, shared

    memory = part("backend.memory_management") or part("ldm_patched.modules.model_management")
    if memory is not None:
        memory.unload_all_models()
        return lambda: None
    sd_models.send_model_to_cpu(shared.sd_model)
    return lambda: sd_models.send_model_to_device(shared.sd_model)


def _unknown_loras(prompt: str) -> list[str]:
    """Return the LoRAs of a prompt that the host's list does not have."""
    networks = sys.modules.get("networks")
    known = {
        name
        for table in ("available_networks", "available_network_aliases", "forbidden_network_aliases")
        for name in getattr(networks, table, ())
    }
    wanted = dict.fromkeys(name.strip() for name in _LORA.findall(prompt))
    return [name for name in wanted if known and name not in known]
