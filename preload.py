"""Adds the flags of deforum_api/hosts/webui_flags.py to a WebUI, which runs this file before it reads its command line.

The file is loaded by its path, because this folder is not on the import path yet and another extension may have a
package of the same name.
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
