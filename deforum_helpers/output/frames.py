"""PNG frames: written fast, whole or not at all, and read back exactly."""

from __future__ import annotations

import importlib.util
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from deforum_helpers.core.errors import RenderError, exhausted_resource, no_resources
from deforum_helpers.core.files.atomic import write_whole
from deforum_helpers.core.files.no_links import open_file, read_file
from deforum_helpers.core.files.regular import UnusableFile
from deforum_helpers.image.files import LARGEST_FILE_BYTES
from deforum_helpers.output.metadata import PNG_SIGNATURE, png_chunk, png_text_chunks

# Where isal is, it compresses three times faster than zlib, to smaller files than zlib's fastest.
_isal_zlib = importlib.import_module("isal.isal_zlib") if importlib.util.find_spec("isal") else None

_GREY, _RGB = 0, 2
_AVERAGE = 3
_ROWS_AT_A_TIME = 64
_NO_TEXT: Mapping[str, str] = MappingProxyType({})
_END = png_chunk(b"IEND", b"")
_TAIL_BYTES = 4096  # some programs write something of theirs behind the end


def write_frame(path: Path, rgb_u8: NDArray[np.uint8], text: Mapping[str, str] = _NO_TEXT) -> None:
    """Write one picture as PNG, under a temporary name until it is complete.

    Args:
        path: of the PNG; its folder exists.
        rgb_u8: (H, W, 3) RGB or (H, W) grey, uint8.
        text: keyword -> text carried inside the file.

    Raises:
        DiskFull: no space.
        RenderError: the folder cannot be written.
        ValueError: another shape or dtype.
    """
    write_whole(path, encoded_png(rgb_u8, text))


def encoded_png(rgb_u8: NDArray[np.uint8], text: Mapping[str, str] = _NO_TEXT) -> bytes:
    """Return the PNG file that `write_frame` writes; its form is that of the PNG specification, sections 5, 9, 11."""
    if rgb_u8.dtype != np.uint8 or not (rgb_u8.ndim == 2 or (rgb_u8.ndim == 3 and rgb_u8.shape[2] == 3)):
        raise ValueError(f"A frame is uint8 (H, W, 3) or (H, W); found {rgb_u8.dtype} {rgb_u8.shape}.")
    height, width = rgb_u8.shape[:2]
    color_type = _GREY if rgb_u8.ndim == 2 else _RGB
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    return b"".join(
        (
            PNG_SIGNATURE,
            png_chunk(b"IHDR", header),
            png_text_chunks(text),
            png_chunk(b"IDAT", _deflated(_less_average(rgb_u8))),
            _END,
        )
    )


def _less_average(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, 1 + W · channels) bytes: PNG's filter "average" and each value less what it foretells.

    One filter for all rows takes a tenth of the time of choosing one for each, for files of nearly the same size.
    """
    rows = picture.reshape(len(picture), -1)
    channels = 1 if picture.ndim == 2 else 3
    left = np.zeros((_ROWS_AT_A_TIME, rows.shape[1]), np.uint8)
    above = np.zeros_like(left)
    filtered = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _AVERAGE
    for top in range(0, len(rows), _ROWS_AT_A_TIME):
        tile = rows[top : top + _ROWS_AT_A_TIME]
        count = len(tile)
        above[0] = rows[top - 1] if top else 0
        above[1:count] = tile[:-1]
        left[:count, channels:] = tile[:, :-channels]
        # (left + above) / 2, rounded down, without leaving 8 bits.
        foretold = left[:count] ^ above[:count]
        foretold >>= 1
        foretold += left[:count] & above[:count]
        np.subtract(tile, foretold, out=filtered[top : top + count, 1:])
    return filtered


def _deflated(filtered: NDArray[np.uint8]) -> bytes:
    if _isal_zlib is not None:
        return bytes(_isal_zlib.compress(filtered, 1))
    compressor = zlib.compressobj(1, strategy=zlib.Z_HUFFMAN_ONLY)
    return compressor.compress(filtered.data) + compressor.flush()


def read_frame(path: Path) -> NDArray[np.uint8]:
    """Return the picture in `path`, (H, W, 3) RGB uint8; no part of the path may be a link.

    Raises:
        RenderError: the file is missing or is not a picture.
    """
    try:
        content = np.frombuffer(read_file(path.absolute(), LARGEST_FILE_BYTES), np.uint8)
    except UnusableFile as error:
        raise RenderError(f"The frame {path.name} {error}; put it back, or render it anew.") from error
    bgr = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if bgr is None:
        raise RenderError(f"The frame {path.name} is not a complete picture; delete it and resume.")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def is_whole(path: Path) -> bool:
    """Whether `path` is a PNG file from its first byte to its last; what is between is not looked at.

    Raises:
        NoResources: the system has no descriptor left to look at it.
    """
    try:
        with open_file(path.absolute()) as file:
            begins = file.read(len(PNG_SIGNATURE)) == PNG_SIGNATURE
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return begins and _END in file.read()
    except OSError as error:
        if lack := exhausted_resource(error):
            raise no_resources(f"{path.name} cannot be read", lack) from error
        return False
