"""Two prompts that pass into each other, as the text that a WebUI is asked with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.engines.base import GenerateRequest, PromptBlend
from deforum_helpers.engines.diffusion.conditioned import WeightedPrompts
from deforum_helpers.engines.diffusion.prompt_syntax import parse_prompt
from deforum_helpers.webui.requests import written_negative_prompt, written_prompt

PROMPTS = ("a lake", "a (lake:1.2) AND mist :0.5", "a lake <lora:dawn:0.5>", "a desert <lora:sand:0.4:0.8>")


def request(prompt: str, blend: PromptBlend | None) -> GenerateRequest:
    return GenerateRequest(
        prompt=prompt,
        negative_prompt="fog",
        width_px=64,
        height_px=64,
        seed=1,
        steps=1,
        cfg_scale=1.0,
        sampler="Euler",
        blend=blend,
    )


def test_a_prompt_alone_stays_as_it_is() -> None:
    for prompt in PROMPTS:
        assert written_prompt(request(prompt, None)) == prompt
    assert written_negative_prompt(request("a lake", None)) == "fog"


@given(first=st.sampled_from(PROMPTS), second=st.sampled_from(PROMPTS), share=st.floats(0.01, 0.99))
def test_the_text_has_every_part_and_lora_with_its_share(first: str, second: str, share: float) -> None:
    asked = request(first, PromptBlend(second, "rain", share))
    wanted = WeightedPrompts.read(first, asked.blend, "prompt")
    read = parse_prompt(written_prompt(asked))
    assert [text for text, _ in read.parts] == [text for text, _ in wanted.parts]
    assert [weight for _, weight in read.parts] == pytest.approx([weight for _, weight in wanted.parts])
    assert [lora.name for lora in read.loras] == [lora.name for lora in wanted.loras]
    for one, other in zip(read.loras, wanted.loras, strict=True):
        assert one.weight == pytest.approx(other.weight)
        assert (one.text_weight or one.weight) == pytest.approx(other.text_weight or other.weight)


@pytest.mark.parametrize(("share", "text"), [(0.3, "fog"), (0.7, "rain")])
def test_of_two_negative_prompts_the_nearer_is_asked_for(share: float, text: str) -> None:
    assert written_negative_prompt(request("a lake", PromptBlend("a desert", "rain", share))) == text
