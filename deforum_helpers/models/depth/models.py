"""Depth models by family: the flat plane, the built-in network, and those of transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from deforum_helpers.core.registry import choose
from deforum_helpers.engines import demo
from deforum_helpers.engines.demo.depth_net import load_depth_net, predict
from deforum_helpers.image.types import Image
from deforum_helpers.models.depth.names import HUB_IDS, depth_name
from deforum_helpers.models.depth.transformers_models import load_model

if TYPE_CHECKING:
    import torch

    from deforum_helpers.models.depth.base import DepthEstimator


class PlaneModel:
    """Returns the same value for every pixel, which becomes depth 1."""

    far_is_large = True
    metric = True

    def answer(self, image: Image) -> torch.Tensor:
        """Return ones, (H, W) float32."""
        return torch.ones(image.shape[1:], device=image.device)


WEIGHTS = Path(demo.__file__).parent / "depth"
SKY = 0.98


class SmallModel:
    """Predicts relative log-depth, 0..0.98, larger = farther; all of the sky has the same depth.

    Args:
        device: of the network.
    """

    far_is_large = True
    metric = False

    def __init__(self, device: torch.device | str) -> None:
        self._net = load_depth_net(WEIGHTS).to(device)

    def answer(self, image: Image) -> torch.Tensor:
        """Return log-depth, (H, W) float32; log-depth rather than metres, so that near and far get bins alike."""
        # the sky is about 0.995; its faint unevenness would be stretched over half the range when it is equalised
        return predict(self._net, image).clamp(0, SKY)


class DepthModel(Protocol):
    """Predicts relative or absolute depth."""

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
        device: of the model.
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


Make = Callable[..., "DepthEstimator"]

# At most one, as a run uses one model.
_kept: dict[tuple[object, ...], DepthEstimator] = {}


def kept_estimator(
    make: Make, name: str, device: torch.device, *, keep: bool, weight: float = 1.0
) -> DepthEstimator:
    """Return `make(name, device)`, or the estimator that it made for the previous run.

    Args:
        make: makes an estimator.
        name: of a depth_algorithm.
        device: of the network.
        keep: keep it for the next run; otherwise none is kept.
        weight: share of its own model in an algorithm that mixes two; ignored by others.
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
