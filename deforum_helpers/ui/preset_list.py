"""The presets: settings files with a title, a description and a thumbnail, in config/presets."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from deforum_helpers.core.bundled import bundled
from deforum_helpers.settings import read_settings_file
from deforum_helpers.settings.files import with_files_beside
from deforum_helpers.ui.formatting import escape

STATUS_LINE = (
    '<p class="deforum-preset-said" role="status" hidden><span></span> '
    '<button type="button" class="deforum-button" data-act="undo" hidden>Undo</button></p>'
)
FOLDER = bundled("config/presets")


@dataclass(frozen=True)
class Preset:
    """A preset.

    Args:
        name: of its files, without the extension.
        title: shown on its card.
        about: one sentence that describes the video.
    """

    name: str
    title: str
    about: str

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.txt"

    @property
    def still(self) -> Path:
        return FOLDER / f"{self.name}.jpg"

    @property
    def moving(self) -> Path:
        """The animated thumbnail, if it exists (tools/preset_thumbnails.py makes it)."""
        return FOLDER / f"{self.name}.webp"


@lru_cache
def presets() -> tuple[Preset, ...]:
    """Return the presets in the order of index.json."""
    listed = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
    return tuple(Preset(**one) for one in listed)


def preset_settings(name: str) -> dict[str, Any]:
    """Return the settings of the preset `name`; the files that it names are those beside it.

    Raises:
        KeyError: no preset has this name.
    """
    found = {preset.name: preset for preset in presets()}
    return with_files_beside(read_settings_file(found[name].path), FOLDER)


@lru_cache
def presets_html() -> str:
    """Return the cards of the presets and the status line above them."""
    cards = "".join(map(_card, presets()))
    return f'{STATUS_LINE}<div class="deforum-presets">{cards}</div>'


def _card(preset: Preset) -> str:
    return (
        f'<button type="button" class="deforum-preset" data-preset="{escape(preset.name)}" aria-pressed="false" '
        f'title="{escape(preset.about)}">{_thumbnail(preset)}'
        f"<b>{escape(preset.title)}</b><span>{escape(preset.about)}</span></button>"
    )


def _thumbnail(preset: Preset) -> str:
    """Return the animated thumbnail, with the still for browsers that ask for reduced motion."""
    if not preset.still.is_file():
        return ""
    still = _inline(preset.still, "image/jpeg")
    if not preset.moving.is_file():
        return f'<img alt="" loading="lazy" src="{still}">'
    source = f'<source media="(prefers-reduced-motion: reduce)" srcset="{still}">'
    return (
        f'<picture>{source}<img alt="" loading="lazy" src="{_inline(preset.moving, "image/webp")}"></picture>'
    )


def _inline(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
