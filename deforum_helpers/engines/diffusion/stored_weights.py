"""Weights as files store them: plain, in 8 bits with factors, or in GGUF's blocks; and plain ones brought to 8 bits.

8-bit and GGUF weights of linear layers stay in memory as they are stored; a layer decodes its own when it runs. So a
model takes as much memory as its file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.optional import require
from deforum_helpers.engines import messages
from deforum_helpers.engines.memory import Precision, factors_of
from deforum_helpers.models.weights.recognition import GGUF, SCALES, UNREAD, ModelFile

_FLOATS_OF_8_BITS = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}
_8_BITS = {**_FLOATS_OF_8_BITS, "int8": torch.int8}
# The form of weights that are brought to 8 bits here, and its largest number.
_FORMS: Mapping[Precision, str] = {"int8": "int8", "fp8": "float8_e4m3fn"}
_LARGEST = {"int8": 127.0, "float8_e4m3fn": 448.0}
# Bytes of the float32 numbers that one weight becomes on its way, at the peak.
_DECODING_8_BITS, _DECODING_BLOCKS = 4, 11


@dataclass(frozen=True)
class Stored:
    """A tensor as its file stores it.

    Args:
        data: rows first; 8-bit and GGUF weights as int8, since casts of a model to another dtype leave integers alone.
        form: how `data` is read: "float8_e4m3fn", "float8_e5m2", "int8", a GGUF type; "" = as it is.
        scale: float32 (rows, groups): the factors of each row's columns; None = 1.
        shape: of the decoded tensor.
    """

    data: torch.Tensor
    form: str
    scale: torch.Tensor | None
    shape: tuple[int, ...]

    def taken(self, ranges: tuple[tuple[int, ...], ...]) -> Stored:
        """Return the rows of `ranges`, (first, end) or (first, end, step) each, in this order; of no ranges all."""
        if not ranges:
            return self

        def rows(tensor: torch.Tensor) -> torch.Tensor:
            parts = [tensor[slice(*one)] for one in ranges]
            return parts[0] if len(parts) == 1 else torch.cat(parts)

        data = rows(self.data)
        scale = None if self.scale is None else rows(self.scale)
        return replace(self, data=data, scale=scale, shape=(data.shape[0], *self.shape[1:]))

    def decoded(self, dtype: torch.dtype) -> torch.Tensor:
        """Return the tensor in `dtype`; integers that are no weights keep their own."""
        if not self.form:
            return self.data.to(dtype) if self.data.is_floating_point() else self.data
        if self.form not in _8_BITS:
            return _decoded_blocks(self.data, self.form).to(dtype).reshape(self.shape)
        values = _eight_bits(self.data, self.form)
        if self.scale is None:
            return values.to(dtype)
        rows, groups = self.scale.shape
        grouped = values.float().reshape(rows, groups, -1)
        grouped *= self.scale.unsqueeze(-1)  # in place: the largest layers have 100 million numbers
        return grouped.reshape(self.shape).to(dtype)


def _eight_bits(data: torch.Tensor, form: str) -> torch.Tensor:
    """Return stored values as numbers; on devices without 8-bit floats by a table of them."""
    if form == "int8" or data.device.type != "mps":
        return data.view(_8_BITS[form])
    return by_table(data, form)


def by_table(data: torch.Tensor, form: str) -> torch.Tensor:
    """Return 8-bit floats that are stored as int8 in float32, without a tensor of 8-bit floats on their device."""
    table = torch.arange(256, dtype=torch.uint8).view(_8_BITS[form]).float().to(data.device)
    return table[data.view(torch.uint8).long()]


def _decoded_blocks(data: torch.Tensor, form: str) -> torch.Tensor:
    """Return float32 (rows, columns) of GGUF's blocks, decoded on their device."""
    import gguf
    from diffusers.quantizers.gguf.utils import dequantize_functions

    kind = gguf.GGMLQuantizationType[form]
    weights, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = data.view(torch.uint8).reshape(-1, size)
    return dequantize_functions[kind](blocks, weights, size, torch.float32).reshape(data.shape[0], -1)


def _parameter(stored: Stored) -> torch.nn.Parameter:
    """Return the parameter of a layer; that of GGUF blocks tells diffusers' LoRA loaders the shape of the weights."""
    if stored.form in _8_BITS:
        return torch.nn.Parameter(stored.data, requires_grad=False)
    import gguf
    from diffusers.quantizers.gguf.utils import GGUFParameter

    found: torch.nn.Parameter = GGUFParameter(stored.data, quant_type=gguf.GGMLQuantizationType[stored.form])
    return found


class StoredLinear(torch.nn.Linear):
    """A linear layer whose weights stay as they are stored and are decoded each time that it runs.

    Args:
        stored: its weights, (out, in).
        bias: its bias, or None.
        compute_dtype: of its inputs; networks ask for it where weights are integers.
        was_plain: whether the weights were plain until `quantize`.
    """

    def __init__(
        self,
        stored: Stored,
        bias: torch.nn.Parameter | None,
        compute_dtype: torch.dtype,
        was_plain: bool = False,
    ) -> None:
        torch.nn.Module.__init__(self)
        self.out_features, self.in_features = stored.shape
        self.compute_dtype = compute_dtype
        self.was_plain = was_plain
        self._form = stored.form
        self._is_scaled = stored.scale is not None
        self.weight = _parameter(stored)
        self.register_buffer("weight_scale", stored.scale, persistent=False)
        self.register_parameter("bias", bias)

    @property
    def stored_bytes(self) -> int:
        """Bytes of its weights with their factors."""
        scale = self.get_buffer("weight_scale") if self._is_scaled else None
        return self.weight.nbytes + (0 if scale is None else scale.nbytes)

    @property
    def decoding_bytes(self) -> int:
        """Bytes that the layer needs beside its stored weights while it runs: those it decodes them to."""
        on_the_way = _DECODING_8_BITS if self._form in _8_BITS else _DECODING_BLOCKS
        return self.in_features * self.out_features * (on_the_way + self.compute_dtype.itemsize)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the layer's output for (..., in)."""
        shape = (self.out_features, self.in_features)
        scale = self.get_buffer("weight_scale") if self._is_scaled else None
        data = self.weight.as_tensor() if hasattr(self.weight, "as_tensor") else self.weight
        weight = Stored(data, self._form, scale, shape).decoded(input.dtype)
        return F.linear(input, weight, self.bias)


def in_eight_bits(weight: torch.Tensor, precision: Precision) -> Stored:
    """Return a matrix (rows, columns) in 8 bits, "int8" or "fp8", each number within one step of those."""
    rows, columns = weight.shape
    form = _FORMS[precision]
    values = weight.float().reshape(rows, factors_of(columns), -1)
    scale = values.abs().amax(-1) / _LARGEST[form]
    scaled = values / scale.clamp_min(torch.finfo(torch.float32).tiny).unsqueeze(-1)
    data = scaled.round().to(torch.int8) if form == "int8" else scaled.to(_8_BITS[form]).view(torch.int8)
    return Stored(data.reshape(rows, columns), form, scale, (rows, columns))


def block_layers(network: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Linear]]:
    """Yield the linear layers of a network's repeated blocks, with their paths.

    They hold nearly all weights; the few layers around the blocks, which images depend on most, are left out.
    """
    blocks = tuple(
        f"{path}." for path, module in network.named_modules() if isinstance(module, torch.nn.ModuleList)
    )
    for path, layer in network.named_modules():
        if type(layer) in (torch.nn.Linear, StoredLinear) and path.startswith(blocks):
            yield path, layer


def quantize(network: torch.nn.Module, precision: Precision) -> None:
    """Bring the plain weights of a network's blocks to 8 bits; weights that are stored already stay as they are."""
    for path, layer in tuple(block_layers(network)):
        if not isinstance(layer, StoredLinear):
            stored = in_eight_bits(layer.weight, precision)
            network.set_submodule(path, StoredLinear(stored, layer.bias, layer.weight.dtype, was_plain=True))


def sizes_in(layer: torch.nn.Linear, precision: Precision) -> tuple[int, int]:
    """Return the bytes of a block layer's weights in a precision, and of those that it decodes while it runs."""
    count = layer.in_features * layer.out_features
    if isinstance(layer, StoredLinear):
        if not layer.was_plain:
            return layer.stored_bytes, layer.decoding_bytes
        dtype = layer.compute_dtype
    else:
        dtype = layer.weight.dtype
    if precision == "native":
        return count * dtype.itemsize, 0
    factors = 4 * layer.out_features * factors_of(layer.in_features)
    return count + factors, count * (_DECODING_8_BITS + dtype.itemsize)


def read_weights(file: ModelFile) -> Iterator[tuple[str, Stored]]:
    """Yield the tensors of a model file with their names, without its prefix.

    Raises:
        ModelError: weights of a precision that is not supported.
        MissingFeature: a GGUF file, and the package gguf is not installed.
    """
    yield from _of_gguf(file) if file.path.suffix.casefold() == GGUF else _of_safetensors(file)


def _of_safetensors(file: ModelFile) -> Iterator[tuple[str, Stored]]:
    from safetensors import safe_open

    with safe_open(str(file.path), framework="pt") as tensors:
        names = set(tensors.keys())
        for name in sorted(names):
            if not name.startswith(file.prefix) or name.endswith((*UNREAD, *SCALES)):
                continue
            stem = name.removesuffix(".weight")
            scales = [stem + end for end in SCALES if stem + end in names and stem != name]
            factors = tensors.get_tensor(scales[0]) if scales else None
            yield name[len(file.prefix) :], _stored(file, name, tensors.get_tensor(name), factors)


def _stored(file: ModelFile, name: str, tensor: torch.Tensor, factors: torch.Tensor | None) -> Stored:
    form = next((form for form, dtype in _8_BITS.items() if tensor.dtype == dtype), "")
    shape = tuple(tensor.shape)
    if tensor.dtype == torch.uint8 or (form == "int8" and factors is None):
        raise ModelError(messages.PRECISION_UNSUPPORTED(file=file.path.name, tensor=name, found=tensor.dtype))
    if factors is not None and factors.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        found = f"factors in {factors.dtype}"
        raise ModelError(messages.PRECISION_UNSUPPORTED(file=file.path.name, tensor=name, found=found))
    if not form:
        return Stored(tensor, "", None, shape)
    scale = None if factors is None else _factors(file, name, factors.float(), shape)
    return Stored(tensor.view(torch.int8), form, scale, shape)


def _factors(file: ModelFile, name: str, factors: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the factors (rows, groups) of one for the tensor, one a row, or one a block of rows and columns."""
    rows, columns = shape[0] if shape else 1, torch.Size(shape[1:]).numel()
    if factors.numel() == 1:
        return factors.reshape(1, 1).expand(rows, 1).contiguous()
    table = factors.reshape(factors.shape[0], -1)
    if rows % table.shape[0] or columns % table.shape[1]:
        found = f"{tuple(factors.shape)} factors"
        raise ModelError(messages.PRECISION_UNSUPPORTED(file=file.path.name, tensor=name, found=found))
    return table.repeat_interleave(rows // table.shape[0], dim=0)


def _of_gguf(file: ModelFile) -> Iterator[tuple[str, Stored]]:
    require("gguf", f"The file {file.path.name!r}", "pip install gguf")
    import gguf
    from diffusers.quantizers.gguf.utils import SUPPORTED_GGUF_QUANT_TYPES

    plain: dict[Any, torch.dtype] = {
        gguf.GGMLQuantizationType.F32: torch.float32,
        gguf.GGMLQuantizationType.F16: torch.float16,
        gguf.GGMLQuantizationType.BF16: torch.bfloat16,
    }
    for tensor in gguf.GGUFReader(str(file.path)).tensors:
        name, kind = tensor.name, tensor.tensor_type
        if not name.startswith(file.prefix) or name.endswith(UNREAD):
            continue
        shape = tuple(int(side) for side in reversed(tensor.shape))
        data = torch.from_numpy(tensor.data.copy())
        if kind in plain:
            stored = Stored(data.view(plain[kind]).reshape(shape), "", None, shape)
        elif kind in SUPPORTED_GGUF_QUANT_TYPES:
            stored = Stored(data.view(torch.int8), kind.name, None, shape)
        else:
            raise ModelError(
                messages.PRECISION_UNSUPPORTED(file=file.path.name, tensor=name, found=kind.name)
            )
        yield name[len(file.prefix) :], stored
