"""One call of the host's own drawing, with the models, options and random numbers of a job and nobody else's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import torch

from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.errors import DeforumError, OutOfMemory, RenderError
from deforum_helpers.webui import messages
from deforum_helpers.webui.borrowed import borrowed_options
from deforum_helpers.webui.fields import host_options, make_processing
from deforum_helpers.webui.host_scripts import Faults, attached
from deforum_helpers.webui.randomness import seeded
from deforum_helpers.webui.selection import Selection
from deforum_helpers.webui.takings import takings

logger = logging.getLogger(__name__)


class ModelsExchanged(RenderError):
    """Another thread of the host loaded other models while it drew for us; the image is of no use."""

    retryable = True


def host_images(
    request: GenerateRequest, selection: Selection, options: Mapping[str, Any], faults: Faults
) -> list[Any] | None:
    """Return the host's images, none if it was stopped, or None where its model gave only NaN.

    Args:
        request: what to draw.
        selection: the job's models.
        options: of the host, as they were when the job began.
        faults: gets what goes wrong in the host's scripts; the host goes on without them.

    Raises:
        ModelsExchanged: other models were loaded meanwhile.
        RenderError: what went wrong, as one of ours.
    """
    from modules.processing import process_images

    is_img2img = request.init_image is not None
    try:
        with (
            selection.held(request.checkpoint, request.vae) as still_ours,
            borrowed_options({**options, **host_options(request)}),
            seeded(request.seed),
            closing(make_processing(request)) as processing,
            attached(processing, takings(request), faults, is_img2img=is_img2img),
        ):
            try:
                images: list[Any] = list(process_images(processing).images)
            except Exception as error:
                if not still_ours():
                    raise _exchanged() from error
                raise
            if not still_ours():
                raise _exchanged()
    except DeforumError:
        raise
    except Exception as error:
        if type(error).__name__ == "NansException":
            logger.warning("The WebUI's model returned NaN instead of an image: %s", error)
            return None
        raise_fault(faults)  # the error that follows from it says less
        if "meta tensor" in str(error) or "device meta" in str(
            error
        ):  # where hosts put models to delete them
            raise _exchanged() from error
        raise _as_ours(error) from error
    return images


def raise_fault(faults: Faults) -> None:
    """Let no image count in which a script of the host failed.

    Raises:
        RenderError: one did; of several faults the first one is the cause.
    """
    if faults.seen:
        title, error = faults.seen[0]
        raise _as_ours(error, title) from error


def _as_ours(error: Exception, part: str = "") -> RenderError:
    what = " ".join(str(error).split())[:300]
    no_memory = isinstance(error, torch.cuda.OutOfMemoryError) or "out of memory" in what.lower()
    if no_memory or "not enough memory" in what:
        return OutOfMemory(messages.OUT_OF_MEMORY())
    kind, reason = type(error).__name__, what or "its console says why"
    if part:
        return RenderError(messages.PART_FAILED(part=part, kind=kind, reason=reason))
    return RenderError(messages.GENERATION_FAILED(kind=kind, reason=reason))


def _exchanged() -> ModelsExchanged:
    return ModelsExchanged(messages.CHECKPOINT_REPLACED())
