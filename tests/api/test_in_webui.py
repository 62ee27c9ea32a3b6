"""What a WebUI loads: the shim, once per start and again with every new app."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from deforum_api import in_webui

SHIM = Path(__file__).parents[2] / "scripts" / "deforum.py"


@pytest.fixture
def started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[list[Callable[[Any, FastAPI], None]]]:
    """The callbacks that the shim registers with a host."""
    callbacks: list[Callable[[Any, FastAPI], None]] = []
    flags = SimpleNamespace(deforum_api=True, deforum_simple_api=False, api_auth="ann:pw", listen=False)
    modules = ModuleType("modules")
    modules.paths = SimpleNamespace(data_path=str(tmp_path))  # type: ignore[attr-defined]
    modules.shared = SimpleNamespace(cmd_opts=flags)  # type: ignore[attr-defined]
    modules.script_callbacks = SimpleNamespace(on_app_started=callbacks.append)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "modules", modules)
    in_webui._queue.cache_clear()
    yield callbacks
    if in_webui._queue.cache_info().currsize:
        assert in_webui._queue(tmp_path / "outputs")[1].close(5)
    in_webui._queue.cache_clear()


def test_the_routes_are_on_every_new_app_and_share_one_queue(
    started: list[Callable[[Any, FastAPI], None]],
) -> None:
    apps = [FastAPI(), FastAPI()]
    for app in apps:
        runpy.run_path(str(SHIM))
        started[-1](None, app)
    clients = [TestClient(app, base_url="http://localhost") for app in apps]
    assert [client.get("/deforum_api/jobs").status_code for client in clients] == [401, 401]
    assert [client.get("/deforum_api/jobs", auth=("ann", "pw")).json() for client in clients] == [{}, {}]
    assert apps[0].state.deforum.jobs is apps[1].state.deforum.jobs


def test_without_a_flag_nothing_is_added(started: list[Callable[[Any, FastAPI], None]]) -> None:
    sys.modules["modules"].shared.cmd_opts.deforum_api = False  # type: ignore[attr-defined]
    runpy.run_path(str(SHIM))
    app = FastAPI()
    before = len(app.routes)
    started[0](None, app)
    assert len(app.routes) == before


def test_a_second_extension_of_our_name_is_refused(
    started: list[Callable[[Any, FastAPI], None]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = ModuleType("deforum_helpers")
    other.__file__ = str(tmp_path / "other" / "deforum_helpers" / "__init__.py")
    monkeypatch.setitem(sys.modules, "deforum_helpers", other)
    with pytest.raises(RuntimeError, match=r"disable the extension in .*other"):
        runpy.run_path(str(SHIM))
    assert started == []
