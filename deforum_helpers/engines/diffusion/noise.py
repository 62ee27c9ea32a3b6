"""The noise of a picture: drawn on the CPU from a seed, blended with a subseed's, placed for another size."""

from __future__ import annotations

import torch


def seeded_noise(
    shape: tuple[int, int, int],
    seed: int,
    *,
    subseed: int = -1,
    subseed_strength: float = 0.0,
    resize_from: tuple[int, int] | None = None,
) -> tuple[torch.Tensor, torch.Generator]:
    """Return (noise, generator): float32 (C, h, w) on the CPU, and what draws the sampler's further noise.

    The same arguments give the same bits on any machine.

    Args:
        shape: (channels, height, width) of the latent.
        seed: 0..2**64-1.
        subseed: seed of a second noise.
        subseed_strength: its share 0..1, blended on the sphere.
        resize_from: (height, width) of a latent whose noise is laid into the middle of this one, or None.
    """
    drawn = shape if resize_from is None else (shape[0], *resize_from)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(drawn, generator=generator)
    if subseed_strength > 0:
        second = torch.randn(drawn, generator=torch.Generator().manual_seed(subseed % 2**64))
        noise = slerp(subseed_strength, noise, second)
    if drawn != shape:
        generator = torch.Generator().manual_seed(seed)
        noise = _laid_into_the_middle(noise, torch.randn(shape, generator=generator))
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


def _laid_into_the_middle(noise: torch.Tensor, ground: torch.Tensor) -> torch.Tensor:
    """Return `ground` with the middle of `noise` over its middle; sizes may differ either way."""
    result = ground.clone()
    (source_y, y), (source_x, x) = (
        _overlap(length, target) for length, target in zip(noise.shape[1:], ground.shape[1:], strict=True)
    )
    result[:, y, x] = noise[:, source_y, source_x]
    return result


def _overlap(length: int, target: int) -> tuple[slice, slice]:
    """Where `length` lies in `target`: (part of the source, place); an odd surplus leaves a column free."""
    margin = (target - length) // 2
    kept = length + 2 * min(margin, 0)
    source, place = max(-margin, 0), max(margin, 0)
    return slice(source, source + kept), slice(place, place + kept)
