"""What earlier attempts at a run have left: whole frames, on which it goes on, and what must not be overwritten."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from deforum_helpers.errors import CheckpointError
from deforum_helpers.nolinks import Folder
from deforum_helpers.output.disk import disk_errors
from deforum_helpers.output.frames import is_whole
from deforum_helpers.output.kinds import kind_of
from deforum_helpers.output.names import Run

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
