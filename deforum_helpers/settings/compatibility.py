"""Differences of settings from classic Deforum.

docs/compatibility.md and the report of `python -m deforum_helpers check` are generated from this table. A setting
without a row means what it meant in classic, or is our own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule import Timeline, numeric_series
from deforum_helpers.settings.model import FIELDS, UNITS
from deforum_helpers.settings.modes import Acting, Flat, holds
from deforum_helpers.settings.predicates import ALWAYS, NEVER, Predicate, ends_with, is_on, not_, one_of
from deforum_helpers.settings.situations import CAMERA, FLAT, MASKED

Seen = Predicate | Callable[[Flat], bool]


class Fact(NamedTuple):
    """The compatibility of one setting.

    Args:
        differs: the differences from classic Deforum, in full sentences; empty = none.
        seen: whether a video of these settings, in which it acts, differs from the classic one. None = if its value is
            not the default. NEVER = the difference concerns only settings that failed in classic.
        no_effect: why it does not affect a video; empty = it does.
    """

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
            "Any size works, with any noise. An odd side is padded by one pixel in the video, where classic failed.",
            lambda flat: bool(flat["W"] % 8 or flat["H"] % 8),
        ),
    ),
    "show_info_on_ui": Fact(no_effect="It shows or hides help texts of the tab."),
    "seed": Fact(
        "Saved settings contain the actual seed, and all randomness derives from it: noise, redo passes, random seeds.",
        NEVER,
    ),
    "sampler": Fact("Upper or lower case, and the names of other programs, are accepted.", NEVER),
    "batch_name": Fact("{date} and {time} are available too.", NEVER),
    "seed_behavior": Fact(
        "Random seeds, and the noise seeds of a seed schedule, are derived from the seed and the frame, so "
        "the same settings give the same video. In classic every run was different.",
        one_of("seed_behavior", "random", "schedule"),
    ),
    **_same(
        ("init_image", "init_image_box"),
        Fact(
            "Addresses work without an internet check first; private networks are not reached.",
            NEVER,
        ),
    ),
    "use_mask": Fact(
        "Masks keep their gray levels; classic dithered them to black and white. Noise does not change the "
        "area outside the mask; classic turned it gray.",
    ),
    "use_alpha_as_mask": Fact(
        "The transparency of files and downloaded images is used; classic always lost it.",
    ),
    "mask_file": Fact("Addresses work without an internet check first.", NEVER),
    "invert_mask": Fact("It inverts the mask; in classic it removed the mask.", is_on("invert_mask")),
    **_same(
        ("mask_contrast_adjust", "mask_brightness_adjust"),
        Fact(
            "Contrast and brightness do what they say; classic had them swapped.",
            lambda flat: flat["mask_contrast_adjust"] != flat["mask_brightness_adjust"],
        ),
    ),
    "overlay_mask": Fact(
        "A mask video in 2D and 3D needs no input frames; classic stopped without them.",
        NEVER,
    ),
    **_same(
        ("reroll_blank_frames", "reroll_patience"),
        Fact(
            "The run ends only if the last allowed retry is also black; a fraction of a retry counts as a whole "
            "one.",
            one_of("reroll_blank_frames", "reroll"),
        ),
    ),
    "motion_preview_mode": Fact(
        "The test image stays visible to the last frame, and only the camera changes it; in classic it faded "
        "to black behind a white rectangle.",
        is_on("motion_preview_mode"),
    ),
}

_PROMPTS: dict[str, Fact] = {
    "prompts": Fact(
        "Keys and backticks accept the names and functions of schedules, with the same meaning in every mode; "
        "everything after the first --neg is negative. Between two prompts each part of AND keeps its own "
        "weight. --seed 5, --steps 30 and --cfg 7 apply to the prompt; classic gave them to the model as words.",
        lambda flat: any(
            "`" in text or " AND " in text or not str(key).isdigit() for key, text in flat["prompts"].items()
        ),
    ),
    **_same(
        ("animation_prompts_positive", "animation_prompts_negative"),
        Fact("Loading the settings of a saved run does not add them twice.", NEVER),
    ),
    **_same(("positive_prompts", "negative_prompts"), Fact(no_effect=_RECORDED)),
}

_MOTION: dict[str, Fact] = {
    "animation_mode": Fact(
        "3D frames do not darken; in classic each move made a fifth of all pixels one level darker.",
        CAMERA & ~ends_with("depth_algorithm", "(old)"),
    ),
    **_same(
        ("translation_x", "translation_y"),
        Fact(
            "It also works with the perspective flip in 2D, where classic ignored it.",
            lambda flat: holds(_FLAT_FLIPPED, flat) and _moves_sideways(flat),
        ),
    ),
    **_same(
        ("shake_name", "shake_intensity", "shake_speed"),
        Fact("The curves are not those of the fork but our own."),
    ),
    "enable_perspective_flip": Fact(
        "With all angles at 0 nothing moves; in classic the image drifted by half a pixel per frame.",
        is_on("enable_perspective_flip"),
    ),
    **_same(
        ("near_schedule", "far_schedule"),
        Fact(no_effect="It cancels out of the projection, in classic as here."),
    ),
    **_same(
        ("use_depth_warping",),
        Fact("Depth is estimated only where something moves.", NEVER),
    ),
    "depth_algorithm": Fact(
        "Every model gets the image in correct colors; classic swapped red and blue for some of them. A model "
        "that is not installed is replaced by the most similar available one.",
        one_of("depth_algorithm", "Midas+AdaBins (old)", "Midas-3-Hybrid", "Midas-3.1-BeitLarge", "Leres"),
    ),
    "midas_weight": Fact(
        "The weights of AdaBins are no longer available; the most similar available model is mixed in "
        "instead, or none if that is the first one itself.",
        lambda flat: flat["midas_weight"] != 1,
    ),
    "save_depth_maps": Fact(
        "All maps of a run have the same scale; in classic it changed during the run.",
    ),
}


_FLOW_REDO = Fact(
    "Its seeds are derived from the seed and the frame, so a video can be reproduced.",
    not_("optical_flow_redo_generation", "None"),
)
_LOOK: dict[str, Fact] = {
    "noise_type": Fact("uniform works at any frame size; classic required multiples of 64.", NEVER),
    **_same(
        ("perlin_w", "perlin_h"),
        Fact(no_effect="It is always 8; neither classic nor this project reads it from a file."),
    ),
    "perlin_octaves": Fact("More than 4 octaves work at any size.", NEVER),
    "contrast_schedule": Fact(
        "Values above white stay white; in classic they wrapped around to dark.",
        lambda flat: _largest("contrast_schedule", flat) > 1,
    ),
    "threshold_schedule": Fact(
        "Small differences are left alone in both directions; classic did so only for brighter pixels.",
    ),
    "color_coherence": Fact(
        "Colors are converted from RGB in floating point; classic swapped red and blue, so hues differ "
        "slightly.",
        not_("color_coherence", "None", "RGB"),
    ),
    "keyframe_distribution": Fact(
        "Every frame is written, and a key frame that moves onto a prompt is never lost.",
    ),
    "diffusion_cadence": Fact(
        "Every frame is written and the last one is a key frame; classic lost the frames after its last key "
        "frame.",
        lambda flat: flat["diffusion_cadence"] > 1,
    ),
    **_same(
        ("optical_flow_cadence", "cadence_flow_factor_schedule"),
        Fact(
            "In-between frames follow the full motion, in pixels; classic limited it to one pixel.",
            not_("optical_flow_cadence", "None"),
        ),
    ),
    "optical_flow_redo_generation": _FLOW_REDO,
    "redo_flow_factor_schedule": _FLOW_REDO,
    "diffusion_redo": Fact(
        "The colors of the last pass are matched, as classic intended; seeds are derived from the seed and "
        "the frame.",
        lambda flat: flat["diffusion_redo"] > 0,
    ),
}

_SCHEDULED: dict[str, Fact] = {
    "seed_schedule": Fact(
        "-1 is a seed derived from the seed and the frame, so a video can be reproduced.",
        ALWAYS,
    ),
    "sampler_schedule": Fact("Every sampler can be scheduled, in upper or lower case.", NEVER),
    "checkpoint_schedule": Fact("Names may contain brackets, commas and colons.", NEVER),
    "mask_schedule": Fact(
        "Expressions support brackets and precedence: ! first, then &, \\, ^ and |. {init_mask} and "
        "{human_mask} are available.",
        lambda flat: any(sign in flat["mask_schedule"] for sign in "!&\\^|"),
    ),
    "noise_mask_schedule": Fact(
        "Noise does not change the image outside its mask, which classic turned gray; it follows a mask "
        "video.",
        MASKED | is_on("use_noise_mask"),
    ),
    **_same(
        ("resume_from_timestring", "resume_timestring"),
        Fact(
            "A resumed run gives the same video as an uninterrupted one, bit for bit.",
            is_on("resume_from_timestring"),
        ),
    ),
}

_VIDEOS: dict[str, Fact] = {
    "video_init_path": Fact(
        "Frames are upright, each is used exactly once, and a variable frame rate becomes constant. Folders "
        "and patterns of images, and animated images, work as videos; so do local paths and addresses.",
        NEVER,
    ),
    **_same(
        ("extract_nth_frame", "extract_from_frame", "extract_to_frame"),
        Fact(
            "Frames that were already extracted are reused, also those of a part of a video.",
            NEVER,
        ),
    ),
    "use_mask_video": Fact("A mask video that is too short holds its last frame.", NEVER),
    "video_mask_path": Fact("A mask video that is too short holds its last frame.", NEVER),
    "hybrid_generate_inputframes": Fact(
        "The frames of the video are extracted whenever they are needed.",
        NEVER,
        no_effect="The frames of video_init_path are extracted whenever they are needed.",
    ),
    "hybrid_generate_human_masks": Fact(
        "People are detected by another model, which runs without CUDA.",
        not_("hybrid_generate_human_masks", "None"),
    ),
    "hybrid_motion": Fact(
        "Video frames are downscaled by area, so the motion is measured on smoother images; edges are filled "
        "with stretched edge pixels, not with repeated mirror images.",
        not_("hybrid_motion", "None"),
    ),
    "hybrid_motion_use_prev_img": Fact(
        "It also works for Affine and Perspective, where classic failed.", NEVER
    ),
    **_same(
        ("hybrid_flow_consistency", "hybrid_consistency_blur"),
        Fact(
            "Inconsistent motion is not followed; classic followed it backwards.",
            is_on("hybrid_flow_consistency"),
        ),
    ),
    "hybrid_flow_method": Fact("Farneback works at every frame.", NEVER),
    "hybrid_composite": Fact("Video frames are downscaled by area.", not_("hybrid_composite", "None")),
    "hybrid_comp_mask_type": Fact(
        "Depth is that of the previous frame, whether or not its map was saved, and the same for the same "
        "image.",
        one_of("hybrid_comp_mask_type", "Depth", "Video Depth"),
    ),
}

_DRIVEN: dict[str, Fact] = {
    "parseq_manifest": Fact(
        "Frames missing from the manifest are interpolated from their neighbors; the perspective flip is on "
        "where the manifest sets its angles; `s` in the schedules of the settings is the seed.",
    ),
    "parseq_use_deltas": Fact("If a field has no _delta, the setting is used, with a warning.", NEVER),
    "use_looper": Fact(
        "The noise seeds are derived from the seed and the frame.",
        is_on("use_looper"),
    ),
    "init_images": Fact("Guide images are used in the order of their frames.", NEVER),
    "image_strength_schedule": Fact(
        "It sets the strength of guided frames; in classic it was applied too late to have an effect.",
        ALWAYS,
    ),
}

_UNIT: dict[str, Fact] = {
    "mask_vid_path": Fact(
        "An image given as mask is used as the mask; classic used the control image instead.",
    ),
    "enabled": Fact("It also works without a WebUI.", NEVER),
    **_same(
        ("weight", "guidance_start", "guidance_end"),
        Fact("`s` is the seed; in classic it was -1.", NEVER),
    ),
}

_OUTPUT: dict[str, Fact] = {
    "skip_video_creation": Fact(
        "A run succeeds only if its video has all frames; otherwise the error of ffmpeg is shown.",
        NEVER,
    ),
    "make_gif": Fact("It is made by ffmpeg, on every system.", is_on("make_gif")),
    "delete_imgs": Fact("Images are deleted only when the video contains all of them.", NEVER),
    "image_path": Fact(no_effect="It belongs to the tool that makes videos from images."),
    **_same(
        ("add_soundtrack", "soundtrack_path"),
        Fact(
            "Local files work, together with subtitles, and the sound of the init video starts at the first frame "
            "that is used.",
            NEVER,
        ),
    ),
    "r_upscale_model": Fact(
        "The networks run without another program; Lanczos needs no weights.",
        NEVER,
    ),
    "r_upscale_keep_imgs": Fact("Upscaled images are deleted only when nothing needs them any more.", NEVER),
    "store_frames_in_ram": Fact("It covers every frame and works with GIF, upscaling and interpolation."),
    "frame_interpolation_engine": Fact(
        "The networks also run without CUDA; Flow needs no weights.",
        NEVER,
    ),
}

_ELSEWHERE: dict[str, Fact] = {
    **_same(
        ("sd_model_name", "sd_model_hash", "deforum_git_commit_id", "fetched_parseq_manifest_summary"),
        Fact(no_effect=_RECORDED),
    ),
    **_same(
        ("override_settings_with_file", "custom_settings_file"),
        Fact(no_effect="It determines what the tab runs and does not affect a video."),
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
    return {f"cn_{number}_{name}": fact for number in range(1, UNITS + 1) for name, fact in _UNIT.items()}


_ROWS = _RUN | _PROMPTS | _MOTION | _LOOK | _SCHEDULED | _VIDEOS | _DRIVEN | _units() | _OUTPUT | _ELSEWHERE
# Flat name -> compatibility, in the order of a settings file.
FACTS: Mapping[str, Fact] = MappingProxyType({name: _ROWS.get(name, Fact()) for name in FIELDS})


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
