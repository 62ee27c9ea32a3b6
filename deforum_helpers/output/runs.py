"""The existing files of a run: the frames that a resumed run continues from, and files that it must not overwrite."""

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
from deforum_helpers.core.messages import Text
from deforum_helpers.output import messages
from deforum_helpers.output.kinds import kind_of
from deforum_helpers.output.manifest import read_manifest
from deforum_helpers.output.paths import (
    IMAGES_FOLDER,
    LOCK_ENDING,
    RESUME_STATE_ENDING,
    SETTINGS_ENDING,
    Run,
    resumed_run,
)
from deforum_helpers.settings import Settings

# Videos with names of earlier versions, and copies that users made.
_OTHER_VIDEO = re.compile(r"_\w+\.mp4")


def count_complete_frames(run: Run, known: int, *, depth: bool, shown: Callable[[int], int] = int) -> int:
    """Return the number of complete frames of a run, counted up to the first gap.

    Args:
        run: the run.
        known: number of finished frames according to the resume state; 0 without one.
        depth: whether a frame also needs its depth map.
        shown: maps a position in the order of rendering to the number of the frame's file.

    Raises:
        CheckpointError: a finished frame is damaged or has no depth map, or frame 0 is missing although later frames
            exist.
    """
    from deforum_helpers.output.frames import (
        is_complete_png,  # OpenCV, which a server does without until a run
    )

    frame = 0
    while shown(frame) >= 0 and is_complete_png(run.frame_path(shown(frame))):
        if depth and not is_complete_png(run.depth_path(shown(frame))):
            break
        frame += 1
    path = run.frame_path(shown(frame))
    if frame < known and is_complete_png(path):
        raise _unusable(run, f"depth map {frame}", run.depth_path(shown(frame)))
    if frame < known and os.path.lexists(path):
        raise _unusable(run, f"frame {frame}", path)
    if frame == 0 and (known or frame_files_from(run, 0)):
        raise _unusable(run, "frame 0", path)
    return frame


def _unusable(run: Run, part: str, path: Path) -> CheckpointError:
    state = "damaged" if os.path.lexists(path) else "missing"
    message = messages.RUN_FILE_UNUSABLE(run=run.timestring, part=part, state=state, name=path.name)
    return CheckpointError(message)


def frame_files_from(run: Run, first: int, shown: Callable[[int], int] = int) -> list[str]:
    """Return the file names of frames and depth maps from position `first` in the order of rendering."""
    return [
        name
        for name, suffix in _files(run)
        if (found := kind_of(suffix)) and found[1] is not None and shown(found[1]) >= first
    ]


def derived_files(run: Run) -> list[str]:
    """Return the names of the files made from a run's frames: videos, GIF and subtitles."""
    return [name for name, suffix in _files(run) if _is_derived(suffix)]


def _is_derived(suffix: str) -> bool:
    found = kind_of(suffix)
    if found is None:
        return _OTHER_VIDEO.fullmatch(suffix) is not None
    kind, frame = found
    return frame is None and kind.name != "settings"


def _files(run: Run) -> list[tuple[str, str]]:
    """Return the name of each file of a run, and the part of the name after the timestring."""
    with disk_errors(run.outdir.name), os.scandir(run.outdir) as entries:
        names = sorted(entry.name for entry in entries if not entry.is_dir(follow_symlinks=False))
    start = run.timestring
    return [(name, name[len(start) :]) for name in names if name.startswith(start)]


def set_aside(run: Run, names: Sequence[str]) -> str:
    """Move files that a resumed run would overwrite into a new folder beside them, and return the folder's name.

    Raises:
        DiskFull, RenderError: a file cannot be moved.
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
    """Check that the settings can continue a run from its existing frames.

    Args:
        run: the run.
        there: number of existing frames, and their width and height in pixels.
        wanted: number of frames, width and height according to the settings.

    Raises:
        CheckpointError: the existing frames are too many, or of another size.
    """
    if there[1:] != wanted[1:]:
        sizes = [f"{width} x {height}" for _, width, height in (there, wanted)]
        message = messages.RUN_SIZE_DIFFERS(run=run.timestring, found=sizes[0], wanted=sizes[1])
        raise CheckpointError(message)
    if there[0] > wanted[0]:
        message = messages.RUN_HAS_MORE_FRAMES(run=run.timestring, found=there[0], wanted=wanted[0])
        raise CheckpointError(message)


def unfinished_files(run: Run) -> list[Path]:
    """Return the temporary files of a run, in its folder and subfolders."""
    found = run.outdir.rglob(".*.part")
    return [path for path in found if run.timestring in str(path.relative_to(run.outdir))]


def remove_unfinished(files: Sequence[Path]) -> None:
    """Remove abandoned temporary files; ignore those that are in use or already gone."""
    for path in files:
        with suppress(OSError):
            path.unlink()


logger = logging.getLogger(__name__)

NEWEST = 3

_LOCK = re.compile(rf"\.[0-9]{{14}}{re.escape(LOCK_ENDING)}")
_OF_A_RUN = re.compile(rf"\.?([0-9]{{14}})(?:{re.escape(RESUME_STATE_ENDING)}|{re.escape(SETTINGS_ENDING)})")


def resume_problems(
    output_root: Path, settings: Settings, timestring: str | None, images_folder: str = IMAGES_FOLDER
) -> list[Problem]:
    """Return the problems of `resume_timestring`: its form is wrong, or there is no such run.

    Args:
        output_root: the output folder.
        settings: settings of the resumed run, with a resolved seed.
        timestring: 14 digits, or None if no run is resumed.
        images_folder: folder in `output_root` that holds the folders of runs.
    """
    if timestring is None:
        return []
    try:
        run = resumed_run(output_root, settings, timestring, images_folder)
    except SettingsError as error:
        return list(error.problems)
    if os.path.exists(run.resume_state_path) or os.path.exists(run.settings_path):
        return []
    return [
        Problem(
            _not_found(run, images_folder),
            setting="resume_timestring",
            found=timestring,
            allowed="the 14 digits of an existing run",
        )
    ]


@contextmanager
def run_lock(run: Run) -> Iterator[None]:
    """Lock a run against all other programs on this machine while the context lasts.

    Locks of other machines and of this process are ignored: a machine that shares the jobs may have been declared dead
    while the file system still holds its lock, and an earlier job of this process has been given up.

    Raises:
        RunInUse: another program renders the run.
    """
    try:
        lock = take(run.lock_path)
    except Locked as error:
        holder, lock = error.holder, None
        if not (holder.is_this_program or holder.is_elsewhere):
            raise RunInUse(
                messages.RUN_BEING_RENDERED(run=run.timestring, folder=run.outdir.name, pid=holder.pid)
            ) from None
        logger.warning("The run %s is %s; this job takes it over.", run.timestring, error)
    except OSError as error:
        lock = None  # an unwritable folder is reported when the run writes its first file
        logger.debug("The run %s is not locked: %s", run.timestring, error)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def remove_unused_claims(images: Path) -> None:
    """Remove locks and empty manifests of runs that a killed program had claimed but not begun.

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
    """Remove a manifest without entries, if the run has no other files."""
    run = Run(folder, timestring)
    own = {run.manifest_path.name, run.lock_path.name}
    if any(timestring in path.name and path.name not in own for path in folder.iterdir()):
        return
    with suppress(CheckpointError):
        if not read_manifest(run.manifest_path).files:
            run.manifest_path.unlink()


def _not_found(run: Run, images_folder: str) -> Text:
    """Return the message about a run that does not exist, with the runs that do."""
    images = run.outdir.parent
    missing = {"found": run.timestring, "folder": f"{images_folder}/{run.outdir.name}"}
    elsewhere = sorted(path.parent.name for path in images.glob(f"*/{run.settings_path.name}"))
    if elsewhere:
        return messages.RUN_IN_OTHER_FOLDER(**missing, other=f"{images_folder}/{elsewhere[0]}")
    here = _newest(timestring for timestring, _ in _runs(run.outdir.glob("*")))
    if here:
        return messages.RUN_NOT_FOUND(**missing, newest=", ".join(here))
    others = _newest(
        f"{timestring} in {folder}" for timestring, folder in _runs(images.glob(f"*/*{SETTINGS_ENDING}"))
    )
    if others:
        return messages.RUN_NOT_IN_FOLDER(**missing, newest=", ".join(others))
    return messages.NO_RUNS(**missing)


def _runs(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield the timestring and folder of every resume state and settings file."""
    for path in paths:
        if found := _OF_A_RUN.fullmatch(path.name):
            yield found[1], path.parent.name


def _newest(runs: Iterable[str]) -> list[str]:
    return sorted(set(runs), reverse=True)[:NEWEST]
