"""Renders prepared jobs with one of the project's own engines, which stays loaded between jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from deforum_helpers.core.progress import CancelToken
    from deforum_helpers.core.spread import OpenPieceWorkers
    from deforum_helpers.engines.base import Engine, SharedEngine
    from deforum_helpers.pipeline.job import Progress, RunResult
    from deforum_helpers.pipeline.prepare import Prepared
    from deforum_helpers.pipeline.work_orders import MoreWorkers
    from deforum_helpers.tools.prepare import PreparedTool


class OwnRenderer:
    """Renders jobs of any kind.

    Args:
        make_engine: makes the engine; called for the first job that needs one.
        now: returns the local time, which names new runs.
        in_lockstep: whether several threads render at the same time; the engine is then a `SharedEngine`.

    `more_workers` and `image_workers` open the workers that share a job, as `run_job` takes them.
    """

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        now: Callable[[], datetime] = datetime.now,
        *,
        in_lockstep: bool = False,
    ) -> None:
        self.now = now
        self.more_workers: MoreWorkers | None = None
        self.image_workers: OpenPieceWorkers | None = None
        self._make_engine = make_engine
        self._engine: Engine | None = None
        self._in_lockstep = in_lockstep
        self._making = threading.Lock()

    def __call__(
        self,
        prepared: Prepared | PreparedTool,
        cancel: CancelToken,
        report: Callable[[Progress], None],
    ) -> RunResult:
        """Render a prepared job; raises as `run_job` and `run_tool` do."""
        from deforum_helpers.pipeline.job import run_job
        from deforum_helpers.tools.prepare import PreparedTool

        if isinstance(prepared, PreparedTool):
            return self._run_tool(prepared, cancel, report)
        if prepared.settings.motion_preview_mode:
            from deforum_helpers.engines.preview import PreviewEngine

            return run_job(prepared, PreviewEngine(), cancel, report, now=self.now)
        with self._place() as engine:
            return run_job(
                prepared,
                engine,
                cancel,
                report,
                now=self.now,
                more_workers=self.more_workers,
                image_workers=self.image_workers,
            )

    def engine(self) -> Engine:
        """Return the engine; it is made at the first call."""
        with self._making:
            if self._engine is None:
                self._engine = self._make_engine()
            return self._engine

    @property
    def made(self) -> Engine | None:
        """The engine, None before the first job."""
        return self._engine

    def _place(self) -> AbstractContextManager[Engine]:
        """Return a context with the engine for one job."""
        engine = self.engine()
        return cast("SharedEngine", engine).place() if self._in_lockstep else nullcontext(engine)

    def _run_tool(
        self, prepared: PreparedTool, cancel: CancelToken, report: Callable[[Progress], None]
    ) -> RunResult:
        """Run a tool on the engine's device, whose memory it is lent; without an engine yet, on the host's device."""
        from deforum_helpers.tools.run import run_tool

        if self._engine is None or not prepared.on_device:
            return run_tool(prepared, cancel, report, workers=self.image_workers)
        with self._engine.resting():
            device = str(self._engine.device)
            return run_tool(prepared, cancel, report, device=device, workers=self.image_workers)
