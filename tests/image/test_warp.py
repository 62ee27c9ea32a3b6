"""The 2D and 3D warps against classic numbers, and against plain sampling.

Deviations from classic Deforum, all so that videos do not drift: images stay float between the steps of a frame, where
classic results are cut off to whole levels; 2D coordinates are exact, where classic ones are rounded to 1/32 of a
pixel; a perspective flip and the 3D move share one sampling, where classic has two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.camera.matrix_2d import classic_flip_matrix, move_matrix, perspective_flip_matrix
from deforum_helpers.camera.pose import next_from_prev
from deforum_helpers.camera.projection import lens, sampling_maps_2d
from deforum_helpers.core.registry import UnknownName
from deforum_helpers.image import warp
from deforum_helpers.image.convert import from_bytes, pixels, to_bytes
from deforum_helpers.image.types import Depth, Image
from deforum_helpers.image.warp import _maps, sample, sample_cpu, warp_2d, warp_3d
from deforum_helpers.models.depth.scene import scene_depth
from tests.image.sample_images import (
    chart,
    chart_u8,
    golden,
    hills_depth,
    levels_apart,
    pixels_of_hex,
    random_image,
    soft_image,
)

STILL = next_from_prev((0, 0, 0), (0, 0, 0))
LENS: dict[str, Any] = {"fov_deg": 70, "aspect": 1, "padding_mode": "border", "sampling_mode": "bicubic"}


def levels(image: Image) -> np.ndarray:
    return to_bytes(image).astype(np.int64)


def classic_depth(move: dict[str, Any]) -> Depth | None:
    if not move["depth"]:
        return None
    answer = torch.from_numpy(hills_depth())
    if move["depth_algorithm"].endswith("(old)"):
        return 2 * answer + 3.5
    return scene_depth(answer, 1, 2, far_is_large=move["depth_algorithm"] == "AdaBins")


def classic_flip(move: dict[str, Any]) -> np.ndarray:
    return classic_flip_matrix(move["flip"]["theta_deg"], 0, 0, move["flip"]["fv_deg"], (24, 16))


def warped(image: Image, move: dict[str, Any], flip: np.ndarray | None = None) -> Image:
    names = ("fov_deg", "aspect", "padding_mode", "sampling_mode")
    pose = next_from_prev(move["translation"], move["rotation_deg"])
    return warp_3d(
        image, classic_depth(move), pose, **{name: move[name] for name in names}, flip_dst_from_src=flip
    )


@pytest.mark.parametrize("move", [m for m in golden("warp3d.json")["moves"] if m["flip"] is None])
def test_classic_3d_moves(move: dict[str, Any]) -> None:
    """Rounded we are within one level; cut off as classic results were, the same nearly everywhere."""
    result, classic = warped(chart(), move), pixels_of_hex(move["rgb"])
    assert np.abs(levels(result) - classic).max() <= 1
    # where classic's float error put a whole level just below itself, it lost it; the "(old)" ones add 1/512 first
    exact = pixels(result).astype(np.float64) * 255
    same = (np.floor(exact + 3e-3) == classic) | (np.floor(exact - 1e-3) == classic)
    assert same.mean() > 0.995


def test_classic_flip_with_3d_move() -> None:
    """Deviation: one sampling for both. As classic did it, in two, we are where it was."""
    (move,) = (m for m in golden("warp3d.json")["moves"] if m["flip"] is not None)
    classic = pixels_of_hex(move["rgb"])
    flipped = sample_rounded_to_32nds(chart_u8(), classic_flip(move))
    twice = warped(flipped, move)
    assert np.abs(levels(twice) - classic).max() <= 1
    once = warped(chart(), move, classic_flip(move))
    assert np.abs(levels(once) - classic).mean() < 5


def sample_rounded_to_32nds(rgb_u8: np.ndarray, dst_from_src: np.ndarray) -> Image:
    """Return the 2D move as classic OpenCV makes it: coordinates rounded to 1/32 pixel, the result to whole levels."""
    height_px, width_px = rgb_u8.shape[:2]
    maps = sampling_maps_2d((width_px, height_px), np.linalg.inv(dst_from_src))
    map_x, map_y = (torch.from_numpy(np.round(plane * 32) / 32) for plane in maps)
    return from_bytes(to_bytes(sample(from_bytes(rgb_u8), map_x, map_y, "bilinear", "border")))


@pytest.mark.parametrize("move", golden("warp2d.json")["moves"])
def test_classic_2d_moves(move: dict[str, Any]) -> None:
    """Deviation: exact coordinates. Rounded as classic ones are, the image is classic's."""
    classic, matrix = pixels_of_hex(move["rgb"]), np.array(move["matrix"])
    result = warp_2d(chart(), matrix, "replicate")
    assert np.abs(levels(result) - classic).max() <= 4
    assert np.abs(levels(result) - classic).mean() < 0.3
    rounded = sample_rounded_to_32nds(chart_u8(), matrix)
    assert np.abs(levels(rounded) - classic).max() <= 1


def test_flat_shift_moves_the_content() -> None:
    image = random_image(20, 30)
    shift = np.array([[1, 0, 3], [0, 1, -2], [0, 0, 1]], dtype=float)
    torch.testing.assert_close(warp_2d(image, shift, "wrap"), image.roll((-2, 3), (1, 2)), rtol=0, atol=1e-6)
    moved = warp_2d(image, shift, "replicate")
    torch.testing.assert_close(moved[:, :-2, 3:], image[:, 2:, :-3], rtol=0, atol=1e-6)
    torch.testing.assert_close(moved[:, 0, :3], image[:, 2, :1].expand(3, 3), rtol=0, atol=1e-6)


@pytest.mark.parametrize("border", ["replicate", "wrap"])
def test_a_zoom_of_zero_leaves_the_color_of_the_first_pixel(border: str) -> None:
    image = random_image(6, 9)
    matrix = move_matrix(angle_deg=20, zoom=0, translation_px=(3, 1), center=(0.5, 0.5), size_px=(9, 6))
    left = warp_2d(image, matrix, border)
    assert left.stride() == image.stride()
    torch.testing.assert_close(left, image[:, :1, :1].expand(3, 6, 9))


def test_documented_3d_move() -> None:
    image = soft_image(100, 100)
    moved = warp_3d(image, None, next_from_prev((28, 0, 0), (0, 0, 0)), **LENS)  # 0.1 of the width
    assert levels_apart(moved[:, :, :85], image[:, :, 10:95]).max() < 1


def test_directions_of_2d_and_3d_translation_differ() -> None:
    """Classic, kept: translation_x moves the content right in 2D and left in 3D."""
    image = torch.zeros(3, 64, 64)
    image[:, :, 32] = 1
    columns = torch.arange(64.0)
    in_2d = warp_2d(image, np.array([[1, 0, 5], [0, 1, 0], [0, 0, 1.0]]), "replicate")
    in_3d = warp_3d(image, None, next_from_prev((20, 0, 0), (0, 0, 0)), **LENS)
    middle_2d, middle_3d = ((plane[0].sum(0) * columns).sum() / plane[0].sum() for plane in (in_2d, in_3d))
    assert middle_2d > 32 > middle_3d


def test_flying_forward_enlarges() -> None:
    image = torch.zeros(3, 64, 64)
    image[:, 24:40, 24:40] = 1
    assert warp_3d(image, None, next_from_prev((0, 0, 20), (0, 0, 0)), **LENS).sum() > 1.1 * image.sum()


@pytest.mark.parametrize("sampling_mode", ["bicubic", "bilinear", "nearest"])
def test_a_still_camera_changes_nothing(sampling_mode: str) -> None:
    """Deviation: classic Deforum loses a level in a fifth of the pixels of every frame, even when nothing moves."""
    image = random_image(37, 53)
    depth = torch.rand(37, 53) + 1
    still = image
    for _ in range(20):
        still = warp_3d(still, depth, STILL, **{**LENS, "sampling_mode": sampling_mode})
    assert np.array_equal(to_bytes(still), to_bytes(image))


def test_one_sampling_for_flip_and_move() -> None:
    image = soft_image(48, 64)
    flip = perspective_flip_matrix(theta_deg=4, phi_deg=5, gamma_deg=-6, fv_deg=53, size_px=(64, 48))
    once = warp_3d(image, None, STILL, **{**LENS, "sampling_mode": "bilinear"}, flip_dst_from_src=flip)
    assert levels_apart(once, warp_2d(image, flip, "replicate")).max() < 0.1


@given(
    st.tuples(st.integers(2, 40), st.integers(2, 40)),
    st.tuples(st.floats(-300, 300), st.floats(-300, 300), st.floats(-150, 150)),
    st.tuples(st.floats(-90, 90), st.floats(-90, 90), st.floats(-180, 180)),
    st.sampled_from(["border", "reflection", "zeros"]),
    st.sampled_from(["bicubic", "bilinear"]),
)
def test_both_forms_agree_on_any_move(
    size: tuple[int, int],
    translation: tuple[float, float, float],
    rotation_deg: tuple[float, float, float],
    padding: Any,
    mode: Any,
) -> None:
    """The form for the CPU and the one for any device; a few pixels near the camera's own height may differ."""
    image, depth = soft_image(*size), torch.linspace(1, 2, size[0] * size[1]).reshape(size)
    pose = next_from_prev(translation, rotation_deg)
    fast = warp_3d(image, depth, pose, **{**LENS, "padding_mode": padding, "sampling_mode": mode})
    map_x, map_y = _maps(depth, size[::-1], pose, lens(70, 1, size[::-1]), None)
    plain = sample(image, map_x, map_y, mode, padding)
    near = (map_x.abs() < 500) & (map_y.abs() < 500)
    assert torch.isfinite(fast).all()
    assert fast.min() >= 0
    assert fast.max() <= 1
    assert ((levels_apart(fast, plain).amax(0) < 1) | ~near).float().mean() > 0.97


@pytest.mark.parametrize("padding", ["border", "reflection", "zeros", "wrap"])
@pytest.mark.parametrize("mode", ["bicubic", "bilinear", "nearest"])
def test_both_samplings_agree_far_outside(padding: Any, mode: Any) -> None:
    if (mode, padding) == ("bicubic", "wrap"):
        pytest.skip("2D moves are bilinear")
    image, generator = random_image(21, 34), np.random.default_rng(3)
    map_x, map_y = (
        # away from halves, at which nearest neighbours may go either way
        (generator.integers(-120, 150, (40, 50)) + generator.uniform(0.05, 0.45, (40, 50))).astype(np.float32)
        for _ in range(2)
    )
    fast = sample_cpu(image, map_x, map_y, mode, padding)
    plain = sample(image, torch.from_numpy(map_x), torch.from_numpy(map_y), mode, padding)
    assert levels_apart(fast, plain).max() < 0.02


def test_where_opencv_rounds_coordinates_torch_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    image, pose = random_image(33, 40), next_from_prev((3, 2, 5), (1, 2, 3))
    with_opencv = warp_3d(image, None, pose, **LENS)
    monkeypatch.setattr(warp, "remap_is_exact", lambda: False)
    monkeypatch.setattr(warp.cv2, "remap", None)
    with_torch = warp_3d(image, None, pose, **LENS)
    assert levels_apart(with_opencv, with_torch).max() < 0.02


def test_rounded_coordinates_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = warp.cv2.remap

    def rounding(
        rgb: np.ndarray, map_x: np.ndarray, map_y: np.ndarray, *rest: Any, **more: Any
    ) -> np.ndarray:
        return exact(rgb, np.round(map_x * 32) / 32, np.round(map_y * 32) / 32, *rest, **more)

    monkeypatch.setattr(warp.cv2, "remap", rounding)
    assert not warp.remap_is_exact.__wrapped__()


def test_results_are_channels_last_and_inputs_stay() -> None:
    image = random_image(16, 24)
    before = image.clone()
    for result in (
        warp_3d(image, None, next_from_prev((5, 0, 5), (0, 0, 9)), **LENS),
        warp_2d(image, np.diag([1.1, 1.1, 1.0]), "wrap"),
    ):
        assert result.dtype == torch.float32
        assert result.permute(1, 2, 0).is_contiguous()
    assert torch.equal(image, before)


def test_unknown_modes_list_the_names() -> None:
    with pytest.raises(UnknownName, match="reflection"):
        warp_3d(chart(), None, STILL, **{**LENS, "padding_mode": "mirror"})
    with pytest.raises(UnknownName, match="bilinear"):
        warp_3d(chart(), None, STILL, **{**LENS, "sampling_mode": "lanczos"})
    with pytest.raises(UnknownName, match="replicate"):
        warp_2d(chart(), np.eye(3), "mirror")


@pytest.mark.gpu
@pytest.mark.parametrize("padding", ["border", "reflection", "zeros"])
def test_gpu_warps_as_the_cpu_does(padding: str) -> None:
    image, depth = soft_image(128, 192), torch.rand(128, 192) + 1
    pose = next_from_prev((3, -2, 8), (1, -2, 3))
    mode = {**LENS, "padding_mode": padding}
    on_gpu = warp_3d(image.cuda(), depth.cuda(), pose, **mode).cpu()
    assert levels_apart(on_gpu, warp_3d(image, depth, pose, **mode)).max() < 0.1
    matrix = np.array([[1.02, 0.1, 3], [-0.1, 1.02, 4], [0, 0, 1.0]])
    for border in ("replicate", "wrap"):
        flat = warp_2d(image.cuda(), matrix, border).cpu()
        assert levels_apart(flat, warp_2d(image, matrix, border)).max() < 0.1
