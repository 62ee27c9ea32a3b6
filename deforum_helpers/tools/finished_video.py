"""Encodes the images of a tool as its video."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from deforum_helpers.output.image_steps import encode_video
from deforum_helpers.tools.folders import INPUT_FOLDER, ToolResult, Work


def finish_video(
    images: Sequence[Path],
    video: Path,
    work: Work,
    *,
    fps: float,
    sound: Path | None,
    sound_starts_s: float = 0.0,
    keep_imgs: bool,
    warnings: tuple[str, ...] = (),
) -> ToolResult:
    """Encode the images that a tool made, and remove its extracted input frames.

    Args:
        images: image files in order, in a folder of their own.
        video: the mp4 file, in the tool's folder.
        work: context of the tool.
        fps: frames per second.
        sound: soundtrack, or None.
        sound_starts_s: position in the soundtrack, in seconds, that plays with the first frame.
        keep_imgs: whether the images are kept.
        warnings: warnings for the result.

    Raises:
        RenderError: the video cannot be encoded.
        Cancelled, Parked: the job was stopped.
    """
    counted = encode_video(
        images,
        video,
        fps=fps,
        options=work.options,
        cancel=work.cancel,
        report=work.shares("POST_PROCESSING", len(images), video.parent),
        audio=sound,
        audio_starts_s=sound_starts_s,
    )
    shutil.rmtree(video.parent / INPUT_FOLDER, ignore_errors=True)
    if not keep_imgs:
        shutil.rmtree(images[0].parent, ignore_errors=True)
    return ToolResult(video, counted, fps, tuple(images) if keep_imgs else (), warnings)
