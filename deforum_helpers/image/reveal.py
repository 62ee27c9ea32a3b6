"""What stands where the camera uncovers something that the picture never showed: the background, gone on with.

A hole lies between a near thing and what is behind it, or at the edge of the picture. It is filled from its far side
alone, by the background's mirror image about the hole's rim: that has the background's own texture in all directions,
where drawing the rim's pixels out would smear them along the motion, and the near side's would grow.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch

from deforum_helpers.image.inpaint import smeared
from deforum_helpers.image.mask import Mask, blurred
from deforum_helpers.image.surface import Sight

Flags = npt.NDArray[np.bool_]

# As far as the colours of a near thing reach into the pixels around it.
RIM_PX = 1
# Near a hole, what is on its near side is not gone on with.
NEAR_PX = 3
# What is nearer than the background's rim by this share is not gone on with either.
NEARER_SHARE = 0.1
# A thinner rim of new things is left to the ordinary sampling of the frame.
THINNEST_PX = 3
GROWN_PX = 4
SOFT_PX = 2.0


def hole_of(sight: Sight) -> torch.Tensor:
    """Return where a moved picture has nothing to show, (H, W) bool on its device.

    That is what the camera uncovers, and the rim of the background next to it, which has colours of the foreground.
    """
    return sight.revealed | (sight.behind & _grown(sight.revealed, RIM_PX))


def filled(image: torch.Tensor, hole: torch.Tensor, sight: Sight) -> torch.Tensor:
    """Return `image` with its hole filled from the far side.

    Args:
        image: (C, H, W) float32 0..1, moved.
        hole: (H, W) bool where it shows nothing.
        sight: what the camera sees.
    """
    if not bool(hole.any()):
        return image
    near = _grown(sight.before, NEAR_PX) & _grown(hole, NEAR_PX + 1) & ~hole
    planes = (plane.cpu().numpy() for plane in (hole, near, sight.depth))
    lines, columns, found = (torch.from_numpy(plane).to(image.device) for plane in _mirrored(*planes))
    ground = smeared(image, (hole | near).to(image.dtype))
    patched = torch.where(hole & found, image[:, lines, columns], torch.where(hole, ground, image))
    return patched[None].contiguous(memory_format=torch.channels_last)[0]


def repainted_mask(hole: torch.Tensor) -> Mask | None:
    """Return where a hole is large enough to be painted anew, (H, W) float32 with soft edges, or None for nowhere.

    A hole of 10x10 pixels gives a mask that is 1 within it and falls to 0 within some pixels around it.

    Args:
        hole: (H, W) bool.
    """
    wide = ~_grown(~hole, THINNEST_PX // 2)
    if not bool(wide.any()):
        return None
    large = _grown(wide, THINNEST_PX // 2 + GROWN_PX)
    return blurred(large.to(torch.float32), SOFT_PX)


def _mirrored(
    hole: Flags, near: Flags, depth: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Flags]:
    """Return, for each pixel of a hole, the line and the column that fill it, and whether there are such.

    Where something nearer than the rim stands in the mirror image, it is that of half the distance.
    """
    height_px, width_px = hole.shape
    usable = ~(hole | near)
    rim = usable & cv2.dilate(hole.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
    lines, columns = np.mgrid[:height_px, :width_px]
    if not rim.any():
        return lines, columns, np.zeros_like(hole)
    _, labels = cv2.distanceTransformWithLabels(
        (~rim).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rim_lines, rim_columns = np.nonzero(rim)
    place = np.zeros(int(labels.max()) + 1, np.int64)
    place[labels[rim]] = np.arange(len(rim_lines))
    nearest = place[labels]
    rim_lines, rim_columns = rim_lines[nearest], rim_columns[nearest]
    least = depth[rim_lines, rim_columns] * (1 - NEARER_SHARE)
    found = np.zeros_like(hole)
    from_lines, from_columns = lines, columns
    for share in (1.0, 0.5):
        then_lines = np.rint(rim_lines + share * (rim_lines - from_lines)).astype(np.int64)
        then_columns = np.rint(rim_columns + share * (rim_columns - from_columns)).astype(np.int64)
        within = (
            (then_lines >= 0) & (then_lines < height_px) & (then_columns >= 0) & (then_columns < width_px)
        )
        then_lines, then_columns = then_lines.clip(0, height_px - 1), then_columns.clip(0, width_px - 1)
        fits = within & usable[then_lines, then_columns] & (depth[then_lines, then_columns] >= least) & ~found
        lines, columns = np.where(fits, then_lines, lines), np.where(fits, then_columns, columns)
        found |= fits
    return lines, columns, found


def _grown(mask: torch.Tensor, reach_px: int) -> torch.Tensor:
    """Return a mask (H, W) bool grown by so many pixels in all directions."""
    side = 2 * reach_px + 1
    if mask.device.type == "cpu":
        grown = cv2.dilate(mask.numpy().view(np.uint8), np.ones((side, side), np.uint8))
        return torch.from_numpy(grown.view(np.bool_))
    pooled = torch.nn.functional.max_pool2d(mask[None, None].float(), side, 1, reach_px)
    return pooled[0, 0] > 0


def moved_flags(flags: torch.Tensor, sight: Sight) -> torch.Tensor:
    """Return (H, W) bool flags of the picture before, moved: each pixel takes those of the nearest one it shows."""
    height_px, width_px = flags.shape
    lines = sight.map_y.round().clamp(0, height_px - 1).long()
    columns = sight.map_x.round().clamp(0, width_px - 1).long()
    return flags[lines, columns] & ~sight.revealed
