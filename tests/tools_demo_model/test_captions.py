"""Captions say what is in the image, in words that the model knows."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from tools.demo_model import captions as tables
from tools.demo_model.captions import caption, content_words, other_words
from tools.demo_model.drawings import OBJECTS
from tools.demo_model.models import SHIPPED, load_tokenizer, tokenize
from tools.demo_model.pool import visible_words
from tools.demo_model.scene_parts import OBJECT_SLOTS, PALETTES, SCENES, SEASONS, STYLES, TIME_P, WEATHER_P
from tools.demo_model.scenes import collate, sample
from tools.demo_model.tokenizer import save_tokenizer

GLUE = {"the", "of", "a", "an", "in", "with", "and", "style"}


def known_words() -> set[str]:
    phrases = [*tables.QUALITY, *tables.ADJECTIVES, *tables.BAD, "aerial view, view from above, drone shot"]
    phrases += ["bird's eye view", "wide angle, panorama, panoramic view"]
    spoken = {w for p in phrases for w in re.findall(r"[a-z][a-z']+", p.lower())}
    return spoken | set(content_words()) | tables.FILLER | GLUE


def test_captions_use_only_known_words() -> None:
    rng, known = np.random.default_rng(2), known_words()
    for _ in range(400):
        text = caption(rng, sample(rng)[1])
        assert set(re.findall(r"[a-z][a-z']+", text.lower())) <= known, text


def test_every_fact_has_words() -> None:
    assert set(tables.SCENE_WORDS) == set(SCENES)
    assert set(tables.OBJECT_WORDS) == set(OBJECTS)
    assert set(tables.STYLE_WORDS) == set(STYLES)
    assert {*tables.PALETTE_WORDS, ""} == set(PALETTES)
    assert set(tables.TIME_WORDS) == set(TIME_P)
    assert set(tables.WEATHER_WORDS) == set(WEATHER_P)
    assert set(tables.SEASON_WORDS) == set(SEASONS)


def test_spoiled_images_are_captioned_as_bad() -> None:
    rng = np.random.default_rng(0)
    bad = {**sample(rng)[1], "bad": True}
    assert all(caption(rng, bad).split(", ")[0] in tables.BAD for _ in range(20))


def test_objects_that_do_not_show_are_not_named() -> None:
    rng = np.random.default_rng(1)
    params, words = sample(rng, {"scene": "reef"})
    batch, nothing = collate([params]), torch.zeros(1, OBJECT_SLOTS)
    assert words["objects"]
    assert visible_words([words], batch, nothing)[0]["objects"] == []
    assert visible_words([words], batch, nothing + 1000)[0]["objects"] == words["objects"]


def test_shipped_vocabulary_is_that_of_the_captions() -> None:
    shipped = (SHIPPED / "vocabulary.txt").read_text(encoding="utf-8").split()
    assert shipped == content_words()
    assert {"mountains", "castle", "sunset", "watercolor"} <= set(shipped)
    assert not {"the", "of", "with"} & set(shipped)
    others = (SHIPPED / "other_words.txt").read_text(encoding="utf-8").split()
    assert others == other_words()
    assert {"the", "masterpiece", "aerial"} <= set(others)


def test_tokenizer_gives_back_the_words() -> None:
    tokenizer, text = load_tokenizer(), "a castle in the mountains, golden hour"
    ids = tokenize(tokenizer, [text])
    assert ids.shape == (1, 77)
    spoken = tokenizer.decode(ids[0].tolist(), skip_special_tokens=True)
    assert re.findall("[a-z]+", spoken) == re.findall("[a-z]+", text)


def test_new_tokenizer_joins_frequent_words(tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    size = save_tokenizer(folder, ["a lake at dawn"] * 5 + ["a lake"], merges=20)
    assert size == 512 + 7 + 2  # lake 3, dawn 3, at 1 merges; then every word is one token
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.tokenize("a lake") == ["a</w>", "lake</w>"]
