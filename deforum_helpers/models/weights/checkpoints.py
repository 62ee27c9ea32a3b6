"""Identification of checkpoints without loading them: kinds, foreign code, pickles; imports without torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.files.regular import UnusableFile, check_regular, is_regular
from deforum_helpers.models import messages
from deforum_helpers.models.weights.few_steps import FewSteps, few_steps_of
from deforum_helpers.models.weights.headers import check_model_folder, read_json, safetensors_shapes
from deforum_helpers.models.weights.recognition import (
    GGUF,
    SAFETENSORS,
    ModelFile,
    recognize,
    recognize_parts,
)
from deforum_helpers.models.weights.recognition import Kind as Kind

LORA_FOLDER = "Lora"
VAE_FOLDER = "VAE"
PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
# A file of several with the weights of one network.
_OF_SEVERAL = re.compile(r"-\d{5}-of-\d{5}\.safetensors$")
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
# The kinds whose guidance is an input of the network, the distilled CFG scale; CFG beside it guides twice.
DISTILLED_GUIDANCE: frozenset[Kind] = frozenset({"flux2"})

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

# Component, without its number -> the option that names another one.
_OPTIONS: Mapping[str, str] = {
    "transformer": "--transformer",
    "text_encoder": "--text-encoder",
    "vae": "--vae",
}
_COMPONENT_OF = {option: component for component, option in _OPTIONS.items()}
# Class -> what `recognize` calls it, where that differs.
_NETWORKS: Mapping[str, str] = {
    "CLIPTextModel": "CLIP",
    "CLIPTextModelWithProjection": "CLIP",
    "T5EncoderModel": "T5",
    "Qwen3Model": "Qwen3",
    "Qwen3ForCausalLM": "Qwen3",
    "Qwen2_5_VLForConditionalGeneration": "Qwen2.5-VL",
    "Gemma2Model": "Gemma2",
    "Gemma2ForCausalLM": "Gemma2",
    "Mistral3ForConditionalGeneration": "Mistral3",
}
# Kinds whose files of all components diffusers loads by itself.
_WHOLE_FILES: frozenset[Kind] = frozenset({"sd", "sdxl", "sd3", "flux"})
# Those of them that are read here where their configuration is beside them, in every precision.
_WHOLE_FILES_READ_HERE: frozenset[Kind] = frozenset({"sd3", "flux"})
# What checkpoints and their components end with.
FILES = (SAFETENSORS, GGUF)

_FILE_INPUT = "model.diffusion_model.input_blocks.0.0.weight"


@dataclass(frozen=True)
class ModelParts:
    """Components that are given beside a checkpoint: each replaces the checkpoint's own, or completes it.

    Args:
        transformer, vae: a file, or a folder of diffusers' with config.json and weights; "" = the checkpoint's own.
        text_encoders: likewise, in any order.
    """

    transformer: str = ""
    text_encoders: tuple[str, ...] = ()
    vae: str = ""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ModelParts:
        """Return the parts that were sent to another process as plain values."""
        names = ("transformer", "vae")
        texts = {name: str(values.get(name, "")) for name in names}
        return cls(text_encoders=tuple(values.get("text_encoders", ())), **texts)

    def __bool__(self) -> bool:
        return self != ModelParts()


NO_PARTS = ModelParts()


@dataclass(frozen=True)
class Part:
    """Where a component is loaded from instead of the checkpoint's folder.

    Args:
        location: a file, or a folder with config.json and weights.
        library, class_name: its class.
        file: what a file contains; None for a folder.
    """

    location: Path
    library: str
    class_name: str
    file: ModelFile | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that may be loaded.

    Args:
        source: "folder" (diffusers), "file" (`.safetensors`, GGUF) or "hub".
        location: its path, or hub id.
        kind: its family of networks; None for a hub id that was not downloaded yet.
        few_steps: how it is sampled if it is distilled to a few steps, None otherwise.
        folder: the diffusers folder with its configurations and tokenizers, and all components that are not in `parts`;
            None for a hub id, and for a file of all components whose configuration is looked up when it is loaded.
        parts: its components that are not in `folder`, by their names.
        is_whole: whether it is a file whose components, except `parts`, diffusers loads by itself.
        given: the components that were given with a hub id; for a file that diffusers loads by itself, the VAE.
    """

    source: Literal["folder", "file", "hub"]
    location: str
    kind: Kind | None
    few_steps: FewSteps | None = None
    folder: Path | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    is_whole: bool = False
    given: ModelParts = NO_PARTS


def describe_checkpoint(name: str, allow_download: bool = False, given: ModelParts = NO_PARTS) -> Checkpoint:
    """Identify the checkpoint `name` by its index or header alone.

    Args:
        name: a diffusers folder, a `.safetensors` or GGUF file, or a hub id.
        allow_download: whether a hub id is acceptable.
        given: components that replace its own, or complete it.

    Raises:
        ModelError: it does not exist, is a pickle, names foreign code, is of a kind that is not supported, or lacks
            components; or a given component does not belong to it.
    """
    path = Path(name).expanduser()
    if path.suffix.casefold() in PICKLES:
        raise ModelError(messages.CHECKPOINT_PICKLE(name=path.name))
    if path.is_dir():
        return _of_folder(path, given)
    try:
        check_regular(path)
    except UnusableFile as error:
        if not error.absent:
            raise ModelError(messages.CHECKPOINT_UNUSABLE(name=name, reason=error)) from error
    else:
        return _of_file(path, given)
    if not _HUB_ID.fullmatch(name):
        raise ModelError(messages.CHECKPOINT_NOT_FOUND(name=name))
    if not allow_download:
        raise ModelError(messages.CHECKPOINT_NOT_LOCAL(name=name))
    return Checkpoint("hub", name, None, few_steps_of(name.rpartition("/")[2], {}), given=given)


def _of_folder(path: Path, given: ModelParts) -> Checkpoint:
    index = read_index(path)
    kind = _kind_of_index(path, index)
    parts = _resolved(given, kind, path)
    folder_components(path, replaced=parts)
    name = Path(given.transformer).stem if given.transformer else path.resolve().name
    return Checkpoint("folder", str(path), kind, few_steps_of(name, index), path, parts)


def recognize_named(path: Path) -> ModelFile:
    """Return what a file contains that a user names; raises as `recognize`, and for one of several files."""
    if _OF_SEVERAL.search(path.name):
        raise ModelError(messages.FILE_OF_SEVERAL(file=path.name))
    return recognize(path)


def _of_file(path: Path, given: ModelParts) -> Checkpoint:
    file = recognize_named(path)
    kind = _checkpoint_kind(file)
    alone = file.component == "transformer"
    folder = _configuration_beside(path, kind, given)
    is_whole = not alone and kind in _WHOLE_FILES and not (kind in _WHOLE_FILES_READ_HERE and folder)
    if is_whole and kind in _WHOLE_FILES_READ_HERE:
        # Some makers publish network and VAE together, without text encoders; these are completed like parts.
        inside = {part.component for part in recognize_parts(path)}
        is_whole = "text_encoder" in inside or "vae" not in inside
    packed = file.is_scaled or path.suffix.casefold() == GGUF
    if is_whole and packed and kind not in _WHOLE_FILES_READ_HERE:
        raise ModelError(messages.WHOLE_FILE_PACKED(file=path.name, found=title_of(file)))
    if is_whole and given in (NO_PARTS, ModelParts(vae=given.vae)) and not packed:
        _check_vae(given.vae, kind)
        return Checkpoint("file", str(path), kind, few_steps_of(path.stem, {}), is_whole=True, given=given)
    if folder is None:
        raise ModelError(
            messages.FILE_WITHOUT_CONFIGURATION(
                file=path.name, found=title_of(file), family=TITLES[kind], folder=path.stem
            )
        )
    if alone and not given.transformer:
        given = replace(given, transformer=str(path))
    parts = _resolved(given, kind, folder)
    if not alone and not is_whole:
        parts = {**_parts_inside(file, folder), **parts}
    if not is_whole:
        _refuse_gaps(file, kind, folder, parts)
    folder_components(folder, with_weights=alone, replaced=parts)
    stem = Path(given.transformer).stem if given.transformer else path.stem
    few_steps = few_steps_of(stem, read_index(folder))
    return Checkpoint("file", str(path), kind, few_steps, folder, parts, is_whole)


def _check_vae(vae: str, kind: Kind) -> None:
    """Check a VAE for a file whose configuration is looked up when it is loaded."""
    if vae:
        slots = {"vae": ("diffusers", "AutoencoderKL")}
        _resolved_part("--vae", Path(vae).expanduser(), kind, None, slots)


def _refuse_gaps(file: ModelFile, kind: Kind, folder: Path, parts: Mapping[str, Part]) -> None:
    known = dict(_known_components(folder, kind, read_index(folder)))
    missing = [
        name
        for name in _COMPONENTS[kind]
        if not name.startswith("tokenizer")
        and (name in known or name not in _OPTIONAL)
        and name not in parts
        and not any((folder / name).glob("*.safetensors"))
    ]
    if missing:
        raise ModelError(
            messages.FILE_LACKS_PARTS(
                file=file.path.name,
                found=title_of(file),
                missing=", ".join(missing),
                options=" and ".join(dict.fromkeys(_OPTIONS[name.rstrip("_23")] for name in missing)),
                folder=folder.name,
            )
        )


def _configuration_beside(path: Path, kind: Kind, given: ModelParts) -> Path | None:
    """Return the diffusers folder of a file: "model/" beside "model.safetensors", or the one around a given folder."""
    places = [path.with_suffix("")]
    for text in (given.transformer, *given.text_encoders, given.vae):
        if text:
            part = Path(text).expanduser()
            places.append(part.parent if part.is_dir() else part.with_suffix(""))
    for folder in places:
        if is_regular(folder / "model_index.json") and _kind_of_index(folder, read_index(folder)) == kind:
            return folder
    return None


def scheduled_checkpoint(
    name: str, first: str, given: ModelParts = NO_PARTS, allow_download: bool = False
) -> Checkpoint:
    """Identify a checkpoint that settings name in place of the first one.

    A file of a transformer alone takes the other components of the first checkpoint; the components that were given
    with that one belong to no other.

    Raises:
        ModelError: as `describe_checkpoint`.
    """
    path = Path(name).expanduser()
    if path.suffix.casefold() in FILES and is_regular(path) and recognize(path).component == "transformer":
        return describe_checkpoint(first, allow_download, replace(given, transformer=name))
    return describe_checkpoint(name, allow_download)


def checkpoint_kind(name: str) -> Kind | None:
    """Return the kind of the checkpoint `name`, complete or not; None for a hub id that was not downloaded yet.

    Raises:
        ModelError: it is broken, or of a kind that is not supported.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return _kind_of_index(path, read_index(path))
    return _checkpoint_kind(recognize(path)) if is_regular(path) else None


def _resolved(given: ModelParts, kind: Kind, folder: Path) -> dict[str, Part]:
    """Return the given components by their names.

    Raises:
        ModelError: one is missing, or does not belong to the kind and configuration of `folder`.
    """
    known = dict(_known_components(folder, kind, read_index(folder)))
    parts: dict[str, Part] = {}
    texts = [("--text-encoder", text) for text in given.text_encoders]
    for option, text in [("--transformer", given.transformer), *texts, ("--vae", given.vae)]:
        if text:
            left = {name: entry for name, entry in known.items() if name not in parts}
            component, part = _resolved_part(option, Path(text).expanduser(), kind, folder, left)
            parts[component] = part
    return parts


def _resolved_part(
    option: str, path: Path, kind: Kind, folder: Path | None, known: Mapping[str, tuple[str, str]]
) -> tuple[str, Part]:
    """Return the name of a given component and the component; `folder` has its configuration, None = unknown."""
    slots = {name: entry for name, entry in known.items() if _OPTIONS.get(name.rstrip("_23")) == option}
    if not slots:
        raise ModelError(messages.PART_HAS_NO_PLACE(option=option, file=path.name, family=TITLES[kind]))
    if path.is_dir():
        return _part_of_folder(option, path, kind, slots)
    if path.suffix.casefold() in PICKLES:
        raise ModelError(messages.CHECKPOINT_PICKLE(name=path.name))
    try:
        check_regular(path)
    except UnusableFile as error:
        if error.absent:
            raise ModelError(messages.PART_NOT_FOUND(option=option, file=path.name)) from error
        raise ModelError(messages.MODEL_FILE_UNUSABLE(file=path.name, reason=error)) from error
    file = recognize_named(path)
    networks = {name: _NETWORKS.get(class_name, class_name) for name, (_, class_name) in slots.items()}
    fitting = [
        name
        for name, network in networks.items()
        if file.component == _COMPONENT_OF[option]
        and (file.family == kind if option == "--transformer" else file.network == network)
    ]
    if fitting and option != "--transformer" and folder is not None:
        widths = {name: width_of(folder, name) for name in fitting}
        fitting = [name for name in fitting if 0 in (file.width, widths[name]) or file.width == widths[name]]
        if not fitting:
            expected = " or ".join(str(width) for width in dict.fromkeys(widths.values()))
            raise ModelError(
                messages.PART_WIDTH(
                    option=option, file=path.name, found=title_of(file), expected=expected, folder=folder.name
                )
            )
    if not fitting:
        wanted = f"the transformer of {TITLES[kind]}" if option == "--transformer" else None
        expected = wanted or " or ".join(dict.fromkeys(networks.values()))
        raise ModelError(
            messages.PART_WRONG(
                option=option,
                file=path.name,
                found=title_of(file),
                expected=expected,
                family=TITLES[kind],
                place=_place_of(file, kind, known),
            )
        )
    return fitting[0], Part(path, *slots[fitting[0]], file)


def _place_of(file: ModelFile, kind: Kind, known: Mapping[str, tuple[str, str]]) -> str:
    """Return where a file belongs that another option names, as the end of a sentence; "" = nowhere."""
    if file.component == "lora":
        return messages.LORA_BELONGS()
    if file.component == "controlnet":
        return messages.CONTROLNET_BELONGS()
    networks = [_NETWORKS.get(class_name, class_name) for _, class_name in known.values()]
    if file.component in _OPTIONS and (file.family == kind or file.network in networks):
        return messages.PART_BELONGS(option=_OPTIONS[file.component])
    return ""


def _part_of_folder(
    option: str, path: Path, kind: Kind, slots: Mapping[str, tuple[str, str]]
) -> tuple[str, Part]:
    if not is_regular(path / "config.json"):
        raise ModelError(
            messages.PART_WITHOUT_CONFIGURATION(option=option, file=path.name, example=next(iter(slots)))
        )
    check_model_folder(path)
    config = read_json(path / "config.json")
    class_name = config.get("_class_name") or next(iter(config.get("architectures") or ()), None)
    # Two text encoders may have one class: a folder is called like its component.
    for component in sorted(slots, key=lambda name: name != path.name):
        if class_name in _COMPONENTS[kind][component]:
            _refuse_foreign_code(path.parent, path.name)
            _refuse_unreadable(path.parent, path.name)
            return component, Part(path, slots[component][0], str(class_name))
    allowed = dict.fromkeys(name for slot in slots for name in _COMPONENTS[kind][slot])
    raise ModelError(
        messages.PART_WRONG(
            option=option,
            file=path.name,
            found=f"a {class_name}",
            expected=" or ".join(allowed),
            family=TITLES[kind],
            place="",
        )
    )


def _parts_inside(file: ModelFile, folder: Path) -> dict[str, Part]:
    """Return the components of a file that holds all of them."""
    known = folder_components(folder, with_weights=False)[1]
    parts: dict[str, Part] = {}
    for inside in recognize_parts(file.path):
        for component, (library, class_name) in known.items():
            if component == "transformer":
                fits = inside.component == "transformer" and inside.family == file.family
            else:
                width = width_of(folder, component)
                fits = inside.network == _NETWORKS.get(class_name, class_name)
                fits = fits and (0 in (inside.width, width) or inside.width == width)
            if fits and component not in parts:
                parts[component] = Part(file.path, library, class_name, inside)
                break
    return parts


def width_of(folder: Path, component: str) -> int:
    """Return the hidden size of a text encoder, or the latent channels of a VAE, in its configuration; 0 = unknown."""
    path = folder / component / "config.json"
    if not is_regular(path):
        return 0
    config = read_json(path)
    config = {**config, **(config.get("text_config") or {})}
    names = ("d_model", "hidden_size", "latent_channels", "z_dim")
    return int(next((config[name] for name in names if isinstance(config.get(name), int)), 0))


def folders_beside(checkpoint: str | None, name: str) -> tuple[Path, ...]:
    """Return the folders that are searched for models of one sort: beside the checkpoint, and beside its folder.

    With models/Stable-diffusion/a.safetensors and "Lora" these are models/Stable-diffusion/Lora and models/Lora.
    """
    if checkpoint is None:
        return ()
    folder = Path(checkpoint).expanduser().absolute().parent
    return folder / name, folder.parent / name


def checkpoint_named(own: str, name: str | None) -> str:
    """Return the path of the checkpoint that a request names.

    Args:
        own: the engine's own checkpoint.
        name: a file or folder beside it, with or without a suffix of `FILES`, or another path; None = `own`.
    """
    if name is None:
        return own
    folder = Path(own).expanduser().parent
    for candidate in (folder / name, *(folder / f"{name}{suffix}" for suffix in FILES)):
        if candidate.is_dir() or is_regular(candidate):
            return str(candidate)
    return name


def checkpoints_beside(checkpoint: str | None, given: ModelParts = NO_PARTS) -> tuple[str, ...]:
    """Return the names by which settings may select a checkpoint and those beside it.

    A file is listed with and without its suffix, as settings files write both.

    Args:
        checkpoint: of the engine, or None.
        given: the components that were given with it.
    """
    if checkpoint is None:
        return ()
    beside = Path(checkpoint).expanduser().absolute().parent
    own = Path(checkpoint).expanduser().absolute()
    paths = (
        path for path in sorted(beside.glob("*")) if path == own or _is_checkpoint(path, str(own), given)
    )
    names = ((path.name, path.stem if path.suffix in FILES else path.name) for path in paths)
    return tuple(dict.fromkeys(name for both in names for name in both))


def _is_checkpoint(path: Path, first: str, given: ModelParts) -> bool:
    try:
        scheduled_checkpoint(str(path), first, given)
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


def folder_components(
    folder: Path, with_weights: bool = True, replaced: Mapping[str, Part] | None = None
) -> tuple[Kind, dict[str, tuple[str, str]]]:
    """Return (kind, {component: (library, class)}) of a diffusers folder that names only known classes.

    Args:
        folder: the folder.
        with_weights: whether the weights have to be there.
        replaced: components whose weights come from elsewhere.

    Raises:
        ModelError: no index, an unsupported pipeline, foreign code, or weights that are pickles.
    """
    kind, components = components_of_index(folder, read_index(folder))
    check_model_folder(folder)
    elsewhere = replaced or {}
    own = {
        name: part for name, part in elsewhere.items() if part.file is None
    }  # they bring their configuration
    _refuse_incomplete(folder, kind, {**components, **own}, own)
    for component in components:
        _refuse_foreign_code(folder, component)
        if component in elsewhere and component not in own:
            _refuse_unconfigured(folder, kind, component)
        elif with_weights and component not in elsewhere:
            _refuse_unreadable(folder, component)
    return kind, components


def components_of_index(folder: Path, index: Mapping[str, Any]) -> tuple[Kind, dict[str, tuple[str, str]]]:
    """Return (kind, {component: (library, class)}) of an index; `folder` names it in errors, and may not be there.

    Raises:
        ModelError: an unsupported pipeline, or foreign code.
    """
    kind = _kind_of_index(folder, index)
    return kind, dict(_known_components(folder, kind, index))


def read_index(folder: Path) -> dict[str, Any]:
    """Return the index of a diffusers folder.

    Raises:
        ModelError: the folder has no index, or the index cannot be read.
    """
    path = folder / "model_index.json"
    if not is_regular(path):
        raise ModelError(messages.MODEL_INDEX_MISSING(name=folder.name))
    return read_json(path)


def _kind_of_index(folder: Path, index: Mapping[str, Any]) -> Kind:
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str) or pipeline not in PIPELINES:
        raise ModelError(
            messages.PIPELINE_UNSUPPORTED(name=folder.name, found=pipeline, allowed=", ".join(PIPELINES))
        )
    return PIPELINES[pipeline]


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


def _refuse_incomplete(
    folder: Path, kind: Kind, components: Mapping[str, object], elsewhere: Mapping[str, object]
) -> None:
    for component in _COMPONENTS[kind]:
        if component in elsewhere or (component in _OPTIONAL and component not in components):
            continue
        if component not in components or not (folder / component).is_dir():
            raise ModelError(
                messages.COMPONENT_MISSING(name=folder.name, family=TITLES[kind], component=component)
            )


def _refuse_unconfigured(folder: Path, kind: Kind, component: str) -> None:
    """Refuse a folder without the configuration of a component whose weights come from a file."""
    if not is_regular(folder / component / "config.json"):
        raise ModelError(
            messages.COMPONENT_MISSING(name=folder.name, family=TITLES[kind], component=component)
        )


def _refuse_foreign_code(folder: Path, component: str) -> None:
    for config in ("config.json", "tokenizer_config.json"):
        path = folder / component / config
        if path.exists() and "auto_map" in read_json(path):
            raise ModelError(messages.FOREIGN_CODE(name=folder.name, file=f"{component}/{config}"))


def _refuse_unreadable(folder: Path, component: str) -> None:
    if component.startswith("tokenizer"):
        return
    names = [path.name for path in (folder / component).glob("*") if path.is_file()]
    if any(name.endswith(SAFETENSORS) for name in names):
        return
    if pickle := next((name for name in names if name.endswith(PICKLES)), None):
        raise ModelError(messages.COMPONENT_PICKLED(component=component, name=folder.name, found=pickle))
    option = _OPTIONS.get(component.rstrip("_23"))
    raise ModelError(
        messages.COMPONENT_WITHOUT_WEIGHTS(
            component=component,
            name=folder.name,
            option=messages.OR_NAME_IT(option=option) if option else "",
        )
    )


def _checkpoint_kind(file: ModelFile) -> Kind:
    path = file.path
    if path.suffix.casefold() == SAFETENSORS:
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
        "language_model": f"a language model ({file.network})" if file.network else "a language model",
        "vision_tower": "the part of a language model that reads images, which no prompt needs",
        "unknown": "a file with tensors of an unknown layout" if file.names else "a file without tensors",
    }[file.component]
