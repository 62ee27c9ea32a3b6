"""No model: a plane at depth 1."""

from __future__ import annotations

import torch

from deforum_helpers.image.types import Image


class PlaneModel:
    """Answers the same for every pixel, which becomes depth 1."""

    far_is_large = True
    metric = True

    def answer(self, image: Image) -> torch.Tensor:
        """Return ones, (H, W) float32."""
        return torch.ones(image.shape[1:], device=image.device)
