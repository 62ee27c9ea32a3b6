"""The pages hold together: links lead somewhere, named source files exist, images are shown, tables are whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deforum_helpers.settings.pages import anchor

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("deforum_api", "deforum_helpers", "tests", "tools", "benchmarks", "javascript", "scripts")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
SOURCE = re.compile(r"`(\w[\w./-]*\.(?:py|js))`")


def text_of(page: Path) -> str:
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def headings(page: Path) -> set[str]:
    return {anchor(title) for title in re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in LINK.findall(text_of(page)):
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if ":" not in link and (not target.exists() or (heading and heading not in headings(target))):
            lost.append(link)
    assert lost == []


def test_source_files_that_the_pages_name_exist() -> None:
    files = (path for name in FOLDERS for path in (ROOT / name).rglob("*.*"))
    known = [f"/{path.relative_to(ROOT).as_posix()}" for path in files]
    known += [f"/{path.name}" for path in ROOT.glob("*.py")]
    lost = {
        (page.name, name)
        for page in PAGES
        for name in SOURCE.findall(text_of(page))
        if not any(path.endswith(f"/{name}") for path in known)
    }
    assert lost == set()


def test_every_image_is_shown() -> None:
    shown = {Path(link).name for page in PAGES for link in LINK.findall(text_of(page)) if "images/" in link}
    assert {path.name for path in (ROOT / "docs" / "images").iterdir()} == shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_rows_of_a_table_have_as_many_cells_as_its_head(page: Path) -> None:
    wrong = []
    for table in re.findall(r"(?:^\|.*\n)+", text_of(page), re.MULTILINE):
        rows = table.splitlines()
        bars = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
        wrong += [row for row, count in zip(rows, bars, strict=True) if count != bars[0]]
        assert re.fullmatch(r"[|:-]+", "".join(rows[1:2])), f"without a head: {rows[0]}"
    assert wrong == []
