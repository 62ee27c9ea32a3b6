"""Where a flow agrees with the flow back: motion that only one of both knows is not followed."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from deforum_helpers.flow.apply import pixel_places
from deforum_helpers.flow.base import FlowEstimator
from deforum_helpers.image.convert import Floats
from deforum_helpers.image.mask import Mask
from deforum_helpers.image.types import Flow, Image

SHARE = 0.01
SLACK_PX2 = 0.5
# The border of what is followed, as a share of the picture's shorter side.
SOFT_BORDER = 1 / 85


def trusted_flow(method: FlowEstimator, source: Image, target: Image) -> Flow:
    """Return the motion from `source` to `target` where the motion back agrees, and none with soft borders elsewhere.

    Two drawings of one scene differ in more than motion: what is only in one of them has no way to the other, and
    a flow that claims one would tear the picture.

    Args:
        method: measures.
        source, target: (3, H, W) float32 RGB, 0..1, of one size.
    """
    there, back = method.estimate(source, target), method.estimate(target, source)
    return agreeing(there, back, min(source.shape[1:]) * SOFT_BORDER)


def agreeing(forward: Flow, backward: Flow, blur_px: float) -> Flow:
    """Return `forward`, damped to zero where following it and then `backward` does not lead back; see `trust_in`."""
    return forward * trust_in(forward, backward, blur_px)


def trust_in(forward: Flow, backward: Flow, blur_px: float) -> Mask:
    """Return where following `forward` and then `backward` leads back: (H, W) float32, 1 = it does.

    With f the one flow and b the other, fetched where f leads, a pixel disagrees where
    |f + b|² >= 0.01 · (|f|² + |b|²) + 0.5.

    Args:
        forward: (2, H, W) float32 pixels, `b_from_a`.
        backward: (2, H, W) float32 pixels, `a_from_b`.
        blur_px: deviation of a Gaussian that softens the border, cut off at one deviation; 0 = none.
    """
    there, back = (np.ascontiguousarray(flow.permute(1, 2, 0).cpu().numpy()) for flow in (forward, backward))
    weights = agreement(there, back)
    if blur_px > 0:
        radius = int(blur_px + 0.5)
        side = 2 * radius + 1
        weights = cv2.GaussianBlur(weights, (side, side), blur_px, borderType=cv2.BORDER_CONSTANT)
    return torch.from_numpy(weights).to(forward.device)


def agreement(there: Floats, back: Floats) -> Floats:
    """Return (H, W) 1 where the flows (H, W, 2) agree, else 0."""
    height_px, width_px = there.shape[:2]
    columns, rows = pixel_places(height_px, width_px)
    x = np.clip(columns + there[..., 0], 0, width_px - 1)
    y = np.clip(rows + there[..., 1], 0, height_px - 1)
    met = cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    gap, lengths = (there + met) ** 2, there**2 + met**2
    agrees = gap.sum(-1) < SHARE * lengths.sum(-1) + SLACK_PX2
    weights: Floats = agrees.astype(np.float32)
    return weights
