"""One run down the noise levels with a diffusers scheduler."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor

from deforum_helpers.engines.diffusion.sigmas import NoiseTable, noise_levels
from deforum_helpers.engines.diffusion.solvers import Solver, ode_solver, solver_of
from deforum_helpers.engines.names import split_sampler, steps_run


@dataclass(frozen=True)
class NoiseModel:
    """What a scheduler must know of a model.

    Args:
        table: the model's noise levels.
        config: entries of a diffusers scheduler's configuration: betas, prediction type, spacing.
    """

    table: NoiseTable
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Sampling:
    """A planned run: `start`, then for each of `timesteps` `model_input` and `step`.

    Args:
        scheduler: a diffusers scheduler, fresh for this run.
        timesteps: float32 or int64 (evaluations,) on the CPU, what the network is told.
        steps: number of sampling steps; an interleaved solver evaluates the network about twice a step.
        first_sigma: the noise level to begin at.
        solver: how the sampler is run.
        flow: whether the model is a flow model.
        renoises_unguided: CFG++.
        eta: share of noise, for those that read it.
    """

    scheduler: Any
    timesteps: torch.Tensor
    steps: int
    first_sigma: float
    solver: Solver
    flow: bool
    renoises_unguided: bool
    eta: float | None

    @property
    def cfg_factor(self) -> float:
        """CFG++ counts its scale from 0 to 1; hosts divide the usual one by 12.5."""
        return 1 / 12.5 if self.renoises_unguided else 1.0

    def step_at(self, time: torch.Tensor) -> int:
        """Return the number of the sampling step that is nearest to a time."""
        nearest = int((self.timesteps.float() - time.float()).abs().argmin())
        return nearest * self.steps // len(self.timesteps)

    def start(self, noise: torch.Tensor, latents: torch.Tensor | None) -> torch.Tensor:
        """Return the latent to begin with: noise alone, or `latents` with the noise of the first level."""
        sigma = self.first_sigma
        if self.flow:
            return noise if latents is None else (1 - sigma) * latents + sigma * noise
        if latents is None:
            return noise * sigma if self.solver.grows else noise
        noisy = latents + sigma * noise
        return noisy if self.solver.grows else noisy / (1 + sigma**2) ** 0.5

    def model_input(self, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Return what the network is shown of `latents` at `timestep`."""
        return latents if self.flow else self.scheduler.scale_model_input(latents, timestep)

    def step(
        self,
        guided: torch.Tensor,
        unguided: torch.Tensor,
        timestep: torch.Tensor,
        latents: torch.Tensor,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Return the latent one step on.

        Args:
            guided: the network's output after guidance, (1, C, h, w).
            unguided: its output for the negative prompt alone.
            timestep: an entry of `timesteps`.
            latents: the current latent, (1, C, h, w).
            generator: where ancestral and SDE noise is drawn from.
        """
        options = {"generator": generator, "return_dict": False}
        if self.solver.reads_eta and self.eta is not None:
            options["eta"] = self.eta
        accepted = _accepted(self.scheduler.step, options)
        if not self.renoises_unguided:
            with _array_warnings_ignored():
                return self.scheduler.step(guided, timestep, latents, **accepted)[0]
        previous, unguided_origin = self.scheduler.step(unguided, timestep, latents, **accepted)
        _, guided_origin = self.scheduler.step(guided, timestep, latents, **accepted)
        return previous + self._previous_alpha(timestep) ** 0.5 * (guided_origin - unguided_origin)

    def _previous_alpha(self, timestep: torch.Tensor) -> torch.Tensor:
        stride = self.scheduler.config.num_train_timesteps // self.scheduler.num_inference_steps
        previous = int(timestep) - stride
        return (
            self.scheduler.alphas_cumprod[previous] if previous >= 0 else self.scheduler.final_alpha_cumprod
        )


class AncestralEuler(diffusers.EulerAncestralDiscreteScheduler):
    """Euler steps with fresh noise, whose share `eta` is free; diffusers' own has it fixed at 1.

    sigma_up = eta * sqrt(to^2 (from^2 - to^2) / from^2), at most `to`; sigma_down = sqrt(to^2 - sigma_up^2).
    """

    def step(
        self,
        model_output: torch.Tensor,
        timestep: torch.Tensor,
        sample: torch.Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = False,
        eta: float = 1.0,
    ) -> tuple[torch.Tensor]:
        if self.step_index is None:
            self._init_step_index(timestep)
        sigma, target = (float(level) for level in self.sigmas[self.step_index : self.step_index + 2])
        if self.config.prediction_type == "v_prediction":
            scale = sigma**2 + 1
            slope = model_output / scale**0.5 + sample * (sigma / scale)
        else:
            slope = model_output
        up = min(target, eta * target * (1 - (target / sigma) ** 2) ** 0.5)
        down = (target**2 - up**2) ** 0.5
        previous = sample + slope * (down - sigma)
        if up > 0:
            noise = randn_tensor(sample.shape, generator=generator, device=sample.device, dtype=sample.dtype)
            previous = previous + noise * up
        self._step_index += 1
        return (previous,)


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
        eta: share of noise of DDIM and Euler a, None = the sampler's own.
        deterministic: sample without noise besides the first; see `ode_solver`.

    Raises:
        UnknownName: no such sampler or scheduler.
    """
    name, label = split_sampler(sampler, scheduler)
    solver = solver_of(name, model.table.flow)
    solver = ode_solver(solver) if deterministic else solver
    run = steps_run(steps, denoising_strength)
    with _array_warnings_ignored():
        instance = _build(solver, model)
        if solver.walk == "training":
            timesteps = _training_steps(instance, steps)[-run:]
            first_sigma = float(model.table.sigmas[int(timesteps[0])])
            timesteps = _with_second_twice(timesteps) if solver.scheduler == "PNDMScheduler" else timesteps
        else:
            levels = _levels(model.table, label, steps, solver)[-run - 1 :]
            timesteps = _walk(instance, solver, model.table, levels)
            first_sigma = float(levels[0])
    return Sampling(
        instance,
        timesteps,
        steps=run,
        first_sigma=first_sigma,
        solver=solver,
        flow=model.table.flow,
        renoises_unguided=name == "DDIM CFG++" and not model.table.flow,
        eta=eta,
    )


@contextmanager
def _array_warnings_ignored() -> Iterator[None]:
    """Some schedulers put tensors into NumPy functions in ways that NumPy 2 announces to change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array(_wrap)?__ ", DeprecationWarning)
        yield


def _accepted(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    known = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in known}


class _QuickTimes:
    """Diffusers' inverse of the noise levels takes a third of a second in DPM2's constructor; this is the same one."""

    def _sigma_to_t(self, sigma: Any, log_sigmas: Any) -> np.ndarray:
        known = np.asarray(log_sigmas)
        return np.interp(np.log(np.maximum(np.asarray(sigma), 1e-10)), known, np.arange(len(known)))


@lru_cache(maxsize=32)
def _scheduler_class(solver_name: str, interleaved: bool) -> Any:
    if solver_name == "EulerAncestralDiscreteScheduler":
        return AncestralEuler
    foundry = getattr(diffusers, solver_name)
    return type(solver_name, (_QuickTimes, foundry), {}) if interleaved else foundry


def _build(solver: Solver, model: NoiseModel) -> Any:
    interleaved = solver.walk == "interleaved" and not model.table.flow
    foundry = _scheduler_class(solver.scheduler, interleaved)
    # LCM refuses more steps than its network was distilled for, though it can take them.
    own = {"clip_sample": False, "original_inference_steps": len(model.table.sigmas)}
    return foundry(**_accepted(foundry.__init__, {**model.config, **own, **solver.options}))


def _levels(table: NoiseTable, label: str, steps: int, solver: Solver) -> np.ndarray:
    if solver.drops_next_to_last:
        return np.delete(noise_levels(table, label, steps + 1), -2)
    levels = noise_levels(table, label, steps)
    if solver.ends_above_zero:
        levels[-1] = table.sigmas[0] / 100
    if solver.options.get("use_flow_sigmas"):
        # These divide by the share of the picture, which pure noise has none of, and by its growth from level to level.
        crowded = int((levels > 0.999).sum())
        levels[:crowded] = np.linspace(0.999, levels[crowded], crowded, endpoint=False)
    return levels


def _training_steps(scheduler: Any, steps: int) -> torch.Tensor:
    """The falling training steps of schedulers that walk at their own pace, `steps` of them."""
    scheduler.set_timesteps(steps)
    return torch.unique(scheduler.timesteps).flip(0)[:steps]


def _with_second_twice(timesteps: torch.Tensor) -> torch.Tensor:
    """PLMS corrects its first step by evaluating the second time twice."""
    return torch.cat([timesteps[:2], timesteps[1:]])


def _walk(scheduler: Any, solver: Solver, table: NoiseTable, levels: np.ndarray) -> torch.Tensor:
    """Lay `levels` into the scheduler; return the times to tell the network."""
    if solver.walk == "interleaved" and not table.flow:
        scheduler.register_to_config(use_karras_sigmas=True)
        scheduler._convert_to_karras = lambda in_sigmas, num_inference_steps: levels[:-1]
        scheduler.set_timesteps(len(levels) - 1)
        scheduler.set_begin_index(0)
        return scheduler.timesteps
    sigmas = torch.tensor(levels, dtype=torch.float32)
    times = levels[:-1] * len(table.sigmas) if table.flow else table.timestep(levels[:-1])
    timesteps = torch.tensor(times, dtype=torch.float32)
    if solver.walk == "integers":
        timesteps = _strictly_falling(timesteps, len(table.sigmas) - 1)
    scheduler.set_timesteps(len(timesteps))
    if solver.walk == "interleaved":
        sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
        timesteps = torch.cat([timesteps[:1], timesteps[1:].repeat_interleave(2)])
    if solver.walk != "integers":
        scheduler.sigmas = sigmas
        scheduler.set_begin_index(0)
    scheduler.timesteps = timesteps
    return timesteps


def _strictly_falling(timesteps: torch.Tensor, last: int) -> torch.Tensor:
    """Round to whole training steps up to `last`, none twice and none 0, where LCM would leave the last noise in."""
    whole = timesteps.round().long().clamp(min=1).tolist()
    for i in range(len(whole) - 2, -1, -1):
        whole[i] = max(whole[i], whole[i + 1] + 1)
    for i, step in enumerate(whole):
        whole[i] = min(step, whole[i - 1] - 1 if i else last)
    return torch.tensor(whole)
