"""Messages of the HTTP layer: requests that are refused, files that are not there, what a response's status means."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Access
FOREIGN_HOST = Message("foreign_host", "This server does not answer requests for the host {host!r}.")
FOREIGN_ORIGIN = Message("foreign_origin", "Pages of the origin {origin!r} may not change anything here.")
FOREIGN_PAGE = Message("foreign_page", "Pages of other origins may not load anything from here.")
UPLOAD_TYPE_REFUSED = Message(
    "upload_type_refused", "Files must be sent as {expected}; found the content type {found!r}."
)
CONTENT_TYPE_REFUSED = Message(
    "content_type_refused",
    "The content type {found!r} is not accepted here; send JSON with 'Content-Type: application/json'.",
)
CONTENT_ENCODING_REFUSED = Message(
    "content_encoding_refused",
    "The content encoding {found!r} is not accepted here; send the body uncompressed.",
)
LOGIN_REQUIRED = Message("login_required", "User name and password are needed.")
BODY_OVER_LIMIT = Message("body_over_limit", "The body is larger than {most} MiB.")

# Requests
METHOD_NOT_ALLOWED = Message(
    "method_not_allowed", "The method {method} is not allowed here; expected one of: {allowed}."
)
FIELD_WRONG = Message("field_wrong", "The request has a wrong field: {field}: {reason}.")
FIELDS_WRONG = Message(
    "fields_wrong", "The request has a wrong field: {field}: {reason}. ({count} more in detail.)"
)
CURSOR_INVALID = Message("cursor_invalid", "cursor must be the X-Next-Cursor header of the previous page.")
CLIENT_GONE = Message("client_gone", "The client disconnected before its request was complete.")
TOO_MANY_STREAMS = Message(
    "too_many_streams", "{most} clients are following jobs, the most that is allowed; poll the job instead."
)
UNEXPECTED_SERVER_ERROR = Message(
    "unexpected_server_error",
    "The request failed with an unexpected {kind}; see the server's log for details under {mark}.",
)
JOB_ENDED = Message("job_ended", "The job ended with the status {status}.")

# Files of jobs
OUTPUT_MISSING = Message("output_missing", "The job {id!r} has no {what}.")
OUTPUT_NOT_YET = Message("output_not_yet", "The job {id!r} has no {what} yet.")
FILE_GONE = Message("file_gone", "The file {name!r} is gone or cannot be read.")
RANGE_OUTSIDE = Message("range_outside", "The file has {size} bytes; the requested range is outside of them.")

# Answers to requests that succeeded
BATCH_CANCELLED = Message("batch_cancelled", "{count} job(s) cancelled.")
JOB_CANCELLED = Message("job_cancelled", "Job cancelled.")
JOB_FORGOTTEN = Message("job_forgotten", "Record deleted; the job's files are kept.")

# Start
DOCS_PACKAGE_MISSING = Message(
    "docs_package_missing",
    "The package fastapi-offline is missing; install it with: pip install fastapi-offline",
)
