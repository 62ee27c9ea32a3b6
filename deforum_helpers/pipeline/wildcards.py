"""Wildcards of prompts: `{a|b}` and `__file__` become one choice each, made from the seed before anything is planned.

| in a prompt         | becomes                                                          |
|---------------------|------------------------------------------------------------------|
| `{red|green}`       | one of the texts; they may contain further wildcards             |
| `{3::red|green}`    | the same, red three times as often                               |
| `__colors/warm__`   | a line of `colors/warm.txt` in a folder of wildcards             |

Braces without a bar, expressions in backticks and tags such as `<lora:my__name__:1>` stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.regular import UnusableFile, read_regular
from deforum_helpers.core.messages import Message
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.host_facts import WILDCARD_FOLDER
from deforum_helpers.schedule.reading import shown
from deforum_helpers.schedule.seeds import derived_seed
from deforum_helpers.settings import Settings

ENDING = ".txt"
MOST_CHOICES = 1_000
MOST_CHARACTERS = 20_000
MOST_FILE_BYTES = 4 << 20
DEEPEST = 20
_NAMED = 10

_SPECIAL = re.compile(r"[`<{]|__")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}){0,8}")
_WEIGHT = re.compile(r"\s{0,9}([0-9]{1,6}(?:\.[0-9]{1,6})?)::")


def resolve_wildcards(
    settings: Settings, folders: Sequence[Path]
) -> tuple[Settings, tuple[Problem, ...], tuple[str, ...]]:
    """Return the settings with all wildcards of the prompts replaced, problems, and warnings.

    Equal seeds and files give equal prompts; a change of one prompt does not change the choices of the others.

    Args:
        settings: checked settings, seed resolved. With `wildcards` off they stay, and a warning names the first text
            that looks like one.
        folders: folders of wildcard files; of two files of one name that in the first folder counts.
    """
    texts = {f"prompts, key {shown(key)}": text for key, text in settings.prompts.items()}
    additions = ("animation_prompts_positive", "animation_prompts_negative")
    texts |= {name: getattr(settings, name) for name in additions}
    if not settings.wildcards:
        return settings, (), tuple(_warnings(texts))
    files = _Files(folders)
    problems: list[Problem] = []
    resolved: dict[str, str] = {}
    for place, text in texts.items():
        with _catching(problems):
            resolved[place] = _Choices(place, settings.seed, files).made(text)
    if problems:
        return settings, tuple(problems), ()
    *prompts, positive, negative = resolved.values()
    settings = replace(
        settings,
        prompts=dict(zip(settings.prompts, prompts, strict=True)),
        animation_prompts_positive=positive,
        animation_prompts_negative=negative,
    )
    return settings, (), ()


@contextmanager
def _catching(problems: list[Problem]) -> Iterator[None]:
    """Add the problems of a SettingsError to `problems`."""
    try:
        yield
    except SettingsError as error:
        problems += error.problems


def _warnings(texts: dict[str, str]) -> Iterator[str]:
    for place, text in texts.items():
        if found := next(_wildcards(text), ""):
            yield messages.WILDCARDS_OFF(place=place, found=shown(found))
            return


def _wildcards(text: str) -> Iterator[str]:
    """Yield what looks like a wildcard."""
    for start, end in _pieces(text):
        piece = text[start:end]
        if piece.startswith("__") or (piece.startswith("{") and len(_options(piece[1:-1])) > 1):
            yield piece


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Yield the ranges of the outermost braces and of the names between double underscores."""
    closing = _closing_braces(text)
    place = 0
    while special := _SPECIAL.search(text, place):
        start, mark = special.start(), special[0]
        place = special.end()
        if mark in "`<":
            end = text.find("`" if mark == "`" else ">", place)
            place = place if end < 0 else end + 1
        elif mark == "{":
            if start in closing:
                place = closing[start] + 1
                yield start, place
        else:
            end = text.find("__", place)
            if end > 0 and _NAME.fullmatch(text, place, end):
                place = end + 2
                yield start, place


def _closing_braces(text: str) -> dict[int, int]:
    opened: list[int] = []
    closing: dict[int, int] = {}
    for brace in re.finditer("[{}]", text):
        if brace[0] == "{":
            opened.append(brace.start())
        elif opened:
            closing[opened.pop()] = brace.start()
    return closing


def _options(inner: str) -> list[str]:
    """Split a text at its bars outside inner braces."""
    options, depth, start = [], 0, 0
    for mark in re.finditer("[{}|]", inner):
        depth += {"{": 1, "}": -1}.get(mark[0], 0)
        if mark[0] == "|" and depth == 0:
            options.append(inner[start : mark.start()])
            start = mark.end()
    return [*options, inner[start:]]


class _Files:
    """The wildcard files, each read once."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._lines: dict[str, list[str]] = {}

    def lines(self, name: str, place: str) -> list[str]:
        """Return the lines of a file without empty ones and comments (`#`).

        Raises:
            SettingsError: no folder has the file, or it cannot be read or has no line.
        """
        if name not in self._lines:
            self._lines[name] = self._read(name, place)
        return self._lines[name]

    def _read(self, name: str, place: str) -> list[str]:
        path = next(filter(None, (_inside(folder, name) for folder in self._folders)), None)
        if path is None:
            known = sorted({one for folder in self._folders for one in _names(folder)})
            allowed = f"a file {name}{ENDING} in a folder {WILDCARD_FOLDER!r}"
            if known:
                allowed += f", or one of {', '.join(known[:_NAMED])}" + (
                    " ..." if len(known) > _NAMED else ""
                )
            raise _problem(messages.WILDCARD_MISSING, place, f"__{name}__", allowed)
        try:
            text = read_regular(path, MOST_FILE_BYTES).decode("utf-8-sig", "replace")
        except UnusableFile as error:
            allowed = f"a text file of at most {MOST_FILE_BYTES >> 20} MB"
            raise _problem(messages.WILDCARD_UNREADABLE, place, f"__{name}__ ({error})", allowed) from None
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        if not lines:
            raise _problem(messages.WILDCARD_EMPTY, place, f"__{name}__", "a file with a line of text")
        return lines


def _inside(folder: Path, name: str) -> Path | None:
    """Return the file of a wildcard if it exists and lies in the folder, links resolved."""
    if any(part in ("", ".", "..") or part.endswith((".", " ")) for part in name.split("/")):
        return None
    path = folder / f"{name}{ENDING}"
    try:
        whole = path.resolve()
        return whole if whole.is_file() and whole.is_relative_to(folder.resolve()) else None
    except (OSError, RuntimeError):
        return None


def _names(folder: Path) -> Iterator[str]:
    """Yield the names of the wildcards in a folder and in the folders directly inside it."""
    with suppress(OSError):
        paths = [*sorted(folder.glob(f"*{ENDING}")), *sorted(folder.glob(f"*/*{ENDING}"))]
        yield from (path.relative_to(folder).with_suffix("").as_posix() for path in paths[:100])


class _Choices:
    """Makes the choices of one text, in its order.

    Args:
        place: of the text in the settings, for messages and for the choices.
        seed: of the run.
        files: the wildcard files.
    """

    def __init__(self, place: str, seed: int, files: _Files) -> None:
        self._place, self._seed, self._files = place, seed, files
        self._count = 0

    def made(self, text: str, within: tuple[str, ...] = (), depth: int = 0) -> str:
        """Return `text` with its wildcards replaced.

        Args:
            within: names of the files that the text comes from, outermost first.
            depth: number of wildcards around it.

        Raises:
            SettingsError: a file is missing, empty or contains itself; or there are too many choices.
        """
        if "{" not in text and "__" not in text:
            return text
        if depth > DEEPEST:
            self._refuse(
                messages.WILDCARDS_TOO_MANY, "more", f"at most {DEEPEST} wildcards inside each other"
            )
        made: list[str] = []
        place = 0
        for start, end in _pieces(text):
            made += [text[place:start], self._replaced(text[start:end], within, depth + 1)]
            place = end
        whole = "".join([*made, text[place:]])
        if len(whole) > max(MOST_CHARACTERS, len(text)):
            self._refuse(
                messages.WILDCARDS_TOO_MANY, str(len(whole)), f"at most {MOST_CHARACTERS} characters"
            )
        return whole

    def _replaced(self, piece: str, within: tuple[str, ...], depth: int) -> str:
        if piece.startswith("{"):
            options = _options(piece[1:-1])
            if len(options) == 1:
                return "{" + self.made(options[0], within, depth) + "}"
            return self.made(self._chosen(options), within, depth)
        name = piece[2:-2]
        if name in within:
            chain = " in ".join(f"__{one}__" for one in (name, *reversed(within)))
            self._refuse(messages.WILDCARD_RECURSION, chain, "a file that does not lead back to itself")
        return self.made(self._chosen(self._files.lines(name, self._place)), (*within, name), depth)

    def _chosen(self, options: Iterable[str]) -> str:
        self._count += 1
        if self._count > MOST_CHOICES:
            self._refuse(messages.WILDCARDS_TOO_MANY, "more", f"at most {MOST_CHOICES} wildcards per prompt")
        texts: list[str] = []
        ends: list[float] = []
        for option in options:
            weight = _WEIGHT.match(option)
            texts.append(option[weight.end() :] if weight else option)
            ends.append((ends[-1] if ends else 0.0) + (float(weight[1]) if weight else 1.0))
        if ends[-1] <= 0:
            ends = [float(number + 1) for number in range(len(texts))]
        at = derived_seed(f"wildcard {self._place}", self._seed, self._count) / 2**32 * ends[-1]
        return next(text for text, end in zip(texts, ends, strict=True) if at < end).strip()

    def _refuse(self, message: Message, found: str, allowed: str) -> None:
        raise _problem(message, self._place, found, allowed)


def _problem(message: Message, place: str, found: str, allowed: str) -> SettingsError:
    text = message(place=place, found=found, allowed=allowed)
    return SettingsError([Problem(text, place.split(",")[0], found=found, allowed=allowed)])
