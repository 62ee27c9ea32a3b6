"""Engines that turn a request into an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deforum_helpers.engines.names import ENGINES
from deforum_helpers.errors import ModelError
from deforum_helpers.registry import choose

if TYPE_CHECKING:
    from deforum_helpers.engines.base import Engine


def make_engine(
    name: str,
    *,
    checkpoint: str | None = None,
    allow_download: bool = False,
    device: str | None = None,
) -> Engine:
    """Return the engine `name`; its model is loaded with the first picture.

    Args:
        name: one of `names.ENGINES`.
        checkpoint: for "diffusers": a diffusers folder, a `.safetensors` file, or a hub id.
        allow_download: whether a hub id, or a file's missing configuration, may be downloaded.
        device: "cpu", "cuda", ...; None takes CUDA where there is one.

    Raises:
        UnknownName: no such engine.
        ModelError: "diffusers" without a usable checkpoint.
    """
    choose(ENGINES, name, "engine")
    if name == "null":
        from deforum_helpers.engines.null import NullEngine

        return NullEngine(device)
    if name == "demo":
        from deforum_helpers.engines.demo.engine import DemoEngine

        return DemoEngine(device)
    if checkpoint is None:
        raise ModelError(
            "The engine 'diffusers' needs a checkpoint: a diffusers folder or a .safetensors file."
        )
    from deforum_helpers.engines.diffusion.engine import DiffusionEngine

    return DiffusionEngine(checkpoint, allow_download=allow_download, device=device)
