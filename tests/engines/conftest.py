from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deforum_helpers.engines.base import GenerateRequest

RequestMaker = Callable[..., GenerateRequest]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a tiny random model, made once."""
    from tests.engines.tiny_models import make

    root = tmp_path_factory.mktemp("tiny")

    def folder(kind: str) -> Path:
        return root / kind if (root / kind).is_dir() else make(kind, root / kind)

    return folder


@pytest.fixture(scope="session")
def request_for() -> RequestMaker:
    def make(**changes: object) -> GenerateRequest:
        fields = {
            "prompt": "a hill",
            "negative_prompt": "blurry",
            "width_px": 32,
            "height_px": 48,
            "seed": 1,
            "steps": 4,
            "cfg_scale": 5.0,
            "sampler": "Euler",
        }
        return GenerateRequest(**{**fields, **changes})

    return make
