"""Copies between the memories of CPU and device that the render thread does not wait for.

A plain copy stops the thread until the device has done all of its queued work, and the device then runs dry. Copies
from and to page-locked memory are queued like any other operation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

Array: TypeAlias = npt.NDArray[Any]

# Kinds of devices that copy page-locked memory asynchronously.
COPYING_DEVICES = {"cuda", "xpu"}


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor of the CPU on `device`; itself if that is the CPU.

    Args:
        tensor: on the CPU; the caller does not change it any more.
        device: where it is needed.
    """
    if device.type not in COPYING_DEVICES:
        return tensor.to(device)
    return page_locked(tensor, device).to(device, non_blocking=True)


def page_locked(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor of the CPU in memory that `device` copies asynchronously; itself where there is no need."""
    return tensor.pin_memory() if device.type in COPYING_DEVICES else tensor


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Return numbers as a float32 tensor on `device`, copied there once; nobody may change it."""
    return to_device(torch.tensor(values, dtype=torch.float32), device)


class HostCopy:
    """An array on its way from a device; any thread may wait for it.

    Args:
        array: the array, whose content may still be missing.
        wait: returns once the content is there.
    """

    def __init__(self, array: Array, wait: Callable[[], object] | None = None) -> None:
        self._array = array
        self._wait = wait

    @property
    def nbytes(self) -> int:
        return self._array.nbytes

    def array(self) -> Array:
        """Return the array with its content, which nobody may change."""
        wait = self._wait  # several threads may wait
        if wait is not None:
            wait()
            self._wait = None
        return self._array


def to_host(tensor: torch.Tensor) -> HostCopy:
    """Begin to copy `tensor` to the CPU and return its array; on the CPU, the array shares its memory."""
    if tensor.device.type not in COPYING_DEVICES:
        return HostCopy(np.asarray(tensor.contiguous().cpu().numpy()))
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    copy.copy_(tensor.contiguous(), non_blocking=True)
    return HostCopy(copy.numpy(), _event(tensor.device).synchronize)


def _event(device: torch.device) -> Any:
    """Return an event at the end of the device's queued work; waiting for it sleeps."""
    module = getattr(torch, device.type)
    event = module.Event(blocking=True) if device.type == "cuda" else module.Event()
    event.record(module.current_stream(device))
    return event
