"""Color coherence: matches the histograms of an image to a reference, with a fast form on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np
import torch

from deforum_helpers.core.registry import choose
from deforum_helpers.image.bands import in_bands
from deforum_helpers.image.color_spaces import SPACES, Levels, Space
from deforum_helpers.image.convert import Bytes, Floats, clamp_pixels, from_pixels, pixels, to_bytes
from deforum_helpers.image.histograms import FINE, LEVELS, Distribution, device_shifts, distribution, shifts
from deforum_helpers.image.types import Image


def match_anywhere(image: Image, wanted: Distribution, space: Space) -> Image:
    """Return `image` with the distribution of levels `wanted`, on any device; the reference of the faster CPU form.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        wanted: distribution of the reference, in the same space.
        space: color space in which the channels are matched.
    """
    levels = space.from_rgb(image)
    table = device_shifts(_level_distribution(levels), wanted)
    step = (levels * FINE).round().long().clamp(0, LEVELS * FINE - 1)
    matched = levels + table.gather(1, step.flatten(1)).view_as(levels)
    return space.to_rgb(matched).clamp_(0, 1)[None].contiguous(memory_format=torch.channels_last)[0]


def distribution_of(image: Image, space: Space) -> Distribution:
    """Return the distribution of an image's levels in a color space.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        space: the color space.
    """
    return _level_distribution(space.from_rgb(image))


def _level_distribution(levels: Levels) -> Distribution:
    whole = (levels + 0.5).floor().long().clamp(0, LEVELS - 1)
    # bincount would synchronize with the GPU to read the largest level
    counts = torch.zeros((3, LEVELS), dtype=torch.long, device=levels.device)
    return distribution(counts.scatter_add_(1, whole.flatten(1), torch.ones_like(whole).flatten(1)))


ENTRIES = 65536
# Older OpenCV looks up 8-bit values only.
LOOKS_UP_16_BITS = int(cv2.__version__.split(".")[0]) >= 5
SPACE_OF_MODE: Mapping[str, str] = {
    "RGB": "RGB",
    "HSV": "HSV",
    "LAB": "LAB",
    "Image": "LAB",
    "Video Input": "LAB",
}


@dataclass(frozen=True, eq=False)
class ColorReference:
    """The image whose colors are matched; its histogram is computed once.

    Args:
        image: (3, H, W) float32 RGB, 0..1; any size.
        mode: "RGB", "HSV", "LAB", "Image" or "Video Input"; the last two match in LAB.
    """

    image: Image
    mode: str

    def __post_init__(self) -> None:
        choose(SPACE_OF_MODE, self.mode, "color_coherence")

    @property
    def space(self) -> str:
        """Name of the color space."""
        return SPACE_OF_MODE[self.mode]

    @cached_property
    def image_u8(self) -> Bytes:
        """The image in 8 bits, (H, W, 3)."""
        return to_bytes(self.image)

    @cached_property
    def counts(self) -> np.ndarray:
        """Pixels per channel and level, (3, 256) float64; for images on the CPU."""
        return _counts(pixels(self.image), self.space)

    @cached_property
    def distribution(self) -> Distribution:
        """Distribution of the levels, on the image's device."""
        return distribution_of(self.image, SPACES[self.space])


def match_color(image: Image, reference: ColorReference) -> Image:
    """Return `image` with the colors of the reference: each channel's histogram becomes the reference's.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        reference: reference on the same device.
    """
    if image.device.type == "cpu":
        return from_pixels(_matched_pixels(pixels(image), reference))
    return match_anywhere(image, reference.distribution, SPACES[reference.space])


# On the CPU OpenCV converts. Its conversion from sRGB to LAB reads a table and is off by up to half a level, so the
# gamma is removed here; the rest of OpenCV's conversion is exact to 0.03 of a level in both directions.

NATIVE_PER_LEVEL: Mapping[str, tuple[float, float, float]] = {
    "RGB": (1 / 255, 1 / 255, 1 / 255),
    "HSV": (2.0, 1 / 255, 1 / 255),
    "LAB": (1 / 2.55, 1.0, 1.0),
}
NATIVE_ZERO: Mapping[str, tuple[float, float, float]] = {
    "RGB": (0.0, 0.0, 0.0),
    "HSV": (0.0, 0.0, 0.0),
    "LAB": (0.0, -128.0, -128.0),
}


def _native(rgb: Floats, space: str, into: Floats | None = None) -> Floats:
    """Return (H, W, 3) RGB in OpenCV's float32 form of a space: RGB unchanged, others written `into` an array."""
    if space == "RGB":
        return rgb
    if space == "HSV":
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV, dst=into))
    entries = cv2.addWeighted(rgb, ENTRIES - 1, rgb, 0, 0, dtype=cv2.CV_16U)
    return np.asarray(cv2.cvtColor(_looked_up(entries, _linear_light()), cv2.COLOR_LRGB2LAB, dst=into))


def _to_rgb(native: Floats, space: str, into: Floats) -> Floats:
    """Write OpenCV's form of HSV or LAB as RGB `into` an array; colors outside the gamut may lie outside 0..1."""
    return np.asarray(
        cv2.cvtColor(native, cv2.COLOR_LAB2RGB if space == "LAB" else cv2.COLOR_HSV2RGB, dst=into)
    )


@cache
def _linear_light() -> Floats:
    """Return the linear light of 65,536 sRGB values 0..1 (IEC 61966-2-1)."""
    encoded = np.linspace(0, 1, ENTRIES)
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


def _looked_up(entries: np.ndarray, table: Floats) -> Floats:
    """Return the entries (H, W, 3) of a table of 65,536 values at uint16 indices."""
    if LOOKS_UP_16_BITS:
        return np.asarray(cv2.LUT(entries, table))
    return np.take(table, entries, mode="clip")


def _steps(native: Floats, space: str) -> np.ndarray:
    """Return the index of each value in a flat table of 3 · 4096 shifts: (H, W, 3) uint16."""
    matrix = np.zeros((3, 4))
    for channel in range(3):
        scale = FINE / NATIVE_PER_LEVEL[space][channel]
        first = channel * LEVELS * FINE
        matrix[channel, channel] = scale
        matrix[channel, 3] = first + 0.5 - scale * NATIVE_ZERO[space][channel]
    return cv2.transform(native, matrix).astype(np.uint16)


def _histogram(steps: np.ndarray) -> np.ndarray:
    levels = ((steps + FINE // 2) // FINE).astype(np.uint8)
    counts = [cv2.calcHist([levels], [channel], None, [LEVELS], [0, LEVELS]) for channel in range(3)]
    return np.stack([count.ravel() for count in counts])


def _counts(rgb: Floats, space: str) -> np.ndarray:
    parts: list[np.ndarray] = []
    in_bands(lambda band: parts.append(_histogram(_steps(_native(rgb[band], space), space))), *rgb.shape[:2])
    return np.asarray(np.sum(parts, axis=0, dtype=np.float64))


def _matched_pixels(rgb: Floats, reference: ColorReference) -> Floats:
    space = reference.space
    steps = np.empty(rgb.shape, np.uint16)
    native = rgb if space == "RGB" else np.empty_like(rgb)
    parts: list[np.ndarray] = []

    def measure(band: slice) -> None:
        steps[band] = _steps(_native(rgb[band], space, native[band]), space)
        parts.append(_histogram(steps[band]))

    in_bands(measure, *rgb.shape[:2])
    table = np.zeros(ENTRIES, np.float32)
    moves = shifts(np.sum(parts, axis=0, dtype=np.float64), reference.counts)
    table[: moves.size] = (moves * np.array(NATIVE_PER_LEVEL[space], np.float32)[:, None]).reshape(-1)
    matched = np.empty_like(rgb)

    def move(band: slice) -> None:
        shifted = _looked_up(steps[band], table)
        if space == "RGB":
            cv2.add(rgb[band], shifted, dst=matched[band])
        else:
            _to_rgb(cv2.add(native[band], shifted, dst=shifted), space, matched[band])
        clamp_pixels(matched[band])

    in_bands(move, *rgb.shape[:2])
    return matched
