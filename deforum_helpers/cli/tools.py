"""`interpolate`, `upscale`, `vid2depth` and `stitch`: tools for existing videos and images."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deforum_helpers.cli.rendering import worker_count
from deforum_helpers.core.errors import DeforumError, SettingsError, group_problems, summary_of
from deforum_helpers.core.progress import CancelToken, Progress, frame_words, state_words
from deforum_helpers.core.progress_line import ProgressLine
from deforum_helpers.settings.tables import INTERPOLATION_ENGINES, UPSCALE_FACTORS, UPSCALE_MODELS

if TYPE_CHECKING:
    from deforum_helpers.tools.work import ToolResult, Work

VIDEO_HELP = "a video, or a folder or pattern of images, shown at 15 frames per second"


def add_options(name: str, parser: argparse.ArgumentParser) -> None:
    """Add the options of tool `name` to its parser."""
    parser.set_defaults(command=name)
    _OPTIONS[name](parser)
    if name != "stitch":
        parser.add_argument("--keep-pictures", action="store_true", help="keep the images beside the video")
    parser.add_argument("--out", type=Path, metavar="PATH", help="output root")
    parser.add_argument("--device", default="cpu", help="device for networks: cpu, cuda (default: cpu)")
    if name != "stitch":
        parser.add_argument(
            "--workers",
            type=worker_count,
            default=1,
            metavar="N",
            help="processes that share the images; one GPU for each if there are several (default: 1)",
        )


def _add_interpolate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a video; or images, listed in order or as a folder or pattern",
    )
    engines = INTERPOLATION_ENGINES[1:]
    parser.add_argument("--engine", choices=engines, default="Flow", help="default: Flow")
    parser.add_argument(
        "--times", type=int, default=2, metavar="X", help="factor of the number of frames (default: 2)"
    )
    parser.add_argument("--slower", type=int, metavar="X", help="slow-motion factor; drops the sound")
    parser.add_argument(
        "--fps", type=float, default=15.0, help="frames per second of a video made from images (default: 15)"
    )
    parser.add_argument("--sound", type=Path, metavar="FILE", help="sound file for a video made from images")


def _add_upscale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="VIDEO", help=VIDEO_HELP)
    names = f"{', '.join(UPSCALE_MODELS)}, or the name of a model file (default: Lanczos)"
    parser.add_argument("--model", metavar="NAME", default="Lanczos", help=names)
    parser.add_argument("--factor", choices=UPSCALE_FACTORS, default="x2", help="default: x2")


def _add_vid2depth(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="VIDEO", help=VIDEO_HELP)
    parser.add_argument("--mode", default="Depth", help="Depth (default), or: None (just grayscale)")
    parser.add_argument("--algorithm", default="Depth-Anything-V2-Small", help="as depth_algorithm")
    parser.add_argument(
        "--thresholding", default="None", help="None, Simple, Simple (Auto-value), Adaptive (Mean) ..."
    )
    parser.add_argument("--lower", type=int, default=127)
    parser.add_argument("--upper", type=int, default=255)
    parser.add_argument("--block-size", type=int, default=11)
    parser.add_argument("--c", type=float, default=2.0)
    parser.add_argument("--far-is-bright", action="store_true", help="far areas are bright (grayscale only)")
    parser.add_argument(
        "--blur", type=float, default=0.0, help="standard deviation of the final blur, in pixels"
    )


def _add_stitch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pattern", metavar="PATTERN", help="numbered images, as in frames/shot_%%09d.png, or one of them"
    )
    parser.add_argument("--fps", type=float, default=15.0, help="default: 15")
    parser.add_argument("--sound", type=Path, metavar="FILE", help="sound file, or video with sound")


def run_tool(options: argparse.Namespace) -> int:
    """Run a tool; return 0 if its video was made, 1 if it failed or was stopped, 2 if the arguments are wrong."""
    from deforum_helpers.cli.job_files import DEFAULT_OUTPUT_ROOT
    from deforum_helpers.tools.work import Work

    cancel, line = CancelToken(), ProgressLine(sys.stderr, in_logs=False)
    root = (options.out or DEFAULT_OUTPUT_ROOT).resolve()

    def report(progress: Progress) -> None:
        frames = frame_words(progress.frame, progress.max_frames)
        words = f"{state_words(progress.phase)}, {frames}"
        line.show(options.command, words, progress.fraction, stage=progress.phase)

    line.show(options.command, "preparing", stage="preparing")
    workers = None
    if getattr(options, "workers", 1) > 1:
        from deforum_helpers.pipeline.segment_process import image_processes

        workers = image_processes(options.workers)
    work = Work(output_root=root, cancel=cancel, report=report, device=options.device, workers=workers)
    try:
        try:
            with _cancelled_by_ctrl_c(cancel):
                result = _TOOLS[options.command](options, work)
        finally:
            line.end()
    except SettingsError as error:
        for group in group_problems(error.problems):
            print(summary_of(group), file=sys.stderr)
        return 2
    except DeforumError as error:
        print(error, file=sys.stderr)
        return 1
    for warning in result.warnings:
        print(f"  warning: {warning}", file=sys.stderr)
    print(result.video)
    return 0


@contextmanager
def _cancelled_by_ctrl_c(cancel: CancelToken) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, lambda number, frame: cancel.cancel())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interpolate(options: argparse.Namespace, work: Work) -> ToolResult:
    from deforum_helpers.tools.interpolate import interpolate_image_sequence, interpolate_video

    if (images := _images(options.files)) is not None:
        return interpolate_image_sequence(
            images,
            work,
            fps=options.fps,
            engine=options.engine,
            x_amount=options.times,
            slow_mo_amount=options.slower,
            keep_imgs=options.keep_pictures,
            soundtrack=options.sound,
        )
    return interpolate_video(
        options.files[0],
        work,
        engine=options.engine,
        x_amount=options.times,
        slow_mo_amount=options.slower,
        keep_imgs=options.keep_pictures,
    )


def _images(files: Sequence[Path]) -> Sequence[Path] | None:
    """Return the images that files, a folder or a pattern name; None for a video."""
    from deforum_helpers.media.image_sequences import is_image_sequence, read_image_sequence

    if len(files) > 1:
        return files
    if not is_image_sequence(files[0]):
        return None
    images = read_image_sequence(files[0], setting="The list of images", name=str(files[0]))
    return [still.path for still in images.stills] if images else None


def _upscale(options: argparse.Namespace, work: Work) -> ToolResult:
    from deforum_helpers.tools.upscale import upscale_video

    keep = options.keep_pictures
    return upscale_video(options.file, work, model=options.model, factor=options.factor, keep_imgs=keep)


def _vid2depth(options: argparse.Namespace, work: Work) -> ToolResult:
    from deforum_helpers.tools.vid2depth import DepthLook, video_to_depth

    look = DepthLook(
        mode=options.mode,
        thresholding=options.thresholding,
        lower=options.lower,
        upper=options.upper,
        block_size=options.block_size,
        c=options.c,
        invert=not options.far_is_bright,
        end_blur=options.blur,
        algorithm=options.algorithm,
    )
    return video_to_depth(options.file, work, look, keep_imgs=options.keep_pictures)


def _stitch(options: argparse.Namespace, work: Work) -> ToolResult:
    from deforum_helpers.tools.stitch import stitch_frames

    return stitch_frames(options.pattern, work, fps=options.fps, soundtrack=options.sound)


_OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "interpolate": _add_interpolate,
    "upscale": _add_upscale,
    "vid2depth": _add_vid2depth,
    "stitch": _add_stitch,
}
_TOOLS: dict[str, Callable[[argparse.Namespace, Work], ToolResult]] = {
    "interpolate": _interpolate,
    "upscale": _upscale,
    "vid2depth": _vid2depth,
    "stitch": _stitch,
}
