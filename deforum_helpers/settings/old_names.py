"""What files of other years call settings, and the words they have for values: tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deforum_helpers.settings.model import UNITS

# The notebooks' names of what is the same without "video_".
_HYBRID = (
    *("generate_inputframes", "use_first_frame_as_init_image", "motion", "flow_method", "composite"),
    *("comp_alpha_schedule", "comp_save_extra_frames", "comp_mask_type", "comp_mask_inverse"),
    *("comp_mask_equalize", "comp_mask_auto_contrast", "comp_mask_blend_alpha_schedule"),
    *("comp_mask_contrast_schedule", "comp_mask_auto_contrast_cutoff_high_schedule"),
    "comp_mask_auto_contrast_cutoff_low_schedule",
)
RENAMED = {
    "flip_2d_perspective": "enable_perspective_flip",
    "skip_video_for_run_all": "skip_video_creation",
    "width": "W",
    "height": "H",
    "sampler_name": "sampler",
    "enable_schedule_samplers": "enable_sampler_scheduling",
    **{f"hybrid_video_{name}": f"hybrid_{name}" for name in _HYBRID},
}
REMOVED = {
    "histogram_matching": "colours are matched by color_coherence",
    "scale": "how closely the prompt is followed is cfg_scale_schedule",
    "ddim_eta": "the noise of DDIM is ddim_eta_schedule",
    "fov": "the field of view is fov_schedule",
}
OLD_NAMES = frozenset({*RENAMED, *REMOVED, "animation_prompts", "use_zoe_depth"})

_OFF_OR_FINE: Mapping[Any, str] = {False: "None", True: "DIS Fine"}
_RESIZE_MODES: Mapping[Any, str] = {
    "Envelope (Outer Fit)": "Outer Fit (Shrink to Fit)",
    "Scale to Fit (Inner Fit)": "Inner Fit (Scale to Fit)",
}
# Setting -> old value -> new value. True and false stand for 1 and 0 too, and for their words.
VALUES: Mapping[str, Mapping[Any, str]] = {
    "color_coherence": {
        **{f"Match Frame 0 {space}": space for space in ("HSV", "LAB", "RGB")},
        "MatchFrame0": "RGB",
    },
    "border": {"warp": "replicate"},  # a misprint of an old template, which drew all but "wrap" alike
    "hybrid_composite": {False: "None", True: "Normal"},
    "hybrid_generate_human_masks": {False: "None", True: "PNGs"},
    "optical_flow_redo_generation": _OFF_OR_FINE,
    "optical_flow_cadence": _OFF_OR_FINE,
    "depth_algorithm": {
        "Demo": "Built-in",
        "demo": "Built-in",
        "Midas+AdaBins": "Midas+AdaBins (old)",
        "Zoe+AdaBins": "Zoe+AdaBins (old)",
    },
    "keyframe_distribution": {"None": "Off"},
    "r_upscale_factor": {f"{times}x": f"x{times}" for times in (2, 3, 4)},
    "add_soundtrack": {False: "None", True: "File"},
    **dict.fromkeys((f"cn_{number}_resize_mode" for number in range(1, UNITS + 1)), _RESIZE_MODES),
}
