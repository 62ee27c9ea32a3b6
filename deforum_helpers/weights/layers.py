"""The layers that networks in ncnn's files are made of, on tensors (1, C, H, W) float32.

Numbers of keys, operations and orders of weights are those of ncnn's documentation of its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F

Params: TypeAlias = Mapping[int, Any]
Tensors: TypeAlias = Sequence[torch.Tensor]
# A weight's shape, and whether its precision is written before it.
Shape: TypeAlias = tuple[tuple[int, ...], bool]


def _int(params: Params, key: int, default: int = 0) -> int:
    return int(params.get(key, default))


def _kernel(params: Params) -> Iterator[Shape]:
    """Weights of a convolution: (out, in, height, width) and one bias for each channel that goes out."""
    out, wide = _int(params, 0), _int(params, 1)
    tall = _int(params, 11, wide)
    yield (out, _int(params, 6) // (out * tall * wide), tall, wide), True
    if _int(params, 5):
        yield (out,), False


def _slopes(params: Params) -> Iterator[Shape]:
    yield (_int(params, 0),), False


# What of the file of weights belongs to a layer.
WEIGHTED: Mapping[str, Callable[[Params], Iterator[Shape]]] = {
    "Convolution": _kernel,
    "Deconvolution": _kernel,
    "PReLU": _slopes,
}


def _activated(value: torch.Tensor, params: Params) -> torch.Tensor:
    kind, numbers = _int(params, 9), params.get(10, [])
    if kind == 0:
        return value
    if kind == 1:
        return F.relu(value)
    if kind == 2:
        return F.leaky_relu(value, numbers[0])
    if kind == 3:
        return value.clamp(numbers[0], numbers[1])
    if kind == 4:
        return value.sigmoid()
    raise ValueError(f"activation {kind}")


def _convolution(read: Tensors, params: Params, tensors: Tensors) -> torch.Tensor:
    bias = tensors[1] if len(tensors) > 1 else None
    wide, across, pad = _int(params, 2, 1), _int(params, 3, 1), _int(params, 4)
    strides = (_int(params, 13, across), across)
    padding = (_int(params, 14, pad), pad)
    answer = F.conv2d(read[0], tensors[0], bias, strides, padding, (_int(params, 12, wide), wide))
    return _activated(answer, params)


def _deconvolution(read: Tensors, params: Params, tensors: Tensors) -> torch.Tensor:
    bias = tensors[1] if len(tensors) > 1 else None
    across, pad = _int(params, 3, 1), _int(params, 4)
    # The file has (out, in, height, width), torch wants (in, out, height, width).
    kernel = tensors[0].transpose(0, 1)
    padding = (_int(params, 14, pad), pad)
    answer = F.conv_transpose2d(read[0], kernel, bias, (_int(params, 13, across), across), padding)
    return _activated(answer, params)


_OPERATIONS: Mapping[int, Callable[[Any, Any], torch.Tensor]] = {
    0: lambda a, b: a + b,
    1: lambda a, b: a - b,
    2: lambda a, b: a * b,
    3: lambda a, b: a / b,
    7: lambda a, b: b - a,
    8: lambda a, b: b / a,
}


def _binary(read: Tensors, params: Params, tensors: Tensors) -> torch.Tensor:
    other = float(params.get(2, 0)) if _int(params, 1) else read[1]
    return _OPERATIONS[_int(params, 0)](read[0], other)


def _weighted_sum(read: Tensors, params: Params, tensors: Tensors) -> torch.Tensor:
    if _int(params, 0) != 1:
        raise ValueError("an Eltwise that is no sum")
    shares = params.get(1) or [1.0] * len(read)
    total = read[0] * shares[0]
    for value, share in zip(read[1:], shares[1:], strict=True):
        total = total.add_(value, alpha=share)
    return total


_SAMPLING = {1: "nearest", 2: "bilinear", 3: "bicubic"}


def _resized(read: Tensors, params: Params, tensors: Tensors) -> torch.Tensor:
    mode = _SAMPLING[_int(params, 0, 1)]
    corners = None if mode == "nearest" else False
    factors = (float(params.get(1, 1)), float(params.get(2, 1)))
    return F.interpolate(read[0], scale_factor=factors, mode=mode, align_corners=corners)


def _cropped(read: Tensors, params: Params, tensors: Tensors) -> torch.Tensor:
    """Channels, rows and columns are axes 0, 1 and 2; a range ends before its end."""
    value = read[0]
    for axis, begin, end in zip(params[11], params[9], params[10], strict=True):
        value = value.narrow(
            int(axis) + 1, int(begin), min(int(end), value.shape[int(axis) + 1]) - int(begin)
        )
    return value


def warped(read: Tensors, params: Params, tensors: Tensors) -> torch.Tensor:
    """Return the picture read[0] with the pixel at p taken from p + flow(p), flow being read[1]; edges are repeated."""
    image, flow = read
    height_px, width_px = image.shape[2:]
    columns = torch.arange(width_px, device=image.device, dtype=torch.float32)
    rows = torch.arange(height_px, device=image.device, dtype=torch.float32)[:, None]
    x = (columns + flow[:, 0]) * (2 / max(width_px - 1, 1)) - 1
    y = (rows + flow[:, 1]) * (2 / max(height_px - 1, 1)) - 1
    return F.grid_sample(image, torch.stack([x, y], -1), "bilinear", "border", align_corners=True)


LAYERS: Mapping[str, Callable[[Tensors, Params, Tensors], torch.Tensor]] = {
    "Convolution": _convolution,
    "Deconvolution": _deconvolution,
    "PReLU": lambda read, params, tensors: F.prelu(read[0], tensors[0]),
    "ReLU": lambda read, params, tensors: F.leaky_relu(read[0], float(params.get(0, 0))),
    "BinaryOp": _binary,
    "Eltwise": _weighted_sum,
    "Concat": lambda read, params, tensors: torch.cat(list(read), _int(params, 0) + 1),
    "Interp": _resized,
    "PixelShuffle": lambda read, params, tensors: F.pixel_shuffle(read[0], _int(params, 0)),
    "Crop": _cropped,
    "Sigmoid": lambda read, params, tensors: read[0].sigmoid(),
    "rife.Warp": warped,
}
