"""The choices of settings, and the names that other programs use for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from deforum_helpers.samplers import SAMPLERS as _OUR_SAMPLERS

# Order matters: old files store the sampler as a position in this list.
CLASSIC_SAMPLERS = (
    "Euler a",
    "Euler",
    "LMS",
    "Heun",
    "DPM2",
    "DPM2 a",
    "DPM++ 2S a",
    "DPM++ 2M",
    "DPM++ SDE",
    "DPM++ 2M SDE Karras",
    "DPM fast",
    "DPM adaptive",
    "LMS Karras",
    "DPM2 Karras",
    "DPM2 a Karras",
    "DPM++ 2S a Karras",
    "DPM++ 2M Karras",
    "DPM++ SDE Karras",
    "DPM++ 2M SDE Exponential",
    "DPM++ 2M SDE Heun",
    "DPM++ 2M SDE Heun Karras",
    "DPM++ 2M SDE Heun Exponential",
    "DPM++ 3M SDE",
    "DPM++ 3M SDE Karras",
    "DPM++ 3M SDE Exponential",
    "DDIM",
    "PLMS",
    "UniPC",
    "Restart",
)
SAMPLERS = tuple(dict.fromkeys((*CLASSIC_SAMPLERS, *_OUR_SAMPLERS)))

# Label -> the internal name of WebUI hosts.
SCHEDULER_NAMES: Mapping[str, str] = {
    "Automatic": "automatic",
    "Uniform": "uniform",
    "Karras": "karras",
    "Exponential": "exponential",
    "Polyexponential": "polyexponential",
    "SGM Uniform": "sgm_uniform",
    "KL Optimal": "kl_optimal",
    "Align Your Steps": "align_your_steps",
    "Simple": "simple",
    "Normal": "normal",
    "DDIM": "ddim",
    "Beta": "beta",
    "Turbo": "turbo",
    "Align Your Steps GITS": "align_your_steps_GITS",
    "Align Your Steps 11": "align_your_steps_11",
    "Align Your Steps 32": "align_your_steps_32",
}
SCHEDULERS = tuple(SCHEDULER_NAMES)

ANIMATION_MODES = ("2D", "3D", "Video Input", "Interpolation")
BORDER_MODES = ("replicate", "wrap")
PADDING_MODES = ("border", "reflection", "zeros")
SAMPLING_MODES = ("bicubic", "bilinear", "nearest")
SEED_BEHAVIORS = ("iter", "fixed", "random", "ladder", "alternate", "schedule")
REROLL_CHOICES = ("reroll", "interrupt", "ignore")
COLOR_COHERENCE = ("None", "HSV", "LAB", "RGB", "Video Input", "Image")
NOISE_TYPES = ("uniform", "perlin")
NOISE_SOURCES = ("new", "inverted")
CADENCE_BLENDS = ("classic", "sharp")
PROMPT_TRANSITIONS = ("none", "cut", "dissolve", "morph")
DEPTH_WARPS = ("classic", "exact")
MASK_FILLS = ("fill", "original", "latent noise", "latent nothing")
FLOW_METHODS = ("RAFT", "DIS Medium", "DIS Fine", "Farneback")
FLOW_CHOICES = ("None", *FLOW_METHODS)
DEPTH_ALGORITHMS = (
    "Midas+AdaBins (old)",
    "Zoe+AdaBins (old)",
    "Midas-3-Hybrid",
    "Midas-3.1-BeitLarge",
    "AdaBins",
    "Zoe",
    "Leres",
    "Depth-Anything-V2-Small",
    "Depth-Anything-V2-Base",
    "Depth-Anything-V2-Large",
    "Built-in",
    "Plane",
)
KEYFRAME_DISTRIBUTIONS = ("Off", "Keyframes Only", "Additive", "Redistributed")
SHAKE_NAMES = (
    "None",
    "INVESTIGATION",
    "THE_CLOSEUP",
    "THE_WEDDING",
    "WALK_TO_THE_STORE",
    "HANDYCAM_RUN",
    "OUT_CAR_WINDOW",
    "BIKE_ON_GRAVEL_2D",
    "SPACESHIP_SHAKE_2D",
    "THE_ZEEK_RISE",
)
HYBRID_COMPOSITES = ("None", "Normal", "Before Motion", "After Generation")
HYBRID_MOTIONS = ("None", "Optical Flow", "Perspective", "Affine")
HYBRID_MASK_TYPES = ("None", "Depth", "Video Depth", "Blend", "Difference")
HYBRID_EQUALIZE = ("None", "Before", "After", "Both")
HUMAN_MASKS = ("None", "PNGs", "Video", "Both")
SOUNDTRACKS = ("None", "File", "Init Video")
UPSCALE_FACTORS = ("x2", "x3", "x4")
UPSCALE_MODELS = ("realesr-animevideov3", "realesrgan-x4plus", "realesrgan-x4plus-anime", "Lanczos")
# Files of further networks, which the user puts into the folders of `models.upscaling`; they support every factor.
UPSCALER_SUFFIXES = (".safetensors", ".pth")
# Of `UPSCALE_MODELS`, only these support factors other than x4.
ANY_FACTOR = ("realesr-animevideov3", "Lanczos")
INTERPOLATION_ENGINES = ("None", "RIFE v4.6", "FILM", "Flow")
LARGEST_RIFE_X = 10
RESIZE_METHODS = ("bicubic", "nearest-exact", "bilinear", "area", "bislerp")
CN_RESIZE_MODES = ("Outer Fit (Shrink to Fit)", "Inner Fit (Scale to Fit)", "Just Resize")
CN_CONTROL_MODES = ("Balanced", "My prompt is more important", "ControlNet is more important")

_OTHER_SAMPLER_NAMES = {
    # ComfyUI
    "uni_pc_bh2": "UniPC",
    "ipndm_v": "IPNDM_V",
    # notebooks of 2022
    "k_lms": "LMS",
    "k_euler": "Euler",
    "k_euler_a": "Euler a",
    "k_heun": "Heun",
    "k_dpm_2": "DPM2",
    "k_dpm_2_a": "DPM2 a",
    "k_dpm_fast": "DPM fast",
    "k_dpm_adaptive": "DPM adaptive",
    "k_dpmpp_2s_a": "DPM++ 2S a",
    "k_dpmpp_2m": "DPM++ 2M",
    "k_dpmpp_sde": "DPM++ SDE",
    # diffusers' classes
    "EulerDiscreteScheduler": "Euler",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "FlowMatchEulerDiscreteScheduler": "Euler",
    "HeunDiscreteScheduler": "Heun",
    "LMSDiscreteScheduler": "LMS",
    "KDPM2DiscreteScheduler": "DPM2",
    "KDPM2AncestralDiscreteScheduler": "DPM2 a",
    "DPMSolverMultistepScheduler": "DPM++ 2M",
    "DPMSolverSinglestepScheduler": "DPM++ SDE",
    "DPMSolverSDEScheduler": "DPM++ SDE",
    "DEISMultistepScheduler": "DEIS",
    "UniPCMultistepScheduler": "UniPC",
    "DDIMScheduler": "DDIM",
    "DDPMScheduler": "DDPM",
    "PNDMScheduler": "PLMS",
    "pndm": "PLMS",
    "LCMScheduler": "LCM",
}
_OTHER_SCHEDULER_NAMES = {"ddim_uniform": "DDIM", "kl": "KL Optimal", "ays": "Align Your Steps"}


def folded(name: str) -> str:
    """Return a name in the form for comparison: "DPM++ 2S a", "dpmpp_2s_ancestral" and "DPMPP-2S-A" are equal."""
    text = name.casefold().replace("++", "pp").replace("ancestral", "a")
    return re.sub(r"[\s_\-]|_?gpu$", "", text)


def _by_folded_name(names: Iterable[str], others: Mapping[str, str]) -> Mapping[str, str]:
    return {folded(other): name for other, name in others.items()} | {folded(name): name for name in names}


_SAMPLERS_BY_FOLDED_NAME = _by_folded_name(SAMPLERS, _OTHER_SAMPLER_NAMES)
_SCHEDULERS_BY_FOLDED_NAME = _by_folded_name(
    SCHEDULERS, {name: label for label, name in SCHEDULER_NAMES.items()} | _OTHER_SCHEDULER_NAMES
)


def canonical_sampler(name: str) -> str | None:
    """Return the sampler that `name` means, as WebUI hosts write it, or None.

    Any case, ComfyUI's and diffusers' spellings: "euler" is "Euler", "dpmpp_2m_sde_gpu" is "DPM++ 2M SDE".
    """
    return _SAMPLERS_BY_FOLDED_NAME.get(folded(name))


def canonical_scheduler(name: str) -> str | None:
    """Return the label of the scheduler that `name` means, or None: "sgm_uniform" is "SGM Uniform"."""
    return _SCHEDULERS_BY_FOLDED_NAME.get(folded(name))


class SubtitleParam(NamedTuple):
    """A value that subtitles can show: its setting, the label of the choice, and the printed name."""

    setting: str
    label: str
    printed: str


SUBTITLE_PARAMS = tuple(
    SubtitleParam(*row)
    for row in (
        ("angle", "Angle", "Angle"),
        ("transform_center_x", "Trans Center X", "Tr.C.X"),
        ("transform_center_y", "Trans Center Y", "Tr.C.Y"),
        ("zoom", "Zoom", "Zoom"),
        ("translation_x", "Trans X", "TrX"),
        ("translation_y", "Trans Y", "TrY"),
        ("translation_z", "Trans Z", "TrZ"),
        ("rotation_3d_x", "Rot 3D X", "RotX"),
        ("rotation_3d_y", "Rot 3D Y", "RotY"),
        ("rotation_3d_z", "Rot 3D Z", "RotZ"),
        ("perspective_flip_theta", "Per Fl Theta", "PerFlT"),
        ("perspective_flip_phi", "Per Fl Phi", "PerFlP"),
        ("perspective_flip_gamma", "Per Fl Gamma", "PerFlG"),
        ("perspective_flip_fv", "Per Fl FV", "PerFlFV"),
        ("noise_schedule", "Noise Sch", "Noise"),
        ("strength_schedule", "Str Sch", "StrSch"),
        ("keyframe_strength_schedule", "Kfr Str Sch", "KfrStrSch"),
        ("contrast_schedule", "Contrast Sch", "CtrstSch"),
        ("cfg_scale_schedule", "CFG Sch", "CFGSch"),
        ("distilled_cfg_scale_schedule", "Dist. CFG Sch", "DistCFGSch"),
        ("pix2pix_img_cfg_scale_schedule", "P2P Img CFG Sch", "P2PCfgSch"),
        ("subseed_schedule", "Subseed Sch", "SubSSch"),
        ("subseed_strength_schedule", "Subseed Str Sch", "SubSStrSch"),
        ("checkpoint_schedule", "Ckpt Sch", "CkptSch"),
        ("steps_schedule", "Steps Sch", "StepsSch"),
        ("seed_schedule", "Seed Sch", "SeedSch"),
        ("sampler_schedule", "Sampler Sch", "SamplerSchedule"),
        ("scheduler_schedule", "Scheduler Sch", "SchedulerSchedule"),
        ("clipskip_schedule", "Clipskip Sch", "ClipskipSchedule"),
        ("noise_multiplier_schedule", "Noise Multp Sch", "NoiseMultiplierSchedule"),
        ("mask_schedule", "Mask Sch", "MaskSchedule"),
        ("noise_mask_schedule", "Noise Mask Sch", "NoiseMaskSchedule"),
        ("amount_schedule", "Ant.Blr Amount Sch", "AmountSchedule"),
        ("kernel_schedule", "Ant.Blr Kernel Sch", "KernelSchedule"),
        ("sigma_schedule", "Ant.Blr Sigma Sch", "SigmaSchedule"),
        ("threshold_schedule", "Ant.Blr Threshold Sch", "ThresholdSchedule"),
        ("aspect_ratio_schedule", "Aspect Ratio Sch", "AspectRatioSchedule"),
        ("fov_schedule", "FOV Sch", "FieldOfViewSchedule"),
        ("near_schedule", "Near Sch", "NearSchedule"),
        ("cadence_flow_factor_schedule", "Cadence Flow Factor Sch", "CadenceFlowFactorSchedule"),
        ("redo_flow_factor_schedule", "Redo Flow Factor Sch", "RedoFlowFactorSchedule"),
        ("far_schedule", "Far Sch", "FarSchedule"),
        ("hybrid_comp_alpha_schedule", "Hyb Comp Alpha Sch", "HybridCompAlphaSchedule"),
        (
            "hybrid_comp_mask_blend_alpha_schedule",
            "Hyb Comp Mask Blend Alpha Sch",
            "HybridCompMaskBlendAlphaSchedule",
        ),
        (
            "hybrid_comp_mask_contrast_schedule",
            "Hyb Comp Mask Ctrst Sch",
            "HybridCompMaskContrastSchedule",
        ),
        (
            "hybrid_comp_mask_auto_contrast_cutoff_high_schedule",
            "Hyb Comp Mask Auto Contrast Cutoff High Sch",
            "HybridCompMaskAutoContrastCutoffHighSchedule",
        ),
        (
            "hybrid_comp_mask_auto_contrast_cutoff_low_schedule",
            "Hyb Comp Mask Auto Ctrst Cut Low Sch",
            "HybridCompMaskAutoContrastCutoffLowSchedule",
        ),
        ("hybrid_flow_factor_schedule", "Hybrid Flow Factor Sch", "HybridFlowFactorSchedule"),
        ("prompts", "Prompt", "Prompt"),
    )
)
