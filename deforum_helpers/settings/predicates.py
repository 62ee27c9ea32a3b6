"""Predicates over settings, which say when a setting acts: evaluated, described in words, and explained.

A clause tests one setting. It holds if that setting acts itself and has the wanted value, so a setting that does not
act counts as off:

    is_on("use_init") | one_of("animation_mode", "Video Input")
    one_of("hybrid_motion", "Optical Flow") & ~is_on("hybrid_use_init_image")

Predicates with equal parts are equal. `Values` gives them the values of settings.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

_ZERO = re.compile(r"[+-]?0*(?:\.0*)?")
MODE = "animation_mode"
MOST_SHOWN = 40


class Values(Protocol):
    """The input of predicates: the value of each setting, and whether the setting acts."""

    def value(self, name: str) -> Any: ...
    def acts(self, name: str) -> bool: ...
    def reasons(self, name: str) -> Iterable[str]: ...


class Predicate(ABC):
    """A condition on settings; combined by `&`, `|` and `~`."""

    @abstractmethod
    def holds(self, values: Values) -> bool:
        """Return whether the condition holds."""

    @abstractmethod
    def reads(self) -> frozenset[str]:
        """Return the names of the tested settings."""

    @abstractmethod
    def phrase(self) -> str:
        """Return the condition as the end of a sentence: "in 2D and 3D", "when use_init is on"."""

    @abstractmethod
    def obstacles(self, values: Values) -> Iterator[str]:
        """Yield the reasons why the condition does not hold, such as "use_init is off"; they may repeat."""

    @abstractmethod
    def prefixed(self, prefix: str) -> Predicate:
        """Return the same condition on the settings whose names begin with `prefix`."""

    @abstractmethod
    def __invert__(self) -> Predicate: ...

    def __and__(self, other: Predicate) -> Predicate:
        return All((*_parts(self, All), *_parts(other, All)))

    def __or__(self, other: Predicate) -> Predicate:
        return Some((*_parts(self, Some), *_parts(other, Some)))


@dataclass(frozen=True)
class All(Predicate):
    """Holds if all parts do; without parts, always."""

    parts: tuple[Predicate, ...]

    def holds(self, values: Values) -> bool:
        return all(part.holds(values) for part in self.parts)

    def reads(self) -> frozenset[str]:
        return frozenset().union(*(part.reads() for part in self.parts))

    def phrase(self) -> str:
        phrases = [part.phrase() for part in self.parts if not _is_plain(part)]
        places = [phrase for phrase in phrases if not phrase.startswith("unless ")]
        tests = [
            ("either " if isinstance(part, Some) else "") + part.phrase().removeprefix("when ")
            for part in self.parts
            if _is_plain(part)
        ]
        said = " ".join((*places, *(["when " + _listed(tests, "and")] if tests else ())))
        return ", ".join(filter(None, (said, *(one for one in phrases if one not in places))))

    def obstacles(self, values: Values) -> Iterator[str]:
        for part in self.parts:
            if not part.holds(values):
                yield from part.obstacles(values)

    def prefixed(self, prefix: str) -> Predicate:
        return All(tuple(part.prefixed(prefix) for part in self.parts))

    def __invert__(self) -> Predicate:
        return Some(tuple(~part for part in self.parts))


@dataclass(frozen=True)
class Some(Predicate):
    """Holds if any part does; without parts, never."""

    parts: tuple[Predicate, ...]

    def holds(self, values: Values) -> bool:
        return any(part.holds(values) for part in self.parts)

    def reads(self) -> frozenset[str]:
        return frozenset().union(*(part.reads() for part in self.parts))

    def phrase(self) -> str:
        if not all(isinstance(part, Clause) and _is_plain(part) for part in self.parts):
            return ", or ".join(part.phrase() for part in self.parts)
        by_ending: dict[str, list[str]] = {}
        for part in self.parts:
            name, _, ending = part.phrase().removeprefix("when ").partition(" ")
            by_ending.setdefault(ending, []).append(name)
        return "when " + ", or ".join(f"{_listed(names)} {ending}" for ending, names in by_ending.items())

    def obstacles(self, values: Values) -> Iterator[str]:
        for part in self.parts:
            yield from part.obstacles(values)

    def prefixed(self, prefix: str) -> Predicate:
        return Some(tuple(part.prefixed(prefix) for part in self.parts))

    def __invert__(self) -> Predicate:
        return All(tuple(~part for part in self.parts))


@dataclass(frozen=True)
class Situation(Predicate):
    """A condition with its own phrase.

    Args:
        condition: the condition.
        named: its phrase, such as "with hybrid video".
        opposite: the phrase of its negation, such as "without hybrid video".
    """

    condition: Predicate
    named: str
    opposite: str = ""

    def holds(self, values: Values) -> bool:
        return self.condition.holds(values)

    def reads(self) -> frozenset[str]:
        return self.condition.reads()

    def phrase(self) -> str:
        return self.named

    def obstacles(self, values: Values) -> Iterator[str]:
        return self.condition.obstacles(values)

    def prefixed(self, prefix: str) -> Predicate:
        return replace(self, condition=self.condition.prefixed(prefix))

    def __invert__(self) -> Predicate:
        if not self.opposite:
            return ~self.condition
        return Situation(~self.condition, self.opposite, self.named)


Kind = Literal["is", "is not", "above", "set", "starts", "ends", "contains", "word", "acts"]


@dataclass(frozen=True)
class Clause(Predicate):
    """A condition on one setting.

    Args:
        name: the tested setting.
        kind: the comparison; a key of `_KINDS`.
        wanted: the operands of the comparison.
        negated: whether the clause holds if the comparison fails or the setting does not act.
    """

    name: str
    kind: Kind
    wanted: tuple[Any, ...] = ()
    negated: bool = False

    def holds(self, values: Values) -> bool:
        passes = _KINDS[self.kind].passes(values.value(self.name), self.wanted) and values.acts(self.name)
        return passes != self.negated

    def reads(self) -> frozenset[str]:
        return frozenset((self.name,))

    def phrase(self) -> str:
        if self.name == MODE and self.kind == "is":
            return f"outside {_listed(self.wanted)}" if self.negated else f"in {_listed(self.wanted, 'and')}"
        kind = _KINDS[self.kind]
        words = kind.negated if self.negated else kind.words
        return f"when {self.name} {words(self.wanted)}"

    def obstacles(self, values: Values) -> Iterator[str]:
        value = values.value(self.name)
        if self.negated or not _KINDS[self.kind].passes(value, self.wanted):
            yield f"{self.name} {self._found(value)}"
        else:
            yield from values.reasons(self.name)

    def _found(self, value: Any) -> str:
        kind = _KINDS[self.kind]
        if self.kind in ("contains", "word"):
            return (kind.words if self.negated else kind.negated)(self.wanted)
        return f"is {_told(value)}"

    def prefixed(self, prefix: str) -> Predicate:
        return replace(self, name=prefix + self.name)

    def __invert__(self) -> Predicate:
        return replace(self, negated=not self.negated)


class _Kind(NamedTuple):
    """A comparison, and its words and those of its negation, which follow the name of the setting."""

    passes: Callable[[Any, tuple[Any, ...]], bool]
    words: Callable[[Sequence[Any]], str]
    negated: Callable[[Sequence[Any]], str]


def _says_is(wanted: Sequence[Any]) -> str:
    return f"is {_listed(map(_told, wanted))}"


def _says_is_not(wanted: Sequence[Any]) -> str:
    if wanted in ((True,), (False,)):
        return f"is {_told(not wanted[0])}"
    return f"is {'neither ' if len(wanted) > 1 else 'not '}{_listed(map(_told, wanted), 'nor')}"


def _verb(verb: str) -> Callable[[Sequence[Any]], str]:
    return lambda wanted: f"{verb} {_listed(wanted)}"


_KINDS: Mapping[Kind, _Kind] = {
    "is": _Kind(lambda value, wanted: value in wanted, _says_is, _says_is_not),
    "is not": _Kind(lambda value, wanted: value not in wanted, _says_is_not, _says_is),
    "above": _Kind(
        lambda value, wanted: _above(value, wanted[0]),
        lambda wanted: f"is above {wanted[0]}",
        lambda wanted: f"is not above {wanted[0]}",
    ),
    "set": _Kind(
        lambda value, _: value is not None and bool(str(value).strip()),
        lambda _: "is set",
        lambda _: "is empty",
    ),
    "starts": _Kind(
        lambda value, wanted: str(value).lower().startswith(wanted),
        _verb("starts with"),
        _verb("does not start with"),
    ),
    "ends": _Kind(
        lambda value, wanted: str(value).endswith(wanted),
        _verb("ends with"),
        _verb("does not end with"),
    ),
    "contains": _Kind(
        lambda value, wanted: any(text in str(value) for text in wanted),
        _verb("contains"),
        _verb("does not contain"),
    ),
    "word": _Kind(
        lambda value, wanted: any(word in str(value).lower().split() for word in wanted),
        _verb("has the word"),
        _verb("does not have the word"),
    ),
    "acts": _Kind(lambda value, _: True, lambda _: "is used", lambda _: "is not used"),
}

ALWAYS: Predicate = All(())
NEVER: Predicate = Some(())


def is_on(name: str) -> Predicate:
    """Return the predicate of a switch that acts and is on; `~is_on(name)` also holds if it does not act."""
    return Clause(name, "is", (True,))


def is_off(name: str) -> Predicate:
    """Return the predicate of a switch that acts and is off."""
    return Clause(name, "is", (False,))


def one_of(name: str, *values: str) -> Predicate:
    """Return the predicate of a choice that acts and is one of `values`."""
    return Clause(name, "is", values)


def not_(name: str, *values: str) -> Predicate:
    """Return the predicate of a choice that acts and is none of `values`."""
    return Clause(name, "is not", values)


def above(name: str, bound: float) -> Predicate:
    """Return the predicate of a number above `bound`, or of a schedule other than constant 0."""
    return Clause(name, "above", (bound,))


def is_set(name: str) -> Predicate:
    """Return the predicate of a text that acts and is not blank."""
    return Clause(name, "set")


def starts_with(name: str, beginning: str) -> Predicate:
    """Return the predicate of a text that starts with `beginning` (lower case), regardless of case."""
    return Clause(name, "starts", (beginning,))


def ends_with(name: str, ending: str) -> Predicate:
    """Return the predicate of a text that ends with `ending`."""
    return Clause(name, "ends", (ending,))


def contains(name: str, text: str) -> Predicate:
    """Return the predicate of a text that contains `text`."""
    return Clause(name, "contains", (text,))


def has_word(name: str, word: str) -> Predicate:
    """Return the predicate of a text that has the word `word` (lower case), regardless of case."""
    return Clause(name, "word", (word,))


def is_used(name: str) -> Predicate:
    """Return the predicate of a setting that acts, whatever its value."""
    return Clause(name, "acts")


def sentence(used_when: Predicate) -> str:
    """Return when a setting acts, as a full sentence; nothing if it always does.

    >>> sentence(one_of("animation_mode", "2D", "3D"))
    'Used in 2D and 3D.'
    """
    if used_when in (ALWAYS, NEVER):
        return "" if used_when == ALWAYS else "Never used."
    return f"Used {used_when.phrase()}."


def _parts(predicate: Predicate, kind: type[All] | type[Some]) -> tuple[Predicate, ...]:
    return (
        predicate.parts
        if isinstance(predicate, (All, Some)) and isinstance(predicate, kind)
        else (predicate,)
    )


def _is_plain(predicate: Predicate) -> bool:
    """Return whether the phrase of a predicate begins with "when", so that phrases can be joined by "and"."""
    if isinstance(predicate, Some):
        return all(isinstance(part, Clause) and _is_plain(part) for part in predicate.parts)
    return predicate.phrase().startswith("when ")


def _listed(words: Iterable[str], conjunction: str = "or") -> str:
    *before, last = map(str, words)
    return f"{', '.join(before)} {conjunction} {last}" if before else last


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None or value == "":
        return "empty"
    text = str(value)
    return text if len(text) <= MOST_SHOWN and text.isprintable() else f"{text[:MOST_SHOWN]!r}..."


def _above(value: Any, bound: float) -> bool:
    if isinstance(value, str):
        return not _is_zero(value)
    return isinstance(value, (int, float)) and value > bound


def _is_zero(schedule: str) -> bool:
    """Return whether a schedule is `0: (0)`, with or without frame, brackets and blanks."""
    frame, colon, value = schedule.rpartition(":")
    if colon and frame.strip() != "0":
        return False
    return _ZERO.fullmatch(value.strip().removeprefix("(").removesuffix(")").strip()) is not None
