"""Messages of the standalone tab: its page, its events and uploads, the folders that it opens."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# The page
TAB_FAILED = Message(
    "tab_failed", "The tab could not be built; see the server's log. The API and /docs work without it."
)
TAB_STARTING = Message("tab_starting", "Deforum is getting ready ...")
NOTHING_AT_PATH = Message("nothing_at_path", "There is nothing at {path!r}.")

# Events and uploads
TAB_EVENT_UNKNOWN = Message("tab_event_unknown", "fn_index names no event of the tab.")
TAB_EVENT_VALUES = Message("tab_event_values", "data must be a list of {count} values, the event's inputs.")
TAB_BODY_INCOMPLETE = Message(
    "tab_body_incomplete", "The body is too large, or the client disconnected before it was complete."
)
TAB_REQUEST_FAILED = Message(
    "tab_request_failed", "The request failed with an unexpected {kind}; see the server's log for details."
)
UPLOAD_DISK_FULL = Message("upload_disk_full", "The disk has no room for these files; free some space.")
UPLOAD_NOT_A_FORM = Message("upload_not_a_form", "The body is not a valid form with files: {reason}")
UPLOAD_EMPTY = Message("upload_empty", "The form has no field 'files' with files.")
NO_SUCH_OUTPUT = Message("no_such_output", "There is no such output.")

# Jobs
JOB_NUMBER = Message("job_number", "Job {number}")
JOB_RUNS_TOOL = Message("job_runs_tool", "{id} runs the tool {tool}; it has no settings of a video.")
FOLDER_NOT_OPENED = Message(
    "folder_not_opened", "The folder cannot be opened from here; its path is shown below the picture."
)
NO_DESKTOP = Message("no_desktop", "This machine has no desktop to show {folder} on.")
