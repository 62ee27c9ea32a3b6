"""A frame moved as a real camera sees it: what comes into sight is remembered, or filled."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from deforum_helpers.image.mask import Mask
from deforum_helpers.image.reveal import filled, hole_of, moved_flags
from deforum_helpers.image.surface import seen_surface
from deforum_helpers.image.types import Image
from deforum_helpers.image.warp import fetched
from deforum_helpers.render.cached_depth import Eyes
from deforum_helpers.render.memory import SceneMemory, hold_of, recalled
from deforum_helpers.render.moves import scene_view
from deforum_helpers.render.plan import Plan


@dataclass(frozen=True)
class Moved:
    """A picture after a move of the camera.

    Args:
        image: (3, H, W).
        unpainted: (H, W) bool, where it was filled as things came into sight, or None.
        held: (H, W) float32, how strongly it stays as the memory shows it, 0 = not at all; or None.
    """

    image: Image
    unpainted: torch.Tensor | None = None
    held: Mask | None = None


def moved_exactly(
    plan: Plan,
    eyes: Eyes | None,
    image: Image,
    frame: int,
    *,
    unpainted: torch.Tensor | None = None,
    seen: Image | None = None,
    memory: SceneMemory | None = None,
) -> Moved:
    """Return `image` after the camera's move into `frame`.

    Args:
        plan: of the run.
        eyes: see depth, or None where the plan never needs it.
        image: picture at frame - 1.
        frame: frame number that is moved to.
        unpainted: (H, W) bool, where that picture was filled already, or None.
        seen: the picture whose depth is used; by default `image` itself.
        memory: of the frames before, or None.
    """
    settings = plan.settings
    view = scene_view(plan.moves, frame, (settings.W, settings.H))
    if view.still:
        return Moved(image, unpainted)
    if eyes is not None and settings.use_depth_warping and view.shift.any():
        sight = eyes.sight(image if seen is None else seen, frame, view, memory)
    else:
        sight = seen_surface(image.new_ones(image.shape[1:]), view)
    hole = hole_of(sight)
    moved = fetched(image, sight, settings.sampling_mode)
    if unpainted is not None:
        unpainted = moved_flags(unpainted, sight)
    past = None
    if memory is not None:
        camera = plan.scene_cameras[frame]
        past = recalled(memory, frame, hole, camera.pose, camera.optics)
    if past is None:
        return Moved(filled(moved, hole, sight), hole if unpainted is None else hole | unpainted)
    moved = torch.where(past.known, past.image, moved)
    hole = hole & ~past.known
    strength = float(plan.schedules.values["scene_memory_strength_schedule"][frame])
    held = torch.where(past.known, hold_of(past.age, strength), torch.zeros_like(past.age))
    return Moved(filled(moved, hole, sight), hole if unpainted is None else hole | unpainted, held)
