"""The runs that an output folder holds: whether one that is to go on is among them, and who renders it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deforum_helpers.errors import CheckpointError, Problem, RunTaken, SettingsError
from deforum_helpers.locks import Locked, take
from deforum_helpers.output.manifest import read_manifest
from deforum_helpers.output.names import (
    CHECKPOINT_ENDING,
    IMAGES_FOLDER,
    LOCK_ENDING,
    SETTINGS_ENDING,
    Run,
    resumed_run,
)
from deforum_helpers.settings import Settings

logger = logging.getLogger(__name__)

NEWEST = 3

_LOCK = re.compile(rf"\.[0-9]{{14}}{re.escape(LOCK_ENDING)}")
_OF_A_RUN = re.compile(rf"\.?([0-9]{{14}})(?:{re.escape(CHECKPOINT_ENDING)}|{re.escape(SETTINGS_ENDING)})")


def resume_problems(
    output_root: Path, settings: Settings, timestring: str | None, images_folder: str = IMAGES_FOLDER
) -> list[Problem]:
    """Return why the run `timestring` cannot go on: it is named wrongly, or is not there; nothing where none is to.

    Args:
        output_root: folder that holds everything the program writes.
        settings: those of the film that goes on with it, seed resolved.
        timestring: 14 digits, or None.
        images_folder: folder inside `output_root` that holds the folders of runs.
    """
    if timestring is None:
        return []
    try:
        run = resumed_run(output_root, settings, timestring, images_folder)
    except SettingsError as error:
        return list(error.problems)
    if os.path.exists(run.checkpoint_path) or os.path.exists(run.settings_path):
        return []
    instead = _instead(run, images_folder)
    return [
        Problem(
            f"resume_timestring is {timestring!r}, but {images_folder}/{run.outdir.name} has neither a checkpoint nor "
            f"settings of such a run; {instead}.",
            setting="resume_timestring",
            found=timestring,
            allowed="the 14 digits of a run that is there",
        )
    ]


@contextmanager
def rendering(run: Run) -> Iterator[None]:
    """Keep every other program of this machine from rendering the run as long as the context lasts.

    A program on another machine may have been found dead by those that share its jobs while the system still holds its
    lock; and what else of this very program works on a run has been given up.

    Raises:
        RunTaken: another program renders it.
    """
    try:
        lock = take(run.lock_path)
    except Locked as error:
        holder, lock = error.holder, None
        if not (holder.is_this_program or holder.is_elsewhere):
            raise RunTaken(
                f"The run {run.timestring} in {run.outdir.name} is being rendered by process {holder.pid}; wait until "
                "that ends, or park it (Ctrl+C there, or Pause in its tab), then resume."
            ) from None
        logger.warning("The run %s is %s; it is taken over.", run.timestring, error)
    except OSError as error:
        lock = None  # whatever keeps a file from being made there is met again by those of the run
        logger.debug("The run %s is not locked: %s", run.timestring, error)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def remove_unused_claims(images: Path) -> None:
    """Remove what a program that was killed left of runs that it had not begun: their locks and empty lists of outputs.

    Args:
        images: folder that holds the folders of runs.
    """
    for path in _locks(images):
        with suppress(OSError, Locked):
            lock = take(path, make=False)
            if lock is None:
                continue
            try:
                _remove_empty_claim(path.parent, path.name[1 : -len(LOCK_ENDING)])
            finally:
                lock.release()


def _locks(images: Path) -> Iterator[Path]:
    with suppress(OSError):
        for folder in os.scandir(images):
            if not folder.is_dir(follow_symlinks=False):
                continue
            with suppress(OSError):
                names = [entry.name for entry in os.scandir(folder)]
                yield from (Path(folder.path, name) for name in names if _LOCK.fullmatch(name))


def _remove_empty_claim(folder: Path, timestring: str) -> None:
    """Remove a list of outputs that lists none, if it is all that there is of a run."""
    run = Run(folder, timestring)
    own = {run.manifest_path.name, run.lock_path.name}
    if any(timestring in path.name and path.name not in own for path in folder.iterdir()):
        return
    with suppress(CheckpointError):
        if not read_manifest(run.manifest_path).files:
            run.manifest_path.unlink()


def _instead(run: Run, images_folder: str) -> str:
    """Return what there is in place of a run."""
    images = run.outdir.parent
    elsewhere = sorted(path.parent.name for path in images.glob(f"*/{run.settings_path.name}"))
    if elsewhere:
        return f"it is in {images_folder}/{elsewhere[0]}, whose name batch_name has to give"
    here = _newest(timestring for timestring, _ in _runs(run.outdir.glob("*")))
    if here:
        return f"the newest there: {', '.join(here)}"
    others = _newest(
        f"{timestring} in {folder}" for timestring, folder in _runs(images.glob(f"*/*{SETTINGS_ENDING}"))
    )
    return f"the newest elsewhere: {', '.join(others)}" if others else "there is no run that could go on"


def _runs(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield the timestring and the folder of every file that tells of a run."""
    for path in paths:
        if found := _OF_A_RUN.fullmatch(path.name):
            yield found[1], path.parent.name


def _newest(runs: Iterable[str]) -> list[str]:
    return sorted(set(runs), reverse=True)[:NEWEST]
