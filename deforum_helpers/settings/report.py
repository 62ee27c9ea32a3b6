"""What becomes of a settings file: kept, taken over, ignored and why, unknown, and what will look different."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deforum_helpers.settings import messages
from deforum_helpers.settings.acting import Acting
from deforum_helpers.settings.compatibility import FACTS, Flat, differences
from deforum_helpers.settings.files import flat_settings
from deforum_helpers.settings.legacy import REMOVED, modernised, removed_warning
from deforum_helpers.settings.load import examine_settings, nearest_name, unknown_warnings
from deforum_helpers.settings.messages import Finding, sentences, shown
from deforum_helpers.settings.model import FIELDS


@dataclass(frozen=True)
class About:
    """One sentence about settings, and which these are."""

    names: tuple[str, ...]
    sentence: str

    def __str__(self) -> str:
        return f"{', '.join(self.names)}: {self.sentence}"


@dataclass(frozen=True)
class FileReport:
    """What becomes of the names that a settings file has.

    Args:
        kept: settings whose values are taken as they stand and have an effect.
        defaults: those of them that have their default value.
        taken_over: how names and values of older notations were read, as sentences.
        ignored: settings without effect on this film, and why.
        unknown: names that are no settings, each with the nearest one where there is one.
        different: what will look different from classic Deforum.
        remarked: those sentences of `taken_over` that tell of more than another notation, such as a value left out.
    """

    kept: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    taken_over: tuple[str, ...] = ()
    ignored: tuple[About, ...] = ()
    unknown: tuple[str, ...] = ()
    different: tuple[About, ...] = ()
    remarked: tuple[str, ...] = ()


def file_report(submitted: Mapping[str, Any], over: Flat | None = None) -> FileReport:
    """Return what becomes of `submitted`.

    Args:
        submitted: settings of any year and notation; values that cannot be read count as not given.
        over: the settings, by flat name, that these are laid over where a file leaves something out and the program
            keeps what it had; None = everything else has its default.

    Raises:
        SettingsError: they are no object of names and values.
    """
    loaded, problems = examine_settings(submitted)
    bad = {problem.setting for problem in problems}
    values = modernised(submitted).values
    added = {"legacy_colormatch"} - set(submitted)  # old files are told apart by its absence
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
    """Return why a setting that a file gives counts for nothing, or nothing where it counts or has its default."""
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
    """Yield how old notations were read: the sentences of reading, and one of what they leave out."""
    told = tuple(told)
    yield from told
    left_out = []
    for name in given:
        plain = name in submitted and FIELDS[name].loaded and submitted[name] is not None
        if plain and submitted[name] != flat[name] and not any(name in text for text in told):
            left_out.append(Finding("notation", name, shown(submitted[name]), shown(flat[name])))
    yield from sentences(left_out)
    if "legacy_colormatch" not in submitted and used.acts("legacy_colormatch"):
        yield messages.OLD_COLOR_MATCH()


def _named(name: str) -> str:
    near = nearest_name(name)
    return f"{shown(name)} (did you mean {near}?)" if near else shown(name)
