"""What a server starts its workers with: the flags, what they render with, and the versions that must agree."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deforum_api.queue.ray import messages
from deforum_api.version import VERSION
from deforum_helpers.engines.memory import AUTO
from deforum_helpers.models.weights.checkpoints import NO_PARTS, ModelParts

Files = Literal["auto", "shared", "streamed"]

RAY_VERSIONS = ">=2.60,<3"
OWN_CLUSTER = "local"
RUNNING_CLUSTER = "auto"
# Written into the output folder by a worker that sees it.
TOKEN_NAME = ".deforum-worker-{token}"
# The frames of a job depend on these.
COMPARED_PACKAGES = ("torch", "diffusers", "transformers", "numpy", "opencv-python-headless", "ray")
_ADDRESS = re.compile(r"[A-Za-z0-9_.\-]+:[0-9]{1,5}")


@dataclass(frozen=True)
class RaySettings:
    """The flags about workers.

    Args:
        address: "local" = a cluster of this machine alone, "auto" = the one that runs here, or "host:port".
        workers: number of workers, 0 = one per GPU, without GPUs one per node.
        gpu_share: GPUs per worker, 0 = one where there are GPUs.
        files: "shared": all workers write to the output folder; "streamed": they send their files to the server;
            "auto": those write to it that see it.
        fallback: render in this process while there is no cluster.
    """

    address: str
    workers: int = 0
    gpu_share: float = 0.0
    files: Files = "auto"
    fallback: bool = False


@dataclass(frozen=True)
class WorkerSetup:
    """What workers render with.

    Args:
        engine: its name.
        checkpoint: its checkpoint, or None.
        allow_download: whether a hub id may be downloaded.
        root: the output folder of the server.
        make_engine: "module:function" that makes the engine, called like `engines.make_engine`.
        parts: components that replace those of the checkpoint.
        offload, precision: one of `memory.OFFLOAD_CHOICES` and of `memory.PRECISION_CHOICES`.
    """

    engine: str
    checkpoint: str | None
    allow_download: bool
    root: Path
    make_engine: str = "deforum_helpers.engines:make_engine"
    parts: ModelParts = NO_PARTS
    offload: str = AUTO
    precision: str = AUTO


def ray_problem() -> str | None:
    """Return the message that Ray is missing here or has an unsuitable version; None if it can be used."""
    found = _installed("ray")
    if found is None:
        return messages.NOT_INSTALLED(expected=RAY_VERSIONS)
    numbers = [int(number) for number in re.findall(r"[0-9]+", found)[:2]]
    if not [2, 60] <= numbers < [3, 0]:
        return messages.WRONG_VERSION(expected=RAY_VERSIONS, found=found)
    return None


def address_problem(address: str) -> str | None:
    """Return the message that `address` cannot be one of a cluster, or None."""
    if address in (OWN_CLUSTER, RUNNING_CLUSTER) or _ADDRESS.fullmatch(address):
        return None
    return messages.ADDRESS_INVALID(found=address[:80])


def versions() -> dict[str, str]:
    """Return the versions of this process that those of the server must equal."""
    found = {"deforum": VERSION, "python": ".".join(platform.python_version_tuple()[:2])}
    return found | {package: version for package in COMPARED_PACKAGES if (version := _installed(package))}


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def version_problem(found: Mapping[str, str], expected: Mapping[str, str], node: str) -> str | None:
    """Return the message about the first version of a worker that differs from the server's; None if none does."""
    for package, version in expected.items():
        there = found.get(package)
        if there != version:
            return messages.VERSION_DIFFERS(
                node=node, package=package, found=there or "none", expected=version
            )
    return None
