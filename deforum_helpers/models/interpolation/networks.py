"""The networks of frame interpolation: RIFE 4.6 and FILM.

RIFE estimates the motion to the wanted time and blends both frames there. FILM (Reda et al., "FILM: Frame Interpolation
for Large Motion", 2022) takes features of both frames on a pyramid of seven sizes, estimates the motion between them
from coarse to fine, warps images and features to the wanted time and fuses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.optional import require
from deforum_helpers.image.types import Image
from deforum_helpers.models import messages
from deforum_helpers.models.weights.ncnn import Check, Graph, unchecked

# RIFE halves its input five times.
RIFE_MULTIPLE_PX = 32


class RifeInterpolator:
    """RIFE as an `Interpolator`.

    Args:
        network: takes in0, in1 (1, 3, h, w) RGB in 0..1 and in2 (1, 1, h, w) the time; returns out0 (1, 3, h, w).
        device: where it runs.
    """

    name = "RIFE v4.6"

    def __init__(self, network: Graph, device: torch.device | str) -> None:
        self._network = network
        self._device = device

    def between(self, first: Image, second: Image, times: Sequence[float]) -> Iterator[Image]:
        """Yield the frames at `times`; see `Interpolator`."""
        pair = [padded(image.to(self._device), RIFE_MULTIPLE_PX) for image in (first, second)]
        height_px, width_px = first.shape[1:]
        for time in times:
            moment = torch.full_like(pair[0][:, :1], time)
            answer = self._network("out0", in0=pair[0], in1=pair[1], in2=moment)
            yield answer[0, :, :height_px, :width_px].clamp(0, 1).to(first.device)


def padded(image: Image, multiple_px: int) -> torch.Tensor:
    """Return (1, 3, h, w) with sides that are multiples of `multiple_px`: the last column and row are repeated."""
    height_px, width_px = image.shape[1:]
    padding = (0, -width_px % multiple_px, 0, -height_px % multiple_px)
    return F.pad(image[None].contiguous(), padding, mode="replicate")


SIZES = 7
FUSED_SIZES = 5
FEATURES = (64, 128, 256, 512)
# Filters of the flow's predictors, from the finest to the one that all coarse sizes share.
FLOW_FILTERS = (32, 64, 128, 256)
FILM_MULTIPLE_PX = 2 ** (SIZES - 1)
SLOPE = 0.2
# The part between the name of a convolution and its "weight" or "bias", which differs between files.
SPELLINGS = ("", "conv.", "0.", "1.")

Tensors = list[torch.Tensor]


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight by its name; files have one more part before its last, see `SPELLINGS`."""
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, out: int, into: int, side: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, into, side, side), (out,)

    for level, width in enumerate(FEATURES):
        convolution(f"{_features(level)}.0", width, (3, *FEATURES)[level], 3)
        convolution(f"{_features(level)}.1", width, width, 3)
    for level, filters in enumerate(FLOW_FILTERS):
        widths = (2 * sum(FEATURES[: level + 1]), filters, filters, filters, filters // 2, 2)
        for number, (into, out) in enumerate(pairwise(widths)):
            convolution(f"{_predictor(level)}.{number}", out, into, 3 if number < 3 else 1)
    before = 2 * (sum(FEATURES) + 5)
    for level in reversed(range(4)):
        out = FEATURES[level]
        convolution(f"{_fusion(level)}.0", out, before, 2)
        convolution(f"{_fusion(level)}.1", out, 2 * (sum(FEATURES[: level + 1]) + 5) + out, 3)
        convolution(f"{_fusion(level)}.2", out, out, 3)
        before = out
    convolution("fuse.output_conv", 3, FEATURES[0], 1)
    return shapes


def load_film(path: Path, device: torch.device | str, check: Check = unchecked) -> FilmInterpolator:
    """Return FILM with the weights of a .safetensors file; `check` is called between layers.

    Raises:
        MissingFeature: safetensors is not installed.
        ModelError: the file is broken, or of another network.
    """
    safetensors = require("safetensors", "FILM", "pip install safetensors")
    reader = require("safetensors.torch", "FILM", "pip install safetensors")
    try:
        weights = reader.load_file(path, device="cpu")
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise ModelError(messages.FILM_BROKEN(file=path.name)) from error
    return FilmInterpolator(
        {name: value.float().to(device) for name, value in _named(weights, path.name).items()}, device, check
    )


def _named(weights: Mapping[str, torch.Tensor], file: str) -> dict[str, torch.Tensor]:
    named = {}
    for name, shape in expected_shapes().items():
        convolution, _, kind = name.rpartition(".")
        spelled = (f"{convolution}.{between}{kind}" for between in SPELLINGS)
        value = next((weights[one] for one in spelled if one in weights), None)
        if value is None or tuple(value.shape) != shape:
            raise ModelError(messages.FILM_FOREIGN(file=file, layer=name))
        named[name] = value
    return named


class FilmInterpolator:
    """FILM as an `Interpolator`.

    Args:
        weights: by the names of `expected_shapes`, float32.
        device: where it runs.
        check: called before each convolution; an exception from it ends the run.
    """

    name = "FILM"

    def __init__(
        self, weights: Mapping[str, torch.Tensor], device: torch.device | str, check: Check = unchecked
    ) -> None:
        self._weights = weights
        self._device = device
        self._check = check

    @torch.no_grad()
    def between(self, first: Image, second: Image, times: Sequence[float]) -> Iterator[Image]:
        """Yield the frames at `times`; see `Interpolator`.

        The network is best in the middle: the time nearest to the middle of two known frames is made first, the
        others between that one and its neighbours.
        """
        pair = [padded(image.to(self._device), FILM_MULTIPLE_PX) for image in (first, second)]
        height_px, width_px = first.shape[1:]
        for frame in self._halved((0.0, pair[0]), (1.0, pair[1]), list(times)):
            yield frame[0, :, :height_px, :width_px].to(first.device)

    def _halved(
        self, low: tuple[float, torch.Tensor], high: tuple[float, torch.Tensor], times: list[float]
    ) -> Iterator[torch.Tensor]:
        if not times:
            return
        begin, end = low[0], high[0]
        time = min(times, key=lambda one: abs(one - (begin + end) / 2))
        frame = self.frame_at(low[1], high[1], (time - begin) / (end - begin)).clamp(0, 1)
        yield from self._halved(low, (time, frame), [one for one in times if one < time])
        yield frame
        yield from self._halved((time, frame), high, [one for one in times if one > time])

    def frame_at(self, first: torch.Tensor, second: torch.Tensor, time: float) -> torch.Tensor:
        """Return the frame at `time`, (1, 3, h, w), between two whose sides are multiples of 64."""
        pyramids = [_halves(image) for image in (first, second)]
        features = [self._feature_pyramid(pyramid) for pyramid in pyramids]
        second_from_first = self._flows(features[0], features[1])
        first_from_second = self._flows(features[1], features[0])
        levels = []
        for level in range(FUSED_SIZES):
            back, ahead = time * first_from_second[level], (1 - time) * second_from_first[level]
            moved = [
                _moved(torch.cat([pyramids[side][level], features[side][level]], 1), flow)
                for side, flow in ((0, back), (1, ahead))
            ]
            levels.append(torch.cat([*moved, back, ahead], 1))
        return self._fused(levels)

    def _convolved(self, name: str, value: torch.Tensor, *, bent: bool = True) -> torch.Tensor:
        self._check()
        kernel, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        side = kernel.shape[-1]
        if side % 2 == 0:
            value = F.pad(value, (0, 1, 0, 1))
        answer = F.conv2d(value, kernel, bias, padding=side // 2 if side % 2 else 0)
        return F.leaky_relu(answer, SLOPE) if bent else answer

    def _feature_pyramid(self, frames: Tensors) -> Tensors:
        """Return features of each size; those of one scale come from the same filters on images of several sizes."""
        towers = []
        for number, frame in enumerate(frames):
            tower, value = [], frame
            for level in range(min(len(FEATURES), len(frames) - number)):
                value = F.avg_pool2d(value, 2) if level else value
                for half in (0, 1):
                    value = self._convolved(f"{_features(level)}.{half}", value)
                tower.append(value)
            towers.append(tower)
        return [
            torch.cat([towers[size - level][level] for level in range(min(size + 1, len(FEATURES)))], 1)
            for size in range(len(frames))
        ]

    def _flows(self, here: Tensors, there: Tensors) -> Tensors:
        """Return the motion `there_from_here` of each size, from fine to coarse."""
        flow = self._predicted(len(here) - 1, here[-1], there[-1])
        flows = [flow]
        for level in reversed(range(len(here) - 1)):
            coarse = 2 * F.interpolate(flow, size=here[level].shape[2:], mode="bilinear", align_corners=False)
            flow = coarse + self._predicted(level, here[level], _moved(there[level], coarse))
            flows.append(flow)
        return flows[::-1]

    def _predicted(self, level: int, here: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        value, name = torch.cat([here, there], 1), _predictor(level)
        for number in range(5):
            value = self._convolved(f"{name}.{number}", value, bent=number < 4)
        return value

    def _fused(self, levels: Tensors) -> torch.Tensor:
        value = levels[-1]
        for level in reversed(range(len(levels) - 1)):
            name = _fusion(level)
            value = F.interpolate(value, size=levels[level].shape[2:], mode="nearest")
            value = torch.cat([levels[level], self._convolved(f"{name}.0", value, bent=False)], 1)
            value = self._convolved(f"{name}.2", self._convolved(f"{name}.1", value))
        return self._convolved("fuse.output_conv", value, bent=False)


def _features(level: int) -> str:
    return f"extract.extract_sublevels.convs.{level}"


def _predictor(level: int) -> str:
    """The three finest sizes have predictors of their own, which the file lists from coarse to fine."""
    return f"predict_flow._predictors.{2 - level}._convs" if level < 3 else "predict_flow._predictor._convs"


def _fusion(level: int) -> str:
    return f"fuse.convs.{3 - level}"


def _halves(image: torch.Tensor) -> Tensors:
    frames = [image]
    for _ in range(SIZES - 1):
        frames.append(F.avg_pool2d(frames[-1], 2))
    return frames


def _moved(value: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Return `value` with the pixel at p taken from p + flow(p); edges are repeated."""
    height_px, width_px = flow.shape[2:]
    columns = torch.arange(width_px, device=flow.device, dtype=torch.float32)
    rows = torch.arange(height_px, device=flow.device, dtype=torch.float32)[:, None]
    x = (columns + flow[:, 0] + 0.5) * (2 / width_px) - 1
    y = (rows + flow[:, 1] + 0.5) * (2 / height_px) - 1
    return F.grid_sample(value, torch.stack([x, y], -1), "bilinear", "border", align_corners=False)
