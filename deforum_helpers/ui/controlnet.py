"""The preprocessors and models that the tab offers for ControlNet units."""

from __future__ import annotations

from deforum_helpers.controlnet.model_files import control_folders, control_names
from deforum_helpers.controlnet.units import MODULES
from deforum_helpers.pipeline.host_facts import ControlNetFacts, HostFacts
from deforum_helpers.ui import messages


def available(facts: HostFacts) -> ControlNetFacts:
    """Return the preprocessors and models of the host, or the reason why it has none."""
    reason = facts.abilities.no_controlnet
    if reason:
        sentence = f"{reason[0].upper()}{reason[1:]}"
        return ControlNetFacts(missing=messages.CONTROLNET_NEEDS_CHECKPOINT(reason=sentence))
    if not facts.abilities.own_controlnet:
        return facts.controlnet
    models = control_names(control_folders(facts.model))
    missing = None if models else messages.NO_CONTROLNET_MODELS()
    return ControlNetFacts(missing=missing, modules=tuple(MODULES), models=models)
