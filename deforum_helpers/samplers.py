"""Samplers: how latents get from noise to an image, down a list of noise levels.

Every sampler is a plain function `sample_NAME(model, x, sigmas) -> x`. Samplers that add noise also take
`noise=`, and most of them `eta=`. `SAMPLERS` at the end maps the names that users choose from to these functions.

**Levels.** `sigmas` falls from the level of `x` to the level of the result. It is usually the tail of a schedule
and ends at 0. At a last level of 0 the result is the model's estimate of the clean image at the level before.

**Parametrisation.** Latents are x = a * clean + s * noise, where s is the noise level and a the signal:

- a = 1 for models that predict noise, v or the image (the variance-exploding form of Karras et al. 2022);
- a = 1 - s with s in 0..1 for flow models (rectified flow, Liu et al. 2022, arXiv 2209.03003).

`model(x, s)` returns D, the estimate of the clean image. Samplers integrate the ODE between image and noise
(Song et al. 2021, arXiv 2011.13456) in one of two variables:

- in s, where dx/ds = (x - D) / s in both forms, because the noise of flow models is (x - (1 - s) D) / s;
- in λ = log(a / s), half the logarithm of the signal-to-noise ratio, where the linear part has an exact solution
  and D or the predicted noise is approximated by a polynomial (exponential integrators, `_data_step`, `_noise_step`).
  λ is infinite at s = 1 of flow models, so these samplers must begin below 1.

**Noise.** `noise()` returns standard normal noise like `x`. `eta` scales it: 0 leaves the ODE sampler, 1 is
the variance of the reverse diffusion. The functions only add and multiply, so this module needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Noise = Callable[[], "Tensor"]
# Where a quantity was evaluated: [(λ or level, value)], the point where the step begins first.
Known = Sequence[tuple[float, "Tensor"]]
# (nodes in units of the step, moments of the kernel) -> weight of each node's value.
Weigh = Callable[[Sequence[float], Sequence[float]], Sequence[float]]


class Model(Protocol):
    """What a sampler asks."""

    @property
    def flow(self) -> bool:
        """Whether the signal is 1 - sigma; otherwise it is 1."""
        ...

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Return the estimate of the clean image in latents (1, C, h, w) of level `sigma`."""
        ...

    def with_unguided(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Return the estimate, and the one without classifier-free guidance."""
        ...


# The two variables


def _signal(model: Model, sigma: float) -> float:
    return 1.0 - sigma if model.flow else 1.0


def _half_log_snr(model: Model, sigma: float) -> float:
    return math.log(_signal(model, sigma) / sigma)


def _level_at(model: Model, half_log_snr: float) -> float:
    """The inverse of `_half_log_snr`."""
    return 1 / (1 + math.exp(half_log_snr)) if model.flow else math.exp(-half_log_snr)


def slope_at(model: Model, x: Tensor, sigma: float) -> Tensor:
    """Return dx/ds of the ODE at level `sigma` > 0."""
    return (x - model(x, sigma)) / sigma


def _euler(x: Tensor, clean: Tensor, sigma: float, to: float) -> Tensor:
    """Follow the slope at `sigma` as far as `to`; at 0 that is `clean` to the last bit."""
    return clean + (to / sigma) * (x - clean)


# Steps of exponential integrators


def _moments(a: float, count: int) -> list[float]:
    """Return the integrals of a exp(-a (1 - u)) u^n over u in 0..1 for n = 0 .. count - 1.

    Partial integration gives m[n] = 1 - n m[n-1] / a, which is stable upwards for large a and downwards for small.
    """
    if abs(a) > 1:
        found = [-math.expm1(-a)]
        for n in range(1, count):
            found.append(1 - n * found[-1] / a)
        return found
    moment, found = 0.0, []
    for n in range(count + 20, 0, -1):
        moment = a * (1 - moment) / n
        found.append(moment)
    return found[::-1][:count]


def _exact(nodes: Sequence[float], moments: Sequence[float]) -> Sequence[float]:
    """Integrate the polynomial through all nodes exactly."""
    import numpy as np  # the settings take the names of samplers from here, and commands that need no more start sooner

    return np.linalg.solve(np.vander(nodes, increasing=True).T, np.asarray(moments)).tolist()


def _midpoint(nodes: Sequence[float], moments: Sequence[float]) -> Sequence[float]:
    """Take the value that a line through two nodes has in the middle of the step; one node is a constant."""
    if len(nodes) == 1:
        return [moments[0]]
    share = 0.5 / nodes[1]
    return [moments[0] * (1 - share), moments[0] * share]


def _data_step(
    model: Model, x: Tensor, sigma: float, to: float, known: Known, weigh: Weigh, eta: float = 0.0
) -> Tensor:
    """Step to `to` with clean estimates at several λ; without the noise of the SDE, which is `_sde_noise`.

    x' = s'/s e^(-eta h) x + a' (1 + eta) ∫ e^(-(1 + eta)(λ' - τ)) D(τ) dτ with h = λ' - λ: for eta 0 eq. 8 of
    DPM-Solver++ (Lu et al. 2022b, arXiv 2211.01095), for eta 1 its SDE-DPM-Solver++.
    """
    begin = _half_log_snr(model, sigma)
    h = _half_log_snr(model, to) - begin
    nodes = [(place - begin) / h for place, _ in known]
    weights = weigh(nodes, _moments((1 + eta) * h, len(nodes)))
    x = x * (to / sigma * math.exp(-eta * h))
    for weight, (_, clean) in zip(weights, known, strict=True):
        x = x + clean * (_signal(model, to) * weight)
    return x


def _noise_step(model: Model, x: Tensor, sigma: float, to: float, known: Known, weigh: Weigh) -> Tensor:
    """Step to `to` with predicted noise at several λ.

    x' = a'/a x - a' ∫ e^(-τ) noise(τ) dτ: DPM-Solver (Lu et al. 2022a, arXiv 2206.00927) eq. 3.4.
    """
    begin = _half_log_snr(model, sigma)
    h = _half_log_snr(model, to) - begin
    nodes = [(place - begin) / h for place, _ in known]
    weights = weigh(nodes, _moments(-h, len(nodes)))
    x = x * (_signal(model, to) / _signal(model, sigma))
    for weight, (_, predicted) in zip(weights, known, strict=True):
        x = x + predicted * (to * weight)
    return x


def _sde_noise(model: Model, sigma: float, to: float, eta: float) -> float:
    """Return the deviation of the noise that the SDE adds from `sigma` to `to`."""
    h = _half_log_snr(model, to) - _half_log_snr(model, sigma)
    return to * math.sqrt(-math.expm1(-2 * eta * h))


# Ancestral steps


def _noise_split(model: Model, sigma: float, to: float, eta: float) -> tuple[float, float]:
    """Split level `to` into (noise kept from level `sigma`, fresh noise), whose squares add up to its square.

    The fresh part is DDIM's (Song et al. 2020, arXiv 2010.02502, eq. 16), eta times the deviation of the DDPM
    posterior: s' sqrt(1 - (a s' / (a' s))^2), at most s'.
    """
    ratio = _signal(model, sigma) * to / (_signal(model, to) * sigma)
    fresh = min(to, eta * to * math.sqrt(1 - ratio**2))
    return math.sqrt(to**2 - fresh**2), fresh


def _ode_target(model: Model, to: float, kept: float) -> tuple[float, float]:
    """Return (level, scale): latents of `level` times `scale` have the signal of `to` and noise `kept`."""
    scale = _signal(model, to) + kept if model.flow else 1.0
    return kept / scale, scale


# One-step methods


def sample_euler(model: Model, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Euler's method in s: Karras et al. 2022 (arXiv 2206.00364), algorithm 1 without its correction. Order 1."""
    for sigma, to in pairwise(sigmas):
        x = _euler(x, model(x, sigma), sigma, to)
    return x


def sample_euler_a(
    model: Model, x: Tensor, sigmas: Sequence[float], *, noise: Noise, eta: float = 1.0
) -> Tensor:
    """Euler's method with fresh noise at each step: Song et al. 2020 (arXiv 2010.02502), eq. 12 and 16.

    x' = a' D + kept (x - a D) / s + fresh n. With eta 0 it is Euler, with eta 1 DDPM.
    """
    for sigma, to in pairwise(sigmas):
        clean = model(x, sigma)
        kept, fresh = _noise_split(model, sigma, to, eta)
        predicted = (x - _signal(model, sigma) * clean) / sigma
        x = _signal(model, to) * clean + kept * predicted
        if fresh > 0:
            x = x + fresh * noise()
    return x


def sample_ddim(
    model: Model, x: Tensor, sigmas: Sequence[float], *, noise: Noise, eta: float = 0.0
) -> Tensor:
    """DDIM: Song et al. 2020 (arXiv 2010.02502), eq. 12: the ancestral Euler step, by default without noise."""
    return sample_euler_a(model, x, sigmas, noise=noise, eta=eta)


def sample_ddpm(
    model: Model, x: Tensor, sigmas: Sequence[float], *, noise: Noise, eta: float = 1.0
) -> Tensor:
    """DDPM: Ho et al. 2020 (arXiv 2006.11239), algorithm 2 with the posterior variance of eq. 7, which is eta 1."""
    return sample_euler_a(model, x, sigmas, noise=noise, eta=eta)


def sample_ddim_cfgpp(
    model: Model, x: Tensor, sigmas: Sequence[float], *, noise: Noise, eta: float = 0.0
) -> Tensor:
    """DDIM CFG++: Chung et al. 2024 (arXiv 2406.08070), algorithm 2.

    The clean image is the guided one, the noise that it is mixed with again is predicted without guidance.
    """
    for sigma, to in pairwise(sigmas):
        guided, unguided = model.with_unguided(x, sigma)
        kept, fresh = _noise_split(model, sigma, to, eta)
        predicted = (x - _signal(model, sigma) * unguided) / sigma
        x = _signal(model, to) * guided + kept * predicted
        if fresh > 0:
            x = x + fresh * noise()
    return x


def sample_lcm(model: Model, x: Tensor, sigmas: Sequence[float], *, noise: Noise) -> Tensor:
    """Multistep consistency sampling: Song et al. 2023 (arXiv 2303.01469), algorithm 1.

    Each estimate of the clean image gets all of the next level's noise anew. Latent consistency models are sampled
    like this (Luo et al. 2023, arXiv 2310.04378).
    """
    for sigma, to in pairwise(sigmas):
        x = model(x, sigma)
        if to > 0:
            x = _signal(model, to) * x + to * noise()
    return x


def _heun(model: Model, x: Tensor, sigma: float, to: float) -> Tensor:
    clean = model(x, sigma)
    ahead = _euler(x, clean, sigma, to)
    if to == 0:
        return ahead
    return x + (to - sigma) / 2 * ((x - clean) / sigma + slope_at(model, ahead, to))


def sample_heun(model: Model, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Heun's method in s: Karras et al. 2022 (arXiv 2206.00364), algorithm 1. Order 2, two evaluations a step."""
    for sigma, to in pairwise(sigmas):
        x = _heun(model, x, sigma, to)
    return x


def sample_heunpp2(model: Model, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Heun++: the mean of the slopes at this level and the next two, weighted by their levels.

    There is no paper; hosts define it. A later level s has the weight s / (3 s0), with s0 the first of all levels,
    and this one has the rest; the last step but one looks one level ahead, with s / (2 s0). Order 1, three
    evaluations a step.
    """
    for i, (sigma, to) in enumerate(pairwise(sigmas)):
        clean = model(x, sigma)
        first = mean = (x - clean) / sigma
        ahead = [level for level in sigmas[i + 1 : i + 3] if level > 0]
        point, place, along = x, sigma, first
        for level in ahead:
            point, place = point + (level - place) * along, level
            along = slope_at(model, point, level)
            mean = mean + (along - first) * (level / ((len(ahead) + 1) * sigmas[0]))
        x = x + (to - sigma) * mean if to > 0 else clean
    return x


def sample_restart(
    model: Model,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    noise: Noise,
    restarts: int = 1,
    low: float = 0.1,
    high: float = 2.0,
) -> Tensor:
    """Restart: Xu et al. 2023 (arXiv 2306.14878), section 3: Heun's method that goes back up through fresh noise.

    Args:
        model, x, sigmas, noise: see the module.
        restarts: how often the interval is walked again, 0 = Heun.
        low, high: noise-to-signal ratios between which it lies; its ends are the nearest levels inside.
    """
    again = [s for s in sigmas if low * _signal(model, s) <= s <= high * _signal(model, s)]
    for sigma, to in pairwise(sigmas):
        x = _heun(model, x, sigma, to)
        if len(again) > 1 and to == again[-1]:
            gain = _signal(model, again[0]) / _signal(model, to)
            for _ in range(restarts):
                x = gain * x + math.sqrt(again[0] ** 2 - (gain * to) ** 2) * noise()
                for above, below in pairwise(again):
                    x = _heun(model, x, above, below)
    return x


def _dpm2(model: Model, x: Tensor, sigma: float, to: float) -> Tensor:
    clean = model(x, sigma)
    if to == 0:
        return clean
    middle = math.sqrt(sigma * to)
    return x + (to - sigma) * slope_at(model, _euler(x, clean, sigma, middle), middle)


def sample_dpm2(model: Model, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """DPM-Solver-2: Lu et al. 2022a (arXiv 2206.00927), algorithm 1 with r = 1/2, written in s.

    Order 2, two evaluations a step.
    """
    for sigma, to in pairwise(sigmas):
        x = _dpm2(model, x, sigma, to)
    return x


def sample_dpm2_a(
    model: Model, x: Tensor, sigmas: Sequence[float], *, noise: Noise, eta: float = 1.0
) -> Tensor:
    """DPM-Solver-2 to the level of the kept noise, then fresh noise: Lu et al. 2022a (arXiv 2206.00927), algorithm 1.

    The split is that of `_noise_split`. With eta 0 it is DPM2.
    """
    for sigma, to in pairwise(sigmas):
        kept, fresh = _noise_split(model, sigma, to, eta)
        target, scale = _ode_target(model, to, kept)
        x = scale * _dpm2(model, x, sigma, target)
        if fresh > 0:
            x = x + fresh * noise()
    return x


# Multistep methods in s

ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


def sample_lms(model: Model, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Adams-Bashforth in s with variable steps: Hairer, Nørsett, Wanner, Solving ODEs I, section III.5.

    The polynomial through the slopes of four levels is integrated: order 4. The same method is known as iPNDM_v,
    that is iPNDM (Zhang and Chen 2022, arXiv 2204.13902) with the coefficients of the true steps.
    """
    known: list[tuple[float, Tensor]] = []
    for sigma, to in pairwise(sigmas):
        clean = model(x, sigma)
        if to == 0:
            return clean
        known = [(sigma, (x - clean) / sigma), *known][:4]
        nodes = [(level - sigma) / (to - sigma) for level, _ in known]
        weights = _exact(nodes, [1 / (n + 1) for n in range(len(nodes))])
        for weight, (_, slope) in zip(weights, known, strict=True):
            x = x + slope * ((to - sigma) * weight)
    return x


def sample_ipndm(model: Model, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """iPNDM: Zhang and Chen 2022 (arXiv 2204.13902): PNDM (see `sample_plms`, eq. 12) begun with lower orders.

    Adams-Bashforth with the coefficients of equal steps. Order 4 where the levels are evenly spaced, else 2.
    """
    slopes: list[Tensor] = []
    for sigma, to in pairwise(sigmas):
        clean = model(x, sigma)
        if to == 0:
            return clean
        slopes = [(x - clean) / sigma, *slopes][:4]
        x = _adams_bashforth(x, slopes, to - sigma)
    return x


def sample_plms(model: Model, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """PLMS: Liu et al. 2022 (arXiv 2202.09778), eq. 12, begun with an improved Euler step and lower orders.

    Its transfer part, eq. 9, is a straight line in s. Order 4 where the levels are evenly spaced, else 2.
    """
    slopes: list[Tensor] = []
    for sigma, to in pairwise(sigmas):
        if not slopes and len(sigmas) > 2:
            slopes = [slope_at(model, x, sigma)]
            ahead = slope_at(model, x + (to - sigma) * slopes[0], to)
            x = x + (to - sigma) / 2 * (slopes[0] + ahead)
            continue
        clean = model(x, sigma)
        if to == 0:
            return clean
        slopes = [(x - clean) / sigma, *slopes][:4]
        x = _adams_bashforth(x, slopes, to - sigma)
    return x


def _adams_bashforth(x: Tensor, slopes: Sequence[Tensor], width: float) -> Tensor:
    """Step on with slopes at equal distances, the newest first."""
    for coefficient, slope in zip(ADAMS_BASHFORTH[len(slopes) - 1], slopes, strict=True):
        x = x + slope * (width * coefficient)
    return x


# Multistep methods in λ


def _dpmpp_multistep(
    model: Model,
    x: Tensor,
    sigmas: Sequence[float],
    order: int,
    weigh: Weigh,
    noise: Noise | None = None,
    eta: float = 0.0,
) -> Tensor:
    known: list[tuple[float, Tensor]] = []
    for sigma, to in pairwise(sigmas):
        clean = model(x, sigma)
        if to == 0:
            return clean
        known = [(_half_log_snr(model, sigma), clean), *known][:order]
        x = _data_step(model, x, sigma, to, known, weigh, eta)
        if noise is not None and eta > 0:
            x = x + _sde_noise(model, sigma, to, eta) * noise()
    return x


def sample_dpmpp_2m(model: Model, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """DPM-Solver++(2M): Lu et al. 2022b (arXiv 2211.01095), algorithm 2. Order 2, one evaluation a step."""
    return _dpmpp_multistep(model, x, sigmas, 2, _midpoint)


def sample_dpmpp_2m_sde(
    model: Model, x: Tensor, sigmas: Sequence[float], *, noise: Noise, eta: float = 1.0
) -> Tensor:
    """SDE-DPM-Solver++(2M): Lu et al. 2022b (arXiv 2211.01095). With eta 0 it is DPM++ 2M."""
    return _dpmpp_multistep(model, x, sigmas, 2, _midpoint, noise, eta)


def sample_dpmpp_2m_sde_heun(
    model: Model, x: Tensor, sigmas: Sequence[float], *, noise: Noise, eta: float = 1.0
) -> Tensor:
    """SDE-DPM-Solver++(2M): Lu et al. 2022b (arXiv 2211.01095), the line through two estimates integrated exactly."""
    return _dpmpp_multistep(model, x, sigmas, 2, _exact, noise, eta)


def sample_dpmpp_3m_sde(
    model: Model, x: Tensor, sigmas: Sequence[float], *, noise: Noise, eta: float = 1.0
) -> Tensor:
    """SDE-DPM-Solver++(3M): Lu et al. 2022b (arXiv 2211.01095), with a parabola through three estimates.

    It is integrated exactly. With eta 0 of order 3.
    """
    return _dpmpp_multistep(model, x, sigmas, 3, _exact, noise, eta)


def sample_deis(model: Model, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """DEIS: Zhang and Chen 2022 (arXiv 2204.13902), eq. 14, with a line through the noise at two λ. Order 2."""
    known: list[tuple[float, Tensor]] = []
    for sigma, to in pairwise(sigmas):
        clean = model(x, sigma)
        if to == 0:
            return clean
        predicted = (x - _signal(model, sigma) * clean) / sigma
        known = [(_half_log_snr(model, sigma), predicted), *known][:2]
        x = _noise_step(model, x, sigma, to, known, _exact)
    return x


def sample_unipc(model: Model, x: Tensor, sigmas: Sequence[float], *, order: int = 3) -> Tensor:
    """UniPC: Zhao et al. 2023 (arXiv 2302.04867), algorithms 1 and 2 with B2(h) = e^h - 1. Order 4 with its corrector.

    UniP predicts the next latents from up to `order` estimates; UniC repeats that step with the estimate at its end,
    which costs no evaluation. With two nodes the paper sets the coefficient to 1/2, otherwise its linear system
    makes the polynomial through all nodes exact, whatever B is. The order falls again towards the end.
    """

    def weigh(nodes: Sequence[float], moments: Sequence[float]) -> Sequence[float]:
        return (_midpoint if len(nodes) <= 2 else _exact)(nodes, moments)

    known: list[tuple[float, Tensor]] = []
    used, origin, before = 0, x, sigmas[0]
    for i, (sigma, to) in enumerate(pairwise(sigmas)):
        here = (_half_log_snr(model, sigma), model(x, sigma))
        if known:
            x = _data_step(model, origin, before, sigma, [*known[:used], here], weigh)
        if to == 0:
            return here[1]
        known = [here, *known][:order]
        used, origin, before = min(len(known), len(sigmas) - 1 - i), x, sigma
        x = _data_step(model, x, sigma, to, known[:used], weigh)
    return x


# One-step methods in λ


def _dpmpp_2s(model: Model, x: Tensor, sigma: float, to: float) -> Tensor:
    clean = model(x, sigma)
    if to == 0:
        return clean
    begin = (_half_log_snr(model, sigma), clean)
    halfway = (begin[0] + _half_log_snr(model, to)) / 2
    middle = _level_at(model, halfway)
    estimate = model(_data_step(model, x, sigma, middle, [begin], _midpoint), middle)
    return _data_step(model, x, sigma, to, [begin, (halfway, estimate)], _midpoint)


def sample_dpmpp_2s_a(
    model: Model, x: Tensor, sigmas: Sequence[float], *, noise: Noise, eta: float = 1.0
) -> Tensor:
    """DPM-Solver++(2S) with fresh noise: Lu et al. 2022b (arXiv 2211.01095), algorithm 1 with r = 1/2.

    It goes to the level of the kept noise; the split is that of `_noise_split`. With eta 0 of order 2, two
    evaluations a step.
    """
    for sigma, to in pairwise(sigmas):
        kept, fresh = _noise_split(model, sigma, to, eta)
        target, scale = _ode_target(model, to, kept)
        x = scale * _dpmpp_2s(model, x, sigma, target)
        if fresh > 0:
            x = x + fresh * noise()
    return x


def sample_dpmpp_sde(
    model: Model, x: Tensor, sigmas: Sequence[float], *, noise: Noise, eta: float = 1.0
) -> Tensor:
    """SDE-DPM-Solver++(2S): the SDE of Lu et al. 2022b (arXiv 2211.01095), solved as in its algorithm 1 with r = 1/2.

    Two evaluations and two draws a step. The noise of the whole step is that of its first half, carried on, plus that
    of its second half, so that the estimate in the middle lies on the path that is taken. With eta 0 of order 2.
    """
    for sigma, to in pairwise(sigmas):
        clean = model(x, sigma)
        if to == 0:
            return clean
        begin = (_half_log_snr(model, sigma), clean)
        halfway = (begin[0] + _half_log_snr(model, to)) / 2
        middle = _level_at(model, halfway)
        first = _sde_noise(model, sigma, middle, eta) * noise() if eta > 0 else 0.0
        estimate = model(_data_step(model, x, sigma, middle, [begin], _midpoint, eta) + first, middle)
        carried = to / middle * math.exp(-eta * (halfway - begin[0]))
        x = _data_step(model, x, sigma, to, [begin, (halfway, estimate)], _midpoint, eta)
        if eta > 0:
            x = x + carried * first + _sde_noise(model, middle, to, eta) * noise()
    return x


def _stages(model: Model, x: Tensor, sigma: float, to: float, shares: Sequence[float]) -> Known:
    """Evaluate the model at `sigma` and at `shares` of the way to `to` in λ, each reached through those before."""
    begin = _half_log_snr(model, sigma)
    h = _half_log_snr(model, to) - begin
    known = [(begin, _answer(model, x, sigma))]
    for share in shares:
        level = _level_at(model, begin + share * h)
        known.append((begin + share * h, _answer(model, _solver_step(model, x, sigma, level, known), level)))
    return known


def _answer(model: Model, x: Tensor, sigma: float) -> Tensor:
    """Return what DPM-Solver works with: the noise, or for flow models the clean estimate.

    Near pure noise, where flow models begin, steps with the predicted noise magnify its errors without bound.
    """
    clean = model(x, sigma)
    return clean if model.flow else (x - clean) / sigma


def _solver_step(
    model: Model, x: Tensor, sigma: float, to: float, known: Known, weigh: Weigh = _exact
) -> Tensor:
    return (_data_step if model.flow else _noise_step)(model, x, sigma, to, known, weigh)


def _dpm_solver(model: Model, x: Tensor, sigma: float, to: float, order: int) -> Tensor:
    """One step of DPM-Solver-1, -2 or -3: Lu et al. 2022a, eq. 3.7, algorithms 1 and 2."""
    if order == 3:
        known = _stages(model, x, sigma, to, (1 / 3, 2 / 3))
        return _solver_step(model, x, sigma, to, [known[0], known[2]])
    known = _stages(model, x, sigma, to, (1 / 2,) if order == 2 else ())
    return _solver_step(model, x, sigma, to, known, _midpoint)


def sample_dpm_fast(model: Model, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """DPM-Solver-fast: Lu et al. 2022a (arXiv 2206.00927), appendix D: DPM-Solver-3 as far as the evaluations reach.

    A step of order 3 spans three of the given levels, what remains is a step of order 2 or 1, and the last level
    above 0 is denoised: as many evaluations as there are steps. The paper spaces the levels evenly in λ.
    """
    ends_at_zero = sigmas[-1] == 0
    levels = sigmas[:-1] if ends_at_zero else sigmas
    done = 0
    while done < len(levels) - 1:
        order = min(3, len(levels) - 1 - done)
        x = _dpm_solver(model, x, levels[done], levels[done + order], order)
        done += order
    return model(x, levels[-1]) if ends_at_zero else x


def sample_dpm_adaptive(
    model: Model,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    relative: float = 0.05,
    absolute: float = 0.0078,
    first_step: float = 0.05,
    safety: float = 0.9,
) -> Tensor:
    """DPM-Solver-23: Lu et al. 2022a (arXiv 2206.00927), appendix C: steps in λ of the width that the error allows.

    Of `sigmas` the first, the last, and the last above 0 count. Three evaluations a step.

    Args:
        model, x, sigmas: see the module.
        relative, absolute: tolerances of the difference between the solutions of order 3 and 2.
        first_step: in λ.
        safety: share of the step that the error would allow.
    """
    levels = sigmas[:-1] if sigmas[-1] == 0 else sigmas
    at, end = _half_log_snr(model, levels[0]), _half_log_snr(model, levels[-1])
    shortest = (end - at) / 500
    sigma, before, h = levels[0], x, first_step
    while at < end:
        reached = at + h if h < end - at else end
        to = _level_at(model, reached) if reached < end else levels[-1]
        known = _stages(model, x, sigma, to, (1 / 3, 2 / 3))
        lower = _solver_step(model, x, sigma, to, known[:2], _midpoint)
        higher = _solver_step(model, x, sigma, to, [known[0], known[2]])
        tolerance = (relative * lower.abs().maximum(before.abs())).clamp(min=absolute)
        error = float((((higher - lower) / tolerance) ** 2).mean() ** 0.5)
        measurable = math.isfinite(error)
        if error <= 1 or h <= shortest or not measurable:
            x, before, sigma, at = higher, lower, to, reached
        # Latents that are no numbers go straight to the end, where the frame is checked.
        h = max(shortest, safety * h * max(error, 1e-6) ** (-1 / 3)) if measurable else end - at
    return model(x, sigma) if sigmas[-1] == 0 else x


@dataclass(frozen=True)
class Sampler:
    """How one sampler name is run.

    Args:
        sample: the function.
        automatic: label of the scheduler that "Automatic" stands for.
        kind: "ODE": no noise; "ancestral", "SDE": noise and eta; "restart": noise and a number of restarts;
            "consistency": noise, for consistency models.
        levels: which levels it walks. "sigma": the scheduler's; "lambda": the same, but not pure noise, which is
            infinitely far in λ; "whole": the same, rounded to training steps; "training": the model's own training
            steps, to which no scheduler applies.
        eta: its own share of noise, None where it has no eta.
        drops_next_to_last: the last level before 0 is left out, as hosts do for these.
        renoises_unguided: CFG++.
    """

    sample: Callable[..., Tensor]
    automatic: str
    kind: Literal["ODE", "ancestral", "SDE", "restart", "consistency"] = "ODE"
    levels: Literal["sigma", "lambda", "whole", "training"] = "sigma"
    eta: float | None = None
    drops_next_to_last: bool = False
    renoises_unguided: bool = False


SAMPLERS: Mapping[str, Sampler] = {
    "DPM++ 2M": Sampler(sample_dpmpp_2m, "Karras", levels="lambda"),
    "DPM++ SDE": Sampler(sample_dpmpp_sde, "Karras", "SDE", "lambda", eta=1.0),
    "DPM++ 2M SDE": Sampler(sample_dpmpp_2m_sde, "Exponential", "SDE", "lambda", eta=1.0),
    "DPM++ 2M SDE Heun": Sampler(sample_dpmpp_2m_sde_heun, "Exponential", "SDE", "lambda", eta=1.0),
    "DPM++ 2S a": Sampler(sample_dpmpp_2s_a, "Karras", "ancestral", "lambda", eta=1.0),
    "DPM++ 3M SDE": Sampler(
        sample_dpmpp_3m_sde, "Exponential", "SDE", "lambda", eta=1.0, drops_next_to_last=True
    ),
    "Euler a": Sampler(sample_euler_a, "Uniform", "ancestral", eta=1.0),
    "Euler": Sampler(sample_euler, "Uniform"),
    "LMS": Sampler(sample_lms, "Uniform"),
    "Heun": Sampler(sample_heun, "Uniform"),
    "DPM2": Sampler(sample_dpm2, "Karras", drops_next_to_last=True),
    "DPM2 a": Sampler(sample_dpm2_a, "Karras", "ancestral", eta=1.0, drops_next_to_last=True),
    "DPM fast": Sampler(sample_dpm_fast, "Exponential", levels="lambda"),
    "DPM adaptive": Sampler(sample_dpm_adaptive, "Exponential", levels="lambda"),
    "Restart": Sampler(sample_restart, "Karras", "restart"),
    "HeunPP2": Sampler(sample_heunpp2, "Uniform"),
    "IPNDM": Sampler(sample_ipndm, "Uniform"),
    "IPNDM_V": Sampler(sample_lms, "Uniform"),
    "DEIS": Sampler(sample_deis, "Uniform", levels="lambda"),
    "DDIM": Sampler(sample_ddim, "DDIM", "ancestral", "training", eta=0.0),
    "DDIM CFG++": Sampler(
        sample_ddim_cfgpp, "DDIM", "ancestral", "training", eta=0.0, renoises_unguided=True
    ),
    "PLMS": Sampler(sample_plms, "DDIM", levels="training"),
    "UniPC": Sampler(sample_unipc, "Uniform", levels="lambda"),
    "LCM": Sampler(sample_lcm, "Uniform", "consistency", "whole"),
    "DDPM": Sampler(sample_ddpm, "Uniform", "ancestral", "whole", eta=1.0),
}
