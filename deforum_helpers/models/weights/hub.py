"""Models on the Hugging Face hub: what one contains, and its installation into the models folder.

The package huggingface_hub talks to the hub: it knows its tokens, mirrors, storage and errors. Where a file continues
that is incomplete is decided here, since the package begins it again. It is imported when it is needed; nothing here
imports torch.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from deforum_helpers.core.errors import DeforumError, DiskFull, DownloadFailed, ModelError
from deforum_helpers.core.files.atomic import SPARE_BYTES, disk_errors
from deforum_helpers.core.files.regular import open_regular
from deforum_helpers.core.optional import require
from deforum_helpers.models import messages
from deforum_helpers.models.weights.checkpoints import FILES, PICKLES, Kind, components_of_index, read_index
from deforum_helpers.models.weights.files import HUB_ID, models_folder

_log = logging.getLogger(__name__)

_INDEX, _CONFIG = "model_index.json", "config.json"
# What a model's folder needs besides weights, by the ends of names. Programs are never installed.
_TEXTS = (".json", ".txt", ".model", ".jinja")
_ABOUT = ("README", "LICENSE", "LICENCE", "NOTICE")
_PROGRAMS = (".py", ".sh", ".exe", ".dll", ".so", ".ipynb", ".bat", ".ps1")
_VARIANT = re.compile(r"\.(?:fp16|bf16)(?=[.-])")
# Holds models until they are complete. Nobody searches folders inside the models folder for files.
_UNFINISHED = ".installing"


@dataclass(frozen=True)
class HubFile:
    """A file of a model on the hub.

    Args:
        name: its path in the repository, with "/".
        size_bytes: its size.
        sha256: of its content; "" where the hub has only `blob`.
        blob: the hash by which git calls its content; "" = unknown.
    """

    name: str
    size_bytes: int
    sha256: str = ""
    blob: str = ""


@dataclass(frozen=True)
class HubModel:
    """A model on the hub, and what of it would be installed.

    Args:
        hub_id: "owner/name".
        commit: the commit of its repository.
        kind: its family, None = unknown.
        licence: of its model card; "" = it names none.
        is_gated: whether its owner gives it to accounts that accepted the licence.
        files: those that would be installed.
        target: the folder that they would be in.
        is_folder: whether `target` would be the model; otherwise each file is one, or a part of one.
    """

    hub_id: str
    commit: str
    kind: Kind | None
    licence: str
    is_gated: bool
    files: tuple[HubFile, ...]
    target: Path
    is_folder: bool

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    def place(self, file: HubFile) -> Path:
        """Return where a file would be."""
        return self.target / (file.name if self.is_folder else PurePosixPath(file.name).name)


@contextmanager
def hub_errors(hub_id: str) -> Iterator[None]:
    """Convert what huggingface_hub raises inside into errors of the project.

    The library's own words are left out, since a server chooses them.

    Raises:
        ModelError: no such model or revision, or its owner does not give it to this account.
        DownloadFailed: the hub cannot be reached, or the connection broke.
        DiskFull: no space.
    """
    from huggingface_hub import errors

    expected: tuple[type[Exception], ...] = (OSError, ValueError, *_http_errors(errors.HfHubHTTPError))
    try:
        yield
    except DeforumError:
        raise
    except errors.GatedRepoError as error:  # also a RepositoryNotFoundError
        raise ModelError(messages.HUB_GATED(hub_id=hub_id, page=_page(hub_id))) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(messages.HUB_MODEL_UNKNOWN(hub_id=hub_id)) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(messages.HUB_REVISION_UNKNOWN(hub_id=hub_id)) from error
    except errors.OfflineModeIsEnabled as error:
        raise DownloadFailed(messages.HUB_OFFLINE(hub_id=hub_id)) from error
    except expected as error:
        _log.info("The hub's client failed with %s for the model %s.", type(error).__name__, hub_id)
        if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
            raise ModelError(messages.HUB_TOKEN_REFUSED(hub_id=hub_id)) from error
        if isinstance(error, ValueError):
            raise ModelError(messages.HUB_MODEL_REFUSED(hub_id=hub_id)) from error
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise DiskFull(messages.HUB_DISK_FULL(hub_id=hub_id)) from error
        raise DownloadFailed(messages.HUB_UNREACHABLE(hub_id=hub_id)) from error


def _http_errors(own: type[Exception]) -> tuple[type[Exception], ...]:
    """Return the errors of the HTTP library that the hub's client uses, from which its own derive, and of httpx."""
    bases = [base for base in own.__bases__ if issubclass(base, Exception)]
    with suppress(ImportError):
        bases.append(importlib.import_module("httpx").HTTPError)
    return tuple(bases)


def _page(hub_id: str) -> str:
    return f"{_endpoint() or 'https://huggingface.co'}/{hub_id}"


def _endpoint() -> str | None:
    """Return another hub than the usual one."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _hub() -> ModuleType:
    return require("huggingface_hub", "Installing models", "pip install huggingface_hub")


def _constants() -> Any:
    from huggingface_hub import constants

    return constants


def find_model(hub_id: str, patterns: Sequence[str] = (), revision: str | None = None) -> HubModel:
    """Return what the hub knows of a model, and what of it would be installed; downloads no weights.

    Args:
        hub_id: "owner/name".
        patterns: the files to install, as "transformer/*" or "*fp8*"; none = all that the model needs.
        revision: a branch, tag or commit; None = the newest.

    Raises:
        ModelError: no such model; it is of a family, or has files, that cannot be used; or it is here already.
        DownloadFailed: the hub cannot be reached.
        MissingFeature: huggingface_hub is not installed.
    """
    if not HUB_ID.fullmatch(hub_id):
        raise ModelError(messages.HUB_ID_MALFORMED(found=hub_id))
    hub = _hub()
    if _constants().HF_HUB_OFFLINE:
        raise DownloadFailed(messages.HUB_OFFLINE(hub_id=hub_id))
    with hub_errors(hub_id):
        about = hub.HfApi(endpoint=_endpoint()).model_info(hub_id, revision=revision, files_metadata=True)
        if about.gated and not hub.get_token():
            raise ModelError(messages.HUB_GATED(hub_id=hub_id, page=_page(hub_id)))
        files = tuple(_file(entry) for entry in about.siblings or ())
        kind: Kind | None = None
        components: Mapping[str, object] = {}
        if any(file.name == _INDEX for file in files):
            kind, components = _indexed(hub_id, about.sha)
    usable = [file for file in files if _is_usable(file.name)]
    chosen = [file for file in usable if any(fnmatchcase(file.name, pattern) for pattern in patterns)]
    if not patterns:
        chosen = _needed(usable, components) if kind else _alone(hub_id, usable)
        _refuse_pickled(hub_id, components, chosen, files)
    found = HubModel(
        hub_id,
        about.sha,
        kind,
        _licence(about.card_data),
        bool(about.gated),
        tuple(chosen),
        models_folder().expanduser().absolute(),
        is_folder=any(file.name in (_INDEX, _CONFIG) for file in chosen),
    )
    return _placed(found, [file.name for file in files])


def _file(entry: Any) -> HubFile:
    return HubFile(
        entry.rfilename,
        int(entry.size or 0),
        str(entry.lfs.sha256) if entry.lfs else "",
        "" if entry.lfs else str(entry.blob_id or ""),
    )


def _indexed(hub_id: str, commit: str) -> tuple[Kind, dict[str, tuple[str, str]]]:
    """Return the family of a diffusers model and its components."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / hub_id.partition("/")[2]
        _hub().hf_hub_download(hub_id, _INDEX, revision=commit, local_dir=place, endpoint=_endpoint())
        return components_of_index(place, read_index(place))


def _is_usable(name: str) -> bool:
    """Tell whether a file may be installed: no pickle, no program, and a name that stays inside the folder."""
    parts = PurePosixPath(name).parts
    inside = not name.startswith("/") and ".." not in parts and not set(name) & set('\\:*?"<>|')
    hidden = any(part.startswith(".") for part in parts)
    return inside and not hidden and not name.casefold().endswith((*PICKLES, *_PROGRAMS))


def _needed(files: Sequence[HubFile], components: Mapping[str, object]) -> list[HubFile]:
    """Return the files of a diffusers model: its known components, each in one precision, and what is about it."""
    chosen = [file for file in files if _belongs(file.name, components)]
    full = {
        file.name.partition("/")[0]
        for file in chosen
        if file.name.endswith(FILES) and not _VARIANT.search(file.name)
    }
    return [
        file for file in chosen if not (_VARIANT.search(file.name) and file.name.partition("/")[0] in full)
    ]


def _refuse_pickled(
    hub_id: str, components: Mapping[str, object], chosen: Sequence[HubFile], files: Sequence[HubFile]
) -> None:
    """Refuse a model one of whose networks would arrive without weights."""
    for component in components:
        start = f"{component}/"
        if component.startswith("tokenizer") or any(
            file.name.startswith(start) and file.name.endswith(FILES) for file in chosen
        ):
            continue
        found = [file.name for file in files if file.name.startswith(start) and file.name.endswith(PICKLES)]
        raise ModelError(
            messages.COMPONENT_PICKLED(
                component=component, name=hub_id, found=next(iter(found), "no weights").rpartition("/")[2]
            )
        )


def _belongs(name: str, components: Mapping[str, object]) -> bool:
    folder = name.rpartition("/")[0]
    if not folder:
        return name == _INDEX or name.startswith(_ABOUT)
    return folder in (*components, "scheduler") and name.endswith((*_TEXTS, *FILES))


def _alone(hub_id: str, files: Sequence[HubFile]) -> list[HubFile]:
    """Return the files of a repository without an index: a network with its configuration, or its only weights."""
    weights = [file for file in files if file.name.endswith(FILES)]
    if any(file.name == _CONFIG for file in files) and any(
        file.name == "model.safetensors" for file in files
    ):
        return [
            file
            for file in files
            if "/" not in file.name
            and (
                file.name.endswith(_TEXTS) or file.name == "model.safetensors" or file.name.startswith(_ABOUT)
            )
        ]
    if len(weights) > 1:
        listed = ", ".join(f"{file.name} ({file.size_bytes / 1e9:.2f} GB)" for file in weights)
        raise ModelError(messages.HUB_FILES_TO_CHOOSE(hub_id=hub_id, count=len(weights), files=listed))
    return weights


def _licence(card: Any) -> str:
    """Return the licence that a model card names; its own name counts before "other"."""
    names = [getattr(card, key, None) for key in ("license_name", "license")]
    texts = [", ".join(name) if isinstance(name, list) else str(name or "") for name in names]
    return next((text for text in texts if text not in ("", "other")), "")


def _placed(model: HubModel, names: Sequence[str]) -> HubModel:
    """Return a model with its own folder, or with weights only.

    Raises:
        ModelError: nothing of it can be installed, or a file or folder of its name is there.
    """
    files = model.files
    if model.is_folder:
        model = replace(model, target=model.target / model.hub_id.partition("/")[2])
        there = [model.target] if model.target.exists() else []
    else:
        files = tuple(file for file in files if file.name.endswith(FILES))
        model = replace(model, files=files)
        there = [model.place(file) for file in files if model.place(file).exists()]
    if not any(file.name.endswith(FILES) for file in files):
        found = sorted({end for name in names if (end := PurePosixPath(name).suffix) in PICKLES})
        raise ModelError(
            messages.HUB_NOTHING_TO_INSTALL(hub_id=model.hub_id, found=", ".join(found) or "none of either")
        )
    if there:
        raise ModelError(messages.HUB_MODEL_PRESENT(hub_id=model.hub_id, place=there[0]))
    places = [model.place(file) for file in files]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise ModelError(messages.HUB_FILES_COLLIDE(hub_id=model.hub_id, file=twice.name))
    return model


def install_model(model: HubModel, told: Callable[[HubFile], None] = lambda file: None) -> tuple[Path, ...]:
    """Download a model and return the folder, or the files, that it is in now.

    Files arrive in a hidden folder, where they are compared with the sizes and hashes of the hub. The model appears in
    the models folder when all of them are there; a download that was interrupted continues with the next call.

    Args:
        model: of `find_model`.
        told: is given each file before it is downloaded.

    Raises:
        ModelError: the hub does not give a file to this account, or a file arrives damaged.
        DownloadFailed: the connection broke.
        DiskFull: the disk has less space than the model needs.
    """
    owner, _, name = model.hub_id.partition("/")
    unfinished = models_folder().expanduser().absolute() / _UNFINISHED
    folder = unfinished / f"{owner}--{name}--{model.commit[:12]}"
    with disk_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    _require_space(model, folder)
    for file in model.files:
        told(file)
        with hub_errors(model.hub_id):
            _fetch(model, file, folder)
        _check(file, folder / file.name)
    with disk_errors(model.target.name):
        return _appear(model, unfinished, folder)


def _require_space(model: HubModel, folder: Path) -> None:
    """Check that the disk has room for what has not arrived yet."""
    arrived = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed = max(model.size_bytes - arrived, 0)
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise DiskFull(
            messages.HUB_NEEDS_SPACE(
                hub_id=model.hub_id,
                needed=f"{needed / 1e9:.2f}",
                free=f"{free / 1e9:.2f}",
                folder=folder.parents[1],
            )
        )


def _fetch(model: HubModel, file: HubFile, folder: Path) -> None:
    """Download a file into `folder`, or the rest of it."""
    hub, path = _hub(), folder / file.name
    if path.exists():
        return
    if file.size_bytes > _constants().MAX_HTTP_DOWNLOAD_SIZE:  # only the hub's own protocol has these
        hub.hf_hub_download(
            model.hub_id, file.name, revision=model.commit, local_dir=folder, endpoint=_endpoint()
        )
        return
    from huggingface_hub import utils
    from huggingface_hub.file_download import http_get

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    if part.exists() and part.stat().st_size > file.size_bytes:
        part.unlink()  # nothing can continue it
    url = hub.hf_hub_url(model.hub_id, file.name, revision=model.commit, endpoint=_endpoint())
    with part.open("ab") as content:
        http_get(
            url,
            content,
            resume_size=content.tell(),
            headers=utils.build_hf_headers(),
            expected_size=file.size_bytes,
            displayed_filename=file.name,
        )
    os.replace(part, path)


def _check(file: HubFile, path: Path) -> None:
    """Compare a file with what the hub says of it; a damaged one is removed, so that it is fetched again."""
    size = path.stat().st_size
    git = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    digest, expected = (hashlib.sha256(), file.sha256) if file.sha256 else (git, file.blob)
    if size == file.size_bytes and expected:
        with open_regular(path) as content:
            while block := content.read(2**22):
                digest.update(block)
    if size != file.size_bytes or (expected and digest.hexdigest() != expected):
        path.unlink()
        raise ModelError(messages.HUB_FILE_DAMAGED(file=file.name, found=size, expected=file.size_bytes))


def _appear(model: HubModel, unfinished: Path, folder: Path) -> tuple[Path, ...]:
    """Give a complete model its place, and remove what was left of this and earlier downloads of it."""
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    if model.is_folder:
        own = {folder / file.name for file in model.files}
        for path in folder.rglob("*"):
            if path.is_file() and path not in own:
                path.unlink()  # of an earlier download with other patterns
        os.rename(folder, model.target)
        places: tuple[Path, ...] = (model.target,)
    else:
        places = tuple(model.place(file) for file in model.files)
        for file, place in zip(model.files, places, strict=True):
            os.rename(folder / file.name, place)
    for left in unfinished.glob(f"{folder.name.rpartition('--')[0]}--*"):
        shutil.rmtree(left, ignore_errors=True)
    if not any(unfinished.iterdir()):
        unfinished.rmdir()
    return places
