"""The options of command lines that name components of a checkpoint; imports without torch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from deforum_helpers.models.weights.checkpoints import ModelParts


def add_part_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    kinds = ".safetensors or GGUF file, or diffusers subfolder"
    parser.add_argument(
        "--transformer", metavar="PATH", help=f"transformer to use in place of the checkpoint's: {kinds}"
    )
    parser.add_argument(
        "--text-encoder",
        action="append",
        default=[],
        metavar="PATH",
        help=f"text encoder to use in place of the checkpoint's, likewise: {kinds}; may be repeated",
    )
    parser.add_argument("--vae", metavar="PATH", help=f"VAE to use in place of the checkpoint's: {kinds}")


def model_parts(options: argparse.Namespace) -> ModelParts:
    """Return the components that the options name."""
    return ModelParts(options.transformer or "", tuple(options.text_encoder), options.vae or "")


def part_words(parts: ModelParts) -> list[str]:
    """Return the options of a command line that names `parts`."""
    named: Mapping[str, Any] = {"--transformer": parts.transformer, "--vae": parts.vae}
    words = [word for option, path in named.items() if path for word in (option, path)]
    return words + [word for path in parts.text_encoders for word in ("--text-encoder", path)]
