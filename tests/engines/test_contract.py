"""What every engine promises, checked on each of them; and what every family of checkpoints does, or says it cannot."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from deforum_helpers.core.errors import Cancelled, ModelError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.core.registry import UnknownName
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import Engine, GenerateRequest, PromptBlend
from deforum_helpers.engines.diffusion.engine import DiffusionEngine
from deforum_helpers.engines.diffusion.loading import LoadedModel
from deforum_helpers.models.weights.checkpoints import (
    LANGUAGE_MODELS,
    TRANSFORMERS,
    WITHOUT_LORAS,
    describe_checkpoint,
)
from tests.refusals import refuses

RequestMaker = Callable[..., GenerateRequest]
TinyMaker = Callable[[str], Path]

_UNET_LAYER = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
_LAYER = "transformer_blocks.0.attn.to_q"


@dataclass(frozen=True)
class Facts:
    """What is known of a family of checkpoints.

    Args:
        kind: its name in `Checkpoint`.
        layer: a layer of its network, by the name that LoRAs give it.
        few_steps: title of its distillation, or None.
        reads_negative: whether the negative prompt counts.
        guides: whether its usual CFG scale is above 1.
        sampler: the one that its makers use, or one of many.
        returned_db: how near sampling from inverted noise comes to the image; the rougher a random network, the less.
    """

    kind: str
    layer: str = _LAYER
    few_steps: str | None = None
    reads_negative: bool = True
    guides: bool = True
    sampler: str = "Euler"
    returned_db: float = 35


FAMILIES = {
    "sd1": Facts("sd", _UNET_LAYER),
    "sd2": Facts("sd", _UNET_LAYER),
    "lcm": Facts("sd", _UNET_LAYER, "LCM", reads_negative=False, sampler="LCM"),
    "sdxl": Facts("sdxl", _UNET_LAYER),
    "sd3": Facts("sd3"),
    "sd35": Facts("sd3"),
    "flux": Facts("flux"),
    "z-image": Facts("z-image", "layers.0.attention.to_q", returned_db=20),
    "flux2": Facts("flux2", guides=False),
    "flux2-klein": Facts("flux2-klein"),
    "flux2-klein-distilled": Facts("flux2-klein", few_steps="distilled", reads_negative=False, guides=False),
    "chroma": Facts("chroma", returned_db=20),
    "qwen-image": Facts("qwen-image"),
    "sana": Facts("sana", "transformer_blocks.0.attn1.to_q"),
    "sana-sprint": Facts(
        "sana-sprint", "transformer_blocks.0.attn1.to_q", "Sprint", reads_negative=False, sampler="LCM"
    ),
    "pixart-sigma": Facts("pixart-sigma", "transformer_blocks.0.attn1.to_q", returned_db=20),
    "lumina2": Facts("lumina2", "layers.0.attn.to_q"),
}
WITHOUT_CHECKPOINT = ("null", "demo")


def over(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("subject", names, indirect=True, scope="module")


every_engine = over(*WITHOUT_CHECKPOINT, *FAMILIES)
every_model = over("demo", *FAMILIES)
every_family = over(*FAMILIES)


class Subject:
    """An engine under test, loaded once for all tests that share it, and others like it.

    Args:
        name: of an engine without a checkpoint, or of a tiny model.
        checkpoint: the tiny model, or None.
        loras: folder of its LoRAs, to be made.
    """

    def __init__(self, name: str, checkpoint: Path | None, loras: Path) -> None:
        self.name = name
        self.checkpoint = checkpoint
        self.loras = loras

    def another(self) -> Engine:
        if self.checkpoint is None:
            return make_engine(self.name, device="cpu")
        return make_engine("diffusers", checkpoint=str(self.checkpoint), device="cpu")

    @cached_property
    def engine(self) -> Engine:
        return self.another()

    def draw(self, request: GenerateRequest) -> torch.Tensor:
        return self.engine.generate(request, CancelToken())

    @property
    def facts(self) -> Facts:
        return FAMILIES[self.name]

    @property
    def model(self) -> LoadedModel:
        """The model of an engine with one, in memory."""
        engine = getattr(self.engine, "_engine", self.engine)
        assert isinstance(engine, DiffusionEngine)
        return engine._model(None, None)


@pytest.fixture(scope="module")
def subject(
    request: pytest.FixtureRequest, tiny: TinyMaker, tmp_path_factory: pytest.TempPathFactory
) -> Subject:
    root = tmp_path_factory.mktemp("models")
    if request.param in WITHOUT_CHECKPOINT:
        return Subject(request.param, None, root / "Lora")
    checkpoint = root / "checkpoints" / request.param
    checkpoint.parent.mkdir()
    checkpoint.symlink_to(tiny(request.param), target_is_directory=True)
    return Subject(request.param, checkpoint, root / "Lora")


def image(height_px: int = 48, width_px: int = 32) -> torch.Tensor:
    return torch.rand(3, height_px, width_px, generator=torch.Generator().manual_seed(3))


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().mean())


@every_engine
class TestEngine:
    def test_images_have_the_size_asked_for(self, subject: Subject, request_for: RequestMaker) -> None:
        request = request_for(width_px=34, height_px=50, steps=1)
        generated = subject.draw(request)
        redrawn = subject.draw(replace(request, init_image=generated, denoising_strength=0.5))
        for pixels in (generated, redrawn):
            assert pixels.shape == (3, 50, 34)
            assert pixels.dtype == torch.float32
            assert 0 <= pixels.min() <= pixels.max() <= 1
            assert pixels.permute(1, 2, 0).is_contiguous()
            assert pixels.std() > 0.01

    def test_the_same_request_gives_the_same_bits_whatever_came_before(
        self, subject: Subject, request_for: RequestMaker
    ) -> None:
        first = request_for(steps=2, sampler="Euler a")
        second = request_for(
            prompt="snow",
            steps=3,
            seed=9,
            sampler="DPM++ 2M SDE",
            init_image=image(),
            tiling=True,
            clip_skip=2,
        )
        other = subject.another()
        images = [subject.draw(request) for request in (first, second, first)]
        reversed_order = [other.generate(request, CancelToken()) for request in (second, first)]
        assert torch.equal(images[0], images[2])
        assert torch.equal(images[0], reversed_order[1])
        assert torch.equal(images[1], reversed_order[0])

    def test_the_init_image_is_left_alone(self, subject: Subject, request_for: RequestMaker) -> None:
        init = image()
        before = init.clone()
        subject.draw(request_for(init_image=init, denoising_strength=0.5, steps=1)).clone().zero_()
        assert torch.equal(init, before)

    def test_the_ends_of_denoising_strength(self, subject: Subject, request_for: RequestMaker) -> None:
        """At 0 the image comes back as far as one short step lets it; at 1 little of it is left."""
        request = request_for(init_image=image(), steps=1000, denoising_strength=0.0)
        kept = subject.draw(request)
        full = subject.draw(replace(request, steps=2, denoising_strength=1.0))
        assert torch.isfinite(kept).all()
        assert torch.isfinite(full).all()
        if subject.name != "null":
            free = subject.draw(replace(request, steps=2, init_image=None))
            assert difference(full, free) < 0.2 * difference(kept, free)

    def test_a_cancelled_job_generates_nothing(self, subject: Subject, request_for: RequestMaker) -> None:
        token = CancelToken()
        token.cancel()
        with pytest.raises(Cancelled):
            subject.engine.generate(request_for(), token)

    def test_resting_changes_nothing(self, subject: Subject, request_for: RequestMaker) -> None:
        before = subject.draw(request_for(steps=1))
        with subject.engine.resting():
            pass
        assert torch.equal(subject.draw(request_for(steps=1)), before)

    def test_a_plain_request_is_not_warned_about(self, subject: Subject, request_for: RequestMaker) -> None:
        request = request_for()
        if subject.checkpoint is not None:
            facts = subject.facts
            request = replace(request, cfg_scale=5.0 if facts.guides else 1.0, sampler=facts.sampler)
        assert subject.engine.warnings(request) == ()


@every_model
class TestSteps:
    def test_a_run_is_cancelled_between_steps(self, subject: Subject, request_for: RequestMaker) -> None:
        token, calls = CancelToken(), []

        def counted(*_: object) -> None:
            calls.append(1)
            token.cancel()

        hook = subject.model.network.register_forward_hook(counted)
        try:
            with pytest.raises(Cancelled):
                subject.engine.generate(request_for(steps=3, cfg_scale=1.0), token)
        finally:
            hook.remove()
        assert len(calls) == 1


@every_family
class TestPrompts:
    def test_prompts_and_guidance_matter(self, subject: Subject, request_for: RequestMaker) -> None:
        first, other, negative, unguided, weighted = (
            subject.draw(request_for(steps=2, **changes))
            for changes in (
                {},
                {"prompt": "red snow"},
                {"negative_prompt": "red"},
                {"cfg_scale": 1.0},
                {"prompt": "a (hill:1.4)"},
            )
        )
        assert difference(first, other) > 1e-5
        assert (difference(first, negative) > 1e-5) is subject.facts.reads_negative
        assert torch.equal(first, unguided) is (subject.facts.few_steps == "distilled")
        assert torch.equal(first, weighted) is (subject.facts.kind in LANGUAGE_MODELS)

    def test_settings_without_effect_are_told(self, subject: Subject, request_for: RequestMaker) -> None:
        plain = request_for(cfg_scale=1.0, sampler=subject.facts.sampler)
        told = subject.engine.warnings(replace(plain, tiling=True))
        assert len(told) == (subject.facts.kind in TRANSFORMERS)
        told = subject.engine.warnings(replace(plain, prompt="a (hill:1.4)"))
        assert len(told) == (subject.facts.kind in LANGUAGE_MODELS)


@every_model
class TestBlends:
    def test_a_blend_leads_from_one_prompt_to_the_other(
        self, subject: Subject, request_for: RequestMaker
    ) -> None:
        first = request_for(prompt="a lake", negative_prompt="fog", steps=2)
        second = replace(first, prompt="a desert at night, long shadows", negative_prompt="people")

        def between(share: float) -> torch.Tensor:
            return subject.draw(
                replace(first, blend=PromptBlend(second.prompt, second.negative_prompt, share))
            )

        start, end = subject.draw(first), subject.draw(second)
        assert torch.equal(between(0.0), start)
        assert torch.equal(between(1.0), end)
        ways = [difference(between(share), start) for share in (0.01, 0.1, 0.5, 0.9)]
        assert 0 < ways[0] < ways[1] < ways[2] < ways[3]
        assert ways[0] < 0.1 * ways[3], "the first frames of a transition hardly differ from the one before"

    def test_a_blend_of_equal_prompts_is_the_prompt(
        self, subject: Subject, request_for: RequestMaker
    ) -> None:
        alone = request_for(prompt="a lake", steps=2)
        same = replace(alone, blend=PromptBlend("a lake", alone.negative_prompt, 0.3))
        assert torch.equal(subject.draw(alone), subject.draw(same))


@every_model
class TestMasks:
    """Masks and revealed areas."""

    @staticmethod
    def request(request_for: RequestMaker, **changes: object) -> GenerateRequest:
        init = image(64, 128)
        return request_for(**{"width_px": 128, "height_px": 64, "init_image": init, **changes})

    @pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M"])
    def test_what_is_not_masked_stays(
        self, subject: Subject, request_for: RequestMaker, sampler: str
    ) -> None:
        """With an empty mask the latents lead back to the init image, whatever the network says."""
        request = self.request(request_for, steps=3, sampler=sampler)
        kept = subject.draw(replace(request, mask=torch.zeros(64, 128)))
        reference = subject.draw(replace(request, denoising_strength=0.0, steps=1000))
        assert difference(kept, reference) < 0.5 * difference(subject.draw(request), reference)

    def test_a_full_mask_is_none(self, subject: Subject, request_for: RequestMaker) -> None:
        request = self.request(request_for, steps=2, denoising_strength=0.7)
        full = subject.draw(replace(request, mask=torch.ones(64, 128)))
        assert (full - subject.draw(request)).abs().max() < 2e-3

    def test_the_content_is_what_the_area_begins_from(
        self, subject: Subject, request_for: RequestMaker
    ) -> None:
        right_half = torch.zeros(64, 128)
        right_half[:, 64:] = 1
        request = self.request(request_for, steps=6, denoising_strength=0.5, mask=right_half)
        images = [
            subject.draw(replace(request, mask_content=content))
            for content in ("picture", "noise", "nothing")
        ]
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert (images[one] - images[other]).abs().max() > 1e-3


@every_family
class TestInvertedNoise:
    def test_the_image_comes_back(
        self, subject: Subject, request_for: RequestMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sampling from the noise that belongs to an image leads back to its latents."""
        sampled, came = DiffusionEngine._sample, []

        def watched(
            self: DiffusionEngine, network: object, init: torch.Tensor | None, cancel: CancelToken
        ) -> torch.Tensor:
            came.append((sampled(self, network, init, cancel), init))
            return came[-1][0]

        monkeypatch.setattr(DiffusionEngine, "_sample", watched)
        request = request_for(
            sampler="DPM++ 2M SDE",
            cfg_scale=1.0,
            init_image=image(12, 8).repeat_interleave(4, 1).repeat_interleave(4, 2),
            denoising_strength=0.4,
        )

        def decibels(source: str, steps: int) -> float:
            subject.draw(replace(request, noise_source=source, steps=steps))
            latents, init = came[-1]
            return 10 * math.log10(float((init.max() - init.min()) ** 2 / ((latents - init) ** 2).mean()))

        inverted = decibels("inverted", 100)
        assert inverted >= subject.facts.returned_db
        assert inverted > decibels("new", 10) + 15

    def test_a_sampler_that_overwrites_it_is_told(self, subject: Subject, request_for: RequestMaker) -> None:
        request = request_for(sampler="LCM", cfg_scale=1.0, noise_source="inverted")
        told = set(subject.engine.warnings(request))
        assert len(told - set(subject.engine.warnings(replace(request, noise_source="new")))) == 1


@every_family
class TestLoras:
    def test_a_lora_changes_the_image_and_leaves_no_trace_or_is_told_to_have_no_effect(
        self, subject: Subject, request_for: RequestMaker
    ) -> None:
        pytest.importorskip("peft")
        layer = subject.facts.layer
        height, width = subject.model.network.get_submodule(layer).weight.shape
        network = "transformer" if subject.facts.kind in TRANSFORMERS else "unet"
        generator = torch.Generator().manual_seed(4)
        tensors = {
            f"{network}.{layer}.lora_A.weight": torch.randn(2, width, generator=generator),
            f"{network}.{layer}.lora_B.weight": torch.randn(height, 2, generator=generator),
        }
        subject.loras.mkdir()
        save_file(tensors, str(subject.loras / "ink.safetensors"))
        called = request_for(
            steps=2, cfg_scale=1.0, prompt="a hill<lora:ink:1>", sampler=subject.facts.sampler
        )
        plain = subject.draw(replace(called, prompt="a hill"))
        told = subject.engine.warnings(called)
        inked = subject.draw(called)
        if subject.facts.kind in WITHOUT_LORAS:
            assert len(told) == 1
            assert torch.equal(inked, plain)
            return
        assert told == ()
        assert difference(inked, plain) > 1e-5
        assert torch.equal(subject.draw(replace(called, prompt="a hill")), plain)


@every_family
class TestFolders:
    def test_the_folder_is_recognised(self, subject: Subject) -> None:
        described = describe_checkpoint(str(subject.checkpoint))
        few = described.few_steps
        found = (described.source, described.kind, None if few is None else few.title)
        assert found == ("folder", subject.facts.kind, subject.facts.few_steps)

    def test_a_missing_part_is_named_with_its_place(self, subject: Subject, tmp_path: Path) -> None:
        assert subject.checkpoint is not None
        folder = shutil.copytree(subject.checkpoint, tmp_path / "model")
        network = "transformer" if subject.facts.kind in TRANSFORMERS else "unet"
        for component in (network, "vae", "text_encoder", "tokenizer"):
            (folder / component).rename(tmp_path / "elsewhere")
            with refuses(ModelError, "model_component_missing", component, "'model'"):
                describe_checkpoint(str(folder))
            (tmp_path / "elsewhere").rename(folder / component)


def test_an_unknown_engine_is_answered_with_the_names() -> None:
    with pytest.raises(UnknownName, match="null, demo, diffusers"):
        make_engine("magic")


def test_diffusers_needs_a_checkpoint() -> None:
    with refuses(ModelError, "checkpoint_required", "'diffusers'"):
        make_engine("diffusers")
