"""Where the files of optional networks lie; imported without torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from deforum_helpers.regular_files import is_regular

FOLDER = Path("models", "Deforum")


def models_folder() -> Path:
    """Return the folder that people put models into: the variable DEFORUM_MODELS, else models/Deforum."""
    return Path(os.environ.get("DEFORUM_MODELS") or FOLDER)


def package_folder(package: str) -> Path | None:
    """Return the folder of an installed package without importing it, or None."""
    found = find_spec(package)
    places = found.submodule_search_locations if found is not None else None
    return Path(next(iter(places))) if places else None


def network_files(folders: Iterable[Path | None], name: str) -> tuple[Path, Path] | None:
    """Return the layers and the weights of a network, `name`.param and `name`.bin, or None where they are nowhere.

    Args:
        folders: looked into in this order; None is skipped.
        name: of the two files, without their ending.
    """
    for folder in folders:
        if folder is None:
            continue
        layers, weights = folder / f"{name}.param", folder / f"{name}.bin"
        if is_regular(layers) and is_regular(weights):
            return layers, weights
    return None
