"""Models of the Hugging Face hub, downloaded with its client; temporary errors are retryable, lasting ones not."""

from __future__ import annotations

import errno
import importlib
import logging
from collections.abc import Sequence
from pathlib import Path

from deforum_helpers.core.errors import DiskFull, DownloadFailed, ModelError
from deforum_helpers.engines import messages

_log = logging.getLogger(__name__)


def downloaded_folder(hub_id: str, patterns: Sequence[str]) -> Path:
    """Return the local folder of a hub repository, downloading the missing files.

    Args:
        hub_id: owner/name.
        patterns: which of its files.

    Raises:
        ModelError: the repository does not exist, or requires an account.
        DownloadFailed: the hub cannot be reached, or the connection broke.
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
        utils.RepositoryNotFoundError,  # also raised for repositories that require an account
        utils.RevisionNotFoundError,
    )


def _line_errors() -> tuple[type[Exception], ...]:
    """Return the errors of the client's HTTP library besides `OSError`; older clients use another library."""
    try:
        return (importlib.import_module("httpx").HTTPError,)
    except ImportError:
        return ()
