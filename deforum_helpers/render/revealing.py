"""The exact camera move: warps a frame and fills its revealed areas, from the scene memory or from the background."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from deforum_helpers.image.mask import Mask
from deforum_helpers.image.reveal import fill_hole, hole_mask, warp_flags
from deforum_helpers.image.surface import project_surface
from deforum_helpers.image.types import Image
from deforum_helpers.image.warp import sample_surface
from deforum_helpers.render.cached_depth import CachedDepth
from deforum_helpers.render.memory import SceneMemory, hold_strength, recall
from deforum_helpers.render.moves import scene_view
from deforum_helpers.render.plan import Plan


@dataclass(frozen=True)
class WarpedImage:
    """An image after a camera move.

    Args:
        image: (3, H, W).
        unpainted: (H, W) bool, revealed areas that were filled but not generated yet, or None.
        held: (H, W) float32 0..1, weight of the remembered pixels, 0 = none; or None.
    """

    image: Image
    unpainted: torch.Tensor | None = None
    held: Mask | None = None


def warp_exact(
    plan: Plan,
    cached_depth: CachedDepth | None,
    image: Image,
    frame: int,
    *,
    unpainted: torch.Tensor | None = None,
    depth_image: Image | None = None,
    memory: SceneMemory | None = None,
) -> WarpedImage:
    """Return `image` warped by the camera move into `frame`, its revealed areas filled.

    Args:
        plan: plan of the run.
        cached_depth: depth of images, or None where the plan needs no depth.
        image: (3, H, W) image of frame - 1.
        frame: number of the destination frame.
        unpainted: (H, W) bool, areas of `image` that were filled but not generated yet, or None.
        depth_image: image whose depth is used; by default `image` itself.
        memory: scene memory of the previous frames, or None.
    """
    settings = plan.settings
    view = scene_view(plan.moves, frame, (settings.W, settings.H))
    if view.still:
        return WarpedImage(image, unpainted)
    if cached_depth is not None and settings.use_depth_warping and view.shift.any():
        surface = cached_depth.surface_view(
            image if depth_image is None else depth_image, frame, view, memory
        )
    else:
        surface = project_surface(image.new_ones(image.shape[1:]), view)
    hole = hole_mask(surface)
    moved = sample_surface(image, surface, settings.sampling_mode)
    if unpainted is not None:
        unpainted = warp_flags(unpainted, surface)
    remembered = None
    if memory is not None:
        camera = plan.scene_cameras[frame]
        remembered = recall(memory, frame, hole, camera.pose, camera.intrinsics)
    if remembered is None:
        return WarpedImage(fill_hole(moved, hole, surface), hole if unpainted is None else hole | unpainted)
    moved = torch.where(remembered.known, remembered.image, moved)
    hole = hole & ~remembered.known
    strength = float(plan.schedules.values["scene_memory_strength_schedule"][frame])
    held = torch.where(
        remembered.known, hold_strength(remembered.age, strength), torch.zeros_like(remembered.age)
    )
    return WarpedImage(fill_hole(moved, hole, surface), hole if unpainted is None else hole | unpainted, held)
