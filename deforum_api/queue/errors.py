"""Every error of the API: what a client did, with the HTTP status that says so.

ApiError                 code, message, and what else the error envelope has
├── UnknownId            404
├── AlreadyFinished      400
├── NotResumable         409
├── StillEnding          409, with Retry-After
├── NotFinished          409
├── FilesGone            404
├── InvalidBatch         400, one problem per wrong setting
├── InvalidBody          422, one entry per wrong field
├── QueueFull            429, with Retry-After
├── Busy                 429, with Retry-After
├── TooLarge             413
│   └── TooManyCells
├── QueueClosed          503, with Retry-After
└── Refused              401, 403, 413, 415, 421: the request is turned away at the door
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import DeforumError, Problem, group_problems, summary_of

# Of one answer: problems, their length as JSON; characters of each text in them.
MOST_PROBLEMS = 1000
MOST_PROBLEM_BYTES = 2 * 2**20
MOST_CHARACTERS = 1000
# Warnings of one job.
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
    """An answer other than success.

    Args:
        message: one plain sentence.
        code: HTTP status.
        id: the job or batch that is meant.
        detail: for 422 the list of field errors; otherwise the message stands there too.
        headers: more headers of the answer.
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
        """Return the body of the answer; all keys are always there."""
        return {
            "id": self.id,
            "status": STATUS_NAMES.get(self.code, "ERROR"),
            "message": self.message,
            "detail": self.message if self.detail is None else self.detail,
            "errors": self.errors,
        }


class UnknownId(ApiError):
    code = 404

    def __init__(self, what: str, id: str) -> None:
        super().__init__(f"There is no {what} {id[:60]!r}.", id=id)


class UnknownTool(ApiError):
    code = 404

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no tool {name[:60]!r}; there are: {', '.join(known)}.")


class AlreadyFinished(ApiError):
    code = 400

    def __init__(self, id: str, status: str) -> None:
        super().__init__(f"The job {id!r} has already finished with {status}.", id=id)


class NotResumable(ApiError):
    code = 409

    def __init__(self, id: str, status: str) -> None:
        super().__init__(f"Only a FAILED or CANCELLED job can be resumed; {id!r} is {status}.", id=id)


class StillEnding(ApiError):
    code = 409

    def __init__(self, id: str) -> None:
        message = f"The job {id!r} is being cancelled; try again once it is CANCELLED."
        super().__init__(message, id=id, headers={"Retry-After": "1"})


class NotFinished(ApiError):
    code = 409

    def __init__(self, id: str) -> None:
        super().__init__(f"The job {id!r} has not finished; cancel it first.", id=id)


class FilesGone(ApiError):
    """The folder of a job that has ended is neither where it was nor below the output folder `root`."""

    code = 404

    def __init__(self, id: str, outdir: str, root: Path | None) -> None:
        where = f"neither in {outdir} nor, by that name, below {root}" if root else f"not in {outdir}"
        what_to_do = "put its folder back, or start the server with the output folder that it lies in."
        super().__init__(f"The files of the job {id!r} are {where}; {what_to_do}", id=id)


class InvalidBatch(ApiError):
    """Settings of a batch that cannot be rendered.

    Args:
        problems: (job number in the batch, or None for what all jobs share; what is wrong).
    """

    code = 400

    def __init__(self, problems: Sequence[tuple[int | None, Problem]]) -> None:
        errors = Account().entries(problems)
        more = f" ({len(errors) - 1} more in errors.)" if len(errors) > 1 else ""
        super().__init__(errors[0]["message"] + more)
        self.errors = errors


class InvalidBody(ApiError):
    """A body or parameter that is not what the route takes, told as one field error."""

    code = 422

    def __init__(self, message: str, loc: Sequence[str | int] = ("body",), type: str = "value_error") -> None:
        super().__init__(message, detail=[{"loc": list(loc), "msg": message, "type": type}])


class KeyReused(InvalidBody):
    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key came with another body before; send a key of its own with each new batch.",
            ("header", "Idempotency-Key"),
        )


class QueueFull(ApiError):
    code = 429

    def __init__(self, limit: int) -> None:
        message = f"The queue is full: {limit} jobs wait already; send this again when some of them are done."
        super().__init__(message, headers={"Retry-After": "30"})


class Busy(ApiError):
    """Too much is asked for at one moment."""

    code = 429

    def __init__(
        self, message: str = "The server checks other requests; send this again in a moment."
    ) -> None:
        super().__init__(message, headers={"Retry-After": "5"})


class TooLarge(ApiError):
    """A request that costs more than one request may."""

    code = 413


class TooManyCells(TooLarge):
    """A batch whose schedules have too many values."""

    def __init__(self, frames: int, most: int) -> None:
        super().__init__(
            f"A batch may have {most:,} frames in all; this one has {frames:,}: send it in parts."
        )


class QueueClosed(ApiError):
    code = 503

    def __init__(self) -> None:
        super().__init__("The server is stopping and takes no more jobs.", headers={"Retry-After": "30"})


class StoreUnavailable(ApiError):
    """The job database does not work; the message says why and what to do."""

    code = 503

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"Retry-After": "30"})


class Refused(ApiError):
    """A request that is turned away before its body is looked at."""


class Account:
    """What is wrong with a request, as entries of its answer: as many as fit, each of bounded length."""

    def __init__(self, most: int = MOST_PROBLEMS, most_bytes: int = MOST_PROBLEM_BYTES) -> None:
        self._left = most
        self._bytes_left = most_bytes

    @property
    def full(self) -> bool:
        return self._left <= 0 or self._bytes_left <= 0

    def entries(self, problems: Sequence[tuple[int | None, Problem]]) -> list[dict[str, Any]]:
        """Return one entry per problem; what is the same at several places of a setting is one that names them all.

        Where not all of them fit, the last entry says how many are left out.
        """
        entries = []
        left = len(problems)
        for job, group in _groups(problems):
            if self.full:
                entries.append(problem_entry(None, Problem(f"{left} more problems are left out.")))
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
    """Return one entry of `errors`; absent values are None, long texts are cut."""
    entry = asdict(problem)
    del entry["passing"]
    return {"job": job} | {
        name: cut(value) if isinstance(value, str) else value for name, value in entry.items()
    }


def cut(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return `text`, or its beginning and an ellipsis where it is longer than `most`."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def few(warnings: Iterable[str]) -> tuple[str, ...]:
    """Return each warning once, cut to a length that is read; of very many the first, and how many there were."""
    short = [cut(text) for text in dict.fromkeys(warnings)]
    if len(short) <= MOST_WARNINGS:
        return tuple(short)
    return (*short[: MOST_WARNINGS - 1], f"There are {len(short)} warnings; the others are left out.")


def restored(kind: str, code: int, envelope: Mapping[str, Any], headers: Mapping[str, str]) -> ApiError:
    """Return the error of the class named `kind` that has the envelope `envelope`."""
    known: dict[str, type[ApiError]] = {"InvalidBatch": InvalidBatch, "TooManyCells": TooManyCells}
    error = ApiError.__new__(known.get(kind, ApiError))
    detail = envelope["detail"]
    ApiError.__init__(
        error, envelope["message"], code=code, id=envelope["id"], detail=detail, headers=headers
    )
    error.errors = envelope["errors"]
    return error
