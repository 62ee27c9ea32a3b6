"""Starting noise: generated on the CPU from a seed, blended with a subseed's, fitted from another size."""

from __future__ import annotations

import math

import torch

from deforum_helpers.engines.base import MaskContent
from deforum_helpers.samplers import Model, slope_at


def seeded_noise(
    shape: tuple[int, int, int],
    seed: int,
    *,
    subseed: int = -1,
    subseed_strength: float = 0.0,
    resize_from: tuple[int, int] | None = None,
) -> tuple[torch.Tensor, torch.Generator]:
    """Return (noise, generator): float32 (C, h, w) on the CPU, and the generator of the sampler's further noise.

    The same arguments give the same bits on any machine.

    Args:
        shape: (channels, height, width) of the latent.
        seed: 0..2**64-1.
        subseed: seed of a second noise.
        subseed_strength: its share 0..1, blended on the sphere.
        resize_from: (height, width) of a latent whose noise is placed in the middle of this one, or None.
    """
    noise_shape = shape if resize_from is None else (shape[0], *resize_from)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(noise_shape, generator=generator)
    if subseed_strength > 0:
        second = torch.randn(noise_shape, generator=torch.Generator().manual_seed(subseed % 2**64))
        noise = slerp(subseed_strength, noise, second)
    if noise_shape != shape:
        generator = torch.Generator().manual_seed(seed)
        noise = _centred_over(noise, torch.randn(shape, generator=generator))
    return noise, generator


def slerp(share: float, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Blend two noises along the sphere, column by column, as WebUI hosts do.

    Args:
        share: 0 = `low`, 1 = `high`.
        low, high: (C, h, w).
    """
    cosine = torch.nn.functional.cosine_similarity(low, high, dim=1)
    if cosine.mean() > 0.9995:
        return low * (1 - share) + high * share
    angle = torch.acos(cosine.clamp(-1, 1)).unsqueeze(1)
    return (torch.sin((1 - share) * angle) * low + torch.sin(share * angle) * high) / torch.sin(angle)


def _centred_over(noise: torch.Tensor, ground: torch.Tensor) -> torch.Tensor:
    """Return `ground` with the middle of `noise` over its middle; sizes may differ either way."""
    result = ground.clone()
    (source_y, y), (source_x, x) = (
        _overlap(length, target) for length, target in zip(noise.shape[1:], ground.shape[1:], strict=True)
    )
    result[:, y, x] = noise[:, source_y, source_x]
    return result


def _overlap(length: int, target: int) -> tuple[slice, slice]:
    """Return (slice of the source, slice of the target) that centre `length` in `target`."""
    margin = (target - length) // 2
    kept = length + 2 * min(margin, 0)
    source, place = max(-margin, 0), max(margin, 0)
    return slice(source, source + kept), slice(place, place + kept)


# Inversion levels per sampling step, and their minimum; with fewer, measured, the noise of fine detail is lost.
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
        model: the denoiser, without guidance.
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
    """Return the starting noise: an image's inverted noise mixed with new noise.

    Args:
        found: (1, C, h, w) the inverted noise.
        new: (1, C, h, w) the seed's.
        share: 0..1, amplitude of new noise; the image's own has the rest of the variance.
        mask: (1, 1, h, w), 1 = repainted, or None for everywhere.
        content: the starting content of a masked area; unless it is the image, the area gets new noise only.
    """
    noise = math.sqrt(1 - share**2) * found + share * new
    return noise if mask is None or content == "picture" else torch.lerp(noise, new, mask)


def longest_cells(
    init: torch.Tensor, share: float, mask: torch.Tensor | None, content: MaskContent
) -> torch.Tensor:
    """Return the lengths (1, 1, h, w) that guidance should not exceed: of the image's own cells, or the usual one.

    Guidance amplifies whatever suits the prompt. An image made from new noise is amplified once. Inverted noise leads
    back to the previous frame, whose colors and contrasts would be amplified at each frame, until a brown river bank
    is red. Shorter cells may grow, so that a scene can change. The more of the noise is new, the longer a cell may be.

    Args: see `blended_noise`; `init` is (1, C, h, w), the latents of the image.
    """
    usual = math.sqrt(init.shape[1])  # latents have a deviation of about 1 in each channel
    longest = init.norm(dim=1, keepdim=True).clamp_min(usual) / max(math.sqrt(1 - share**2), 1e-9)
    return longest if mask is None or content == "picture" else longest / (1 - mask)
