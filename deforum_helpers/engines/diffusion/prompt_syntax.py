"""The prompt syntax of WebUI hosts, parsed without a model.

    (x)  ((x))  (x:1.3)     more attention: 1.1 per bracket, or the number
    [x]                     less: 1 / 1.1 per bracket
    [from:to:when]          `from` until step `when`, then `to`; below 1 `when` is a share of the steps
    [to:when]  [from::when] nothing before, nothing after
    [a|b|c]                 another one each step
    a AND b:0.6             two prompts, guided to with their weights
    BREAK                   begins a new block of 75 tokens
    <lora:name:0.8>         a LoRA with its weight
    \\( \\) \\[ \\] \\:         the characters themselves

Everything else is literal text, and so is a bracket nested more than a hundred deep: no prompt is an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

_ROUND, _SQUARE = 1.1, 1 / 1.1
_DEEPEST = 100
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_LORA = re.compile(rf"<(?:lora|lyco):([^:<>]+)(?::({_NUMBER}))?(?::({_NUMBER}))?>")
_LORA_LIKE = re.compile(r"<(?:lora|lyco)\b[^<>]*>?", re.IGNORECASE)
_BLOCK = re.compile(r"\bBREAK\b")
_ATTENTION = re.compile(rf"\\.|\(|\[|:\s*({_NUMBER})\s*\)|\)|\]|[^\\()\[\]:]+|:|\\", re.DOTALL)
_SCHEDULE = re.compile(r"\\.|[\[\]()|:]|[^\\\[\]()|:]+|\\", re.DOTALL)


@dataclass(frozen=True)
class Lora:
    """A LoRA asked for in a prompt; `text_weight` is None where it is the same as `weight`."""

    name: str
    weight: float
    text_weight: float | None = None


@dataclass(frozen=True)
class Prompt:
    """A prompt whose LoRA tags are taken out.

    Args:
        parts: (text, weight) of each part between `AND`s; at least one.
        loras: in the order of the text.
    """

    parts: tuple[tuple[str, float], ...]
    loras: tuple[Lora, ...]


@dataclass(frozen=True)
class Weighted:
    """A piece of text with its attention; `text` None is a BREAK."""

    text: str | None
    weight: float


@lru_cache(maxsize=256)
def parse_prompt(prompt: str) -> Prompt:
    """Split `prompt` at `AND` and take its LoRA tags out.

    >>> parse_prompt("a hill AND snow:0.5 <lora:ink:0.8>").parts
    (('a hill', 1.0), ('snow', 0.5))
    """
    loras = []
    for name, first, second in _LORA.findall(prompt):
        # Hosts read one number as both weights and two as text encoder, then network.
        weight = float(second or first or 1)
        loras.append(Lora(name.strip(), weight, float(first) if second else None))
    text = _LORA.sub("", prompt)
    parts = []
    for piece in re.split(r"\bAND\b", text):
        before, colon, number = piece.rpartition(":")
        weighted = bool(colon) and re.fullmatch(_NUMBER, number.strip()) is not None
        parts.append((before.strip(), float(number)) if weighted else (piece.strip(), 1.0))
    return Prompt(tuple(parts), tuple(loras))


def unread_loras(prompt: str) -> list[str]:
    """Return the malformed LoRA tags of `prompt`, which are read as literal text.

    >>> unread_loras("a hill <lora:ink:0.8> <lora:chalk:much>")
    ['<lora:chalk:much>']
    """
    return _LORA_LIKE.findall(_LORA.sub(" ", prompt))


# what changes from step to step


@dataclass(frozen=True)
class _Switch:
    before: tuple[_Node, ...]
    after: tuple[_Node, ...]
    when: float


@dataclass(frozen=True)
class _Cycle:
    choices: tuple[tuple[_Node, ...], ...]


_Node = str | _Switch | _Cycle


def text_at_step(text: str, step: int, steps: int) -> str:
    """Return `text` with its `[from:to:when]` and `[a|b]` resolved.

    Args:
        text: one part of a prompt.
        step: the sampling step that runs, 0-based.
        steps: sampling steps of a full denoising, of which `when` below 1 is a share.

    >>> text_at_step("a [red:blue:0.5] hat", 4, 10), text_at_step("a [red:blue:0.5] hat", 5, 10)
    ('a red hat', 'a blue hat')
    """
    return _resolved(_schedule_tree(text), step, steps)


def _resolved(nodes: Sequence[_Node], step: int, steps: int) -> str:
    pieces = []
    for node in nodes:
        if isinstance(node, str):
            pieces.append(node)
        elif isinstance(node, _Switch):
            boundary = int(node.when * steps if node.when < 1 else node.when)
            pieces.append(_resolved(node.after if step >= boundary else node.before, step, steps))
        else:
            pieces.append(_resolved(node.choices[step % len(node.choices)], step, steps))
    return "".join(pieces)


@lru_cache(maxsize=256)
def _schedule_tree(text: str) -> tuple[_Node, ...]:
    """Read nested brackets with a stack; an unclosed one stands for itself, and so does all in round ones."""
    open_ones = [_Bracket("")]
    squares = 0
    for token in _SCHEDULE.findall(text):
        if token in ("[", "(") and len(open_ones) <= _DEEPEST:
            open_ones.append(_Bracket(token))
            squares += token == "["
        elif token == ")" and open_ones[-1].opening == "(":
            closed = open_ones.pop()
            open_ones[-1].extend((*closed.plain(), ")"))
        elif token == "]" and squares:
            _close_square(open_ones)
            squares -= 1
        elif token in ("|", ":") and len(open_ones) > 1:
            open_ones[-1].separate(token)
        else:
            open_ones[-1].extend((token,))
    while len(open_ones) > 1:
        unclosed = open_ones.pop()
        open_ones[-1].extend(unclosed.plain())
    return tuple(open_ones[0].fields[0])


def _close_square(open_ones: list[_Bracket]) -> None:
    """Close the last square bracket; a round one that was left open in it hides no separator of it."""
    while open_ones[-1].opening == "(":
        unclosed = open_ones.pop()
        open_ones[-1].go_on_with(unclosed)
    closed = open_ones.pop()
    open_ones[-1].extend(closed.nodes())


class _Bracket:
    """Fields of one bracket while it is read, and the separators between them."""

    def __init__(self, opening: str) -> None:
        self.opening = opening
        self.fields: list[list[_Node]] = [[]]
        self.separators: list[str] = []

    def extend(self, nodes: Sequence[_Node]) -> None:
        self.fields[-1].extend(nodes)

    def separate(self, separator: str) -> None:
        self.separators.append(separator)
        self.fields.append([])

    def go_on_with(self, unclosed: _Bracket) -> None:
        """Read what `unclosed` has read as if its opening were a letter."""
        self.extend((unclosed.opening, *unclosed.fields[0]))
        self.separators += unclosed.separators
        self.fields += unclosed.fields[1:]

    def plain(self) -> list[_Node]:
        """All as it was written, up to here."""
        result: list[_Node] = [self.opening, *self.fields[0]]
        for separator, nodes in zip(self.separators, self.fields[1:], strict=True):
            result += [separator, *nodes]
        return result

    def nodes(self) -> list[_Node]:
        """What the closed square bracket means: a cycle, a switch, or (attention brackets) its own text."""
        if self.separators and set(self.separators) == {"|"}:
            return [_Cycle(tuple(tuple(choice) for choice in self.fields))]
        when = "".join(node for node in self.fields[-1] if isinstance(node, str)).strip()
        simple = all(isinstance(node, str) for node in self.fields[-1]) and re.fullmatch(_NUMBER, when)
        if simple and self.separators in ([":"], [":", ":"]):
            before = self.fields[0] if len(self.fields) == 3 else []
            return [_Switch(tuple(before), tuple(self.fields[-2]), float(when))]
        return [*self.plain(), "]"]


# attention


@lru_cache(maxsize=1024)
def parse_attention(text: str) -> tuple[Weighted, ...]:
    """Return the pieces of `text` with their attention, neighbours of equal attention joined.

    >>> parse_attention("a (red:1.3) hat")
    (Weighted(text='a ', weight=1.0), Weighted(text='red', weight=1.3), Weighted(text=' hat', weight=1.0))
    """
    pieces: list[tuple[str | None, float]] = []
    rounds: list[int] = []
    squares: list[int] = []
    for match in _ATTENTION.finditer(text):
        token = match[0]
        if token == "(" and len(rounds) < _DEEPEST:
            rounds.append(len(pieces))
        elif token == "[" and len(squares) < _DEEPEST:
            squares.append(len(pieces))
        elif match[1] is not None and rounds:
            _weigh(pieces, rounds.pop(), float(match[1]))
        elif token == ")" and rounds:
            _weigh(pieces, rounds.pop(), _ROUND)
        elif token == "]" and squares:
            _weigh(pieces, squares.pop(), _SQUARE)
        else:
            _append_text(pieces, token)
    for start in rounds:
        _weigh(pieces, start, _ROUND)
    for start in squares:
        _weigh(pieces, start, _SQUARE)
    return _joined(pieces)


def has_attention(text: str) -> bool:
    """Return whether a prompt weights some of its words."""
    return any(piece.weight != 1 for piece in parse_attention(text))


def _weigh(pieces: list[tuple[str | None, float]], start: int, factor: float) -> None:
    pieces[start:] = [(text, weight * factor) for text, weight in pieces[start:]]


def _append_text(pieces: list[tuple[str | None, float]], token: str) -> None:
    if len(token) == 2 and token[0] == "\\":
        pieces.append((token[1] if token[1] in "()[]\\:" else token, 1.0))
        return
    blocks = _BLOCK.split(token)
    for i, block in enumerate(blocks):
        if i:
            pieces.append((None, 1.0))
            block = block.lstrip()
        if i < len(blocks) - 1:
            block = block.rstrip()
        if block:
            pieces.append((block, 1.0))


def _joined(pieces: Sequence[tuple[str | None, float]]) -> tuple[Weighted, ...]:
    joined: list[Weighted] = []
    for weight, alike in groupby(pieces, lambda piece: None if piece[0] is None else piece[1]):
        if weight is None:
            joined += [Weighted(None, 1.0) for _ in alike]
        else:
            joined.append(Weighted("".join(text for text, _ in alike if text), weight))
    return tuple(joined)
