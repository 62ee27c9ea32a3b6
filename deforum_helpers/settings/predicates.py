"""When a setting acts: predicates over settings that are worked out, put into words, and explained.

A test names one setting. It passes where that setting acts itself and its value is as wanted, so a setting that does
not act counts as off:

    is_on("use_init") | one_of("animation_mode", "Video Input")
    one_of("hybrid_motion", "Optical Flow") & ~is_on("hybrid_use_init_image")

Predicates are equal if they are made alike. `Values` gives them what they read.
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
    """What predicates read: the value of each setting, and whether the setting acts."""

    def value(self, name: str) -> Any: ...
    def acts(self, name: str) -> bool: ...
    def reasons(self, name: str) -> Iterable[str]: ...


class Predicate(ABC):
    """A condition on settings. `&`, `|` and `~` make further ones."""

    @abstractmethod
    def holds(self, values: Values) -> bool:
        """Tell whether it holds."""

    @abstractmethod
    def reads(self) -> frozenset[str]:
        """Return the names of the settings that it tests."""

    @abstractmethod
    def phrase(self) -> str:
        """Return it as the end of a sentence: "in 2D and 3D", "when use_init is on"."""

    @abstractmethod
    def obstacles(self, values: Values) -> Iterator[str]:
        """Yield what keeps it from holding, where it does not: "use_init is off". A reason may come twice."""

    @abstractmethod
    def prefixed(self, prefix: str) -> Predicate:
        """Return the same condition on the settings whose names have `prefix` in front."""

    @abstractmethod
    def __invert__(self) -> Predicate: ...

    def __and__(self, other: Predicate) -> Predicate:
        return All((*_parts(self, All), *_parts(other, All)))

    def __or__(self, other: Predicate) -> Predicate:
        return Some((*_parts(self, Some), *_parts(other, Some)))


@dataclass(frozen=True)
class All(Predicate):
    """Holds where every part does; without parts, always."""

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
    """Holds where one of its parts does; without parts, never."""

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
    """A condition with a name of its own, which stands for it in sentences.

    Args:
        condition: what it stands for.
        named: the end of a sentence, "with hybrid video".
        opposite: the same where it does not hold, "without hybrid video".
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
        name: of the setting.
        kind: how its value is compared; a key of `_KINDS`.
        wanted: what with.
        negated: whether it holds where the value is not as wanted, or the setting does not act.
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
    """A way to test: what passes, and how that and its opposite are said after the setting's name."""

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
    """Return the predicate of a switch that acts and is on; `~is_on(name)` holds where it does not act, too."""
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
    """Return the predicate of a number above `bound`, or of a schedule that is not plainly 0 at all frames."""
    return Clause(name, "above", (bound,))


def is_set(name: str) -> Predicate:
    """Return the predicate of a text that acts and is not blank."""
    return Clause(name, "set")


def starts_with(name: str, beginning: str) -> Predicate:
    """Return the predicate of a text that starts with `beginning`, which is in lower case, in any case."""
    return Clause(name, "starts", (beginning,))


def ends_with(name: str, ending: str) -> Predicate:
    """Return the predicate of a text that ends with `ending`."""
    return Clause(name, "ends", (ending,))


def contains(name: str, text: str) -> Predicate:
    """Return the predicate of a text that contains `text`."""
    return Clause(name, "contains", (text,))


def has_word(name: str, word: str) -> Predicate:
    """Return the predicate of a text one of whose words is `word`, which is in lower case, in any case."""
    return Clause(name, "word", (word,))


def is_used(name: str) -> Predicate:
    """Return the predicate of a setting that acts, whatever its value."""
    return Clause(name, "acts")


def sentence(used_when: Predicate) -> str:
    """Return when a setting acts as a full sentence, or nothing if it always does.

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
    """Tell whether the phrase of a predicate is "when" and tests of settings, which "and" joins to others."""
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
    """Tell whether a schedule is `0: (0)`, with or without the frame, the brackets and blanks."""
    frame, colon, value = schedule.rpartition(":")
    if colon and frame.strip() != "0":
        return False
    return _ZERO.fullmatch(value.strip().removeprefix("(").removesuffix(")").strip()) is not None
