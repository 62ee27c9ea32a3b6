"""Messages of the queue: answers to requests that it refuses, and what a job's record says about the job.

`generation error` and `invalid arguments` stay at the beginning of theirs: published clients look for these words.
"""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Requests about jobs
UNKNOWN_ID = Message("unknown_id", "There is no {kind} {id!r}.")
UNKNOWN_TOOL = Message("unknown_tool", "There is no tool {name!r}; expected one of: {known}.")
ALREADY_FINISHED = Message("already_finished", "The job {id!r} has already finished with status {status}.")
TOO_LATE_TO_PAUSE = Message(
    "too_late_to_pause", "The job {id!r} can no longer be paused: its frames are finished."
)
NOT_RESUMABLE = Message(
    "not_resumable", "Only a FAILED or CANCELLED job can be resumed; {id!r} has the status {status}."
)
STILL_ENDING = Message(
    "still_ending", "The job {id!r} is being cancelled; try again when its status is CANCELLED."
)
NOT_FINISHED = Message("not_finished", "The job {id!r} has not finished; cancel it first.")
FILES_NOT_FOUND = Message(
    "files_not_found",
    "The files of the job {id!r} are not in {outdir}; move the folder back, or start the server with the output folder "
    "that contains it.",
)
FILES_NOT_FOUND_BELOW = Message(
    "files_not_found_below",
    "The files of the job {id!r} are neither in {outdir} nor in a folder of that name below {root}; move the folder "
    "back, or start the server with the output folder that contains it.",
)

# Requests that the server cannot take now
QUEUE_FULL = Message(
    "queue_full", "The queue is full: {limit} jobs are waiting; try again when some of them have finished."
)
QUEUE_CLOSED = Message("queue_closed", "The server is stopping and accepts no more jobs.")
SERVER_BUSY = Message("server_busy", "The server is busy checking other requests; try again in a moment.")
CHECKS_UNAVAILABLE = Message(
    "checks_unavailable", "The server cannot check requests at present ({reason}); try again in a moment."
)
KEY_REUSED = Message(
    "key_reused",
    "This Idempotency-Key was sent before with another body; send each new batch with a key of its own.",
)

# Lists of problems and warnings
MORE_ERRORS = Message("more_errors", "{message} ({count} more in errors.)")
PROBLEMS_OMITTED = Message("problems_omitted", "{count} more problems are omitted.")
WARNINGS_OMITTED = Message("warnings_omitted", "There are {count} warnings in all; the others are omitted.")

# Bodies
BODY_TOO_LARGE = Message(
    "body_too_large", "The body is too large; at most 2 MiB are allowed, 8 MiB with inline images."
)
BODY_NOT_JSON = Message("body_not_json", "The body is not valid JSON: {reason}")
BODY_NOT_UTF8 = Message("body_not_utf8", "The body is not valid UTF-8 text.")
BODY_TOO_DEEP = Message("body_too_deep", "The body is nested deeper than {most} levels.")
TOO_MANY_VALUES = Message("too_many_values", "The body has more than {most:,} values.")
NUMBER_NOT_JSON = Message(
    "number_not_json", "The body contains the number {name}, which JSON does not allow."
)
NUMBER_OVERFLOWS = Message("number_overflows", "The body contains the number {text}, which is too large.")
NUMBER_TOO_LONG = Message(
    "number_too_long", "The body contains a number of {digits} digits; at most {most} are allowed."
)
BODY_NOT_BATCH = Message(
    "body_not_batch", 'The body must be an object, {{"deforum_settings": ...}}; found {found}.'
)
SETTINGS_MISSING = Message(
    "settings_missing",
    'The body has no deforum_settings; put the settings inside it: {{"deforum_settings": {{...}}}}.',
)
SETTINGS_NOT_OBJECTS = Message(
    "settings_not_objects",
    "deforum_settings must be an object of settings or a list of such objects; found {found}.",
)
OVERRIDES_NOT_OBJECT = Message(
    "overrides_not_object", "options_overrides must be an object or omitted; found {found}."
)
PRIORITY_INVALID = Message(
    "priority_invalid", "priority must be an integer from -{most:,} to {most:,} or omitted; found {found}."
)
WEBHOOK_NOT_TEXT = Message(
    "webhook_not_text", "webhook_url must be an http or https address or omitted; found {found}."
)
WEBHOOK_TOO_LONG = Message("webhook_too_long", "webhook_url must have at most {most:,} characters.")
WEBHOOK_REFUSED = Message(
    "webhook_refused", "webhook_url must be a public http or https address, but {reason}."
)
WEBHOOK_PRIVATE = Message(
    "webhook_private",
    "webhook_url must be a public http or https address, but {reason}; the server's owner can allow the host with "
    "--deforum-webhook-allow.",
)
OVERRIDES_TOO_LONG = Message(
    "overrides_too_long", "options_overrides is too long; at most {most:,} characters are allowed."
)
TOOL_BODY_NOT_OBJECT = Message(
    "tool_body_not_object", "The body must be an object with the arguments of the tool."
)
RUN_BODY_NOT_OBJECT = Message(
    "run_body_not_object", "The body must be an object with settings_json and allowed_params."
)
RUN_FORM_INVALID = Message(
    "run_form_invalid", "The form is not valid; expected at most 16 fields of UTF-8 text."
)
RUN_SETTINGS_MISSING = Message(
    "run_settings_missing", "settings_json is missing; send a settings object as JSON."
)
RUN_SETTINGS_NOT_OBJECT = Message("run_settings_not_object", "settings_json must be a JSON object.")
RUN_PARAMS_INVALID = Message("run_params_invalid", "allowed_params must be names separated by ';'.")

# Sizes
EMPTY_BATCH = Message("empty_batch", "deforum_settings is an empty list; send at least one job.")
TOO_MANY_JOBS = Message(
    "too_many_jobs", "The batch has {found} jobs; at most {most} are allowed. Send it in parts."
)
TOO_MANY_FRAMES = Message(
    "too_many_frames",
    "The batch has {found:,} frames in all; at most {most:,} are allowed. Send it in parts.",
)
TOO_MANY_SERIES_FRAMES = Message(
    "too_many_series_frames",
    "series=true is limited to {most} frames in all; these jobs have at least {found}. Send fewer at once.",
)
PROMPTS_ANSWER_TOO_LONG = Message(
    "prompts_answer_too_long",
    "The prompts of all frames are too long for one response; send fewer frames at once.",
)
ANSWER_TOO_LONG = Message(
    "answer_too_long", "The response would be too long; send fewer or shorter jobs at once."
)
CAMERA_TOO_LONG = Message(
    "camera_too_long", "The camera file would be longer than {most} MiB; format=glb is the shortest."
)
CHECK_TOO_SLOW = Message(
    "check_too_slow", "Checking this request takes too long; send fewer jobs or frames at once."
)
CHECK_TOO_LARGE = Message(
    "check_too_large", "Checking this request takes too much memory; send it in parts, or with fewer frames."
)
CHECK_ENDED = Message("check_ended", "The check ended unexpectedly; see the server's log.")
CHECK_FAILED = Message(
    "check_failed", "The check failed with an unexpected {kind}; see the server's log for details."
)

# The job database
FOLDER_NOT_MADE = Message(
    "output_folder_not_made", "The output folder {folder} cannot be created ({reason})."
)
DATABASE_NOT_REWRITTEN = Message(
    "database_not_rewritten", "The job database {path} was removed and cannot be written again ({reason})."
)
DATABASE_FOREIGN = Message(
    "database_foreign", "{path} is the database of another program; move it away and start the server again."
)
DATABASE_NEWER = Message(
    "database_newer",
    "The job database {path} was written by a newer version of this program (its version is {found}, the newest known "
    "here is {known}); update this program, or move the file away to begin without jobs.",
)
DATABASE_ON_NETWORK = Message(
    "database_on_network",
    "The job database {path} is on a network file system ({type} at {point}), where SQLite may lose jobs; name a "
    "folder on a disk of this machine by --deforum-database DIR, and render on several machines with Ray.",
)
DATABASE_LOCKED = Message(
    "database_locked",
    "The job database {path} is locked by another program; close that program, then try again.",
)
DATABASE_NOT_OPENED = Message(
    "database_not_opened",
    "The job database {path} cannot be opened: too many files and connections are open; try again.",
)
DATABASE_READ_ONLY = Message(
    "database_read_only",
    "The job database {path} cannot be written ({reason}); give this user write access to the file and its folder, or "
    "choose another output folder.",
)
DATABASE_DISK_FULL = Message(
    "database_disk_full", "The disk is full: the job database {path} could not be written; free some space."
)
DATABASE_DAMAGED = Message(
    "database_damaged",
    "The job database {path} is damaged ({reason}) and was left unchanged. Restore a copy of it, or move it away "
    "together with its -wal and -shm files to begin without jobs; videos and frames do not depend on it.",
)
DATABASE_FAILED = Message("database_failed", "The job database {path} failed ({reason}).")

# Records of jobs: cancelling
CANCELLING = Message("cancelling", "Cancelling.")
VIDEO_BEFORE_CANCEL = Message(
    "video_before_cancel", "Cancelling: its frames become a video before the next job starts."
)
CANCELLED_UNSTARTED = Message("cancelled_unstarted", "Cancelled before it started.")
CANCELLED = Message("cancelled_after_frames", "Cancelled after {frame} of {frames} frames.")
CANCELLED_WITHOUT_VIDEO = Message(
    "cancelled_without_video", "Cancelled after {frame} of {frames} frames, which are in {outdir}."
)
CANCEL_FAILED = Message("cancel_failed", "An error occurred while the job was ending: {reason}")
CANCEL_INTERRUPTED = Message(
    "cancel_interrupted", "The server ended {count} times before the frames became a video."
)
TOOL_UNRESPONSIVE = Message("tool_unresponsive", "The tool did not respond.")
JOB_UNRESPONSIVE = Message(
    "job_unresponsive", "The job did not respond; its frames become a video if it still does."
)

# Records of jobs: interruptions
INTERRUPTED = Message("interrupted", "Interrupted by restart; the job continues from its last frame.")
TOOL_INTERRUPTED = Message("tool_interrupted", "Interrupted by restart; the tool starts again.")
INTERRUPTED_TOO_OFTEN = Message(
    "interrupted_too_often",
    "generation error: interrupted {by} {count} times; resume the job to continue from its last frame.",
)
TOOL_INTERRUPTED_TOO_OFTEN = Message(
    "tool_interrupted_too_often",
    "generation error: interrupted {by} {count} times; resume the job to start the tool again.",
)
BY_RESTART = Message("by_restart", "by restart")
BY_LOST_WORKER = Message("by_lost_worker", "by the loss of a worker (most recently {worker})")
WORKER_LOST = Message(
    "worker_lost", "The worker {worker} was lost; the job continues from its last frame on another one."
)
TOOL_WORKER_LOST = Message(
    "tool_worker_lost", "The worker {worker} was lost; the tool starts again on another one."
)
PAUSED = Message("paused", "Paused; resume the job to continue.")
TOOL_PAUSED = Message("tool_paused", "Paused; resume the job to start the tool again.")

# Records of jobs: errors
INVALID_ARGUMENTS = Message("invalid_arguments", "invalid arguments: {reason}")
GENERATION_ERROR = Message("generation_error", "generation error: {reason}")
UNEXPECTED_ERROR = Message(
    "unexpected_job_error",
    "generation error: an unexpected {kind}; see the server's log for details under {id}.",
)
JOB_OUT_OF_MEMORY = Message(
    "job_out_of_memory", "generation error: there was not enough memory; choose a smaller W and H."
)
JOB_OUT_OF_RESOURCES = Message(
    "job_out_of_resources",
    "generation error: the system has no more {resource}; close other programs or raise its limit.",
)
JOB_OUT_OF_FILES = Message(
    "job_out_of_files",
    "generation error: too many files and connections are open; close other programs, or raise the limit by ulimit -n.",
)
JOB_DISK_FULL = Message(
    "job_disk_full",
    "generation error: the disk of the outputs or of temporary files is full; free some space and resume the job.",
)
RETRY_SCHEDULED = Message("retry_scheduled", "The job is tried again after {delay:g} s.")

# Jobs that hang
JOB_HANGS = Message(
    "job_hangs",
    "No progress since {since}, for {silence:.0f} s, while {work}. Unless this machine is very slow, cancel the job "
    "and restart the server.",
)
JOB_HANGS_IN = Message(
    "job_hangs_in",
    "No progress since {since}, for {silence:.0f} s, while {work} (in {function}). Unless this machine is very slow, "
    "cancel the job and restart the server.",
)
WHILE_PREPARING = Message("while_preparing", "the model and the job's files were being loaded")
WHILE_GENERATING = Message("while_generating", "frame {frame} of {frames} was being generated")
WHILE_POST_PROCESSING = Message("while_post_processing", "the video was being made")

CANCELLED_JOB_HANGS = Message(
    "cancelled_job_hangs",
    "The cancelled job {id} does not respond, and no other job starts before it does. Restart the server to continue "
    "at once.",
)

# Webhooks
WEBHOOK_STATUS = Message("webhook_status", "The receiver responds with status {status}.")
WEBHOOK_REDIRECTED = Message(
    "webhook_redirected",
    "The receiver responds with a redirect (status {status}), which is not followed; use the final address.",
)
WEBHOOK_NOT_SENT = Message("webhook_not_sent", "The receiver cannot be notified: {reason}.")
DELIVERY_FAULT = Message("delivery_fault", "An unexpected {kind}; see the server's log for details.")
KEY_TOO_SHORT = Message(
    "webhook_key_too_short",
    "The webhook key must have at least {least} characters, or be whsec_ followed by Base64.",
)

# Uploads
UPLOAD_FAILED = Message("upload_failed", "The outputs cannot be uploaded to {place} ({reason}).")
UPLOAD_URL_INVALID = Message(
    "upload_url_invalid",
    "--deforum-upload-to must be a URL of storage that fsspec can write to, such as s3://bucket/folder, "
    "gs://bucket/folder or file:///folder; found {found!r}.",
)
UPLOAD_URL_WITH_LOGIN = Message(
    "upload_url_with_login",
    "--deforum-upload-to must not contain a login; give it in the environment or the configuration of fsspec.",
)
UPLOAD_PACKAGE_MISSING = Message(
    "upload_package_missing", "--deforum-upload-to {prefix} needs another package: {reason}."
)

# Workers
ALL_DRAINED = Message(
    "all_drained", "Every worker is drained, so no job starts; undrain one with: deforum workers --undrain ID"
)

# The log
LINES_OMITTED = Message("lines_omitted", "{line} ({count} more like this were omitted.)")
