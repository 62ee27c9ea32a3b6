"""The video of a tool's images."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from deforum_helpers.output.image_steps import film_of
from deforum_helpers.tools.folders import INPUT_FOLDER, ToolResult, Work


def filmed(
    pictures: Sequence[Path],
    film: Path,
    work: Work,
    *,
    fps: float,
    sound: Path | None,
    sound_starts_s: float = 0.0,
    keep_imgs: bool,
    warnings: tuple[str, ...] = (),
) -> ToolResult:
    """Make the film of the pictures that a tool has drawn, and remove what it drew them from.

    Args:
        pictures: in order, in a folder of their own.
        film: its file, in the tool's folder.
        work: how, and who is told.
        fps: of the film.
        sound: of the film, or None.
        sound_starts_s: second of it that is heard with the first frame.
        keep_imgs: whether the pictures stay.
        warnings: for the result.

    Raises:
        RenderError: there is no film.
        Cancelled, Parked: the tool was told to stop.
    """
    counted = film_of(
        pictures,
        film,
        fps=fps,
        options=work.options,
        cancel=work.cancel,
        report=work.shares("POST_PROCESSING", len(pictures), film.parent),
        audio=sound,
        audio_starts_s=sound_starts_s,
    )
    shutil.rmtree(film.parent / INPUT_FOLDER, ignore_errors=True)
    if not keep_imgs:
        shutil.rmtree(pictures[0].parent, ignore_errors=True)
    return ToolResult(film, counted, fps, tuple(pictures) if keep_imgs else (), warnings)
