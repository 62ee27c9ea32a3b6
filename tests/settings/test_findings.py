"""What is said of values in other notations: one sentence for all that were read in the same way."""

from __future__ import annotations

from typing import Any

import pytest

from deforum_helpers.core.messages import code_of
from deforum_helpers.settings import load_settings
from deforum_helpers.settings.messages import Conversion, sentences
from deforum_helpers.settings.model import UNITS
from deforum_helpers.settings.report import file_report
from deforum_helpers.ui.settings_files import default_settings, load_over

CURRENT: dict[str, Any] = {"legacy_colormatch": False}
UNITS_OFF: dict[str, Any] = {
    f"cn_{number}_{name}": value
    for number in range(1, UNITS + 1)
    for name, value in {"enabled": False, "weight": 1, "guidance_start": 0.0, "guidance_end": 1}.items()
}


def told(submitted: dict[str, Any]) -> tuple[str, ...]:
    return load_settings(CURRENT | submitted).warnings


def test_the_bare_numbers_of_units_that_are_off_are_one_sentence() -> None:
    (sentence,) = told(UNITS_OFF)
    assert sentence.startswith(
        "Single numbers, each the same for all frames: cn_1_weight 1, cn_1_guidance_start 0.0, cn_1_guidance_end 1, "
    )
    assert sentence.endswith(", cn_5_guidance_end 1.")
    assert all(sentence.count(f"{name} ") == 1 for name in UNITS_OFF if not name.endswith("enabled"))


@pytest.mark.parametrize(
    ("submitted", "said"),
    [
        ({"W": "64"}, "W is the text '64'; it is read as a number."),
        ({"W": "64", "H": "96"}, "Texts that are read as numbers: W '64', H '96'."),
        ({"zoom": 1}, "zoom is 1; it is read as 0: (1), the same for all frames."),
        ({"zoom": 1, "angle": "2"}, "Single numbers, each the same for all frames: angle '2', zoom 1."),
        ({"init_image": None}, "init_image is null; it counts as not given."),
        (
            {"init_image": None, "parseq_manifest": None},
            "init_image, parseq_manifest are null; they count as not given.",
        ),
        ({"use_mask": 0}, "use_mask is 0; it is read as false."),
        (
            {"use_mask": 0, "sampler": "ddim", "cn_1_weight": True},
            "Values in other notations: cn_1_weight true as 0:(1), sampler 'ddim' as 'DDIM', use_mask 0 as false.",
        ),
        ({"width": 64}, "width is read as W."),
        ({"width": 64, "height": 64}, "Older names are read as current ones: width as W, height as H."),
    ],
    ids=lambda case: ",".join(case) if isinstance(case, dict) else "",
)
def test_one_finding_has_its_own_words_and_several_share_a_sentence(
    submitted: dict[str, Any], said: str
) -> None:
    (sentence,) = told(submitted)
    assert sentence == said


def test_sentences_keep_the_order_of_what_they_tell_first() -> None:
    notes = [
        "First.",
        Conversion("null", "a"),
        "Last.",
        Conversion("null", "b"),
        Conversion("null", "a"),
        "First.",
    ]
    assert sentences(notes) == ("First.", "a, b are null; they count as not given.", "Last.")
    assert sentences([]) == ()


def test_the_report_on_a_file_says_each_kind_once() -> None:
    report = file_report(CURRENT | UNITS_OFF | {"fill": 2, "W": "64"})
    codes = [code_of(text) for text in report.taken_over]
    assert codes == ["text_as_number", "numbers_for_all_frames", "other_notation"]


def test_the_tab_says_each_kind_once() -> None:
    submitted = {"hybrid_composite": False, "use_mask": 0, "width": 64, "height": 96}
    notes = load_over("run.txt", CURRENT | submitted, default_settings()).notes
    assert [code_of(text) for text in notes].count("other_notations") == 1
    assert [code_of(text) for text in notes].count("settings_renamed") == 1
