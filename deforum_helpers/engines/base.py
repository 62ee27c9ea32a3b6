"""The interface of engines: a request in, an image out; and the declaration of what an engine supports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol

from deforum_helpers.engines import messages

if TYPE_CHECKING:
    import torch

    from deforum_helpers.core.progress import CancelToken
    from deforum_helpers.image.types import Image


MaskContent = Literal["picture", "noise", "nothing"]
NoiseSource = Literal["new", "inverted"]


@dataclass(frozen=True)
class FreeU:
    """FreeU's four factors: backbone `b1`, `b2`, skip `s1`, `s2`."""

    b1: float
    b2: float
    s1: float
    s2: float


@dataclass(frozen=True)
class KohyaHRFix:
    """Kohya HRFix for large images: during a part of sampling, features are downscaled inside the U-Net.

    Args:
        block_number: the U-Net's input block at which features are downscaled, >= 1.
        downscale_factor: by how much, > 0.
        start, end: shares of sampling, 0..1, between which it acts.
        downscale_after_skip: whether the skip connection of that block keeps its full size.
        downscale_method, upscale_method: of `settings.tables.RESIZE_METHODS`.
    """

    block_number: int
    downscale_factor: float
    start: float
    end: float
    downscale_after_skip: bool
    downscale_method: str
    upscale_method: str


@dataclass(frozen=True)
class PromptBlend:
    """A second pair of prompts, whose embeddings and LoRA weights have `share` 0..1 in those of the request."""

    prompt: str
    negative_prompt: str
    share: float


@dataclass(frozen=True)
class Control:
    """The request of one ControlNet unit for one image; names and choices are those of the settings.

    Args:
        unit: number of the unit, 1..5, for messages.
        module: preprocessor that turns `image` into the control image; "none" leaves it unchanged.
        model: name or path of the ControlNet model.
        image: (3, h, w) float32 RGB 0..1 of any size, before the preprocessor.
        mask: (h, w) float32 0..1, 1 = steered, or None for everywhere.
        weight: how strongly the unit steers, 1 = fully.
        guidance_start, guidance_end: share of sampling, 0..1, between which it acts.
        control_mode, resize_mode: how prompt and unit share, and how `image` is fitted to the frame.
        low_vram, pixel_perfect, processor_res, threshold_a, threshold_b: as in the settings.
    """

    unit: int
    module: str
    model: str
    image: Image
    mask: torch.Tensor | None
    weight: float
    guidance_start: float
    guidance_end: float
    control_mode: str
    resize_mode: str
    low_vram: bool
    pixel_perfect: bool
    processor_res: int
    threshold_a: float
    threshold_b: float


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """All that one diffusion call depends on.

    Args:
        prompt: positive prompt in A1111 syntax.
        negative_prompt: negative prompt in A1111 syntax.
        width_px, height_px: size of the requested image; an engine pads to its multiple and crops.
        seed: noise seed, 0..2**64-1.
        steps: sampling steps of a full denoising, >= 1.
        cfg_scale: classifier-free guidance, 1 = none.
        sampler, scheduler: WebUI names; scheduler "Automatic" is the sampler's own.
        denoising_strength: 0..1, share of the noise schedule that is run; only read with an init image.
        init_image: (3, H, W) float32 RGB 0..1, or None for text to image.
        subseed, subseed_strength: second noise and its share 0..1.
        seed_resize_from_px: (width, height) whose noise is placed into this size, (0, 0) = off.
        distilled_cfg_scale: guidance that Flux-like models were distilled with.
        image_cfg_scale: guidance by the init image, of instruct-pix2pix models.
        clip_skip: layers of the text encoder left out at the end, 1 = none.
        noise_multiplier: scale of the init image's noise.
        eta: noise share of DDIM and ancestral samplers, None = the sampler's own.
        tiling: seamless borders.
        checkpoint, vae: model names, None = the engine's own.
        freeu: FreeU factors, None = off.
        mask: (H, W) float32 0..1 on the engine's device: where the init image is repainted; None = everywhere.
        blend: prompts that the request's own pass into, or None.
        mask_content: what the repainted area begins from beside its noise: the image, more noise, or nothing.
        controls: what the ControlNet units steer by, empty = none.
        kohya_hrfix: Kohya's fix for large images, None = off.
        noise_source: where an init image's noise comes from: the seed, or the image itself (see `inversion`).
        new_noise_share: 0..1, amplitude of the seed's noise on top of an image's own.
        autoencoder_correction: restore what the autoencoder loses of the init image in areas that stay unchanged.
        steps_ahead: about how many sampling steps the run still needs, with those of this image, for an engine that
            can prepare for them; 0 = unknown.
        restore_faces: let the host mend faces; only hosts that can are asked.
    """

    prompt: str
    negative_prompt: str
    width_px: int
    height_px: int
    seed: int
    steps: int
    cfg_scale: float
    sampler: str
    scheduler: str = "Automatic"
    denoising_strength: float = 1.0
    init_image: Image | None = None
    subseed: int = -1
    subseed_strength: float = 0.0
    seed_resize_from_px: tuple[int, int] = (0, 0)
    distilled_cfg_scale: float = 3.5
    image_cfg_scale: float = 1.5
    clip_skip: int = 1
    noise_multiplier: float = 1.0
    eta: float | None = None
    tiling: bool = False
    checkpoint: str | None = None
    vae: str | None = None
    freeu: FreeU | None = None
    mask: torch.Tensor | None = None
    mask_content: MaskContent = "picture"
    blend: PromptBlend | None = None
    controls: tuple[Control, ...] = ()
    kohya_hrfix: KohyaHRFix | None = None
    restore_faces: bool = False
    # Plans are digested by their repr: what the settings tell as well stays out of it, so that older runs go on.
    noise_source: NoiseSource = field(default="new", repr=False)
    new_noise_share: float = field(default=0.0, repr=False)
    autoencoder_correction: bool = field(default=False, repr=False)
    # Set when the request is sent; the image does not depend on it.
    steps_ahead: int = field(default=0, repr=False, compare=False)


class Engine(Protocol):
    """Turns requests into images; holds a model and nothing of a job."""

    name: str
    device: torch.device

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        """Return the image of `request`, (3, H, W) float32 RGB 0..1 on `device`.

        The same request gives the same image, whatever came before. Asks `cancel.check_cancel()` between two
        sampling steps.

        Raises:
            Cancelled: the token said so.
            OutOfMemory: the device's memory did not suffice.
            ModelError: a checkpoint, VAE or LoRA is missing or broken.
        """
        ...

    def resting(self) -> AbstractContextManager[None]:
        """Lend the engine's memory to other models inside the context."""
        ...

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        """Return what a person should know before `request` is rendered, as plain sentences."""
        ...


class SharedEngine(Engine, Protocol):
    """An engine that several jobs can use at the same time."""

    def place(self) -> AbstractContextManager[Engine]:
        """Return a context with the engine for one of the jobs, whose images may differ from a lone job's by rounding.

        Its methods may be called while other jobs call those of theirs.
        """
        ...


# What no engine of this program has; a WebUI does.
NO_FACES: Mapping[str, str] = MappingProxyType({"restore_faces": messages.NO_FACE_RESTORATION()})


def _no_words() -> tuple[str, ...]:
    return ()


def _no_request_warnings(checkpoint: str | None, requests: Iterable[GenerateRequest]) -> Iterator[str]:
    return iter(())


def _no_warnings(prompts: Sequence[str], starts: Sequence[int]) -> Iterator[str]:
    return iter(())


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What an engine can do, which settings it does not read, and what it must be warned of; asked by the checks.

    Args:
        lacks: setting that switches on a feature which the engine does not have -> why, as one sentence.
        unread: setting that has no effect with the engine -> why, as one sentence.
        checks_loras: whether the LoRAs that prompts call are looked up beside the checkpoint before a run. Others
            take no notice of the tags, or know the names themselves.
        own_controlnet: whether ControlNet units use the preprocessors of this program, and models beside the
            checkpoint. Others know the names themselves.
        no_controlnet: why ControlNet units cannot steer the engine, as a clause; empty where they can.
        generates: what the engine can generate, in one sentence; empty where it can generate anything.
        vocabulary: gives the words of prompts that name something to such an engine.
        prompt_warnings: yields what to know of the prompts, from the positive prompt of each frame and the frames
            at which prompts begin.
        request_warnings: yields what to know of requests before they are rendered, from the checkpoint and some of
            the requests.
    """

    lacks: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    checks_loras: bool = False
    own_controlnet: bool = False
    no_controlnet: str = ""
    generates: str = ""
    vocabulary: Callable[[], tuple[str, ...]] = _no_words
    prompt_warnings: Callable[[Sequence[str], Sequence[int]], Iterator[str]] = _no_warnings
    request_warnings: Callable[[str | None, Iterable[GenerateRequest]], Iterator[str]] = _no_request_warnings


@dataclass(frozen=True, kw_only=True)
class DeclaredEngine:
    """An engine before it is loaded.

    Args:
        name: in flags, health and resume states.
        title: what sentences call it.
        abilities: what it can do.
        make: loads it, from a checkpoint, whether it may be downloaded, and a device, None = the best there is; if it
            takes a checkpoint, also from `parts`, the components that replace the checkpoint's, `offload` and
            `precision`, of `memory.OFFLOAD_CHOICES` and `memory.PRECISION_CHOICES`. None for an engine that
            a host makes.
        takes_checkpoint: whether it generates with a checkpoint, and so needs one.
    """

    name: str
    title: str
    abilities: Abilities
    make: Callable[..., Engine] | None = None
    takes_checkpoint: bool = False
