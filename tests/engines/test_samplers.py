from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from deforum_helpers.cancel import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import Engine, GenerateRequest
from deforum_helpers.engines.diffusion.families import _noise_model_of_betas, _noise_model_of_flow
from deforum_helpers.engines.diffusion.sampling import AncestralEuler, Sampling, plan_sampling
from deforum_helpers.engines.diffusion.solvers import FLOW_SOLVERS, SOLVERS
from deforum_helpers.engines.names import SAMPLERS, SCHEDULERS

RequestMaker = Callable[..., GenerateRequest]
SD = _noise_model_of_betas({"prediction_type": "v_prediction"}, "sd1")
PURE_NOISE = _noise_model_of_betas({"rescale_betas_zero_snr": True}, "sd1")
FLOW = _noise_model_of_flow(3.0, 1000)
TARGET = torch.linspace(-1, 1, 32).reshape(1, 2, 4, 4)


def sampled(sampling: Sampling, latents: torch.Tensor | None = None, seed: int = 0) -> torch.Tensor:
    """Run a network that knows the answer: every sampler must arrive at TARGET."""
    generator = torch.Generator().manual_seed(seed)
    x = sampling.start(torch.randn(TARGET.shape, generator=generator), latents)
    for timestep in sampling.timesteps:
        shown = sampling.model_input(x, timestep)
        output = answer(sampling, shown, timestep)
        x = sampling.step(output, output, timestep, x, generator)
    return x


def answer(sampling: Sampling, shown: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    if sampling.flow:
        sigma = timestep / 1000
        return (shown - TARGET) / sigma
    sigma = float(SD.table.sigma(np.array([float(timestep)]))[0])
    alpha = (1 / (1 + sigma**2)) ** 0.5
    noise = (shown - alpha * TARGET) / (alpha * sigma)
    return alpha * noise - alpha * sigma * TARGET


@pytest.mark.parametrize("sampler", list(SAMPLERS))
@pytest.mark.parametrize("model", [SD, FLOW], ids=["sd", "flow"])
@pytest.mark.parametrize(("steps", "strength"), [(2, None), (3, 0.5), (20, None), (20, 0.6)])
def test_a_perfect_network_is_followed_to_its_answer(
    sampler: str, model: Any, steps: int, strength: float | None
) -> None:
    sampling = plan_sampling(model, sampler, "Automatic", steps, strength)
    latents = None if strength is None else -TARGET
    # Those that walk the model's training steps end on its first, which keeps a trace of the beginning.
    tolerance = 0.3 if sampling.solver.walk == "training" else 0.06
    torch.testing.assert_close(sampled(sampling, latents), TARGET, atol=tolerance, rtol=0)


@pytest.mark.parametrize("scheduler", [label for label in SCHEDULERS if label != "Automatic"])
@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M", "DPM2", "LCM", "DDPM"])
@pytest.mark.parametrize("model", [SD, FLOW], ids=["sd", "flow"])
def test_every_scheduler_goes_with_every_kind_of_sampler(sampler: str, scheduler: str, model: Any) -> None:
    sampling = plan_sampling(model, sampler, scheduler, 8)
    assert sampling.steps == 8
    torch.testing.assert_close(sampled(sampling), TARGET, atol=0.06, rtol=0)


@pytest.mark.parametrize("sampler", list(SAMPLERS))
@pytest.mark.parametrize("model", [SD, FLOW], ids=["sd", "flow"])
def test_every_sampler_takes_as_many_steps_as_a_setting_may_ask_for(sampler: str, model: Any) -> None:
    sampling = plan_sampling(model, sampler, "Automatic", 200)
    assert sampling.steps == 200
    torch.testing.assert_close(sampled(sampling), TARGET, atol=0.1, rtol=0)


@pytest.mark.parametrize("sampler", ["LCM", "DDPM"])
def test_crowded_levels_stay_within_the_training_steps(sampler: str) -> None:
    """Karras' levels of a model that reaches pure noise lie closer together than its training steps."""
    sampling = plan_sampling(PURE_NOISE, sampler, "Karras", 40)
    assert sampling.timesteps.tolist() == sorted(set(sampling.timesteps.tolist()), reverse=True)
    assert sampling.timesteps[0] == 999
    assert sampling.timesteps[-1] >= 1
    assert sampled(sampling).isfinite().all()


@pytest.mark.parametrize("sampler", list(FLOW_SOLVERS))
def test_crowded_levels_of_flow_models_stay_apart(sampler: str) -> None:
    sampling = plan_sampling(FLOW, sampler, "Beta", 100)
    torch.testing.assert_close(sampled(sampling), TARGET, atol=0.06, rtol=0)


def test_every_name_has_a_scheduler_of_diffusers() -> None:
    assert list(SOLVERS) == list(SAMPLERS)
    for solver in (*SOLVERS.values(), *FLOW_SOLVERS.values()):
        assert hasattr(diffusers, solver.scheduler)


@pytest.mark.parametrize("sampler", ["Euler", "Heun", "DPM2", "DDIM", "PLMS", "LCM", "UniPC"])
def test_a_tail_begins_at_the_same_level_as_the_whole(sampler: str) -> None:
    whole = plan_sampling(SD, sampler, "Automatic", 10)
    tail = plan_sampling(SD, sampler, "Automatic", 10, 0.4)
    assert tail.steps == 5
    assert len(tail.timesteps) == 5 + {"Heun": 4, "DPM2": 4, "PLMS": 1}.get(sampler, 0)
    assert tail.first_sigma < whole.first_sigma
    shared = len(tail.timesteps) - 2 * (sampler == "PLMS")
    torch.testing.assert_close(tail.timesteps[-shared:], whole.timesteps[-shared:])


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
def test_ancestral_euler_is_diffusers_own_at_eta_1() -> None:
    ours = plan_sampling(SD, "Euler a", "Karras", 6)
    theirs = replace(
        ours, scheduler=diffusers.EulerAncestralDiscreteScheduler(prediction_type="v_prediction")
    )
    theirs.scheduler.set_timesteps(6)
    theirs.scheduler.sigmas = ours.scheduler.sigmas
    theirs.scheduler.timesteps = ours.timesteps
    assert isinstance(ours.scheduler, AncestralEuler)
    torch.testing.assert_close(sampled(ours, seed=4), sampled(theirs, seed=4), atol=1e-5, rtol=0)


@contextmanager
def evaluations_counted(engine: Engine) -> Iterator[list[int]]:
    """Yield a list that gets the batch size of every evaluation of the network; the model must be loaded."""
    sizes: list[int] = []
    hook = engine._loaded[1].network.register_forward_hook(
        lambda module, args, kwargs, output: sizes.append(len(args[0] if args else kwargs["hidden_states"])),
        with_kwargs=True,
    )
    try:
        yield sizes
    finally:
        hook.remove()


@pytest.fixture
def engine(tiny: Callable[[str], Path], request_for: RequestMaker) -> Engine:
    loaded = make_engine("diffusers", checkpoint=str(tiny("sd1")), device="cpu")
    loaded.generate(request_for(steps=1), CancelToken())
    return loaded


def test_image_to_image_evaluates_one_more_than_its_share(engine: Engine, request_for: RequestMaker) -> None:
    init = torch.rand(3, 48, 32)
    with evaluations_counted(engine) as sizes:
        engine.generate(request_for(steps=20, init_image=init, denoising_strength=0.35), CancelToken())
    assert sizes == [2] * 8, "steps 0.35 * 20 + 1, positive and negative prompt in one batch"


def test_no_guidance_means_no_negative_evaluation(engine: Engine, request_for: RequestMaker) -> None:
    with evaluations_counted(engine) as sizes:
        engine.generate(request_for(cfg_scale=1.0), CancelToken())
    assert sizes == [1] * 4


def test_a_cancel_is_seen_between_two_steps(engine: Engine, request_for: RequestMaker) -> None:
    token = CancelToken()
    with evaluations_counted(engine) as sizes:
        network = engine._loaded[1].network
        hook = network.register_forward_hook(lambda *_: token.cancel() if len(sizes) == 2 else None)
        with pytest.raises(Exception, match="cancelled"):
            engine.generate(request_for(steps=10), token)
        hook.remove()
    assert len(sizes) == 2


@pytest.mark.parametrize("sampler", ["DDIM", "Euler a"])
def test_eta_is_the_share_of_noise(sampler: str, engine: Engine, request_for: RequestMaker) -> None:
    pictures = [
        engine.generate(request_for(sampler=sampler, eta=eta), CancelToken()) for eta in (None, 0.0, 1.0, 0.5)
    ]
    default = {"DDIM": 1, "Euler a": 2}[sampler]
    assert torch.equal(pictures[0], pictures[default])
    assert not torch.equal(pictures[1], pictures[2])
    assert not torch.equal(pictures[3], pictures[2])
    if sampler == "Euler a":
        torch.testing.assert_close(
            pictures[1], engine.generate(request_for(sampler="Euler"), CancelToken()), atol=1e-3, rtol=0
        )


def test_cfg_plus_plus_renoises_with_the_unguided_output() -> None:
    sampling = plan_sampling(SD, "DDIM CFG++", "Automatic", 10)
    generator = torch.Generator().manual_seed(0)
    x, guided, unguided = (torch.randn(TARGET.shape, generator=generator) for _ in range(3))
    t = sampling.timesteps[3]
    alphas = sampling.scheduler.alphas_cumprod
    now, before = alphas[t], alphas[t - 100]
    origin = now**0.5 * x - (1 - now) ** 0.5 * guided
    noise = now**0.5 * unguided + (1 - now) ** 0.5 * x
    expected = before**0.5 * origin + (1 - before) ** 0.5 * noise
    torch.testing.assert_close(
        sampling.step(guided, unguided, t, x, generator), expected, atol=1e-5, rtol=1e-5
    )
    assert sampling.cfg_factor == pytest.approx(0.08)


def test_what_is_not_as_its_name_says_is_told(engine: Engine, request_for: RequestMaker) -> None:
    assert "Heun without restarts" in engine.warnings(request_for(sampler="Restart"))[0]
    assert "eta; 0.5 is not used" in engine.warnings(request_for(eta=0.5))[0]
    assert engine.warnings(request_for(sampler="DDIM", eta=0.5)) == ()
    assert engine.warnings(request_for(sampler="DPM2 a", eta=1.0)) == ()
    assert engine.warnings(request_for(sampler="DDIM CFG++", eta=0.0)) == ()
    assert "eta; 1 is not used" in engine.warnings(request_for(sampler="DDIM CFG++", eta=1.0))[0]


def test_flow_models_tell_what_has_no_effect(tiny: Callable[[str], Path], request_for: RequestMaker) -> None:
    engine = make_engine("diffusers", checkpoint=str(tiny("flux")), device="cpu")
    (warning,) = engine.warnings(request_for(tiling=True))
    assert warning.startswith("Tiling has no effect")
    assert "run as Euler" in engine.warnings(request_for(sampler="Euler a"))[0]
    (of_sampler,) = engine.warnings(request_for(sampler="DDIM", eta=0.0))
    assert "run as Euler" in of_sampler
