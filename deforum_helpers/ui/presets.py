"""The presets: settings files with a name, a sentence and a still, in config/presets."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from deforum_helpers.settings import read_settings_file
from deforum_helpers.ui.wording import escape

FOLDER = Path(__file__).resolve().parents[2] / "config" / "presets"


@dataclass(frozen=True)
class Preset:
    """A film to start from.

    Args:
        name: stem of its files.
        title: what it is called.
        about: one sentence on what moves.
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


@lru_cache
def presets() -> tuple[Preset, ...]:
    """Return the presets in the order of their list, index.json."""
    listed = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
    return tuple(Preset(**one) for one in listed)


def preset_settings(name: str) -> dict[str, Any]:
    """Return the settings of the preset `name`.

    Raises:
        KeyError: there is none.
    """
    found = {preset.name: preset for preset in presets()}
    return read_settings_file(found[name].path)


@lru_cache
def presets_html() -> str:
    """Return the picker."""
    return f'<div class="deforum-presets">{"".join(_card(preset) for preset in presets())}</div>'


def _card(preset: Preset) -> str:
    return (
        f'<button type="button" class="deforum-preset" data-preset="{escape(preset.name)}" '
        f'title="{escape(preset.about)}">{_still(preset)}'
        f"<b>{escape(preset.title)}</b><span>{escape(preset.about)}</span></button>"
    )


def _still(preset: Preset) -> str:
    if not preset.still.is_file():
        return ""
    jpeg = base64.b64encode(preset.still.read_bytes()).decode("ascii")
    return f'<img alt="" loading="lazy" src="data:image/jpeg;base64,{jpeg}">'
