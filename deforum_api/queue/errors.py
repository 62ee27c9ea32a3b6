"""The errors that the API answers with, each with its HTTP status.

ApiError                 status code, message and the other keys of the error envelope
├── UnknownId            404
├── UnknownTool          404
├── AlreadyFinished      400
│   └── TooLateToPause
├── NotResumable         409
├── StillEnding          409, with Retry-After
├── NotFinished          409
├── FilesGone            404
├── InvalidBatch         400, one problem per wrong setting
├── InvalidBody          422, one entry per wrong field
│   └── KeyReused
├── QueueFull            429, with Retry-After
├── Busy                 429, with Retry-After
├── TooLarge             413
│   └── TooManyFrames
├── QueueClosed          503, with Retry-After
├── StoreUnavailable     503, with Retry-After
└── Refused              401, 403, 413, 415, 421, before the body is parsed
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from deforum_api.queue import messages
from deforum_helpers.core.errors import DeforumError, Problem, group_problems, summary_of
from deforum_helpers.core.messages import Text

# Limits of one response: problems, bytes of all problems as JSON, characters of each text in them.
MOST_PROBLEMS = 1000
MOST_PROBLEM_BYTES = 2 * 2**20
MOST_CHARACTERS = 1000
# Limit of one job.
MOST_WARNINGS = 40

STATUS_NAMES = {
    400: "BAD REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT FOUND",
    405: "METHOD NOT ALLOWED",
    409: "CONFLICT",
    413: "CONTENT TOO LARGE",
    415: "UNSUPPORTED MEDIA TYPE",
    416: "RANGE NOT SATISFIABLE",
    421: "MISDIRECTED REQUEST",
    422: "UNPROCESSABLE CONTENT",
    429: "TOO MANY REQUESTS",
    500: "INTERNAL SERVER ERROR",
    503: "SERVICE UNAVAILABLE",
}


class ApiError(DeforumError):
    """A response other than success.

    Args:
        message: one sentence for the user.
        code: HTTP status.
        id: id of the job or batch concerned.
        detail: the list of field errors for 422; None repeats the message.
        headers: additional response headers.
    """

    code = 500

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        id: str | None = None,
        detail: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.id = id
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors: list[dict[str, Any]] = []

    def envelope(self) -> dict[str, Any]:
        """Return the response body; all keys are always present."""
        return {
            "id": self.id,
            "status": STATUS_NAMES.get(self.code, "ERROR"),
            "message": self.message,
            "detail": self.message if self.detail is None else self.detail,
            "errors": self.errors,
        }


class UnknownId(ApiError):
    code = 404

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(messages.UNKNOWN_ID(kind=kind, id=id[:60]), id=id)


class UnknownTool(ApiError):
    code = 404

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(messages.UNKNOWN_TOOL(name=name[:60], known=", ".join(known)))


class AlreadyFinished(ApiError):
    code = 400

    def __init__(self, id: str, status: str) -> None:
        self._refuse(messages.ALREADY_FINISHED(id=id, status=status), id)

    def _refuse(self, message: Text, id: str) -> None:
        super().__init__(message, id=id)


class TooLateToPause(AlreadyFinished):
    def __init__(self, id: str) -> None:
        self._refuse(messages.TOO_LATE_TO_PAUSE(id=id), id)


class NotResumable(ApiError):
    code = 409

    def __init__(self, id: str, status: str) -> None:
        super().__init__(messages.NOT_RESUMABLE(id=id, status=status), id=id)


class StillEnding(ApiError):
    code = 409

    def __init__(self, id: str) -> None:
        super().__init__(messages.STILL_ENDING(id=id), id=id, headers={"Retry-After": "1"})


class NotFinished(ApiError):
    code = 409

    def __init__(self, id: str) -> None:
        super().__init__(messages.NOT_FINISHED(id=id), id=id)


class FilesGone(ApiError):
    """The folder of a finished job is neither at its recorded path nor below the output folder `root`."""

    code = 404

    def __init__(self, id: str, outdir: str, root: Path | None) -> None:
        message = (
            messages.FILES_NOT_FOUND_BELOW(id=id, outdir=outdir, root=root)
            if root
            else messages.FILES_NOT_FOUND(id=id, outdir=outdir)
        )
        super().__init__(message, id=id)


class InvalidBatch(ApiError):
    """Settings of a batch that cannot be rendered.

    Args:
        problems: pairs of the job's number in the batch (None = all jobs) and its problem.
    """

    code = 400

    def __init__(self, problems: Sequence[tuple[int | None, Problem]]) -> None:
        errors = ErrorBudget().entries(problems)
        message = errors[0]["message"]
        if len(errors) > 1:
            message = messages.MORE_ERRORS(message=message, count=len(errors) - 1)
        super().__init__(message)
        self.errors = errors


class InvalidBody(ApiError):
    """A body or parameter of the wrong form, as one field error.

    Args:
        message: one sentence for the user.
        loc: path of the field, beginning with "body", "query" or "header".
        type: pydantic's name for the kind of error.
    """

    code = 422

    def __init__(self, message: str, loc: Sequence[str | int] = ("body",), type: str = "value_error") -> None:
        super().__init__(message, detail=[{"loc": list(loc), "msg": message, "type": type}])


class KeyReused(InvalidBody):
    def __init__(self) -> None:
        super().__init__(messages.KEY_REUSED(), ("header", "Idempotency-Key"))


class QueueFull(ApiError):
    code = 429

    def __init__(self, limit: int) -> None:
        super().__init__(messages.QUEUE_FULL(limit=limit), headers={"Retry-After": "30"})


class Busy(ApiError):
    """Too many requests at the same time."""

    code = 429

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or messages.SERVER_BUSY(), headers={"Retry-After": "5"})


class TooLarge(ApiError):
    """A request whose body, checks or response exceed a limit."""

    code = 413


class TooManyFrames(TooLarge):
    """A batch whose schedules have too many values."""

    def __init__(self, frames: int, most: int) -> None:
        super().__init__(messages.TOO_MANY_FRAMES(found=frames, most=most))


class QueueClosed(ApiError):
    code = 503

    def __init__(self) -> None:
        super().__init__(messages.QUEUE_CLOSED(), headers={"Retry-After": "30"})


class StoreUnavailable(ApiError):
    """The job database cannot be used; the message says why and what to do."""

    code = 503

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"Retry-After": "30"})


class Refused(ApiError):
    """A request that is refused before its body is parsed."""


class ErrorBudget:
    """Turns problems into `errors` entries of one response, within limits on their number and total length.

    Args:
        most: number of entries.
        most_bytes: length of all entries as JSON.
    """

    def __init__(self, most: int = MOST_PROBLEMS, most_bytes: int = MOST_PROBLEM_BYTES) -> None:
        self._left = most
        self._bytes_left = most_bytes

    @property
    def full(self) -> bool:
        return self._left <= 0 or self._bytes_left <= 0

    def entries(self, problems: Sequence[tuple[int | None, Problem]]) -> list[dict[str, Any]]:
        """Return one entry per problem; the same problem at several places of a setting is one entry that names them.

        If the budget is exceeded, the last entry gives the number of omitted problems.
        """
        entries = []
        left = len(problems)
        for job, group in _groups(problems):
            if self.full:
                entries.append(problem_entry(None, Problem(messages.PROBLEMS_OMITTED(count=left))))
                break
            entry = problem_entry(job, replace(group[0], message=summary_of(group)))
            self._left -= 1
            self._bytes_left -= len(json.dumps(entry))
            left -= len(group)
            entries.append(entry)
        return entries


def _groups(
    problems: Sequence[tuple[int | None, Problem]],
) -> Iterator[tuple[int | None, tuple[Problem, ...]]]:
    for job in dict.fromkeys(job for job, _ in problems):
        its = (problem for its_job, problem in problems if its_job == job)
        for group in group_problems(its, per_setting=True):
            yield job, group


def problem_entry(job: int | None, problem: Problem) -> dict[str, Any]:
    """Return one entry of `errors`; absent values are None, long texts are shortened."""
    entry = asdict(problem) | {"code": problem.code}
    del entry["passing"]
    return {"job": job} | {
        name: shorten(value) if isinstance(value, str) else value for name, value in entry.items()
    }


def shorten(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return `text`, or its beginning and an ellipsis if it has more than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def limit_warnings(warnings: Iterable[str]) -> tuple[str, ...]:
    """Return each warning once, shortened; of more than `MOST_WARNINGS` the first ones and the total number."""
    short = [shorten(text) for text in dict.fromkeys(warnings)]
    if len(short) <= MOST_WARNINGS:
        return tuple(short)
    return (*short[: MOST_WARNINGS - 1], messages.WARNINGS_OMITTED(count=len(short)))


def error_from_envelope(
    kind: str, message_code: str, code: int, envelope: Mapping[str, Any], headers: Mapping[str, str]
) -> ApiError:
    """Return the error that another process has sent as its class name, message code, status, envelope and headers."""
    known: dict[str, type[ApiError]] = {"InvalidBatch": InvalidBatch, "TooManyFrames": TooManyFrames}
    error = ApiError.__new__(known.get(kind, ApiError))
    message = Text(envelope["message"], message_code)
    detail = envelope["detail"]
    ApiError.__init__(error, message, code=code, id=envelope["id"], detail=detail, headers=headers)
    error.errors = envelope["errors"]
    return error
