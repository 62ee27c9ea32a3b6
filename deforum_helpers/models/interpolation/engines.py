"""Engines of frame interpolation by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from deforum_helpers.core.errors import ModelError
from deforum_helpers.models import messages
from deforum_helpers.models.interpolation.base import Interpolator
from deforum_helpers.models.interpolation.film_network import load_film
from deforum_helpers.models.interpolation.flow_blend import MotionInterpolator
from deforum_helpers.models.interpolation.names import engine_name, film_file, missing_feature, rife_files
from deforum_helpers.models.interpolation.rife import RifeInterpolator
from deforum_helpers.models.weights.ncnn import Check, read_graph, unchecked


def make_interpolator(
    name: str, device: torch.device | str = "cpu", check: Check = unchecked
) -> Interpolator:
    """Return the engine that a setting names.

    Args:
        name: of `names.ENGINES`.
        device: where networks run.
        check: called between layers; an exception from it ends the run.

    Raises:
        UnknownName: no such engine.
        ModelError: its files are not on this machine, or broken.
    """
    makers: Mapping[str, Callable[[], Interpolator]] = {
        "RIFE v4.6": lambda: _rife(device, check),
        "FILM": lambda: _film(device, check),
        "Flow": MotionInterpolator,
    }
    return makers[engine_name(name).name]()


def _rife(device: torch.device | str, check: Check) -> Interpolator:
    files = rife_files()
    if files is None:
        raise ModelError(messages.INTERPOLATION_UNAVAILABLE(reason=missing_feature("RIFE v4.6")))
    return RifeInterpolator(read_graph(files, device, check), device)


def _film(device: torch.device | str, check: Check) -> Interpolator:
    file = film_file()
    if file is None:
        raise ModelError(messages.INTERPOLATION_UNAVAILABLE(reason=missing_feature("FILM")))
    return load_film(file, device, check)
