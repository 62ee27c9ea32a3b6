"""Start Deforum on a bare machine: `python webui.py --deforum-run-now config/quickstart.txt`.

The first start creates the folder `venv` beside this file and installs the packages of requirements-standalone.txt,
2 GB (6 GB on Linux, where PyTorch includes CUDA); later starts install only changes. Then the server starts with the
same flags.
`python webui.py --tests` also installs the test requirements and runs the tests; further arguments go to pytest.

With DEFORUM_NO_VENV=1 in the environment, nothing is installed and the Python that runs this file is used.
"""

# Old Pythons must parse this file to report that they are too old, hence no future annotations.
import contextlib
import errno
import glob
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, "venv")
STAMP = os.path.join(VENV, "deforum-installed.json")
PACKAGES = "requirements-standalone.txt"
TEST_PACKAGES = "requirements-tests.txt"
OLDEST, NEWEST = (3, 10), (3, 13)
# Measured, including pip's temporary copies; PyTorch for Linux includes 4 GB of CUDA.
NEEDED_GB = 8 if sys.platform.startswith("linux") else 4
NEEDED_FOR_CHANGES_GB = 1
LIFE_EVERY_S = 10.0
NO_VENV = "DEFORUM_NO_VENV"


class StartFailed(Exception):
    """Deforum cannot be started; the message says why and what to do."""


def main(arguments: "list[str]") -> int:
    """Install missing packages and start Deforum; return the exit code unless the process is replaced."""
    if arguments in (["-h"], ["--help"]) and not os.path.exists(STAMP) and not os.environ.get(NO_VENV):
        print(__doc__, "\nOnce the packages are installed, --help lists all flags.", sep="")
        return 0
    testing = "--tests" in arguments
    wanted = [PACKAGES, TEST_PACKAGES] if testing else [PACKAGES]
    try:
        check_python(sys.version_info[:2])
        python = sys.executable if os.environ.get(NO_VENV) else prepared_python(wanted)
    except StartFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; the next start continues the installation.", file=sys.stderr)
        return 130
    if testing:
        os.chdir(ROOT)
        return run([python, "-m", "pytest"] + [argument for argument in arguments if argument != "--tests"])
    return run([python, "-m", "deforum_api.hosts.standalone", *arguments])


def check_python(version: "tuple[int, int]") -> None:
    """Raise `StartFailed` if Deforum does not support this version of Python."""
    if not OLDEST <= version <= NEWEST:
        raise StartFailed(
            "Deforum needs Python {}.{} to {}.{}, but this is Python {}.{}; install one of them from "
            "https://www.python.org/downloads/ and start webui.py with it.".format(*OLDEST, *NEWEST, *version)
        )


def prepared_python(wanted: "list[str]") -> str:
    """Install the packages of the requirements files `wanted` into the virtual environment; return its Python."""
    python = os.path.join(VENV, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
    states = {name: fingerprint(os.path.join(ROOT, name)) for name in wanted}
    if states.items() <= installed_in(python).items():
        return python
    with alone() as held:
        installed = installed_in(python)
        if states.items() <= installed.items():  # installed by another start meanwhile
            return python
        check_room(NEEDED_FOR_CHANGES_GB if installed else NEEDED_GB)
        if not is_usable(python):
            make_environment(held)
        files = " and ".join(wanted)
        minutes = "less than 5 minutes" if installed else "2 to 15 minutes, later starts a few seconds"
        print(f"Installing the packages of {files}; this usually takes {minutes}.", flush=True)
        install(python, wanted, held)
        with open(STAMP, "w", encoding="utf-8") as stamp:
            json.dump({**installed, **states}, stamp)
    print("All packages are installed.", flush=True)
    return python


@contextlib.contextmanager
def alone() -> "Iterator[list[int]]":
    """Hold a lock that admits one start at a time; child processes that inherit the descriptors hold it too.

    A start therefore waits for a pip that a killed start left behind, because two of them would damage the environment.
    """
    descriptor = os.open(os.path.abspath(__file__), os.O_RDONLY)
    try:
        waiting = False
        while is_held_elsewhere(descriptor):
            if not waiting:
                print("Another start is installing packages here; waiting for it ...", flush=True)
                waiting = True
            time.sleep(0.2)
        yield [descriptor] if os.name != "nt" else []
    finally:
        os.close(descriptor)


def is_held_elsewhere(descriptor: int) -> bool:
    """Lock a file; return whether another process has locked it. On file systems without locks, return False."""
    try:
        if sys.platform == "win32":
            import msvcrt

            # Other processes cannot read a locked byte, so it lies far behind the text.
            os.lseek(descriptor, 1 << 30, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    return False


def installed_in(python: str) -> "dict[str, str]":
    """Return the fingerprint of each installed requirements file, none for an unusable environment."""
    return read_stamp() if is_usable(python) else {}


def is_usable(python: str) -> bool:
    """Return whether the environment's Python exists, runs, and has this version."""
    if not os.path.exists(python):
        return False
    command = [
        python,
        "-c",
        "import sys, pip; sys.exit(sys.version_info[:2] != ({}, {}))".format(*sys.version_info),
    ]
    return subprocess.call(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def read_stamp() -> "dict[str, str]":
    """Return the fingerprint of each requirements file that was installed completely."""
    try:
        with open(STAMP, encoding="utf-8") as stamp:
            return dict(json.load(stamp))
    except (OSError, ValueError):
        return {}


def fingerprint(path: str) -> str:
    """Return a hash of the content of `path`."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def check_room(needed_gb: int) -> None:
    """Raise `StartFailed` if the folder is not writable or the disk is too full."""
    if not os.access(ROOT, os.W_OK):
        raise StartFailed(
            f"The folder {ROOT} cannot be written, but the packages must be installed there; "
            "move it to a folder that you can write and start again."
        )
    free_gb = shutil.disk_usage(ROOT).free / 1e9
    if free_gb < needed_gb:
        raise StartFailed(
            f"Installing the packages needs {needed_gb} GB of free disk space, but {ROOT} has {free_gb:.1f} GB; "
            "free some space and start again."
        )


def make_environment(held: "list[int]") -> None:
    """Create the virtual environment, replacing an existing one."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise StartFailed(
            "This Python has no venv module; install it (on Debian and Ubuntu: "
            "sudo apt install python{}.{}-venv) and start again.".format(*sys.version_info)
        )
    print(f"Creating a virtual environment in {VENV} ...", flush=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", VENV],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=held,
        check=False,
    )
    if made.returncode:
        output = made.stdout.decode("utf-8", "replace").strip().splitlines()
        raise StartFailed(
            "The virtual environment {} could not be created ({}); delete that folder and start again.".format(
                VENV, output[-1] if output else "no reason was given"
            )
        )


def install(python: str, wanted: "list[str]", held: "list[int]") -> None:
    """Install the packages of the files `wanted`; show pip's progress, and a message while it shows none."""
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    for name in wanted:
        command += ["-r", os.path.join(ROOT, name)]
    pip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=held)
    complaints = []

    def listen(lines: "IO[bytes]") -> None:
        with lines:
            for line in lines:
                complaints.append(line.decode("utf-8", "replace"))
                sys.stderr.write(complaints[-1])

    listener = threading.Thread(target=listen, args=[pip.stderr])
    listener.start()
    try:
        status = ended(pip)
    finally:
        pip.kill()
        listener.join()
    if status:
        raise StartFailed(why_pip_failed("".join(complaints)))


def ended(pip: "subprocess.Popen[bytes]") -> int:
    """Wait for pip and return its exit code; print its progress every `LIFE_EVERY_S` seconds.

    On a terminal pip shows bars while it downloads, but nothing while it unpacks.
    """
    began, before = time.monotonic(), unpacked()
    while pip.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            pip.wait(LIFE_EVERY_S)
            break
        count, live = unpacked() - before, sys.stdout.isatty()
        if count > 0 or not live:
            doing = f"unpacking, {count} packages are done" if count > 0 else "downloading"
            text = f"  still {doing}, {time.monotonic() - began:.0f} s so far"
            print("\r" + text.ljust(79) if live else text, flush=True)
    return pip.returncode


def unpacked() -> int:
    """Return the number of packages in the environment."""
    packages = ("Lib",) if os.name == "nt" else ("lib", "*")
    return len(glob.glob(os.path.join(glob.escape(VENV), *packages, "site-packages", "*.dist-info")))


def why_pip_failed(complaints: str) -> str:
    """Return the cause of pip's failure, found in its standard error."""
    if "No space left" in complaints or "Errno 28" in complaints:
        return "The disk became full while the packages were installed; free some space and start again."
    unreachable = (
        "NewConnectionError",
        "ConnectTimeout",
        "ConnectionError",
        "name resolution",
        "ProxyError",
        "SSLError",
        "from versions: none",
    )
    if any(sign in complaints for sign in unreachable):
        return (
            "The packages could not be downloaded; check the internet connection and the proxy, "
            "then start again."
        )
    return "pip could not install the packages; see its last lines above. A new start tries again."


def run(command: "list[str]") -> int:
    """Replace this process by `command`; on Windows, run it and return its exit code."""
    environment = dict(os.environ)
    paths = [ROOT, environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    print("Starting Deforum ...", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "nt":
        os.execve(command[0], command, environment)
    child = subprocess.Popen(command, env=environment)
    while child.poll() is None:
        # The console also sends Ctrl-C to the child, which shuts down.
        with contextlib.suppress(KeyboardInterrupt):
            child.wait()
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
