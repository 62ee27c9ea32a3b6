"""LoRAs of a prompt: found in folders and applied to the model."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.files.regular import UnusableFile, check_regular
from deforum_helpers.core.optional import require
from deforum_helpers.engines import messages
from deforum_helpers.engines.diffusion.loading import (
    LOAD_ERRORS,
    PIPELINE_OF,
    AppliedLoras,
    LoadedModel,
    quiet_libraries,
)
from deforum_helpers.engines.diffusion.prompt_syntax import Lora
from deforum_helpers.models.weights.checkpoints import lora_files

_log = logging.getLogger(__name__)


def apply_loras(model: LoadedModel, loras: tuple[Lora, ...], folders: Sequence[Path]) -> None:
    """Apply exactly `loras` to `model` until the next call; with none the model is restored bit for bit.

    Files that are already applied are not read again, as a run asks for the same ones at each frame.

    Args:
        model: the model.
        loras: names and weights; a name that occurs twice counts with the sum of its weights.
        folders: where `name.safetensors` lies, in one of them or below; the first counts first.

    Raises:
        ModelError: a LoRA is not a regular file, or made for another kind of model.
        MissingFeature: the package peft is not installed.
    """
    # Tags are untrusted text: they are compared with the names of files, never joined to a path.
    there = lora_files(folders) if loras else {}
    # The checks have reported names without a file.
    wanted = tuple(lora for lora in _summed(loras) if lora.name in there)
    files = {lora.name: _usable(lora.name, there[lora.name]) for lora in wanted}
    applied = AppliedLoras(tuple((path, path.stat().st_mtime_ns) for path in files.values()), wanted)
    if applied == model.applied:
        return
    require("peft", "A LoRA in the prompt", "pip install peft")
    with quiet_libraries():
        pipeline = _pipeline_of(model)
        try:
            if applied.files != model.applied.files:
                pipeline.unload_lora_weights()
                model.embeddings.clear()
                for lora in wanted:
                    _load(pipeline, lora.name, files[lora.name])
            _set_weights(pipeline, wanted)
        except BaseException:
            pipeline.unload_lora_weights()
            model.applied = AppliedLoras()
            raise
    model.applied = applied


def _summed(loras: tuple[Lora, ...]) -> tuple[Lora, ...]:
    total: dict[str, Lora] = {}
    for lora in loras:
        before = total.get(lora.name, Lora(lora.name, 0.0, 0.0))
        text = lora.weight if lora.text_weight is None else lora.text_weight
        assert before.text_weight is not None
        total[lora.name] = Lora(lora.name, before.weight + lora.weight, before.text_weight + text)
    return tuple(lora for lora in total.values() if (lora.weight, lora.text_weight) != (0, 0))


def _usable(name: str, path: Path) -> Path:
    try:
        check_regular(path)
    except UnusableFile as error:
        raise ModelError(messages.LORA_UNUSABLE(name=name, reason=error)) from error
    return path


def _adapter(name: str) -> str:
    """Return the name of a LoRA as an attribute name, in which dots would be separators."""
    return "lora_" + name.encode().hex()


def _load(pipeline: Any, name: str, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            # Several adapters at once are intended.
            warnings.filterwarnings("ignore", "Already found a `peft_config`", UserWarning)
            pipeline.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=_adapter(name))
    except LOAD_ERRORS as error:
        _log.warning("The LoRA %s cannot be loaded.", name, exc_info=error)
        raise ModelError(messages.LORA_MISFIT(name=name)) from error


def _set_weights(pipeline: Any, loras: tuple[Lora, ...]) -> None:
    """Set the weights of adapters; text encoders may have their own, and lack LoRAs without text layers."""
    present = pipeline.get_list_adapters()
    for component, names in present.items():
        is_text = component.startswith("text_encoder")
        chosen = [lora for lora in loras if _adapter(lora.name) in names]
        weights = [lora.text_weight if is_text else lora.weight for lora in chosen]
        module = getattr(pipeline, component)
        adapters = [_adapter(lora.name) for lora in chosen]
        if is_text:
            from diffusers.utils import set_weights_and_activate_adapters

            set_weights_and_activate_adapters(module, adapters, weights)
        else:
            module.set_adapters(adapters, weights)


def _pipeline_of(model: LoadedModel) -> Any:
    """A pipeline around the loaded parts: diffusers' LoRA loaders are methods of pipelines."""
    import diffusers

    foundry = getattr(diffusers, PIPELINE_OF[model.family.kind])
    parts = {name: part for name, part in model.parts.items() if not name.endswith("_config")}
    empty = ("safety_checker", "feature_extractor", "image_encoder", "text_encoder_3", "tokenizer_3")
    missing: dict[str, Any] = {name: None for name in empty if name not in parts and _takes(foundry, name)}
    if model.family.kind == "sd":
        missing["requires_safety_checker"] = False
    # Pipelines require a scheduler with these two entries; this one never steps.
    scheduler = diffusers.DDIMScheduler(steps_offset=1, clip_sample=False)
    return foundry(**parts, scheduler=scheduler, **missing)


def _takes(foundry: Any, name: str) -> bool:
    return name in inspect.signature(foundry.__init__).parameters
