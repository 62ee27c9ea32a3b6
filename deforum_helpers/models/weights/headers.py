"""Headers and JSON files of models, read with size limits; imports without torch."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from deforum_helpers.core.bounded_json import MOST_BYTES, parse_json
from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.files.regular import (
    UnusableFile,
    check_folder,
    check_regular,
    open_regular,
    read_regular,
)
from deforum_helpers.models import messages

_HEADER_LIMIT_BYTES = 64 * 2**20
_MOST_IN_HEADER = 2_000_000


def check_model_folder(folder: Path) -> None:
    """Check that a folder holds only ordinary files.

    Raises:
        ModelError: it holds a link, pipe or device.
    """
    try:
        check_folder(folder)
    except UnusableFile as error:
        raise ModelError(messages.MODEL_FOLDER_UNUSABLE(name=folder.name, reason=error)) from error


def safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in a `.safetensors` file, from its header alone.

    Raises:
        ModelError: the file is missing, broken or of another format.
    """
    try:
        check_regular(path)
        if path.suffix.casefold() != ".safetensors":
            raise ValueError(path.suffix)
        header = _header(path)
        return {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    except UnusableFile as error:
        raise ModelError(messages.MODEL_FILE_UNUSABLE(file=path.name, reason=error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ModelError(messages.NOT_SAFETENSORS(file=path.name)) from error


def _header(path: Path) -> Any:
    """Read the JSON header, which follows eight bytes with its length."""
    with open_regular(path) as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > _HEADER_LIMIT_BYTES:
            raise ValueError(length)
        return parse_json(file.read(length), most_bytes=_HEADER_LIMIT_BYTES, most_values=_MOST_IN_HEADER)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a file of a model's folder holds.

    Raises:
        ModelError: it cannot be read, or is not an object.
    """
    file = f"{path.parent.name}/{path.name}"
    try:
        content = parse_json(read_regular(path, MOST_BYTES))
    except (OSError, ValueError) as error:
        raise ModelError(messages.MODEL_JSON_UNREADABLE(file=file, reason=error)) from error
    if not isinstance(content, dict):
        raise ModelError(messages.MODEL_JSON_NO_OBJECT(file=file))
    return content
