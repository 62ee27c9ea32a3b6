"""Filling of revealed areas: continues the background into areas that no previous frame shows.

A hole lies between a near object and the background behind it, or at the edge of the image. It is filled from its far
side alone, so that near objects do not grow: the colors at the background's rim continue, with the detail of the
background some way behind the rim, where it is the same in all directions. Repeated rim pixels would smear along the
motion.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch

from deforum_helpers.image.inpaint import fill_from_rim
from deforum_helpers.image.mask import Mask, blurred
from deforum_helpers.image.surface import SurfaceView

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

# Distance over which the colors of a near object bleed into the pixels around it.
RIM_PX = 1
# Pixels on the near side within this distance of a hole are not continued into it.
NEAR_PX = 3
# Shares of the image's shorter side: distance behind the rim from which detail is taken, and window of the smoothing.
DETAIL_SHARE = 0.03
SMOOTH_SHARE = 0.012
MIXED_WEIGHT = 0.01
# Pixels nearer than the background's rim by this share are not continued either.
NEARER_SHARE = 0.1
# Side of the square in which both sides of a crack are compared, and their largest difference in color.
CRACK_PX = 5
SAME_COLOR = 0.12
# Thinner revealed areas, thinner than a latent cell, are left to the frame's own generation.
THINNEST_PX = 7
GROWN_PX = 4
SOFT_PX = 2.0


def hole_mask(surface: SurfaceView) -> torch.Tensor:
    """Return the hole of a warped image, (H, W) bool on its device.

    It consists of the revealed areas and the background's rim next to them, which contains foreground colors.
    """
    return surface.revealed | (surface.behind & _dilated(surface.revealed, RIM_PX))


def fill_hole(image: torch.Tensor, hole: torch.Tensor, surface: SurfaceView) -> torch.Tensor:
    """Return `image` with its hole filled from the far side.

    Args:
        image: (C, H, W) float32 0..1, warped.
        hole: (H, W) bool, from `hole_mask`.
        surface: the camera's view.
    """
    if not bool(hole.any()):
        return image
    near = _dilated(surface.before, NEAR_PX) & _dilated(hole, NEAR_PX + 1) & ~hole
    planes = (plane.cpu().numpy() for plane in (hole, near, surface.depth))
    here, rim, place, found = (torch.from_numpy(places).to(image.device) for places in _background(*planes))
    unknown = (hole | near).to(image.dtype)
    # The rim's own pixels contain foreground color.
    mixed = (surface.behind & _dilated(hole, NEAR_PX)).to(image.dtype)
    smooth = _smooth(image, (1 - unknown) * (1 - (1 - MIXED_WEIGHT) * mixed))
    there, beside = (smooth[:, lines, columns] for lines, columns in (place, rim))
    colors = (image[:, place[0], place[1]] + beside - there).clamp(0, 1)
    if not bool(found.all()):
        colors = torch.where(found, colors, fill_from_rim(image, unknown)[:, here[0], here[1]])
    patched = image.clone(memory_format=torch.preserve_format)
    patched[:, here[0], here[1]] = colors
    return _without_cracks(patched, hole, surface)


def _without_cracks(image: torch.Tensor, hole: torch.Tensor, surface: SurfaceView) -> torch.Tensor:
    """Return `image` with cracks, holes between two sides of the same color, filled with that color.

    An edge of the estimated depth may lie within one object. The surface then tears without revealing anything, and
    background colors would leave lines and dots on the object.
    """
    near = _dilated(surface.before, 1) & ~hole
    means, found = [], hole
    for side in (near, ~near & ~hole):
        weight = side.to(image.dtype)
        sums = _summed(torch.cat([image * weight, weight[None]]), CRACK_PX)
        found = found & (sums[-1] > 0)
        means.append(sums[:-1] / sums[-1].clamp(min=1e-6))
    alike = found & ((means[0] - means[1]).abs().amax(0) < SAME_COLOR)
    return torch.where(alike, (means[0] + means[1]) / 2, image)


def _summed(planes: torch.Tensor, side_px: int) -> torch.Tensor:
    """Return the sums of (C, H, W) over squares of an odd side around each pixel; outside the image counts as 0."""
    if planes.device.type == "cpu":
        pixels = np.ascontiguousarray(planes.permute(1, 2, 0).numpy())
        window = (side_px, side_px)
        sums = cv2.boxFilter(pixels, -1, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
        return torch.from_numpy(sums).permute(2, 0, 1)
    return torch.nn.functional.avg_pool2d(planes[None], side_px, 1, side_px // 2, divisor_override=1)[0]


def repaint_mask(hole: torch.Tensor) -> Mask | None:
    """Return the parts of a hole that are large enough to be generated, (H, W) float32 with soft edges, or None.

    A hole of 10x10 pixels gives a mask that is 1 within it and falls to 0 within some pixels around it.

    Args:
        hole: (H, W) bool.
    """
    wide = ~_dilated(~hole, THINNEST_PX // 2)
    if not bool(wide.any()):
        return None
    large = _dilated(wide, THINNEST_PX // 2 + GROWN_PX)
    return blurred(large.to(torch.float32), SOFT_PX)


def _background(
    hole: Flags, near: Flags, depth: npt.NDArray[np.float32]
) -> tuple[Places, Places, Places, Flags]:
    """Return, for each of the n pixels of a hole, the nearest pixel on its far rim, and the source of its detail.

    The source lies as far behind the rim as the pixel lies before it, and a little farther: in a hole that opens a
    little at each frame, the rim's own pixels would become streaks. Where the source is nearer than the rim, one at
    half the distance is used.

    Returns:
        (2, n) rows and columns of the hole's pixels, of the rim and of the sources; (n,) bool, whether a source exists.
    """
    height_px, width_px = hole.shape
    usable = ~(hole | near)
    rim = usable & cv2.dilate(hole.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
    here = np.stack(np.nonzero(hole))
    if not rim.any():
        return here, here, here, np.zeros(here.shape[1], np.bool_)
    _, labels = cv2.distanceTransformWithLabels(
        (~rim).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    numbers = np.zeros(int(labels.max()) + 1, np.int64)
    numbers[labels[rim]] = np.arange(int(rim.sum()))
    beside = np.stack(np.nonzero(rim))[:, numbers[labels[hole]]]
    away = (beside - here).astype(np.float32)
    distance = np.maximum(np.hypot(*away), 1)
    reach = distance + DETAIL_SHARE * min(hole.shape)
    least = depth[beside[0], beside[1]] * (1 - NEARER_SHARE)
    place, found = here, np.zeros(here.shape[1], np.bool_)
    for share in (1.0, 0.5):
        then = np.rint(beside + away * (share * reach / distance)).astype(np.int64)
        within = (then[0] >= 0) & (then[0] < height_px) & (then[1] >= 0) & (then[1] < width_px)
        then = np.stack([then[0].clip(0, height_px - 1), then[1].clip(0, width_px - 1)])
        fits = within & usable[then[0], then[1]] & (depth[then[0], then[1]] >= least) & ~found
        place, found = np.where(fits, then, place), found | fits
    return here, beside, place, found


def _smooth(image: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return the mean color of `image` (C, H, W) around each pixel, weighted by `known` (H, W)."""
    side = 2 * round(SMOOTH_SHARE * min(known.shape)) + 1
    if image.device.type == "cpu":
        weights = known.numpy()
        sums = cv2.blur(np.ascontiguousarray((image.numpy() * weights).transpose(1, 2, 0)), (side, side))
        shares = np.maximum(cv2.blur(weights, (side, side)), 1e-6)
        return torch.from_numpy(sums.reshape(*known.shape, -1) / shares[..., None]).permute(2, 0, 1)
    planes = torch.cat([image * known, known[None]])[None]
    sums = torch.nn.functional.avg_pool2d(planes, side, 1, side // 2)[0]
    return sums[:-1] / sums[-1:].clamp(min=1e-6)


def _dilated(mask: torch.Tensor, reach_px: int) -> torch.Tensor:
    """Return a mask (H, W) bool dilated by `reach_px` pixels in all directions."""
    side = 2 * reach_px + 1
    if mask.device.type == "cpu":
        grown = cv2.dilate(mask.numpy().view(np.uint8), np.ones((side, side), np.uint8))
        return torch.from_numpy(grown.view(np.bool_))
    pooled = torch.nn.functional.max_pool2d(mask[None, None].float(), side, 1, reach_px)
    return pooled[0, 0] > 0


def warp_flags(flags: torch.Tensor, surface: SurfaceView) -> torch.Tensor:
    """Return (H, W) bool flags warped to the next frame by nearest neighbor; revealed areas are False."""
    height_px, width_px = flags.shape
    lines = surface.map_y.round().clamp(0, height_px - 1).long()
    columns = surface.map_x.round().clamp(0, width_px - 1).long()
    return flags[lines, columns] & ~surface.revealed
