"""Repainting within a mask: outside of it, the estimate of the clean image is replaced by the init image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from deforum_helpers.engines.base import MaskContent


def latent_mask(mask: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return a mask (1, 1, height, width) of pixels as one of latent cells (1, 1, h, w): the mean over each cell."""
    return F.interpolate(mask, size, mode="area")


def repaint_start(
    init: torch.Tensor, mask: torch.Tensor, noise: torch.Tensor, content: MaskContent
) -> torch.Tensor:
    """Return the latents (1, C, h, w) that are noised and repainted.

    Args:
        init: latents of the init image.
        mask: (1, 1, h, w), 1 = repainted.
        noise: of the seed, deviation 1.
        content: the starting content of the repainted area.
    """
    if content == "picture":
        return init
    return init * (1 - mask) + (noise * mask if content == "noise" else 0)


@dataclass(frozen=True)
class KeptArea:
    """The area of an init image that is kept while the rest is repainted.

    Args:
        init: (1, C, h, w) its latents.
        mask: (1, 1, h, w), 1 = repainted, 0 = kept.
    """

    init: torch.Tensor
    mask: torch.Tensor

    def restored(self, clean: torch.Tensor) -> torch.Tensor:
        """Return an estimate of the clean image (1, C, h, w) with `init` outside of the mask."""
        return torch.lerp(self.init, clean, self.mask)
