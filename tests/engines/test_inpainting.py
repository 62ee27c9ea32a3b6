"""Repainting a part of an image with every kind of model and sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import Engine, GenerateRequest

RequestMaker = Callable[..., GenerateRequest]
KINDS = ("sd1", "sd2", "sd3", "flux", "z-image", "flux2-klein", "qwen-image", "demo")


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Engine:
    if request.param == "demo":
        return make_engine("demo", device="cpu")
    return make_engine("diffusers", checkpoint=str(tiny(request.param)), device="cpu")


def generated(engine: Engine, request: GenerateRequest) -> torch.Tensor:
    return engine.generate(request, CancelToken())


def right_half(height_px: int, width_px: int) -> torch.Tensor:
    mask = torch.zeros(height_px, width_px)
    mask[:, width_px // 2 :] = 1
    return mask


def init_image() -> torch.Tensor:
    return torch.rand(3, 64, 128, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M"])
def test_what_is_not_masked_stays(engine: Engine, request_for: RequestMaker, sampler: str) -> None:
    """With an empty mask the latents lead back to the init image, whatever the network says."""
    request = request_for(width_px=128, height_px=64, steps=3, sampler=sampler, init_image=init_image())
    protected = generated(engine, request_with(request, torch.zeros(64, 128)))
    reference = generated(engine, request_with(request, None, denoising_strength=0.0, steps=1000))
    free = generated(engine, request)
    assert (protected - reference).abs().mean() < 0.5 * (free - reference).abs().mean()


def request_with(request: GenerateRequest, mask: torch.Tensor | None, **changes: object) -> GenerateRequest:
    return replace(request, mask=mask, **changes)  # type: ignore[arg-type]


def test_a_full_mask_is_none(engine: Engine, request_for: RequestMaker) -> None:
    request = request_for(
        width_px=128, height_px=64, steps=2, init_image=init_image(), denoising_strength=0.7
    )
    full = generated(engine, request_with(request, torch.ones(64, 128)))
    assert (full - generated(engine, request)).abs().max() < 2e-3


def test_the_content_is_what_the_area_begins_from(engine: Engine, request_for: RequestMaker) -> None:
    request = request_for(
        width_px=128, height_px=64, steps=6, init_image=init_image(), denoising_strength=0.5
    )
    images = [
        generated(engine, request_with(request, right_half(64, 128), mask_content=content))
        for content in ("picture", "noise", "nothing")
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (images[one] - images[other]).abs().max() > 1e-3
