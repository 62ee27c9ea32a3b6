"""Recommended settings for new videos, most of them for coherence, for engines that support them.

New videos start with them; files without them keep their defaults. docs/coherence.md gives the reasons.
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
    "wildcards": True,
    # Off, because noise and sharpening accumulate in frames that barely change, and the colors of the first frame do
    # not suit the next prompt.
    "noise_schedule": "0: (0)",
    "amount_schedule": "0: (0)",
    "color_coherence": "None",
}


def recommended_settings() -> Settings:
    """Return the settings of a new video."""
    return replace(Settings(), **RECOMMENDED)


def recommended_for(unread: Collection[str]) -> Mapping[str, Any]:
    """Return the recommended values; none if the engine does not support all of them.

    Args:
        unread: settings that have no effect with the engine.
    """
    return RECOMMENDED if RECOMMENDED.keys().isdisjoint(unread) else {}
