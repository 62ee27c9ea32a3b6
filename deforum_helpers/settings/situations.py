"""Situations that more than one setting, or the renderer, asks for: predicates with a name."""

from __future__ import annotations

from deforum_helpers.settings.model_controlnet import UNITS
from deforum_helpers.settings.predicates import (
    MODE,
    Predicate,
    Situation,
    Some,
    above,
    contains,
    has_word,
    is_off,
    is_on,
    is_set,
    is_used,
    not_,
    one_of,
    starts_with,
)

# Each frame starts from the moved one before.
MOVED = one_of(MODE, "2D", "3D")
FLAT = one_of(MODE, "2D")
CAMERA = one_of(MODE, "3D")
VIDEO_INPUT = one_of(MODE, "Video Input")
# Frames are generated one by one, and only their prompts pass into each other.
INTERPOLATED = one_of(MODE, "Interpolation")

PARSEQ = is_set("parseq_manifest")
GUIDED = is_on("use_looper")
FLIPPED = Situation(  # a Parseq manifest may turn flips on
    is_on("enable_perspective_flip") | MOVED & PARSEQ, "when enable_perspective_flip is on"
)
LED_TO_AN_END = is_on("seamless_loop") | is_set("end_image_path")
ANCESTRAL = Situation(
    has_word("sampler", "a") | is_used("sampler_schedule"),
    "with an ancestral sampler, or when sampler_schedule is used",
)
DDIM = Situation(
    starts_with("sampler", "ddim") | is_used("sampler_schedule"),
    "with DDIM, or when sampler_schedule is used",
)
# Frames lie between the key frames. The cadence may be that of a Parseq manifest.
INBETWEEN = Situation(
    above("diffusion_cadence", 1)
    | one_of("keyframe_distribution", "Keyframes Only")
    | MOVED & is_on("parseq_non_schedule_overrides"),
    "when there are in-between frames (diffusion_cadence, keyframe_distribution)",
)


def nonzero(schedule: str) -> Predicate:
    """Return the predicate of a schedule that acts and may be other than 0: a Parseq manifest may drive it."""
    return Situation(above(schedule, 0) | is_used(schedule) & PARSEQ, f"when {schedule} is not 0")


WARPS_BY_DEPTH = is_on("use_depth_warping")
SHOWS_DEPTH = is_on("save_depth_maps") | one_of("hybrid_comp_mask_type", "Depth", "Video Depth")
# The 3D camera moves frames as a real one would, which uncovers what no frame shows.
EXACT = one_of("depth_warp", "exact")

COMPOSITE = not_("hybrid_composite", "None")
VIDEO_MOTION = not_("hybrid_motion", "None")
HYBRID = Situation(COMPOSITE | VIDEO_MOTION, "with hybrid video", "without hybrid video")
# Frames of video_init_path are used for more than their sound.
USES_VIDEO = Situation(
    VIDEO_INPUT
    | VIDEO_MOTION
    | COMPOSITE & (is_off("hybrid_use_init_image") | one_of("color_coherence", "Video Input")),
    "in Video Input, or when hybrid video uses a video",
)
HYBRID_VIDEO = Situation(HYBRID & USES_VIDEO, "when hybrid video uses a video")
SETS_LENGTH = USES_VIDEO & ~is_on("hybrid_use_init_image")
LENGTH_IS_GIVEN = Situation(
    SETS_LENGTH | is_on("parseq_non_schedule_overrides"),
    "when a video or a Parseq manifest sets the length",
    "unless a video or a Parseq manifest sets the length",
)
STARTS_FROM_VIDEO = Situation(
    VIDEO_INPUT | is_on("hybrid_use_first_frame_as_init_image"),
    "when the first frame starts from the video",
    "unless the first frame starts from the video",
)

MASKED = is_on("use_mask") | is_on("use_mask_video")


def names_mask(text: str) -> Predicate:
    """Return the predicate of mask expressions that contain `text`; those of a Parseq manifest may be any."""
    written = contains("mask_schedule", text) | contains("noise_mask_schedule", text)
    return written | PARSEQ & (is_set("mask_schedule") | is_set("noise_mask_schedule"))


READS_MASK_VIDEO = Situation(
    is_on("use_mask_video") & names_mask("video_mask"),
    "when use_mask_video is on and a mask expression names {video_mask}",
)
# The mask of the init settings also serves where there is no mask video.
NAMES_INIT_MASK = Situation(
    ~is_on("use_mask_video") & names_mask("video_mask") | names_mask("init_mask"),
    "when a mask expression uses the mask in Mask Init",
)
INIT_MASKED = Situation(MASKED & NAMES_INIT_MASK, "when frames are repainted in the mask in Mask Init")
READS_ALPHA = is_on("use_alpha_as_mask")
READS_MASK_FILE = NAMES_INIT_MASK & ~READS_ALPHA
READS_MASKS = Situation(
    READS_MASK_FILE | READS_MASK_VIDEO | names_mask("["), "when masks are read from files or a video"
)
# Sampling is limited to a mask: there is one, and frames start from a picture.
PAINTED = Situation(
    MASKED & (~INTERPOLATED | is_on("use_init")), "when use_mask or use_mask_video limits the sampling"
)
# An original image can be put back where the mask is black.
HAS_ORIGINAL = Situation(
    MASKED & (is_on("use_init") | STARTS_FROM_VIDEO) & ~(VIDEO_INPUT & is_on("use_mask_video")),
    "when a mask is used and frames start from an image or a video",
)
OVERLAYS = is_on("overlay_mask") | VIDEO_INPUT & is_on("use_mask_video")

READS_INIT_IMAGE = Situation(
    is_on("use_init") & ~STARTS_FROM_VIDEO | is_on("hybrid_use_init_image") | READS_ALPHA,
    "when use_init or hybrid_use_init_image is on",
)
COLOR_IMAGE = one_of("color_coherence", "Image")
COLOR_VIDEO = Situation(
    one_of("color_coherence", "Video Input") & USES_VIDEO,
    "when color_coherence is Video Input and frames of a video are used",
)
MATCHES_COLORS = Situation(  # Video Input has no frame of its own to match them to
    not_("color_coherence", "None") & (MOVED | COLOR_IMAGE | COLOR_VIDEO),
    "when color_coherence matches colors",
)
# Colours are matched to those of a frame of the run.
OWN_COLORS = Situation(
    not_("color_coherence", "None") & ~COLOR_IMAGE & ~COLOR_VIDEO,
    "when color_coherence refers to a frame of the run",
)
# What the first frame starts from: an image, also one of the input video or a guided one, or nothing.
STARTS_FROM_IMAGE = Situation(
    ~VIDEO_INPUT & (is_on("use_init") | STARTS_FROM_VIDEO | GUIDED),
    "when the first frame starts from an image",
)
STARTS_FROM_NOTHING = Situation(
    MOVED & ~is_on("use_init") & ~STARTS_FROM_VIDEO & ~GUIDED,
    "when the first frame is generated from the prompt alone",
)

READS_VIDEOS = Situation(USES_VIDEO | READS_MASK_VIDEO, "when frames of a video are used")
STEERED = Situation(
    Some(tuple(is_on(f"cn_{number}_enabled") for number in range(1, UNITS + 1))),
    "when a ControlNet unit is on",
)
PLAYS_VIDEO = one_of("add_soundtrack", "Init Video")
