"""Color coherence: matches the histograms of an image to a reference, with a fast form on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch

from deforum_helpers.core.registry import choose
from deforum_helpers.image.bands import in_bands
from deforum_helpers.image.convert import Floats, clamp_pixels, from_pixels, pixels
from deforum_helpers.image.transfers import constant
from deforum_helpers.image.types import Image

LEVELS = 256
FINE = 16


def shifts(counts: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the shift of each value in levels: (C, 256 · 16) float32, at every sixteenth of a level.

    Pixels at the levels 10 and 20 in equal numbers, matched to 30 and 50, shift by 20 and 30 levels.

    Args:
        counts: (C, 256) pixels per channel and level of the image; no channel is empty.
        wanted: (C, 256) the same for the reference.
    """
    return np.stack([_channel_shifts(*pair) for pair in zip(counts, wanted, strict=True)])


def _channel_shifts(
    counts: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    levels, wanted_levels = np.flatnonzero(counts), np.flatnonzero(wanted)
    share = np.cumsum(counts)[levels] / counts.sum()
    wanted_share = np.cumsum(wanted)[wanted_levels] / wanted.sum()
    moved = np.interp(share, wanted_share, wanted_levels) - levels
    return np.interp(np.arange(LEVELS * FINE) / FINE, levels, moved).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Distribution:
    """The distribution of the values of three channels.

    Args:
        occurs: (3, 256) bool, which levels occur.
        reached: (3, 256) int64, number of pixels up to each level.
        before: (3, 256) int64, the last level before each one that occurs, -1 = none.
    """

    occurs: torch.Tensor
    reached: torch.Tensor
    before: torch.Tensor


def distribution(counts: torch.Tensor) -> Distribution:
    """Return the distribution for (3, 256) counts of pixels per level."""
    return Distribution(counts > 0, counts.long().cumsum(1), _last_before(counts > 0))


def device_shifts(source: Distribution, reference: Distribution) -> torch.Tensor:
    """Return the shift of each value in levels: (3, 256 · 16) float32, at every sixteenth of a level.

    Args:
        source: distribution of the image.
        reference: distribution of the reference.
    """
    level = torch.arange(LEVELS, device=source.reached.device)
    # Shares of the pixels as whole numbers, multiplied by both totals: exact, where float32 would not be.
    source_share = source.reached * reference.reached[:, -1:]
    reference_share = reference.reached * source.reached[:, -1:]
    right = torch.searchsorted(reference_share, source_share).clamp(max=LEVELS - 1)
    left = reference.before.gather(1, right)
    left = torch.where(left < 0, right, left)
    high, low = reference_share.gather(1, right), reference_share.gather(1, left)
    part = torch.where(left < right, (source_share - low) / (high - low), 0.0)
    moved = (left + (right - left) * part - level) * source.occurs
    return _every_sixteenth(_between_occurring(moved, source))


def _between_occurring(moved: torch.Tensor, source: Distribution) -> torch.Tensor:
    """Return the shifts with levels that do not occur interpolated from their neighbors."""
    level = torch.arange(LEVELS, device=moved.device).expand_as(source.before)
    last = LEVELS - 1
    after = last - _last_before(source.occurs.flip(1)).flip(1)
    before = torch.where(source.before < 0, after.clamp(max=last), source.before)
    after = torch.where(after > last, before, after)
    part = torch.where(after > before, (level - before) / (after - before).clamp(min=1), 0.0)
    filled = torch.lerp(moved.gather(1, before), moved.gather(1, after), part.to(moved.dtype))
    return torch.where(source.occurs, moved, filled)


def _every_sixteenth(moved: torch.Tensor) -> torch.Tensor:
    following = torch.cat([moved[:, 1:], moved[:, -1:]], 1)
    part = torch.arange(FINE, device=moved.device) / FINE
    return (moved[..., None] + (following - moved)[..., None] * part).reshape(3, -1).to(torch.float32)


def _last_before(occurs: torch.Tensor) -> torch.Tensor:
    """Return the last level before each one that occurs, -1 = none: (3, 256) int64."""
    level = torch.arange(LEVELS, device=occurs.device)
    last = torch.where(occurs, level, -1).cummax(1).values
    return torch.cat([torch.full_like(last[:, :1], -1), last[:, :-1]], 1)


Levels: TypeAlias = torch.Tensor

Matrix3: TypeAlias = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]

XYZ_FROM_RGB: Matrix3 = (
    (0.412453 / 0.950456, 0.357580 / 0.950456, 0.180423 / 0.950456),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.088754, 0.119193 / 1.088754, 0.950227 / 1.088754),
)
LAB_BEND = 6 / 29
# L is 116 y - 16 of 0..100, a is 500 (x - y) and b is 200 (y - z), by the curved x, y and z.
LAB_LEVELS_FROM_CURVED: Matrix3 = ((0.0, 116 * 2.55, 0.0), (500.0, -500.0, 0.0), (0.0, 200.0, -200.0))
LAB_LEVELS_OF_BLACK = (-16 * 2.55, 128.0, 128.0)


@dataclass(frozen=True)
class Space:
    """A color space as two conversions of (3, H, W) float32 tensors: RGB 0..1 to levels, and back, unclamped."""

    from_rgb: Callable[[Image], Levels]
    to_rgb: Callable[[Levels], Image]


def lab_levels(image: Image) -> Levels:
    """Return an RGB image in LAB levels; white is (255, 128, 128)."""
    curved = _lab_curve(_mixed(_linear(image), XYZ_FROM_RGB))
    return _mixed(curved, LAB_LEVELS_FROM_CURVED) + _planes(LAB_LEVELS_OF_BLACK, image.device)


def rgb_from_lab_levels(levels: Levels) -> Image:
    """Return LAB levels as RGB; colors outside the gamut lie outside 0..1."""
    curved = _mixed(levels - _planes(LAB_LEVELS_OF_BLACK, levels.device), _inverse(LAB_LEVELS_FROM_CURVED))
    below = 3 * LAB_BEND**2 * (curved - 4 / 29)
    xyz = torch.where(curved > LAB_BEND, curved.clamp(min=0) ** 3, below)
    return _encoded(_mixed(xyz, _inverse(XYZ_FROM_RGB)))


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


def _mixed(planes: torch.Tensor, matrix: Matrix3) -> torch.Tensor:
    """Return matrix · planes; a sum instead of a product of matrices, which GPUs may round to ten bits."""
    red, green, blue = (_planes(column, planes.device) for column in zip(*matrix, strict=True))
    return torch.addcmul(torch.addcmul(red * planes[0], green, planes[1]), blue, planes[2])


def _planes(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    return constant(values, device)[:, None, None]


@cache
def _inverse(matrix: Matrix3) -> Matrix3:
    rows = np.linalg.inv(np.array(matrix, np.float64)).tolist()
    return tuple(rows[0]), tuple(rows[1]), tuple(rows[2])


SPACES: Mapping[str, Space] = {
    "RGB": Space(lambda image: image * 255, lambda levels: levels / 255),
    "HSV": Space(hsv_levels, rgb_from_hsv_levels),
    "LAB": Space(lab_levels, rgb_from_lab_levels),
}


def match_anywhere(image: Image, wanted: Distribution, space: Space) -> Image:
    """Return `image` with the distribution of levels `wanted`, on any device; the reference of the faster CPU form.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        wanted: distribution of the reference, in the same space.
        space: color space in which the channels are matched.
    """
    levels = space.from_rgb(image)
    table = device_shifts(distribution(_level_counts(levels)), wanted)
    step = (levels * FINE).round().long().clamp(0, LEVELS * FINE - 1)
    matched = levels + table.gather(1, step.flatten(1)).view_as(levels)
    return space.to_rgb(matched).clamp_(0, 1)[None].contiguous(memory_format=torch.channels_last)[0]


def distribution_of(image: Image, space: Space) -> Distribution:
    """Return the distribution of an image's levels in a color space.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        space: the color space.
    """
    return distribution(_level_counts(space.from_rgb(image)))


def _level_counts(levels: Levels) -> torch.Tensor:
    """Return the pixels per channel and level, (3, 256) int64."""
    whole = (levels + 0.5).floor().long().clamp(0, LEVELS - 1)
    # bincount would synchronize with the GPU to read the largest level
    counts = torch.zeros((3, LEVELS), dtype=torch.long, device=levels.device)
    return counts.scatter_add_(1, whole.flatten(1), torch.ones_like(whole).flatten(1))


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
    """The colors that images are matched to: how often each level of each channel occurs.

    Args:
        counts: (3, 256) int64, pixels per channel and level of the reference, on the device of the images.
        mode: "RGB", "HSV", "LAB", "Image" or "Video Input"; the last two match in LAB.

    Raises:
        UnknownName: unknown mode.
    """

    counts: torch.Tensor
    mode: str

    def __post_init__(self) -> None:
        choose(SPACE_OF_MODE, self.mode, "color_coherence")

    @classmethod
    def of(cls, image: Image, mode: str) -> ColorReference:
        """Return the reference with the colors of an image.

        Args:
            image: (3, H, W) float32 RGB, 0..1; any size.
            mode: as above.
        """
        space = choose(SPACE_OF_MODE, mode, "color_coherence")
        if image.device.type != "cpu":
            return cls(_level_counts(SPACES[space].from_rgb(image)), mode)
        return cls(torch.from_numpy(_counts(pixels(image), space).astype(np.int64)), mode)

    @property
    def space(self) -> str:
        """Name of the color space."""
        return SPACE_OF_MODE[self.mode]

    @cached_property
    def saved(self) -> npt.NDArray[np.int64]:
        """The counts on the CPU: all that a resume state keeps of the reference."""
        return self.counts.cpu().numpy()

    @cached_property
    def distribution(self) -> Distribution:
        """Distribution of the levels, on the device of the images."""
        return distribution(self.counts)


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
    # Holds the image in the space, then the result: one more image would not stay in the cache.
    native = np.empty_like(rgb)
    parts: list[np.ndarray] = []

    def measure(band: slice) -> None:
        steps[band] = _steps(_native(rgb[band], space, native[band]), space)
        parts.append(_histogram(steps[band]))

    in_bands(measure, *rgb.shape[:2])
    table = np.zeros(ENTRIES, np.float32)
    moves = shifts(np.sum(parts, axis=0, dtype=np.float64), reference.saved.astype(np.float64))
    table[: moves.size] = (moves * np.array(NATIVE_PER_LEVEL[space], np.float32)[:, None]).reshape(-1)

    def move(band: slice) -> None:
        shifted = _looked_up(steps[band], table)
        if space == "RGB":
            cv2.add(rgb[band], shifted, dst=native[band])
        else:
            _to_rgb(cv2.add(native[band], shifted, dst=shifted), space, native[band])
        clamp_pixels(native[band])

    in_bands(move, *rgb.shape[:2])
    return native
