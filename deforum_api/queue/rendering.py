"""Renders prepared jobs with one of the project's own engines, which stays loaded between jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.tools.prepare import PreparedTool

if TYPE_CHECKING:
    from deforum_helpers.core.progress import CancelToken
    from deforum_helpers.core.spread import OpenPieceWorkers
    from deforum_helpers.engines.base import Engine
    from deforum_helpers.pipeline.job import Progress, RunResult
    from deforum_helpers.pipeline.work_orders import MoreWorkers


class OwnRenderer:
    """Renders jobs of any kind.

    Args:
        make_engine: makes the engine; called for the first job that needs one.
        now: returns the local time, which names new runs.

    `more_workers` and `image_workers` open the workers that share a job, as `run_job` takes them.
    """

    def __init__(self, make_engine: Callable[[], Engine], now: Callable[[], datetime] = datetime.now) -> None:
        self.now = now
        self.more_workers: MoreWorkers | None = None
        self.image_workers: OpenPieceWorkers | None = None
        self._make_engine = make_engine
        self._engine: Engine | None = None

    def __call__(
        self,
        prepared: Prepared | PreparedTool,
        cancel: CancelToken,
        report: Callable[[Progress], None],
    ) -> RunResult:
        """Render a prepared job; raises as `run_job` and `run_tool` do."""
        if isinstance(prepared, PreparedTool):
            return self._run_tool(prepared, cancel, report)
        from deforum_helpers.pipeline.job import run_job

        if prepared.settings.motion_preview_mode:
            from deforum_helpers.engines.preview import PreviewEngine

            return run_job(prepared, PreviewEngine(), cancel, report, now=self.now)
        return run_job(
            prepared,
            self.engine(),
            cancel,
            report,
            now=self.now,
            more_workers=self.more_workers,
            image_workers=self.image_workers,
        )

    def engine(self) -> Engine:
        """Return the engine; it is made at the first call."""
        if self._engine is None:
            self._engine = self._make_engine()
        return self._engine

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
