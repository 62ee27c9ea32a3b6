"""The vocabulary of the built-in model; imports without torch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pkgutil import get_data

# Function words, which count as known.
_GRAMMAR = """
above and are around before behind below beneath beside between beyond both break but can down each few for from has
have her here his how into its like many more most much near not off one onto our out some such than that their them
then there these they this those through too toward two three until upon was were what when where which while who
within without you your
"""
_TAGS = re.compile(r"<[^<>]*>")
_WORD = re.compile(r"[^\W\d_]+")


@lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """Return the words for objects and styles in the training captions, lower case, sorted."""
    return _listed("vocabulary.txt")


def unknown_words(prompts: Iterable[str]) -> tuple[str, ...]:
    """Return the words of prompts that the model was not trained on, lower case, in their order.

    Words that name nothing, such as "the" and "masterpiece", count as known.
    """
    return tuple(word for word in _words(prompts) if _stem(word) not in _known())


def lacks_known_words(prompt: str) -> bool:
    """Return whether a prompt has words, none of which names something that the model can generate."""
    words = _words([prompt])
    return bool(words) and _stems("vocabulary.txt").isdisjoint(map(_stem, words))


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return _stems("vocabulary.txt") | _stems("other_words.txt") | {_stem(word) for word in _GRAMMAR.split()}


@lru_cache(maxsize=2)
def _stems(file: str) -> frozenset[str]:
    return frozenset(map(_stem, _listed(file)))


def _listed(file: str) -> tuple[str, ...]:
    return tuple((get_data(__package__, file) or b"").decode("utf-8").split())


def _words(prompts: Iterable[str]) -> dict[str, None]:
    """Return the distinct words that have three letters or more, or non-ASCII letters."""
    text = _TAGS.sub(" ", "\n".join(prompts)).casefold()
    return dict.fromkeys(word for word in _WORD.findall(text) if len(word) > 2 or not word.isascii())


def _stem(word: str) -> str:
    return word.removesuffix("s")
