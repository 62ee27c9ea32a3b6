"""Named predicates that several settings, or the renderer, use."""

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

# Each frame starts from the warped previous frame.
MOVED = one_of(MODE, "2D", "3D")
FLAT = one_of(MODE, "2D")
CAMERA = one_of(MODE, "3D")
VIDEO_INPUT = one_of(MODE, "Video Input")
# Frames are generated independently; only their prompts are blended.
INTERPOLATED = one_of(MODE, "Interpolation")

PARSEQ = is_set("parseq_manifest")
GUIDED = is_on("use_looper")
# The camera follows a path, which replaces the schedules of its moves.
ON_PATH = is_set("camera_path")
FLIPPED = Situation(  # a Parseq manifest may turn flips on
    is_on("enable_perspective_flip") | MOVED & PARSEQ, "when enable_perspective_flip is on"
)
HAS_ENDING = is_on("seamless_loop") | is_set("end_image_path")
ANCESTRAL = Situation(
    has_word("sampler", "a") | is_used("sampler_schedule"),
    "with an ancestral sampler, or when sampler_schedule is used",
)
DDIM = Situation(
    starts_with("sampler", "ddim") | is_used("sampler_schedule"),
    "with DDIM, or when sampler_schedule is used",
)
# There are in-between frames. A Parseq manifest may set the cadence.
INBETWEEN = Situation(
    above("diffusion_cadence", 1)
    | one_of("keyframe_distribution", "Keyframes Only")
    | MOVED & is_on("parseq_non_schedule_overrides"),
    "when there are in-between frames (diffusion_cadence, keyframe_distribution)",
)


def nonzero(schedule: str) -> Predicate:
    """Return the predicate of a schedule that acts and may be nonzero, as a Parseq manifest may replace it."""
    return Situation(above(schedule, 0) | is_used(schedule) & PARSEQ, f"when {schedule} is not 0")


WARPS_BY_DEPTH = is_on("use_depth_warping")
SHOWS_DEPTH = is_on("save_depth_maps") | one_of("hybrid_comp_mask_type", "Depth", "Video Depth")
# The exact camera warps frames, which reveals areas.
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
    """Return the predicate of mask expressions that contain `text`; a Parseq manifest may contain any."""
    written = contains("mask_schedule", text) | contains("noise_mask_schedule", text)
    return written | PARSEQ & (is_set("mask_schedule") | is_set("noise_mask_schedule"))


READS_MASK_VIDEO = Situation(
    is_on("use_mask_video") & names_mask("video_mask"),
    "when use_mask_video is on and a mask expression names {video_mask}",
)
# The mask in Mask Init also replaces a missing mask video.
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
# Sampling is limited to a mask: there is one, and frames start from an image.
INPAINTED = Situation(
    MASKED & (~INTERPOLATED | is_on("use_init")), "when use_mask or use_mask_video limits the sampling"
)
# An original image can be restored where the mask is black.
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
MATCHES_COLORS = Situation(  # Video Input has no frame of the run to match
    not_("color_coherence", "None") & (MOVED | COLOR_IMAGE | COLOR_VIDEO),
    "when color_coherence matches colors",
)
# Colors are matched to a frame of the run.
OWN_COLORS = Situation(
    not_("color_coherence", "None") & ~COLOR_IMAGE & ~COLOR_VIDEO,
    "when color_coherence refers to a frame of the run",
)
# The first frame starts from an image (also of the input video, or a guide image), or from nothing.
STARTS_FROM_IMAGE = Situation(
    ~VIDEO_INPUT & (is_on("use_init") | STARTS_FROM_VIDEO | GUIDED),
    "when the first frame starts from an image",
)
STARTS_FROM_NOTHING = Situation(
    MOVED & ~is_on("use_init") & ~STARTS_FROM_VIDEO & ~GUIDED,
    "when the first frame is generated from the prompt alone",
)

READS_VIDEOS = Situation(USES_VIDEO | READS_MASK_VIDEO, "when frames of a video are used")
USES_CONTROLNET = Situation(
    Some(tuple(is_on(f"cn_{number}_enabled") for number in range(1, UNITS + 1))),
    "when a ControlNet unit is on",
)
SOUND_FROM_VIDEO = one_of("add_soundtrack", "Init Video")
