"""Mask expressions, which compose a mask from others: `!{init_mask} & (<sky> | [clouds.png])`.

| syntax      | mask                                                        |
|-------------|-------------------------------------------------------------|
| `{name}`    | a mask of the run: one of `MASK_NAMES`                      |
| `[file]`    | an image, by its path or address                            |
| `<words>`   | where the frame shows what the words describe               |
| `( )`       | evaluated first                                             |
| `!a`        | the inverse of a                                            |
| `a & b`     | the intersection                                            |
| `a \\ b`     | a without b                                                 |
| `a ^ b`     | either, but not both                                        |
| `a | b`     | the union                                                   |

Precedence is in this order, `!` first; equal operators associate to the left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import Message
from deforum_helpers.schedule import messages
from deforum_helpers.schedule.reading import Reading, shown

Kind = Literal["name", "file", "words"]
Operator = Literal["!", "&", "\\", "^", "|"]
T = TypeVar("T")

MASK_NAMES = ("everywhere", "video_mask", "init_mask", "human_mask")
MAX_CHARACTERS = 10_000
MAX_STEPS = 1_000

_BINDING: Mapping[str, int] = {"|": 1, "^": 2, "\\": 3, "&": 4, "!": 5}
_LEAVES: Mapping[str, tuple[Kind, str]] = {"{": ("name", "}"), "[": ("file", "]"), "<": ("words", ">")}
_OPERAND = "a mask: {name}, [file], <words>, ! or ("
_AFTER = "& \\ ^ | or the end"
_SPACE = re.compile(r"\s*")


class Leaf(NamedTuple):
    """A single mask: its kind, and its text without brackets."""

    kind: Kind
    text: str


Step = Leaf | Operator


class _Token(NamedTuple):
    place: int
    sign: str
    leaf: Leaf | None = None


@dataclass(frozen=True)
class MaskExpression:
    """A mask expression in postfix order: each operator follows its operands.

    `({everywhere} \\ <sky>)` has the steps everywhere, sky, `\\`.
    """

    steps: tuple[Step, ...]

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The single masks, each once, in order of appearance."""
        return tuple(dict.fromkeys(step for step in self.steps if isinstance(step, Leaf)))

    def value(
        self,
        leaf: Callable[[Leaf], T],
        inverse: Callable[[T], T],
        pairs: Mapping[Operator, Callable[[T, T], T]],
    ) -> T:
        """Evaluate the expression.

        Args:
            leaf: returns a single mask.
            inverse: the function of `!`.
            pairs: the functions of the binary operators.
        """
        stack: list[T] = []
        for step in self.steps:
            if isinstance(step, Leaf):
                stack.append(leaf(step))
            elif step == "!":
                stack.append(inverse(stack.pop()))
            else:
                right = stack.pop()
                stack.append(pairs[step](stack.pop(), right))
        return stack.pop()


def parse_mask(
    text: str, setting: str, *, whole: str | None = None, frame: int | None = None
) -> MaskExpression:
    """Parse a mask expression.

    Args:
        text: the expression.
        setting: name of the setting that holds it, for messages.
        whole: the setting's whole text, for column numbers; by default the expression itself.
        frame: key frame of the expression, for messages.

    Raises:
        SettingsError: a syntax error, with the column, and the found and the expected text.
    """
    fault = _Fault(Reading(setting, whole or text), text, frame)
    if len(text) > MAX_CHARACTERS:
        raise fault.at(
            0,
            messages.MASK_TOO_LONG,
            f"a mask of {len(text)} characters",
            f"at most {MAX_CHARACTERS} characters",
        )
    return MaskExpression(tuple(_postfix(text, fault)))


class _Fault(NamedTuple):
    """Builds the error for an index in the expression."""

    reading: Reading
    text: str
    frame: int | None

    def at(self, place: int, message: Message, found: str, allowed: str) -> SettingsError:
        offset = max(
            0, self.reading.text.find(self.text)
        )  # searched for only on an error, as a schedule has many masks
        return SettingsError(
            [self.reading.problem(offset + place, message, found=found, allowed=allowed, frame=self.frame)]
        )


def _postfix(text: str, fault: _Fault) -> list[Step]:
    """Return the tokens in postfix order (shunting-yard algorithm)."""
    output: list[Step] = []
    waiting: list[_Token] = []
    wants_operand = True
    for token in _tokens(text, fault):
        opens = token.leaf is not None or token.sign in ("!", "(")
        if opens != wants_operand:
            raise fault.at(
                token.place,
                messages.MASK_UNEXPECTED,
                shown(token.sign),
                _OPERAND if wants_operand else _AFTER,
            )
        if token.leaf is not None:
            output.append(token.leaf)
        elif token.sign == ")":
            _close(token, waiting, output, fault)
        else:
            while waiting and token.sign not in "!(" and _binds(waiting[-1]) >= _binds(token):
                output.append(_operator(waiting.pop()))
            waiting.append(token)
        wants_operand = token.leaf is None and token.sign != ")"
        if len(output) + len(waiting) > MAX_STEPS:
            allowed = f"at most {MAX_STEPS} masks and operators"
            raise fault.at(token.place, messages.MASK_TOO_LARGE, "more", allowed)
    if wants_operand:
        raise fault.at(len(text), messages.MASK_UNEXPECTED, "the end", _OPERAND)
    while waiting:
        if waiting[-1].sign == "(":
            found, place = "'(' without its partner", waiting[-1].place
            raise fault.at(place, messages.MASK_BRACKET_UNPAIRED, found, "as many ) as (")
        output.append(_operator(waiting.pop()))
    return output


def _close(token: _Token, waiting: list[_Token], output: list[Step], fault: _Fault) -> None:
    while waiting and waiting[-1].sign != "(":
        output.append(_operator(waiting.pop()))
    if not waiting:
        found = "')' without its partner"
        raise fault.at(token.place, messages.MASK_BRACKET_UNPAIRED, found, "as many ( as )")
    waiting.pop()


def _binds(token: _Token) -> int:
    return _BINDING.get(token.sign, 0)


def _operator(token: _Token) -> Operator:
    return token.sign  # type: ignore[return-value]


def _tokens(text: str, fault: _Fault) -> Iterator[_Token]:
    place, before = 0, ""
    while True:
        match = _SPACE.match(text, place)
        place = match.end() if match else place
        if place == len(text):
            return
        sign = text[place]
        if sign in _LEAVES:
            leaf, end = _leaf(text, place, fault)
            yield _Token(place, text[place:end], leaf)
            place, before = end, sign
            continue
        if sign not in _BINDING and sign not in "()":
            raise fault.at(place, messages.MASK_UNEXPECTED, shown(sign), f"{_OPERAND}, or & \\ ^ | )")
        if sign == ")" and before == "(":
            raise fault.at(place, messages.MASK_UNEXPECTED, "nothing between ( and )", _OPERAND)
        yield _Token(place, sign)
        place, before = place + 1, sign


def _leaf(text: str, place: int, fault: _Fault) -> tuple[Leaf, int]:
    kind, closing = _LEAVES[text[place]]
    end = text.find(closing, place + 1)
    if end < 0:
        found, allowed = f"{text[place]!r} without its partner", f"a {closing!r} after it"
        raise fault.at(place, messages.MASK_BRACKET_UNPAIRED, found, allowed)
    inner = text[place + 1 : end].strip()
    if kind == "name" and inner not in MASK_NAMES:
        allowed = f"one of {', '.join(MASK_NAMES)}"
        raise fault.at(place + 1, messages.MASK_NAME_UNKNOWN, shown(inner), allowed)
    if not inner:
        allowed = "a file" if kind == "file" else "words"
        raise fault.at(place + 1, messages.MASK_UNEXPECTED, "nothing", allowed)
    return Leaf(kind, inner.strip("\"'") if kind == "file" else inner), end + 1
