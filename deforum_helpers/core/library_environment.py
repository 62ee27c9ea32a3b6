"""How numerical libraries load and what they find in their process; this module imports none of them."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager

# Variables by which a user has already chosen how threads of OpenMP wait.
CHOICES = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT")

MPS_FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"


def let_waiting_threads_sleep(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let the threads of OpenMP sleep while they wait for each other; has no effect on libraries that are loaded.

    By default they keep their cores busy for milliseconds. Where other programs use the cores as well, the threads
    that are waited for then do not run, and a frame takes many times as long as its share of the cores allows.

    Args:
        environment: of this process, or of one that is about to start. A choice of the user in it is kept.
    """
    if not any(name in environment for name in CHOICES):
        environment["OMP_WAIT_POLICY"] = "passive"


def let_cpu_replace_missing_operators(
    environment: MutableMapping[str, str] = os.environ, platform: str = sys.platform
) -> None:
    """Let torch run the operators on the CPU that the GPU of a Mac lacks; without this they are errors.

    Args:
        environment: of this process, before torch loads, and of those that it starts. A choice of the user is kept.
        platform: as `sys.platform`.
    """
    if platform == "darwin":
        environment.setdefault(MPS_FALLBACK, "1")


# Variables of glibc, with the parameter of its `mallopt` and the value; a variable that is set is a choice of the user.
ALLOCATOR: Mapping[str, tuple[int, int]] = {
    "MALLOC_TRIM_THRESHOLD_": (-1, 256 << 20),
    "MALLOC_MMAP_THRESHOLD_": (-3, 32 << 20),  # the most that glibc takes
}


def let_allocator_keep_memory(
    environment: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> None:
    """Let glibc keep up to 256 MB of freed memory of this process; other C libraries are left alone.

    By default it returns the memory of large activations to the system after most layers, which clears all of it before
    it gives it back for the next layer: a tenth of the time of a decoding, and more outside the main thread.

    Args:
        environment: of this process; a choice of the user in it is kept.
        platform: as `sys.platform`.
    """
    if (
        platform != "linux"
        or "GLIBC_TUNABLES" in environment
        or any(name in environment for name in ALLOCATOR)
    ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ALLOCATOR.values():
            mallopt(parameter, value)


def let_program_end_without_collection() -> None:
    """Let Python end this program without a last look for garbage, whose memory the system takes back anyway.

    With torch, diffusers and transformers that look takes 1.7 s of processor time, a quarter of a program that renders
    one frame. Functions registered with `atexit` run as always, and files are flushed.
    """
    atexit.register(gc.freeze)


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause Python's garbage collection while libraries are imported.

    An import makes up to a million objects, which all stay; a fifth of its time goes into looking through them.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            # Moves the new objects to the oldest generation, which the next collection leaves alone.
            gc.freeze()
            gc.unfreeze()
        gc.enable()
