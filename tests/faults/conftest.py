"""The faults of one program at the hands of a Unix system."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.serving import FaultyServer

Start = Callable[..., FaultyServer]

collect_ignore_glob = ["test_*.py"] if os.name == "nt" else []


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers on one folder, each with the fault that it is to meet."""
    servers: list[FaultyServer] = []

    def make(fault: str = "", **more: str) -> FaultyServer:
        servers.append(FaultyServer(tmp_path / "outputs", fault, **more))
        return servers[-1]

    yield make
    for server in servers:
        server.kill()
