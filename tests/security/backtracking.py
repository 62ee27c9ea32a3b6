"""Finds patterns whose matching may take more than linear time, by the automaton that they stand for.

A pattern is slow on some text where two of its loops, or one and the search for a place to begin, can share the
characters of a text between them in many ways, and what stands behind them can fail. In the automaton these are states
p and q with a word that leads from p to p, from p to q and from q to q.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

if sys.version_info >= (3, 11):
    from re import _constants as codes
    from re import _parser as parser
else:
    import sre_constants as codes
    import sre_parse as parser

# One character of each kind that patterns of ours tell apart.
ALPHABET = [chr(code) for code in range(128)] + ["\u00e9", "\u00a0", "\u4e00", "\ud800"]
# A bounded repeat is no loop: a few rounds of it show what may follow it.
ROUNDS = 3
SEARCHING = frozenset({"search", "sub", "subn", "split", "findall", "finditer"})


@dataclass
class Automaton:
    """States by number; `steps` consume a character of a set, `free` ones none."""

    steps: list[list[tuple[frozenset[str], int]]] = field(default_factory=list)
    free: list[list[int]] = field(default_factory=list)

    def state(self) -> int:
        self.steps.append([])
        self.free.append([])
        return len(self.steps) - 1

    def closure(self, state: int) -> frozenset[int]:
        seen, waiting = {state}, [state]
        while waiting:
            for following in self.free[waiting.pop()]:
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
        return frozenset(seen)


class _Builder:
    def __init__(self, flags: int) -> None:
        self.made = Automaton()
        self._flags = flags

    def sequence(self, items: Any, start: int) -> int:
        for kind, value in items:
            start = self._item(kind, value, start)
        return start

    def _item(self, kind: Any, value: Any, start: int) -> int:
        if kind in (codes.MAX_REPEAT, codes.MIN_REPEAT, getattr(codes, "POSSESSIVE_REPEAT", None)):
            return self._repeat(*value, start)
        if kind is codes.SUBPATTERN:
            return self.sequence(value[-1], start)
        if kind is codes.BRANCH:
            end = self.made.state()
            for branch in value[1]:
                self.made.free[self.sequence(branch, self._freely(start))].append(end)
            return end
        if kind in (codes.ASSERT, codes.ASSERT_NOT):
            if value[0] > 0:  # what is looked for ahead is one way to go on, and to fail
                self.sequence(value[1], self._freely(start))
            return start
        if kind is codes.AT:
            return start
        if kind is codes.GROUPREF:
            raise ValueError("references to groups are not known here")
        end = self.made.state()
        self.made.steps[start].append((self._characters(kind, value), end))
        return end

    def _freely(self, start: int) -> int:
        begin = self.made.state()
        self.made.free[start].append(begin)
        return begin

    def _repeat(self, least: int, most: Any, body: Any, start: int) -> int:
        for _ in range(min(least, ROUNDS)):
            start = self.sequence(body, start)
        if most is codes.MAXREPEAT:
            begin = self._freely(start)
            self.made.free[self.sequence(body, begin)].append(begin)
            return self._freely(begin)
        end = self.made.state()
        self.made.free[start].append(end)
        for _ in range(min(most, ROUNDS) - min(least, ROUNDS)):
            start = self.sequence(body, start)
            self.made.free[start].append(end)
        return end

    def _characters(self, kind: Any, value: Any) -> frozenset[str]:
        found = {one for one in ALPHABET if self._takes(kind, value, one)}
        if self._flags & re.IGNORECASE:
            found = {one for one in ALPHABET if {one.lower(), one.upper()} & found}
        return frozenset(found)

    def _takes(self, kind: Any, value: Any, one: str) -> bool:
        if kind is codes.LITERAL:
            return one == chr(value)
        if kind is codes.NOT_LITERAL:
            return one != chr(value)
        if kind is codes.ANY:
            return one != "\n" or bool(self._flags & re.DOTALL)
        if kind is codes.RANGE:
            return value[0] <= ord(one) <= value[1]
        if kind is codes.CATEGORY:
            return re.fullmatch(_CATEGORIES[str(value)], one) is not None
        if kind is codes.IN:
            negated = value[0][0] is codes.NEGATE
            return negated != any(self._takes(*item, one) for item in value[negated:])
        raise ValueError(f"{kind} is not known here")


_CATEGORIES = {
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
}


def slow_places(pattern: re.Pattern[Any], use: str) -> list[str]:
    """Return characters on which two loops of a pattern meet, each pair once; nothing where all is linear.

    Args:
        pattern: compiled, of text or bytes.
        use: the name of the function of `re` that it is used by.
    """
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    builder = _Builder(pattern.flags)
    parsed = parser.parse(
        text, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
    )
    made = builder.made
    begin = made.state()
    first = builder._freely(begin)
    if use in SEARCHING:
        made.steps[begin].append((frozenset(ALPHABET), begin))
    end = builder.sequence(parsed, first)
    steps = [
        [
            (characters, following)
            for state in made.closure(start)
            for characters, following in made.steps[state]
        ]
        for start in range(len(made.steps))
    ]
    accepting = (
        {state for state in range(len(steps)) if end in made.closure(state)}
        if _ends_anywhere(parsed, use)
        else set()
    )
    failing = _before(steps, first, accepting)
    return [
        "".join(sorted(shared))[:10]
        for one in _loops(steps)
        for other in _loops(steps)
        if one != other and other in failing and (shared := _meeting(steps, one, other))
    ]


def _before(steps: list[Any], first: int, accepting: set[int]) -> set[int]:
    """Return the states that a match may be in and still fail: it has not been whole before."""
    failing = {first} - accepting
    waiting = list(failing)
    while waiting:
        for _, following in steps[waiting.pop()]:
            if following not in failing and following not in accepting:
                failing.add(following)
                waiting.append(following)
    return failing


def _ends_anywhere(parsed: Any, use: str) -> bool:
    """Tell whether nothing is asked for behind the last character; what is asked for behind the first is no matter."""
    return use != "fullmatch" and not any(
        kind is codes.AT or (kind in (codes.ASSERT, codes.ASSERT_NOT) and value[0] > 0)
        for kind, value in parsed
    )


def _loops(steps: list[Any]) -> Iterator[int]:
    """Yield the states that a step leads to from which a way leads back."""
    entered = {following for row in steps for _, following in row}
    for state in sorted(entered):
        seen: set[int] = set()
        waiting = [following for _, following in steps[state]]
        while waiting:
            at = waiting.pop()
            if at == state:
                yield state
                break
            if at not in seen:
                seen.add(at)
                waiting += [following for _, following in steps[at]]


def _meeting(steps: list[Any], one: int, other: int) -> frozenset[str]:
    """Return the last characters of a word that leads from one to one, from one to other, and from other to other."""
    begin, goal = (one, one, other), (one, other, other)
    seen, waiting = {begin}, [begin]
    while waiting:
        at = waiting.pop()
        for first, to_first in steps[at[0]]:
            for second, to_second in steps[at[1]]:
                if not (both := first & second):
                    continue
                for third, to_third in steps[at[2]]:
                    if not (shared := both & third):
                        continue
                    there = (to_first, to_second, to_third)
                    if there == goal:
                        return shared
                    if there not in seen:
                        seen.add(there)
                        waiting.append(there)
    return frozenset()
