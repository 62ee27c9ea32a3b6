"""What a picture is guided by: the parts of one prompt, or of two that pass into each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from deforum_helpers.engines.base import PromptBlend
from deforum_helpers.engines.diffusion.prompt_syntax import Lora, Prompt, parse_prompt


@dataclass(frozen=True)
class WeightedPrompts:
    """Prompts with their shares, which sum to 1.

    Args:
        entries: one prompt, or the one that is left and the one that comes.
    """

    entries: tuple[tuple[Prompt, float], ...]

    @classmethod
    def read(
        cls, text: str, blend: PromptBlend | None, side: Literal["prompt", "negative_prompt"]
    ) -> WeightedPrompts:
        """Read a request's prompt and, where there is a blend, what it passes into."""
        if blend is None or blend.share <= 0:
            return cls(((parse_prompt(text), 1.0),))
        following = parse_prompt(getattr(blend, side))
        if blend.share >= 1:
            return cls(((following, 1.0),))
        return cls(((parse_prompt(text), 1 - blend.share), (following, blend.share)))

    @property
    def loras(self) -> tuple[Lora, ...]:
        """All LoRAs, their weights multiplied by the share of their prompt."""
        return tuple(
            replace(
                lora,
                weight=lora.weight * share,
                text_weight=None if lora.text_weight is None else lora.text_weight * share,
            )
            for prompt, share in self.entries
            for lora in prompt.loras
        )

    @property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """The texts and weights of all prompts, multiplied by their shares."""
        return tuple(
            (text, weight * share) for prompt, share in self.entries for text, weight in prompt.parts
        )

    @property
    def is_blend(self) -> bool:
        """Tell whether two prompts pass into each other; their embeddings are then mixed into one."""
        return len(self.entries) > 1
