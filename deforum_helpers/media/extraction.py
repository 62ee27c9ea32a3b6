"""Extraction of frames into image files."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deforum_helpers.core.errors import SettingsError, VideoError
from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import Folder, is_file, make_folder, read_file, remove_file
from deforum_helpers.core.files.regular import UnusableFile
from deforum_helpers.core.messages import Text
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.media import messages
from deforum_helpers.media.containers import UprightConverter, decode_frames, open_media, video_stream
from deforum_helpers.media.footage import Selection, VideoInfo, inspect_video, stem_of
from deforum_helpers.media.image_sequences import load_images, sequence_digest

__all__ = ["Selection", "VideoInfo", "extract_frames", "inspect_video", "remove_extracted", "stem_of"]

RECORD_BYTES = 64 * 1024
_IMAGE_QUALITY, _FRAME_QUALITY = 98, 96
_WRITERS = min(os.cpu_count() or 1, 8)


def extract_frames(
    footage: VideoInfo,
    folder: Path,
    selection: Selection,
    cancel: CancelToken,
    *,
    overwrite: bool = False,
) -> tuple[Path, ...]:
    """Extract the selected frames of a video as JPEG files, named after the video and numbered from 0.

    Files already extracted from the same video with the same selection are reused, unless `overwrite` is set.

    Args:
        footage: the video.
        folder: created if missing; other files in it stay.
        selection: the frames to extract.
        cancel: checked at each frame.
        overwrite: whether to extract existing files again.

    Raises:
        VideoError: the video has another number of frames than when it was inspected.
        DiskFull, RenderError: a file cannot be written.
        Cancelled, Parked: the job was stopped; no partial result is left.
    """
    paths = extracted_paths(footage, folder, selection)
    count = len(paths)
    record = record_path(folder, footage.name)
    record_text = _record_text(footage, selection)
    if not overwrite and read_record(record) == record_text and all(is_file(path) for path in paths):
        return paths
    with disk_errors(folder.name):
        make_folder(folder)
        scratch = Path(tempfile.mkdtemp(prefix=".extracting-", dir=folder))
    try:
        if footage.stills:
            _save_sequence(footage, scratch, selection, cancel)
        else:
            _save_video(footage, scratch, selection, cancel)
        made = sorted(scratch.glob("*.jpg"))
        if len(made) != count:
            message = messages.EXTRACTED_COUNT(name=footage.path.name, found=len(made), expected=count)
            raise VideoError(message)
        with disk_errors(folder.name), Folder(scratch) as there, Folder(folder) as here:
            for image, path in zip(made, paths, strict=True):
                here.take(there, image.name, path.name)
        write_whole(record, record_text.encode())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return paths


def _record_text(footage: VideoInfo, selection: Selection) -> str:
    """Return the record of a video and selection, by which existing frames are recognized."""
    try:
        if footage.stills:
            source: dict[str, object] = {"pictures": sequence_digest(footage.stills)}
        else:
            source = {"bytes": footage.path.stat().st_size}
    except OSError as error:
        raise _gone(footage, f"cannot be read ({error.strerror})") from error
    rate = {"fps": footage.fps} if footage.uneven else {}
    return json.dumps({**source, "frames": footage.frames, **asdict(selection), **rate})


def _gone(footage: VideoInfo, why: str) -> VideoError:
    return VideoError(messages.INPUT_GONE(name=footage.path.name, why=why))


def extracted_paths(footage: VideoInfo, folder: Path, selection: Selection) -> tuple[Path, ...]:
    """Return the paths of the selected frames in `folder`, whether extracted yet or not."""
    count = selection.count(footage.frames)
    return tuple(folder / f"{footage.name}{number:09d}.jpg" for number in range(count))


def record_path(folder: Path, name: str) -> Path:
    """Return the path of the record about the frames named `name` in a folder."""
    return folder / f".{name}.json"


def remove_extracted(paths: Sequence[Path]) -> None:
    """Delete extracted frames, their records, and folders that are then empty."""
    for path in paths:
        remove_file(path)
        remove_file(record_path(path.parent, path.name[: -len("000000000.jpg")]))
    for folder in dict.fromkeys(path.parent for path in paths):
        with suppress(OSError):  # other files in it stay
            folder.rmdir()


def read_record(record: Path) -> str | None:
    """Return the text of a record, None if it cannot be read."""
    try:
        return read_file(record, RECORD_BYTES).decode()
    except (OSError, ValueError):
        return None


def _save_sequence(footage: VideoInfo, folder: Path, selection: Selection, cancel: CancelToken) -> None:
    """Write the selected images of a sequence."""
    taken = [footage.stills[number] for number in selection.numbers(footage.frames)]
    size = footage.width_px, footage.height_px
    try:
        for number, image in enumerate(load_images(taken, size, setting=f"The video {footage.path.name!r}")):
            cancel.check()
            _save(image, folder, [number], _IMAGE_QUALITY)
    except SettingsError as error:
        raise VideoError(Text(str(error), error.message_code)) from error


def _save_video(footage: VideoInfo, folder: Path, selection: Selection, cancel: CancelToken) -> None:
    """Write the selected frames of a video."""
    taken = selection.numbers(footage.frames)
    to_upright = UprightConverter()
    try:
        with open_media(footage.path, cancel.check) as container, ThreadPoolExecutor(_WRITERS) as writers:
            saving: deque[Future[None]] = deque()
            stream = video_stream(container)
            shown = decode_frames(container, stream, cancel.check) if stream else ()
            for frame, numbers in _at_rate(shown, footage):
                wanted = [taken.index(number) for number in numbers if number in taken]
                if wanted:
                    image = Image.fromarray(np.ascontiguousarray(to_upright(frame)))
                    saving.append(writers.submit(_save, image, folder, wanted, _FRAME_QUALITY))
                if len(saving) > 2 * _WRITERS:
                    saving.popleft().result()
                if numbers.stop >= taken.stop:
                    break
            for one in saving:
                one.result()
    except UnusableFile as error:
        raise _gone(footage, str(error)) from error


def _at_rate(shown: Iterable[tuple[float, float, Any]], footage: VideoInfo) -> Iterator[tuple[Any, range]]:
    """Yield each decoded frame with its frame numbers at the constant rate: one, or any number if it is resampled."""
    if not footage.uneven:
        for number, (_, _, frame) in enumerate(shown):
            yield frame, range(number, number + 1)
        return
    held, begin = None, 0
    for begin_s, _, frame in shown:
        if held is not None:
            end = max(begin, min(round(begin_s * footage.fps), footage.frames))
            yield held, range(begin, end)
            begin = end
        held = frame
    if held is not None:
        yield held, range(begin, footage.frames)


def _save(image: Image.Image, folder: Path, numbers: Sequence[int], quality: int) -> None:
    """Write an image under each of the numbers."""
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality, subsampling=0)
    with disk_errors(folder.name):
        for number in numbers:
            (folder / f"{number:09d}.jpg").write_bytes(content.getbuffer())
