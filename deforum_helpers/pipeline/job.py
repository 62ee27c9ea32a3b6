"""`run_job` renders a prepared job; the command line, the HTTP routes and the tab all call it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import BlankFrame, Cancelled
from deforum_helpers.core.files.atomic import write_whole
from deforum_helpers.core.files.no_links import is_file, read_file
from deforum_helpers.core.progress import CancelToken, Phase, Progress, RunResult, distinct_messages
from deforum_helpers.core.spread import OpenPieceWorkers
from deforum_helpers.engines.base import Engine
from deforum_helpers.engines.memory import memory_notes
from deforum_helpers.engines.preview import PreviewEngine
from deforum_helpers.image.convert import to_bytes
from deforum_helpers.image.types import Image
from deforum_helpers.media.extraction import remove_extracted
from deforum_helpers.models.depth.estimators import DepthEstimator, make_estimator
from deforum_helpers.output.kinds import KINDS, VIDEO
from deforum_helpers.output.manifest import Manifest
from deforum_helpers.output.paths import Run, new_run, resumed_run
from deforum_helpers.output.runs import remove_unfinished, run_lock, set_aside, unfinished_files
from deforum_helpers.output.step_files import StepFiles, StepsAhead, step_files
from deforum_helpers.output.writer import RunWriter
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.last_settings import save_last_settings
from deforum_helpers.pipeline.postproduction import (
    Rendered,
    film_digest,
    finished_manifest,
    has_extra_outputs,
    post_produce,
)
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.pipeline.preview import RunPreview
from deforum_helpers.pipeline.resuming import (
    Start,
    frame_image,
    generator_name,
    restore_memory,
    restore_reference,
    resumed_start,
)
from deforum_helpers.pipeline.segments import EngineWorker, SegmentWorker, rendered_steps
from deforum_helpers.pipeline.sources import (
    extracted_files,
    given_state,
    open_inputs,
    with_depth,
    with_videos,
)
from deforum_helpers.pipeline.work_orders import MoreWorkers, work_order
from deforum_helpers.render.context import RenderContext
from deforum_helpers.render.loop import render
from deforum_helpers.render.plan import Plan
from deforum_helpers.render.state import State
from deforum_helpers.settings import FIELDS, flat_settings

logger = logging.getLogger(__name__)

# Share of the last phase for the main video, where post-production follows.
MAIN_VIDEO_SHARE = 0.1


def run_job(
    prepared: Prepared,
    engine: Engine,
    cancel: CancelToken,
    report: Callable[[Progress], None],
    *,
    resume: str | None = None,
    now: Callable[[], datetime] = datetime.now,
    estimator: Callable[..., DepthEstimator] = make_estimator,
    more_workers: MoreWorkers | None = None,
    image_workers: OpenPieceWorkers | None = None,
) -> RunResult:
    """Render a prepared job.

    Args:
        prepared: from `prepare`.
        engine: generates the images.
        cancel: token to stop the job; the frames of a cancelled job still become a video.
        report: called with every progress, on the calling thread.
        resume: timestring of the run to continue; by default that of `prepared`.
        now: returns the local time.
        estimator: makes a depth model from a name and a device; called only if the plan uses depth.
        more_workers: opens workers that render independent segments at the same time; called only if the run has some.
        image_workers: opens workers for masks of people, upscaling and frame interpolation; by default this process
            makes all images.

    Raises:
        Cancelled: the job was cancelled; its frames are kept and, if two or more, made into a video.
        Parked: the job was parked; a call with `resume` continues it exactly.
        BlankFrame: a frame came out black and the settings end the run there; files as after a cancel.
        RenderError: the job failed; `retryable` if the same job may succeed later.
    """
    plan, resume = prepared.plan, resume or prepared.resume
    if prepared.settings.motion_preview_mode:
        engine = PreviewEngine(engine.device)
    report(Progress("PREPARING", 0.0, 0, plan.frames))
    context = open_inputs(prepared, engine, cancel)
    run = (
        resumed_run(prepared.output_root, prepared.settings, resume, prepared.images_folder)
        if resume
        else new_run(prepared.output_root, prepared.settings, now(), prepared.images_folder)
    )
    with run_lock(run):
        # Listed before the report, which ends an attempt that another process took over: all of these are older.
        leftovers = unfinished_files(run) if resume else []
        report(Progress("PREPARING", 0.05, 0, plan.frames, str(run.outdir), run.timestring))
        remove_unfinished(leftovers)
        run.hide_own_files()
        job = _Job(
            prepared,
            engine,
            run,
            cancel=cancel,
            report=report,
            estimator=estimator,
            more_workers=more_workers,
            image_workers=image_workers,
        )
        manifest = finished_manifest(run, job.film_digest) if resume else None
        if manifest is None:
            context = with_videos(context, prepared, run.outdir, image_workers)
            job.report("PREPARING", 0.1, 0)
            manifest = job.make_frames(job.resumed_start() if resume else job.fresh_start(), context)
        manifest = job.post_produce(manifest)
        if prepared.settings.delete_input_frames:
            remove_extracted(extracted_files(prepared, run.outdir))
        save_last_settings(prepared)
    return RunResult(
        run.outdir,
        run.timestring,
        plan.frames,
        video=next(iter(_videos(run, manifest, "video")), None),
        warnings=(*prepared.warnings, *job.warnings),
        more_videos=_videos(run, manifest, *_more_video_kinds()),
    )


def _videos(run: Run, manifest: Manifest, *kinds: str) -> tuple[Path, ...]:
    return tuple(run.outdir / file.name for file in manifest.files if file.kind in kinds)


def _more_video_kinds() -> Iterator[str]:
    """Yield the downloadable kinds of video other than the main one."""
    for name, kind in KINDS.items():
        if kind.media_type == VIDEO and kind.downloadable and name != "video":
            yield name


class _Job:
    """One attempt at a job, with the values that its parts share."""

    def __init__(
        self,
        prepared: Prepared,
        engine: Engine,
        run: Run,
        *,
        cancel: CancelToken,
        report: Callable[[Progress], None],
        estimator: Callable[..., DepthEstimator],
        more_workers: MoreWorkers | None,
        image_workers: OpenPieceWorkers | None,
    ) -> None:
        self.prepared = prepared
        self.plan: Plan = prepared.plan
        self.engine = engine
        self.cancel = cancel
        self.run = run
        self.warnings = distinct_messages(
            text
            for key in self.plan.key_frames
            for text in engine.warnings(key.request)
            if text not in prepared.warnings
        )
        self._report = report
        self._estimator = estimator
        self._more_workers = more_workers
        self._image_workers = image_workers
        self.film_digest = film_digest(self.saved_settings(), prepared.options, self.plan.digest)
        self._notes_before = len(memory_notes(engine))
        self._main_video_share = MAIN_VIDEO_SHARE if has_extra_outputs(prepared.settings) else 1.0

    def report(self, phase: Phase, fraction: float, frames: int) -> None:
        self._report(
            Progress(
                phase,
                fraction,
                frames,
                self.plan.frames,
                outdir=str(self.run.outdir),
                timestring=self.run.timestring,
                warnings=self.warnings,
            )
        )

    def _warn_of_memory(self) -> None:
        """Add what the engine has noted of its memory since this job began."""
        notes = memory_notes(self.engine)
        if len(notes) > self._notes_before:
            self.warnings = distinct_messages((*self.warnings, *notes[self._notes_before :]))

    def saved_settings(self) -> dict[str, Any]:
        """Return the settings for the settings file: as submitted, with the seed and the names resolved."""
        flat = flat_settings(self.prepared.settings)
        return {
            **{name: value for name, value in flat.items() if FIELDS[name].saved},
            "batch_name": self.run.outdir.name,
            "sd_model_name": self.prepared.model or self.engine.name,
        }

    def fresh_start(self) -> Start:
        """Write the settings file, keep an older one, and return the start of a run without frames."""
        self._write_settings()
        given = given_state(self.prepared, self.engine.device)
        return Start(given, 0, generator_name(self.prepared, self.engine))

    def resumed_start(self) -> Start:
        """Return where the run continues; raises `CheckpointError` if it cannot be resumed."""
        start = resumed_start(self.prepared, self.run, self.engine)
        if start is None:  # the run was stopped before its first frame was finished
            return self.fresh_start()
        self.warnings += start.warnings
        if start.other_settings or not os.path.lexists(self.run.settings_path):
            self._write_settings()
        return start

    def _write_settings(self) -> None:
        """Write the settings file of the run; a file with other content is moved away first."""
        path = self.run.settings_path
        content = json.dumps(self.saved_settings(), indent=4, ensure_ascii=False).encode("utf-8")
        if is_file(path) and read_file(path, len(content) + 1) == content:
            return
        if os.path.lexists(path):
            set_aside(self.run, [path.name])
        write_whole(path, content)

    def make_frames(self, start: Start, context: RenderContext) -> Manifest:
        """Render the remaining frames and the main video; return the manifest.

        Raises:
            Cancelled, BlankFrame: the run ended early; the finished frames were made into a video.
        """
        prepared, end = self.prepared, None
        with RunWriter(
            prepared.settings,
            prepared.options,
            self.plan,
            self.run,
            saved_settings=self.saved_settings(),
            frames_done=start.frames_done,
            soundtrack=prepared.inputs.soundtrack,
            sound_starts_s=prepared.inputs.sound_starts_s,
            film_digest=self.film_digest,
        ) as film:
            self.warnings += film.warnings
            try:
                self._render(film, start, context)
            except (Cancelled, BlankFrame) as error:
                end = error
            self.report("POST_PROCESSING", 0.0, film.frames)
            manifest = film.finish(
                lambda share: self.report("POST_PROCESSING", share * self._main_video_share, film.frames)
            )
        if end is not None:
            raise end
        self._ahead(start.made_by).clear()
        return manifest

    def post_produce(self, manifest: Manifest) -> Manifest:
        """Make the upscaled and interpolated videos that the settings ask for; return the final manifest."""
        prepared, frames = self.prepared, self.plan.frames
        rendered = Rendered(
            settings=prepared.settings,
            options=prepared.options,
            run=self.run,
            fps=self.plan.fps,
            frames=frames,
            settings_json=json.dumps(self.saved_settings(), ensure_ascii=False),
            soundtrack=prepared.inputs.soundtrack,
            sound_starts_s=prepared.inputs.sound_starts_s,
            device=str(self.engine.device),
            resting=self.engine.resting,
            workers=self._image_workers,
        )
        done = self._main_video_share
        return post_produce(
            rendered,
            manifest,
            self.cancel,
            lambda share: self.report("POST_PROCESSING", done + (1 - done) * share, frames),
        )

    def _render(self, film: RunWriter, start: Start, context: RenderContext) -> None:
        """Run the render loop and pass each step to `film`."""
        context = with_depth(context, self.prepared, self._estimator)
        state = start.state
        if self.prepared.settings.seamless_loop and start.frames_done:
            state = replace(state, first=frame_image(self.run, self.plan.video_index(0), self.engine))

        def finished(frame: int) -> Image:
            return frame_image(self.run, self.plan.video_index(frame), self.engine)

        if start.from_frames:
            given = given_state(self.prepared, self.engine.device)
            state = restore_reference(replace(state, reference=given.reference), context, finished)
        state = restore_memory(state, context, finished)
        self.report("GENERATING", start.frames_done / self.plan.frames, start.frames_done)
        with (
            RunPreview(self.prepared, self.run, start.frames_done, self.cancel) as preview,
            closing(self._steps(film, start, state, context)) as steps,
        ):
            for step in steps:
                film.write(step)
                memory_full = messages.SCENE_MEMORY_FULL()
                if step.memory_full and memory_full not in self.warnings:
                    self.warnings += (memory_full,)
                self._warn_of_memory()
                self.report("GENERATING", film.frames / self.plan.frames, film.frames)
                preview.update(film.frames)

    def _ahead(self, made_by: str) -> StepsAhead:
        return StepsAhead(self.run, self.plan.digest, made_by, self.engine.device)

    def _steps(
        self, film: RunWriter, start: Start, state: State, context: RenderContext
    ) -> Generator[StepFiles, None, None]:
        """Yield the remaining steps, rendered by one worker or by several."""
        plan, made_by = self.plan, start.made_by
        ahead = self._ahead(made_by)
        begin = state.steps_done
        left = [segment for segment in plan.independent_segments if segment.stop > begin]
        shared = self._more_workers is not None and len(left) > 1
        if not (shared or ahead.numbers()) or self.prepared.settings.motion_preview_mode:
            for outcome in render(context, state):
                yield step_files(outcome, plan, made_by)
            return

        def waiting(count: int) -> None:
            fraction = min((film.frames + count) / plan.frames, 1.0)
            self.report("GENERATING", fraction, film.frames)

        first = None if state.first is None else to_bytes(state.first)
        given, device, beat = (
            given_state(self.prepared, self.engine.device),
            self.engine.device,
            self.cancel.beat,
        )
        own = EngineWorker(context, given, made_by, state, beat)
        with ExitStack() as stack:
            others: Sequence[SegmentWorker] = ()
            if shared and self._more_workers is not None:
                order = work_order(self.prepared, self.run, made_by)
                others = stack.enter_context(self._more_workers(order, device, beat))
            yield from rendered_steps(
                plan, (own, *others), begin, ahead, self.cancel, first=first, waiting=waiting
            )
