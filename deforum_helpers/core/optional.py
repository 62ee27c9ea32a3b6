"""Optional packages: imported where a feature needs them; the error names the command that installs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from deforum_helpers.core import messages
from deforum_helpers.core.errors import MissingFeature


def require(module: str, feature: str, install: str) -> ModuleType:
    """Import and return `module`.

    Args:
        module: dotted module name.
        feature: the feature that needs it, as the subject of a sentence: "Zoe depth".
        install: the command that installs it: "pip install transformers".

    Raises:
        MissingFeature: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingFeature(
            messages.PACKAGE_MISSING(
                feature=feature, package=module.split(".")[0], reason=error, install=install
            )
        ) from error
