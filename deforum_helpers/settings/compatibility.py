"""Compatibility of each setting with classic Deforum: the module that uses it, its first version, differences.

docs/compatibility.md and the report of `python -m deforum_helpers check` are generated from this table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule import Timeline, numeric_series
from deforum_helpers.settings.acting import Acting, Flat, holds
from deforum_helpers.settings.fields import declared
from deforum_helpers.settings.model import FIELDS, UNITS, ControlNetUnit
from deforum_helpers.settings.predicates import ALWAYS, NEVER, Predicate, ends_with, is_on, not_, one_of
from deforum_helpers.settings.situations import CAMERA, FLAT, MASKED
from deforum_helpers.settings.tables import YOUNGER_SETTINGS

Since = Literal["classic", "2025 fork", "here"]
Seen = Predicate | Callable[[Flat], bool]


class Fact(NamedTuple):
    """The compatibility of one setting.

    Args:
        used_in: the module or folder that reads it, relative to the package; empty = none does.
        differs: the differences from classic Deforum, in full sentences; empty = none.
        seen: whether a video of these settings, in which it acts, differs from the classic one. None = if its value is
            not the default. NEVER = the difference concerns only settings that failed in classic.
        no_effect: why it does not affect a video; empty = it does.
    """

    used_in: str
    differs: str = ""
    seen: Seen | None = None
    no_effect: str = ""


def _largest(name: str, flat: Flat) -> float:
    """Return the largest absolute value of a schedule, 0 if it cannot be read."""
    timeline = Timeline(max(flat["max_frames"], 1), max(flat["seed"], 0), flat["fps"], flat["W"], flat["H"])
    try:
        return float(abs(numeric_series(flat[name], timeline, name).values).max())
    except SettingsError:
        return 0.0


def _moves_sideways(flat: Flat) -> bool:
    return any(_largest(name, flat) > 0 for name in ("translation_x", "translation_y"))


def _same(names: Iterable[str], fact: Fact) -> dict[str, Fact]:
    return dict.fromkeys(names, fact)


_FLAT_FLIPPED = FLAT & is_on("enable_perspective_flip")
_RECORDED = "A run records it in its settings file; it is never read."

_RUN: dict[str, Fact] = {
    **_same(
        ("W", "H"),
        Fact(
            "render/requests.py",
            "Any size works, with any noise. An odd side is padded by one pixel in the video, where classic failed.",
            lambda flat: bool(flat["W"] % 8 or flat["H"] % 8),
        ),
    ),
    "show_info_on_ui": Fact("ui/tab.py", no_effect="It shows or hides help texts of the tab."),
    "tiling": Fact("render/requests.py"),
    "restore_faces": Fact("render/requests.py"),
    **_same(("seed_resize_from_w", "seed_resize_from_h"), Fact("render/requests.py")),
    "seed": Fact(
        "pipeline/prepare.py",
        "Saved settings contain the actual seed, and all randomness derives from it: noise, redo passes, random seeds.",
        NEVER,
    ),
    "sampler": Fact(
        "render/requests.py", "Upper or lower case, and the names of other programs, are accepted.", NEVER
    ),
    "scheduler": Fact("render/requests.py"),
    "steps": Fact("render/requests.py"),
    "batch_name": Fact("output/paths.py", "{date} and {time} are available too.", NEVER),
    "seed_behavior": Fact(
        "render/key_frames.py",
        "Random seeds, and the noise seeds of a seed schedule, are derived from the seed and the frame, so "
        "the same settings give the same video. In classic every run was different.",
        one_of("seed_behavior", "random", "schedule"),
    ),
    "seed_iter_N": Fact("render/key_frames.py"),
    "use_init": Fact("render/key_frames.py"),
    "strength": Fact("render/key_frames.py"),
    "strength_0_no_init": Fact("render/key_frames.py"),
    **_same(
        ("init_image", "init_image_box"),
        Fact(
            "pipeline/sources.py",
            "Addresses work without an internet check first; private networks are not reached.",
            NEVER,
        ),
    ),
    "use_mask": Fact(
        "render/masks.py",
        "Masks keep their gray levels; classic dithered them to black and white. Noise does not change the "
        "area outside the mask; classic turned it gray.",
    ),
    "use_alpha_as_mask": Fact(
        "settings/situations.py",
        "The transparency of files and downloaded images is used; classic always lost it.",
    ),
    "mask_file": Fact("pipeline/sources.py", "Addresses work without an internet check first.", NEVER),
    "invert_mask": Fact(
        "render/context.py", "It inverts the mask; in classic it removed the mask.", is_on("invert_mask")
    ),
    **_same(
        ("mask_contrast_adjust", "mask_brightness_adjust"),
        Fact(
            "pipeline/sources.py",
            "Contrast and brightness do what they say; classic had them swapped.",
            lambda flat: flat["mask_contrast_adjust"] != flat["mask_brightness_adjust"],
        ),
    ),
    "overlay_mask": Fact(
        "settings/situations.py",
        "A mask video in 2D and 3D needs no input frames; classic stopped without them.",
        NEVER,
    ),
    "mask_overlay_blur": Fact("render/stages.py"),
    "fill": Fact("render/requests.py"),
    **_same(("full_res_mask", "full_res_mask_padding"), Fact("render/context.py")),
    **_same(
        ("reroll_blank_frames", "reroll_patience"),
        Fact(
            "render/key_frames.py",
            "The run ends only if the last allowed retry is also black; a fraction of a retry counts as a whole "
            "one.",
            one_of("reroll_blank_frames", "reroll"),
        ),
    ),
    "motion_preview_mode": Fact(
        "pipeline/job.py",
        "The test image stays visible to the last frame, and only the camera changes it; in classic it faded "
        "to black behind a white rectangle.",
        is_on("motion_preview_mode"),
    ),
}

_PROMPTS: dict[str, Fact] = {
    "prompts": Fact(
        "render/plan.py",
        "Keys and backticks accept the names and functions of schedules, with the same meaning in every mode; "
        "everything after the first --neg is negative. Between two prompts each part of AND keeps its own "
        "weight. --seed 5, --steps 30 and --cfg 7 apply to the prompt; classic gave them to the model as words.",
        lambda flat: any(
            "`" in text or " AND " in text or not str(key).isdigit() for key, text in flat["prompts"].items()
        ),
    ),
    **_same(
        ("animation_prompts_positive", "animation_prompts_negative"),
        Fact("render/plan.py", "Loading the settings of a saved run does not add them twice.", NEVER),
    ),
    "wildcards": Fact("pipeline/wildcards.py"),
    "prompt_interpolation": Fact("settings/modes.py"),
    **_same(("positive_prompts", "negative_prompts"), Fact("", no_effect=_RECORDED)),
}

_MOTION: dict[str, Fact] = {
    "animation_mode": Fact(
        "render/moves.py",
        "3D frames do not darken; in classic each move made a fifth of all pixels one level darker.",
        CAMERA & ~ends_with("depth_algorithm", "(old)"),
    ),
    "max_frames": Fact("render/plan.py"),
    "border": Fact("render/context.py"),
    **_same(("angle", "zoom", "transform_center_x", "transform_center_y"), Fact("render/moves.py")),
    **_same(
        ("translation_x", "translation_y"),
        Fact(
            "render/moves.py",
            "It also works with the perspective flip in 2D, where classic ignored it.",
            lambda flat: holds(_FLAT_FLIPPED, flat) and _moves_sideways(flat),
        ),
    ),
    "translation_z": Fact("render/moves.py"),
    **_same((f"rotation_3d_{axis}" for axis in "xyz"), Fact("render/moves.py")),
    **_same(
        ("shake_name", "shake_intensity", "shake_speed"),
        Fact("render/moves.py", "The curves are not those of the fork but our own."),
    ),
    "enable_perspective_flip": Fact(
        "render/moves.py",
        "With all angles at 0 nothing moves; in classic the image drifted by half a pixel per frame.",
        is_on("enable_perspective_flip"),
    ),
    **_same(
        (f"perspective_flip_{name}" for name in ("theta", "phi", "gamma", "fv")), Fact("render/moves.py")
    ),
    "fov_schedule": Fact("render/moves.py"),
    **_same(("aspect_ratio_schedule", "aspect_ratio_use_old_formula"), Fact("render/moves.py")),
    **_same(
        ("near_schedule", "far_schedule"),
        Fact("", no_effect="It cancels out of the projection, in classic as here."),
    ),
    **_same(
        ("use_depth_warping",),
        Fact("render/context.py", "Depth is estimated only where something moves.", NEVER),
    ),
    "depth_algorithm": Fact(
        "models/depth/names.py",
        "Every model gets the image in correct colors; classic swapped red and blue for some of them. A model "
        "that is not installed is replaced by the most similar available one.",
        one_of("depth_algorithm", "Midas+AdaBins (old)", "Midas-3-Hybrid", "Midas-3.1-BeitLarge", "Leres"),
    ),
    "midas_weight": Fact(
        "pipeline/job.py",
        "The weights of AdaBins are no longer available; the most similar available model is mixed in "
        "instead, or none if that is the first one itself.",
        lambda flat: flat["midas_weight"] != 1,
    ),
    **_same(("depth_warp", "padding_mode"), Fact("render/context.py")),
    "revealed_strength_schedule": Fact("render/key_frames.py"),
    "scene_memory": Fact("settings/modes.py"),
    "scene_memory_mb": Fact("render/context.py"),
    "scene_memory_strength_schedule": Fact("render/revealing.py"),
    "sampling_mode": Fact("render/context.py"),
    "save_depth_maps": Fact(
        "output/writer.py",
        "All maps of a run have the same scale; in classic it changed during the run.",
    ),
}


_FLOW_REDO = Fact(
    "render/stage_order.py",
    "Its seeds are derived from the seed and the frame, so a video can be reproduced.",
    not_("optical_flow_redo_generation", "None"),
)
_LOOK: dict[str, Fact] = {
    "noise_schedule": Fact("render/key_frames.py"),
    "noise_type": Fact(
        "render/key_frames.py", "uniform works at any frame size; classic required multiples of 64.", NEVER
    ),
    **_same(
        ("perlin_w", "perlin_h"),
        Fact("", no_effect="It is always 8; neither classic nor this project reads it from a file."),
    ),
    "perlin_octaves": Fact("render/key_frames.py", "More than 4 octaves work at any size.", NEVER),
    "perlin_persistence": Fact("render/key_frames.py"),
    **_same(("enable_noise_multiplier_scheduling", "noise_multiplier_schedule"), Fact("render/requests.py")),
    **_same(("noise_source", "new_noise_schedule", "autoencoder_correction"), Fact("render/requests.py")),
    "stability_schedule": Fact("render/stability.py"),
    "cadence_blend": Fact("render/inbetween.py"),
    "reverse_generation": Fact("settings/modes.py"),
    **_same(("seamless_loop", "ending_frames"), Fact("render/transitions.py")),
    "end_image_path": Fact("pipeline/sources.py"),
    **_same(("prompt_transition", "prompt_transition_frames"), Fact("render/transitions.py")),
    **_same(("strength_schedule", "keyframe_strength_schedule"), Fact("render/key_frames.py")),
    "contrast_schedule": Fact(
        "render/key_frames.py",
        "Values above white stay white; in classic they wrapped around to dark.",
        lambda flat: _largest("contrast_schedule", flat) > 1,
    ),
    **_same(("exposure_schedule", "saturation_schedule", "hue_schedule"), Fact("render/key_frames.py")),
    **_same(("amount_schedule", "kernel_schedule", "sigma_schedule"), Fact("render/key_frames.py")),
    "threshold_schedule": Fact(
        "render/key_frames.py",
        "Small differences are left alone in both directions; classic did so only for brighter pixels.",
    ),
    "color_coherence": Fact(
        "image/color.py",
        "Colors are converted from RGB in floating point; classic swapped red and blue, so hues differ "
        "slightly.",
        not_("color_coherence", "None", "RGB"),
    ),
    "color_coherence_image_path": Fact("pipeline/job.py"),
    "color_coherence_video_every_N_frames": Fact("render/stage_order.py"),
    "color_force_grayscale": Fact("render/stage_order.py"),
    "legacy_colormatch": Fact("render/stage_order.py"),
    "keyframe_distribution": Fact(
        "settings/modes.py",
        "Every frame is written, and a key frame that moves onto a prompt is never lost.",
    ),
    "diffusion_cadence": Fact(
        "settings/modes.py",
        "Every frame is written and the last one is a key frame; classic lost the frames after its last key "
        "frame.",
        lambda flat: flat["diffusion_cadence"] > 1,
    ),
    **_same(
        ("optical_flow_cadence", "cadence_flow_factor_schedule"),
        Fact(
            "render/key_frames.py",
            "In-between frames follow the full motion, in pixels; classic limited it to one pixel.",
            not_("optical_flow_cadence", "None"),
        ),
    ),
    "optical_flow_redo_generation": _FLOW_REDO,
    "redo_flow_factor_schedule": _FLOW_REDO._replace(used_in="render/key_frames.py"),
    "diffusion_redo": Fact(
        "render/key_frames.py",
        "The colors of the last pass are matched, as classic intended; seeds are derived from the seed and "
        "the frame.",
        lambda flat: flat["diffusion_redo"] > 0,
    ),
}

_SCHEDULED: dict[str, Fact] = {
    **_same(
        ("cfg_scale_schedule", "distilled_cfg_scale_schedule", "enable_steps_scheduling", "steps_schedule"),
        Fact("render/requests.py"),
    ),
    "pix2pix_img_cfg_scale_schedule": Fact("render/requests.py"),
    "seed_schedule": Fact(
        "render/key_frames.py",
        "-1 is a seed derived from the seed and the frame, so a video can be reproduced.",
        ALWAYS,
    ),
    "enable_subseed_scheduling": Fact("render/requests.py"),
    **_same(("subseed_schedule", "subseed_strength_schedule"), Fact("render/requests.py")),
    "enable_sampler_scheduling": Fact("render/requests.py"),
    "sampler_schedule": Fact(
        "render/requests.py", "Every sampler can be scheduled, in upper or lower case.", NEVER
    ),
    **_same(("enable_scheduler_scheduling", "scheduler_schedule"), Fact("render/requests.py")),
    "enable_checkpoint_scheduling": Fact("render/requests.py"),
    "checkpoint_schedule": Fact(
        "render/requests.py", "Names may contain brackets, commas and colons.", NEVER
    ),
    **_same(("enable_clipskip_scheduling", "clipskip_schedule"), Fact("render/requests.py")),
    **_same(
        (
            "enable_ddim_eta_scheduling",
            "ddim_eta_schedule",
            "enable_ancestral_eta_scheduling",
            "ancestral_eta_schedule",
        ),
        Fact("render/requests.py"),
    ),
    "use_noise_mask": Fact("settings/modes.py"),
    "mask_schedule": Fact(
        "render/masks.py",
        "Expressions support brackets and precedence: ! first, then &, \\, ^ and |. {init_mask} and "
        "{human_mask} are available.",
        lambda flat: any(sign in flat["mask_schedule"] for sign in "!&\\^|"),
    ),
    "noise_mask_schedule": Fact(
        "render/masks.py",
        "Noise does not change the image outside its mask, which classic turned gray; it follows a mask "
        "video.",
        MASKED | is_on("use_noise_mask"),
    ),
    **_same(
        ("resume_from_timestring", "resume_timestring"),
        Fact(
            "pipeline/prepare.py",
            "A resumed run gives the same video as an uninterrupted one, bit for bit.",
            is_on("resume_from_timestring"),
        ),
    ),
}

_VIDEOS: dict[str, Fact] = {
    "video_init_path": Fact(
        "pipeline/input_files.py",
        "Frames are upright, each is used exactly once, and a variable frame rate becomes constant. Folders "
        "and patterns of images, and animated images, work as videos; so do local paths and addresses.",
        NEVER,
    ),
    **_same(
        ("extract_nth_frame", "extract_from_frame", "extract_to_frame", "overwrite_extracted_frames"),
        Fact(
            "pipeline/input_files.py",
            "Frames that were already extracted are reused, also those of a part of a video.",
            NEVER,
        ),
    ),
    "overwrite_extracted_frames": Fact("pipeline/sources.py"),
    "use_mask_video": Fact(
        "settings/situations.py", "A mask video that is too short holds its last frame.", NEVER
    ),
    "video_mask_path": Fact(
        "pipeline/input_files.py", "A mask video that is too short holds its last frame.", NEVER
    ),
    **_same(
        (f"hybrid_comp_{name}_schedule" for name in ("alpha", "mask_blend_alpha", "mask_contrast")),
        Fact("render/hybrid.py"),
    ),
    **_same(
        (f"hybrid_comp_mask_auto_contrast_cutoff_{name}_schedule" for name in ("high", "low")),
        Fact("render/hybrid.py"),
    ),
    "hybrid_flow_factor_schedule": Fact("render/hybrid.py"),
    "hybrid_generate_inputframes": Fact(
        "",
        "The frames of the video are extracted whenever they are needed.",
        NEVER,
        no_effect="The frames of video_init_path are extracted whenever they are needed.",
    ),
    "hybrid_generate_human_masks": Fact(
        "settings/modes.py",
        "People are detected by another model, which runs without CUDA.",
        not_("hybrid_generate_human_masks", "None"),
    ),
    "hybrid_use_first_frame_as_init_image": Fact("settings/situations.py"),
    "hybrid_motion": Fact(
        "render/context.py",
        "Video frames are downscaled by area, so the motion is measured on smoother images; edges are filled "
        "with stretched edge pixels, not with repeated mirror images.",
        not_("hybrid_motion", "None"),
    ),
    "hybrid_motion_use_prev_img": Fact(
        "render/context.py", "It also works for Affine and Perspective, where classic failed.", NEVER
    ),
    **_same(
        ("hybrid_flow_consistency", "hybrid_consistency_blur"),
        Fact(
            "render/context.py",
            "Inconsistent motion is not followed; classic followed it backwards.",
            is_on("hybrid_flow_consistency"),
        ),
    ),
    "hybrid_flow_method": Fact("render/context.py", "Farneback works at every frame.", NEVER),
    "hybrid_composite": Fact(
        "render/stage_order.py", "Video frames are downscaled by area.", not_("hybrid_composite", "None")
    ),
    "hybrid_use_init_image": Fact("settings/situations.py"),
    "hybrid_comp_mask_type": Fact(
        "render/context.py",
        "Depth is that of the previous frame, whether or not its map was saved, and the same for the same "
        "image.",
        one_of("hybrid_comp_mask_type", "Depth", "Video Depth"),
    ),
    **_same(
        (f"hybrid_comp_mask_{name}" for name in ("inverse", "equalize", "auto_contrast")),
        Fact("render/context.py"),
    ),
    "hybrid_comp_save_extra_frames": Fact("render/stages.py"),
}

_DRIVEN: dict[str, Fact] = {
    "parseq_manifest": Fact(
        "pipeline/overrides.py",
        "Frames missing from the manifest are interpolated from their neighbors; the perspective flip is on "
        "where the manifest sets its angles; `s` in the schedules of the settings is the seed.",
    ),
    "parseq_use_deltas": Fact(
        "pipeline/overrides.py", "If a field has no _delta, the setting is used, with a warning.", NEVER
    ),
    "parseq_non_schedule_overrides": Fact("pipeline/overrides.py"),
    "use_looper": Fact(
        "settings/situations.py",
        "The noise seeds are derived from the seed and the frame.",
        is_on("use_looper"),
    ),
    "init_images": Fact("render/guides.py", "Guide images are used in the order of their frames.", NEVER),
    "image_strength_schedule": Fact(
        "render/key_frames.py",
        "It sets the strength of guided frames; in classic it was applied too late to have an effect.",
        ALWAYS,
    ),
    "image_keyframe_strength_schedule": Fact("render/key_frames.py"),
    **_same(
        ("blendFactorMax", "blendFactorSlope", "tweening_frames_schedule", "color_correction_factor"),
        Fact("render/guides.py"),
    ),
    **_same((f"freeu_{name}" for name in ("enabled", "b1", "b2", "s1", "s2")), Fact("render/requests.py")),
    **_same((name for name in FIELDS if name.startswith("kohya_hrfix_")), Fact("render/requests.py")),
}

_UNIT: dict[str, Fact] = {
    "overwrite_frames": Fact("pipeline/controlnet_inputs.py"),
    "vid_path": Fact("pipeline/controlnet_files.py"),
    "mask_vid_path": Fact(
        "pipeline/controlnet_files.py",
        "An image given as mask is used as the mask; classic used the control image instead.",
    ),
    "enabled": Fact("controlnet/units.py", "It also works without a WebUI.", NEVER),
    **_same(
        ("weight", "guidance_start", "guidance_end"),
        Fact("render/control_units.py", "`s` is the seed; in classic it was -1.", NEVER),
    ),
    **_same(
        (
            *("low_vram", "pixel_perfect", "module", "model", "processor_res", "threshold_a", "threshold_b"),
            *("resize_mode", "control_mode"),
        ),
        Fact("render/control_units.py"),
    ),
    "loopback_mode": Fact("controlnet/units.py"),
}

_OUTPUT: dict[str, Fact] = {
    "skip_video_creation": Fact(
        "output/",
        "A run succeeds only if its video has all frames; otherwise the error of ffmpeg is shown.",
        NEVER,
    ),
    "fps": Fact("output/"),
    "make_gif": Fact("output/", "It is made by ffmpeg, on every system.", is_on("make_gif")),
    "delete_imgs": Fact(
        "pipeline/postproduction.py", "Images are deleted only when the video contains all of them.", NEVER
    ),
    "delete_input_frames": Fact("pipeline/job.py"),
    "image_path": Fact("", no_effect="It belongs to the tool that makes videos from images."),
    **_same(
        ("add_soundtrack", "soundtrack_path"),
        Fact(
            "pipeline/input_files.py",
            "Local files work, together with subtitles, and the sound of the init video starts at the first frame "
            "that is used.",
            NEVER,
        ),
    ),
    **_same(
        ("audio_path", "audio_smoothing", "bpm", "beat_offset", "beats_per_bar"), Fact("pipeline/sound.py")
    ),
    **_same(("r_upscale_video", "r_upscale_factor"), Fact("pipeline/extra_outputs.py")),
    "r_upscale_model": Fact(
        "pipeline/postproduction.py",
        "The networks run without another program; Lanczos needs no weights.",
        NEVER,
    ),
    "r_upscale_keep_imgs": Fact(
        "pipeline/", "Upscaled images are deleted only when nothing needs them any more.", NEVER
    ),
    "store_frames_in_ram": Fact(
        "output/", "It covers every frame and works with GIF, upscaling and interpolation."
    ),
    **_same(
        (name for name in FIELDS if name.startswith("frame_interpolation_")),
        Fact("pipeline/postproduction.py"),
    ),
    **_same(
        (f"frame_interpolation_{name}" for name in ("slow_mo_enabled", "slow_mo_amount", "use_upscaled")),
        Fact("pipeline/extra_outputs.py"),
    ),
    "frame_interpolation_engine": Fact(
        "pipeline/postproduction.py",
        "The networks also run without CUDA; Flow needs no weights.",
        NEVER,
    ),
}

_ELSEWHERE: dict[str, Fact] = {
    **_same(
        ("sd_model_name", "sd_model_hash", "deforum_git_commit_id", "fetched_parseq_manifest_summary"),
        Fact("", no_effect=_RECORDED),
    ),
    **_same(
        ("override_settings_with_file", "custom_settings_file"),
        Fact("ui/tab.py", no_effect="It determines what the tab runs and does not affect a video."),
    ),
}


# Differences that concern all settings of a kind.
GENERAL = (
    "Schedules may contain functions with several arguments, quotes, nested brackets, line breaks, and "
    "key frames in any order. If frame 0 is missing, the first value is used.",
    "A key such as -10 counts from the end of the video; in classic it had no effect, or began a blend before "
    "frame 0 in Interpolation, where 0-10 still does.",
    "`s` is the seed everywhere, and `t`, `max_f`, `fps`, `w`, `h`, `pi` and `e` are available in every "
    "formula.",
    "A faulty schedule of a feature that is off causes a warning, not an error.",
    "Names in string schedules keep their brackets, commas and colons.",
    "Nothing is rounded between the stages of one frame, so videos do not darken.",
    "Every frame from 0 to max_frames - 1 is written, at every cadence.",
    "A resumed run gives the same video as an uninterrupted one, bit for bit, in every mode. "
    "Interpolation supports masks and reports progress.",
    "No program or weights are downloaded unless asked for; an error names what is missing and the "
    "command that installs it.",
)


def _units() -> dict[str, Fact]:
    return {
        f"cn_{number}_{name}": _UNIT[name]
        for number in range(1, UNITS + 1)
        for name in declared(ControlNetUnit, "ControlNetArgs")
    }


_ALL = _RUN | _PROMPTS | _MOTION | _LOOK | _SCHEDULED | _VIDEOS | _DRIVEN | _units() | _OUTPUT | _ELSEWHERE
# Flat name -> compatibility, in the order of a settings file.
FACTS: Mapping[str, Fact] = MappingProxyType({name: _ALL[name] for name in FIELDS})

_ADDED_BY_FORK = frozenset(
    (
        "shake_name",
        "shake_intensity",
        "shake_speed",
        "keyframe_strength_schedule",
        "distilled_cfg_scale_schedule",
        "enable_scheduler_scheduling",
        "scheduler_schedule",
        "keyframe_distribution",
        "scheduler",
        "image_keyframe_strength_schedule",
    )
)
_ADDED_HERE = frozenset(("prompt_interpolation", *YOUNGER_SETTINGS))


def since(name: str) -> Since:
    """Return the first version with the setting: classic Deforum, its fork of 2025, or this project."""
    if name in _ADDED_HERE:
        return "here"
    forked = name in _ADDED_BY_FORK or FIELDS[name].group in ("FreeUArgs", "KohyaHRFixArgs")
    return "2025 fork" if forked else "classic"


def differences(flat: Flat) -> dict[str, tuple[str, ...]]:
    """Return the differences from classic Deforum: sentence -> the settings concerned.

    Args:
        flat: every setting by its flat name; settings that do not act are ignored.
    """
    told: dict[str, tuple[str, ...]] = {}
    values = Acting(flat.__getitem__)
    for name in FIELDS:
        if _differs(name, flat, values):
            told[FACTS[name].differs] = (*told.get(FACTS[name].differs, ()), name)
    return told


def _differs(name: str, flat: Flat, values: Acting) -> bool:
    fact = FACTS[name]
    if not fact.differs or not values.acts(name):
        return False
    if isinstance(fact.seen, Predicate):
        return fact.seen.holds(values)
    return flat[name] != FIELDS[name].default if fact.seen is None else fact.seen(flat)
