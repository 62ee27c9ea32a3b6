"""Messages of the tab: refusals, and what a pressed button did."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Jobs and settings
JOBS_QUEUED = Message("tab_jobs_queued", "Queued as {ids}.")
BATCH_WITHOUT_FILES = Message(
    "tab_batch_without_files",
    "Batch mode is on, but no files were dropped; drop settings files into the box below it, or switch it off.",
)
PLOT_WITHOUT_PLAN = Message(
    "tab_plot_without_plan", "Nothing can be plotted yet; first fix the problems that Check lists."
)
CAMERA_TOO_LONG = Message(
    "tab_camera_too_long",
    "The camera file would be longer than {most} MiB; choose GLB, or write it with `deforum camera`.",
)
NOTHING_TO_LOAD = Message("tab_nothing_to_load", "No preset, job or run is named {name!r}.")
SETTINGS_RESET = Message("tab_settings_reset", "All settings have their default values; {count} changed.")
KEYS_CONVERTED = Message("tab_keys_converted", "All keys are in {unit}; {count} settings changed.")
SETTINGS_SAVED = Message("tab_settings_saved", "Saved as {path}.")
OPTIONS_APPLIED = Message("tab_options_applied", "These options apply to all videos from now on.")

NO_MODEL_FOLDERS = Message(
    "tab_no_model_folders", "No models are here besides the one in use: no folder of models was found."
)
NO_MODELS = Message("tab_no_models", "No models were found in: {folders}.")

# Notes of sections whose controls are all hidden
STRENGTH_IDLE = Message(
    "tab_strength_idle",
    "Guided images have their own strengths; Interpolation does not use the previous frame.",
)
MOTION_IDLE = Message("tab_motion_idle", "There is no camera in this animation mode; choose 2D or 3D.")
ANTI_BLUR_IDLE = Message("tab_anti_blur_idle", "Only warped frames are sharpened, in 2D and 3D.")
DEPTH_IDLE = Message(
    "tab_depth_idle", "Only 3D uses depth and a field of view; choose it as the animation mode."
)
INIT_IMAGE_IDLE = Message(
    "tab_init_image_idle", "The first frame starts from the init video; no init image is read."
)
FRAME_INTERPOLATION_IDLE = Message(
    "tab_frame_interpolation_idle", "No video is made while Skip video creation is on."
)
HYBRID_VIDEO_IDLE = Message("tab_hybrid_video_idle", "Hybrid video works in 2D and 3D only.")

# Values that a page sends for a control
NOT_A_VALUE = Message("tab_control_not_a_value", "expected text, a number, or true or false; found {found}.")
NOT_A_NUMBER = Message("tab_control_not_a_number", "expected a number; found {found}.")
NOT_TEXT = Message("tab_control_not_text", "expected text; found {found}.")
NOT_A_SWITCH = Message("tab_control_not_a_switch", "expected true or false; found {found}.")
NOT_A_LIST = Message("tab_control_not_a_list", "expected a list of texts; found {found}.")

# Dropped files
UPLOAD_UNKNOWN = Message(
    "tab_upload_unknown", "{name!r} is not a dropped file, or no longer exists; drop the file again."
)
UPLOAD_IDS_EXPECTED = Message(
    "tab_upload_ids_expected", "This box takes dropped files only; drop them again."
)
TOO_MANY_UPLOADS = Message("tab_too_many_uploads", "{count:,} files are too many; expected at most {most:,}.")
ONE_UPLOAD_EXPECTED = Message("tab_one_upload_expected", "This box takes one file; found {count}.")
UPLOAD_GONE = Message("tab_upload_gone", "{name!r} no longer exists; drop the file again.")
TOOL_INPUT_GONE = Message("tool_input_gone", "The file {name!r} no longer exists; drop it again.")

# Settings files that the tab saves
FILE_NAME = Message(
    "tab_saved_file_name",
    "Settings File is {name!r}; expected a plain file name that ends with .txt or .json. The file is kept in the "
    "output folder.",
)
FILE_NAME_RESERVED = Message(
    "tab_saved_file_name_reserved",
    "The name {name!r} is reserved for a file of the server; choose another name.",
)
FILE_MISSING = Message(
    "tab_saved_file_missing", "The file {name!r} does not exist; save settings under this name first."
)
FILE_UNREADABLE = Message("tab_saved_file_unreadable", "The file {name!r} cannot be read: {reason}.")
FILE_TOO_LARGE = Message(
    "tab_saved_file_too_large", "The file {name!r} is too large for settings; expected at most 16 MiB."
)
FILE_NOT_UTF8 = Message("tab_saved_file_not_utf8", "The file {name!r} is not UTF-8 text; save it as UTF-8.")
FILE_IS_FOREIGN = Message(
    "tab_saved_file_is_foreign",
    "The file {name!r} already exists and contains no settings; choose another name.",
)

# ControlNet
CONTROLNET_NEEDS_CHECKPOINT = Message(
    "tab_controlnet_needs_checkpoint", "{reason}; ControlNet needs a Stable Diffusion checkpoint (--ckpt)."
)
NO_CONTROLNET_MODELS = Message(
    "tab_no_controlnet_models",
    "No ControlNet model was found; put its .safetensors file into the folder ControlNet beside the checkpoint.",
)

# Tools
TOOL_WITHOUT_FILE = Message(
    "tab_tool_without_file", "{tool}: no file; drop one into the box above the button."
)
TOOL_VALUE = Message("tab_tool_value", "{label} is {found!r}; expected {allowed}.")
NO_INTERPOLATION_ENGINE = Message(
    "tab_no_interpolation_engine", "Engine is None; choose another engine above."
)
IMAGE_PATH_EMPTY = Message(
    "tab_image_path_empty", "Image path is empty; enter the path of one of the numbered images."
)
