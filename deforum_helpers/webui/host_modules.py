"""Parts that some hosts have and others do not."""

from __future__ import annotations

import importlib
from typing import Any


def part(name: str) -> Any | None:
    """Return the host's module `name`, or None if this kind of host has none of that name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def host_name() -> str:
    """Return what kind of WebUI this is."""
    if part("modules_forge.main_entry"):
        version = str(getattr(part("modules_forge.forge_version"), "version", ""))
        return "Forge Neo" if "neo" in version.lower() else "Forge"
    return "Forge Classic" if part("modules_forge") else "A1111"


def flag(name: str, default: Any) -> Any:
    """Return one of our flags as the host's command line has it."""
    from modules import shared

    return getattr(shared.cmd_opts, name, default)
