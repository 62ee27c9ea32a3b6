"""The memory of the device that an engine renders on."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path


def device_memory(device: str) -> tuple[int, int]:
    """Return the total and the used bytes of a device; 0 where they are unknown.

    On a GPU "used" counts all programs, on a CPU the resident memory of this process. Loads nothing: before the first
    job has loaded torch, those of a GPU are unknown.
    """
    return _gpu_memory(device) if device.startswith("cuda") else _process_memory()


def _gpu_memory(device: str) -> tuple[int, int]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0, 0
    free, total = torch.cuda.mem_get_info(device)
    return int(total), int(total - free)


def _process_memory() -> tuple[int, int]:
    with suppress(OSError, ValueError, ImportError, AttributeError):
        import resource

        page = resource.getpagesize()
        total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
        return total, int(Path("/proc/self/statm").read_text().split()[1]) * page
    return 0, 0
