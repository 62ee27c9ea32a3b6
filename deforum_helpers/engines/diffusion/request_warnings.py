"""What to know of requests to a checkpoint before they are rendered; imports without torch, so that checks ask it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from deforum_helpers.core.errors import ModelError
from deforum_helpers.engines import messages
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.diffusion.prompt_syntax import has_attention, parse_prompt
from deforum_helpers.engines.names import split_sampler
from deforum_helpers.models.weights.checkpoints import (
    DISTILLED_GUIDANCE,
    LANGUAGE_MODELS,
    TITLES,
    TRANSFORMERS,
    WITHOUT_LORAS,
    Checkpoint,
    checkpoint_named,
    describe_checkpoint,
)
from deforum_helpers.samplers import SAMPLERS

# Above it guidance oversaturates where the model was distilled with guidance.
MOST_CFG = 2.0


def warnings_of_requests(checkpoint: str | None, requests: Iterable[GenerateRequest]) -> Iterator[str]:
    """Yield what to know of `requests` to an engine with `checkpoint`; of unknown checkpoints nothing is known."""
    described: dict[str | None, Checkpoint | None] = {}
    for request in requests:
        if request.checkpoint not in described:
            described[request.checkpoint] = _described(checkpoint, request.checkpoint)
        found = described[request.checkpoint]
        if found is not None:
            yield from request_warnings(found, request)


def _described(own: str | None, scheduled: str | None) -> Checkpoint | None:
    if own is None:
        return None
    try:
        return describe_checkpoint(checkpoint_named(own, scheduled), allow_download=True)
    except ModelError:  # reported where the checkpoint itself is checked
        return None


def request_warnings(checkpoint: Checkpoint, request: GenerateRequest) -> Iterator[str]:
    """Yield what to know of `request`: settings without effect on `checkpoint`, and such as harm its images."""
    sampler, _ = split_sampler(request.sampler, request.scheduler)
    if request.eta is not None and SAMPLERS[sampler].eta is None:
        yield messages.ETA_UNUSED(sampler=sampler, eta=request.eta)
    if request.noise_source == "inverted" and SAMPLERS[sampler].kind == "consistency":
        yield messages.INVERSION_OVERWRITTEN(sampler=sampler)
    kind = checkpoint.kind
    if kind is None:
        return
    if kind in TRANSFORMERS:
        if request.tiling:
            yield messages.TILING_UNUSED()
        if request.freeu is not None:
            yield messages.FREEU_UNUSED()
        if request.kohya_hrfix is not None:
            yield messages.HRFIX_UNUSED()
    if kind in LANGUAGE_MODELS and has_attention(request.prompt):
        yield messages.ATTENTION_UNUSED(family=TITLES[kind])
    if kind in WITHOUT_LORAS and any(
        parse_prompt(text).loras for text in (request.prompt, request.negative_prompt)
    ):
        yield messages.LORAS_UNUSED(family=TITLES[kind])
    if kind in DISTILLED_GUIDANCE and request.cfg_scale > MOST_CFG:
        yield messages.GUIDANCE_TWICE(family=TITLES[kind], found=request.cfg_scale)
    yield from _few_steps_warnings(checkpoint, request, sampler)


def _few_steps_warnings(checkpoint: Checkpoint, request: GenerateRequest, sampler: str) -> Iterator[str]:
    """Yield what to know of a request to a model that is distilled to a few steps."""
    few = checkpoint.few_steps
    if few is None:
        return
    facts = {"name": Path(checkpoint.location).name, "kind": few.title}
    if few.cfg == "unread" and request.cfg_scale != 1:
        yield messages.GUIDANCE_DISTILLED(**facts)
    if few.cfg == "harms" and request.cfg_scale > MOST_CFG:
        yield messages.FEW_STEPS_CFG(**facts, found=request.cfg_scale)
    if request.steps > few.most:
        yield messages.FEW_STEPS_COUNT(**facts, found=request.steps, most=few.most)
    if few.sampler not in (None, sampler):
        yield messages.FEW_STEPS_SAMPLER(**facts, found=sampler, expected=few.sampler)
