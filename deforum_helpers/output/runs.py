"""What earlier attempts at a run have left: whole frames, on which it goes on, and what must not be overwritten."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from deforum_helpers.core.errors import CheckpointError, Problem, RunInUse, SettingsError
from deforum_helpers.core.files.atomic import disk_errors
from deforum_helpers.core.files.locks import Locked, take
from deforum_helpers.core.files.no_links import Folder
from deforum_helpers.output.frames import is_whole
from deforum_helpers.output.kinds import kind_of
from deforum_helpers.output.manifest import read_manifest
from deforum_helpers.output.paths import (
    CHECKPOINT_ENDING,
    IMAGES_FOLDER,
    LOCK_ENDING,
    SETTINGS_ENDING,
    Run,
    resumed_run,
)
from deforum_helpers.settings import Settings

# Videos that earlier versions named otherwise, and copies that users have made.
_OTHER_VIDEO = re.compile(r"_\w+\.mp4")


def whole_frames(run: Run, known: int, *, depth: bool, shown: Callable[[int], int] = int) -> int:
    """Return how many frames of a run are there without a gap, each from its first byte to its last.

    Args:
        run: names them.
        known: how many a checkpoint says were finished; 0 where it says nothing.
        depth: whether a frame needs its depth map as well.
        shown: gives the number of a frame's file, by its place in the order of rendering.

    Raises:
        CheckpointError: a finished frame is damaged or lacks its depth map, or frame 0 of a run that has more is
            missing.
    """
    frame = 0
    while shown(frame) >= 0 and is_whole(run.frame_path(shown(frame))):
        if depth and not is_whole(run.depth_path(shown(frame))):
            break
        frame += 1
    path = run.frame_path(shown(frame))
    if frame < known and is_whole(path):
        raise _unusable(run, f"depth map {frame}", run.depth_path(shown(frame)))
    if frame < known and os.path.lexists(path):
        raise _unusable(run, f"frame {frame}", path)
    if frame == 0 and (known or frames_from(run, 0)):
        raise _unusable(run, "frame 0", path)
    return frame


def _unusable(run: Run, what: str, path: Path) -> CheckpointError:
    state = "damaged" if os.path.lexists(path) else "missing"
    return CheckpointError(
        f"The run {run.timestring} cannot be resumed: its {what} is {state} ({path.name}). "
        "Put it back, or render anew."
    )


def frames_from(run: Run, first: int, shown: Callable[[int], int] = int) -> list[str]:
    """Return the names of a run's frames and depth maps from the one rendered as `first` on, whole or not."""
    return [
        name
        for name, suffix in _files(run)
        if (found := kind_of(suffix)) and found[1] is not None and shown(found[1]) >= first
    ]


def films(run: Run) -> list[str]:
    """Return the names of all that was made of a run's frames: videos, GIF and subtitles."""
    return [name for name, suffix in _files(run) if _made_of_frames(suffix)]


def _made_of_frames(suffix: str) -> bool:
    found = kind_of(suffix)
    if found is None:
        return _OTHER_VIDEO.fullmatch(suffix) is not None
    kind, frame = found
    return frame is None and kind.name != "settings"


def _files(run: Run) -> list[tuple[str, str]]:
    """Return the name of each file of a run, and what follows the timestring in it."""
    with disk_errors(run.outdir.name), os.scandir(run.outdir) as entries:
        names = sorted(entry.name for entry in entries if not entry.is_dir(follow_symlinks=False))
    start = run.timestring
    return [(name, name[len(start) :]) for name in names if name.startswith(start)]


def set_aside(run: Run, names: Sequence[str]) -> str:
    """Move files of a run that a resume would overwrite into a new folder beside them; return the folder's name.

    Raises:
        DiskFull, RenderError: they cannot be moved.
    """
    number, kept = 1, run.outdir / f"{run.timestring}_replaced"
    while os.path.lexists(kept):
        number += 1
        kept = run.outdir / f"{run.timestring}_replaced_{number}"
    with disk_errors(kept.name), Folder(run.outdir) as here, Folder(kept, make=True) as there:
        for name in names:
            there.take(here, name, name)
    return kept.name


def check_fits(run: Run, there: tuple[int, int, int], wanted: tuple[int, int, int]) -> None:
    """See that the film that is wanted now can go on from the frames of a run.

    Args:
        run: the run.
        there: how many frames it has, and their width and height in pixels.
        wanted: frames, width and height of the film as the settings have them now.

    Raises:
        CheckpointError: the frames are more, or of another size.
    """
    if there[1:] != wanted[1:]:
        sizes = [f"{width} x {height}" for _, width, height in (there, wanted)]
        raise CheckpointError(
            f"The run {run.timestring} cannot be resumed: its frames are {sizes[0]} pixels, but W and H are now "
            f"{sizes[1]}. Set them back, or render anew."
        )
    if there[0] > wanted[0]:
        raise CheckpointError(
            f"The run {run.timestring} cannot be resumed: it has {there[0]} frames, but max_frames is now "
            f"{wanted[0]}. Set max_frames to at least {there[0]}, or render anew."
        )


def unfinished_files(run: Run) -> list[Path]:
    """Return the files of a run, in its folders too, that have only a temporary name yet."""
    found = run.outdir.rglob(".*.part")
    return [path for path in found if run.timestring in str(path.relative_to(run.outdir))]


def remove_unfinished(files: Sequence[Path]) -> None:
    """Remove what nobody will finish; one that is held open by a program, or gone already, is left to that."""
    for path in files:
        with suppress(OSError):
            path.unlink()


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
        RunInUse: another program renders it.
    """
    try:
        lock = take(run.lock_path)
    except Locked as error:
        holder, lock = error.holder, None
        if not (holder.is_this_program or holder.is_elsewhere):
            raise RunInUse(
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
