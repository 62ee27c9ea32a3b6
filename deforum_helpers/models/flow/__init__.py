"""Optical flow methods that may be missing here; imports without torch."""

from __future__ import annotations

from importlib.util import find_spec

from deforum_helpers.models import messages

RAFT_INSTALL = "pip install torchvision"


def missing_feature(name: str) -> str | None:
    """Return why a method of `settings.tables.FLOW_METHODS` cannot run here, with its remedy, or None."""
    if name != "RAFT" or find_spec("torchvision") is not None:
        return None
    return messages.RAFT_NEEDS_TORCHVISION(install=RAFT_INSTALL)
