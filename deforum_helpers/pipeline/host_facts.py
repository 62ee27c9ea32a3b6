"""Facts about the host that will render: its engine, models, names of samplers, options and disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deforum_helpers.core.net.fetch import Fetcher
from deforum_helpers.engines.base import Abilities
from deforum_helpers.engines.names import samplers, schedulers
from deforum_helpers.engines.registry import declared, default_engine
from deforum_helpers.models.weights.checkpoints import (
    LORA_FOLDER,
    NO_PARTS,
    ModelParts,
    checkpoints_beside,
    describe_checkpoint,
    folders_beside,
    lora_files,
    vae_files,
)
from deforum_helpers.settings.host_options import Options

WILDCARD_FOLDER = "wildcards"
HERE = Path(__file__).resolve().parents[2]  # the folder of webui.py, or of the extension


def free_bytes(folder: Path) -> int:
    """Return the free space, in bytes, of the disk that holds `folder` or will hold it."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class ControlNetFacts:
    """Facts about a host's ControlNet.

    Args:
        missing: why the host has none, as a sentence with advice; None = it has one.
        modules: names of its preprocessors; empty = unknown.
        models: names of its models; empty = unknown.
        modules_without_model: preprocessors that work without a model.
    """

    missing: str | None = None
    modules: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    modules_without_model: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostFacts:
    """Facts about the host that will render.

    Args:
        name: "standalone", "Forge", ...
        engine: name of its engine.
        model: name of its loaded or selected checkpoint, or None.
        output_root: folder for all of its outputs.
        samplers, schedulers: names that its engine offers.
        checkpoints, vaes: names that a job may use; empty = only the one that the host was started with.
        options: its options.
        free_disk: returns the free bytes of the disk that holds a folder.
        device: device that it renders on.
        fetcher: fetches files from http(s) addresses.
        controlnet: facts about its ControlNet.
        lacks: setting that switches on an unsupported feature -> the reason, as a sentence.
        loras: returns the names of the available LoRAs; None = they cannot be listed before the run.
        wildcard_folders: folders with the files that wildcards of prompts name.
    """

    name: str
    engine: str
    model: str | None
    output_root: Path
    samplers: tuple[str, ...]
    schedulers: tuple[str, ...]
    checkpoints: tuple[str, ...] = ()
    vaes: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)
    free_disk: Callable[[Path], int] = free_bytes
    device: str = "cpu"
    fetcher: Fetcher = field(default_factory=Fetcher)
    controlnet: ControlNetFacts = field(default_factory=ControlNetFacts)
    lacks: Mapping[str, str] = field(default_factory=dict)
    loras: Callable[[], Collection[str]] | None = None
    wildcard_folders: tuple[Path, ...] = ()

    @property
    def abilities(self) -> Abilities:
        """The declared abilities of the engine."""
        return declared(self.engine).abilities


def own_engine(requested: str | None, checkpoint: str | None) -> str:
    """Return the engine to use: the one requested, else the one for a checkpoint, else the built-in one."""
    return requested or default_engine(checkpoint)


def check_checkpoint(
    engine: str, checkpoint: str, allow_download: bool, parts: ModelParts = NO_PARTS
) -> None:
    """Check the checkpoint of one of the project's own engines, if it takes one, without loading it.

    Raises:
        ModelError: the checkpoint cannot be used.
    """
    if declared(engine).takes_checkpoint:
        describe_checkpoint(checkpoint, allow_download, parts)


def own_facts(
    engine: str,
    model: str | None,
    output_root: Path,
    name: str = "standalone",
    parts: ModelParts = NO_PARTS,
) -> HostFacts:
    """Return the facts about a host that renders with one of the project's own engines.

    Args:
        engine: a name in `engines.registry.ENGINES`.
        model: its checkpoint, or None.
        output_root: folder for all outputs.
        name: name of the host.
        parts: components that replace those of the checkpoint, or complete it.
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
        checkpoints=checkpoints_beside(checkpoint, parts),
        vaes=tuple(sorted(vae_files(checkpoint))),
        lacks=about.abilities.lacks,
        loras=(lambda: lora_files(lora_folders)) if about.abilities.checks_loras else None,
        wildcard_folders=(output_root.resolve() / WILDCARD_FOLDER, HERE / WILDCARD_FOLDER),
    )
