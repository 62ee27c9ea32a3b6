"""Noise that belongs to an image: sampling from it leads back to the image, whatever the family and the sampler."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import GenerateRequest, MaskContent
from deforum_helpers.engines.diffusion.autoencoder import KEPT_SHARE, Autoencoder, without_autoencoder_loss
from deforum_helpers.engines.diffusion.conditioned import ConditionedNetwork
from deforum_helpers.engines.diffusion.engine import DiffusionEngine
from deforum_helpers.engines.diffusion.noise import (
    LEAST_LEVELS,
    blended_noise,
    inverted_noise,
    longest_cells,
    rising_levels,
)
from deforum_helpers.engines.diffusion.sampling import Denoiser, NoiseModel, Outputs, Sampling
from deforum_helpers.engines.diffusion.sigmas import NoiseTable
from deforum_helpers.samplers import SAMPLERS

RequestMaker = Callable[..., GenerateRequest]
TinyMaker = Callable[[str], Path]
RoundTrip = Callable[..., float]

IMAGE = (
    torch.rand(3, 12, 8, generator=torch.Generator().manual_seed(3))
    .repeat_interleave(4, 1)
    .repeat_interleave(4, 2)
)


def decibels(one: torch.Tensor, other: torch.Tensor) -> float:
    return 10 * math.log10(float((other.max() - other.min()) ** 2 / ((one - other) ** 2).mean()))


@pytest.fixture
def round_trip(monkeypatch: pytest.MonkeyPatch) -> RoundTrip:
    """How near the latents of a generated image come to those of its init image, in dB, in columns up to `until`."""
    sampled, came = DiffusionEngine._sample, []

    def watched(
        self: DiffusionEngine, network: object, init: torch.Tensor | None, cancel: CancelToken
    ) -> torch.Tensor:
        latents = sampled(self, network, init, cancel)
        came.append((latents, init))
        return latents

    def measure(engine: DiffusionEngine, request: GenerateRequest, until: int | None = None) -> float:
        engine.generate(request, CancelToken())
        latents, init = came[-1]
        return decibels(latents[..., :until], init[..., :until])

    monkeypatch.setattr(DiffusionEngine, "_sample", watched)
    return measure


class TestRoundTrip:
    @pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in ("LCM", "DDIM CFG++")])
    def test_no_sampler_adds_noise_that_leads_away(
        self,
        tiny: TinyMaker,
        request_for: RequestMaker,
        round_trip: RoundTrip,
        sampler: str,
    ) -> None:
        engine = make_engine("diffusers", checkpoint=str(tiny("sd2")), device="cpu")
        request = request_for(
            sampler=sampler, cfg_scale=1.0, steps=100, init_image=IMAGE, denoising_strength=0.5, eta=1.0
        )
        assert round_trip(engine, replace(request, noise_source="inverted")) >= 25

    def test_the_built_in_model_needs_few_steps(
        self, round_trip: RoundTrip, request_for: RequestMaker
    ) -> None:
        demo = make_engine("demo")
        prompt = "a river valley between mountains, golden hour"
        first = request_for(prompt=prompt, width_px=256, height_px=256, steps=8, sampler="DPM++ 2M")
        image = demo.generate(first, CancelToken())
        request = replace(
            first, init_image=image, denoising_strength=0.5, cfg_scale=1.0, noise_source="inverted"
        )
        assert round_trip(demo._engine, request) >= 40

    def test_guidance_does_not_amplify_a_frame_again_and_again(self, request_for: RequestMaker) -> None:
        demo = make_engine("demo")
        request = request_for(
            prompt="a volcano with glowing lava at night, highly detailed",
            width_px=256,
            height_px=256,
            seed=7,
            steps=8,
            sampler="DPM++ 2M",
            cfg_scale=8.0,
            denoising_strength=0.5,
            noise_source="inverted",
        )
        images = [demo.generate(request, CancelToken())]
        for _ in range(2):
            images.append(demo.generate(replace(request, init_image=images[-1]), CancelToken()))
        first, *following = (float((image.amax(0) - image.amin(0)).quantile(0.95)) for image in images)
        assert max(following) < first  # colors that grow in each frame come to 0.94, from 0.7

    def test_seeds_matter_only_as_far_as_new_noise_does(
        self, tiny: TinyMaker, request_for: RequestMaker
    ) -> None:
        engine = make_engine("diffusers", checkpoint=str(tiny("sd1")), device="cpu")

        def generated(seed: int, share: float) -> torch.Tensor:
            request = request_for(
                init_image=IMAGE,
                denoising_strength=0.5,
                noise_source="inverted",
                new_noise_share=share,
                seed=seed,
            )
            return engine.generate(request, CancelToken())

        assert torch.equal(generated(1, 0.0), generated(2, 0.0))
        assert not torch.equal(generated(1, 0.5), generated(2, 0.5))
        new = request_for(init_image=IMAGE, denoising_strength=0.5)
        assert torch.equal(generated(1, 1.0), engine.generate(new, CancelToken()))

    def test_text_to_image_has_no_image_to_find_noise_of(
        self, tiny: TinyMaker, request_for: RequestMaker
    ) -> None:
        engine = make_engine("diffusers", checkpoint=str(tiny("sd1")), device="cpu")
        plain, inverted = (
            engine.generate(request_for(noise_source=source), CancelToken()) for source in ("new", "inverted")
        )
        assert torch.equal(plain, inverted)

    @pytest.mark.parametrize("content", ["picture", "noise", "nothing"])
    @pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl", "sd3", "flux"])
    def test_the_unmasked_part_stays(
        self, tiny: TinyMaker, request_for: RequestMaker, round_trip: RoundTrip, kind: str, content: str
    ) -> None:
        engine = make_engine("diffusers", checkpoint=str(tiny(kind)), device="cpu")
        mask = torch.zeros(48, 32)
        mask[:, 16:] = 1
        request = request_for(
            init_image=IMAGE,
            denoising_strength=0.5,
            noise_source="inverted",
            mask=mask,
            mask_content=content,
        )
        assert round_trip(engine, request, until=8) >= 40
        assert round_trip(engine, request) < 25


class Started(Exception):
    """Sampling began; what follows is of no interest."""


class Watched:
    """What sampling begins with in an engine whose network knows one thing: latents of deviation 1, all independent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, checkpoint: Path) -> None:
        self._engine = DiffusionEngine(str(checkpoint), device="cpu")
        self.noise, self.started = [torch.zeros(0)], torch.zeros(0)
        self.sigma, self.flow = 0.0, False
        encode, start = Autoencoder.encode, Sampling.start

        def encoded(autoencoder: Autoencoder, batch: torch.Tensor) -> torch.Tensor:
            generator = torch.Generator().manual_seed(5)
            return torch.randn(encode(autoencoder, batch).shape, generator=generator)

        def started(sampling: Sampling, noise: torch.Tensor, latents: torch.Tensor | None) -> torch.Tensor:
            self.noise.append(noise)
            self.sigma, self.flow = sampling.first_sigma, sampling.model.table.flow
            self.started = start(sampling, noise, latents)
            raise Started

        monkeypatch.setattr(Autoencoder, "encode", encoded)
        monkeypatch.setattr(Sampling, "start", started)
        monkeypatch.setattr(ConditionedNetwork, "unguided", self._ideal)

    def starting_latents(self, request: GenerateRequest) -> torch.Tensor:
        """Return the noise that sampling begins with."""
        with pytest.raises(Started):
            self._engine.generate(request, CancelToken())
        return self.noise[-1]

    @staticmethod
    def _ideal(
        network: ConditionedNetwork, shown: torch.Tensor, time: torch.Tensor, step: int, steps: int
    ) -> torch.Tensor:
        model = network.model.family.noise_model((shown.shape[2], shown.shape[3]), steps)
        if model.table.flow:
            level = float(time) / len(model.table.sigmas)
            return shown * (2 * level - 1) / (level**2 + (1 - level) ** 2)
        if model.prediction == "v_prediction":
            return torch.zeros_like(shown)
        sigma = float(model.table.sigma(np.array(float(time))))
        return shown * sigma / math.sqrt(1 + sigma**2)


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl", "sd3", "flux"])
class TestScales:
    """Of a network that has learned its family's noise perfectly."""

    def request(self, request_for: RequestMaker, **changes: object) -> GenerateRequest:
        image = torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(3))
        size = {"width_px": 128, "height_px": 96, "steps": 20, "sampler": "DPM++ 2M"}
        return request_for(
            **{**size, "init_image": image, "denoising_strength": 0.6, "noise_source": "inverted", **changes}
        )

    def test_sampling_begins_with_as_much_noise_as_the_family_has_there(
        self, kind: str, tiny: TinyMaker, request_for: RequestMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watched = Watched(monkeypatch, tiny(kind))
        watched.starting_latents(self.request(request_for, steps=80))
        sigma = watched.sigma
        expected = math.hypot(1 - sigma, sigma) if watched.flow else math.hypot(1, sigma)
        whitened = watched.started / expected
        assert float(whitened.std()) == pytest.approx(1, abs=0.03)
        assert abs(float(whitened.mean())) < 0.05

    @pytest.mark.parametrize("share", [0.3, 0.8])
    def test_new_noise_is_mixed_in_by_its_share(
        self,
        kind: str,
        share: float,
        tiny: TinyMaker,
        request_for: RequestMaker,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        watched = Watched(monkeypatch, tiny(kind))
        found, mixed, new = (
            watched.starting_latents(self.request(request_for, new_noise_share=part))
            for part in (0.0, share, 1.0)
        )
        torch.testing.assert_close(mixed, math.sqrt(1 - share**2) * found + share * new)
        assert float(new.std()) == pytest.approx(1, abs=0.03)
        assert not torch.allclose(found, new, atol=0.5)

    @pytest.mark.parametrize("size_px", [(128, 96), (92, 68)])
    def test_a_revealed_area_has_the_noise_of_the_seed_within_its_mask(
        self,
        kind: str,
        size_px: tuple[int, int],
        tiny: TinyMaker,
        request_for: RequestMaker,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The mask lies on the latents as it lies on the image, also where the image does not fill them."""
        (width_px, height_px), mask = size_px, torch.zeros(size_px[1], size_px[0])
        mask[:, width_px // 2 :] = 1
        image = torch.rand(3, height_px, width_px, generator=torch.Generator().manual_seed(3))
        changes = {
            "init_image": image,
            "mask": mask,
            "mask_content": "noise",
            "width_px": width_px,
            "height_px": height_px,
        }
        watched = Watched(monkeypatch, tiny(kind))
        found, masked, new = (
            watched.starting_latents(self.request(request_for, **{**changes, **one}))
            for one in ({"mask": None}, {}, {"noise_source": "new"})
        )
        middle = new.shape[-1] // 2
        torch.testing.assert_close(masked[..., middle + 1 :], new[..., middle + 1 :])
        torch.testing.assert_close(masked[..., : middle - 1], found[..., : middle - 1])


class TestSolver:
    """On equations whose solution is known."""

    @pytest.mark.parametrize("flow", [False, True])
    def test_constant_noise_is_found_exactly(self, flow: bool) -> None:
        noise = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(1))
        init = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(2))
        table = NoiseTable(np.linspace(0.001 if flow else 0.03, 1 if flow else 14, 1000), flow=flow)
        output = noise - init if flow else noise
        model = Denoiser(NoiseModel(table), lambda shown, time, level: Outputs.unguided(output))
        found = inverted_noise(init, rising_levels(0.7, 8), model)
        torch.testing.assert_close(found, noise, atol=1e-5, rtol=0)

    def test_errors_shrink_with_the_square_of_the_step(self) -> None:
        """x' = cos(level) from 0 ends at sin(level); a first step of no width leaves the order to the others."""
        noise_model = NoiseModel(NoiseTable(np.linspace(0.03, 14, 1000)))

        def slope(shown: torch.Tensor, time: float, level: float) -> Outputs:
            return Outputs.unguided(torch.full((1, 1, 1, 1), math.cos(level), dtype=torch.float64))

        def error(count: int) -> float:
            levels = (1e-9, *np.linspace(0, 2, count + 1)[1:].tolist())
            found = inverted_noise(
                torch.zeros(1, 1, 1, 1, dtype=torch.float64), levels, Denoiser(noise_model, slope)
            )
            return abs(float(found) * 2 - math.sin(2))

        assert error(80) == pytest.approx(error(40) / 4, rel=0.1)

    @given(first_sigma=st.floats(1e-3, 200), steps=st.integers(1, 200))
    def test_levels_rise_to_the_first_sigma(self, first_sigma: float, steps: int) -> None:
        levels = rising_levels(first_sigma, steps)
        assert levels[-1] == first_sigma
        assert all(low < high for low, high in zip((0.0, *levels[:-1]), levels, strict=True))
        assert len(levels) <= max(LEAST_LEVELS, steps / 2 + 1)

    def test_levels_crowd_where_detail_is(self) -> None:
        assert rising_levels(1.6, 8) == pytest.approx((0.1, 0.4, 0.9, 1.6))

    @given(share=st.floats(0, 1))
    def test_a_blend_keeps_the_variance(self, share: float) -> None:
        found, new = (
            torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)
        )
        assert float(blended_noise(found, new, share, None, "picture").std()) == pytest.approx(1, abs=0.03)


class TestAutoencoderCorrection:
    def test_what_stays_comes_back_whole_and_what_changes_does_not_haunt(self) -> None:
        before = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.25
        decoded = torch.nn.functional.avg_pool2d(before, 3, 1, 1, count_include_pad=False)
        image = decoded.clone()
        image[:, :, 24:] = 0.9
        corrected = without_autoencoder_loss(image, before, decoded)
        expected = torch.lerp(decoded, before, KEPT_SHARE)
        torch.testing.assert_close(corrected[:, :, :16], expected[:, :, :16])
        torch.testing.assert_close(corrected[:, :, 32:], image[:, :, 32:], atol=1e-3, rtol=0)

    def test_a_frame_that_is_left_alone_keeps_its_detail(
        self, tiny: TinyMaker, request_for: RequestMaker
    ) -> None:
        engine = make_engine("diffusers", checkpoint=str(tiny("sd1")), device="cpu")
        request = request_for(
            init_image=IMAGE,
            denoising_strength=0.5,
            mask=torch.zeros(48, 32),
            autoencoder_correction=True,
        )
        lossy = engine.generate(replace(request, autoencoder_correction=False), CancelToken())
        expected = torch.lerp(lossy, IMAGE, KEPT_SHARE)
        torch.testing.assert_close(engine.generate(request, CancelToken()), expected, atol=0.02, rtol=0)
        assert not torch.allclose(lossy, IMAGE, atol=0.1)


def test_only_cells_of_the_images_own_noise_are_held_to_its_lengths() -> None:
    init = torch.tensor([[3.0, 0.2], [4.0, 0.1], [0.0, 0.0], [0.0, 0.0]])[None, :, None]
    right = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)

    def lengths(
        share: float, mask: torch.Tensor | None = None, content: MaskContent = "picture"
    ) -> list[float]:
        return longest_cells(init, share, mask, content).flatten().tolist()

    assert lengths(0.0) == lengths(0.0, right) == [5, 2]
    assert lengths(0.6) == pytest.approx([5 / 0.8, 2 / 0.8])
    assert min(lengths(1.0)) > 1e6
    assert lengths(0.0, right, "noise") == lengths(0.0, right, "nothing") == [5, math.inf]
