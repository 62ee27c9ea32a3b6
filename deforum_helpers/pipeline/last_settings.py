"""The settings of the last finished job, saved for the next start of the tab if the host's options ask for it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import make_folder, read_file
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.settings import examine_settings, flat_settings, parse_settings_text
from deforum_helpers.settings.host_options import Options

logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 16 << 20


def save_last_settings(prepared: Prepared) -> None:
    """Save the settings of a finished job as submitted (a random seed stays -1), if its options ask for it.

    Raises:
        DiskFull, RenderError: the file cannot be written.
    """
    if not prepared.options.deforum_enable_persistent_settings:
        return
    settings = prepared.settings
    loaded, _ = examine_settings(
        prepared.submitted, {"sampler": (settings.sampler,), "scheduler": (settings.scheduler,)}
    )
    path = _path(prepared.options, prepared.output_root)
    with disk_errors(path.name):
        make_folder(path.parent)
    content = json.dumps(flat_settings(loaded.settings), indent=4, ensure_ascii=False)
    write_whole(path, content.encode("utf-8"))


def load_last_settings(
    options: Options, output_root: Path, host_names: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    """Return the saved settings; {} if there are none, the option is off, or the file is unusable.

    Args:
        options: options of the host.
        output_root: base of a relative path.
        host_names: as in `examine_settings`.
    """
    if not options.deforum_enable_persistent_settings:
        return {}
    path = _path(options, output_root)
    try:
        if not os.path.lexists(path):
            return {}
        content = read_file(path, MAX_FILE_BYTES)
        loaded, problems = examine_settings(parse_settings_text(content.decode("utf-8-sig")), host_names)
        if problems:
            raise SettingsError(problems)
        return flat_settings(loaded.settings)
    except (OSError, UnicodeError, SettingsError) as error:
        logger.warning("The saved settings in %s are ignored: %s", path, error)
        return {}


def _path(options: Options, output_root: Path) -> Path:
    """Return the path of the file: below the output folder unresolved, since links are refused there, else resolved."""
    path = output_root.resolve() / Path(options.deforum_persistent_settings_path).expanduser()
    return path if path.is_relative_to(output_root.resolve()) else path.parent.resolve() / path.name
