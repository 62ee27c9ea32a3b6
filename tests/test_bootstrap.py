"""The start on a bare machine, the flags, and the installer of WebUI hosts."""

from __future__ import annotations

import argparse
import ast
import base64
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
STANDALONE = """
import sys
import toy
print("started with", *sys.argv[1:], "in", sys.prefix, "toy", toy.VERSION)
sys.exit(7)
"""


def load(file: Path) -> ModuleType:
    """A fresh module of one start file."""
    spec = importlib.util.spec_from_file_location(f"{file.stem}_under_test", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel(folder: Path, version: str) -> Path:
    """A package `toy` of one file, as a wheel that installs without network."""
    info = f"toy-{version}.dist-info"
    files = {
        "toy.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: toy\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items())
    path = folder / f"toy-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def webui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """webui.py in a folder of its own; wherever it goes, the tests after it are where they were."""
    monkeypatch.chdir(Path.cwd())
    shutil.copy(ROOT / "webui.py", tmp_path)
    for name in ("requirements-standalone.txt", "requirements-tests.txt"):
        (tmp_path / name).write_text("# nothing\n")
    return load(tmp_path / "webui.py")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose server only says how it was started, beside the real webui.py and install.py."""
    root = tmp_path_factory.mktemp("Deforum folder")
    for name in ("webui.py", "install.py"):
        shutil.copy(ROOT / name, root)
    hosts = root / "deforum_api" / "hosts"
    hosts.mkdir(parents=True)
    for package in (hosts.parent, hosts):
        (package / "__init__.py").touch()
    (hosts / "standalone.py").write_text(STANDALONE)
    (root / "requirements-standalone.txt").write_text(f"{wheel(root, '1.0').as_uri()}\n")
    return root


def start(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, root / "webui.py", *arguments],
        capture_output=True,
        text=True,
        cwd=root.parent,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        check=False,
    )


def test_a_bare_machine_becomes_a_running_server(checkout: Path) -> None:
    venv = checkout / "venv"
    first = start(checkout, "--port", "0", "--deforum-run-now", "a b.txt")
    assert first.returncode == 7, first.stderr
    assert "Creating a virtual environment" in first.stdout
    assert "Installing the packages of requirements-standalone.txt" in first.stdout
    assert "usually takes" in first.stdout
    assert "Starting Deforum" in first.stderr
    assert first.stdout.endswith(f"started with --port 0 --deforum-run-now a b.txt in {venv} toy 1.0\n")

    second = start(checkout, "--listen")
    assert second.stdout == f"started with --listen in {venv} toy 1.0\n"
    assert second.returncode == 7

    (checkout / "requirements-standalone.txt").write_text(f"{wheel(checkout, '2.0').as_uri()}\n")
    third = start(checkout)
    assert "Creating" not in third.stdout
    assert third.stdout.endswith(f"started with in {venv} toy 2.0\n")

    packages = next(venv.rglob("site-packages"))
    without = start(checkout, PYTHONPATH=str(packages), DEFORUM_NO_VENV="1")
    assert without.stdout == f"started with in {sys.prefix} toy 2.0\n"

    (checkout / "requirements.txt").write_text("toy>=9  # older, but the host's own\n")
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    again = subprocess.run([python, checkout / "install.py"], capture_output=True, text=True, check=True)
    assert again.stdout == ""


def refusing(webui: ModuleType, capsys: pytest.CaptureFixture[str]) -> str:
    """What the start says when it ends at once: one sentence on standard error, and exit code 1."""
    assert webui.main([]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("version", [(2, 7), (3, 9), (3, 14), (4, 0)])
def test_another_python_is_refused(
    webui: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    version: tuple[int, int],
) -> None:
    monkeypatch.setattr(webui.sys, "version_info", version)
    assert f"Python 3.10 to 3.13, but this is Python {version[0]}.{version[1]}" in refusing(webui, capsys)


def test_a_full_disk_is_told_before_anything_is_made(
    webui: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1.25e9))
    assert f"needs {webui.NEEDED_GB} GB of free disk space" in refusing(webui, capsys)
    assert not Path(webui.VENV).exists()


def test_a_change_of_packages_needs_less_room_than_all_of_them(
    webui: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webui, "is_usable", lambda python: True)
    monkeypatch.setattr(webui, "read_stamp", lambda: {"requirements-standalone.txt": "an older state"})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0.5e9))
    assert f"needs {webui.NEEDED_FOR_CHANGES_GB} GB of free disk space" in refusing(webui, capsys)


def test_a_read_only_folder_is_told(
    webui: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be written" in refusing(webui, capsys)


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told_how_to_get_it(
    webui: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    assert f"python3.{sys.version_info[1]}-venv" in refusing(webui, capsys)


def test_an_environment_that_cannot_be_made_is_told(
    webui: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = subprocess.CompletedProcess([], 1, b"first\nError: no room\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    assert webui.main([]) == 1
    assert "could not be created (Error: no room)" in capsys.readouterr().err


def false_python(path: Path, script: str) -> Path:
    """A program that does what `script` says, whatever it is called with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("complaint", "sentence"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk became full"),
        ("WARNING: Retrying NewConnectionError(Temporary failure in name resolution", "could not be downloaded"),
        ("ERROR: Could not find a version that satisfies torch (from versions: none)", "could not be downloaded"),
        ("ERROR: ResolutionImpossible", "see its last lines above"),
    ],
)  # fmt: skip
def test_a_failing_pip_is_told_in_one_sentence(
    webui: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    complaint: str,
    sentence: str,
) -> None:
    python = false_python(Path(webui.ROOT, "false-python"), f"sys.exit({complaint!r})")
    with pytest.raises(webui.StartFailed, match=sentence):
        webui.install(str(python), ["requirements-standalone.txt"], [])
    assert complaint in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="the false Python is a script")
def test_a_silent_pip_is_said_to_be_at_work(
    webui: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webui, "LIFE_EVERY_S", 0.05)
    packages = Path(webui.VENV, "lib", "python3.11", "site-packages")
    unpack = f"time.sleep(0.5); os.makedirs({str(packages / 'toy-1.0.dist-info')!r}); time.sleep(0.5)"
    python = false_python(Path(webui.ROOT, "false-python"), unpack)
    webui.install(str(python), ["requirements-standalone.txt"], [])
    told = capsys.readouterr().out
    assert told.index("still downloading") < told.index("still unpacking, 1 packages are done")


def test_an_interrupted_installation_is_not_taken_for_done(
    webui: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []

    def install(python: str, wanted: list[str], held: list[int]) -> None:
        calls.append(wanted)
        os.makedirs(webui.VENV, exist_ok=True)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(webui, "install", install)
    monkeypatch.setattr(webui, "is_usable", lambda _: True)
    monkeypatch.setattr(webui, "run", lambda command: 0)
    assert webui.main([]) == 130
    assert webui.main([]) == 0
    assert webui.main([]) == 0
    assert len(calls) == 2
    assert webui.main(["--tests"]) == 0
    assert calls[2:] == [["requirements-standalone.txt", "requirements-tests.txt"]]
    assert webui.main([]) == 0
    assert len(calls) == 3


SLOW_PIP = """
def say(what):
    with open("said", "a") as said:
        said.write(what + " ")

if "pip" in sys.argv:
    say("begins")
    while not os.path.exists("go"):
        time.sleep(0.01)
    say("ends")
elif "-m" in sys.argv:
    say("served")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows ends pip with the console")
def test_a_start_waits_for_the_pip_that_a_killed_one_has_left(webui: ModuleType) -> None:
    root = Path(webui.ROOT)
    false_python(root / "venv" / "bin" / "python", SLOW_PIP)
    starting = [sys.executable, "-u", str(root / "webui.py")]
    with subprocess.Popen(starting, cwd=root, stdout=subprocess.DEVNULL) as first:
        while first.poll() is None and not (root / "said").exists():
            time.sleep(0.01)
        first.kill()
    with subprocess.Popen(starting, cwd=root, text=True, stdout=subprocess.PIPE) as second:
        assert second.stdout
        told = second.stdout.readline()
        (root / "go").touch()
        rest = second.stdout.read()
    assert told == "Another start is installing packages here; waiting for it ...\n"
    assert rest.startswith("Installing the packages of ")
    assert (second.returncode, (root / "said").read_text()) == (0, "begins ends begins ends served ")


def test_what_another_start_has_installed_is_not_installed_again(
    webui: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {webui.PACKAGES: webui.fingerprint(os.path.join(webui.ROOT, webui.PACKAGES))}
    found = iter([{}, states])
    monkeypatch.setattr(webui, "installed_in", lambda _: next(found))
    assert webui.prepared_python([webui.PACKAGES])
    assert not Path(webui.VENV).exists()


def test_tests_are_run_in_the_checkout(webui: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setenv("DEFORUM_NO_VENV", "1")
    monkeypatch.setattr(os, "execve", lambda _, command, __: started.append(command) or sys.exit(3))
    monkeypatch.setattr(os, "chdir", lambda folder: started.append([folder]))
    with pytest.raises(SystemExit) as ended:
        webui.main(["--tests", "-k", "names"])
    assert ended.value.code == 3
    assert started == [[webui.ROOT], [sys.executable, "-m", "pytest", "-k", "names"]]


def test_help_needs_no_installation(webui: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert webui.main(["--help"]) == 0
    assert "--deforum-run-now" in capsys.readouterr().out
    assert not Path(webui.VENV).exists()


def test_an_old_python_can_read_the_start_file() -> None:
    ast.parse((ROOT / "webui.py").read_text(encoding="utf-8"), feature_version=(3, 6))


def test_torch_is_pinned_and_every_package_is_bounded() -> None:
    lines = (ROOT / "requirements-standalone.txt").read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith("#")]
    assert "torch==2.13.0" in packages
    assert all("=" in line for line in packages)


def flags(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    load(ROOT / "preload.py").preload(parser)
    return parser.parse_args(arguments)


def test_no_flag_is_none_by_default() -> None:
    assert vars(flags()) == {
        "deforum_api": False,
        "deforum_simple_api": False,
        "deforum_run_now": "",
        "deforum_terminate_after_run_now": False,
        "deforum_database": "",
        "deforum_webhook_allow": "",
        "deforum_webhook_key_file": "",
        "deforum_upload_to": "",
        "deforum_hang_after": 600.0,
        "deforum_lockstep": 1,
    }


def test_flags() -> None:
    assert flags("--deforum-api", "--deforum-run-now", "a.txt,b.txt").deforum_run_now == "a.txt,b.txt"
    assert flags("--deforum-simple-api", "--deforum-terminate-after-run-now").deforum_simple_api is True


@pytest.fixture
def installer(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str, int], tuple[int, list[str], list[str]]]:
    """Runs install.py on a text of requirements with a pip that ends with a status; gives exit code, command, held."""
    module = load(ROOT / "install.py")

    def run(requirements: str, status: int) -> tuple[int, list[str], list[str]]:
        command: list[str] = []
        held: list[str] = []

        def call(arguments: list[str]) -> int:
            command.extend(arguments)
            held.extend(Path(arguments[arguments.index("--constraint") + 1]).read_text().split())
            return status

        monkeypatch.setattr(subprocess, "call", call)
        monkeypatch.setattr(module, "REQUIREMENTS", SimpleNamespace(read_text=lambda **_: requirements))
        return module.main(), command, held

    return run


def test_what_a_host_has_stays(installer: Callable[..., tuple[int, list[str], list[str]]], capsys) -> None:
    assert installer("# none\nnumpy>=99\nPillow\n\n", 0) == (0, [], [])
    assert capsys.readouterr().out == ""


def test_what_a_host_lacks_is_installed_and_nothing_else_moves(installer, capsys, monkeypatch) -> None:
    monkeypatch.delenv("INDEX_URL", raising=False)
    code, command, held = installer("numpy\nno-such-package>=1  # why\n", 0)
    assert code == 0
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert command[-1] == "no-such-package>=1"
    import numpy

    assert f"numpy=={numpy.__version__}" in held
    assert "Deforum: installed no-such-package>=1." in capsys.readouterr().out


def test_the_host_s_index_is_used(installer, monkeypatch) -> None:
    monkeypatch.setenv("INDEX_URL", "https://mirror.example/simple")
    _, command, _ = installer("no-such-package", 0)
    assert command[-3:] == ["--index-url", "https://mirror.example/simple", "no-such-package"]


def test_a_failed_installation_says_how_to_do_it_by_hand(installer, capsys) -> None:
    assert installer("no-such-package", 1)[0] == 1
    assert "-m pip install no-such-package" in capsys.readouterr().out
