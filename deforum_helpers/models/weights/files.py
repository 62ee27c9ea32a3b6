"""Locations of the files of optional networks; imports without torch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from deforum_helpers.core.files.regular import is_regular

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
    """Return the layers and the weights of a network, `name`.param and `name`.bin, or None.

    Args:
        folders: searched in this order; None is skipped.
        name: of the two files, without their ending.
    """
    for folder in folders:
        if folder is None:
            continue
        layers, weights = folder / f"{name}.param", folder / f"{name}.bin"
        if is_regular(layers) and is_regular(weights):
            return layers, weights
    return None


HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def hub_folder(hub_id: str, models_folder: Path | None = None) -> Path | None:
    """Return the folder with the weights of a model, or None: in `models_folder`, else in the cache.

    Args:
        hub_id: "owner/model".
        models_folder: may have a folder named as the last part of the hub id.
    """
    candidates = hub_snapshots(hub_id)
    if models_folder is not None:
        candidates = [models_folder / hub_id.partition("/")[2], *candidates]
    return next((folder for folder in candidates if _has_weights(folder)), None)


def hub_snapshots(hub_id: str) -> list[Path]:
    """Return the folders of the cache that hold a model; empty if the text is not a hub id."""
    if not HUB_ID.fullmatch(hub_id):
        return []
    found = _snapshots(hub_id).glob("*")
    return sorted((path for path in found if is_regular(path / "config.json")), reverse=True)


def hub_file(hub_id: str, name: str) -> Path | None:
    """Return a file of a model from the cache, or None.

    Args:
        hub_id: "owner/model".
        name: of the file, with its folders inside the model.
    """
    found = sorted(_snapshots(hub_id).glob(f"*/{name}"), reverse=True)
    return next((path for path in found if is_regular(path)), None)


def _snapshots(hub_id: str) -> Path:
    return _cache() / f"models--{hub_id.replace('/', '--')}" / "snapshots"


def _has_weights(folder: Path) -> bool:
    """Pickles do not count: they could run code when they are opened."""
    return is_regular(folder / "config.json") and is_regular(folder / "model.safetensors")


def _cache() -> Path:
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache)
    home = os.environ.get("HF_HOME")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(home) if home else caches / "huggingface") / "hub"
