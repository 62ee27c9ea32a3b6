"""The declaration of the diffusion engine; imports without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deforum_helpers.engines.base import NO_FACES, Abilities, DeclaredEngine
from deforum_helpers.engines.diffusion import NAME
from deforum_helpers.engines.memory import AUTO
from deforum_helpers.models.weights.checkpoints import NO_PARTS, ModelParts

if TYPE_CHECKING:
    from deforum_helpers.engines.base import Engine


def _make(
    checkpoint: str | None,
    allow_download: bool,
    device: str | None,
    *,
    offload: str = AUTO,
    parts: ModelParts = NO_PARTS,
) -> Engine:
    from deforum_helpers.engines.diffusion.engine import DiffusionEngine

    assert checkpoint is not None  # `takes_checkpoint`
    return DiffusionEngine(
        checkpoint, allow_download=allow_download, device=device, offload=offload, parts=parts
    )


DIFFUSERS = DeclaredEngine(
    name=NAME,
    title="a checkpoint",
    make=_make,
    takes_checkpoint=True,
    abilities=Abilities(lacks=NO_FACES, checks_loras=True, own_controlnet=True),
)
