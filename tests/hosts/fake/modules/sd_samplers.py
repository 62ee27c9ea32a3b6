"""Samplers by name. Older hosts have the scheduler inside the name."""

import importlib.util
from types import SimpleNamespace

_NAMES = ["DPM++ 2M", "Euler a", "Euler", "DDIM", "UniPC", "Res Multistep"]
if importlib.util.find_spec("modules.sd_schedulers") is None:
    _NAMES += ["DPM++ 2M Karras"]
all_samplers_map = {name: SimpleNamespace(name=name) for name in _NAMES}
