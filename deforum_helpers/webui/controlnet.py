"""The host's ControlNet: Forge's own, or the extension sd-webui-controlnet; what it is called and what it has."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from deforum_helpers.host import ControlNetFacts
from deforum_helpers.webui.host_scripts import find_script
from deforum_helpers.webui.parts import part

TITLE = "ControlNet"
FORGE_CODE = "lib_controlnet.external_code"
EXTENSION_CODES = ("internal_controlnet.external_code", "scripts.external_code")
OWN_SCRIPT = Path("scripts", "controlnet.py")
SWITCHED_OFF = "The WebUI's ControlNet is switched off; switch {name} on under Extensions and restart."
FAILED = (
    "The WebUI's ControlNet is installed in {name} but could not be loaded{why}; the console has all of it."
)
FOREIGN = "The WebUI's ControlNet is of a version that Deforum cannot use; update {name} and restart."
MISSING_IN_FORGE = (
    "This Forge has no ControlNet; its folder sd_forge_controlnet is not under extensions-builtin."
)
MISSING_EXTENSION = (
    "This WebUI has no ControlNet; install the extension sd-webui-controlnet under Extensions and restart."
)


def controlnet_facts() -> ControlNetFacts:
    """Return what is known of the host's ControlNet now: its users add models at any time."""
    code, script = external_code(), find_script(TITLE, is_img2img=True)
    if code is None or script is None:
        return ControlNetFacts(missing=_why_missing(is_loaded=script is not None))
    modules, alone = module_names(code)
    return ControlNetFacts(modules=modules, models=model_names(code), modules_without_model=alone)


def _why_missing(*, is_loaded: bool) -> str:
    """Return why the host has no ControlNet for us, as a sentence that says what to do."""
    extensions = part("modules.extensions")
    found = [each for each in getattr(extensions, "extensions", ()) if Path(each.path, OWN_SCRIPT).is_file()]
    for each in sorted(found, key=lambda one: not one.enabled):
        if not each.enabled:
            return SWITCHED_OFF.format(name=each.name)
        return (
            FOREIGN.format(name=each.name)
            if is_loaded
            else FAILED.format(name=each.name, why=_error_in(each))
        )
    return MISSING_IN_FORGE if part("modules_forge") is not None else MISSING_EXTENSION


def _error_in(extension: Any) -> str:
    """Return the error that kept an extension from being loaded, behind a colon, if the host remembers it."""
    for record in getattr(part("modules.errors"), "exception_records", ()):
        places = [str(place) for place, *_ in record.get("traceback", ())]
        if any(place.startswith(str(extension.path)) for place in places):
            said = re.sub(r"(?:[A-Za-z]:)?[\\/](?:[^\\/\s'\"()]+[\\/])+", "", str(record.get("exception")))
            return f": {' '.join(said.split())[:300]}"
    return ""


def external_code() -> Any | None:
    """Return the module that the host's ControlNet has for others; it was loaded with its script."""
    return next((sys.modules[name] for name in (FORGE_CODE, *EXTENSION_CODES) if name in sys.modules), None)


def _is_forge(code: Any) -> bool:
    return bool(code is sys.modules.get(FORGE_CODE))


def model_names(code: Any) -> tuple[str, ...]:
    """Return the names of the models that the host lists."""
    names = _forge_state().get_all_controlnet_names() if _is_forge(code) else code.get_models()
    return tuple(map(str, names)) or ("None",)


def module_names(code: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the preprocessors, and of those that need no model."""
    if _is_forge(code):
        state = _forge_state()
        names = tuple(state.get_all_preprocessor_names())
        return names, tuple(name for name in names if state.get_preprocessor(name).do_not_need_model)
    details: dict[str, Any] = getattr(code, "get_modules_detail", dict)()
    alone = tuple(name for name, detail in details.items() if detail.get("model_free"))
    return tuple(code.get_modules()), alone


def _forge_state() -> Any:
    return sys.modules["lib_controlnet.global_state"]
