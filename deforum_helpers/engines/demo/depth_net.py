"""The built-in monocular depth network.

It predicts relative log-depth y, larger = farther. In its training scenes,
metres = near * (far / near) ** y with the near and far of its config.json (1.5 m and 20 km).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file

STRIDE_PX = 32
SIZE_PX = 320


def conv_block(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU: (B, in, H, W) -> (B, out, H / stride, W / stride)."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions with a skip connection: (B, C, H, W) -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_block(channels, channels),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.body(x))


class DepthNet(nn.Module):
    """U-shaped network: RGB (B, 3, H, W) in 0..1, sides multiples of 32 -> log-depth (B, 1, H, W)."""

    def __init__(self, channels: tuple[int, ...] = (16, 24, 40, 64, 80)) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(channels))
        self.stem = conv_block(3, channels[0], 2)
        self.down = nn.ModuleList(nn.Sequential(conv_block(a, b, 2), Residual(b)) for a, b in pairs)
        self.context = Residual(channels[-1])
        self.pool = nn.Conv2d(channels[-1], channels[-1], 1)
        self.up = nn.ModuleList(conv_block(b + a, a) for a, b in reversed(pairs))
        self.head = nn.Conv2d(channels[0], 1, 3, 1, 1)

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        x = self.stem(rgb * 2 - 1)
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(x)
        x = self.context(x)
        x = x + self.pool(x.mean((2, 3), keepdim=True))
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = block(torch.cat([F.interpolate(x, size=skip.shape[2:], mode="bilinear"), skip], 1))
        return F.interpolate(self.head(x), scale_factor=2, mode="bilinear")


def load_depth_net(folder: str | Path) -> DepthNet:
    """The network of a folder with config.json and model.safetensors: float32, channels_last, on the CPU."""
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    net = DepthNet(tuple(config["channels"]))
    weights = load_file(folder / "model.safetensors")
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # which torch's annotations lack
    return net.eval()


@torch.inference_mode()
def predict(
    net: Callable[[torch.Tensor], torch.Tensor], rgb: torch.Tensor, size_px: int = SIZE_PX
) -> torch.Tensor:
    """Relative log-depth of one image, larger = farther.

    rgb: float (3, H, W) in 0..1 on the network's device; it is resized so that its short side is near `size_px`.
    Returns float32 (H, W), about 0..1.
    """
    height_px, width_px = rgb.shape[1:]
    scale = size_px / min(height_px, width_px)
    h, w = (max(STRIDE_PX, round(side * scale / STRIDE_PX) * STRIDE_PX) for side in (height_px, width_px))
    small = F.interpolate(rgb[None].float(), (h, w), mode="area" if h < height_px else "bilinear")
    return F.interpolate(net(small), (height_px, width_px), mode="bilinear")[0, 0].float()
