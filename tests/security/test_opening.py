"""Whatever a user may name is opened by one module, which a pipe or a device does not hold up."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("deforum_helpers", "deforum_api")
READING = {"read_bytes", "read_text", "imread", "fromfile", "memmap"}
# Modules that open files no user names, and which those are.
OWN_FILES = {
    "deforum_helpers/core/files/regular.py": "the one module",
    "deforum_helpers/camera/shake.py": "shakes of the project",
    "deforum_helpers/engines/demo/depth_net.py": "the built-in model",
    "deforum_helpers/engines/demo/engine.py": "the built-in model",
    "deforum_helpers/engines/diffusion/vaes.py": "a folder of its own",
    "deforum_helpers/core/net/cache.py": "a folder of its own",
    "deforum_helpers/core/net/fetch.py": "a folder of its own",
    "deforum_helpers/core/files/locks.py": "locks, which are written",
    "deforum_helpers/core/files/no_links.py": "the other one, for the output folder",
    "deforum_helpers/core/files/atomic.py": "files being written",
    "deforum_helpers/output/video.py": "a folder of its own",
    "deforum_helpers/ui": "files of the project, and of the output folder by a function of its own",
    "deforum_api/hosts/bug_report.py": "the log",
    "deforum_api/queue/checks/check_process.py": "what the kernel says of this process",
    "deforum_api/cli.py": "the null device",
    "deforum_api/client": "files that a client writes",
    "deforum_api/queue/descriptors.py": "the null device",
    "deforum_api/http/docs_pages.py": "a file of the project",
    "deforum_api/queue/logs.py": "the log",
    "deforum_api/http/outputs.py": "files of the output folder by a function of its own",
    "deforum_api/queue/owners.py": "what the kernel says of processes",
    "deforum_api/hosts/standalone.py": "a file of the project",
    "deforum_api/tab/service.py": "options of the tab",
    "deforum_api/mcp/tools.py": "bytes in memory",
    "deforum_api/hosts/own_host.py": "the key of webhooks, named by a flag",
    "deforum_api/queue/ray/driver.py": "the token of a worker",
    "deforum_api/queue/ray/files.py": "files that a worker has written",
    "deforum_helpers/core/files/mounts.py": "what the kernel says of disks",
    "deforum_helpers/engines/memory.py": "what the kernel says of memory",
    "deforum_helpers/pipeline/sound.py": "the cache of analyzed sounds",
}


def openings(tree: ast.AST) -> Iterator[str]:
    """Yield the calls that open something for reading, by the code that they are."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called, arguments = ast.unparse(call.func), [ast.unparse(one) for one in call.args]
        name = called.rpartition(".")[2]
        modes = [one for one in arguments if one.strip("'\"") and set(one.strip("'\"")) <= set("rwxab+t")]
        writes = any(set(mode) & set("wxa") for mode in modes)
        from_memory = bool(arguments) and arguments[0].startswith(("io.BytesIO", "BytesIO"))
        if (name in READING or name == "open") and not writes and not from_memory and called != "quotes.open":
            yield f"{called}({', '.join(arguments)})"
        if called in ("np.load", "torch.load") and not from_memory:
            yield f"{called}({', '.join(arguments)})"


def test_no_module_opens_what_users_name_by_itself() -> None:
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        if not any(place == own or place.startswith(f"{own}/") for own in OWN_FILES):
            calls = list(openings(ast.parse(path.read_text(encoding="utf-8"))))
            if calls:
                found[place] = calls
    assert set(found) == {
        "deforum_helpers/models/flow/estimators.py",  # after a look by is_regular
        "deforum_helpers/media/containers.py",  # libav reads from a file that open_regular has opened
    }
    assert found["deforum_helpers/models/flow/estimators.py"] == ["torch.load(path)"]
    assert all("source" in call.lower() for call in found["deforum_helpers/media/containers.py"])


@pytest.mark.parametrize(
    "code",
    [
        "open(path)",
        "path.open()",
        "path.open('rb')",
        "path.read_text()",
        "cv2.imread(str(path))",
        "Image.open(path)",
    ],
)
def test_what_is_looked_for_is_found(code: str) -> None:
    assert list(openings(ast.parse(code)))


@pytest.mark.parametrize("code", ["path.open('xb')", "Image.open(io.BytesIO(content))", "open(path, 'w')"])
def test_what_is_harmless_is_not(code: str) -> None:
    assert not list(openings(ast.parse(code)))
