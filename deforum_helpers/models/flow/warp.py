"""Warping images by a flow, and where a flow can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from deforum_helpers.image.convert import Floats, from_pixels, pixels
from deforum_helpers.image.mask import Mask
from deforum_helpers.image.types import Flow, Image
from deforum_helpers.models.flow.estimators import FlowEstimator

# Pixels outside of a warped image: mirrored about the edge, or the edge replicated.
Outside = Literal["reflection", "border"]
OUTSIDE: dict[Outside, int] = {"reflection": cv2.BORDER_REFLECT_101, "border": cv2.BORDER_REPLICATE}


def moved_along(image: Image, flow: Flow, factor: float = 1.0, outside: Outside = "reflection") -> Image:
    """Return `image` moved along `flow`: the pixel at p takes what is at p - factor · flow(p), bilinear.

    With a flow of (3, 0) everywhere the content moves three pixels to the right.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        flow: (2, H, W) float32 pixels (x, y), `dst_from_src`, on the image's device.
        factor: 1 moves all the way, -1 back.
        outside: fills pixels from outside of the image.
    """
    if image.device.type == "cpu":
        field = flow.detach().numpy()
        columns, rows = pixel_places(*image.shape[1:])
        # scaleAdd walks through memory once, where numpy would make two copies
        map_x, map_y = (
            cv2.scaleAdd(np.ascontiguousarray(along), -factor, place)
            for along, place in zip(field, (columns, rows), strict=True)
        )
        return from_pixels(
            cv2.remap(pixels(image), map_x, map_y, cv2.INTER_LINEAR, borderMode=OUTSIDE[outside])
        )
    return _sampled(image, flow, factor, outside)


def moved_flow(flow: Flow, move: Callable[[Image], Image]) -> Flow:
    """Return `flow` with its vectors moved as the pixels of an image would be; their directions stay.

    Args:
        flow: (2, H, W) float32 pixels.
        move: warps an image (3, H, W) in 0..1; black may come in at its edges.
    """
    longest = float(flow.abs().max())
    if longest == 0:
        return flow
    known = torch.ones_like(flow[:1])
    field = torch.cat([flow / (2 * longest) + 0.5, known])[None].contiguous(memory_format=torch.channels_last)
    moved = move(field[0])
    return (moved[:2] - 0.5 * moved[2:]) * (2 * longest)


def flow_image(flow: Flow) -> Image:
    """Return a flow (2, H, W) as an image: the direction is the hue, the length the brightness.

    What moves to the right is red, down yellow-green, to the left cyan; the longest vector is the brightest.
    """
    hue = torch.atan2(flow[1], flow[0]) / (2 * math.pi) % 1 * 6
    rgb = [(hue - 3).abs() - 1, 2 - (hue - 2).abs(), 2 - (hue - 4).abs()]
    length = flow.norm(dim=0)
    return torch.stack([channel.clamp(0, 1) for channel in rgb]) * (length / length.max().clamp(min=1e-6))


@lru_cache(maxsize=2)
def pixel_places(height_px: int, width_px: int) -> tuple[Floats, Floats]:
    """Return the column and the row of every pixel, (H, W) float32 each."""
    rows, columns = np.mgrid[:height_px, :width_px].astype(np.float32)
    return np.ascontiguousarray(columns), np.ascontiguousarray(rows)


def _sampled(image: Image, flow: Flow, factor: float, outside: Outside = "reflection") -> Image:
    height_px, width_px = image.shape[1:]
    columns = torch.arange(width_px, device=image.device, dtype=torch.float32)
    rows = torch.arange(height_px, device=image.device, dtype=torch.float32)[:, None]
    x = (columns - factor * flow[0]) * (2 / max(width_px - 1, 1)) - 1
    y = (rows - factor * flow[1]) * (2 / max(height_px - 1, 1)) - 1
    fetched = F.grid_sample(
        image[None], torch.stack([x, y], -1)[None], "bilinear", outside, align_corners=True
    )
    return fetched.contiguous(memory_format=torch.channels_last)[0]


SHARE = 0.01
SLACK_PX2 = 0.5
# The deviation of the soft border between trusted and distrusted areas, as a share of the shorter side.
SOFT_BORDER = 1 / 85


def trusted_flow(method: FlowEstimator, source: Image, target: Image) -> Flow:
    """Return the motion from `source` to `target` where the motion back agrees, and none with soft borders elsewhere.

    Two generated images of one scene differ in more than motion: content of only one of them has no counterpart in
    the other, and a flow that claims one would tear the image.

    Args:
        method: the estimator.
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
