"""The view of a depth surface after a camera move: projected forward, nearest first, and torn at depth edges.

Every pixel is a facet: its own square of the image, in the plane given by its neighbors' depth. Inverse depth is linear
over a plane, so a camera sees each facet through one homography, approximated here to first order around the pixel. A
facet reaches half a pixel to each side, and a little farther where the surface continues, so that seams have no gaps.
It ends at a depth edge; the area that becomes visible behind the edge is marked as revealed.

The same code runs on numpy on the CPU and on torch on any device; `np` is either module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy
import torch

from deforum_helpers.camera.projection import View
from deforum_helpers.image.types import Depth

# numpy arrays or torch tensors
Array = Any


def ramp(like: Array, count: int, np: ModuleType) -> Array:
    """Return 0, 1 .. count - 1 as float32 on the device of `like`."""
    if np is numpy:
        return numpy.arange(count, dtype=numpy.float32)
    return torch.arange(count, dtype=torch.float32, device=like.device)


def numbers(like: Array, np: ModuleType) -> Array:
    """Return the indices of `like`, int64."""
    return numpy.arange(len(like)) if np is numpy else torch.arange(len(like), device=like.device)


def repeated(values: Array, counts: Array, np: ModuleType) -> Array:
    """Return each value repeated by its count."""
    return numpy.repeat(values, counts) if np is numpy else torch.repeat_interleave(values, counts)


def as_int64(values: Array, np: ModuleType) -> Array:
    return values.astype(numpy.int64) if np is numpy else values.long()


def as_float32(values: Array, np: ModuleType) -> Array:
    return numpy.ascontiguousarray(values, numpy.float32) if np is numpy else values.float().contiguous()


Facets = Mapping[str, Array]

# A step of inverse depth tears the surface if it exceeds this share of the nearer pixel's, and this multiple of the
# steps before and after it: a slope that recedes into the distance is steep too, but so are its neighbors.
TEARING_SHARE = 0.03
TEARING_RATIO = 2.0
SEAM_PX = 0.15
# Largest size of a facet that is seen at a grazing angle or lies right before the camera.
LARGEST_FACET_PX = 64.0
NEAREST = 1e-4
CANDIDATES_AT_ONCE = 4_000_000
NOTHING = 2**63 - 1


@dataclass(frozen=True)
class SurfaceView:
    """The view after the move, all (H, W) on the depth's device.

    Args:
        map_x, map_y: float32 columns and rows in the previous frame, (0, 0) = center of the first pixel.
        depth: float32 depth after the move; infinite in revealed areas.
        revealed: bool, areas that the previous frame does not show.
        behind: bool, visible pixels on the far side of a depth edge; their color may contain some of the near side's.
        before: bool, visible pixels on the near side of a depth edge.
    """

    map_x: torch.Tensor
    map_y: torch.Tensor
    depth: Depth
    revealed: torch.Tensor
    behind: torch.Tensor
    before: torch.Tensor


def project_surface(depth: Depth, view: View, size_px: tuple[int, int] | None = None) -> SurfaceView:
    """Return the camera's view of the surface of `depth` after a move.

    A plane at depth 1 that moves 3 pixels to the right is sampled 3 pixels to the left, and its three leftmost columns
    are revealed.

    Args:
        depth: (H, W) float32, > 0, larger = farther.
        view: the move, from `camera.projection.view`.
        size_px: (width, height) of the view, by default that of the depth.
    """
    height_px, width_px = depth.shape
    size_px = size_px or (width_px, height_px)
    if depth.device.type == "cpu":
        maps = _seen(depth.detach().numpy(), view, size_px, numpy)
        return SurfaceView(*(torch.from_numpy(plane) for plane in maps))
    return SurfaceView(*_seen(depth, view, size_px, torch))


def far_edges(depth: numpy.ndarray) -> numpy.ndarray:
    """Return the pixels of (H, W) float32 `depth` on the far side of a depth edge, (H, W) bool."""
    inverse = 1 / depth.clip(NEAREST, 1 / NEAREST)
    return numpy.asarray(_slopes(inverse, numpy)[3] | _slopes(inverse.T, numpy)[3].T)


def _seen(depth: Array, view: View, size_px: tuple[int, int], np: ModuleType) -> tuple[Array, ...]:
    width_px, height_px = size_px
    inverse = 1 / depth.clip(NEAREST, 1 / NEAREST)
    slope_x, left, right, far_x, near_x = _slopes(inverse, np)
    slope_y, top, bottom, far_y, near_y = (plane.T for plane in _slopes(inverse.T, np))
    facets = _facets(inverse, slope_x, slope_y, view, np)
    facets = {name: plane.reshape(-1) for name, plane in facets.items()}
    sides = tuple(plane.reshape(-1) for plane in (left, right, top, bottom))
    best = _nearest(facets, sides, width_px, height_px, np)
    shown = best != NOTHING
    source = np.where(shown, best & 0xFFFFFFFF, 0 * best)
    target_x, target_y = ramp(inverse, width_px, np), ramp(inverse, height_px, np)
    du, dv = (
        plane.reshape(-1)
        for plane in _place(facets, source.reshape(height_px, width_px), target_x[None], target_y[:, None])
    )
    x = as_float32(source % depth.shape[1], np) + du
    y = as_float32(source // depth.shape[1], np) + dv
    z = np.where(shown, _depth_at(facets, source, du, dv), 0 * du + numpy.inf)
    x, y, z, shown = (plane.reshape(height_px, width_px) for plane in (x, y, z, shown))
    x, y, z, shown = _closed(x, y, z, shown, np)
    # Where two facets of one surface meet, either may cover the pixel; the nearest source pixel decides its side.
    line = as_int64(np.round(y).clip(0, depth.shape[0] - 1), np)
    column = as_int64(np.round(x).clip(0, depth.shape[1] - 1), np)
    behind, before = (shown & side[line, column] for side in (far_x | far_y, near_x | near_y))
    return as_float32(x, np), as_float32(y, np), as_float32(z, np), ~shown, behind, before


def _slopes(inverse: Array, np: ModuleType) -> tuple[Array, ...]:
    """Return the slope of inverse depth along each row, per pixel, from the neighbors on the same surface.

    Returns:
        (H, W) planes: slope; whether the surface continues to the left, and to the right, as floats; whether the pixel
        is on the far, and on the near side of a depth edge, as bools.
    """
    step = inverse[:, 1:] - inverse[:, :-1]
    size = abs(step)
    usual = 0 * step
    if step.shape[1] > 2:
        # Steps on both sides with the same sign; at the image's edges the single neighbor.
        same = (step[:, 1:] * step[:, :-1] > 0) * 1.0
        after, before = 0 * step, 0 * step
        after[:, :-1] = size[:, 1:] * same
        before[:, 1:] = size[:, :-1] * same
        after[:, -1], before[:, 0] = before[:, -1], after[:, 0]
        usual = np.minimum(after, before)
    jumps = (size > TEARING_SHARE * np.maximum(inverse[:, 1:], inverse[:, :-1])) & (
        size > TEARING_RATIO * usual
    )
    whole = np.where(jumps, 0 * step, 0 * step + 1)
    left, right = 0 * inverse, 0 * inverse
    left[:, 1:] = whole
    right[:, :-1] = whole
    slope = 0 * inverse
    slope[:, 1:] += step * whole
    slope[:, :-1] += step * whole
    slope = slope / (left + right).clip(1, 2)
    far, near = left != left, left != left
    rising, falling = jumps & (step > 0), jumps & (step < 0)
    for side, up, down in ((far, falling, rising), (near, rising, falling)):
        # Two pixels on each side: a surface that shrinks may skip one.
        side[:, 1:] |= up
        side[:, 2:] |= up[:, :-1]
        side[:, :-1] |= down
        side[:, :-2] |= down[:, 1:]
    return slope, left, right, far, near


def _facets(inverse: Array, slope_x: Array, slope_y: Array, view: View, np: ModuleType) -> dict[str, Array]:
    """Return the facet of each pixel: its position in the view; the inverse of the first-order map there, row by row,
    zero where the facet is invisible; its half extents; weight and inverse depth with their slopes, which give its
    depth.
    """
    height_px, width_px = inverse.shape
    columns, rows = ramp(inverse, width_px, np)[None, :], ramp(inverse, height_px, np)[:, None]
    (x, x_u, x_v), (y, y_u, y_v), (w, w_u, w_v) = (
        (
            float(a) * columns + (float(b) * rows + float(c)) + float(t) * inverse,
            float(a) + float(t) * slope_x,
            float(b) + float(t) * slope_y,
        )
        for (a, b, c), t in zip(view.pixels, view.shift, strict=True)
    )
    seen = w * (1 / inverse) > NEAREST
    safe = np.where(seen, w, 0 * w + 1)
    x, y = x / safe, y / safe
    x_u, x_v = (x_u - x * w_u) / safe, (x_v - x * w_v) / safe
    y_u, y_v = (y_u - y * w_u) / safe, (y_v - y * w_v) / safe
    area = x_u * y_v - x_v * y_u
    # Only front faces are visible; a flip that mirrors the image exchanges the faces.
    facing = float(numpy.sign(numpy.linalg.det(view.pixels))) or 1.0
    seen = seen & (area * facing > 1e-6)
    inv = np.where(seen, 1 / np.where(seen, area, 0 * area + 1), 0 * area)
    reach_x, reach_y = (
        (0.5 + SEAM_PX) * (abs(u) + abs(v)).clip(0, LARGEST_FACET_PX) for u, v in ((x_u, x_v), (y_u, y_v))
    )
    unseen = 0 * x - 1e6
    x, y = np.where(seen, x, unseen), np.where(seen, y, unseen)
    return {
        "x": x,
        "y": y,
        "reach_x": reach_x,
        "reach_y": reach_y,
        "u_x": y_v * inv,
        "u_y": -x_v * inv,
        "v_x": -y_u * inv,
        "v_y": x_u * inv,
        "weight": w,
        "weight_u": w_u,
        "weight_v": w_v,
        "inverse": inverse,
        "inverse_u": slope_x,
        "inverse_v": slope_y,
    }


def _place(facets: Facets, source: Array, columns: Array, lines: Array) -> tuple[Array, Array]:
    """Return the positions of target pixels in their facets, in pixels of the previous frame from the center."""
    dx, dy = columns - facets["x"][source], lines - facets["y"][source]
    return (
        facets["u_x"][source] * dx + facets["u_y"][source] * dy,
        facets["v_x"][source] * dx + facets["v_y"][source] * dy,
    )


def _depth_at(facets: Facets, source: Array, du: Array, dv: Array) -> Array:
    weight, inverse = (
        facets[name][source] + facets[f"{name}_u"][source] * du + facets[f"{name}_v"][source] * dv
        for name in ("weight", "inverse")
    )
    return (weight / inverse.clip(NEAREST, 1 / NEAREST)).clip(NEAREST, 1 / NEAREST)


def _nearest(
    facets: Facets, sides: tuple[Array, ...], width_px: int, height_px: int, np: ModuleType
) -> Array:
    """Return for each target pixel the facet nearest to the camera, (H·W,) int64, its depth in the upper bits."""
    first_x, wide = _span(facets["x"], facets["reach_x"], width_px, np)
    first_y, high = _span(facets["y"], facets["reach_y"], height_px, np)
    counts = wide * high
    visible = np.nonzero(counts)[0] if np is numpy else np.nonzero(counts)[:, 0]
    counts, first_x, first_y, wide = counts[visible], first_x[visible], first_y[visible], wide[visible]
    best = as_int64(ramp(facets["x"], width_px * height_px, np), np) * 0 + NOTHING
    ends = counts.cumsum(0)
    begin, before = 0, 0
    while begin < len(ends):
        stop = max(int((ends <= before + CANDIDATES_AT_ONCE).sum()), begin + 1)
        part = slice(begin, stop)
        number = repeated(numbers(counts[part], np), counts[part], np)
        place = numbers(number, np) - (ends[part] - counts[part] - before)[number]
        line = place // wide[part][number]
        columns = first_x[part][number] + (place - line * wide[part][number])
        _rasterize(
            best, facets, sides, visible[part][number], columns, first_y[part][number] + line, width_px, np
        )
        begin, before = stop, int(ends[stop - 1])
    return best


def _rasterize(
    best: Array,
    facets: Facets,
    sides: tuple[Array, ...],
    source: Array,
    columns: Array,
    lines: Array,
    width_px: int,
    np: ModuleType,
) -> None:
    """Write a facet into `best` wherever it covers a target pixel and is nearer than the one already there."""
    du, dv = _place(facets, source, as_float32(columns, np), as_float32(lines, np))
    inside = (abs(du) <= 0.5 + SEAM_PX) & (abs(dv) <= 0.5 + SEAM_PX)
    source, target, du, dv = source[inside], (lines * width_px + columns)[inside], du[inside], dv[inside]
    left, right, top, bottom = (
        (0.5 + SEAM_PX * plane[source]) >= size for plane, size in zip(sides, (-du, du, -dv, dv), strict=True)
    )
    inside = left & right & top & bottom
    source, target = source[inside], target[inside]
    depth = as_float32(_depth_at(facets, source, du[inside], dv[inside]), np)
    # Positive floats are ordered as their bits are, so one comparison settles depth, then the facet's number.
    if np is numpy:
        numpy.minimum.at(best, target, (depth.view(numpy.int32).astype(numpy.int64) << 32) | source)
    else:
        best.scatter_reduce_(0, target, (depth.view(torch.int32).long() << 32) | source, "amin")


def _closed(
    x: Array, y: Array, depth: Array, shown: Array, np: ModuleType
) -> tuple[Array, Array, Array, Array]:
    """Return the planes with one-pixel gaps within a surface closed, which come from noise in its depth."""
    for turned in (False, True):
        x, y, depth, shown = (plane.T if turned else plane for plane in (x, y, depth, shown))
        if shown.shape[1] > 2:
            gaps = ~shown[:, 1:-1] & shown[:, :-2] & shown[:, 2:]
            apart = abs(x[:, 2:] - x[:, :-2]) + abs(y[:, 2:] - y[:, :-2])
            near, far = np.minimum(depth[:, 2:], depth[:, :-2]), np.maximum(depth[:, 2:], depth[:, :-2])
            gaps = gaps & (apart < 4) & (near > far * (1 - TEARING_SHARE))
            for plane in (x, y, depth):
                plane[:, 1:-1] = np.where(gaps, (plane[:, :-2] + plane[:, 2:]) / 2, plane[:, 1:-1])
            shown[:, 1:-1] |= gaps
        x, y, depth, shown = (plane.T if turned else plane for plane in (x, y, depth, shown))
    return x, y, depth, shown


def _span(middle: Array, reach: Array, side_px: int, np: ModuleType) -> tuple[Array, Array]:
    """Return the first pixel that a facet may cover, and the number of such pixels within the view."""
    first = as_int64(np.ceil(middle - reach).clip(0, side_px), np)
    last = as_int64(np.floor(middle + reach).clip(-1, side_px - 1), np)
    return first, (last + 1 - first).clip(0, side_px)
