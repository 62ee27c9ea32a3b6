"""What a page may send as the value of a control: text, numbers, yes and no, and lists of texts; nothing else.

An object is never the value of a control of ours, so no form in which gradio or anybody else would write a file, an
address or an update of a component can get any further.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deforum_helpers.core.errors import DeforumError
from deforum_helpers.pipeline.prepare import HostFacts
from deforum_helpers.settings import FIELDS, FieldInfo, defaults
from deforum_helpers.settings.acting import acting
from deforum_helpers.settings.files import RepeatingObject, json_object
from deforum_helpers.settings.predicates import sentence
from deforum_helpers.settings.recommended import recommended_for
from deforum_helpers.ui import controlnet
from deforum_helpers.ui.layout import offered

MAX_TEXT = 8 << 20
MAX_TEXTS = 1000
MAX_NUMBER = 1e15


def scalar(value: Any) -> Any:
    """Return a text, a number, yes or no, or nothing.

    Raises:
        DeforumError: it is something else.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and math.isfinite(value) and abs(value) <= MAX_NUMBER:
        return value
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    raise DeforumError(f"a control holds text, a number, or yes or no; found {_kind(value)}.")


def number(value: Any) -> Any:
    """Return a number, or nothing.

    Raises:
        DeforumError: it is something else.
    """
    if isinstance(scalar(value), (bool, str)):
        raise DeforumError(f"this control holds a number; found {_kind(value)}.")
    return value


def text(value: Any) -> str:
    """Return a text; nothing is an empty one.

    Raises:
        DeforumError: it is something else.
    """
    if value is None:
        return ""
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    raise DeforumError(f"this control holds text; found {_kind(value)}.")


def switch(value: Any) -> bool:
    """Return yes or no; nothing is no.

    Raises:
        DeforumError: it is something else.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    raise DeforumError(f"this control holds yes or no; found {_kind(value)}.")


def texts(value: Any) -> list[str]:
    """Return a list of texts; nothing is an empty one.

    Raises:
        DeforumError: it is something else.
    """
    if value is None:
        return []
    if isinstance(value, list) and len(value) <= MAX_TEXTS and all(isinstance(one, str) for one in value):
        return value
    raise DeforumError(f"this control holds a list of texts; found {_kind(value)}.")


def is_scalar(value: Any) -> bool:
    """Tell whether `scalar` takes a value."""
    try:
        scalar(value)
    except DeforumError:
        return False
    return True


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "yes or no"}
    return kinds.get(type(value), "another number" if isinstance(value, (int, float)) else "something else")


Look = Literal["checkbox", "choice", "slider", "number", "line", "lines", "picture"]

MAX_STOPS = 1000
LONG = {"prompts": 8, "json": 4}
_UNIT_FIELD = re.compile(r"cn_\d+_(module|model)")
# Their controls hold files that were dropped; the page knows ids of these.
BOX_FIELDS = frozenset({"init_image_box"})
# Controls in the order in which their values travel.
NAMES = tuple(name for name, info in FIELDS.items() if offered(info))


@dataclass(frozen=True)
class Control:
    """One control.

    Args:
        name: of its setting.
        look: what it is.
        label: its name in the tab.
        info: help with unit, range and an example.
        choices: of a choice.
        lines: height of a text box.
        minimum, maximum, step: of a slider.
    """

    name: str
    look: Look
    label: str
    info: str
    choices: tuple[str, ...] = ()
    lines: int = 1
    minimum: float = 0
    maximum: float = 0
    step: float = 1


def control(info: FieldInfo) -> Control:
    """Return the control of a setting."""
    look = _look(info)
    bounded = look == "slider"
    return Control(
        name=info.name,
        look=look,
        label=info.label or info.name,
        info=info_text(info),
        choices=info.choices,
        lines=LONG.get(info.kind, 3 if "prompts" in info.name else 1),
        minimum=(info.minimum or 0) if bounded else 0,
        maximum=(info.maximum or 0) if bounded else 0,
        step=(info.step or 1) if bounded else 1,
    )


def _look(info: FieldInfo) -> Look:
    if info.kind == "bool":
        return "checkbox"
    if info.kind == "enum":
        return "choice"
    if info.kind in ("int", "float"):
        return "slider" if _slides(info) else "number"
    if info.name in BOX_FIELDS:
        return "picture"
    return "lines" if info.kind in LONG or "prompts" in info.name else "line"


def _slides(info: FieldInfo) -> bool:
    """A slider needs two ends, few enough stops to hit one, and the default on a stop."""
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
    # Between two asterisks gradio would see emphasis.
    if (
        info.kind in ("schedule", "string schedule")
        and len(info.default) <= 60
        and info.default.count("*") < 2
    ):
        parts.append(f"Example: {info.default}")
    return " ".join(parts)


def host_choices(name: str, facts: HostFacts) -> tuple[str, ...]:
    """Return what a host offers for a setting, or nothing where it does not matter or is not known."""
    if name == "sampler":
        return facts.samplers
    if name == "scheduler":
        return facts.schedulers
    if _UNIT_FIELD.fullmatch(name):
        here = controlnet.offered(facts)
        listed = here.modules if name.endswith("module") else here.models
        return tuple(dict.fromkeys((FIELDS[name].default, *listed))) if listed else ()
    return ()


def models_of_host() -> tuple[str, ...]:
    """Return the settings whose choices a host may change while it runs."""
    return tuple(name for name in NAMES if _UNIT_FIELD.fullmatch(name))


def to_control(name: str, value: Any) -> Any:
    """Return a setting's value as its control holds it: prompts are JSON text."""
    if FIELDS[name].kind == "prompts":
        return json.dumps(value, indent=4, ensure_ascii=False)
    if name in BOX_FIELDS:
        return value or None
    return value


def from_control(name: str, value: Any) -> Any:
    """Return what a control holds as the value to submit; text that is no JSON stays text, for the check to refuse."""
    if FIELDS[name].kind == "prompts" and isinstance(value, str):
        try:
            read = json.loads(value, object_pairs_hook=json_object)
        except (ValueError, RecursionError):
            return value
        # As text, so that a check in another program still sees which names stand twice.
        return read if isinstance(read, dict) and not isinstance(read, RepeatingObject) else value
    if value is None:
        return "" if FIELDS[name].kind in ("path", "text", "json") else value
    if isinstance(value, float) and value.is_integer() and FIELDS[name].kind == "int":
        return int(value)
    return value


def submitted(values: Mapping[str, Any] | tuple[Any, ...]) -> dict[str, Any]:
    """Return what the controls hold, in the order of `NAMES`, as settings to submit."""
    held = values if isinstance(values, Mapping) else dict(zip(NAMES, values, strict=True))
    return {name: from_control(name, value) for name, value in held.items()}


def hidden(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the settings whose controls are not shown, since they do not act, in the order of a settings file.

    Args:
        settings: what the controls hold, as `submitted` returns it; a half-typed value is anything.
    """
    shown = acting(NAMES, settings)
    return tuple(name for name in NAMES if name not in shown)


def held(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return flat settings as the controls hold them, in the order of `NAMES`."""
    return tuple(to_control(name, settings[name]) for name in NAMES)


def default_values() -> tuple[Any, ...]:
    """Return what the controls hold at the start."""
    return held(defaults())


def start_values(kept: Mapping[str, Any], facts: HostFacts) -> tuple[Any, ...]:
    """Return what the controls hold at the start: the settings that were `kept`, else what suits the host's engine.

    Nobody means to go on with an old run by starting the program.
    """
    first = kept or recommended_for(facts.abilities.unread)
    return held({**defaults(), **first, "resume_from_timestring": False})


def values_of(changed: Mapping[str, Any], start: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what the controls hold when only `changed` differ from the start; what no control holds is no change."""
    held = {name: value for name, value in changed.items() if is_scalar(value)}
    return tuple(held.get(name, value) for name, value in zip(NAMES, start, strict=True))
