"""Depth without ramps: a network's answer is soft where one thing ends before another, and no scene is."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from deforum_helpers.image.types import Depth

# Ramps are as wide as networks make them, which see pictures of about this size.
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
