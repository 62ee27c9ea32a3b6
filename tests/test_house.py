"""The shape of the house: who may import whom, how long a function may be, style and types."""

from __future__ import annotations

import ast
import hashlib
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
    ("deforum_helpers.__main__", "deforum_api.__main__"),  # nothing imports them: both start the program
    ("deforum_api.cli",),
    ("deforum_api.standalone", "deforum_api.in_webui"),
    ("deforum_api",),
    ("deforum_helpers.commands", "deforum_helpers.settings.__main__"),
    ("deforum_helpers.ui", "deforum_helpers.webui"),
    (
        "deforum_helpers.job",
        "deforum_helpers.resuming",
        "deforum_helpers.sources",
        "deforum_helpers.human_masks",
        "deforum_helpers.tools",
        "deforum_helpers.control_pictures",
    ),
    (
        "deforum_helpers.prepare",
        "deforum_helpers.plot",
        "deforum_helpers.host",
        "deforum_helpers.own_host",
        "deforum_helpers.manifests",
        "deforum_helpers.overruled",
        "deforum_helpers.abilities",
        "deforum_helpers.control_checks",
        "deforum_helpers.kept_settings",
        "deforum_helpers.aside",
    ),
    ("deforum_helpers.output.film",),
    ("deforum_helpers.output.run_subtitles",),
    ("deforum_helpers.render",),
    ("deforum_helpers.media",),
    ("deforum_helpers.output",),
    ("deforum_helpers.options",),
    (
        "deforum_helpers.engines",
        "deforum_helpers.engines.demo.declaration",
        "deforum_helpers.engines.demo.engine",
    ),
    ("deforum_helpers.controlnet",),
    ("deforum_helpers.interpolation", "deforum_helpers.upscaling"),
    (
        "deforum_helpers.depth",
        "deforum_helpers.flow",
        "deforum_helpers.segmentation",
        "deforum_helpers.weights",
    ),
    ("deforum_helpers.models",),
    ("deforum_helpers.engines.demo",),  # the built-in model's own files: weights and the depth net
    ("deforum_helpers.settings",),
    ("deforum_helpers.schedule",),
    ("deforum_helpers.image",),
    ("deforum_helpers.camera",),
    ("deforum_helpers.fetch",),
    ("deforum_helpers.fetch_cache",),
    ("deforum_helpers.scratch",),
    ("deforum_helpers.nolinks",),
    (
        "deforum_helpers.locks",
        "deforum_helpers.errors",
        "deforum_helpers.progress",
        "deforum_helpers.progress_line",
        "deforum_helpers.cancel",
        "deforum_helpers.registry",
        "deforum_helpers.optional",
        "deforum_helpers.regular_files",
    ),
    (
        "deforum_helpers.bundled",
        "deforum_helpers.bounded_json",
        "deforum_helpers.deadlines",
        "deforum_helpers.addresses",
    ),
    ("deforum_helpers.core",),
    ("preload", "install"),
)

# Foreign package -> the modules (with all inside them) that may import it.
FOREIGN: dict[str, tuple[str, ...]] = {
    "modules": ("deforum_helpers.webui", "scripts"),
    "gradio": ("deforum_helpers.ui", "deforum_helpers.webui", "deforum_api.standalone"),
    "fastapi": ("deforum_api",),
    "starlette": ("deforum_api",),
    "uvicorn": ("deforum_api.standalone", "deforum_api.connections", "deforum_api.mcp"),
    "mcp": ("deforum_api.mcp",),
    "av": ("deforum_helpers.output.containers", "deforum_helpers.media"),
    "diffusers": ("deforum_helpers.engines", "deforum_helpers.depth"),
    "transformers": tuple(
        f"deforum_helpers.{name}" for name in ("engines", "depth", "segmentation", "controlnet")
    ),
    "torch": tuple(
        f"deforum_helpers.{name}"
        for name in (
            "engines",
            "controlnet",
            "control_pictures",
            "depth",
            "flow",
            "interpolation",
            "upscaling",
            "weights",
            "segmentation",
            "image",
            "render",
            "output.film",
            "job",
            "resuming",
            "sources",
            "human_masks",
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
    "deforum_helpers.output.names",
    "deforum_helpers.output.subtitles",
    "deforum_helpers.depth.names",
    "deforum_helpers.engines.names",
    "deforum_helpers.engines.registry",
    "deforum_helpers.render.plan",
    "deforum_helpers.prepare",
    "deforum_api.cli",
    "deforum_helpers.tools.prepare",
    "deforum_api.app",
    "deforum_api.in_webui",
    "deforum_api.standalone",
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
AGPL_3_MD5 = "eb1e647870add0502f8f010b19de32af"


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
        for node in ast.walk(source.tree):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
                continue
            if (message := own.get(node.value.id, {}).get(node.attr)) is not None:
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
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return own.get(function.value.id, {}).get(function.attr)
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


def test_the_licence_is_the_agpl() -> None:
    assert hashlib.md5((ROOT / "LICENSE").read_bytes()).hexdigest() == AGPL_3_MD5


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
