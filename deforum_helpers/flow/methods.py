"""Ways to measure motion by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from deforum_helpers.flow.base import FlowEstimator
from deforum_helpers.flow.classical import dis_fine, dis_medium, farneback
from deforum_helpers.flow.raft import load_raft
from deforum_helpers.registry import choose


def make_flow_estimator(name: str, device: torch.device | str = "cpu") -> FlowEstimator:
    """Return the method that a setting names.

    Args:
        name: of `settings.tables.FLOW_METHODS`.
        device: where pictures and flows live.

    Raises:
        UnknownName: no such method.
        MissingFeature: RAFT's package is not installed.
        ModelError: RAFT's weights are not on this machine.
    """
    makers: Mapping[str, Callable[[], FlowEstimator]] = {
        "RAFT": lambda: load_raft(device),
        "DIS Medium": dis_medium,
        "DIS Fine": dis_fine,
        "Farneback": farneback,
    }
    return choose(makers, name, "optical flow method")()
