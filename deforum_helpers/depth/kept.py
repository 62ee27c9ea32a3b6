"""Depth models that stay loaded from one film to the next, where the host's options say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from deforum_helpers.depth.base import DepthEstimator

Make = Callable[[str, "torch.device"], "DepthEstimator"]

# At most one: who changes the model has no more use for the old one.
_kept: dict[tuple[Make, str, str], DepthEstimator] = {}


def kept_estimator(make: Make, name: str, device: torch.device, *, keep: bool) -> DepthEstimator:
    """Return `make(name, device)`, or what it made for the film before.

    Args:
        make: makes an estimator.
        name: of a depth_algorithm.
        device: where it runs.
        keep: keep it for the next film; otherwise none is kept from now on.
    """
    key = (make, name, str(device))
    estimator = _kept.get(key)
    _kept.clear()
    if estimator is None:
        estimator = make(name, device)
    if keep:
        _kept[key] = estimator
    return estimator
