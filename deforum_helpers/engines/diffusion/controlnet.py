"""Loading ControlNets, a few of which are cached with the checkpoint that they steer, and preparing units."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from deforum_helpers.controlnet.messages import CONTROL_NETS_UNSUPPORTED
from deforum_helpers.controlnet.model_files import (
    ControlModel,
    control_folders,
    control_model,
    misfit,
)
from deforum_helpers.controlnet.preprocessors import FITS, Preprocessors, PreprocessorSettings
from deforum_helpers.core.errors import ModelError
from deforum_helpers.engines import messages
from deforum_helpers.engines.base import Control, GenerateRequest
from deforum_helpers.engines.diffusion.autoencoder import Canvas
from deforum_helpers.engines.diffusion.control_residuals import Unit, steering_at, unit_of
from deforum_helpers.engines.diffusion.families import Family, StableDiffusion
from deforum_helpers.engines.diffusion.loading import (
    LOAD_ERRORS,
    LoadedModel,
    channels_last,
    damaged_model,
    dtype_argument,
    quiet_libraries,
)
from deforum_helpers.image.fit import fitted
from deforum_helpers.image.types import Image
from deforum_helpers.models.weights.headers import safetensors_shapes

# One for each unit.
MOST_KEPT = 5


def control_net(model: LoadedModel, name: str, checkpoint: str, device: torch.device) -> Any:
    """Return a ControlNet for `model`, on the device; it is cached with the model, least recently used first out.

    Args:
        model: the checkpoint that is steered.
        name: as the settings have it.
        checkpoint: path beside which it is looked for.
        device: where it runs.

    Raises:
        ModelError: missing, broken, or made for another kind of checkpoint.
    """
    found = control_model(name, control_folders(checkpoint))
    kept = model.control_nets
    network = kept.pop(found.path, None)
    if network is None:
        network = _read(found, model.network)
    kept[found.path] = network
    while len(kept) > MOST_KEPT:
        del kept[next(iter(kept))]
    return network.to(device)


def _read(model: ControlModel, unet: Any) -> Any:
    wanted, name = unet.config.cross_attention_dim, model.path.name
    if model.text_width is not None and model.text_width != wanted:
        raise ModelError(misfit(name, model.text_width, wanted))
    load = _from_folder if model.source == "folder" else _from_file
    try:
        with quiet_libraries():
            network = load(model.path, unet)
    except LOAD_ERRORS as error:
        raise damaged_model(f"ControlNet {name!r}", error) from error
    if tuple(network.config.block_out_channels) != tuple(unet.config.block_out_channels):
        raise ModelError(messages.CONTROL_NET_LAYERS(name=name))
    network.eval().requires_grad_(False)
    channels_last(network)
    return network


def _from_folder(folder: Path, unet: Any) -> Any:
    import diffusers

    names = [path.name for path in folder.glob("*.safetensors")]
    options: dict[str, Any] = {dtype_argument("diffusers"): unet.dtype}
    if all(name.endswith(".fp16.safetensors") for name in names):
        options["variant"] = "fp16"
    return diffusers.ControlNetModel.from_pretrained(
        str(folder), use_safetensors=True, local_files_only=True, **options
    )


def _from_file(path: Path, unet: Any) -> Any:
    """Read a file in the layout of diffusers or of the original; it has the layers of the U-Net's first half."""
    import diffusers

    with torch.device("meta"):
        shape = diffusers.ControlNetModel.from_unet(
            unet,
            conditioning_embedding_out_channels=_embedding_channels(path),
            load_weights_from_unet=False,
        )
    with tempfile.TemporaryDirectory() as folder:
        config = {**shape.config, "_class_name": "ControlNetModel"}
        Path(folder, "config.json").write_text(json.dumps(config, default=list), encoding="utf-8")
        network = diffusers.ControlNetModel.from_single_file(
            str(path), config=folder, local_files_only=True, **{dtype_argument("diffusers"): unet.dtype}
        )
    if any(weights.is_meta for weights in network.parameters()):
        raise ValueError("weights are missing")
    return network


def _embedding_channels(path: Path) -> tuple[int, ...]:
    """Return the channels of the layers that read the control image: the first, then each that halves it."""
    shapes = {name.removeprefix("control_model."): shape for name, shape in safetensors_shapes(path).items()}
    first = shapes.get("controlnet_cond_embedding.conv_in.weight")
    if first is not None:
        numbered, begin, step = "controlnet_cond_embedding.blocks.{}.weight", 1, 2
    else:
        first = shapes["input_hint_block.0.weight"]
        numbered, begin, step = "input_hint_block.{}.weight", 4, 4
    channels = [first[0]]
    place = begin
    while (shape := shapes.get(numbered.format(place))) is not None:
        channels.append(shape[0])
        place += step
    return tuple(channels)


class ControlUnits:
    """Prepares units; caches each unit's last control image, as a still input repeats with every frame.

    Args:
        device: of the engine.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._preprocessors = Preprocessors(device)
        self._last: dict[int, tuple[Image, PreprocessorSettings, tuple[int, int], Image]] = {}

    @contextmanager
    def ready(
        self, model: LoadedModel, request: GenerateRequest, canvas: Canvas, checkpoint: str
    ) -> Iterator[tuple[Unit, ...]]:
        """Yield the units of a request; those with low_vram leave the device's memory afterwards.

        Args:
            model: the checkpoint that is steered.
            request: its controls are used; those of weight 0 are skipped.
            canvas: the generated size.
            checkpoint: path beside which ControlNets are looked for.

        Raises:
            ModelError: a ControlNet is missing, broken or of another kind; or this kind of model takes none.
            MissingFeature: a preprocessor is missing.
        """
        controls = tuple(control for control in request.controls if control.weight != 0)
        if controls and not isinstance(model.family, StableDiffusion):
            raise ModelError(CONTROL_NETS_UNSUPPORTED())
        units = tuple(self._unit(model, control, canvas, checkpoint) for control in controls)
        try:
            yield units
        finally:
            for control, unit in zip(controls, units, strict=True):
                if control.low_vram and self._device.type != "cpu":
                    unit.network.to(torch.device("cpu"))

    def _unit(self, model: LoadedModel, control: Control, canvas: Canvas, checkpoint: str) -> Unit:
        image = canvas.padded(self._control_image(control, canvas).to(self._device))
        mask = None
        if control.mask is not None:
            fit = FITS[control.resize_mode]
            plane = control.mask.to(self._device)[None]
            mask = canvas.padded(fitted(plane, canvas.width_px, canvas.height_px, fit))
        network = control_net(model, control.model, checkpoint, self._device)
        return unit_of(control, network, image.to(network.dtype), mask)

    def _control_image(self, control: Control, canvas: Canvas) -> Image:
        settings = PreprocessorSettings(
            control.module,
            control.resize_mode,
            control.pixel_perfect,
            control.processor_res,
            control.threshold_a,
            control.threshold_b,
        )
        size = canvas.width_px, canvas.height_px
        last = self._last.get(control.unit)
        if last is None or last[0] is not control.image or last[1:3] != (settings, size):
            image = self._preprocessors.control_image(control.image, settings, *size)
            last = self._last[control.unit] = (control.image, settings, size, image)
        return last[3]


def with_units(family: Family, units: Sequence[Unit], step: int, steps: int) -> Family:
    """Return a network that the units steer at step number `step` of `steps`."""
    if not units or not isinstance(family, StableDiffusion):
        return family
    return replace(family, steering=steering_at(units, step, steps))
