"""The settings that hold a video together, where its engine can do what they ask for.

A file that lacks them means what it always did; new videos begin with them: docs/coherence.md says why.
"""

from __future__ import annotations

from collections.abc import Mapping
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


# Engines that can do all of it; a WebUI's model cannot be asked for the noise of a frame.
CAPABLE_ENGINES = ("demo", "diffusers")


def recommended_settings() -> Settings:
    """Return the settings that a new video begins with."""
    return replace(Settings(), **RECOMMENDED)


def recommended_for(engine: str) -> Mapping[str, Any]:
    """Return what a new video has in place of defaults, by the name of the engine that generates it."""
    return RECOMMENDED if engine in CAPABLE_ENGINES else {}
