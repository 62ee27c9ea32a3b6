"""`run`: renders settings files one after the other, with a progress bar; Ctrl-C parks the run."""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from deforum_helpers.cancel import CancelToken
from deforum_helpers.commands.job_files import (
    DEFAULT_OUTPUT_ROOT,
    engine_name,
    host_facts,
    prepare_file,
    print_warnings,
)
from deforum_helpers.errors import DeforumError, Parked, Stopped
from deforum_helpers.output.names import IMAGES_FOLDER
from deforum_helpers.output.runs import remove_unused_claims
from deforum_helpers.prepare import Prepared
from deforum_helpers.scratch import remove_abandoned

if TYPE_CHECKING:
    from deforum_helpers.engines.base import Engine
    from deforum_helpers.job import Progress

STOPPED = 3


def run(options: argparse.Namespace) -> int:
    """Render every file; 0 if all succeeded, 1 if one failed or was stopped, 2 if settings are wrong.

    All files are checked before the first is rendered.
    """
    remove_abandoned()
    facts = host_facts(options, options.out or DEFAULT_OUTPUT_ROOT)
    remove_unused_claims(facts.output_root / IMAGES_FOLDER)
    jobs = [(path, prepare_file(path, options, facts)) for path in options.files]
    ready = [(path, prepared) for path, prepared in jobs if prepared is not None]
    if len(ready) < len(jobs):
        return 2
    from deforum_helpers.engines import make_engine

    try:
        engine = make_engine(
            engine_name(options), checkpoint=options.ckpt, allow_download=options.allow_download
        )
    except DeforumError as error:
        print(error, file=sys.stderr)
        return 1
    codes = []
    for number, (path, prepared) in enumerate(ready, start=1):
        codes.append(_run_one(path, prepared, engine, options))
        if codes[-1] == STOPPED:
            if left := [str(path) for path, _ in ready[number:]]:
                print(f"Not begun and still to be run: {shlex.join(left)}", file=sys.stderr)
            break
    return 1 if any(codes) else 0


def _run_one(path: Path, prepared: Prepared, engine: Engine, options: argparse.Namespace) -> int:
    from deforum_helpers.job import run_job

    cancel, bar = CancelToken(), ProgressBar(sys.stderr)
    print_warnings(prepared.warnings)
    try:
        with _parked_by_ctrl_c(cancel):
            result = run_job(prepared, engine, cancel, bar.show)
    except Parked:
        bar.end()
        if bar.can_go_on:
            parked = f"Parked after {bar.frames} frames. Continue with: {_again(path, bar, options)}"
        else:
            parked = "Stopped before its first frame; give the same command to begin anew."
        print(parked, file=sys.stderr)
        return STOPPED
    except Stopped as error:
        bar.end()
        print(error, file=sys.stderr)
        return STOPPED
    except DeforumError as error:
        bar.end()
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    bar.end()
    print_warnings(result.warnings[len(prepared.warnings) :])
    print(result.video or result.outdir)
    for film in result.more_videos:
        print(film)
    return 0


def _again(path: Path, bar: ProgressBar, options: argparse.Namespace) -> str:
    """Return the command line that continues a parked run."""
    words = [_this_python(), "-m", "deforum_helpers", "run", str(path), "--resume", bar.timestring]
    words += [word for change in options.changes for word in ("--set", change)]
    words += [word for change in options.options for word in ("--option", change)]
    for name in ("engine", "ckpt", "out"):
        value = getattr(options, name)
        words += [f"--{name}", str(value)] if value else []
    return shlex.join([*words, "--allow-download"] if options.allow_download else words)


def _this_python() -> str:
    """Return the interpreter as one would type it here: a bare "python" may be another, without our packages."""
    python, here = Path(sys.executable), Path.cwd()
    return str(python.relative_to(here) if python.is_relative_to(here) else python)


@contextmanager
def _parked_by_ctrl_c(cancel: CancelToken) -> Iterator[None]:
    """The first Ctrl-C parks the run at the next frame, the second cancels what is being drawn."""

    def stop(number: int, frame: FrameType | None) -> None:
        if cancel.wish == "none":
            print("\nStopping at the next frame (Ctrl-C again: at once) ...", file=sys.stderr)
            cancel.park()
        else:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    except KeyboardInterrupt:
        raise Parked("The run was stopped and can be resumed from its last checkpoint.") from None
    finally:
        signal.signal(signal.SIGINT, before)


class ProgressBar:
    """One line that is drawn anew: share done, frames, time left."""

    WIDTH = 30

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._began: tuple[float, int] | None = None
        self._outdir = ""
        self.timestring = ""
        self.frames = 0

    @property
    def can_go_on(self) -> bool:
        """Whether the run has what a resume needs; while the frames of a video are extracted it has not."""
        return Path(self._outdir, f"{self.timestring}_settings.txt").is_file()

    def show(self, progress: Progress) -> None:
        self._outdir, self.timestring, self.frames = progress.outdir, progress.timestring, progress.frame
        if not self._live:
            return
        done = round(self.WIDTH * progress.fraction)
        phase = progress.phase.lower().replace("_", "-")
        text = (
            f"[{'#' * done}{'.' * (self.WIDTH - done)}] {phase} "
            f"{progress.frame}/{progress.max_frames}{self._left(progress)}"
        )
        self._stream.write(f"\r{text[: shutil.get_terminal_size().columns - 1]}\x1b[K")
        self._stream.flush()

    def end(self) -> None:
        if self._live:
            self._stream.write("\n")

    def _left(self, progress: Progress) -> str:
        if progress.phase != "GENERATING":
            return ""
        if self._began is None:
            self._began = (time.monotonic(), progress.frame)
        since, first = self._began
        if progress.frame == first:
            return ""
        seconds = (
            (time.monotonic() - since) / (progress.frame - first) * (progress.max_frames - progress.frame)
        )
        return f", {int(seconds) // 60}:{int(seconds) % 60:02} left"
