"""The devices that networks run on: which one is taken, in which precision, how much of its memory is free.

A device of ROCm is called "cuda", as torch has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

# In this order; the first one that is there is taken.
_ACCELERATORS: Mapping[str, Callable[[], bool]] = {
    "cuda": torch.cuda.is_available,
    "xpu": lambda: hasattr(torch, "xpu") and torch.xpu.is_available(),
    "mps": lambda: torch.backends.mps.is_available(),
}


@dataclass(frozen=True)
class DeviceMemory:
    """The memory of a device in bytes.

    Args:
        free: not in use by any program; memory that torch only keeps for later counts as free.
        total: all of it.
    """

    free: int
    total: int


def best_device() -> torch.device:
    """Return the fastest kind of device of this machine: CUDA or ROCm, XPU, MPS, else the CPU."""
    return torch.device(next((kind for kind, is_there in _ACCELERATORS.items() if is_there()), "cpu"))


def runs_networks(device: torch.device) -> bool:
    """Return whether networks of this program run on `device`, of whose kinds a host may know more."""
    return device.type == "cpu" or device.type in _ACCELERATORS


def dtype_of(network: Any) -> torch.dtype:
    """Return the dtype of a diffusers network's inputs: that of its first floating-point weight.

    So does its property `dtype`, which looks through all modules first: that takes milliseconds at each sampling step.
    """
    apart = getattr(network, "_keep_in_fp32_modules", None) or ()
    for name, weight in network.named_parameters():
        if weight.is_floating_point() and not any(part in name for part in apart):
            return weight.dtype
    found: torch.dtype = network.dtype
    return found


def channels_last(network: Any, device: torch.device) -> Any:
    """Return `network` on `device`, on accelerators with the strides that convolutions are fastest with."""
    placed = network.to(device)
    return placed if device.type == "cpu" else placed.to(memory_format=torch.channels_last)


def network_dtype(device: torch.device, made_for: torch.dtype) -> torch.dtype:
    """Return the precision of a diffusion network's weights: float32 on the CPU, half precision elsewhere.

    Args:
        device: where it runs.
        made_for: the network's own half precision; bfloat16 is replaced by float16 where hardware lacks it.
    """
    if device.type == "cpu":
        return torch.float32
    return torch.float16 if made_for == torch.bfloat16 and not _has_bfloat16(device) else made_for


def half_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which matrix products and convolutions of a float32 network run in half precision.

    For networks that need float32 elsewhere, such as those that compute places in pixels, which half precision rounds
    to half pixels. On other devices than CUDA's and Intel's it changes nothing.
    """
    if device.type not in ("cuda", "xpu"):
        return nullcontext()
    return torch.autocast(device.type, network_dtype(device, torch.float16))


def _has_bfloat16(accelerator: torch.device) -> bool:
    if accelerator.type == "cuda":
        return torch.version.hip is not None or torch.cuda.get_device_capability(accelerator) >= (8, 0)
    return accelerator.type != "mps" or torch.backends.mps.is_macos_or_newer(14, 0)


def has_float64(device: torch.device) -> bool:
    """Return whether `device` computes in float64; those of Macs and some of Intel's do not."""
    if device.type == "xpu":
        return bool(torch.xpu.get_device_properties(device).has_fp64)
    return device.type != "mps"


def device_memory(device: torch.device) -> DeviceMemory | None:
    """Return the memory of an accelerator, None for a CPU, whose memory the system manages."""
    if device.type == "cpu":
        return None
    release_unused(device)
    if device.type == "mps":
        total = torch.mps.recommended_max_memory()
        return DeviceMemory(max(0, total - torch.mps.driver_allocated_memory()), total)
    free, total = getattr(torch, device.type).mem_get_info(device)
    return DeviceMemory(int(free), int(total))


def release_unused(device: torch.device) -> None:
    """Return the memory to the system that torch keeps for later."""
    if device.type in _ACCELERATORS:
        getattr(torch, device.type).empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether `error` says that the memory of a device, or of the machine, was exhausted."""
    if isinstance(error, torch.cuda.OutOfMemoryError):  # of any accelerator, despite its name
        return True
    text = str(error).casefold()
    return isinstance(error, RuntimeError) and any(words in text for words in _OUT_OF_MEMORY)


# MPS and the CPU have no error class of their own.
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
