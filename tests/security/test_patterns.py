"""No pattern of ours takes more than linear time on any text."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.security.backtracking import slow_places

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = {"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}
# Patterns that are made while the program runs, by their code: what they look like.
MADE = {
    "re.escape(path.name[:place.start()]) + digits + re.escape(path.name[place.end():])": r"a1b(\d+)2\.png",
}
# Patterns that meet no more than a few characters, and why.
SHORT = {"deforum_helpers/schedule/grammar.py: _TRAILING_NAME.search": "the last 64 characters of a value"}


def imported(path: Path) -> Any:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return importlib.import_module(name)


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for package in ("deforum_helpers", "deforum_api"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if any(
                isinstance(node, ast.Import) and "re" in {one.name for one in node.names}
                for node in tree.body
            ):
                yield path, tree


def uses(tree: ast.Module, name: str) -> set[str]:
    """Return the functions by which a compiled pattern is used in a module; in another one as a search, to be safe."""
    found = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).partition("[")[0] == name
    } & FUNCTIONS
    return found or {"search"}


def patterns() -> Iterator[tuple[str, re.Pattern[Any], str]]:
    """Yield every pattern of the packages, where it stands, and by which function of `re` it is used."""
    for path, tree in modules():
        place, values = path.relative_to(ROOT).as_posix(), vars(imported(path))
        for name, value in values.items():
            many = [*value, *value.values()] if isinstance(value, dict) else [value]
            for pattern in (one for one in many if isinstance(one, re.Pattern)):
                for use in uses(tree, name):
                    yield f"{place}: {name}.{use}", pattern, use
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            function = ast.unparse(call.func).removeprefix("re.")
            if not ast.unparse(call.func).startswith("re.") or function not in FUNCTIONS - {"compile"}:
                continue
            code = ast.unparse(call.args[0])
            text = MADE.get(code) or eval(code, dict(values))
            flags = re.MULTILINE if "re.MULTILINE" in ast.unparse(call) else 0
            yield f"{place}: {code}", re.compile(text, flags), function


def test_no_pattern_backtracks() -> None:
    every = list(patterns())
    assert len(every) > 50
    found = {place: slow for place, pattern, use in every if (slow := slow_places(pattern, use))}
    assert set(found) == set(SHORT), found


@pytest.mark.parametrize(
    ("pattern", "use"),
    [
        (r"(a+)+b", "match"),
        (r"(ab|a|b)*c", "match"),
        (r"\d+\.?\d*!", "match"),
        (r"[0-9]+\.?[0-9]*", "fullmatch"),
        (r"\s*\(?\s*x", "fullmatch"),
        (r"\s+$", "search"),
        (r"\s*,", "split"),
        (r"a\s*b", "search"),
        (r"(.*?)(?:\s*:\s*1)?\s*", "fullmatch"),
        (r"(_a|_b)+$", "sub"),
        (r"'(?:\\.|[^'])*'", "search"),
        (r"x(?=\s*\s*y)", "match"),
        (r"a{2,}a*b", "match"),
        (r'(File ")[^"]*?([^"/]+/[^"/]+")', "match"),
    ],
)
def test_patterns_that_backtrack_are_found(pattern: str, use: str) -> None:
    if (pattern, use) == (r"a\s*b", "search"):
        assert slow_places(re.compile(pattern), use) == [], "each place to begin at has blanks of its own"
        return
    assert slow_places(re.compile(pattern, re.DOTALL), use)


@pytest.mark.parametrize(
    ("pattern", "use"),
    [
        (r"[a-z]{3,}", "findall"),
        (r"[0-9]+(?:\.[0-9]+)?", "fullmatch"),
        (r'"[^"\\]*(?:\\.[^"\\]*)*"', "match"),
        (r"<(?:lora|lyco):([^:<>]+)>", "findall"),
        (r"\s*x\s*:\s*y", "match"),
        (r"(ab)*(cd)*", "fullmatch"),
    ],
)
def test_patterns_that_do_not_are_left_alone(pattern: str, use: str) -> None:
    assert slow_places(re.compile(pattern), use) == []
