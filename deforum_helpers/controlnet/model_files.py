"""ControlNet models found by name and identified by their headers, without loading; imports without torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deforum_helpers.controlnet import messages
from deforum_helpers.controlnet.units import plain_name, suggestion
from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.files.regular import is_regular
from deforum_helpers.models.weights.checkpoints import (
    PICKLES,
    checkpoint_kind,
    describe_checkpoint,
    folders_beside,
)
from deforum_helpers.models.weights.files import hub_snapshots
from deforum_helpers.models.weights.headers import check_model_folder, read_json, safetensors_shapes

FOLDER = "ControlNet"
LAYOUTS = ("controlnet_cond_embedding.conv_in.weight", "input_hint_block.0.weight")
_PREFIX = "control_model."

# Part of a tensor's name that only this other kind of model has.
_OTHER_KINDS: Mapping[str, str] = {
    "lora_controlnet": "a Control-LoRA",
    "lllite_": "a ControlNet-LLLite",
    "image_proj": "an IP-Adapter",
    "control_add_embedding": "a ControlNet Union",
    "task_embedding": "a ControlNet Union",
    "difference": "the difference to a checkpoint",
    "adapter.": "a T2I-Adapter",
}
_CLASS = "ControlNetModel"
_FAMILIES = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}


@dataclass(frozen=True)
class ControlModel:
    """A ControlNet that may be loaded.

    Args:
        source: "folder" (diffusers) or "file" (`.safetensors`).
        path: where it is.
        text_width: width of its text embeddings, which identifies the family; None = unknown.
    """

    source: Literal["folder", "file"]
    path: Path
    text_width: int | None


def control_folders(checkpoint: str | None) -> tuple[Path, ...]:
    """Return the folders that are searched for ControlNets; see `folders_beside`."""
    return folders_beside(checkpoint, FOLDER)


def control_names(folders: tuple[Path, ...]) -> tuple[str, ...]:
    """Return the names of the ControlNets in `folders`."""
    return tuple(dict.fromkeys(path.name for path in _models(folders)))


def control_model(name: str, folders: tuple[Path, ...]) -> ControlModel:
    """Return the ControlNet that a setting names.

    Args:
        name: of a model in `folders`, with or without suffix and hash; a path; or a hub id whose files are in the
            Hugging Face cache.
        folders: of `control_folders`.

    Raises:
        ModelError: it is missing, a pickle, broken, or not a ControlNet of Stable Diffusion.
    """
    path = _located(name.strip(), folders)
    if path.suffix.casefold() in PICKLES:
        raise ModelError(messages.CONTROL_NET_PICKLE(name=path.name))
    if path.is_dir():
        return ControlModel("folder", path, _width_of_folder(path))
    return ControlModel("file", path, _width_of_file(path))


def check_fit(model: ControlModel, checkpoint: str, allow_download: bool = False) -> None:
    """Check by their headers that a ControlNet was made for the kind of a checkpoint.

    Raises:
        ModelError: it was made for another kind, or the checkpoint supports none.
    """
    kind = checkpoint_kind(checkpoint)
    if kind is None:
        describe_checkpoint(checkpoint, allow_download)
    elif kind not in ("sd", "sdxl"):
        raise ModelError(messages.CONTROL_NETS_UNSUPPORTED())
    width = _width_of_checkpoint(Path(checkpoint).expanduser())
    if width is not None and model.text_width is not None and width != model.text_width:
        raise ModelError(misfit(model.path.name, model.text_width, width))


def misfit(name: str, own: int, wanted: int) -> str:
    """Return the sentence for a ControlNet of another family than the checkpoint's."""
    found, expected = (_FAMILIES.get(width, f"text width {width}") for width in (own, wanted))
    return messages.CONTROL_NET_MISFIT(name=name, found=found, expected=expected)


def _models(folders: tuple[Path, ...]) -> list[Path]:
    found = [path for folder in folders for path in sorted(folder.rglob("*.safetensors")) if _is_alone(path)]
    return found + [path.parent for folder in folders for path in sorted(folder.glob("*/config.json"))]


def _is_alone(path: Path) -> bool:
    """Weights beside a config.json are a part of that folder's model."""
    return not is_regular(path.parent / "config.json")


def _located(name: str, folders: tuple[Path, ...]) -> Path:
    path = Path(name).expanduser()
    if path.is_absolute() and os.path.lexists(path):
        return path
    known = {plain_name(found.name): found for found in reversed(_models(folders))}
    found = known.get(plain_name(name)) or next(iter(hub_snapshots(name)), None)
    if found is not None:
        return found
    for folder in folders:
        for pickle in sorted(folder.rglob("*")):
            if pickle.suffix.casefold() in PICKLES and plain_name(pickle.name) == plain_name(name):
                return pickle
    names = control_names(folders)
    there = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "") if names else "none"
    raise ModelError(
        messages.CONTROL_NET_NOT_FOUND(
            name=name, folder=FOLDER, found=there, suggestion=suggestion(name, names)
        )
    )


def _width_of_folder(folder: Path) -> int | None:
    check_model_folder(folder)
    config = read_json(folder / "config.json")
    kind = config.get("_class_name")
    if kind != _CLASS or "auto_map" in config:
        raise ModelError(messages.CONTROL_NET_CLASS(name=folder.name, found=kind, allowed=_CLASS))
    names = [path.name for path in folder.iterdir()]
    if not any(name.endswith(".safetensors") for name in names):
        raise ModelError(messages.CONTROL_NET_WITHOUT_WEIGHTS(name=folder.name))
    return _one_width(config)


def _one_width(config: Mapping[str, Any]) -> int | None:
    width = config.get("cross_attention_dim")
    width = width[0] if isinstance(width, list) and width else width
    return width if isinstance(width, int) else None


def _width_of_file(path: Path) -> int | None:
    shapes = safetensors_shapes(path)
    for mark, kind in _OTHER_KINDS.items():
        if any(mark in name for name in shapes):
            raise ModelError(messages.CONTROL_NET_OTHER_KIND(file=path.name, kind=kind))
    if not any(name.removeprefix(_PREFIX) in LAYOUTS for name in shapes):
        raise ModelError(messages.NOT_A_CONTROL_NET(file=path.name))
    return _width_of(shapes, "")


def _width_of(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> int | None:
    """The text embeddings go into the keys of the second attention."""
    return next(
        (shape[1] for name, shape in shapes.items() if _reads_text(name) and name.startswith(prefix)), None
    )


def _reads_text(name: str) -> bool:
    return name.endswith("attn2.to_k.weight")


def _width_of_checkpoint(path: Path) -> int | None:
    if is_regular(path):
        return _width_of(safetensors_shapes(path), "model.diffusion_model.")
    config = path / "unet" / "config.json"
    return _one_width(read_json(config)) if is_regular(config) else None
