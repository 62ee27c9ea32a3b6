"""Variables that torch reads when it loads."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

MPS_FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"


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
