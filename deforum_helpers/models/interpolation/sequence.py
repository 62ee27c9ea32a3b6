"""Interpolation of a sequence of frames, with detection of cuts and repeated frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from deforum_helpers.image.convert import Floats, on_8_bit_grid, pixels
from deforum_helpers.image.types import Image
from deforum_helpers.models.interpolation.engines import Interpolator

# Similarity below which two frames belong to different scenes, and above which the second repeats the first.
CUT = 0.2
STATIC = 0.996
SMALL_PX = 32
_WINDOW_PX, _DEVIATION_PX = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def interpolated_sequence(
    count: int,
    read: Callable[[int], Image],
    interpolator: Interpolator,
    x_amount: int,
    *,
    begin: int = 0,
    beginning: Image | None = None,
) -> Iterator[tuple[int, Image]]:
    """Yield the interpolated sequence, x_amount * (count - 1) + 1 frames, each with its number.

    A frame that repeats the one before it is replaced by an interpolation of its neighbours, so that motion does not
    stutter; at a cut the last frame of the scene is held until the next scene begins.

    Args:
        count: number of source frames.
        read: returns source frame 0 .. count - 1.
        interpolator: makes the frames between.
        x_amount: how many times more frames, >= 2.
        begin: the source frame to continue from.
        beginning: the frame that was yielded for it, required if `begin` is not 0.
    """
    first = read(0) if beginning is None else beginning
    if begin == 0:
        yield 0, first
    times = [number / x_amount for number in range(1, x_amount)]
    for frame in range(begin, count - 1):
        after = read(frame + 2) if frame + 2 < count else None
        second = _without_repetition(first, read(frame + 1), after, lambda: interpolator)
        cut = similarity(first, second) < CUT
        between = iter([first] * len(times)) if cut else interpolator.between(first, second, times)
        for number, image in enumerate(between, start=1):
            yield frame * x_amount + number, image
        yield (frame + 1) * x_amount, second
        first = second


def sources_without_repetition(
    count: int, read: Callable[[int], Image], interpolator: Callable[[], Interpolator]
) -> Iterator[Image]:
    """Yield the source frames as they are in the interpolated sequence.

    Args:
        count, read: as in `interpolated_sequence`.
        interpolator: returns what replaces a repetition; called where there is one.
    """
    first = read(0)
    yield first
    for frame in range(1, count):
        after = read(frame + 1) if frame + 1 < count else None
        first = _without_repetition(first, read(frame), after, interpolator)
        yield first


def _without_repetition(
    first: Image, second: Image, after: Image | None, interpolator: Callable[[], Interpolator]
) -> Image:
    if after is None or similarity(first, second) <= STATIC or similarity(first, after) < CUT:
        return second
    return on_8_bit_grid(next(interpolator().between(first, after, [0.5])))


def similarity(one: Image, other: Image) -> float:
    """Return the similarity of two images, 1 = equal: the mean structural similarity at 32x32 pixels.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004, with an 11x11
    Gaussian window of deviation 1.5 on each colour.
    """
    a, b = (_small(image) for image in (one, other))
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a, variance_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
    shared = _blurred(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _C1) * (2 * shared + _C2)
    return float(np.mean(likeness / ((mean_a**2 + mean_b**2 + _C1) * (variance_a + variance_b + _C2))))


def _small(image: Image) -> Floats:
    small: Floats = cv2.resize(pixels(image.cpu()), (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA)
    return small


def _blurred(values: Floats) -> Floats:
    size = (_WINDOW_PX, _WINDOW_PX)
    return cv2.GaussianBlur(values, size, _DEVIATION_PX, borderType=cv2.BORDER_REPLICATE)
