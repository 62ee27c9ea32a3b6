"""Deforum in a WebUI: its routes on each of the WebUI's apps, its tab on each page, one queue behind them."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from deforum_api.hosts import messages
from deforum_api.hosts.run_now import run_files, settings_files
from deforum_api.hosts.unfinished import log_sentences, parked_sentences, resumed_sentences
from deforum_api.http.security import access_of
from deforum_api.queue.checks.processes import CheckerPool
from deforum_api.queue.checks.request import prepared_job
from deforum_api.queue.errors import StoreUnavailable
from deforum_api.queue.executors import LocalExecutor
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.logs import write_log_file, write_own_log
from deforum_api.queue.record import ANIMATION
from deforum_api.queue.sqlite import FILE_NAME, SqliteStore
from deforum_api.queue.submission import HANG_AFTER_S, Limits
from deforum_helpers.core.errors import DeforumError
from deforum_helpers.core.files.scratch import remove_abandoned
from deforum_helpers.engines.memory import device_memory
from deforum_helpers.output.paths import IMAGES_FOLDER
from deforum_helpers.output.runs import remove_unused_claims
from deforum_helpers.webui import pages
from deforum_helpers.webui.facts import data_folder, device_name, host_facts, output_folders
from deforum_helpers.webui.host_modules import flag
from deforum_helpers.webui.pages import message_tab, on_app_created, stop_watching

if TYPE_CHECKING:
    from deforum_helpers.core.progress import CancelToken
    from deforum_helpers.pipeline.job import Progress, RunResult
    from deforum_helpers.pipeline.prepare import Prepared
    from deforum_helpers.tools.prepare import PreparedTool

log = logging.getLogger(__name__)

TAB_TITLE = "Deforum"
TAB_ID = "deforum_interface_tab"
PARKING_TIME_S = 8.0


def before_ui(flags: Any) -> None:
    """Have our routes added to the app of the WebUI's pages before its port opens, if its flags ask for them.

    `app_started` comes seconds later; until then a client would get a 404 for its job.

    Args:
        flags: the WebUI's parsed command line.
    """

    def made(app: FastAPI) -> None:
        with suppress(StoreUnavailable):  # app_started logs the error
            _serve(app, flags)

    if flags.deforum_api or flags.deforum_simple_api:
        on_app_created(made)


def app_started(app: FastAPI, flags: Any) -> None:
    """Take note of the WebUI's app, a new one after each "Reload UI", and add our routes if its flags ask for them.

    Args:
        app: of the WebUI.
        flags: its parsed command line.
    """
    stop_watching()
    pages.reload_ended()
    try:
        _serve(app, flags)
    except StoreUnavailable as error:
        log.error('The API is not available: %s Then press "Reload UI".', error.message)
    _run_now(flags)


def _serve(app: FastAPI, flags: Any) -> None:
    """Add our routes to `app`, once.

    Raises:
        StoreUnavailable: the job database cannot be used.
    """
    api, simple_api = bool(flags.deforum_api), bool(flags.deforum_simple_api)
    if api or simple_api:
        # Without the flags, nobody waits for the routes to be made.
        from deforum_api.hosts.own_host import health
        from deforum_api.http.app import mount

        mount(app, host_queue(), access_of(flags), lambda: health(host_facts()), api=api)
        host_queue().checks.start()


def tabs() -> list[tuple[Any, str, str]]:
    """Return our tab as WebUIs take it: (gradio Blocks, title, element id)."""
    try:
        queue = host_queue()
    except StoreUnavailable as error:
        message = messages.TAB_WITHOUT_DATABASE(reason=error.message)
        return [(message_tab(message), TAB_TITLE, TAB_ID)]
    from deforum_api.tab.service import QueueService
    from deforum_helpers.ui import make_tab

    return [(make_tab(QueueService(queue, host_facts(), look=host_facts)), TAB_TITLE, TAB_ID)]


@lru_cache(maxsize=1)
def host_queue() -> JobQueue:
    """Return the queue; it stays when the WebUI makes a new app, and its jobs when the WebUI ends.

    Raises:
        StoreUnavailable: the job database in the WebUI's data folder, or a flag, cannot be used.
    """
    from deforum_api.hosts.own_host import make_uploads, make_webhooks

    try:
        webhooks, uploads = make_webhooks(flag, _roots), make_uploads(flag, _roots)
    except DeforumError as error:  # the tab and the log show it as they show a database that cannot be used
        raise StoreUnavailable(str(error)) from None
    write_own_log()
    write_log_file(output_folders()[0])
    if flag("deforum_lockstep", 1) > 1:
        log.warning("%s", messages.LOCKSTEP_IN_WEBUI())
    remove_abandoned()
    remove_unused_claims(_roots()[1])
    limits = Limits(hang_after_s=flag("deforum_hang_after", HANG_AFTER_S))
    named = flag("deforum_database", "")
    store = SqliteStore((Path(named).expanduser() if named else data_folder()) / FILE_NAME)
    log_sentences(resumed_sentences(store))
    checks = CheckerPool(host_facts)
    queue = JobQueue(
        _check,
        _render,
        checks=checks,
        store=store,
        limits=limits,
        roots=_roots,
        executor=LocalExecutor(device_name, memory=device_memory),
        webhooks=webhooks,
        uploads=uploads,
    )
    threading.Thread(target=_park_at_exit, args=(queue,), name="deforum-exit").start()
    return queue


def _roots() -> tuple[Path, Path]:
    root, images_folder = output_folders()
    return root, root / (images_folder or IMAGES_FOLDER)


def _park_at_exit(queue: JobQueue) -> None:
    """Park the running job when the WebUI ends in order; the program waits for this thread, as it is no daemon.

    What is registered with `atexit` comes too late for that: no thread may be started by then.
    """
    threading.main_thread().join()
    worked_on = queue.runner.running
    if queue.close(PARKING_TIME_S):
        with suppress(
            StoreUnavailable
        ):  # told when a job was recorded, and no reason to end with a traceback
            log_sentences(parked_sentences(queue.store, worked_on))
    else:
        log.warning(
            "The running job did not stop in time; it resumes from its last saved frame at the next start."
        )
    queue.store.close()


def _check(
    submitted: Mapping[str, Any],
    overrides: Mapping[str, Any] | None,
    *,
    resume: str | None = None,
    kind: str = ANIMATION,
) -> Prepared | PreparedTool:
    return prepared_job(host_facts(), submitted, overrides, resume=resume, kind=kind)


def _render(
    prepared: Prepared | PreparedTool, cancel: CancelToken, report: Callable[[Progress], None]
) -> RunResult:
    from deforum_helpers.engines.preview import PreviewEngine
    from deforum_helpers.pipeline.job import run_job
    from deforum_helpers.tools.prepare import PreparedTool
    from deforum_helpers.tools.run import run_tool
    from deforum_helpers.webui.engine import HostEngine, exclusive_device

    if isinstance(prepared, PreparedTool):
        if not prepared.on_device:
            return run_tool(prepared, cancel, report)
        with exclusive_device(cancel) as device:
            return run_tool(prepared, cancel, report, device=str(device))
    engine = PreviewEngine() if prepared.settings.motion_preview_mode else HostEngine()
    return run_job(prepared, engine, cancel, report)


@lru_cache(maxsize=1)
def _started_run_now(files: str, terminate: bool) -> threading.Thread:
    """Render the files once, whatever is reloaded meanwhile."""

    def run() -> None:
        succeeded = False
        try:
            succeeded = run_files(host_queue(), settings_files(files))
            if terminate:
                host_queue().close(PARKING_TIME_S)
        except StoreUnavailable as error:
            log.error("The settings files are not rendered: %s", error.message)
        if terminate:
            sys.stdout.flush()
            # A WebUI has no way to be ended from within with an exit code; its own Ctrl+C does the same.
            os._exit(0 if succeeded else 1)

    thread = threading.Thread(target=run, name="deforum-run-now", daemon=True)
    thread.start()
    return thread


def _run_now(flags: Any) -> None:
    files = flags.deforum_run_now
    if files and settings_files(files):
        _started_run_now(files, bool(flags.deforum_terminate_after_run_now))
