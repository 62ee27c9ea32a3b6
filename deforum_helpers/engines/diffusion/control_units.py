"""The ControlNet units of a request, made ready: models loaded, control pictures made, masks fitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from deforum_helpers.controlnet.preprocessors import FITS, Look, Preprocessors
from deforum_helpers.engines.base import Control, GenerateRequest
from deforum_helpers.engines.control_models import WRONG_CHECKPOINT
from deforum_helpers.engines.diffusion.autoencoder import Canvas
from deforum_helpers.engines.diffusion.control_nets import control_net
from deforum_helpers.engines.diffusion.families import Family, StableDiffusion
from deforum_helpers.engines.diffusion.loading import LoadedModel
from deforum_helpers.engines.diffusion.steering import Unit, steering_at, unit_of
from deforum_helpers.errors import ModelError
from deforum_helpers.image.fit import fitted
from deforum_helpers.image.types import Image


class ControlUnits:
    """Makes units ready; remembers each unit's last control picture, as a still one comes again with every frame.

    Args:
        device: where the engine draws.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._preprocessors = Preprocessors(device)
        self._last: dict[int, tuple[Image, Look, tuple[int, int], Image]] = {}

    @contextmanager
    def ready(
        self, model: LoadedModel, request: GenerateRequest, canvas: Canvas, checkpoint: str
    ) -> Iterator[tuple[Unit, ...]]:
        """Give the units of a request; those of low_vram leave the device's memory when the picture is drawn.

        Args:
            model: what is steered.
            request: gives the controls; those of weight 0 do nothing.
            canvas: the size that is drawn.
            checkpoint: path beside which ControlNets are looked for.

        Raises:
            ModelError: a ControlNet is missing, broken or of another kind; or this kind of model takes none.
            MissingFeature: a preprocessor is missing.
        """
        controls = tuple(control for control in request.controls if control.weight != 0)
        if controls and not isinstance(model.family, StableDiffusion):
            raise ModelError(WRONG_CHECKPOINT)
        units = tuple(self._unit(model, control, canvas, checkpoint) for control in controls)
        try:
            yield units
        finally:
            for control, unit in zip(controls, units, strict=True):
                if control.low_vram and self._device.type != "cpu":
                    unit.network.to(torch.device("cpu"))

    def _unit(self, model: LoadedModel, control: Control, canvas: Canvas, checkpoint: str) -> Unit:
        picture = canvas.padded(self._picture(control, canvas).to(self._device))
        mask = None
        if control.mask is not None:
            fit = FITS[control.resize_mode]
            plane = control.mask.to(self._device)[None]
            mask = canvas.padded(fitted(plane, canvas.width_px, canvas.height_px, fit))
        network = control_net(model, control.model, checkpoint, self._device)
        return unit_of(control, network, picture.to(network.dtype), mask)

    def _picture(self, control: Control, canvas: Canvas) -> Image:
        look = Look(
            control.module,
            control.resize_mode,
            control.pixel_perfect,
            control.processor_res,
            control.threshold_a,
            control.threshold_b,
        )
        size = canvas.width_px, canvas.height_px
        last = self._last.get(control.unit)
        if last is None or last[0] is not control.image or last[1:3] != (look, size):
            picture = self._preprocessors.control_picture(control.image, look, *size)
            last = self._last[control.unit] = (control.image, look, size, picture)
        return last[3]


def steered(family: Family, units: Sequence[Unit], step: int, steps: int) -> Family:
    """Return a network with what the units add to it at step number `step` of `steps`."""
    if not units or not isinstance(family, StableDiffusion):
        return family
    return replace(family, steering=steering_at(units, step, steps))
