"""Messages about settings, and how they show values: short, printable, and the same in errors and warnings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.messages import Message, Text
from deforum_helpers.settings.fields import FieldInfo

# Values
INVALID_VALUE = Message("invalid_setting_value", "{setting} is {found}; expected {allowed}.{hint}")
VALUE_CLAMPED = Message("setting_value_clamped", "{setting} is {found}; expected {allowed}. {value} is used.")
INVALID_TIMESTRING = Message(
    "invalid_resume_timestring",
    "resume_timestring is {found}; expected the 14 digits that the run's file names begin with.",
)
PROMPT_NOT_TEXT = Message("prompt_not_text", "{setting}: {part} is {found}; expected text.")
PROMPTS_UNCLEAR = Message(
    "prompts_unclear",
    "{setting}, column {column}: {found} may begin a key frame or belong to the prompt before it; expected {allowed}.",
)
PROMPTS_NOT_JSON = Message("prompts_not_json", "{setting} is not valid JSON: {fault}")

# Contradictions between settings
FILE_NOT_NAMED = Message("setting_names_no_file", "{setting} is empty, but {reason}; name a file.")
LOOP_WITHOUT_MOTION = Message(
    "loop_without_motion",
    "seamless_loop is true, but in animation_mode {mode} frames do not follow from each other; choose 2D or 3D.",
)
LOOP_WITH_END_IMAGE = Message(
    "loop_with_end_image",
    "seamless_loop is true, but end_image_path sets another last frame; use only one of the two.",
)
REVERSED_VIDEO_INPUT = Message(
    "reversed_video_input",
    "reverse_generation is true, but these settings read a video, whose frames have an order of their own.",
)
REVERSED_END_IMAGE = Message(
    "reversed_end_image",
    "reverse_generation is true, but end_image_path sets the last frame; use that image as init_image instead.",
)
REVERSED_GUIDE_IMAGES = Message(
    "reversed_guide_images",
    "reverse_generation is true, but use_looper leads from each guide image to the next.",
)
REVERSED_PROMPT_BLEND = Message(
    "reversed_prompt_blend",
    "reverse_generation is true, but prompt_interpolation blends each prompt into the next.",
)
EXTRACTION_ENDS_EARLY = Message(
    "extraction_ends_early",
    "extract_to_frame is {found}; expected -1 or a number above extract_from_frame, which is {first}.",
)
UPSCALE_FACTOR_UNSUPPORTED = Message(
    "upscale_factor_unsupported",
    "r_upscale_factor is {found}, but {model} supports only x4; choose x4, or the model {models}.",
)
RIFE_FACTOR_TOO_LARGE = Message(
    "rife_factor_too_large",
    "frame_interpolation_x_amount is {found}, but RIFE v4.6 supports at most {most}; choose a smaller number, or the "
    "engine FILM or Flow.",
)

# Settings as a whole
SETTINGS_NOT_JSON = Message("settings_not_json", "The settings are not valid JSON: {fault}")
SETTINGS_TOO_LARGE = Message("settings_too_large", "The settings cannot be read: their JSON {fault}.")
SETTINGS_NOT_BRACED = Message(
    "settings_not_braced", "The settings are not a JSON object; they must begin with {{ and end with }}."
)
SETTINGS_FILE_UNUSABLE = Message(
    "settings_file_unusable", "The settings file {path} {fault}; choose a .txt or .json settings file."
)
SETTINGS_NOT_UTF8 = Message("settings_not_utf8", "The file {name} is not UTF-8 text; save it as UTF-8.")
SETTINGS_NOT_TEXT = Message(
    "settings_not_text", "The file {name} is not a text file; expected a settings file (.txt or .json)."
)
SETTINGS_NOT_AN_OBJECT = Message(
    "settings_not_an_object", "The settings are {found}; expected an object of names and values."
)
TOO_MANY_SETTINGS = Message(
    "too_many_settings", "The settings have {found:,} names; expected at most {most:,}."
)
BODY_OF_CALL = Message(
    "settings_are_a_request",
    "This is the body of an API call, not a settings file; the settings are the value of its deforum_settings.",
)
PARSEQ_DOCUMENT = Message(
    "settings_are_a_parseq_document",
    "This is a Parseq document, not a settings file; put its text or its address into the setting parseq_manifest.",
)
COMFYUI_WORKFLOW = Message(
    "settings_are_a_comfyui_workflow",
    "This is a ComfyUI workflow, not a settings file; only Deforum's settings files can be read.",
)
INVALID_NAME = Message(
    "invalid_setting_name", "The name of a setting is {found}; expected text that a file can store."
)
NO_SETTING_AMONG = Message("no_setting_among", "None of these names is a setting: {found}.")
SETTINGS_INSIDE = Message(
    "settings_inside",
    "None of these names is a setting: {found}. {place} contains settings; submit only that.",
)
UNKNOWN_NOT_JSON = Message(
    "unknown_setting_not_json", "{name} is not a setting, and JSON cannot represent its value; remove it."
)
UNUSED_SETTING = Message("unused_setting", "{problem} The setting has no effect here and is ignored.")
RECORD_IGNORED = Message("record_ignored", "{setting} cannot be set by a file and is ignored.")
NAMES_REPEATED = Message(
    "setting_names_repeated", "The settings contain {names} more than once; the last value counts."
)
KEYS_REPEATED = Message(
    "setting_keys_repeated", "{setting} contains {names} more than once; the last value counts."
)
OPTIONS_AMONG_SETTINGS = Message(
    "options_among_settings",
    "Ignored: {names}. These are options, not settings; send them as options_overrides.",
)
UNKNOWN_SETTINGS = Message("unknown_settings", "Unknown settings are kept but have no effect: {names}.")

# Options of the host
OPTION_NOT_OVERRIDABLE = Message(
    "option_not_overridable", "The option {name!r} cannot be overridden by a job; expected {allowed}."
)
INVALID_OPTION_VALUE = Message("invalid_option_value", "The option {name!r} is {found}; expected {allowed}.")
PROGRAM_NOT_CHOSEN = Message(
    "program_not_chosen",
    "options_overrides.{name} is ignored: a job cannot choose the programs that the host runs.",
)

# Other notations
SETTING_RENAMED = Message("setting_renamed", "{name} is read as {meant}.")
SETTINGS_RENAMED = Message("settings_renamed", "Older names are read as current ones: {pairs}.")
OTHER_NOTATION = Message("other_notation", "{name} is {found}; it is read as {meant}.")
OTHER_NOTATIONS = Message("other_notations", "Values in other notations: {values}.")
TEXT_AS_NUMBER = Message("text_as_number", "{name} is the text {found}; it is read as a number.")
TEXTS_AS_NUMBERS = Message("texts_as_numbers", "Texts that are read as numbers: {values}.")
NUMBER_FOR_ALL_FRAMES = Message(
    "number_for_all_frames", "{name} is {found}; it is read as {meant}, the same for all frames."
)
NUMBERS_FOR_ALL_FRAMES = Message(
    "numbers_for_all_frames", "Single numbers, each the same for all frames: {values}."
)
SETTING_NULL = Message("setting_null", "{name} is null; it counts as not given.")
SETTINGS_NULL = Message("settings_null", "{names} are null; they count as not given.")
SETTING_EMPTY = Message("setting_empty", "{name} is empty; it counts as not given.")
SETTINGS_EMPTY = Message("settings_empty", "{names} are empty; they count as not given.")
NUMBER_AS_TEXT = Message("number_as_text", "{setting} is the number {found}; it is read as text.")
FALSE_AS_EMPTY = Message("false_as_empty", "{setting} is false; it is read as empty.")
OBJECT_AS_TEXT = Message("object_as_text", "{setting} is an object; it is read as its JSON text.")

# Settings of older versions
SETTING_REMOVED = Message("setting_removed", "{name} no longer exists and is ignored: {advice}.")
REMOVED_BECAUSE = Message("removed_because", "It no longer exists; {advice}.")
OLD_NAME_UNUSED = Message(
    "old_name_unused", "{old} is an older name of {new}; {new} is given too and is used."
)
HYBRID_NAMES_SHORTENED = Message("hybrid_names_shortened", "{names}: read without video_ in the name.")
ZOE_DEPTH_UNREADABLE = Message("zoe_depth_unreadable", "use_zoe_depth no longer exists and is ignored.")
ZOE_DEPTH_READ = Message(
    "zoe_depth_read", "use_zoe_depth is now part of depth_algorithm; it is read as {algorithm}."
)
SAMPLER_BY_POSITION = Message(
    "sampler_by_position", "sampler is {found}, a position in an old list; it is read as {name!r}."
)
SEED_EMPTY = Message("seed_empty", "seed is empty; a random seed is used.")
SEED_FRACTION = Message("seed_fraction", "seed is {found}; its fraction is cut off.")
NUMBER_SWITCHES_OFF = Message("number_switches_off", "{setting} is {found}; {switch} is set to {value}.")
VIDEO_GIVES_LENGTH = Message(
    "video_gives_length", "max_frames is {found}; the length is that of the video, up to {most} frames."
)
INIT_IMAGE_EMPTY = Message(
    "init_image_empty", "use_init is true, but init_image is empty; the video starts without an init image."
)
BATCH_NAME_EMPTY = Message("batch_name_empty", "batch_name is empty; {default} is used.")
PROMPTS_UNDER_OLD_NAME = Message("prompts_under_old_name", "animation_prompts is read as prompts.")
PROMPTS_UNDER_BOTH_NAMES = Message(
    "prompts_under_both_names",
    "animation_prompts is read as prompts; the value of prompts itself is ignored.",
)
PROMPTS_IN_LIST = Message("prompts_in_list", "prompts is a list; its entries begin at frames {frames}.")
PROMPTS_AS_JSON_TEXT = Message("prompts_as_json_text", "prompts is JSON text; it is read as JSON.")
PROMPTS_AS_TEXT = Message("prompts_as_text", "prompts is text.")
PROMPTS_WITH_FRAMES = Message(
    "prompts_with_frames", "prompts is a text of frames and prompts, which begin at frames {frames}."
)
PROMPT_FOR_ALL_FRAMES = Message(
    "prompt_for_all_frames", "prompts is a single text; it is the prompt of all frames."
)
OLD_COLOR_MATCH = Message(
    "old_color_match", "legacy_colormatch is missing, as in older files; it counts as true."
)

MAX_SHOWN = 60


def shown(value: object) -> str:
    """Return `value` as a short printable text for a message."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    if isinstance(value, Mapping):
        return f"an object of {len(value)} entries" if value else "{}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)} values" if value else "[]"
    if isinstance(value, (int, float)):
        return repr(value)
    if not isinstance(value, str):
        return f"a {type(value).__name__}"
    start = value[: MAX_SHOWN + 1]
    text = repr(start) if start.isprintable() else ascii(start)
    whole = len(value) <= MAX_SHOWN and len(text) <= MAX_SHOWN + len("''")
    return text if whole else f"{text[:MAX_SHOWN]}...{text[0]}"


def invalid_value(info: FieldInfo, value: object, allowed: str, hint: str = "") -> SettingsError:
    """Return the error for a value that a setting cannot have.

    Args:
        info: the setting.
        value: the refused value.
        allowed: what was expected, as a clause.
        hint: a blank and a sentence, or nothing.
    """
    message = INVALID_VALUE(setting=info.name, found=shown(value), allowed=allowed, hint=hint)
    return SettingsError([Problem(message, setting=info.name, found=shown(value), allowed=allowed)])


def number_text(number: float) -> str:
    """Return a finite number as plain digits, without exponent: 1e-07 is "0.0000001"."""
    return str(number) if isinstance(number, int) else format(Decimal(repr(number)), "f")


# Beginnings of the messages of Python's json -> the fault in our words.
_JSON_FAULTS = {
    "Expecting value": "expected a value",
    "Expecting property name": "expected a name in double quotes",
    "Expecting ',' delimiter": "expected a comma or the closing bracket",
    "Expecting ':' delimiter": "expected a colon",
    "Illegal trailing comma": "found a comma before the closing bracket",
    "Unterminated string": "found a text without its closing quote",
    "Invalid control character": "found a line break or a tab inside a text",
    "Invalid \\": "found a backslash without a meaning",
    "Extra data": "found more text after the last bracket",
}


def json_fault(error: json.JSONDecodeError) -> str:
    """Return the fault of a JSON text with line and column, and advice about common mistakes, as sentences."""
    fault = next((words for begin, words in _JSON_FAULTS.items() if error.msg.startswith(begin)), error.msg)
    return f"{fault} at line {error.lineno}, column {error.colno}.{_json_advice(error)}"


# What other languages and word processors write where JSON has something else -> advice.
_FOREIGN_JSON = {
    **dict.fromkeys(("//", "/*", "#"), " JSON has no comments; remove it."),
    **dict.fromkeys("\u201c\u201d\u201e\u2018\u2019", ' Write " as on a keyboard.'),
    "True": " Write true.",
    "False": " Write false.",
    "None": " Write null.",
    **dict.fromkeys("+.", " Write a number as in 12 or 0.5."),
}


def _json_advice(error: json.JSONDecodeError) -> str:
    """Return a blank and a sentence, or nothing."""
    found = error.doc[error.pos : error.pos + 1]
    if found and not error.msg.startswith(("Unterminated", "Invalid")):
        for begin, advice in _FOREIGN_JSON.items():
            if error.doc.startswith(begin, error.pos):
                return advice
        if not found.isascii() and not found.isalnum():
            return f" Remove the character U+{ord(found):04X}, or write it as on a keyboard."
        before = error.doc[max(error.pos - 20, 0) : error.pos]
        if found.isdigit() and "property name" in error.msg and re.search(r"[0-9],\s{0,9}\Z", before):
            return " Write a decimal number with a point."
        if found.isdigit() and error.doc[error.pos - 1 : error.pos] == "0":
            return " Write a number without zeros before it."
    if error.msg.startswith("Illegal trailing comma"):
        return " Remove it."
    if found and found in "}]" and error.doc[: error.pos].rstrip().endswith(","):
        return " Remove the comma before it."
    if "escape" in error.msg:
        return " Write a backslash twice in a text."
    if "control character" in error.msg:
        return " Write a line break in a text as \\n."
    if error.msg.startswith(("Expecting value", "Expecting property")) and (found.isalnum() or found == "'"):
        return " Put text in double quotes."
    return ""


Kind = Literal["name", "notation", "text number", "bare number", "null", "empty"]


class Conversion(NamedTuple):
    """A setting that was read from another notation.

    Args:
        kind: what differed.
        name: the setting's name in the file.
        found: its value, as messages show it.
        meant: the name or the value that it was read as.
    """

    kind: Kind
    name: str
    found: str = ""
    meant: str = ""


Note = Conversion | str


def sentences(notes: Iterable[Note]) -> tuple[str, ...]:
    """Return notes as sentences; findings of one kind share a sentence, at the position of the first."""
    alike: dict[str, dict[Conversion, None]] = {}
    for note in notes:
        found = alike.setdefault(note if isinstance(note, str) else note.kind, {})
        if isinstance(note, Conversion):
            found[note] = None
    return tuple(_SENTENCES[key](tuple(found)) if found else key for key, found in alike.items())


def _names(found: Sequence[Conversion]) -> Text:
    if len(found) == 1:
        return SETTING_RENAMED(name=found[0].name, meant=found[0].meant)
    return SETTINGS_RENAMED(pairs=", ".join(f"{one.name} as {one.meant}" for one in found))


def _notations(found: Sequence[Conversion]) -> Text:
    if len(found) == 1:
        return OTHER_NOTATION(name=found[0].name, found=found[0].found, meant=found[0].meant)
    return OTHER_NOTATIONS(values=", ".join(f"{one.name} {one.found} as {one.meant}" for one in found))


def _text_numbers(found: Sequence[Conversion]) -> Text:
    if len(found) == 1:
        return TEXT_AS_NUMBER(name=found[0].name, found=found[0].found)
    return TEXTS_AS_NUMBERS(values=_with_values(found))


def _bare_numbers(found: Sequence[Conversion]) -> Text:
    if len(found) == 1:
        return NUMBER_FOR_ALL_FRAMES(name=found[0].name, found=found[0].found, meant=found[0].meant)
    return NUMBERS_FOR_ALL_FRAMES(values=_with_values(found))


def _nulls(found: Sequence[Conversion]) -> Text:
    if len(found) == 1:
        return SETTING_NULL(name=found[0].name)
    return SETTINGS_NULL(names=", ".join(one.name for one in found))


def _empties(found: Sequence[Conversion]) -> Text:
    if len(found) == 1:
        return SETTING_EMPTY(name=found[0].name)
    return SETTINGS_EMPTY(names=", ".join(one.name for one in found))


def _with_values(found: Sequence[Conversion]) -> str:
    return ", ".join(f"{one.name} {one.found}" for one in found)


_SENTENCES: dict[str, Callable[[Sequence[Conversion]], Text]] = {
    "name": _names,
    "notation": _notations,
    "text number": _text_numbers,
    "bare number": _bare_numbers,
    "null": _nulls,
    "empty": _empties,
}
