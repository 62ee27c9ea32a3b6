"""Depth models that stay loaded from one film to the next, where the host's options say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deforum_helpers.depth.names import depth_name

if TYPE_CHECKING:
    import torch

    from deforum_helpers.depth.base import DepthEstimator

Make = Callable[..., "DepthEstimator"]

# At most one: who changes the model has no more use for the old one.
_kept: dict[tuple[object, ...], DepthEstimator] = {}


def kept_estimator(
    make: Make, name: str, device: torch.device, *, keep: bool, weight: float = 1.0
) -> DepthEstimator:
    """Return `make(name, device)`, or what it made for the film before.

    Args:
        make: makes an estimator.
        name: of a depth_algorithm.
        device: where it runs.
        keep: keep it for the next film; otherwise none is kept from now on.
        weight: share of its own model in an algorithm that mixes two; others are not told.
    """
    share = {"weight": weight} if depth_name(name).raw else {}
    key = (make, name, str(device), *share.values())
    estimator = _kept.get(key)
    _kept.clear()
    if estimator is None:
        estimator = make(name, device, **share)
    if keep:
        _kept[key] = estimator
    return estimator
