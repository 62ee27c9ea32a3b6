"""The pages of settings and of compatibility, generated from the declarations."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from deforum_helpers.schedule.functions import FUNCTIONS, OPERATORS
from deforum_helpers.settings.compatibility import FACTS, GENERAL
from deforum_helpers.settings.fields import FieldInfo
from deforum_helpers.settings.legacy import REMOVED, RENAMED, VALUES
from deforum_helpers.settings.messages import shown
from deforum_helpers.settings.model import FIELDS, UNITS
from deforum_helpers.settings.predicates import sentence

INTRODUCTION = f"""\
# Settings

`python -m deforum_helpers.settings` generates this page; edit the declarations, not the page.

A settings file is a JSON object with the names below; omitted settings have their defaults.
[default_settings.txt](../config/default_settings.txt) contains all of them.

- A **schedule** gives values to frames: `0: (1), 60: (1.05)`. Between two numbers it is linear. An expression such as
  `0: (1 + 0.02*sin(t/10))` is evaluated at every frame. A plain number applies to all frames.
  Frames where an expression is not a real number, as `cos(t)**0.9` at some, are interpolated from their neighbors,
  and shares beyond their range are clamped, both with a warning.
  The last section gives the grammar.
- A **string schedule** gives names to frames, each until the next: `0: ("Euler a"), 60: ("DPM++ 2M")`.
- A wrong value is an error; all errors of a file are reported together, before the first frame. A wrong value of a
  setting without effect, as in a ControlNet unit that is off, is ignored with a warning.

ControlNet has {UNITS} units: `cn_N_weight` stands for `cn_1_weight` to `cn_{UNITS}_weight`.
"""
HEADER = "| setting | value | default | what it does |\n|---|---|---|---|"


GRAMMAR = "How schedules and prompts are written"
KEYS_AND_EASINGS = """\
Entries are separated by commas; each is `key: (value)`. The key says where the entry begins; prompts and guide images
have the same keys:

| key | frame |
|---|---|
| `30` | frame 30; the first is 0 |
| `max_f/2`, `"max_f-10"` | the value of an expression without `t`, rounded towards zero |
| `-10` | the tenth frame before the end; `-1` is the last one, `max_f` |
| `2.5s` | the frame nearest to 2.5 seconds |
| `8b`, `2bar` | the frame nearest to beat 8, or to the first beat of bar 2, both counted from 0 |
| `50%` | the frame nearest to half of the way to the last one |

`-2s`, `-4b`, `-1bar` and `-10%` count from the end. Of two entries at the same frame the last one counts. Beats need a
tempo (`bpm`) or a [sound](sound.md). `deforum convert` and the button Convert keys write all keys in frames, seconds or
beats.

After a number or an expression an **easing** may follow, which says how the schedule runs *to* this key frame:
`0: (1), 60: (1.05) ~ease_in_out, 90: (1) ~bezier(0.4, 0, 0.2, 1)`. It runs from the value at the previous key frame to
the value at its own; of an expression, its value at its key frame counts. Without an easing after it, an expression is
evaluated up to the next key frame. With u, the passed share of the frames between both, the share of the way is:

| easing | share of the way | exceeds both values |
|---|---|---|
| `~linear` | u; the default after a number | no |
| `~hold` | 0 up to the key frame, then 1 | no |
| `~ease_in` | u² | no |
| `~ease_out` | 1 - (1 - u)² | no |
| `~ease_in_out` | 2u² in the first half, 1 - 2(1 - u)² in the second | no |
| `~cubic` | a curve through the neighboring key frames; its slope is that of the parabola through three | it can |
| `~monotone` | as `~cubic`, but flat where the values turn back (harmonic mean of both slopes) | no |
| `~bounce` | a ball that falls to the value and bounces three times: (11/4)²(u - a)² + b | no |
| `~elastic` | 1 + 2^(-10u) sin(2π(u - 0.075)/0.3) | by 37 % |
| `~bezier(x1, y1, x2, y2)` | as in CSS; x from 0 to 1, y from -100 to 100 | with y outside 0..1 |

`~cubic` and `~monotone` are flat at the first and the last key frame. String schedules hold every value and have no
easings.
"""
PROMPT_TEXT = """\
In a prompt, outside backticks:

| text | meaning |
|---|---|
| `--neg` | begins the negative prompt |
| `--seed 5`, `--steps 30`, `--cfg 7` | for the key frames of this prompt; `seed_behavior` goes on from 5 |
| `{red\\|green}`, `{3::red\\|green}` | with `wildcards`: one of the texts; red three times as often |
| `__colors__`, `__colors/warm__` | with `wildcards`: a line of `colors.txt`, of `colors/warm.txt` |

The seed -1 is a random one. `--seed`, `--steps` and `--cfg` without a number, and braces without a bar, are words of
the prompt. Wildcards may contain others. Their files are in a folder `wildcards` beside `webui.py` or in the output
folder; in a WebUI also in its data folder and in its extensions. Empty lines and lines that begin with `#` are
skipped. A choice depends on the seed and on the key of the prompt, and the settings file of the run contains it.
"""


def _expressions() -> str:
    """Return what an expression may contain."""
    text = f"""\
An **expression** contains numbers, brackets, the operators `{" ".join(OPERATORS)}` and `~`, the names `t` (frame),
`max_f` (last frame), `s` (seed), `fps`, `w`, `h`, `pi`, `e` and those of a [sound](sound.md#names), and the functions
{", ".join(f"`{name}`" for name in FUNCTIONS)}. Angles are in radians; a comparison is 1 or 0;
`where(condition, a, b)` is a or b; `noise(x)` is a smooth random number from -1 to 1.
"""
    return f"{textwrap.fill(text, 120, break_on_hyphens=False)}\n"


def settings_page(order: Sequence[str] = ()) -> str:
    """Return docs/settings.md: contents, then every setting with its kind, bounds, default and help, by its tab.

    Args:
        order: names of settings in the order of the tab; others follow in the order of declaration.
    """
    sections: dict[str, list[FieldInfo]] = {}
    places = {name: place for place, name in enumerate(order)}
    for info in sorted(once_per_unit(), key=lambda info: places.get(info.name, len(places))):
        sections.setdefault(section_of(info), []).append(info)
    tabs = list(dict.fromkeys(title.split(" > ")[0] for title in sections))
    titles = sorted(sections, key=lambda title: tabs.index(title.split(" > ")[0]))
    parts = [INTRODUCTION, _contents([*titles, GRAMMAR])]
    for title in titles:
        rows = "\n".join(_row(info) for info in sections[title])
        parts.append(f"## {title}\n\n{HEADER}\n{rows}\n")
    parts.append(f"## {GRAMMAR}\n\n{KEYS_AND_EASINGS}\n{_expressions()}\n{PROMPT_TEXT}")
    return "\n".join(parts)


def _contents(titles: Iterable[str]) -> str:
    """Return the list of sections, nested by tab."""
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
    """Return the anchor of a heading.

    >>> anchor("Keyframes > Depth Warping & FOV")
    "keyframes--depth-warping--fov"
    """
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def unit_name(text: str) -> str:
    """Return `text` with cn_N_ for the settings of unit 1."""
    return text.replace("cn_1_", "cn_N_")


def once_per_unit() -> Iterator[FieldInfo]:
    """Yield every setting; of the ControlNet units only the first."""
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
    return _cells(cells)


def _cells(texts: Iterable[str]) -> str:
    """Return a row of a table; a bar inside a cell is escaped, also in code."""
    return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"


def _value(info: FieldInfo) -> Iterator[str]:
    files = f"a file ending in {' or '.join(info.file_suffixes)}" if info.file_suffixes else ""
    yield " · ".join(filter(None, (*info.choices, files))) or info.kind
    if info.minimum is not None and info.maximum is not None:
        yield f"{info.minimum:g}..{info.maximum:.17g}"
    if info.unit:
        yield info.unit


def _code(default: object) -> str:
    if isinstance(default, dict):
        return "four example prompts"
    return f"`{default if isinstance(default, str) and default else json.dumps(default)}`"


COMPATIBILITY_INTRODUCTION = """\
# Compatibility with classic Deforum

`python -m deforum_helpers.settings` generates this page; edit the declarations of the settings and the table in
`deforum_helpers/settings/compatibility.py`, not the page.

A settings file that worked in classic Deforum gives the same motion, seeds, prompts, strengths and order of operations.
Crashes, drift, lost frames and contradictions to the help are fixed; this page lists where.
`python -m deforum_helpers check FILE` lists them for one file.

*Since* names the first version with the setting: **classic** is the extension as of March 2024, **2025 fork** its fork
for Forge of June 2025, **here** this project.

## All settings
"""
COMPATIBILITY_HEADER = "| setting | used in | since | difference from classic |\n|---|---|---|---|"
OLD_NOTATIONS = """\
## Old notations

Files of 2022 to 2026 are read without conversion; `check` lists what was read from an old notation.

| in the file | is read as |
|---|---|"""
OTHER_NOTATIONS = (
    ("a file without `legacy_colormatch`", "`legacy_colormatch` is true: colors are matched the old way"),
    ("`use_zoe_depth`", "`depth_algorithm`: Zoe+AdaBins (old) where it is true, else Midas+AdaBins (old)"),
    ("`animation_prompts`, and `prompts` as a list, a text or JSON text", "`prompts`, a list spread evenly"),
    (
        "`prompts` as `0: a lake | 60: a wood`, separated by lines or commas, with or without quotes",
        "the prompts of these frames",
    ),
    ("`--NEG`, `-- neg`, `--negative`, a long dash before neg", "`--neg`"),
    ("`sampler` and `fill` as a number", "the name at that position in the old list"),
    ("names in another case or of another program, such as `dpmpp_2m`", "the current name"),
    ("numbers, switches and schedules as text, schedules as numbers", "the evident meaning"),
    ('`"x3"` and `"3x"` for the numbers of frame interpolation', "3"),
    ('`"Disabled"` for the numbers of frame interpolation', "interpolation, or slow motion, off"),
    ("a seed with a fraction, or an empty one", "the whole number, or a random seed"),
    ("an empty `batch_name`", "the default"),
    ("`use_init` with an empty `init_image`", "no init image"),
    ("`add_soundtrack` with an empty `soundtrack_path` or `video_init_path`", "no sound"),
    ("an empty value under one of a setting's two names", "the value under the other name"),
    ("an unclosed last bracket, trailing commas, a missing comma, a doubled frame", "the evident meaning"),
    ("`0: 4: (1)`, `9: 0: (1)` and `(1).5` in a schedule", "`4: (1)`, `9: (0)` and `1.5`"),
    ("a `max_frames` of millions in Video Input", "the length of the video"),
    ("the same key twice", "its last value"),
)


def compatibility_page() -> str:
    """Return docs/compatibility.md: for every setting, by tab, its module, first version and difference."""
    sections: dict[str, list[FieldInfo]] = {}
    for info in once_per_unit():
        sections.setdefault(section_of(info), []).append(info)
    parts = [COMPATIBILITY_INTRODUCTION, *(f"- {sentence}" for sentence in GENERAL)]
    for title, infos in sections.items():
        parts.append(f"\n## {title}\n\n{COMPATIBILITY_HEADER}")
        parts.extend(_fact_row(info) for info in infos)
    parts.extend(("", OLD_NOTATIONS, *_notations()))
    return "\n".join(parts) + "\n"


def _fact_row(info: FieldInfo) -> str:
    fact = FACTS[info.name]
    told = fact.differs if not fact.no_effect else f"No effect. {fact.no_effect}"
    used = f"`{info.used_in}`" if info.used_in else ""
    cells = (f"`{unit_name(info.name)}`", used, info.since, told.replace("|", "\\|"))
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
    for cells in OTHER_NOTATIONS:
        yield _cells(cells)
