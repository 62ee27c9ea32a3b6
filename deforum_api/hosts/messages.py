"""Messages of the hosts: command-line flags, the start and the end of the server, health, settings files to render.

`webui_flags.py` words its own: a WebUI loads that file by its path, without this package.
"""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Flags
LOGIN_MALFORMED = Message(
    "login_malformed", "--api-auth must be user:password, or several of them separated by commas."
)
LISTEN_WITHOUT_LOGIN = Message(
    "listen_without_login",
    "--listen lets every machine in the network use this server; add --api-auth user:password, or --insecure to allow "
    "that.",
)
ENGINE_WITHOUT_CHECKPOINT = Message(
    "engine_without_checkpoint",
    "--deforum-engine {engine} requires --ckpt with a model folder or a .safetensors file.",
)
PARTS_WITHOUT_CHECKPOINT = Message(
    "parts_without_checkpoint",
    "{flags} replaces components of a checkpoint; name its folder, or the file of its transformer, with --ckpt.",
)
NOTHING_TO_RUN = Message(
    "nothing_to_run",
    "--deforum-terminate-after-run-now requires --deforum-run-now with the settings files to render.",
)
FLAG_WITHOUT_RAY = Message(
    "flag_without_ray", "{flag} requires --deforum-ray, which says where the workers are."
)
LOCKSTEP_WITH_RAY = Message(
    "lockstep_with_ray",
    "--deforum-lockstep renders several jobs in this process, --deforum-ray in others; use one of the two.",
)
WORKERS_INVALID = Message("workers_invalid", "must be a number from 1 to {most}, not {found!r}")
GPU_SHARE_INVALID = Message(
    "gpu_share_invalid", "must be a part of a GPU such as 0.5, or a whole number of GPUs, not {found!r}"
)
PORT_INVALID = Message("port_invalid", "must be a number from 0 to 65535, not {found!r}")
PORT_UNUSABLE = Message(
    "port_unusable",
    "Port {port} cannot be used ({reason}); choose another with --port N, or a free one with --port 0.",
)

KEY_FILE_UNREADABLE = Message(
    "webhook_key_unreadable", "The webhook key file {path} cannot be read ({reason})."
)

# Bug report
REPORT_EXISTS = Message("report_exists", "{path} exists already; choose another name: --deforum-debug FILE")
REPORT_NOT_WRITTEN = Message("report_not_written", "{path} cannot be written ({reason}).")
REPORT_WRITTEN = Message("report_written", "Wrote {path}. Look through it before you send it to anybody.")

# Start and end
RUNNING_ON = Message("running_on", "Running on http://127.0.0.1:{port}")
RUNNING_EVERYWHERE = Message(
    "running_everywhere", "Running on http://127.0.0.1:{port} and on every address of this machine"
)
STOPPING = Message("stopping", "Stopping: {job} is parked after this frame ...")
PARKED_JOB = Message(
    "parked_job", "Parked {job} after {frame} of {frames} frames; it continues at the next start."
)
PARKED_UNSTARTED = Message(
    "parked_unstarted", "Parked {job} before its first frame; it continues at the next start."
)
RESUMING_JOB = Message("resuming_job", "Resuming {job} after {frame} of {frames} frames.")
RESUMING_UNSTARTED = Message("resuming_unstarted", "Resuming {job} before its first frame.")
JOB_QUEUED = Message("job_queued", "1 job is queued.")
JOBS_QUEUED = Message("jobs_queued", "{count} jobs are queued.")
JOB_LEFT = Message("job_left", "1 job is left for the next start.")
JOBS_LEFT = Message("jobs_left", "{count} jobs are left for the next start.")
JOB_PAUSED = Message("job_paused", "1 job is paused until it is resumed.")
JOBS_PAUSED = Message("jobs_paused", "{count} jobs are paused until they are resumed.")

# Settings files to render
FILE_UNREADABLE = Message("settings_file_unreadable", "{file} cannot be read: {reason}.")
ABOUT_FILE = Message("about_file", "{file}: {text}")
RUN_VIDEO = Message("run_video", "Video: {path}")
RUN_FRAMES = Message("run_frames", "Frames: {folder}")
RUN_INTERRUPTED = Message(
    "run_interrupted", "{file}: interrupted; it continues when the server is started again."
)
RUN_INTERRUPTED_FRAMES = Message(
    "run_interrupted_frames",
    "{file}: interrupted; it continues when the server is started again. Its frames so far are in {folder}.",
)
RUN_ENDED = Message("run_ended", "{file}: {status}: {text}")

# Features that health reports as unavailable
PACKAGE_MISSING = Message(
    "host_package_missing", "The package {package} is not installed; install it with: pip install {package}"
)

# In a WebUI
LOCKSTEP_IN_WEBUI = Message(
    "lockstep_in_webui",
    "--deforum-lockstep has no effect in a WebUI: its model renders one image at a time.",
)
TAB_WITHOUT_DATABASE = Message("tab_without_database", '{reason} Then press "Reload UI".')
