"""ControlNet units: their planned values at each key frame, and their images at each generation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deforum_helpers.controlnet.units import follows_frames
from deforum_helpers.engines.base import Control
from deforum_helpers.settings import ControlNetUnit, Settings

if TYPE_CHECKING:
    from deforum_helpers.image.inpaint import Box
    from deforum_helpers.image.mask import Mask
    from deforum_helpers.image.types import Image

STRETCHED = "Just Resize"


@dataclass(frozen=True, slots=True)
class Steering:
    """One unit at one key frame. The plan's digest includes the names of this class and its fields.

    Args:
        unit: unit number, 1..5.
        weight: strength of the unit.
        guidance_start, guidance_end: shares of sampling, 0..1, between which the unit acts.
        by_frame: whether the unit's input is the init image of the generation (loopback) rather than its own.
    """

    unit: int
    weight: float
    guidance_start: float
    guidance_end: float
    by_frame: bool


@dataclass(frozen=True)
class UnitImages:
    """Inputs of one unit, at any size.

    Args:
        image: frame number -> input image (3, h, w); None where the unit has none of its own.
        mask: frame number -> mask (h, w), 1 = steered; None = everywhere.
    """

    image: Callable[[int], Image] | None = None
    mask: Callable[[int], Mask] | None = None


def plan_controls(
    units: Sequence[tuple[int, ControlNetUnit]], at: Mapping[str, float], starts_blank: bool
) -> tuple[Steering, ...]:
    """Return the values of the units at a key frame.

    Args:
        units: enabled units, each with its number.
        at: value of every numeric schedule at that frame.
        starts_blank: whether the frame has no init image; units in loopback are left out then.
    """

    def share(number: int, end: str) -> float:
        return min(max(at[f"cn_{number}_guidance_{end}"], 0.0), 1.0)

    return tuple(
        Steering(
            unit=number,
            weight=at[f"cn_{number}_weight"],
            guidance_start=share(number, "start"),
            guidance_end=share(number, "end"),
            by_frame=follows_frames(unit),
        )
        for number, unit in units
        if not (starts_blank and follows_frames(unit))
    )


def controls_at(
    steerings: tuple[Steering, ...],
    settings: Settings,
    inputs: Mapping[int, UnitImages],
    frame: int,
    start: Image | None,
) -> tuple[Control, ...]:
    """Return the engine's control inputs for one generation.

    Args:
        steerings: planned values of the units.
        settings: checked settings, for the constant values of each unit.
        inputs: images and masks of the units, by unit number.
        frame: number of the key frame.
        start: (3, H, W) init image of this generation, or None.
    """
    return tuple(
        control
        for steering in steerings
        if (control := _control(steering, settings, inputs[steering.unit], frame, start)) is not None
    )


def _control(
    steering: Steering, settings: Settings, inputs: UnitImages, frame: int, start: Image | None
) -> Control | None:
    unit = settings.controlnet[steering.unit - 1]
    image = inputs.image(frame) if inputs.image is not None and not steering.by_frame else start
    if image is None:
        return None
    mask = None if inputs.mask is None else _at_size_of(inputs.mask(frame), image)
    return Control(
        unit=steering.unit,
        module=unit.module,
        model=unit.model,
        image=image,
        mask=mask,
        weight=steering.weight,
        guidance_start=steering.guidance_start,
        guidance_end=steering.guidance_end,
        control_mode=unit.control_mode,
        resize_mode=unit.resize_mode,
        low_vram=unit.low_vram,
        pixel_perfect=unit.pixel_perfect,
        processor_res=unit.processor_res,
        threshold_a=unit.threshold_a,
        threshold_b=unit.threshold_b,
    )


def _at_size_of(mask: Mask, image: Image) -> Mask:
    from deforum_helpers.image.convert import resized

    height, width = image.shape[1:]
    return resized(mask[None], width, height)[0]


def crop_controls(
    controls: tuple[Control, ...], box: Box, width_px: int, height_px: int
) -> tuple[Control, ...]:
    """Return the controls for generating a part of the frame at full size: each image cropped and enlarged alike.

    Args:
        controls: controls of the whole frame.
        box: the part to generate.
        width_px, height_px: size of the frame.
    """
    from deforum_helpers.controlnet.preprocessors import FITS
    from deforum_helpers.image.convert import resized
    from deforum_helpers.image.fit import fitted

    def part(image: Image, resize_mode: str) -> Image:
        whole = fitted(image, width_px, height_px, FITS[resize_mode])
        return resized(box.of(whole), width_px, height_px)

    return tuple(
        replace(
            control,
            image=part(control.image, control.resize_mode),
            mask=None if control.mask is None else part(control.mask[None], control.resize_mode)[0],
            resize_mode=STRETCHED,
        )
        for control in controls
    )
