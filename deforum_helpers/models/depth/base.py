"""The interface of depth estimators."""

from __future__ import annotations

from typing import Protocol

from deforum_helpers.image.types import Depth, Image


class DepthEstimator(Protocol):
    """Estimates the distance of each pixel."""

    name: str

    def estimate(self, image: Image) -> Depth:
        """Return the depth of `image`.

        Args:
            image: (3, H, W) float32 RGB, 0..1.

        Returns:
            (H, W) float32 on the same device, in the camera's scene units, larger = farther.
        """
        ...
