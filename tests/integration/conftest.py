"""One real server for all tests that do not stop it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.server import Server


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("server")) / "outputs"


@pytest.fixture(scope="session")
def server(outputs: Path) -> Iterator[Server]:
    made = Server(outputs)
    yield made
    made.close()
