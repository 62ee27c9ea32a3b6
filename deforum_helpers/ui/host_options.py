"""The standalone host's options: what a WebUI has on its settings page, as a drawer of the tab."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import MissingFeature
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.settings.host_options import Options


@dataclass(frozen=True)
class OptionRow:
    """One option in the drawer.

    Args:
        name: its name on every host.
        label: what it is called there.
        default: its value where nothing else was chosen.
        low, high: bounds of a number, else None.
        choices: allowed names, else empty.
    """

    name: str
    label: str
    default: Any
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


def option_rows() -> tuple[OptionRow, ...]:
    """Return the options that the drawer has, in the order of their declaration."""
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


def chosen(values: tuple[Any, ...]) -> dict[str, Any]:
    """Return what the drawer holds, in the order of `option_rows`, as overrides of the options."""
    return {row.name: number(value) for row, value in zip(option_rows(), values, strict=True)}


def number(value: Any) -> Any:
    """Return a slider's value as a whole number where it is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def fixed_facts(options: Options, output_root: Path) -> tuple[str, ...]:
    """Return as sentences what the drawer only shows: programs and files of this machine are nothing for a page."""
    try:
        ffmpeg = f"Films are made by {find_ffmpeg(options.deforum_ffmpeg_location)}."
    except MissingFeature as error:
        ffmpeg = str(error)
    kept = output_root / Path(options.deforum_persistent_settings_path).expanduser()
    return ffmpeg, f"The settings to begin with are kept in {kept}."
