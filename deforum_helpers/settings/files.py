"""Settings files: reading, writing, and conversion between typed and flat settings."""

from __future__ import annotations

import codecs
import dataclasses
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from deforum_helpers.core.bounded_json import MOST_BYTES, JsonTooLarge, parse_json
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.regular import UnusableFile, pasted_path, read_regular
from deforum_helpers.settings import messages
from deforum_helpers.settings.messages import json_fault
from deforum_helpers.settings.model import FIELDS, UNITS, Settings
from deforum_helpers.settings.model_controlnet import ControlNetUnit

MAX_FILE_BYTES = MOST_BYTES
_PATHS = frozenset(name for name, info in FIELDS.items() if info.kind == "path")


class RepeatingObject(dict[str, Any]):
    """A JSON object in which the names `repeated` occur more than once; their last values count."""

    repeated: tuple[str, ...] = ()

    def __or__(self, more: dict[str, Any]) -> RepeatingObject:  # type: ignore[override]  # one kind of keys
        """Return the object with the values of `more` added; `repeated` is kept."""
        joined = RepeatingObject(super().__or__(more))
        joined.repeated = self.repeated
        return joined


def with_files_beside(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the settings of a file in `folder`, in which relative paths of files beside it are absolute.

    A file of that name in the current folder takes precedence.
    """
    changed: dict[str, Any] = {}
    for name in settings.keys() & _PATHS:
        named = pasted_path(settings[name]) if isinstance(settings[name], str) else ""
        # os.path: too long a name, as of an image given as text, is no file and no error
        if named and not os.path.exists(named) and os.path.exists(beside := folder / named):
            changed[name] = str(beside.resolve())
    return settings | changed


def json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object from its name-value pairs: the `object_pairs_hook` of `json.loads`."""
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    repeating = RepeatingObject(values)
    counts = Counter(name for name, _ in pairs)
    repeating.repeated = tuple(name for name, count in counts.items() if count > 1)
    return repeating


def parse_settings_text(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`; of repeated names the last value counts.

    Raises:
        SettingsError: invalid JSON, with line and column, or not an object.
    """
    try:
        values = parse_json(text, most_bytes=MAX_FILE_BYTES, object_pairs_hook=json_object)
    except json.JSONDecodeError as error:
        fault = json_fault(error) if text.strip() else "the text is empty."
        message = messages.SETTINGS_NOT_JSON(fault=fault)
        raise SettingsError([Problem(message, column=error.colno, allowed="a JSON object")]) from None
    except JsonTooLarge as error:
        message = messages.SETTINGS_TOO_LARGE(fault=error)
        raise SettingsError([Problem(message, allowed="a JSON object of settings")]) from None
    if not isinstance(values, dict):
        raise SettingsError([Problem(messages.SETTINGS_NOT_BRACED(), allowed="a JSON object")])
    return values


def read_settings_file(path: Path) -> dict[str, Any]:
    """Return the JSON object in the settings file `path` (.txt or .json; UTF-8, or UTF-16 with its byte order mark).

    Raises:
        SettingsError: the file cannot be read, is too large, or contains no JSON object.
    """
    try:
        content = read_regular(path, MAX_FILE_BYTES)
        return parse_settings_text(content.decode(_encoding_of(content)))
    except UnusableFile as error:
        message = messages.SETTINGS_FILE_UNUSABLE(path=path, fault=error)
        raise SettingsError([Problem(message, passing=error.passing)]) from None
    except UnicodeDecodeError:
        wrong = messages.SETTINGS_NOT_TEXT if b"\0" in content else messages.SETTINGS_NOT_UTF8
        raise SettingsError([Problem(wrong(name=path.name))]) from None


def _encoding_of(content: bytes) -> str:
    """Return the encoding of a settings file. PowerShell, and Notepad as "Unicode", write UTF-16 with its mark."""
    return "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def flat_settings(settings: Settings) -> dict[str, Any]:
    """Return every setting by its flat name, in the order of a settings file, ready for JSON."""
    units = {
        f"cn_{number}_{entry.name}": getattr(unit, entry.name)
        for number, unit in enumerate(settings.controlnet, 1)
        for entry in dataclasses.fields(ControlNetUnit)
    }
    flat = {name: units[name] if name in units else getattr(settings, name) for name in FIELDS}
    return flat | {"prompts": dict(settings.prompts)}


def typed_settings(flat: dict[str, Any]) -> Settings:
    """Return typed settings; `flat` must have every setting with a value of its type."""
    own = {
        entry.name: flat[entry.name] for entry in dataclasses.fields(Settings) if entry.name != "controlnet"
    }
    units = tuple(
        ControlNetUnit(
            **{entry.name: flat[f"cn_{number}_{entry.name}"] for entry in dataclasses.fields(ControlNetUnit)}
        )
        for number in range(1, UNITS + 1)
    )
    return Settings(**own, controlnet=units)


def defaults() -> dict[str, Any]:
    """Return every setting's default by its flat name, in the order of a settings file."""
    return flat_settings(Settings())


def settings_text(settings: Settings) -> str:
    """Return the text of a settings file: JSON of all saved settings, indented by 4, not escaped to ASCII."""
    saved = {name: value for name, value in flat_settings(settings).items() if FIELDS[name].saved}
    return json.dumps(saved, indent=4, ensure_ascii=False) + "\n"
