"""What fills the areas that come into sight."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deforum_helpers.camera.pose import next_from_prev
from deforum_helpers.camera.projection import intrinsics, view
from deforum_helpers.image.reveal import fill_hole, hole_mask, repaint_mask, warp_flags
from deforum_helpers.image.surface import SurfaceView, project_surface
from deforum_helpers.image.warp import sample_surface

SIDE_PX = 96
OPTICS = intrinsics(70, 1, (SIDE_PX, SIDE_PX))
BOX = (slice(24, 72), slice(36, 60))


def box_before_wall() -> tuple[torch.Tensor, torch.Tensor]:
    """Return a red box before a blue and green wall of fine grain, (3, H, W), and its depth."""
    grain = torch.rand(SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(3))
    image = torch.stack([torch.zeros_like(grain), grain, 1 - grain])
    depth = torch.full((SIDE_PX, SIDE_PX), 3.0)
    depth[BOX] = 1.0
    image[:, BOX[0], BOX[1]] = torch.tensor([1.0, 0, 0])[:, None, None]
    return image, depth


def moved(translation: tuple[float, float, float]) -> tuple[torch.Tensor, torch.Tensor, SurfaceView]:
    image, depth = box_before_wall()
    sight = project_surface(depth, view(next_from_prev(translation, (0, 0, 0)), OPTICS, OPTICS))
    hole = hole_mask(sight)
    return fill_hole(sample_surface(image, sight, "bicubic"), hole, sight), hole, sight


@pytest.mark.parametrize("translation", [(30, 0, 0), (-30, 0, 0), (0, 25, 0), (20, -20, 10), (0, 0, -30)])
def test_what_stood_behind_is_filled_from_behind(translation: tuple[float, float, float]) -> None:
    image, hole, _ = moved(translation)
    assert hole.sum() > 100
    assert image[0][hole].max() < 0.25  # nothing of the box
    assert 0.2 < image[1][hole].std() / 0.29 < 1.5  # as rough as the wall


@pytest.mark.parametrize("step", [4, 12, 30])
def test_holes_that_open_a_little_at_each_frame_are_no_smear(step: float) -> None:
    image, depth = box_before_wall()
    opened = torch.zeros(SIDE_PX, SIDE_PX, dtype=torch.bool)
    for _ in range(round(60 / step)):
        sight = project_surface(depth, view(next_from_prev((step, 0, 0), (0, 0, 0)), OPTICS, OPTICS))
        hole = hole_mask(sight)
        image = fill_hole(sample_surface(image, sight, "bicubic"), hole, sight)
        opened = hole | warp_flags(opened, sight)
        # The wall goes on behind the hole, as an estimator would see it.
        depth = torch.where(sight.revealed, torch.tensor(3.0), sight.depth)
    assert opened.sum() > 500
    along = (image[1][:, 1:] - image[1][:, :-1])[opened[:, 1:] & opened[:, :-1]].square().mean()
    across = (image[1][1:] - image[1][:-1])[opened[1:] & opened[:-1]].square().mean()
    assert 0.3 < along / across < 3


def test_pixels_of_the_box_do_not_grow() -> None:
    image, _, _ = moved((30, 0, 0))
    assert abs(int((image[0] > 0.5).sum()) - 48 * 24) <= 48


def test_an_image_without_holes_is_left_alone() -> None:
    image, _ = box_before_wall()
    _, hole, sight = moved((0, 0, 0))
    assert not hole.any()
    assert fill_hole(image, hole, sight) is image


def test_an_image_that_is_all_hole_is_filled() -> None:
    image, hole, _ = moved((0, 0, 900))
    assert hole.all()
    assert torch.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 1


def test_flags_move_with_the_image() -> None:
    _, _, sight = moved((30, 0, 0))
    flags = torch.zeros(SIDE_PX, SIDE_PX, dtype=torch.bool)
    flags[BOX] = True
    then = warp_flags(flags, sight)
    shift_px = round(0.15 / np.tan(np.radians(35)) / 2 * SIDE_PX)
    assert then[BOX[0], 36 - shift_px + 1 : 60 - shift_px - 1].all()
    assert not then[:, 61 - shift_px :].any()


def test_wide_holes_are_painted_anew_and_thin_ones_are_not() -> None:
    hole = torch.zeros(SIDE_PX, SIDE_PX, dtype=torch.bool)
    hole[:, 40:44] = True
    assert repaint_mask(hole) is None
    hole[:, 40:48] = True
    mask = repaint_mask(hole)
    assert mask is not None
    assert (mask[hole] > 0.95).all()
    assert mask[:, :20].max() == 0
    assert ((mask > 0.05) & (mask < 0.95)).any()


def test_a_crack_within_a_thing_shows_the_thing_and_one_at_its_edge_the_background() -> None:
    """Depth jumps at column 12 within a bright thing in the upper half, and at its edge in the lower one."""
    lines, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    none, edge = torch.zeros(32, 32, dtype=torch.bool), torch.where(lines < 16, 20, 12)
    image = torch.where(columns < edge, 0.8, 0.1).expand(3, 32, 32).clone()
    hole = none.clone()
    hole[:, 12] = True
    image[:, hole] = 0.0
    depth = torch.where(columns < 12, 1.0, 5.0)
    sight = SurfaceView(columns, lines, depth, revealed=hole, behind=none, before=columns == 11)
    shown = fill_hole(image, hole, sight)
    assert torch.allclose(shown[:, 2:12, 12], torch.tensor(0.8), atol=0.02)
    assert float(shown[:, 22:30, 12].max()) < 0.25
