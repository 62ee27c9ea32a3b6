"""What the frames have shown of the scene: points in space, drawn where the camera comes back or uncovers them again.

After each step the last frame is laid into the memory: its pixels take the place of all points that it shows, and of
those that it looks through. What is out of its view, or behind what it shows, stays. So the memory holds the newest
look of every place, and no more than its bound: what was seen longest ago goes first, and of that what would look
smallest from where the camera is.

A memory is a value that follows from the frames and the plan alone, so a resumed run builds it again from its frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch

from deforum_helpers.camera.types import Matrix
from deforum_helpers.image.convert import from_bytes, to_bytes
from deforum_helpers.image.surface import far_sides
from deforum_helpers.image.types import Depth, Image

# Position, colour, size, step.
BYTES_PER_POINT = 12 + 3 + 4 + 4
# As near to a surface, as a share of its depth, a point counts as part of it.
SAME_SHARE = 0.03
# Points are drawn a little larger than their pixels, so that no gaps open between them.
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
        places: (N, 3) float32.
        colors: (N, 3) uint8 RGB.
        sizes: (N,) float32, side of the pixel that each was, in the scene's unit.
        seen: (N,) int32, the last frame that showed each.
        fit: scale and shift that take the inverse depth of an estimate to the memory's.
        forgot: whether the bound has made it forget something.
    """

    places: Floats
    colors: npt.NDArray[np.uint8]
    sizes: Floats
    seen: npt.NDArray[np.int32]
    fit: tuple[float, float] = (1.0, 0.0)
    forgot: bool = False

    @property
    def size_bytes(self) -> int:
        return len(self.places) * BYTES_PER_POINT

    def fitted(self, depth: Depth) -> Depth:
        """Return an estimated depth in the memory's scale."""
        scale, shift = self.fit
        if self.fit == (1.0, 0.0):
            return depth
        inverse = 1 / depth
        return 1 / (scale * inverse + shift).clamp(min=float(inverse.min()) * scale * 0.1)


@dataclass(frozen=True)
class Recalled:
    """What a memory shows of a view.

    Args:
        image: (3, H, W).
        known: (H, W) bool where it shows something.
        age: (H, W) float32, frames since that was last seen.
    """

    image: Image
    known: torch.Tensor
    age: torch.Tensor


def nothing_seen() -> SceneMemory:
    """Return the memory of a run that has not begun."""
    return SceneMemory(
        np.zeros((0, 3), np.float32),
        np.zeros((0, 3), np.uint8),
        np.zeros(0, np.float32),
        np.zeros(0, np.int32),
    )


def remembering(
    memory: SceneMemory,
    frame: int,
    image: Image,
    depth: Depth,
    pose: Matrix,
    optics: Matrix,
    bound_bytes: int,
) -> SceneMemory:
    """Return the memory with a frame laid into it.

    Args:
        memory: before.
        frame: number of the frame.
        image: (3, H, W).
        depth: (H, W), as estimated.
        pose: (4, 4) from the first frame's camera to this one's.
        optics: (3, 3) of this one.
        bound_bytes: more than these it never takes.
    """
    if not abs(np.linalg.det(pose)) > SMALLEST_DETERMINANT:
        return memory  # a flip shows the scene edge-on, and nothing of it has a place any more
    height_px, width_px = depth.shape
    x, y, z = _projected(memory.places, pose, optics)
    column, line, inside = _pixels(x, y, z, width_px, height_px)
    fit = _fit(memory, depth, column, line, z, inside)
    now = replace(memory, fit=fit).fitted(depth).cpu().numpy()
    # What the frame shows in a point's place, or looks through it, is newer.
    # On the far side of a jump pixels have some of the near side in their colours: those are not laid in.
    mixed = far_sides(now)
    there = (line[inside], column[inside])
    kept = ~inside
    kept[inside] = (z[inside] > now[there] * (1 + SAME_SHARE)) | (
        mixed[there] & (z[inside] > now[there] * (1 - SAME_SHARE))
    )
    stride = max(1, int(np.ceil(np.sqrt(height_px * width_px * BYTES_PER_POINT / bound_bytes))))
    places, colors, sizes = _points(now, ~mixed, to_bytes(image), pose, optics, stride)
    seen = np.full(len(places), frame, np.int32)
    room = bound_bytes // BYTES_PER_POINT - len(places)
    held = np.nonzero(kept)[0]
    forgot = memory.forgot or stride > 1 or len(held) > room
    if len(held) > room:
        apparent = memory.sizes[held] / np.linalg.norm(_turned(memory.places[held], pose), axis=0).clip(1e-6)
        best = np.lexsort((-apparent, -memory.seen[held]))[: max(room, 0)]
        held = np.sort(held[best])
    return SceneMemory(
        np.concatenate([memory.places[held], places]),
        np.concatenate([memory.colors[held], colors]),
        np.concatenate([memory.sizes[held], sizes]),
        np.concatenate([memory.seen[held], seen]),
        fit,
        forgot,
    )


def recalled(
    memory: SceneMemory, frame: int, hole: torch.Tensor, pose: Matrix, optics: Matrix
) -> Recalled | None:
    """Return what the memory shows in the hole of a frame, or None where it shows nothing there.

    Args:
        memory: of the frames before.
        frame: number of the frame.
        hole: (H, W) bool.
        pose, optics: (4, 4) and (3, 3) of the frame's camera.
    """
    height_px, width_px = hole.shape
    where = hole.cpu().numpy()
    if not where.any() or not len(memory.places):
        return None
    x, y, z = _projected(memory.places, pose, optics)
    column, line, inside = _pixels(x, y, z, width_px, height_px)
    reach = 2 * int(np.ceil(LARGEST_POINT_PX)) + 1
    around = cv2.dilate(where.view(np.uint8), np.ones((reach, reach), np.uint8)).view(np.bool_)
    near = np.nonzero(inside)[0]
    near = near[around[line[near], column[near]]]
    if not len(near):
        return None
    focal = float(np.sqrt(abs(optics[0, 0] * optics[1, 1])))
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
    return Recalled(image, torch.from_numpy(known).to(hole.device), torch.from_numpy(age).to(hole.device))


def hold_of(age: torch.Tensor, strength: float) -> torch.Tensor:
    """Return how strongly remembered pixels stay as they are remembered, 0..1: half as much every 240 frames.

    Args:
        age: (H, W) frames since they were last seen.
        strength: of what was seen just before.
    """
    return strength * torch.exp2(-age / HALF_LIFE_FRAMES)


def _projected(places: Floats, pose: Matrix, optics: Matrix) -> tuple[Floats, Floats, Floats]:
    """Return the columns and rows at which a camera sees points, and their depths."""
    x, y, z = _turned(places, optics @ pose[:3])
    ahead = np.where(z > 1e-6, z, 1)
    return x / ahead, y / ahead, z


def _turned(places: Floats, matrix: Matrix) -> Floats:
    """Return points (N, 3) after a matrix of three rows and four columns, or more rows, (3, N)."""
    return (matrix[:3, :3].astype(np.float32) @ places.T) + matrix[:3, 3].astype(np.float32)[:, None]


def _pixels(
    x: Floats, y: Floats, z: Floats, width_px: int, height_px: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Flags]:
    inside = (z > 1e-6) & (x > -0.5) & (x < width_px - 0.5) & (y > -0.5) & (y < height_px - 0.5)
    column = np.where(inside, np.rint(x), 0).astype(np.int32).clip(0, width_px - 1)
    line = np.where(inside, np.rint(y), 0).astype(np.int32).clip(0, height_px - 1)
    return column, line, inside


def _points(
    depth: Floats, clear: Flags, rgb: npt.NDArray[np.uint8], pose: Matrix, optics: Matrix, stride: int
) -> tuple[Floats, npt.NDArray[np.uint8], Floats]:
    """Return the clear pixels of a frame as points: places, colours and sizes."""
    lines, columns = np.mgrid[stride // 2 : depth.shape[0] : stride, stride // 2 : depth.shape[1] : stride]
    lines, columns = lines[clear[lines, columns]], columns[clear[lines, columns]]
    z = depth[lines, columns].astype(np.float64)
    rays = np.linalg.inv(optics) @ np.stack([columns, lines, np.ones(z.shape)])
    world = np.linalg.inv(pose)
    places = (world[:3, :3] @ (rays * z) + world[:3, 3:]).T
    focal = float(np.sqrt(abs(optics[0, 0] * optics[1, 1])))
    return (
        places.astype(np.float32),
        rgb[lines, columns],
        (z * stride / focal).astype(np.float32),
    )


def _fit(
    memory: SceneMemory,
    depth: Depth,
    column: npt.NDArray[np.int32],
    line: npt.NDArray[np.int32],
    z: Floats,
    inside: Flags,
) -> tuple[float, float]:
    """Return the scale and shift that take the inverse depth of an estimate to what the memory holds there.

    Estimates are relative: the same wall is told nearer in one frame than in the next. The nearest points of the memory
    tell what a frame should see; what differs most, where something else has come into sight, is left out.
    """
    estimate = depth.cpu().numpy()
    nearest = np.full(estimate.shape, np.inf, np.float32)
    np.minimum.at(nearest, (line[inside], column[inside]), z[inside])
    known = np.isfinite(nearest)
    if known.mean() < LEAST_SHARED:
        return memory.fit
    told, wanted = 1 / estimate[known].astype(np.float64), 1 / nearest[known].astype(np.float64)
    scale, shift = memory.fit
    for _ in range(3):
        missed = abs(scale * told + shift - wanted)
        used = missed <= np.quantile(missed, 0.7)
        spread = told[used].var()
        mean_told, mean_wanted = told[used].mean(), wanted[used].mean()
        if spread < 1e-10:
            scale, shift = mean_wanted / mean_told, 0.0
            continue
        scale = ((told[used] - mean_told) * (wanted[used] - mean_wanted)).mean() / spread
        shift = mean_wanted - scale * mean_told
    if not 0.2 < scale < 5:
        return memory.fit
    return float(scale), float(shift)


def _splatted(
    points: tuple[Floats, Floats, Floats], radius: Floats, values: Floats, size_px: tuple[int, int]
) -> tuple[Floats, Floats, Flags]:
    """Return colours (H, W, 3) and age (H, W) of the nearest points, blended where several of a surface meet."""
    width_px, height_px = size_px
    x, y, z = points
    first_x, first_y = np.ceil(x - radius).astype(np.int64), np.ceil(y - radius).astype(np.int64)
    last_x, last_y = np.floor(x + radius).astype(np.int64), np.floor(y + radius).astype(np.int64)
    wide = (last_x - first_x + 1).clip(0)
    counts = wide * (last_y - first_y + 1).clip(0)
    number = np.repeat(np.arange(len(x)), counts)
    place = np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = first_x[number] + place % np.maximum(wide, 1)[number]
    line = first_y[number] + place // np.maximum(wide, 1)[number]
    within = (column >= 0) & (column < width_px) & (line >= 0) & (line < height_px)
    number, column, line = number[within], column[within], line[within]
    target = line * width_px + column
    nearest = np.full(width_px * height_px, np.inf, np.float32)
    np.minimum.at(nearest, target, z[number])
    front = z[number] <= nearest[target] * (1 + SAME_SHARE)
    number, target = number[front], target[front]
    apart = (column[front] - x[number]) ** 2 + (line[front] - y[number]) ** 2
    weight = np.exp(-2 * apart / radius[number] ** 2)
    total = np.bincount(target, weight, width_px * height_px)
    blended = [
        np.bincount(target, weight * values[number, channel], width_px * height_px) / np.maximum(total, 1e-12)
        for channel in range(values.shape[1])
    ]
    planes = np.stack(blended, 1).reshape(height_px, width_px, -1).astype(np.float32)
    return planes[..., :3], planes[..., 3], (total > 0).reshape(height_px, width_px)
