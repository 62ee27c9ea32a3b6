"""Image sequences as videos: the images of a folder or a pattern, and the frames of an animated WebP.

PyAV reads GIF, APNG and AVIF like any video; most versions of libav cannot read animated WebP.
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
from deforum_helpers.media import messages
from deforum_helpers.media.timing import MOST_FRAMES, constant_rate, even_rate

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")
IMAGES_FPS = 15.0
_ANIMATED = ("GIF", "WEBP", "PNG")
_NUMBER = re.compile(r"%0?\d?d")
_DIGITS = re.compile(r"(\d+)")
# WebP timing has a resolution of 1 ms.
_TICKS_FPS = 1000.0
_READERS = 4


@dataclass(frozen=True)
class Still:
    """One image of a sequence: a file, and the frame number inside it."""

    path: Path
    number: int = 0


@dataclass(frozen=True)
class ImageSequence:
    """Images in their order.

    Args:
        stills: one per frame; an image that is shown longer is repeated.
        size: (width, height) of the first image in pixels; others are scaled to it.
        fps: frames per second; `IMAGES_FPS` for files without a rate.
        uneven: number of frames in the file if its frame rate is variable; else 0.
        mixed: whether the images have different sizes.
    """

    stills: tuple[Still, ...]
    size: tuple[int, int]
    fps: float = IMAGES_FPS
    uneven: int = 0
    mixed: bool = False


def read_image_sequence(path: Path, *, setting: str, name: str) -> ImageSequence | None:
    """Return the image sequence at `path`, None if it is another kind of file or missing.

    Every image is decoded once.

    Args:
        path: a folder, a pattern for names in a folder (*, ?, [ ] or %d, %04d), or an animated WebP.
        setting: name of the setting or argument that names the path, for messages.
        name: the path as the user wrote it.

    Raises:
        SettingsError: there are no images, too many, or an unreadable one.
        UnusableFile: the folder or file cannot be accessed.
    """
    files = in_time(LOOK_S, lambda: _files(path))
    if files is None:
        head = head_of(path, 12) if in_time(LOOK_S, path.is_file) else b""
        return _webp_frames(path, setting) if head[:4] == b"RIFF" and head[8:] == b"WEBP" else None
    if not 0 < len(files) <= MOST_FRAMES:
        found = f"{name[:120]!r}, {'a folder' if path.is_dir() else 'a pattern'} with {len(files)} images"
        allowed = f"1 to {MOST_FRAMES} images ({', '.join(one[1:] for one in ENDINGS)})"
        message = messages.SEQUENCE_LENGTH(setting=setting, found=found, allowed=allowed)
        raise SettingsError([Problem(message, setting, found=found, allowed=allowed)])
    with ThreadPoolExecutor(_READERS) as readers:
        sizes = list(readers.map(lambda file: check_image_file(file, setting=setting), files))
    return ImageSequence(tuple(map(Still, files)), sizes[0], mixed=len(set(sizes)) > 1)


def is_image_sequence(path: Path) -> bool:
    """Return whether `path` is a folder, or a pattern that matches images in one."""
    try:
        return in_time(LOOK_S, lambda: bool(_files(path)) or path.is_dir())
    except UnusableFile:
        return False


def is_animated(path: str, *, setting: str) -> bool:
    """Return whether an image file is animated: a GIF, WebP or PNG with more than one frame.

    Raises:
        SettingsError: the file is not an image.
    """
    with open_frames(path, setting=setting) as image:
        return image.format in _ANIMATED and getattr(image, "n_frames", 1) > 1


def load_images(stills: Sequence[Still], size: tuple[int, int], *, setting: str) -> Iterator[Pillow.Image]:
    """Yield the RGB image of each still, scaled to `size`; repeated stills yield the same object.

    Raises:
        SettingsError: an image can no longer be read.
    """
    for path, group in groupby(stills, lambda still: still.path):
        same = [still.number for still in group]
        if same == [0]:
            with open_image_file(path, setting=setting) as image:
                yield _scaled(image, size)
            continue
        with open_frames(path, setting=setting) as image:
            shown, scaled = -1, image
            for number in same:
                if number != shown:
                    image.seek(number)
                    shown, scaled = number, _scaled(image, size)
                yield scaled


def sequence_digest(stills: Sequence[Still]) -> str:
    """Return a digest of the names, sizes and times of a sequence's files."""
    digest = hashlib.sha256()
    for path, group in groupby(stills, lambda still: still.path):
        about = path.stat()
        numbers = [still.number for still in group]
        digest.update(repr((path.name, about.st_size, about.st_mtime_ns, numbers)).encode())
    return digest.hexdigest()


def _scaled(image: Pillow.Image, size: tuple[int, int]) -> Pillow.Image:
    rgb = image.convert("RGB")
    return rgb if rgb.size == size else rgb.resize(size, Pillow.Resampling.LANCZOS)


def _files(path: Path) -> list[Path] | None:
    """Return the images of a folder or pattern in natural order (2 before 10); None if it is neither."""
    if path.is_dir():
        folder, fits = path, "*"
    elif not path.exists() and re.search(r"[*?[]|%0?\d?d", path.name) and path.parent.is_dir():
        folder, fits = path.parent, _NUMBER.sub("[0-9]*", path.name)
    else:
        return None
    names = [name for name in os.listdir(folder) if name.lower().endswith(ENDINGS) and name[0] != "."]
    chosen = (name for name in names if fnmatch.fnmatch(name, fits))
    return [folder / name for name in sorted(chosen, key=_natural_key)]


def _natural_key(name: str) -> list[tuple[int, str]]:
    parts = _DIGITS.split(name)
    return [(int(part[:300]), part) if part.isdecimal() else (-1, part.casefold()) for part in parts]


def _webp_frames(path: Path, setting: str) -> ImageSequence:
    """Return the frames of an animated WebP at a constant frame rate."""
    ends_ms, size = [0], (0, 0)
    with open_frames(path, setting=setting) as image:
        count = getattr(image, "n_frames", 1)
        if not 1 < count <= MOST_FRAMES:
            raise SettingsError([single_image(setting, path.name)])
        size = image.size
        for number in range(count):
            image.seek(number)
            image.load()
            ends_ms.append(ends_ms[-1] + max(int(image.info.get("duration", 0)), 1))
    times_s, ends_s = [end / 1000 for end in ends_ms[:-1]], ends_ms[-1] / 1000
    fps = constant_rate(times_s, ends_s - times_s[-1], _TICKS_FPS)
    if fps is not None:
        return ImageSequence(tuple(Still(path, number) for number in range(count)), size, fps)
    fps = even_rate(times_s, ends_s, _TICKS_FPS)
    shown = (bisect_right(times_s, (frame + 0.5) / fps) - 1 for frame in range(max(round(ends_s * fps), 1)))
    return ImageSequence(tuple(Still(path, number) for number in shown), size, fps, uneven=count)


def single_image(setting: str, name: str) -> Problem:
    """Return the problem of a single image where a video is expected."""
    allowed = "its folder, a pattern such as shots/*.png, or a video"
    message = messages.SINGLE_IMAGE(setting=setting, name=name[:120], allowed=allowed)
    return Problem(message, setting, found=name[:120], allowed=allowed)
