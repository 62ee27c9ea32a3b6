"""What keeps ControlNet units from steering our own engines, found before the first frame."""

from __future__ import annotations

from collections.abc import Iterator

from deforum_helpers.controlnet.model_files import check_fit, control_folders, control_model
from deforum_helpers.controlnet.units import (
    acting_units,
    follows_frames,
    module_fault,
    module_of,
    module_warning,
)
from deforum_helpers.core.errors import ModelError, Problem
from deforum_helpers.pipeline.host_facts import HostFacts
from deforum_helpers.render.plan import Plan
from deforum_helpers.settings import ControlNetUnit, Settings
from deforum_helpers.settings.modes import is_moved

# Below this the shorter side of a picture has hardly any lines left.
COARSE_PX = 256


def control_problems(plan: Plan, facts: HostFacts) -> list[Problem]:
    """Return what is wrong with the units of a film where one of our own engines draws it.

    Names that another engine knows itself are left to it.
    """
    abilities = facts.abilities
    problems: list[Problem] = []
    for number, unit in acting_units(plan.settings):
        if abilities.no_controlnet:
            problems.append(_refused(number, abilities.no_controlnet))
        if abilities.own_controlnet:
            problems += _name_problems(number, unit, facts.model)
    return problems


def blank_problems(plan: Plan) -> list[Problem]:
    """Return which units have nothing that could steer a frame; they are left out of it."""
    return [problem for number, unit in acting_units(plan.settings) for problem in _blank(plan, number, unit)]


def unread_numbers(settings: Settings) -> frozenset[str]:
    """Return the names of the units' numbers that their preprocessors do not read; a foreign one may read all."""
    unread = set()
    for number, unit in enumerate(settings.controlnet, start=1):
        module = module_of(unit.module)
        if module is None:
            continue
        read = {
            "processor_res": module.sized and not unit.pixel_perfect,
            "threshold_a": module.a is not None,
            "threshold_b": module.b is not None,
        }
        unread |= {f"cn_{number}_{field}" for field, is_read in read.items() if not is_read}
    return frozenset(unread)


def control_warnings(plan: Plan, facts: HostFacts) -> list[str]:
    """Return what a person should know of the units of a film, as plain sentences."""
    warnings = []
    for number, unit in acting_units(plan.settings):
        if not unit.loopback_mode and follows_frames(unit):
            warnings.append(
                f"cn_{number}_vid_path is empty, so the unit is steered by the picture that each frame is drawn from, "
                f"as with cn_{number}_loopback_mode."
            )
        if not facts.abilities.own_controlnet:
            continue
        warning = module_warning(unit.module)
        if warning is not None:
            warnings.append(f"cn_{number}_module: {warning}.")
        module = module_of(unit.module)
        if module is not None and module.sized and not unit.pixel_perfect:
            side_px = module.resolution_px(unit.processor_res)
            if side_px < COARSE_PX:
                warnings.append(
                    f"cn_{number}_processor_res is {side_px}, so {module.name} sees only {side_px} pixels; "
                    f"cn_{number}_pixel_perfect, or a processor_res of 512 or -1, shows it more."
                )
    return warnings


def _blank(plan: Plan, number: int, unit: ControlNetUnit) -> Iterator[Problem]:
    """A unit without a picture of its own needs frames that are drawn from one; loopback waits for the second."""
    keys = plan.key_frames
    blank = [index for index, source in zip(keys.indices, keys.sources, strict=True) if source == "nothing"]
    waits = unit.loopback_mode and is_moved(plan.settings)
    if not follows_frames(unit) or not blank or waits:
        return
    setting = f"cn_{number}_loopback_mode" if unit.loopback_mode else f"cn_{number}_vid_path"
    why = "is on" if unit.loopback_mode else "is empty"
    message = (
        f"{setting} {why}, but frame {blank[0]} is drawn from nothing, so there is no picture that could steer it; "
        f"name a picture or video in cn_{number}_vid_path, or start from an init image."
    )
    yield Problem(message, setting, frame=blank[0], allowed="a picture or a video")


def _refused(number: int, why: str) -> Problem:
    setting = f"cn_{number}_enabled"
    message = f"{setting} is true, but {why}; switch it off, or render with a checkpoint of Stable Diffusion (--ckpt)."
    return Problem(message, setting, found="true", allowed="false")


def _name_problems(number: int, unit: ControlNetUnit, checkpoint: str | None) -> Iterator[Problem]:
    fault = module_fault(unit.module)
    if fault is not None:
        setting = f"cn_{number}_module"
        yield Problem(f"{setting} is {unit.module!r}: {fault}.", setting, found=unit.module)
    setting = f"cn_{number}_model"
    try:
        model = control_model(unit.model, control_folders(checkpoint))
        if checkpoint is not None:
            check_fit(model, checkpoint, allow_download=True)
    except ModelError as error:
        yield Problem(f"{setting} is {unit.model!r}: {error}", setting, found=unit.model)
