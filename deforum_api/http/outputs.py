"""The files of a job, found by their names in its folder, never by a path from a client."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from deforum_api.http import messages
from deforum_api.queue.deliveries import FinishedFile
from deforum_api.queue.errors import ApiError
from deforum_api.queue.record import Job
from deforum_helpers.core.errors import CheckpointError
from deforum_helpers.core.files.no_links import is_folder, open_file
from deforum_helpers.output.kinds import KINDS, OutputKind, frame_query, kind_of, output_kind
from deforum_helpers.output.manifest import OutputFile, read_manifest
from deforum_helpers.output.paths import Run

CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True)
class Output:
    """One finished file.

    Args:
        kind: its name in `KINDS`; empty for a file of the output folder that is not looked up by its kind.
        media_type: that it is sent with.
        path: of the file.
        size: bytes.
        modified_ns: when it was written last.
        frame: frame number, None where there is one file per run.
    """

    kind: str
    media_type: str
    path: Path
    size: int
    modified_ns: int
    frame: int | None = None

    @property
    def etag(self) -> str:
        return f'"{self.modified_ns:x}-{self.size:x}"'


def outputs(job: Job) -> list[Output]:
    """Return the job's files sorted by name, without links and other special files."""
    folder = _folder(job)
    if folder is None or not job.timestring:
        return []
    if job.is_tool:
        return _tool_outputs(folder, job.timestring)
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.startswith(job.timestring))
    except OSError:
        return []
    found = (_output(folder / name, name[len(job.timestring) :]) for name in names)
    return [output for output in (*found, *_in_folders(folder, job.timestring)) if output]


def _tool_outputs(folder: Path, timestring: str) -> list[Output]:
    """Return the files in a tool's manifest, as they are named after its input."""
    try:
        listed = read_manifest(Run(folder, timestring).manifest_path).files
    except CheckpointError:
        return []
    numbers = count()
    files = (_listed_output(folder, one, next(numbers) if one.kind == "frame" else None) for one in listed)
    return [found for found in files if found]


def _listed_output(folder: Path, listed: OutputFile, frame: int | None) -> Output | None:
    parts = PurePosixPath(listed.name).parts
    if len(parts) not in (1, 2) or parts[0] == "/" or ".." in parts or "\0" in listed.name:
        return None
    path = folder.joinpath(*parts)
    kind = KINDS.get(listed.kind)
    return _file(kind, path, frame) if kind and is_folder(path.parent) else None


def _folder(job: Job) -> Path | None:
    """Return the job's folder with no link on the way to it, unless a link there leads out of the output folder."""
    folder = Path(job.outdir or "")
    try:
        place, images = folder.resolve(), folder.parents[1].resolve()
    except (OSError, IndexError):
        return None
    return place if place.is_relative_to(images) and is_folder(place) else None


def _in_folders(folder: Path, timestring: str) -> Iterator[Output | None]:
    """Yield the images in the run's own folders, such as upscaled frames."""
    for kind, name in ((row, name) for row in KINDS.values() for name in row.folders):
        place = folder / name.format(timestring=timestring)
        try:
            pictures = sorted(os.listdir(place)) if is_folder(place) else []
        except OSError:
            continue
        for picture in pictures:
            if found := kind.pattern.fullmatch(picture):
                yield _file(kind, place / picture, kind.frame_of(found))


def output_link(job_id: str, found: Output) -> str:
    """Return the path of the route that sends a file."""
    base = f"/deforum_api/jobs/{quote(job_id, safe='()')}"
    if found.frame is None:
        return f"{base}/{found.kind}"
    return f"{base}/frames/{found.frame}{frame_query(found.kind)}"


def finished_files(job: Job) -> list[FinishedFile]:
    """Return the job's files as its webhook and its upload need them."""
    folder = _folder(job)
    return [
        FinishedFile(
            kind=found.kind,
            name=found.path.relative_to(folder).as_posix() if folder else found.path.name,
            size=found.size,
            link=output_link(job.id, found),
            path=found.path,
            numbered=found.frame is not None,
        )
        for found in outputs(job)
    ]


def output(job: Job, kind: str, frame: int | None = None) -> Output:
    """Return one file of the job.

    Raises:
        ApiError: 404, there is none (yet).
    """
    folder, row = _folder(job), output_kind(kind)
    is_of_frame = frame is not None and row.numbered and not row.folders and not job.is_tool
    if is_of_frame and folder and job.timestring:
        # One frame of a hundred thousand is not looked for among all.
        path = Run(folder, job.timestring).path(kind, frame=frame)
        files = [_file(row, path, frame)]
    else:
        files = [found for found in outputs(job) if found.kind == kind and found.frame == frame]
    for found in files:
        if found:
            return found
    what = kind if frame is None else f"{kind} {frame}"
    raise _missing_output(job, what)


def newest_frame(job: Job) -> Output:
    """Return the frame with the highest number.

    Raises:
        ApiError: 404, there is none yet.
    """
    frames = [found for found in outputs(job) if found.kind == "frame"]
    if not frames:
        raise _missing_output(job, "frame")
    return frames[-1]


def file_response(request: Request, found: Output) -> Response:
    """Return the file, the range requested by GET, or 304 if the client has it.

    Raises:
        ApiError: 404, it is gone by now, or a link has taken its place; 416, the range lies outside.
    """
    file, found = _open_output(found)
    try:
        headers = _headers(found.etag, found.path.name)
        if request.headers.get("if-none-match") == found.etag:
            file.close()
            return Response(status_code=304, headers=headers)
        # A client that has the beginning of another file gets this one whole.
        same = request.headers.get("if-range", found.etag) == found.etag
        asked = request.headers.get("range", "") if same and request.method != "HEAD" else ""
        part = _range(asked, found)
        first, last = part or (0, found.size - 1)
        file.seek(first)
    except BaseException:
        file.close()
        raise
    headers |= {"Accept-Ranges": "bytes", "Content-Length": str(last - first + 1)}
    if part:
        headers["Content-Range"] = f"bytes {first}-{last}/{found.size}"
    return _FileResponse(file, last - first + 1, 206 if part else 200, headers, found.media_type)


def preview_response(request: Request, found: Output) -> Response:
    """Return a frame as JPEG, or 304 if the client has it.

    Raises:
        ApiError: 404, it is gone or not an image.
    """
    from PIL import Image

    file, found = _open_output(found)
    with file:
        headers = _headers(found.etag, f"{found.path.stem}.jpg")
        if request.headers.get("if-none-match") == found.etag:
            return Response(status_code=304, headers=headers)
        jpeg = io.BytesIO()
        try:
            with Image.open(file) as picture:
                picture.convert("RGB").save(jpeg, "JPEG", quality=85)
        except OSError:
            raise _gone_file(found) from None
    return Response(jpeg.getvalue(), headers=headers, media_type="image/jpeg")


def _open_output(found: Output) -> tuple[IO[bytes], Output]:
    """Open a file, and return what it is now: another one may have taken its name since it was looked at.

    Raises:
        ApiError: 404, it is gone by now, or a link has taken its place.
    """
    try:
        file = open_output(found.path)
    except OSError:
        raise _gone_file(found) from None
    about = os.fstat(file.fileno())
    return file, replace(found, size=about.st_size, modified_ns=about.st_mtime_ns)


def open_output(path: Path) -> IO[bytes]:
    """Open a file to be read, unless a link has taken its place, or that of a folder, since it was looked at."""
    return open_file(path)


def _missing_output(job: Job, what: str) -> ApiError:
    message = messages.OUTPUT_MISSING if job.finished else messages.OUTPUT_NOT_YET
    return ApiError(message(id=job.id, what=what), code=404, id=job.id)


def _gone_file(found: Output) -> ApiError:
    return ApiError(messages.FILE_GONE(name=found.path.name), code=404)


def _output(path: Path, suffix: str) -> Output | None:
    found = kind_of(suffix)
    return _file(found[0], path, found[1]) if found else None


def _file(kind: OutputKind, path: Path, frame: int | None) -> Output | None:
    try:
        about = path.lstat()
    except OSError:  # removed since it was listed
        return None
    if not stat.S_ISREG(about.st_mode):
        return None
    return Output(kind.name, kind.media_type, path, about.st_size, about.st_mtime_ns, frame)


def _headers(etag: str, name: str) -> dict[str, str]:
    return {
        "ETag": etag,
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'attachment; filename="{name}"',
    }


def _range(header: str, found: Output) -> tuple[int, int] | None:
    """Return the first and last byte of a single range; several ranges are answered with the whole file."""
    asked = _RANGE.fullmatch(header.strip())
    if not asked or not (asked[1] or asked[2]):
        return None
    if asked[1]:
        first, last = int(asked[1]), min(int(asked[2] or found.size), found.size - 1)
    else:
        first, last = max(0, found.size - int(asked[2])), found.size - 1
    if first > last:
        headers = {"Content-Range": f"bytes */{found.size}"}
        raise ApiError(messages.RANGE_OUTSIDE(size=found.size), code=416, headers=headers)
    return first, last


class _FileResponse(StreamingResponse):
    """Sends `count` bytes of an open file, and closes it even if the client disconnects."""

    def __init__(
        self, file: IO[bytes], count: int, code: int, headers: dict[str, str], media_type: str
    ) -> None:
        super().__init__(_chunks(file, count), code, headers, media_type)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)


def _chunks(file: IO[bytes], count: int) -> Iterator[bytes]:
    while count > 0 and (chunk := file.read(min(CHUNK_BYTES, count))):
        count -= len(chunk)
        yield chunk
