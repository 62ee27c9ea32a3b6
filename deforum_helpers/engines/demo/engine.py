"""The built-in landscape model as an engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deforum_helpers.engines.demo import NAME
from deforum_helpers.engines.diffusion.engine import DiffusionEngine

if TYPE_CHECKING:
    from deforum_helpers.core.progress import CancelToken
    from deforum_helpers.engines.base import Engine, GenerateRequest
    from deforum_helpers.engines.memory import MemoryPlan
    from deforum_helpers.image.types import Image

MODEL_FOLDER = Path(__file__).parent

# It was trained on images whose sides are multiples of 64: 16 px per latent cell, times 4.
_LATENT_MULTIPLE = 4


class DemoEngine:
    """Generates landscapes with the model that comes with the program."""

    name = NAME

    def __init__(self, device: str | None = None) -> None:
        self._engine = DiffusionEngine(
            str(MODEL_FOLDER), device=device, latent_multiple=_LATENT_MULTIPLE, lean_on_cpu=True
        )
        self.device = self._engine.device

    @property
    def memory_plan(self) -> MemoryPlan | None:
        """Where its parts are kept; see `ManagesMemory`."""
        return self._engine.memory_plan

    @property
    def memory_notes(self) -> tuple[str, ...]:
        """Notes about its memory; see `ManagesMemory`."""
        return self._engine.memory_notes

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        """Return the image of `request`; see `Engine.generate`."""
        return self._engine.generate(request, cancel)

    @contextmanager
    def place(self) -> Iterator[Engine]:
        """Yield the engine for one of several jobs; see `SharedEngine`."""
        with self._engine.place() as placed:
            placed.name = NAME
            yield placed

    def resting(self) -> AbstractContextManager[None]:
        """Lend its memory; see `Engine.resting`."""
        return self._engine.resting()

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        """Return the warnings about a request; see `Engine.warnings`."""
        return self._engine.warnings(request)
