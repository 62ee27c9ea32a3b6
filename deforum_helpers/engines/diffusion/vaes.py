"""Another VAE than the checkpoint's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deforum_helpers.core.bounded_json import MOST_BYTES
from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.files.regular import is_regular, read_regular
from deforum_helpers.engines import messages
from deforum_helpers.engines.diffusion.autoencoder import autoencoder_of
from deforum_helpers.engines.diffusion.component_files import network_of_file
from deforum_helpers.engines.diffusion.loading import (
    LOAD_ERRORS,
    damaged_model,
    dtype_argument,
    prepare_vae,
    quiet_libraries,
)
from deforum_helpers.models.weights.checkpoints import title_of
from deforum_helpers.models.weights.headers import check_model_folder
from deforum_helpers.models.weights.recognition import recognize


def load_vae(path: Path, own: Any) -> Any:
    """Return the VAE at `path`, in main memory.

    Args:
        path: a folder with config.json and `.safetensors` weights, or a `.safetensors` file.
        own: the checkpoint's VAE; a file has no configuration and takes this one's.

    Raises:
        ModelError: missing, broken, or of another latent space than the checkpoint.
    """
    import diffusers

    dtype = {dtype_argument("diffusers"): own.dtype}
    try:
        with quiet_libraries():
            if path.is_dir():
                check_model_folder(path)
                foundry = diffusers.AutoencoderTiny if _is_tiny(path) else _full_class(own)
                vae = foundry.from_pretrained(str(path), use_safetensors=True, local_files_only=True, **dtype)
            elif path.suffix == ".safetensors" and is_regular(path):
                vae = _from_file(path, own)
            else:
                raise ModelError(messages.VAE_NOT_FOUND(name=path.name))
    except LOAD_ERRORS as error:
        raise damaged_model(f"VAE {path.name!r}", error) from error
    found, expected = (autoencoder_of(one).channels for one in (vae, own))
    if found != expected:
        raise ModelError(messages.VAE_MISFIT(name=path.name, found=found, expected=expected))
    prepare_vae(vae)
    return vae


def _full_class(own: Any) -> Any:
    """Return the class of VAEs that share the latents of the checkpoint's, other than tiny ones."""
    import diffusers

    return diffusers.AutoencoderKL if isinstance(own, diffusers.AutoencoderTiny) else type(own)


def _is_tiny(folder: Path) -> bool:
    return '"AutoencoderTiny"' in read_regular(folder / "config.json", MOST_BYTES).decode()


def _from_file(path: Path, own: Any) -> Any:
    import json
    import tempfile

    file = recognize(path)
    if file.component != "vae":
        raise ModelError(messages.NOT_A_VAE(name=path.name, found=title_of(file)))
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(dict(own.config), default=list), encoding="utf-8")
        return network_of_file(
            file, "diffusers", _full_class(own).__name__, Path(folder), own.dtype, "the checkpoint's VAE"
        )
