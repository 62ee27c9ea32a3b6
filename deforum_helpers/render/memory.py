"""Scene memory: the points of the scene that earlier frames have shown, projected where the camera reveals them again.

After each step the last frame is added: its pixels replace all points that it shows and all that it sees through.
Points outside its view, or behind its surface, stay. So the memory holds the newest color of every place. Beyond its
bound the points seen longest ago are dropped first, and of those the ones that look smallest from the camera.

A memory is a value that follows from the frames and the plan alone, so a resumed run rebuilds it from its frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch

from deforum_helpers.camera.types import Matrix
from deforum_helpers.image.convert import from_bytes, to_bytes
from deforum_helpers.image.surface import far_edges
from deforum_helpers.image.types import Depth, Image

# Position, color, size, step.
BYTES_PER_POINT = 12 + 3 + 4 + 4
# Largest distance from a surface, as a share of its depth, at which a point counts as part of it.
SAME_SHARE = 0.03
# Points are splatted a little larger than their pixels, so that no gaps open between them.
OVERLAP = 1.3
LARGEST_POINT_PX = 4.0
LEAST_SHARED = 0.05
SMALLEST_DETERMINANT = 1e-12
HALF_LIFE_FRAMES = 240.0

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SceneMemory:
    """Points of the scene, in the space of the first frame's camera.

    Args:
        positions: (N, 3) float32 positions in scene units.
        colors: (N, 3) uint8 RGB.
        sizes: (N,) float32, side of each point's pixel in scene units.
        seen: (N,) int32, number of the last frame that showed each point.
        fit: scale and shift from the inverse depth of an estimate to the memory's.
        forgot: whether points were dropped because of the bound.
    """

    positions: Floats
    colors: npt.NDArray[np.uint8]
    sizes: Floats
    seen: npt.NDArray[np.int32]
    fit: tuple[float, float] = (1.0, 0.0)
    forgot: bool = False

    @property
    def size_bytes(self) -> int:
        return len(self.positions) * BYTES_PER_POINT

    def rescaled(self, depth: Depth) -> Depth:
        """Return an estimated depth (H, W) in the memory's scale."""
        scale, shift = self.fit
        if self.fit == (1.0, 0.0):
            return depth
        inverse = 1 / depth
        return 1 / (scale * inverse + shift).clamp(min=float(inverse.min()) * scale * 0.1)


@dataclass(frozen=True)
class RecalledView:
    """The memory as a camera sees it.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        known: (H, W) bool, pixels that the memory shows.
        age: (H, W) float32, frames since each was last seen.
    """

    image: Image
    known: torch.Tensor
    age: torch.Tensor


def empty_memory() -> SceneMemory:
    """Return a memory without points."""
    return SceneMemory(
        np.zeros((0, 3), np.float32),
        np.zeros((0, 3), np.uint8),
        np.zeros(0, np.float32),
        np.zeros(0, np.int32),
    )


def add_frame(
    memory: SceneMemory,
    frame: int,
    image: Image,
    depth: Depth,
    pose: Matrix,
    intrinsics: Matrix,
    bound_bytes: int,
) -> SceneMemory:
    """Return the memory with a frame added.

    Args:
        memory: memory of the previous frames.
        frame: frame number.
        image: (3, H, W) float32 RGB, 0..1.
        depth: (H, W) estimated depth.
        pose: (4, 4) pose from the first frame's camera to this frame's.
        intrinsics: (3, 3) intrinsics of this frame's camera.
        bound_bytes: largest size of the result.
    """
    if not abs(np.linalg.det(pose)) > SMALLEST_DETERMINANT:
        return memory  # a flip shows the scene edge-on; pixels have no position then
    height_px, width_px = depth.shape
    x, y, z = _projected(memory.positions, pose, intrinsics)
    column, row, inside = _pixels(x, y, z, width_px, height_px)
    fit = _fit(memory, depth, column, row, z, inside)
    now = replace(memory, fit=fit).rescaled(depth).cpu().numpy()
    # A point is replaced where the frame shows its place or sees through it: the frame is newer.
    # Far pixels at a depth edge contain color of the near side, so they are not added.
    mixed = far_edges(now)
    there = (row[inside], column[inside])
    kept = ~inside
    kept[inside] = (z[inside] > now[there] * (1 + SAME_SHARE)) | (
        mixed[there] & (z[inside] > now[there] * (1 - SAME_SHARE))
    )
    stride = max(1, int(np.ceil(np.sqrt(height_px * width_px * BYTES_PER_POINT / bound_bytes))))
    positions, colors, sizes = _points(now, ~mixed, to_bytes(image), pose, intrinsics, stride)
    seen = np.full(len(positions), frame, np.int32)
    room = bound_bytes // BYTES_PER_POINT - len(positions)
    held = np.nonzero(kept)[0]
    forgot = memory.forgot or stride > 1 or len(held) > room
    if len(held) > room:
        apparent = memory.sizes[held] / np.linalg.norm(
            _transformed(memory.positions[held], pose), axis=0
        ).clip(1e-6)
        best = np.lexsort((-apparent, -memory.seen[held]))[: max(room, 0)]
        held = np.sort(held[best])
    return SceneMemory(
        np.concatenate([memory.positions[held], positions]),
        np.concatenate([memory.colors[held], colors]),
        np.concatenate([memory.sizes[held], sizes]),
        np.concatenate([memory.seen[held], seen]),
        fit,
        forgot,
    )


def recall(
    memory: SceneMemory, frame: int, hole: torch.Tensor, pose: Matrix, intrinsics: Matrix
) -> RecalledView | None:
    """Return the memory's view of a frame's revealed areas, or None where it shows none of them.

    Args:
        memory: memory of the previous frames.
        frame: frame number.
        hole: (H, W) bool, revealed areas.
        pose, intrinsics: (4, 4) and (3, 3) of the frame's camera.
    """
    height_px, width_px = hole.shape
    where = hole.cpu().numpy()
    if not where.any() or not len(memory.positions):
        return None
    x, y, z = _projected(memory.positions, pose, intrinsics)
    column, row, inside = _pixels(x, y, z, width_px, height_px)
    reach = 2 * int(np.ceil(LARGEST_POINT_PX)) + 1
    around = cv2.dilate(where.view(np.uint8), np.ones((reach, reach), np.uint8)).view(np.bool_)
    near = np.nonzero(inside)[0]
    near = near[around[row[near], column[near]]]
    if not len(near):
        return None
    focal = float(np.sqrt(abs(intrinsics[0, 0] * intrinsics[1, 1])))
    radius = (memory.sizes[near] * focal / z[near] * (OVERLAP / 2)).clip(0.5, LARGEST_POINT_PX)
    colors, age, known = _splatted(
        (x[near], y[near], z[near]),
        radius,
        np.concatenate([memory.colors[near], (frame - memory.seen[near])[:, None]], 1).astype(np.float32),
        (width_px, height_px),
    )
    known &= where
    if not known.any():
        return None
    image = from_bytes(np.rint(colors).clip(0, 255).astype(np.uint8), hole.device)
    return RecalledView(image, torch.from_numpy(known).to(hole.device), torch.from_numpy(age).to(hole.device))


def hold_strength(age: torch.Tensor, strength: float) -> torch.Tensor:
    """Return the weight of remembered pixels, 0..1; it halves every 240 frames.

    Args:
        age: (H, W) frames since each pixel was last seen.
        strength: weight at age 0.
    """
    return strength * torch.exp2(-age / HALF_LIFE_FRAMES)


def _projected(positions: Floats, pose: Matrix, intrinsics: Matrix) -> tuple[Floats, Floats, Floats]:
    """Return the columns, rows and depths of points (N, 3) in a camera's view, each (N,)."""
    x, y, z = _transformed(positions, intrinsics @ pose[:3])
    ahead = np.where(z > 1e-6, z, 1)
    return x / ahead, y / ahead, z


def _transformed(positions: Floats, matrix: Matrix) -> Floats:
    """Return points (N, 3) transformed by a (3, 4) or (4, 4) matrix, as (3, N)."""
    return (matrix[:3, :3].astype(np.float32) @ positions.T) + matrix[:3, 3].astype(np.float32)[:, None]


def _pixels(
    x: Floats, y: Floats, z: Floats, width_px: int, height_px: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Flags]:
    inside = (z > 1e-6) & (x > -0.5) & (x < width_px - 0.5) & (y > -0.5) & (y < height_px - 0.5)
    column = np.where(inside, np.rint(x), 0).astype(np.int32).clip(0, width_px - 1)
    row = np.where(inside, np.rint(y), 0).astype(np.int32).clip(0, height_px - 1)
    return column, row, inside


def _points(
    depth: Floats, clear: Flags, rgb: npt.NDArray[np.uint8], pose: Matrix, intrinsics: Matrix, stride: int
) -> tuple[Floats, npt.NDArray[np.uint8], Floats]:
    """Return the pixels of a frame where `clear` is set as points: positions, colors and sizes."""
    rows, columns = np.mgrid[stride // 2 : depth.shape[0] : stride, stride // 2 : depth.shape[1] : stride]
    rows, columns = rows[clear[rows, columns]], columns[clear[rows, columns]]
    z = depth[rows, columns].astype(np.float64)
    rays = np.linalg.inv(intrinsics) @ np.stack([columns, rows, np.ones(z.shape)])
    world = np.linalg.inv(pose)
    positions = (world[:3, :3] @ (rays * z) + world[:3, 3:]).T
    focal = float(np.sqrt(abs(intrinsics[0, 0] * intrinsics[1, 1])))
    return (
        positions.astype(np.float32),
        rgb[rows, columns],
        (z * stride / focal).astype(np.float32),
    )


def _fit(
    memory: SceneMemory,
    depth: Depth,
    column: npt.NDArray[np.int32],
    row: npt.NDArray[np.int32],
    z: Floats,
    inside: Flags,
) -> tuple[float, float]:
    """Return the scale and shift from the inverse depth of an estimate to that of the memory's points.

    Estimates are relative: the same wall may come out nearer in one frame than in the next. The nearest points of the
    memory give the depth that the frame should have. The 30 % of pixels that differ most are left out, as other objects
    may have come into view there.
    """
    estimate = depth.cpu().numpy()
    nearest = np.full(estimate.shape, np.inf, np.float32)
    np.minimum.at(nearest, (row[inside], column[inside]), z[inside])
    known = np.isfinite(nearest)
    if known.mean() < LEAST_SHARED:
        return memory.fit
    estimated, wanted = 1 / estimate[known].astype(np.float64), 1 / nearest[known].astype(np.float64)
    scale, shift = memory.fit
    for _ in range(3):
        missed = abs(scale * estimated + shift - wanted)
        used = missed <= np.quantile(missed, 0.7)
        spread = estimated[used].var()
        mean_estimated, mean_wanted = estimated[used].mean(), wanted[used].mean()
        if spread < 1e-10:
            scale, shift = mean_wanted / mean_estimated, 0.0
            continue
        scale = ((estimated[used] - mean_estimated) * (wanted[used] - mean_wanted)).mean() / spread
        shift = mean_wanted - scale * mean_estimated
    if not 0.2 < scale < 5:
        return memory.fit
    return float(scale), float(shift)


def _splatted(
    points: tuple[Floats, Floats, Floats], radius: Floats, values: Floats, size_px: tuple[int, int]
) -> tuple[Floats, Floats, Flags]:
    """Return the colors (H, W, 3) and ages (H, W) of the nearest points, and which pixels they cover.

    Points of one surface that overlap are blended.
    """
    width_px, height_px = size_px
    x, y, z = points
    first_x, first_y = np.ceil(x - radius).astype(np.int64), np.ceil(y - radius).astype(np.int64)
    last_x, last_y = np.floor(x + radius).astype(np.int64), np.floor(y + radius).astype(np.int64)
    wide = (last_x - first_x + 1).clip(0)
    counts = wide * (last_y - first_y + 1).clip(0)
    number = np.repeat(np.arange(len(x)), counts)
    place = np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = first_x[number] + place % np.maximum(wide, 1)[number]
    row = first_y[number] + place // np.maximum(wide, 1)[number]
    within = (column >= 0) & (column < width_px) & (row >= 0) & (row < height_px)
    number, column, row = number[within], column[within], row[within]
    target = row * width_px + column
    nearest = np.full(width_px * height_px, np.inf, np.float32)
    np.minimum.at(nearest, target, z[number])
    front = z[number] <= nearest[target] * (1 + SAME_SHARE)
    number, target = number[front], target[front]
    apart = (column[front] - x[number]) ** 2 + (row[front] - y[number]) ** 2
    weight = np.exp(-2 * apart / radius[number] ** 2)
    total = np.bincount(target, weight, width_px * height_px)
    blended = [
        np.bincount(target, weight * values[number, channel], width_px * height_px) / np.maximum(total, 1e-12)
        for channel in range(values.shape[1])
    ]
    planes = np.stack(blended, 1).reshape(height_px, width_px, -1).astype(np.float32)
    return planes[..., :3], planes[..., 3], (total > 0).reshape(height_px, width_px)
