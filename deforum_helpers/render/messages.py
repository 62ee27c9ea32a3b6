"""Messages about plans, frames and resume states."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Values of schedules
VALUE_OUT_OF_RANGE = Message(
    "schedule_value_out_of_range", "{setting} is {found} at frame {frame}; expected {allowed}."
)
VALUES_CLAMPED = Message(
    "schedule_values_clamped",
    "{setting} is {found} at frame {frame}, outside {low} to {high}; values beyond an end count as that end, here at "
    "{count} of {frames} frames.",
)
ZOOM_IS_ZERO = Message(
    "zoom_is_zero",
    "zoom is 0 at frame {frame}: only the color of the previous frame's first pixel remains; 1 keeps the size.",
)
UNUSED_SCHEDULE = Message("unused_schedule", "{problem} The schedule has no effect here and is ignored.")

# Settings without effect
MASK_IS_BLACK = Message(
    "mask_is_black",
    "The mask is black everywhere and has no effect: mask_file is empty, use_mask_video is off, and use_alpha_as_mask "
    "is off or has no init image.",
)
COLORS_WITHOUT_VIDEO = Message(
    "colors_without_video",
    "color_coherence is Video Input, but these settings use no video; colors are matched to the first frame.",
)
CORRECTION_KEEPS_NOISE = Message(
    "correction_keeps_noise",
    "autoencoder_correction also keeps the noise of noise_schedule in the frames, where it accumulates as grain; set "
    "noise_schedule to 0: (0).",
)
EXACT_WARP_WITHOUT_DEPTH = Message(
    "exact_warp_without_depth",
    "depth_warp is exact, but animation_mode is {mode}, which has no depth; frames are warped as without it.",
)
MEMORY_WITHOUT_DEPTH = Message(
    "memory_without_depth", "scene_memory is on, but {missing}; without exact depth nothing is remembered."
)

# Guide images
GUIDES_EMPTY = Message("guides_empty", "{setting} names no image, but use_looper is on; expected {allowed}.")
GUIDES_BEFORE_ZERO = Message(
    "guides_before_zero", "{setting}: the video begins at frame 0, after key frames {frames}."
)
GUIDES_REPEATED = Message(
    "guides_repeated", "{setting} contains {keys} more than once; the last value counts."
)
GUIDES_NOT_JSON = Message("guides_not_json", "{setting} is not valid JSON: {fault}")
GUIDES_TOO_LARGE = Message("guides_too_large", "{setting} is JSON that {reason}; expected {allowed}.")
GUIDES_BACKSLASHES = Message(
    "guides_backslashes",
    "{setting} names {found} with single backslashes, which JSON reads as escapes; write {allowed}, or double each "
    "backslash.",
)
GUIDES_INVALID = Message("guides_invalid", "{setting} {found}; expected {allowed}.")

# While frames are rendered
BLANK_FRAME = Message(
    "blank_frame",
    "Frame {frame} came out black{tries}, so the run ended there, as reroll_blank_frames says; the frames before it "
    "are kept. Change the prompt, the seed or the model, and resume.",
)

# Resume states
RESUME_STATE_VERSION = Message(
    "resume_state_version",
    "The run cannot be resumed: its resume state has version {found}, this program reads version {expected}. Render "
    "the run again.",
)
RESUME_STATE_DAMAGED = Message(
    "resume_state_damaged", "The run cannot be resumed: its resume state is damaged. Render the run again."
)

# Camera path
FOV_FROM_PATH = Message(
    "camera_path_sets_fov",
    "camera_path sets the field of view; fov_schedule applies only before the path begins.",
)
PATH_TOO_FAST = Message(
    "camera_path_too_fast",
    "camera_path, frame {frame}: the camera moves by {found:g} scene units from one frame to the next; expected at "
    "most {allowed:g}.",
)
PATH_REPLACES = Message(
    "camera_path_replaces",
    "camera_path replaces {names}; their values have no effect. Camera shake is added to it.",
)
PIXELS_NOT_SQUARE = Message(
    "camera_path_pixels",
    "aspect_ratio_schedule is {found:g}, so turns of the exact camera distort an image of {width}x{height}; set it to "
    "{wanted:.6g}, or switch on aspect_ratio_use_old_formula.",
)
ZOOM_NEEDS_EXACT = Message(
    "camera_path_zoom_classic",
    "camera_path changes the field of view, but zooming the image needs depth_warp exact; with classic only the size "
    "of the moves follows.",
)
PATH_IS_LONGER = Message(
    "camera_path_longer",
    "camera_path: the file has {found} frames, the video {frames}; the rest is not used.",
)
