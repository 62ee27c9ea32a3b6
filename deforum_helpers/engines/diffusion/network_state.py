"""Changes to a network during one generation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from deforum_helpers.engines.base import FreeU


@contextmanager
def freeu_applied(network: Any, freeu: FreeU | None) -> Iterator[None]:
    """Run the network with FreeU inside; networks that are not UNets are left alone."""
    if freeu is None or not hasattr(network, "enable_freeu"):
        yield
        return
    network.enable_freeu(s1=freeu.s1, s2=freeu.s2, b1=freeu.b1, b2=freeu.b2)
    try:
        yield
    finally:
        network.disable_freeu()


@contextmanager
def tiling_applied(modules: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Pad every convolution with the opposite border inside the context, so that the image tiles seamlessly."""
    changed = [
        layer
        for module in modules
        for layer in module.modules()
        if isinstance(layer, torch.nn.Conv2d) and layer.padding_mode == "zeros"
    ]
    for layer in changed:
        layer.padding_mode = "circular"
    try:
        yield
    finally:
        for layer in changed:
            layer.padding_mode = "zeros"
