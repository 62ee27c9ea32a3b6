"""The settings that hold a video together, where its engine can do what they ask for.

A file that lacks them means what it always did; new videos begin with them: docs/coherence.md says why.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from deforum_helpers.settings.model import Settings

RECOMMENDED: Mapping[str, Any] = {
    "noise_source": "inverted",
    "autoencoder_correction": True,
    "stability_schedule": "0: (0.5)",
    "cadence_blend": "sharp",
    "prompt_transition": "morph",
    # What they make up for: noise and sharpening add up in frames that stay as they are, and the look of the first
    # frame is wrong for the next prompt.
    "noise_schedule": "0: (0)",
    "amount_schedule": "0: (0)",
    "color_coherence": "None",
}


def recommended_settings() -> Settings:
    """Return the settings that a new video begins with."""
    return replace(Settings(), **RECOMMENDED)


def recommended_for(unread: Collection[str]) -> Mapping[str, Any]:
    """Return what a new video has in place of defaults; nothing where the engine does not read all of it.

    Args:
        unread: names of the settings that have no effect with the engine.
    """
    return RECOMMENDED if RECOMMENDED.keys().isdisjoint(unread) else {}
