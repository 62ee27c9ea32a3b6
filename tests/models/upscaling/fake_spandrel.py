"""A module with spandrel's interface, which recognizes one kind of network: the convolution of a file "weight"."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import ModuleType
from typing import Any, ClassVar

import torch
import torch.nn.functional as F


class UnsupportedModelError(Exception):
    """The weights are of no known network."""


class ModelTiling(Enum):
    """Whether a network may see a part of an image."""

    SUPPORTED = 1
    DISCOURAGED = 2


class Network(torch.nn.Module):
    """Repeats each pixel `scale` times a side, blurred by the kernel of the file."""

    def __init__(self, kernel: torch.Tensor, scale: int) -> None:
        super().__init__()
        self.blur = torch.nn.Conv2d(*kernel.shape[1::-1], kernel.shape[-1], padding="same", bias=False)
        self.blur.load_state_dict({"weight": kernel})
        self.scale = scale

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        larger = F.interpolate(image, scale_factor=self.scale, mode="nearest")
        return self.blur(larger)  # type: ignore[no-any-return]


class ImageModelDescriptor:
    """A network that takes an image; those of 1 and 4 channels too, and sides that are multiples of 4."""

    supports_half = True
    supports_bfloat16 = False

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        kernel = weights["weight"]
        self.output_channels, self.input_channels = kernel.shape[:2]
        self.scale = int(weights["scale"])
        self.purpose = "FaceSR" if "face" in weights else "SR"
        self.tiling = ModelTiling.DISCOURAGED if "whole" in weights else ModelTiling.SUPPORTED
        self.model = Network(kernel, self.scale)
        self.seen: list[tuple[int, ...]] = []

    @torch.inference_mode()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(image.shape))
        assert image.dtype == self.model.blur.weight.dtype
        assert image.shape[:2] == (1, self.input_channels)
        height_px, width_px = image.shape[2:]
        padded = F.pad(image, (0, -width_px % 4, 0, -height_px % 4), mode="replicate")
        return self.model(padded)[..., : height_px * self.scale, : width_px * self.scale].clamp_(0, 1)  # type: ignore[no-any-return]


class ModelLoader:
    """Makes descriptors of weights."""

    loaded: ClassVar[list[ImageModelDescriptor]] = []

    def load_from_state_dict(self, weights: Mapping[str, Any]) -> ImageModelDescriptor:
        weights = weights.get("params", weights)
        if "weight" not in weights:
            raise UnsupportedModelError
        self.loaded.append(ImageModelDescriptor(weights))
        return self.loaded[-1]


def module() -> ModuleType:
    """Return a new module, for `sys.modules`."""
    made = ModuleType("spandrel")
    made.ModelLoader = type("ModelLoader", (ModelLoader,), {"loaded": []})  # type: ignore[attr-defined]
    made.ImageModelDescriptor = ImageModelDescriptor  # type: ignore[attr-defined]
    made.UnsupportedModelError = UnsupportedModelError  # type: ignore[attr-defined]
    return made


def weights(scale: int, channels: tuple[int, int] = (3, 3), **marks: float) -> dict[str, torch.Tensor]:
    """Return the weights of a network that keeps colors, blurred over 3 pixels."""
    taken, answered = channels
    kernel = torch.zeros(answered, taken, 3, 3)
    for channel in range(min(channels)):
        kernel[channel, channel] = torch.tensor([[0.0, 0.1, 0.0], [0.1, 0.6, 0.1], [0.0, 0.1, 0.0]])
    return {"weight": kernel, "scale": torch.tensor(scale), **{k: torch.tensor(v) for k, v in marks.items()}}
