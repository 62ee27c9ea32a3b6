"""What a WebUI runs before it reads its command line: the flags of deforum_api/hosts/webui_flags.py.

This folder is not on the path yet, and another extension may have a package of the same name. So the file is loaded by
its path, and no package of ours is imported.
"""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_spec = spec_from_file_location(
    "deforum_webui_flags", Path(__file__).resolve().parent / "deforum_api" / "hosts" / "webui_flags.py"
)
assert _spec is not None
assert _spec.loader is not None
_flags = module_from_spec(_spec)
_spec.loader.exec_module(_flags)
preload = _flags.preload
