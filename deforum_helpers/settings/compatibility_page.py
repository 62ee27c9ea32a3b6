"""The page of what became of classic Deforum's settings and files, made from the tables of these facts."""

from __future__ import annotations

from collections.abc import Iterator

from deforum_helpers.settings.compatibility import FACTS, GENERAL, since
from deforum_helpers.settings.docs import once_per_unit, section_of, unit_name
from deforum_helpers.settings.fields import FieldInfo
from deforum_helpers.settings.old_names import REMOVED, RENAMED, VALUES
from deforum_helpers.settings.wording import shown

INTRODUCTION = """\
# Compatibility with classic Deforum

This page is made by `python -m deforum_helpers.settings`; edit the table in
`deforum_helpers/settings/compatibility.py`, not the page.

A settings file that worked in classic Deforum gives the same motion, seeds, prompts, strengths and order of operations
here. What crashed, drifted, lost frames or contradicted its own help is done right, and this page says where.
`python -m deforum_helpers check FILE` tells it for one file.

*Since* says who had a setting first: **classic** is the extension as of March 2024, **2025 fork** its fork for Forge of
June 2025, **here** this project.

## What holds for all settings
"""
HEADER = "| setting | used in | since | otherwise than in classic |\n|---|---|---|---|"
OLD_NOTATIONS = """\
## Old notations

Files of 2022 to 2026 are read as they are; `check` names what it took over from an old notation.

| in the file | is read as |
|---|---|"""
OTHER_NOTATIONS = (
    ("a file without `legacy_colormatch`", "`legacy_colormatch` is true: colours are matched the old way"),
    ("`use_zoe_depth`", "`depth_algorithm`: Zoe+AdaBins (old) where it is true, else Midas+AdaBins (old)"),
    ("`animation_prompts`, and `prompts` as a list, a text or JSON text", "`prompts`, a list spread evenly"),
    (
        "`prompts` as `0: a lake | 60: a wood`, parted by lines or commas, with or without quotes",
        "the prompts of these frames",
    ),
    ("`--NEG`, `-- neg`, `--negative`, a long dash before neg", "`--neg`"),
    ("`sampler` and `fill` as a number", "the name at that place of the old list"),
    ("names in another case or of another program, such as `dpmpp_2m`", "the name that is used here"),
    ("numbers, switches and schedules as text, schedules as numbers", "what is plainly meant"),
    ('`"x3"` and `"3x"` for the numbers of frame interpolation', "3"),
    ('`"Disabled"` for the numbers of frame interpolation', "interpolation, or slow motion, off"),
    ("a seed with a fraction, or an empty one", "the whole number, or a random seed"),
    ("an empty `batch_name`", "the default"),
    ("`use_init` with an empty `init_image`", "no init image"),
    ("`add_soundtrack` with an empty `soundtrack_path` or `video_init_path`", "no sound"),
    ("an empty value under one of a setting's two names", "the value under the other name"),
    ("an unclosed last bracket, trailing commas, a missing comma, a doubled frame", "what is plainly meant"),
    ("`0: 4: (1)`, `9: 0: (1)` and `(1).5` in a schedule", "`4: (1)`, `9: (0)` and `1.5`"),
    ("a `max_frames` of millions in Video Input", "the length of the video"),
    ("the same key twice", "its last value"),
)


def compatibility_page() -> str:
    """Return docs/compatibility.md: every setting with where it is used, since when, and what differs, by its tab."""
    sections: dict[str, list[FieldInfo]] = {}
    for info in once_per_unit():
        sections.setdefault(section_of(info), []).append(info)
    parts = [INTRODUCTION, *(f"- {sentence}" for sentence in GENERAL)]
    for title, infos in sections.items():
        parts.append(f"\n## {title}\n\n{HEADER}")
        parts.extend(_row(info) for info in infos)
    parts.extend(("", OLD_NOTATIONS, *_notations()))
    return "\n".join(parts) + "\n"


def _row(info: FieldInfo) -> str:
    fact = FACTS[info.name]
    told = fact.differs if not fact.no_effect else f"Without effect. {fact.no_effect}"
    used = f"`{fact.used_in}`" if fact.used_in else ""
    cells = (f"`{unit_name(info.name)}`", used, since(info.name), told.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def _notations() -> Iterator[str]:
    for old, new in RENAMED.items():
        yield f"| `{old}` | `{new}` |"
    for old, why in REMOVED.items():
        yield f"| `{old}` | nothing: {why} |"
    for name, values in VALUES.items():
        if name.startswith("cn_") and not name.startswith("cn_1_"):
            continue
        for value, meaning in values.items():
            yield f"| `{unit_name(name)}`: {shown(value)} | {shown(meaning)} |"
    for found, meaning in OTHER_NOTATIONS:
        yield f"| {found} | {meaning} |"
