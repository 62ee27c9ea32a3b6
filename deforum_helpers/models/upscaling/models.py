"""Upscalers: the Protocol, Lanczos, Real-ESRGAN's networks in ncnn's format, and files of networks by spandrel."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import cv2
import torch
import torch.nn.functional as F

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.files.regular import open_regular
from deforum_helpers.core.optional import require
from deforum_helpers.core.registry import choose
from deforum_helpers.image.convert import clamp_pixels, from_pixels, pixels
from deforum_helpers.image.files import LARGEST_PIXELS
from deforum_helpers.image.types import Image
from deforum_helpers.models import messages
from deforum_helpers.models.devices import is_out_of_memory, network_dtype, release_unused
from deforum_helpers.models.upscaling import FACTORS, times_larger
from deforum_helpers.models.upscaling.available import (
    INSTALL_SPANDREL,
    architecture,
    missing_feature,
    names,
    network,
    upscaler_files,
)
from deforum_helpers.models.weights.ncnn import Check, read_graph, unchecked


class Upscaler(Protocol):
    """Enlarges images by a fixed factor."""

    name: str

    def enlarged(self, image: Image) -> Image:
        """Return `image`, (3, H, W) float32 RGB in 0..1, with sides that are the upscaler's factor times as long."""
        ...


# (1, 3, h, w) RGB in 0..1 on the network's device -> (1, 3, factor * h, factor * w).
Enlarge: TypeAlias = Callable[[torch.Tensor], torch.Tensor]

# A tile and the context around it; a whole image of 4096 pixels would not fit into memory. Halved, tiles still begin
# at multiples of 16: networks that divide an image into windows answer as for the whole image only where these fit.
TILE_PX, SMALLEST_TILE_PX = 512, 64
MARGIN_PX = 16


def make_upscaler(
    model: str, factor: str, device: torch.device | str = "cpu", check: Check = unchecked
) -> Upscaler:
    """Return the upscaler that settings name.

    Args:
        model: of `available.names`.
        factor: "x2", "x3" or "x4", one that the model has.
        device: where networks run.
        check: called between layers; an exception from it ends the run.

    Raises:
        UnknownName: no such model.
        ModelError: its weights are not on this machine, broken, or no upscaler.
        MissingFeature: the model is a file, and spandrel cannot be imported.
    """
    choose(dict.fromkeys(names()), model, "upscale model")
    times = times_larger(factor)
    if model == "Lanczos":
        return Lanczos(times)
    if model not in FACTORS:
        return _file_upscaler(upscaler_files()[model], times, device, check)
    files = network(model, factor)
    if files is None:
        raise ModelError(messages.UPSCALER_UNAVAILABLE(reason=missing_feature(model, factor)))
    graph = read_graph(files, device, check)
    return NetworkUpscaler(model, lambda seen: graph("output", data=seen), times, device)


class Lanczos:
    """Lanczos' windowed sinc over 8 pixels, without any network.

    Args:
        factor: how many times larger.
    """

    name = "Lanczos"

    def __init__(self, factor: int) -> None:
        self._factor = factor

    def enlarged(self, image: Image) -> Image:
        """Return the upscaled image; see `Upscaler`."""
        height_px, width_px = image.shape[1:]
        size = (width_px * self._factor, height_px * self._factor)
        larger = cv2.resize(pixels(image.cpu()), size, interpolation=cv2.INTER_LANCZOS4)
        return from_pixels(clamp_pixels(larger)).to(image.device)


class NetworkUpscaler:
    """A network as an `Upscaler`; large images are processed in tiles, smaller ones once memory is exhausted.

    Args:
        name: of the model.
        enlarge: the network.
        factor: how many times larger its answer is.
        device: where it runs.
        tile_px: side of a tile.
    """

    def __init__(
        self,
        name: str,
        enlarge: Enlarge,
        factor: int,
        device: torch.device | str,
        tile_px: int = TILE_PX,
    ) -> None:
        self.name = name
        self._enlarge = enlarge
        self._factor = factor
        self._device = torch.device(device)
        self._tile_px = tile_px

    def enlarged(self, image: Image) -> Image:
        """Return the upscaled image; see `Upscaler`."""
        while True:
            try:
                return self._by_tiles(image)
            except RuntimeError as error:
                tile_px = TILE_PX
                while tile_px >= min(self._tile_px, max(image.shape[1:])):
                    tile_px //= 2
                if tile_px < SMALLEST_TILE_PX or not is_out_of_memory(error):
                    raise
            # outside of the handler, which keeps the tensors of the failed call alive
            self._tile_px = tile_px
            release_unused(self._device)

    def _by_tiles(self, image: Image) -> Image:
        height_px, width_px = image.shape[1:]
        whole, times = image.to(self._device)[None], self._factor
        larger = torch.empty(3, height_px * times, width_px * times, device=image.device)
        for top, bottom in self._tiles(height_px):
            for left, right in self._tiles(width_px):
                above, before = min(top, MARGIN_PX), min(left, MARGIN_PX)
                seen = whole[:, :, top - above : bottom + MARGIN_PX, left - before : right + MARGIN_PX]
                output = self._enlarge(seen.contiguous())[0]
                rows = slice(above * times, (above + bottom - top) * times)
                columns = slice(before * times, (before + right - left) * times)
                larger[:, top * times : bottom * times, left * times : right * times] = output[
                    :, rows, columns
                ]
        return larger.clamp_(0, 1).contiguous()

    def _tiles(self, side_px: int) -> Iterator[tuple[int, int]]:
        for begin in range(0, side_px, self._tile_px):
            yield begin, min(begin + self._tile_px, side_px)


# Channels that a network takes and answers.
_CHANNELS = ((1, 1), (3, 3), (4, 3), (4, 4))


def _file_upscaler(path: Path, factor: int, device: torch.device | str, check: Check) -> NetworkUpscaler:
    spandrel = require("spandrel", f"The upscaler {path.name}", INSTALL_SPANDREL)
    weights = _weights(path)
    try:
        model = spandrel.ModelLoader().load_from_state_dict(weights)
    except spandrel.UnsupportedModelError as error:
        message = messages.UPSCALER_UNRECOGNIZED(file=path.name, kind=architecture(path))
        raise ModelError(message) from error
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise ModelError(messages.UPSCALER_BROKEN(file=path.name, reason=_first_line(error))) from error
    channels = model.input_channels, model.output_channels
    is_upscaler = isinstance(model, spandrel.ImageModelDescriptor) and model.purpose != "FaceSR"
    if not is_upscaler or channels not in _CHANNELS:
        raise ModelError(
            messages.UPSCALER_PURPOSE(file=path.name, purpose=model.purpose, channels=channels[0])
        )
    # networks that look at the whole image say so
    tile_px = TILE_PX if model.tiling.name == "SUPPORTED" else LARGEST_PIXELS
    return NetworkUpscaler(path.name, SpandrelNetwork(model, factor, device, check), factor, device, tile_px)


def _weights(path: Path) -> Mapping[str, Any]:
    """Return the weights of a file on the CPU; of a pickle only tensors and plain values are accepted.

    Spandrel would read the file with an unpickler of its own.

    Raises:
        ModelError: the file is broken, or a pickle of anything else.
    """
    try:
        with open_regular(path) as file:
            if path.suffix == ".safetensors":
                from safetensors.torch import load

                return load(file.read())
            if tarfile.is_tarfile(file):  # read without the restriction by torch before 2.6
                raise ValueError("a tar archive of torch 0.1")
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, pickle and safetensors have no common base
        raise ModelError(messages.UPSCALER_BROKEN(file=path.name, reason=_first_line(error))) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class SpandrelNetwork:
    """A network of spandrel as an `Enlarge`: by a factor of the user's choice, on images of three channels.

    Args:
        model: an `ImageModelDescriptor`.
        factor: how many times larger the answer is.
        device: where it runs; in half precision on accelerators, where the network allows that.
        check: called before each layer.
    """

    def __init__(self, model: Any, factor: int, device: torch.device | str, check: Check) -> None:
        place = torch.device(device)
        dtype = network_dtype(place, torch.float16 if model.supports_half else torch.bfloat16)
        if not {torch.float16: model.supports_half, torch.bfloat16: model.supports_bfloat16}.get(dtype, True):
            dtype = torch.float32
        model.model.to(place, dtype).eval()
        for layer in model.model.modules():
            layer.register_forward_pre_hook(lambda *_: check())
        self._model = model
        self._factor = factor
        self._dtype = dtype

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return the image enlarged: by the network, again until it is large enough, and then to the exact size.

        A network of x4 asked for x2 is followed by a reduction, one of x2 asked for x4 runs twice.
        """
        size = [side * self._factor for side in image.shape[2:]]
        value, own, times = image.to(self._dtype), self._model.scale, self._model.scale
        value = self._answer(value)
        while 1 < times < self._factor:
            value, times = self._answer(value), times * own
        value = value.float()
        if times == self._factor:
            return value
        return F.interpolate(value, size, mode="bicubic", antialias=True, align_corners=False)

    def _answer(self, rgb: torch.Tensor) -> torch.Tensor:
        if self._model.input_channels == 1:  # each colour alone, as a gray image
            return torch.cat([self._model(plane) for plane in rgb.split(1, dim=1)], 1)
        if self._model.input_channels == 4:
            rgb = torch.cat([rgb, torch.ones_like(rgb[:, :1])], 1)
        answer: torch.Tensor = self._model(rgb)
        return answer[:, :3]
