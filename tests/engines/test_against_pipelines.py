"""The engine beside diffusers' own pipelines: a slow, trusted reference for every family."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.diffusion.loading import quiet_libraries
from deforum_helpers.engines.diffusion.noise import seeded_noise

RequestMaker = Callable[..., GenerateRequest]


def pipeline_of(folder: Path, name: str, **parts: Any) -> Any:
    with quiet_libraries(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is deprecated", FutureWarning)  # within diffusers
        pipeline = getattr(diffusers, name).from_pretrained(str(folder), local_files_only=True, **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def picture(pipeline: Any, **options: Any) -> torch.Tensor:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", "__array", DeprecationWarning)
        return pipeline(output_type="pt", **options).images[0]


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_text_to_image(kind: str, tiny: Callable[[str], Path], request_for: RequestMaker) -> None:
    ours = make_engine("diffusers", checkpoint=str(tiny(kind)), device="cpu").generate(
        request_for(sampler="DDIM"), CancelToken()
    )
    name = "StableDiffusionXLPipeline" if kind == "sdxl" else "StableDiffusionPipeline"
    absent = {} if kind == "sdxl" else {"safety_checker": None, "requires_safety_checker": False}
    theirs = picture(
        pipeline_of(tiny(kind), name, **absent),
        prompt="a hill",
        negative_prompt="blurry",
        width=32,
        height=48,
        num_inference_steps=4,
        guidance_scale=5.0,
        latents=seeded_noise((4, 24, 16), 1)[0][None],
    )
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)


def test_lcm(tiny: Callable[[str], Path], request_for: RequestMaker) -> None:
    ours = make_engine("diffusers", checkpoint=str(tiny("lcm")), device="cpu").generate(
        request_for(sampler="LCM", scheduler="Turbo", steps=1), CancelToken()
    )
    theirs = picture(
        pipeline_of(
            tiny("lcm"),
            "LatentConsistencyModelPipeline",
            scheduler=diffusers.LCMScheduler(beta_start=0.00085, beta_end=0.012, clip_sample=False),
            safety_checker=None,
            requires_safety_checker=False,
            feature_extractor=None,
            image_encoder=None,
        ),
        prompt="a hill",
        width=32,
        height=48,
        num_inference_steps=1,
        guidance_scale=5.0,
        latents=seeded_noise((4, 24, 16), 1)[0][None],
    )
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)


def test_sd3(tiny: Callable[[str], Path], request_for: RequestMaker) -> None:
    ours = make_engine("diffusers", checkpoint=str(tiny("sd3")), device="cpu").generate(
        request_for(scheduler="Simple"), CancelToken()
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    absent = {"text_encoder_3": None, "tokenizer_3": None, "image_encoder": None, "feature_extractor": None}
    theirs = picture(
        pipeline_of(tiny("sd3"), "StableDiffusion3Pipeline", scheduler=scheduler, **absent),
        prompt="a hill",
        negative_prompt="blurry",
        width=32,
        height=48,
        num_inference_steps=4,
        sigmas=[1.0, 0.75, 0.5, 0.25],
        guidance_scale=5.0,
        latents=seeded_noise((4, 24, 16), 1)[0][None],
    )
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)


def test_flux(tiny: Callable[[str], Path], request_for: RequestMaker) -> None:
    ours = make_engine("diffusers", checkpoint=str(tiny("flux")), device="cpu").generate(
        request_for(scheduler="Simple", cfg_scale=1.0, distilled_cfg_scale=2.5), CancelToken()
    )
    noise = seeded_noise((4, 24, 16), 1)[0][None]
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
    absent = {"image_encoder": None, "feature_extractor": None}
    pipeline = pipeline_of(tiny("flux"), "FluxPipeline", scheduler=scheduler, **absent)
    theirs = picture(
        pipeline,
        prompt="a hill",
        width=32,
        height=48,
        num_inference_steps=4,
        guidance_scale=2.5,
        latents=pipeline._pack_latents(noise, 1, 4, 24, 16),
    )
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)


def as_they_are(latents: torch.Tensor) -> torch.Tensor:
    return latents


@dataclass(frozen=True)
class Reference:
    """How a pipeline is asked for the same image as the engine.

    Args:
        pipeline: its class.
        cfg: argument of the CFG scale, and what it is for the engine's 5.
        options: further arguments.
        request: what else the engine is asked for.
        pack: turns the engine's starting latents into the pipeline's.
        absent: its components that the family does without.
        scheduler: class of its scheduler.
    """

    pipeline: str
    cfg: tuple[str, float] | None = ("guidance_scale", 5.0)
    options: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    pack: Callable[[torch.Tensor], torch.Tensor] = as_they_are
    absent: tuple[str, ...] = ()
    scheduler: str = "FlowMatchEulerDiscreteScheduler"


def patches_of_flux(latents: torch.Tensor) -> torch.Tensor:
    return diffusers.FluxPipeline._pack_latents(latents, *latents.shape)


def patches_of_flux2(latents: torch.Tensor) -> torch.Tensor:
    return diffusers.Flux2KleinPipeline._patchify_latents(latents)


REFERENCES = {
    "z-image": Reference("ZImagePipeline", ("guidance_scale", 4.0), {"negative_prompt": "blurry"}),
    "flux2-klein": Reference("Flux2KleinPipeline", request={"negative_prompt": ""}, pack=patches_of_flux2),
    "sd35": Reference(
        "StableDiffusion3Pipeline",
        options={"negative_prompt": "blurry", "sigmas": [1.0, 0.75, 0.5, 0.25]},
        request={"scheduler": "Simple"},
        absent=("image_encoder", "feature_extractor"),
    ),
    "qwen-image": Reference(
        "QwenImagePipeline",
        ("true_cfg_scale", 5.0),
        {"negative_prompt": "blurry"},
        pack=patches_of_flux,
    ),
    "flux2-klein-distilled": Reference("Flux2KleinPipeline", pack=patches_of_flux2),
    "flux2": Reference(
        "Flux2Pipeline",
        ("guidance_scale", 2.5),
        request={"cfg_scale": 1.0, "distilled_cfg_scale": 2.5},
        pack=patches_of_flux2,
    ),
    "sana": Reference(
        "SanaPipeline",
        options={"negative_prompt": "blurry", "use_resolution_binning": False},
        request={"prompt": "A hill ", "sampler": "DPM++ 2M", "height_px": 64},
        scheduler="DPMSolverMultistepScheduler",
    ),
    "sana-sprint": Reference(
        "SanaSprintPipeline",
        options={"use_resolution_binning": False},
        request={"sampler": "LCM", "height_px": 64, "steps": 2},
        scheduler="SCMScheduler",
    ),
    "pixart-sigma": Reference(
        "PixArtSigmaPipeline",
        options={"negative_prompt": "blurry", "use_resolution_binning": False, "clean_caption": False},
        request={"prompt": "A red hill", "sampler": "DPM++ 2M", "steps": 3},
        scheduler="DPMSolverMultistepScheduler",
    ),
    "lumina2": Reference("Lumina2Pipeline", options={"negative_prompt": "blurry"}),
}


@pytest.mark.parametrize("kind", REFERENCES)
def test_newer_families(
    kind: str, tiny: Callable[[str], Path], request_for: RequestMaker, tmp_path: Path
) -> None:
    """Same latents in, same image out, at the scheduler and the shift that the engine chooses by itself."""
    reference = REFERENCES[kind]
    folder = tiny(kind)
    request = request_for(**reference.request)
    ours = make_engine("diffusers", checkpoint=str(folder), device="cpu").generate(request, CancelToken())
    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    parts: dict[str, Any] = dict.fromkeys(reference.absent)
    if kind == "flux2":  # the processor of its index, which reads images too, asks for torchvision
        folder = shutil.copytree(folder, tmp_path / kind)
        index = json.loads((folder / "model_index.json").read_text())
        index["tokenizer"] = ["transformers", "PreTrainedTokenizerFast"]
        (folder / "model_index.json").write_text(json.dumps(index))
    parts["scheduler"] = getattr(diffusers, reference.scheduler).from_config(config)
    pipeline = pipeline_of(folder, reference.pipeline, **parts)
    options = {**reference.options, **({} if reference.cfg is None else dict([reference.cfg]))}
    noise, generator = seeded_noise((4, request.height_px // 2, request.width_px // 2), 1)
    theirs = picture(
        pipeline,
        prompt=request.prompt,
        width=request.width_px,
        height=request.height_px,
        num_inference_steps=request.steps,
        latents=reference.pack(noise[None]),
        generator=generator,
        **options,
    )
    assert ours.std() > 0.02
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_chroma(tiny: Callable[[str], Path], request_for: RequestMaker) -> None:
    """The pipeline adds its 0-1 mask to the attention, which hides no padding; here it gets texts without any."""
    engine = make_engine("diffusers", checkpoint=str(tiny("chroma")), device="cpu")
    ours = engine.generate(request_for(), CancelToken())
    absent = {"image_encoder": None, "feature_extractor": None}
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0, use_dynamic_shifting=True)
    pipeline = pipeline_of(tiny("chroma"), "ChromaPipeline", scheduler=scheduler, **absent)
    options: dict[str, torch.Tensor] = {}
    for side, text in (("", "a hill"), ("negative_", "blurry")):
        with torch.no_grad():
            embeds, mask = pipeline._get_t5_prompt_embeds(text)
        read = int(mask.sum())
        options |= {
            f"{side}prompt_embeds": embeds[:, :read],
            f"{side}prompt_attention_mask": mask[:, :read],
        }
    theirs = picture(
        pipeline,
        width=32,
        height=48,
        num_inference_steps=4,
        guidance_scale=5.0,
        latents=patches_of_flux(seeded_noise((4, 24, 16), 1)[0][None]),
        **options,
    )
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
