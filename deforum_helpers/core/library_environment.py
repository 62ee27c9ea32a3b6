"""How numerical libraries load: variables that they read, and a pause of the garbage collection; it imports none."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, MutableMapping
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
