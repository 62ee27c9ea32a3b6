"""Between two prompts: held, weighted or blended, in every mode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_runs import prepared

from deforum_helpers.engines.base import GenerateRequest, PromptBlend

PROMPTS = {"0": "a --neg x", "4": "b `t`"}


def requests(root: Path, **changes: Any) -> list[GenerateRequest]:
    return [
        key.request
        for key in prepared(root, **{"prompts": PROMPTS, "max_frames": 6} | changes).plan.key_frames
    ]


@pytest.mark.parametrize("mode", ["2D", "3D", "Interpolation"])
def test_embeddings_pass_into_each_other(tmp_path: Path, mode: str) -> None:
    asked = requests(tmp_path, animation_mode=mode, prompt_interpolation="embedding")
    assert [request.prompt for request in asked] == ["a"] * 4 + ["b 4", "b 5"]
    assert [request.blend for request in asked] == [
        None,
        *(PromptBlend("b 4", "", share) for share in (0.25, 0.5, 0.75)),
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("mode", "way"), [("2D", "weights"), ("Interpolation", "hold"), ("Interpolation", "weights")]
)
def test_weights_pass_into_each_other(tmp_path: Path, mode: str, way: str) -> None:
    asked = requests(tmp_path, animation_mode=mode, prompt_interpolation=way)
    assert asked[1].prompt.startswith("( a ):0.75 AND ")
    assert all(request.blend is None for request in asked)


def test_prompts_hold(tmp_path: Path) -> None:
    asked = requests(tmp_path)
    assert [request.prompt for request in asked][:4] == ["a"] * 4
    assert all(request.blend is None for request in asked)


def test_prompts_of_parseq_are_whole(tmp_path: Path) -> None:
    frames = [{"frame": k, "deforum_prompt": "a" if k < 3 else "b"} for k in range(6)]
    text = json.dumps({"rendered_frames": frames})
    asked = requests(tmp_path, parseq_manifest=text, prompt_interpolation="embedding")
    assert [request.prompt for request in asked] == list("aaabbb")
    assert all(request.blend is None for request in asked)
