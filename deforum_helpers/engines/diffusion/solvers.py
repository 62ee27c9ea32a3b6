"""Sampler names as diffusers schedulers.

The noise levels are ours (`sigmas.py`), so that every scheduler name works with every sampler and image to
image is a tail of the same levels; the steps are diffusers'. Where diffusers has no counterpart, or one that
needs SciPy or torchsde, the nearest one is taken:

| sampler               | diffusers scheduler                           | difference                         |
|-----------------------|-----------------------------------------------|------------------------------------|
| DPM++ SDE, DPM++ 2S a | DPMSolverSinglestep, sde-dpmsolver++, order 2 | one evaluation a step              |
| DPM fast, adaptive    | DPMSolverSinglestep, dpmsolver++, order 3     | the steps are fixed                |
| Restart               | HeunDiscrete                                  | no restarts                        |
| HeunPP2               | HeunDiscrete                                  | no third evaluation                |
| LMS, IPNDM_V          | DEISMultistep, order 2                        | exponential form of multistep      |
| IPNDM                 | PNDM without its Runge-Kutta start            | walks the model's training steps   |
| DDIM CFG++            | DDIM, renoised with the unguided output       | none                               |

Flow models (SD3, Flux) have Euler, Heun, LCM, DPM++ 2M, 2M SDE, 2M SDE Heun, 3M SDE, DEIS and UniPC; all
other names are Euler there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Walk = Literal["levels", "interleaved", "training", "integers"]


@dataclass(frozen=True)
class Solver:
    """How one sampler name is run.

    Args:
        scheduler: class name in diffusers.
        options: its configuration.
        walk: "levels": takes our noise levels; "interleaved": the same, evaluated twice a step; "training":
            walks the model's own training steps; "integers": takes our levels, rounded to training steps.
        grows: the latent is x + sigma * noise (true) or has unit variance (false).
        drops_next_to_last: the last level before 0 is left out, as hosts do for these.
        ends_above_zero: its formulas have the logarithm of the last level, which is then a trace instead of 0.
        reads_eta: whether `eta` changes anything.
        nearest: what is run instead of the sampler of that name, or None.
    """

    scheduler: str
    options: Mapping[str, Any] = field(default_factory=dict)
    walk: Walk = "levels"
    grows: bool = False
    drops_next_to_last: bool = False
    ends_above_zero: bool = False
    reads_eta: bool = False
    nearest: str | None = None


def _multistep(order: int, algorithm: str = "dpmsolver++", solver: str = "midpoint") -> Solver:
    options = {"algorithm_type": algorithm, "solver_order": order, "solver_type": solver}
    return Solver("DPMSolverMultistepScheduler", options, drops_next_to_last=order == 3)


def _singlestep(order: int, algorithm: str, nearest: str) -> Solver:
    options = {"algorithm_type": algorithm, "solver_order": order, "lower_order_final": True}
    return Solver("DPMSolverSinglestepScheduler", options, nearest=nearest)


def _interleaved(scheduler: str, *, drops: bool = False, nearest: str | None = None) -> Solver:
    return Solver(scheduler, walk="interleaved", grows=True, drops_next_to_last=drops, nearest=nearest)


def _deis(nearest: str | None = None) -> Solver:
    return Solver("DEISMultistepScheduler", {"solver_order": 2}, ends_above_zero=True, nearest=nearest)


_PLMS = {"skip_prk_steps": True}

SOLVERS: Mapping[str, Solver] = {
    "DPM++ 2M": _multistep(2),
    "DPM++ SDE": _singlestep(2, "sde-dpmsolver++", "DPM-Solver++ SDE with one evaluation a step"),
    "DPM++ 2M SDE": _multistep(2, "sde-dpmsolver++"),
    "DPM++ 2M SDE Heun": _multistep(2, "sde-dpmsolver++", "heun"),
    "DPM++ 2S a": _singlestep(2, "sde-dpmsolver++", "DPM-Solver++ SDE with one evaluation a step"),
    "DPM++ 3M SDE": _multistep(3, "sde-dpmsolver++"),
    "Euler a": Solver("EulerAncestralDiscreteScheduler", grows=True, reads_eta=True),
    "Euler": Solver("EulerDiscreteScheduler", grows=True),
    "LMS": _deis(nearest="the DEIS multistep method"),
    "Heun": _interleaved("HeunDiscreteScheduler"),
    "DPM2": _interleaved("KDPM2DiscreteScheduler", drops=True),
    "DPM2 a": _interleaved("KDPM2AncestralDiscreteScheduler", drops=True),
    "DPM fast": _singlestep(3, "dpmsolver++", "DPM-Solver++ of order 3 in single steps"),
    "DPM adaptive": _singlestep(3, "dpmsolver++", "DPM-Solver++ of order 3 with the given number of steps"),
    "Restart": _interleaved("HeunDiscreteScheduler", nearest="Heun without restarts"),
    "HeunPP2": _interleaved("HeunDiscreteScheduler", nearest="Heun"),
    "IPNDM": Solver("PNDMScheduler", _PLMS, walk="training", nearest="PLMS"),
    "IPNDM_V": _deis(nearest="the DEIS multistep method"),
    "DEIS": _deis(),
    "DDIM": Solver("DDIMScheduler", walk="training", reads_eta=True),
    "DDIM CFG++": Solver("DDIMScheduler", walk="training"),
    "PLMS": Solver("PNDMScheduler", _PLMS, walk="training"),
    "UniPC": Solver("UniPCMultistepScheduler", {"solver_order": 3, "solver_type": "bh2"}),
    "LCM": Solver("LCMScheduler", walk="integers"),
    "DDPM": Solver("DDPMScheduler", walk="integers"),
}

# The share of noise of samplers that have it fixed, where it is not all.
OWN_ETA: Mapping[str, float] = {"DDIM": 0.0, "DDIM CFG++": 0.0}

_FLOW_OPTIONS = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
_FLOW_EULER = "FlowMatchEulerDiscreteScheduler"

FLOW_SOLVERS: Mapping[str, Solver] = {
    "Euler": Solver(_FLOW_EULER),
    "Heun": Solver("FlowMatchHeunDiscreteScheduler", walk="interleaved"),
    "LCM": Solver("FlowMatchLCMScheduler"),
    **{
        name: replace(SOLVERS[name], options={**SOLVERS[name].options, **_FLOW_OPTIONS})
        for name in ("DPM++ 2M", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE", "DEIS", "UniPC")
    },
}


def solver_of(sampler: str, flow: bool) -> Solver:
    """Return how `sampler`, a name of `names.SAMPLERS`, is run on a flow model or on another one."""
    if not flow:
        return SOLVERS[sampler]
    return FLOW_SOLVERS.get(sampler, Solver(_FLOW_EULER, nearest="Euler"))


_ODE_SCHEDULERS: Mapping[str, str] = {
    "EulerAncestralDiscreteScheduler": "EulerDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler": "KDPM2DiscreteScheduler",
    "DDPMScheduler": "DDIMScheduler",
}
# A consistency model's steps are nothing without fresh noise.
ALWAYS_NOISY = ("LCM",)


def ode_solver(solver: Solver) -> Solver:
    """Return the solver without noise of its own: an ancestral or SDE method as the ODE method that it comes from."""
    algorithm = str(solver.options.get("algorithm_type", ""))
    walk = "training" if solver.scheduler == "DDPMScheduler" else solver.walk
    return replace(
        solver,
        scheduler=_ODE_SCHEDULERS.get(solver.scheduler, solver.scheduler),
        options={
            **solver.options,
            **({"algorithm_type": algorithm.removeprefix("sde-")} if algorithm else {}),
        },
        walk=walk,
        reads_eta=False,
    )
