"""Which controls are shown, by the values of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deforum_helpers.settings import FIELDS
from deforum_helpers.settings.model_controlnet import UNITS

Values = Mapping[str, Any]
Shown = Callable[[Values], bool]


@dataclass(frozen=True)
class Rule:
    """`names` are shown only where `shown` holds; a control with several rules needs all of them."""

    names: tuple[str, ...]
    shown: Shown


def is_one(name: str, *values: Any) -> Shown:
    return lambda settings: settings[name] in values


def is_not(name: str, *values: Any) -> Shown:
    return lambda settings: settings[name] not in values


def on(name: str) -> Shown:
    return is_one(name, True)


def either(*ways: Shown) -> Shown:
    return lambda settings: any(way(settings) for way in ways)


def _above_one(name: str) -> Shown:
    return lambda settings: isinstance(settings[name], (int, float)) and settings[name] > 1


def _section(tab: str) -> tuple[str, ...]:
    return tuple(name for name, info in FIELDS.items() if info.tab == tab)


def _unit(number: int) -> tuple[str, ...]:
    return tuple(
        name for name in _section(f"ControlNet > CN Model {number}") if not name.endswith("_enabled")
    )


def _needs_model(number: int) -> Shown:
    """Preprocessors called reference_... steer by themselves."""
    return lambda settings: not str(settings[f"cn_{number}_module"]).startswith("reference")


def _ancestral(settings: Values) -> bool:
    """Samplers with an "a" of their own and a few more draw fresh noise at every step."""
    return " a " in f"{str(settings['sampler']).lower()} "


def _few_frames_per_second(settings: Values) -> bool:
    return isinstance(settings["fps"], (int, float)) and settings["fps"] <= 30


MOVING = is_one("animation_mode", "2D", "3D")
FLAT = is_one("animation_mode", "2D")
DEEP = is_one("animation_mode", "3D")
HYBRID = either(is_not("hybrid_composite", "None"), is_not("hybrid_motion", "None"))

RULES: tuple[Rule, ...] = (
    Rule(("max_frames",), is_not("animation_mode", "Video Input")),
    Rule(
        (
            "diffusion_cadence",
            "keyframe_distribution",
            "optical_flow_cadence",
            "cadence_flow_factor_schedule",
            "cadence_blend",
            "stability_schedule",
            "prompt_transition",
            "prompt_transition_frames",
            "seamless_loop",
            "reverse_generation",
            "end_image_path",
            "ending_frames",
            "optical_flow_redo_generation",
            "redo_flow_factor_schedule",
            "diffusion_redo",
            *_section("Keyframes > Guided Images"),
        ),
        MOVING,
    ),
    Rule(
        ("keyframe_strength_schedule", "image_keyframe_strength_schedule"),
        is_not("keyframe_distribution", "Off"),
    ),
    Rule(("zoom", "angle", "transform_center_x", "transform_center_y", "border"), FLAT),
    Rule(("translation_x", "translation_y", "enable_perspective_flip"), MOVING),
    Rule(
        (
            "translation_z",
            "rotation_3d_x",
            "rotation_3d_y",
            "rotation_3d_z",
            "shake_name",
            *_section("Keyframes > Depth Warping & FOV"),
        ),
        DEEP,
    ),
    Rule(("shake_intensity", "shake_speed"), DEEP),
    Rule(("shake_intensity", "shake_speed"), is_not("shake_name", "None")),
    Rule(tuple(name for name in FIELDS if name.startswith("perspective_flip_")), MOVING),
    Rule(
        tuple(name for name in FIELDS if name.startswith("perspective_flip_")), on("enable_perspective_flip")
    ),
    Rule(
        ("color_force_grayscale", *_section("Keyframes > Noise")), is_not("animation_mode", "Interpolation")
    ),
    Rule(("perlin_octaves", "perlin_persistence"), is_one("noise_type", "perlin")),
    Rule(("noise_multiplier_schedule",), on("enable_noise_multiplier_scheduling")),
    Rule(("new_noise_schedule",), is_one("noise_source", "inverted")),
    Rule(("color_coherence_image_path",), is_one("color_coherence", "Image")),
    Rule(("color_coherence_video_every_N_frames",), is_one("color_coherence", "Video Input")),
    Rule(("legacy_colormatch",), is_not("color_coherence", "None")),
    Rule(
        ("optical_flow_cadence", "cadence_flow_factor_schedule", "cadence_blend"),
        _above_one("diffusion_cadence"),
    ),
    Rule(
        ("ending_frames",),
        either(on("seamless_loop"), lambda settings: bool(str(settings["end_image_path"]).strip())),
    ),
    Rule(("prompt_transition",), is_one("prompt_interpolation", "hold")),
    Rule(("prompt_transition_frames",), is_one("prompt_transition", "dissolve", "morph")),
    Rule(("cadence_flow_factor_schedule",), is_not("optical_flow_cadence", "None")),
    Rule(("redo_flow_factor_schedule",), is_not("optical_flow_redo_generation", "None")),
    Rule(("reroll_patience",), is_one("reroll_blank_frames", "reroll")),
    Rule(("seed_iter_N",), is_one("seed_behavior", "iter")),
    Rule(("seed_schedule",), is_one("seed_behavior", "schedule")),
    Rule(
        (
            "revealed_strength_schedule",
            "scene_memory",
            "scene_memory_mb",
            "scene_memory_strength_schedule",
        ),
        is_one("depth_warp", "exact"),
    ),
    Rule(("scene_memory", "scene_memory_mb", "scene_memory_strength_schedule"), on("use_depth_warping")),
    Rule(("scene_memory_mb", "scene_memory_strength_schedule"), on("scene_memory")),
    Rule(("padding_mode",), is_one("depth_warp", "classic")),
    Rule(("aspect_ratio_schedule",), is_one("aspect_ratio_use_old_formula", False)),
    Rule(("midas_weight",), lambda settings: str(settings["depth_algorithm"]).endswith("(old)")),
    Rule(("near_schedule", "far_schedule"), lambda settings: False),
    Rule(("enable_ddim_eta_scheduling",), is_one("sampler", "DDIM", "DDIM CFG++")),
    Rule(("ddim_eta_schedule",), is_one("sampler", "DDIM", "DDIM CFG++")),
    Rule(("ddim_eta_schedule",), on("enable_ddim_eta_scheduling")),
    Rule(("enable_ancestral_eta_scheduling", "ancestral_eta_schedule"), _ancestral),
    Rule(("ancestral_eta_schedule",), on("enable_ancestral_eta_scheduling")),
    Rule(("resume_timestring",), on("resume_from_timestring")),
    Rule(("make_gif",), _few_frames_per_second),
    Rule(
        (
            "fps",
            "add_soundtrack",
            "soundtrack_path",
            "make_gif",
            "delete_imgs",
            "r_upscale_video",
            *_section("Output > Frame Interpolation"),
        ),
        is_not("skip_video_creation", True),
    ),
    Rule(("soundtrack_path",), is_one("add_soundtrack", "File")),
    Rule(
        tuple(name for name in FIELDS if name.startswith("r_upscale_") and name != "r_upscale_video"),
        on("r_upscale_video"),
    ),
    Rule(
        tuple(
            name for name in _section("Output > Frame Interpolation") if name != "frame_interpolation_engine"
        ),
        is_not("frame_interpolation_engine", "None"),
    ),
    Rule(("frame_interpolation_slow_mo_amount",), on("frame_interpolation_slow_mo_enabled")),
    Rule(tuple(name for name, info in FIELDS.items() if info.tab.startswith("Hybrid Video")), MOVING),
    Rule(
        ("hybrid_flow_method", "hybrid_flow_consistency", "hybrid_flow_factor_schedule"),
        is_one("hybrid_motion", "Optical Flow"),
    ),
    Rule(("hybrid_consistency_blur",), is_one("hybrid_motion", "Optical Flow")),
    Rule(("hybrid_consistency_blur",), on("hybrid_flow_consistency")),
    Rule(("hybrid_motion_use_prev_img",), is_not("hybrid_motion", "None")),
    Rule(
        (
            "hybrid_generate_inputframes",
            "hybrid_use_first_frame_as_init_image",
            "hybrid_use_init_image",
            "hybrid_comp_save_extra_frames",
            "hybrid_generate_human_masks",
        ),
        HYBRID,
    ),
    Rule(("hybrid_comp_mask_type", "hybrid_comp_alpha_schedule"), is_not("hybrid_composite", "None")),
    Rule(
        tuple(
            name
            for name in FIELDS
            if name.startswith("hybrid_comp_mask_") and name != "hybrid_comp_mask_type"
        ),
        is_not("hybrid_composite", "None"),
    ),
    Rule(
        tuple(
            name
            for name in FIELDS
            if name.startswith("hybrid_comp_mask_") and name != "hybrid_comp_mask_type"
        ),
        is_not("hybrid_comp_mask_type", "None"),
    ),
    Rule(
        tuple(name for name in _section("Keyframes > FreeU") if name != "freeu_enabled"), on("freeu_enabled")
    ),
    Rule(
        tuple(name for name in _section("Keyframes > Kohya HRFix") if name != "kohya_hrfix_enabled"),
        on("kohya_hrfix_enabled"),
    ),
    *(Rule(_unit(number), on(f"cn_{number}_enabled")) for number in range(1, UNITS + 1)),
    *(Rule((f"cn_{number}_model",), _needs_model(number)) for number in range(1, UNITS + 1)),
)


# What a tab says while it has nothing to offer.
IDLE: Mapping[str, str] = {
    "Keyframes > Motion": "Nothing moves in this animation mode. 2D and 3D have a camera.",
    "Keyframes > Noise": "No noise is added in Interpolation: each of its frames is drawn anew.",
    "Keyframes > Depth Warping & FOV": "Only 3D looks at depth and has a lens: choose it as animation mode.",
    "Hybrid Video": "Hybrid video works in 2D and 3D, whose frames can follow a video.",
}


def hidden(values: Values) -> tuple[str, ...]:
    """Return the settings whose controls are not shown, in the order of a settings file.

    Args:
        values: what the controls hold, by setting; a half-typed value is anything.
    """
    covered = {name for rule in RULES if not rule.shown(values) for name in rule.names}
    return tuple(name for name in FIELDS if name in covered)
