"""Depth maps as images, on one fixed scale per algorithm, so that frames can be compared."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from deforum_helpers.image.transfers import HostCopy, to_host
from deforum_helpers.image.types import Depth
from deforum_helpers.models.depth.names import depth_name


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
