"""The look that key frames are held to: that of images which the engine generates from the prompts alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.render.requests import plan_request
from deforum_helpers.render.script import Script
from deforum_helpers.render.transitions import Transition
from deforum_helpers.schedule import KeySeeds
from deforum_helpers.settings.modes import is_moved


@dataclass(frozen=True)
class Stability:
    """How a key frame is held to a look.

    Args:
        share: how far, above 0 to 1.
        reference: asks for the image whose look it is.
        former: the same for the prompt before, while one scene turns into the next; else None.
        passed: how far it has turned, 0..1.
    """

    share: float
    reference: GenerateRequest
    former: GenerateRequest | None = None
    passed: float = 1.0

    @property
    def requests(self) -> tuple[GenerateRequest, ...]:
        return (self.reference,) if self.former is None else (self.reference, self.former)


def plan_stability(
    script: Script, index: int, seeds: KeySeeds, change: Transition | None
) -> Stability | None:
    """Return how the key frame `index` is held to a look; None = not at all.

    Args:
        script: the video as it was read.
        index: frame number; the first is generated as its own reference.
        seeds: of the key frame.
        change: of prompts, that the frame lies in, or None.
    """
    share = float(script.schedules.values["stability_schedule"][index])
    if index == 0 or share <= 0 or not is_moved(script.settings):
        return None
    if change is None or change.kind != "morph":
        return Stability(min(share, 1.0), _reference(script, index, seeds))
    new, old = (_reference(script, frame, seeds) for frame in (change.new, change.old))
    return Stability(min(share, 1.0), new, old, change.share)


def _reference(script: Script, frame: int, seeds: KeySeeds) -> GenerateRequest:
    """Return the request for one image for each prompt, whatever else changes while it holds.

    Args:
        script: the video as it was read.
        frame: at which the prompt holds.
        seeds: of any key frame; they do not count.
    """
    begun, _ = script.prompts.around(frame)
    at = {name: float(values[begun]) for name, values in script.schedules.values.items()}
    return replace(
        plan_request(script, begun, at, seeds),
        seed=max(script.settings.seed, 0),
        denoising_strength=1.0,
        blend=None,
        noise_source="new",
        new_noise_share=0.0,
        autoencoder_correction=False,
    )
