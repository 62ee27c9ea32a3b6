"""Downloads of a job's files; a broken download continues where it stopped."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from deforum_api.client import messages
from deforum_api.client.connection import CONNECTION_ERRORS, Answer, Connection, Request
from deforum_api.client.errors import ClientError

PIECE_BYTES = 1 << 18


def fetch(
    connection: Connection, path: str, target: Path, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Download the file at `path` to `target`, which exists only when it is complete; return `target`.

    Args:
        connection: connection to the server.
        path: path of the URL, with an optional query.
        target: file to write; its folder is created.
        progress: called with (bytes so far, bytes in all).

    Raises:
        RefusedByServer: the server has no such file.
        Unreachable: the server did not respond for `patience_s` seconds.
        ClientError: the file cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            download = _Download(connection, path, file, progress)
            while not download.complete:
                connection.retry(download.proceed)
        os.replace(part, target)
    except OSError as error:
        raise ClientError(
            messages.DOWNLOAD_NOT_WRITTEN(path=target, reason=error.strerror or error)
        ) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return target


class _Download:
    """The state of a download. Bytes received so far are valid only while the server has the same file."""

    def __init__(
        self,
        connection: Connection,
        path: str,
        file: BinaryIO,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._file = file
        self._progress = progress
        self._etag: str | None = None
        self._got = 0
        self._size = -1

    @property
    def complete(self) -> bool:
        return self._got == self._size

    def proceed(self) -> None:
        """Request the missing bytes and write those that arrive.

        Raises:
            OSError, EOFError, HTTPException: nothing arrived.
        """
        before, self._size = self._got, -1
        headers = {"Accept-Encoding": "identity"}
        if self._got and self._etag:
            headers |= {"Range": f"bytes={self._got}-", "If-Range": self._etag}
        try:
            with self._connection.open(Request("GET", self._path, headers=headers)) as answer:
                self._place(answer)
                while piece := answer.read(PIECE_BYTES):
                    self._write(piece)
        except CONNECTION_ERRORS:
            if self._got <= before:
                raise
            return
        if self._size < 0:
            self._size = self._got
        elif self._got <= before and not self.complete:
            raise EOFError("the connection ended before the file did")

    def _place(self, answer: Answer) -> None:
        """Start over unless the response continues the same file.

        Raises:
            EOFError: the response continues another file, whose beginning is missing.
        """
        etag = answer.headers["ETag"]
        part = answer.status == 206
        if not part or etag != self._etag or not self._got:
            self._file.seek(0)
            self._file.truncate()
            self._got = 0
        if part and not self._got:
            raise EOFError("the response is part of another file")
        self._etag = etag
        length = answer.headers["Content-Length"]
        self._size = self._got + int(length) if length else -1

    def _write(self, piece: bytes) -> None:
        try:
            self._file.write(piece)
        except OSError as error:
            raise ClientError(
                messages.DOWNLOAD_NOT_WRITTEN(path=self._file.name, reason=error.strerror)
            ) from None
        self._got += len(piece)
        if self._progress:
            self._progress(self._got, max(self._size, self._got))
