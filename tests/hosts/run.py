"""Makes the environments of the hosts, each with the versions that the host pins, and runs our tests in them.

    python tests/hosts/run.py [--folder FOLDER] [--only NAME ...] [--quick] [-- arguments of pytest]

An environment is made once for its list of packages and used again. Exits with 0 if all tests passed in all of them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Our own server, its page and its documentation are not in a host; the page is tested with its own gradio.
OWN_SERVER = ("api/test_own_app", "api/test_ui_page", "ui/test_tab")
TESTS = ("tests/hosts", "tests/api", "tests/ui", *(f"--ignore=tests/{name}.py" for name in OWN_SERVER))
TOOLS = (
    "pytest",
    "pytest-timeout",
    "hypothesis",
    "schemathesis>=4,<5",
    "opencv-python-headless>=4.8,<5",
    "imageio-ffmpeg",
    "av",
    "uvicorn",
    "playwright",
)


@dataclass(frozen=True)
class Host:
    """What a host brings along.

    Args:
        pythons: versions it runs with, the preferred one first.
        packages: as pip takes them.
        torch: whether frames are rendered too; torch is large.
    """

    pythons: tuple[str, ...]
    packages: tuple[str, ...]
    torch: bool = True


HOSTS = {
    "forge": Host(
        ("3.11", "3.10"),
        (
            "gradio==4.40.0",
            "fastapi==0.104.1",
            "starlette==0.27.0",
            "pydantic==2.8.2",
            "numpy==1.26.2",
            "pillow==9.5.0",
            "httpx==0.24.1",
            "huggingface-hub==0.26.2",
        ),
    ),
    "forge-neo": Host(
        ("3.11", "3.12", "3.13"),
        (
            "gradio==4.40.0",
            "fastapi==0.127.1",
            "pydantic==2.10.6",
            "numpy>=2.2,<2.4",
            "httpx<0.28",
            "huggingface-hub<1",
        ),
    ),
    "a1111": Host(
        ("3.10", "3.11"),
        (
            "gradio==3.41.2",
            "fastapi==0.94.0",
            "pydantic==1.10.21",
            "numpy==1.26.2",
            "pillow==9.5.0",
            "httpx==0.24.1",
            "huggingface-hub<0.26",
            "setuptools<80",
        ),
    ),
    "newest": Host(
        ("3.13", "3.12", "3.11"), ("gradio", "fastapi", "pydantic", "numpy", "pillow", "httpx"), torch=False
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and say how it went; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "venv" / "hosts", help="where environments are kept"
    )
    parser.add_argument("--only", nargs="+", choices=tuple(HOSTS), default=tuple(HOSTS), metavar="NAME")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="leave out torch, and with it the frames, and the tests of the API: a few minutes",
    )
    parser.add_argument("pytest", nargs="*", help="further arguments of pytest")
    chosen = parser.parse_args(arguments)
    ends = {name: _tested(name, chosen.folder, chosen.pytest, quick=chosen.quick) for name in chosen.only}
    for name, end in ends.items():
        _say(f"{name:10} {end}")
    return 0 if all(end == "passed" for end in ends.values()) else 1


def _tested(name: str, folder: Path, further: Sequence[str], *, quick: bool) -> str:
    python = _environment(name, folder, torch=not quick)
    if python is None:
        return "not made: pip failed"
    _say(f"== {name}: {subprocess.check_output([python, '--version'], text=True).strip()}")
    # Old packages warn of their own age under a new Python.
    command = [str(python), "-m", "pytest", "-q", "-W", "default", "-p", "no:cacheprovider"]
    command += [*(TESTS[:1] if quick else TESTS), *further]
    code = subprocess.call(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return "passed" if code == 0 else f"failed (pytest's exit code {code})"


def _environment(name: str, folder: Path, *, torch: bool) -> Path | None:
    """Return the Python of the host's environment, made if it is not there yet; None if that failed."""
    host = HOSTS[name]
    packages = [*host.packages, *TOOLS, *(["torch==2.13.0", "safetensors"] if host.torch and torch else [])]
    digest = hashlib.sha256("\n".join(packages).encode()).hexdigest()[:12]
    home = folder / f"{name}-{digest}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if (home / "made").exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    subprocess.check_call([_python(host.pythons), "-m", "venv", str(home)])
    if subprocess.call([python, "-m", "pip", "install", "-q", "--prefer-binary", *packages]) != 0:
        return None
    (home / "made").touch()
    return python


def _python(versions: Sequence[str]) -> str:
    """Return the first Python of these versions that there is, else the one that runs this."""
    for version in versions:
        places = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        found = shutil.which(f"python{version}")
        if places or found:
            return str(places[-1]) if places else str(found)
    return sys.executable


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
