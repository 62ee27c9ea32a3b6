"""RIFE 4.6: a network that estimates the motion to the wanted time and blends both frames there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F

from deforum_helpers.image.types import Image
from deforum_helpers.models.weights.ncnn import Graph

# The network halves its input five times.
MULTIPLE_PX = 32


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
        pair = [padded(image.to(self._device), MULTIPLE_PX) for image in (first, second)]
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
