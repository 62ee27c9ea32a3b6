"""Upscalers: the Protocol, Lanczos and the networks of Real-ESRGAN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import cv2
import torch

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.registry import choose
from deforum_helpers.image.convert import clamp_pixels, from_pixels, pixels
from deforum_helpers.image.types import Image
from deforum_helpers.models import messages
from deforum_helpers.models.upscaling import FACTORS, missing_feature, network, times_larger
from deforum_helpers.models.weights.ncnn import Check, Graph, read_graph, unchecked


class Upscaler(Protocol):
    """Enlarges images by a fixed factor."""

    name: str

    def enlarged(self, image: Image) -> Image:
        """Return `image`, (3, H, W) float32 RGB in 0..1, with sides that are the upscaler's factor times as long."""
        ...


# A tile and the context around it; a whole image of 4096 pixels would not fit into memory.
TILE_PX = 512
MARGIN_PX = 16


def make_upscaler(
    model: str, factor: str, device: torch.device | str = "cpu", check: Check = unchecked
) -> Upscaler:
    """Return the upscaler that settings name.

    Args:
        model: of `FACTORS`.
        factor: "x2", "x3" or "x4", one that the model has.
        device: where networks run.
        check: called between layers; an exception from it ends the run.

    Raises:
        UnknownName: no such model.
        ModelError: its weights are not on this machine, or broken.
    """
    choose(FACTORS, model, "upscale model")
    if model == "Lanczos":
        return Lanczos(times_larger(factor))
    files = network(model, factor)
    if files is None:
        raise ModelError(messages.UPSCALER_UNAVAILABLE(reason=missing_feature(model, factor)))
    return NetworkUpscaler(model, read_graph(files, device, check), times_larger(factor), device)


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
    """A network of Real-ESRGAN as an `Upscaler`; large images are processed in tiles.

    Args:
        name: of the model.
        network: takes data (1, 3, h, w) RGB in 0..1, answers output (1, 3, factor * h, factor * w).
        factor: how many times larger.
        device: where it runs.
        tile_px: side of a tile.
    """

    def __init__(
        self, name: str, network: Graph, factor: int, device: torch.device | str, tile_px: int = TILE_PX
    ) -> None:
        self.name = name
        self._network = network
        self._factor = factor
        self._device = device
        self._tile_px = tile_px

    def enlarged(self, image: Image) -> Image:
        """Return the upscaled image; see `Upscaler`."""
        height_px, width_px = image.shape[1:]
        whole, times = image.to(self._device)[None], self._factor
        larger = torch.empty(3, height_px * times, width_px * times, device=image.device)
        for top, bottom in self._tiles(height_px):
            for left, right in self._tiles(width_px):
                above, before = min(top, MARGIN_PX), min(left, MARGIN_PX)
                seen = whole[:, :, top - above : bottom + MARGIN_PX, left - before : right + MARGIN_PX]
                output = self._network("output", data=seen.contiguous())[0]
                rows = slice(above * times, (above + bottom - top) * times)
                columns = slice(before * times, (before + right - left) * times)
                larger[:, top * times : bottom * times, left * times : right * times] = output[
                    :, rows, columns
                ]
        return larger.clamp_(0, 1).contiguous()

    def _tiles(self, side_px: int) -> Iterator[tuple[int, int]]:
        for begin in range(0, side_px, self._tile_px):
            yield begin, min(begin + self._tile_px, side_px)
