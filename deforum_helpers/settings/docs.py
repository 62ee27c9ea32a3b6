"""The page of all settings, made from their declaration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from deforum_helpers.settings.fields import FieldInfo
from deforum_helpers.settings.model import FIELDS, UNITS
from deforum_helpers.settings.predicates import sentence

INTRODUCTION = f"""\
# Settings

This page is made by `python -m deforum_helpers.settings`; edit the declarations, not the page.

A settings file is a JSON object of the names below. Everything has a default, so a file needs only what it
changes. [default_settings.txt](../config/default_settings.txt) has all of them.

- A **schedule** gives values to frames: `0: (1), 60: (1.05)`. Between two numbers it runs straight; an
  expression such as `0: (1 + 0.02*sin(t/10))` is worked out anew at every frame. A plain number holds for
  all.
  At frames where an expression is no real number, as `cos(t)**0.9` at some, the value lies on a straight
  line between those beside; a warning names the frames. Strengths and other shares beyond their range
  count as its nearer end, with a warning.
- A **string schedule** gives names to frames, each until the next: `0: ("Euler a"), 60: ("DPM++ 2M")`.
- Files of older versions and of other programs are read too. What had to be taken over from another
  notation is told as a warning, and so is a name that is no setting.
- A value that cannot be used is an error that says what stands there and what is allowed; all errors of a
  file are told at once, before the first frame. Where the setting has no effect, as in a ControlNet unit
  that is switched off, the value is left out with a warning.

ControlNet has {UNITS} units: `cn_N_weight` stands for `cn_1_weight` to `cn_{UNITS}_weight`.
"""
HEADER = "| setting | value | default | what it does |\n|---|---|---|---|"


def settings_page(order: Sequence[str] = ()) -> str:
    """Return docs/settings.md: contents, then every setting with its kind, bounds, default and help, by its tab.

    Args:
        order: names of settings as they stand in the tab; the others follow in the order of their declaration.
    """
    sections: dict[str, list[FieldInfo]] = {}
    places = {name: place for place, name in enumerate(order)}
    for info in sorted(once_per_unit(), key=lambda info: places.get(info.name, len(places))):
        sections.setdefault(section_of(info), []).append(info)
    tabs = list(dict.fromkeys(title.split(" > ")[0] for title in sections))
    titles = sorted(sections, key=lambda title: tabs.index(title.split(" > ")[0]))
    parts = [INTRODUCTION, _contents(titles)]
    for title in titles:
        rows = "\n".join(_row(info) for info in sections[title])
        parts.append(f"## {title}\n\n{HEADER}\n{rows}\n")
    return "\n".join(parts)


def _contents(titles: Iterable[str]) -> str:
    """Return the list of sections, those inside a tab below it."""
    lines, last = ["## Contents\n"], ""
    for title in titles:
        tab, _, inside = title.partition(" > ")
        link = f"[{inside or tab}](#{anchor(title)})"
        if inside and tab != last:
            lines.append(f"- {tab}")
        lines.append(f"  - {link}" if inside else f"- {link}")
        last = tab
    return "\n".join((*lines, ""))


def anchor(title: str) -> str:
    """Return the name that a heading has in links.

    >>> anchor("Keyframes > Depth Warping & FOV")
    "keyframes--depth-warping--fov"
    """
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def unit_name(text: str) -> str:
    """Return `text` with the name of a setting of unit 1 as the name of that of any unit."""
    return text.replace("cn_1_", "cn_N_")


def once_per_unit() -> Iterator[FieldInfo]:
    """Yield every setting, of the ControlNet units those of the first."""
    for info in FIELDS.values():
        if info.group != "ControlNetArgs" or info.name.startswith("cn_1_"):
            yield info


def section_of(info: FieldInfo) -> str:
    """Return the heading under which a setting is documented."""
    if info.group == "ControlNetArgs":
        return "ControlNet"
    return info.tab or "Written by a run"


def _row(info: FieldInfo) -> str:
    text = unit_name(" ".join(filter(None, (info.help, sentence(info.used_when)))))
    cells = (f"`{unit_name(info.name)}`", ", ".join(_value(info)), _code(info.default), text)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _value(info: FieldInfo) -> Iterator[str]:
    yield " · ".join(info.choices) if info.choices else info.kind
    if info.minimum is not None and info.maximum is not None:
        yield f"{info.minimum:g}..{info.maximum:.17g}"
    if info.unit:
        yield info.unit


def _code(default: object) -> str:
    if isinstance(default, dict):
        return "four example prompts"
    return f"`{default if isinstance(default, str) and default else json.dumps(default)}`"
