"""Facts about the host, read anew for each check since users add models and change options."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.net.fetch import Fetcher
from deforum_helpers.engines.registry import WEBUI
from deforum_helpers.output.paths import IMAGES_FOLDER
from deforum_helpers.pipeline.prepare import HostFacts
from deforum_helpers.pipeline.wildcards import FOLDER, HERE
from deforum_helpers.settings.host_options import Options, override
from deforum_helpers.webui import settings_page
from deforum_helpers.webui.controlnet import controlnet_facts
from deforum_helpers.webui.features import JOINED, missing_features, sampler_names, scheduler_labels
from deforum_helpers.webui.host_modules import host_name, optional_module
from deforum_helpers.webui.model_choice import selected_checkpoint

logger = logging.getLogger(__name__)

# Other fields of `Options` stay unset: the job uses the host's values at its start.
SHARED_OPTIONS = (
    *(each.name for each in settings_page.OPTIONS if each.name not in settings_page.HOST_ONLY),
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
    from modules import devices

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
        device=str(devices.get_optimal_device()),
        controlnet=controlnet_facts(),
        lacks=missing_features(),
        fetcher=_fetcher(),
        wildcard_folders=_wildcard_folders(),
    )


def _wildcard_folders() -> tuple[Path, ...]:
    """Return the folders that extensions and scripts of the host read wildcards from, ours first."""
    data = data_folder()
    others = sorted(data.glob(f"extensions/*/{FOLDER}"))
    return (data / FOLDER, HERE / FOLDER, *others, data / "scripts" / FOLDER)


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
