"""Samplers against what is known: closed forms, their papers' orders, earlier results and diffusers' schedulers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from deforum_helpers.core.messages import code_of
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import Engine, GenerateRequest
from deforum_helpers.engines.diffusion.families import _noise_model_of_betas, noise_model_of_flow
from deforum_helpers.engines.diffusion.inpainting import KeptArea
from deforum_helpers.engines.diffusion.sampling import (
    Denoiser,
    NoiseModel,
    Outputs,
    Sampling,
    plan_sampling,
)
from deforum_helpers.engines.diffusion.sigmas import NoiseTable
from deforum_helpers.engines.names import SCHEDULERS
from deforum_helpers.samplers import SAMPLERS, sample_dpm_adaptive, sample_restart

RequestMaker = Callable[..., GenerateRequest]
EPSILON = _noise_model_of_betas({}, "sd1")
SD = _noise_model_of_betas({"prediction_type": "v_prediction"}, "sd1")
PURE_NOISE = _noise_model_of_betas({"rescale_betas_zero_snr": True}, "sd1")
FLOW = noise_model_of_flow(3.0, 1000)
MODELS = {"epsilon": EPSILON, "v": SD, "flow": FLOW}
TARGET = torch.linspace(-1, 1, 32).reshape(1, 2, 4, 4)
BOTH_FORMS = pytest.mark.parametrize("flow", [False, True], ids=["x + s n", "flow"])

# The samplers of WebUI hosts, and how often they ask the network in n steps.
EVALUATIONS: dict[str, Callable[[int], int]] = {
    "DPM++ 2M": lambda n: n,
    "DPM++ SDE": lambda n: 2 * n - 1,
    "DPM++ 2M SDE": lambda n: n,
    "DPM++ 2M SDE Heun": lambda n: n,
    "DPM++ 2S a": lambda n: 2 * n - 1,
    "DPM++ 3M SDE": lambda n: n,
    "Euler a": lambda n: n,
    "Euler": lambda n: n,
    "LMS": lambda n: n,
    "Heun": lambda n: 2 * n - 1,
    "DPM2": lambda n: 2 * n - 1,
    "DPM2 a": lambda n: 2 * n - 1,
    "DPM fast": lambda n: n,
    "DPM adaptive": lambda n: -1,
    "Restart": lambda n: -1,
    "HeunPP2": lambda n: 3 * n - 3,
    "IPNDM": lambda n: n,
    "IPNDM_V": lambda n: n,
    "DEIS": lambda n: n,
    "DDIM": lambda n: n,
    "DDIM CFG++": lambda n: n,
    "PLMS": lambda n: n + 1,
    "UniPC": lambda n: n,
    "LCM": lambda n: n,
    "DDPM": lambda n: n,
}
STOCHASTIC = [name for name, sampler in SAMPLERS.items() if sampler.eta is not None]


def sampled(
    sampling: Sampling, latents: torch.Tensor | None = None, seed: int = 0, kept: KeptArea | None = None
) -> torch.Tensor:
    """Run a network that knows the answer: every sampler must arrive at TARGET."""
    generator = torch.Generator().manual_seed(seed)

    def noise() -> torch.Tensor:
        return torch.randn(TARGET.shape, generator=generator)

    def network(shown: torch.Tensor, time: float, sigma: float) -> Outputs:
        return Outputs.unguided(answer(sampling.model, shown, sigma))

    return sampling.run(network, sampling.start(noise(), latents), noise, kept)


def answer(model: NoiseModel, shown: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return the output that means TARGET."""
    if model.table.flow:
        return (shown - TARGET) / sigma
    alpha = (1 / (1 + sigma**2)) ** 0.5
    noise = (shown - alpha * TARGET) / (alpha * sigma)
    return alpha * noise - alpha * sigma * TARGET if model.prediction == "v_prediction" else noise


def assert_reaches_target(found: torch.Tensor, atol: float, *case: object) -> None:
    """Assert that `found` is TARGET; `case` names the run where several share one test."""
    torch.testing.assert_close(found, TARGET, atol=atol, rtol=0, msg=lambda text: f"{case}: {text}")


@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_a_perfect_network_is_followed_to_its_answer(sampler: str) -> None:
    runs = [(1, None), (2, None), (3, 0.5), (20, None), (20, 0.6), (20, 0.01)]
    for name, (steps, strength) in product(MODELS, runs):
        sampling = plan_sampling(MODELS[name], sampler, "Automatic", steps, strength)
        latents = None if strength is None else -TARGET
        assert_reaches_target(sampled(sampling, latents), tolerance(sampling), name, steps, strength)


def tolerance(sampling: Sampling) -> float:
    """How far a perfect result may be from TARGET: samplers of training steps end slightly above level 0."""
    return 0.01 + sampling.levels[-1] / sampling.levels[0] * (2 + 4 * sampling.levels[0])


@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_every_scheduler_goes_with_every_sampler(sampler: str) -> None:
    for name, scheduler in product(("v", "flow"), SCHEDULERS):
        sampling = plan_sampling(MODELS[name], sampler, scheduler, 8)
        assert sampling.steps == 8, (name, scheduler)
        assert_reaches_target(sampled(sampling), tolerance(sampling), name, scheduler)


@pytest.mark.parametrize("sampler", list(SAMPLERS))
@pytest.mark.parametrize("model", [SD, FLOW], ids=["sd", "flow"])
def test_every_sampler_takes_as_many_steps_as_a_setting_may_ask_for(sampler: str, model: NoiseModel) -> None:
    sampling = plan_sampling(model, sampler, "Automatic", 200)
    assert sampling.steps == 200
    torch.testing.assert_close(sampled(sampling), TARGET, atol=0.1, rtol=0)


@pytest.mark.parametrize("sampler", ["LCM", "DDPM"])
def test_crowded_levels_stay_within_the_training_steps(sampler: str) -> None:
    """Karras' levels of a model that reaches pure noise lie closer together than its training steps."""
    sampling = plan_sampling(PURE_NOISE, sampler, "Karras", 40)
    times = [sampling.model.time(sigma) for sigma in sampling.levels[:-1]]
    np.testing.assert_allclose(times, np.round(times), atol=1e-6)
    assert (np.diff(times) < -0.5).all()
    assert times[0] == pytest.approx(999)
    assert times[-1] >= 1 - 1e-6
    assert sampled(sampling).isfinite().all()


@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_crowded_levels_of_flow_models_stay_apart(sampler: str) -> None:
    sampling = plan_sampling(FLOW, sampler, "Beta", 100)
    torch.testing.assert_close(sampled(sampling), TARGET, atol=0.06, rtol=0)


@pytest.mark.parametrize("sampler", ["Euler", "Heun", "DPM2", "DDIM", "PLMS", "LCM", "UniPC", "DPM fast"])
def test_a_tail_begins_at_the_same_level_as_the_whole(sampler: str) -> None:
    whole = plan_sampling(SD, sampler, "Automatic", 10)
    tail = plan_sampling(SD, sampler, "Automatic", 10, 0.4)
    assert tail.steps == 5
    assert tail.levels == whole.levels[-6:]


class Watched:
    """A model that notes the levels at which it is asked."""

    def __init__(self, model: Any) -> None:
        self.model, self.flow, self.levels = model, model.flow, []

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        self.levels.append(sigma)
        return self.model(x, sigma)

    def with_unguided(self, x: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
        self.levels.append(sigma)
        return self.model.with_unguided(x, sigma)


class Gaussian:
    """The exact denoiser of data with the mean `mean` and the deviation `deviation`, with all that is known of it."""

    def __init__(self, flow: bool, mean: float = 0.0, deviation: float = 1.0) -> None:
        self.flow, self.mean, self.deviation = flow, mean, deviation

    def signal(self, sigma: float) -> float:
        return 1 - sigma if self.flow else 1.0

    def variance(self, sigma: float) -> float:
        return (self.signal(sigma) * self.deviation) ** 2 + sigma**2

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        centred = x - self.signal(sigma) * self.mean
        return self.mean + centred * (self.signal(sigma) * self.deviation**2 / self.variance(sigma))

    def with_unguided(self, x: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
        return self(x, sigma), self(x, sigma)

    def started(self, sigma: float, count: int = 1, seed: int = 3) -> torch.Tensor:
        """Samples of the noised data at a level; a single one lies one deviation above the mean."""
        noise = standard_noise(seed, count)() if count > 1 else torch.ones(1, dtype=torch.float64)
        return self.signal(sigma) * self.mean + noise * math.sqrt(self.variance(sigma))


def standard_noise(seed: int, count: int) -> Callable[[], torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(count, generator=generator, dtype=torch.float64)


def no_noise() -> torch.Tensor:
    raise AssertionError("an ODE sampler draws no noise")


def as_ode(name: str) -> dict[str, Any]:
    """The arguments with which a sampler adds no noise."""
    sampler = SAMPLERS[name]
    quiet: dict[str, Any] = {} if sampler.kind == "ODE" else {"noise": no_noise}
    if sampler.eta is not None:
        quiet["eta"] = 0.0
    return quiet | ({"restarts": 0} if sampler.kind == "restart" else {})


# Name -> the order of convergence, and that of flow models where the first steps, of low order, weigh more.
ORDERS: dict[str, tuple[float, float]] = {
    "Euler": (1, 1),
    "Euler a": (1, 1),
    "DDIM": (1, 1),
    "DDIM CFG++": (1, 1),
    "DDPM": (1, 1),
    "HeunPP2": (1, 1),
    "Heun": (2, 2),
    "Restart": (2, 2),
    "DPM2": (2, 2),
    "DPM2 a": (2, 2),
    "DPM++ 2M": (2, 2),
    "DPM++ SDE": (2, 2),
    "DPM++ 2M SDE": (2, 2),
    "DPM++ 2M SDE Heun": (2, 2),
    "DPM++ 2S a": (2, 2),
    "DEIS": (2, 2),
    "DPM++ 3M SDE": (3, 3),
    "DPM fast": (3, 3),
    "UniPC": (4, 4),  # UniP of order 3 with its corrector
    "LMS": (4, 3),
    "IPNDM_V": (4, 3),
    "IPNDM": (4, 2),
    "PLMS": (4, 3),
}


def evenly_spaced(model: Gaussian, name: str, steps: int) -> list[float]:
    """Levels, even in the variable in which the sampler steps, that do not reach 0.

    Multistep methods begin, and UniPC ends, with lower orders; three narrow steps at both ends make that count nothing.
    Methods with the coefficients of even steps begin where the slope hardly changes, if the model has such a place.
    """
    multistep = name in ("DPM++ 3M SDE", "UniPC", "LMS", "IPNDM_V")
    shares = np.arange(steps + 1) / steps
    if multistep:
        narrow = np.array([1, 2, 3]) * 1e-3 / steps
        shares = np.concatenate([[0.0], narrow, shares[1:-1], 1 - narrow[::-1], [1.0]])
    if SAMPLERS[name].levels != "lambda":
        first, last = (0.9, 0.25) if model.flow else (60.0, 1.0)
        return (first + shares * (last - first)).tolist()
    first, last = (0.9, 0.1) if model.flow else (20.0, 0.3)
    ratios = np.exp(
        np.log(first / model.signal(first)) * (1 - shares) + np.log(last / model.signal(last)) * shares
    )
    return (ratios / (1 + ratios) if model.flow else ratios).tolist()


@BOTH_FORMS
@pytest.mark.parametrize("name", list(ORDERS))
def test_the_error_shrinks_with_the_order_of_the_paper(name: str, flow: bool) -> None:
    model = Gaussian(flow)

    def error(steps: int) -> float:
        levels = evenly_spaced(model, name, steps)
        reached = SAMPLERS[name].sample(model, model.started(levels[0]), levels, **as_ode(name))
        return abs(float(reached) - math.sqrt(model.variance(levels[-1])))

    steps = 120 if flow or SAMPLERS[name].levels == "lambda" else 600
    measured = math.log2(error(steps) / error(2 * steps))
    assert measured == pytest.approx(ORDERS[name][flow], abs=0.35)


def test_every_sampler_has_its_order_but_two() -> None:
    """DPM adaptive chooses its own steps, LCM solves nothing."""
    assert set(SAMPLERS) - set(ORDERS) == {"DPM adaptive", "LCM"}


@BOTH_FORMS
def test_dpm_adaptive_is_as_near_as_it_is_told(flow: bool) -> None:
    model = Gaussian(flow)
    levels = [0.9, 0.1] if flow else [20.0, 0.3]
    errors, asked = [], []
    for tolerance in (1e-2, 1e-4, 1e-6):
        watched = Watched(model)
        reached = sample_dpm_adaptive(
            watched, model.started(levels[0]), levels, relative=tolerance, absolute=tolerance / 10
        )
        errors.append(abs(float(reached) - math.sqrt(model.variance(levels[-1]))))
        asked.append(len(watched.levels))
        assert errors[-1] < 10 * tolerance
    assert errors[2] < errors[1] < errors[0]
    assert asked[0] < asked[1] < asked[2]


def test_dpm_adaptive_comes_to_an_end_with_latents_that_are_no_numbers() -> None:
    model = Watched(Gaussian(False, mean=math.nan))
    reached = sample_dpm_adaptive(model, torch.ones(3), [14.6, 3.0, 0.03, 0.0])
    assert reached.isnan().all()
    assert len(model.levels) < 10


@BOTH_FORMS
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", STOCHASTIC)
def test_noise_has_the_level_that_it_is_said_to_have(name: str, eta: float, flow: bool) -> None:
    """The linear part is solved exactly: with all data in one point, mean and variance fit after steps of any width."""
    model = Gaussian(flow, mean=0.7, deviation=0.0)
    levels = [0.95, 0.6, 0.4] if flow else [10.0, 3.0, 1.5]
    x = model.started(levels[0], 20_000)
    x = SAMPLERS[name].sample(model, x, levels, noise=standard_noise(9, 20_000), eta=eta)
    assert float(x.mean()) == pytest.approx(0.7 * model.signal(levels[-1]), abs=0.03)
    assert float(x.std()) == pytest.approx(levels[-1], rel=0.015)


@BOTH_FORMS
@pytest.mark.parametrize("name", [*STOCHASTIC, "Restart"])
def test_samples_have_the_mean_and_the_variance_of_the_data(name: str, flow: bool) -> None:
    model = Gaussian(flow, mean=0.7, deviation=0.5)
    first, last = (0.99, 0.05) if flow else (20.0, 0.05)
    levels = [*np.exp(np.linspace(math.log(first), math.log(last), 100)).tolist(), 0.0]
    sampler = SAMPLERS[name]
    options = {"noise": standard_noise(9, 10_000)} | ({} if sampler.eta is None else {"eta": 1.0})
    x = sampler.sample(model, model.started(first, 10_000), levels, **options)
    assert float(x.mean()) == pytest.approx(0.7, abs=0.02)
    assert float(x.std()) == pytest.approx(0.5, rel=0.05)


@BOTH_FORMS
def test_lcm_with_a_consistency_function_keeps_the_distribution(flow: bool) -> None:
    class Consistency(Gaussian):
        def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
            centred = x - self.signal(sigma) * self.mean
            return self.mean + centred * (self.deviation / math.sqrt(self.variance(sigma)))

    model = Consistency(flow, mean=0.7, deviation=0.5)
    levels = [0.9, 0.6, 0.3, 0.0]
    x = SAMPLERS["LCM"].sample(model, model.started(0.9, 20_000), levels, noise=standard_noise(9, 20_000))
    assert float(x.mean()) == pytest.approx(0.7, abs=0.02)
    assert float(x.std()) == pytest.approx(0.5, rel=0.02)


@BOTH_FORMS
def test_a_restart_climbs_to_the_level_that_it_walks_down_from(flow: bool) -> None:
    model = Watched(Gaussian(flow, mean=0.7, deviation=0.0))
    levels = [0.9, 0.6, 0.4, 0.2, 0.05, 0.02] if flow else [5.0, 1.8, 0.9, 0.3, 0.05, 0.02]
    noise = standard_noise(9, 20_000)
    x = sample_restart(model, model.model.started(levels[0], 20_000), levels, noise=noise, restarts=2)
    assert model.levels.count(levels[1]) == 4, "reached and left on the first walk, left on two more"
    assert float(x.std()) == pytest.approx(levels[-1], rel=0.02)


@BOTH_FORMS
@pytest.mark.parametrize(
    ("noisy", "quiet"),
    [
        ("Euler a", "Euler"),
        ("DDIM", "Euler"),
        ("DDPM", "Euler"),
        ("DPM2 a", "DPM2"),
        ("DPM++ 2M SDE", "DPM++ 2M"),
        ("DPM++ SDE", "DPM++ 2S a"),
        ("Restart", "Heun"),
    ],
)
def test_without_noise_a_sampler_is_its_ode_counterpart(noisy: str, quiet: str, flow: bool) -> None:
    model = Gaussian(flow, mean=0.7, deviation=0.5)
    levels = [0.9, 0.7, 0.4, 0.2, 0.0]
    ends = [
        SAMPLERS[name].sample(model, model.started(0.9), levels, **as_ode(name)) for name in (noisy, quiet)
    ]
    torch.testing.assert_close(*ends, atol=1e-12, rtol=0)


@BOTH_FORMS
@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "DPM adaptive"])
def test_at_a_last_level_of_0_the_estimate_before_is_the_result(name: str, flow: bool) -> None:
    class Last(Gaussian):
        def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
            self.estimate = super().__call__(x, sigma)
            return self.estimate

    model = Last(flow, mean=0.7)
    for levels in ([0.8, 0.6, 0.3, 0.1, 0.0], [0.8, 0.0]):
        options = {} if SAMPLERS[name].kind == "ODE" else {"noise": standard_noise(1, 3)}
        x = SAMPLERS[name].sample(model, model.started(0.8, 3), levels, **options)
        assert torch.equal(x, model.estimate)


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_the_network_is_asked_as_often_as_the_sampler_needs(name: str) -> None:
    model = Watched(Gaussian(False))
    options = {} if SAMPLERS[name].kind == "ODE" else {"noise": standard_noise(1, 3)}
    SAMPLERS[name].sample(model, torch.ones(3), [14.6, 9.0, 5.0, 4.0, 3.0, 0.0], **options)
    assert list(EVALUATIONS) == list(SAMPLERS), "the names of WebUI hosts, in their order"
    if EVALUATIONS[name](5) >= 0:
        assert len(model.levels) == EVALUATIONS[name](5)


# What a network that bends in every direction gives, 2 of 6 numbers from noise in 8 steps and 2 from an image with
# 13 of 20 steps, as measured with diffusers' schedulers; PLMS with a network that predicts noise.
EARLIER: dict[tuple[str, str], tuple[float, float, float, float]] = {
    ("DPM++ 2M", "v"): (-0.37971, 0.06098, -0.43066, 0.03286),
    ("DPM++ 2M SDE", "v"): (0.62056, -0.05721, -0.29871, 0.03163),
    ("DPM++ 2M SDE Heun", "v"): (0.67616, -0.05684, -0.30594, 0.02946),
    ("Euler a", "v"): (-0.03005, -0.41919, -0.64466, -0.24666),
    ("Euler", "v"): (-0.40385, -0.10724, -0.44014, -0.01627),
    ("Heun", "v"): (-0.27793, 0.12194, -0.43083, 0.03105),
    ("DPM2", "v"): (-0.29701, 0.06823, -0.41043, 0.04035),
    ("DPM2 a", "v"): (0.56752, -0.05943, -0.35715, -0.11477),
    ("DEIS", "v"): (-0.32012, 0.00554, -0.37652, 0.08459),
    ("DDIM", "v"): (-0.39547, -0.07384, -0.47059, -0.02554),
    ("DDIM CFG++", "v"): (-0.37736, -0.15197, -0.31466, -0.09893),
    ("PLMS", "epsilon"): (-0.57295, 1.42585, -0.72376, 0.19023),
    ("UniPC", "v"): (-0.17920, 0.22451, -0.29078, 0.18112),
    ("LCM", "v"): (-0.38618, -0.32696, -0.45351, -0.34996),
    ("DDPM", "v"): (-0.03564, -0.40188, -0.63968, -0.23331),
    ("DPM++ 2M", "flow"): (-0.37694, 0.18380, -0.74922, -0.29623),
    ("DPM++ 2M SDE", "flow"): (-0.03778, 0.20578, -0.60135, -0.18200),
    ("DPM++ 2M SDE Heun", "flow"): (0.02188, 0.21099, -0.59447, -0.17603),
    ("Euler", "flow"): (-0.21716, 0.29720, -0.32328, 0.21030),
    ("Heun", "flow"): (-0.13765, 0.35085, -0.28571, 0.23593),
    ("DEIS", "flow"): (-0.55750, 0.11130, -0.33136, 0.19333),
    ("UniPC", "flow"): (-1.72733, -0.99255, -0.08596, 0.33397),
    ("LCM", "flow"): (-0.04121, -0.01183, -0.50916, -0.45243),
}
# Diffusers rounds the times of DPM2's levels, and DEIS ended a trace above level 0.
NEARLY = {"DPM2": 1e-3, "DPM2 a": 1e-3, "DEIS": 1e-3}


@pytest.mark.parametrize(("sampler", "model"), list(EARLIER))
def test_results_of_earlier_versions_come_back(sampler: str, model: str) -> None:
    found: list[float] = []
    for steps, strength in ((8, None), (20, 0.6)):
        sampling = plan_sampling(MODELS[model], sampler, "Automatic", steps, strength)
        generator = torch.Generator().manual_seed(7)

        def noise(generator: torch.Generator = generator) -> torch.Tensor:
            return torch.randn((1, 1, 2, 3), generator=generator)

        def bending(shown: torch.Tensor, time: float) -> torch.Tensor:
            return torch.tanh(1.3 * shown + 0.4 * shown.roll(1, -1) + math.sin(time / 150))

        latents = None if strength is None else torch.linspace(-1, 1, 6).reshape(1, 1, 2, 3)
        x = sampling.run(
            lambda shown, time, sigma: Outputs(
                bending(shown, time), bending(0.8 * shown, time), bending(shown, time)
            ),
            sampling.start(noise(), latents),
            noise,
        )
        found += x.flatten()[:2].tolist()
    assert found == pytest.approx(EARLIER[sampler, model], abs=NEARLY.get(sampler, 1e-4))


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


@pytest.fixture(scope="module")
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


@pytest.mark.parametrize("sampler", ["DDIM", "Euler a", "DDIM CFG++", "DPM2 a", "DPM++ 2S a", "DPM++ SDE"])
def test_eta_is_the_share_of_noise(sampler: str, engine: Engine, request_for: RequestMaker) -> None:
    images = [
        engine.generate(request_for(sampler=sampler, eta=eta), CancelToken()) for eta in (None, 0.0, 1.0, 0.5)
    ]
    default = 1 if sampler.startswith("DDIM") else 2
    assert torch.equal(images[0], images[default])
    assert not torch.equal(images[1], images[2])
    assert not torch.equal(images[3], images[2])
    if sampler == "Euler a":
        torch.testing.assert_close(
            images[1], engine.generate(request_for(sampler="Euler"), CancelToken()), atol=1e-3, rtol=0
        )


@pytest.fixture(scope="module")
def unet(engine: Engine) -> Callable[[torch.Tensor, float], torch.Tensor]:
    """The tiny U-Net: (what it is shown, time) -> its output."""
    network = engine._loaded[1].network
    width = network.config.cross_attention_dim
    tokens = torch.randn(1, 7, width, generator=torch.Generator().manual_seed(5))

    def predict(shown: torch.Tensor, time: float) -> torch.Tensor:
        with torch.no_grad():
            return network(shown, torch.tensor(time), encoder_hidden_states=tokens).sample

    return predict


def diffusers_scheduler(name: str, levels: Sequence[float], times: Sequence[float]) -> Any:
    """Diffusers' scheduler of a sampler with our levels in it, and their times."""
    config = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    made = {
        "Euler": lambda: diffusers.EulerDiscreteScheduler(**config),
        "Heun": lambda: diffusers.HeunDiscreteScheduler(**config),
        "DPM++ 2M": lambda: diffusers.DPMSolverMultistepScheduler(**config),
        "UniPC": lambda: diffusers.UniPCMultistepScheduler(**config, solver_order=3),
    }[name]()
    sigmas, timesteps = torch.tensor(levels, dtype=torch.float32), torch.tensor(times, dtype=torch.float32)
    made.set_timesteps(len(times))
    if name == "Heun":
        sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
        timesteps = torch.cat([timesteps[:1], timesteps[1:].repeat_interleave(2)])
    made.sigmas, made.timesteps = sigmas, timesteps
    made.set_begin_index(0)
    return made


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
@pytest.mark.parametrize("steps", [5, 18])
@pytest.mark.parametrize("name", ["Euler", "Heun", "DPM++ 2M", "UniPC"])
def test_diffusers_schedulers_agree(
    name: str, steps: int, unet: Callable[[torch.Tensor, float], torch.Tensor]
) -> None:
    sampling = plan_sampling(EPSILON, name, "Karras", steps)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    started = sampling.start(noise, None)

    def network(shown: torch.Tensor, time: float, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
        output = unet(shown, time)
        return output, output

    ours = sampling.run(network, started, no_noise)
    times = [EPSILON.time(sigma) for sigma in sampling.levels[:-1]]
    scheduler = diffusers_scheduler(name, sampling.levels, times)
    theirs = started if name in ("Euler", "Heun") else EPSILON.network_input(started, sampling.first_sigma)
    for time in scheduler.timesteps:
        output = unet(scheduler.scale_model_input(theirs, time), float(time))
        theirs = scheduler.step(output, time, theirs, return_dict=False)[0]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)


def test_each_prediction_means_the_same_image() -> None:
    table = NoiseTable(SD.table.sigmas)
    x = torch.randn(TARGET.shape, generator=torch.Generator().manual_seed(1))
    noise = (x - TARGET) / 0.8
    root = math.hypot(1, 0.8)
    outputs = {"epsilon": noise, "sample": TARGET, "v_prediction": (noise - 0.8 * TARGET) / root}
    for prediction, output in outputs.items():
        torch.testing.assert_close(
            NoiseModel(table, prediction).clean(output, x, 0.8), TARGET, atol=1e-5, rtol=0
        )
    mixed = 0.2 * TARGET + 0.8 * noise
    torch.testing.assert_close(FLOW.clean(noise - TARGET, mixed, 0.8), TARGET, atol=1e-5, rtol=0)


def test_a_consistency_model_answers_with_what_it_is_shown_at_time_0() -> None:
    lowest = float(EPSILON.table.sigmas[0])
    denoiser = Denoiser(EPSILON, lambda shown, time, sigma: Outputs.unguided(TARGET), consistency=True)
    torch.testing.assert_close(denoiser(TARGET, lowest), TARGET / math.hypot(1, lowest))


def cells(*columns: tuple[float, ...]) -> torch.Tensor:
    """Return latents of one row, (1, C, 1, w), from the channels of each cell."""
    return torch.tensor(columns).T[None, :, None]


@pytest.mark.parametrize("prediction", ["sample", "flow"])
def test_guidance_turns_long_cells_but_lengthens_none(prediction: str) -> None:
    positive = cells((3, 0, 0, 0), (0.5, 0, 0, 0), (0.5, 0, 0, 0), (0, 3, 0, 0), (0, 3, 0, 0), (1, 0, 0, 0))
    guided = cells((9, 0, 0, 0), (1.5, 0, 0, 0), (0, 0, 8, 0), (0, 0, 0, 6), (0, 1, 0, 0), (5, 0, 0, 0))
    expected = cells((3, 0, 0, 0), (1.5, 0, 0, 0), (0, 0, 2, 0), (0, 0, 0, 3), (0, 1, 0, 0), (4, 0, 0, 0))
    longest = torch.tensor((2.0, 2.0, 2.0, 2.0, 2.0, 4.0)).reshape(1, 1, 1, -1)
    model = FLOW if prediction == "flow" else NoiseModel(SD.table, prediction)
    x = torch.full_like(guided, 0.25)
    outputs = Outputs(
        *((x - clean) / 0.5 if prediction == "flow" else clean for clean in (guided, -guided, positive))
    )
    for bound, wanted in ((longest, expected), (None, guided)):
        denoiser = Denoiser(model, lambda shown, time, sigma: outputs, longest=bound)
        found, negative = denoiser.with_unguided(x, 0.5)
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(negative, -guided)


@pytest.mark.parametrize("sampler", list(SAMPLERS))
@pytest.mark.parametrize("model", [SD, FLOW], ids=["sd", "flow"])
def test_what_is_kept_is_the_init_image_again(sampler: str, model: NoiseModel) -> None:
    sampling = plan_sampling(model, sampler, "Automatic", 12, 0.7)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 2:] = 1
    kept = sampled(sampling, -TARGET, kept=KeptArea(-TARGET, mask))
    torch.testing.assert_close(kept[..., :2], -TARGET[..., :2], atol=tolerance(sampling), rtol=0)
    torch.testing.assert_close(kept[..., 2:], TARGET[..., 2:], atol=tolerance(sampling), rtol=0)


def test_a_level_belongs_to_the_step_that_begins_at_it() -> None:
    sampling = plan_sampling(SD, "Heun", "Karras", 6)
    levels = sampling.levels
    assert [sampling.step_at(level) for level in levels[:-1]] == list(range(6))
    between = [(above + below) / 2 for above, below in pairwise(levels)]
    assert [sampling.step_at(level) for level in between] == list(range(6))
    assert sampling.step_at(levels[0] * 2) == 0


@BOTH_FORMS
def test_cfg_plus_plus_renoises_with_the_unguided_output(flow: bool) -> None:
    x, guided, unguided = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).unbind()

    class Two:
        def with_unguided(self, x: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
            return guided, unguided

    model = Two()
    model.flow = flow
    signal, next_signal = (0.4, 0.7) if flow else (1.0, 1.0)
    noise = (x - signal * unguided) / 0.6
    found = SAMPLERS["DDIM CFG++"].sample(model, x, [0.6, 0.3], noise=no_noise)
    torch.testing.assert_close(found, next_signal * guided + 0.3 * noise)
    assert plan_sampling(SD, "DDIM CFG++", "Automatic", 10).cfg_factor == pytest.approx(0.08)


def test_what_is_not_used_is_told(engine: Engine, request_for: RequestMaker) -> None:
    assert list(map(code_of, engine.warnings(request_for(eta=0.5)))) == ["eta_unused"]
    for sampler in SAMPLERS:
        assert engine.warnings(request_for(sampler=sampler)) == ()
    for sampler in ("DDIM", "DDIM CFG++", "DPM2 a", "DPM++ 2S a"):
        assert engine.warnings(request_for(sampler=sampler, eta=0.5)) == ()


def test_flow_models_tell_what_has_no_effect(tiny: Callable[[str], Path], request_for: RequestMaker) -> None:
    engine = make_engine("diffusers", checkpoint=str(tiny("flux")), device="cpu")
    (warning,) = engine.warnings(request_for(tiling=True))
    assert code_of(warning) == "tiling_unused"
    for sampler in SAMPLERS:
        assert engine.warnings(request_for(sampler=sampler)) == ()
