"""Depth models, each answering in its own unit; one literal table from family to maker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import torch

from deforum_helpers.depth.names import HUB_IDS
from deforum_helpers.depth.plane import PlaneModel
from deforum_helpers.depth.small import SmallModel
from deforum_helpers.depth.transformers_models import load_model
from deforum_helpers.image.types import Image
from deforum_helpers.registry import choose


class DepthModel(Protocol):
    """A network, or none, that tells relative or absolute depth."""

    far_is_large: bool
    metric: bool

    def answer(self, image: Image) -> torch.Tensor:
        """Return (H, W) float32 on the image's device, in the model's own unit.

        Args:
            image: (3, H, W) float32 RGB, 0..1.
        """
        ...


def make_model(
    family: str,
    device: torch.device | str,
    models_folder: Path | None = None,
    *,
    allow_download: bool = False,
) -> DepthModel:
    """Return the model of a family.

    Args:
        family: of `names.FAMILIES`.
        device: where it shall run.
        models_folder: a folder with model folders, or None.
        allow_download: whether missing weights may be fetched from the hub.

    Raises:
        UnknownName: no such family.
        ModelError: its files are missing or broken.
        MissingFeature: transformers is not installed.
    """
    makers: Mapping[str, Callable[[], DepthModel]] = {
        "plane": PlaneModel,
        "demo": lambda: SmallModel(device),
        **{
            name: lambda: load_model(family, device, models_folder, allow_download=allow_download)
            for name in HUB_IDS
        },
    }
    return choose(makers, family, "depth model")()
