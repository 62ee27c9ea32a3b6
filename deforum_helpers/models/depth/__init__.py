"""Depth models behind one Protocol, and the conversion of their output to scene units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from deforum_helpers.models.depth.base import DepthEstimator


def make_estimator(
    name: str,
    device: torch.device | str,
    *,
    models_folder: Path | None = None,
    allow_download: bool = False,
    weight: float = 1.0,
) -> DepthEstimator:
    """Return the estimator of a depth_algorithm; a family that is not here is served as `names.serve` says.

    Args:
        name: of `names.DEPTH_NAMES`.
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
    from deforum_helpers.models.depth.models import make_model
    from deforum_helpers.models.depth.names import available_families, depth_name, second_family, serve
    from deforum_helpers.models.depth.scene import BlendedDepth, SceneDepth

    def made(family: str) -> SceneDepth:
        return SceneDepth(
            depth_name(name), make_model(family, device, models_folder, allow_download=allow_download)
        )

    available = available_families(models_folder, allow_download=allow_download)
    first, _ = serve(name, available)
    second = second_family(name, available) if weight < 1 else None
    return made(first) if second is None else BlendedDepth(name, made(first), made(second), weight)
