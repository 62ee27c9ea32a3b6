"""The host's ControlNet: Forge's own, or the extension sd-webui-controlnet; what it is called and what it has."""

from __future__ import annotations

import sys
from typing import Any

from deforum_helpers.host import ControlNetFacts
from deforum_helpers.webui.host_scripts import find_script
from deforum_helpers.webui.parts import part

TITLE = "ControlNet"
FORGE_CODE = "lib_controlnet.external_code"
EXTENSION_CODES = ("internal_controlnet.external_code", "scripts.external_code")
MISSING_IN_FORGE = (
    "Forge's ControlNet is switched off; switch sd_forge_controlnet on under Extensions and restart."
)
MISSING_EXTENSION = (
    "This WebUI has no ControlNet; install the extension sd-webui-controlnet under Extensions and restart."
)


def controlnet_facts() -> ControlNetFacts:
    """Return what is known of the host's ControlNet now: its users add models at any time."""
    code = external_code()
    if code is None or find_script(TITLE, is_img2img=True) is None:
        forge = part("modules_forge") is not None
        return ControlNetFacts(missing=MISSING_IN_FORGE if forge else MISSING_EXTENSION)
    modules, alone = module_names(code)
    return ControlNetFacts(modules=modules, models=model_names(code), modules_without_model=alone)


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
