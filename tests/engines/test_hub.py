"""A model that is to come from the hub and does not: what may pass is tried again, what stays is not."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from deforum_helpers.core.errors import DiskFull, DownloadFailed, ModelError, RenderError
from deforum_helpers.engines.diffusion.loading import load_model
from deforum_helpers.models.weights.checkpoints import describe_checkpoint

huggingface_hub = pytest.importorskip("huggingface_hub")
pytest.importorskip("diffusers")


def of_hub(name: str) -> Exception:
    """An error of the client, made without the answer of a server that it wants."""
    kind = getattr(huggingface_hub.utils, name)
    return kind.__new__(kind)  # type: ignore[no-any-return]


def broken_line() -> Exception:
    return pytest.importorskip("httpx").ReadTimeout("")  # type: ignore[no-any-return]


def broken_line_of_its_own() -> Exception:
    """An error of the HTTP library that the client uses, which is not always httpx."""
    return huggingface_hub.errors.HfHubHTTPError.__bases__[0]("")  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (lambda: of_hub("LocalEntryNotFoundError"), DownloadFailed),
        (lambda: of_hub("HfHubHTTPError"), DownloadFailed),
        (lambda: ConnectionResetError(errno.ECONNRESET, "reset"), DownloadFailed),
        (broken_line, DownloadFailed),
        (broken_line_of_its_own, DownloadFailed),
        (lambda: OSError(errno.ENOSPC, "No space left on device"), DiskFull),
        (lambda: of_hub("RepositoryNotFoundError"), ModelError),
        (lambda: of_hub("GatedRepoError"), ModelError),
        (lambda: ValueError("no such name"), ModelError),
    ],
    ids=["offline", "server", "line", "own-line", "client", "disk", "unknown", "closed", "name"],
)
def test_what_the_hub_says_is_told_apart(
    error: Any, expected: type[RenderError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Path:
        raise error()

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    checkpoint = describe_checkpoint("somebody/some-model", allow_download=True)
    with pytest.raises(RenderError) as caught:
        load_model(checkpoint, torch.device("cpu"), allow_download=True)
    assert type(caught.value) is expected
    assert caught.value.retryable == (expected is not ModelError)
    assert "'somebody/some-model'" in str(caught.value)
