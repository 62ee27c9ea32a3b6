"""The depth estimator of the loop: a model's answer in the camera's units."""

from __future__ import annotations

import torch

from deforum_helpers.depth.base import DepthEstimator
from deforum_helpers.depth.equalise import raw_depth, scene_depth
from deforum_helpers.depth.models import DepthModel
from deforum_helpers.depth.names import DepthName
from deforum_helpers.image.types import Depth, Image


class SceneDepth:
    """Tells how far each pixel is, in the range that a depth_algorithm has always had, whichever model serves it.

    Args:
        entry: the depth_algorithm.
        model: who answers.
    """

    def __init__(self, entry: DepthName, model: DepthModel) -> None:
        self.name = entry.name
        self._entry = entry
        self._model = model

    def estimate(self, image: Image) -> Depth:
        """Return the depth of `image`, (H, W) float32 on its device, larger = farther.

        Args:
            image: (3, H, W) float32 RGB, 0..1.
        """
        answer = self._model.answer(image)
        if self._entry.raw:
            return raw_depth(answer, metric=self._model.metric, far_is_large=self._model.far_is_large)
        # equalising counts pixels from one end; each name keeps the end it has always counted from
        if self._entry.near_is_bright == self._model.far_is_large:
            answer = -answer
        return scene_depth(
            answer,
            self._entry.nearest,
            self._entry.farthest,
            far_is_large=not self._entry.near_is_bright,
        )


class BlendedDepth:
    """The depth of two estimators, mixed: `weight` · first + (1 - weight) · second.

    The "(old)" algorithms of classic Deforum were MiDaS or ZoeDepth mixed with AdaBins.

    Args:
        name: the depth_algorithm.
        first, second: whose depths, in the same unit.
        weight: share of the first, 0..1.
    """

    def __init__(self, name: str, first: DepthEstimator, second: DepthEstimator, weight: float) -> None:
        self.name = name
        self._first = first
        self._second = second
        self._weight = weight

    def estimate(self, image: Image) -> Depth:
        """Return the depth of `image`, (H, W) float32 on its device, larger = farther.

        Args:
            image: (3, H, W) float32 RGB, 0..1.
        """
        return torch.lerp(self._second.estimate(image), self._first.estimate(image), self._weight)
