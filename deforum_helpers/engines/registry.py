"""The table of engines, one line each; the only module that knows them by name.

Each engine declares itself beside its code and is imported when it is made. A new engine is a folder with such a
declaration, and a line here. Imports without torch.
"""

from __future__ import annotations

from deforum_helpers.core.registry import choose
from deforum_helpers.engines import messages
from deforum_helpers.engines.base import Abilities, DeclaredEngine
from deforum_helpers.engines.demo.declaration import DEMO
from deforum_helpers.engines.diffusion.declaration import DIFFUSERS
from deforum_helpers.engines.null.declaration import NULL

# The model that a WebUI has loaded. The host checks the names of its own LoRAs and ControlNets.
WEBUI = DeclaredEngine(
    name="webui",
    title="the WebUI's model",
    abilities=Abilities(
        unread={
            "noise_source": messages.WEBUI_CANNOT_INVERT(),
            "autoencoder_correction": messages.WEBUI_CANNOT_CORRECT(),
        }
    ),
)

ENGINES: dict[str, DeclaredEngine] = {engine.name: engine for engine in (NULL, DEMO, DIFFUSERS, WEBUI)}


def declared(name: str) -> DeclaredEngine:
    """Return the declaration of an engine.

    Raises:
        UnknownName: no such engine.
    """
    return choose(ENGINES, name, "engine")


def own_engines() -> dict[str, DeclaredEngine]:
    """Return the engines that this program can make, by name; a host makes the others."""
    return {name: engine for name, engine in ENGINES.items() if engine.make is not None}


def default_engine(checkpoint: str | None) -> str:
    """Return the name of the default engine."""
    return DIFFUSERS.name if checkpoint else DEMO.name


def lacks_checkpoint(name: str, checkpoint: str | None) -> bool:
    """Tell whether an engine takes a checkpoint and has none."""
    return declared(name).takes_checkpoint and not checkpoint
