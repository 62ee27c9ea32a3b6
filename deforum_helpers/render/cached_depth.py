"""Depth of the pictures of a run, each looked at once."""

from __future__ import annotations

from contextlib import suppress

import torch

from deforum_helpers.camera.pinhole import View
from deforum_helpers.engines.base import Engine
from deforum_helpers.image.surface import Sight, seen_surface
from deforum_helpers.image.types import Depth, Image
from deforum_helpers.models.depth.base import DepthEstimator
from deforum_helpers.models.depth.scene import crisp_edges
from deforum_helpers.render.memory import SceneMemory


class Eyes:
    """Looks at each picture once, however often its depth is asked for; it remembers two.

    Where the device's memory does not hold both models, the engine lends its own for the look.
    """

    def __init__(self, estimator: DepthEstimator, engine: Engine) -> None:
        self._estimator = estimator
        self._engine = engine
        self._seen: tuple[tuple[Image, Depth], ...] = ()
        self._sight: tuple[Image, int, Sight] | None = None

    def depth(self, image: Image) -> Depth:
        """Return the depth (H, W) of `image`, larger = farther."""
        for seen, depth in self._seen:
            if seen is image:
                return depth
        self._seen = ((image, self._estimate(image)), *self._seen[:1])
        return self._seen[0][1]

    def surface(self, image: Image) -> Depth:
        """Return the depth of `image` with its edges as steps."""
        return crisp_edges(self.depth(image))

    def sight(self, image: Image, frame: int, view: View, memory: SceneMemory | None = None) -> Sight:
        """Return what the camera sees of `image` after its move into the frame `frame`, in the memory's scale."""
        if self._sight is None or self._sight[0] is not image or self._sight[1] != frame:
            depth = self.surface(image)
            depth = depth if memory is None else memory.fitted(depth)
            self._sight = (image, frame, seen_surface(depth, view))
        return self._sight[2]

    def _estimate(self, image: Image) -> Depth:
        with suppress(torch.cuda.OutOfMemoryError):
            return self._estimator.estimate(image)
        # Where an error is handled, it keeps all that the failed look had on the device.
        with self._engine.resting():
            return self._estimator.estimate(image)
