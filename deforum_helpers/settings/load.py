"""Loads submitted settings: migrates, reads and checks them, and collects all problems."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.settings import messages
from deforum_helpers.settings.check import problems_of
from deforum_helpers.settings.files import RepeatingObject, defaults, flat_settings, typed_settings
from deforum_helpers.settings.legacy import OLD_NAMES, REMOVED, migrated
from deforum_helpers.settings.messages import Note, sentences, shown
from deforum_helpers.settings.model import FIELDS, Settings
from deforum_helpers.settings.modes import acting
from deforum_helpers.settings.values import read_value

MAX_KEYS = 5000
MAX_NAMED = 30
# Every name with a meaning, including those of older versions.
KNOWN_NAMES = frozenset(FIELDS) | OLD_NAMES
MAX_FOUND = 200


@dataclass(frozen=True)
class Loaded:
    """Checked settings, and notes for the user.

    Args:
        settings: all settings, with defaults.
        unknown: submitted names that are not settings; they have no effect.
        notes: how values were read, and which names are unknown.
    """

    settings: Settings
    unknown: dict[str, Any]
    notes: tuple[Note, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes as sentences."""
        return sentences(self.notes)


def load_settings(submitted: Mapping[str, Any]) -> Loaded:
    """Read settings of any version and notation, and check them.

    Raises:
        SettingsError: all problems: types, bounds, names, contradictions.
    """
    loaded, problems = examine_settings(submitted)
    if problems:
        raise SettingsError(problems)
    return loaded


def examine_settings(
    submitted: Mapping[str, Any], host_names: Mapping[str, Sequence[str]] | None = None
) -> tuple[Loaded, tuple[Problem, ...]]:
    """Read settings as `load_settings` does, and return them with their problems.

    A setting that cannot be read gets its default, so that the remaining rules can be checked. A problem of a setting
    without effect becomes a note.

    Args:
        submitted: the submitted object.
        host_names: setting -> names that the host offers, in its spelling; our own names are accepted too.

    Raises:
        SettingsError: not an object of names and values.
    """
    _check_envelope(submitted)
    values, notes = migrated(submitted)
    known = {name: values[name] for name in FIELDS if name in values}
    unknown = {name: value for name, value in values.items() if name not in FIELDS}
    read, found, problems = _read_all(known, host_names or {})
    problems += _not_json(unknown)
    settings = typed_settings(defaults() | read)
    bad = {problem.setting for problem in problems}
    problems += [problem for problem in problems_of(settings) if problem.setting not in bad]
    flat = flat_settings(settings)
    used = acting(known, flat)
    idle = {name for name, value in known.items() if name not in used and _is_json(value)}
    problems, unused = without_unused(problems, idle)
    warnings = (*repeated_warnings(submitted, values), *notes, *found, *unused, *unknown_warnings(unknown))
    return Loaded(settings, unknown, warnings), tuple(problems)


def without_unused(
    problems: Iterable[Problem], unused: Collection[str]
) -> tuple[list[Problem], tuple[str, ...]]:
    """Return the problems of settings that act, and a warning for each problem of a setting in `unused`."""
    used, warnings = [], []
    for problem in problems:
        if problem.setting in unused:
            warnings.append(messages.UNUSED_SETTING(problem=problem.message))
        else:
            used.append(problem)
    return used, tuple(warnings)


def _check_envelope(submitted: object) -> None:
    if not isinstance(submitted, Mapping):
        message = messages.SETTINGS_NOT_AN_OBJECT(found=shown(submitted))
        raise SettingsError(
            [Problem(message, found=shown(submitted), allowed="an object of names and values")]
        )
    if len(submitted) > MAX_KEYS:
        message = messages.TOO_MANY_SETTINGS(found=len(submitted), most=MAX_KEYS)
        raise SettingsError(
            [Problem(message, found=str(len(submitted)), allowed=f"at most {MAX_KEYS} names")]
        )
    if foreign := _foreign(submitted):
        raise SettingsError([Problem(foreign, found=foreign, allowed="Deforum settings")])
    if submitted and all(isinstance(name, str) and _is_json([name, submitted[name]]) for name in submitted):
        _check_names(submitted)
    problems = [
        Problem(
            messages.INVALID_NAME(found=shown(name)),
            found=shown(name),
            allowed="text",
        )
        for name in submitted
        if not isinstance(name, str) or not _is_json(name)
    ]
    if problems:
        raise SettingsError(problems)


def _foreign(submitted: Mapping[Any, Any]) -> str:
    """Return what the object is instead of settings and where it belongs, or nothing."""
    if "deforum_settings" in submitted:
        return messages.BODY_OF_CALL()
    if any(isinstance(submitted.get(name), list) for name in ("rendered_frames", "keyframes")):
        return messages.PARSEQ_DOCUMENT()
    if isinstance(submitted.get("nodes"), list) and "links" in submitted:
        return messages.COMFYUI_WORKFLOW()
    return ""


def _check_names(submitted: Mapping[str, Any]) -> None:
    """Refuse an object without settings; name its keys, and the nested object that has settings."""
    if _has_settings(submitted):
        return
    names = _named(list(submitted))
    if inside := _settings_inside(submitted):
        message = messages.SETTINGS_INSIDE(found=names, place=inside)
    else:
        message = messages.NO_SETTING_AMONG(found=names)
    raise SettingsError(
        [
            Problem(
                message,
                found=names[:MAX_FOUND],
                allowed="names of settings, such as prompts, W and max_frames",
            )
        ]
    )


def _has_settings(values: Mapping[Any, Any]) -> bool:
    return not KNOWN_NAMES.isdisjoint(values)


def _settings_inside(values: Mapping[str, Any], depth: int = 3) -> str:
    """Return the dotted path of the first nested object with settings, or nothing."""
    for name, value in list(values.items())[:MAX_NAMED] if depth else ():
        if isinstance(value, Mapping):
            deeper = "" if _has_settings(value) else _settings_inside(value, depth - 1)
            if deeper or _has_settings(value):
                return f"{shown(name)[1:-1]}.{deeper}" if deeper else shown(name)[1:-1]
    return ""


def _read_all(
    known: Mapping[str, Any], host_names: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Any], list[Note], list[Problem]]:
    read: dict[str, Any] = {}
    notes: list[Note] = []
    problems: list[Problem] = []
    for name, value in known.items():
        info = FIELDS[name]
        if host_names.get(name):
            info = replace(info, choices=tuple(host_names[name]))
        if not info.loaded:
            if info.kind != "record" and value != info.default:
                notes.append(messages.RECORD_IGNORED(setting=name))
            continue
        try:
            reading = read_value(info, value)
        except SettingsError as error:
            problems.extend(error.problems)
            continue
        read[name] = reading.value
        if reading.note:
            notes.append(reading.note)
    return read, notes, problems


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _not_json(unknown: Mapping[str, Any]) -> list[Problem]:
    return [
        Problem(
            messages.UNKNOWN_NOT_JSON(name=shown(name)),
            setting=name,
            found=shown(value),
            allowed="finite numbers, text, true, false, null, lists and objects of these",
        )
        for name, value in unknown.items()
        if not _is_json(value)
    ]


def repeated_warnings(submitted: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """Return warnings about names that occur more than once.

    Args:
        submitted: the submitted settings.
        values: the same after migration, with objects parsed from text.
    """
    warnings: list[str] = []
    if isinstance(submitted, RepeatingObject):
        warnings.append(messages.NAMES_REPEATED(names=_repeated(submitted)))
    for name, value in values.items():
        if isinstance(value, RepeatingObject):
            warnings.append(messages.KEYS_REPEATED(setting=name, names=_repeated(value)))
    return warnings


def _repeated(values: RepeatingObject) -> str:
    return ", ".join(map(shown, values.repeated[:MAX_NAMED]))


def unknown_warnings(unknown: Mapping[str, Any]) -> list[str]:
    """Return warnings about names that are not settings."""
    options = [name for name in unknown if name.startswith("deforum_")]
    others = [name for name in unknown if name not in options and name not in REMOVED]
    warnings: list[str] = []
    if options:
        warnings.append(messages.OPTIONS_AMONG_SETTINGS(names=_named(options)))
    if others:
        warnings.append(messages.UNKNOWN_SETTINGS(names=_named(others)))
    return warnings


def _letters(name: str) -> str:
    """Return the letters and digits of a name, which are the same in "max_frames", "maxFrames" and "Max Frames"."""
    return "".join(filter(str.isalnum, name.casefold()))


_BY_LETTERS = {_letters(name): name for name in FIELDS}


def nearest_names(name: str) -> list[str]:
    """Return up to three settings with names similar to `name`, the most similar first."""
    by_name = {known.casefold(): known for known in FIELDS}
    near = difflib.get_close_matches(name[:100].casefold(), by_name, n=3, cutoff=0.6)
    return [by_name[one] for one in near]


def nearest_name(name: str) -> str | None:
    """Return the setting that `name` probably means, or None."""
    if same := _BY_LETTERS.get(_letters(name[:100])):
        return same
    near = difflib.get_close_matches(name[:100], FIELDS, n=1, cutoff=0.75 if len(name) < 6 else 0.85)
    return near[0] if near else None


def _named(names: list[str]) -> str:
    texts = []
    for name in names[:MAX_NAMED]:
        near = nearest_name(name)
        texts.append(f"{shown(name)} (did you mean {near}?)" if near else shown(name))
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(texts) + more
