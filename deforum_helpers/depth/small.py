"""The built-in depth network: landscapes, 0.57 million parameters, no download."""

from __future__ import annotations

from pathlib import Path

import torch

from deforum_helpers.engines import demo
from deforum_helpers.engines.demo.depth_net import load_depth_net, predict
from deforum_helpers.image.types import Image

WEIGHTS = Path(demo.__file__).parent / "depth"
SKY = 0.98


class SmallModel:
    """Answers relative log-depth, 0..0.98, larger = farther; all of the sky is equally far.

    Args:
        device: where it runs.
    """

    far_is_large = True
    metric = False

    def __init__(self, device: torch.device | str) -> None:
        self._net = load_depth_net(WEIGHTS).to(device)

    def answer(self, image: Image) -> torch.Tensor:
        """Return log-depth, (H, W) float32; log-depth rather than metres, so that near and far get bins alike."""
        # the sky is about 0.995; its faint unevenness would be stretched over half the range when it is equalised
        return predict(self._net, image).clamp(0, SKY)
