"""The built-in landscape model as an engine."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from deforum_helpers.engines.diffusion.engine import DiffusionEngine
from deforum_helpers.engines.diffusion.prompt_syntax import parse_prompt

if TYPE_CHECKING:
    from deforum_helpers.cancel import CancelToken
    from deforum_helpers.engines.base import GenerateRequest
    from deforum_helpers.image.types import Image

MODEL_FOLDER = Path(__file__).parent

# It was trained on pictures whose sides are multiples of 64: 16 px per latent cell, times 4.
_LATENT_MULTIPLE = 4


class DemoEngine:
    """Draws landscapes with the model that comes with the program."""

    name = "demo"

    def __init__(self, device: str | None = None) -> None:
        self._engine = DiffusionEngine(str(MODEL_FOLDER), device=device, latent_multiple=_LATENT_MULTIPLE)
        self.device = self._engine.device

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        """Return the picture of `request`; see `Engine.generate`."""
        return self._engine.generate(request, cancel)

    def resting(self) -> AbstractContextManager[None]:
        """Lend its memory; see `Engine.resting`."""
        return self._engine.resting()

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        """Return the sampler's warnings, and one if the prompt has no word that the model knows."""
        found = self._engine.warnings(request)
        if knows_a_word_of(request.prompt):
            return found
        return (
            *found,
            f"The built-in model knows landscapes only and no word of {request.prompt.strip()!r}; "
            "name a scene such as mountains, forest, lake, ocean, desert or city, or use another model.",
        )


def knows_a_word_of(prompt: str) -> bool:
    """Return whether the model was trained on at least one word of `prompt`."""
    text = " ".join(text for text, _ in parse_prompt(prompt).parts)
    return not vocabulary().isdisjoint(_words(text))


@lru_cache(maxsize=1)
def vocabulary() -> frozenset[str]:
    """Return the words that the model was trained on, lower case, without a plural s."""
    return frozenset(_words((MODEL_FOLDER / "vocabulary.txt").read_text(encoding="utf-8")))


def _words(text: str) -> list[str]:
    """Words of three letters or more: shorter ones ("of", "on") say nothing of a scene."""
    return [word.removesuffix("s") for word in re.findall(r"[a-z]{3,}", text.casefold())]
