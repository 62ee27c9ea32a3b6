"""What the camera sees of a surface, against a renderer that follows every ray through scenes of plain walls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from deforum_helpers.camera.pose import next_from_prev
from deforum_helpers.camera.projection import View, intrinsics, scene_move, view
from deforum_helpers.image import bands, surface
from deforum_helpers.image.surface import SurfaceView, project_surface

SIDE_PX = 64
FOV_DEG = 70.0
OPTICS = intrinsics(FOV_DEG, 1, (SIDE_PX, SIDE_PX))


@dataclass(frozen=True)
class Wall:
    """The points p with normal · p = distance that the first camera sees within a box of its image.

    Args:
        normal: (3,).
        distance: from the first camera.
        box_px: first and last column, first and last row, at the pixels' borders.
    """

    normal: tuple[float, float, float]
    distance: float
    box_px: tuple[float, float, float, float] = (-1e6, 1e6, -1e6, 1e6)


def ground_and_boxes(seed: int) -> list[Wall]:
    random = np.random.default_rng(seed)
    walls = [Wall((0, 0, 1), 3.0), Wall((0, 1, 0.15), 1.1)]
    for _ in range(3):
        left, top = random.integers(6, 40, 2) - 0.5
        wide, high = random.integers(6, 20, 2)
        tilt = random.uniform(-0.3, 0.3, 2)
        walls.append(
            Wall((tilt[0], tilt[1], 1), float(random.uniform(0.9, 1.8)), (left, left + wide, top, top + high))
        )
    return walls


def first_hit(walls: list[Wall], origin: np.ndarray, toward: np.ndarray) -> tuple[float, int]:
    """Return the distance to the first wall along the ray and its number; infinity if the ray hits no wall."""
    best, which = np.inf, -1
    for number, wall in enumerate(walls):
        slope = float(np.dot(wall.normal, toward))
        along = (wall.distance - float(np.dot(wall.normal, origin))) / slope if abs(slope) > 1e-12 else -1.0
        if not 1e-9 < along < best - 1e-9:
            continue
        point = origin + along * toward
        if point[2] <= 1e-6:
            continue
        column, row = (OPTICS @ (point / point[2]))[:2]
        left, right, top, bottom = wall.box_px
        if left <= column <= right and top <= row <= bottom:
            best, which = along, number
    return best, which


def rendered_depth(walls: list[Wall]) -> torch.Tensor:
    rays = np.linalg.inv(OPTICS)
    depth = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    for row, column in np.ndindex(depth.shape):
        depth[row, column] = first_hit(walls, np.zeros(3), rays @ (column, row, 1))[0]
    return torch.from_numpy(depth)


def rendered_sight(walls: list[Wall], move: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return where each pixel's content is in the first view, its depth, and whether the first view shows it."""
    back = np.linalg.inv(move)
    rays = np.linalg.inv(OPTICS)
    place = np.zeros((2, SIDE_PX, SIDE_PX))
    depth = np.full((SIDE_PX, SIDE_PX), np.inf)
    shown = np.zeros((SIDE_PX, SIDE_PX), bool)
    for row, column in np.ndindex(depth.shape):
        toward = rays @ (column, row, 1)
        along, which = first_hit(walls, back[:3, 3], back[:3, :3] @ toward)
        if which < 0:
            continue
        point = back[:3, 3] + along * (back[:3, :3] @ toward)
        column_then, row_then = (OPTICS @ (point / point[2]))[:2]
        inside = -0.5 <= column_then <= SIDE_PX - 0.5 and -0.5 <= row_then <= SIDE_PX - 0.5
        reached, first = first_hit(walls, np.zeros(3), rays @ (column_then, row_then, 1))
        place[:, row, column], depth[row, column] = (column_then, row_then), along
        shown[row, column] = inside and (first == which or abs(reached - point[2]) < 1e-6)
    return place, depth, shown


MOVES = {
    "aside": ((18, 0, 0), (0, 0, 0)),
    "forward": ((0, 0, 30), (0, 0, 0)),
    "back": ((0, 0, -25), (0, 0, 0)),
    "all": ((12, -7, 15), (2, -3, 4)),
    "turned": ((0, 0, 0), (3, 8, -5)),
}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", MOVES)
def test_a_scene_is_seen_as_rays_find_it(name: str, seed: int) -> None:
    walls, move = ground_and_boxes(seed), next_from_prev(*MOVES[name])
    sight = project_surface(rendered_depth(walls), view(move, OPTICS, OPTICS))
    place, depth, shown = rendered_sight(walls, move)
    hidden = ~shown
    revealed = sight.revealed.numpy()
    assert (hidden & revealed).sum() / (hidden | revealed).sum() >= 0.98
    both = shown & ~revealed
    missed = np.hypot(sight.map_x.numpy() - place[0], sight.map_y.numpy() - place[1])[both]
    assert np.quantile(missed, 0.99) < 0.05
    assert np.quantile(abs(sight.depth.numpy() / depth - 1)[both], 0.99) < 0.005
    assert np.isinf(sight.depth.numpy()[revealed]).all()


def planes(sight: SurfaceView) -> tuple[torch.Tensor, ...]:
    return (sight.map_x, sight.map_y, sight.depth, sight.revealed, sight.behind, sight.before)


def hills(seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    waves = torch.rand(1, 1, 6, 6, generator=random) * 0.8 + 1
    return torch.nn.functional.interpolate(waves, (SIDE_PX, SIDE_PX), mode="bicubic")[0, 0].contiguous()


def test_a_still_camera_sees_every_pixel_in_its_place() -> None:
    sight = project_surface(hills(), view(np.eye(4), OPTICS, OPTICS))
    columns = torch.arange(SIDE_PX, dtype=torch.float32)
    assert torch.allclose(sight.map_x, columns.expand(SIDE_PX, -1), atol=1e-4)
    assert torch.allclose(sight.map_y, columns[:, None].expand(-1, SIDE_PX), atol=1e-4)
    assert torch.allclose(sight.depth, hills(), rtol=1e-5)
    assert not sight.revealed.any()


def test_bands_of_rows_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    depth = rendered_depth(ground_and_boxes(4))
    seen = view(next_from_prev(*MOVES["all"]), OPTICS, OPTICS)
    whole = planes(project_surface(depth, seen))
    monkeypatch.setattr(bands, "BAND_PIXELS", SIDE_PX)  # as many rows as the margins take
    for ours, theirs in zip(planes(project_surface(depth, seen)), whole, strict=True):
        assert torch.equal(ours, theirs)


def test_a_plane_moves_as_the_classic_warp_moves_it() -> None:
    # 0.1 units aside at depth 1: 0.1 / tan 35 degrees / 2 of the width.
    move = scene_move(next_from_prev((20, 0, 0), (0, 0, 0)), FOV_DEG, OPTICS)
    sight = project_surface(torch.ones(SIDE_PX, SIDE_PX), view(move, OPTICS, OPTICS))
    shift_px = 0.1 / np.tan(np.radians(35)) / 2 * SIDE_PX
    columns = torch.arange(SIDE_PX, dtype=torch.float32).expand(SIDE_PX, -1)
    shown = ~sight.revealed
    assert torch.allclose(sight.map_x[shown], (columns + shift_px)[shown], atol=1e-3)
    assert (~shown).sum() == SIDE_PX * round(shift_px)
    assert not shown[:, -round(shift_px) :].any()


def test_a_negative_field_of_view_turns_the_motion_round() -> None:
    pose = next_from_prev((9, -5, 12), (1, 2, 3))
    there = scene_move(pose, FOV_DEG, OPTICS)
    back = scene_move(pose, -FOV_DEG, intrinsics(-FOV_DEG, 1, (SIDE_PX, SIDE_PX)))
    assert np.allclose(there @ back, np.eye(4))


def test_a_flip_alone_moves_the_image_as_its_matrix_says() -> None:
    flip = np.array([[1.02, 0.03, -2.0], [-0.01, 0.98, 1.0], [1e-4, -2e-4, 1.01]])
    seen = view(scene_move(np.eye(4), FOV_DEG, OPTICS, flip), OPTICS, OPTICS)
    assert np.allclose(seen.pixels / seen.pixels[2, 2], flip / flip[2, 2])


@pytest.mark.parametrize("rotation_deg", [(4, 0, 0), (0, -6, 0), (2, 3, 20)])
def test_turning_alone_uncovers_nothing_but_the_edge(rotation_deg: tuple[float, float, float]) -> None:
    depth = rendered_depth(ground_and_boxes(4))
    move = view(next_from_prev((0, 0, 0), rotation_deg), OPTICS, OPTICS)
    flat, deep = project_surface(torch.ones_like(depth), move), project_surface(depth, move)
    assert ((flat.revealed ^ deep.revealed).sum() <= 4).item()


@pytest.mark.parametrize("name", ["aside", "forward", "all"])
def test_noise_in_depth_opens_no_gaps(name: str) -> None:
    noise = torch.randn(SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(1)) * 0.004
    move = next_from_prev(*MOVES[name])
    noisy = project_surface(hills() * (1 + noise), view(move, OPTICS, OPTICS))
    smooth = project_surface(hills(), view(move, OPTICS, OPTICS))
    inner = (slice(12, -12), slice(12, -12))
    assert not smooth.revealed[inner].any()
    assert noisy.revealed[inner].float().mean() < 0.003


@pytest.mark.parametrize("name", MOVES)
def test_any_device_sees_the_same(name: str) -> None:
    depth = rendered_depth(ground_and_boxes(5))
    seen = view(next_from_prev(*MOVES[name]), OPTICS, OPTICS)
    size_px = (SIDE_PX, SIDE_PX)
    here, there = project_surface(depth, seen), SurfaceView(*surface._seen(depth, seen, size_px, torch))
    for ours, theirs in zip(planes(here), planes(there), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_a_surface_rasterized_in_parts_is_the_same(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    depth, seen = hills()[:16, :16].contiguous(), view(next_from_prev(*MOVES["all"]), OPTICS, OPTICS)
    whole = project_surface(depth, seen)
    monkeypatch.setattr(surface, "CANDIDATES_AT_ONCE", at_once)
    assert all(
        torch.equal(a, b) for a, b in zip(planes(whole), planes(project_surface(depth, seen)), strict=True)
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5)])
def test_images_of_any_size_are_seen(size: tuple[int, int]) -> None:
    optics = intrinsics(FOV_DEG, 1, (size[1], size[0]))
    sight = project_surface(torch.full(size, 1.5), view(next_from_prev((3, 1, 9), (1, 1, 1)), optics, optics))
    assert sight.map_x.shape == size


def test_what_no_camera_can_see_is_revealed() -> None:
    behind = view(next_from_prev((0, 0, 900), (0, 0, 0)), OPTICS, OPTICS)
    assert project_surface(hills(), behind).revealed.all()
    nowhere = View(np.zeros((3, 3)), np.zeros(3))
    assert project_surface(hills(), nowhere).revealed.all()
    turned = view(next_from_prev((0, 0, 0), (0, 180, 0)), OPTICS, OPTICS)
    assert project_surface(hills(), turned).revealed.all()
