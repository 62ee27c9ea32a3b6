"""Engines that turn a request into an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.library_environment import collection_paused
from deforum_helpers.core.registry import choose
from deforum_helpers.engines import messages
from deforum_helpers.engines.memory import AUTO
from deforum_helpers.engines.registry import own_engines
from deforum_helpers.models.weights.checkpoints import NO_PARTS, ModelParts

if TYPE_CHECKING:
    from deforum_helpers.engines.base import Engine


def make_engine(
    name: str,
    *,
    checkpoint: str | None = None,
    allow_download: bool = False,
    device: str | None = None,
    parts: ModelParts = NO_PARTS,
    offload: str = AUTO,
    precision: str = AUTO,
) -> Engine:
    """Return the engine `name`; its model is loaded for the first request.

    Args:
        name: an engine of this program, of `registry.ENGINES`.
        checkpoint: for one that takes a checkpoint: a diffusers folder, a `.safetensors` or GGUF file, or a hub
            id.
        allow_download: whether a hub id, or a file's missing configuration, may be downloaded.
        device: "cpu", "cuda", ...; None takes the best one.
        offload, precision: one of `memory.OFFLOAD_CHOICES` and of `memory.PRECISION_CHOICES`; read by engines that
            take a checkpoint.
        parts: components that replace those of the checkpoint, or complete it.

    Raises:
        UnknownName: no such engine.
        ModelError: an engine that takes a checkpoint has none that it can use.
    """
    engine = choose(own_engines(), name, "engine")
    if engine.takes_checkpoint and checkpoint is None:
        raise ModelError(messages.CHECKPOINT_REQUIRED(engine=name))
    assert engine.make is not None
    more = {"parts": parts, "offload": offload, "precision": precision} if engine.takes_checkpoint else {}
    with collection_paused():  # it imports torch
        return engine.make(checkpoint, allow_download, device, **more)
