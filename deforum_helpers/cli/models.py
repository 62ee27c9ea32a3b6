"""`models`: lists the models of this machine; `models install` downloads one from the hub."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deforum_helpers.cli import messages
from deforum_helpers.core.errors import DeforumError, ModelError
from deforum_helpers.engines.model_list import (
    LICENCES,
    FileHashes,
    ListedModel,
    built_in_model,
    forbids_commerce,
    hash_record,
    licence_words,
    listed_models,
    plan_words,
    searched_folders,
    this_machine,
)
from deforum_helpers.models.weights.checkpoints import TITLES
from deforum_helpers.models.weights.hub import HubFile, HubModel, find_model, install_model

_INSTALL = "install"
_OF_LIST, _OF_INSTALL = ("ckpt", "hash", "json"), ("include", "revision", "yes")


def prepare(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Add the options of the command to its parser; return the function that runs it."""
    parser.usage = (
        "%(prog)s [FOLDER ...] [--ckpt PATH] [--hash] [--json]\n"
        "       %(prog)s install OWNER/NAME [--include PATTERN] [--revision REVISION] [--yes]"
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="FOLDER",
        help="folder to search besides the usual ones; or the word install and the id of a model on the hub",
    )
    listing = parser.add_argument_group("list the models here")
    listing.add_argument("--ckpt", metavar="PATH", help="model whose folder and neighbours are searched too")
    listing.add_argument(
        "--hash", action="store_true", help="show the hash of each file, which is read once for it"
    )
    listing.add_argument("--json", action="store_true", help="print the list as JSON")
    installing = parser.add_argument_group("install a model")
    installing.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="PATTERN",
        help="install the files that match, such as '*fp8*', instead of all that the model needs; may be repeated",
    )
    installing.add_argument("--revision", help="branch, tag or commit of the model; default: the newest")
    installing.add_argument(
        "--yes", action="store_true", help="install without asking, after the licence was shown"
    )

    def run_either(options: argparse.Namespace) -> int:
        wants_install = options.words[:1] == [_INSTALL]
        foreign = _OF_LIST if wants_install else _OF_INSTALL
        for name in foreign:
            if getattr(options, name):
                owner = "the list of models" if wants_install else f"`models {_INSTALL}`"
                parser.error(messages.MODELS_OPTION_FOREIGN(option=f"--{name}", owner=owner))
        if not wants_install:
            return run(options)
        if len(options.words) != 2:
            parser.error(messages.INSTALL_ONE(count=len(options.words) - 1))
        return install(options.words[1], options)

    return run_either


def install(hub_id: str, options: argparse.Namespace) -> int:
    """Show a model of the hub, ask, and download it; return 0, 1 if nothing was installed, 2 if it cannot be."""
    try:
        model = find_model(hub_id, options.include, options.revision)
        for line in _about(model):
            print(line)
        if not options.yes and not _confirmed(model):
            return 1
        with _bars_on_terminals_only():
            places = install_model(model, _tell)
    except DeforumError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{messages.INSTALL_INTERRUPTED()}", file=sys.stderr)
        return 1
    for place in places:
        print(messages.INSTALLED(place=place))
    return 0


def _licence(model: HubModel) -> tuple[str, bool]:
    """Return the licence of a model and whether its card names it."""
    return model.licence or LICENCES.get(model.kind or "", ""), bool(model.licence)


def _about(model: HubModel) -> list[str]:
    """Return what a person should know of a model before it is installed, as lines."""
    licence, is_own = _licence(model)
    rows = [
        ("model", f"{model.hub_id} ({TITLES[model.kind]})" if model.kind else model.hub_id),
        ("licence", licence_words(licence, is_own) or messages.LICENCE_UNKNOWN()),
        ("revision", model.commit),
        ("size", f"{model.size_bytes / 1e9:.2f} GB in {len(model.files)} files"),
        ("to", str(model.target)),
    ]
    return [
        *(f"{name:<10}{value}" for name, value in rows),
        *(f"  {_size(file):>10}  {file.name}" for file in model.files),
    ]


def _size(file: HubFile) -> str:
    return f"{file.size_bytes / 1e6:.1f} MB"


def _confirmed(model: HubModel) -> bool:
    """Ask whether to install a model.

    Raises:
        ModelError: there is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise ModelError(messages.INSTALL_UNCONFIRMED())
    warning = f"{messages.NO_COMMERCE()} " if forbids_commerce(_licence(model)[0]) else ""
    question = f"{warning}{messages.INSTALL_QUESTION()}"
    with suppress(EOFError):
        if input(f"{question} [y/N] ").strip().casefold() in ("y", "yes"):
            return True
    print(messages.NOT_INSTALLED())
    return False


def _tell(file: HubFile) -> None:
    print(messages.DOWNLOADING(file=file.name, size=_size(file)), flush=True)


@contextmanager
def _bars_on_terminals_only() -> Iterator[None]:
    """Let the hub's client draw its progress bars only where they can be seen."""
    from huggingface_hub import utils

    if sys.stderr.isatty() or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()


def run(options: argparse.Namespace) -> int:
    """List the models; return 0, or 2 if a folder does not exist."""
    named = [Path(word) for word in options.words]
    missing = [folder for folder in named if not folder.expanduser().is_dir()]
    if missing:
        print(messages.FOLDER_MISSING(folder=missing[0]), file=sys.stderr)
        return 2
    folders = searched_folders(options.ckpt, named)
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
    licence = licence_words(model.licence, model.licence_is_own)
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
