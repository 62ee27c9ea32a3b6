"""The list of what a run has written, beside its files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from deforum_helpers.core.bounded_json import parse_json
from deforum_helpers.core.errors import CheckpointError, RenderError
from deforum_helpers.core.files.atomic import disk_errors, sync_folder, write_whole
from deforum_helpers.core.files.no_links import read_file
from deforum_helpers.output.kinds import output_kind

VERSION = 1
# Five values for each of a film's frames, their depth maps, enlarged ones and those in between.
MOST_LIST_BYTES = 256_000_000
MOST_LISTED = 10_000_000


@dataclass(frozen=True)
class OutputFile:
    """One finished file.

    Args:
        kind: of `kinds.KINDS`.
        name: file name inside the run's folder, or "folder/name" in a folder there.
        size: bytes.
        frames: pictures in it; 1 for a picture, 0 for a text.
    """

    kind: str
    name: str
    size: int
    frames: int


@dataclass(frozen=True)
class Manifest:
    """What a run has written.

    Args:
        timestring: of the run.
        digest: of its plan.
        files: finished files only.
        version: of this format.
        film_digest: of all that the run's films depend on; empty until every frame and the film are there.
    """

    timestring: str
    digest: str
    files: tuple[OutputFile, ...]
    version: int = VERSION
    film_digest: str = ""


def output_file(kind: str, path: Path, frames: int = 0) -> OutputFile:
    """Return the entry of the finished file `path`.

    Raises:
        UnknownName: no such kind.
        RenderError: it is not there, or empty though it should hold pictures.
    """
    kind = output_kind(kind).name
    with disk_errors(path.name):
        size = path.stat().st_size
    if frames and not size:
        raise RenderError(f"{path.name} is empty: it was damaged after it had been written; render it anew.")
    return OutputFile(kind, path.name, size, frames)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace the manifest at `path`; it, and the files it lists, outlive a power failure from then on.

    Raises:
        DiskFull, RenderError: it cannot be written.
    """
    for folder in {path.parent / Path(file.name).parent for file in manifest.files}:
        sync_folder(folder)
    write_whole(path, (json.dumps(asdict(manifest), ensure_ascii=False, indent=1) + "\n").encode())
    sync_folder(path.parent)


def read_manifest(path: Path) -> Manifest:
    """Return the manifest at `path`.

    Raises:
        CheckpointError: missing, broken, or of a newer version.
    """
    try:
        fields = parse_json(
            read_file(path.absolute(), MOST_LIST_BYTES), most_bytes=MOST_LIST_BYTES, most_values=MOST_LISTED
        )
        files = tuple(OutputFile(**entry) for entry in fields.pop("files"))
        manifest = Manifest(files=files, **fields)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"The list of outputs {path.name} is missing or broken.") from error
    if manifest.version != VERSION:
        raise CheckpointError(
            f"The list of outputs {path.name} has version {manifest.version}; "
            f"this program reads version {VERSION}."
        )
    return manifest
