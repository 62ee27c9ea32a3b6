"""Checkpoints in one `.safetensors` file: weights alone, so that configuration and tokenizer come from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from deforum_helpers.engines.checkpoints import Kind, folder_components
from deforum_helpers.engines.diffusion.loading import (
    LOAD_ERRORS,
    PIPELINE_OF,
    dtype_argument,
    scheduler_config,
    unloadable,
)
from deforum_helpers.engines.model_files import safetensors_shapes
from deforum_helpers.errors import ModelError
from deforum_helpers.regular_files import is_regular

_CONFIG_PATTERNS = ["*.json", "*/*.json", "*/*.txt", "*/*.model"]


def parts_of_file(path: Path, kind: Kind, dtype: torch.dtype, allow_download: bool) -> dict[str, Any]:
    """Return the components of the checkpoint file `path` by their diffusers names.

    The configuration is that of a diffusers folder beside the file with its name ("model.safetensors", "model/"), or
    the one of its family in the Hugging Face cache, which is filled only with `allow_download`.

    Raises:
        ModelError: no configuration, or weights that do not fit it.
    """
    import diffusers
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    folder = _config_folder(path, allow_download)
    components = folder_components(folder, with_weights=False)[1]
    pipeline_class = getattr(diffusers, PIPELINE_OF[kind])
    try:
        pipeline = pipeline_class.from_single_file(
            str(path), config=str(folder), local_files_only=True, **{dtype_argument("diffusers"): dtype}
        )
    except (*LOAD_ERRORS, SingleFileComponentError) as error:
        raise unloadable(f"checkpoint {path.name!r}", error) from error
    parts = {name: getattr(pipeline, name) for name in components}
    return {**parts, "scheduler_config": {**scheduler_config(folder), **_told_by_marks(path)}}


def _told_by_marks(path: Path) -> dict[str, Any]:
    """Models that predict velocity or reach pure noise are published with empty tensors that say so."""
    names = safetensors_shapes(path)
    told: dict[str, Any] = {}
    if "v_pred" in names:
        told["prediction_type"] = "v_prediction"
    if "ztsnr" in names:
        told["rescale_betas_zero_snr"] = True
    return told


def _config_folder(path: Path, allow_download: bool) -> Path:
    beside = path.with_suffix("")
    if is_regular(beside / "model_index.json"):
        return beside
    import huggingface_hub

    hub_id = _family_on_hub(path)
    try:
        folder = huggingface_hub.snapshot_download(
            hub_id, allow_patterns=_CONFIG_PATTERNS, local_files_only=not allow_download
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The file {path.name!r} holds weights alone, and the configuration of its family ({hub_id}) is not on "
            "this machine; start once with --allow-download, or put the model_index.json, configurations and "
            f"tokenizers of that model into a folder {beside.name!r} beside the file."
        ) from error
    return Path(folder)


def _family_on_hub(path: Path) -> str:
    from diffusers.loaders import single_file_utils

    state = single_file_utils.load_single_file_checkpoint(str(path), local_files_only=True)
    return single_file_utils.fetch_diffusers_config(state)["pretrained_model_name_or_path"]
