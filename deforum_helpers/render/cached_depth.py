"""Depth of the images of a run, each estimated once."""

from __future__ import annotations

from deforum_helpers.camera.projection import View
from deforum_helpers.engines.base import Engine
from deforum_helpers.image.surface import SurfaceView, project_surface
from deforum_helpers.image.types import Depth, Image
from deforum_helpers.models.depth.estimators import DepthEstimator
from deforum_helpers.models.depth.scene import crisp_edges
from deforum_helpers.models.devices import is_out_of_memory
from deforum_helpers.render.memory import SceneMemory


class CachedDepth:
    """Estimates the depth of an image once, however often it is asked for; keeps the depths of two images.

    Where the device's memory does not hold both models, the engine releases its memory during the estimate.
    """

    def __init__(self, estimator: DepthEstimator, engine: Engine) -> None:
        self._estimator = estimator
        self._engine = engine
        self._depths: tuple[tuple[Image, Depth], ...] = ()
        self._view: tuple[Image, int, SurfaceView] | None = None

    def depth(self, image: Image) -> Depth:
        """Return the depth (H, W) of `image`, larger = farther."""
        for known, depth in self._depths:
            if known is image:
                return depth
        self._depths = ((image, self._estimate(image)), *self._depths[:1])
        return self._depths[0][1]

    def surface_depth(self, image: Image) -> Depth:
        """Return the depth of `image` (H, W) with smooth edges turned into steps."""
        return crisp_edges(self.depth(image))

    def surface_view(
        self, image: Image, frame: int, view: View, memory: SceneMemory | None = None
    ) -> SurfaceView:
        """Return the surface of `image` as the camera sees it from `frame`.

        Args:
            image: (3, H, W) image of frame - 1.
            frame: number of the destination frame.
            view: the camera move into it.
            memory: scene memory whose depth scale is used, or None.
        """
        if self._view is None or self._view[0] is not image or self._view[1] != frame:
            depth = self.surface_depth(image)
            depth = depth if memory is None else memory.rescaled(depth)
            self._view = (image, frame, project_surface(depth, view))
        return self._view[2]

    def _estimate(self, image: Image) -> Depth:
        try:
            return self._estimator.estimate(image)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # Outside the handler: while the error is alive, its traceback keeps the failed attempt's tensors on the device.
        with self._engine.resting():
            return self._estimator.estimate(image)
