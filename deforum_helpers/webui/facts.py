"""What checks must know of the host, asked anew for each of them: its users add models and change options."""

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
from deforum_helpers.settings.host_options import Options, override
from deforum_helpers.webui import settings_page
from deforum_helpers.webui.controlnet import controlnet_facts
from deforum_helpers.webui.features import JOINED, lacking, sampler_names, scheduler_labels
from deforum_helpers.webui.host_modules import host_name, part
from deforum_helpers.webui.model_choice import selected_checkpoint

logger = logging.getLogger(__name__)

# The others of `Options` stay unset, which means: as the host has it when the job begins.
SHARED_OPTIONS = (
    *(each.name for each in settings_page.OPTIONS if each.name not in settings_page.HOST_ONLY),
    "CLIP_stop_at_last_layers",
    "eta_ancestral",
    "eta_ddim",
    "initial_noise_multiplier",
)


@lru_cache(maxsize=1)
def _fetcher() -> Fetcher:
    """Return the one that every look at the host's facts gives, with all that it has fetched."""
    return Fetcher()


def host_facts() -> HostFacts:
    """Return what is known of the host now."""
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
        lacks=lacking(),
        fetcher=_fetcher(),
    )


def output_folders() -> tuple[Path, str]:
    """Return the output root, and the folder for runs inside it where that is not `img2img-images`.

    Both follow the host's own settings for pictures of img2img, as its users have arranged their folders by them.
    """
    from modules import paths, shared

    named = getattr(shared.opts, "outdir_samples", "") or getattr(shared.opts, "outdir_img2img_samples", "")
    images = Path(named) if named else Path(paths.data_path, "outputs", IMAGES_FOLDER)
    images = images.expanduser().absolute()
    return images.parent, "" if images.name == IMAGES_FOLDER else images.name


def data_folder() -> Path:
    """Return where the host keeps what is its own: its settings, models and outputs."""
    from modules import paths

    return Path(paths.data_path).absolute()


def host_options() -> Options:
    """Return the host's options; a value that none of ours can have counts as the default."""
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
            logger.warning("The WebUI's settings: %s The default is taken.", error)
    return options


def _checkpoints() -> tuple[str, ...]:
    """Return each checkpoint by its file name, its bare name and its title; all of them are used in settings files."""
    from modules import sd_models

    known = sd_models.checkpoints_list.values()
    return _without_repetition(
        name for info in known for name in (info.name, info.name_for_extra, info.model_name, info.title)
    )


def _vaes() -> tuple[str, ...]:
    main_entry = part("modules_forge.main_entry")
    if main_entry is not None:
        return _without_repetition(["None", *main_entry.module_list])
    from modules import sd_vae

    return _without_repetition(["None", *sd_vae.vae_dict])


def _without_repetition(names: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(name) for name in names))
