"""Prompts that pass into each other: embeddings and LoRA weights between two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import Engine, GenerateRequest, PromptBlend
from deforum_helpers.engines.diffusion.conditioned import WeightedPrompts
from deforum_helpers.engines.diffusion.prompt_syntax import Lora

RequestMaker = Callable[..., GenerateRequest]


@pytest.fixture(params=("sd1", "sdxl", "flux", "demo"))
def engine(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Engine:
    if request.param == "demo":
        return make_engine("demo", device="cpu")
    return make_engine("diffusers", checkpoint=str(tiny(request.param)), device="cpu")


def test_a_blend_leads_from_one_prompt_to_the_other(engine: Engine, request_for: RequestMaker) -> None:
    def generated(request: GenerateRequest) -> torch.Tensor:
        return engine.generate(request, CancelToken())

    first = request_for(prompt="a lake", negative_prompt="fog", width_px=64, height_px=64, steps=2)
    second = replace(first, prompt="a desert at night, long shadows", negative_prompt="people")

    def between(share: float) -> torch.Tensor:
        return generated(replace(first, blend=PromptBlend(second.prompt, second.negative_prompt, share)))

    start, end = generated(first), generated(second)
    assert torch.equal(between(0.0), start)
    assert torch.equal(between(1.0), end)
    ways = [float((between(share) - start).abs().mean()) for share in (0.1, 0.5, 0.9)]
    assert 0 < ways[0] < ways[1] < ways[2]


def test_a_blend_of_equal_prompts_is_the_prompt(engine: Engine, request_for: RequestMaker) -> None:
    request = request_for(prompt="a lake AND a hill :0.5", width_px=64, height_px=64, steps=2)
    alone = replace(request, prompt="a lake")
    same = replace(alone, blend=PromptBlend("a lake", alone.negative_prompt, 0.3))
    generated = [engine.generate(one, CancelToken()) for one in (alone, same)]
    assert (generated[0] - generated[1]).abs().max() < 1e-3


def test_loras_fade_in_and_out() -> None:
    blend = PromptBlend("b <lora:late:0.4:0.8>", "", 0.25)
    prompts = WeightedPrompts.read("a <lora:early:1>", blend, "prompt")
    assert prompts.loras == (Lora("early", 0.75, None), Lora("late", 0.2, 0.1))
    assert [weight for _, weight in prompts.parts] == [0.75, 0.25]
