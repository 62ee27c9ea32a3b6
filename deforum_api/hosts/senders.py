"""What is sent after the end of a job, as the flags and the environment ask for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deforum_api.hosts import messages
from deforum_api.http.outputs import finished_files
from deforum_api.http.security import split_list
from deforum_api.queue.deliveries import FinishedFile
from deforum_api.queue.folders import Roots, located
from deforum_api.queue.record import Job
from deforum_api.queue.uploads import Uploads
from deforum_api.queue.webhooks import Webhooks, parse_key
from deforum_helpers.core.errors import DeforumError

KEY_VARIABLE = "DEFORUM_WEBHOOK_KEY"

# Returns the value of a flag, or the default on a host that does not have it.
Flag = Callable[[str, Any], Any]


def make_webhooks(flag: Flag, roots: Roots) -> Webhooks:
    """Return what notifies of the ends of jobs.

    Raises:
        DeforumError: the key cannot be used.
    """
    allow = split_list(flag("deforum_webhook_allow", ""))
    return Webhooks(webhook_key(flag("deforum_webhook_key_file", "")), allow, _files(roots))


def make_uploads(flag: Flag, roots: Roots) -> Uploads | None:
    """Return what uploads outputs, or None if nothing is to be uploaded.

    Raises:
        DeforumError: nothing can be uploaded to the URL.
    """
    prefix = flag("deforum_upload_to", "")
    return Uploads(prefix, _files(roots)) if prefix else None


def webhook_key(file: str) -> bytes:
    """Return the key from `file`, else from the environment; b"" if there is neither.

    Raises:
        DeforumError: the file cannot be read, or the key is too short.
    """
    text = os.environ.get(KEY_VARIABLE, "")
    if file:
        path = Path(file).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise DeforumError(messages.KEY_FILE_UNREADABLE(path=path, reason=reason)) from None
    try:
        return parse_key(text) if text or file else b""
    except ValueError as error:
        raise DeforumError(error.args[0]) from None


def _files(roots: Roots) -> Callable[[Job], Sequence[FinishedFile]]:
    return lambda job: finished_files(located(job, roots()))
