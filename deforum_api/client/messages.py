"""Messages of the Python client and of the commands that use a server."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

INVALID_SERVER_ADDRESS = Message(
    "invalid_server_address",
    "The server's address is {found!r}; expected an address like http://127.0.0.1:7860.",
)
SERVER_UNREACHABLE = Message(
    "server_unreachable", "{url} does not respond ({reason}). Is the server running there?"
)
NOT_LOADED_YET = Message(
    "not_loaded_yet",
    "There is no Deforum API at this address (HTTP 404). A WebUI must be started with --deforum-api, and answers this "
    "until it has loaded Deforum.",
)
WAITING_FOR_SERVER = Message("waiting_for_server", "{error} Waiting for it.")
HTTP_STATUS = Message("http_status", "The server responded with HTTP status {status}.")
RESPONSE_NOT_JSON = Message(
    "response_not_json", "The response is not JSON. Is this the address of a Deforum server?"
)
PATH_WITHOUT_SLASH = Message("path_without_slash", "The path is {found!r}; a path must begin with '/'.")
NOT_A_SINGLE_FILE = Message("not_a_single_file", "kind is {found!r}; kind must be one of {allowed}.")
DOWNLOAD_NOT_WRITTEN = Message("download_not_written", "{path} cannot be written: {reason}.")
JOB_ENDED = Message("job_ended", "{job_id} {status}: {reason}")
NO_REASON = Message("no_reason", "no reason was given.")

# Commands
STILL_CANCELLING = Message("still_cancelling", "{job_id} was cancelled but has not ended yet.")
WATCHING_STOPPED = Message("watching_stopped", "Stopped watching; accepted jobs continue on the server.")
CONTACTING_SERVER = Message("contacting_server", "contacting the server")
JOB_WARNING = Message("job_warning", "  warning: {warning}")
