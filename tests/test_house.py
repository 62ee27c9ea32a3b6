"""The shape of the house: imports between packages, messages and their codes, style and types."""

from __future__ import annotations

import ast
import re
import string
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from deforum_helpers.core.messages import Message

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("deforum_helpers", "deforum_api")
START_FILES = ("webui.py", "install.py", "preload.py")

# From the top down; a module imports its own line and the lines below it, nothing above.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("webui", "scripts"),
    ("deforum_api.__main__", "deforum_api.cli", "deforum_helpers.__main__"),
    ("deforum_api.hosts",),
    ("deforum_api.tab",),
    ("deforum_api.mcp",),
    ("deforum_api.client",),
    ("deforum_api.http",),
    ("deforum_api.queue",),
    ("deforum_api", "deforum_api.version"),
    ("deforum_helpers.cli", "deforum_helpers.settings.__main__"),
    ("deforum_helpers.ui",),
    ("deforum_helpers.webui",),
    ("deforum_helpers.tools",),
    ("deforum_helpers.pipeline",),
    ("deforum_helpers.output",),
    ("deforum_helpers.render",),
    (
        "deforum_helpers.engines",
        "deforum_helpers.engines.demo.declaration",
        "deforum_helpers.engines.demo.engine",
    ),
    ("deforum_helpers.controlnet",),
    ("deforum_helpers.models",),
    ("deforum_helpers.engines.demo",),  # the built-in model's own files: weights and the depth network
    ("deforum_helpers.media",),
    ("deforum_helpers.settings",),
    ("deforum_helpers.samplers",),  # arithmetic on whatever a model returns
    ("deforum_helpers.schedule",),
    ("deforum_helpers.image",),
    ("deforum_helpers.camera",),
    ("deforum_helpers.core",),
    ("preload", "install"),
)

# Foreign package -> the modules (with all inside them) that may import it.
FOREIGN: dict[str, tuple[str, ...]] = {
    "modules": ("deforum_helpers.webui", "scripts"),
    "gradio": ("deforum_helpers.ui", "deforum_helpers.webui", "deforum_api.hosts.standalone"),
    "fastapi": ("deforum_api",),
    "starlette": ("deforum_api",),
    "uvicorn": ("deforum_api.hosts", "deforum_api.mcp"),
    "mcp": ("deforum_api.mcp",),
    "ray": (
        "deforum_api.queue.ray.actor",
        "deforum_api.queue.ray.driver",
        "deforum_api.queue.ray.segments",
    ),
    "diffusers": ("deforum_helpers.engines", "deforum_helpers.models"),
    "transformers": ("deforum_helpers.engines", "deforum_helpers.models", "deforum_helpers.controlnet"),
    "torch": tuple(
        f"deforum_helpers.{name}"
        for name in (
            "engines",
            "controlnet",
            "models",
            "image",
            "render",
            "output.writer",
            "pipeline",
            "webui",
        )
    ),
}

# Imported in a fresh interpreter: these leave torch out.
WITHOUT_TORCH = (
    "deforum_helpers.settings",
    "deforum_helpers.schedule",
    "deforum_helpers.camera",
    "deforum_helpers.output.kinds",
    "deforum_helpers.output.paths",
    "deforum_helpers.output.subtitles",
    "deforum_helpers.models.depth",
    "deforum_helpers.engines.names",
    "deforum_helpers.engines.registry",
    "deforum_helpers.render.plan",
    "deforum_helpers.pipeline.prepare",
    "deforum_api.cli",
    "deforum_helpers.tools.prepare",
    "deforum_api.http.app",
    "deforum_api.hosts.in_webui",
    "deforum_api.hosts.standalone",
    "deforum_api.client",
    "deforum_api.mcp.server",
)
HEAVY = {"torch", "diffusers", "transformers"}

VAGUE = {
    "utils",
    "util",
    "helpers",
    "helper",
    "manager",
    "handler",
    "handlers",
    "process",
    "data",
    "common",
    "misc",
}


@dataclass(frozen=True)
class Source:
    """One Python file of the project: its path from the root, its dotted name, its text and its tree."""

    path: str
    module: str
    text: str
    tree: ast.Module


@cache
def sources() -> tuple[Source, ...]:
    files = [ROOT / name for name in START_FILES]
    for folder in (*PACKAGES, "scripts"):
        files += sorted((ROOT / folder).rglob("*.py"))
    return tuple(_source(file) for file in files)


def _source(file: Path) -> Source:
    parts = file.relative_to(ROOT).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = file.read_text(encoding="utf-8")
    return Source(file.relative_to(ROOT).as_posix(), module, text, ast.parse(text))


def imports(source: Source) -> Iterator[str]:
    """Dotted names that `source` imports, inside functions too; `from a import b` gives a.b and a."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source.path}:{node.lineno}: imports are absolute"
            assert node.module is not None
            known = {other.module for other in sources()}
            yield from (
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in known else node.module
                for alias in node.names
            )


def inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def layer(module: str) -> int | None:
    """The most specific line of `LAYERS` that holds `module`."""
    found = [(len(name), row) for row, names in enumerate(LAYERS) for name in names if inside(module, name)]
    return max(found)[1] if found else None


def test_imports_go_downward() -> None:
    wrong = [
        f"{source.path} imports {name}"
        for source in sources()
        for name in set(imports(source))
        if (here := layer(source.module)) is not None and (there := layer(name)) is not None and there < here
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_no_modules_import_each_other() -> None:
    """Neither directly nor by way of others, also inside functions; imports for type checkers alone do not count."""
    known = {source.module for source in sources()}
    ahead = {
        source.module: {
            name
            for name in set(imports(source))
            if name in known and name != source.module and not _only_for_types(source, name)
        }
        for source in sources()
    }
    while free := {module for module, names in ahead.items() if not names & set(ahead)}:
        ahead = {module: names for module, names in ahead.items() if module not in free}
    assert not {module: sorted(names & set(ahead)) for module, names in ahead.items()}


def test_every_module_has_its_layer() -> None:
    without = [source.path for source in sources() if layer(source.module) is None]
    assert without in ([], ["deforum_helpers/__init__.py"])


def test_foreign_packages_are_imported_only_where_they_belong() -> None:
    wrong = [
        f"{source.path} imports {name}"
        for source in sources()
        for name in set(imports(source))
        for package, allowed in FOREIGN.items()
        if inside(name, package)
        and not any(inside(source.module, place) for place in allowed)
        and not _only_for_types(source, name)
    ]
    assert not wrong, "\n".join(sorted(wrong))


def _only_for_types(source: Source, name: str) -> bool:
    """Whether `source` imports `name` only under `if TYPE_CHECKING:`."""
    plain = ast.Module(
        [
            node
            for node in source.tree.body
            if not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING")
        ],
        [],
    )
    return name not in set(imports(Source(source.path, source.module, source.text, plain)))


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_planning_and_http_import_without_torch(module: str) -> None:
    script = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_start_files_need_only_the_standard_library() -> None:
    for source in sources():
        if source.path in START_FILES:
            assert {name.split(".")[0] for name in imports(source)} <= sys.stdlib_module_names, source.path


@cache
def declared_messages() -> dict[str, dict[str, Message]]:
    """Return the messages of each `messages` module by the names of their constants."""
    modules = [source.module for source in sources() if source.module.endswith(".messages")]
    return {
        module: {
            name: value for name, value in vars(import_module(module)).items() if isinstance(value, Message)
        }
        for module in modules
    }


def test_every_message_has_a_code_of_its_own() -> None:
    codes = Counter(
        message.code for declared in declared_messages().values() for message in declared.values()
    )
    assert not [code for code, times in codes.items() if times > 1 or not re.fullmatch("[a-z0-9_]+", code)]


def test_messages_get_the_values_that_they_name() -> None:
    """A value that is missing would end the message's sentence in a KeyError, and only when a user meets it."""
    wrong, used = [], set()
    for source in sources():
        own = {
            alias.asname or alias.name: declared_messages()[f"{node.module}.{alias.name}"]
            for node in ast.walk(source.tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
            if f"{node.module}.{alias.name}" in declared_messages()
        }
        own[""] = declared_messages().get(source.module, {})
        for node in ast.walk(source.tree):
            if isinstance(node, (ast.Attribute, ast.Name)) and (message := _message(node, own)) is not None:
                used.add(message.code)
        for call in ast.walk(source.tree):
            if isinstance(call, ast.Call) and (message := _message(call.func, own)) is not None:
                given = {keyword.arg for keyword in call.keywords}
                if None not in given and given != placeholders(message.template):
                    wrong.append(f"{source.path}:{call.lineno}: {message.code} has {sorted(map(str, given))}")
    unused = {
        message.code for declared in declared_messages().values() for message in declared.values()
    } - used
    assert not wrong, "\n".join(wrong)
    assert not unused


def _message(function: ast.expr, own: dict[str, dict[str, Message]]) -> Message | None:
    """Return the message that an expression names; a `messages` module names its own ones without the module."""
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return own.get(function.value.id, {}).get(function.attr)
    if isinstance(function, ast.Name) and isinstance(function.ctx, ast.Load):
        return own.get("", {}).get(function.id)
    return None


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_names_say_what_is_inside() -> None:
    vague = [source.path for source in sources() if VAGUE & set(source.module.split("."))]
    assert not vague


def test_every_module_begins_with_its_purpose() -> None:
    without = [
        source.path for source in sources() if source.text.strip() and not ast.get_docstring(source.tree)
    ]
    assert not without


def test_nothing_is_left_for_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")
    left = [source.path for source in sources() if any(mark in source.text for mark in marks)]
    assert not left


# What pip installs on a newer Python speaks of types in its syntax, which is an error when types are read as 3.10's.
NEWER = [f"--python-version=3.{sys.version_info.minor}"] if sys.version_info >= (3, 12) else []


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", ".", "--output-format=concise"],
        ["ruff", "format", "--check", "-q", "."],
        ["mypy", *NEWER],
    ],
    ids=["style", "format", "types"],
)
def test_tools_find_nothing(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, "\n".join((done.stdout + done.stderr).splitlines()[-40:])


def test_the_tests_of_hosts_are_collected_where_there_is_no_torch() -> None:
    collect = "import sys, pytest; sys.modules['torch'] = None; sys.exit(pytest.main(sys.argv[1:]))"
    options = ("--collect-only", "-qq", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-c", collect, *options, "tests/api", "tests/hosts", "tests/ui"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout[-3000:]
