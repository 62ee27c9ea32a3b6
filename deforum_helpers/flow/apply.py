"""Moving a picture along a flow."""

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
from deforum_helpers.image.types import Flow, Image

# What lies outside of a picture that is moved: its mirror image about the edge's pixels, or these pixels drawn out.
Outside = Literal["reflection", "border"]
OUTSIDE: dict[Outside, int] = {"reflection": cv2.BORDER_REFLECT_101, "border": cv2.BORDER_REPLICATE}


def moved_along(image: Image, flow: Flow, factor: float = 1.0, outside: Outside = "reflection") -> Image:
    """Return `image` moved along `flow`: the pixel at p takes what is at p - factor · flow(p), bilinear.

    With a flow of (3, 0) everywhere the content moves three pixels to the right.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        flow: (2, H, W) float32 pixels (x, y), `dst_from_src`, on the image's device.
        factor: 1 moves all the way, -1 back.
        outside: what comes in at the edges.
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
    """Return `flow` after its vectors were carried elsewhere by a move of pictures; their directions stay.

    Args:
        flow: (2, H, W) float32 pixels.
        move: moves a picture (3, H, W) in 0..1; black may come in at its edges.
    """
    longest = float(flow.abs().max())
    if longest == 0:
        return flow
    known = torch.ones_like(flow[:1])
    field = torch.cat([flow / (2 * longest) + 0.5, known])[None].contiguous(memory_format=torch.channels_last)
    moved = move(field[0])
    return (moved[:2] - 0.5 * moved[2:]) * (2 * longest)


def flow_picture(flow: Flow) -> Image:
    """Return a flow (2, H, W) as a picture: the direction is the hue, the length the brightness.

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
