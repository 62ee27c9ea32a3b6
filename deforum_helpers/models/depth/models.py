"""Depth models by family: the flat plane, the built-in network, and those of transformers.

| family         | sees                                                    | answers                         |
|----------------|---------------------------------------------------------|---------------------------------|
| midas          | 384x384 px, mean 0.5, deviation 0.5                     | inverse depth, larger = nearer  |
| midas-beit     | near 512 px, multiples of 32, the same colours          | inverse depth, larger = nearer  |
| zoe            | near 384x512 px, the same; mirrored edges, both ways    | metres, larger = farther        |
| depth-anything | near 518 px, multiples of 14, ImageNet mean, deviation  | inverse depth, larger = nearer  |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from safetensors import SafetensorError

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.optional import require
from deforum_helpers.core.registry import choose
from deforum_helpers.engines import demo
from deforum_helpers.engines.demo.depth_net import load_depth_net, predict
from deforum_helpers.image.convert import IMAGENET_DEVIATION, IMAGENET_MEAN, Triple, standardized
from deforum_helpers.image.types import Image
from deforum_helpers.models import messages
from deforum_helpers.models.depth import HUB_IDS, local_folder
from deforum_helpers.models.devices import channels_last, network_dtype
from deforum_helpers.models.graphs import recorded


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
        family: of `FAMILIES`.
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
        # in float32 on a GPU too: so small a network is bound by its launches, which a graph saves
        place = torch.device(device)
        self._net = recorded(load_depth_net(WEIGHTS).to(place), place)

    def answer(self, image: Image) -> torch.Tensor:
        """Return log-depth, (H, W) float32; log-depth rather than metres, so that near and far get bins alike."""
        # the sky is about 0.995; its faint unevenness would be stretched over half the range when it is equalised
        return predict(self._net, image).clamp(0, SKY)


CPU = torch.device("cpu")
HALF: Triple = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Convention:
    """How the input of a family is prepared and its output is read.

    Args:
        height_px, width_px: size near which it was trained.
        multiple_px: its sides are multiples of this.
        mean, deviation: by which colours are standardized.
        metric: metres and larger = farther, else inverse depth and larger = nearer.
        square: whether images are resized to a square, the only shape of transformers' plain DPT.
        both_ways: whether the output is averaged with that of the mirrored image, with reflected padding.
    """

    height_px: int
    width_px: int
    multiple_px: int
    mean: Triple = HALF
    deviation: Triple = HALF
    metric: bool = False
    square: bool = False
    both_ways: bool = False


_DEPTH_ANYTHING = Convention(518, 518, 14, IMAGENET_MEAN, IMAGENET_DEVIATION)
CONVENTIONS: Mapping[str, Convention] = {
    "midas": Convention(384, 384, 32, square=True),
    "midas-beit": Convention(512, 512, 32),
    "zoe": Convention(384, 512, 32, metric=True, both_ways=True),
    "depth-anything-small": _DEPTH_ANYTHING,
    "depth-anything-base": _DEPTH_ANYTHING,
    "depth-anything-large": _DEPTH_ANYTHING,
}


def load_model(
    family: str,
    device: torch.device | str,
    models_folder: Path | None = None,
    *,
    allow_download: bool = False,
) -> TransformersModel:
    """Return the model of a family, from `models_folder`, the Hugging Face cache or, if allowed, the hub.

    Args:
        family: of `CONVENTIONS`.
        device: where it runs; half precision on CUDA.
        models_folder: a folder with model folders, or None.
        allow_download: whether the hub may be asked.

    Raises:
        ModelError: the weights are not on this machine, or broken.
        MissingFeature: transformers is not installed.
    """
    transformers = require("transformers", f"The depth model {family}", "pip install transformers")
    source = local_folder(family, models_folder) or HUB_IDS[family]
    place = torch.device(device)
    # not bfloat16, whose eight bits would show as steps in the depth
    dtype = network_dtype(place, torch.float16)
    try:
        network = transformers.AutoModelForDepthEstimation.from_pretrained(
            source, local_files_only=not allow_download, use_safetensors=True, dtype=dtype
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            messages.DEPTH_MODEL_BROKEN(family=family, source=source, reason=first_line)
        ) from error
    return TransformersModel(CONVENTIONS[family], channels_last(network, place).eval(), place)


class TransformersModel:
    """A depth network of transformers.

    Args:
        convention: of its family.
        network: in eval mode, on `device`; called with pixel_values, answers predicted_depth (B, h, w).
        device: where it runs, on CUDA as a graph.
    """

    def __init__(self, convention: Convention, network: Any, device: torch.device = CPU) -> None:
        def predicted_depth(pixels: torch.Tensor) -> torch.Tensor:
            depth: torch.Tensor = network(pixel_values=pixels).predicted_depth
            return depth

        self.far_is_large = convention.metric
        self.metric = convention.metric
        self._convention = convention
        self._dtype = network.dtype
        self._depth = recorded(predicted_depth, device)

    @torch.no_grad()
    def answer(self, image: Image) -> torch.Tensor:
        """Return (H, W) float32: metres, or inverse depth.

        Args:
            image: (3, H, W) float32 RGB, 0..1.
        """
        if not self._convention.both_ways:
            return self._predicted(image)
        height_px, width_px = image.shape[1:]
        down, across = (min(round(3 * (side / 2) ** 0.5), side - 1) for side in (height_px, width_px))
        padded = F.pad(image[None], (across, across, down, down), mode="reflect")[0]
        both = (self._predicted(padded) + self._predicted(padded.flip(2)).flip(1)) / 2
        return both[down : down + height_px, across : across + width_px]

    def _predicted(self, image: Image) -> torch.Tensor:
        seen = F.interpolate(
            image[None],
            seen_size(image, self._convention),
            mode="bicubic",
            antialias=True,
            align_corners=False,
        )
        pixels = standardized(seen.clamp(0, 1), self._convention.mean, self._convention.deviation)
        predicted = self._depth(pixels.to(self._dtype)).float()
        return F.interpolate(predicted[:, None], image.shape[1:], mode="bicubic", align_corners=False)[0, 0]


def seen_size(image: Image, convention: Convention) -> tuple[int, int]:
    """Return the (height, width) of a network's input: of the two scales to its size, the one nearer to 1 is used.

    An image of 512x768 pixels (height x width) becomes 512x768 for "midas-beit", 384x576 for "zoe".

    Args:
        image: (3, H, W).
        convention: of the network.
    """
    height_px, width_px = image.shape[1:]
    if convention.square:
        return convention.height_px, convention.width_px
    down, across = convention.height_px / height_px, convention.width_px / width_px
    scale = across if abs(1 - across) < abs(1 - down) else down
    multiple = convention.multiple_px
    return (
        max(multiple, round(height_px * scale / multiple) * multiple),
        max(multiple, round(width_px * scale / multiple) * multiple),
    )
