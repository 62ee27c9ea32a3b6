"""Networks from ncnn's two plain files, a text of layers and raw weights, run by torch on any device.

The files hold numbers and names alone, so that opening one runs nothing. The format is ncnn's: the text has one line a
layer, "type name inputs outputs input-names output-names key=value ...", keys below -23300 being lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deforum_helpers.errors import ModelError
from deforum_helpers.models import messages
from deforum_helpers.regular_files import read_regular
from deforum_helpers.weights.layers import LAYERS, WEIGHTED, Params

MAGIC = "7767517"
LARGEST_TEXT = 4 << 20
LARGEST_WEIGHTS = 4 << 30
LIST_KEYS = -23300
HALF_PRECISION = 0x01306B47
FULL_PRECISION = (0, 0x0002C056)


Check = Callable[[], None]


def unchecked() -> None:
    """Let a network run to its end."""


@dataclass(frozen=True)
class Layer:
    """One line of the text, with its weights.

    Args:
        kind: of `LAYERS`.
        inputs, outputs: names of what it reads and writes.
        params: its numbers by key.
        tensors: its weights in the order of the file.
        dropped: names that no later layer reads.
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
        check: called before each layer; what it raises ends the run.
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
