"""Recognition of models that are distilled to a few sampling steps; imports without torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class FewSteps:
    """How a distilled model is sampled.

    Args:
        title: what the method, or the model, is called.
        most: steps of a full denoising beyond which nothing is gained.
        cfg: what a CFG scale above 1 does: "harms" the image, is an "input" of the network, or is "unread".
    """

    title: str
    most: int
    cfg: Literal["harms", "input", "unread"] = "harms"


# A word in the name of a file or folder, as makers name their models. The first match decides.
_WORDS: tuple[tuple[str, FewSteps], ...] = (
    ("turbo", FewSteps("Turbo", 10)),
    ("lightning", FewSteps("Lightning", 8)),
    ("hyper", FewSteps("Hyper-SD", 8)),
    ("schnell", FewSteps("schnell", 8)),
    ("lcm", FewSteps("LCM", 12)),
)
# Here the word is about the style of the images.
_STYLE = re.compile(r"hyper[ _-]?real", re.IGNORECASE)


def few_steps_of(name: str, index: Mapping[str, Any]) -> FewSteps | None:
    """Return how a model is sampled that is distilled to a few steps, None for others.

    Args:
        name: of its file or folder, without suffix.
        index: the content of its model_index.json, empty for a file.
    """
    if index.get("_class_name") == "LatentConsistencyModelPipeline":
        return FewSteps("LCM", 12, cfg="input")
    if str(index.get("_class_name")).startswith("SanaSprint"):
        return FewSteps("Sprint", 8, cfg="input")
    if index.get("is_distilled") is True:
        return FewSteps("distilled", 8, cfg="unread")
    words = re.split(r"[^a-z]+", _STYLE.sub("", name).casefold())
    return next((kind for word, kind in _WORDS if word in words), None)
