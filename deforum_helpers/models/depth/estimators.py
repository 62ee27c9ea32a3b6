"""Estimators of depth: the Protocol, a depth_algorithm served by a model, and two of them blended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch

from deforum_helpers.image.types import Depth, Image
from deforum_helpers.models.depth import DepthName, available_families, depth_name, second_family, serve
from deforum_helpers.models.depth.models import DepthModel, make_model
from deforum_helpers.models.depth.scene import raw_depth, scene_depth


class DepthEstimator(Protocol):
    """Estimates the distance of each pixel."""

    name: str

    def estimate(self, image: Image) -> Depth:
        """Return the depth of `image`.

        Args:
            image: (3, H, W) float32 RGB, 0..1.

        Returns:
            (H, W) float32 on the same device, in the camera's scene units, larger = farther.
        """
        ...


def make_estimator(
    name: str,
    device: torch.device | str,
    *,
    models_folder: Path | None = None,
    allow_download: bool = False,
    weight: float = 1.0,
) -> DepthEstimator:
    """Return the estimator of a depth_algorithm; a family that is not here is served as `serve` says.

    Args:
        name: of `DEPTH_NAMES`.
        device: of the model.
        models_folder: a folder with model folders, looked into before the cache of Hugging Face.
        allow_download: whether weights that are not here may be fetched from the hub.
        weight: share of its own model, 0..1, in the "(old)" algorithms; the rest is that of the model that serves
            AdaBins, where that is another one.

    Raises:
        SettingsError: no such name.
        ModelError: a model's files are broken.
        MissingFeature: transformers is not installed.
    """

    def made(family: str) -> SceneDepth:
        return SceneDepth(
            depth_name(name), make_model(family, device, models_folder, allow_download=allow_download)
        )

    available = available_families(models_folder, allow_download=allow_download)
    first, _ = serve(name, available)
    second = second_family(name, available) if weight < 1 else None
    return made(first) if second is None else BlendedDepth(name, made(first), made(second), weight)


Make = Callable[..., DepthEstimator]

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


class SceneDepth:
    """Estimates depth in the traditional range of a depth_algorithm, whichever model serves it.

    Args:
        entry: the depth_algorithm.
        model: the network that serves it.
    """

    def __init__(self, entry: DepthName, model: DepthModel) -> None:
        self.name = entry.name
        self._entry = entry
        self._model = model

    def estimate(self, image: Image) -> Depth:
        """Return the depth of `image`, (H, W) float32 on its device, larger = farther.

        Args:
            image: (3, H, W) float32 RGB, 0..1.
        """
        answer = self._model.answer(image)
        if self._entry.raw:
            return raw_depth(answer, metric=self._model.metric, far_is_large=self._model.far_is_large)
        # equalising counts pixels from one end; each name keeps the end it has always counted from
        if self._entry.near_is_bright == self._model.far_is_large:
            answer = -answer
        return scene_depth(
            answer,
            self._entry.nearest,
            self._entry.farthest,
            far_is_large=not self._entry.near_is_bright,
        )


class BlendedDepth:
    """The depth of two estimators, mixed: `weight` · first + (1 - weight) · second.

    The "(old)" algorithms of classic Deforum were MiDaS or ZoeDepth mixed with AdaBins.

    Args:
        name: the depth_algorithm.
        first, second: whose depths, in the same unit.
        weight: share of the first, 0..1.
    """

    def __init__(self, name: str, first: DepthEstimator, second: DepthEstimator, weight: float) -> None:
        self.name = name
        self._first = first
        self._second = second
        self._weight = weight

    def estimate(self, image: Image) -> Depth:
        """Return the depth of `image`, (H, W) float32 on its device, larger = farther.

        Args:
            image: (3, H, W) float32 RGB, 0..1.
        """
        return torch.lerp(self._second.estimate(image), self._first.estimate(image), self._weight)
