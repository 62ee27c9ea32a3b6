"""Stable Diffusion 3.5 and the flow models since Flux.1: prompts, guidance, LoRAs, recognition and refusals of each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from deforum_helpers.core.errors import Cancelled, ModelError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.diffusion.engine import DiffusionEngine
from deforum_helpers.models.weights.checkpoints import describe_checkpoint
from deforum_helpers.models.weights.few_steps import few_steps_of
from tests.refusals import refuses

RequestMaker = Callable[..., GenerateRequest]
TinyMaker = Callable[[str], Path]

# Kind -> its name in `Checkpoint`, and a layer of its network in the LoRA format of diffusers.
KINDS = {
    "z-image": ("z-image", "layers.0.attention.to_q"),
    "flux2-klein": ("flux2-klein", "transformer_blocks.0.attn.to_q"),
    "sd35": ("sd3", "transformer_blocks.0.attn.to_q"),
    "chroma": ("chroma", "transformer_blocks.0.attn.to_q"),
    "qwen-image": ("qwen-image", "transformer_blocks.0.attn.to_q"),
}
LANGUAGE_KINDS = [kind for kind in KINDS if kind not in ("chroma", "sd35")]


def engine_of(folder: Path) -> DiffusionEngine:
    return make_engine("diffusers", checkpoint=str(folder), device="cpu")


def generate(engine: DiffusionEngine, request: GenerateRequest) -> torch.Tensor:
    return engine.generate(request, CancelToken())


@pytest.mark.parametrize("kind", KINDS)
class TestFamilies:
    def test_the_folder_is_recognised(self, kind: str, tiny: TinyMaker) -> None:
        described = describe_checkpoint(str(tiny(kind)))
        assert (described.source, described.kind, described.few_steps) == ("folder", KINDS[kind][0], None)

    def test_prompts_and_guidance_matter(self, kind: str, tiny: TinyMaker, request_for: RequestMaker) -> None:
        engine = engine_of(tiny(kind))
        requests = [
            request_for(steps=2),
            request_for(steps=2, prompt="red snow"),
            request_for(steps=2, negative_prompt="red"),
            request_for(steps=2, cfg_scale=1.0),
        ]
        first, *others = (generate(engine, request) for request in requests)
        assert all((first - other).abs().max() > 1e-4 for other in others)

    def test_a_run_is_cancelled_between_steps(
        self, kind: str, tiny: TinyMaker, request_for: RequestMaker
    ) -> None:
        engine, token = engine_of(tiny(kind)), CancelToken()
        generate(engine, request_for(steps=1))
        calls: list[int] = []

        def counted(*_: object) -> None:
            calls.append(1)
            token.cancel()

        engine._loaded[1].network.register_forward_hook(counted)
        with pytest.raises(Cancelled):
            engine.generate(request_for(steps=3, cfg_scale=1.0), token)
        assert len(calls) == 1

    def test_a_lora_changes_the_image_and_leaves_no_trace(
        self, kind: str, tiny: TinyMaker, request_for: RequestMaker, tmp_path: Path
    ) -> None:
        pytest.importorskip("peft")
        folder = shutil.copytree(tiny(kind), tmp_path / "models" / "tiny")
        (tmp_path / "Lora").mkdir()
        engine = engine_of(folder)
        plain = generate(engine, request_for(steps=2))
        layer = KINDS[kind][1]
        height, width = engine._loaded[1].network.get_submodule(layer).weight.shape
        generator = torch.Generator().manual_seed(4)
        tensors = {
            f"transformer.{layer}.lora_A.weight": torch.randn(2, width, generator=generator),
            f"transformer.{layer}.lora_B.weight": torch.randn(height, 2, generator=generator),
        }
        save_file(tensors, str(tmp_path / "Lora" / "ink.safetensors"))
        inked = generate(engine, request_for(steps=2, prompt="a hill<lora:ink:1>"))
        assert (inked - plain).abs().max() > 1e-4
        assert torch.equal(generate(engine, request_for(steps=2)), plain)

    @pytest.mark.parametrize("component", ["transformer", "vae", "text_encoder", "tokenizer"])
    def test_a_missing_part_is_named_with_its_place(
        self, kind: str, component: str, tiny: TinyMaker, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(tiny(kind), tmp_path / "model")
        shutil.rmtree(folder / component)
        with refuses(ModelError, "model_component_missing", component, "'model'"):
            describe_checkpoint(str(folder))

    def test_settings_of_unets_are_told_to_have_no_effect(
        self, kind: str, tiny: TinyMaker, request_for: RequestMaker
    ) -> None:
        assert len(engine_of(tiny(kind)).warnings(request_for(tiling=True))) == 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "sd35"])
def test_the_scheduler_is_the_makers_unless_one_is_named(
    kind: str, tiny: TinyMaker, request_for: RequestMaker
) -> None:
    engine = engine_of(tiny(kind))
    automatic, simple, karras, joined = (
        generate(engine, request_for(steps=3, sampler=sampler, scheduler=scheduler))
        for sampler, scheduler in (
            ("DPM++ 2M", "Automatic"),
            ("DPM++ 2M", "Simple"),
            ("DPM++ 2M", "Karras"),
            ("DPM++ 2M Karras", "Automatic"),
        )
    )
    assert torch.equal(automatic, simple)
    assert torch.equal(karras, joined)
    assert not torch.equal(simple, karras)


@pytest.mark.parametrize("kind", LANGUAGE_KINDS)
def test_weights_of_words_are_told_to_have_no_effect(
    kind: str, tiny: TinyMaker, request_for: RequestMaker
) -> None:
    engine = engine_of(tiny(kind))
    weighted = request_for(steps=1, prompt="a (hill:1.4)")
    assert len(engine.warnings(weighted)) == 1
    assert torch.equal(generate(engine, weighted), generate(engine, request_for(steps=1)))


def test_distilled_klein_reads_neither_cfg_nor_the_negative_prompt(
    tiny: TinyMaker, request_for: RequestMaker
) -> None:
    engine = engine_of(tiny("flux2-klein-distilled"))
    plain = generate(engine, request_for(cfg_scale=1.0))
    assert torch.equal(generate(engine, request_for(cfg_scale=7.0, negative_prompt="red")), plain)
    assert len(engine.warnings(request_for(cfg_scale=7.0))) == 1
    assert engine.warnings(request_for(cfg_scale=1.0)) == ()


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Z-Image-Turbo", "Turbo"),
        ("sdxl_lightning_4step", "Lightning"),
        ("Hyper-SD15-8steps", "Hyper-SD"),
        ("dreamshaper_v8-LCM", "LCM"),
        ("FLUX.1-schnell", "schnell"),
        ("Z-Image", None),
        ("turbocharged", None),
        ("hyper-realistic_v2", None),
    ],
)
def test_few_step_models_are_known_by_name(name: str, title: str | None) -> None:
    found = few_steps_of(name, {})
    assert (None if found is None else found.title) == title


def test_a_few_step_model_warns_of_cfg_and_steps(
    tiny: TinyMaker, request_for: RequestMaker, tmp_path: Path
) -> None:
    engine = engine_of(shutil.copytree(tiny("z-image"), tmp_path / "Z-Image-Turbo"))
    assert engine.warnings(request_for(steps=8, cfg_scale=1.0)) == ()
    assert len(engine.warnings(request_for(steps=8, cfg_scale=7.0))) == 1
    assert len(engine.warnings(request_for(steps=25, cfg_scale=7.0))) == 2


def test_a_component_of_another_family_is_refused(tiny: TinyMaker, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny("z-image"), tmp_path / "model")
    path = folder / "model_index.json"
    index = {**json.loads(path.read_text()), "transformer": ["diffusers", "FluxTransformer2DModel"]}
    path.write_text(json.dumps(index))
    with refuses(ModelError, "component_unsupported", "transformer", "ZImageTransformer2DModel"):
        describe_checkpoint(str(folder))
