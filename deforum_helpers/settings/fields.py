"""The declaration of a setting: a dataclass field with its metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from deforum_helpers.settings.predicates import ALWAYS, Predicate

Kind = Literal[
    "int", "float", "bool", "enum", "schedule", "string schedule", "text", "path", "prompts", "json", "record"
]
Since = Literal["classic", "2025 fork", "here"]
KINDS: Mapping[type, Kind] = {bool: "bool", int: "int", float: "float", str: "text", dict: "prompts"}
_METADATA_KEY = "setting"


@dataclass(frozen=True)
class FieldInfo:
    """The metadata of one setting.

    Args:
        name: its key in settings files.
        kind: type of its value; a schedule is text, a record is written into files but never read from them.
        default: the value if a file does not give one.
        minimum, maximum: bounds of the number, or of each value of a schedule; None = unbounded.
        step: step of the slider.
        unit: "px", "frames", "degrees/frame", or empty.
        group: part of the settings file.
        tab: position in the user interface, such as "Keyframes > Motion".
        label: its name there.
        help: description in full sentences.
        choices: the allowed names of an enum.
        file_suffixes: endings of files whose names are allowed beside the choices; empty = none.
        used_when: when it acts.
        clamped: whether numbers beyond the bounds are clamped, with a warning; otherwise they are an error.
        loaded: whether files and requests may set it.
        saved: whether it is written into settings files.
        since: the first version with it: classic Deforum, its fork of 2025, or this project.
        used_in: the module or folder that reads it, relative to `deforum_helpers`; empty = none does.
    """

    name: str
    kind: Kind
    default: Any
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str = ""
    group: str = ""
    tab: str = ""
    label: str = ""
    help: str = ""
    choices: tuple[str, ...] = ()
    file_suffixes: tuple[str, ...] = ()
    used_when: Predicate = ALWAYS
    clamped: bool = False
    loaded: bool = True
    saved: bool = True
    since: Since = "classic"
    used_in: str = ""


def setting(
    default: Any,
    help: str,
    *,
    tab: str = "",
    label: str = "",
    kind: Kind | None = None,
    bounds: tuple[float, float] | None = None,
    step: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    file_suffixes: tuple[str, ...] = (),
    used_when: Predicate = ALWAYS,
    clamped: bool = False,
    loaded: bool = True,
    saved: bool = True,
    since: Since = "classic",
    used_in: str = "",
) -> Any:
    """Declare a setting as a dataclass field. The arguments are those of `FieldInfo`.

    Without `kind`, it follows from the choices and the type of the default.
    """
    info = FieldInfo(
        name="",
        kind=kind or ("enum" if choices else KINDS[type(default)]),
        default=default,
        minimum=bounds[0] if bounds else None,
        maximum=bounds[1] if bounds else None,
        step=step,
        unit=unit,
        tab=tab,
        label=label,
        help=help,
        choices=choices,
        file_suffixes=file_suffixes,
        used_when=used_when,
        clamped=clamped,
        loaded=loaded,
        saved=saved,
        since=since,
        used_in=used_in,
    )
    metadata = {_METADATA_KEY: info}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


schedule = partial(setting, kind="schedule")
string_schedule = partial(setting, kind="string schedule")
path = partial(setting, "", kind="path")
record = partial(setting, kind="record", loaded=False)


def declared(group: type, name: str) -> dict[str, FieldInfo]:
    """Return the settings declared by the dataclass `group`, in order, as members of the group `name`."""
    return {
        entry.name: dataclasses.replace(entry.metadata[_METADATA_KEY], name=entry.name, group=name)
        for entry in dataclasses.fields(group)
    }
