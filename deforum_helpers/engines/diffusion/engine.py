"""The diffusion engine: a request in, an image out; equal requests give equal bits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch

from deforum_helpers.core.errors import OutOfMemory
from deforum_helpers.core.registry import choose
from deforum_helpers.engines import messages
from deforum_helpers.engines.base import FreeU, GenerateRequest
from deforum_helpers.engines.diffusion import NAME
from deforum_helpers.engines.diffusion.acceleration import accelerator_for
from deforum_helpers.engines.diffusion.autoencoder import (
    Canvas,
    autoencoder_of,
    set_tiles,
    without_autoencoder_loss,
)
from deforum_helpers.engines.diffusion.conditioned import ConditionedNetwork, WeightedPrompts
from deforum_helpers.engines.diffusion.controlnet import ControlUnits
from deforum_helpers.engines.diffusion.deep_shrink import hrfix_applied
from deforum_helpers.engines.diffusion.inpainting import KeptArea, latent_mask, repaint_start
from deforum_helpers.engines.diffusion.loading import LoadedModel, has_fast_bfloat16, load_model
from deforum_helpers.engines.diffusion.lockstep import Lockstep, Place, PlacedEngine
from deforum_helpers.engines.diffusion.lora import apply_loras
from deforum_helpers.engines.diffusion.noise import (
    blended_noise,
    inverted_noise,
    longest_cells,
    rising_levels,
    seeded_noise,
)
from deforum_helpers.engines.diffusion.request_warnings import request_warnings
from deforum_helpers.engines.diffusion.residency import Residency, Role, memory_needs
from deforum_helpers.engines.diffusion.sampling import (
    Denoiser,
    NoiseModel,
    Outputs,
    Sampling,
    plan_sampling,
)
from deforum_helpers.engines.diffusion.vaes import load_vae
from deforum_helpers.engines.memory import (
    AUTO,
    MODES,
    OFFLOAD_CHOICES,
    PRECISION_CHOICES,
    PRECISIONS,
    MemoryNeeds,
    MemoryPlan,
    OffloadMode,
    Precision,
    fitting_precision,
    lower_plan,
    plan_memory,
)
from deforum_helpers.engines.names import names_scheduler
from deforum_helpers.image.transfers import to_device
from deforum_helpers.models.devices import DeviceMemory, best_device, device_memory, is_out_of_memory
from deforum_helpers.models.weights.checkpoints import (
    LORA_FOLDER,
    NO_PARTS,
    WITHOUT_LORAS,
    Checkpoint,
    ModelParts,
    checkpoint_named,
    describe_checkpoint,
    folders_beside,
    scheduled_checkpoint,
    vae_files,
)

_log = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class _Start:
    """What sampling begins with.

    Args:
        latents: (1, C, h, w) at the first noise level.
        sampling: the planned run.
        generator: of further noise.
        kept: area to keep, or None.
        longest: (1, 1, h, w) lengths that guidance does not exceed, or None.
    """

    latents: torch.Tensor
    sampling: Sampling
    generator: torch.Generator
    kept: KeptArea | None = None
    longest: torch.Tensor | None = None


class DiffusionEngine:
    """Generates with a Stable Diffusion or Flux model, which is loaded for the first request.

    Args:
        checkpoint: a diffusers folder, a `.safetensors` or GGUF file, or a hub id.
        allow_download: whether the hub may be asked.
        device: "cpu", "cuda", ...; None takes the best one.
        offload: one of `OFFLOAD_CHOICES`.
        precision: one of `PRECISION_CHOICES`.
        latent_multiple: see `families.StableDiffusion`.
        lean_on_cpu: whether a CPU computes the checkpoint with `cpu_layers`, which are exact enough for it.
        parts: components that replace the checkpoint's own, or complete it.
        memory: returns the memory of a device, None = not limited.

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
        offload: str = AUTO,
        precision: str = AUTO,
        latent_multiple: int = 1,
        lean_on_cpu: bool = False,
        parts: ModelParts = NO_PARTS,
        memory: Callable[[torch.device], DeviceMemory | None] = device_memory,
    ) -> None:
        self.device = torch.device(device) if device else best_device()
        choose(dict.fromkeys(OFFLOAD_CHOICES), offload, "offload mode")
        self._mode: OffloadMode | None = next((mode for mode in MODES if mode == offload), None)
        choose(dict.fromkeys(PRECISION_CHOICES), precision, "precision")
        self._precision: Precision | None = next((one for one in PRECISIONS if one == precision), None)
        self._memory = memory
        self._checkpoint = checkpoint
        self._lora_folders = folders_beside(checkpoint, LORA_FOLDER)
        self._allow_download = allow_download
        self._latent_multiple = latent_multiple
        self._lean_on_cpu = lean_on_cpu and self.device.type == "cpu"
        self._parts = parts
        described = describe_checkpoint(checkpoint, allow_download, parts)
        self._described: dict[str, Checkpoint] = {checkpoint: described}
        self._loaded: tuple[tuple[str, str | None], LoadedModel] | None = None
        self._controls = ControlUnits(self.device)
        self._accelerator = accelerator_for(self.device)
        self._lockstep = Lockstep()
        self._fitting: dict[object, Precision] = {}
        self._notes: tuple[str, ...] = ()

    @property
    def memory_plan(self) -> MemoryPlan | None:
        """Where the parts of the loaded model are kept; None before the first image."""
        residency = None if self._loaded is None else self._loaded[1].residency
        return None if residency is None else residency.plan

    @property
    def memory_notes(self) -> tuple[str, ...]:
        """What a person should know of the memory, as plain sentences, the newest last."""
        return self._notes

    def generate(self, request: GenerateRequest, cancel: CancelToken, place: Place | None = None) -> Image:
        """Return the image of `request`; see `Engine.generate`.

        Where memory runs out, the image is generated once more with the next lower plan.

        `place` is that of one of several jobs that use the engine at the same time, or None for the only one.
        """
        cancel.check_cancel()
        with torch.no_grad():
            try:
                return self._generated(request, cancel, place)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                # What other jobs are using stays where it is.
                lower = self._lower_plan() if place is None else None
                if lower is None:
                    raise _out_of_memory(request) from error
            # Outside the handler: its traceback would keep the failed attempt's tensors on the device.
            self._step_down(lower)
            try:
                return self._generated(request, cancel, place)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                raise _out_of_memory(request) from error

    @contextmanager
    def place(self) -> Iterator[PlacedEngine]:
        """Yield this engine for one of several jobs; see `SharedEngine`."""
        with self._lockstep.place() as place:
            yield PlacedEngine(self, place)

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        """Return what a person should know before `request` is rendered; see `request_warnings`."""
        return tuple(request_warnings(self._describe(request.checkpoint), request))

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Move the model to main memory inside; on the CPU it stays where it is."""
        model = None if self._loaded is None else self._loaded[1]
        if model is not None and model.residency is not None:
            if self._accelerator is not None:
                self._accelerator.forget()
            model.residency.leave()
        yield

    def _generated(self, request: GenerateRequest, cancel: CancelToken, place: Place | None) -> Image:
        positive = WeightedPrompts.read(request.prompt, request.blend, "prompt")
        negative = WeightedPrompts.read(request.negative_prompt, request.blend, "negative_prompt")
        loras = (*positive.loras, *negative.loras)

        def prepared() -> LoadedModel:
            model = self._model_for(request)
            plan = self._residency(model, self._canvas(model, request)).plan
            # Tiles of the VAE have borders of their own.
            set_tiles(model.autoencoder.vae, plan.tiled and not request.tiling)
            if model.family.kind not in WITHOUT_LORAS:
                apply_loras(model, loras, self._lora_folders)
            if place is not None and self._weights_stay:
                for role in get_args(Role):
                    model.need(role)  # not by several jobs at once
            return model

        with ExitStack() as stack:
            if place is None:
                model = prepared()
            else:
                together = self._weights_stay and not _changes_network(request)
                key = (request.checkpoint, request.vae, loras) if together else None
                model = stack.enter_context(place.model(key, prepared, cancel))
            canvas = self._canvas(model, request)
            units = stack.enter_context(self._controls.ready(model, request, canvas, self._checkpoint))
            network = ConditionedNetwork(model, request, positive, negative, units)
            stack.enter_context(freeu_applied(model.network, request.freeu))
            stack.enter_context(hrfix_applied(model.network, request.kohya_hrfix))
            if request.tiling:
                stack.enter_context(tiling_applied(model.modules()))
            # Graphs need weights that stay where they are, and one caller.
            accelerates = place is None and self._weights_stay and not _changes_network(request)
            if self._accelerator is not None and accelerates:
                stack.enter_context(
                    self._accelerator.applied(model.network, model.applied, request.steps_ahead)
                )
            init_image = None if request.init_image is None else request.init_image.to(self.device)
            init = None if init_image is None else model.encoded(canvas.padded(init_image))
            if init_image is None or init is None or not request.autoencoder_correction:
                return canvas.cropped(model.decoded(self._sample(network, init, cancel)))
            before = self._decoded_ahead(model, init, stack)
            image = canvas.cropped(model.decoded(self._sample(network, init, cancel)))
            return without_autoencoder_loss(image, init_image, canvas.cropped(before()))

    def _decoded_ahead(
        self, model: LoadedModel, latents: torch.Tensor, stack: ExitStack
    ) -> Callable[[], torch.Tensor]:
        """Return what decodes `latents`; on a CPU it begins at once, beside the sampling, and ends before `stack`."""
        if not self._lean_on_cpu:
            return lambda: model.decoded(latents)
        from deforum_helpers.engines.diffusion.cpu_layers import start_beside

        decoding = start_beside(lambda: model.decoded(latents))
        stack.callback(wait, [decoding])
        return decoding.result

    @property
    def _weights_stay(self) -> bool:
        """Whether all parts of the model stay on the device; unknown before the first image on a limited one."""
        plan = self.memory_plan
        return self._memory(self.device) is None or (plan is not None and plan.mode == "none")

    def _residency(self, model: LoadedModel, canvas: Canvas) -> Residency:
        """Return what moves the model; larger images than before are planned again, and never with a faster mode."""
        before = model.residency
        planned_for = (canvas.generated_px, len(model.control_nets), model.applied.files)
        if before is not None and planned_for == model.planned_for:
            return before
        model.planned_for = planned_for
        needs = self._needs(model, canvas)
        if before is not None and not needs.exceeds(before.needs):
            return before
        if before is not None:
            before.leave()
        memory = self._memory(self.device)
        free, total = (None, None) if memory is None else (memory.free, memory.total)
        plan = replace(plan_memory(needs, free, total, self._mode), precision=model.precision)
        if before is not None:
            plan = max(plan, before.plan, key=lambda one: MODES.index(one.mode))
        if memory is not None:
            self._tell(plan, memory)
        return self._place(model, needs, plan)

    def _model_for(self, request: GenerateRequest) -> LoadedModel:
        """Return the model of `request` in the precision that was asked for, or that the device has room for.

        A model that has the wrong one already is loaded anew, so that images do not depend on those before them.
        """
        model = self._model(request.checkpoint, request.vae)
        precision = self._precision or self._fitting_precision(model, self._canvas(model, request))
        if precision == model.precision:
            return model
        if model.residency is not None:
            del model
            self._loaded = None
            model = self._model(request.checkpoint, request.vae)
        if precision != "native":
            model.quantize(precision)
            _log.info("The weights of the model's blocks are kept in 8 bits (%s).", precision)
            if self._precision is None:
                self._note(messages.MEMORY_IN_8_BITS(device=self.device, precision=precision))
        return model

    def _fitting_precision(self, model: LoadedModel, canvas: Canvas) -> Precision:
        assert self._loaded is not None
        key = (self._loaded[0], canvas.generated_px)
        if key not in self._fitting:
            memory = self._memory(self.device)
            native, eight_bits = (self._needs(model, canvas, one) for one in ("native", "int8"))
            total = None if memory is None else memory.total
            self._fitting[key] = fitting_precision(native, eight_bits, total, self._mode)
        return self._fitting[key]

    def _needs(self, model: LoadedModel, canvas: Canvas, precision: Precision | None = None) -> MemoryNeeds:
        return memory_needs(
            model.modules_by_role(),
            canvas.generated_px,
            model.autoencoder.factor,
            1 if model.family.guides_itself else 2,
            model.family.latent_multiple,
            precision,
        )

    def _place(self, model: LoadedModel, needs: MemoryNeeds, plan: MemoryPlan) -> Residency:
        if model.residency is not None:
            model.residency.leave()
        if self._accelerator is not None:
            self._accelerator.forget()
        model.residency = Residency(model.modules_by_role, self.device, needs, plan)
        return model.residency

    def _tell(self, plan: MemoryPlan, memory: DeviceMemory) -> None:
        facts = {"device": self.device, "mode": plan.mode, "peak": plan.peak / 1e9, "free": memory.free / 1e9}
        tiles = ", the VAE works on tiles" if plan.tiled else ""
        _log.info(
            "Offload mode on %(device)s: %(mode)s%(tiles)s; estimated peak %(peak).1f GB, free %(free).1f GB.",
            {**facts, "tiles": tiles},
        )
        if not plan.fits:
            self._note(messages.MEMORY_SCARCE(**facts))

    def _note(self, text: str) -> None:
        self._notes += (text,)
        _log.warning("%s", text)

    def _lower_plan(self) -> MemoryPlan | None:
        """Return the plan to try after memory ran out; None on a CPU, and where the user has chosen the mode."""
        residency = None if self._loaded is None else self._loaded[1].residency
        if residency is None or self._mode is not None or self._memory(self.device) is None:
            return None
        return lower_plan(residency.plan, residency.needs, residency.working == "autoencoder")

    def _step_down(self, plan: MemoryPlan) -> None:
        assert self._loaded is not None
        model = self._loaded[1]
        assert model.residency is not None
        was_tiled = model.residency.plan.tiled
        text = messages.MEMORY_TILED if plan.tiled and not was_tiled else messages.MEMORY_STEPPED_DOWN
        self._note(text(device=self.device, mode=plan.mode))
        self._place(model, model.residency.needs, plan)

    def _sample(
        self, network: ConditionedNetwork, init: torch.Tensor | None, cancel: CancelToken
    ) -> torch.Tensor:
        start = self._start(network, init, cancel)
        sampling = start.sampling

        def guided(shown: torch.Tensor, time: float, sigma: float) -> Outputs:
            cancel.check_cancel()
            step = sampling.step_at(sigma)
            return network.guided(shown, self._timestep(time), step, sampling.steps, sampling.cfg_factor)

        def noise() -> torch.Tensor:
            return to_device(torch.randn(start.latents.shape, generator=start.generator), self.device)

        return sampling.run(guided, start.latents, noise, start.kept, start.longest)

    def _start(self, network: ConditionedNetwork, init: torch.Tensor | None, cancel: CancelToken) -> _Start:
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
        noise = to_device(noise.unsqueeze(0), self.device)
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
            return _Start(sampling.start(noise, None), sampling, generator)
        longest = None
        mask = None
        if request.mask is not None:
            mask = latent_mask(canvas.padded(request.mask.to(self.device)[None]), (height, width))
        if inverts:
            found = self._invert(network, init, sampling, noise_model, cancel)
            shares = (request.new_noise_share, mask, request.mask_content)
            noise, longest = blended_noise(found, noise, *shares), longest_cells(init, *shares)
        kept = None
        if mask is not None:
            kept = KeptArea(init, mask)
            init = repaint_start(init, mask, noise, request.mask_content)
        latents = sampling.start(noise * request.noise_multiplier, init)
        return _Start(latents, sampling, generator, kept, longest)

    def _invert(
        self,
        network: ConditionedNetwork,
        init: torch.Tensor,
        sampling: Sampling,
        noise_model: NoiseModel,
        cancel: CancelToken,
    ) -> torch.Tensor:
        """Return the inverted noise of the init image; prompts and units act at the same levels as in sampling."""

        def unguided(shown: torch.Tensor, time: float, sigma: float) -> Outputs:
            cancel.check_cancel()
            output = network.unguided(shown, self._timestep(time), sampling.step_at(sigma), sampling.steps)
            return Outputs.unguided(output)

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
        name = self._name(checkpoint)
        described = self._describe(checkpoint)
        key = (name, vae)
        if self._loaded is not None and self._loaded[0] == key:
            return self._loaded[1]
        self._loaded = None
        if self._accelerator is not None:
            self._accelerator.forget()
        model = load_model(
            described,
            self.device,
            allow_download=self._allow_download,
            latent_multiple=self._latent_multiple,
        )
        if name == self._checkpoint and self._lean_on_cpu:
            self._make_lean(model.network)
            if vae is None:
                self._make_lean(model.autoencoder.vae)
        if vae is None and described.is_whole:
            vae = described.given.vae or None
        if vae is not None:
            path = vae_files(self._checkpoint).get(vae, Path(vae).expanduser())
            model.autoencoder = autoencoder_of(load_vae(path, model.autoencoder.vae))
        self._loaded = (key, model)
        return model

    def _make_lean(self, network: Any) -> None:
        from deforum_helpers.engines.diffusion.cpu_layers import use_lean_layers

        use_lean_layers(network, torch.bfloat16 if has_fast_bfloat16(self.device) else torch.float32)

    def _describe(self, checkpoint: str | None) -> Checkpoint:
        name = self._name(checkpoint)
        if name not in self._described:
            self._described[name] = scheduled_checkpoint(
                name, self._checkpoint, self._parts, self._allow_download
            )
        return self._described[name]

    def _name(self, checkpoint: str | None) -> str:
        """Return the name by which a requested checkpoint is kept; the engine's own has one name only."""
        name = checkpoint_named(self._checkpoint, checkpoint)
        own = Path(self._checkpoint).expanduser()
        return self._checkpoint if Path(name).expanduser().absolute() == own.absolute() else name


def _changes_network(request: GenerateRequest) -> bool:
    """Return whether `request` changes the network's layers, or adds inputs to it, during this image."""
    return bool(request.freeu or request.kohya_hrfix or request.tiling or request.controls)


def _out_of_memory(request: GenerateRequest) -> OutOfMemory:
    return OutOfMemory(messages.OUT_OF_MEMORY(width_px=request.width_px, height_px=request.height_px))
