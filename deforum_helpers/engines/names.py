"""Names of samplers and schedulers, and the number of steps that run; imports without torch."""

from __future__ import annotations

from collections.abc import Mapping

from deforum_helpers.core.registry import choose
from deforum_helpers.samplers import SAMPLERS as _SAMPLERS
from deforum_helpers.settings.tables import SCHEDULER_NAMES

# Sampler name -> the scheduler that "Automatic" stands for.
SAMPLERS: Mapping[str, str] = {name: sampler.automatic for name, sampler in _SAMPLERS.items()}

# Label -> name, as WebUI hosts spell both.
SCHEDULERS: Mapping[str, str] = SCHEDULER_NAMES

# These walk the model's own training steps; no scheduler applies to them.
WITHOUT_SCHEDULER = frozenset(name for name, sampler in _SAMPLERS.items() if sampler.levels == "training")

# A settings file of an older WebUI has the scheduler inside the sampler's name.
_SCHEDULER_SUFFIXES = ("Karras", "Exponential")

_SAMPLERS_FOLDED = {name.casefold(): name for name in SAMPLERS}
_SCHEDULERS_FOLDED = {
    spelling.casefold(): label for label, name in SCHEDULERS.items() for spelling in (label, name)
}


def samplers() -> tuple[str, ...]:
    """Return the names of the samplers, which all engines of this program have."""
    return tuple(SAMPLERS)


def schedulers() -> tuple[str, ...]:
    """Return the labels of the schedulers, which all engines of this program have."""
    return tuple(SCHEDULERS)


def split_sampler(sampler: str, scheduler: str = "Automatic") -> tuple[str, str]:
    """Return (sampler name, scheduler label) with "Automatic" resolved and joined names taken apart.

    "DPM++ 2M Karras" with "Automatic" is ("DPM++ 2M", "Karras"); a scheduler that is given outranks the
    joined one. Any case is accepted, and "sgm_uniform" as well as "SGM Uniform".

    Raises:
        UnknownName: no such sampler or scheduler; the message lists the names there are.
    """
    name, joined = _taken_apart(sampler)
    base = _SAMPLERS_FOLDED.get(name.casefold(), sampler)
    automatic = choose(SAMPLERS, base, "sampler")
    label = _SCHEDULERS_FOLDED.get(scheduler.casefold(), scheduler)
    choose(SCHEDULERS, label, "scheduler")
    if base in WITHOUT_SCHEDULER:
        return base, automatic
    for wanted in (label, joined):
        if wanted != "Automatic":
            return base, wanted
    return base, automatic


def names_scheduler(sampler: str, scheduler: str) -> bool:
    """Return whether one of the two names chooses a scheduler, so that "Automatic" does not."""
    return scheduler.casefold() != "automatic" or _taken_apart(sampler)[1] != "Automatic"


def _taken_apart(sampler: str) -> tuple[str, str]:
    """Return a sampler's name without the scheduler inside it, and that scheduler."""
    for suffix in _SCHEDULER_SUFFIXES:
        if sampler.casefold().endswith(f" {suffix}".casefold()):
            return sampler[: -len(suffix) - 1], suffix
    return sampler, "Automatic"


def steps_run(steps: int, denoising_strength: float | None) -> int:
    """Return how many of `steps` sampling steps really run.

    Image to image runs min(int(strength * steps), steps - 1) + 1 of them, as WebUI hosts do.

    Args:
        steps: steps of a full denoising, >= 1.
        denoising_strength: 0..1, or None for text to image.

    >>> steps_run(20, 0.35), steps_run(20, 0.0), steps_run(20, 1.0), steps_run(20, None)
    (8, 1, 20, 20)
    """
    if denoising_strength is None:
        return steps
    return min(int(denoising_strength * steps), steps - 1) + 1
