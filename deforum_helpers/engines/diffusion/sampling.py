"""A planned run of a sampler: its noise levels, its starting latents, and the network as a denoiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from deforum_helpers.engines.diffusion.inpainting import KeptArea
from deforum_helpers.engines.diffusion.sigmas import (
    NoiseTable,
    at_training_steps,
    below_pure_noise,
    noise_levels,
    training_levels,
)
from deforum_helpers.engines.names import split_sampler, steps_run
from deforum_helpers.samplers import SAMPLERS, Noise, Sampler


class Outputs(NamedTuple):
    """The network's outputs for one input, float32 (1, C, h, w); all are the same tensor where nothing is guided.

    Args:
        guided: away from the negative prompt, by the CFG scale.
        negative, positive: for each prompt alone.
    """

    guided: torch.Tensor
    negative: torch.Tensor
    positive: torch.Tensor

    @classmethod
    def unguided(cls, output: torch.Tensor) -> Outputs:
        """Return the outputs of a network that one prompt steers."""
        return cls(output, output, output)


# (network input, time, noise level) -> outputs.
Network = Callable[[torch.Tensor, float, float], Outputs]


@dataclass(frozen=True)
class NoiseModel:
    """How a model's latents are noised and what its network predicts.

    Args:
        table: the model's noise levels.
        prediction: "epsilon", "v_prediction" or "sample"; flow models predict noise minus image.
    """

    table: NoiseTable
    prediction: str = "epsilon"

    def time(self, sigma: float) -> float:
        """Return the network's time input at a level, in training steps."""
        if self.table.flow:
            return sigma * len(self.table.sigmas)
        return float(self.table.timestep(np.array(sigma)))

    def network_input(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Return the network's input for latents `x`: scaled to unit variance, except for flow models."""
        return x if self.table.flow else x / math.hypot(1, sigma)

    def clean(self, output: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Convert the network's `output` to an estimate of the clean image."""
        if self.table.flow or self.prediction == "epsilon":
            return x - sigma * output
        if self.prediction == "sample":
            return output
        root = math.hypot(1, sigma)
        return x / root**2 - (sigma / root) * output


@dataclass(frozen=True)
class Denoiser:
    """A network as the denoiser that samplers call; see `samplers.Model`.

    Args:
        noise_model: how its outputs are converted.
        network: the network.
        kept: the part of the init image that is kept, or None.
        consistency: whether the network is a consistency model.
        longest: (1, 1, h, w) lengths that guidance does not exceed, see `without_growth`; None = any.
    """

    noise_model: NoiseModel
    network: Network
    kept: KeptArea | None = None
    consistency: bool = False
    longest: torch.Tensor | None = None

    @property
    def flow(self) -> bool:
        return self.noise_model.table.flow

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return self._estimates(x, sigma, 1)[0]

    def with_unguided(self, x: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
        guided, unguided = self._estimates(x, sigma, 2)
        return guided, unguided

    def _estimates(self, x: torch.Tensor, sigma: float, count: int) -> list[torch.Tensor]:
        """The guided estimate and, where `count` is 2, the unguided one."""
        shown, time = self.noise_model.network_input(x, sigma), self.noise_model.time(sigma)
        outputs, estimates = self.network(shown, time, sigma), []
        for output in outputs[:count]:
            clean = self.noise_model.clean(output, x, sigma)
            if self.longest is not None and output is not outputs.negative:
                positive = self.noise_model.clean(outputs.positive, x, sigma)
                clean = without_growth(clean, positive, self.longest)
            clean = clean if self.kept is None else self.kept.restored(clean)
            estimates.append(_consistent(clean, shown, time) if self.consistency else clean)
        return estimates


def without_growth(guided: torch.Tensor, positive: torch.Tensor, longest: torch.Tensor) -> torch.Tensor:
    """Return `guided` with each cell shortened to its length in `positive` or in `longest`, the larger of both.

    Args:
        guided, positive: estimates of the clean latents (1, C, h, w), with guidance and for the prompt alone.
        longest: (1, 1, h, w), from `noise.longest_cells`.
    """
    most = torch.maximum(positive.norm(dim=1, keepdim=True), longest)
    return guided * (most / guided.norm(dim=1, keepdim=True).clamp_min(1e-6)).clamp(max=1)


def _consistent(clean: torch.Tensor, shown: torch.Tensor, time: float) -> torch.Tensor:
    """A consistency model's estimate, which at time 0 equals its input: Luo et al. 2023 (arXiv 2310.04378), eq. 9.

    The paper multiplies times by 10 and sets the deviation of the data to 1/2.
    """
    skipped = 0.25 / ((10 * time) ** 2 + 0.25)
    return skipped * shown + math.sqrt(1 - skipped) * clean


@dataclass(frozen=True)
class Sampling:
    """A planned run.

    Args:
        sampler: the sampler to run.
        levels: falling noise levels, one more than steps.
        model: the model's noise.
        eta: share of noise; None = the sampler's own.
        deterministic: sample without noise besides the first; consistency models cannot.
    """

    sampler: Sampler
    levels: tuple[float, ...]
    model: NoiseModel
    eta: float | None = None
    deterministic: bool = False

    @property
    def steps(self) -> int:
        """The number of sampling steps."""
        return len(self.levels) - 1

    @property
    def first_sigma(self) -> float:
        """The noise level at which sampling begins."""
        return self.levels[0]

    @property
    def cfg_factor(self) -> float:
        """The factor of the CFG scale: that of CFG++ is 0..1, so hosts divide the usual scale by 12.5."""
        return 1 / 12.5 if self.sampler.renoises_unguided else 1.0

    def step_at(self, sigma: float) -> int:
        """Return the number of the step that begins at level `sigma` or above it and ends below."""
        begun = [i for i in range(self.steps) if self.levels[i] >= sigma * (1 - 1e-6)]
        return begun[-1] if begun else 0

    def start(self, noise: torch.Tensor, latents: torch.Tensor | None) -> torch.Tensor:
        """Return the starting latents: pure noise, or `latents` with the noise of the first level."""
        sigma = self.first_sigma
        if self.model.table.flow:
            return noise if latents is None else (1 - sigma) * latents + sigma * noise
        if latents is not None:
            return latents + sigma * noise
        # The deviation of noised images; methods in s start from the noise alone, as hosts do.
        return noise * (sigma if self.sampler.levels == "sigma" else math.hypot(1, sigma))

    def run(
        self,
        network: Network,
        x: torch.Tensor,
        noise: Noise,
        kept: KeptArea | None = None,
        longest: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the sampled latents, scaled as the autoencoder expects them.

        Args:
            network: the network.
            x: (1, C, h, w) as `start` returns them.
            noise: returns standard normal noise of the shape of `x`.
            kept: the part of the init image that is kept, or None.
            longest: (1, 1, h, w) lengths that guidance does not exceed, None = any.
        """
        consistency = self.sampler.kind == "consistency" and not self.model.table.flow
        denoiser = Denoiser(self.model, network, kept, consistency, longest)
        x = self.sampler.sample(denoiser, x, self.levels, **self._options(noise))
        return self.model.network_input(x, self.levels[-1])

    def _options(self, noise: Noise) -> dict[str, Any]:
        options: dict[str, Any] = {} if self.sampler.kind == "ODE" else {"noise": noise}
        if self.sampler.eta is not None:
            given = self.sampler.eta if self.eta is None else self.eta
            options["eta"] = 0.0 if self.deterministic else given
        if self.sampler.kind == "restart" and self.deterministic:
            options["restarts"] = 0
        return options


def plan_sampling(
    model: NoiseModel,
    sampler: str,
    scheduler: str,
    steps: int,
    denoising_strength: float | None = None,
    eta: float | None = None,
    *,
    deterministic: bool = False,
) -> Sampling:
    """Return the run of `sampler` down the levels of `scheduler`.

    Args:
        model: the model's noise.
        sampler, scheduler: names as `split_sampler` takes them.
        steps: steps of a full denoising, >= 1.
        denoising_strength: 0..1 for image to image, None for text to image.
        eta: share of noise of samplers that have one, None = the sampler's own.
        deterministic: sample without noise besides the first.

    Raises:
        UnknownName: no such sampler or scheduler.
    """
    name, label = split_sampler(sampler, scheduler)
    chosen = SAMPLERS[name]
    levels = _levels(model.table, chosen, label, steps)[-steps_run(steps, denoising_strength) - 1 :]
    if chosen.levels == "whole" and not model.table.flow:
        levels = at_training_steps(model.table, levels)
    return Sampling(chosen, tuple(levels.tolist()), model, eta, deterministic)


def _levels(table: NoiseTable, sampler: Sampler, label: str, steps: int) -> np.ndarray:
    if sampler.levels == "training" and not table.flow:
        return training_levels(table, steps)
    if sampler.drops_next_to_last:
        levels = np.delete(noise_levels(table, label, steps + 1), -2)
    else:
        levels = noise_levels(table, label, steps)
    return below_pure_noise(levels) if sampler.levels == "lambda" and table.flow else levels
