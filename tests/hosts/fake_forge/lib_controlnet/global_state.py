"""Names of Forge's preprocessors and ControlNet models."""

from types import SimpleNamespace

_PREPROCESSORS = {
    name: SimpleNamespace(do_not_need_model=name == "reference_only")
    for name in ("None", "canny", "inpaint_global_harmonious", "reference_only")
}


def get_all_controlnet_names():
    return ["None", "control_v11p_sd15_canny [d14c016b]"]


def get_all_preprocessor_names():
    return list(_PREPROCESSORS)


def get_preprocessor(name):
    return _PREPROCESSORS.get(name)
