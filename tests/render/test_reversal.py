"""Videos that are rendered from their last frame to their first."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.errors import Parked, SettingsError
from deforum_helpers.core.progress import CancelToken, Progress
from deforum_helpers.image.convert import from_bytes, to_bytes
from deforum_helpers.image.warp import warp_2d
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import RunResult, run_job
from deforum_helpers.render.moves import Move2D, inverse_move
from deforum_helpers.render.plan import Plan

PROMPTS = {"0": "a lake", "4": "a forest", "9": "a desert"}
FILM = {"max_frames": 12, "prompts": PROMPTS, "zoom": "0:(1 + 0.01*t)", "strength_schedule": "0:(t/12)"}
STEM = "20260102030405"


def render(root: Path, *, resume: bool = False, park_at: int | None = None, **changes: Any) -> RunResult:
    token = CancelToken()

    def watch(progress: Progress) -> None:
        if park_at is not None and progress.frame >= park_at:
            token.park()

    return run_job(
        prepared(
            root, {"deforum_ffmpeg_preset": "ultrafast"}, **{**FILM, "reverse_generation": True, **changes}
        ),
        NoisyEngine(),
        token,
        watch,
        resume=STEM if resume else None,
        now=lambda: datetime(2026, 1, 2, 3, 4, 5),
    )


def frames(result: RunResult) -> list[np.ndarray]:
    return [read_frame(path) for path in frame_files(result.outdir)]


def plan(root: Path, **changes: Any) -> Plan:
    return prepared(root, None, **{**FILM, "reverse_generation": True, **changes}).plan


def test_frames_have_the_numbers_of_a_forward_video(tmp_path: Path) -> None:
    forward, back = plan(tmp_path, reverse_generation=False), plan(tmp_path)
    assert [back.video_index(frame) for frame in range(12)] == [*range(11, -1, -1)]
    # A key frame has the prompt and the numbers of the frame that it is shown as.
    for key in back.key_frames[1:]:
        shown = forward.key_frames[back.video_index(key.index)]
        assert key.request.prompt == shown.request.prompt
        if shown.index:
            assert key.request.denoising_strength == pytest.approx(shown.request.denoising_strength)
    assert back.schedules.values["zoom"].tolist() == forward.schedules.values["zoom"].tolist()
    assert back.prompts == forward.prompts


@pytest.mark.parametrize("mode", ["2D", "3D"])
def test_each_move_undoes_the_one_into_the_frame_after_it(mode: str, tmp_path: Path) -> None:
    changes = {"animation_mode": mode, "translation_x": "0:(t)", "translation_z": "0:(2*t)"}
    forward, back = plan(tmp_path, reverse_generation=False, **changes), plan(tmp_path, **changes)
    for frame in range(1, 12):
        after = back.video_index(frame - 1)
        np.testing.assert_allclose(
            back.moves[frame].pose() @ forward.moves[after].pose(), np.eye(4), atol=1e-9
        )


@pytest.mark.parametrize("mode", ["2D", "3D"])
@pytest.mark.parametrize("flipped", [False, True])
def test_all_moves_are_taken_back_at_once_as_one_by_one(flipped: bool, mode: str, tmp_path: Path) -> None:
    changes = {
        "animation_mode": mode,
        "translation_x": "0:(t)",
        "zoom": "0:(1.1), 4:(0), 5:(0.9)",
        "enable_perspective_flip": flipped,
        "perspective_flip_theta": "0:(0), 3:(5)",
    }
    forward, back = plan(tmp_path, reverse_generation=False, **changes), plan(tmp_path, **changes)
    for frame in range(1, 12):
        move = forward.moves[back.video_index(frame - 1)]
        vanishes = isinstance(move, Move2D) and not move.dst_from_src[:, :2].any()
        expected = move if vanishes else inverse_move([move])
        np.testing.assert_array_equal(back.moves[frame].pose(), expected.pose())
    if mode == "2D":
        assert any(not move.dst_from_src[:, :2].any() for move in back.moves if isinstance(move, Move2D))


def test_the_video_plays_forward(tmp_path: Path) -> None:
    """What a zoom in shows last was rendered first, so each frame moved forward gives the next one."""
    changes = {"zoom": "0:(1.1)", "strength_schedule": "0:(1)", "prompts": {"0": "a lake"}}
    result = render(tmp_path, **changes)
    shown = frames(result)
    assert len(shown) == 12
    move = plan(tmp_path, reverse_generation=False, **changes).moves[1]
    assert isinstance(move, Move2D)
    for before, after in pairwise(shown[6:]):
        moved = to_bytes(warp_2d(from_bytes(before), move.dst_from_src, "replicate")).astype(float)
        assert (
            np.abs(cv2.blur(moved, (5, 5)) - cv2.blur(after.astype(float), (5, 5)))[16:48, 16:48].mean() < 12
        )
    assert result.video is not None
    video = cv2.VideoCapture(str(result.video))
    read = [video.read()[1][..., ::-1].astype(float) for _ in range(12)]
    for frame, image in zip(shown, read, strict=True):
        distances = [
            np.abs(cv2.blur(one.astype(float), (3, 3)) - cv2.blur(image, (3, 3))).mean() for one in shown
        ]
        assert np.array_equal(shown[int(np.argmin(distances))], frame)


@pytest.mark.parametrize("checkpoint", ["kept", "lost"])
@pytest.mark.parametrize("cadence", [1, 3])
def test_a_stopped_run_goes_on_bit_for_bit(cadence: int, checkpoint: str, tmp_path: Path) -> None:
    changes = {"diffusion_cadence": cadence, "color_coherence": "LAB"}
    whole = render(tmp_path / "whole", **changes)
    with pytest.raises(Parked):
        render(tmp_path / "parts", park_at=5, **changes)
    done = list(frame_files(next((tmp_path / "parts").glob("*/*"))))
    assert 5 <= len(done) < 12
    assert done[-1].name.endswith("_000000011.png")
    if checkpoint == "lost":
        next(done[0].parent.glob("*.checkpoint")).unlink()
    resumed = render(tmp_path / "parts", resume=True, **changes)
    assert [path.name for path in frame_files(resumed.outdir)] == [
        path.name for path in frame_files(whole.outdir)
    ]
    assert all(np.array_equal(one, two) for one, two in zip(frames(whole), frames(resumed), strict=True))


def test_a_loop_closes_backwards_as_well(tmp_path: Path) -> None:
    changes = {"seamless_loop": True, "ending_frames": 6, "prompts": {"0": "a lake"}, "zoom": "0:(1)"}
    shown = frames(render(tmp_path, **changes))
    assert np.array_equal(shown[0], shown[-1])


@pytest.mark.parametrize(
    "changes",
    [
        {"end_image_path": "end.png"},
        {"use_looper": True, "init_images": '{"0": "a.png"}'},
        {"prompt_interpolation": "embedding"},
        {"hybrid_motion": "Optical Flow", "video_init_path": "video.mp4"},
    ],
)
def test_what_has_a_direction_of_its_own_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        plan(tmp_path, **changes)
    assert "reverse_generation" in [problem.setting for problem in caught.value.problems]


def test_a_transition_is_planned_backwards(tmp_path: Path) -> None:
    keys = plan(tmp_path, prompt_transition="cut").key_frames
    assert [key.index for key in keys if key.source == "nothing"] == [0, 12 - 9, 12 - 4]
