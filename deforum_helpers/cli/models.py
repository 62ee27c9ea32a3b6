"""`models`: lists the models of this machine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deforum_helpers.cli import messages
from deforum_helpers.engines.model_list import (
    FileHashes,
    ListedModel,
    built_in_model,
    hash_record,
    listed_models,
    plan_words,
    searched_folders,
    this_machine,
)


def prepare(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Add the options of the command to its parser; return the function that runs it."""
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="FOLDER", help="folder to search besides the usual ones"
    )
    parser.add_argument("--ckpt", metavar="PATH", help="model whose folder and neighbours are searched too")
    parser.add_argument(
        "--hash", action="store_true", help="show the hash of each file, which is read once for it"
    )
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    return run


def run(options: argparse.Namespace) -> int:
    """List the models; return 0, or 2 if a folder does not exist."""
    missing = [folder for folder in options.folders if not folder.expanduser().is_dir()]
    if missing:
        print(messages.FOLDER_MISSING(folder=missing[0]), file=sys.stderr)
        return 2
    folders = searched_folders(options.ckpt, options.folders)
    hashes = FileHashes(hash_record()).short if options.hash else None
    machine = this_machine()
    others = listed_models(folders, machine, hashes)
    found = (*others, built_in_model(machine))
    if options.json:
        print(json.dumps({"folders": list(map(str, folders)), "models": [plain(model) for model in found]}))
        return 0
    for line in table([_row(model) for model in found]):
        print(line)
    if not others:
        searched = ", ".join(map(str, folders))
        print(messages.NO_OTHER_MODELS(folders=searched) if searched else messages.NO_MODEL_FOLDERS())
    return 0


def plain(model: ListedModel) -> dict[str, Any]:
    """Return a listed model as JSON values."""
    return {**asdict(model), "path": str(model.path)}


_HEADINGS = ("model", "kind", "size", "precision", "fits", "licence", "hash")


def _row(model: ListedModel) -> tuple[str, ...]:
    if model.problem:
        return (model.path.name, messages.MODEL_UNUSABLE(reason=model.problem))
    at = f" at {model.size_px}" if model.plan is not None else ""
    licence = (
        model.licence if model.licence_is_own or not model.licence else f"{model.licence} (of the family)"
    )
    size = f"{model.size_bytes / 1e9:.2f} GB"
    fits = f"{plan_words(model.plan)}{at}"
    return (model.path.name, model.title, size, model.precision, fits, licence, model.sha256)


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows as lines with aligned columns; a row of two cells is not cut into columns."""
    full = [_HEADINGS, *(row for row in rows if len(row) > 2)]
    shown = [number for number in range(len(_HEADINGS)) if any(row[number] for row in full[1:])] or [0, 1]
    widths = {number: max(len(row[number]) for row in full) for number in shown}
    first = max([widths.get(0, 0), *(len(row[0]) for row in rows)])
    widths[0] = first
    lines = []
    for row in (_HEADINGS, *rows):
        if len(row) == 2:
            lines.append(f"{row[0]:<{first}}  {row[1]}")
        else:
            lines.append("  ".join(f"{row[number]:<{widths[number]}}" for number in shown).rstrip())
    return lines
