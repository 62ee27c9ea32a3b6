"""RAFT, a network that measures motion, from torchvision."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from deforum_helpers.errors import ModelError
from deforum_helpers.flow.names import RAFT_INSTALL
from deforum_helpers.image.types import Flow, Image
from deforum_helpers.models import messages
from deforum_helpers.optional import require
from deforum_helpers.regular_files import is_regular

UPDATES = 50
MULTIPLE_PX = 8
# The network compares patches of an eighth of the size on four levels of halves.
SMALLEST_SIDE_PX = 128


def load_raft(device: torch.device | str) -> RaftFlow:
    """Return RAFT (large) with the weights that torch's cache holds.

    Raises:
        MissingFeature: torchvision is not installed.
        ModelError: the weights are not on this machine, or broken.
    """
    models = require("torchvision.models.optical_flow", "RAFT", RAFT_INSTALL)
    weights = models.Raft_Large_Weights.DEFAULT
    path = Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(weights.url)
    if not is_regular(path):
        raise ModelError(messages.RAFT_WEIGHTS_MISSING(file=path.name, folder=path.parent))
    network = models.raft_large(weights=None)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(messages.RAFT_WEIGHTS_BROKEN(file=path.name)) from error
    return RaftFlow(network.to(device).eval())


class RaftFlow:
    """RAFT as a `FlowEstimator`.

    Args:
        network: called with two (1, 3, h, w) pictures in -1..1 whose sides are multiples of 8 and `num_flow_updates`;
            answers a list of (1, 2, h, w) flows, the last one the best.
    """

    name = "RAFT"

    def __init__(self, network: Any) -> None:
        self._network = network

    @torch.no_grad()
    def estimate(self, source: Image, target: Image, guess: Flow | None = None) -> Flow:
        """Return the motion (2, H, W) in pixels, `target_from_source`; RAFT always begins from none."""
        height_px, width_px = source.shape[1:]
        tall, wide = (
            max(SMALLEST_SIDE_PX, -(-side // MULTIPLE_PX) * MULTIPLE_PX) for side in (height_px, width_px)
        )
        padding = (0, wide - width_px, 0, tall - height_px)
        pair = [F.pad(image[None] * 2 - 1, padding, mode="replicate") for image in (source, target)]
        flow: Flow = self._network(*pair, num_flow_updates=UPDATES)[-1]
        return flow[0, :, :height_px, :width_px].float().contiguous()
