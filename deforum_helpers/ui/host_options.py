"""The options of the standalone host, which the tab shows; a WebUI has them on its settings page."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import MissingFeature
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.settings.host_options import Options


@dataclass(frozen=True)
class OptionRow:
    """One option.

    Args:
        name: the same on every host.
        label: shown in the tab.
        default: its default value.
        low, high: bounds of a number, else None.
        choices: allowed values, else empty.
    """

    name: str
    label: str
    default: Any
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


def option_rows() -> tuple[OptionRow, ...]:
    """Return the options that the tab shows, in the order of their declaration."""
    return tuple(
        OptionRow(
            each.name,
            each.metadata["label"],
            each.default,
            low=each.metadata.get("low"),
            high=each.metadata.get("high"),
            choices=each.metadata.get("choices", ()),
        )
        for each in fields(Options)
        if each.metadata["label"] and "fixed" not in each.metadata
    )


def overrides_of(values: tuple[Any, ...]) -> dict[str, Any]:
    """Return the values of the options, given in the order of `option_rows`, by name."""
    return {row.name: number(value) for row, value in zip(option_rows(), values, strict=True)}


def number(value: Any) -> Any:
    """Return a float without a fraction as an int, and any other value unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def fixed_facts(options: Options, output_root: Path) -> tuple[str, ...]:
    """Return as sentences the options that a page may not set: programs and files of this machine."""
    try:
        ffmpeg = f"Videos are encoded by {find_ffmpeg(options.deforum_ffmpeg_location)}."
    except MissingFeature as error:
        ffmpeg = str(error)
    kept = output_root / Path(options.deforum_persistent_settings_path).expanduser()
    return ffmpeg, f"The initial settings are kept in {kept}."
