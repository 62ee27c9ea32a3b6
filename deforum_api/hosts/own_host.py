"""The job queue and the health of the standalone host, and what every host sends after the end of a job."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deforum_api.hosts import messages
from deforum_api.http.outputs import finished_files
from deforum_api.http.security import split_list
from deforum_api.queue.checks.processes import Checker
from deforum_api.queue.checks.request import prepared_job
from deforum_api.queue.deliveries import FinishedFile
from deforum_api.queue.executors import Executor, LocalExecutor
from deforum_api.queue.folders import Roots, located
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_api.queue.rendering import OwnRenderer
from deforum_api.queue.sqlite import FILE_NAME, SqliteStore
from deforum_api.queue.store import JobStore
from deforum_api.queue.submission import Limits
from deforum_api.queue.uploads import Uploads
from deforum_api.queue.webhooks import Webhooks, parse_key
from deforum_api.version import VERSION
from deforum_helpers.controlnet.units import module_fault
from deforum_helpers.core.errors import DeforumError, MissingFeature
from deforum_helpers.core.files.scratch import remove_abandoned
from deforum_helpers.engines.memory import ManagesMemory, device_memory, memory_notes
from deforum_helpers.media.containers import pyav
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.depth import DEPTH_NAMES, available_families, serve
from deforum_helpers.output.paths import IMAGES_FOLDER
from deforum_helpers.output.runs import remove_unused_claims
from deforum_helpers.pipeline.host_facts import HostFacts

if TYPE_CHECKING:
    from deforum_helpers.engines.base import Engine

PACKAGES = ("torch", "diffusers", "transformers", "numpy", "opencv-python-headless", "fastapi", "pydantic")
MOST_NOTES = 20
KEY_VARIABLE = "DEFORUM_WEBHOOK_KEY"

# Returns the value of a flag, or the default on a host that does not have it.
Flag = Callable[[str, Any], Any]


def make_queue(
    facts: HostFacts,
    make_engine: Callable[[], Engine],
    store: JobStore | None = None,
    limits: Limits | None = None,
    checks: Checker | None = None,
    executor: Executor | None = None,
    flag: Flag = lambda name, default: default,
) -> JobQueue:
    """Return a job queue that renders with `make_engine()`, which is called for the first job and kept.

    Args:
        facts: of the host.
        make_engine: makes what draws.
        store: keeps the jobs; by default a database in the output root.
        limits: how much is taken.
        checks: makes the checks of submitted jobs; by default the thread that submits.
        executor: has the workers; by default the one of this process.
        flag: returns flags about webhooks, uploads and lockstep; by default their defaults.

    Raises:
        StoreUnavailable: the database cannot be used.
        DeforumError: the flags cannot be carried out.
    """
    in_lockstep = flag("deforum_lockstep", 1)
    check, render = partial(prepared_job, facts), OwnRenderer(make_engine, in_lockstep=in_lockstep > 1)
    roots = (facts.output_root, facts.output_root / IMAGES_FOLDER)
    webhooks, uploads = make_webhooks(flag, lambda: roots), make_uploads(flag, lambda: roots)
    remove_abandoned()
    remove_unused_claims(facts.output_root / IMAGES_FOLDER)
    kept = store or SqliteStore(facts.output_root / FILE_NAME)
    return JobQueue(
        check,
        render,
        checks=checks,
        store=kept,
        limits=limits,
        roots=lambda: roots,
        executor=executor or local_executor(facts, lambda: render.made, in_lockstep),
        webhooks=webhooks,
        uploads=uploads,
    )


def local_executor(
    facts: HostFacts, engine: Callable[[], Engine | None] = lambda: None, in_lockstep: int = 1
) -> LocalExecutor:
    """Return the executor that renders in this process, `in_lockstep` jobs at the same time.

    Args:
        facts: of the host.
        engine: returns the engine, which knows its device; None before the first job.
        in_lockstep: see `LocalExecutor`.
    """

    def device() -> str:
        made = engine()
        return "" if made is None else str(made.device)

    return LocalExecutor(device, facts.model or facts.engine, device_memory, in_lockstep)


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


def database_path(flags: Namespace, default: Path) -> Path:
    """Return the path of the job database: in the folder that the flags name, else in `default`."""
    return (Path(flags.deforum_database).expanduser() if flags.deforum_database else default) / FILE_NAME


def health(facts: HostFacts, engine: Engine | None = None) -> dict[str, Any]:
    """Return the host's part of `/deforum_api/health`; `engine` is the one of this process, once it is made."""
    return {
        "host": facts.name,
        "engine": facts.engine,
        "model": facts.model or "",
        "model_draws": facts.abilities.generates,
        "model_words": list(facts.abilities.vocabulary()),
        "memory": model_memory(engine),
        "versions": _versions(),
        "free_disk_bytes": facts.free_disk(facts.output_root),
        "unavailable": _unavailable(facts),
    }


def model_memory(engine: object) -> dict[str, Any] | None:
    """Return where the parts of an engine's model are kept; None before its first image."""
    plan = engine.memory_plan if isinstance(engine, ManagesMemory) else None
    if plan is None:
        return None
    return {
        "offload": plan.mode,
        "precision": plan.precision,
        "tiled": plan.tiled,
        "peak_bytes": plan.peak,
        "fits": plan.fits,
        "notes": list(memory_notes(engine)[-MOST_NOTES:]),
    }


def _versions() -> dict[str, str]:
    found = {package: _version(package) for package in PACKAGES}
    installed = {package: version for package, version in found.items() if version}
    return {"deforum": VERSION, "python": platform.python_version(), **installed}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _unavailable(facts: HostFacts) -> list[dict[str, str]]:
    from deforum_helpers.pipeline.checks import missing_networks

    missing = []
    try:
        find_ffmpeg(facts.options.deforum_ffmpeg_location)
    except MissingFeature as error:
        missing.append({"feature": "videos", "reason": str(error)})
    try:
        pyav()
    except MissingFeature as error:
        missing.append({"feature": "videos as inputs", "reason": str(error)})
    for package in ("torch", "diffusers", "transformers"):
        if importlib.util.find_spec(package) is None:
            reason = messages.PACKAGE_MISSING(package=package)
            missing.append({"feature": f"models that need {package}", "reason": reason})
    missing += [{"feature": switch, "reason": why} for switch, why in facts.lacks.items()]
    if facts.controlnet.missing is not None:
        missing.append({"feature": "ControlNet", "reason": facts.controlnet.missing})
    if facts.abilities.own_controlnet and (fault := module_fault("openpose")) is not None:
        missing.append({"feature": "ControlNet preprocessor openpose", "reason": f"{fault}."})
    missing += [{"feature": feature, "reason": f"{why}."} for feature, why in missing_networks().items()]
    families = available_families()
    served = ((name, serve(name, families)[1]) for name in DEPTH_NAMES)
    return missing + [{"feature": f"depth_algorithm {name}", "reason": why} for name, why in served if why]
