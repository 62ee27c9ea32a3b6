"""The standalone server: the API, its documentation, the tab, and rendering."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import socket
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI

from deforum_api.hosts import messages
from deforum_api.hosts.bug_report import write_bug_report
from deforum_api.hosts.connections import ACCEPTED_AT_ONCE, KEEP_ALIVE_S, BoundedConnection, end_overdue
from deforum_api.hosts.flags import flag_problem, make_parser, ray_settings
from deforum_api.hosts.own_host import database_path, health, local_executor, make_queue
from deforum_api.hosts.run_now import run_files, settings_files
from deforum_api.hosts.unfinished import log_sentences, parked_sentences, resumed_sentences
from deforum_api.http.app import FaultLog, Gate, mount
from deforum_api.http.docs_pages import add_docs, redirect_home_to_docs
from deforum_api.http.security import Access, access_of
from deforum_api.queue.checks.processes import CheckerPool
from deforum_api.queue.descriptors import max_connections
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.logs import FORMAT, PACKAGES, OneLineFormatter, RepeatFilter, log_level, write_log_file
from deforum_api.queue.ray.executor import RayExecutor
from deforum_api.queue.ray.settings import WorkerSetup
from deforum_api.queue.sqlite import SqliteStore
from deforum_api.queue.submission import Limits
from deforum_api.tab.page import TITLE_SCRIPT, TabPage
from deforum_api.tab.routes import add_tab_routes
from deforum_api.tab.service import QueueService, has_desktop
from deforum_api.version import VERSION
from deforum_helpers.core.errors import DeforumError
from deforum_helpers.core.files.scratch import DROPPED, ScratchFolder
from deforum_helpers.core.library_environment import (
    let_allocator_keep_memory,
    let_cpu_replace_missing_operators,
    let_program_end_without_collection,
    let_waiting_threads_sleep,
)
from deforum_helpers.core.progress_line import LogLines
from deforum_helpers.engines.part_options import model_parts
from deforum_helpers.pipeline.host_facts import HostFacts, check_checkpoint, own_engine, own_facts
from deforum_helpers.ui.service import Event
from deforum_helpers.ui.uploads import Uploads

if TYPE_CHECKING:
    from deforum_helpers.engines.base import Engine

log = logging.getLogger(__name__)

PARKING_TIME_S = 8.0
WAITING_CLIENTS = 128
AWAKE_S = 5.0
# While a job renders, an answer waits this long for each of its turns; Python's own 5 ms add up to tens of them.
SWITCH_INTERVAL_S = 0.0005


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal stops the server; return the exit code."""
    return serve(make_parser().parse_args(arguments))


def serve(flags: Namespace) -> int:
    """Serve according to the flags until a signal stops the server; return the exit code."""
    let_waiting_threads_sleep()
    let_cpu_replace_missing_operators()
    let_allocator_keep_memory()
    let_program_end_without_collection()
    problem = flag_problem(flags)
    if problem:
        print(problem, file=sys.stderr)
        return 2
    if flags.deforum_debug:
        return bug_report(flags)
    configure_log()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        engine = chosen_engine(flags)
        listening = listen(flags.port, "0.0.0.0" if flags.listen else "127.0.0.1")
        write_log_file(Path(flags.deforum_outdir).expanduser(), ("",))
        queue, app = build(flags, engine)
    except (DeforumError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    server = Server(app, queue, listening, lambda: _start_run_now(flags, queue, server))
    server.run(sockets=[listening])
    sys.stdout.flush()
    if not server.parked:
        log.warning(
            "The running job did not stop in time; it resumes from its last saved frame at the next start."
        )
        os._exit(server.exit_code)
    queue.store.close()
    return server.exit_code


def bug_report(flags: Namespace) -> int:
    """Write the file for a bug report that the flags ask for; return the exit code."""
    facts = _facts(flags, own_engine(flags.deforum_engine, flags.ckpt))
    path = Path(flags.deforum_debug).expanduser()
    try:
        write_bug_report(path, facts, flags, with_prompts=flags.deforum_debug_prompts)
    except FileExistsError:
        print(messages.REPORT_EXISTS(path=path), file=sys.stderr)
    except OSError as error:
        print(messages.REPORT_NOT_WRITTEN(path=path, reason=error.strerror), file=sys.stderr)
    else:
        print(messages.REPORT_WRITTEN(path=path))
        return 0
    return 2


def chosen_engine(flags: Namespace) -> str:
    """Return the name of the engine that the flags ask for.

    Raises:
        ModelError: its checkpoint cannot be used.
    """
    engine = own_engine(flags.deforum_engine, flags.ckpt)
    check_checkpoint(engine, flags.ckpt, flags.allow_download, model_parts(flags))
    return engine


def build(flags: Namespace, engine: str) -> tuple[JobQueue, FastAPI]:
    """Return the job queue, which continues the unfinished jobs, and the app.

    Raises:
        StoreUnavailable: the job database cannot be used.
        DeforumError: flags about webhooks or uploads cannot be carried out.
    """
    facts = _facts(flags, engine)
    limits = Limits(hang_after_s=flags.deforum_hang_after)
    checks = CheckerPool(lambda: facts)
    store = SqliteStore(database_path(flags, facts.output_root))
    made: list[Engine] = []

    def make() -> Engine:
        made.append(_engine(engine, flags))
        return made[-1]

    def engine_made() -> Engine | None:
        return made[-1] if made else None

    def state() -> dict[str, Any]:
        return health(facts, engine_made())

    queue = make_queue(
        facts,
        make,
        store,
        limits,
        checks,
        executor=_executor(facts, engine, engine_made, flags),
        flag=lambda name, default: getattr(flags, name, default),
    )
    both = flags.deforum_api or not flags.deforum_simple_api
    access = access_of(flags)
    return queue, make_app(queue, access, state, api=both, tab=_tab(queue, facts, access, api=both))


def _tab(queue: JobQueue, facts: HostFacts, access: Access, *, api: bool) -> Callable[[FastAPI], None] | None:
    """Return what serves the tab at `/`, or None where gradio is not installed; its title follows jobs by the API."""
    if importlib.util.find_spec("gradio") is None:
        log.warning("The page at / requires gradio; / leads to /docs. Install it with: pip install gradio")
        return None
    from deforum_helpers.ui import mount as mount_tab

    def serve(app: FastAPI) -> None:
        at_home = not access.any_address and has_desktop()
        service = QueueService(queue, facts, keeps_options=True, opens_folders=at_home)
        dropped = ScratchFolder(DROPPED)
        app.state.dropped = dropped  # the folder goes with the app
        uploads, events = Uploads(dropped.path, facts.output_root), dict[int, Event]()
        add_tab_routes(app, events, uploads, facts.output_root)
        events |= mount_tab(app, service, uploads, TITLE_SCRIPT.read_text(encoding="utf-8") if api else "")

    return TabPage(serve).mount


def make_app(
    queue: JobQueue,
    access: Access,
    facts: Callable[[], dict[str, Any]],
    *,
    api: bool = True,
    tab: Callable[[FastAPI], None] | None = None,
) -> FastAPI:
    """Return our own app: the API, its documentation and the tab, all behind one gate.

    `tab` serves the page at `/`, which leads to the documentation without it.
    """
    app = FastAPI(title="Deforum", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None)
    mount(app, queue, access, facts, api=api)
    add_docs(app)
    serve_home = tab or redirect_home_to_docs
    serve_home(app)
    app.add_middleware(Gate, access=access)
    return app


def listen(port: int, address: str) -> socket.socket:
    """Return a socket that listens on `port`, 0 = a free one.

    Raises:
        OSError: the port is taken; the message says what to do.
    """
    # With the protocol named, asyncio sends small answers at once instead of waiting for the client's ACK.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name != "nt":
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
        listening.listen(WAITING_CLIENTS)
    except OSError as error:
        listening.close()
        raise OSError(messages.PORT_UNUSABLE(port=port, reason=error.strerror)) from error
    return listening


class Server(uvicorn.Server):
    """Serves the app, prints its address once it is ready, and parks the running job at the end."""

    def __init__(
        self, app: FastAPI, queue: JobQueue, listening: socket.socket, started: Callable[[], None]
    ) -> None:
        most = max_connections()
        config = uvicorn.Config(
            FaultLog(app),
            loop="asyncio",  # whose `backlog` bounds what is accepted at one moment
            http=type("Connection", (BoundedConnection,), {"most": most}),
            ws="none",
            backlog=ACCEPTED_AT_ONCE,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        super().__init__(config)
        self.exit_code = 0
        self.parked = True
        self._queue = queue
        self._listening = listening
        self._started = started
        self._looked_at = 0.0
        self._left = resumed_sentences(queue.store)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._listening.listen(WAITING_CLIENTS)  # others wait in the system until they are accepted
            address, port = self._listening.getsockname()[:2]
            running = messages.RUNNING_EVERYWHERE if address == "0.0.0.0" else messages.RUNNING_ON
            print(running(port=port), flush=True)
            log_sentences(self._left)
            self._queue.checks.start()
            self._started()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            before, self._looked_at = self._looked_at, asyncio.get_running_loop().time()
            if self._looked_at - before < AWAKE_S:  # else it was us who slept
                end_overdue(self.server_state.connections, self._looked_at)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        worked_on = self._queue.runner.running
        log_sentences(messages.STOPPING(job=job_id) for job_id in worked_on)
        parking = asyncio.create_task(asyncio.to_thread(self._queue.close, PARKING_TIME_S))
        await super().shutdown(sockets=sockets)
        self.parked = await parking
        log_sentences(parked_sentences(self._queue.store, worked_on) if self.parked else ())

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop in order; uvicorn itself would end the program by the signal before the job is parked."""
        self.should_exit = True


def configure_log() -> None:
    """Write the log of every module to standard error, from the level that the environment asks for."""
    writer = LogLines()
    writer.setFormatter(OneLineFormatter(FORMAT))
    writer.addFilter(RepeatFilter())
    logging.basicConfig(level="WARNING", handlers=[writer], force=True)
    logging.captureWarnings(True)
    for name in PACKAGES:
        logging.getLogger(name).setLevel(log_level())


def _facts(flags: Namespace, engine: str) -> HostFacts:
    root = Path(flags.deforum_outdir).expanduser()
    return own_facts(engine, flags.ckpt or None, root, parts=model_parts(flags))


def _engine(name: str, flags: Namespace) -> Any:
    from deforum_helpers.engines import make_engine

    return make_engine(
        name,
        checkpoint=flags.ckpt or None,
        allow_download=flags.allow_download,
        parts=model_parts(flags),
        offload=flags.deforum_offload,
        precision=flags.deforum_precision,
    )


def _executor(
    facts: HostFacts, engine: str, engine_made: Callable[[], Engine | None], flags: Namespace
) -> RayExecutor | None:
    settings = ray_settings(flags)
    if settings is None:
        return None
    setup = WorkerSetup(
        engine,
        flags.ckpt or None,
        flags.allow_download,
        facts.output_root,
        parts=model_parts(flags),
        offload=flags.deforum_offload,
        precision=flags.deforum_precision,
    )
    return RayExecutor(settings, setup, local_executor(facts, engine_made))


def _start_run_now(flags: Namespace, queue: JobQueue, server: Server) -> None:
    files = settings_files(flags.deforum_run_now)
    if not files:
        return

    def run() -> None:
        succeeded = run_files(queue, files)
        if flags.deforum_terminate_after_run_now:
            server.exit_code = 0 if succeeded else 1
            server.should_exit = True

    threading.Thread(target=run, name="deforum-run-now", daemon=True).start()


if __name__ == "__main__":
    raise SystemExit(main())
