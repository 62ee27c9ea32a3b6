"""PNG frames: written fast, whole or not at all, and read back exactly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from deforum_helpers.errors import RenderError
from deforum_helpers.output.disk import write_whole
from deforum_helpers.output.metadata import png_text_chunks, with_png_text

# Run-length matching and one fixed filter take half the time of zlib's search and of trying every filter, for files
# of the same size. Older OpenCV has no choice of filter.
_FAST_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):
    _FAST_PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]
_NO_TEXT: Mapping[str, str] = MappingProxyType({})


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
    """Return the PNG file that `write_frame` writes."""
    if rgb_u8.dtype != np.uint8 or not (rgb_u8.ndim == 2 or (rgb_u8.ndim == 3 and rgb_u8.shape[2] == 3)):
        raise ValueError(f"A frame is uint8 (H, W, 3) or (H, W); found {rgb_u8.dtype} {rgb_u8.shape}.")
    bgr = cv2.cvtColor(rgb_u8, cv2.COLOR_RGB2BGR) if rgb_u8.ndim == 3 else rgb_u8
    _, png = cv2.imencode(".png", bgr, _FAST_PNG)
    return with_png_text(png.tobytes(), png_text_chunks(text)) if text else png.tobytes()


def read_frame(path: Path) -> NDArray[np.uint8]:
    """Return the picture in `path`, (H, W, 3) RGB uint8.

    Raises:
        RenderError: the file is missing or is not a picture.
    """
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise RenderError(f"The frame {path.name} cannot be read ({error.strerror}).") from error
    bgr = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if bgr is None:
        raise RenderError(f"The frame {path.name} is not a complete picture; delete it and resume.")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
