"""Pictures that serve as a video: those of a folder or of a pattern, and the frames of an animated WebP.

GIF, APNG and AVIF are read by PyAV as any video; libav knows no animated WebP in most of its versions.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from PIL import Image as Pillow

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.regular import LOOK_S, UnusableFile, head_of, in_time
from deforum_helpers.image.files import check_image_file, open_frames, open_image_file
from deforum_helpers.media.timing import MOST_FRAMES, constant_rate, even_rate

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")
PICTURES_FPS = 15.0
_ANIMATED = ("GIF", "WEBP", "PNG")
_NUMBER = re.compile(r"%0?\d?d")
_DIGITS = re.compile(r"(\d+)")
# The clock of a WebP counts milliseconds.
_TICKS_FPS = 1000.0
_READERS = 4


@dataclass(frozen=True)
class Still:
    """One picture of a row: a file, and the number of the frame inside it."""

    path: Path
    number: int = 0


@dataclass(frozen=True)
class Row:
    """Pictures in their order.

    Args:
        stills: one for each frame; a frame that stays is in it several times.
        size: (width, height) in pixels of the first one; others are scaled to it.
        fps: frames per second; of files without a rate `PICTURES_FPS`.
        uneven: number of frames in the file where they follow each other unevenly; else 0.
        mixed: whether pictures of other sizes are among them.
    """

    stills: tuple[Still, ...]
    size: tuple[int, int]
    fps: float = PICTURES_FPS
    uneven: int = 0
    mixed: bool = False


def row_of(path: Path, *, setting: str, name: str) -> Row | None:
    """Return the pictures that `path` names, or None where it is a file of another kind, or nothing.

    Every picture is decoded once.

    Args:
        path: a folder, a pattern for names in a folder (*, ?, [ ] or %d, %04d), or an animated WebP.
        setting: name of the setting that names it, for errors.
        name: what it is called there.

    Raises:
        SettingsError: there is no picture, one cannot be read, or there are too many.
        UnusableFile: the folder or file cannot be looked at.
    """
    files = in_time(LOOK_S, lambda: _files(path))
    if files is None:
        head = head_of(path, 12) if in_time(LOOK_S, path.is_file) else b""
        return _frames(path, setting) if head[:4] == b"RIFF" and head[8:] == b"WEBP" else None
    if not 0 < len(files) <= MOST_FRAMES:
        found = f"{name[:120]!r}, {'a folder' if path.is_dir() else 'a pattern'} with {len(files)} pictures"
        allowed = f"1 to {MOST_FRAMES} pictures ({', '.join(one[1:] for one in ENDINGS)})"
        message = f"{setting} names {found}; give {allowed}."
        raise SettingsError([Problem(message, setting, found=found, allowed=allowed)])
    with ThreadPoolExecutor(_READERS) as readers:
        sizes = list(readers.map(lambda file: check_image_file(file, setting=setting), files))
    return Row(tuple(map(Still, files)), sizes[0], mixed=len(set(sizes)) > 1)


def is_row(path: Path) -> bool:
    """Tell whether `path` is a folder, or a pattern that fits pictures of one."""
    try:
        return in_time(LOOK_S, lambda: bool(_files(path)) or path.is_dir())
    except UnusableFile:
        return False


def is_animated(path: str, *, setting: str) -> bool:
    """Tell whether a picture file moves: a GIF, WebP or PNG of more than one frame.

    Raises:
        SettingsError: it is no picture.
    """
    with open_frames(path, setting=setting) as picture:
        return picture.format in _ANIMATED and getattr(picture, "n_frames", 1) > 1


def drawn(stills: Sequence[Still], size: tuple[int, int], *, setting: str) -> Iterator[Pillow.Image]:
    """Yield the RGB picture of each still, at `size`; one that stays is the same object again.

    Raises:
        SettingsError: a picture cannot be read any more.
    """
    for path, group in groupby(stills, lambda still: still.path):
        same = [still.number for still in group]
        if same == [0]:
            with open_image_file(path, setting=setting) as picture:
                yield _fitted(picture, size)
            continue
        with open_frames(path, setting=setting) as picture:
            shown, fitted = -1, picture
            for number in same:
                if number != shown:
                    picture.seek(number)
                    shown, fitted = number, _fitted(picture, size)
                yield fitted


def mark_of(stills: Sequence[Still]) -> str:
    """Return a digest of what the files of a row are; a file that was changed changes it."""
    digest = hashlib.sha256()
    for path, group in groupby(stills, lambda still: still.path):
        about = path.stat()
        numbers = [still.number for still in group]
        digest.update(repr((path.name, about.st_size, about.st_mtime_ns, numbers)).encode())
    return digest.hexdigest()


def _fitted(picture: Pillow.Image, size: tuple[int, int]) -> Pillow.Image:
    rgb = picture.convert("RGB")
    return rgb if rgb.size == size else rgb.resize(size, Pillow.Resampling.LANCZOS)


def _files(path: Path) -> list[Path] | None:
    """Return the pictures that a folder or pattern names, as people count: 2 before 10; None where it is neither."""
    if path.is_dir():
        folder, fits = path, "*"
    elif not path.exists() and re.search(r"[*?[]|%0?\d?d", path.name) and path.parent.is_dir():
        folder, fits = path.parent, _NUMBER.sub("[0-9]*", path.name)
    else:
        return None
    names = [name for name in os.listdir(folder) if name.lower().endswith(ENDINGS) and name[0] != "."]
    chosen = (name for name in names if fnmatch.fnmatch(name, fits))
    return [folder / name for name in sorted(chosen, key=_counted)]


def _counted(name: str) -> list[tuple[int, str]]:
    parts = _DIGITS.split(name)
    return [(int(part[:300]), part) if part.isdecimal() else (-1, part.casefold()) for part in parts]


def _frames(path: Path, setting: str) -> Row:
    """Return the frames of an animated WebP at a constant rate."""
    ends_ms, size = [0], (0, 0)
    with open_frames(path, setting=setting) as picture:
        count = getattr(picture, "n_frames", 1)
        if not 1 < count <= MOST_FRAMES:
            raise SettingsError([single_picture(setting, path.name)])
        size = picture.size
        for number in range(count):
            picture.seek(number)
            picture.load()
            ends_ms.append(ends_ms[-1] + max(int(picture.info.get("duration", 0)), 1))
    times_s, ends_s = [end / 1000 for end in ends_ms[:-1]], ends_ms[-1] / 1000
    fps = constant_rate(times_s, ends_s - times_s[-1], _TICKS_FPS)
    if fps is not None:
        return Row(tuple(Still(path, number) for number in range(count)), size, fps)
    fps = even_rate(times_s, ends_s, _TICKS_FPS)
    shown = (bisect_right(times_s, (frame + 0.5) / fps) - 1 for frame in range(max(round(ends_s * fps), 1)))
    return Row(tuple(Still(path, number) for number in shown), size, fps, uneven=count)


def single_picture(setting: str, name: str) -> Problem:
    """Return the problem of one picture in the place of a video."""
    allowed = "its folder, a pattern such as shots/*.png, or a video"
    message = f"{setting} names {name[:120]!r}, which is no video but a single picture; give {allowed}."
    return Problem(message, setting, found=name[:120], allowed=allowed)
