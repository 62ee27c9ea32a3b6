"""What the tab offers for ControlNet units: the lists of a WebUI, or what our own engines have."""

from __future__ import annotations

from deforum_helpers.controlnet.model_files import control_folders, control_names
from deforum_helpers.controlnet.units import MODULES
from deforum_helpers.pipeline.host_facts import ControlNetFacts, HostFacts

ELSEWHERE = "they need a checkpoint of Stable Diffusion (--ckpt)"
NO_MODELS = (
    "No ControlNet is there; put its .safetensors file into the folder ControlNet beside the checkpoint."
)


def offered(facts: HostFacts) -> ControlNetFacts:
    """Return the preprocessors and models to choose from, and why there are none."""
    why = facts.abilities.no_controlnet
    if why:
        return ControlNetFacts(missing=f"{why[0].upper()}{why[1:]}; {ELSEWHERE}.")
    if not facts.abilities.own_controlnet:
        return facts.controlnet
    models = control_names(control_folders(facts.model))
    return ControlNetFacts(missing=None if models else NO_MODELS, modules=tuple(MODULES), models=models)
