"""The declaration of the built-in landscape model; imports without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from deforum_helpers.engines import messages
from deforum_helpers.engines.base import NO_FACES, Abilities, DeclaredEngine
from deforum_helpers.engines.demo import NAME
from deforum_helpers.engines.demo.words import lacks_known_words, unknown_words, vocabulary

if TYPE_CHECKING:
    from deforum_helpers.engines.base import Engine

MAX_WORDS_SHOWN = 40


def prompt_warnings(prompts: Sequence[str], starts: Sequence[int]) -> Iterator[str]:
    """Yield warnings about prompts: unknown words, and frames whose prompt names nothing known.

    Args:
        prompts: positive prompt of each frame.
        starts: frames at which a prompt begins.
    """
    if unknown := unknown_words(dict.fromkeys(prompts)):
        listed = ", ".join(word[:40] for word in unknown[:MAX_WORDS_SHOWN])
        more = f" and {len(unknown) - MAX_WORDS_SHOWN} more" if len(unknown) > MAX_WORDS_SHOWN else ""
        yield messages.DEMO_UNKNOWN_WORDS(words=listed, more=more)
    if strange := [frame for frame in starts if lacks_known_words(prompts[frame])]:
        frames = ", ".join(map(str, strange[:MAX_WORDS_SHOWN]))
        yield messages.DEMO_UNKNOWN_SUBJECT(frames=frames)


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
        no_controlnet=messages.DEMO_CONTROLNET(),
        generates=messages.DEMO_GENERATES(),
        vocabulary=vocabulary,
        prompt_warnings=prompt_warnings,
    ),
)
