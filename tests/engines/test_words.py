"""The words of the built-in model: which of a prompt it does not know, and where that is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deforum_api.hosts.own_host import health
from deforum_helpers.__main__ import main
from deforum_helpers.core.messages import code_of
from deforum_helpers.engines import messages
from deforum_helpers.engines.demo.words import lacks_known_words, unknown_words, vocabulary
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.prepare import prepare
from deforum_helpers.ui.formatting import model_html

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("A mountain lake in the style of watercolor, highly detailed, masterpiece", ()),
        ("mountains mountain MOUNTAINS, bird's eye view", ()),
        ("(cute bunny:1.3), [cat|dog] <lora:anything:0.5> AND a lake:2, 4k", ("cute", "bunny", "cat", "dog")),
        ("a ca\u0301fe, \u5c71, of no words at it", ("ca\u0301fe", "\u5c71", "words")),
        ("", ()),
    ],
)
def test_unknown_words_are_found_in_their_order(prompt: str, unknown: tuple[str, ...]) -> None:
    import unicodedata

    normal = unicodedata.normalize("NFC", prompt)
    assert unknown_words([normal]) == tuple(unicodedata.normalize("NFC", word) for word in unknown)


def test_a_prompt_of_praise_alone_names_nothing() -> None:
    assert lacks_known_words("masterpiece, best quality")
    assert lacks_known_words("a cat")
    assert not lacks_known_words("(lakes:1.3)")
    assert not lacks_known_words("")


def warnings(root: Path, engine: str, **settings: object) -> list[str]:
    small = {"W": 64, "H": 64, "max_frames": 8, "legacy_colormatch": False}
    prepared = prepare(small | settings, own_facts(engine, None, root))
    return [text for text in prepared.warnings if "built-in model" in text]


def test_they_are_named_before_a_frame_is_generated(tmp_path: Path) -> None:
    prompts = {"0": "a lake --neg bunny", "3": "a cat", "6": "a forest with a bunny", "9": "a robot"}
    words, frames = warnings(tmp_path, "demo", prompts=prompts)
    assert (code_of(words), code_of(frames)) == ("demo_unknown_words", "demo_unknown_subject")
    assert words.endswith(" cat, bunny.")
    assert "frame 3 " in frames
    assert warnings(tmp_path, "demo", prompts={"0": "a lake at dawn"}) == []
    assert warnings(tmp_path, "null", prompts=prompts) == []


def test_a_hundred_unknown_words_are_not_all_named(tmp_path: Path) -> None:
    letters = "abcdefghij"
    prompt = " ".join(f"zz{one}{other}q" for one in letters for other in letters)
    words, _ = warnings(tmp_path, "demo", prompts={"0": prompt})
    assert words.endswith(" and 60 more.")


def test_check_tab_and_health_list_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.txt"
    path.write_text(json.dumps({"W": 64, "H": 64, "prompts": {"0": "a cat"}}))
    facts = own_facts("demo", None, tmp_path)
    assert main(["check", str(path), "--out", str(tmp_path)]) == 0
    page = model_html(facts)
    known = health(facts)
    assert (known["model_draws"], tuple(known["model_words"])) == (messages.DEMO_GENERATES(), vocabulary())
    for text in (capsys.readouterr().out, page):
        listed = re.findall(r"afternoon, .*?world\b", " ".join(text.split()))
        assert [one.split(", ") for one in listed] == [list(vocabulary())]


def test_the_readme_links_to_the_list() -> None:
    count, target = re.findall(
        r"\[(\d+) words\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")
    )[0]
    listed = (ROOT / target).read_text(encoding="utf-8").split()
    assert (int(count), tuple(listed)) == (len(vocabulary()), vocabulary())


def test_nothing_is_said_of_a_model_that_generates_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text(json.dumps({"W": 64, "H": 64, "prompts": {"0": "a cat"}}))
    facts = own_facts("null", None, tmp_path)
    assert main(["check", str(path), "--engine", "null", "--out", str(tmp_path)]) == 0
    assert "built-in" not in capsys.readouterr().out.casefold()
    assert model_html(facts) == ""
    assert (health(facts)["model_draws"], health(facts)["model_words"]) == ("", [])
