"""Environment variables that numerical libraries read when they load; this module imports none of them."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

# Variables by which a user has already chosen how threads of OpenMP wait.
CHOICES = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT")
# Rounds that the threads of OpenCV's pool, and the one that waits for them, spin before they sleep.
OPENCV_ROUNDS = ("OPENCV_THREAD_POOL_ACTIVE_WAIT_WORKER", "OPENCV_THREAD_POOL_ACTIVE_WAIT_MAIN")

MPS_FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"


def let_waiting_threads_sleep(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let the threads of OpenMP and OpenCV sleep while they wait; has no effect on libraries that are loaded.

    By default they keep their cores busy for milliseconds. Where other programs use the cores as well, the threads
    that are waited for then do not run, and a frame takes many times as long as its share of the cores allows.

    Args:
        environment: of this process, or of one that is about to start. A choice of the user in it is kept.
    """
    if not any(name in environment for name in CHOICES):
        environment["OMP_WAIT_POLICY"] = "passive"
    for name in OPENCV_ROUNDS:
        environment.setdefault(name, "0")


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
