"""Modules and flags of the host; some hosts lack some of them."""

from __future__ import annotations

import importlib
from typing import Any


def optional_module(name: str) -> Any | None:
    """Return the host's module `name`, or None if this host does not have it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def host_name() -> str:
    """Return the name of the WebUI."""
    if optional_module("modules_forge.main_entry"):
        version = str(getattr(optional_module("modules_forge.forge_version"), "version", ""))
        return "Forge Neo" if "neo" in version.lower() else "Forge"
    return "Forge Classic" if optional_module("modules_forge") else "A1111"


def flag(name: str, default: Any) -> Any:
    """Return the value of a flag of Deforum on the host's command line."""
    from modules import shared

    return getattr(shared.cmd_opts, name, default)
