"""Noise that is mixed into the init image, from which the model generates new detail.

The field comes from one seed on the CPU, so every device gets the same: Gaussian values on the largest size whose sides
are multiples of 64, scaled by slow hills for "perlin", then enlarged to the image by nearest neighbors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.stride_tricks import sliding_window_view

from deforum_helpers.core.registry import choose
from deforum_helpers.image.convert import clamp_pixels, from_pixels, pixels
from deforum_helpers.image.transfers import to_device
from deforum_helpers.image.types import Image

Field: TypeAlias = npt.NDArray[np.float32]

BLOCK_PX = 64
BASE_CELLS = 8
ONE_THREAD_PRODUCT = 250_000
KINDS = {"uniform": False, "perlin": True}


def add_noise(
    image: Image,
    *,
    kind: str,
    amount: float,
    seed: int,
    octaves: int,
    persistence: float,
    mask: torch.Tensor | None = None,
    field: torch.Tensor | None = None,
) -> Image:
    """Return `image` mixed with noise: image · (1 - amount) + noise · amount.

    Args:
        image: (3, H, W) float32 RGB, 0..1, any size.
        kind: "uniform" is plain Gaussian noise; "perlin" varies its strength by slow hills and valleys.
        amount: share of the noise, 0..1.
        seed: seed of the field.
        octaves: layers of hills, the first with 8 cells per side, each with twice as many as the one before.
        persistence: strength of a layer relative to the one before.
        mask: (H, W) float32 0..1 on the image's device, 0 = unchanged. None = everywhere.
        field: the result of `mixed_field` for these values, on the image's device; None = it is made here.

    Raises:
        UnknownName: unknown kind.
    """
    choose(KINDS, kind, "noise_type")
    if amount == 0:
        return image.clone(memory_format=torch.preserve_format)
    height_px, width_px = image.shape[1:]
    if field is None:
        field = mixed_field(
            height_px, width_px, kind=kind, seed=seed, octaves=octaves, persistence=persistence
        )
        field = to_device(field, image.device)
    if image.device.type == "cpu":
        own = pixels(field)
        noisy = from_pixels(cv2.addWeighted(pixels(image), 1 - amount, own, amount, 0.0, dst=own))
    else:
        noisy = image * (1 - amount) + field * amount
    return noisy if mask is None else torch.lerp(image, noisy, mask[None].to(image.dtype))


def mixed_field(
    height_px: int, width_px: int, *, kind: str, seed: int, octaves: int, persistence: float
) -> Image:
    """Return the noise that `add_noise` mixes in, (3, H, W) float32 0..1 on the CPU; the arguments are its."""
    field = noise_field(height_px, width_px, seed, octaves if KINDS[kind] else 0, persistence)
    field += 0.5
    return from_pixels(clamp_pixels(field))


def noise_field(height_px: int, width_px: int, seed: int, octaves: int, persistence: float) -> Field:
    """Return (H, W, 3) float32 Gaussian noise about 0 with deviation 1/2.

    Args:
        height_px, width_px: size of the image.
        seed: seed of torch's CPU generator, 0..2**64-1.
        octaves: layers of hills, 0 = none.
        persistence: strength of a layer relative to the one before.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    tall, wide = (max(BLOCK_PX, side - side % BLOCK_PX) for side in (height_px, width_px))
    planes = torch.randn((3, tall, wide), generator=generator).numpy()
    strength: Field | float = 0.5
    if octaves > 0:
        hills = perlin_hills(tall, wide, octaves, persistence, generator)
        hills += 1
        hills *= 0.25
        strength = hills
    planes *= strength
    field = cv2.merge(list(planes))
    if (tall, wide) == (height_px, width_px):
        return field
    rows = np.arange(height_px) * tall // height_px
    columns = np.arange(width_px) * wide // width_px
    return field[rows[:, None], columns]


def perlin_hills(
    height_px: int, width_px: int, octaves: int, persistence: float, generator: torch.Generator
) -> Field:
    """Return (H, W) float32 fractal Perlin noise, the sum over octaves k of persistence**k · layer_k.

    A layer is bilinear in its gradients: with F the fade weights and D the same times the distance to the corner, it is
    √2 (D_rows · G_down · F_columnsᵀ + F_rows · G_across · D_columnsᵀ). Each of the 8 coarse columns depends on
    few corners of each layer, all in the same way, so one product of small matrices computes all layers.

    Args:
        height_px, width_px: size, the width a multiple of 8.
        octaves: number of layers, >= 1; layer k has 8 · 2**k cells along each side.
        persistence: strength of a layer relative to the one before.
        generator: source of the gradients' angles, layer by layer.
    """
    left = []
    for octave in range(octaves):
        cells = BASE_CELLS * 2**octave
        angles = 2 * np.pi * torch.rand((cells + 1, cells + 1), generator=generator).numpy()
        strength = float(np.sqrt(2) * persistence**octave)
        fade_rows, slope_rows = _fades(height_px, cells)
        for corners, gradients in ((slope_rows, np.cos(angles)), (fade_rows, np.sin(angles))):
            mixed = corners.between(strength * gradients)
            left += [sliding_window_view(mixed, 2**octave + 1, axis=1)[:, :: 2**octave]]
    columns = _columns(width_px // BASE_CELLS, octaves)
    return _product(np.concatenate(left, axis=2).reshape(-1, len(columns)), columns).reshape(
        height_px, width_px
    )


def _product(left: Field, right: Field) -> Field:
    """Return left @ right in pieces so small that BLAS stays on one thread; starting its others takes longer."""
    product = np.empty((len(left), right.shape[1]), np.float32)
    rows = max(1, ONE_THREAD_PRODUCT // right.size)
    for top in range(0, len(left), rows):
        np.matmul(left[top : top + rows], right, out=product[top : top + rows])
    return product


@dataclass(frozen=True)
class Corners:
    """The weights of each pixel along a side for the two corners of its cell: (side,) arrays."""

    cell: npt.NDArray[np.int64]
    near: Field
    far: Field

    def between(self, values: npt.NDArray[np.floating]) -> Field:
        """Return (side, n) interpolations of the (cells + 1, n) values of the corners."""
        corners = values.astype(np.float32)
        mixed = corners.take(self.cell, axis=0)
        mixed *= self.near[:, None]
        beyond = corners.take(self.cell + 1, axis=0)
        beyond *= self.far[:, None]
        mixed += beyond
        return mixed

    def matrix(self, corners: int) -> Field:
        """Return `between` as a (side, corners) matrix."""
        pixel = np.arange(len(self.cell))
        matrix = np.zeros((len(self.cell), corners), np.float32)
        matrix[pixel, self.cell] = self.near
        matrix[pixel, self.cell + 1] = self.far
        return matrix


@lru_cache(maxsize=8)
def _columns(width_px: int, octaves: int) -> Field:
    """Return the fades and slopes of all octaves over one coarse column, (2 · its corners, width) float32."""
    layers = [2**octave for octave in range(octaves)]
    matrices = [corners.matrix(cells + 1) for cells in layers for corners in _fades(width_px, cells)]
    return np.ascontiguousarray(np.hstack(matrices).T)


@lru_cache(maxsize=64)
def _fades(side_px: int, cells: int) -> tuple[Corners, Corners]:
    """Return the fade weights of each pixel along a side, and the weights times the distances to the corners in cells.

    The fade is 6t⁵ - 15t⁴ + 10t³.
    """
    place = np.arange(side_px) * (cells / side_px)
    cell = place.astype(np.int64)
    t = place - cell
    fade = t * t * t * (t * (t * 6 - 15) + 10)
    near, far = 1 - fade, fade
    return (
        Corners(cell, near.astype(np.float32), far.astype(np.float32)),
        Corners(cell, (near * t).astype(np.float32), (far * (t - 1)).astype(np.float32)),
    )
