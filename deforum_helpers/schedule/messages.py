"""Messages about schedules, expressions, prompts, masks, seeds and Parseq manifests.

Most are clauses: `Reading` puts the setting, the frame and the column in front of them.
"""

from __future__ import annotations

from deforum_helpers.core.messages import Message

_EXPECTED = "expected {allowed}, found {found}"

# Expressions
UNEXPECTED_TOKEN = Message("unexpected_token", _EXPECTED)
UNKNOWN_NAME = Message("unknown_name", _EXPECTED)
UNKNOWN_FUNCTION = Message("unknown_function", _EXPECTED)
FUNCTION_WITHOUT_ARGUMENT = Message("function_without_argument", _EXPECTED)
WRONG_ARGUMENT_COUNT = Message("wrong_argument_count", _EXPECTED)
CHAINED_COMPARISON = Message("chained_comparison", _EXPECTED)
NUMBER_TOO_LARGE = Message("number_too_large", _EXPECTED)
EXPRESSION_TOO_LONG = Message("expression_too_long", _EXPECTED)
EXPRESSION_TOO_DEEP = Message("expression_too_deep", _EXPECTED)
EXPRESSION_TOO_LARGE = Message("expression_too_large", _EXPECTED)
EVALUATION_TOO_EXPENSIVE = Message("evaluation_too_expensive", _EXPECTED)
NO_FINITE_VALUE = Message("no_finite_value", "{found}; expected {allowed}")
CARET_IS_XOR = Message("caret_is_xor", "^ is the exclusive or of whole numbers; write ** for powers")
UNDEFINED_VALUES = Message(
    "undefined_values",
    "{found} is not a number; the values of {frames} are interpolated from their neighbors",
)

# Schedules
EMPTY_TEXT = Message("empty_text", "expected {allowed}, found nothing")
TEXT_TOO_LONG = Message("text_too_long", _EXPECTED)
TOO_MANY_MARKS = Message("too_many_marks", _EXPECTED)
UNBALANCED_BRACKETS = Message("unbalanced_brackets", _EXPECTED)
NOT_A_KEY_FRAME = Message("not_a_key_frame", _EXPECTED)
SECOND_COLON = Message("second_colon", _EXPECTED)
VALUE_TOO_LONG = Message("value_too_long", _EXPECTED)
VALUE_MISSING = Message("value_missing", "expected {allowed}, found nothing")
NUMBER_FOR_NAME = Message("number_for_name", _EXPECTED)
KEY_TOO_LONG = Message("key_too_long", _EXPECTED)
KEY_OUT_OF_RANGE = Message("key_out_of_range", "{found}; expected {allowed}")
BEATS_UNKNOWN = Message("beats_unknown", _EXPECTED)
UNCLOSED_BRACKET = Message(
    "unclosed_bracket", "this bracket is never closed; it is closed at the end of its value"
)
STRAY_BRACKET = Message("stray_bracket", "this closing bracket has no opening bracket and is ignored")
FRAME_MISSING = Message("frame_missing", "{value} has no frame and is read as 0: (value)")
EMPTY_ENTRY = Message("empty_entry", "nothing stands before this comma")
COMMA_IN_VALUE = Message("comma_in_value", "this comma is read as part of the value; put the value in quotes")
FRAME_REPEATED = Message("frame_repeated", "the frame is written twice; the repetition is ignored")
COMMA_MISSING = Message("comma_missing", "a comma is missing before this key frame and is assumed")
EXTRA_VALUE = Message("extra_value", "key frame {frame} has the value {value}; the rest is ignored")
KEY_WITHOUT_VALUE = Message("key_without_value", "key frame {frame} has no value and is ignored")
KEY_GIVEN_AGAIN = Message(
    "key_given_again", "key frame {frame} is given more than once; the last value counts"
)
KEY_ROUNDED = Message("key_rounded", "key frame {key} lies between two frames and is read as {frame}")
KEY_LIKE_RANGE = Message(
    "key_like_range",
    "key frame {key} is a formula with the result {frame}, not a range; write the first frame alone, as a value or "
    "prompt lasts until the next key frame",
)
KEYS_OUTSIDE = Message("keys_outside", "key frames outside 0 to {last} have no effect: {frames}")
NO_KEY_AT_ZERO = Message("no_key_at_zero", "no key frame is at 0; the value of key frame {frame} is used")
TEXT_AFTER_BRACKET = Message(
    "text_after_bracket", "the value continues after its closing bracket and is read as a whole"
)
UNKNOWN_EASING = Message("unknown_easing", _EXPECTED)
EASING_ARGUMENTS = Message("easing_arguments", _EXPECTED)
EASING_WITHOUT_START = Message(
    "easing_without_start",
    "no key frame is before key frame {frame}, so its easing {easing} has no effect",
)
EDIT_NOT_ONE_ENTRY = Message("edit_not_one_entry", "expected {allowed}, found {found}.")
LAST_ENTRY = Message("last_entry", "{found} is the only key frame; expected {allowed}.")
NOT_JSON_PROMPTS = Message(
    "not_json_prompts", "expected prompts as a JSON object such as {allowed}: {found}."
)
CUT_NUMBER = Message("cut_number", "{text} is read as {number}")
MORE_WARNINGS = Message("more_warnings", "{setting}: {count} more warnings of this kind.")

# Prompts
NO_PROMPTS = Message("no_prompts", "{setting}: expected {allowed}, found no prompt.")
PROMPT_TOO_LONG = Message("prompt_too_long", _EXPECTED)
PROMPTS_TOO_LONG = Message("prompts_too_long", "{setting}: expected {allowed}, found {found}.")
UNPAIRED_BACKTICK = Message("unpaired_backtick", "this backtick has no partner and stays in the prompt")
NEGATIVE_MARK_CORRECTED = Message(
    "negative_mark_corrected", "{found} is read as {mark}, which begins the negative prompt"
)
OWN_SETTING_WITHOUT_NUMBER = Message(
    "own_setting_without_number",
    "{name} is followed by {found}, not by a number, and stays in the prompt as words",
)
OWN_SETTING_OUT_OF_RANGE = Message("own_setting_out_of_range", _EXPECTED)
PROMPT_KEYS_OUTSIDE = Message(
    "prompt_keys_outside", "{setting}: key frames outside 0 to {last} have no effect: {frames}."
)
NO_PROMPT_INSIDE = Message(
    "no_prompt_inside",
    "{setting}: no key frame lies within the video; the prompt of key frame {frame} is used.",
)
BLEND_BEFORE_ZERO = Message(
    "blend_before_zero", "{setting}: blends begin before frame 0, at key frames {frames}."
)

# Masks
MASK_TOO_LONG = Message("mask_too_long", _EXPECTED)
MASK_TOO_LARGE = Message("mask_too_large", _EXPECTED)
MASK_UNEXPECTED = Message("mask_unexpected", _EXPECTED)
MASK_BRACKET_UNPAIRED = Message("mask_bracket_unpaired", _EXPECTED)
MASK_NAME_UNKNOWN = Message("mask_name_unknown", _EXPECTED)

# Seeds
UNKNOWN_SEED_BEHAVIOR = Message(
    "unknown_seed_behavior", "seed_behavior is {found!r}; expected one of {allowed}."
)
SEED_ITER_N_TOO_SMALL = Message("seed_iter_n_too_small", "seed_iter_N is {found}; expected {allowed}.")

# Parseq manifests
MANIFEST_INVALID = Message("manifest_invalid", "{setting}: {found}; expected {allowed}.")
MANIFEST_FRAME_REPEATED = Message(
    "manifest_frame_repeated", "{setting}: frame {frame} is given more than once; the last one counts."
)
MANIFEST_FRAMES_MISSING = Message(
    "manifest_frames_missing",
    "{setting}: {count} frames are missing; their values are interpolated from their neighbors.",
)
MANIFEST_MARK_CORRECTED = Message(
    "manifest_mark_corrected", "{setting}: {found} in {field} is read as {mark}."
)

# Sound
LEVEL_IS_SILENT = Message(
    "level_is_silent", "{name} is 0 at every frame, because the sound has nothing in that range."
)
