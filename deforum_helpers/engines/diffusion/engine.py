"""The diffusion engine: a request in, an image out; equal requests give equal bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from deforum_helpers.core.errors import OutOfMemory
from deforum_helpers.core.files.regular import is_regular
from deforum_helpers.engines import messages
from deforum_helpers.engines.base import FreeU, GenerateRequest
from deforum_helpers.engines.diffusion import NAME
from deforum_helpers.engines.diffusion.autoencoder import Canvas, autoencoder_of, without_autoencoder_loss
from deforum_helpers.engines.diffusion.conditioned import ConditionedNetwork, WeightedPrompts
from deforum_helpers.engines.diffusion.controlnet import ControlUnits
from deforum_helpers.engines.diffusion.deep_shrink import hrfix_applied
from deforum_helpers.engines.diffusion.inpainting import KeptArea, latent_mask, repaint_start
from deforum_helpers.engines.diffusion.language_text import has_attention
from deforum_helpers.engines.diffusion.loading import LoadedModel, has_fast_bfloat16, load_model
from deforum_helpers.engines.diffusion.lockstep import Lockstep, Place, PlacedEngine
from deforum_helpers.engines.diffusion.lora import apply_loras
from deforum_helpers.engines.diffusion.noise import blended_noise, inverted_noise, rising_levels, seeded_noise
from deforum_helpers.engines.diffusion.sampling import Denoiser, NoiseModel, Sampling, plan_sampling
from deforum_helpers.engines.diffusion.vaes import load_vae
from deforum_helpers.engines.names import names_scheduler, split_sampler
from deforum_helpers.models.weights.checkpoints import (
    LANGUAGE_MODELS,
    LORA_FOLDER,
    TITLES,
    TRANSFORMERS,
    Checkpoint,
    describe_checkpoint,
    folders_beside,
    vae_files,
)
from deforum_helpers.samplers import SAMPLERS


@contextmanager
def freeu_applied(network: Any, freeu: FreeU | None) -> Iterator[None]:
    """Run the network with FreeU inside; networks that are not UNets are left alone."""
    if freeu is None or not hasattr(network, "enable_freeu"):
        yield
        return
    network.enable_freeu(s1=freeu.s1, s2=freeu.s2, b1=freeu.b1, b2=freeu.b2)
    try:
        yield
    finally:
        network.disable_freeu()


@contextmanager
def tiling_applied(modules: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Pad every convolution with the opposite border inside the context, so that the image tiles seamlessly."""
    changed = [
        layer
        for module in modules
        for layer in module.modules()
        if isinstance(layer, torch.nn.Conv2d) and layer.padding_mode == "zeros"
    ]
    for layer in changed:
        layer.padding_mode = "circular"
    try:
        yield
    finally:
        for layer in changed:
            layer.padding_mode = "zeros"


if TYPE_CHECKING:
    from deforum_helpers.core.progress import CancelToken
    from deforum_helpers.image.types import Image


class DiffusionEngine:
    """Generates with a Stable Diffusion or Flux model, which is loaded for the first request.

    Args:
        checkpoint: a diffusers folder, a `.safetensors` file or a hub id.
        allow_download: whether the hub may be asked.
        device: "cpu", "cuda", ...; None takes CUDA where there is one.
        latent_multiple: see `families.StableDiffusion`.
        fast_autoencoder: whether the checkpoint's own VAE is exact enough in bfloat16, where a CPU has that.

    Raises:
        ModelError: the checkpoint cannot be used.
    """

    name = NAME

    def __init__(
        self,
        checkpoint: str,
        *,
        allow_download: bool = False,
        device: str | None = None,
        latent_multiple: int = 1,
        fast_autoencoder: bool = False,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._checkpoint = checkpoint
        self._lora_folders = folders_beside(checkpoint, LORA_FOLDER)
        self._allow_download = allow_download
        self._latent_multiple = latent_multiple
        self._fast_autoencoder = fast_autoencoder
        self._described: dict[str, Checkpoint] = {checkpoint: describe_checkpoint(checkpoint, allow_download)}
        self._loaded: tuple[tuple[str, str | None], LoadedModel] | None = None
        self._controls = ControlUnits(self.device)
        self._lockstep = Lockstep()

    def generate(self, request: GenerateRequest, cancel: CancelToken, place: Place | None = None) -> Image:
        """Return the image of `request`; see `Engine.generate`.

        `place` is that of one of several jobs that use the engine at the same time, or None for the only one.
        """
        cancel.check_cancel()
        with _memory_errors_named(request), torch.no_grad():
            return self._generated(request, cancel, place)

    @contextmanager
    def place(self) -> Iterator[PlacedEngine]:
        """Yield this engine for one of several jobs; see `SharedEngine`."""
        with self._lockstep.place() as place:
            yield PlacedEngine(self, place)

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        """Return warnings about settings of `request` that have no effect here."""
        checkpoint = self._describe(request.checkpoint)
        transformer = checkpoint.kind in TRANSFORMERS
        sampler, _ = split_sampler(request.sampler, request.scheduler)
        found: list[str] = []
        if request.eta is not None and SAMPLERS[sampler].eta is None:
            found.append(messages.ETA_UNUSED(sampler=sampler, eta=request.eta))
        if request.noise_source == "inverted" and SAMPLERS[sampler].kind == "consistency":
            found.append(messages.INVERSION_OVERWRITTEN(sampler=sampler))
        if transformer and request.tiling:
            found.append(messages.TILING_UNUSED())
        if transformer and request.freeu is not None:
            found.append(messages.FREEU_UNUSED())
        if transformer and request.kohya_hrfix is not None:
            found.append(messages.HRFIX_UNUSED())
        if checkpoint.kind in LANGUAGE_MODELS and has_attention(request.prompt):
            found.append(messages.ATTENTION_UNUSED(family=TITLES[checkpoint.kind]))
        found += _few_steps_warnings(checkpoint, request)
        return tuple(found)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Move the model to main memory inside; on the CPU it stays where it is."""
        model = None if self._loaded is None else self._loaded[1]
        if model is None or self.device.type == "cpu":
            yield
            return
        model.to(torch.device("cpu"))
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            yield
        finally:
            model.to(self.device)

    def _generated(self, request: GenerateRequest, cancel: CancelToken, place: Place | None) -> Image:
        positive = WeightedPrompts.read(request.prompt, request.blend, "prompt")
        negative = WeightedPrompts.read(request.negative_prompt, request.blend, "negative_prompt")
        loras = (*positive.loras, *negative.loras)

        def prepared() -> LoadedModel:
            model = self._model(request.checkpoint, request.vae)
            apply_loras(model, loras, self._lora_folders)
            return model

        with ExitStack() as stack:
            if place is None:
                model = prepared()
            else:
                key = None if _changes_network(request) else (request.checkpoint, request.vae, loras)
                model = stack.enter_context(place.model(key, prepared, cancel))
            canvas = self._canvas(model, request)
            units = stack.enter_context(self._controls.ready(model, request, canvas, self._checkpoint))
            network = ConditionedNetwork(model, request, positive, negative, units)
            stack.enter_context(freeu_applied(model.network, request.freeu))
            stack.enter_context(hrfix_applied(model.network, request.kohya_hrfix))
            if request.tiling:
                stack.enter_context(tiling_applied(model.modules()))
            init_image = None if request.init_image is None else request.init_image.to(self.device)
            init = None if init_image is None else model.autoencoder.encode(canvas.padded(init_image))
            image = canvas.cropped(model.autoencoder.decode(self._sample(network, init, cancel)))
            if init_image is None or init is None or not request.autoencoder_correction:
                return image
            return without_autoencoder_loss(image, init_image, canvas.cropped(model.autoencoder.decode(init)))

    def _sample(
        self, network: ConditionedNetwork, init: torch.Tensor | None, cancel: CancelToken
    ) -> torch.Tensor:
        latents, sampling, generator, kept = self._start(network, init, cancel)

        def guided(shown: torch.Tensor, time: float, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
            cancel.check_cancel()
            step = sampling.step_at(sigma)
            return network.guided(shown, self._timestep(time), step, sampling.steps, sampling.cfg_factor)

        def noise() -> torch.Tensor:
            return torch.randn(latents.shape, generator=generator).to(self.device)

        return sampling.run(guided, latents, noise, kept)

    def _start(
        self, network: ConditionedNetwork, init: torch.Tensor | None, cancel: CancelToken
    ) -> tuple[torch.Tensor, Sampling, torch.Generator, KeptArea | None]:
        """Return the starting latents, the planned run, the generator of further noise, and the area to keep."""
        model, request = network.model, network.request
        canvas = self._canvas(model, request)
        width, height = (side // model.autoencoder.factor for side in canvas.generated_px)
        noise, generator = seeded_noise(
            (model.autoencoder.channels, height, width),
            request.seed,
            subseed=request.subseed,
            subseed_strength=request.subseed_strength,
            resize_from=self._latent_size(model, request.seed_resize_from_px),
        )
        noise = noise.unsqueeze(0).to(self.device)
        strength = None if init is None else request.denoising_strength
        noise_model = model.family.noise_model((height, width), request.steps)
        inverts = init is not None and request.noise_source == "inverted"
        sampling = plan_sampling(
            noise_model,
            request.sampler,
            self._scheduler(model, request),
            request.steps,
            strength,
            request.eta,
            deterministic=inverts,
        )
        if init is None:
            return sampling.start(noise, None), sampling, generator, None
        mask = None
        if request.mask is not None:
            mask = latent_mask(canvas.padded(request.mask.to(self.device)[None]), (height, width))
        if inverts:
            found = self._invert(network, init, sampling, noise_model, cancel)
            noise = blended_noise(found, noise, request.new_noise_share, mask, request.mask_content)
        kept = None
        if mask is not None:
            kept = KeptArea(init, mask)
            init = repaint_start(init, mask, noise, request.mask_content)
        return sampling.start(noise * request.noise_multiplier, init), sampling, generator, kept

    def _invert(
        self,
        network: ConditionedNetwork,
        init: torch.Tensor,
        sampling: Sampling,
        noise_model: NoiseModel,
        cancel: CancelToken,
    ) -> torch.Tensor:
        """Return the inverted noise of the init image; prompts and units act at the same levels as in sampling."""

        def unguided(shown: torch.Tensor, time: float, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
            cancel.check_cancel()
            output = network.unguided(shown, self._timestep(time), sampling.step_at(sigma), sampling.steps)
            return output, output

        levels = rising_levels(sampling.first_sigma, sampling.steps)
        return inverted_noise(init, levels, Denoiser(noise_model, unguided))

    def _scheduler(self, model: LoadedModel, request: GenerateRequest) -> str:
        """Return the request's scheduler, or its model's own where the request leaves it open."""
        own = model.family.automatic_scheduler
        return (
            request.scheduler if own is None or names_scheduler(request.sampler, request.scheduler) else own
        )

    def _timestep(self, time: float) -> torch.Tensor:
        """Return the time as a tensor; a fill, unlike a copy, does not wait for the GPU."""
        return torch.full((), time, device=self.device)

    def _canvas(self, model: LoadedModel, request: GenerateRequest) -> Canvas:
        multiple = model.autoencoder.factor * model.family.latent_multiple
        return Canvas(request.width_px, request.height_px, multiple)

    def _latent_size(self, model: LoadedModel, size_px: tuple[int, int]) -> tuple[int, int] | None:
        """Return a size in latent cells, (height, width), or None if a side is 0."""
        width, height = (side // model.autoencoder.factor for side in size_px)
        return (height, width) if width > 0 and height > 0 else None

    def _model(self, checkpoint: str | None, vae: str | None) -> LoadedModel:
        """Return the requested model. The previous one is released first, so that two never share the memory."""
        described = self._describe(checkpoint)
        key = (described.location, vae)
        if self._loaded is not None and self._loaded[0] == key:
            return self._loaded[1]
        self._loaded = None
        model = load_model(
            described,
            self.device,
            allow_download=self._allow_download,
            latent_multiple=self._latent_multiple,
        )
        if vae is not None:
            path = vae_files(self._checkpoint).get(vae, Path(vae).expanduser())
            model.autoencoder = autoencoder_of(load_vae(path, model.autoencoder.vae, self.device))
        elif checkpoint is None and self._fast_autoencoder and has_fast_bfloat16(self.device):
            model.autoencoder.vae.bfloat16()  # unlike `to`, logs no warning
        self._loaded = (key, model)
        return model

    def _describe(self, checkpoint: str | None) -> Checkpoint:
        name = self._checkpoint if checkpoint is None else self._located(checkpoint)
        if name not in self._described:
            self._described[name] = describe_checkpoint(name, self._allow_download)
        return self._described[name]

    def _located(self, checkpoint: str) -> str:
        """Resolve a scheduled checkpoint, which may name a file beside the engine's own, with or without suffix."""
        folder = Path(self._checkpoint).expanduser().parent
        for candidate in (folder / checkpoint, folder / f"{checkpoint}.safetensors"):
            if candidate.is_dir() or is_regular(candidate):
                return str(candidate)
        return checkpoint


def _changes_network(request: GenerateRequest) -> bool:
    """Tell whether the network's layers or inputs differ during this image."""
    changes = (request.freeu, request.kohya_hrfix)
    return request.tiling or bool(request.controls) or any(change is not None for change in changes)


def _few_steps_warnings(checkpoint: Checkpoint, request: GenerateRequest) -> Iterator[str]:
    """Yield what to know of a request to a model that is distilled to a few steps."""
    few = checkpoint.few_steps
    if few is None:
        return
    facts = {"name": Path(checkpoint.location).name, "kind": few.title}
    if few.cfg == "unread" and request.cfg_scale != 1:
        yield messages.GUIDANCE_DISTILLED(**facts)
    if few.cfg == "harms" and request.cfg_scale > 2:
        yield messages.FEW_STEPS_CFG(**facts, found=request.cfg_scale)
    if request.steps > few.most:
        yield messages.FEW_STEPS_COUNT(**facts, found=request.steps, most=few.most)


@contextmanager
def _memory_errors_named(request: GenerateRequest) -> Iterator[None]:
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise _out_of_memory(request) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise _out_of_memory(request) from error


def _out_of_memory(request: GenerateRequest) -> OutOfMemory:
    return OutOfMemory(messages.OUT_OF_MEMORY(width_px=request.width_px, height_px=request.height_px))
