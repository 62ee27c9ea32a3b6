"""Segmentation models, and whether they are on this machine; imports without torch."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from deforum_helpers.models import messages
from deforum_helpers.models.weights.files import hub_folder

Purpose = Literal["words", "people"]

# The first one on this machine is used.
HUB_IDS: dict[Purpose, tuple[str, ...]] = {
    "words": ("CIDAS/clipseg-rd64", "CIDAS/clipseg-rd64-refined"),
    "people": (
        "nvidia/segformer-b0-finetuned-ade-512-512",
        "nvidia/segformer-b2-finetuned-ade-512-512",
        "nvidia/segformer-b5-finetuned-ade-640-640",
    ),
}
WRITTEN: dict[Purpose, str] = {"words": "<words> in a mask", "people": "{human_mask}"}


def model_folder(purpose: Purpose) -> Path | None:
    """Return the folder of the model that serves a purpose, or None."""
    folders = (hub_folder(hub_id) for hub_id in HUB_IDS[purpose])
    return next((folder for folder in folders if folder is not None), None)


def missing_feature(purpose: Purpose) -> str | None:
    """Return why a purpose cannot be served here, with the command that fetches the model, or None."""
    if find_spec("transformers") is None:
        return messages.SEGMENTATION_NEEDS_TRANSFORMERS(feature=WRITTEN[purpose])
    if model_folder(purpose) is None:
        hub_id = HUB_IDS[purpose][0]
        return messages.SEGMENTATION_MODEL_MISSING(feature=WRITTEN[purpose], hub_id=hub_id)
    return None
