"""PNG frames: written fast and atomically, and read back exactly."""

from __future__ import annotations

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
from deforum_helpers.output import messages
from deforum_helpers.output.metadata import PNG_SIGNATURE, igzip, png_chunk, png_text_chunks

_GREY, _RGB = 0, 2
_AVERAGE = 3
_ROWS_AT_A_TIME = 64
# Rendered frames have grain, where longer matches than a few pixels back are not found: a window of 512 bytes takes a
# sixth less time than one of 32 KB, and files are a little smaller.
_WINDOW_BITS = 9
_NO_TEXT: Mapping[str, str] = MappingProxyType({})
_END = png_chunk(b"IEND", b"")
_TAIL_BYTES = 4096  # some programs append data of their own after the IEND chunk


def write_frame(path: Path, rgb_u8: NDArray[np.uint8], text: Mapping[str, str] = _NO_TEXT) -> None:
    """Write one image as PNG, under a temporary name until it is complete.

    Args:
        path: the PNG file; its folder exists.
        rgb_u8: (H, W, 3) RGB or (H, W) gray, uint8.
        text: keyword -> text to embed in the file.

    Raises:
        DiskFull: the disk has no space left.
        RenderError: the folder cannot be written.
        ValueError: the shape or dtype is another one.
    """
    write_whole(path, encode_png(rgb_u8, text))


def encode_png(rgb_u8: NDArray[np.uint8], text: Mapping[str, str] = _NO_TEXT) -> bytes:
    """Return the content of a PNG file; arguments as in `write_frame`. See the PNG specification, sections 5, 9, 11."""
    if rgb_u8.dtype != np.uint8 or not (rgb_u8.ndim == 2 or (rgb_u8.ndim == 3 and rgb_u8.shape[2] == 3)):
        raise ValueError(f"Expected a uint8 frame (H, W, 3) or (H, W); found {rgb_u8.dtype} {rgb_u8.shape}.")
    height, width = rgb_u8.shape[:2]
    color_type = _GREY if rgb_u8.ndim == 2 else _RGB
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    return b"".join(
        (
            PNG_SIGNATURE,
            png_chunk(b"IHDR", header),
            png_text_chunks(text),
            png_chunk(b"IDAT", _deflate(_average_filtered(rgb_u8))),
            _END,
        )
    )


def _average_filtered(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, 1 + W · channels) bytes: PNG's filter type "average" and the differences from its prediction.

    One filter type for all rows takes a tenth of the time of choosing one per row, and files are nearly as small.
    """
    rows = image.reshape(len(image), -1)
    channels = 1 if image.ndim == 2 else 3
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
        predicted = left[:count] ^ above[:count]
        predicted >>= 1
        predicted += left[:count] & above[:count]
        np.subtract(tile, predicted, out=filtered[top : top + count, 1:])
    return filtered


def _deflate(filtered: NDArray[np.uint8]) -> bytes:
    if igzip is not None:
        packed: bytes = igzip.compress(filtered, 1, igzip.COMP_ZLIB, hist_bits=_WINDOW_BITS)
        return packed
    compressor = zlib.compressobj(1, strategy=zlib.Z_HUFFMAN_ONLY)
    return compressor.compress(filtered.data) + compressor.flush()


def read_frame(path: Path) -> NDArray[np.uint8]:
    """Return the image in `path`, (H, W, 3) RGB uint8; no part of the path may be a link.

    Raises:
        RenderError: the file is missing or not a complete image.
    """
    try:
        content = np.frombuffer(read_file(path.absolute(), LARGEST_FILE_BYTES), np.uint8)
    except UnusableFile as error:
        raise RenderError(messages.FRAME_UNUSABLE(name=path.name, why=error)) from error
    bgr = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if bgr is None:
        raise RenderError(messages.FRAME_INCOMPLETE(name=path.name))
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def is_complete_png(path: Path) -> bool:
    """Return whether `path` begins and ends as a PNG file; the chunks between are not checked.

    Raises:
        NoResources: the system has no file descriptor left.
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
