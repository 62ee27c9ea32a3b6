"""The layout of the tab: sections and lines of settings, derived from the tab that each declaration names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from deforum_helpers.settings import FIELDS, FieldInfo
from deforum_helpers.settings.model_controlnet import UNITS

Shape = Literal["tabs", "accordion"]

# The tabs of classic Deforum, in their order.
TABS = ("Run", "Keyframes", "Prompts", "Init", "ControlNet", "Hybrid Video", "Output")

# Sections without settings.
TOOL_SECTIONS = ("Video Upscaling", "Vid2depth", "Frames to Video")

# Sections inside a tab, in their order; a section that is missing here becomes a tab after these.
GROUPS: Mapping[str, tuple[tuple[Shape, tuple[str, ...]], ...]] = {
    "Run": (("accordion", ("Batch Mode, Resume and more",)),),
    "Keyframes": (
        ("accordion", ("Guided Images",)),
        ("tabs", ("Strength", "CFG", "Seed", "SubSeed", "Step", "Sampler", "Scheduler", "Checkpoint")),
        (
            "tabs",
            (
                *("Motion", "Noise", "Coherence", "Anti Blur", "Depth Warping & FOV", "Sound", "FreeU"),
                "Kohya HRFix",
            ),
        ),
    ),
    "Prompts": (("accordion", ("Composable Mask scheduling",)),),
    "Init": (("tabs", ("Image Init", "Video Init", "Mask Init", "Parseq")),),
    "Hybrid Video": (("accordion", ("Hybrid Schedules",)), ("accordion", ("Humans Masking",))),
    "Output": (("tabs", ("Frame Interpolation", *TOOL_SECTIONS)),),
}

# The note that a section shows while none of its settings has an effect.
IDLE: Mapping[str, str] = {
    "Keyframes > Strength": "Guided images have their own strengths; Interpolation does not use the previous frame.",
    "Keyframes > Motion": "There is no camera in this animation mode; choose 2D or 3D.",
    "Keyframes > Anti Blur": "Only warped frames are sharpened, in 2D and 3D.",
    "Keyframes > Depth Warping & FOV": "Only 3D uses depth and a field of view; choose it as the animation mode.",
    "Init > Image Init": "The first frame starts from the init video; no init image is read.",
    "Output > Frame Interpolation": "No video is made while Skip video creation is on.",
    "Hybrid Video": "Hybrid video works in 2D and 3D only.",
}

# Settings that share a line or come first in their section; all others follow, in the order of a settings file.
LINES: tuple[tuple[str, ...], ...] = (
    ("motion_preview_mode",),
    ("sampler", "scheduler", "steps"),
    ("W", "H"),
    ("seed", "batch_name"),
    ("restore_faces", "tiling", "enable_ddim_eta_scheduling", "enable_ancestral_eta_scheduling"),
    ("ddim_eta_schedule", "ancestral_eta_schedule"),
    ("resume_from_timestring", "resume_timestring"),
    ("animation_mode", "border"),
    ("wildcards",),
    ("prompt_transition", "prompt_transition_frames"),
    ("diffusion_cadence", "max_frames"),
    ("keyframe_distribution",),
    ("seamless_loop", "ending_frames", "reverse_generation"),
    ("end_image_path",),
    ("use_init", "strength_0_no_init"),
    ("strength",),
    ("seed_behavior", "seed_iter_N"),
    ("seed_resize_from_w", "seed_resize_from_h"),
    ("zoom",),
    ("angle",),
    ("transform_center_x", "transform_center_y"),
    ("translation_x",),
    ("translation_y",),
    ("translation_z",),
    ("rotation_3d_x",),
    ("rotation_3d_y",),
    ("rotation_3d_z",),
    ("shake_name", "shake_intensity", "shake_speed"),
    ("enable_perspective_flip",),
    ("noise_type",),
    ("noise_schedule",),
    ("noise_source",),
    ("new_noise_schedule",),
    ("perlin_octaves", "perlin_persistence"),
    ("color_coherence", "color_force_grayscale", "legacy_colormatch"),
    ("color_coherence_image_path",),
    ("color_coherence_video_every_N_frames",),
    ("stability_schedule",),
    ("cadence_blend",),
    ("optical_flow_cadence", "cadence_flow_factor_schedule"),
    ("optical_flow_redo_generation", "redo_flow_factor_schedule"),
    ("contrast_schedule",),
    ("exposure_schedule",),
    ("saturation_schedule", "hue_schedule"),
    ("diffusion_redo", "reroll_blank_frames", "reroll_patience"),
    ("use_depth_warping", "depth_algorithm", "midas_weight"),
    ("depth_warp", "padding_mode", "sampling_mode"),
    ("revealed_strength_schedule",),
    ("scene_memory", "scene_memory_mb"),
    ("scene_memory_strength_schedule",),
    ("video_init_path",),
    ("extract_from_frame", "extract_to_frame", "extract_nth_frame", "overwrite_extracted_frames"),
    ("use_mask", "use_alpha_as_mask", "invert_mask", "overlay_mask"),
    ("mask_file",),
    ("mask_overlay_blur", "fill"),
    ("full_res_mask", "full_res_mask_padding"),
    ("mask_contrast_adjust", "mask_brightness_adjust"),
    ("hybrid_composite",),
    ("hybrid_generate_inputframes", "hybrid_use_first_frame_as_init_image", "hybrid_use_init_image"),
    ("hybrid_motion", "hybrid_flow_method"),
    ("hybrid_flow_consistency", "hybrid_consistency_blur"),
    ("hybrid_motion_use_prev_img",),
    ("hybrid_comp_mask_type", "hybrid_comp_mask_equalize"),
    ("hybrid_comp_mask_auto_contrast", "hybrid_comp_mask_inverse"),
    ("hybrid_comp_save_extra_frames",),
    ("fps", "add_soundtrack", "soundtrack_path"),
    ("audio_path", "audio_smoothing"),
    ("bpm", "beat_offset", "beats_per_bar"),
    ("skip_video_creation", "delete_imgs", "delete_input_frames"),
    ("store_frames_in_ram", "save_depth_maps", "make_gif"),
    ("r_upscale_video", "r_upscale_model", "r_upscale_factor", "r_upscale_keep_imgs"),
)
LINES += tuple(
    tuple(f"cn_{unit}_{name}" for name in line)
    for unit in range(1, UNITS + 1)
    for line in (
        ("enabled", "pixel_perfect", "low_vram", "overwrite_frames"),
        ("vid_path",),
        ("mask_vid_path",),
        ("module", "model"),
        ("weight",),
        ("guidance_start", "guidance_end"),
        ("processor_res", "threshold_a", "threshold_b"),
        ("resize_mode", "control_mode", "loopback_mode"),
    )
)
_PLACE = {name: place for place, name in enumerate(name for line in LINES for name in line)}
_LINE = {name: number for number, line in enumerate(LINES) for name in line}


@dataclass(frozen=True)
class Section:
    """One tab or accordion.

    Args:
        title: its label.
        lines: names of the settings on each line.
        groups: sections inside it; those of one group are tabs side by side, or one accordion.
    """

    title: str
    lines: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[Shape, tuple[Section, ...]], ...] = ()


def is_offered(info: FieldInfo) -> bool:
    """Return whether the tab has a control for a setting: files can set it, and its declaration names a tab."""
    return info.loaded and bool(info.tab)


def sections(fields: Mapping[str, FieldInfo] = FIELDS) -> tuple[Section, ...]:
    """Return the tabs with their contents; each setting that has a control is in exactly one place."""
    by_tab: dict[str, list[str]] = {}
    for name, info in fields.items():
        if is_offered(info) and info.tab != "Deforum":
            by_tab.setdefault(info.tab, []).append(name)
    titles = dict.fromkeys([*TABS, *(tab.split(" > ")[0] for tab in by_tab)])
    return tuple(_tab(title, by_tab) for title in titles)


def names_in_tab() -> tuple[str, ...]:
    """Return all settings of the tab in the order of the page."""

    def names(section: Section) -> Iterator[str]:
        yield from (name for line in section.lines for name in line)
        for _, inside in section.groups:
            for one in inside:
                yield from names(one)

    return tuple(name for section in sections() for name in names(section))


def _tab(title: str, by_tab: Mapping[str, list[str]]) -> Section:
    inside = {tab.split(" > ", 1)[1]: names for tab, names in by_tab.items() if tab.startswith(f"{title} > ")}
    groups = []
    for shape, titles in GROUPS.get(title, ()):
        found = tuple(
            Section(one, _lines(inside.pop(one, ()))) for one in titles if one in (*inside, *TOOL_SECTIONS)
        )
        if found:
            groups.append((shape, found))
    if inside:
        groups.append(("tabs", tuple(Section(one, _lines(names)) for one, names in inside.items())))
    return Section(title, _lines(by_tab.get(title, ())), tuple(groups))


def _lines(names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Arrange names into lines: those in `LINES` first, in its order; then the others, one to a line, as given."""
    ordered = sorted(names, key=lambda name: _PLACE.get(name, len(_PLACE)))
    lines: list[list[str]] = []
    last: int | None = None
    for name in ordered:
        line = _LINE.get(name)
        if lines and line is not None and line == last:
            lines[-1].append(name)
        else:
            lines.append([name])
        last = line
    return tuple(tuple(line) for line in lines)
