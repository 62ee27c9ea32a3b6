"""What `pip install .` installs: the wheel's files, that it works away from the checkout, and its requirements."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import webui
from deforum_api.version import VERSION
from deforum_helpers.ui.preset_list import presets
from tools import requirements

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("deforum_api", "deforum_helpers")
BESIDE = ("config", "javascript", "style.css")
FOR_CHECKOUTS = {"deforum_helpers/settings/__main__.py"}


def test_the_requirements_files_are_fresh() -> None:
    for name, text in requirements.generated((ROOT / "pyproject.toml").read_text(encoding="utf-8")).items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, (
            f"{name} is stale; run python -m tools.requirements"
        )


def test_the_generator_writes_what_it_generates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[project]\ndependencies = ["one==1"]\n[project.optional-dependencies]\nwebui = ["two>=2"]\nsound = []\n'
    text += 'mcp = ["three"]\ntests = ["four", "five"]\n[dependency-groups]\nhost = ["six"]\n'
    (tmp_path / "pyproject.toml").write_text(text)
    monkeypatch.setattr(requirements, "ROOT", tmp_path)
    requirements.main()
    assert (tmp_path / "requirements-standalone.txt").read_text().splitlines()[2:] == ["one==1", "two>=2"]
    assert {"three", "four", "five"} <= set((tmp_path / "requirements-tests.txt").read_text().splitlines())
    assert (tmp_path / "requirements.txt").read_text().splitlines()[2:] == ["six"]


def test_webui_py_starts_with_the_pythons_that_the_package_allows() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    allowed = re.search(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"$', text, re.MULTILINE)
    assert allowed
    assert ((3, int(allowed[1])), (3, int(allowed[2]) - 1)) == (webui.OLDEST, webui.NEWEST)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from the sources that an sdist holds."""
    folder = tmp_path_factory.mktemp("built")
    build(["-t", "sdist"], ROOT, folder)
    with tarfile.open(folder / f"deforum-{VERSION}.tar.gz") as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    build(["-t", "wheel"], folder / f"deforum-{VERSION}", folder)
    return zipfile.ZipFile(folder / f"deforum-{VERSION}-py3-none-any.whl")


def build(target: Sequence[str], source: Path, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *target, "-d", str(folder)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def files(*places: str) -> set[str]:
    found = [path for place in places for path in (ROOT / place, *(ROOT / place).rglob("*"))]
    paths = (path for path in found if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in paths}


def test_the_wheel_holds_both_packages_and_what_stands_beside_them(wheel: zipfile.ZipFile) -> None:
    wanted = files(*PACKAGES) - FOR_CHECKOUTS
    wanted |= {f"deforum_helpers/{name}" for name in files(*BESIDE)}
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == wanted


def test_the_wheel_names_its_program_and_its_requirements(wheel: zipfile.ZipFile) -> None:
    info = f"deforum-{VERSION}.dist-info"
    assert "deforum = deforum_api.cli:main" in wheel.read(f"{info}/entry_points.txt").decode().splitlines()
    metadata = wheel.read(f"{info}/METADATA").decode().splitlines()
    for extra in ("webui", "mcp", "tests"):
        assert f"Provides-Extra: {extra}" in metadata
    assert "Requires-Dist: torch==2.13.0" in metadata


def test_the_installed_program_finds_its_files_from_any_folder(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    site, here = tmp_path / "site-packages", tmp_path / "somewhere"
    wheel.extractall(site)
    here.mkdir()

    def deforum(*arguments: str) -> str:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; from deforum_api.cli import main; sys.exit(main())",
                *arguments,
            ],
            cwd=here,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    small = {"W": 64, "H": 64, "max_frames": 2, "steps": 2, "prompts": {"0": "a lake"}}
    shaken = {"animation_mode": "3D", "shake_name": "INVESTIGATION"}
    Path(here, "small.txt").write_text(json.dumps(small), encoding="utf-8")
    Path(here, "shaken.txt").write_text(json.dumps(small | shaken), encoding="utf-8")
    assert "2 frames of 64x64" in deforum("check", "shaken.txt")
    assert deforum("plot", "small.txt", "--schedules", "zoom").strip() == "small.svg"
    assert Path(here, deforum("run", "small.txt", "--engine", "demo").strip()).is_file()

    ask = "import json; from deforum_helpers.ui import preset_list, tab\n"
    ask += "print(json.dumps([str(tab.STYLE), *map(str, tab.SCRIPTS), *(p.name for p in preset_list.presets())]))"
    asked = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    style, *rest = json.loads(asked.stdout)
    assert Path(style) == site.resolve() / "deforum_helpers" / "style.css"
    assert len(rest) == len(files("javascript")) + len(presets())
