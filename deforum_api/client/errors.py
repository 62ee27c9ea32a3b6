"""Errors of the client.

ClientError
├── Unreachable        no response within the client's patience
├── RefusedByServer    the server responded with an error
└── JobEnded           the job failed or was cancelled
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deforum_api.client import messages
from deforum_helpers.core.errors import DeforumError

BUSY = frozenset({429, 502, 503, 504})


class ClientError(DeforumError):
    """Root of the client's errors."""


class Unreachable(ClientError):
    """The server did not respond, or broke off each response, for `patience_s` seconds."""


class RefusedByServer(ClientError):
    """The server responded with an error.

    Args:
        code: HTTP status.
        message: the server's message.
        errors: one entry per wrong setting, as `docs/API.md` describes them.
        retry_after_s: the server's Retry-After in seconds, or None.
        from_deforum: whether Deforum responded; otherwise a proxy, or a WebUI that has not loaded Deforum yet.
    """

    def __init__(
        self,
        code: int,
        message: str,
        errors: tuple[Mapping[str, Any], ...] = (),
        retry_after_s: float | None = None,
        *,
        from_deforum: bool = True,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.errors = errors
        self.retry_after_s = retry_after_s
        self.from_deforum = from_deforum
        self.tries = 1

    @property
    def temporary(self) -> bool:
        """Whether a retry may succeed: the server is busy, or has not loaded Deforum yet."""
        return self.code in BUSY or (self.code == 404 and not self.from_deforum)


class JobEnded(ClientError):
    """The job FAILED or was CANCELLED; `job` is its record."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        reason = job.get("message") or messages.NO_REASON()
        super().__init__(messages.JOB_ENDED(job_id=job["id"], status=job["status"], reason=reason))
        self.job = job


def refusal(code: int, body: bytes, retry_after: str | None) -> RefusedByServer:
    """Return the error for a response with HTTP status `code`."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    content = content if isinstance(content, dict) else {}
    errors = content.get("errors")
    from_deforum = isinstance(errors, list) and isinstance(content.get("message"), str)
    message = content.get("message") or content.get("detail")
    seconds = float(retry_after) if retry_after and retry_after.isdecimal() else None
    return RefusedByServer(
        code,
        messages.NOT_LOADED_YET()
        if code == 404 and not from_deforum
        else str(message)
        if message
        else messages.HTTP_STATUS(status=code),
        tuple(errors) if isinstance(errors, list) else (),
        seconds,
        from_deforum=from_deforum,
    )
