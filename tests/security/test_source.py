"""What no module of ours may do: run text as code, open pickles, ask a shell, let a model bring code of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    path
    for package in ("deforum_api", "deforum_helpers", "scripts")
    for path in (ROOT / package).rglob("*.py")
)
RUNS_CODE = {"eval", "exec", "compile", "__import__"}
RUNS_CODE_OF = {
    ("os", "system"),
    ("os", "popen"),
    ("pickle", "load"),
    ("pickle", "loads"),
    ("marshal", "loads"),
    ("subprocess", "getoutput"),
    ("yaml", "load"),
}


def dangers(tree: ast.AST) -> Iterator[str]:
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        called = ast.unparse(call.func)
        if called in RUNS_CODE or tuple(called.split(".")) in RUNS_CODE_OF:
            yield called
        if options.get("shell", "False") != "False":
            yield f"{called}(shell=...)"
        if "trust_remote_code" in options:
            yield f"{called}(trust_remote_code=...)"
        if called == "torch.load" and options.get("weights_only") != "True":
            yield "torch.load without weights_only=True"
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    yield from imported & {"pickle", "marshal", "shelve", "dill"}


def test_no_module_runs_what_strangers_wrote() -> None:
    assert len(MODULES) > 100
    found = {
        str(path.relative_to(ROOT)): names
        for path in MODULES
        if (names := sorted(set(dangers(ast.parse(path.read_text(encoding="utf-8"))))))
    }
    assert found == {}


@pytest.mark.parametrize(
    "code",
    [
        "eval(text)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "import pickle",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "load(path, trust_remote_code=True)",
    ],
)
def test_what_is_looked_for_is_found(code: str) -> None:
    assert list(dangers(ast.parse(code)))


def test_the_page_on_security_names_tests_that_there_are() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if re.match(r"\| S\d", line)]
    assert len(rows) >= 26
    assert [row[0].strip() for row in rows] == [f"S{number}" for number in range(1, len(rows) + 1)]
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)`", row[-1])
        assert named, row[0]
        assert [name for name in named if not (ROOT / "tests" / name).is_file()] == []
