"""When a setting has an effect: the condition that its declaration states in words, worked out.

A condition is alternatives (`or`) of clauses (`and`); a clause is one of

    use_init = true · animation_mode = 2D or 3D · color_coherence is not None · diffusion_cadence is above 1 ·
    depth_algorithm ends with (old) · parseq_manifest is set · never
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from deforum_helpers.settings.model import FIELDS
from deforum_helpers.settings.wording import shown

Flat = Mapping[str, Any]

_CLAUSE = re.compile(r"(\w+) (=|is not|is above|ends with|is set)(?: (.+))?")
_ZERO = re.compile(r"[+-]?0*(?:\.0*)?")
_TESTS: Mapping[str, Callable[[Any, tuple[str, ...]], bool]] = {
    "=": lambda value, words: _word(value) in words,
    "is not": lambda value, words: _word(value) not in words,
    "is above": lambda value, words: _above(value, float(words[0])),
    "ends with": lambda value, words: str(value).endswith(words),
    "is set": lambda value, words: bool(str(value).strip()),
}


@dataclass(frozen=True)
class Clause:
    """One setting and what it has to be: a key of `_TESTS` and the words that belong to it."""

    name: str
    test: str
    words: tuple[str, ...]


@cache
def clauses(condition: str) -> tuple[tuple[Clause, ...], ...]:
    """Return the alternatives of a condition, each a tuple of clauses that must all hold.

    clauses("animation_mode = 2D or 3D") is ((Clause("animation_mode", "=", ("2D", "3D")),),).

    Raises:
        ValueError: it is no condition.
    """
    alternatives: list[tuple[Clause, ...]] = []
    for part in re.split(",? or ", condition):
        if _CLAUSE.fullmatch(part.split(" and ")[0]) is None and alternatives:
            *before, last = alternatives[-1]
            alternatives[-1] = (*before, Clause(last.name, last.test, (*last.words, part)))
        else:
            alternatives.append(tuple(_clause(text) for text in part.split(" and ")))
    return tuple(alternatives)


def _clause(text: str) -> Clause:
    match = _CLAUSE.fullmatch(text)
    if match is None or match[1] not in FIELDS:
        raise ValueError(f"{text!r} is no condition on a setting")
    return Clause(match[1], match[2], (match[3],) if match[3] else ())


def has_effect(name: str, flat: Flat) -> bool:
    """Tell whether the setting `name` has an effect on the film of these settings, as its declaration says.

    Args:
        name: of a setting.
        flat: every setting by its flat name.
    """
    condition = FIELDS[name].used_when
    if condition == "never":
        return False
    return not condition or any(
        all(_holds(clause, flat) for clause in alternative) for alternative in clauses(condition)
    )


def _holds(clause: Clause, flat: Flat) -> bool:
    return _TESTS[clause.test](flat[clause.name], clause.words) and has_effect(clause.name, flat)


def reasons(name: str, flat: Flat) -> Iterator[str]:
    """Yield what keeps `name` from having an effect, as `diffusion_cadence is 1`; nothing where it has one."""
    condition = FIELDS[name].used_when
    if has_effect(name, flat) or condition == "never":
        return
    told: dict[str, None] = {}
    for alternative in clauses(condition):
        for clause in alternative:
            if not _TESTS[clause.test](flat[clause.name], clause.words):
                told[f"{clause.name} is {_told(flat[clause.name])}"] = None
            else:
                told |= dict.fromkeys(reasons(clause.name, flat))
    yield from told


def _told(value: Any) -> str:
    return "empty" if value == "" else value if isinstance(value, str) and len(value) < 40 else shown(value)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _above(value: Any, bound: float) -> bool:
    """Compare a number; a schedule counts as above 0 unless it is plainly nothing but 0."""
    return value > bound if not isinstance(value, str) else not _is_zero(value)


def _is_zero(schedule: str) -> bool:
    """Tell whether a schedule is `0: (0)`, with or without the frame, the brackets and blanks."""
    frame, colon, value = schedule.rpartition(":")
    if colon and frame.strip() != "0":
        return False
    return _ZERO.fullmatch(value.strip().removeprefix("(").removesuffix(")").strip()) is not None
