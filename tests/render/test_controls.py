"""ControlNet units in videos: the control image of each generation, its source, and the warnings before a run."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from clips import clip, levels, said
from PIL import Image as Pillow
from small_runs import SMALL, NoisyEngine, frame_files, host, prepared

from deforum_helpers.core.errors import Parked, SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.net.fetch import Fetcher
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import Control, GenerateRequest
from deforum_helpers.engines.preview import PreviewEngine
from deforum_helpers.image.convert import to_bytes
from deforum_helpers.image.types import Image
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import Progress, RunResult, run_job
from deforum_helpers.pipeline.prepare import Prepared, prepare

QUICK = {"skip_video_creation": True, "color_coherence": "None", "noise_schedule": "0:(0)"}


class Steered(NoisyEngine):
    """Generates what its units show it over the seed's noise, so that frames depend on them."""

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        image = super().generate(request, cancel)
        for control in request.controls:
            shown = control.image.mean((1, 2))[:, None, None].expand_as(image)
            image = torch.lerp(image, shown, 0.25 * control.weight)
        return image


def unit(number: int = 1, **fields: Any) -> dict[str, Any]:
    named = {"enabled": True, "model": "lines", "module": "none", **fields}
    return {f"cn_{number}_{name}": value for name, value in named.items()}


def rendered(root: Path, engine: NoisyEngine, **changes: Any) -> RunResult:
    return run_job(prepared(root, **QUICK | changes), engine, CancelToken(), lambda progress: None)


def controls(engine: NoisyEngine) -> list[tuple[Control, ...]]:
    return [request.controls for request in engine.requests]


def numbers(engine: NoisyEngine) -> list[list[int]]:
    """Which image of `levels` each generation is steered by."""
    return [[round(said(to_bytes(one.image))) for one in shown] for shown in controls(engine)]


@pytest.fixture
def video(tmp_path: Path) -> str:
    return str(clip(tmp_path / "steps.mp4", levels(7, height=48, width=96)))


@pytest.fixture
def image_file(tmp_path: Path) -> str:
    path = tmp_path / "still.png"
    cv2.imwrite(str(path), np.full((40, 30, 3), (30, 90, 150), np.uint8)[..., ::-1])
    return str(path)


def test_each_frame_has_its_own(tmp_path: Path, video: str) -> None:
    engine = Steered()
    result = rendered(tmp_path, engine, **unit(vid_path=video))
    assert numbers(engine) == [[0], [1], [2], [3], [4]]
    assert engine.requests[0].controls[0].image.shape == (3, 48, 96)
    folder = result.outdir / "controlnet_1_inputframes"
    assert sorted(path.name for path in folder.glob("*.jpg")) == [f"{number:09d}.jpg" for number in range(5)]


def test_key_frames_of_a_cadence(tmp_path: Path, video: str) -> None:
    engine = Steered()
    rendered(tmp_path, engine, diffusion_cadence=3, max_frames=7, **unit(vid_path=video))
    assert numbers(engine) == [[0], [3], [6]]


def test_video_input_selects_alike(tmp_path: Path, video: str) -> None:
    engine = Steered()
    changes = {"animation_mode": "Video Input", "video_init_path": video, "extract_nth_frame": 2}
    rendered(tmp_path, engine, **changes, extract_from_frame=1, **unit(2, vid_path=video))
    assert numbers(engine) == [[2], [4], [6]]
    assert [shown[0].unit for shown in controls(engine)] == [2, 2, 2]


def test_a_shorter_video_holds_its_last_frame(tmp_path: Path) -> None:
    short = str(clip(tmp_path / "short.mp4", levels(3)))
    engine = Steered()
    rendered(tmp_path, engine, **unit(vid_path=short, mask_vid_path=short))
    assert numbers(engine) == [[0], [1], [2], [2], [2]]
    warnings = prepared(tmp_path, **unit(vid_path=short, mask_vid_path=short)).warnings
    assert "cn_1_vid_path has 3 frames, the video 5; its last frame is repeated to the end." in warnings
    assert "cn_1_mask_vid_path has 3 frames, the video 5; its last frame is repeated to the end." in warnings


@pytest.mark.parametrize("kind", ["folder", "pattern", "gif", "webp", "png"])
def test_images_serve_as_videos(tmp_path: Path, kind: str) -> None:
    """For units, masks, and the video that is repainted alike."""
    frames = [Pillow.fromarray(one) for one in levels(5)]
    if kind in ("folder", "pattern"):
        folder = tmp_path / "shots.png"
        folder.mkdir()
        for number, one in enumerate(frames):
            one.save(folder / f"{number}.png")
        path = str(folder / "*.png" if kind == "pattern" else folder)
    else:
        path = str(tmp_path / f"moving.{kind}")
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, lossless=True)
    engine = Steered()
    rendered(tmp_path, engine, **unit(vid_path=path, mask_vid_path=path))
    assert numbers(engine) == [[0], [1], [2], [3], [4]]
    mask = controls(engine)[2][0].mask
    assert mask is not None
    assert (float(mask.mean()) * 255 - 10) / 20 == pytest.approx(2, abs=0.1)
    engine = Steered()
    video = {"animation_mode": "Video Input", "video_init_path": path, "use_mask_video": True}
    result = rendered(tmp_path / "video", engine, **video, video_mask_path=path, extract_nth_frame=2)
    assert result.frames == 3
    assert [said(to_bytes(one.init_image)) for one in engine.requests] == pytest.approx([0, 2, 4], abs=0.2)
    hybrid = {"animation_mode": "2D", "hybrid_composite": "Normal", "video_init_path": path}
    assert rendered(tmp_path / "hybrid", Steered(), **hybrid).frames == 5


def test_an_image_serves_all_frames(tmp_path: Path, image_file: str) -> None:
    engine = Steered()
    result = rendered(tmp_path, engine, **unit(vid_path=image_file))
    shown = [one[0].image for one in controls(engine)]
    assert all(image is shown[0] for image in shown)
    assert np.allclose(to_bytes(shown[0]), [30, 90, 150], atol=1)
    assert shown[0].shape == (3, 40, 30)
    folder = result.outdir / "controlnet_1_inputframes"
    assert [path.name for path in folder.glob("*.jpg")] == ["000000000.jpg"]


def test_masks_have_their_own_folder_and_the_size_of_the_image(tmp_path: Path, image_file: str) -> None:
    mask = np.zeros((64, 64, 3), np.uint8)
    mask[:32] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    engine = Steered()
    result = rendered(tmp_path, engine, **unit(vid_path=image_file, mask_vid_path=str(tmp_path / "mask.png")))
    found = controls(engine)[2][0].mask
    assert found is not None
    assert found.shape == (40, 30)
    assert float(found[:18].min()) > 0.98
    assert float(found[22:].max()) < 0.02
    assert (result.outdir / "controlnet_1_maskframes" / "000000000.jpg").is_file()


def test_numbers_are_those_of_the_settings(tmp_path: Path, image_file: str) -> None:
    fields = {
        "weight": "0:(0), 4:(2)",
        "guidance_start": "0:(-0.5), 4:(0.5)",
        "guidance_end": "0:(1), 4:(1.5)",
        "control_mode": "ControlNet is more important",
        "resize_mode": "Just Resize",
        "low_vram": True,
        "pixel_perfect": True,
        "processor_res": 128,
        "threshold_a": 3,
        "threshold_b": 5.5,
    }
    engine = Steered()
    rendered(tmp_path, engine, **unit(vid_path=image_file, **fields))
    shown = [one[0] for one in controls(engine)]
    assert [one.weight for one in shown] == pytest.approx([0, 0.5, 1, 1.5, 2])
    assert [one.guidance_start for one in shown] == pytest.approx([0, 0, 0, 0.25, 0.5])
    assert [one.guidance_end for one in shown] == pytest.approx([1] * 5)
    same = {name: value for name, value in fields.items() if not isinstance(value, str) or "mode" in name}
    assert {name: getattr(shown[0], name) for name in same} == same


def test_loopback_begins_with_the_second_frame(tmp_path: Path) -> None:
    engine = Steered()
    rendered(tmp_path, engine, translation_x="0:(4)", **unit(loopback_mode=True, vid_path="not there.mp4"))
    assert [len(shown) for shown in controls(engine)] == [0, 1, 1, 1, 1]
    for request in engine.requests[1:]:
        assert request.init_image is not None
        assert torch.equal(request.controls[0].image, request.init_image)


def test_loopback_with_an_init_image(tmp_path: Path, image_file: str) -> None:
    engine = Steered()
    rendered(tmp_path, engine, use_init=True, init_image=image_file, **unit(loopback_mode=True))
    first = engine.requests[0]
    assert first.init_image is not None
    assert torch.equal(first.controls[0].image, first.init_image)


def test_a_unit_without_an_image_follows_the_frames(tmp_path: Path, image_file: str, video: str) -> None:
    engine = Steered()
    changes = {"animation_mode": "Video Input", "video_init_path": video, "max_frames": 7}
    rendered(tmp_path / "a", engine, **changes, **unit())
    assert numbers(engine) == [[number] for number in range(7)]
    job = prepared(tmp_path / "b", use_init=True, init_image=image_file, **unit())
    assert any("cn_1_vid_path is empty; the unit follows the image" in text for text in job.warnings)


def test_every_pass_is_steered_by_the_image_it_starts_from(tmp_path: Path, video: str) -> None:
    """Order of operations: redo passes first, each steered by the image before it in a loop, by its own otherwise."""
    engine = Steered()
    redo = {"diffusion_redo": 2, "optical_flow_redo_generation": "DIS Medium", "max_frames": 2}
    rendered(tmp_path, engine, **redo, **unit(1, vid_path=video), **unit(3, loopback_mode=True))
    assert [[one.unit for one in shown] for shown in controls(engine)] == [
        [1],
        [1, 3],
        [1, 3],
        [1, 3],
        [1, 3],
    ]
    assert [shown[0] for shown in numbers(engine)] == [0, 1, 1, 1, 1]
    looped = [shown[1].image for shown in controls(engine)[1:]]
    for image, request in zip(looped, engine.requests[1:], strict=True):
        assert request.init_image is not None
        assert torch.equal(image, request.init_image)
    assert not any(torch.equal(one, other) for one, other in pairwise(looped))


def test_a_black_frame_is_generated_anew_with_its_units(tmp_path: Path, image_file: str) -> None:
    class Dark(Steered):
        def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
            image = super().generate(request, cancel)
            return image * 0 if len(self.requests) == 1 else image

    engine = Dark()
    changes = {"reroll_blank_frames": "reroll", "reroll_patience": 3, "max_frames": 1}
    rendered(tmp_path, engine, **changes, **unit(vid_path=image_file))
    assert [request.seed for request in engine.requests] == [1, 2]
    assert [len(shown) for shown in controls(engine)] == [1, 1]


def test_a_part_that_is_repainted_at_full_size_is_steered_by_its_part(tmp_path: Path) -> None:
    """The mask's box is the lower right quarter, enlarged; so is the image that steers, and its mask."""
    slopes = np.add.outer(np.arange(128), np.arange(128)).astype(np.uint8).repeat(3).reshape(128, 128, 3)
    cv2.imwrite(str(tmp_path / "slopes.png"), slopes)
    mask = np.zeros((64, 64), np.uint8)
    mask[32:, 32:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    engine = Steered()
    rendered(
        tmp_path,
        engine,
        max_frames=1,
        use_init=True,
        init_image=str(tmp_path / "slopes.png"),
        use_mask=True,
        mask_file=str(tmp_path / "mask.png"),
        mask_schedule='0: ("{init_mask}")',
        mask_overlay_blur=0,
        full_res_mask=True,
        full_res_mask_padding=0,
        fill="original",
        **unit(vid_path=str(tmp_path / "slopes.png"), mask_vid_path=str(tmp_path / "mask.png")),
        **unit(2, loopback_mode=True),
    )
    request = engine.requests[0]
    assert request.init_image is not None
    for control in request.controls:
        assert control.resize_mode == "Just Resize"
        torch.testing.assert_close(control.image, request.init_image, atol=0.02, rtol=0)
    assert request.controls[0].mask is not None
    assert float(request.controls[0].mask[4:, 4:].min()) > 0.9


def test_interpolation_is_steered(tmp_path: Path, video: str) -> None:
    engine = Steered()
    rendered(tmp_path, engine, animation_mode="Interpolation", **unit(vid_path=video))
    assert numbers(engine) == [[0], [1], [2], [3], [4]]


class Stopping(Steered):
    """Parks the job after a few drawings."""

    def __init__(self, token: CancelToken, after: int) -> None:
        super().__init__()
        self._token, self._after = token, after

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        image = super().generate(request, cancel)
        if len(self.requests) == self._after:
            self._token.park()
        return image


@pytest.mark.parametrize("after", [1, 2, 4])
@pytest.mark.parametrize("overwrite", [True, False])
def test_resumed_bit_for_bit(
    tmp_path: Path, video: str, image_file: str, after: int, overwrite: bool
) -> None:
    changes = (
        {"diffusion_redo": 1, "translation_x": "0:(2)"}
        | unit(1, vid_path=video, overwrite_frames=overwrite, weight="0:(0.2), 4:(1)")
        | unit(2, loopback_mode=True)
        | unit(5, vid_path=image_file, mask_vid_path=video, overwrite_frames=overwrite)
    )
    whole = rendered(tmp_path / "whole", Steered(), **changes)
    stopped = prepared(tmp_path / "part", **QUICK | changes)
    token, seen = CancelToken(), []
    with pytest.raises(Parked):
        run_job(stopped, Stopping(token, after), token, lambda progress: seen.append(progress))
    told: Progress = seen[-1]
    again = prepared(tmp_path / "part", **QUICK | changes)
    result = run_job(again, Steered(), CancelToken(), lambda progress: None, resume=told.timestring)
    for one, other in zip(frame_files(whole.outdir), frame_files(result.outdir), strict=True):
        assert np.array_equal(read_frame(one), read_frame(other)), one.name


def test_other_runs_of_the_folder_do_not_change_what_steers(
    tmp_path: Path, video: str, image_file: str
) -> None:
    """Kept frames are taken only where they are of the same file; a still image lies where a first frame does."""
    for source, wanted in ((video, 0), (image_file, 4), (video, 0), (video, 0), (image_file, 4)):
        engine = Steered()
        rendered(
            tmp_path / "out",
            engine,
            batch_name="one",
            max_frames=2,
            **unit(vid_path=source, overwrite_frames=False),
        )
        assert numbers(engine)[0] == [wanted]


def test_folders_go_with_the_input_frames(tmp_path: Path, video: str, image_file: str) -> None:
    changes = (
        unit(1, vid_path=video, mask_vid_path=image_file)
        | unit(2, vid_path=image_file)
        | {"batch_name": "one"}
    )
    result = rendered(tmp_path, Steered(), delete_input_frames=True, **changes)
    assert not [path for path in result.outdir.iterdir() if path.is_dir()]
    second = rendered(tmp_path, Steered(), **changes)
    strange = second.outdir / "controlnet_2_inputframes" / "notes.txt"
    strange.write_text("mine")
    rendered(tmp_path, Steered(), delete_input_frames=True, **changes)
    assert [path.name for path in second.outdir.iterdir() if path.is_dir()] == ["controlnet_2_inputframes"]
    assert [path.name for path in strange.parent.iterdir()] == ["notes.txt"]


def test_the_disk_is_reckoned_with_them(tmp_path: Path, video: str) -> None:
    def needed(**changes: Any) -> int:
        return prepared(tmp_path, **changes).summary["disk_bytes"]

    plain = needed()
    with_unit = needed(**unit(vid_path=video))
    assert with_unit - plain == pytest.approx(5 * 48 * 96 * 0.7, abs=1)
    both = needed(**unit(vid_path=video, mask_vid_path=video))
    assert both - plain == pytest.approx(2 * (with_unit - plain), abs=1)
    of_video = needed(animation_mode="Video Input", video_init_path=video)
    assert of_video == int(7 * 64 * 64 * 1.7 + 7 * 48 * 96 * 0.7)


def test_addresses(tmp_path: Path, image_file: str, video: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"a/still.png?size=1": ("image", image_file), "v.mp4": ("video", video)}

    def fetch(self: Fetcher, url: str, kind: str, target: Path, *, setting: str) -> None:
        wanted, source = files[url.removeprefix("https://files.example/")]
        assert kind == wanted, setting
        target.write_bytes(Path(source).read_bytes())

    monkeypatch.setattr(Fetcher, "fetch", fetch)
    engine = Steered()
    url = "https://files.example/"
    rendered(tmp_path, engine, **unit(vid_path=f"{url}a/still.png?size=1", mask_vid_path=f"{url}v.mp4"))
    assert controls(engine)[0][0].image.shape == (3, 40, 30)
    assert controls(engine)[0][0].mask is not None


def problems(root: Path, *, engine: str = "null", model: str | None = None, **changes: Any) -> dict[str, str]:
    fetcher = Fetcher(lambda host, port: [ip_address("127.0.0.1")])
    facts = host(root / "out", engine=engine, model=model, fetcher=fetcher)
    try:
        prepare(SMALL | changes, facts, draw_seed=lambda: 1)
    except SettingsError as error:
        assert not (root / "out").exists()
        return {problem.setting or "": problem.message for problem in error.problems}
    return {}


@pytest.mark.parametrize(
    ("fields", "setting", "sentence"),
    [
        ({"vid_path": "gone.mp4"}, "cn_1_vid_path", "which does not exist"),
        ({"vid_path": "gone.png"}, "cn_1_vid_path", "which does not exist"),
        ({"vid_path": "rtsp://camera/1"}, "cn_1_vid_path", "expected a local file, an http(s) address"),
        ({"vid_path": "http://localhost/x.png"}, "cn_1_vid_path", "not on the public network"),
        ({"vid_path": "<text.mp4>"}, "cn_1_vid_path", "which is not a readable video"),
        ({"vid_path": "<text.png>"}, "cn_1_vid_path", "not a readable image"),
        (
            {"vid_path": "<still.png>", "mask_vid_path": "no.png"},
            "cn_1_mask_vid_path",
            "which does not exist",
        ),
        ({"vid_path": "<still.png>", "weight": "0:(1), 3:(sin(t)+"}, "cn_1_weight", "column"),
        ({"vid_path": "<still.png>", "weight": "0:(1), 4:(40)"}, "cn_1_weight", "at frame 1"),
        ({"vid_path": "<still.png>", "guidance_end": "0:(1/(t-2))"}, "cn_1_guidance_end", "frame 2"),
    ],
)
def test_told_before_the_first_frame(
    tmp_path: Path, image_file: str, fields: dict[str, Any], setting: str, sentence: str
) -> None:
    for name in ("text.mp4", "text.png"):
        (tmp_path / name).write_text("nothing")
    given = {
        name: value.replace("<", f"{tmp_path}/").replace(">", "") if isinstance(value, str) else value
        for name, value in fields.items()
    }
    found = problems(tmp_path, **unit(**given))
    assert list(found) == [setting]
    assert sentence in found[setting]


def test_a_loop_needs_images(tmp_path: Path) -> None:
    """A frame without one is generated without the unit."""
    assert prepared(tmp_path, **unit(loopback_mode=True)).missing == ()
    for changes, setting in (
        ({"animation_mode": "Interpolation", **unit(loopback_mode=True)}, "cn_1_loopback_mode is on"),
        (unit(vid_path=""), "cn_1_vid_path is empty"),
    ):
        job = prepared(tmp_path, **changes)
        (problem,) = job.missing
        assert f"{setting}, but frame 0 is generated without an init image" in problem.message
        assert any(problem.message in text for text in job.warnings)
    engine = Steered()
    rendered(tmp_path, engine, **unit(vid_path=""))
    assert [len(one) for one in controls(engine)] == [0, 1, 1, 1, 1]


def test_units_that_are_off_only_warn(tmp_path: Path) -> None:
    changes = unit(4, enabled=False, vid_path="gone.mp4", weight="0:(1/0)", model="", module="?")
    job = prepared(tmp_path, **changes)
    assert any("cn_4_weight" in text and code_of(text) == "unused_schedule" for text in job.warnings)
    engine = Steered()
    rendered(tmp_path, engine, **changes)
    assert controls(engine) == [()] * 5


def test_a_preview_generates_nothing_to_steer(tmp_path: Path, video: str) -> None:
    job = prepared(tmp_path, **QUICK, motion_preview_mode=True, **unit(vid_path=video))
    result = run_job(job, PreviewEngine(torch.device("cpu")), CancelToken(), lambda progress: None)
    assert not list(result.outdir.glob("controlnet*"))
    assert problems(tmp_path / "x", engine="demo", motion_preview_mode=True, **unit(vid_path="gone")) == {}


def test_the_built_in_model_refuses(tmp_path: Path, image_file: str) -> None:
    found = problems(tmp_path, engine="demo", **unit(3, vid_path=image_file))
    assert list(found) == ["cn_3_enabled"]
    assert "the built-in model has no ControlNets" in found["cn_3_enabled"]


def test_units_change_the_digest(tmp_path: Path, image_file: str) -> None:
    def digest(**changes: Any) -> str:
        job: Prepared = prepared(tmp_path, **changes)
        return job.plan.digest

    plain = digest(**unit(vid_path=image_file))
    others = [{"weight": "0:(0.9)"}, {"module": "canny"}, {"guidance_end": "0:(0.5)"}, {"enabled": False}]
    assert len({plain, *(digest(**unit(**{"vid_path": image_file, **change})) for change in others)}) == 5


def test_null_engine_takes_every_name(tmp_path: Path, image_file: str) -> None:
    job = prepared(tmp_path, **unit(vid_path=image_file, module="anything", model="whatever"))
    assert [one.unit for one in job.inputs.controls] == [1]
    assert replace(job.inputs, controls=()).extracted_pixels == 0
