"""Conversion of decoded frames for display: upright, all of the same size, in RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.media.containers import pyav

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# libav's numbers of YCbCr matrices and level ranges -> the names that its scaler uses.
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
_RANGES = {1: "limited", 2: "full"}


def shown_size(frame: VideoFrame) -> tuple[int, int]:
    """Return the width and height of a frame in pixels after rotation."""
    size = frame.width, frame.height
    return size[::-1] if _orientation(frame)[0] else size


class UprightConverter:
    """Converts the frames of one video to upright RGB images, all of the first frame's size."""

    def __init__(self) -> None:
        self._size_px: tuple[int, int] | None = None
        self._kind: tuple[Any, ...] = ()
        self._graph: Any = None

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Return the image of a frame, (height, width, 3) RGB uint8."""
        if self._size_px is None:
            self._size_px = shown_size(frame)
        turned, mirrored, upside_down = _orientation(frame)
        size_px = self._size_px[::-1] if turned else self._size_px
        kind = size_px, frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range
        if kind != self._kind:
            self._kind, self._graph = kind, _scaler(frame, size_px)
        frame.pts = None
        self._graph.push(frame)
        image = self._graph.pull().to_ndarray()
        if turned:
            image = image.transpose(1, 0, 2)
        return image[:: -1 if upside_down else 1, :: -1 if mirrored else 1]


def _scaler(frame: VideoFrame, size_px: tuple[int, int]) -> Any:
    """Return a libav filter graph that converts frames like this one to RGB of a given size.

    The default conversion of libav is less accurate.
    """
    graph = pyav().filter.Graph()
    options = [f"{size_px[0]}:{size_px[1]}:flags=bicubic+accurate_rnd+full_chroma_int"]
    if matrix := _MATRICES.get(int(frame.colorspace)):
        options.append(f"in_color_matrix={matrix}")
    if levels := _RANGES.get(int(frame.color_range)):
        options.append(f"in_range={levels}")
    nodes = [
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        ),
        graph.add("scale", ":".join(options)),
        graph.add("format", "rgb24"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*nodes).configure()
    return graph


def _orientation(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Return whether a frame is transposed for display, and whether columns and rows are then mirrored.

    The display matrix maps coded coordinates to displayed ones: x' = a x + c y and y' = b x + d y. For a rotation by 90
    degrees to the left, a and d are 0, b is -1 and c is 1: a displayed row is a mirrored column.
    """
    beside: Any = frame.side_data
    matrix = next((one for one in beside if one.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    return (True, c < 0, b < 0) if turned else (False, a < 0, d < 0)
