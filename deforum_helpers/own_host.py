"""A host that renders with one of our own engines: which one, and what checks must know of it."""

from __future__ import annotations

from pathlib import Path

from deforum_helpers.engines.checkpoints import (
    LORA_FOLDER,
    checkpoints_beside,
    describe_checkpoint,
    folders_beside,
    lora_files,
    vae_files,
)
from deforum_helpers.engines.names import samplers, schedulers
from deforum_helpers.engines.registry import declared, default_engine
from deforum_helpers.host import HostFacts


def own_engine(asked: str | None, checkpoint: str | None) -> str:
    """Return the name of the engine: as asked for, else for a checkpoint where there is one, else the built-in."""
    return asked or default_engine(checkpoint)


def lacks_checkpoint(engine: str, checkpoint: str | None) -> bool:
    """Tell whether one of our own engines needs a checkpoint and has none."""
    return declared(engine).takes_checkpoint and not checkpoint


def check_checkpoint(engine: str, checkpoint: str, allow_download: bool) -> None:
    """Look at the checkpoint of one of our own engines, if it takes one, without loading it.

    Raises:
        ModelError: it cannot be used.
    """
    if declared(engine).takes_checkpoint:
        describe_checkpoint(checkpoint, allow_download)


def own_facts(engine: str, model: str | None, output_root: Path, name: str = "standalone") -> HostFacts:
    """Return what is known of a host that renders with one of our own engines.

    Args:
        engine: an engine of this program, of `engines.registry.ENGINES`.
        model: its checkpoint, or None.
        output_root: folder for everything that is written.
        name: the host's name.
    """
    about = declared(engine)
    checkpoint = model if about.takes_checkpoint else None
    lora_folders = folders_beside(checkpoint, LORA_FOLDER)
    return HostFacts(
        name=name,
        engine=engine,
        model=model,
        output_root=output_root.resolve(),
        samplers=samplers(),
        schedulers=schedulers(),
        checkpoints=checkpoints_beside(checkpoint),
        vaes=tuple(sorted(vae_files(checkpoint))),
        lacks=about.abilities.lacks,
        loras=(lambda: lora_files(lora_folders)) if about.abilities.checks_loras else None,
    )
