"""The controls of the settings and of a host's options, and the values that a page may send for them.

A value is text, a number, true or false, or a list of texts. An object is refused: gradio represents files, addresses
and updates of components as objects, and none of those may come from a page.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from deforum_helpers.controlnet.model_files import control_folders, control_names
from deforum_helpers.controlnet.units import MODULES
from deforum_helpers.core.errors import DeforumError, MissingFeature
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.upscaling import available
from deforum_helpers.pipeline.host_facts import ControlNetFacts, HostFacts
from deforum_helpers.settings import FIELDS, FieldInfo, defaults
from deforum_helpers.settings.files import RepeatingObject, json_object
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.modes import acting
from deforum_helpers.settings.predicates import sentence
from deforum_helpers.settings.recommended import recommended_for
from deforum_helpers.ui import messages
from deforum_helpers.ui.layout import is_offered

MAX_TEXT = 8 << 20
MAX_TEXTS = 1000
MAX_NUMBER = 1e15


def scalar(value: Any) -> Any:
    """Return the value of a control if it is text, a number, a bool or None.

    Raises:
        DeforumError: the value is of another kind.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and math.isfinite(value) and abs(value) <= MAX_NUMBER:
        return value
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    raise DeforumError(messages.NOT_A_VALUE(found=_kind(value)))


def number(value: Any) -> Any:
    """Return the value of a control if it is a number or None.

    Raises:
        DeforumError: the value is of another kind.
    """
    if isinstance(scalar(value), (bool, str)):
        raise DeforumError(messages.NOT_A_NUMBER(found=_kind(value)))
    return value


def text(value: Any) -> str:
    """Return the value of a control if it is text; None counts as empty.

    Raises:
        DeforumError: the value is of another kind.
    """
    if value is None:
        return ""
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    raise DeforumError(messages.NOT_TEXT(found=_kind(value)))


def switch(value: Any) -> bool:
    """Return the value of a control if it is a bool; None counts as False.

    Raises:
        DeforumError: the value is of another kind.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    raise DeforumError(messages.NOT_A_SWITCH(found=_kind(value)))


def texts(value: Any) -> list[str]:
    """Return the value of a control if it is a list of texts; None counts as empty.

    Raises:
        DeforumError: the value is of another kind.
    """
    if value is None:
        return []
    if isinstance(value, list) and len(value) <= MAX_TEXTS and all(isinstance(one, str) for one in value):
        return value
    raise DeforumError(messages.NOT_A_LIST(found=_kind(value)))


def is_scalar(value: Any) -> bool:
    """Return whether `scalar` accepts a value."""
    try:
        scalar(value)
    except DeforumError:
        return False
    return True


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return kinds.get(type(value), "another number" if isinstance(value, (int, float)) else "something else")


Widget = Literal["checkbox", "choice", "slider", "number", "line", "lines", "picture"]

MAX_STOPS = 1000
TEXT_LINES = {"prompts": 8, "json": 4}
_UNIT_FIELD = re.compile(r"cn_\d+_(module|model)")
# Controls that hold dropped files; the page knows only the ids of these.
BOX_FIELDS = frozenset({"init_image_box"})
# The settings that have a control, in the order in which the values of all controls are passed.
NAMES = tuple(name for name, info in FIELDS.items() if is_offered(info))


@dataclass(frozen=True)
class Control:
    """One control.

    Args:
        name: of its setting.
        widget: kind of its gradio component.
        label: shown in the tab.
        info: help with unit, range and an example.
        choices: of a choice.
        takes_files: whether the name of a file can be written in place of a choice.
        lines: height of a text box, in lines.
        minimum, maximum, step: of a slider.
    """

    name: str
    widget: Widget
    label: str
    info: str
    choices: tuple[str, ...] = ()
    takes_files: bool = False
    lines: int = 1
    minimum: float = 0
    maximum: float = 0
    step: float = 1


def control(info: FieldInfo) -> Control:
    """Return the control of a setting."""
    widget = _widget(info)
    bounded = widget == "slider"
    return Control(
        name=info.name,
        widget=widget,
        label=info.label or info.name,
        info=info_text(info),
        choices=info.choices,
        takes_files=bool(info.file_suffixes),
        lines=TEXT_LINES.get(info.kind, 3 if "prompts" in info.name else 1),
        minimum=(info.minimum or 0) if bounded else 0,
        maximum=(info.maximum or 0) if bounded else 0,
        step=(info.step or 1) if bounded else 1,
    )


def _widget(info: FieldInfo) -> Widget:
    if info.kind == "bool":
        return "checkbox"
    if info.kind == "enum":
        return "choice"
    if info.kind in ("int", "float"):
        return "slider" if _fits_slider(info) else "number"
    if info.name in BOX_FIELDS:
        return "picture"
    return "lines" if info.kind in TEXT_LINES or "prompts" in info.name else "line"


def _fits_slider(info: FieldInfo) -> bool:
    """Return whether a slider suits: two bounds, few enough steps to hit each, and the default on a step."""
    if info.minimum is None or info.maximum is None or not info.step:
        return False
    stops = (info.maximum - info.minimum) / info.step
    place = (info.default - info.minimum) / info.step
    return stops <= MAX_STOPS and abs(place - round(place)) < 1e-6


def info_text(info: FieldInfo) -> str:
    """Return the help of a setting with its unit, its range and an example."""
    facts = []
    if info.minimum is not None and info.maximum is not None:
        facts.append(f"{info.minimum:g} to {info.maximum:.16g}")
    if info.unit:
        facts.append(info.unit)
    parts = [info.help, *filter(None, (sentence(info.used_when),))]
    if facts:
        parts.append(f"[{', '.join(facts)}]")
    # gradio would read the text between two asterisks as emphasis.
    if (
        info.kind in ("schedule", "string schedule")
        and len(info.default) <= 60
        and info.default.count("*") < 2
    ):
        parts.append(f"Example: {info.default}")
    return " ".join(parts)


def host_choices(name: str, facts: HostFacts) -> tuple[str, ...]:
    """Return the host's choices for a setting; empty if they do not depend on the host or are unknown."""
    if name == "sampler":
        return facts.samplers
    if name == "scheduler":
        return facts.schedulers
    if name == "r_upscale_model":
        return available.names()
    if _UNIT_FIELD.fullmatch(name):
        found = available_controlnet(facts)
        listed = found.modules if name.endswith("module") else found.models
        return tuple(dict.fromkeys((FIELDS[name].default, *listed))) if listed else ()
    return ()


def available_controlnet(facts: HostFacts) -> ControlNetFacts:
    """Return the preprocessors and models of the host, or the reason why it has none."""
    reason = facts.abilities.no_controlnet
    if reason:
        sentence = f"{reason[0].upper()}{reason[1:]}"
        return ControlNetFacts(missing=messages.CONTROLNET_NEEDS_CHECKPOINT(reason=sentence))
    if not facts.abilities.own_controlnet:
        return facts.controlnet
    models = control_names(control_folders(facts.model))
    missing = None if models else messages.NO_CONTROLNET_MODELS()
    return ControlNetFacts(missing=missing, modules=tuple(MODULES), models=models)


def refreshable_names() -> tuple[str, ...]:
    """Return the settings whose choices may change while the host runs."""
    return tuple(name for name in NAMES if _UNIT_FIELD.fullmatch(name))


def to_control(name: str, value: Any) -> Any:
    """Return the value of a setting as the value of its control; prompts become JSON text."""
    if FIELDS[name].kind == "prompts":
        return json.dumps(value, indent=4, ensure_ascii=False)
    if name in BOX_FIELDS:
        return value or None
    return value


def from_control(name: str, value: Any) -> Any:
    """Return the value of a control as the value of its setting; invalid JSON stays text, which the check refuses."""
    if FIELDS[name].kind == "prompts" and isinstance(value, str):
        try:
            read = json.loads(value, object_pairs_hook=json_object)
        except (ValueError, RecursionError):
            return value
        # Kept as text, so that a check in another program sees repeated names too.
        return read if isinstance(read, dict) and not isinstance(read, RepeatingObject) else value
    if value is None:
        return "" if FIELDS[name].kind in ("path", "text", "json") else value
    if isinstance(value, float) and value.is_integer() and FIELDS[name].kind == "int":
        return int(value)
    return value


def submitted_settings(values: Mapping[str, Any] | tuple[Any, ...]) -> dict[str, Any]:
    """Return the values of the controls, in the order of `NAMES` or by name, as settings to submit."""
    named = values if isinstance(values, Mapping) else dict(zip(NAMES, values, strict=True))
    return {name: from_control(name, value) for name, value in named.items()}


def hidden_names(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the settings whose controls are hidden because they have no effect, in the order of a settings file.

    Args:
        settings: from `submitted_settings`; while a user types, a value may be invalid.
    """
    shown = acting(NAMES, settings)
    return tuple(name for name in NAMES if name not in shown)


def control_values(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return flat settings as values of the controls, in the order of `NAMES`."""
    return tuple(to_control(name, settings[name]) for name in NAMES)


def default_values() -> tuple[Any, ...]:
    """Return the default values of the controls."""
    return control_values(defaults())


def start_values(kept: Mapping[str, Any], facts: HostFacts) -> tuple[Any, ...]:
    """Return the initial values of the controls: the `kept` settings, else those that suit the host's engine.

    Resuming is always off, since starting the program is no wish to continue an old run.
    """
    first = kept or recommended_for(facts.abilities.unread)
    return control_values({**defaults(), **first, "resume_from_timestring": False})


def with_changes(changed: Mapping[str, Any], start: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the initial values with those in `changed` replaced; a value that `scalar` refuses is ignored."""
    valid = {name: value for name, value in changed.items() if is_scalar(value)}
    return tuple(valid.get(name, value) for name, value in zip(NAMES, start, strict=True))


@dataclass(frozen=True)
class OptionRow:
    """One option of the standalone host; a WebUI has its options on its settings page.

    The tab makes the options of its tools from such rows, too.

    Args:
        name: the same on every host.
        label: shown in the tab.
        default: its default value.
        low, high: bounds of a number, else None.
        choices: allowed values, else empty.
    """

    name: str
    label: str
    default: Any
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


def option_rows() -> tuple[OptionRow, ...]:
    """Return the options that the tab shows, in the order of their declaration."""
    return tuple(
        OptionRow(
            each.name,
            each.metadata["label"],
            each.default,
            low=each.metadata.get("low"),
            high=each.metadata.get("high"),
            choices=each.metadata.get("choices", ()),
        )
        for each in fields(Options)
        if each.metadata["label"] and "fixed" not in each.metadata
    )


def overrides_of(values: tuple[Any, ...]) -> dict[str, Any]:
    """Return the values of the options, given in the order of `option_rows`, by name."""
    return {row.name: whole_if_possible(value) for row, value in zip(option_rows(), values, strict=True)}


def whole_if_possible(value: Any) -> Any:
    """Return a float without a fraction as an int, and any other value unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def fixed_facts(options: Options, output_root: Path) -> tuple[str, ...]:
    """Return as sentences the options that a page may not set: programs and files of this machine."""
    try:
        ffmpeg = f"Videos are encoded by {find_ffmpeg(options.deforum_ffmpeg_location)}."
    except MissingFeature as error:
        ffmpeg = str(error)
    kept = output_root / Path(options.deforum_persistent_settings_path).expanduser()
    return ffmpeg, f"The initial settings are kept in {kept}."
