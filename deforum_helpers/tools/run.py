"""Runs a prepared tool as a job, with the same progress, cancellation and manifest as a render."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from deforum_helpers.core.progress import CancelToken, Progress, RunResult
from deforum_helpers.core.spread import OpenPieceWorkers
from deforum_helpers.output.manifest import Manifest, OutputFile, output_file, write_manifest
from deforum_helpers.output.paths import claimed_run
from deforum_helpers.tools.prepare import PreparedTool
from deforum_helpers.tools.work import Work


def run_tool(
    prepared: PreparedTool,
    cancel: CancelToken,
    report: Callable[[Progress], None],
    *,
    device: str | None = None,
    workers: OpenPieceWorkers | None = None,
    now: Callable[[], datetime] = datetime.now,
) -> RunResult:
    """Run a prepared tool and write a manifest of the video and the kept images.

    Args:
        prepared: from `prepare_tool`.
        cancel: checked at every image.
        report: called with the progress, on the calling thread.
        device: torch device for models, by default the host's.
        workers: opens workers that share the images; by default this process makes them.
        now: returns the local time.

    Raises:
        Cancelled, Parked: the job was stopped; no files are left, and a later start begins at the first frame.
        SettingsError, RenderError: the tool failed; no files are left.
    """
    report(Progress("PREPARING", 0.0, 0, prepared.frames))
    work = Work(
        prepared.output_root,
        prepared.options,
        cancel,
        report,
        device or prepared.device,
        prepared.name,
        workers,
    )
    result = prepared.run(work)
    outdir = result.video.parent
    run = claimed_run(outdir, now())
    made = [output_file("video", result.video, result.frames)]
    if prepared.tool != "stitch":  # its images are the input
        for image in result.images:
            name = image.relative_to(outdir).as_posix()
            made.append(OutputFile("frame", name, image.stat().st_size, 1))
    write_manifest(run.manifest_path, Manifest(run.timestring, "", tuple(made)))
    warnings = tuple(dict.fromkeys((*prepared.warnings, *result.warnings)))
    return RunResult(outdir, run.timestring, result.frames, result.video, warnings)
