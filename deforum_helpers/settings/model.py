"""The declaration of all settings, combined from its groups in the order of a settings file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from deforum_helpers.settings.fields import FieldInfo, declared
from deforum_helpers.settings.model_animation import AnimationSettings
from deforum_helpers.settings.model_controlnet import UNITS, ControlNetUnit
from deforum_helpers.settings.model_guided import (
    FreeUSettings,
    KohyaHRFixSettings,
    LoopSettings,
    ParseqSettings,
)
from deforum_helpers.settings.model_output import OutputSettings
from deforum_helpers.settings.model_prompts import PromptSettings, RunRecord, TabOnly
from deforum_helpers.settings.model_run import RunSettings


@dataclass(frozen=True)
class Settings(
    RunSettings,
    PromptSettings,
    AnimationSettings,
    ParseqSettings,
    LoopSettings,
    FreeUSettings,
    KohyaHRFixSettings,
    OutputSettings,
    RunRecord,
    TabOnly,
):
    """All settings of a run, typed; `controlnet` has the units that files name cn_1_... to cn_5_...

    Schedules are text here; the plan evaluates them.
    """

    controlnet: tuple[ControlNetUnit, ...] = field(default=(ControlNetUnit(),) * UNITS)


def _unit_fields(number: int) -> Iterator[tuple[str, FieldInfo]]:
    for name, info in declared(ControlNetUnit, "ControlNetArgs").items():
        flat = f"cn_{number}_{name}"
        yield (
            flat,
            dataclasses.replace(
                info,
                name=flat,
                tab=f"ControlNet > CN Model {number}",
                used_when=info.used_when.prefixed(f"cn_{number}_"),
            ),
        )


def _fields() -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo] = {}
    fields |= declared(RunSettings, "DeforumArgs")
    fields |= declared(PromptSettings, "prompts")
    fields |= declared(AnimationSettings, "DeforumAnimArgs")
    fields |= declared(ParseqSettings, "ParseqArgs")
    fields |= declared(LoopSettings, "LoopArgs")
    for number in range(1, UNITS + 1):
        fields |= _unit_fields(number)
    fields |= declared(FreeUSettings, "FreeUArgs")
    fields |= declared(KohyaHRFixSettings, "KohyaHRFixArgs")
    fields |= declared(OutputSettings, "DeforumOutputArgs")
    fields |= declared(RunRecord, "metadata")
    fields |= declared(TabOnly, "ui_only")
    return fields


# Flat name -> metadata, in the order of a settings file.
FIELDS: Mapping[str, FieldInfo] = MappingProxyType(_fields())
