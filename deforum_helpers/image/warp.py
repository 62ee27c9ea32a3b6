"""Sampling an image at given coordinates: the one resampling of every camera move.

On the CPU OpenCV's `remap` samples if it interpolates exactly. Older versions round coordinates to 1/32 of a pixel,
which becomes visible after some frames; with those, and on a GPU, torch's `grid_sample` does. Both use the bicubic
kernel with a = -0.75.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from deforum_helpers.camera.projection import (
    FARTHEST_PX,
    Lens,
    inverse,
    lens,
    sampling_lines_2d,
    sampling_maps,
    sampling_maps_2d,
)
from deforum_helpers.camera.types import Matrix, Plane
from deforum_helpers.core.registry import choose
from deforum_helpers.image.bands import in_bands
from deforum_helpers.image.convert import Floats, clamp_pixels, from_pixels, pixels
from deforum_helpers.image.surface import SurfaceView
from deforum_helpers.image.transfers import to_device
from deforum_helpers.image.types import Depth, Image

Sampling = Literal["bicubic", "bilinear", "nearest"]
Padding = Literal["border", "reflection", "zeros", "wrap"]

INTERPOLATIONS = {"bicubic": cv2.INTER_CUBIC, "bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}
BORDERS = {
    "border": cv2.BORDER_REPLICATE,
    "reflection": cv2.BORDER_REFLECT,
    "zeros": cv2.BORDER_CONSTANT,
    "wrap": cv2.BORDER_WRAP,
}
LARGEST_REMAP_PX = 32766


def sample_cpu(image: Image, map_x: Plane, map_y: Plane, sampling: Sampling, padding: Padding) -> Image:
    """Return `image` sampled at (map_x, map_y), clamped to 0..1, on the CPU.

    Args:
        image: (3, H, W) float32 RGB on the CPU.
        map_x, map_y: (H', W') float32 columns and rows in pixels, (0, 0) = center of the first pixel; finite.
        sampling: interpolation.
        padding: content outside the image: its edge, its mirror image, black, or its other side.
    """
    if max(image.shape[1:]) > LARGEST_REMAP_PX or not remap_is_exact():
        return sample(image, torch.from_numpy(map_x), torch.from_numpy(map_y), sampling, padding)
    height_px, width_px = image.shape[1:]
    if padding in ("reflection", "wrap"):
        map_x, map_y = (
            _folded(along, side, mirrored=padding == "reflection")
            for along, side in ((map_x, width_px), (map_y, height_px))
        )
    rgb = pixels(image)
    sampled = np.empty((*map_x.shape, rgb.shape[2]), np.float32)

    def sample_rows(band: slice) -> None:
        cv2.remap(
            rgb,
            map_x[band],
            map_y[band],
            INTERPOLATIONS[sampling],
            dst=sampled[band],
            borderMode=BORDERS[padding],
        )
        if sampling == "bicubic":
            clamp_pixels(sampled[band])

    in_bands(sample_rows, *map_x.shape)
    return from_pixels(sampled)


def sample(
    image: Image, map_x: torch.Tensor, map_y: torch.Tensor, sampling: Sampling, padding: Padding
) -> Image:
    """Return `image` sampled at (map_x, map_y), clamped to 0..1, on any device.

    Args:
        image: (3, H, W) float32 RGB.
        map_x, map_y: (H', W') float32 columns and rows in pixels, on the image's device; finite.
        sampling: interpolation.
        padding: content outside the image.
    """
    height_px, width_px = image.shape[1:]
    if padding == "wrap":
        image, map_x, map_y = _tiled(image, map_x, map_y)
        height_px, width_px = image.shape[1:]
    grid = torch.stack([(2 * map_x + 1) / width_px - 1, (2 * map_y + 1) / height_px - 1], -1)
    sampled = F.grid_sample(
        image[None],
        grid[None],
        mode=sampling,
        padding_mode="border" if padding == "wrap" else padding,
        align_corners=False,
    )
    return sampled.clamp_(0, 1).contiguous(memory_format=torch.channels_last)[0]


@lru_cache(maxsize=1)
def remap_is_exact() -> bool:
    """Tell by a small test whether OpenCV's `remap` interpolates at the exact coordinates."""
    steps = np.linspace(2, 13, 40, dtype=np.float32)
    across, down = np.meshgrid(steps, steps)
    row = np.linspace(0, 1, 16, dtype=np.float32)
    ramp: Floats = np.repeat(np.tile(row, (16, 1))[..., None], 3, axis=2)
    columns, rows = torch.from_numpy(across), torch.from_numpy(down)
    wanted = sample(from_pixels(ramp), columns, rows, "bicubic", "border")
    cubic, linear = (
        cv2.remap(ramp, across, down, INTERPOLATIONS[name], borderMode=cv2.BORDER_REPLICATE)
        for name in ("bicubic", "bilinear")
    )
    worst = max(np.abs(cubic - pixels(wanted)).max(), np.abs(linear[..., 0] - across / 15).max())
    return bool(worst < 1e-5)


def _folded(along: Plane, side_px: int, *, mirrored: bool) -> Plane:
    """Return equivalent coordinates within one period of the repeated or mirrored image."""
    if -side_px <= along.min() and along.max() <= 2 * side_px - 1:
        return along
    period = np.float32(2 * side_px if mirrored else side_px)
    return np.mod(along + np.float32(0.5), period) - np.float32(0.5)


def _tiled(
    image: Image, map_x: torch.Tensor, map_y: torch.Tensor
) -> tuple[Image, torch.Tensor, torch.Tensor]:
    """Return `image` padded with pixels of its opposite sides, and the coordinates in it."""
    height_px, width_px = image.shape[1:]
    rows = torch.arange(-2, height_px + 3, device=image.device) % height_px
    columns = torch.arange(-2, width_px + 3, device=image.device) % width_px
    return image[:, rows][:, :, columns], map_x % width_px + 2, map_y % height_px + 2


PADDINGS_2D: dict[str, Padding] = {"replicate": "border", "wrap": "wrap"}
PADDINGS: dict[str, Padding] = {"border": "border", "reflection": "reflection", "zeros": "zeros"}
SAMPLINGS: dict[str, Sampling] = {"bicubic": "bicubic", "bilinear": "bilinear", "nearest": "nearest"}


def warp_2d(image: Image, dst_from_src: Matrix, border: str, sampling_mode: str = "bilinear") -> Image:
    """Return `image` warped by a 2D move.

    With dst_from_src = [[1, 0, 3], [0, 1, 0], [0, 0, 1]] the content moves three pixels to the right.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        dst_from_src: (3, 3) from `camera.matrix_2d.move_matrix`; zoom 0 leaves only the first pixel's color.
        border: "replicate" repeats the edge, "wrap" continues on the other side.
        sampling_mode: "bicubic", "bilinear" or "nearest".

    Raises:
        UnknownName: unknown border or sampling mode.
    """
    sampling = choose(SAMPLINGS, sampling_mode, "sampling_mode")
    padding = choose(PADDINGS_2D, border, "border")
    if not dst_from_src[:, :2].any():
        return image[None, :, :1, :1].expand(1, *image.shape).contiguous(memory_format=torch.channels_last)[0]
    height_px, width_px = image.shape[1:]
    size_px, src_from_dst = (width_px, height_px), inverse(dst_from_src)
    if image.device.type == "cpu":
        return sample_cpu(image, *sampling_maps_2d(size_px, src_from_dst), sampling, padding)
    return sample(image, *_maps_2d(size_px, src_from_dst, image.device), sampling, padding)


def warp_3d(
    image: Image,
    depth: Depth | None,
    next_from_prev: Matrix,
    *,
    fov_deg: float,
    aspect: float,
    padding_mode: str,
    sampling_mode: str,
    flip_dst_from_src: Matrix | None = None,
) -> Image:
    """Return `image` warped by a 3D move of the classic camera.

    At depth 1, fov 70 degrees and aspect 1, translation_x = 20 moves the content 0.0714 widths to the left.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        depth: (H, W) float32 on the image's device, larger = farther, or None for a plane at depth 1.
        next_from_prev: (4, 4) from `camera.pose.next_from_prev`.
        fov_deg: field of view, degrees; negative reverses the motion.
        aspect: divides horizontal motion.
        padding_mode: "border", "reflection" or "zeros".
        sampling_mode: "bicubic", "bilinear" or "nearest".
        flip_dst_from_src: (3, 3) perspective flip before the move, or None.

    Raises:
        UnknownName: unknown padding or sampling mode.
        SettingsError: the field of view or the aspect ratio is invalid.
    """
    padding = choose(PADDINGS, padding_mode, "padding_mode")
    sampling = choose(SAMPLINGS, sampling_mode, "sampling_mode")
    height_px, width_px = image.shape[1:]
    size_px = (width_px, height_px)
    optics = lens(fov_deg, aspect, size_px)
    if image.device.type == "cpu":
        z = None if depth is None else depth.detach().contiguous().numpy()
        maps = sampling_maps(z, size_px, next_from_prev, optics, flip_dst_from_src)
        return sample_cpu(image, *maps, sampling, padding)
    z_plane = torch.ones((1, 1), device=image.device) if depth is None else depth
    return sample(
        image, *_maps(z_plane, size_px, next_from_prev, optics, flip_dst_from_src), sampling, padding
    )


def sample_surface(image: torch.Tensor, surface: SurfaceView, sampling_mode: str) -> torch.Tensor:
    """Return `image` (C, H, W) float32 as the camera sees it after a move; revealed areas have arbitrary colors.

    Args:
        image: (C, H, W) float32, 0..1.
        surface: the camera's view of its depth surface.
        sampling_mode: "bicubic", "bilinear" or "nearest".

    Raises:
        UnknownName: unknown sampling mode.
    """
    sampling = choose(SAMPLINGS, sampling_mode, "sampling_mode")
    edges = surface.behind | surface.before
    # Next to a depth edge a kernel would mix near and far colors, a little more at every frame: nearest pixel instead.
    if image.device.type == "cpu":
        moved = sample_cpu(image, surface.map_x.numpy(), surface.map_y.numpy(), sampling, "border")
        lines, columns = torch.where(edges)
        moved[:, lines, columns] = _nearest(image, surface.map_x[edges], surface.map_y[edges])
    else:
        moved = sample(image, surface.map_x, surface.map_y, sampling, "border")
        moved = torch.where(edges, _nearest(image, surface.map_x, surface.map_y), moved)
    return moved[None].contiguous(memory_format=torch.channels_last)[0]


def _nearest(image: torch.Tensor, columns: torch.Tensor, lines: torch.Tensor) -> torch.Tensor:
    """Return the pixels of `image` that are nearest to places in it; those outside are moved to the border."""
    height_px, width_px = image.shape[1:]
    return image[
        :, lines.round().clamp(0, height_px - 1).long(), columns.round().clamp(0, width_px - 1).long()
    ]


def _maps(
    z: torch.Tensor, size_px: tuple[int, int], next_from_prev: Matrix, optics: Lens, flip: Matrix | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the columns and rows to sample at, (H, W) float32 on z's device; the torch form of `sampling_maps`."""
    width_px, height_px = size_px
    columns = torch.arange(width_px, dtype=torch.float32, device=z.device)
    rows = torch.arange(height_px, dtype=torch.float32, device=z.device)[:, None]
    x = torch.linspace(-1, 1, width_px, device=z.device)
    y = torch.linspace(-1, 1, height_px, device=z.device)[:, None]
    x_then, y_then, z_then = (a * x + b * y + c * z + d for a, b, c, d in next_from_prev[:3].tolist())
    map_x = columns - optics.scale_x_px * (x_then / z_then - x / z)
    map_y = rows - optics.scale_y_px * (y_then / z_then - y / z)
    if flip is not None:
        a, b, c = inverse(flip).tolist()
        weight = c[0] * map_x + c[1] * map_y + c[2]
        map_x, map_y = ((line[0] * map_x + line[1] * map_y + line[2]) / weight for line in (a, b))
    return _finite(map_x), _finite(map_y)


def _maps_2d(
    size_px: tuple[int, int], src_from_dst: Matrix, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the columns and rows to sample at, (H, W) float32 on `device`; the torch form of `sampling_maps_2d`."""
    lines = torch.from_numpy(np.concatenate(sampling_lines_2d(size_px, src_from_dst), axis=1))
    down, along = to_device(lines, device).split([size_px[1], size_px[0]], dim=1)
    map_x, map_y, weight = down[:, :, None] + along[:, None, :]
    if not np.array_equal(src_from_dst[2], (0, 0, 1)):
        map_x, map_y = map_x / weight, map_y / weight
    return _finite(map_x), _finite(map_y)


def _finite(coordinates: torch.Tensor) -> torch.Tensor:
    bounded = coordinates.nan_to_num(nan=FARTHEST_PX, posinf=FARTHEST_PX, neginf=-FARTHEST_PX)
    return bounded.clamp(-FARTHEST_PX, FARTHEST_PX)
