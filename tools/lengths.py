"""Report of long files and long functions: `python -m tools.lengths`.

Length alone is no defect, since a file is a subject and a function a step; long ones deserve a second look.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("deforum_api", "deforum_helpers", "benchmarks", "tools", "scripts")
LONG_FILE = 300
LONG_FUNCTION = 50


def long_files() -> Iterator[tuple[int, str]]:
    """Yield number of lines and path of each file longer than `LONG_FILE` lines."""
    for path in _files():
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > LONG_FILE:
            yield lines, str(path.relative_to(ROOT))


def long_functions() -> Iterator[tuple[int, str]]:
    """Yield number of lines (without docstring) and place of each function longer than `LONG_FUNCTION`."""
    for path in _files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = _code_lines(node)
                if lines > LONG_FUNCTION:
                    yield lines, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def _files() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield from sorted(ROOT.glob("*.py"))


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and ast.get_docstring(function, clean=False) is not None
    text = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - text


if __name__ == "__main__":
    for title, found in (("Files", long_files()), ("Functions", long_functions())):
        print(f"{title}:")
        for lines, place in sorted(found, reverse=True):
            print(f"{lines:6} {place}")
