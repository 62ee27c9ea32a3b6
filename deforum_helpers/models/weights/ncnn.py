"""Networks in ncnn's file format, run by torch on tensors (1, C, H, W) float32.

Numbers of keys, operations and orders of weights are those of ncnn's documentation of its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.files.regular import read_regular
from deforum_helpers.models import messages

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


# Layer -> the shapes of its weights, in the order of the file.
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
    """Return the image read[0] warped by the flow read[1]: p is fetched from p + flow(p); edges are replicated."""
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


MAGIC = "7767517"
LARGEST_TEXT = 4 << 20
LARGEST_WEIGHTS = 4 << 30
LIST_KEYS = -23300
HALF_PRECISION = 0x01306B47
FULL_PRECISION = (0, 0x0002C056)


Check = Callable[[], None]


def unchecked() -> None:
    """Check nothing."""


@dataclass(frozen=True)
class Layer:
    """One line of the text, with its weights.

    Args:
        kind: of `LAYERS`.
        inputs, outputs: names of its input and output tensors.
        params: its numbers by key.
        tensors: its weights in the order of the file.
        dropped: names of tensors that no later layer reads.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Params
    tensors: tuple[torch.Tensor, ...] = ()
    dropped: tuple[str, ...] = ()


class Graph:
    """A network that was read from files.

    Args:
        layers: in the order that they run.
        check: called before each layer; an exception from it ends the run.
    """

    def __init__(self, layers: tuple[Layer, ...], check: Check = unchecked) -> None:
        self._layers = layers
        self._check = check

    @torch.no_grad()
    def __call__(self, output: str, **inputs: torch.Tensor) -> torch.Tensor:
        """Return the tensor named `output` for the named inputs, all (1, C, H, W) float32 on one device."""
        values: dict[str, torch.Tensor] = dict(inputs)
        for layer in self._layers:
            self._check()
            if layer.kind == "Input":
                continue
            read = [values[name] for name in layer.inputs]
            if layer.kind == "Split":
                values.update(dict.fromkeys(layer.outputs, read[0]))
            else:
                values[layer.outputs[0]] = LAYERS[layer.kind](read, layer.params, layer.tensors)
            for name in layer.dropped:
                if name != output:
                    values.pop(name, None)
        return values[output]


def read_graph(files: tuple[Path, Path], device: torch.device | str, check: Check = unchecked) -> Graph:
    """Return the network of a pair of files, `.param` and `.bin`; `check` as `Graph` takes it.

    Raises:
        ModelError: they cannot be read, do not belong together, or hold layers that are not known here.
    """
    text, weights = files
    try:
        lines = read_regular(text, LARGEST_TEXT).decode("ascii").splitlines()
        content = np.frombuffer(read_regular(weights, LARGEST_WEIGHTS), np.uint8)
        layers = _with_weights(_layers(lines), content, device)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise ModelError(messages.NCNN_BROKEN(file=text.name, reason=error)) from error
    return Graph(_with_ends(layers), check)


def _layers(lines: list[str]) -> list[Layer]:
    if not lines or lines[0].strip() != MAGIC:
        raise ValueError("it does not begin like an ncnn file")
    layers = [_layer(line.split()) for line in lines[2:] if line.strip()]
    known = {"Input", "Split", *LAYERS}
    unknown = {layer.kind for layer in layers} - known
    if unknown:
        raise ValueError(f"it has unknown layers: {', '.join(sorted(unknown))}")
    return layers


def _layer(words: list[str]) -> Layer:
    inputs, outputs = int(words[2]), int(words[3])
    names = words[4 : 4 + inputs + outputs]
    params: dict[int, Any] = {}
    for word in words[4 + inputs + outputs :]:
        key, _, value = word.partition("=")
        number = int(key)
        if number <= LIST_KEYS:
            params[LIST_KEYS - number] = [float(part) for part in value.split(",")[1:]]
        else:
            params[number] = float(value)
    return Layer(words[0], tuple(names[:inputs]), tuple(names[inputs:]), params)


def _with_weights(layers: list[Layer], content: np.ndarray, device: torch.device | str) -> list[Layer]:
    place, weighted = 0, []
    for layer in layers:
        tensors = []
        for shape, packed in WEIGHTED[layer.kind](layer.params) if layer.kind in WEIGHTED else ():
            values, place = _values(content, place, int(np.prod(shape)), packed)
            tensors.append(torch.from_numpy(values.reshape(shape)).to(device))
        weighted.append(Layer(layer.kind, layer.inputs, layer.outputs, layer.params, tuple(tensors)))
    if place != content.size:
        raise ValueError(f"its weights have {content.size} bytes, its layers need {place}")
    return weighted


def _values(content: np.ndarray, place: int, count: int, packed: bool) -> tuple[np.ndarray, int]:
    """Return `count` float32 from `place` on, and where the next begin; `packed` ones tell their precision first."""
    half = False
    if packed:
        mark = int(content[place : place + 4].view(np.uint32)[0])
        place += 4
        half = mark == HALF_PRECISION
        if not half and mark not in FULL_PRECISION:
            raise ValueError("its weights have an unknown precision")
    size = count * (2 if half else 4)
    raw = content[place : place + size]
    if raw.size != size:
        raise ValueError("its weights end too early")
    values = raw.view(np.float16 if half else np.float32).astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("its weights are not finite")
    return values, place + -(-size // 4) * 4


def _with_ends(layers: list[Layer]) -> tuple[Layer, ...]:
    last: dict[str, int] = {name: number for number, layer in enumerate(layers) for name in layer.inputs}
    ends: Mapping[int, list[str]] = {number: [] for number in range(len(layers))}
    for name, number in last.items():
        ends[number].append(name)
    return tuple(replace(layer, dropped=tuple(ends[number])) for number, layer in enumerate(layers))
