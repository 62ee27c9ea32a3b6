"""The look of an image: its brightness, its colors and its amount of detail at each scale.

Small errors of every generated frame add up over a run: the video grows harsher, softer or more saturated. A frame held
to the look of an image that the model generates from the prompt alone cannot drift far from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from deforum_helpers.image.crossfade import join_bands, split_bands
from deforum_helpers.image.types import Image

# Bands of detail that are held: 1 to 16 px. Coarser structures are the scene itself.
BANDS = 4
# Largest gain of a band in one frame, so that an empty view is not filled with grain.
LARGEST_GAIN = 1.25
# Luma and the two color differences of BT.601.
_FROM_RGB = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


@dataclass(frozen=True)
class Look:
    """The statistics of an image that frames are held to.

    Args:
        bands: root mean square of each band of brightness, finest first; in 0..1.
        means, deviations: of brightness without these bands and of the two color differences.
    """

    bands: tuple[float, ...]
    means: tuple[float, float, float]
    deviations: tuple[float, float, float]

    def towards(self, other: Look, share: float) -> Look:
        """Return the interpolation between this look, at share 0, and another, at share 1."""

        def mixed(mine: tuple[float, ...], others: tuple[float, ...]) -> tuple[float, ...]:
            return tuple((1 - share) * one + share * two for one, two in zip(mine, others, strict=True))

        means, deviations = mixed(self.means, other.means), mixed(self.deviations, other.deviations)
        return Look(
            mixed(self.bands, other.bands),
            (means[0], means[1], means[2]),
            (deviations[0], deviations[1], deviations[2]),
        )


def look_of(image: Image) -> Look:
    """Return the look of an image (3, H, W) float32 RGB 0..1."""
    return _look(*_parts(image))


def match_look(image: Image, look: Look, share: float) -> Image:
    """Return `image` moved towards a look by `share`.

    Args:
        image: (3, H, W) float32 RGB 0..1.
        look: look of an image of the same size.
        share: 0 changes nothing, 1 = reaches the look, within `LARGEST_GAIN`.
    """
    bands, planes = _parts(image)
    now = _look(bands, planes)
    bands = [
        band * _gain(size, wanted) ** share
        for band, size, wanted in zip(bands, now.bands, look.bands, strict=True)
    ]
    brightness, blue, red = (
        (plane - mean) * _gain(deviation, wanted) ** share + mean + share * (wanted_mean - mean)
        for plane, mean, deviation, wanted_mean, wanted in zip(
            planes, now.means, now.deviations, look.means, look.deviations, strict=True
        )
    )
    return _mixed(torch.cat([join_bands(bands, brightness), blue, red]), _TO_RGB).clamp_(0, 1)


def _parts(image: Image) -> tuple[list[torch.Tensor], tuple[torch.Tensor, ...]]:
    """Return the bands of brightness, and the planes: the rest of brightness and both color differences, (1, h, w)."""
    brightness, blue, red = _mixed(image, _FROM_RGB).split(1)
    bands, rest = split_bands(brightness, BANDS)
    return bands, (rest, blue, red)


def _look(bands: Sequence[torch.Tensor], planes: Sequence[torch.Tensor]) -> Look:
    sizes = tuple(float(band.square().mean().sqrt()) for band in bands)
    means, deviations = ([float(value(plane)) for plane in planes] for value in (torch.mean, torch.std))
    return Look(sizes, (means[0], means[1], means[2]), (deviations[0], deviations[1], deviations[2]))


def _gain(now: float, wanted: float) -> float:
    return min(max(wanted / max(now, 1e-6), 1 / LARGEST_GAIN), LARGEST_GAIN)


def _mixed(image: torch.Tensor, rows: tuple[tuple[float, ...], ...]) -> torch.Tensor:
    matrix = torch.tensor(rows, dtype=image.dtype, device=image.device)
    mixed = torch.einsum("ij,jhw->ihw", matrix, image)
    return mixed[None].contiguous(memory_format=torch.channels_last)[0]
