"""Finding words and people with tiny networks of random weights, written to a cache of their own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers

from deforum_helpers.core.errors import MissingFeature, ModelError
from deforum_helpers.models.segmentation import HUB_IDS, missing_feature
from deforum_helpers.models.segmentation.models import PeopleFinder, WordFinder, make_finder
from tests.image.sample_images import random_image
from tests.refusals import refuses

TOKENIZER = Path(__file__).parents[3] / "deforum_helpers" / "engines" / "demo" / "tokenizer"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def folder_of(cache: Path, hub_id: str) -> Path:
    owner, _, name = hub_id.partition("/")
    return cache / f"models--{owner}--{name}" / "snapshots" / "1"


def write_clipseg(folder: Path) -> None:
    torch.manual_seed(0)
    side = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPSegConfig(
        text_config={**side, "vocab_size": 50000, "max_position_embeddings": 77},
        vision_config={**side, "image_size": 512, "patch_size": 64},
        projection_dim=8,
        reduce_dim=8,
        extract_layers=[0, 1],
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
        conditional_layer=1,
    )
    transformers.CLIPSegForImageSegmentation(config).save_pretrained(folder)
    shutil.copytree(TOKENIZER, folder, dirs_exist_ok=True)


def write_segformer(folder: Path, labels: dict[int, str]) -> None:
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[4, 2],
        hidden_sizes=[8, 8],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 1],
        mlp_ratios=[1, 1],
        decoder_hidden_size=8,
        id2label=labels,
        label2id={name: number for number, name in labels.items()},
    )
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder)


@pytest.mark.parametrize("purpose", ["words", "people"])
def test_a_missing_model_is_told_with_the_line_that_fetches_it(purpose, cache: Path) -> None:  # type: ignore[no-untyped-def]
    assert f"hf download {HUB_IDS[purpose][0]}" in (missing_feature(purpose) or "")
    with refuses(MissingFeature, "segmentation_unavailable", HUB_IDS[purpose][0]):
        make_finder(purpose, "cpu")


def test_words_are_found_by_clipseg(cache: Path) -> None:
    write_clipseg(folder_of(cache, HUB_IDS["words"][1]))
    finder = make_finder("words", "cpu")
    assert isinstance(finder, WordFinder)
    image = random_image(40, 56)
    mask = finder.find(image, "a red house")
    assert mask.shape == (40, 56)
    assert mask.dtype == torch.float32
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(finder.find(image, "a red house"), mask)


def test_clipseg_is_asked_for_the_words_and_cut_by_otsu() -> None:
    asked = []

    class Network:
        def __call__(self, pixel_values: torch.Tensor, input_ids: torch.Tensor, **_: object) -> object:
            asked.append((pixel_values.shape, input_ids.tolist()))
            logits = torch.full((1, 4, 4), -3.0)
            logits[:, :, 2:] = -1.0
            return type("Answer", (), {"logits": logits})

    tokenizer = transformers.AutoTokenizer.from_pretrained(TOKENIZER, local_files_only=True)
    mask = WordFinder(Network(), tokenizer).find(random_image(8, 8), "the sky")
    assert asked == [((1, 3, 512, 512), tokenizer(["the sky"])["input_ids"])]
    assert mask.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]] * 8


def test_people_are_found_by_their_label(cache: Path) -> None:
    write_segformer(folder_of(cache, HUB_IDS["people"][0]), {0: "wall", 1: "Person", 2: "sky"})
    finder = make_finder("people", "cpu")
    assert isinstance(finder, PeopleFinder)
    mask = finder.find(random_image(40, 56), "")
    assert mask.shape == (40, 56)
    assert 0 < mask.min() <= mask.max() < 1


def test_a_person_is_where_the_network_says_so() -> None:
    class Network:
        def __call__(self, pixel_values: torch.Tensor) -> object:
            assert pixel_values.shape == (1, 3, 512, 512)
            logits = torch.zeros(1, 2, 4, 4)
            logits[0, 1, :, 2:] = 20
            logits[0, 0, :, :2] = 20
            return type("Answer", (), {"logits": logits})

    mask = PeopleFinder(Network(), 1).find(random_image(8, 8))
    assert mask[:, :2].max() < 1e-3
    assert mask[:, 6:].min() > 1 - 1e-3


def test_a_model_without_people_is_refused(cache: Path) -> None:
    write_segformer(folder_of(cache, HUB_IDS["people"][0]), {0: "wall", 1: "sky"})
    with pytest.raises(ModelError, match="cannot be loaded"):
        make_finder("people", "cpu")


def test_a_broken_model_is_refused(cache: Path) -> None:
    folder = folder_of(cache, HUB_IDS["words"][0])
    write_clipseg(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "clipseg"})[:-3])
    with pytest.raises(ModelError, match="<words> in a mask: the model in 1 cannot be loaded"):
        make_finder("words", "cpu")
