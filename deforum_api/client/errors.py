"""What can go wrong between a client and a server.

ClientError
├── Unreachable        no answer within the client's patience
├── RefusedByServer    an answer other than success
└── JobEnded           the job ended without a film
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deforum_helpers.core.errors import DeforumError

BUSY = frozenset({429, 502, 503, 504})
NOT_HERE = (
    "There is no Deforum API at this address (HTTP 404). A WebUI must be started with --deforum-api, and answers this "
    "until it has loaded Deforum."
)


class ClientError(DeforumError):
    """Root of the client's errors."""


class Unreachable(ClientError):
    """The server did not answer, or broke off every answer, for as long as the client was patient."""


class RefusedByServer(ClientError):
    """The server answered with an error.

    Args:
        code: HTTP status.
        message: the server's sentence.
        errors: one entry per wrong setting, as `docs/API.md` describes them.
        retry_after_s: after how many seconds it wants to be asked again, or None.
        ours: whether Deforum answered; else it was something before it, such as a WebUI that has not loaded it yet.
    """

    def __init__(
        self,
        code: int,
        message: str,
        errors: tuple[Mapping[str, Any], ...] = (),
        retry_after_s: float | None = None,
        *,
        ours: bool = True,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.errors = errors
        self.retry_after_s = retry_after_s
        self.ours = ours
        self.tries = 1

    @property
    def passing(self) -> bool:
        """Whether the same request may be answered later: the server is busy, or has not loaded Deforum yet."""
        return self.code in BUSY or (self.code == 404 and not self.ours)


class JobEnded(ClientError):
    """The job FAILED or was CANCELLED; `job` is its record."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        super().__init__(f"{job['id']} {job['status']}: {job.get('message') or 'no reason was given.'}")
        self.job = job


def refusal(code: int, body: bytes, retry_after: str | None) -> RefusedByServer:
    """Return the error that an answer with status `code` tells."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    told = told if isinstance(told, dict) else {}
    errors = told.get("errors")
    ours = isinstance(errors, list) and isinstance(told.get("message"), str)
    message = str(
        told.get("message") or told.get("detail") or f"The server answered with HTTP status {code}."
    )
    seconds = float(retry_after) if retry_after and retry_after.isdecimal() else None
    return RefusedByServer(
        code,
        NOT_HERE if code == 404 and not ours else message,
        tuple(errors) if isinstance(errors, list) else (),
        seconds,
        ours=ours,
    )
