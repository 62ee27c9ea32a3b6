"""The JSON schema of settings, for programs that build forms or validate before sending."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from deforum_helpers.settings.fields import FieldInfo, Kind
from deforum_helpers.settings.files import defaults
from deforum_helpers.settings.model import FIELDS
from deforum_helpers.settings.predicates import sentence

_TYPES: Mapping[Kind, dict[str, Any]] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "enum": {"type": "string"},
    "schedule": {"type": ["string", "number"]},
    "string schedule": {"type": "string"},
    "text": {"type": "string"},
    "path": {"type": ["string", "null"]},
    "prompts": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}},
    "json": {"type": ["string", "object", "null"]},
    "record": {},
}


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a settings object, with help, bounds, units and choices.

    In addition to the standard keywords a property has `x-kind`, `x-group`, `x-tab` and, if they apply, `x-unit`,
    `x-step`, `x-used-when`; `x-minimum` and `x-maximum` are the bounds of each value of a schedule.
    """
    values = defaults()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Deforum settings",
        "description": "Every setting has a default; unknown names are kept but have no effect.",
        "type": "object",
        "properties": {name: _property(info, values[name]) for name, info in FIELDS.items()},
        "additionalProperties": True,
    }


def names(choices: Sequence[str], file_suffixes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the keywords that allow only `choices`, if there are any, and names of files with these endings."""
    if not file_suffixes:
        return {"enum": list(choices)} if choices else {}
    endings = "|".join(re.escape(suffix) for suffix in file_suffixes)
    return {"anyOf": [{"enum": list(choices)}, {"pattern": rf"^[^/\\:]+(?:{endings})$"}]}


def _property(info: FieldInfo, default: Any) -> dict[str, Any]:
    numeric = info.kind in ("int", "float")
    entries = {
        "title": info.label or info.name,
        "description": info.help,
        **_TYPES[info.kind],
        "default": default,
        **names(info.choices, info.file_suffixes),
        "minimum" if numeric else "x-minimum": info.minimum,
        "maximum" if numeric else "x-maximum": info.maximum,
        "readOnly": True if not info.loaded else None,
        "x-step": info.step,
        "x-unit": info.unit or None,
        "x-kind": info.kind,
        "x-group": info.group,
        "x-tab": info.tab or None,
        "x-used-when": sentence(info.used_when) or None,
    }
    return {key: value for key, value in entries.items() if value is not None or key == "default"}
