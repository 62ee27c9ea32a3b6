"""The manifest: the list of a run's outputs, stored beside them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from deforum_helpers.core.bounded_json import parse_json
from deforum_helpers.core.errors import CheckpointError, RenderError
from deforum_helpers.core.files.atomic import disk_errors, sync_folder, write_whole
from deforum_helpers.core.files.no_links import read_file
from deforum_helpers.output import messages
from deforum_helpers.output.kinds import output_kind

VERSION = 1
# Room for five values per frame, depth map, upscaled frame and interpolated frame of the longest video.
MOST_LIST_BYTES = 256_000_000
MOST_LISTED = 10_000_000


@dataclass(frozen=True)
class OutputFile:
    """One finished file.

    Args:
        kind: name of the kind in `kinds.KINDS`.
        name: file name in the run's folder, or "folder/name" in a folder there.
        size: size in bytes.
        frames: number of images in the file; 1 for an image, 0 for text.
    """

    kind: str
    name: str
    size: int
    frames: int


@dataclass(frozen=True)
class Manifest:
    """The outputs of a run.

    Args:
        timestring: the run's timestring.
        digest: digest of the run's plan.
        files: finished files only.
        version: version of this format.
        film_digest: digest of everything that the run's videos depend on; empty until all frames and the video exist.
    """

    timestring: str
    digest: str
    files: tuple[OutputFile, ...]
    version: int = VERSION
    film_digest: str = ""


def output_file(kind: str, path: Path, frames: int = 0) -> OutputFile:
    """Return the manifest's entry for the finished file `path`, with `frames` images in it.

    Raises:
        UnknownName: the kind is unknown.
        RenderError: the file is missing, or empty although it has frames.
    """
    kind = output_kind(kind).name
    with disk_errors(path.name):
        size = path.stat().st_size
    if frames and not size:
        raise RenderError(messages.OUTPUT_EMPTY(name=path.name))
    return OutputFile(kind, path.name, size, frames)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace the manifest at `path`; it and the files in it are flushed to the disk.

    Raises:
        DiskFull, RenderError: the manifest cannot be written.
    """
    for folder in {path.parent / Path(file.name).parent for file in manifest.files}:
        sync_folder(folder)
    write_whole(path, (json.dumps(asdict(manifest), ensure_ascii=False, indent=1) + "\n").encode())
    sync_folder(path.parent)


def read_manifest(path: Path) -> Manifest:
    """Return the manifest at `path`.

    Raises:
        CheckpointError: the manifest is missing, damaged, or of another version.
    """
    try:
        fields = parse_json(
            read_file(path.absolute(), MOST_LIST_BYTES), most_bytes=MOST_LIST_BYTES, most_values=MOST_LISTED
        )
        files = tuple(OutputFile(**entry) for entry in fields.pop("files"))
        manifest = Manifest(files=files, **fields)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(messages.OUTPUTS_UNREADABLE(name=path.name)) from error
    if manifest.version != VERSION:
        message = messages.OUTPUTS_VERSION(name=path.name, found=manifest.version, expected=VERSION)
        raise CheckpointError(message)
    return manifest
