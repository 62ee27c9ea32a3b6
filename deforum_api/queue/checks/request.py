"""Checks of a request in a checking process, and the response of a validation."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import parse_qsl

from deforum_api.queue import messages
from deforum_api.queue.checks.body import (
    OVERRIDES,
    PLAIN_LIMIT_BYTES,
    SHARED_FIELDS,
    batch_terms,
    check_fields,
    check_length,
    envelope,
    parse_json,
    shared_problems,
)
from deforum_api.queue.errors import (
    ApiError,
    ErrorBudget,
    InvalidBatch,
    InvalidBody,
    TooLarge,
    limit_warnings,
)
from deforum_api.queue.record import ANIMATION
from deforum_api.queue.submission import (
    DEFAULT_TERMS,
    MOST_CELLS,
    BatchTerms,
    CheckedJob,
    check_all,
    check_frames,
    check_size,
    digest_of,
    job_number,
    prepared_or_error,
)
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.settings import defaults, flat_settings
from deforum_helpers.settings.files import RepeatingObject

if TYPE_CHECKING:
    from deforum_api.queue.worker import Check
    from deforum_helpers.pipeline.prepare import HostFacts, Prepared
    from deforum_helpers.tools.prepare import PreparedTool

SERIES_FRAMES = 20_000
# Of one answer, beside the settings that it repeats; with every value of every frame.
MOST_ANSWER_BYTES = 4 * 2**20
MOST_SERIES_BYTES = 16 * 2**20


def validation_response(
    check: Check,
    settings: Sequence[Mapping[str, Any]],
    overrides: Mapping[str, Any] | None,
    *,
    series: bool,
    body_bytes: int,
) -> bytes:
    """Return the answer of `validated` as JSON in UTF-8.

    Args:
        body_bytes: length of the request, whose settings the answer repeats.

    Raises:
        ApiError: as `validated`; the answer would be too long.
    """
    most = (MOST_SERIES_BYTES if series else MOST_ANSWER_BYTES) + body_bytes
    parts: list[bytes] = []
    for answer in validated(check, settings, overrides, series):
        parts.append(json.dumps(answer, ensure_ascii=False).encode())
        most -= len(parts[-1])
        if most < 0:
            raise TooLarge(messages.ANSWER_TOO_LONG())
    return b'{"jobs": [' + b", ".join(parts) + b"]}"


def validated(
    check: Check, settings: Sequence[Mapping[str, Any]], overrides: Mapping[str, Any] | None, series: bool
) -> Iterator[dict[str, Any]]:
    """Yield one answer per job: its errors, or what it means and costs.

    Args:
        check: plans a job.
        settings: of each job, as submitted.
        overrides: host options for all of them.
        series: add every value of every frame.

    Raises:
        ApiError: the video has too many frames for a response with one value per frame.
    """
    budget, frames = ErrorBudget(), 0
    for number, submitted in enumerate(settings):
        checked = cast("Prepared | SettingsError", prepared_or_error(check, submitted, overrides))
        if isinstance(checked, SettingsError):
            problems = [(job_number(number, problem), problem) for problem in checked.problems]
            found, warnings = budget.entries(problems), list(limit_warnings(checked.warnings))
            yield {"errors": found, "warnings": warnings, "settings": None, "plan": None}
            continue
        if series:
            frames += checked.plan.frames
            _check_series(checked, frames)
        yield _answer(checked, series)


def _answer(prepared: Prepared, series: bool) -> dict[str, Any]:
    answer = {
        "errors": [],
        "warnings": list(limit_warnings(prepared.warnings)),
        "settings": flat_settings(prepared.settings),
        "plan": prepared.summary,
    }
    return {**answer, **_series(prepared)} if series else answer


def _check_series(prepared: Prepared, frames: int) -> None:
    if frames > SERIES_FRAMES:
        raise ApiError(messages.TOO_MANY_SERIES_FRAMES(most=SERIES_FRAMES, found=frames), code=400)
    prompts = prepared.plan.prompts
    if sum(map(len, (*prompts.positive, *prompts.negative))) > MOST_SERIES_BYTES:
        raise TooLarge(messages.PROMPTS_ANSWER_TOO_LONG())


def _series(prepared: Prepared) -> dict[str, Any]:
    plan = prepared.plan
    values = {name: series.tolist() for name, series in plan.schedules.values.items()}
    texts = {name: list(series) for name, series in plan.schedules.texts.items()}
    seeds = [key.request.seed for key in plan.key_frames for _ in range(key.index, key.stop)]
    return {
        "series": values | texts,
        "prompts": list(plan.prompts.positive),
        "negative_prompts": list(plan.prompts.negative),
        "seeds": seeds,
        "poses": plan.poses.reshape(-1, 16).tolist(),
    }


def camera_file(
    check: Check, settings: Mapping[str, Any], overrides: Mapping[str, Any] | None, ending: str
) -> bytes:
    """Return the camera of a video as a file with one of the endings of `WRITERS`.

    Raises:
        InvalidBatch: the settings are wrong, or the video has no camera.
        TooLarge: the file would be too long.
    """
    from deforum_helpers.media.camera_files import WRITERS
    from deforum_helpers.pipeline.camera_export import video_shot

    checked = prepared_or_error(check, settings, overrides)
    try:
        if isinstance(checked, SettingsError):
            raise checked
        shot, _ = video_shot(cast("Prepared", checked).plan)
    except SettingsError as error:
        raise InvalidBatch([(job_number(0, problem), problem) for problem in error.problems]) from None
    content = WRITERS[ending][1](shot)
    if len(content) > MOST_SERIES_BYTES:
        raise TooLarge(messages.CAMERA_TOO_LONG(most=MOST_SERIES_BYTES // 2**20))
    return content


MOST_OVERRIDES_CHARACTERS = 16_384  # every job of a batch keeps them


@dataclass(frozen=True)
class CheckRequest:
    """A request to check, with its body unparsed.

    Args:
        kind: the form of its body and the purpose; a digest needs no check, and of the first job alone a camera is
            asked for.
        tool: whose arguments the body has, or None where it has settings of animations.
        ending: of the camera file.
        body: unread.
        most_jobs: jobs of one batch.
        series: validate with every value of every frame.
        is_form: the body of a run is a form, not JSON.
        arguments: of a run, from the query.
        most_bytes: of the body without its inline images.
        most_cells: values of schedules that are evaluated for it.
    """

    kind: Literal["submit", "digest", "validate", "run", "camera"]
    body: bytes
    most_jobs: int
    series: bool = False
    is_form: bool = False
    arguments: Mapping[str, str | None] = field(default_factory=dict)
    most_bytes: int = PLAIN_LIMIT_BYTES
    most_cells: int = MOST_CELLS
    tool: str | None = None
    ending: str = ""


@dataclass(frozen=True)
class CheckResult:
    """The result of a check.

    Args:
        digest: tells one submitted batch from another.
        jobs: of a batch that may be queued.
        overrides_json: options of all of them, or "null".
        answer: of a validation, JSON in UTF-8; or a camera file.
        terms: of a batch that may be queued.
    """

    digest: str = ""
    jobs: tuple[CheckedJob, ...] = ()
    overrides_json: str = "null"
    answer: bytes = b""
    terms: BatchTerms = DEFAULT_TERMS


def run_check(request: CheckRequest, check: Check) -> CheckResult:
    """Read and check a request.

    Raises:
        ApiError: what is wrong with it.
    """
    check_length(request.body, request.most_bytes)
    settings, overrides, terms = _submitted(request)
    digest = digest_of(settings, overrides, request.tool, terms)
    if request.kind == "digest":
        return CheckResult(digest)
    check_size(settings, request.most_jobs)
    check_frames(settings, request.most_cells)
    if request.kind == "validate":
        length = len(request.body)
        answer = validation_response(check, settings, overrides, series=request.series, body_bytes=length)
        return CheckResult(answer=answer)
    if request.kind == "camera":
        return CheckResult(answer=camera_file(check, settings[0], overrides, request.ending))
    jobs = check_all(check, settings, overrides, request.tool or ANIMATION)
    return CheckResult(digest, jobs, json.dumps(overrides), terms=terms)


def prepared_job(
    facts: HostFacts,
    submitted: Mapping[str, Any],
    overrides: Mapping[str, Any] | None,
    *,
    resume: str | None = None,
    kind: str = ANIMATION,
) -> Prepared | PreparedTool:
    """Check and plan a job of any kind for a host; see `worker.Check`.

    Raises:
        SettingsError: all problems that could be found.
    """
    if kind == ANIMATION:
        from deforum_helpers.pipeline.prepare import prepare

        return prepare(submitted, facts, overrides, resume=resume)
    from deforum_helpers.tools.prepare import prepare_tool

    return prepare_tool(kind, submitted, facts, overrides)


def batch_body(settings: Sequence[Mapping[str, Any]], overrides: Mapping[str, Any] | None) -> bytes:
    """Return the body of a batch; names that stood twice in an object of settings stand there twice again."""
    jobs = ", ".join(map(_settings_text, settings))
    return f'{{"deforum_settings": [{jobs}], "options_overrides": {json.dumps(overrides)}}}'.encode()


def _settings_text(settings: Mapping[str, Any]) -> str:
    repeated = settings.repeated if isinstance(settings, RepeatingObject) else ()
    pairs = [*((name, None) for name in repeated), *settings.items()]
    texts = (
        _settings_text(value) if isinstance(value, RepeatingObject) else json.dumps(value)
        for _, value in pairs
    )
    named = zip(pairs, texts, strict=True)
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for (name, _), text in named) + "}"


def tool_body(arguments: Mapping[str, Any], overrides: Mapping[str, Any] | None) -> bytes:
    """Return the body of a request to run a tool."""
    return json.dumps({**arguments, OVERRIDES: overrides}).encode()


_Submitted = tuple[list[dict[str, Any]], dict[str, Any] | None, BatchTerms]


def _submitted(request: CheckRequest) -> _Submitted:
    if request.tool is not None:
        return _arguments(request.body)
    return _run(request) if request.kind == "run" else _batch(request.body)


def _arguments(body: bytes) -> _Submitted:
    """Return a tool's arguments as the only job of a batch, its options and terms."""
    read = parse_json(body) if body else {}
    if not isinstance(read, dict):
        raise InvalidBody(messages.TOOL_BODY_NOT_OBJECT())
    check_fields(shared_problems(read))
    arguments = {name: value for name, value in read.items() if name not in SHARED_FIELDS}
    overrides = read.get(OVERRIDES)
    _check_overrides(overrides)
    return [arguments], overrides, batch_terms(read)


def _check_overrides(overrides: Mapping[str, Any] | None) -> None:
    if overrides and len(json.dumps(overrides)) > MOST_OVERRIDES_CHARACTERS:
        raise TooLarge(messages.OVERRIDES_TOO_LONG(most=MOST_OVERRIDES_CHARACTERS))


def _batch(body: bytes) -> _Submitted:
    read = envelope(parse_json(body) if body else None)
    settings, overrides = read["deforum_settings"], read.get("options_overrides")
    _check_overrides(overrides)
    return settings if isinstance(settings, list) else [settings], overrides, batch_terms(read)


def _run(request: CheckRequest) -> _Submitted:
    given = {**request.arguments, **_body_arguments(request)}
    return [_chosen_settings(given["settings_json"], given["allowed_params"])], None, DEFAULT_TERMS


def _body_arguments(request: CheckRequest) -> dict[str, Any]:
    if not request.body:
        return {}
    if request.is_form:
        return dict(_form(request.body))
    arguments = parse_json(request.body)
    if not isinstance(arguments, dict):
        raise InvalidBody(messages.RUN_BODY_NOT_OBJECT())
    return arguments


def _form(whole: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(whole.decode(), keep_blank_values=True, errors="strict", max_num_fields=16)
    except (UnicodeError, ValueError):
        raise InvalidBody(messages.RUN_FORM_INVALID()) from None


def _chosen_settings(submitted: Any, allowed_params: Any) -> dict[str, Any]:
    if submitted is None:
        raise InvalidBody(messages.RUN_SETTINGS_MISSING(), ("settings_json",), "missing")
    if isinstance(submitted, str):
        submitted = parse_json(submitted, ("settings_json",))
    if not isinstance(submitted, Mapping):
        raise InvalidBody(messages.RUN_SETTINGS_NOT_OBJECT(), ("settings_json",))
    if not isinstance(allowed_params, str | None) or "," in (allowed_params or ""):
        raise InvalidBody(messages.RUN_PARAMS_INVALID(), ("allowed_params",))
    allowed = {name.strip() for name in (allowed_params or "").split(";")} & defaults().keys()
    chosen = {name: value for name, value in submitted.items() if name in allowed}
    return {**chosen, "batch_name": uuid.uuid4().hex}
