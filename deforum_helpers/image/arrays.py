"""Operations that numpy and torch name differently, for code that runs on both; `np` is either module."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy
import torch

# numpy arrays or torch tensors
Array = Any


def ramp(like: Array, count: int, np: ModuleType) -> Array:
    """Return 0, 1 .. count - 1 as float32 on the device of `like`."""
    if np is numpy:
        return numpy.arange(count, dtype=numpy.float32)
    return torch.arange(count, dtype=torch.float32, device=like.device)


def numbers(like: Array, np: ModuleType) -> Array:
    """Return the indices of `like`, int64."""
    return numpy.arange(len(like)) if np is numpy else torch.arange(len(like), device=like.device)


def repeated(values: Array, counts: Array, np: ModuleType) -> Array:
    """Return each value repeated by its count."""
    return numpy.repeat(values, counts) if np is numpy else torch.repeat_interleave(values, counts)


def as_int64(values: Array, np: ModuleType) -> Array:
    return values.astype(numpy.int64) if np is numpy else values.long()


def as_float32(values: Array, np: ModuleType) -> Array:
    return numpy.ascontiguousarray(values, numpy.float32) if np is numpy else values.float().contiguous()
