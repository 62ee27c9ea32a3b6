"""Scene depth from a model's output: equalization, sharp edges for the exact camera, and depth maps as images."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from deforum_helpers.image.transfers import HostCopy, to_host
from deforum_helpers.image.types import Depth
from deforum_helpers.models.depth import depth_name

# The width of ramps at occlusion edges, in images of the size that networks process.
REACH_PX, SIDE_PX = 3, 512
# Share of the nearest point's inverse depth by which a ramp has to rise within its reach to be an edge.
RISE_SHARE = 0.08


def crisp_edges(depth: Depth) -> Depth:
    """Return `depth` with every steep ramp made a step: each pixel of it goes to the nearer one of both ends.

    The row (1, 1, 1.2, 1.5, 1.8, 2, 2) becomes (1, 1, 1, 2, 2, 2, 2) if all of it is within reach: in inverse depth the
    middle of 1 and 2 is 4/3.

    Args:
        depth: (H, W) float32, > 0, larger = farther.
    """
    reach_px = max(1, round(min(depth.shape) * REACH_PX / SIDE_PX))
    side = 2 * reach_px + 1
    if depth.device.type == "cpu":
        kernel = np.ones((side, side), np.uint8)
        planes = depth.detach().contiguous().numpy()
        near, far = (torch.from_numpy(shape(planes, kernel)) for shape in (cv2.erode, cv2.dilate))
    else:
        plane = depth[None, None]
        far = F.max_pool2d(plane, side, 1, reach_px)[0, 0]
        near = -F.max_pool2d(-plane, side, 1, reach_px)[0, 0]
    inverse, inverse_near, inverse_far = 1 / depth, 1 / near, 1 / far
    steep = inverse_near - inverse_far > RISE_SHARE / depth.min()
    snapped = torch.where(2 * inverse > inverse_near + inverse_far, near, far)
    return torch.where(steep, snapped, depth)


BINS = 1024


def _equalised_pixels(answer: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return `equalised_anywhere` of an array: one thread, because torch's many small steps would each wait for all."""
    low, high = answer.min(), answer.max()
    place = (answer - low) / (high - low)
    place *= BINS
    lower = place.astype(np.int32)
    np.minimum(lower, BINS - 1, out=lower)
    place -= lower
    counts = np.bincount(lower.ravel(), minlength=BINS)
    cumulated = (np.cumsum(counts) / answer.size).astype(np.float32)
    place *= np.diff(cumulated, append=cumulated[-1:])[lower]
    place += cumulated[lower]
    return place


def equalised_anywhere(answer: torch.Tensor) -> torch.Tensor:
    """Return the share of pixels below each one, about 0..1; equal to the classic 1024-bin equalisation.

    The answer is brought to 0..1, d; the cumulated histogram is read at d, by straight lines between the bins' left
    edges. The row (0, 0.5, 1) becomes (1/3, 2/3, 1). It works on any device, without a wait for it.

    Args:
        answer: (H, W) float32, any unit, finite and not constant.
    """
    low, high = answer.min(), answer.max()
    place = ((answer - low) / (high - low)).mul_(BINS).nan_to_num_(0.0)
    lower = place.floor().clamp_(0, BINS - 1)
    bins = lower.long()
    counts = torch.zeros(BINS, device=answer.device)
    counts.scatter_add_(0, bins.flatten(), torch.ones(answer.numel(), device=answer.device))
    cumulated = counts.cumsum(0).div_(answer.numel())  # whole numbers, exact up to 16 million pixels
    following = torch.cat([cumulated[1:], cumulated[-1:]])
    return torch.lerp(cumulated[bins], following[bins], place - lower)


def scene_depth(answer: torch.Tensor, nearest: float, farthest: float, *, far_is_large: bool) -> Depth:
    """Return the camera's depth of a model's answer, (H, W) float32 in `nearest`..`farthest`, larger = farther.

    An answer that is constant or not finite gives a plane at depth 1.

    Args:
        answer: (H, W) float.
        nearest, farthest: scene depth of the nearest and the farthest pixel.
        far_is_large: whether the answer grows with the distance.
    """
    start, span = (nearest, farthest - nearest) if far_is_large else (farthest, nearest - farthest)
    if answer.device.type == "cpu":
        pixels = answer.to(torch.float32).contiguous().numpy()
        if not (np.isfinite(pixels).all() and pixels.min() < pixels.max()):
            return torch.ones(answer.shape)
        share = _equalised_pixels(pixels)
        share *= np.float32(span)
        share += np.float32(start)
        return torch.from_numpy(share)
    depth = equalised_anywhere(answer) * span + start
    return torch.where(_usable(answer), depth, torch.ones_like(depth))


def raw_depth(answer: torch.Tensor, *, metric: bool, far_is_large: bool) -> Depth:
    """Return the depth of the "(old)" algorithms, which use a model's output without equalisation, (H, W) float32.

    Metres stay metres. A relative answer is spread over the range that MiDaS' classic formula (50 - answer) / 19 gave
    for its usual answers 0..30: from 20/19 for the nearest pixel to 50/19 for the farthest.

    Args:
        answer: (H, W) float.
        metric: whether it is in metres.
        far_is_large: whether it grows with the distance.
    """
    if metric:
        depth = answer.to(torch.float32).clamp(min=1e-3)
    else:
        low, high = answer.min(), answer.max()
        share = (answer.to(torch.float32) - low) / (high - low)
        near_share = 1 - share if far_is_large else share
        depth = (50 - 30 * near_share) / 19
    return torch.where(_usable(answer), depth, torch.ones_like(depth))


def _usable(answer: torch.Tensor) -> torch.Tensor:
    low, high = answer.min(), answer.max()
    return torch.isfinite(answer).all() & (low < high)


def depth_bytes(depth: Depth, name: str) -> npt.NDArray[np.uint8]:
    """Return a depth map as (H, W) uint8.

    The scale is the range of the algorithm's scene depth; near things are bright for algorithms whose
    model predicts inverse depth, far things for the others: depth 1.25 is 191 with "Midas-3-Hybrid" and 64 with "Zoe".

    Args:
        depth: (H, W) float32 in scene units.
        name: value of depth_algorithm.

    Raises:
        SettingsError: no such name.
    """
    return np.asarray(_levels(depth, name).cpu().numpy())


def begin_depth_bytes(depth: Depth, name: str) -> HostCopy:
    """Return `depth_bytes`; from a GPU it is copied while the render thread goes on."""
    return to_host(_levels(depth, name))


def _levels(depth: Depth, name: str) -> torch.Tensor:
    entry = depth_name(name)
    share = (depth - entry.nearest) / (entry.farthest - entry.nearest)
    brightness = 1 - share if entry.near_is_bright else share
    return (brightness * 255).round().clamp(0, 255).to(torch.uint8)
