"""What the built-in landscape model is and can do; no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from deforum_helpers.engines.base import NO_FACES, Abilities, DeclaredEngine
from deforum_helpers.engines.demo import NAME
from deforum_helpers.engines.demo.words import ABILITY, names_nothing_known, unknown_words, vocabulary

if TYPE_CHECKING:
    from deforum_helpers.engines.base import Engine

MAX_WORDS_SHOWN = 40


def prompt_warnings(prompts: Sequence[str], starts: Sequence[int]) -> Iterator[str]:
    """Yield which words of the prompts the model does not know.

    Args:
        prompts: positive prompt of each frame.
        starts: frames at which a prompt begins.
    """
    if unknown := unknown_words(dict.fromkeys(prompts)):
        listed = ", ".join(word[:40] for word in unknown[:MAX_WORDS_SHOWN])
        more = f" and {len(unknown) - MAX_WORDS_SHOWN} more" if len(unknown) > MAX_WORDS_SHOWN else ""
        yield f"The built-in model draws landscapes only and does not know these words of the prompts: {listed}{more}."
    if strange := [frame for frame in starts if names_nothing_known(prompts[frame])]:
        frames = ", ".join(map(str, strange[:MAX_WORDS_SHOWN]))
        yield (
            f"The built-in model knows no word that names something in the prompt of frame {frames}; name a scene "
            "such as mountains, forest, lake, ocean, desert or city, or render with another model (--ckpt)."
        )


def _make(checkpoint: str | None, allow_download: bool, device: str | None) -> Engine:
    from deforum_helpers.engines.demo.engine import DemoEngine

    return DemoEngine(device)


DEMO = DeclaredEngine(
    name=NAME,
    title="the built-in model",
    make=_make,
    abilities=Abilities(
        lacks=NO_FACES,
        checks_loras=True,
        no_controlnet="the built-in model has no ControlNets",
        generates=ABILITY,
        vocabulary=vocabulary,
        prompt_warnings=prompt_warnings,
    ),
)
