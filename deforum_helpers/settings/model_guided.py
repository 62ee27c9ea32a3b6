"""Parseq, guided images, U-Net switches. Groups ParseqArgs, LoopArgs, FreeUArgs, KohyaHRFixArgs."""

from __future__ import annotations

from dataclasses import dataclass

from deforum_helpers.settings.fields import schedule, setting
from deforum_helpers.settings.predicates import is_on, not_
from deforum_helpers.settings.situations import GUIDED, MOVED, PARSEQ
from deforum_helpers.settings.tables import RESIZE_METHODS

_PARSEQ = "Init > Parseq"
_GUIDED = "Keyframes > Guided Images"
_FREEU = "Keyframes > FreeU"
_FREEU_ON = is_on("freeu_enabled")
_HRFIX = "Keyframes > Kohya HRFix"
_HRFIX_ON = is_on("kohya_hrfix_enabled")


@dataclass(frozen=True)
class ParseqSettings:
    """Schedules and prompts that come from a Parseq manifest."""

    parseq_manifest: str = setting(
        "",
        "A Parseq manifest as JSON text, or its http(s) address. Empty = off.",
        kind="json",
        tab=_PARSEQ,
        label="Parseq manifest (JSON or URL)",
    )
    parseq_use_deltas: bool = setting(
        True,
        "Uses the changes per frame in the manifest (fields ending in _delta) for camera moves, not the totals.",
        tab=_PARSEQ,
        label="Use Parseq deltas for camera moves",
        used_when=MOVED & PARSEQ,
    )
    parseq_non_schedule_overrides: bool = setting(
        True,
        "Takes fps, max_frames and diffusion_cadence from the manifest.",
        tab=_PARSEQ,
        label="Take FPS, max frames and cadence from Parseq",
        used_when=PARSEQ,
    )


@dataclass(frozen=True)
class LoopSettings:
    """Guide images that the video approaches at given frames."""

    use_looper: bool = setting(
        False,
        "Blends your own guide images into the frames, so that the video passes through each of them. Seeds then "
        "follow seed_schedule.",
        tab=_GUIDED,
        label="Enable guided images mode",
        used_when=MOVED,
    )
    init_images: str = setting(
        "{}",
        'The guide images by frame, as a JSON object; a key is a number, an expression or a time: {"0": "a.png", '
        '"max_f/2": "b.png"}.',
        kind="json",
        tab=_GUIDED,
        label="Guide images",
        used_when=GUIDED,
    )
    image_strength_schedule: str = schedule(
        "0:(0.75)",
        "How much of the previous frame is kept while guided images are on, 0..1.",
        tab=_GUIDED,
        label="Image strength schedule",
        bounds=(0, 1),
        clamped=True,
        used_when=GUIDED,
    )
    image_keyframe_strength_schedule: str = schedule(
        "0:(0.20)",
        "The same at frames where a prompt begins, if keyframe_distribution is not Off.",
        tab=_GUIDED,
        label="Image keyframe strength schedule",
        bounds=(0, 1),
        clamped=True,
        used_when=GUIDED & not_("keyframe_distribution", "Off"),
    )
    blendFactorMax: str = schedule(
        "0:(0.35)",
        "Mean share of a guide image while the video passes through it, 0..1.",
        tab=_GUIDED,
        label="Blend factor max",
        used_when=GUIDED,
    )
    blendFactorSlope: str = schedule(
        "0:(0.25)",
        "How far that share swings up and down, 0..1.",
        tab=_GUIDED,
        label="Blend factor slope",
        used_when=GUIDED,
    )
    tweening_frames_schedule: str = schedule(
        "0:(20)",
        "How many frames a guide image is blended in for, from its own frame on.",
        tab=_GUIDED,
        label="Tweening frames schedule",
        unit="frames",
        used_when=GUIDED,
    )
    color_correction_factor: str = schedule(
        "0:(0.075)",
        "How far colors move towards those of the guide image, 0..1.",
        tab=_GUIDED,
        label="Color correction factor",
        bounds=(0, 1),
        clamped=True,
        used_when=GUIDED,
    )


@dataclass(frozen=True)
class FreeUSettings:
    """FreeU: sharper structure from the same model, by weighting parts of its U-Net."""

    freeu_enabled: bool = setting(
        False,
        "Weights the backbone and the skip connections of the U-Net. Has no effect on models without a U-Net "
        "(SD3, Flux).",
        tab=_FREEU,
        label="Enable FreeU",
    )
    freeu_b1: str = schedule(
        "0:(1.3)",
        "Weight of the first backbone stage; 1 = unchanged.",
        tab=_FREEU,
        label="B1 schedule",
        used_when=_FREEU_ON,
    )
    freeu_b2: str = schedule(
        "0:(1.4)",
        "Weight of the second backbone stage; 1 = unchanged.",
        tab=_FREEU,
        label="B2 schedule",
        used_when=_FREEU_ON,
    )
    freeu_s1: str = schedule(
        "0:(0.9)",
        "Weight of the first skip connection; 1 = unchanged.",
        tab=_FREEU,
        label="S1 schedule",
        used_when=_FREEU_ON,
    )
    freeu_s2: str = schedule(
        "0:(0.2)",
        "Weight of the second skip connection; 1 = unchanged.",
        tab=_FREEU,
        label="S2 schedule",
        used_when=_FREEU_ON,
    )


@dataclass(frozen=True)
class KohyaHRFixSettings:
    """Kohya's fix for large frames: part of sampling runs at a smaller size, which avoids repeated subjects."""

    kohya_hrfix_enabled: bool = setting(
        False,
        "Scales down the features inside the U-Net during the first steps, which keeps large frames coherent.",
        tab=_HRFIX,
        label="Enable Kohya HRFix",
    )
    kohya_hrfix_block_number: str = schedule(
        "0:(1)",
        "Input block of the U-Net at which they are scaled down.",
        tab=_HRFIX,
        label="Block number schedule",
        bounds=(1, 32),
        used_when=_HRFIX_ON,
    )
    kohya_hrfix_downscale_factor: str = schedule(
        "0:(2.0)",
        "How much they are scaled down.",
        tab=_HRFIX,
        label="Downscale factor schedule",
        bounds=(0.1, 9),
        unit="factor",
        used_when=_HRFIX_ON,
    )
    kohya_hrfix_start_percent: str = schedule(
        "0:(0.0)",
        "Share of sampling from which it acts, 0..1.",
        tab=_HRFIX,
        label="Start percent schedule",
        bounds=(0, 1),
        used_when=_HRFIX_ON,
    )
    kohya_hrfix_end_percent: str = schedule(
        "0:(0.35)",
        "Share of sampling up to which it acts, 0..1.",
        tab=_HRFIX,
        label="End percent schedule",
        bounds=(0, 1),
        used_when=_HRFIX_ON,
    )
    kohya_hrfix_downscale_after_skip: bool = setting(
        True,
        "Scales down after the skip connection branches off, not before.",
        tab=_HRFIX,
        label="Downscale after skip",
        used_when=_HRFIX_ON,
    )
    kohya_hrfix_downscale_method: str = setting(
        "bicubic",
        "How they are scaled down.",
        tab=_HRFIX,
        label="Downscale method",
        choices=RESIZE_METHODS,
        used_when=_HRFIX_ON,
    )
    kohya_hrfix_upscale_method: str = setting(
        "bicubic",
        "How they are scaled up again.",
        tab=_HRFIX,
        label="Upscale method",
        choices=RESIZE_METHODS,
        used_when=_HRFIX_ON,
    )
