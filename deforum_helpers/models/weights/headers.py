"""Headers and JSON files of models, read with size limits; imports without torch."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from deforum_helpers.core.bounded_json import MOST_BYTES, parse_json
from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.files.regular import (
    UnusableFile,
    check_folder,
    check_regular,
    head_of,
    open_regular,
    read_regular,
)
from deforum_helpers.core.messages import Message, Text
from deforum_helpers.models import messages

_HEADER_LIMIT_BYTES = 64 * 2**20
_MOST_IN_HEADER = 2_000_000

GGUF_MAGIC = b"GGUF"
# Number of a GGUF type -> its name, the weights of a block, and the bytes of a block, as the specification lists them;
# also of types that are not read, so that lists and refusals name them.
_GGUF_TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    26: ("I32", 1, 4),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
}
# Type of a GGUF value -> its format for `struct`.
_GGUF_SCALARS: Mapping[int, str] = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_GGUF_TEXT, _GGUF_LIST = 8, 9


@dataclass(frozen=True)
class TensorHeader:
    """A tensor of a file.

    Args:
        dtype: as the file names it: "F32", "BF16", "F8_E4M3", "Q4_K", ...
        shape: rows first.
        size_bytes: its size in the file; 0 = unknown.
    """

    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


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
    """Return the shape of every tensor in a `.safetensors` file; raises as `safetensors_header`."""
    return {name: tensor.shape for name, tensor in safetensors_header(path).items()}


def safetensors_header(path: Path) -> dict[str, TensorHeader]:
    """Return every tensor of a `.safetensors` file, from its header alone.

    Raises:
        ModelError: the file is missing, broken, cut off or of another format.
    """
    try:
        check_regular(path)
        if path.suffix.casefold() != ".safetensors":
            raise ValueError(path.suffix)
        with open_regular(path) as file:
            return _safetensors_tensors(file)
    except UnusableFile as error:
        raise ModelError(messages.MODEL_FILE_UNUSABLE(file=path.name, reason=error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ModelError(
            messages.NOT_SAFETENSORS(file=path.name, reason=_fault(path, ".safetensors"))
        ) from error


# Beginnings of other files that are found under the name of a model.
_OTHERS: Mapping[bytes, Message] = {
    b"version https://git-lfs": messages.FILE_IS_POINTER,
    b"<": messages.FILE_IS_PAGE,
    b"PK\x03\x04": messages.FILE_IS_PICKLE,
    b"\x80": messages.FILE_IS_PICKLE,
}


def _fault(path: Path, ending: str) -> Text:
    """Return why a file cannot be read, as a clause, from its name and first bytes.

    Args:
        path: of the file.
        ending: of the names of such files.
    """
    if path.suffix.casefold() != ending:
        return messages.FILE_OTHERWISE_NAMED(found=path.suffix, allowed=ending)
    try:
        head = head_of(path, 64)
    except UnusableFile:
        head = b"?"
    if not head:
        return messages.FILE_EMPTY()
    if ending != ".gguf" and head.startswith(GGUF_MAGIC):
        return messages.FILE_NAMED_WRONGLY(found=".gguf")
    if ending != ".safetensors" and head[8:10] == b'{"':
        return messages.FILE_NAMED_WRONGLY(found=".safetensors")
    found = (message for start, message in _OTHERS.items() if head.lstrip().startswith(start))
    return next(found, messages.FILE_DAMAGED)()


def _safetensors_tensors(file: BinaryIO) -> dict[str, TensorHeader]:
    """Read the JSON header, which follows eight bytes with its length and precedes the tensors."""
    (length,) = struct.unpack("<Q", file.read(8))
    if length > _HEADER_LIMIT_BYTES:
        raise ValueError(length)
    content = file.read(length)
    header = parse_json(content, most_bytes=_HEADER_LIMIT_BYTES, most_values=_MOST_IN_HEADER)
    tensors, end = {}, 0
    for name, entry in header.items():
        if name != "__metadata__":
            dtype, shape = entry["dtype"], entry["shape"]
            first, last = entry.get("data_offsets") or (0, 0)  # the loader insists on them
            if (
                last < first
                or not isinstance(dtype, str)
                or any(type(one) is not int or one < 0 for one in (first, last, *shape))
            ):
                raise ValueError(name)
            tensors[name] = TensorHeader(dtype, tuple(shape), last - first)
            end = max(end, last)
    size = os.fstat(file.fileno()).st_size - 8 - length
    if size < end or 0 < end < size:
        raise ValueError("cut off, or longer than its tensors")
    return tensors


def gguf_header(path: Path) -> tuple[dict[str, Any], dict[str, TensorHeader]]:
    """Return (metadata, tensors) of a GGUF file, from its header alone; of a list in the metadata its length.

    Raises:
        ModelError: the file is missing, broken, one of several or of another format.
    """
    try:
        with open_regular(path) as file:
            metadata, tensors = _gguf_tensors(_Limited(file))
    except UnusableFile as error:
        raise ModelError(messages.MODEL_FILE_UNUSABLE(file=path.name, reason=error)) from error
    except (ValueError, KeyError, struct.error) as error:
        raise ModelError(messages.NOT_GGUF(file=path.name, reason=_fault(path, ".gguf"))) from error
    count, place = metadata.get("split.count"), metadata.get("split.no")
    if isinstance(count, int) and isinstance(place, int) and count > 1:
        raise ModelError(messages.GGUF_SPLIT(file=path.name, number=place + 1, count=count))
    return metadata, tensors


class _Limited:
    """A file of which only so much is read as a header may have."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _HEADER_LIMIT_BYTES

    def bytes(self, count: int) -> bytes:
        self._left -= count
        if self._left < 0:
            raise ValueError("too long")
        content = self._file.read(count)
        if len(content) < count:
            raise ValueError("cut off")
        return content

    def number(self, kind: str) -> Any:
        return struct.unpack(kind, self.bytes(struct.calcsize(kind)))[0]

    def text(self) -> str:
        return self.bytes(self.number("<Q")).decode()

    def value(self, kind: int) -> Any:
        """Return a value; of a list its length only."""
        if kind == _GGUF_TEXT:
            return self.text()
        if kind != _GGUF_LIST:
            return self.number(_GGUF_SCALARS[kind])
        inner, count = self.number("<I"), self.number("<Q")
        if count > _MOST_IN_HEADER:
            raise ValueError(count)
        if inner == _GGUF_TEXT:
            for _ in range(count):
                self.text()
        else:
            self.bytes(count * struct.calcsize(_GGUF_SCALARS[inner]))
        return count

    def is_complete(self, end: int) -> bool:
        return os.fstat(self._file.fileno()).st_size >= self._file.tell() + end


def _gguf_tensors(file: _Limited) -> tuple[dict[str, Any], dict[str, TensorHeader]]:
    if file.bytes(4) != GGUF_MAGIC or file.number("<I") not in (2, 3):
        raise ValueError("another format")
    count, values = file.number("<Q"), file.number("<Q")
    metadata = {}
    for _ in range(values):
        name = file.text()
        metadata[name] = file.value(file.number("<I"))
    tensors, end = {}, 0
    for _ in range(count):
        name = file.text()
        shape = tuple(file.number("<Q") for _ in range(file.number("<I")))
        kind, offset = file.number("<I"), file.number("<Q")
        dtype, block, size = _GGUF_TYPES.get(kind, (f"type {kind}", 1, 0))
        # GGUF counts dimensions from the fastest one on.
        tensors[name] = TensorHeader(dtype, shape[::-1], math.prod(shape) // block * size)
        end = max(end, offset + tensors[name].size_bytes)
    if not file.is_complete(end):
        raise ValueError("cut off")
    return metadata, tensors


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
