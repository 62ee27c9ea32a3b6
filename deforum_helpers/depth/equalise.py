"""From a model's answer to the camera's depth: histogram equalisation, so that every picture uses the whole range."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from deforum_helpers.image.types import Depth

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
    cumulated = counts.double().cumsum(0).div_(answer.numel()).float()
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
    """Return the depth of the "(old)" algorithms, which use a model's answer as it is, (H, W) float32.

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
        nearness = 1 - share if far_is_large else share
        depth = (50 - 30 * nearness) / 19
    return torch.where(_usable(answer), depth, torch.ones_like(depth))


def _usable(answer: torch.Tensor) -> torch.Tensor:
    low, high = answer.min(), answer.max()
    return torch.isfinite(answer).all() & (low < high)
