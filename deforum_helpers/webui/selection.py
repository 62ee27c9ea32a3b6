"""Which checkpoint and VAE a job draws with, in a host where other users choose theirs at any time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from deforum_helpers.errors import ModelError
from deforum_helpers.webui.borrowed import borrowed_options
from deforum_helpers.webui.parts import part

NO_CHECKPOINT = (
    "The WebUI has no checkpoint: put a .safetensors file into its folder models/Stable-diffusion and press the "
    "refresh button beside its list of checkpoints."
)


class Selection(Protocol):
    """The host's choice of models as a job began, which it keeps whatever is chosen later."""

    def held(self, checkpoint: str | None, vae: str | None) -> Any:
        """Return a context in which the host draws with these models; None = those that the job began with.

        Raises:
            ModelError: the host has no such model.
        """
        ...


def make_selection() -> Selection:
    """Return the way in which this host chooses models, its present choice remembered."""
    main_entry = part("modules_forge.main_entry")
    return PlainSelection() if main_entry is None else ForgeSelection(main_entry)


def checkpoint_of(name: str) -> Any:
    """Return what the host knows of a checkpoint, by any of its names.

    Raises:
        ModelError: it has none of this name, or none at all.
    """
    from modules import sd_models

    if not sd_models.checkpoints_list:
        raise ModelError(NO_CHECKPOINT)
    found = sd_models.checkpoint_aliases.get(name) or sd_models.get_closet_checkpoint_match(name)
    if found is None:
        names = ", ".join(info.name for info in sd_models.checkpoints_list.values())
        raise ModelError(f"The WebUI has no checkpoint {name!r}; it has: {names}.")
    return found


def selected_checkpoint() -> str | None:
    """Return the name of the checkpoint that the host's users have chosen, or None if there is none at all."""
    from modules import sd_models, shared

    found = sd_models.checkpoint_aliases.get(getattr(shared.opts, "sd_model_checkpoint", None))
    if found is None:  # what the host itself falls back to
        found = next(iter(sd_models.checkpoints_list.values()), None)
    return None if found is None else str(found.name)


class PlainSelection:
    """A1111 and its near relatives: each picture loads what the options name, if it is not loaded yet."""

    def __init__(self) -> None:
        self._checkpoint = selected_checkpoint()

    @contextmanager
    def held(self, checkpoint: str | None, vae: str | None) -> Iterator[None]:
        from modules import sd_vae, shared

        info = checkpoint_of(checkpoint or self._checkpoint or "")
        current = checkpoint_of(selected_checkpoint() or "")
        wanted: dict[str, Any] = {} if info is current else {"sd_model_checkpoint": info.name}
        if vae is not None:
            if vae != "None" and vae not in sd_vae.vae_dict:
                raise ModelError(_no_such_vae(vae, sd_vae.vae_dict))
            wanted |= {"sd_vae": vae, "sd_vae_overrides_per_model_preferences": True}
        other_vae = vae is not None and vae != shared.opts.sd_vae
        with _vae_of_options(other_vae), borrowed_options(wanted):
            if other_vae:
                sd_vae.reload_vae_weights()
            yield


@contextmanager
def _vae_of_options(changed: bool) -> Iterator[None]:
    """Load at the end the VAE that the options name by then; nothing else in the host would."""
    from modules import sd_vae

    try:
        yield
    finally:
        if changed:
            sd_vae.reload_vae_weights()


class ForgeSelection:
    """Forge and Forge Neo: the options become loading parameters, and the next picture loads what they say.

    The parameters are exchanged as a whole, which keeps the host from dropping its cached prompts every frame.
    """

    def __init__(self, main_entry: Any) -> None:
        self._main_entry = main_entry
        self._checkpoint = selected_checkpoint()
        self._modules: list[str] = list(_additional_modules())
        self._parameters: dict[tuple[str, tuple[str, ...]], Any] = {}

    @contextmanager
    def held(self, checkpoint: str | None, vae: str | None) -> Iterator[None]:
        from modules import sd_models

        info = checkpoint_of(checkpoint or self._checkpoint or "")
        modules = self._modules if vae is None else self._with_vae(vae)
        options = {"sd_model_checkpoint": info.name, "forge_additional_modules": modules}
        if checkpoint_of(selected_checkpoint() or "") is info:
            del options["sd_model_checkpoint"]
        model = sd_models.model_data
        if not model.forge_loading_parameters:  # nobody has drawn or chosen anything yet
            self._main_entry.refresh_model_loading_parameters()
        theirs = model.forge_loading_parameters
        with borrowed_options(options):
            ours = model.forge_loading_parameters = self._parameters_for(info.name, modules)
            try:
                yield
            finally:
                if model.forge_loading_parameters is ours:
                    model.forge_loading_parameters = theirs

    def _parameters_for(self, checkpoint: str, modules: list[str]) -> Any:
        """Return the loading parameters of the options as they are, made once for each choice."""
        from modules import sd_models

        key = (checkpoint, tuple(modules))
        if key not in self._parameters:
            self._main_entry.refresh_model_loading_parameters()
            self._parameters[key] = sd_models.model_data.forge_loading_parameters
        return self._parameters[key]

    def _with_vae(self, vae: str) -> list[str]:
        """Return the job's modules with another VAE; text encoders stay."""
        known = self._main_entry.module_list
        others = [path for path in self._modules if not _is_vae(path)]
        if vae == "None":
            return others
        if vae not in known:
            raise ModelError(_no_such_vae(vae, known))
        return [*others, known[vae]]


def _additional_modules() -> list[str]:
    from modules import shared

    return getattr(shared.opts, "forge_additional_modules", None) or []


def _is_vae(path: str) -> bool:
    from modules import paths, shared

    folders = [os.path.join(paths.models_path, "VAE"), getattr(shared.cmd_opts, "vae_dir", None)]
    folders += list(getattr(shared.cmd_opts, "vae_dirs", None) or [])
    here = os.path.abspath(path)
    return any(here.startswith(os.path.join(os.path.abspath(folder), "")) for folder in folders if folder)


def _no_such_vae(name: str, known: Any) -> str:
    return f"The WebUI has no VAE {name!r}; it has: {', '.join(known) or 'none'}."
