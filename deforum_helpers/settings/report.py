"""The report on a settings file: kept, converted, ignored and unknown settings, and differences from classic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deforum_helpers.settings import messages
from deforum_helpers.settings.compatibility import FACTS, Flat, differences
from deforum_helpers.settings.files import flat_settings
from deforum_helpers.settings.legacy import REMOVED, migrated, removed_warning
from deforum_helpers.settings.load import examine_settings, nearest_name, unknown_warnings
from deforum_helpers.settings.messages import Conversion, sentences, shown
from deforum_helpers.settings.model import FIELDS
from deforum_helpers.settings.modes import Acting


@dataclass(frozen=True)
class About:
    """A sentence about some settings, and their names."""

    names: tuple[str, ...]
    sentence: str

    def __str__(self) -> str:
        return f"{', '.join(self.names)}: {self.sentence}"


@dataclass(frozen=True)
class FileReport:
    """The report on the names in a settings file.

    Args:
        kept: settings that act, with the values of the file.
        defaults: those of `kept` with their default value.
        taken_over: sentences about names and values in other notations.
        ignored: settings without effect in this run, and why.
        unknown: names that are not settings, each with a similar one if there is one.
        different: differences from classic Deforum.
        remarked: the sentences of `taken_over` about more than a notation, such as an ignored value.
    """

    kept: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    taken_over: tuple[str, ...] = ()
    ignored: tuple[About, ...] = ()
    unknown: tuple[str, ...] = ()
    different: tuple[About, ...] = ()
    remarked: tuple[str, ...] = ()


def file_report(submitted: Mapping[str, Any], over: Flat | None = None) -> FileReport:
    """Return the report on `submitted`.

    Args:
        submitted: settings of any version and notation; invalid values count as not given.
        over: all settings by flat name, for those that the file does not give; None = their defaults.

    Raises:
        SettingsError: not an object of names and values.
    """
    loaded, problems = examine_settings(submitted)
    bad = {problem.setting for problem in problems}
    values = migrated(submitted).values
    added = {"legacy_colormatch"} - set(submitted)  # its absence marks an old file
    given = [name for name in FIELDS if name in values and name not in bad | added]
    flat = flat_settings(loaded.settings)
    if over is not None:
        flat = {**over, **{name: flat[name] for name in given}}
    used = Acting(flat.__getitem__)
    ignored = {name: why for name in given if (why := _why_ignored(name, values[name], flat, used))}
    kept = [name for name in given if FIELDS[name].loaded and used.acts(name) and name not in ignored]
    removed = [name for name in REMOVED if name in submitted]
    told = (*unknown_warnings(loaded.unknown), *(removed_warning(name) for name in removed))
    notes = [text for text in loaded.warnings if text not in told]
    return FileReport(
        kept=tuple(kept),
        defaults=tuple(name for name in kept if flat[name] == FIELDS[name].default),
        taken_over=tuple(_taken_over(submitted, given, flat, notes, used)),
        ignored=(
            *_grouped(ignored),
            *(About((name,), messages.REMOVED_BECAUSE(advice=REMOVED[name])) for name in removed),
        ),
        unknown=tuple(_named(name) for name in loaded.unknown if name not in REMOVED),
        different=tuple(About(names, sentence) for sentence, names in differences(flat).items()),
        remarked=tuple(
            note for note in dict.fromkeys(loaded.notes) if isinstance(note, str) and note not in told
        ),
    )


def _why_ignored(name: str, value: Any, flat: Flat, used: Acting) -> str:
    """Return why a setting in a file has no effect; nothing if it has one or is at its default."""
    info, fact = FIELDS[name], FACTS[name]
    changed = value != info.default if not info.loaded else flat[name] != info.default
    if not changed or value is None:
        return ""
    if fact.no_effect:
        return fact.no_effect
    return f"{' and '.join(used.reasons(name))}." if not used.acts(name) else ""


def _grouped(sentences: Mapping[str, str]) -> Iterator[About]:
    names: dict[str, list[str]] = {}
    for name, sentence in sentences.items():
        names.setdefault(sentence, []).append(name)
    for sentence, about in names.items():
        yield About(tuple(about), sentence)


def _taken_over(
    submitted: Mapping[str, Any], given: Iterable[str], flat: Flat, told: Iterable[str], used: Acting
) -> Iterator[str]:
    """Yield the sentences about other notations: those of reading, and one about values they do not mention."""
    told = tuple(told)
    yield from told
    left_out = []
    for name in given:
        plain = name in submitted and FIELDS[name].loaded and submitted[name] is not None
        if plain and submitted[name] != flat[name] and not any(name in text for text in told):
            left_out.append(Conversion("notation", name, shown(submitted[name]), shown(flat[name])))
    yield from sentences(left_out)
    if "legacy_colormatch" not in submitted and used.acts("legacy_colormatch"):
        yield messages.OLD_COLOR_MATCH()


def _named(name: str) -> str:
    near = nearest_name(name)
    return f"{shown(name)} (did you mean {near}?)" if near else shown(name)
