"""The measures of the image benchmark on frames whose values are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.picture import flat_motion, text_to_image, to_float
from benchmarks.picture_measures import Frame, Pair, burn, coherence, psnr, pulse, smear
from deforum_helpers.camera.matrix_2d import move_matrix
from deforum_helpers.engines import make_engine
from deforum_helpers.image.convert import from_bytes
from deforum_helpers.image.warp import warp_2d
from deforum_helpers.render.moves import Move2D

SIZE_PX = 160


def texture(seed: int = 0) -> Frame:
    noise = np.random.default_rng(seed).normal(0, 60, (SIZE_PX, SIZE_PX, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return np.clip(128 + 4 * smooth, 0, 255).astype(np.uint8)


def pair(before: Frame, after: Frame | None, move: Move2D) -> Pair:
    moved = to_float(warp_2d(from_bytes(before), move.dst_from_src, "replicate"))
    seen, flow = flat_motion(move, SIZE_PX, SIZE_PX)
    return Pair(before, moved.round().astype(np.uint8) if after is None else after, moved, seen, flow)


def move(zoom: float = 1.0, x_px: float = 0.0) -> Move2D:
    return Move2D(
        move_matrix(
            angle_deg=0, zoom=zoom, translation_px=(x_px, 0), center=(0.5, 0.5), size_px=(SIZE_PX, SIZE_PX)
        )
    )


@pytest.mark.parametrize("planned", [move(zoom=1.02), move(x_px=4)])
def test_a_video_that_moves_as_told(planned: Move2D) -> None:
    fit = coherence([pair(texture(), None, planned)])
    assert fit.error < 0.6
    assert fit.flicker < 0.05
    assert fit.motion == pytest.approx(1, abs=0.05)
    assert fit.miss_px < 0.5


def test_a_video_that_stands_still() -> None:
    fit = coherence([pair(texture(), texture(), move(x_px=4))])
    assert fit.motion == pytest.approx(0, abs=0.05)
    assert fit.miss_px == pytest.approx(4, abs=0.3)


def test_a_video_of_unrelated_frames_flickers() -> None:
    assert coherence([pair(texture(), texture(1), move(x_px=4))]).flicker > 1.3


def test_pulse_is_the_change_of_sharpness() -> None:
    sharp, soft = texture(), cv2.GaussianBlur(texture(), (0, 0), 3)
    assert pulse([sharp, sharp, sharp]) == 0
    assert pulse([sharp, soft, sharp]) > 1


def test_burn_is_growth_relative_to_fresh_frames() -> None:
    dull = np.full((SIZE_PX, SIZE_PX, 3), 128, np.uint8)
    dull[: SIZE_PX // 2] = 98
    harsh = np.where(dull == 128, 158, 68).astype(np.uint8)
    grown = burn([dull, dull, harsh, harsh, harsh, harsh, harsh, harsh], [dull])
    assert grown.contrast == pytest.approx(2, abs=0.01)
    assert grown.clipped == 0
    assert burn([dull] * 8, [dull]).worst == 0
    clipped = np.full_like(dull, 255)
    assert burn([dull] * 4 + [clipped] * 4, [dull]).clipped == pytest.approx(1)


def test_psnr() -> None:
    frame = texture()
    assert psnr(frame, frame) == float("inf")
    assert psnr(np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 51, np.uint8)) == pytest.approx(
        13.98, abs=0.01
    )


def test_a_smeared_area_has_no_gradients_along_the_motion() -> None:
    flow = np.zeros((2, SIZE_PX, SIZE_PX), np.float32)
    flow[0] = 4
    revealed = np.zeros((SIZE_PX, SIZE_PX), bool)
    revealed[:, :40] = True
    true = texture()
    smeared = true.copy()
    smeared[:, :40] = true[:, 40:41]
    assert smear(true, true, flow, revealed) == pytest.approx(1)
    assert smear(smeared, true, flow, revealed) < 0.2


def test_images_of_the_prompt_differ_by_their_seed_alone() -> None:
    one, other = text_to_image(make_engine("null"), 2, (64, 48))
    assert one.shape == other.shape == (48, 64, 3)
    assert not np.array_equal(one, other)
