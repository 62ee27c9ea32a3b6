"""Which checkpoint and VAE a job draws with, in a host where other users choose theirs at any time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from deforum_helpers.core.errors import ModelError
from deforum_helpers.webui import messages
from deforum_helpers.webui.host_modules import part
from deforum_helpers.webui.option_overrides import borrowed_options

VAE_OPTIONS = ("sd_vae", "sd_vae_overrides_per_model_preferences")
# Options that hosts keep for the models that are chosen or loaded.
MODEL_OPTIONS = ("sd_model_checkpoint", "sd_checkpoint_hash", "forge_additional_modules", *VAE_OPTIONS)


class Selection(Protocol):
    """The host's choice of models as a job began, which it keeps whatever is chosen later."""

    def held(self, checkpoint: str | None, vae: str | None) -> AbstractContextManager[Callable[[], bool]]:
        """Return a context in which the host draws with these models; None = those that the job began with.

        It gives a function that tells whether they are still the ones that the host draws with: other threads of
        the host may exchange them without holding its queue.

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
        raise ModelError(messages.NO_CHECKPOINT())
    found = sd_models.checkpoint_aliases.get(name) or sd_models.get_closet_checkpoint_match(name)
    if found is None:
        names = ", ".join(info.name for info in sd_models.checkpoints_list.values())
        raise ModelError(messages.UNKNOWN_CHECKPOINT(name=name, known=names))
    return found


def selected_checkpoint() -> str | None:
    """Return the name of the checkpoint that the host's users have chosen, or None if there is none at all."""
    found = _selected()
    return None if found is None else str(found.name)


def _selected() -> Any | None:
    """Return what the host knows of the checkpoint that its users have chosen, by whatever name they did."""
    from modules import sd_models, shared

    found = sd_models.checkpoint_aliases.get(getattr(shared.opts, "sd_model_checkpoint", None))
    return found or next(iter(sd_models.checkpoints_list.values()), None)  # the host falls back to that too


def _info_of(checkpoint: str | None, kept: Any | None) -> Any:
    """Return what the host knows now of the checkpoint of this name, or of the one that was `kept`.

    Raises:
        ModelError: it has it no more, or none at all.
    """
    from modules import sd_models

    if checkpoint is not None or kept is None:
        return checkpoint_of(checkpoint or "")
    same = (info for info in sd_models.checkpoints_list.values() if info.filename == kept.filename)
    return next(same, None) or checkpoint_of(kept.name)


def _name_of(info: Any) -> str:
    """Return a name of this checkpoint that the host gives to no other one."""
    from modules import sd_models

    known = sd_models.checkpoint_aliases
    return str(next((name for name in (info.title, *info.ids) if known.get(name) is info), info.title))


def _is_loaded(info: Any) -> bool:
    """Tell whether the host's model is of this checkpoint, as far as the model says."""
    from modules import shared

    loaded = getattr(shared.sd_model, "sd_checkpoint_info", None)
    return loaded is None or bool(loaded.filename == info.filename)


class PlainSelection:
    """A1111 and its near relatives: each picture loads what the options name, if it is not loaded yet."""

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
            borrowed_options({"sd_model_checkpoint": _name_of(info), **wanted_vae}),
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
    """Let the host finish the load of its first checkpoint, which it does without holding its queue."""
    from modules import sd_models

    with getattr(getattr(sd_models, "model_data", None), "lock", nullcontext()):
        pass


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
        self._checkpoint = _selected()
        self._modules: list[str] = list(_additional_modules())
        self._parameters: dict[tuple[str, tuple[str, ...]], Any] = {}

    @contextmanager
    def held(self, checkpoint: str | None, vae: str | None) -> Iterator[Callable[[], bool]]:
        from modules import sd_models

        info = _info_of(checkpoint, self._checkpoint)
        modules = self._modules if vae is None else self._with_vae(vae)
        model = sd_models.model_data
        if not model.forge_loading_parameters:  # nobody has drawn or chosen anything yet
            self._main_entry.refresh_model_loading_parameters()
        with borrowed_options({"sd_model_checkpoint": _name_of(info), "forge_additional_modules": modules}):
            theirs = model.forge_loading_parameters
            ours = self._parameters_for(info, modules)
            model.forge_loading_parameters = ours
            try:
                yield lambda: model.forge_loading_parameters is ours and _is_loaded(info)
            finally:
                if model.forge_loading_parameters is ours:
                    model.forge_loading_parameters = theirs

    def _parameters_for(self, info: Any, modules: list[str]) -> Any:
        """Return the loading parameters of the options as this thread sees them, made once for each choice."""
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
