"""Rewrites the requirements files from pyproject.toml: `python -m tools.requirements`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
# File -> its first line, and the lists of pyproject.toml that it consists of.
FILES = {
    "requirements-standalone.txt": (
        "What the standalone start (webui.py) needs.",
        ("dependencies", "optional-dependencies.webui", "optional-dependencies.sound"),
    ),
    "requirements-tests.txt": (
        "What `python webui.py --tests` needs beside requirements-standalone.txt.",
        ("optional-dependencies.mcp", "optional-dependencies.tests"),
    ),
    "requirements.txt": (
        "What a WebUI host may lack; install.py adds it without touching anything that the host has.",
        ("dependency-groups.host",),
    ),
}


def generated(pyproject: str) -> dict[str, str]:
    """Return the text of each requirements file by name, made from the text of pyproject.toml."""
    tables = tomllib.loads(pyproject)
    project = tables["project"] | {"dependency-groups": tables["dependency-groups"]}
    return {
        name: "".join(
            f"{line}\n"
            for line in (
                f"# {title}",
                "# Made from pyproject.toml by `python -m tools.requirements`.",
                *(package for each in lists for package in _listed(project, each)),
            )
        )
        for name, (title, lists) in FILES.items()
    }


def _listed(project: Mapping[str, Any], dotted: str) -> list[str]:
    found: Any = project
    for key in dotted.split("."):
        found = found[key]
    return list(found)


def main() -> None:
    """Write the files."""
    for name, text in generated((ROOT / "pyproject.toml").read_text(encoding="utf-8")).items():
        (ROOT / name).write_text(text, encoding="utf-8", newline="\n")
        print(f"{name}: {len(text.splitlines())} lines")


if __name__ == "__main__":
    main()
