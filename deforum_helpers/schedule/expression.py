"""Expressions: their parser, and the syntax tree that is evaluated for all frames at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import reduce
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import Message
from deforum_helpers.schedule import messages
from deforum_helpers.schedule.functions import (
    CHOICES,
    COMPARISON_POWER,
    FUNCTIONS,
    OPERATORS,
    POWER_POWER,
    TRUTH_KEEPING,
    TRUTHS,
    UNARY_POWER,
    WHOLE,
    WHOLE_KEEPING,
    Function,
    Value,
    inverted_bits,
    inverted_truth,
)
from deforum_helpers.schedule.reading import Reading, shown
from deforum_helpers.schedule.sound import BEAT_NAMES, HEARING, SOUND_FUNCTIONS
from deforum_helpers.schedule.timeline import Scope


class Number(NamedTuple):
    """A literal; `whole` if written without decimal point and exponent. `place`: index in the text."""

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


class Follower(Operation):
    """A function that reads its operands at all frames so far, such as an envelope."""

    def at(self, scope: Scope) -> Value:
        if "t" not in scope:
            return super().at(scope)
        past = scope.since_start()
        frames = len(past["t"])
        operands = [np.broadcast_to(operand.at(past), (frames,)) for operand in self.operands]
        values = self.apply(*operands)
        return values[-1] if np.ndim(scope["t"]) == 0 else values[-len(scope["t"]) :]


Node: TypeAlias = "Number | Name | Operation"


class Undefined(NamedTuple):
    """The operation without a finite value: its index in the text, a description, and its symbol, "" = none."""

    place: int
    account: str
    symbol: str


class Expression(NamedTuple):
    """A parsed expression; `nodes` is the number of its nodes, `followers` of those that read earlier frames."""

    root: Node
    nodes: int
    followers: int = 0

    def at(self, scope: Scope) -> Value:
        """Return the value for the variables of `scope`: float64, a scalar or one number per frame."""
        return self.root.at(scope)

    def whole(self, scope: Scope) -> Any:
        """Return whether the value is printed as an integer: bool, a scalar or one per frame.

        Integers stay integers under + - * // % ** and comparisons; division, a decimal point and the mathematical
        functions give fractions.
        """
        return _whole(self.root, scope)

    def undefined(self, scope: Scope) -> Undefined:
        """Return the innermost operation without a finite value; `scope` holds scalars."""
        value, found = _traced(self.root, scope)
        return found or Undefined(self.root.place, _told(self.root, [], value), "")


def is_truth(node: Node) -> bool:
    """Return whether the node is a comparison, or comparisons joined by & | ^, where `~` means not."""
    if not isinstance(node, Operation):
        return False
    return node.symbol in TRUTHS or (node.symbol in TRUTH_KEEPING and all(map(is_truth, node.operands)))


def is_whole_constant(node: Node) -> bool:
    """Return whether the node consists of integer literals only: `3`, `-3` or `(1+2)`."""
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


def _traced(node: Node, scope: Scope) -> tuple[Value, Undefined | None]:
    if not isinstance(node, Operation):
        return node.at(scope), None
    traced = [_traced(operand, scope) for operand in node.operands]
    values = [value for value, _ in traced]
    value = node.at(scope) if isinstance(node, Follower) else node.apply(*values)
    if np.isfinite(value):
        return value, None
    if node.symbol in CHOICES:
        traced = [traced[0], traced[1] if values[0] != 0 else traced[2]]
    inner = next((found for _, found in traced if found), None)
    return value, inner or Undefined(node.place, _told(node, values, value), node.symbol)


def _told(node: Node, values: list[Value], value: Value) -> str:
    result = f"{float(value):.6g}"
    if not values:
        return f"the value {result}"
    symbol = node.symbol if isinstance(node, Operation) else ""
    written = [] if not isinstance(node, Operation) else node.operands[: 1 if symbol == "noise" else None]
    words = [
        f"{float(value):.6g}"
        for operand, value in zip(written, values, strict=False)
        if not (isinstance(operand, Name) and operand.name == HEARING)
    ]
    if symbol in OPERATORS:
        left = f"({words[0]})" if words[0].startswith("-") else words[0]
        return f"{left} {symbol} {words[1]} = {result}"
    return f"{symbol.removeprefix('u')}({', '.join(words)}) = {result}"


MAX_CHARACTERS = 8192
MAX_NODES = 1000
MAX_HEIGHT = 200
MAX_NESTING = 50
MAX_MAGNITUDE = 2.0**53  # float64 represents every integer, such as a seed, up to here

_TOKEN = re.compile(
    r"""
        (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<operator>\*\*|//|<<|>>|<=|>=|==|!=|[-+*/%<>&|^~(),])
      | (?P<other>\S)
    """,
    re.VERBOSE,
)

_MEMBER = re.compile(r"\.[ \t]{0,9}([A-Za-z_][A-Za-z0-9_]{0,40})")

_OPERAND = "a number, a name, a function or an opening bracket"
_GO_ON = "an operator such as + - * / or the end of the expression"
_ADVICE = {
    "and": "write & with brackets around each comparison",
    "or": "write | with brackets around each comparison",
    "not": "write ~( )",
    "if": "write where(condition, value if true, value if false)",
    "else": "write where(condition, value if true, value if false)",
    "=": "write == to compare",
    ",": "write a decimal number with a point",
    "~": "write an easing after the closing bracket, as in (2) ~ease_in",
    ";": "write a comma between key frames",
    "asin": "write arcsin",
    "acos": "write arccos",
    "atan": "write arctan",
    "atan2": "write arctan2",
    "seed": "write s",
    "frame": "write t",
    "max_frames": "write max_f + 1",
    "random": "noise(t) gives smooth random numbers",
    "rand": "noise(t) gives smooth random numbers",
    "\u03c0": "write pi",
    "\u00b2": "write **2",
    "\u00b3": "write **3",
    "\u221a": "write sqrt( )",
    **{
        typeset: f"write {plain} as on a keyboard"
        for typeset, plain in zip(
            "\u2212\u2013\u2014\u00d7\u00b7\u00f7\uff1a\uff0c\uff08\uff09\u201c\u201d\u2018\u2019",
            "---**/:,()\"\"''",
            strict=True,
        )
    },
}


_OF_SOUND = SOUND_FUNCTIONS.keys() - FUNCTIONS.keys()


def _advice(name: str, known: Collection[str]) -> str:
    small = name.lower()
    if name in _OF_SOUND:
        return "name a sound in audio_path" + (" or set bpm" if name in BEAT_NAMES else "")
    return _ADVICE.get(name) or (f"write {small} in small letters" if small in known else "")


def parse_expression(
    reading: Reading,
    start: int,
    end: int,
    names: Collection[str],
    functions: Mapping[str, Function] = FUNCTIONS,
    *,
    frame: int | None = None,
    close_brackets: bool = False,
) -> Expression:
    """Parse an expression.

    Args:
        reading: the text; warnings are added to it.
        start, end: range of the expression in the text.
        names: the variables that it may use.
        functions: the functions that it may use.
        frame: its key frame, for messages.
        close_brackets: whether brackets still open at the end count as closed.

    Raises:
        SettingsError: a syntax error, with setting, frame, column, and the found and the expected text.
    """
    while end > start and reading.text[end - 1].isspace():
        end -= 1
    return _Parser(reading, start, end, names, functions, frame, close_brackets).parsed()


class _Parser:
    def __init__(
        self,
        reading: Reading,
        start: int,
        end: int,
        names: Collection[str],
        functions: Mapping[str, Function],
        frame: int | None,
        close: bool,
    ) -> None:
        self._reading, self._end, self._frame, self._close = reading, end, frame, close
        self._names, self._functions = names, functions
        self._nodes = self._nesting = 0
        self._followers = 0
        self._matches = _TOKEN.finditer(reading.text, start, end)
        self._kind, self._token, self._index = "", "", start
        if end - start > MAX_CHARACTERS:
            allowed = f"at most {MAX_CHARACTERS} characters"
            self._refuse(messages.EXPRESSION_TOO_LONG, f"{end - start}", allowed, start)
        self._advance()

    def parsed(self) -> Expression:
        root = self._expression(0)
        if self._kind != "end":
            self._refuse_token(_GO_ON)
        return Expression(root, self._nodes, self._followers)

    def _advance(self) -> None:
        match = next(self._matches, None)
        if match is None:
            self._kind, self._token, self._index = "end", "", self._end
            return
        kind = match.lastgroup or "other"
        self._kind, self._token, self._index = kind, match[kind], match.start(kind)

    def _refuse(self, message: Message, found: str, allowed: str, index: int, advice: str = "") -> NoReturn:
        problem = self._reading.problem(
            index, message, found=found, allowed=allowed, frame=self._frame, advice=advice
        )
        raise SettingsError([problem]) from None

    def _refuse_token(self, allowed: str) -> NoReturn:
        found = "the end of the expression" if self._kind == "end" else shown(self._token)
        advice = _ADVICE.get(self._token, "")
        if allowed is _GO_ON and not advice and (self._kind in ("name", "number") or self._token == "("):
            advice = "write * to multiply"
        self._refuse(messages.UNEXPECTED_TOKEN, found, allowed, self._index, advice)

    def _expression(self, power: int) -> Node:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            allowed = f"at most {MAX_NESTING} levels of brackets and signs"
            self._refuse(messages.EXPRESSION_TOO_DEEP, "more", allowed, self._index)
        left = self._prefix()
        while self._kind == "operator" and (operator := OPERATORS.get(self._token)) is not None:
            if operator.power <= power:
                break
            symbol, index = self._token, self._index
            self._advance()
            right = self._expression(operator.power - (operator.power == POWER_POWER))
            left = self._operation(symbol, operator.apply, (left, right), index)
            if operator.power == COMPARISON_POWER:
                self._refuse_chain()
            if symbol == "^" and not (is_truth(left) or is_whole_constant(left)):
                self._reading.warn(index, messages.CARET_IS_XOR(), frame=self._frame)
        self._nesting -= 1
        return left

    def _refuse_chain(self) -> None:
        following = OPERATORS.get(self._token)
        if following is not None and following.power == COMPARISON_POWER:
            advice = "write (a < b) & (b < c)"
            found, allowed = shown(self._token), "one comparison without brackets"
            self._refuse(messages.CHAINED_COMPARISON, found, allowed, self._index, advice)

    def _prefix(self) -> Node:
        kind, token, index = self._kind, self._token, self._index
        if kind == "number":
            self._advance()
            return self._number(token, index)
        if kind == "name":
            self._advance()
            return self._call(token, index) if self._token == "(" else self._name(token, index)
        if token == "(":
            self._advance()
            inner = self._expression(0)
            self._close_bracket()
            return inner
        if token in ("+", "-", "~") and kind == "operator":
            self._advance()
            return self._signed(token, self._expression(UNARY_POWER), index)
        return self._refuse_token(_OPERAND)

    def _signed(self, sign: str, operand: Node, index: int) -> Node:
        if sign == "~":
            if is_truth(operand):
                return self._operation("not", inverted_truth, (operand,), index)
            return self._operation("~", inverted_bits, (operand,), index)
        return self._operation("u" + sign, np.negative if sign == "-" else np.positive, (operand,), index)

    def _number(self, token: str, index: int) -> Node:
        self._count(index)
        value = float(token)
        if value > MAX_MAGNITUDE:
            allowed = f"a number up to {MAX_MAGNITUDE:g}"
            self._refuse(messages.NUMBER_TOO_LARGE, shown(token), allowed, index)
        return Number(np.float64(value), token.isdigit(), index)

    def _name(self, name: str, index: int) -> Node:
        self._count(index)
        if name in self._names:
            return Name(name, index)
        allowed = "one of the names " + ", ".join(self._names)
        if name in self._functions and name not in _ADVICE:
            advice = f"write {name}( ) around its argument"
            found, wanted = f"{shown(name)} without brackets", f"a function with its argument, {name}(t)"
            self._refuse(messages.FUNCTION_WITHOUT_ARGUMENT, found, wanted, index, advice)
        if self._token == "." and (member := _MEMBER.match(self._reading.text, self._index, self._end)):
            found = f"{name}.{member[1]}"
            known = member[1] in self._functions or member[1] in self._names
            advice = f"write {member[1]} alone" if known else _advice(member[1], self._functions)
            allowed += ", or a function such as sin(t)"
            self._refuse(messages.UNKNOWN_NAME, shown(found), allowed, index, advice)
        found, advice = f"the unknown name {shown(name)}", _advice(name, self._names)
        return self._refuse(messages.UNKNOWN_NAME, found, allowed, index, advice)

    def _call(self, name: str, index: int) -> Node:
        function = self._functions.get(name)
        if function is None:
            if name in self._names:
                self._refuse_token(_GO_ON)
            allowed = "one of the functions " + ", ".join(self._functions)
            advice = _advice(name, self._functions)
            self._refuse(
                messages.UNKNOWN_FUNCTION, f"the unknown function {shown(name)}", allowed, index, advice
            )
        self._advance()
        arguments = [self._expression(0)]
        while self._token == ",":
            self._advance()
            arguments.append(self._expression(0))
        self._close_bracket()
        if not function.least <= len(arguments) <= function.most:
            many = f"{function.least}" + (f" to {function.most}" if function.least < function.most else "")
            found, allowed = f"{name} with {len(arguments)} arguments", f"{name} with {many}"
            self._refuse(messages.WRONG_ARGUMENT_COUNT, found, allowed, index)
        if function.last and len(arguments) < function.most:
            if function.last not in self._names:
                found, allowed = f"{name} without a frame", f"{name} with a frame as its last argument"
                self._refuse(messages.WRONG_ARGUMENT_COUNT, found, allowed, index)
            arguments.append(Name(function.last, index))
        arguments += [Name(variable, index) for variable in function.more]
        if name == "env":
            self._followers += 1
        return self._operation(name, function.apply, tuple(arguments), index)

    def _close_bracket(self) -> None:
        if self._token == ")":
            self._advance()
        elif self._kind != "end" or not self._close:
            self._refuse_token("an operator or a closing bracket")

    def _operation(self, symbol: str, apply: Any, operands: tuple[Node, ...], index: int) -> Operation:
        self._count(index)
        heights = [operand.height for operand in operands if isinstance(operand, Operation)]
        height = 1 + max(heights, default=0)
        if height > MAX_HEIGHT:
            allowed = f"at most {MAX_HEIGHT} nested operations"
            self._refuse(messages.EXPRESSION_TOO_DEEP, "more", allowed, index)
        kind = Follower if symbol == "env" else Operation
        return kind(symbol, apply, operands, index, height)

    def _count(self, index: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            allowed = f"at most {MAX_NODES} numbers, names and operations"
            self._refuse(messages.EXPRESSION_TOO_LARGE, "more", allowed, index)
