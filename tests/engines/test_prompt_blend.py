"""Prompts that pass into each other: LoRA weights between two; `test_contract` blends with every family."""

from __future__ import annotations

from deforum_helpers.engines.base import PromptBlend
from deforum_helpers.engines.diffusion.conditioned import WeightedPrompts
from deforum_helpers.engines.diffusion.prompt_syntax import Lora


def test_loras_fade_in_and_out() -> None:
    blend = PromptBlend("b <lora:late:0.4:0.8>", "", 0.25)
    prompts = WeightedPrompts.read("a <lora:early:1>", blend, "prompt")
    assert prompts.loras == (Lora("early", 0.75, None), Lora("late", 0.2, 0.1))
    assert [weight for _, weight in prompts.parts] == [0.75, 0.25]
