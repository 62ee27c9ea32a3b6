"""Messages of the program `deforum` and of its commands that need no server."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# The program
UNKNOWN_COMMAND = Message("unknown_command", "unknown command {command!r}; {advice}")
DID_YOU_MEAN = Message("similar_names", "did you mean {names}?")
SEE_HELP = Message("see_help", "`{program} --help` lists all commands.")
FOLDER_MISSING = Message("models_folder_missing", "The folder {folder} does not exist.")
NO_OTHER_MODELS = Message(
    "no_models_found",
    "No other models were found in: {folders}. Name another folder, or a model in use with --ckpt.",
)
NO_MODEL_FOLDERS = Message(
    "no_model_folders",
    "None of the usual folders of models exists. Name a folder, or a model in use with --ckpt.",
)
MODEL_UNUSABLE = Message("model_unusable", "unusable: {reason}")
MODELS_OPTION_FOREIGN = Message("models_option_foreign", "{option} is an option of {owner} only; see --help")
INSTALL_ONE = Message("install_one", "expected the id of one model, OWNER/NAME; found {count} words")
INSTALL_UNCONFIRMED = Message(
    "install_unconfirmed", "Nothing was installed: without a terminal to ask at, --yes is needed."
)
INSTALL_QUESTION = Message("install_question", "Install it?")
NO_COMMERCE = Message("licence_without_commerce", "Its licence does not allow commercial use.")
LICENCE_UNKNOWN = Message("licence_unknown", "none named; ask the owner of the model")
NOT_INSTALLED = Message("not_installed", "Nothing was installed.")
INSTALL_INTERRUPTED = Message(
    "install_interrupted",
    "Stopped. The same command continues the download; until then the model is not listed.",
)
INSTALLED = Message("model_installed", "Installed: {place}")
DOWNLOADING = Message("model_downloading", "{file} ({size})")
PACKAGE_NOT_INSTALLED = Message(
    "command_package_missing",
    "The package {package} is not installed for {python}; `python webui.py` makes the folder venv with all packages, "
    "whose Python is venv/bin/python (Windows: venv\\Scripts\\python).",
)
INTERRUPTED = Message("command_interrupted", "Stopped before anything was rendered.")

# Settings and engine
CKPT_MISSING = Message(
    "ckpt_option_missing",
    "The engine {engine!r} needs --ckpt with a diffusers folder or a .safetensors file.",
)
PARTS_WITHOUT_CKPT = Message(
    "parts_without_ckpt",
    "{options} replaces components of a checkpoint; name its folder, or the file of its transformer, with --ckpt.",
)
SET_OPTION = Message("set_option", "--set {name}: this is a host option, not a setting; use --option.")
SET_UNKNOWN = Message("set_unknown", "--set {name}: unknown setting; {advice}")
SEE_SETTINGS = Message("see_settings", "docs/settings.md lists all settings.")
CHANGE_WITHOUT_NAME = Message("change_without_name", "{flag} is {found!r}; expected NAME=VALUE.")
PROBLEM_COUNT = Message("file_problem_count", "{path}: {count} problem{plural}")

# plot and convert
NOT_A_SCHEDULE = Message(
    "not_a_schedule", "--schedules: {name!r} is not a schedule of numbers; expected one of {allowed}."
)
FILE_NOT_WRITTEN = Message("plot_not_written", "{path} cannot be written ({reason}); choose another --out.")

# camera
CAMERA_OF_ONE = Message("camera_of_one", "camera writes the camera of one settings file; found {count}.")
CAMERA_SCALE = Message("camera_scale", "--scale is {found}; expected a number from 1e-06 to 1e+06.")
CAMERA_FORMAT = Message(
    "camera_format",
    "--to ends in {found!r}; expected one of {allowed}, or a folder without an ending for COLMAP's text files.",
)
CAMERA_NOT_WRITTEN = Message(
    "camera_not_written", "{path} cannot be written ({reason}); choose another --to."
)

# run
WORKER_COUNT = Message("worker_count", "{found} workers; expected 1 to {most}")
STOPPING = Message("run_stopping", "Stopping at the next frame; press Ctrl-C again to stop at once.")
STOPPED_AT_ONCE = Message(
    "run_stopped_at_once", "The run was stopped and can be resumed from its last saved frame."
)
PARKED_RUN = Message("run_parked_by_command", "Parked after {frames} frames. Continue with: {command}")
STOPPED_TOO_EARLY = Message(
    "run_stopped_too_early", "Stopped before the first frame; run the same command to start again."
)
FILES_LEFT = Message("files_not_started", "Not started: {files}")
RUN_FAILED = Message("file_run_failed", "{path}: {error}")
