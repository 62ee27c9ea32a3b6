"""Interpolators by name: the Protocol, the networks RIFE and FILM, and measured motion alone.

Measured motion needs no network: the flows of both frames are splatted forward to the wanted time, which gives for each
pixel of the new frame its place in either frame. Content that only one frame shows is taken from that frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch

from deforum_helpers.core.errors import ModelError
from deforum_helpers.image.convert import Floats, from_pixels, pixels
from deforum_helpers.image.types import Image
from deforum_helpers.models import messages
from deforum_helpers.models.flow.estimators import FlowEstimator, dis_medium
from deforum_helpers.models.flow.warp import agreement, pixel_places
from deforum_helpers.models.interpolation import engine_name, film_file, missing_feature, rife_files
from deforum_helpers.models.interpolation.networks import RifeInterpolator, load_film
from deforum_helpers.models.weights.ncnn import Check, read_graph, unchecked


class Interpolator(Protocol):
    """Makes frames between two frames."""

    name: str

    def between(self, first: Image, second: Image, times: Sequence[float]) -> Iterator[Image]:
        """Yield the frames at `times`, in order.

        Args:
            first, second: (3, H, W) float32 RGB, 0..1, of one size.
            times: 0 is `first`, 1 is `second`; each lies between, rising.
        """
        ...


def make_interpolator(
    name: str, device: torch.device | str = "cpu", check: Check = unchecked
) -> Interpolator:
    """Return the engine that a setting names.

    Args:
        name: of `ENGINES`.
        device: where networks run.
        check: called between layers; an exception from it ends the run.

    Raises:
        UnknownName: no such engine.
        ModelError: its files are not on this machine, or broken.
    """
    makers: Mapping[str, Callable[[], Interpolator]] = {
        "RIFE v4.6": lambda: _rife(device, check),
        "FILM": lambda: _film(device, check),
        "Flow": MotionInterpolator,
    }
    return makers[engine_name(name).name]()


def _rife(device: torch.device | str, check: Check) -> Interpolator:
    files = rife_files()
    if files is None:
        raise ModelError(messages.INTERPOLATION_UNAVAILABLE(reason=missing_feature("RIFE v4.6")))
    return RifeInterpolator(read_graph(files, device, check), device)


def _film(device: torch.device | str, check: Check) -> Interpolator:
    file = film_file()
    if file is None:
        raise ModelError(messages.INTERPOLATION_UNAVAILABLE(reason=missing_feature("FILM")))
    return load_film(file, device, check)


# The least weight of pixels whose flows disagree, so that every pixel gets a colour.
LEAST_TRUST = 0.02
# Holes of the splatted flow are filled from their surroundings, at this deviation and then at wider ones.
FIRST_FILL_PX = 2.0
# Measured motion is smooth over a few pixels: it is splatted at half the size, in a quarter of the time.
COARSE = 2


@dataclass(frozen=True)
class _Side:
    """One frame: its pixels, where its flow to the other frame can be trusted, and both at half the size."""

    rgb: Floats
    trust: Floats
    coarse_flow: Floats
    coarse_trust: Floats


class MotionInterpolator:
    """Measured motion as an `Interpolator`.

    Args:
        estimator: measures motion; by default DIS.
    """

    name = "Flow"

    def __init__(self, estimator: FlowEstimator | None = None) -> None:
        self._estimator = estimator or dis_medium()

    def between(self, first: Image, second: Image, times: Sequence[float]) -> Iterator[Image]:
        """Yield the frames at `times`; see `Interpolator`."""
        here, there = first.cpu(), second.cpu()
        forward = _field(self._estimator.estimate(here, there))
        backward = _field(self._estimator.estimate(there, here))
        sides = _side(here, forward, backward), _side(there, backward, forward)
        for time in times:
            yield from_pixels(_blended_at(*sides, time)).to(first.device)


def _field(flow: torch.Tensor) -> Floats:
    return np.ascontiguousarray(flow.permute(1, 2, 0).cpu().numpy())


def _side(image: Image, flow: Floats, flow_back: Floats) -> _Side:
    trust = np.maximum(cv2.GaussianBlur(agreement(flow, flow_back), (5, 5), 1.0), LEAST_TRUST)
    height_px, width_px = trust.shape
    size = -(-width_px // COARSE), -(-height_px // COARSE)
    scale = np.array([size[0] / width_px, size[1] / height_px], np.float32)
    coarse = [cv2.resize(values, size, interpolation=cv2.INTER_AREA) for values in (flow, trust)]
    return _Side(pixels(image), trust, coarse[0] * scale, coarse[1])


def _blended_at(first: _Side, second: _Side, time: float) -> Floats:
    """Return the frame at `time`, (H, W, 3)."""
    height_px, width_px = first.trust.shape
    coarse = _motion_at(first, second, time)
    motion = cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    motion *= np.array([width_px / coarse.shape[1], height_px / coarse.shape[0]], np.float32)
    from_first, seen_first = _fetched(first, -time * motion)
    from_second, seen_second = _fetched(second, (1 - time) * motion)
    share_first, share_second = (1 - time) * seen_first, time * seen_second
    share = (share_first / (share_first + share_second))[..., None]
    return np.clip(share * from_first + (1 - share) * from_second, 0, 1, dtype=np.float32)


def _fetched(side: _Side, away: Floats) -> tuple[Floats, Floats]:
    """Return a frame's pixels at the offset `away` of each pixel, and their trust."""
    columns, rows = pixel_places(*away.shape[:2])
    x, y = columns + away[..., 0], rows + away[..., 1]
    rgb = cv2.remap(side.rgb, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    trust = cv2.remap(
        side.trust, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=LEAST_TRUST
    )
    return rgb, np.maximum(trust, LEAST_TRUST)


def _motion_at(first: _Side, second: _Side, time: float) -> Floats:
    """Return the coarse motion (h, w, 2) from the first to the second frame, at the places of `time`."""
    splatted = _splatted(first.coarse_flow, first.coarse_trust, time) * np.float32(1 - time)
    splatted += _splatted(-second.coarse_flow, second.coarse_trust, 1 - time, -1) * np.float32(time)
    weight, sums = splatted[..., 2], splatted
    deviation_px = FIRST_FILL_PX
    longest_px = max(weight.shape)
    while weight.min() < 1e-3 and deviation_px < longest_px:
        wider = cv2.GaussianBlur(splatted, (0, 0), deviation_px)
        sums = sums + 1e-3 * wider
        weight = sums[..., 2]
        deviation_px *= 4
    return sums[..., :2] / np.maximum(weight, 1e-9)[..., None]


def _splatted(motion: Floats, trust: Floats, time: float, direction: int = 1) -> Floats:
    """Return (H, W, 3) the motion and its weight, summed where the motion leads in `time`.

    Each vector is distributed among the four pixels around the place where it lands.
    """
    height_px, width_px = trust.shape
    columns, rows = pixel_places(height_px, width_px)
    x = columns + direction * time * motion[..., 0]
    y = rows + direction * time * motion[..., 1]
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    sums = np.zeros((3, height_px * width_px))
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        share = (1 - np.abs(x - left - right)) * (1 - np.abs(y - top - down)) * trust
        column, row = left + right, top + down
        inside = (column >= 0) & (column < width_px) & (row >= 0) & (row < height_px)
        place, share = (row * width_px + column)[inside], share[inside]
        for channel, value in enumerate((motion[..., 0][inside], motion[..., 1][inside], 1.0)):
            sums[channel] += np.bincount(place, share * value, height_px * width_px)
    return np.ascontiguousarray(sums.T.reshape(height_px, width_px, 3).astype(np.float32))
