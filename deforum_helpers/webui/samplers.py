"""The host's samplers and schedulers, by its own names."""

from __future__ import annotations

from deforum_helpers.errors import ModelError
from deforum_helpers.webui import messages
from deforum_helpers.webui.parts import part

# What older hosts have at the end of a sampler's name.
JOINED = ("Karras", "Exponential")


def sampler_names() -> tuple[str, ...]:
    """Return the names of the host's samplers."""
    from modules import sd_samplers

    return tuple(sd_samplers.all_samplers_map)


def sampler_fields(sampler: str, scheduler: str) -> dict[str, str]:
    """Return the host's names of a sampler and a scheduler.

    The host itself would take another one for a name that it does not know. Older hosts have no schedulers beside
    the samplers but joined names, such as "DPM++ 2M Karras".

    Raises:
        ModelError: the host has not both of them.
    """
    from modules import sd_samplers

    known = sd_samplers.all_samplers_map
    labels = scheduler_labels()
    name = sampler
    for suffix in JOINED:
        if sampler not in known and sampler.endswith(f" {suffix}"):
            name = sampler.removesuffix(f" {suffix}")
            scheduler = suffix if scheduler == "Automatic" else scheduler
    if not labels and scheduler != "Automatic" and f"{name} {scheduler}" in known:
        return {"sampler_name": f"{name} {scheduler}"}
    if name not in known:
        raise ModelError(messages.UNKNOWN_SAMPLER(name=sampler, known=", ".join(known)))
    if scheduler in labels:
        return {"sampler_name": name, "scheduler": scheduler}
    if scheduler != "Automatic":
        raise ModelError(messages.UNKNOWN_SCHEDULER(scheduler=scheduler, sampler=name))
    return {"sampler_name": name}


def scheduler_labels() -> tuple[str, ...]:
    """Return the labels of the host's schedulers; older hosts have none."""
    known = getattr(part("modules.sd_schedulers"), "schedulers", ())
    return tuple(str(scheduler.label) for scheduler in known)
