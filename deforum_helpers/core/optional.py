"""Optional packages: imported where a feature needs them, missed with the line that installs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from deforum_helpers.core.errors import MissingFeature


def require(module: str, feature: str, install: str) -> ModuleType:
    """Import and return `module`.

    Args:
        module: dotted module name.
        feature: what needs it, as the subject of a sentence: "Zoe depth".
        install: the command that installs it: "pip install transformers".

    Raises:
        MissingFeature: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingFeature(
            f"{feature} needs the package {module.split('.')[0]!r}, which cannot be imported ({error}); "
            f"install it with: {install}"
        ) from error
