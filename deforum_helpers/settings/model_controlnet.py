"""One ControlNet unit. A settings file has five: cn_1_enabled, cn_2_enabled, ... Group ControlNetArgs."""

from __future__ import annotations

from dataclasses import dataclass

from deforum_helpers.settings.fields import path, schedule, setting
from deforum_helpers.settings.predicates import is_off, is_on, is_set
from deforum_helpers.settings.tables import CN_CONTROL_MODES, CN_RESIZE_MODES

UNITS = 5

# Predicates of a unit name its settings without the prefix cn_1_.
_ON = is_on("enabled")


@dataclass(frozen=True)
class ControlNetUnit:
    """A ControlNet unit, which steers generation by an image or a video."""

    overwrite_frames: bool = setting(
        True,
        "Extracts the frames of the input video again for every run.",
        label="Overwrite input frames",
        used_when=is_set("vid_path") | is_set("mask_vid_path"),
        used_in="pipeline/sources.py",
    )
    vid_path: str = path(
        "Video or image (jpg, jpeg, png, bmp) that steers the frames.",
        label="ControlNet input video/image path",
        used_when=is_off("loopback_mode"),
        used_in="pipeline/controlnet.py",
    )
    mask_vid_path: str = path(
        "Video or image that limits where the unit acts: white is steered.",
        label="ControlNet mask video/image path",
        used_when=_ON,
        used_in="pipeline/controlnet.py",
    )
    enabled: bool = setting(False, "Turns the unit on.", label="Enable", used_in="controlnet/units.py")
    low_vram: bool = setting(
        False,
        "Uses less VRAM, but more time.",
        label="Low VRAM",
        used_when=_ON,
        used_in="render/control_units.py",
    )
    pixel_perfect: bool = setting(
        False,
        "Runs the preprocessor at the size that best fits the frame.",
        label="Pixel Perfect",
        used_when=_ON,
        used_in="render/control_units.py",
    )
    module: str = setting(
        "none",
        "Preprocessor that makes the control image: canny, depth_midas, ...",
        label="Preprocessor",
        used_when=_ON,
        used_in="render/control_units.py",
    )
    model: str = setting(
        "None", "The ControlNet model.", label="Model", used_when=_ON, used_in="render/control_units.py"
    )
    weight: str = schedule(
        "0:(1)",
        "How strongly the unit steers; 1 = fully.",
        label="Weight schedule",
        bounds=(-10, 10),
        used_when=_ON,
        used_in="render/control_units.py",
    )
    guidance_start: str = schedule(
        "0:(0.0)",
        "Share of the sampling steps after which the unit starts to act, 0..1.",
        label="Starting Control Step schedule",
        bounds=(0, 1),
        clamped=True,
        used_when=_ON,
        used_in="render/control_units.py",
    )
    guidance_end: str = schedule(
        "0:(1.0)",
        "Share of the sampling steps after which the unit stops, 0..1.",
        label="Ending Control Step schedule",
        bounds=(0, 1),
        clamped=True,
        used_when=_ON,
        used_in="render/control_units.py",
    )
    processor_res: int = setting(
        64,
        "Resolution of the preprocessor. -1 = its default.",
        label="Annotator resolution",
        bounds=(-1, 4096),
        step=8,
        unit="px",
        used_when=_ON,
        used_in="render/control_units.py",
    )
    threshold_a: float = setting(
        64,
        "First parameter of the preprocessor, if it has one: for canny the lower threshold. -1 = its default.",
        label="Threshold A",
        kind="float",
        bounds=(-1, 10_000),
        step=0.01,
        used_when=_ON,
        used_in="render/control_units.py",
    )
    threshold_b: float = setting(
        64,
        "Second parameter of the preprocessor, if it has one: for canny the upper threshold. -1 = its default.",
        label="Threshold B",
        kind="float",
        bounds=(-1, 10_000),
        step=0.01,
        used_when=_ON,
        used_in="render/control_units.py",
    )
    resize_mode: str = setting(
        "Inner Fit (Scale to Fit)",
        "How the control image is fitted to the frame: with bars (outer), cropped (inner), or stretched.",
        label="Resize Mode",
        choices=CN_RESIZE_MODES,
        used_when=_ON,
        used_in="render/control_units.py",
    )
    control_mode: str = setting(
        "Balanced",
        "Which takes precedence where prompt and control image disagree.",
        label="Control Mode",
        choices=CN_CONTROL_MODES,
        used_when=_ON,
        used_in="render/control_units.py",
    )
    loopback_mode: bool = setting(
        False,
        "Steers each frame by the warped previous frame instead of a video.",
        label="LoopBack mode",
        used_when=_ON,
        used_in="controlnet/units.py",
    )
