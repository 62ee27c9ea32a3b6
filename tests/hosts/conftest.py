"""A fake host in this process, of either kind."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

HERE = Path(__file__).parent

# Images need torch; in an environment without it the rest is tested.
collect_ignore = [] if importlib.util.find_spec("torch") else ["test_engine.py", "test_features.py"]


def _forget_host() -> None:
    roots = ("modules", "modules_forge", "lib_controlnet", "internal_controlnet")
    for name in [name for name in sys.modules if name.split(".")[0] in roots]:
        del sys.modules[name]


@pytest.fixture
def extensions() -> tuple[str, ...]:
    """Folders of extensions that the host has beside ours."""
    return ()


@pytest.fixture(params=["forge", "a1111"])
def host(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    extensions: tuple[str, ...],
) -> Iterator[Any]:
    """The fake host's modules by their last names; `.forge` tells which kind it is."""
    from deforum_helpers.webui import pages

    monkeypatch.setenv("FAKE_HOST_FOLDER", str(tmp_path))
    monkeypatch.syspath_prepend(str(HERE / "fake"))
    if request.param == "forge":
        monkeypatch.syspath_prepend(str(HERE / "fake_forge"))
    else:
        for folder in extensions:
            monkeypatch.syspath_prepend(str(HERE / folder))
    _forget_host()
    monkeypatch.setattr(pages, "GRACE_S", 0.15)
    names = (
        "shared",
        "call_queue",
        "processing",
        "sd_models",
        "sd_vae",
        "sd_samplers",
        "script_callbacks",
        "devices",
        "scripts",
    )
    yield SimpleNamespace(
        forge=request.param == "forge",
        folder=tmp_path,
        **{name: importlib.import_module(f"modules.{name}") for name in names},
    )
    pages.reload_ended()
    _forget_host()
