"""A scene made by the built-in model's renderer, with known depth and known views.

The renderer makes one view. Rendered again without plants and objects, and as sky alone, it gives three surfaces, one
behind the other; together, nearest first, they show the view of a camera that moves among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.picture_measures import Frame, Pair, smear
from deforum_helpers.camera.projection import intrinsics, scene_move, view
from deforum_helpers.camera.types import Matrix
from deforum_helpers.image.convert import from_bytes, from_pixels, to_bytes
from deforum_helpers.image.reveal import hole_mask, warp_flags
from deforum_helpers.image.surface import SurfaceView, project_surface
from deforum_helpers.image.types import Depth, Image
from deforum_helpers.image.warp import sample_surface
from deforum_helpers.render.moves import Move, Move3D
from tools.demo_model.render import render
from tools.demo_model.scene_parts import OBJECT_SLOTS
from tools.demo_model.scenes import collate, sample
from tools.demo_model.world import World

FOV_DEG = 70.0
# The canvas is wider than the views, so that a camera that turns or moves aside stays on it.
CANVAS = 1.6
SKY_UNITS = 400.0
# Frames that reveal fewer pixels are skipped.
LEAST_REVEALED_PX = 24
FIXED = {"scene": "forest", "time": "sunset", "weather": "clear", "season": "summer", "style": "photo"}


@dataclass(frozen=True)
class Layer:
    """One surface: colours (3, H, W) and depth (H, W) in scene units, infinite where the surface is absent."""

    colors: Image
    depth: Depth


@dataclass(frozen=True)
class Scene:
    """Surfaces on a canvas larger than the views.

    Args:
        layers: back to front.
        optics: (3, 3) of the canvas.
        size_px: (width, height) of the views.
    """

    layers: tuple[Layer, ...]
    optics: Matrix
    size_px: tuple[int, int]

    def view(self, pose: Matrix) -> tuple[NDArray[np.uint8], Depth]:
        """Return image (H, W, 3) uint8 RGB and depth (H, W) as seen by a camera at `pose`, (4, 4) from the scene."""
        width_px, height_px = self.size_px
        after = intrinsics(FOV_DEG, 1, (width_px, height_px))
        image = torch.zeros(3, height_px, width_px)
        nearest = torch.full((height_px, width_px), float("inf"))
        for layer in self.layers:
            sight = project_surface(layer.depth, view(pose, self.optics, after), (width_px, height_px))
            colors = sample_surface(layer.colors, sight, "bicubic")
            shown = warp_flags(torch.isfinite(layer.depth), sight) & (sight.depth < nearest)
            image = torch.where(shown, colors, image)
            nearest = torch.where(shown, sight.depth, nearest)
        return to_bytes(image), nearest.clamp(max=SKY_UNITS)


def poses_of(moves: Sequence[Move]) -> list[Matrix]:
    """Return for each frame the (4, 4) pose from the first frame's camera to its camera."""
    optics, poses = intrinsics(FOV_DEG, 1, (100, 100)), [np.eye(4)]
    for move in moves[1:]:
        assert isinstance(move, Move3D), "a scene is seen by a 3D camera"
        poses.append(scene_move(move.next_from_prev, FOV_DEG, optics) @ poses[-1])
    return poses


class KnownDepth:
    """A depth estimator that returns the known depths in the order in which a run estimates them.

    Args:
        depths: (H, W) of each frame.
    """

    name = "known"

    def __init__(self, depths: Sequence[Depth]) -> None:
        self._depths = iter(depths)
        self._last = depths[-1]

    def estimate(self, image: Image) -> Depth:
        """Return the depth of the next frame; with cadence, the last frame is estimated twice."""
        return next(self._depths, self._last)


def scene_pairs(
    frames: Sequence[Frame], depths: Sequence[Depth], poses: Sequence[Matrix]
) -> tuple[list[Pair], list[SurfaceView]]:
    """Return each frame with the previous one, the motion between them, and the true views.

    Args:
        frames: frames of a run.
        depths: (H, W) of the scene at each frame.
        poses: (4, 4) from the scene to each frame's camera.
    """
    height_px, width_px = depths[0].shape
    optics = intrinsics(FOV_DEG, 1, (width_px, height_px))
    rows, columns = np.mgrid[:height_px, :width_px].astype(np.float32)
    pairs, sights = [], []
    for index in range(1, len(frames)):
        move = poses[index] @ np.linalg.inv(poses[index - 1])
        sight = project_surface(depths[index - 1], view(move, optics, optics))
        moved = sample_surface(from_bytes(frames[index - 1]), sight, "bicubic")
        expected = np.ascontiguousarray(moved.permute(1, 2, 0).numpy() * np.float32(255))
        there = view(move, optics, optics)
        inverse = 1 / depths[index - 1].numpy()
        x, y, w = (
            a * columns + b * rows + c + t * inverse
            for (a, b, c), t in zip(there.pixels, there.shift, strict=True)
        )
        flow = np.stack([x / w - columns, y / w - rows]).astype(np.float32)
        seen = ~hole_mask(sight).numpy()
        pairs.append(Pair(frames[index - 1], frames[index], expected, seen, flow))
        sights.append(sight)
    return pairs, sights


def revealed_ratio(
    frames: Sequence[Frame], truth: Sequence[Frame], pairs: Sequence[Pair], sights: Sequence[SurfaceView]
) -> float:
    """Return the geometric mean of `smear` over the frames, which compares revealed areas with the true views.

    Frames that reveal too few pixels for meaningful gradients are skipped.
    """
    ratios = []
    for index, (pair, sight) in enumerate(zip(pairs, sights, strict=True), start=1):
        hole = sight.revealed.numpy()
        if hole.sum() < LEAST_REVEALED_PX:
            continue
        ratios.append(smear(frames[index], truth[index], pair.flow, hole))
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else float("nan")


@lru_cache(maxsize=2)
def forest(side_px: int, seed: int = 11) -> Scene:
    """Return a forest in the evening, with views of side_px x side_px pixels."""
    parameters, _ = sample(np.random.default_rng(seed), FIXED)
    # The canvas shows the view and a margin around it.
    parameters["tan"] = CANVAS * np.tan(np.radians(FOV_DEG) / 2)
    world, canvas_px = World(torch.device("cpu")), round(side_px * CANVAS)
    full, near = _painted(parameters, world, canvas_px)
    bare = {**parameters, "v0_cover": 0.0, "v1_cover": 0.0}
    bare |= {f"o{slot}_on": 0.0 for slot in range(OBJECT_SLOTS)}
    ground, far = _painted(bare, world, canvas_px)
    unit = float(near.min())
    near, far = (torch.where(depth < 15_000, depth / unit, torch.inf) for depth in (near, far))
    sky = Layer(_sky(ground, torch.isinf(far)), torch.full_like(far, SKY_UNITS))
    layers = (sky, Layer(ground, far), Layer(full, torch.where(near < far * 0.995, near, torch.inf)))
    optics = intrinsics(2 * np.degrees(np.arctan(parameters["tan"])), 1, (canvas_px, canvas_px))
    return Scene(layers, optics, (side_px, side_px))


def _painted(parameters: dict[str, float], world: World, side_px: int) -> tuple[Image, Depth]:
    rgb, depth, _ = render(collate([parameters]), world, side_px, side_px)
    return rgb[0].float().contiguous(), depth[0, 0].float().contiguous()


def _sky(ground: Image, sky: torch.Tensor) -> Image:
    """Return the sky, continued behind the ground."""
    image = (ground.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    hidden = cv2.dilate((~sky.numpy()).astype(np.uint8), np.ones((5, 5), np.uint8))
    filled = cv2.inpaint(image, hidden, 3, cv2.INPAINT_TELEA) if hidden.any() else image
    return from_pixels(np.asarray(filled, np.float32) / np.float32(255))
