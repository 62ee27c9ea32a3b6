"""The declaration of the diffusion engine; imports without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from deforum_helpers.engines.base import NO_FACES, Abilities, DeclaredEngine
from deforum_helpers.engines.diffusion import NAME
from deforum_helpers.engines.memory import AUTO
from deforum_helpers.models.weights.checkpoints import NO_PARTS, ModelParts

if TYPE_CHECKING:
    from deforum_helpers.engines.base import Engine, GenerateRequest


def _make(
    checkpoint: str | None,
    allow_download: bool,
    device: str | None,
    parts: ModelParts = NO_PARTS,
    offload: str = AUTO,
    precision: str = AUTO,
) -> Engine:
    from deforum_helpers.engines.diffusion.engine import DiffusionEngine

    assert checkpoint is not None  # `takes_checkpoint`
    return DiffusionEngine(
        checkpoint,
        allow_download=allow_download,
        device=device,
        parts=parts,
        offload=offload,
        precision=precision,
    )


def _request_warnings(checkpoint: str | None, requests: Iterable[GenerateRequest]) -> Iterator[str]:
    # Here, as it needs the settings: a command that only lists its options does not.
    from deforum_helpers.engines.diffusion.request_warnings import warnings_of_requests

    return warnings_of_requests(checkpoint, requests)


DIFFUSERS = DeclaredEngine(
    name=NAME,
    title="a checkpoint",
    make=_make,
    takes_checkpoint=True,
    abilities=Abilities(
        lacks=NO_FACES,
        checks_loras=True,
        own_controlnet=True,
        request_warnings=_request_warnings,
    ),
)
