"""What a host can do beside plain drawing: FreeU, Kohya HRFix, the mending of faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deforum_helpers.errors import ModelError
from deforum_helpers.webui import messages
from deforum_helpers.webui.host_scripts import find_script
from deforum_helpers.webui.parts import part

# Switch of a feature -> how the title of its script begins, what people call it, and Forge's extension for it.
SCRIPTS: Mapping[str, tuple[str, str, str]] = {
    "freeu_enabled": ("FreeU Integrated", "FreeU", "sd_forge_freeu"),
    "kohya_hrfix_enabled": ("Kohya HRFix Integrated", "Kohya HRFix", "sd_forge_kohya_hrfix"),
}


def lacking() -> dict[str, str]:
    """Return the switches of the features that the host does not have, and why, as sentences."""
    missing = {
        switch: why_not(switch)
        for switch, (title, _, _) in SCRIPTS.items()
        if find_script(title, is_img2img=True) is None
    }
    return (
        missing
        if _face_restorer() is not None
        else {**missing, "restore_faces": messages.NO_FACE_RESTORATION()}
    )


def check_faces() -> None:
    """See that faces were mended; the host itself goes on without a word to its users.

    Raises:
        ModelError: the host could not load its model for that.
    """
    restorer = _face_restorer()
    if restorer is not None and getattr(restorer, "net", restorer) is None:
        raise ModelError(messages.FACE_MODEL_NOT_LOADED(name=restorer.name()))


def why_not(switch: str) -> str:
    """Return why the host lacks what `switch` of SCRIPTS switches on, as a sentence."""
    _, name, extension = SCRIPTS[switch]
    if part("modules_forge.main_entry"):
        return messages.NO_EXTENSION(name=name, extension=extension)
    return messages.ONLY_IN_FORGE(name=name)


def _face_restorer() -> Any | None:
    """Return what would mend faces, or None."""
    from modules import shared

    wanted = getattr(shared.opts, "face_restoration_model", None)
    for restorer in getattr(shared, "face_restorers", ()):
        if wanted is None or restorer.name() == wanted:
            return None if restorer.name() == "None" else restorer
    return None
