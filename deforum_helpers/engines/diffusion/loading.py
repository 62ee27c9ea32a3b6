"""Loads a checkpoint into a `Family` and an `Autoencoder`, without foreign code and without pickles."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.files.regular import is_regular
from deforum_helpers.core.library_environment import collection_paused
from deforum_helpers.engines import messages
from deforum_helpers.engines.diffusion.autoencoder import Autoencoder, autoencoder_of
from deforum_helpers.engines.diffusion.clip_text import ClipText, T5Text
from deforum_helpers.engines.diffusion.component_files import network_of_file
from deforum_helpers.engines.diffusion.conditioning import EmbeddingCache
from deforum_helpers.engines.diffusion.families import (
    Family,
    Flux,
    PixArtSigma,
    StableDiffusion,
    StableDiffusion3,
)
from deforum_helpers.engines.diffusion.families_flow import FLOW_FAMILIES
from deforum_helpers.engines.diffusion.prompt_syntax import Lora
from deforum_helpers.engines.diffusion.residency import Modules, Residency, Role, reader_of
from deforum_helpers.engines.diffusion.stored_weights import quantize
from deforum_helpers.engines.memory import Precision
from deforum_helpers.models.devices import has_float64, network_dtype
from deforum_helpers.models.weights.checkpoints import (
    Checkpoint,
    Kind,
    Part,
    describe_checkpoint,
    folder_components,
)
from deforum_helpers.models.weights.headers import read_json, safetensors_shapes
from deforum_helpers.models.weights.hub import hub_errors

_log = logging.getLogger(__name__)


def downloaded_folder(hub_id: str, patterns: Sequence[str]) -> Path:
    """Return the local folder of a hub repository, downloading the missing files.

    Args:
        hub_id: owner/name.
        patterns: which of its files.

    Raises:
        ModelError: the repository does not exist, or requires an account.
        DownloadFailed: the hub cannot be reached, or the connection broke.
        DiskFull: no space.
    """
    import huggingface_hub

    with hub_errors(hub_id):
        return Path(huggingface_hub.snapshot_download(hub_id, allow_patterns=list(patterns)))


# Files fetched from a hub repository: never Python files, never pickles.
_HUB_PATTERNS = ["*.json", "*/*.json", "*/*.txt", "*/*.model", "*/*.safetensors"]

# Modules of diffusers that compute in float64 on any device but those that diffusers knows to have none.
_FLOAT64_TABLES = ("FluxPosEmbed", "Flux2PosEmbed")

# How makers name weights in half precision, whole or in pieces.
_VARIANT = re.compile(r"\.(fp16|bf16)(?:-\d+-of-\d+)?\.safetensors$")

# Errors that libraries raise for damaged files and weights that do not fit.
LOAD_ERRORS = (OSError, ValueError, RuntimeError, KeyError, AttributeError)

# The pipeline of diffusers whose loaders know a kind's files.
PIPELINE_OF: Mapping[Kind, str] = {
    "sd": "StableDiffusionPipeline",
    "sdxl": "StableDiffusionXLPipeline",
    "sd3": "StableDiffusion3Pipeline",
    "flux": "FluxPipeline",
    "z-image": "ZImagePipeline",
    "flux2": "Flux2Pipeline",
    "flux2-klein": "Flux2KleinPipeline",
    "chroma": "ChromaPipeline",
    "qwen-image": "QwenImagePipeline",
    "sana": "SanaPipeline",
    "sana-sprint": "SanaSprintPipeline",
    "lumina2": "Lumina2Pipeline",
}


@dataclass(frozen=True)
class AppliedLoras:
    """The LoRAs applied to a model: files with the times of their last change, and the requested weights."""

    files: tuple[tuple[Path, int], ...] = ()
    loras: tuple[Lora, ...] = ()


@dataclass
class LoadedModel:
    """A checkpoint in memory.

    Args:
        family: its networks.
        autoencoder: its VAE, or the one chosen instead.
        parts: the loaded components by their diffusers names, "scheduler_config", and where there is one
            "pipeline_config", the model's index.
        embeddings: cache of its prompts.
        control_nets: the loaded ControlNets by path.
        applied: its LoRAs.
        residency: moves its parts to the device, None = they stay where they are.
        planned_for: what `residency` was planned for.
        precision: how the weights of its blocks are kept.
    """

    family: Family
    autoencoder: Autoencoder
    parts: dict[str, Any]
    embeddings: EmbeddingCache = field(default_factory=EmbeddingCache)
    control_nets: dict[Path, Any] = field(default_factory=dict)
    applied: AppliedLoras = AppliedLoras()
    residency: Residency | None = None
    planned_for: object = None
    precision: Precision = "native"

    @property
    def network(self) -> Any:
        """The denoising network."""
        return self.parts.get("unet", self.parts.get("transformer"))

    def modules(self) -> tuple[torch.nn.Module, ...]:
        """All networks of the model."""
        own = [part for part in self.parts.values() if isinstance(part, torch.nn.Module)]
        own += self.control_nets.values()
        return (*own, self.autoencoder.vae) if self.autoencoder.vae not in own else tuple(own)

    def modules_by_role(self) -> Modules:
        """Its networks by what they do."""
        others = (self.network, self.parts.get("vae"))
        texts = [
            part for part in self.parts.values() if isinstance(part, torch.nn.Module) and part not in others
        ]
        return {
            "text": texts,
            "network": (self.network, *self.control_nets.values()),
            "autoencoder": (self.autoencoder.vae,),
        }

    def quantize(self, precision: Precision) -> None:
        """Bring the blocks of text encoders and network to 8 bits: before they are moved, and without LoRAs."""
        modules = self.modules_by_role()
        for module in (*map(reader_of, modules["text"]), self.network):
            quantize(module, precision)
        self.precision = precision

    def need(self, role: Role) -> None:
        """Have the parts of a role on the device."""
        if self.residency is not None:
            self.residency.need(role)

    def encoded(self, images: torch.Tensor) -> torch.Tensor:
        """Return the latents of images; see `Autoencoder.encode`."""
        self.need("autoencoder")
        return self.autoencoder.encode(images)

    def decoded(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the images of latents; see `Autoencoder.decode`."""
        self.need("autoencoder")
        return self.autoencoder.decode(latents)


def load_model(
    checkpoint: Checkpoint, device: torch.device, *, allow_download: bool = False, latent_multiple: int = 1
) -> LoadedModel:
    """Load `checkpoint` into main memory, in the precision for `device`; see `network_dtype`.

    Args:
        checkpoint: of `describe_checkpoint`.
        device: where it will run.
        allow_download: whether missing files may be downloaded from the hub.
        latent_multiple: see `StableDiffusion`.

    Raises:
        ModelError: files are missing, broken or foreign.
        DownloadFailed: the hub is not reached.
    """
    if checkpoint.source == "hub":
        folder = downloaded_folder(checkpoint.location, _HUB_PATTERNS)
        checkpoint = describe_checkpoint(str(folder), given=checkpoint.given)
    assert checkpoint.kind is not None, "only hub ids are described without their kind"
    made_for = torch.float16 if checkpoint.kind in ("sd", "sdxl") else torch.bfloat16
    dtype = network_dtype(device, made_for)
    _log.info("Loading %s (%s, %s).", checkpoint.location, checkpoint.kind, dtype)
    with quiet_libraries():
        if checkpoint.is_whole:
            parts = parts_of_file(Path(checkpoint.location), checkpoint.kind, dtype, allow_download)
        else:
            assert checkpoint.folder is not None
            parts = _parts_of_folder(checkpoint.folder, dtype, frozenset(checkpoint.parts))
        for name, part in checkpoint.parts.items():
            parts[name] = _load_given_part(part, checkpoint.folder, name, dtype)
    return _assembled(parts, checkpoint.kind, device, latent_multiple)


def _assembled(parts: dict[str, Any], kind: Kind, device: torch.device, latent_multiple: int) -> LoadedModel:
    _ready(parts, device)
    autoencoder = autoencoder_of(parts["vae"])
    return LoadedModel(_family(parts, kind, autoencoder.factor, latent_multiple), autoencoder, parts)


def _ready(parts: Mapping[str, Any], device: torch.device) -> None:
    for name, part in parts.items():
        if not isinstance(part, torch.nn.Module):
            continue
        part.eval().requires_grad_(False)
        if name == "vae":
            prepare_vae(part)
        elif name == "unet":
            channels_last(part)
        elif name == "transformer" and not has_float64(device):
            _without_float64(part, device)


def _without_float64(transformer: torch.nn.Module, device: torch.device) -> None:
    """Let a transformer compute its tables of places in float32, as diffusers does for the devices that it knows."""
    from diffusers.utils import torch_utils

    known: dict[torch.dtype, frozenset[str]] = getattr(torch_utils, "_DTYPE_UNSUPPORTED_DEVICES", {})
    known[torch.float64] = known.get(torch.float64, frozenset()) | {device.type}
    for module in transformer.modules():
        tables = getattr(module, "freqs_cis", None)
        if isinstance(tables, list):
            module.freqs_cis = [table.to(torch.complex64) for table in tables]  # type: ignore[assignment]


def prepare_vae(vae: Any) -> None:
    """Prepare a VAE to run; one that overflows in half precision is converted to float32."""
    vae.eval().requires_grad_(False)
    if _overflows(vae) and vae.dtype != torch.float32:
        vae.to(torch.float32)
    channels_last(vae)


def _overflows(vae: Any) -> bool:
    """Return whether a VAE's own configuration asks for float32; diffusers' default does too, for all that say nothing.

    Those of Stable Diffusion 1 and 2 say nothing, and work in half precision, in a fraction of the time.
    """
    config = vae.config
    return bool(getattr(config, "force_upcast", False)) and "force_upcast" not in config.get(
        "_use_default_values", ()
    )


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether `device` is a CPU that multiplies bfloat16 in hardware; others emulate it and are slower."""
    capabilities: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    return device.type == "cpu" and bool(capabilities().get("avx512_bf16", False))


def channels_last(module: Any) -> None:
    """Convolutions run several times faster in this layout, on the CPU as on tensor cores; those of videos lack it."""
    if all(parameter.dim() < 5 for parameter in module.parameters()):
        module.to(memory_format=torch.channels_last)


def _family(parts: Mapping[str, Any], kind: Kind, factor: int, latent_multiple: int) -> Family:
    config = parts["scheduler_config"]
    if kind in FLOW_FAMILIES:
        return FLOW_FAMILIES[kind](parts)
    if kind == "pixart-sigma":
        return PixArtSigma.of_parts(parts)
    if kind == "sd":
        clip = ClipText(parts["tokenizer"], parts["text_encoder"])
        return StableDiffusion(parts["unet"], (clip,), config, factor, latent_multiple)
    if kind == "flux":
        clip = ClipText(parts["tokenizer"], parts["text_encoder"])
        length = 512 if parts["transformer"].config.guidance_embeds else 256
        return Flux(
            parts["transformer"], clip, T5Text(parts["tokenizer_2"], parts["text_encoder_2"], length), config
        )
    near, far = (
        ClipText(parts[f"tokenizer{end}"], parts[f"text_encoder{end}"], least_skip=2, normed=False)
        for end in ("", "_2")
    )
    if kind == "sdxl":
        return StableDiffusion(parts["unet"], (near, far), config, factor, latent_multiple)
    t5 = T5Text(parts["tokenizer_3"], parts["text_encoder_3"], 256) if parts.get("text_encoder_3") else None
    return StableDiffusion3(parts["transformer"], (near, far), t5, config)


def _parts_of_folder(folder: Path, dtype: torch.dtype, replaced: frozenset[str]) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "scheduler_config": scheduler_config(folder),
        "pipeline_config": read_json(folder / "model_index.json"),
    }
    for component, (library, class_name) in folder_components(folder, with_weights=False)[1].items():
        if component not in replaced:
            parts[component] = _load_part(folder, component, library, class_name, dtype)
    return parts


def _load_given_part(part: Part, folder: Path | None, component: str, dtype: torch.dtype) -> Any:
    """Load a component from a file of its own, with its configuration from `folder`, or from a folder of its own."""
    path = part.location
    if part.file is None:
        return _load_part(path.parent, path.name, part.library, part.class_name, dtype)
    assert folder is not None
    try:
        return network_of_file(part.file, part.library, part.class_name, folder / component, dtype)
    except LOAD_ERRORS as error:
        raise damaged_model(f"{component} {path.name!r}", error) from error


def damaged_model(what: str, error: Exception) -> ModelError:
    """Return the error for the user; the library's own message, which names paths, is logged."""
    _log.warning("The %s cannot be loaded.", what, exc_info=error)
    return ModelError(messages.MODEL_DAMAGED(model=what))


def scheduler_config(folder: Path) -> dict[str, Any]:
    """Return the scheduler configuration of a diffusers folder, empty if it has none."""
    path = folder / "scheduler" / "scheduler_config.json"
    return read_json(path) if is_regular(path) else {}


def _load_part(folder: Path, component: str, library: str, class_name: str, dtype: torch.dtype) -> Any:
    with collection_paused():
        import diffusers
        import transformers

        loader = getattr(diffusers if library == "diffusers" else transformers, class_name)
    if class_name == "PixtralProcessor":
        # Only its tokenizer is needed; for images it would ask for torchvision.
        loader = transformers.PreTrainedTokenizerFast
    options: dict[str, Any] = {"subfolder": component, "local_files_only": True}
    if not component.startswith("tokenizer"):
        options["use_safetensors"] = True
        options[dtype_argument(library)] = dtype
        names = [path.name for path in (folder / component).glob("*.safetensors")]
        variants = {match[1] if (match := _VARIANT.search(name)) else None for name in names}
        if len(variants) == 1:
            options["variant"] = variants.pop()
    try:
        with warnings.catch_warnings():
            # Some networks of diffusers are built from parts that diffusers itself has deprecated.
            warnings.filterwarnings("ignore", ".*is deprecated", FutureWarning)
            return loader.from_pretrained(str(folder), **options)
    except LOAD_ERRORS as error:
        raise damaged_model(f"{component} of the model {folder.name!r}", error) from error


def dtype_argument(library: str) -> str:
    """Return the name of the dtype argument of `from_pretrained` in the installed version of `library`."""
    if library == "diffusers":
        from diffusers.utils import deprecation_utils

        return "dtype" if hasattr(deprecation_utils, "_resolve_dtype") else "torch_dtype"
    import transformers

    major, minor = (int(number) for number in transformers.__version__.split(".")[:2])
    return "dtype" if (major, minor) >= (4, 56) else "torch_dtype"


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the loaders' progress bars and hints off the terminal while a model loads, and only then."""
    with collection_paused():
        import diffusers
        import transformers

    libraries = (diffusers.utils.logging, transformers.utils.logging)
    levels = [library.get_verbosity() for library in libraries]
    bars = [library.is_progress_bar_enabled() for library in libraries]
    for library in libraries:
        library.set_verbosity(logging.CRITICAL)
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library, level, bar in zip(libraries, levels, bars, strict=True):
            library.set_verbosity(level)
            if bar:
                library.enable_progress_bar()


_CONFIG_PATTERNS = ["*.json", "*/*.json", "*/*.txt", "*/*.model"]


def parts_of_file(path: Path, kind: Kind, dtype: torch.dtype, allow_download: bool) -> dict[str, Any]:
    """Return the components of the checkpoint file `path` by their diffusers names.

    The configuration is that of a diffusers folder beside the file with its name ("model.safetensors", "model/"), or
    the one of its family in the Hugging Face cache, which is filled only with `allow_download`.

    Raises:
        ModelError: no configuration, or weights that do not fit it.
    """
    import diffusers
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    folder = _config_folder(path, allow_download)
    components = folder_components(folder, with_weights=False)[1]
    with collection_paused():
        pipeline_class = getattr(diffusers, PIPELINE_OF[kind])
    try:
        pipeline = pipeline_class.from_single_file(
            str(path), config=str(folder), local_files_only=True, **{dtype_argument("diffusers"): dtype}
        )
    except (*LOAD_ERRORS, SingleFileComponentError) as error:
        raise damaged_model(f"checkpoint {path.name!r}", error) from error
    parts = {name: getattr(pipeline, name) for name in components}
    return {**parts, "scheduler_config": {**scheduler_config(folder), **_marked_config(path)}}


def _marked_config(path: Path) -> dict[str, Any]:
    """Return the settings that empty marker tensors declare: v-prediction, and a schedule that ends at pure noise."""
    names = safetensors_shapes(path)
    marked: dict[str, Any] = {}
    if "v_pred" in names:
        marked["prediction_type"] = "v_prediction"
    if "ztsnr" in names:
        marked["rescale_betas_zero_snr"] = True
    return marked


def _config_folder(path: Path, allow_download: bool) -> Path:
    beside = path.with_suffix("")
    if is_regular(beside / "model_index.json"):
        return beside
    import huggingface_hub

    hub_id = _family_on_hub(path)
    try:
        folder = huggingface_hub.snapshot_download(
            hub_id, allow_patterns=_CONFIG_PATTERNS, local_files_only=not allow_download
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            messages.CONFIGURATION_MISSING(file=path.name, hub_id=hub_id, folder=beside.name)
        ) from error
    return Path(folder)


def _family_on_hub(path: Path) -> str:
    from diffusers.loaders import single_file_utils

    state = single_file_utils.load_single_file_checkpoint(str(path), local_files_only=True)
    return single_file_utils.fetch_diffusers_config(state)["pretrained_model_name_or_path"]
