"""What every engine promises, checked on each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deforum_helpers.core.errors import Cancelled, ModelError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.core.registry import UnknownName
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import Engine, GenerateRequest
from tests.refusals import refuses

RequestMaker = Callable[..., GenerateRequest]
KINDS = (
    "null",
    "demo",
    "sd1",
    "sd2",
    "lcm",
    "sdxl",
    "sd3",
    "flux",
    "z-image",
    "flux2-klein",
    "chroma",
    "qwen-image",
)


@pytest.fixture(params=KINDS)
def engine_maker(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Callable[[], Engine]:
    if request.param in ("null", "demo"):
        return lambda: make_engine(request.param, device="cpu")
    return lambda: make_engine("diffusers", checkpoint=str(tiny(request.param)), device="cpu")


class TestEngine:
    def test_images_have_the_size_asked_for(
        self, engine_maker: Callable[[], Engine], request_for: RequestMaker
    ) -> None:
        request = request_for(width_px=34, height_px=50, steps=1)
        generated = engine_maker().generate(request, CancelToken())
        redrawn = engine_maker().generate(
            replace(request, init_image=generated, denoising_strength=0.5), CancelToken()
        )
        for image in (generated, redrawn):
            assert image.shape == (3, 50, 34)
            assert image.dtype == torch.float32
            assert 0 <= image.min() <= image.max() <= 1
            assert image.permute(1, 2, 0).is_contiguous()
            assert image.std() > 0.01

    def test_results_do_not_depend_on_what_came_before(
        self, engine_maker: Callable[[], Engine], request_for: RequestMaker
    ) -> None:
        init = torch.rand(3, 48, 32, generator=torch.Generator().manual_seed(3))
        first = request_for(steps=2, sampler="Euler a")
        second = request_for(
            prompt="snow", steps=3, seed=9, sampler="DPM++ 2M SDE", init_image=init, tiling=True, clip_skip=2
        )
        one, other = engine_maker(), engine_maker()
        images = [one.generate(request, CancelToken()) for request in (first, second, first)]
        reversed_order = [other.generate(request, CancelToken()) for request in (second, first)]
        assert torch.equal(images[0], images[2])
        assert torch.equal(images[0], reversed_order[1])
        assert torch.equal(images[1], reversed_order[0])

    def test_the_init_image_is_left_alone(
        self, engine_maker: Callable[[], Engine], request_for: RequestMaker
    ) -> None:
        init = torch.rand(3, 48, 32)
        before = init.clone()
        engine_maker().generate(
            request_for(init_image=init, denoising_strength=0.5, steps=1), CancelToken()
        ).clone().zero_()
        assert torch.equal(init, before)

    @pytest.mark.parametrize("strength", [0.0, 1.0])
    def test_the_ends_of_denoising_strength(
        self, engine_maker: Callable[[], Engine], request_for: RequestMaker, strength: float
    ) -> None:
        request = request_for(init_image=torch.rand(3, 48, 32), denoising_strength=strength, steps=2)
        assert torch.isfinite(engine_maker().generate(request, CancelToken())).all()

    def test_a_cancelled_job_generates_nothing(
        self, engine_maker: Callable[[], Engine], request_for: RequestMaker
    ) -> None:
        token = CancelToken()
        token.cancel()
        with pytest.raises(Cancelled):
            engine_maker().generate(request_for(), token)

    def test_resting_changes_nothing(
        self, engine_maker: Callable[[], Engine], request_for: RequestMaker
    ) -> None:
        engine = engine_maker()
        with engine.resting():
            pass
        before = engine.generate(request_for(steps=1), CancelToken())
        with engine.resting():
            pass
        assert torch.equal(engine.generate(request_for(steps=1), CancelToken()), before)

    def test_a_plain_request_is_not_warned_about(
        self, engine_maker: Callable[[], Engine], request_for: RequestMaker
    ) -> None:
        assert engine_maker().warnings(request_for()) == ()


def test_an_unknown_engine_is_answered_with_the_names() -> None:
    with pytest.raises(UnknownName, match="null, demo, diffusers"):
        make_engine("magic")


def test_diffusers_needs_a_checkpoint() -> None:
    with refuses(ModelError, "checkpoint_required", "'diffusers'"):
        make_engine("diffusers")
