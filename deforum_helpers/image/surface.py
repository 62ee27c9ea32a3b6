"""The view of a depth surface after a camera move: projected forward, nearest first, and torn at depth edges.

Every pixel is a facet: its own square of the image, in the plane given by its neighbors' depth. Inverse depth is linear
over a plane, so a camera sees each facet through one homography, approximated here to first order around the pixel. A
facet reaches half a pixel to each side, and a little farther where the surface continues, so that seams have no gaps.
It ends at a depth edge; the area that becomes visible behind the edge is marked as revealed.

The same code runs on numpy on the CPU and on torch on any device; `np` is either module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from threading import Lock
from types import ModuleType
from typing import Any

import numpy
import torch

from deforum_helpers.camera.projection import View
from deforum_helpers.image.bands import in_bands
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


def as_int32(values: Array, np: ModuleType) -> Array:
    return values.astype(numpy.int32) if np is numpy else values.int()


def as_float32(values: Array, np: ModuleType) -> Array:
    return numpy.ascontiguousarray(values, numpy.float32) if np is numpy else values.float().contiguous()


# The planes that give the place of a target pixel in a facet: the facet's position in the view; the inverse of the
# first-order map there, row by row, zero where the facet is invisible.
PLACE = ("x", "y", "u_x", "u_y", "v_x", "v_y")
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
# Rows on each side by which depth edges and slopes follow from their neighbors.
EDGE_MARGIN_PX = 3


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
    return numpy.asarray(_slopes(inverse, 1, numpy).far | _slopes(inverse, 0, numpy).far)


def _seen(depth: Array, view: View, size_px: tuple[int, int], np: ModuleType) -> tuple[Array, ...]:
    """Return the planes of `SurfaceView`.

    Facets of all rows meet in `nearest`, which holds for each target pixel the facet nearest to the camera: its depth
    in the upper bits, its number in the lower ones.
    """
    (width_px, height_px), source_width_px = size_px, depth.shape[1]
    inverse = 1 / depth.clip(NEAREST, 1 / NEAREST)
    facets = {name: np.empty_like(inverse) for name in PLACE}
    far, near = inverse != inverse, inverse != inverse
    nearest = as_int64(ramp(inverse, height_px * width_px, np), np) * 0 + NOTHING
    writing = Lock()

    def lay(rows: slice) -> None:
        """Lay the facets of `rows` of the depth over the target pixels."""
        around = slice(max(rows.start - EDGE_MARGIN_PX, 0), rows.stop + EDGE_MARGIN_PX)
        along_x = _slopes(inverse[rows], 1, np)
        along_y = _slopes(inverse[around], 0, np).rows(rows.start - around.start, rows.stop - around.start)
        here = _facets(inverse[rows], rows.start, along_x, along_y, view, np)
        for name, plane in facets.items():
            plane[rows] = here[name]
        far[rows], near[rows] = along_x.far | along_y.far, along_x.near | along_y.near
        for target, index, depth_there in _covered(here, size_px, np):
            # Positive floats are ordered as their bits are, so one comparison settles depth, then the facet's number.
            key = (as_int64(depth_there.view(np.int32), np) << 32) | (index + rows.start * source_width_px)
            with writing:
                if np is numpy:
                    numpy.minimum.at(nearest, target, key)
                else:
                    nearest.scatter_reduce_(0, target, key, "amin")

    _in_bands(lay, depth.shape, np)
    nearest = nearest.reshape(height_px, width_px)
    shown = nearest != NOTHING
    columns, lines = ramp(inverse, width_px, np)[None, :], ramp(inverse, height_px, np)[:, None]
    x, y, z = (0 * lines + 0 * columns for _ in range(3))

    def look(rows: slice) -> None:
        """Find what `rows` of the view show."""
        source = np.where(shown[rows], nearest[rows] & 0xFFFFFFFF, 0)
        facet = _taken(facets, PLACE, source)
        du, dv = _place(facet, columns, lines[rows])
        line = source // source_width_px
        x[rows] = as_float32(source - line * source_width_px, np) + du
        y[rows] = as_float32(line, np) + dv
        z[rows] = np.where(shown[rows], as_int32(nearest[rows] >> 32, np).view(np.float32), numpy.inf)

    _in_bands(look, shown.shape, np)
    _close(x, y, z, shown, np)
    behind, before = ~shown, ~shown

    def take_sides(rows: slice) -> None:
        # Where two facets of one surface meet, either may cover the pixel; the nearest source pixel decides its side.
        line = as_int64(np.round(y[rows]).clip(0, depth.shape[0] - 1), np)
        column = as_int64(np.round(x[rows]).clip(0, source_width_px - 1), np)
        source = line * source_width_px + column
        behind[rows] = shown[rows] & far.reshape(-1).take(source)
        before[rows] = shown[rows] & near.reshape(-1).take(source)

    _in_bands(take_sides, shown.shape, np)
    return x, y, z, ~shown, behind, before


def _in_bands(work: Callable[[slice], None], shape: tuple[int, ...], np: ModuleType) -> None:
    """Call `work` with bands of rows; torch takes all rows at once."""
    if np is numpy:
        in_bands(work, shape[0], shape[1], margin_px=EDGE_MARGIN_PX)
    else:
        work(slice(0, shape[0]))


@dataclass(frozen=True)
class _Slopes:
    """The surface along each row, or along each column, from the neighbors on the same surface; all (H, W).

    Args:
        slope: of inverse depth per pixel.
        before, after: 1 where the surface continues to the pixel before, or after, otherwise 0; float32.
        far, near: bool, pixels on the far, or on the near side of a depth edge.
    """

    slope: Array
    before: Array
    after: Array
    far: Array
    near: Array

    def rows(self, first: int, stop: int) -> _Slopes:
        planes = (self.slope, self.before, self.after, self.far, self.near)
        return _Slopes(*(plane[first:stop] for plane in planes))


def _slopes(inverse: Array, axis: int, np: ModuleType) -> _Slopes:
    """Return the slopes of inverse depth along an axis."""

    def part(plane: Array, first: int, stop: int | None = None) -> Array:
        return plane[first:stop] if axis == 0 else plane[:, first:stop]

    step = part(inverse, 1) - part(inverse, 0, -1)
    size = abs(step)
    usual = 0 * step
    if step.shape[axis] > 2:
        # Steps on both sides with the same sign; at the image's edges the single neighbor.
        same = part(step, 1) * part(step, 0, -1) > 0
        following, leading = 0 * step, 0 * step
        part(following, 0, -1)[:] = np.where(same, part(size, 1), 0)
        part(leading, 1)[:] = np.where(same, part(size, 0, -1), 0)
        part(following, -1)[:] = part(leading, -1)
        part(leading, 0, 1)[:] = part(following, 0, 1)
        usual = np.minimum(following, leading)
    larger = np.maximum(part(inverse, 1), part(inverse, 0, -1))
    jumps = (size > TEARING_SHARE * larger) & (size > TEARING_RATIO * usual)
    whole = as_float32(~jumps, np)
    before, after, slope = 0 * inverse, 0 * inverse, 0 * inverse
    part(before, 1)[:] = whole
    part(after, 0, -1)[:] = whole
    step_within = step * whole
    for side in (part(slope, 1), part(slope, 0, -1)):
        side += step_within
    slope = slope / (before + after).clip(1, 2)
    far, near = before != before, before != before
    rising, falling = jumps & (step > 0), jumps & (step < 0)
    for side, up, down in ((far, falling, rising), (near, rising, falling)):
        # Two pixels on each side: a surface that shrinks may skip one.
        for pixels, edges in (
            (part(side, 1), up),
            (part(side, 2), part(up, 0, -1)),
            (part(side, 0, -1), down),
            (part(side, 0, -2), part(down, 1)),
        ):
            pixels |= edges
    return _Slopes(slope, before, after, far, near)


def _facets(
    inverse: Array, first_row: int, along_x: _Slopes, along_y: _Slopes, view: View, np: ModuleType
) -> dict[str, Array]:
    """Return the facets of rows: planes of places and depths, how far they reach, and where they end.

    Args:
        inverse: (h, W) inverse depth of the rows.
        first_row: number of the first of them.
        along_x, along_y: their slopes.
        view: the move.
    """
    height_px, width_px = inverse.shape
    columns = ramp(inverse, width_px, np)[None, :]
    rows = ramp(inverse, height_px, np)[:, None] + float(first_row)
    (x, x_u, x_v), (y, y_u, y_v), (w, w_u, w_v) = (
        (
            float(a) * columns + (float(b) * rows + float(c)) + float(t) * inverse,
            float(a) + float(t) * along_x.slope,
            float(b) + float(t) * along_y.slope,
        )
        for (a, b, c), t in zip(view.pixels, view.shift, strict=True)
    )
    seen = w * (1 / inverse) > NEAREST
    safe = np.where(seen, w, 1)
    x, y = x / safe, y / safe
    x_u, x_v = (x_u - x * w_u) / safe, (x_v - x * w_v) / safe
    y_u, y_v = (y_u - y * w_u) / safe, (y_v - y * w_v) / safe
    area = x_u * y_v - x_v * y_u
    # Only front faces are visible; a flip that mirrors the image exchanges the faces.
    facing = float(numpy.sign(numpy.linalg.det(view.pixels))) or 1.0
    seen = seen & (area * facing > 1e-6)
    inv = np.where(seen, 1 / np.where(seen, area, 1), 0)
    reach_x, reach_y = (
        (0.5 + SEAM_PX) * (abs(u) + abs(v)).clip(0, LARGEST_FACET_PX) for u, v in ((x_u, x_v), (y_u, y_v))
    )
    return {
        "x": np.where(seen, x, -1e6),
        "y": np.where(seen, y, -1e6),
        "u_x": y_v * inv,
        "u_y": -x_v * inv,
        "v_x": -y_u * inv,
        "v_y": x_u * inv,
        "weight": w,
        "weight_u": w_u,
        "weight_v": w_v,
        "inverse": inverse,
        "inverse_u": along_x.slope,
        "inverse_v": along_y.slope,
        "reach_x": reach_x,
        "reach_y": reach_y,
        "left": 0.5 + SEAM_PX * along_x.before,
        "right": 0.5 + SEAM_PX * along_x.after,
        "top": 0.5 + SEAM_PX * along_y.before,
        "bottom": 0.5 + SEAM_PX * along_y.after,
    }


def _place(facets: Facets, columns: Array, lines: Array) -> tuple[Array, Array]:
    """Return the positions of target pixels in their facets, in pixels of the previous frame from the center."""
    dx, dy = columns - facets["x"], lines - facets["y"]
    return facets["u_x"] * dx + facets["u_y"] * dy, facets["v_x"] * dx + facets["v_y"] * dy


def _depth_at(facets: Facets, du: Array, dv: Array) -> Array:
    weight, inverse = (
        facets[name] + facets[f"{name}_u"] * du + facets[f"{name}_v"] * dv for name in ("weight", "inverse")
    )
    return (weight / inverse.clip(NEAREST, 1 / NEAREST)).clip(NEAREST, 1 / NEAREST)


def _covered(
    facets: Facets, size_px: tuple[int, int], np: ModuleType
) -> Iterator[tuple[Array, Array, Array]]:
    """Yield target pixels, the indices of facets that cover them, and these facets' depths there; all (n,)."""
    facets = {name: plane.reshape(-1) for name, plane in facets.items()}
    for index, columns, lines, in_view in _candidates(facets, size_px, np):
        near = facets if index is None else _taken(facets, facets, index)
        du, dv = _place(near, columns, lines)
        inside = (-du <= near["left"]) & (du <= near["right"]) & (-dv <= near["top"]) & (dv <= near["bottom"])
        (hit,) = np.where(inside & in_view)
        target = as_int64(lines.take(hit), np) * size_px[0] + as_int64(columns.take(hit), np)
        yield target, hit if index is None else index.take(hit), _depth_at(near, du, dv).take(hit)


def _candidates(
    facets: Facets, size_px: tuple[int, int], np: ModuleType
) -> Iterator[tuple[Array | None, Array, Array, Array | bool]]:
    """Yield target pixels that facets may cover: the facets' indices, or None for each once, the pixels' columns and
    lines, and whether they are in the view.
    """
    first_x, wide = _span(facets["x"], facets["reach_x"], size_px[0], np)
    first_y, high = _span(facets["y"], facets["reach_y"], size_px[1], np)
    # A facet that is not stretched reaches two pixels at most in each direction.
    for right, down in product((0, 1), repeat=2):
        yield None, first_x + right, first_y + down, (right < wide) & (down < high)
    (large,) = np.where((wide > 2) | (high > 2))
    first_x, wide, first_y, high = (plane.take(large) for plane in (first_x, wide, first_y, high))
    counts = as_int64(wide * high, np)
    ends, wide = counts.cumsum(0), as_int64(wide, np)
    begin, before = 0, 0
    while begin < len(ends):
        stop = max(int((ends <= before + CANDIDATES_AT_ONCE).sum()), begin + 1)
        one = repeated(numbers(counts, np)[begin:stop], counts[begin:stop], np)
        place = numbers(one, np) + before - (ends - counts).take(one)
        line = place // wide.take(one)
        columns = first_x.take(one) + as_float32(place - line * wide.take(one), np)
        yield large.take(one), columns, first_y.take(one) + as_float32(line, np), True
        begin, before = stop, int(ends[stop - 1])


def _taken(facets: Facets, names: Iterable[str], index: Array) -> dict[str, Array]:
    return {name: facets[name].take(index) for name in names}


def _close(x: Array, y: Array, depth: Array, shown: Array, np: ModuleType) -> None:
    """Close gaps of one pixel within a surface, which come from noise in its depth, in place."""
    for turned in (False, True):
        x, y, depth, shown = (plane.T if turned else plane for plane in (x, y, depth, shown))
        if shown.shape[1] <= 2:
            continue
        line, column = np.where(~shown[:, 1:-1] & shown[:, :-2] & shown[:, 2:])
        left, right = (line, column), (line, column + 2)
        apart = abs(x[right] - x[left]) + abs(y[right] - y[left])
        near, far = np.minimum(depth[right], depth[left]), np.maximum(depth[right], depth[left])
        within = (apart < 4) & (near > far * (1 - TEARING_SHARE))
        line, column = line[within], column[within]
        for plane in (x, y, depth):
            plane[line, column + 1] = (plane[line, column] + plane[line, column + 2]) / 2
        shown[line, column + 1] = True


def _span(middle: Array, reach: Array, side_px: int, np: ModuleType) -> tuple[Array, Array]:
    """Return the first pixel that a facet may cover, and the number of such pixels within the view, as floats."""
    first = np.ceil(middle - reach).clip(0, side_px)
    last = np.floor(middle + reach).clip(-1, side_px - 1)
    return first, (last + 1 - first).clip(0, side_px)
