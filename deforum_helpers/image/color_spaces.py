"""Color spaces in which histograms are matched, in levels of 0..255 per channel, on any device.

| space | channels in levels                                             |
|-------|----------------------------------------------------------------|
| RGB   | 255 R, 255 G, 255 B                                            |
| HSV   | hue in halves of a degree (0..180), 255 S, 255 V               |
| LAB   | 2.55 L*, a* + 128, b* + 128 of CIE L*a*b*, white point D65     |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch

from deforum_helpers.image.types import Image

Levels: TypeAlias = torch.Tensor

XYZ_FROM_RGB = (
    (0.412453 / 0.950456, 0.357580 / 0.950456, 0.180423 / 0.950456),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.088754, 0.119193 / 1.088754, 0.950227 / 1.088754),
)
LAB_BEND = 6 / 29


@dataclass(frozen=True)
class Space:
    """A color space as two conversions of (3, H, W) float32 tensors: RGB 0..1 to levels, and back, unclamped."""

    from_rgb: Callable[[Image], Levels]
    to_rgb: Callable[[Levels], Image]


def lab_levels(image: Image) -> Levels:
    """Return an RGB image in LAB levels; white is (255, 128, 128)."""
    x, y, z = (_lab_curve(plane) for plane in _mixed(_linear(image), torch.tensor(XYZ_FROM_RGB)))
    return torch.stack([(116 * y - 16) * 2.55, 500 * (x - y) + 128, 200 * (y - z) + 128])


def rgb_from_lab_levels(levels: Levels) -> Image:
    """Return LAB levels as RGB; colors outside the gamut lie outside 0..1."""
    y = (levels[0] / 2.55 + 16) / 116
    curved = torch.stack([y + (levels[1] - 128) / 500, y, y - (levels[2] - 128) / 200])
    below = 3 * LAB_BEND**2 * (curved - 4 / 29)
    xyz = torch.where(curved > LAB_BEND, curved.clamp(min=0) ** 3, below)
    return _encoded(_mixed(xyz, torch.linalg.inv(torch.tensor(XYZ_FROM_RGB))))


def hsv_levels(image: Image) -> Levels:
    """Return an RGB image in HSV levels; red is (0, 255, 255), gray has hue 0."""
    value, strongest = image.max(0)
    spread = value - image.min(0).values
    red, green, blue = image
    safe = torch.where(spread > 0, spread, torch.ones_like(spread))
    sextants = torch.stack([(green - blue) / safe, 2 + (blue - red) / safe, 4 + (red - green) / safe])
    hue = sextants.gather(0, strongest[None])[0] % 6
    saturation = spread / value.clamp(min=1e-12)
    return torch.stack([30 * hue, 255 * saturation, 255 * value])


def rgb_from_hsv_levels(levels: Levels) -> Image:
    """Return HSV levels as RGB."""
    hue, saturation, value = levels[0] / 30, levels[1] / 255, levels[2] / 255
    away = torch.stack([(offset + hue) % 6 for offset in (5, 3, 1)])
    share = torch.minimum(away, 4 - away).clamp(0, 1)
    return value * (1 - saturation * share)


def _linear(image: Image) -> torch.Tensor:
    return torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055).clamp(min=0) ** 2.4)


def _encoded(linear: torch.Tensor) -> Image:
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=0) ** (1 / 2.4) - 0.055)


def _lab_curve(plane: torch.Tensor) -> torch.Tensor:
    return torch.where(plane > LAB_BEND**3, plane.clamp(min=0) ** (1 / 3), plane / (3 * LAB_BEND**2) + 4 / 29)


def _mixed(planes: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    return torch.stack(
        [sum(w * plane for w, plane in zip(row, planes, strict=True)) for row in matrix.tolist()]
    )


SPACES: Mapping[str, Space] = {
    "RGB": Space(lambda image: image * 255, lambda levels: levels / 255),
    "HSV": Space(hsv_levels, rgb_from_hsv_levels),
    "LAB": Space(lab_levels, rgb_from_lab_levels),
}
