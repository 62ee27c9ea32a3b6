"""A prepared tool at work for a queue: the same progress, cancelling and list of outputs as an animation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from deforum_helpers.core.progress import CancelToken, Progress, RunResult
from deforum_helpers.output.manifest import Manifest, OutputFile, output_file, write_manifest
from deforum_helpers.output.paths import claimed_run
from deforum_helpers.tools.folders import Work
from deforum_helpers.tools.prepare import PreparedTool


def run_tool(
    prepared: PreparedTool,
    cancel: CancelToken,
    report: Callable[[Progress], None],
    *,
    device: str | None = None,
    now: Callable[[], datetime] = datetime.now,
) -> RunResult:
    """Run a prepared tool; a manifest beside the video lists it and the pictures that were kept.

    Args:
        prepared: from `prepare_tool`.
        cancel: the wish to stop, asked at every picture.
        report: is told of every progress, on the calling thread.
        device: where models run; by default that of the host.
        now: local time.

    Raises:
        Cancelled, Parked: it was told to stop; nothing is left, so that it starts again from its first frame.
        SettingsError, RenderError: it failed; nothing is left.
    """
    report(Progress("PREPARING", 0.0, 0, prepared.frames))
    work = Work(
        prepared.output_root, prepared.options, cancel, report, device or prepared.device, prepared.name
    )
    result = prepared.run(work)
    outdir = result.video.parent
    run = claimed_run(outdir, now())
    made = [output_file("video", result.video, result.frames)]
    if prepared.tool != "stitch":  # whose pictures are its input
        for picture in result.pictures:
            name = picture.relative_to(outdir).as_posix()
            made.append(OutputFile("frame", name, picture.stat().st_size, 1))
    write_manifest(run.manifest_path, Manifest(run.timestring, "", tuple(made)))
    warnings = tuple(dict.fromkeys((*prepared.warnings, *result.warnings)))
    return RunResult(outdir, run.timestring, result.frames, result.video, warnings)
