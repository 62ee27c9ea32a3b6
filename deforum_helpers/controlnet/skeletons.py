"""Skeletons as OpenPose draws them: 18 joints, 17 limbs, each in its own hue on black."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

# OpenPose's joints in the 17 of COCO; the neck is the middle of both shoulders.
NECK = -1
SHOULDERS = (5, 6)
FROM_COCO = (0, NECK, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10)),
    *((1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
LIMB_BRIGHTNESS = 0.6
# Sizes in a picture of 512 pixels.
WIDTH_PX = 4.0
DRAWN_AT_PX = 512


@dataclass(frozen=True)
class Joint:
    """A joint that was seen, in pixels of the picture."""

    x_px: float
    y_px: float


Skeleton = tuple[Joint | None, ...]


def skeleton_of(coco: Sequence[Joint | None]) -> Skeleton:
    """Return OpenPose's 18 joints of COCO's 17."""
    left, right = (coco[shoulder] for shoulder in SHOULDERS)
    neck = None
    if left is not None and right is not None:
        neck = Joint((left.x_px + right.x_px) / 2, (left.y_px + right.y_px) / 2)
    return tuple(neck if place == NECK else coco[place] for place in FROM_COCO)


def drawn(skeletons: Sequence[Skeleton], width_px: int, height_px: int) -> npt.NDArray[np.uint8]:
    """Return the skeletons as (H, W, 3) uint8 RGB on black."""
    canvas = np.zeros((height_px, width_px, 3), np.uint8)
    half_px = max(1, round(WIDTH_PX * min(width_px, height_px) / DRAWN_AT_PX))
    for skeleton in skeletons:
        for number, (first, second) in enumerate(LIMBS):
            start, end = skeleton[first], skeleton[second]
            if start is not None and end is not None:
                _draw_limb(canvas, start, end, half_px, _color(number))
    canvas = np.rint(canvas * LIMB_BRIGHTNESS).astype(np.uint8)
    for skeleton in skeletons:
        for number, joint in enumerate(skeleton):
            if joint is not None:
                place = round(joint.x_px), round(joint.y_px)
                cv2.circle(canvas, place, half_px, _color(number), thickness=-1)
    return canvas


def _draw_limb(
    canvas: npt.NDArray[np.uint8], start: Joint, end: Joint, half_px: int, color: tuple[int, int, int]
) -> None:
    across, down = end.x_px - start.x_px, end.y_px - start.y_px
    middle = round((start.x_px + end.x_px) / 2), round((start.y_px + end.y_px) / 2)
    axes = max(1, round(math.hypot(across, down) / 2)), half_px
    turn_deg = round(math.degrees(math.atan2(down, across)))
    cv2.ellipse(canvas, middle, axes, turn_deg, 0, 360, color, thickness=-1)


def _color(number: int) -> tuple[int, int, int]:
    """The hues of 18 joints and limbs are 20 degrees apart, from red."""
    red, green, blue = (round(255 * level) for level in colorsys.hsv_to_rgb(number / 18, 1, 1))
    return red, green, blue
