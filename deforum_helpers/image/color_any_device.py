"""Colour coherence on any device: the readable form of the fast one on the CPU, and the one that a GPU runs."""

from __future__ import annotations

import torch

from deforum_helpers.image.color_spaces import Levels, Space
from deforum_helpers.image.histograms import FINE, LEVELS
from deforum_helpers.image.histograms_any_device import Spread, shifts, spread
from deforum_helpers.image.types import Image


def match_anywhere(image: Image, wanted: Spread, space: Space) -> Image:
    """Return `image` with levels spread as `wanted`, on any device: the readable form of the fast one on the CPU.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        wanted: of the reference, in the same space.
        space: in which the channels are matched.
    """
    levels = space.from_rgb(image)
    table = shifts(_spread_of_levels(levels), wanted)
    step = (levels * FINE).round().long().clamp(0, LEVELS * FINE - 1)
    matched = levels + table.gather(1, step.flatten(1)).view_as(levels)
    return space.to_rgb(matched).clamp_(0, 1)[None].contiguous(memory_format=torch.channels_last)[0]


def spread_of(image: Image, space: Space) -> Spread:
    """Return how the levels of an image are spread in a space.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        space: the colour space.
    """
    return _spread_of_levels(space.from_rgb(image))


def _spread_of_levels(levels: Levels) -> Spread:
    whole = (levels + 0.5).floor().long().clamp(0, LEVELS - 1)
    # bincount would wait for a GPU, to learn the greatest level
    counts = torch.zeros((3, LEVELS), dtype=torch.long, device=levels.device)
    return spread(counts.scatter_add_(1, whole.flatten(1), torch.ones_like(whole).flatten(1)))
