"""The checkpoint and VAE of a job, in a host where other users may select others at any time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from deforum_helpers.core.errors import ModelError
from deforum_helpers.webui import messages
from deforum_helpers.webui.host_modules import optional_module
from deforum_helpers.webui.option_overrides import option_overrides

VAE_OPTIONS = ("sd_vae", "sd_vae_overrides_per_model_preferences")
# Options of the host about the selected or loaded models.
MODEL_OPTIONS = ("sd_model_checkpoint", "sd_checkpoint_hash", "forge_additional_modules", *VAE_OPTIONS)


class Selection(Protocol):
    """The models that were selected in the host when a job began; the job keeps them."""

    def held(self, checkpoint: str | None, vae: str | None) -> AbstractContextManager[Callable[[], bool]]:
        """Return a context in which the host generates with these models; None = those that the job began with.

        Its value is a function that returns whether the host still uses them: other threads of the host may load other
        models without holding its queue.

        Raises:
            ModelError: the host has no such model.
        """
        ...


def make_selection() -> Selection:
    """Return the current selection of this host."""
    main_entry = optional_module("modules_forge.main_entry")
    return PlainSelection() if main_entry is None else ForgeSelection(main_entry)


def checkpoint_of(name: str) -> Any:
    """Return the host's record of a checkpoint, by any of its names.

    Raises:
        ModelError: the host has no checkpoint of this name, or none at all.
    """
    from modules import sd_models

    if not sd_models.checkpoints_list:
        raise ModelError(messages.NO_CHECKPOINT())
    found = sd_models.checkpoint_aliases.get(name) or sd_models.get_closet_checkpoint_match(name)
    if found is None:
        names = ", ".join(info.name for info in sd_models.checkpoints_list.values())
        raise ModelError(messages.UNKNOWN_CHECKPOINT(name=name, known=names))
    return found


def selected_checkpoint() -> str | None:
    """Return the name of the checkpoint that is selected in the host, or None if it has none."""
    found = _selected()
    return None if found is None else str(found.name)


def _selected() -> Any | None:
    """Return the host's record of the selected checkpoint, or None if it has none."""
    from modules import sd_models, shared

    found = sd_models.checkpoint_aliases.get(getattr(shared.opts, "sd_model_checkpoint", None))
    return found or next(iter(sd_models.checkpoints_list.values()), None)  # the host's own fallback


def _info_of(checkpoint: str | None, kept: Any | None) -> Any:
    """Return the host's current record of the checkpoint of this name, or of `kept` if the name is None.

    Raises:
        ModelError: the host no longer has the checkpoint, or has none at all.
    """
    from modules import sd_models

    if checkpoint is not None or kept is None:
        return checkpoint_of(checkpoint or "")
    same = (info for info in sd_models.checkpoints_list.values() if info.filename == kept.filename)
    return next(same, None) or checkpoint_of(kept.name)


def _name_of(info: Any) -> str:
    """Return a name that belongs to this checkpoint only."""
    from modules import sd_models

    known = sd_models.checkpoint_aliases
    return str(next((name for name in (info.title, *info.ids) if known.get(name) is info), info.title))


def _is_loaded(info: Any) -> bool:
    """Return whether the host's loaded model is this checkpoint; True if the model does not record it."""
    from modules import shared

    loaded = getattr(shared.sd_model, "sd_checkpoint_info", None)
    return loaded is None or bool(loaded.filename == info.filename)


class PlainSelection:
    """A1111 and its relatives: each generation loads the models that the options name, unless they are loaded."""

    def __init__(self) -> None:
        from modules import shared

        self._checkpoint = _selected()
        self._vae = {name: getattr(shared.opts, name) for name in VAE_OPTIONS if hasattr(shared.opts, name)}

    @contextmanager
    def held(self, checkpoint: str | None, vae: str | None) -> Iterator[Callable[[], bool]]:
        from modules import sd_models, sd_vae, shared

        info = _info_of(checkpoint, self._checkpoint)
        wanted_vae = self._vae if vae is None else _vae_options(vae)
        other_vae = any(getattr(shared.opts, name) != value for name, value in wanted_vae.items())
        _wait_for_first_load()
        with (
            _vae_of_options(other_vae),
            option_overrides({"sd_model_checkpoint": _name_of(info), **wanted_vae}),
        ):
            sd_models.reload_model_weights()
            if other_vae:
                sd_vae.reload_vae_weights()
            model = shared.sd_model
            yield lambda: shared.sd_model is model and _is_loaded(info)


def _vae_options(vae: str) -> dict[str, Any]:
    from modules import sd_vae

    if vae != "None" and vae not in sd_vae.vae_dict:
        raise ModelError(_no_such_vae(vae, sd_vae.vae_dict))
    return dict(zip(VAE_OPTIONS, (vae, True), strict=True))


def _wait_for_first_load() -> None:
    """Wait until the host has loaded its first checkpoint, which it does without holding its queue."""
    from modules import sd_models

    with getattr(getattr(sd_models, "model_data", None), "lock", nullcontext()):
        pass


@contextmanager
def _vae_of_options(changed: bool) -> Iterator[None]:
    """At the end, load the VAE that the options name, since the host would not."""
    from modules import sd_vae

    try:
        yield
    finally:
        if changed:
            sd_vae.reload_vae_weights()


class ForgeSelection:
    """Forge and Forge Neo: the options become loading parameters, which the next generation loads.

    The parameters are replaced as a whole object; otherwise the host would drop its cached prompts at every frame.
    """

    def __init__(self, main_entry: Any) -> None:
        self._main_entry = main_entry
        self._checkpoint = _selected()
        self._modules: list[str] = list(_additional_modules())
        self._parameters: dict[tuple[str, tuple[str, ...]], Any] = {}

    @contextmanager
    def held(self, checkpoint: str | None, vae: str | None) -> Iterator[Callable[[], bool]]:
        from modules import sd_models

        info = _info_of(checkpoint, self._checkpoint)
        modules = self._modules if vae is None else self._with_vae(vae)
        model = sd_models.model_data
        if not model.forge_loading_parameters:  # nothing has been generated or selected yet
            self._main_entry.refresh_model_loading_parameters()
        with option_overrides({"sd_model_checkpoint": _name_of(info), "forge_additional_modules": modules}):
            theirs = model.forge_loading_parameters
            ours = self._parameters_for(info, modules)
            model.forge_loading_parameters = ours
            try:
                yield lambda: model.forge_loading_parameters is ours and _is_loaded(info)
            finally:
                if model.forge_loading_parameters is ours:
                    model.forge_loading_parameters = theirs

    def _parameters_for(self, info: Any, modules: list[str]) -> Any:
        """Return the loading parameters of the options that this thread sees, made once per selection."""
        from modules import sd_models

        key = (info.filename, tuple(modules))
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
    return messages.UNKNOWN_VAE(name=name, known=", ".join(known) or "none")
