"""For every setting a value other than its default, and the settings with which it acts.

Both follow from the declaration (`declared_case`) where it suffices; `CASES` has the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from clips import clip
from sounds import write_wav

from deforum_helpers.media.sound_analysis import RATE_HZ
from deforum_helpers.settings import FIELDS, FieldInfo, defaults
from deforum_helpers.settings.compatibility import FACTS
from deforum_helpers.settings.model_controlnet import UNITS
from deforum_helpers.settings.modes import acts

Changes = dict[str, Any]
# The settings of every video, unless a case changes them.
BASE: Changes = {
    "W": 64,
    "H": 64,
    "max_frames": 4,
    "seed": 1,
    "steps": 4,
    "diffusion_cadence": 1,
    "depth_algorithm": "Plane",
    "legacy_colormatch": False,
    "zoom": "0:(1.02)",
    "angle": "0:(2)",
    "batch_name": "run",
    "prompts": {"0": "a lighthouse", "2": "a harbour --neg fog"},
    "skip_video_creation": True,
}


@dataclass(frozen=True)
class Case:
    """A video with `others`, and the same video with `value` too; `again`: both are made a second time."""

    value: Any
    others: Changes = field(default_factory=dict)
    again: bool = False


def make_files(folder: Path) -> None:
    """Write the images, videos and sounds that the cases name as <file>."""
    random = np.random.default_rng(5)
    images = random.integers(0, 255, (6, 8, 8, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    images = np.stack([np.roll(images[0], 3 * k, 1) // (k + 1) for k in range(6)])
    slope = np.tile(np.linspace(20, 250, 64, dtype=np.uint8), (64, 1))
    half = np.zeros((64, 64), np.uint8)
    half[16:48, 16:40] = 200
    cv2.imwrite(str(folder / "a.png"), images[0])
    cv2.imwrite(str(folder / "b.png"), np.full((40, 50, 3), (255, 40, 0), np.uint8))
    cv2.imwrite(str(folder / "end.png"), images[2])
    cv2.imwrite(str(folder / "clear.png"), np.dstack([images[0], slope]))
    cv2.imwrite(str(folder / "half.png"), half)
    cv2.imwrite(str(folder / "slope.png"), slope)
    clip(folder / "video.mp4", images, sound=True)
    clip(folder / "other.mp4", 255 - images)
    swell = np.linspace(0, 0.5, RATE_HZ) * np.sin(np.arange(RATE_HZ) * 0.1)
    write_wav(folder / "sound.wav", swell)
    write_wav(folder / "other.wav", swell[::-1])
    masks = np.stack([np.roll(half, 4 * k, 1) for k in range(6)])
    clip(folder / "masks.mp4", masks[..., None].repeat(3, 3))
    clip(folder / "masks2.mp4", 255 - masks[..., None].repeat(3, 3), sound=True)


def manifest(output_fps: float = 12, **fields: float) -> str:
    frames = [{"frame": k, "zoom": 1.0 + k / 10, "zoom_delta": 1.1, "noise": 0.1} | fields for k in range(5)]
    return json.dumps({"options": {"output_fps": output_fps, "cadence": 2}, "rendered_frames": frames})


DEEP: Changes = {"animation_mode": "3D", "translation_x": "0:(9)", "translation_z": "0:(12)"}
REMEMBERED: Changes = DEEP | {
    "depth_warp": "exact",
    "scene_memory": True,
    "translation_x": "0:(30), 2:(30), 3:(-30)",
    "max_frames": 6,
}
FLIPPED: Changes = {"enable_perspective_flip": True, "perspective_flip_theta": "0:(4)"}
FROM_IMAGE: Changes = {"use_init": True, "init_image": "<a.png>"}
MASKED: Changes = FROM_IMAGE | {
    "use_mask": True,
    "mask_file": "<half.png>",
    "mask_schedule": '0: ("{init_mask}")',
    "full_res_mask": False,
}
SOFT: Changes = MASKED | {"mask_file": "<slope.png>"}
NOISE_MASKED: Changes = {
    "use_noise_mask": True,
    "mask_file": "<half.png>",
    "noise_mask_schedule": '0: ("{init_mask}")',
    "noise_schedule": "0:(0.3)",
}
DISTRIBUTED: Changes = {"keyframe_distribution": "Additive", "diffusion_cadence": 2}
VIDEO: Changes = {"animation_mode": "Video Input", "video_init_path": "<video.mp4>"}
HYBRID: Changes = {"video_init_path": "<video.mp4>", "hybrid_composite": "Normal"}
COMP_MASKED: Changes = HYBRID | {"hybrid_comp_mask_type": "Difference"}
STRETCHED: Changes = COMP_MASKED | {"hybrid_comp_mask_auto_contrast": True}
FLOW: Changes = {
    "video_init_path": "<video.mp4>",
    "hybrid_motion": "Optical Flow",
    "hybrid_flow_method": "DIS Medium",
}
AGREEING: Changes = FLOW | {"hybrid_flow_consistency": True}
PARSEQ: Changes = {"parseq_manifest": manifest()}
GUIDED: Changes = {"use_looper": True, "init_images": json.dumps({"0": "<a.png>", "2": "<b.png>"})}
CADENCE_FLOW: Changes = {"diffusion_cadence": 3, "max_frames": 7, "optical_flow_cadence": "DIS Medium"}
BLACK: Changes = {"prompts": {"0": "black"}, "reroll_blank_frames": "reroll"}
WITH_VIDEO: Changes = {"skip_video_creation": False}
SOUND: Changes = WITH_VIDEO | {"add_soundtrack": "File", "soundtrack_path": "<video.mp4>"}
FOLLOWING: Changes = {"audio_path": "<sound.wav>", "zoom": "0:(1+rms)"}
COUNTING: Changes = {"bpm": 200, "zoom": "0:(1+bar_phase)"}
UPSCALED: Changes = WITH_VIDEO | {"r_upscale_video": True, "r_upscale_model": "Lanczos"}
INTERPOLATED: Changes = WITH_VIDEO | {"frame_interpolation_engine": "Flow"}
FREEU: Changes = {"freeu_enabled": True}
HRFIX: Changes = {"kohya_hrfix_enabled": True}

CASES: dict[str, Case] = {
    "camera_path": Case("0: orbit(1, 40)", DEEP),
    "audio_path": Case("<other.wav>", FOLLOWING),
    "audio_smoothing": Case(1.0, FOLLOWING),
    "bpm": Case(300, COUNTING),
    "beat_offset": Case(0.1, COUNTING),
    "beats_per_bar": Case(3, COUNTING),
    "wildcards": Case(True, {"prompts": {"0": "a {lake|sea}"}}),
    "batch_name": Case("elsewhere"),
    "use_init": Case(True, {"init_image": "<a.png>"}),
    "strength": Case(0.3, FROM_IMAGE),
    "init_image": Case("<b.png>", FROM_IMAGE),
    "init_image_box": Case("<b.png>", FROM_IMAGE),
    "use_mask": Case(True, MASKED | {"use_mask": False}),
    "use_alpha_as_mask": Case(True, MASKED | {"init_image": "<clear.png>"}),
    "mask_file": Case("<slope.png>", MASKED),
    "invert_mask": Case(True, MASKED),
    "mask_contrast_adjust": Case(2.0, SOFT),
    "mask_brightness_adjust": Case(0.5, SOFT),
    "overlay_mask": Case(False, MASKED | {"translation_x": "0:(9)"}),
    "mask_overlay_blur": Case(0, MASKED),
    "fill": Case("latent noise", MASKED),
    "full_res_mask": Case(True, MASKED),
    "full_res_mask_padding": Case(20, MASKED | {"full_res_mask": True}),
    "reroll_blank_frames": Case("reroll", BLACK | {"reroll_blank_frames": "ignore"}),
    "reroll_patience": Case(1, BLACK),
    "prompts": Case({"0": "a ship"}),
    "animation_prompts_positive": Case("oil on canvas"),
    "animation_prompts_negative": Case("fog"),
    "enable_perspective_flip": Case(True, FLIPPED | {"enable_perspective_flip": False}),
    "perspective_flip_fv": Case("0:(90)", FLIPPED | {"perspective_flip_phi": "0:(15)"}),
    "aspect_ratio_use_old_formula": Case(True, DEEP | {"H": 96}),
    "subseed_schedule": Case("0:(9)", {"enable_subseed_scheduling": True}),
    "subseed_strength_schedule": Case("0:(0.5)", {"enable_subseed_scheduling": True}),
    "enable_sampler_scheduling": Case(True, {"sampler_schedule": '0: ("Euler")'}),
    "sampler_schedule": Case('0: ("Euler")', {"enable_sampler_scheduling": True}),
    "scheduler_schedule": Case('0: ("Karras")', {"enable_scheduler_scheduling": True}),
    "use_noise_mask": Case(True, NOISE_MASKED | {"use_noise_mask": False}),
    "mask_schedule": Case('0: ("!{init_mask}")', MASKED),
    "noise_mask_schedule": Case('0: ("!{init_mask}")', NOISE_MASKED),
    "checkpoint_schedule": Case(
        '0: ("b")', {"enable_checkpoint_scheduling": True, "checkpoint_schedule": '0: ("a")'}
    ),
    "end_image_path": Case("<end.png>"),
    "scene_memory_mb": Case(1, REMEMBERED | {"scene_memory_mb": 8, "W": 256, "H": 256}),
    "scene_memory_strength_schedule": Case("0:(1)", REMEMBERED),
    "revealed_strength_schedule": Case("0:(0.5)", DEEP | {"depth_warp": "exact", "translation_x": "0:(40)"}),
    "resume_from_timestring": Case(True),
    "resume_timestring": Case("20260101000000", {"resume_from_timestring": True}),
    "enable_ddim_eta_scheduling": Case(True, {"sampler": "DDIM", "ddim_eta_schedule": "0:(0.4)"}),
    "enable_ancestral_eta_scheduling": Case(True, {"ancestral_eta_schedule": "0:(0.4)"}),
    "color_coherence_image_path": Case(
        "<b.png>", {"color_coherence": "Image", "color_coherence_image_path": "<a.png>"}
    ),
    "color_coherence_video_every_N_frames": Case(3, HYBRID | {"color_coherence": "Video Input"}),
    "diffusion_cadence": Case(3),
    "optical_flow_cadence": Case("DIS Medium", {"diffusion_cadence": 3, "max_frames": 7}),
    "cadence_flow_factor_schedule": Case("0:(0.3)", CADENCE_FLOW),
    "optical_flow_redo_generation": Case("DIS Medium"),
    "redo_flow_factor_schedule": Case("0:(0.3)", {"optical_flow_redo_generation": "DIS Medium"}),
    "perlin_octaves": Case(2),
    "depth_algorithm": Case("Built-in", DEEP),
    "midas_weight": Case(0.7, DEEP | {"depth_algorithm": "Zoe+AdaBins (old)"}),
    "padding_mode": Case("zeros", DEEP),
    "video_init_path": Case("<other.mp4>", VIDEO),
    "extract_nth_frame": Case(2, VIDEO),
    "extract_from_frame": Case(2, VIDEO),
    "extract_to_frame": Case(2, VIDEO),
    "overwrite_extracted_frames": Case(True, VIDEO, again=True),
    "use_mask_video": Case(True, FROM_IMAGE | {"video_mask_path": "<masks.mp4>"}),
    "video_mask_path": Case(
        "<masks2.mp4>", FROM_IMAGE | {"use_mask_video": True, "video_mask_path": "<masks.mp4>"}
    ),
    "hybrid_comp_alpha_schedule": Case("0:(0.9)", HYBRID),
    "hybrid_comp_mask_blend_alpha_schedule": Case("0:(0.9)", HYBRID | {"hybrid_comp_mask_type": "Blend"}),
    "hybrid_comp_mask_contrast_schedule": Case("0:(3)", COMP_MASKED),
    "hybrid_comp_mask_auto_contrast_cutoff_high_schedule": Case("0:(60)", STRETCHED),
    "hybrid_comp_mask_auto_contrast_cutoff_low_schedule": Case("0:(40)", STRETCHED),
    "hybrid_flow_factor_schedule": Case("0:(0.3)", FLOW),
    "hybrid_generate_human_masks": Case("PNGs", HYBRID),
    "hybrid_use_first_frame_as_init_image": Case(False, HYBRID),
    "hybrid_motion": Case("Affine", FLOW | {"hybrid_motion": "None"}),
    "hybrid_motion_use_prev_img": Case(True, FLOW),
    "hybrid_flow_consistency": Case(True, FLOW),
    "hybrid_consistency_blur": Case(9, AGREEING),
    "hybrid_flow_method": Case("Farneback", FLOW),
    "hybrid_composite": Case("After Generation", HYBRID),
    "hybrid_use_init_image": Case(True, HYBRID | FROM_IMAGE | {"init_image": "<b.png>"}),
    "hybrid_comp_mask_type": Case("Difference", HYBRID),
    "hybrid_comp_mask_inverse": Case(True, COMP_MASKED),
    "hybrid_comp_mask_equalize": Case("Before", COMP_MASKED),
    "hybrid_comp_mask_auto_contrast": Case(True, COMP_MASKED | {"hybrid_comp_mask_type": "Blend"}),
    "hybrid_comp_save_extra_frames": Case(True, HYBRID),
    "parseq_manifest": Case(manifest(output_fps=24)),
    "parseq_use_deltas": Case(False, PARSEQ),
    "parseq_non_schedule_overrides": Case(False, PARSEQ),
    "use_looper": Case(True, GUIDED | {"use_looper": False}),
    "init_images": Case(json.dumps({"0": "<b.png>", "2": "<a.png>"}), GUIDED),
    "image_strength_schedule": Case("0:(0.3)", GUIDED),
    "image_keyframe_strength_schedule": Case("0:(0.9)", GUIDED | DISTRIBUTED),
    "blendFactorMax": Case("0:(0.6)", GUIDED),
    "blendFactorSlope": Case("0:(0.05)", GUIDED),
    "tweening_frames_schedule": Case("0:(3)", GUIDED),
    "color_correction_factor": Case("0:(0.9)", GUIDED),
    "skip_video_creation": Case(True, WITH_VIDEO),
    "fps": Case(30, WITH_VIDEO),
    "delete_input_frames": Case(True, VIDEO),
    "add_soundtrack": Case("File", SOUND | {"add_soundtrack": "None"}),
    "soundtrack_path": Case("<other.mp4>", SOUND),
    "r_upscale_factor": Case("x4", UPSCALED),
    "r_upscale_model": Case("realesr-animevideov3", UPSCALED),
    "r_upscale_keep_imgs": Case(False, UPSCALED),
    "frame_interpolation_engine": Case("Flow", WITH_VIDEO),
    "frame_interpolation_x_amount": Case(3, INTERPOLATED),
    "frame_interpolation_slow_mo_enabled": Case(True, INTERPOLATED),
    "frame_interpolation_slow_mo_amount": Case(
        3, INTERPOLATED | {"frame_interpolation_slow_mo_enabled": True}
    ),
    "frame_interpolation_keep_imgs": Case(True, INTERPOLATED),
    "frame_interpolation_use_upscaled": Case(True, INTERPOLATED | UPSCALED),
}

# Further videos in which a setting acts, for other reasons than above.
MORE_CASES: tuple[tuple[str, Case], ...] = (
    (
        "use_init",
        Case(
            True, MASKED | VIDEO | {"use_init": False, "use_alpha_as_mask": True, "init_image": "<clear.png>"}
        ),
    ),
    ("strength", Case(0.3, HYBRID)),
    ("strength", Case(0.3, GUIDED)),
    ("strength", Case(0.3, FROM_IMAGE | {"animation_mode": "Interpolation"})),
    ("strength", Case(0.0, {"legacy_colormatch": True, "strength_0_no_init": False})),
    ("init_image", Case("<b.png>", HYBRID | FROM_IMAGE | {"use_init": False, "hybrid_use_init_image": True})),
    ("init_image_box", Case("<b.png>", HYBRID | FROM_IMAGE | {"hybrid_use_init_image": True})),
    ("mask_file", Case("<slope.png>", NOISE_MASKED)),
    ("mask_file", Case("<slope.png>", FROM_IMAGE | {"use_mask": True, "mask_file": "<half.png>"})),
    ("invert_mask", Case(True, NOISE_MASKED)),
    ("mask_contrast_adjust", Case(2.0, SOFT | {"mask_schedule": '0: ("[<slope.png>]")'})),
    (
        "mask_brightness_adjust",
        Case(0.5, FROM_IMAGE | {"use_mask_video": True, "video_mask_path": "<masks.mp4>"}),
    ),
    ("overlay_mask", Case(False, MASKED | VIDEO | {"use_init": False, "translation_x": "0:(9)"})),
    (
        "use_alpha_as_mask",
        Case(
            True,
            {
                **FROM_IMAGE,
                "init_image": "<clear.png>",
                "use_mask_video": True,
                "video_mask_path": "<masks.mp4>",
                "mask_schedule": '0: ("{init_mask} | {video_mask}")',
            },
        ),
    ),
    ("seed_schedule", Case("0:(77)", GUIDED)),
    ("subseed_schedule", Case("0:(9)", {"animation_mode": "Interpolation"})),
    ("subseed_schedule", Case("0:(9)", {"parseq_manifest": manifest(seed=3)})),
    ("perspective_flip_phi", Case("0:(15)", {"parseq_manifest": manifest(perspective_flip_theta_delta=4)})),
    (
        "kernel_schedule",
        Case("0:(9)", {"amount_schedule": "0: (0)", "parseq_manifest": manifest(antiblur_amount=1)}),
    ),
    ("perlin_octaves", Case(2, {"noise_schedule": "0: (0)"} | PARSEQ)),
    (
        "noise_mask_schedule",
        Case('0: ("!{init_mask}")', NOISE_MASKED | {"noise_schedule": "0: (0)"} | PARSEQ),
    ),
    ("optical_flow_cadence", Case("DIS Medium", PARSEQ)),
    (
        "optical_flow_cadence",
        Case(
            "DIS Medium",
            {"keyframe_distribution": "Keyframes Only", "max_frames": 7, "prompts": {"0": "a", "4": "b"}},
        ),
    ),
    ("ending_frames", Case(2, {"end_image_path": "<end.png>"})),
    (
        "padding_mode",
        Case("zeros", DEEP | {"depth_warp": "exact", "seamless_loop": True, "translation_x": "0:(60)"}),
    ),
    ("enable_ddim_eta_scheduling", Case(True, {"sampler": "DDIM CFG++", "ddim_eta_schedule": "0:(0.4)"})),
    ("depth_algorithm", Case("Built-in", {"save_depth_maps": True})),
    ("depth_algorithm", Case("Built-in", HYBRID | {"hybrid_comp_mask_type": "Depth"})),
    ("video_init_path", Case("<other.mp4>", FLOW)),
    ("video_init_path", Case("<other.mp4>", HYBRID)),
    ("video_init_path", Case("<video.mp4>", WITH_VIDEO | {"add_soundtrack": "Init Video"})),
    ("extract_from_frame", Case(2, FROM_IMAGE | {"use_mask_video": True, "video_mask_path": "<masks.mp4>"})),
    ("hybrid_use_init_image", Case(True, FLOW | FROM_IMAGE | {"max_frames": 3})),
    ("hybrid_comp_save_extra_frames", Case(True, FLOW)),
    ("fps", Case(30, {"zoom": "0:(1 + fps/1000)"})),
    ("make_gif", Case(True, WITH_VIDEO | {"fps": 40})),
    ("noise_multiplier_schedule", Case("0:(1.2)", {"animation_mode": "Interpolation"})),
    (
        "delete_input_frames",
        Case(True, {"cn_1_enabled": True, "cn_1_vid_path": "<video.mp4>", "cn_1_model": "a model"}),
    ),
)


def other_value(info: FieldInfo) -> Any:
    """Return a value that the declaration of a setting allows, other than its value in `BASE` or its default."""
    now = BASE.get(info.name, info.default)
    if info.kind == "bool":
        return not now
    if info.kind == "enum":
        return next(choice for choice in info.choices if choice != now)
    if info.kind in ("int", "float"):
        assert info.maximum is not None
        step = info.step or 1
        return now + step if now + step <= info.maximum else now - step
    if info.kind == "schedule":
        first = float(re.findall(r"-?[0-9.]+", now.partition(":")[2] or now)[0])
        low = -1e9 if info.minimum is None else info.minimum
        high = 1e9 if info.maximum is None else info.maximum
        return f"0: ({next(value for value in (first + 1, first / 2, (low + high) / 2) if low <= value <= high):g})"
    raise AssertionError(f"CASES needs a value of {info.name}.")


def declared_case(name: str) -> Case:
    """Return the case that follows from the declaration of `name`: another value, and what makes it act."""
    value = other_value(FIELDS[name])
    for others in _changes_of(_read_by(name)):
        if acts(name, defaults() | BASE | others | {name: value}):
            return Case(value, others)
    raise AssertionError(f"CASES needs a row for {name}: no change of three settings makes it act.")


def _read_by(name: str) -> list[str]:
    """Return the settings that decide whether `name` acts, directly or by deciding about those."""
    found: dict[str, None] = {}
    ahead = sorted(FIELDS[name].used_when.reads())
    while ahead:
        read = ahead.pop(0)
        if read not in found and read != name:
            found[read] = None
            ahead += sorted(FIELDS[read].used_when.reads())
    return list(found)


def _changes_of(names: list[str]) -> Iterator[Changes]:
    """Yield changes of none, one, two or three of the settings `names`."""
    values = {
        name: info.choices or (other_value(info),)
        for name in names
        if (info := FIELDS[name]).kind in ("bool", "enum", "int", "float", "schedule")
    }
    for count in range(4):
        for chosen in combinations(values, count):
            for picked in product(*(values[name] for name in chosen)):
                yield dict(zip(chosen, picked, strict=True))


UNIT_CASES: dict[str, Case] = {
    "overwrite_frames": Case(False, again=True),
    "vid_path": Case("<b.png>"),
    "mask_vid_path": Case("<half.png>"),
    "enabled": Case(True, {"enabled": False}),
    "low_vram": Case(True),
    "pixel_perfect": Case(True),
    "module": Case("canny"),
    "model": Case("another"),
    "weight": Case("0:(0.5)"),
    "guidance_start": Case("0:(0.2)"),
    "guidance_end": Case("0:(0.7)"),
    "processor_res": Case(128),
    "threshold_a": Case(20),
    "threshold_b": Case(90),
    "resize_mode": Case("Just Resize"),
    "control_mode": Case("My prompt is more important"),
    "loopback_mode": Case(True),
}
UNIT_ON: Changes = {"enabled": True, "vid_path": "<a.png>", "model": "a model"}


def unit_cases() -> dict[str, Case]:
    """Return the cases of all units by their flat names."""
    return {
        f"cn_{number}_{name}": Case(
            case.value,
            {f"cn_{number}_{other}": value for other, value in (UNIT_ON | case.others).items()},
            case.again,
        )
        for number in range(1, UNITS + 1)
        for name, case in UNIT_CASES.items()
    }


def all_cases() -> dict[str, Case]:
    """Return the case of every setting that affects a video."""
    given = CASES | unit_cases()
    named = [name for name in FIELDS if name in given or not FACTS[name].no_effect]
    return {name: given[name] if name in given else declared_case(name) for name in named}
