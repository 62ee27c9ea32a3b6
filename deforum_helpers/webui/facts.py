"""Facts about the host, such as its samplers and features, read anew for each check since users change them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import ModelError, SettingsError
from deforum_helpers.core.messages import Text
from deforum_helpers.core.net.fetch import Fetcher
from deforum_helpers.engines.registry import WEBUI
from deforum_helpers.output.paths import IMAGES_FOLDER
from deforum_helpers.pipeline.host_facts import HERE, WILDCARD_FOLDER, HostFacts
from deforum_helpers.settings.host_options import Options, override
from deforum_helpers.webui import messages
from deforum_helpers.webui.controlnet import controlnet_facts
from deforum_helpers.webui.host_modules import host_name, optional_module
from deforum_helpers.webui.host_scripts import find_script
from deforum_helpers.webui.model_choice import selected_checkpoint
from deforum_helpers.webui.pages import HOST_ONLY, OPTIONS

logger = logging.getLogger(__name__)

# Other fields of `Options` stay unset: the job uses the host's values at its start.
SHARED_OPTIONS = (
    *(each.name for each in OPTIONS if each.name not in HOST_ONLY),
    "CLIP_stop_at_last_layers",
    "eta_ancestral",
    "eta_ddim",
    "initial_noise_multiplier",
)


@lru_cache(maxsize=1)
def _fetcher() -> Fetcher:
    """Return the fetcher that all facts share, so that its cache is kept."""
    return Fetcher()


def host_facts() -> HostFacts:
    """Return the current facts."""
    root, images_folder = output_folders()
    return HostFacts(
        name=host_name(),
        engine=WEBUI.name,
        model=selected_checkpoint(),
        output_root=root,
        samplers=sampler_names(),
        schedulers=scheduler_labels() or ("Automatic", *JOINED),
        checkpoints=_checkpoints(),
        vaes=_vaes(),
        options=replace(host_options(), outdir_samples=images_folder),
        device=device_name(),
        controlnet=controlnet_facts(),
        lacks=missing_features(),
        fetcher=_fetcher(),
        wildcard_folders=_wildcard_folders(),
    )


def device_name() -> str:
    """Return the device that the host generates on, such as "cuda:0" or "mps"; imports no torch."""
    from modules import devices

    return str(devices.get_optimal_device())


def _wildcard_folders() -> tuple[Path, ...]:
    """Return the folders that extensions and scripts of the host read wildcards from, ours first."""
    data = data_folder()
    others = sorted(data.glob(f"extensions/*/{WILDCARD_FOLDER}"))
    return (data / WILDCARD_FOLDER, HERE / WILDCARD_FOLDER, *others, data / "scripts" / WILDCARD_FOLDER)


def output_folders() -> tuple[Path, str]:
    """Return the output root, and the name of the folder for runs inside it, empty if it is `img2img-images`.

    Both follow the host's own setting for the folder of img2img.
    """
    from modules import paths, shared

    named = getattr(shared.opts, "outdir_samples", "") or getattr(shared.opts, "outdir_img2img_samples", "")
    images = Path(named) if named else Path(paths.data_path, "outputs", IMAGES_FOLDER)
    images = images.expanduser().absolute()
    return images.parent, "" if images.name == IMAGES_FOLDER else images.name


def data_folder() -> Path:
    """Return the host's data folder, with its settings, models and outputs."""
    from modules import paths

    return Path(paths.data_path).absolute()


def host_options() -> Options:
    """Return the host's options; an invalid value is replaced by the default."""
    from modules import shared

    location = getattr(shared.opts, "deforum_ffmpeg_location", None)
    kept = getattr(shared.opts, "deforum_persistent_settings_path", None)
    if not isinstance(kept, str) or not kept.strip():
        kept = Options().deforum_persistent_settings_path
    options = replace(
        Options(),
        deforum_ffmpeg_location=location if isinstance(location, str) else "",
        deforum_persistent_settings_path=str(data_folder() / Path(kept).expanduser()),
    )
    for name in SHARED_OPTIONS:
        value = getattr(shared.opts, name, None)
        if value is None:
            continue
        try:
            options = override(options, {name: value})
        except SettingsError as error:
            logger.warning("The WebUI's settings: %s The default is used.", error)
    return options


def _checkpoints() -> tuple[str, ...]:
    """Return file name, short name and title of each checkpoint; settings files use all of them."""
    from modules import sd_models

    known = sd_models.checkpoints_list.values()
    return _without_repetition(
        name for info in known for name in (info.name, info.name_for_extra, info.model_name, info.title)
    )


def _vaes() -> tuple[str, ...]:
    main_entry = optional_module("modules_forge.main_entry")
    if main_entry is not None:
        return _without_repetition(["None", *main_entry.module_list])
    from modules import sd_vae

    return _without_repetition(["None", *sd_vae.vae_dict])


def _without_repetition(names: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(name) for name in names))


# Schedulers that older hosts append to the name of a sampler.
JOINED = ("Karras", "Exponential")


def sampler_names() -> tuple[str, ...]:
    """Return the names of the host's samplers."""
    from modules import sd_samplers

    return tuple(sd_samplers.all_samplers_map)


def sampler_fields(sampler: str, scheduler: str) -> dict[str, str]:
    """Return the host's names of a sampler and a scheduler.

    Unknown names are refused here, since the host would silently use another sampler. Older hosts have no separate
    schedulers but joined names, such as "DPM++ 2M Karras".

    Raises:
        ModelError: the host does not have the sampler or the scheduler.
    """
    from modules import sd_samplers

    known = sd_samplers.all_samplers_map
    labels = scheduler_labels()
    name = sampler
    for suffix in JOINED:
        if sampler not in known and sampler.endswith(f" {suffix}"):
            name = sampler.removesuffix(f" {suffix}")
            scheduler = suffix if scheduler == "Automatic" else scheduler
    if not labels and scheduler != "Automatic" and f"{name} {scheduler}" in known:
        return {"sampler_name": f"{name} {scheduler}"}
    if name not in known:
        raise ModelError(messages.UNKNOWN_SAMPLER(name=sampler, known=", ".join(known)))
    if scheduler in labels:
        return {"sampler_name": name, "scheduler": scheduler}
    if scheduler != "Automatic":
        raise ModelError(messages.UNKNOWN_SCHEDULER(scheduler=scheduler, sampler=name))
    return {"sampler_name": name}


def scheduler_labels() -> tuple[str, ...]:
    """Return the labels of the host's schedulers; older hosts have none."""
    known = getattr(optional_module("modules.sd_schedulers"), "schedulers", ())
    return tuple(str(scheduler.label) for scheduler in known)


# Setting that enables a feature -> start of its script's title, its name, and its extension in Forge.
SCRIPTS: Mapping[str, tuple[str, str, str]] = {
    "freeu_enabled": ("FreeU Integrated", "FreeU", "sd_forge_freeu"),
    "kohya_hrfix_enabled": ("Kohya HRFix Integrated", "Kohya HRFix", "sd_forge_kohya_hrfix"),
}


def missing_features() -> dict[str, str]:
    """Return the settings of the features that the host lacks, each with the reason as a sentence."""
    missing: dict[str, str] = {
        switch: reason_missing(switch)
        for switch, (title, _, _) in SCRIPTS.items()
        if find_script(title, is_img2img=True) is None
    }
    return (
        missing
        if _face_restorer() is not None
        else {**missing, "restore_faces": messages.NO_FACE_RESTORATION()}
    )


def check_faces() -> None:
    """Check that faces were restored; the host itself continues silently if its model failed to load.

    Raises:
        ModelError: the host could not load its face restoration model.
    """
    restorer = _face_restorer()
    if restorer is not None and getattr(restorer, "net", restorer) is None:
        raise ModelError(messages.FACE_MODEL_NOT_LOADED(name=restorer.name()))


def reason_missing(switch: str) -> Text:
    """Return as a sentence why the host lacks the feature of the setting `switch`."""
    _, name, extension = SCRIPTS[switch]
    if optional_module("modules_forge.main_entry"):
        return messages.NO_EXTENSION(name=name, extension=extension)
    return messages.ONLY_IN_FORGE(name=name)


def _face_restorer() -> Any | None:
    """Return the host's selected face restoration model, or None."""
    from modules import shared

    wanted = getattr(shared.opts, "face_restoration_model", None)
    for restorer in getattr(shared, "face_restorers", ()):
        if wanted is None or restorer.name() == wanted:
            return None if restorer.name() == "None" else restorer
    return None
