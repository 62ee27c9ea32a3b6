"""Uploads of the outputs of succeeded jobs, through fsspec: to S3, Google Cloud Storage, a folder, ..."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from deforum_api.queue import messages
from deforum_api.queue.deliveries import ClaimLost, FinishedFile, NotDelivered
from deforum_api.queue.errors import StoreUnavailable, shorten
from deforum_api.queue.record import Job
from deforum_api.queue.store import Delivery
from deforum_helpers.core.errors import DeforumError, MissingFeature
from deforum_helpers.core.files.no_links import open_file
from deforum_helpers.core.optional import require

CHUNK_BYTES = 2**20
INSTALL = "pip install fsspec"
MOST_REASON = 300  # characters
# Their folders exist as soon as a file has the name; making one could make a bucket.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci"})
_URL = re.compile(r"[a-z][a-z0-9+.-]*://.+", re.IGNORECASE)


class Uploads:
    """Uploads every output of a job to a folder of its own below `prefix`.

    A file appears there when it is complete. A try that follows an interrupted one skips the files that are there.

    Args:
        prefix: URL that fsspec understands.
        files: the outputs of a job.

    Raises:
        DeforumError: nothing can be uploaded to `prefix`; the message says why.
    """

    at_once = 2

    def __init__(self, prefix: str, files: Callable[[Job], Sequence[FinishedFile]]) -> None:
        check_prefix(prefix)
        self._prefix = prefix.rstrip("/")
        self._files = files

    def send(self, job: Job, deliveries: Sequence[Delivery], renew: Callable[[], None]) -> str | None:
        place = f"{self._prefix}/{folder_name(job)}"
        try:
            _upload(place, self._files(job), renew)
        except (ClaimLost, StoreUnavailable):
            raise
        except Exception as error:  # each of fsspec's file systems has errors of its own
            reason = shorten(f"{type(error).__name__}: {error}", MOST_REASON)
            raise NotDelivered(messages.UPLOAD_FAILED(place=place, reason=reason), again=True) from error
        return place


def folder_name(job: Job) -> str:
    """Return the name of a job's folder below the prefix: its id without brackets, as `batch-52321525-0`."""
    return job.id.replace("(", "-").replace(")", "")


def check_prefix(prefix: str) -> None:
    """Check that fsspec can write to a URL; contacts nothing.

    Raises:
        DeforumError: the URL is wrong, or a package is missing.
    """
    if not _URL.fullmatch(prefix) or urlsplit(prefix).scheme in ("http", "https"):
        raise DeforumError(messages.UPLOAD_URL_INVALID(found=prefix[:80]))
    if "@" in urlsplit(prefix).netloc:
        raise DeforumError(messages.UPLOAD_URL_WITH_LOGIN())
    fsspec = require("fsspec", "--deforum-upload-to", INSTALL)
    try:
        fsspec.get_filesystem_class(urlsplit(prefix).scheme)
    except ImportError as error:
        raise MissingFeature(messages.UPLOAD_PACKAGE_MISSING(prefix=prefix, reason=error)) from None
    except ValueError:
        raise DeforumError(messages.UPLOAD_URL_INVALID(found=prefix[:80])) from None


def _upload(place: str, files: Sequence[FinishedFile], renew: Callable[[], None]) -> None:
    from fsspec.core import url_to_fs

    # An instance of its own, as its transaction belongs to one thread.
    system, root = url_to_fs(place, skip_instance_cache=True)
    sizes = {path: about.get("size") for path, about in system.find(root, detail=True).items()}
    folders = set()
    for file in files:
        target = f"{root}/{file.name}"
        if sizes.get(target) == file.size:
            continue
        folder = target.rpartition("/")[0]
        if folder not in folders and urlsplit(place).scheme not in _OBJECT_STORES:
            system.makedirs(folder, exist_ok=True)
            folders.add(folder)
        renew()
        _copy(file, system, target, renew)


def _copy(file: FinishedFile, system: Any, target: str, renew: Callable[[], None]) -> None:
    """Copy one file; in a transaction, as a file that is closed after an error would stay with what it has."""
    with open_file(file.path) as source, system.transaction, system.open(target, "wb") as sink:
        while chunk := source.read(CHUNK_BYTES):
            sink.write(chunk)
            renew()
