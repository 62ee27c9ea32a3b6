"""Noise that belongs to an image: the noise from which the model itself would generate it.

Without guidance, a diffusion model is an ordinary differential equation between image and noise (Song et al. 2021,
arXiv 2011.13456). Solved from the image upwards it ends at the noise that leads back to this very image; sampling from
there with the usual guidance keeps what is in the image and repaints what the prompt asks for.

The solver is of second order and asks the network once a level: the slope of the level before predicts where the step
ends, the network is asked there, and the step is taken with the mean of both slopes (trapezoid rule). Iterating the
correction brings the round trip no closer; the levels matter more, and crowd where images get their detail.
"""

from __future__ import annotations

import math

import torch

from deforum_helpers.engines.base import MaskContent
from deforum_helpers.engines.diffusion.samplers import Model, slope_at

# Levels for each sampling step, and the fewest: measured, fewer lose the noise of fine detail and more gain little.
LEVELS_PER_STEP = 0.5
LEAST_LEVELS = 4
# Levels grow with this power of their number. Spaced as sampling usually is, five would come as near to the image.
CROWDING = 2


def rising_levels(first_sigma: float, steps: int) -> tuple[float, ...]:
    """Return the noise levels on the way up, the last of which is `first_sigma`, where sampling begins.

    To a first sigma of 1.6 before eight steps lead 0.1, 0.4, 0.9 and 1.6.

    Args:
        first_sigma: > 0.
        steps: sampling steps that are run from there, >= 1.
    """
    count = max(LEAST_LEVELS, math.ceil(LEVELS_PER_STEP * steps))
    return (*(first_sigma * (number / count) ** CROWDING for number in range(1, count)), first_sigma)


def inverted_noise(init: torch.Tensor, levels: tuple[float, ...], model: Model) -> torch.Tensor:
    """Return the noise of an image, float32 like `init`; its deviation is about 1 or, for smooth images, less.

    Args:
        init: (1, C, h, w) latents of the image.
        levels: rising noise levels > 0; the noise is that of the last one.
        model: what is sampled from, without guidance.
    """
    latents, level = init, 0.0
    slope: torch.Tensor | None = None
    for following in levels:
        width = following - level
        guess = latents if slope is None else latents + width * slope
        ahead = slope_at(model, guess, following)
        # Near level 0 the slope is not defined: the first step takes the one at its end.
        latents = latents + width * (ahead if slope is None else (slope + ahead) / 2)
        slope, level = ahead, following
    clean = (1 - level) * init if model.flow else init
    return (latents - clean) / level


def blended_noise(
    found: torch.Tensor, new: torch.Tensor, share: float, mask: torch.Tensor | None, content: MaskContent
) -> torch.Tensor:
    """Return the noise that sampling begins with, where an image's own noise was found.

    Args:
        found: (1, C, h, w) the image's own noise.
        new: (1, C, h, w) the seed's.
        share: 0..1, amplitude of new noise; the image's own has the rest of the variance.
        mask: (1, 1, h, w), 1 = repainted, or None for everywhere.
        content: what a masked area begins from; one that begins from nothing of the image gets new noise alone.
    """
    noise = math.sqrt(1 - share**2) * found + share * new
    return noise if mask is None or content == "picture" else torch.lerp(noise, new, mask)
