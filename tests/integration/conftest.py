"""One real server for all tests that do not stop it, and the port that examples name."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deforum_helpers.core.files.locks import FileLock, Locked, take
from tests.integration.server import WAIT_S, Server, port_is_free

EXAMPLES_PORT = 7860


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("server")) / "outputs"


@pytest.fixture(scope="session")
def server(outputs: Path) -> Iterator[Server]:
    made = Server(outputs)
    yield made
    made.close()


@pytest.fixture
def examples_port() -> Iterator[int]:
    """The port that the examples of the docs name, for one test at a time, whatever runs beside it."""
    held = _alone(Path(tempfile.gettempdir()) / f"deforum-tests-{EXAMPLES_PORT}.lock")
    try:
        if not port_is_free(EXAMPLES_PORT):
            pytest.skip(f"port {EXAMPLES_PORT}, which the examples name, is in use on this machine")
        yield EXAMPLES_PORT
    finally:
        if held:
            held.release()


def _alone(path: Path) -> FileLock | None:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with suppress(Locked):
            return take(path)
        time.sleep(0.05)
    raise AssertionError("another test keeps the port")
