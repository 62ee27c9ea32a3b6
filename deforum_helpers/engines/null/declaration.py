"""What the engine without a model is and can do; no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deforum_helpers.engines import messages
from deforum_helpers.engines.base import NO_FACES, Abilities, DeclaredEngine
from deforum_helpers.engines.null import NAME

if TYPE_CHECKING:
    from deforum_helpers.engines.base import Engine


def _make(checkpoint: str | None, allow_download: bool, device: str | None) -> Engine:
    from deforum_helpers.engines.null.engine import NullEngine

    return NullEngine(device)


NULL = DeclaredEngine(
    name=NAME,
    title="the engine without a model",
    make=_make,
    abilities=Abilities(
        lacks=NO_FACES,
        unread={
            setting: messages.NULL_IGNORES(setting=setting)
            for setting in ("noise_source", "autoencoder_correction")
        },
    ),
)
