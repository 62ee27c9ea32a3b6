"""`run`: renders settings files one after the other with a progress line; Ctrl-C parks the run."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from deforum_helpers.cli import messages
from deforum_helpers.cli.job_files import (
    DEFAULT_OUTPUT_ROOT,
    engine_name,
    host_facts,
    prepare_file,
    print_warnings,
)
from deforum_helpers.core.errors import DeforumError, Parked, Stopped
from deforum_helpers.core.files.scratch import remove_abandoned
from deforum_helpers.core.progress import CancelToken, Pace, frame_words, state_words
from deforum_helpers.core.progress_line import ProgressLine, above_progress
from deforum_helpers.engines.memory import AUTO
from deforum_helpers.engines.part_options import model_parts, part_words
from deforum_helpers.engines.registry import declared
from deforum_helpers.output.paths import IMAGES_FOLDER, Run
from deforum_helpers.output.runs import remove_unused_claims
from deforum_helpers.pipeline.prepare import Prepared

if TYPE_CHECKING:
    from deforum_helpers.engines.base import Engine
    from deforum_helpers.pipeline.job import Progress

STOPPED = 3


def run(options: argparse.Namespace) -> int:
    """Render each file; return 0 if all succeeded, 1 if one failed or was stopped, 2 if settings are wrong.

    All files are checked before the first is rendered.
    """
    line = ProgressLine(sys.stderr, in_logs=False)
    try:
        ready = _checked(options, line)
        if len(ready) < len(options.files):
            return 2
        return _run_all(ready, _loaded_engine(options, line), options, line)
    except DeforumError as error:
        with above_progress():
            print(error, file=sys.stderr)
        return 1
    finally:
        line.end(keep=False)


def _checked(options: argparse.Namespace, line: ProgressLine) -> list[tuple[Path, Prepared]]:
    """Return the files that can be rendered; print the problems of the others."""
    line.show("Checking", ", ".join(path.name for path in options.files))
    remove_abandoned()
    facts = host_facts(options, options.out or DEFAULT_OUTPUT_ROOT)
    remove_unused_claims(facts.output_root / IMAGES_FOLDER)
    jobs = [(path, prepare_file(path, options, facts)) for path in options.files]
    return [(path, prepared) for path, prepared in jobs if prepared is not None]


def _loaded_engine(options: argparse.Namespace, line: ProgressLine) -> Engine:
    name = engine_name(options)
    engine = declared(name)
    line.show("Loading", options.ckpt if engine.takes_checkpoint else engine.title)
    from deforum_helpers.engines import make_engine

    return make_engine(
        name,
        checkpoint=options.ckpt,
        allow_download=options.allow_download,
        parts=model_parts(options),
        offload=options.offload,
        precision=options.precision,
    )


def _run_all(
    ready: list[tuple[Path, Prepared]], engine: Engine, options: argparse.Namespace, line: ProgressLine
) -> int:
    codes = []
    for number, (path, prepared) in enumerate(ready, start=1):
        codes.append(_run_one(path, prepared, engine, options, line))
        if codes[-1] == STOPPED:
            if left := [str(path) for path, _ in ready[number:]]:
                print(messages.FILES_LEFT(files=shlex.join(left)), file=sys.stderr)
            break
    return 1 if any(codes) else 0


def _run_one(
    path: Path, prepared: Prepared, engine: Engine, options: argparse.Namespace, line: ProgressLine
) -> int:
    from deforum_helpers.pipeline.job import run_job

    cancel, bar = CancelToken(), RunProgress(path.name, line)
    print_warnings(prepared.warnings)
    try:
        with _parked_by_ctrl_c(cancel):
            result = run_job(prepared, engine, cancel, bar.show, **_workers(options))
    except Parked:
        bar.end()
        if bar.can_resume:
            again = _resume_command(path, bar, options)
            print(messages.PARKED_RUN(frames=bar.frames, command=again), file=sys.stderr)
        else:
            print(messages.STOPPED_TOO_EARLY(), file=sys.stderr)
        return STOPPED
    except Stopped as error:
        bar.end()
        print(error, file=sys.stderr)
        return STOPPED
    except DeforumError as error:
        bar.end()
        print(messages.RUN_FAILED(path=path, error=error), file=sys.stderr)
        return 1
    bar.end()
    print_warnings(result.warnings[len(prepared.warnings) :])
    print(result.video or result.outdir)
    for video in result.more_videos:
        print(video)
    return 0


def _workers(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `run_job` that let other processes share a video; none where this one works alone."""
    if options.workers == 1:
        return {}
    from deforum_helpers.pipeline.segment_process import EngineChoice, image_processes, process_workers

    choice = EngineChoice(
        engine_name(options),
        options.ckpt,
        options.allow_download,
        parts=model_parts(options),
        offload=options.offload,
        precision=options.precision,
    )
    return {
        "more_workers": process_workers(choice, options.workers - 1),
        "image_workers": image_processes(options.workers),
    }


def _resume_command(path: Path, bar: RunProgress, options: argparse.Namespace) -> str:
    """Return the command line that resumes a parked run."""
    words = [_this_python(), "-m", "deforum_helpers", "run", str(path), "--resume", bar.timestring]
    words += [word for change in options.changes for word in ("--set", change)]
    words += [word for change in options.options for word in ("--option", change)]
    for name in ("engine", "ckpt", "out"):
        value = getattr(options, name)
        words += [f"--{name}", str(value)] if value else []
    words += part_words(model_parts(options))
    words += ["--offload", options.offload] if options.offload != AUTO else []
    words += ["--precision", options.precision] if options.precision != AUTO else []
    words += ["--workers", str(options.workers)] if options.workers > 1 else []
    return shlex.join([*words, "--allow-download"] if options.allow_download else words)


def _this_python() -> str:
    """Return this interpreter as a path to type here: "python" may be another one, without our packages."""
    python, here = Path(sys.executable), Path.cwd()
    return str(python.relative_to(here) if python.is_relative_to(here) else python)


@contextmanager
def _parked_by_ctrl_c(cancel: CancelToken) -> Iterator[None]:
    """Let the first Ctrl-C park the run at the next frame, and the second one stop it at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if cancel.stop_request == "none":
            with above_progress():
                print(messages.STOPPING(), file=sys.stderr)
            cancel.park()
        else:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    except KeyboardInterrupt:
        raise Parked(messages.STOPPED_AT_ONCE()) from None
    finally:
        signal.signal(signal.SIGINT, before)


class RunProgress:
    """Shows the progress of a run, and remembers its place for the message at its end."""

    def __init__(self, name: str, line: ProgressLine) -> None:
        self._name = name
        self._line = line
        self._pace = Pace()
        self._outdir = ""
        self.timestring = ""
        self.frames = 0

    @property
    def can_resume(self) -> bool:
        """Whether the settings file exists; before that, while input frames are extracted, a run cannot be resumed."""
        return Run(Path(self._outdir), self.timestring).settings_path.is_file()

    def show(self, progress: Progress) -> None:
        self._outdir, self.timestring, self.frames = progress.outdir, progress.timestring, progress.frame
        pace = self._pace.seconds_per_frame(progress)
        left = pace * (progress.max_frames - progress.frame)
        frames = frame_words(progress.frame, progress.max_frames, seconds_per_frame=pace, eta_seconds=left)
        words = f"{state_words(progress.phase)}, {frames}"
        self._line.show(self._name, words, progress.fraction, stage=progress.phase)

    def end(self) -> None:
        self._line.end()
