"""The tree of an expression: numbers, names and operations, walked once for all frames at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from deforum_helpers.schedule.functions import (
    CHOICES,
    OPERATORS,
    TRUTH_KEEPING,
    TRUTHS,
    WHOLE,
    WHOLE_KEEPING,
    Value,
)

Scope: TypeAlias = Mapping[str, Value]


class Number(NamedTuple):
    """A literal; `whole` if it is written without dot and exponent. `place`: index in the text."""

    value: np.float64
    whole: bool
    place: int

    def at(self, scope: Scope) -> Value:
        return self.value


class Name(NamedTuple):
    """A variable."""

    name: str
    place: int

    def at(self, scope: Scope) -> Value:
        return scope[self.name]


class Operation(NamedTuple):
    """An operator or a function with its operands; `height` counts the levels from here to the leaves."""

    symbol: str
    apply: Any
    operands: tuple[Node, ...]
    place: int
    height: int

    def at(self, scope: Scope) -> Value:
        operands = self.operands
        if len(operands) == 2:
            return self.apply(operands[0].at(scope), operands[1].at(scope))
        if len(operands) == 1:
            return self.apply(operands[0].at(scope))
        return self.apply(*[operand.at(scope) for operand in operands])


Node: TypeAlias = "Number | Name | Operation"


class Culprit(NamedTuple):
    """An operation without a finite value: its place in the text, an account of it, and its symbol, "" = none."""

    place: int
    account: str
    symbol: str


class Expression(NamedTuple):
    """A parsed expression; `nodes` is its size."""

    root: Node
    nodes: int

    def at(self, scope: Scope) -> Value:
        """Return its value for the names of `scope`: float64, a scalar or one number per frame."""
        return self.root.at(scope)

    def whole(self, scope: Scope) -> Any:
        """Return where the value counts as a whole number in print: bool, a scalar or one per frame.

        Whole numbers stay whole under + - * // % ** and comparisons; division, a decimal point and the
        mathematical functions make fractions.
        """
        return _whole(self.root, scope)

    def culprit(self, scope: Scope) -> Culprit:
        """Return the innermost operation without a finite value; `scope` is scalar."""
        value, found = _traced(self.root, scope)
        return found or Culprit(self.root.place, _told(self.root, [], value), "")


def is_truth(node: Node) -> bool:
    """Tell whether the node is a comparison, or comparisons joined by & | ^: `~` then means not."""
    if not isinstance(node, Operation):
        return False
    return node.symbol in TRUTHS or (node.symbol in TRUTH_KEEPING and all(map(is_truth, node.operands)))


def is_whole_constant(node: Node) -> bool:
    """Tell whether the node is made of whole numbers alone, written as such: `3`, `-3` or `(1+2)`."""
    if not isinstance(node, Operation):
        return isinstance(node, Number) and node.whole
    return node.symbol in WHOLE | WHOLE_KEEPING and all(map(is_whole_constant, node.operands))


def _whole(node: Node, scope: Scope) -> Any:
    if isinstance(node, Number):
        return node.whole
    if isinstance(node, Name):
        return np.all(np.trunc(node.at(scope)) == node.at(scope))
    if node.symbol in CHOICES:
        condition, if_true, if_false = node.operands
        return np.where(condition.at(scope) != 0, _whole(if_true, scope), _whole(if_false, scope))
    if node.symbol in WHOLE_KEEPING:
        return reduce(np.logical_and, [_whole(operand, scope) for operand in node.operands])
    return node.symbol in WHOLE


def _traced(node: Node, scope: Scope) -> tuple[Value, Culprit | None]:
    if not isinstance(node, Operation):
        return node.at(scope), None
    traced = [_traced(operand, scope) for operand in node.operands]
    values = [value for value, _ in traced]
    value = node.apply(*values)
    if np.isfinite(value):
        return value, None
    if node.symbol in CHOICES:
        traced = [traced[0], traced[1] if values[0] != 0 else traced[2]]
    inner = next((found for _, found in traced if found), None)
    return value, inner or Culprit(node.place, _told(node, values, value), node.symbol)


def _told(node: Node, values: list[Value], value: Value) -> str:
    result = f"{float(value):.6g}"
    if not values:
        return f"the value {result}"
    symbol = node.symbol if isinstance(node, Operation) else ""
    words = [f"{float(operand):.6g}" for operand in values[: 1 if symbol == "noise" else None]]
    if symbol in OPERATORS:
        left = f"({words[0]})" if words[0].startswith("-") else words[0]
        return f"{left} {symbol} {words[1]} = {result}"
    return f"{symbol.removeprefix('u')}({', '.join(words)}) = {result}"
