"""Install the packages that a WebUI host lacks, without changing any that it has.

Hosts run this file at each start, before they load extensions. Missing packages of requirements.txt are installed;
pip must keep every package of the host at its version.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"

_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.!+]*")


def main() -> int:
    """Install missing packages, print the result, and return the exit code."""
    missing = missing_packages(REQUIREMENTS.read_text(encoding="utf-8"))
    if not missing:
        return 0
    names = ", ".join(missing)
    print(
        f"Deforum: installing {names}; this WebUI's own packages keep their versions.",
        flush=True,
    )
    if install(missing):
        print(
            f"Deforum: {names} could not be installed; Deforum loads without the features that need them. "
            f"To install them by hand: {sys.executable} -m pip install {' '.join(missing)}"
        )
        return 1
    print(f"Deforum: installed {names}.")
    return 0


def missing_packages(requirements: str) -> list[str]:
    """Return the lines of `requirements` whose packages are not installed in any version."""
    lines = [line.split("#", 1)[0].strip() for line in requirements.splitlines()]
    return [line for line in lines if line and not is_installed(line)]


def is_installed(requirement: str) -> bool:
    """Return whether the package of `requirement` is installed, as a distribution or as a module."""
    found = _REQUIREMENT.match(requirement)
    name = found[0] if found else requirement
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return importlib.util.find_spec(name.replace("-", "_").replace(".", "_")) is not None
    return True


def host_versions() -> list[str]:
    """Return a line `name==version` for each installed package, as constraints for pip."""
    held = {
        f"{dist.metadata['Name']}=={dist.version}"
        for dist in metadata.distributions()
        if _REQUIREMENT.fullmatch(dist.metadata["Name"] or "") and _VERSION.fullmatch(dist.version or "")
    }
    return sorted(held)


def install(packages: list[str]) -> int:
    """Install `packages` without changing any other; return pip's exit code."""
    index = os.environ.get("INDEX_URL")
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder, "host-versions.txt")
        held.write_text("\n".join(host_versions()) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--prefer-binary", "--disable-pip-version-check"]
        command += ["--no-input", "--constraint", str(held)]
        return subprocess.call(command + (["--index-url", index] if index else []) + packages)


if __name__ == "__main__":
    sys.exit(main())
