"""The frames of a video as pictures in a folder."""

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
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.media.containers import decoded, opened, picture_of
from deforum_helpers.media.footage import Footage, Selection, footage_of, stem_of
from deforum_helpers.media.image_sequences import drawn, mark_of
from deforum_helpers.media.upright import Upright

__all__ = ["Footage", "Selection", "extract_frames", "footage_of", "remove_extracted", "stem_of"]

RECORD_BYTES = 64 * 1024
_PICTURE_QUALITY, _FRAME_QUALITY = 98, 96
_WRITERS = min(os.cpu_count() or 1, 8)


def extract_frames(
    footage: Footage,
    folder: Path,
    selection: Selection,
    cancel: CancelToken,
    *,
    overwrite: bool = False,
) -> tuple[Path, ...]:
    """Return the selected frames of a video as JPEG files in `folder`, named by the video and numbered from 0.

    Frames of the same file and selection that are already there are taken as they are, unless `overwrite`.

    Args:
        footage: the video.
        folder: is made where it is missing; other files in it stay.
        selection: which frames.
        cancel: asked all the while.
        overwrite: whether frames are always extracted anew.

    Raises:
        VideoError: the video gives other frames than before.
        DiskFull, RenderError: they cannot be written.
        Cancelled, Parked: the job was told to stop; nothing half is left.
    """
    paths = extracted_paths(footage, folder, selection)
    count = len(paths)
    record = record_of(folder, footage.name)
    said = _record(footage, selection)
    if not overwrite and read_record(record) == said and all(is_file(path) for path in paths):
        return paths
    with disk_errors(folder.name):
        make_folder(folder)
        scratch = Path(tempfile.mkdtemp(prefix=".extracting-", dir=folder))
    try:
        if footage.stills:
            _save_row(footage, scratch, selection, cancel)
        else:
            _save_video(footage, scratch, selection, cancel)
        made = sorted(scratch.glob("*.jpg"))
        if len(made) != count:
            raise VideoError(
                f"The video {footage.path.name!r} gave {len(made)} frames where {count} were counted; "
                "the file is broken or was changed."
            )
        with disk_errors(folder.name), Folder(scratch) as there, Folder(folder) as here:
            for picture, path in zip(made, paths, strict=True):
                here.take(there, picture.name, path.name)
        write_whole(record, said.encode())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return paths


def _record(footage: Footage, selection: Selection) -> str:
    """Return what tells whether frames that are there were taken from the same video in the same way."""
    try:
        if footage.stills:
            source: dict[str, object] = {"pictures": mark_of(footage.stills)}
        else:
            source = {"bytes": footage.path.stat().st_size}
    except OSError as error:
        raise _gone(footage, f"cannot be read ({error.strerror})") from error
    rate = {"fps": footage.fps} if footage.uneven else {}
    return json.dumps({**source, "frames": footage.frames, **asdict(selection), **rate})


def _gone(footage: Footage, why: str) -> VideoError:
    return VideoError(f"The video {footage.path.name!r} {why}; put it back, or give another one.")


def extracted_paths(footage: Footage, folder: Path, selection: Selection) -> tuple[Path, ...]:
    """Return the files that the selected frames of a video have in `folder` once they are extracted."""
    count = selection.count(footage.frames)
    return tuple(folder / f"{footage.name}{number:09d}.jpg" for number in range(count))


def record_of(folder: Path, name: str) -> Path:
    """Return the file that says what the frames named `name` in a folder were extracted from."""
    return folder / f".{name}.json"


def remove_extracted(paths: Sequence[Path]) -> None:
    """Delete extracted frames, what says where they are from, and the folders that are empty then."""
    for path in paths:
        remove_file(path)
        remove_file(record_of(path.parent, path.name[: -len("000000000.jpg")]))
    for folder in dict.fromkeys(path.parent for path in paths):
        with suppress(OSError):  # other files in it stay
            folder.rmdir()


def read_record(record: Path) -> str | None:
    """Return the text of such a file, or None where it cannot be read."""
    try:
        return read_file(record, RECORD_BYTES).decode()
    except (OSError, ValueError):
        return None


def _save_row(footage: Footage, folder: Path, selection: Selection, cancel: CancelToken) -> None:
    """Write the selected pictures of a row."""
    taken = [footage.stills[number] for number in selection.numbers(footage.frames)]
    size = footage.width_px, footage.height_px
    try:
        for number, picture in enumerate(drawn(taken, size, setting=f"The video {footage.path.name!r}")):
            cancel.check()
            _save(picture, folder, [number], _PICTURE_QUALITY)
    except SettingsError as error:
        raise VideoError(str(error)) from error


def _save_video(footage: Footage, folder: Path, selection: Selection, cancel: CancelToken) -> None:
    """Write the selected frames of a video."""
    taken = selection.numbers(footage.frames)
    upright = Upright()
    try:
        with opened(footage.path, cancel.check) as container, ThreadPoolExecutor(_WRITERS) as writers:
            saving: deque[Future[None]] = deque()
            stream = picture_of(container)
            shown = decoded(container, stream, cancel.check) if stream else ()
            for frame, numbers in _at_rate(shown, footage):
                wanted = [taken.index(number) for number in numbers if number in taken]
                if wanted:
                    image = Image.fromarray(np.ascontiguousarray(upright(frame)))
                    saving.append(writers.submit(_save, image, folder, wanted, _FRAME_QUALITY))
                if len(saving) > 2 * _WRITERS:
                    saving.popleft().result()
                if numbers.stop >= taken.stop:
                    break
            for one in saving:
                one.result()
    except UnusableFile as error:
        raise _gone(footage, str(error)) from error


def _at_rate(shown: Iterable[tuple[float, float, Any]], footage: Footage) -> Iterator[tuple[Any, range]]:
    """Yield each decoded frame with its numbers at the constant rate, one or, where the rate varies, any number."""
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


def _save(picture: Image.Image, folder: Path, numbers: Sequence[int], quality: int) -> None:
    """Write a picture under each of the numbers."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality, subsampling=0)
    with disk_errors(folder.name):
        for number in numbers:
            (folder / f"{number:09d}.jpg").write_bytes(content.getbuffer())
