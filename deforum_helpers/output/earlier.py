"""What earlier attempts at a run have left: whole frames, on which it goes on, and halves of files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from deforum_helpers.errors import CheckpointError
from deforum_helpers.output.frames import is_whole
from deforum_helpers.output.names import Run


def check_frames(run: Run, count: int, *, depth: bool) -> None:
    """See that the first `count` frames of a run are there, from the first byte to the last.

    Args:
        run: names them.
        count: how many.
        depth: whether each has a depth map, which is to be there as well.

    Raises:
        CheckpointError: one is missing, or only half there.
    """
    for frame in range(count):
        _check(run, f"frame {frame}", run.frame_path(frame))
        if depth:
            _check(run, f"depth map {frame}", run.depth_path(frame))


def _check(run: Run, what: str, path: Path) -> None:
    if not is_whole(path):
        state = "damaged" if path.exists() else "missing"
        raise CheckpointError(
            f"The run {run.timestring} cannot be resumed: its {what} is {state} ({path.name}). "
            "Put it back, or render anew."
        )


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
