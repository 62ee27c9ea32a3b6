"""The models on this machine: what each is, under which licence, and whether it fits; imports without torch.

Nothing is loaded: files are recognized by their headers, folders by their indexes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from deforum_helpers.core.bounded_json import parse_json
from deforum_helpers.core.errors import DeforumError, ModelError
from deforum_helpers.core.files.atomic import write_whole
from deforum_helpers.core.files.regular import head_of, is_regular, open_regular, read_regular
from deforum_helpers.engines import messages
from deforum_helpers.engines.memory import (
    TILE_PX,
    MemoryNeeds,
    MemoryPlan,
    Precision,
    decoding_bytes,
    encoding_bytes,
    factors_of,
    fitting_precision,
    pixels_per_cell,
    plan_memory,
    sampling_bytes,
)
from deforum_helpers.models.weights.checkpoints import (
    PICKLES,
    TITLES,
    Kind,
    folder_components,
    recognize_named,
    title_of,
)
from deforum_helpers.models.weights.files import models_folder
from deforum_helpers.models.weights.headers import TensorHeader, read_json, safetensors_header
from deforum_helpers.models.weights.recognition import GGUF, SAFETENSORS, recognize

# Folders beside a checkpoint's, as WebUIs and ComfyUI name them.
_FOLDERS = (
    "Stable-diffusion",
    "checkpoints",
    "diffusion_models",
    "unet",
    "text_encoder",
    "text_encoders",
    "clip",
    "VAE",
    "vae",
    "Deforum",
)

# As the makers publish them; the model card of a derived model decides.
LICENCES: Mapping[str, str] = {
    "sd": "CreativeML OpenRAIL-M (1.x), OpenRAIL++-M (2.x)",
    "sdxl": "OpenRAIL++-M",
    "sd3": "Stability AI Community License",
    "flux": "schnell: Apache 2.0; dev: FLUX.1 [dev] Non-Commercial License",
    "z-image": "Apache 2.0",
    "flux2-klein": "4B: Apache 2.0; 9B: see its model card",
    "chroma": "Apache 2.0",
    "qwen-image": "Apache 2.0",
    "flux2": "FLUX Non-Commercial License",
    "sana": "see its model card; its text encoder: Gemma Terms of Use",
    "sana-sprint": "see its model card; its text encoder: Gemma Terms of Use",
    "pixart-sigma": "OpenRAIL++-M",
    "lumina2": "Apache 2.0; its text encoder: Gemma Terms of Use",
}

# How licences that allow no commercial use are called on model cards.
_NO_COMMERCE = re.compile(r"non[ _-]?commercial|(?<![a-z])nc(?![a-z])|research[ _-]only", re.IGNORECASE)

_BUILT_IN = Path(__file__).parent / "demo"
_ENDINGS = (SAFETENSORS, GGUF, *PICKLES)
_CARD_BYTES = 65_536
_HEADER_BYTES, _HEADER_VALUES = 64 * 2**20, 2_000_000
_LICENCE_KEYS = ("license", "license_name")
# Beginnings of the names in a checkpoint file -> the part of the model.
_PARTS = (
    ("model.diffusion_model.", "network"),
    ("first_stage_model.", "autoencoder"),
    ("vae.", "autoencoder"),
)
# The kinds whose patches are as large as the network's configuration says; those of the others are 2x2 cells.
_PATCHED_BY_CONFIGURATION: frozenset[Kind] = frozenset(
    {"sd3", "sana", "sana-sprint", "pixart-sigma", "lumina2"}
)
# Channels of the first layers of networks in files, which have no configuration.
_UNET, _VAE = {"block_out_channels": [320]}, {"block_out_channels": [128]}


@dataclass(frozen=True)
class Machine:
    """What models are measured against.

    Args:
        device: name of its kind, "cpu", "cuda", ...
        free, total: bytes of the device's memory, None = unknown.
    """

    device: str
    free: int | None
    total: int | None

    @property
    def value_bytes(self) -> int:
        """Bytes of one weight of a network."""
        return 4 if self.device == "cpu" else 2


def this_machine() -> Machine:
    """Return the device that models run on here, with its memory; imports torch."""
    from deforum_helpers.models.devices import best_device, device_memory

    device = best_device()
    memory = device_memory(device)
    if memory is None:
        return Machine(device.type, None, None)
    return Machine(device.type, memory.free, memory.total)


@dataclass(frozen=True)
class ListedModel:
    """A model, or a part of one.

    Args:
        path: its file or folder.
        title: what it is, as a phrase: "Stable Diffusion XL", "the transformer of Chroma"; "" for one that is unusable.
        size_bytes: of its files.
        precision: of most of its weights.
        licence: of its model card or metadata, else as published for its family; "" = unknown.
        licence_is_own: whether the model itself names that licence.
        size_px: side of the square image that `plan` is for; 0 without a plan.
        plan: how it fits into the memory of the machine; None for a part of a model, or where that is unknown.
        problem: why it cannot be used, as a sentence; "" otherwise.
        sha256: the first ten digits of its hash; "" = not computed.
    """

    path: Path
    title: str = ""
    size_bytes: int = 0
    precision: str = ""
    licence: str = ""
    licence_is_own: bool = False
    size_px: int = 0
    plan: MemoryPlan | None = None
    problem: str = ""
    sha256: str = ""


def searched_folders(checkpoint: str | None, more: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Return the folders that are searched: those named, the checkpoint's with its neighbours, and models/Deforum.

    Args:
        checkpoint: the model in use, or None.
        more: folders that the user names.
    """
    own = models_folder()
    found = [*more, own, *(own.parent / name for name in _FOLDERS)]
    if checkpoint is not None:
        beside = Path(checkpoint).expanduser().absolute().parent
        found += [beside, *(beside / name for name in _FOLDERS), *(beside.parent / name for name in _FOLDERS)]
    unique = dict.fromkeys(folder.expanduser().resolve() for folder in found)
    return tuple(folder for folder in unique if folder.is_dir())


def listed_models(
    folders: Sequence[Path], machine: Machine, sha256: Callable[[Path], str] | None = None
) -> tuple[ListedModel, ...]:
    """Return the models in `folders`, each once; those in folders inside them are not searched.

    Args:
        folders: as `searched_folders` returns them.
        machine: that will run them.
        sha256: returns the hash of a file; None = files are not hashed.
    """
    paths = dict.fromkeys(
        path.resolve() for folder in folders for path in sorted(folder.iterdir()) if _may_be_model(path)
    )
    return tuple(_listed(path, machine, sha256) for path in paths)


def built_in_model(machine: Machine) -> ListedModel:
    """Return the small model that is part of this program."""
    found = _of_folder(_BUILT_IN, machine)
    return replace(found, title="the built-in model", licence="AGPL-3.0-or-later", licence_is_own=True)


def _may_be_model(path: Path) -> bool:
    if path.is_dir():
        return is_regular(path / "model_index.json")
    return path.suffix.casefold() in _ENDINGS and is_regular(path)


def _listed(path: Path, machine: Machine, sha256: Callable[[Path], str] | None) -> ListedModel:
    try:
        if path.is_dir():
            return _of_folder(path, machine)
        return _of_file(path, machine, sha256)
    except (DeforumError, OSError) as error:
        return ListedModel(path, problem=str(error))


def _of_file(path: Path, machine: Machine, sha256: Callable[[Path], str] | None) -> ListedModel:
    if path.suffix.casefold() in PICKLES:
        raise ModelError(messages.PICKLE_UNREAD(name=path.name))
    file = recognize_named(path)
    own = _metadata(path).get("modelspec.license", "")
    plan, size_px = None, 0
    if file.component == "checkpoint" and file.family in ("sd", "sdxl") and path.suffix == SAFETENSORS:
        size_px = _usual_size(file.family)
        plan = _planned(
            partial(_needs_of_file, safetensors_header(path), file.family, size_px, machine), machine
        )
    return ListedModel(
        path,
        TITLES[file.family] if file.component == "checkpoint" and file.family else title_of(file),
        path.stat().st_size,
        file.precision,
        own or LICENCES.get(file.family or "", ""),
        bool(own),
        size_px,
        plan,
        sha256=sha256(path) if sha256 is not None else "",
    )


def _of_folder(folder: Path, machine: Machine) -> ListedModel:
    if not any(path.suffix.casefold() in _ENDINGS for path in folder.glob("*/*")):
        kind, _ = folder_components(folder, with_weights=False)
        return ListedModel(folder, f"the configuration of {TITLES[kind]}, without weights")
    kind, components = folder_components(folder)
    headers = {name: _component_header(folder / name) for name in components if "tokenizer" not in name}
    size_px = _usual_size(kind)
    needs = partial(_needs_of_folder, folder, kind, headers, size_px, machine)
    network = next(name for name in ("transformer", "unet") if name in headers)
    own = _card_licence(folder)
    return ListedModel(
        folder,
        TITLES[kind],
        sum(path.stat().st_size for path in folder.glob("*/*.safetensors")),
        recognize(next((folder / network).glob("*.safetensors"))).precision,
        own or LICENCES.get(kind, ""),
        bool(own),
        size_px,
        _planned(needs, machine),
    )


def _usual_size(kind: Kind) -> int:
    return 512 if kind == "sd" else 1024


def _planned(needs_in: Callable[[Precision], MemoryNeeds], machine: Machine) -> MemoryPlan:
    """Return where a model would be kept, by its needs in each precision."""
    if machine.device != "cpu":
        precision = fitting_precision(needs_in("native"), needs_in("int8"), machine.total)
        plan = plan_memory(needs_in(precision), machine.free, machine.total)
        return replace(plan, precision=precision)
    peak = needs_in("native").peak("none")
    return MemoryPlan("none", False, peak, machine.free is None or peak <= machine.free)


def _component_header(folder: Path) -> dict[str, TensorHeader]:
    """Return the tensors of a component; of two precisions the one that is loaded."""
    files = sorted(folder.glob("*.safetensors"))
    full = [path for path in files if ".fp16." not in path.name]
    return {name: tensor for path in full or files for name, tensor in safetensors_header(path).items()}


def _is_in_block(name: str) -> bool:
    """Tell whether `stored_weights.quantize` brings a matrix to 8 bits: in numbered blocks, and no embedding."""
    parts = name.split(".")
    inside = any(part.isdecimal() for part in parts[1:-1])
    return inside and parts[-1].endswith("weight") and "embed" not in parts[-2]


@dataclass(frozen=True)
class _Weights:
    """Bytes of tensors: all, the largest one, and what the largest matrix in 8 bits decodes to."""

    total: int
    largest: int
    decoded: int

    @classmethod
    def of(cls, tensors: Mapping[str, TensorHeader], value: int, precision: Precision) -> _Weights:
        """Return those of `tensors`, of `value` bytes each number unless it is in 8 bits."""
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        counts = {name: math.prod(shape) for name, shape in shapes.items()}
        eight_bits = {
            name: counts[name] + 4 * shape[0] * factors_of(shape[1])
            for name, shape in shapes.items()
            if precision != "native" and len(shape) == 2 and _is_in_block(name)
        }
        sizes = [eight_bits.get(name, value * count) for name, count in counts.items()]
        decoded = (counts[name] * (4 + value) for name in eight_bits)
        return cls(sum(sizes), max(sizes, default=0), max(decoded, default=0))


def _needs_of_folder(
    folder: Path,
    kind: Kind,
    headers: Mapping[str, Mapping[str, TensorHeader]],
    size_px: int,
    machine: Machine,
    precision: Precision = "native",
) -> MemoryNeeds:
    configs = {name: read_json(folder / name / "config.json") for name in headers}
    value, texts = machine.value_bytes, [name for name in headers if name.startswith("text_encoder")]
    vae_value = 4 if configs["vae"].get("force_upcast", False) else value
    network = next(name for name in ("transformer", "unet") if name in headers)
    weights = {name: _Weights.of(headers[name], value, precision) for name in (*texts, network)}
    return MemoryNeeds(
        text=sum(weights[name].total for name in texts),
        network=weights[network].total,
        autoencoder=_Weights.of(headers["vae"], vae_value, "native").total,
        layer=max(one.largest for one in weights.values()),
        encoding=max(
            (encoding_bytes(configs[name], value) + weights[name].decoded for name in texts), default=0
        ),
        sampling=sampling_bytes(
            configs[network],
            (size_px // pixels_per_cell(configs["vae"])) ** 2,
            1 if _guides_itself(folder, kind, configs[network]) else 2,
            int(configs[network].get("patch_size", 2)) if kind in _PATCHED_BY_CONFIGURATION else 2,
            value,
        )
        + weights[network].decoded,
        decoding=decoding_bytes(configs["vae"], size_px**2, vae_value),
        tile=decoding_bytes(configs["vae"], TILE_PX**2, vae_value),
    )


def _guides_itself(folder: Path, kind: Kind, network: Mapping[str, Any]) -> bool:
    """Tell whether a model is evaluated once a step, at any CFG scale."""
    distilled = read_json(folder / "model_index.json").get("is_distilled") is True
    return distilled or kind == "sana-sprint" or network.get("time_cond_proj_dim") is not None


def _needs_of_file(
    tensors: Mapping[str, TensorHeader],
    kind: Kind,
    size_px: int,
    machine: Machine,
    precision: Precision = "native",
) -> MemoryNeeds:
    """Return the needs of a Stable Diffusion checkpoint; its text encoders are all that no name marks."""
    value = machine.value_bytes
    vae_value = 4 if kind == "sdxl" else value  # as their published configurations say
    parts: dict[str, dict[str, TensorHeader]] = {"text": {}, "network": {}, "autoencoder": {}}
    for name, tensor in tensors.items():
        parts[next((part for start, part in _PARTS if name.startswith(start)), "text")][name] = tensor
    text, network = (_Weights.of(parts[part], value, precision) for part in ("text", "network"))
    return MemoryNeeds(
        text=text.total,
        network=network.total,
        autoencoder=_Weights.of(parts["autoencoder"], vae_value, "native").total,
        layer=max(text.largest, network.largest),
        encoding=text.decoded,
        sampling=sampling_bytes(_UNET, (size_px // 8) ** 2, 2, 2, value) + network.decoded,
        decoding=decoding_bytes(_VAE, size_px**2, vae_value),
        tile=decoding_bytes(_VAE, TILE_PX**2, vae_value),
    )


def _metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a `.safetensors` file; empty for another one."""
    if path.suffix.casefold() != SAFETENSORS:
        return {}
    length = int.from_bytes(head_of(path, 8), "little")
    with suppress(ValueError):
        found = parse_json(
            head_of(path, 8 + length)[8:], most_bytes=_HEADER_BYTES, most_values=_HEADER_VALUES
        )
        about = found.get("__metadata__")
        if isinstance(about, dict):
            return {key: value for key, value in about.items() if isinstance(value, str)}
    return {}


def _card_licence(folder: Path) -> str:
    """Return the licence in the front matter of a folder's model card; "" if it names none."""
    with suppress(OSError):
        text = head_of(folder / "README.md", _CARD_BYTES).decode("utf-8", "replace")
        if text.startswith("---"):
            lines = [line.partition(":") for line in text.split("\n---", 1)[0].splitlines()]
            found = [value.strip().strip("\"'") for key, _, value in lines if key in _LICENCE_KEYS]
            return next((name for name in reversed(found) if name not in ("", "other")), "")
    return ""


class FileHashes:
    """Hashes of files, kept until a file changes; reading one of many gigabytes takes a minute.

    Args:
        record: a JSON file that keeps them.
    """

    def __init__(self, record: Path) -> None:
        self._record = record
        self._known: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            found = json.loads(read_regular(record, _HEADER_BYTES))
            self._known = found if isinstance(found, dict) else {}

    def short(self, path: Path) -> str:
        """Return the first ten digits of the file's SHA-256, as WebUIs show them."""
        about = path.stat()
        key, state = str(path), [about.st_size, about.st_mtime_ns]
        entry = self._known.get(key)
        if not (isinstance(entry, list) and entry[:2] == state and len(entry) == 3):
            entry = [*state, _sha256(path)[:10]]
            self._known[key] = entry
            with suppress(OSError, DeforumError):  # the next call reads the file again
                self._record.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._record, json.dumps(self._known).encode())
        return str(entry[2])


def hash_record() -> Path:
    """Return the file that keeps the hashes of models."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deforum" / "model-hashes.json"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(2**22):
            digest.update(block)
    return digest.hexdigest()


def forbids_commerce(licence: str) -> bool:
    """Tell whether a licence, or one of those of a family, allows no commercial use, by its name."""
    return _NO_COMMERCE.search(licence) is not None


def licence_words(licence: str, is_own: bool) -> str:
    """Return a licence as words of a table, with whose it is and whether it allows commercial use; "" for "".

    Args:
        licence: its name.
        is_own: whether the model itself names it; otherwise it is the family's.
    """
    if not licence:
        return ""
    if not is_own:
        return f"{licence} (of the family)"
    return f"{licence} (no commercial use)" if forbids_commerce(licence) else licence


def plan_words(plan: MemoryPlan | None) -> str:
    """Return how a model fits, as words of a table: "yes, offload model, in tiles"; "" where that is unknown."""
    if plan is None:
        return ""
    words = ["yes" if plan.fits else "no", *([f"offload {plan.mode}"] if plan.mode != "none" else [])]
    words += [f"weights in {plan.precision}"] if plan.precision != "native" else []
    return ", ".join([*words, *(["in tiles"] if plan.tiled else [])])
