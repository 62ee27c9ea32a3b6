"""Identification of checkpoints without loading them: kinds, foreign code, pickles; imports without torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.files.regular import UnusableFile, check_regular, is_regular
from deforum_helpers.models import messages
from deforum_helpers.models.weights.few_steps import FewSteps, few_steps_of
from deforum_helpers.models.weights.headers import check_model_folder, read_json, safetensors_shapes
from deforum_helpers.models.weights.recognition import Kind as Kind
from deforum_helpers.models.weights.recognition import ModelFile, recognize

LORA_FOLDER = "Lora"
VAE_FOLDER = "VAE"
PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")

PIPELINES: Mapping[str, Kind] = {
    "StableDiffusionPipeline": "sd",
    "StableDiffusionImg2ImgPipeline": "sd",
    "LatentConsistencyModelPipeline": "sd",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLImg2ImgPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd3",
    "StableDiffusion3Img2ImgPipeline": "sd3",
    "FluxPipeline": "flux",
    "FluxImg2ImgPipeline": "flux",
    "ZImagePipeline": "z-image",
    "ZImageImg2ImgPipeline": "z-image",
    "Flux2Pipeline": "flux2",
    "Flux2KleinPipeline": "flux2-klein",
    "ChromaPipeline": "chroma",
    "ChromaImg2ImgPipeline": "chroma",
    "QwenImagePipeline": "qwen-image",
    "QwenImageImg2ImgPipeline": "qwen-image",
    "SanaPipeline": "sana",
    "SanaSprintPipeline": "sana-sprint",
    "SanaSprintImg2ImgPipeline": "sana-sprint",
    "PixArtSigmaPipeline": "pixart-sigma",
    "Lumina2Pipeline": "lumina2",
    "Lumina2Text2ImgPipeline": "lumina2",
}

# What sentences call a kind.
TITLES: Mapping[Kind, str] = {
    "sd": "Stable Diffusion",
    "sdxl": "Stable Diffusion XL",
    "sd3": "Stable Diffusion 3",
    "flux": "Flux.1",
    "z-image": "Z-Image",
    "flux2": "FLUX.2 dev",
    "flux2-klein": "FLUX.2 klein",
    "chroma": "Chroma",
    "qwen-image": "Qwen-Image",
    "sana": "Sana",
    "sana-sprint": "Sana-Sprint",
    "pixart-sigma": "PixArt-Sigma",
    "lumina2": "Lumina 2",
}

# The kinds without a U-Net.
TRANSFORMERS = frozenset(kind for kind in TITLES if kind not in ("sd", "sdxl"))
# The kinds whose text encoder is a language model, which knows no weights of words.
LANGUAGE_MODELS: frozenset[Kind] = frozenset(
    {"z-image", "flux2", "flux2-klein", "qwen-image", "sana", "sana-sprint", "lumina2"}
)
# The kinds for which diffusers loads no LoRAs.
WITHOUT_LORAS: frozenset[Kind] = frozenset({"pixart-sigma"})

_CLIP = ("CLIPTextModel", "CLIPTextModelWithProjection")
_CLIP_TOKENIZER = ("CLIPTokenizer", "CLIPTokenizerFast")
_T5_TOKENIZER = ("T5Tokenizer", "T5TokenizerFast")
_QWEN_TOKENIZER = ("Qwen2Tokenizer", "Qwen2TokenizerFast")
_GEMMA = ("Gemma2Model", "Gemma2ForCausalLM")
_GEMMA_TOKENIZER = ("GemmaTokenizer", "GemmaTokenizerFast")
_VAE = ("AutoencoderKL", "AutoencoderTiny")

# Kind -> its components -> their supported classes; nothing else in a folder's index is loaded.
_COMPONENTS: Mapping[Kind, Mapping[str, tuple[str, ...]]] = {
    "sd": {
        "vae": _VAE,
        "unet": ("UNet2DConditionModel",),
        "text_encoder": _CLIP,
        "tokenizer": _CLIP_TOKENIZER,
    },
    "sdxl": {
        "vae": _VAE,
        "unet": ("UNet2DConditionModel",),
        "text_encoder": _CLIP,
        "text_encoder_2": ("CLIPTextModelWithProjection",),
        "tokenizer": _CLIP_TOKENIZER,
        "tokenizer_2": _CLIP_TOKENIZER,
    },
    "sd3": {
        "vae": _VAE,
        "transformer": ("SD3Transformer2DModel",),
        "text_encoder": _CLIP,
        "text_encoder_2": ("CLIPTextModelWithProjection",),
        "text_encoder_3": ("T5EncoderModel",),
        "tokenizer": _CLIP_TOKENIZER,
        "tokenizer_2": _CLIP_TOKENIZER,
        "tokenizer_3": _T5_TOKENIZER,
    },
    "flux": {
        "vae": _VAE,
        "transformer": ("FluxTransformer2DModel",),
        "text_encoder": _CLIP,
        "text_encoder_2": ("T5EncoderModel",),
        "tokenizer": _CLIP_TOKENIZER,
        "tokenizer_2": _T5_TOKENIZER,
    },
    "z-image": {
        "vae": _VAE,
        "transformer": ("ZImageTransformer2DModel",),
        "text_encoder": ("Qwen3Model", "Qwen3ForCausalLM"),
        "tokenizer": _QWEN_TOKENIZER,
    },
    "flux2": {
        "vae": ("AutoencoderKLFlux2",),
        "transformer": ("Flux2Transformer2DModel",),
        "text_encoder": ("Mistral3ForConditionalGeneration",),
        "tokenizer": ("PixtralProcessor",),
    },
    "flux2-klein": {
        "vae": ("AutoencoderKLFlux2",),
        "transformer": ("Flux2Transformer2DModel",),
        "text_encoder": ("Qwen3Model", "Qwen3ForCausalLM"),
        "tokenizer": _QWEN_TOKENIZER,
    },
    "chroma": {
        "vae": _VAE,
        "transformer": ("ChromaTransformer2DModel",),
        "text_encoder": ("T5EncoderModel",),
        "tokenizer": _T5_TOKENIZER,
    },
    "qwen-image": {
        "vae": ("AutoencoderKLQwenImage",),
        "transformer": ("QwenImageTransformer2DModel",),
        "text_encoder": ("Qwen2_5_VLForConditionalGeneration",),
        "tokenizer": _QWEN_TOKENIZER,
    },
    "sana": {
        "vae": ("AutoencoderDC",),
        "transformer": ("SanaTransformer2DModel",),
        "text_encoder": _GEMMA,
        "tokenizer": _GEMMA_TOKENIZER,
    },
    "sana-sprint": {
        "vae": ("AutoencoderDC",),
        "transformer": ("SanaTransformer2DModel",),
        "text_encoder": _GEMMA,
        "tokenizer": _GEMMA_TOKENIZER,
    },
    "pixart-sigma": {
        "vae": _VAE,
        # Published under the name of the class that it was split off from.
        "transformer": ("PixArtTransformer2DModel", "Transformer2DModel"),
        "text_encoder": ("T5EncoderModel",),
        "tokenizer": _T5_TOKENIZER,
    },
    "lumina2": {
        "vae": _VAE,
        "transformer": ("Lumina2Transformer2DModel",),
        "text_encoder": _GEMMA,
        "tokenizer": _GEMMA_TOKENIZER,
    },
}
# Without these a model works; without any other of its components it does not.
_OPTIONAL = ("text_encoder_3", "tokenizer_3")
_LIBRARIES = ("diffusers", "transformers")

_FILE_INPUT = "model.diffusion_model.input_blocks.0.0.weight"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that may be loaded.

    Args:
        source: "folder" (diffusers), "file" (`.safetensors`) or "hub".
        location: its path, or hub id.
        kind: its family of networks; None for a hub id that was not downloaded yet.
        few_steps: how it is sampled if it is distilled to a few steps, None otherwise.
    """

    source: Literal["folder", "file", "hub"]
    location: str
    kind: Kind | None
    few_steps: FewSteps | None = None


def describe_checkpoint(name: str, allow_download: bool = False) -> Checkpoint:
    """Identify the checkpoint `name` by its index or header alone.

    Args:
        name: a diffusers folder, a `.safetensors` file or a hub id.
        allow_download: whether a hub id is acceptable.

    Raises:
        ModelError: it does not exist, is a pickle, names foreign code, or is of a kind that is not supported.
    """
    path = Path(name).expanduser()
    if path.suffix.casefold() in PICKLES:
        raise ModelError(messages.CHECKPOINT_PICKLE(name=path.name))
    if path.is_dir():
        kind = folder_kind(path)
        few_steps = few_steps_of(path.resolve().name, read_json(path / "model_index.json"))
        return Checkpoint("folder", str(path), kind, few_steps)
    try:
        check_regular(path)
    except UnusableFile as error:
        if not error.absent:
            raise ModelError(messages.CHECKPOINT_UNUSABLE(name=name, reason=error)) from error
    else:
        return Checkpoint("file", str(path), _file_kind(path), few_steps_of(path.stem, {}))
    if not _HUB_ID.fullmatch(name):
        raise ModelError(messages.CHECKPOINT_NOT_FOUND(name=name))
    if not allow_download:
        raise ModelError(messages.CHECKPOINT_NOT_LOCAL(name=name))
    return Checkpoint("hub", name, None, few_steps_of(name.rpartition("/")[2], {}))


def folders_beside(checkpoint: str | None, name: str) -> tuple[Path, ...]:
    """Return the folders that are searched for models of one sort: beside the checkpoint, and beside its folder.

    With models/Stable-diffusion/a.safetensors and "Lora" these are models/Stable-diffusion/Lora and models/Lora.
    """
    if checkpoint is None:
        return ()
    folder = Path(checkpoint).expanduser().absolute().parent
    return folder / name, folder.parent / name


def checkpoints_beside(checkpoint: str | None) -> tuple[str, ...]:
    """Return the names by which settings may select a checkpoint and those beside it.

    A file is listed with and without its suffix, as settings files write both.
    """
    if checkpoint is None:
        return ()
    beside = Path(checkpoint).expanduser().absolute().parent
    names = (path.name for path in sorted(beside.glob("*")) if _is_checkpoint(path))
    return tuple(dict.fromkeys(name for full in names for name in (full, full.removesuffix(".safetensors"))))


def _is_checkpoint(path: Path) -> bool:
    try:
        describe_checkpoint(str(path))
    except (ModelError, OSError):
        return False
    return True


def vae_files(checkpoint: str | None) -> dict[str, Path]:
    """Return the VAEs in the folders for them by their names; the folder beside the checkpoint counts first."""
    folders = reversed(folders_beside(checkpoint, VAE_FOLDER))
    found = (path for folder in folders for path in sorted(folder.glob("*")))
    return {
        path.name: path for path in found if path.suffix == ".safetensors" or is_regular(path / "config.json")
    }


def lora_files(folders: Sequence[Path]) -> dict[str, Path]:
    """Return the LoRAs in `folders` and below them by their names; the first folder counts first."""
    files = (
        path for folder in reversed(folders) for path in sorted(folder.rglob("*.safetensors"), reverse=True)
    )
    return {path.stem: path for path in files}


def folder_kind(folder: Path) -> Kind:
    """Return the kind of the diffusers folder `folder`; raises as `folder_components`."""
    return folder_components(folder)[0]


def folder_components(folder: Path, with_weights: bool = True) -> tuple[Kind, dict[str, tuple[str, str]]]:
    """Return (kind, {component: (library, class)}) of a diffusers folder that names only known classes.

    Args:
        folder: the folder.
        with_weights: whether the weights have to be there.

    Raises:
        ModelError: no index, an unsupported pipeline, foreign code, or weights that are pickles.
    """
    index_path = folder / "model_index.json"
    if not is_regular(index_path):
        raise ModelError(messages.MODEL_INDEX_MISSING(name=folder.name))
    index = read_json(index_path)
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str) or pipeline not in PIPELINES:
        raise ModelError(
            messages.PIPELINE_UNSUPPORTED(name=folder.name, found=pipeline, allowed=", ".join(PIPELINES))
        )
    kind = PIPELINES[pipeline]
    components = dict(_known_components(folder, kind, index))
    check_model_folder(folder)
    _refuse_incomplete(folder, kind, components)
    for component in components:
        _refuse_foreign_code(folder, component)
        if with_weights:
            _refuse_pickles(folder, component)
    return kind, components


def _known_components(
    folder: Path, kind: Kind, index: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[str, str]]]:
    for component, classes in _COMPONENTS[kind].items():
        entry = index.get(component)
        if entry is None or entry == [None, None]:
            continue
        known = entry in [[library, name] for library in _LIBRARIES for name in classes]
        if not known:
            raise ModelError(
                messages.COMPONENT_UNSUPPORTED(
                    name=folder.name, found=entry, component=component, allowed=" or ".join(sorted(classes))
                )
            )
        yield component, (entry[0], entry[1])


def _refuse_incomplete(folder: Path, kind: Kind, components: Mapping[str, object]) -> None:
    for component in _COMPONENTS[kind]:
        if component in _OPTIONAL and component not in components:
            continue
        if component not in components or not (folder / component).is_dir():
            raise ModelError(
                messages.COMPONENT_MISSING(name=folder.name, family=TITLES[kind], component=component)
            )


def _refuse_foreign_code(folder: Path, component: str) -> None:
    for config in ("config.json", "tokenizer_config.json"):
        path = folder / component / config
        if path.exists() and "auto_map" in read_json(path):
            raise ModelError(messages.FOREIGN_CODE(name=folder.name, file=f"{component}/{config}"))


def _refuse_pickles(folder: Path, component: str) -> None:
    if component.startswith("tokenizer"):
        return
    names = [path.name for path in (folder / component).glob("*") if path.is_file()]
    if not any(name.endswith(".safetensors") for name in names):
        found = next((name for name in names if name.endswith(PICKLES)), "no weights")
        raise ModelError(messages.COMPONENT_PICKLED(component=component, name=folder.name, found=found))


def _file_kind(path: Path) -> Kind:
    file = recognize(path)
    shape = safetensors_shapes(path).get(_FILE_INPUT)
    if shape is not None and shape[1] > 4:
        raise ModelError(messages.INPAINTING_CHECKPOINT(file=path.name, channels=shape[1]))
    if file.family is None or file.component not in ("checkpoint", "transformer"):
        found, allowed = title_of(file), ", ".join(TITLES.values())
        raise ModelError(messages.NOT_A_CHECKPOINT(file=path.name, found=found, allowed=allowed))
    return file.family


def title_of(file: ModelFile) -> str:
    """Return what a model file is, as a sentence calls it: "a LoRA", "the transformer of Chroma"."""
    about = file.network if file.family is None else TITLES[file.family]
    width = f" of width {file.width}" if file.width else ""
    return {
        "checkpoint": f"a checkpoint of {about}",
        "transformer": f"the transformer of {about}",
        "unet": "a U-Net without text encoder and VAE",
        "text_encoder": f"the text encoder {about}{width}",
        "vae": f"a VAE ({about}) with {file.width} latent channels",
        "lora": "a LoRA",
        "controlnet": "a ControlNet",
        "language_model": "a language model",
        "unknown": "a file with tensors of an unknown layout",
    }[file.component]
