"""Tools about settings: which there are, what each means, and whether some together can be rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from deforum_api.client import Client

MOST_LISTED = 60
MOST_VALUES = 120
Words = Annotated[str, Field(description="Words that name, title or help must have; '' = all.")]
Tab = Annotated[
    str, Field(description="Only settings of this tab, such as 'Keyframes > Motion' or 'Output'.")
]
Names = Annotated[list[str], Field(description="Names of settings.")]
OneJob = Annotated[dict[str, Any], Field(description="A settings object; what is left out has its default.")]
Schedules = Annotated[list[str], Field(description="Schedules whose value at each frame is wanted.")]


class SettingsTools:
    """The tools, each a method."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list_settings(self, words: Words = "", tab: Tab = "") -> dict[str, Any]:
        """List settings by name with type, default and a line of help; narrow it down by words or by tab."""
        properties = self._client.schema()["properties"]
        found = [
            (name, about) for name, about in properties.items() if _matches(name, about, words.split(), tab)
        ]
        return {
            "settings": [_in_short(name, about) for name, about in found[:MOST_LISTED]],
            "more": max(0, len(found) - MOST_LISTED),
            "tabs": sorted({str(about.get("x-tab") or "") for about in properties.values()} - {""}),
        }

    def describe_settings(self, names: Names) -> dict[str, Any]:
        """Describe settings in full: type, default, bounds, unit, choices, help, and when each has an effect."""
        properties = self._client.schema()["properties"]
        unknown = [name for name in names if name not in properties]
        return {
            "settings": {name: properties[name] for name in names if name in properties},
            "unknown": unknown,
        }

    def check_settings(self, settings: OneJob, values_of: Schedules = []) -> dict[str, Any]:  # noqa: B006
        """Check settings without rendering: every problem, every warning, and what the film would cost."""
        (job,) = self._client.validate(settings, series=bool(values_of))
        answer = {name: job[name] for name in ("errors", "warnings", "plan")}
        if values_of and job.get("series"):
            answer |= _values(job["series"], values_of)
        return answer


def _matches(name: str, about: Mapping[str, Any], words: Sequence[str], tab: str) -> bool:
    text = f"{name} {about.get('title', '')} {about.get('description', '')}".lower()
    place = str(about.get("x-tab") or "").lower()
    return all(word.lower() in text for word in words) and place.startswith(tab.lower())


def _in_short(name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    sentence = str(about.get("description", "")).partition(". ")[0]
    default = about.get("default")
    short = {"name": name, "kind": about.get("x-kind"), "help": sentence, "tab": about.get("x-tab")}
    return {**short, "unit": about.get("x-unit"), "default": default if len(str(default)) < 200 else "..."}


def _values(series: Mapping[str, list[Any]], names: Sequence[str]) -> dict[str, Any]:
    """Return the values of the schedules, of every frame or evenly thinned out."""
    chosen = {name: series[name] for name in names if name in series}
    frames = max((len(values) for values in chosen.values()), default=0)
    step = max(1, -(-frames // MOST_VALUES))
    return {
        "frames": list(range(0, frames, step)),
        "values": {name: values[::step] for name, values in chosen.items()},
        "not_schedules": [name for name in names if name not in series],
    }
