"""What holds for every test: no network, one thread, reproducible search for counterexamples."""

from __future__ import annotations

import os

import hypothesis
import pytest

# Before torch and the hub's client are imported: they read these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The search of every day finds the same each time: what fails is what was changed. The thorough one looks further.
hypothesis.settings.register_profile("quick", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("DEFORUM_TEST_PROFILE", "quick"))


def pytest_configure(config: pytest.Config) -> None:
    """Say what our marks mean."""
    config.addinivalue_line("markers", "gpu: needs a CUDA device; left out where there is none")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the tests of a device that this machine lacks."""
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    import torch

    if not torch.cuda.is_available():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
