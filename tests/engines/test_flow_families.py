"""What is special of single families: guidance, few steps, schedulers; `test_contract` has what all of them do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine, messages
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.diffusion.engine import DiffusionEngine
from deforum_helpers.models.weights.checkpoints import describe_checkpoint
from deforum_helpers.models.weights.few_steps import few_steps_of
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import prepare
from tests.refusals import refuses

RequestMaker = Callable[..., GenerateRequest]
TinyMaker = Callable[[str], Path]


def engine_of(folder: Path) -> DiffusionEngine:
    return make_engine("diffusers", checkpoint=str(folder), device="cpu")


def generate(engine: DiffusionEngine, request: GenerateRequest) -> torch.Tensor:
    return engine.generate(request, CancelToken())


@pytest.mark.parametrize(
    "kind",
    [
        "z-image",
        "flux2",
        "flux2-klein",
        "chroma",
        "qwen-image",
        "sana",
        "sana-sprint",
        "lumina2",
    ],
)
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


def test_distilled_klein_reads_neither_cfg_nor_the_negative_prompt(
    tiny: TinyMaker, request_for: RequestMaker
) -> None:
    engine = engine_of(tiny("flux2-klein-distilled"))
    plain = generate(engine, request_for(cfg_scale=1.0))
    assert torch.equal(generate(engine, request_for(cfg_scale=7.0, negative_prompt="red")), plain)
    assert len(engine.warnings(request_for(cfg_scale=7.0))) == 1
    assert engine.warnings(request_for(cfg_scale=1.0)) == ()


def test_flux2_dev_is_guided_by_its_distilled_scale(tiny: TinyMaker, request_for: RequestMaker) -> None:
    engine = engine_of(tiny("flux2"))
    low, high = (
        generate(engine, request_for(cfg_scale=1.0, distilled_cfg_scale=scale)) for scale in (2.0, 6.0)
    )
    assert (low - high).abs().max() > 1e-4
    assert engine.warnings(request_for(cfg_scale=1.0)) == ()
    assert len(engine.warnings(request_for(cfg_scale=7.0))) == 1


@pytest.mark.parametrize("kind", ["lcm", "sana-sprint"])
def test_consistency_models_read_the_cfg_scale_and_ask_for_their_sampler(
    kind: str, tiny: TinyMaker, request_for: RequestMaker
) -> None:
    engine = engine_of(tiny(kind))
    low, high = (
        generate(engine, request_for(sampler="LCM", steps=2, cfg_scale=scale)) for scale in (1.0, 4.5)
    )
    assert (low - high).abs().max() > 1e-4
    assert engine.warnings(request_for(sampler="LCM", cfg_scale=4.5)) == ()
    assert len(engine.warnings(request_for(sampler="Euler", cfg_scale=4.5))) == 1


def test_pixart_is_read_under_the_name_that_it_was_published_with(
    tiny: TinyMaker, request_for: RequestMaker, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny("pixart-sigma"), tmp_path / "model")
    for path, entries in (
        (folder / "model_index.json", {"transformer": ["diffusers", "Transformer2DModel"]}),
        (folder / "transformer" / "config.json", {"_class_name": "Transformer2DModel"}),
    ):
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
    published, own = (generate(engine_of(one), request_for()) for one in (folder, tiny("pixart-sigma")))
    assert torch.equal(published, own)


@pytest.mark.parametrize("variant", ["fp16", "bf16"])
def test_weights_in_half_precision_have_names_of_their_own(
    variant: str, tiny: TinyMaker, request_for: RequestMaker, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny("sana"), tmp_path / "model")
    for component in ("vae", "transformer", "text_encoder"):
        (weights,) = (folder / component).glob("*.safetensors")
        weights.rename(weights.with_suffix(f".{variant}.safetensors"))
    named, plain = (generate(engine_of(one), request_for()) for one in (folder, tiny("sana")))
    assert torch.equal(named, plain)


def test_a_check_tells_what_a_checkpoint_cannot(tiny: TinyMaker, tmp_path: Path) -> None:
    def told(kind: str, **settings: object) -> set[str]:
        facts = own_facts("diffusers", str(tiny(kind)), tmp_path)
        submitted = {"W": 64, "H": 64, "max_frames": 300, "diffusion_cadence": 1, "sampler": "Euler"}
        return set(
            prepare({**submitted, "steps": 8, "cfg_scale_schedule": "0:(1)", **settings}, facts).warnings
        )

    def more(kind: str, **settings: object) -> int:
        return len(told(kind, **settings) - told(kind))

    weighted, called = {"0": "a (hill:1.4)"}, {"0": "a hill<lora:ink:1>"}
    assert more("z-image", tiling=True) == more("flux2", freeu_enabled=True) == 1
    assert more("sana", prompts=weighted) == more("flux2", cfg_scale_schedule="0:(1), 299:(7)") == 1
    assert more("pixart-sigma", prompts=called) == more("sana", prompts=called) + 1
    assert more("sana-sprint", sampler="LCM", steps=20) == 1
    assert more("sd1", tiling=True, freeu_enabled=True, prompts=weighted) == 0


def test_a_job_does_not_repeat_what_its_check_told(tiny: TinyMaker, tmp_path: Path) -> None:
    facts = own_facts("diffusers", str(tiny("z-image")), tmp_path)
    settings = {"W": 64, "H": 64, "max_frames": 2, "steps": 1, "tiling": True, "skip_video_creation": True}
    prepared = prepare(settings, facts)
    result = run_job(prepared, engine_of(tiny("z-image")), CancelToken(), lambda progress: None)
    assert result.warnings.count(messages.TILING_UNUSED()) == 1


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
