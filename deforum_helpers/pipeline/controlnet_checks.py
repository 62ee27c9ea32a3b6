"""Checks of ControlNet units for the project's own engines, made before the first frame."""

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
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.host_facts import HostFacts
from deforum_helpers.render.plan import Plan
from deforum_helpers.settings import ControlNetUnit, Settings
from deforum_helpers.settings.modes import is_moved

# With a shorter side below this, a control image hardly shows any edges.
COARSE_PX = 256


def control_problems(plan: Plan, facts: HostFacts) -> list[Problem]:
    """Return the problems of a plan's units with the engine that generates its frames.

    An engine with ControlNets of its own checks the names of models and preprocessors itself.
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
    """Return a problem for each unit without an image to follow at some frame; it is left out of that frame."""
    return [problem for number, unit in acting_units(plan.settings) for problem in _blank(plan, number, unit)]


def unread_numbers(settings: Settings) -> frozenset[str]:
    """Return the settings of the units that their preprocessors ignore; an unknown preprocessor may read all."""
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
    """Return warnings about the units of a plan, one sentence each."""
    warnings: list[str] = []
    for number, unit in acting_units(plan.settings):
        if not unit.loopback_mode and follows_frames(unit):
            warnings.append(messages.UNIT_FOLLOWS_FRAMES(unit=number))
        if not facts.abilities.own_controlnet:
            continue
        warning = module_warning(unit.module)
        if warning is not None:
            warnings.append(messages.UNIT_NOTE(setting=f"cn_{number}_module", note=warning))
        module = module_of(unit.module)
        if module is not None and module.sized and not unit.pixel_perfect:
            side_px = module.resolution_px(unit.processor_res)
            if side_px < COARSE_PX:
                warnings.append(messages.UNIT_TOO_COARSE(unit=number, side=side_px, module=module.name))
    return warnings


def _blank(plan: Plan, number: int, unit: ControlNetUnit) -> Iterator[Problem]:
    """A unit without an image of its own follows init images; in loopback the first frame may lack one."""
    keys = plan.key_frames
    blank = [index for index, source in zip(keys.indices, keys.sources, strict=True) if source == "nothing"]
    waits = unit.loopback_mode and is_moved(plan.settings)
    if not follows_frames(unit) or not blank or waits:
        return
    setting = f"cn_{number}_loopback_mode" if unit.loopback_mode else f"cn_{number}_vid_path"
    state = "is on" if unit.loopback_mode else "is empty"
    message = messages.UNIT_WITHOUT_IMAGE(setting=setting, state=state, frame=blank[0], unit=number)
    yield Problem(message, setting, frame=blank[0], allowed="an image or a video")


def _refused(number: int, reason: str) -> Problem:
    setting = f"cn_{number}_enabled"
    message = messages.UNIT_REFUSED(setting=setting, reason=reason)
    return Problem(message, setting, found="true", allowed="false")


def _name_problems(number: int, unit: ControlNetUnit, checkpoint: str | None) -> Iterator[Problem]:
    fault = module_fault(unit.module)
    if fault is not None:
        setting = f"cn_{number}_module"
        message = messages.UNIT_VALUE_REFUSED(setting=setting, found=unit.module, reason=f"{fault}.")
        yield Problem(message, setting, found=unit.module)
    setting = f"cn_{number}_model"
    try:
        model = control_model(unit.model, control_folders(checkpoint))
        if checkpoint is not None:
            check_fit(model, checkpoint, allow_download=True)
    except ModelError as error:
        message = messages.UNIT_VALUE_REFUSED(setting=setting, found=unit.model, reason=error)
        yield Problem(message, setting, found=unit.model)
