"""Videos that are repainted in parts: what stays, what is diffused, where noise falls, what comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.image.types import Image
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import Progress, RunResult, run_job

QUICK = {"deforum_ffmpeg_preset": "ultrafast"}
STILL = {
    "zoom": "0:(1)",
    "color_coherence": "None",
    "noise_schedule": "0:(0)",
    "amount_schedule": "0:(0)",
    "skip_video_creation": True,
    "mask_overlay_blur": 0,
    "max_frames": 4,
}
NOISE_MASKED = {"use_noise_mask": True, "noise_schedule": "0:(0.1)"}


class RedEngine(NoisyEngine):
    """Generates red, whatever it is asked for."""

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        self.requests.append(request)
        return torch.tensor([1.0, 0, 0])[:, None, None].repeat(1, request.height_px, request.width_px)


def rendered(root: Path, engine: Any = None, cancel: CancelToken | None = None, **changes: Any) -> RunResult:
    job = prepared(root, QUICK, **STILL | changes)
    return run_job(job, engine or RedEngine(), cancel or CancelToken(), lambda progress: None)


def frames_of(result: RunResult) -> list[np.ndarray]:
    return [read_frame(path) for path in frame_files(result.outdir)]


@pytest.fixture
def right(tmp_path: Path) -> str:
    """A mask file that is white on its right half, twice the size of the video."""
    mask = np.zeros((128, 128), np.uint8)
    mask[:, 64:] = 255
    cv2.imwrite(str(tmp_path / "right.png"), mask)
    return str(tmp_path / "right.png")


@pytest.fixture
def blue(tmp_path: Path) -> str:
    cv2.imwrite(str(tmp_path / "blue.png"), np.full((64, 64, 3), (255, 0, 0), np.uint8))
    return str(tmp_path / "blue.png")


RED, BLUE = np.array([255, 0, 0]), np.array([0, 0, 255])


@pytest.mark.parametrize("full_res", [False, True])
@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("fill", ["fill", "original", "latent noise", "latent nothing"])
def test_only_the_masked_half_is_repainted(
    tmp_path: Path, right: str, blue: str, full_res: bool, invert: bool, fill: str
) -> None:
    engine = RedEngine()
    frames = frames_of(
        rendered(
            tmp_path,
            engine,
            use_init=True,
            init_image=blue,
            use_mask=True,
            mask_file=right,
            invert_mask=invert,
            full_res_mask=full_res,
            fill=fill,
        )
    )
    for frame in frames:
        halves = frame[:, 2:30], frame[:, 34:]
        unmasked, painted = halves[::-1] if invert else halves
        assert (unmasked == BLUE).all()
        assert (painted == RED).all()
    for request in engine.requests:
        assert request.mask is not None
        contents = {"latent noise": "noise", "latent nothing": "nothing"}
        assert request.mask_content == contents.get(fill, "picture")


def test_without_an_init_image_the_first_frame_is_whole(tmp_path: Path, right: str) -> None:
    engine = NoisyEngine()
    frames = frames_of(rendered(tmp_path, engine, use_mask=True, mask_file=right, full_res_mask=False))
    assert engine.requests[0].mask is None
    assert all(request.mask is not None for request in engine.requests[1:])
    for frame in frames[1:]:
        assert (frame[:, :30] == frames[0][:, :30]).all()
        assert (frame[:, 34:] != frames[0][:, 34:]).any()


def test_what_leaves_the_mask_is_put_back(tmp_path: Path, right: str, blue: str) -> None:
    """The video moves to the left; outside of the mask stands the init image, in between frames too."""
    move = {"zoom": "0:(1)", "translation_x": "0:(-8)", "diffusion_cadence": 2, "max_frames": 5}
    common = {"use_init": True, "init_image": blue, "use_mask": True, "mask_file": right}
    for overlay in (True, False):
        frames = frames_of(rendered(tmp_path / str(overlay), overlay_mask=overlay, **common, **move))
        back = [(frame[:, 2:30] == BLUE).all() for frame in frames[1:]]
        assert all(back) is overlay
        assert any(back) is overlay


def test_a_black_mask_is_none(tmp_path: Path, blue: str) -> None:
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((64, 64), np.uint8))
    frames = frames_of(
        rendered(
            tmp_path,
            use_init=True,
            init_image=blue,
            use_mask=True,
            mask_file=str(tmp_path / "black.png"),
            overlay_mask=False,
        )
    )
    assert all((frame == RED).all() for frame in frames)


def test_the_schedule_changes_the_mask(tmp_path: Path, right: str, blue: str) -> None:
    frames = frames_of(
        rendered(
            tmp_path,
            use_init=True,
            init_image=blue,
            use_mask=True,
            mask_file=right,
            mask_schedule='0: ("{init_mask}"), 2: (!{video_mask} & {everywhere})',
            full_res_mask=False,
        )
    )
    assert [(frame[:, :30] == RED).all() for frame in frames] == [False, False, True, True]
    assert [(frame[:, 34:] == RED).all() for frame in frames] == [True, True, False, False]


def test_a_file_in_an_expression(tmp_path: Path, right: str, blue: str) -> None:
    frames = frames_of(
        rendered(
            tmp_path,
            use_init=True,
            init_image=blue,
            use_mask=True,
            mask_schedule=f'0: ("![{right}]")',
        )
    )
    assert (frames[-1][:, 2:30] == RED).all()
    assert (frames[-1][:, 34:] == BLUE).all()


def test_the_transparency_of_the_init_image(tmp_path: Path) -> None:
    image = np.full((64, 64, 4), (255, 0, 0, 255), np.uint8)
    image[:, :32, 3] = 0
    cv2.imwrite(str(tmp_path / "alpha.png"), image)
    frames = frames_of(
        rendered(
            tmp_path,
            use_init=True,
            init_image=str(tmp_path / "alpha.png"),
            use_mask=True,
            use_alpha_as_mask=True,
        )
    )
    assert (frames[0][:, :30] == BLUE).all()
    assert (frames[0][:, 34:] == RED).all()


def test_noise_falls_inside_its_mask_alone(tmp_path: Path, right: str, blue: str) -> None:
    engine = RedEngine()
    changes = {"noise_schedule": "0:(0.5)", "use_noise_mask": True, "max_frames": 2}
    rendered(
        tmp_path,
        engine,
        use_init=True,
        init_image=blue,
        noise_mask_schedule=f'0: ("[{right}]")',
        **changes,
    )
    noisy = engine.requests[1].init_image
    assert noisy is not None
    red = torch.tensor([1.0, 0, 0])[:, None, None]
    assert torch.equal(noisy[:, :, :30], red.expand(3, 64, 30))
    assert (noisy[:, :, 34:] - red).abs().mean() > 0.05


def test_redo_passes_stay_in_the_mask(tmp_path: Path, right: str) -> None:
    engine = NoisyEngine()
    rendered(tmp_path, engine, use_mask=True, mask_file=right, diffusion_redo=2, max_frames=2)
    assert [request.mask is not None for request in engine.requests] == [False, True, True, True]


@pytest.mark.parametrize("cadence", [1, 3])
def test_a_resumed_video_is_the_same_to_the_bit(tmp_path: Path, right: str, blue: str, cadence: int) -> None:
    changes = {
        "use_init": True,
        "init_image": blue,
        "use_mask": True,
        "mask_file": right,
        "mask_overlay_blur": 3,
        "diffusion_cadence": cadence,
        "translation_x": "0:(2)",
        "noise_schedule": "0:(0.2)",
        "color_coherence": "LAB",
        "max_frames": 8,
    }
    whole = frames_of(rendered(tmp_path / "whole", NoisyEngine(), **changes))
    job, cancel = prepared(tmp_path / "parts", QUICK, **STILL | changes), CancelToken()

    def park(progress: Progress) -> None:
        if progress.frame >= 4:
            cancel.park()

    with pytest.raises(Exception, match="parked"):
        run_job(job, NoisyEngine(), cancel, park)
    (settings,) = (tmp_path / "parts").rglob("*_settings.txt")
    again = replace(job, resume=settings.name[:14])
    parts = frames_of(run_job(again, NoisyEngine(), CancelToken(), lambda progress: None))
    assert len(parts) == 8
    assert all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))


@pytest.mark.parametrize(
    ("changes", "setting", "says"),
    [
        ({"mask_schedule": '0: ("{sky}")'}, "mask_schedule", "expected"),
        ({"mask_schedule": '0: ("[nowhere.png]")'}, "mask_schedule", "does not exist"),
        ({"mask_schedule": '0: ("<a red house>")'}, "mask_schedule", "hf download CIDAS"),
        ({"mask_schedule": '0: ("{human_mask}")'}, "mask_schedule", "hf download nvidia"),
        ({"mask_file": "nowhere.png"}, "mask_file", "does not exist"),
        (
            {**NOISE_MASKED, "noise_mask_schedule": '0: ("{init_mask} &")'},
            "noise_mask_schedule",
            "end",
        ),
    ],
)
def test_what_cannot_be_a_mask_is_told_before_the_first_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], setting: str, says: str
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(SettingsError) as caught:
        prepared(tmp_path / "out", QUICK, **STILL | {"use_mask": True} | changes)
    problems = {problem.setting: problem.message for problem in caught.value.problems}
    assert says in problems[setting]
    assert not (tmp_path / "out").exists()


def test_a_mask_that_nobody_uses_cannot_fail(tmp_path: Path) -> None:
    rendered(tmp_path, mask_file="nowhere.png", mask_schedule='0: ("{sky}")', max_frames=1)


@pytest.fixture
def black_video(tmp_path: Path) -> str:
    """Four frames of a mask video, all black."""
    path = tmp_path / "black.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 4, (64, 64))
    for _ in range(4):
        writer.write(np.zeros((64, 64, 3), np.uint8))
    writer.release()
    return str(path)


NOWHERE = "https://127.0.0.1:1/nowhere.png"


@pytest.mark.parametrize(
    "changes",
    [
        {"use_mask": True, "use_mask_video": True, "video_mask_path": "<video>", "mask_file": NOWHERE},
        {"use_mask_video": True, "video_mask_path": "<video>", "mask_file": NOWHERE},
        {"use_mask": True, "mask_file": NOWHERE, "mask_schedule": '0: ("{everywhere}")'},
        {"use_mask": True, "mask_file": NOWHERE, "mask_schedule": '0: ("[<right>]")'},
        {
            "use_mask_video": True,
            "video_mask_path": NOWHERE,
            "mask_schedule": '0: ("{init_mask}")',
            "mask_file": "<right>",
        },
        {"use_mask_video": True, "mask_schedule": '0: ("{everywhere}")'},
        {
            "use_init": True,
            "init_image": "<blue>",
            "use_mask": True,
            "use_alpha_as_mask": True,
            "mask_file": NOWHERE,
        },
        {
            "animation_mode": "Video Input",
            "video_init_path": "<video>",
            "use_init": True,
            "init_image": NOWHERE,
        },
        {
            "animation_mode": "Interpolation",
            "color_coherence": "Image",
            "color_coherence_image_path": NOWHERE,
        },
    ],
    ids=lambda changes: "-".join(changes),
)
def test_files_that_the_video_does_not_read_are_not_asked_for(
    tmp_path: Path, right: str, blue: str, black_video: str, changes: dict[str, Any]
) -> None:
    files = {"<right>": right, "<blue>": blue, "<video>": black_video}
    for written, path in files.items():
        changes = {
            name: value.replace(written, path) if isinstance(value, str) else value
            for name, value in changes.items()
        }
    assert len(frames_of(rendered(tmp_path / "out", **changes))) == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"use_mask": True, "mask_file": "nowhere.png"},
        {"use_mask_video": True, "mask_file": "nowhere.png", "mask_schedule": '0: ("!{init_mask}")'},
        {**NOISE_MASKED, "mask_file": "nowhere.png", "noise_mask_schedule": '0: ("{video_mask}")'},
        {"color_coherence": "Image", "color_coherence_image_path": "nowhere.png"},
    ],
)
def test_files_that_the_video_reads_must_be_there(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"does not exist"):
        prepared(tmp_path, QUICK, **STILL | changes)


def test_a_mask_without_a_source_is_warned_about(tmp_path: Path) -> None:
    assert any("mask is black everywhere" in text for text in prepared(tmp_path, use_mask=True).warnings)
