"""The host's samplers, schedulers and optional features, by the host's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.messages import Text
from deforum_helpers.webui import messages
from deforum_helpers.webui.host_modules import optional_module
from deforum_helpers.webui.host_scripts import find_script

# Schedulers that older hosts append to the name of a sampler.
JOINED = ("Karras", "Exponential")


def sampler_names() -> tuple[str, ...]:
    """Return the names of the host's samplers."""
    from modules import sd_samplers

    return tuple(sd_samplers.all_samplers_map)


def sampler_fields(sampler: str, scheduler: str) -> dict[str, str]:
    """Return the host's names of a sampler and a scheduler.

    Unknown names are refused here, since the host would silently use another sampler. Older hosts have no separate
    schedulers but joined names, such as "DPM++ 2M Karras".

    Raises:
        ModelError: the host does not have the sampler or the scheduler.
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
    known = getattr(optional_module("modules.sd_schedulers"), "schedulers", ())
    return tuple(str(scheduler.label) for scheduler in known)


# Setting that enables a feature -> start of its script's title, its name, and its extension in Forge.
SCRIPTS: Mapping[str, tuple[str, str, str]] = {
    "freeu_enabled": ("FreeU Integrated", "FreeU", "sd_forge_freeu"),
    "kohya_hrfix_enabled": ("Kohya HRFix Integrated", "Kohya HRFix", "sd_forge_kohya_hrfix"),
}


def missing_features() -> dict[str, str]:
    """Return the settings of the features that the host lacks, each with the reason as a sentence."""
    missing: dict[str, str] = {
        switch: reason_missing(switch)
        for switch, (title, _, _) in SCRIPTS.items()
        if find_script(title, is_img2img=True) is None
    }
    return (
        missing
        if _face_restorer() is not None
        else {**missing, "restore_faces": messages.NO_FACE_RESTORATION()}
    )


def check_faces() -> None:
    """Check that faces were restored; the host itself continues silently if its model failed to load.

    Raises:
        ModelError: the host could not load its face restoration model.
    """
    restorer = _face_restorer()
    if restorer is not None and getattr(restorer, "net", restorer) is None:
        raise ModelError(messages.FACE_MODEL_NOT_LOADED(name=restorer.name()))


def reason_missing(switch: str) -> Text:
    """Return as a sentence why the host lacks the feature of the setting `switch`."""
    _, name, extension = SCRIPTS[switch]
    if optional_module("modules_forge.main_entry"):
        return messages.NO_EXTENSION(name=name, extension=extension)
    return messages.ONLY_IN_FORGE(name=name)


def _face_restorer() -> Any | None:
    """Return the host's selected face restoration model, or None."""
    from modules import shared

    wanted = getattr(shared.opts, "face_restoration_model", None)
    for restorer in getattr(shared, "face_restorers", ()):
        if wanted is None or restorer.name() == wanted:
            return None if restorer.name() == "None" else restorer
    return None
