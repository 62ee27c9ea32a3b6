"""Repainting a part of a picture: outside of the mask the network's answer is made to lead back to the init image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from deforum_helpers.engines.base import MaskContent
from deforum_helpers.engines.diffusion.sigmas import NoiseTable


def latent_mask(mask: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return a mask (1, 1, height, width) of pixels as one of latent cells (1, 1, h, w): the mean over each cell."""
    return F.interpolate(mask, size, mode="area")


def begun_from(
    init: torch.Tensor, mask: torch.Tensor, noise: torch.Tensor, content: MaskContent
) -> torch.Tensor:
    """Return the latents (1, C, h, w) that are noised and repainted.

    Args:
        init: latents of the init image.
        mask: (1, 1, h, w), 1 = repainted.
        noise: of the seed, deviation 1.
        content: what the repainted area begins from.
    """
    if content == "picture":
        return init
    return init * (1 - mask) + (noise * mask if content == "noise" else 0)


@dataclass(frozen=True)
class Kept:
    """What stays of an init image while the rest is repainted.

    Args:
        init: (1, C, h, w) its latents.
        mask: (1, 1, h, w), 1 = repainted, 0 = stays.
        table: the model's noise levels.
        prediction: what the network answers: "epsilon", "v_prediction" or, for flow models, anything.
    """

    init: torch.Tensor
    mask: torch.Tensor
    table: NoiseTable
    prediction: str

    def held(self, output: torch.Tensor, shown: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Return the network's answer, outside of the mask the one that names `init` as the clean picture.

        Args:
            output: (1, C, h, w) the answer after guidance.
            shown: (1, C, h, w) what the network saw: (x + s n) / sqrt(1 + s²), or (1 - s) x + s n of flow models.
            timestep: at which it was asked.
        """
        return torch.lerp(self._leading_back(shown, float(timestep)), output, self.mask)

    def _leading_back(self, shown: torch.Tensor, timestep: float) -> torch.Tensor:
        if self.table.flow:
            return (shown - self.init) / max(timestep / len(self.table.sigmas), 1e-6)
        sigma = float(self.table.sigma(np.array(timestep)))
        root = (1 + sigma**2) ** 0.5
        noise = (shown * root - self.init) / sigma
        return (noise - sigma * self.init) / root if self.prediction == "v_prediction" else noise
