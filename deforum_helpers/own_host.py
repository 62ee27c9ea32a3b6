"""A host that renders with one of our own engines: which one, and what checks must know of it."""

from __future__ import annotations

from pathlib import Path

from deforum_helpers.engines.checkpoints import checkpoints_of, loras_of, vaes_of
from deforum_helpers.engines.names import LACKS, samplers, schedulers
from deforum_helpers.host import HostFacts


def own_engine(asked: str | None, checkpoint: str | None) -> str:
    """Return the name of the engine: as asked for, else diffusers where there is a checkpoint, else the built-in."""
    return asked or ("diffusers" if checkpoint else "demo")


def own_facts(engine: str, model: str | None, output_root: Path, name: str = "standalone") -> HostFacts:
    """Return what is known of a host that renders with one of our own engines.

    Args:
        engine: one of `engines.names.ENGINES`.
        model: its checkpoint, or None.
        output_root: folder for everything that is written.
        name: the host's name.
    """
    return HostFacts(
        name=name,
        engine=engine,
        model=model,
        output_root=output_root.resolve(),
        samplers=samplers(engine),
        schedulers=schedulers(engine),
        checkpoints=checkpoints_of(engine, model),
        vaes=vaes_of(engine, model),
        lacks=LACKS,
        loras=loras_of(engine, model),
    )
