"""The 3D warp with a given depth, and the 2D warp, on the CPU."""

from __future__ import annotations

import torch

from benchmarks.pictures import picture
from benchmarks.rows import Row, best_of
from deforum_helpers.camera.matrix_2d import move_matrix
from deforum_helpers.camera.pose import next_from_prev
from deforum_helpers.image.warp import warp_2d, warp_3d
from deforum_helpers.models.depth.scene import scene_depth

NAME = "warp"
BAR = "3D move with a given depth, bicubic: 6.4 ms at 512x512, 36 ms at 1024x1024"
BARS_MS = {512: 6.4, 1024: 36.0}


def run() -> list[Row]:
    """Measure one warp at each size."""
    return [row for side_px in BARS_MS for row in _rows(side_px)]


def _rows(side_px: int) -> list[Row]:
    image = picture(side_px)
    answer = image.mean(0)
    depth = scene_depth(answer, 1, 2, far_is_large=True)
    pose = next_from_prev((2, -1, 5), (0.2, -0.3, 0.5))
    size_px = (side_px, side_px)
    matrix = move_matrix(angle_deg=0.5, zoom=1.02, translation_px=(3, -1), center=(0.5, 0.5), size_px=size_px)

    def move(depth: torch.Tensor) -> torch.Tensor:
        return warp_3d(
            image, depth, pose, fov_deg=70, aspect=1, padding_mode="border", sampling_mode="bicubic"
        )

    return [
        Row(f"3D move, {side_px}x{side_px}", best_of(lambda: move(depth), 20), BARS_MS[side_px]),
        Row(
            f"3D move with equalisation of the depth, {side_px}x{side_px}",
            best_of(lambda: move(scene_depth(answer, 1, 2, far_is_large=True)), 20),
        ),
        Row(f"2D move, {side_px}x{side_px}", best_of(lambda: warp_2d(image, matrix, "replicate"), 20)),
    ]
