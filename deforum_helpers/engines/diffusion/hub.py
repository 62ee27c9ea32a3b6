"""Models from the hub, fetched with its own client; errors that pass are told from those that stay."""

from __future__ import annotations

import errno
import importlib
import logging
from collections.abc import Sequence
from pathlib import Path

from deforum_helpers.core.errors import DiskFull, DownloadFailed, ModelError
from deforum_helpers.engines import messages

_log = logging.getLogger(__name__)


def fetched(hub_id: str, patterns: Sequence[str]) -> Path:
    """Return the folder of a repository, fetched as far as it is not here.

    Args:
        hub_id: owner/name.
        patterns: which of its files.

    Raises:
        ModelError: there is no such repository, or it is not for everybody.
        DownloadFailed: the hub could not be reached, or the line broke.
        DiskFull: no space.
    """
    import huggingface_hub

    expected: tuple[type[Exception], ...] = (OSError, ValueError, *_line_errors())
    try:
        return Path(huggingface_hub.snapshot_download(hub_id, allow_patterns=list(patterns)))
    except expected as error:
        _log.warning("The model %s cannot be downloaded.", hub_id, exc_info=error)
        if isinstance(error, _lasting_errors()):
            raise ModelError(messages.HUB_MODEL_REFUSED(hub_id=hub_id)) from error
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise DiskFull(messages.HUB_DISK_FULL(hub_id=hub_id)) from error
        raise DownloadFailed(messages.HUB_UNREACHABLE(hub_id=hub_id)) from error


def _lasting_errors() -> tuple[type[Exception], ...]:
    from huggingface_hub import utils

    return (
        ValueError,
        utils.RepositoryNotFoundError,  # also of one that asks for an account
        utils.RevisionNotFoundError,
    )


def _line_errors() -> tuple[type[Exception], ...]:
    """Return what the client's own line may raise that is no `OSError`; which one it uses depends on its age."""
    try:
        return (importlib.import_module("httpx").HTTPError,)
    except ImportError:
        return ()
