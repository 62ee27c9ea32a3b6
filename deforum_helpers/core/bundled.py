"""Files of Deforum that are not code: the folders `config` and `javascript`, and `style.css`."""

from __future__ import annotations

from pathlib import Path

import deforum_helpers

PACKAGE = Path(deforum_helpers.__file__).resolve().parent


def bundled(name: str) -> Path:
    """Return the path of a bundled file or folder, such as "config/presets".

    An installation has them inside this package, a checkout beside it, where a WebUI expects them.
    """
    inside = PACKAGE / name
    return inside if inside.exists() else PACKAGE.parent / name
