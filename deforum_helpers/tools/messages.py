"""Messages about the tools' arguments, inputs and folders."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Arguments
UNKNOWN_ARGUMENT = Message(
    "tool_unknown_argument", "{name} is not an argument of {tool}; expected one of: {allowed}."
)
ARGUMENT_MISSING = Message("tool_argument_missing", "{name} is missing. {help}")
ARGUMENT_TYPE = Message("tool_argument_type", "{name} is {found}; expected {allowed}.")
ARGUMENT_VALUE = Message("tool_argument_value", "{name} is {found!r}; expected {allowed}.")
FPS_OUT_OF_RANGE = Message("tool_fps_out_of_range", "fps is {found}; expected {allowed}.")
FEATURE_MISSING = Message("tool_feature_missing", "{name} is {found}: {why}.")
INPUT_FAILED = Message("tool_input_failed", "{name}: {why}")
VIDEO_OR_IMAGES = Message(
    "tool_video_or_images", "interpolate expects either a video or pictures; found {found}."
)
THRESHOLD_NEEDED = Message(
    "tool_threshold_needed",
    "mode is Mixed, which needs a threshold, but thresholding is None; expected one of: {allowed}.",
)
FACTOR_OF_MODEL = Message(
    "tool_factor_of_model", "factor is {factor!r}; with {model}, expected one of: {allowed}."
)

# Sizes
TOO_FEW_FRAMES = Message(
    "tool_too_few_frames", "There is nothing to interpolate: {found}; expected {allowed}."
)
TOO_MANY_FRAMES = Message(
    "tool_too_many_frames", "times {times} makes {made:,} frames of {found}; expected {allowed}."
)
FRAMES_TOO_LARGE = Message(
    "tool_frames_too_large", "factor {factor} makes frames of {found} pixels; expected {allowed}."
)
IMAGE_SIZE_DIFFERS = Message(
    "tool_image_size_differs",
    "The image {name!r} has {found} pixels, but the first image has {expected}; all images need the same size.",
)
NOT_ENOUGH_SPACE = Message(
    "tool_not_enough_space",
    "The job needs about {needed:.1f} GB, but the output folder's disk has {free:.1f} GB free; free some space, or "
    "make fewer or smaller images.",
)

# Patterns of numbered images
PATTERN_INVALID = Message("pattern_invalid", "pattern is {found!r}; expected {allowed}.")
PATTERN_FOLDER_UNREADABLE = Message(
    "pattern_folder_unreadable", "pattern is {found!r}, whose folder cannot be read; expected {allowed}."
)
PATTERN_MATCHES_NOTHING = Message(
    "pattern_matches_nothing", "pattern is {found!r}, which matches no file; expected {allowed}."
)
PATTERN_MATCHES_LINKS = Message(
    "pattern_matches_links",
    "pattern is {found!r}, which matches links or files that are not regular; expected {allowed}.",
)
PATTERN_TOO_SHORT = Message(
    "pattern_too_short",
    "pattern is {found!r}, which matches no two consecutive images (the first number is {first}); expected {allowed}.",
)
PATTERN_OUTSIDE = Message(
    "pattern_outside",
    "pattern is {found!r}, which is not inside the output folder, or leads through a link; expected {allowed}.",
)

# Folders and inputs
FOLDER_LEADS_OUT = Message(
    "tool_folder_leads_out",
    "The folder {name!r} is a link that leads out of the output folder; remove the link.",
)
IMAGES_WITHOUT_RATE = Message(
    "images_without_rate", "Images have no frame rate; {fps:g} frames per second are assumed."
)
NUMBERS_MISSING = Message(
    "image_numbers_missing",
    "Numbers are missing after {name}; the {count} images after the gap are left out.",
)
