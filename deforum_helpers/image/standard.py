"""Colours as networks see them: about 0, with a deviation of about 1."""

from __future__ import annotations

import torch

Triple = tuple[float, float, float]

# Of the pictures of ImageNet, by red, green and blue.
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION: Triple = (0.229, 0.224, 0.225)


def standardised(
    images: torch.Tensor, mean: Triple = IMAGENET_MEAN, deviation: Triple = IMAGENET_DEVIATION
) -> torch.Tensor:
    """Return (images - mean) / deviation, by colours.

    Args:
        images: (..., 3, H, W) float RGB, 0..1.
        mean, deviation: of the pictures that a network was trained with.
    """
    middle, width = (
        torch.tensor(triple, device=images.device)[:, None, None] for triple in (mean, deviation)
    )
    return (images - middle) / width
