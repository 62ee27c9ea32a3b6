"""Depth as ControlNets were trained on it: near things bright, far things dark."""

from __future__ import annotations

import torch

from deforum_helpers.image.mask import as_image
from deforum_helpers.image.types import Image

# The nearest and farthest of metric depth are single outliers; these shares of the pixels are left out of the range.
METRIC_RANGE = (0.02, 0.85)


def nearness(answer: torch.Tensor, *, far_is_large: bool) -> Image:
    """Return a depth model's answer as a grey picture (3, H, W), 1 = nearest; mid-grey where it is flat.

    Args:
        answer: (H, W) float32, in the model's own unit.
        far_is_large: whether it is distance, or inverse distance.
    """
    answer = torch.nan_to_num(answer.float())
    if far_is_large:
        low, high = (_share(answer, share) for share in METRIC_RANGE)
    else:
        low, high = answer.min(), answer.max()
    span = high - low
    if float(span) <= 0:
        return as_image(torch.full_like(answer, 0.5))
    share = ((answer - low) / span).clamp(0, 1)
    return as_image(1 - share if far_is_large else share)


def _share(values: torch.Tensor, share: float) -> torch.Tensor:
    """The value below which `share` of all lie."""
    return values.flatten().kthvalue(1 + int(share * (values.numel() - 1))).values
