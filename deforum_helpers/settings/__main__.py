"""Writes the files generated from the declarations of settings and outputs: `python -m deforum_helpers.settings`."""

from __future__ import annotations

import sys
from pathlib import Path

from deforum_helpers.output.kinds import kinds_page
from deforum_helpers.settings.files import settings_text
from deforum_helpers.settings.pages import compatibility_page, settings_page
from deforum_helpers.settings.recommended import recommended_settings
from deforum_helpers.ui.layout import names_in_tab

ROOT = Path(__file__).resolve().parents[2]


def generated() -> dict[Path, str]:
    """Return the generated files: path -> text."""
    return {
        ROOT / "config" / "default_settings.txt": settings_text(recommended_settings()),
        ROOT / "docs" / "settings.md": settings_page(names_in_tab()),
        ROOT / "docs" / "compatibility.md": compatibility_page(),
        ROOT / "docs" / "outputs.md": kinds_page(),
    }


def main() -> None:
    """Write the generated files."""
    for path, text in generated().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        sys.stdout.write(f"{path.relative_to(ROOT)}: {len(text.splitlines())} lines\n")


if __name__ == "__main__":
    main()
