"""Models of the hub that Hugging Face's cache holds on this machine; imported without torch, and asks nobody."""

from __future__ import annotations

import os
import re
from pathlib import Path

from deforum_helpers.regular_files import is_regular

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


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
    """Return the folders of the cache that hold a model; none where the text is no hub id."""
    if not _HUB_ID.fullmatch(hub_id):
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
