"""Segmentation of words by CLIPSeg and of people by SegFormer, both run by transformers from local files."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from deforum_helpers.core.errors import MissingFeature, ModelError
from deforum_helpers.core.optional import require
from deforum_helpers.image.convert import standardized
from deforum_helpers.image.types import Image
from deforum_helpers.models import messages
from deforum_helpers.models.segmentation import WRITTEN, Purpose, missing_feature, model_folder

SEEN_PX = 512
PERSON = "person"


class Finder(Protocol):
    """Segments an image."""

    def find(self, image: Image, words: str) -> torch.Tensor:
        """Return where `words` are seen in `image`.

        Args:
            image: (3, H, W) float32 RGB, 0..1.
            words: what to segment; ignored by a finder of people.

        Returns:
            (H, W) float32 in 0..1 on the image's device.
        """
        ...


class WordFinder:
    """CLIPSeg: similarity of each pixel to the words, binarized at Otsu's threshold.

    Args:
        network: answers `logits` (1, h, w) to pixel_values (1, 3, 512, 512), input_ids and attention_mask.
        tokenizer: makes these of words.
    """

    def __init__(self, network: Any, tokenizer: Any) -> None:
        self._network = network
        self._tokenizer = tokenizer

    @torch.no_grad()
    def find(self, image: Image, words: str) -> torch.Tensor:
        """Return 1 where the words are seen, else 0: (H, W) float32."""
        tokens = self._tokenizer([words], return_tensors="pt", truncation=True, padding=True)
        answered = self._network(
            pixel_values=_seen(image),
            input_ids=tokens["input_ids"].to(image.device),
            attention_mask=tokens["attention_mask"].to(image.device),
        )
        likeness = torch.sigmoid(answered.logits.float()).reshape(1, 1, *answered.logits.shape[-2:])
        at_size = F.interpolate(likeness, image.shape[1:], mode="bicubic", align_corners=False)[0, 0]
        levels = (at_size.clamp(0, 1) * 255).to(torch.uint8).cpu().numpy()
        _, cut = cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        return torch.from_numpy(cut.astype(np.float32)).to(image.device)


class PeopleFinder:
    """SegFormer: the probability of a person at each pixel.

    Args:
        network: answers `logits` (1, labels, h, w) to pixel_values (1, 3, 512, 512).
        label: its label for a person.
    """

    def __init__(self, network: Any, label: int) -> None:
        self._network = network
        self._label = label

    @torch.no_grad()
    def find(self, image: Image, words: str = PERSON) -> torch.Tensor:
        """Return the probability of a person: (H, W) float32 in 0..1."""
        logits = self._network(pixel_values=_seen(image)).logits.float()
        at_size = F.interpolate(logits, image.shape[1:], mode="bilinear", align_corners=False)
        return at_size.softmax(1)[0, self._label].contiguous()


def _seen(image: Image) -> torch.Tensor:
    """Return an image as network input: (1, 3, 512, 512), standardized."""
    size = (SEEN_PX, SEEN_PX)
    return F.interpolate(standardized(image)[None], size, mode="bilinear", antialias=True)


def make_finder(purpose: Purpose, device: torch.device | str) -> Finder:
    """Return the model that serves a purpose, from the Hugging Face cache.

    Raises:
        MissingFeature: the model or its package is not on this machine.
        ModelError: the model is broken.
    """
    missing = missing_feature(purpose)
    folder = model_folder(purpose)
    if missing is not None or folder is None:
        raise MissingFeature(messages.SEGMENTATION_UNAVAILABLE(reason=missing))
    transformers = require("transformers", WRITTEN[purpose], "pip install transformers")
    from safetensors import SafetensorError  # comes with transformers

    kind = "CLIPSegForImageSegmentation" if purpose == "words" else "AutoModelForSemanticSegmentation"
    try:
        network = getattr(transformers, kind).from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
        network = network.to(device).eval()
        if purpose == "words":
            return WordFinder(
                network, transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            )
        labels = {str(name).casefold(): int(number) for number, name in network.config.id2label.items()}
        return PeopleFinder(network, labels[PERSON])
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            messages.SEGMENTATION_MODEL_BROKEN(feature=WRITTEN[purpose], folder=folder.name, reason=first)
        ) from error
