"""Messages between two programs over a pipe: a line of JSON, followed by parts of bytes whose sizes it names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import IO, Any

Message = tuple[dict[str, Any], list[bytes]]


def write_message(stream: IO[bytes], head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Write a message: what fits into JSON, then the parts as they are."""
    line = json.dumps({**head, "sizes": [len(part) for part in parts]}).encode()
    stream.write(b"".join((line, b"\n", *parts)))
    stream.flush()


def read_message(stream: IO[bytes]) -> Message | None:
    """Return the next message, or None at the end of the stream."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    head = json.loads(line)
    parts = [stream.read(size) for size in head["sizes"]]
    return (head, parts) if [len(part) for part in parts] == head["sizes"] else None
