"""Migration of settings files of older versions: renamed and removed settings, old values and notations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from deforum_helpers.core.bounded_json import parse_json
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.settings import messages
from deforum_helpers.settings.files import json_object
from deforum_helpers.settings.messages import Conversion, Note, number_text, shown
from deforum_helpers.settings.model import FIELDS, UNITS
from deforum_helpers.settings.tables import CLASSIC_SAMPLERS, MASK_FILLS
from deforum_helpers.settings.values import read_value

# Settings that the notebooks name with "video_" after "hybrid_".
_HYBRID = (
    *("generate_inputframes", "use_first_frame_as_init_image", "motion", "flow_method", "composite"),
    *("comp_alpha_schedule", "comp_save_extra_frames", "comp_mask_type", "comp_mask_inverse"),
    *("comp_mask_equalize", "comp_mask_auto_contrast", "comp_mask_blend_alpha_schedule"),
    *("comp_mask_contrast_schedule", "comp_mask_auto_contrast_cutoff_high_schedule"),
    "comp_mask_auto_contrast_cutoff_low_schedule",
)
RENAMED = {
    "flip_2d_perspective": "enable_perspective_flip",
    "skip_video_for_run_all": "skip_video_creation",
    "width": "W",
    "height": "H",
    "sampler_name": "sampler",
    "enable_schedule_samplers": "enable_sampler_scheduling",
    **{f"hybrid_video_{name}": f"hybrid_{name}" for name in _HYBRID},
}
REMOVED = {
    "histogram_matching": "color_coherence matches colors",
    "scale": "use cfg_scale_schedule",
    "ddim_eta": "use ddim_eta_schedule",
    "fov": "use fov_schedule",
}
OLD_NAMES = frozenset({*RENAMED, *REMOVED, "animation_prompts", "use_zoe_depth"})

_OFF_OR_FINE: Mapping[Any, str] = {False: "None", True: "DIS Fine"}
_RESIZE_MODES: Mapping[Any, str] = {
    "Envelope (Outer Fit)": "Outer Fit (Shrink to Fit)",
    "Scale to Fit (Inner Fit)": "Inner Fit (Scale to Fit)",
}
# Setting -> old value -> new value. true and false also match 1 and 0, and the words.
VALUES: Mapping[str, Mapping[Any, str]] = {
    "color_coherence": {
        **{f"Match Frame 0 {space}": space for space in ("HSV", "LAB", "RGB")},
        "MatchFrame0": "RGB",
    },
    "border": {
        "warp": "replicate"
    },  # a misprint of an old template, which treated all values but "wrap" alike
    "hybrid_composite": {False: "None", True: "Normal"},
    "hybrid_generate_human_masks": {False: "None", True: "PNGs"},
    "optical_flow_redo_generation": _OFF_OR_FINE,
    "optical_flow_cadence": _OFF_OR_FINE,
    "depth_algorithm": {
        "Demo": "Built-in",
        "demo": "Built-in",
        "Midas+AdaBins": "Midas+AdaBins (old)",
        "Zoe+AdaBins": "Zoe+AdaBins (old)",
    },
    "keyframe_distribution": {"None": "Off"},
    "r_upscale_factor": {f"{times}x": f"x{times}" for times in (2, 3, 4)},
    "add_soundtrack": {False: "None", True: "File"},
    **dict.fromkeys((f"cn_{number}_resize_mode" for number in range(1, UNITS + 1)), _RESIZE_MODES),
}


Values = Mapping[str, Any]


class Change(NamedTuple):
    """Values after a migration, and notes for the user."""

    values: dict[str, Any]
    notes: tuple[Note, ...] = ()


_WORDS = {"true": True, "false": False}

_MULTIPLE = re.compile(r"[xX](?P<after>[0-9]{1,4})|(?P<before>[0-9]{1,4})[xX]")

# A number that old files set to "Disabled" -> the setting that switches the feature off now, and its value.
_SWITCHED_BY: Mapping[str, tuple[str, Any]] = {
    "frame_interpolation_x_amount": ("frame_interpolation_engine", "None"),
    "frame_interpolation_slow_mo_amount": ("frame_interpolation_slow_mo_enabled", False),
}


def migrated(submitted: Values) -> Change:
    """Return `submitted` with the names, values and prompts of old files replaced by current ones.

    Invalid values are not changed; `read_value` reports them.
    """
    values = dict(submitted)
    notes: list[Note] = []
    for migrate in MIGRATIONS:
        values, found = migrate(values)
        notes.extend(found)
    return Change(values, tuple(notes))


def _old_colormatch(values: Values) -> Change:
    """A file without legacy_colormatch is from a version that matched colors the old way."""
    return Change({"legacy_colormatch": True, **values})


def removed_warning(name: str) -> str:
    """Return the warning about a setting that no longer exists."""
    return messages.SETTING_REMOVED(name=name, advice=REMOVED[name])


def _removed(values: Values) -> Change:
    return Change(dict(values), tuple(removed_warning(name) for name in REMOVED if name in values))


def _renamed(values: Values) -> Change:
    changed = dict(values)
    notes: list[Note] = []
    hybrid = []
    for old, new in RENAMED.items():
        if old not in changed:
            continue
        value = changed.pop(old)
        if _is_empty(value):
            notes.append(Conversion("empty", old))
            continue
        if new in changed and not _is_empty(changed[new]):
            notes.append(messages.OLD_NAME_UNUSED(old=old, new=new))
            continue
        changed[new] = value
        if old.startswith("hybrid_video_"):
            hybrid.append(old)
        else:
            notes.append(Conversion("name", old, meant=new))
    if hybrid:
        notes.append(messages.HYBRID_NAMES_SHORTENED(names=", ".join(hybrid)))
    return Change(changed, tuple(notes))


def _is_empty(value: object) -> bool:
    """Return whether a value is empty, so that the value under another name of the setting counts."""
    return value is None or (isinstance(value, str) and not value.strip()) or value in ({}, [])


def _zoe_depth(values: Values) -> Change:
    if "use_zoe_depth" not in values:
        return Change(dict(values))
    changed = dict(values)
    if _is_empty(changed["use_zoe_depth"]):
        del changed["use_zoe_depth"]
        return Change(changed, (Conversion("empty", "use_zoe_depth"),))
    algorithm = {"True": "Zoe+AdaBins (old)", "False": "Midas+AdaBins (old)"}.get(
        _text(changed.pop("use_zoe_depth"))
    )
    if algorithm is None:
        return Change(changed, (messages.ZOE_DEPTH_UNREADABLE(),))
    changed["depth_algorithm"] = algorithm
    return Change(changed, (messages.ZOE_DEPTH_READ(algorithm=algorithm),))


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, bool) else ""


def _old_values(values: Values) -> Change:
    changed = dict(values)
    notes = []
    for name, table in VALUES.items():
        value = changed.get(name)
        if isinstance(value, str) and True in table:
            value = _WORDS.get(value.strip().casefold(), value)
        if isinstance(value, (bool, int, float, str)) and value in table:
            changed[name] = table[value]
            notes.append(Conversion("notation", name, shown(values[name]), shown(table[value])))
    return Change(changed, tuple(notes))


def _unit_numbers(values: Values) -> Change:
    """Old files have true and false as the schedules of ControlNet units."""
    changed = dict(values)
    notes = []
    for number in range(1, UNITS + 1):
        for field in ("weight", "guidance_start", "guidance_end"):
            name = f"cn_{number}_{field}"
            if isinstance(changed.get(name), bool):
                changed[name] = f"0:({number_text(int(changed[name]))})"
                notes.append(Conversion("notation", name, shown(values[name]), changed[name]))
    return Change(changed, tuple(notes))


def _places_in_lists(values: Values) -> Change:
    """Files of 2022 give the sampler, and all files may give the mask fill, as a position in a list."""
    changed = dict(values)
    warnings = []
    for name, names in (("sampler", CLASSIC_SAMPLERS), ("fill", MASK_FILLS)):
        place = changed.get(name)
        if isinstance(place, str) and re.fullmatch("[0-9]{1,3}", place.strip()):
            place = int(place)
        if isinstance(place, int) and not isinstance(place, bool) and 0 <= place < len(names):
            changed[name] = names[place]
            if name == "sampler":
                warnings.append(messages.SAMPLER_BY_POSITION(found=place, name=names[place]))
    return Change(changed, tuple(warnings))


def _seed(values: Values) -> Change:
    seed = values.get("seed", -1)
    if seed is None or (isinstance(seed, str) and not seed.strip()):
        return Change({**values, "seed": -1}, (messages.SEED_EMPTY(),))
    if isinstance(seed, str) and re.fullmatch(r"\s*-?[0-9]{1,20}\.[0-9]{1,40}\s*", seed):
        seed = float(seed)
    if isinstance(seed, float) and abs(seed) < 2**63 and seed != int(seed):
        return Change({**values, "seed": int(seed)}, (messages.SEED_FRACTION(found=repr(seed)),))
    return Change(dict(values))


def _multiples(values: Values) -> Change:
    """Files of early 2023 write "x3" and "3x" for the numbers of interpolation, and "Disabled" to switch it off."""
    changed = dict(values)
    notes: list[Note] = []
    for name, (switch, off) in _SWITCHED_BY.items():
        text = changed.get(name)
        word = text.strip().casefold() if isinstance(text, str) else text
        multiple = _MULTIPLE.fullmatch(word) if isinstance(word, str) else None
        if multiple:
            changed[name] = int(multiple["after"] or multiple["before"])
            notes.append(Conversion("notation", name, shown(text), str(changed[name])))
        elif word is False or word in ("disabled", "none", "off", "false"):
            changed |= {name: FIELDS[name].default, switch: off}
            notes.append(
                messages.NUMBER_SWITCHES_OFF(setting=name, found=shown(text), switch=switch, value=shown(off))
            )
    return Change(changed, tuple(notes))


def _endless(values: Values) -> Change:
    """In Video Input old files may have any large max_frames, as the video gives the length."""
    asked, most = values.get("max_frames"), FIELDS["max_frames"].maximum
    given = isinstance(asked, (int, float)) and most is not None and asked > most
    if not given or values.get("animation_mode") != "Video Input":
        return Change(dict(values))
    return Change(
        {**values, "max_frames": int(most or 0)},
        (messages.VIDEO_GIVES_LENGTH(found=shown(asked), most=f"{most:g}"),),
    )


def _no_init_image(values: Values) -> Change:
    """Files with use_init on and an empty init_image had no init image in classic."""
    use, image = values.get("use_init"), values.get("init_image", "a default")
    empty = image is None or (isinstance(image, str) and not image.strip())
    if use is not True or not empty or values.get("init_image_box"):
        return Change(dict(values))
    return Change({**values, "use_init": False}, (messages.INIT_IMAGE_EMPTY(),))


def _empty_batch_name(values: Values) -> Change:
    name = values.get("batch_name")
    if not isinstance(name, str) or name.strip():
        return Change(dict(values))
    default = FIELDS["batch_name"].default
    return Change({**values, "batch_name": default}, (messages.BATCH_NAME_EMPTY(default=default),))


def _prompts(values: Values) -> Change:
    """Prompts under either name, as an object, as JSON text, as one text, or as a list."""
    changed = dict(values)
    warnings: list[Note] = []
    if "animation_prompts" in changed:
        other = changed.pop("animation_prompts")
        if _is_empty(other):
            warnings.append(Conversion("empty", "animation_prompts"))
        else:
            both = not _is_empty(changed.get("prompts"))
            warnings.append(
                messages.PROMPTS_UNDER_BOTH_NAMES() if both else messages.PROMPTS_UNDER_OLD_NAME()
            )
            changed["prompts"] = other
    prompts = changed.get("prompts")
    if isinstance(prompts, str):
        prompts, warning = _parsed(prompts.strip().lstrip("\ufeff\u200b"))
        warnings.append(warning)
    if isinstance(prompts, list) and prompts and all(isinstance(prompt, str) for prompt in prompts):
        prompts = _framed_list(prompts) or _spread(prompts, changed.get("max_frames"))
        warnings.append(messages.PROMPTS_IN_LIST(frames=", ".join(list(prompts)[:20])))
    if prompts is not None:
        changed["prompts"] = prompts
    return Change(changed, tuple(warnings))


def _parsed(text: str) -> tuple[Any, str]:
    if text[:1] in ("{", "["):
        with suppress(ValueError):
            return parse_json(text, object_pairs_hook=json_object), messages.PROMPTS_AS_JSON_TEXT()
    from deforum_helpers.settings.prompt_lists import AmbiguousPrompts, prompts_by_frame

    try:
        framed = prompts_by_frame(text)
    except AmbiguousPrompts:
        return text, messages.PROMPTS_AS_TEXT()
    if framed:
        return framed, messages.PROMPTS_WITH_FRAMES(frames=", ".join(list(framed)[:20]))
    if text[:1] in ("{", "["):
        return text, messages.PROMPTS_AS_TEXT()
    return {"0": text} if text else {}, messages.PROMPT_FOR_ALL_FRAMES()


def _framed_list(prompts: list[str]) -> dict[str, str]:
    """Return the prompts of `["0: a lake", "60: a wood"]` by frame, empty if the list has no frames."""
    from deforum_helpers.settings.prompt_lists import AmbiguousPrompts, prompts_by_frame

    try:
        framed = [prompts_by_frame(prompt) for prompt in prompts]
    except AmbiguousPrompts:
        return {}
    return json_object([pair for one in framed for pair in one.items()]) if all(framed) else {}


def _spread(prompts: list[str], max_frames: object) -> dict[str, str]:
    info = FIELDS["max_frames"]
    try:
        frames = read_value(info, max_frames).value or info.default
    except SettingsError:
        frames = info.default
    return {str(index * frames // len(prompts)): prompt for index, prompt in enumerate(prompts)}


MIGRATIONS: tuple[Callable[[Values], Change], ...] = (
    _old_colormatch,
    _removed,
    _renamed,
    _old_values,
    _zoe_depth,
    _unit_numbers,
    _places_in_lists,
    _seed,
    _multiples,
    _endless,
    _no_init_image,
    _empty_batch_name,
    _prompts,
)
