"""What ControlNet units do at each key frame, planned; and what they are steered by when it is drawn."""

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
    """One unit at one key frame.

    Args:
        unit: its number, 1..5.
        weight: how strongly it steers.
        guidance_start, guidance_end: share of sampling, 0..1, between which it acts.
        by_frame: whether it is steered by the picture that the frame is drawn from, else by one of its own.
    """

    unit: int
    weight: float
    guidance_start: float
    guidance_end: float
    by_frame: bool


@dataclass(frozen=True)
class UnitPictures:
    """What one unit reads, at any size.

    Args:
        picture: gives what it is steered by at a frame, (3, h, w), or None where it has none of its own.
        mask: gives where it steers at a frame, (h, w), or None for everywhere.
    """

    picture: Callable[[int], Image] | None = None
    mask: Callable[[int], Mask] | None = None


def plan_controls(
    units: Sequence[tuple[int, ControlNetUnit]], at: Mapping[str, float], starts_blank: bool
) -> tuple[Steering, ...]:
    """Return what the units do at a key frame.

    Args:
        units: those that act, each with its number.
        at: value of each schedule of numbers at that frame.
        starts_blank: whether the frame is drawn from nothing, which leaves units out that are steered by that.
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
    pictures: Mapping[int, UnitPictures],
    frame: int,
    start: Image | None,
) -> tuple[Control, ...]:
    """Return what an engine is given of the units at one drawing.

    Args:
        steerings: as planned.
        settings: give the rest of each unit.
        pictures: what units read, by their numbers.
        frame: number of the key frame.
        start: (3, H, W) what is drawn from, or None.
    """
    return tuple(
        control
        for steering in steerings
        if (control := _control(steering, settings, pictures[steering.unit], frame, start)) is not None
    )


def _control(
    steering: Steering, settings: Settings, read: UnitPictures, frame: int, start: Image | None
) -> Control | None:
    unit = settings.controlnet[steering.unit - 1]
    image = read.picture(frame) if read.picture is not None and not steering.by_frame else start
    if image is None:
        return None
    mask = None if read.mask is None else _at_size_of(read.mask(frame), image)
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


def cut_to(controls: tuple[Control, ...], box: Box, width_px: int, height_px: int) -> tuple[Control, ...]:
    """Return the controls of a drawing that fills the frame with a part of it: that part of each, enlarged alike.

    Args:
        controls: of the whole frame.
        box: the part that is drawn.
        width_px, height_px: of the frame.
    """
    from deforum_helpers.controlnet.preprocessors import FITS
    from deforum_helpers.image.convert import resized
    from deforum_helpers.image.fit import fitted

    def part(picture: Image, resize_mode: str) -> Image:
        whole = fitted(picture, width_px, height_px, FITS[resize_mode])
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
