"""Components from single files: every layout and precision draws what the diffusers folder draws."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from deforum_helpers.core.errors import MissingFeature, ModelError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.diffusion.component_files import network_of_file
from deforum_helpers.engines.diffusion.layouts import naming_of
from deforum_helpers.engines.diffusion.stored_weights import Stored, StoredLinear, by_table, read_weights
from deforum_helpers.models.weights.checkpoints import (
    NO_PARTS,
    ModelParts,
    describe_checkpoint,
    folder_components,
)
from deforum_helpers.models.weights.recognition import ModelFile, recognize
from deforum_helpers.pipeline.host_facts import own_facts
from tests.engines import maker_layouts
from tests.engines.maker_layouts import in_eight_bits, saved, saved_as_gguf, transformer_of, vae_of
from tests.engines.original_layout import write_single_file
from tests.engines.tiny_models import VARIANTS
from tests.refusals import refuses

RequestMaker = Callable[..., GenerateRequest]
TinyMaker = Callable[[str], Path]
Generated = Callable[..., torch.Tensor]

KINDS = tuple(maker_layouts.TRANSFORMERS)
# Without those whose layout is that of another one.
LAYOUTS = tuple(kind for kind in KINDS if kind not in VARIANTS)
needs_gguf = pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="needs gguf")


@pytest.fixture(scope="module")
def generated(request_for: RequestMaker) -> Generated:
    """Return the image of a checkpoint, which is generated once."""
    known: dict[tuple[Path, ModelParts], torch.Tensor] = {}

    def generate(checkpoint: Path, parts: ModelParts = NO_PARTS) -> torch.Tensor:
        if (checkpoint, parts) not in known:
            engine = make_engine("diffusers", checkpoint=str(checkpoint), device="cpu", parts=parts)
            aligned(engine)
            known[checkpoint, parts] = engine.generate(request_for(steps=1, cfg_scale=1.0), CancelToken())
        return known[checkpoint, parts]

    return generate


def aligned(engine: Any) -> None:
    """Load the model and copy its weights: rounding depends on where in memory a file's weights happen to lie."""
    for module in engine._model(None, None).modules():
        for parameter in module.parameters():
            parameter.data = parameter.data.clone()


def without_weights(folder: Path, to: Path) -> Path:
    return shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.safetensors"))


def transformer(folder: Path, path: Path) -> torch.nn.Module:
    """Return the network that takes the place of the transformer of `folder`."""
    library, class_name = folder_components(folder)[1]["transformer"]
    return network_of_file(recognize(path), library, class_name, folder / "transformer", torch.float32)


def stored_layers(network: torch.nn.Module) -> dict[str, StoredLinear]:
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, StoredLinear)}


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_their_makers_draw_what_the_folder_draws(
    kind: str, tiny: TinyMaker, tmp_path: Path, generated: Generated
) -> None:
    """A transformer, text encoders and a VAE in files of their own, with nothing but configurations beside them."""
    folder = tiny(kind)
    path = saved(transformer_of(folder, kind), tmp_path / "model.safetensors", "model.diffusion_model.")
    without_weights(folder, tmp_path / "model")
    texts = tuple(str(path) for path in sorted(folder.glob("text_encoder*/model.safetensors")))
    vae = saved(vae_of(folder, kind), tmp_path / "vae.safetensors")
    assert torch.equal(generated(path, ModelParts(text_encoders=texts, vae=str(vae))), generated(folder))


@pytest.mark.parametrize("kind", ["flux", "qwen-image", "lumina2", "sana", "sd35"])
def test_a_file_of_all_components(kind: str, tiny: TinyMaker, tmp_path: Path, generated: Generated) -> None:
    folder = tiny(kind)
    tensors = {f"model.diffusion_model.{name}": one for name, one in transformer_of(folder, kind).items()}
    tensors |= {f"vae.{name}": one for name, one in vae_of(folder, kind).items()}
    for number, path in enumerate(sorted(folder.glob("text_encoder*/model.safetensors"))):
        start = f"text_encoders.reader{number}.transformer."
        tensors |= {start + name: one for name, one in load_file(path).items()}
    path = saved(tensors, tmp_path / "model.safetensors")
    without_weights(folder, tmp_path / "model")
    assert torch.equal(generated(path), generated(folder))


def test_parts_in_folders_replace_those_of_the_checkpoint(
    tiny: TinyMaker, tmp_path: Path, generated: Generated
) -> None:
    torch.manual_seed(7)
    folder, other = tiny("z-image"), shutil.copytree(tiny("z-image"), tmp_path / "other")
    for path in other.glob("*/*.safetensors"):
        saved({name: one + 0.01 * torch.randn_like(one) for name, one in load_file(path).items()}, path)
    parts = ModelParts(str(other / "transformer"), (str(other / "text_encoder"),), str(other / "vae"))
    assert torch.equal(generated(folder, parts), generated(other))
    one = generated(folder, dataclasses.replace(parts, transformer=""))
    assert not torch.equal(one, generated(other))
    assert not torch.equal(one, generated(folder))


def test_a_transformer_takes_the_rest_from_the_folder_around_a_part(
    tiny: TinyMaker, tmp_path: Path, generated: Generated
) -> None:
    folder = tiny("z-image")
    path = saved(transformer_of(folder, "z-image"), tmp_path / "turbo.safetensors")
    parts = ModelParts(text_encoders=(str(folder / "text_encoder"),))
    assert torch.equal(generated(path, parts), generated(folder))


def test_a_vae_replaces_that_of_a_file_of_stable_diffusion(
    tiny: TinyMaker, tmp_path: Path, generated: Generated
) -> None:
    path = tmp_path / "model.safetensors"
    write_single_file(tiny("sd1"), path)
    without_weights(tiny("sd1"), tmp_path / "model")
    tensors = {name: one * 1.1 for name, one in vae_of(tiny("sd1"), "sd1").items()}
    parts = ModelParts(vae=str(saved(tensors, tmp_path / "vae.safetensors")))
    torch.testing.assert_close(generated(path, parts), generated(tiny("sd1"), parts), atol=1e-5, rtol=0)
    assert not torch.equal(generated(path, parts), generated(path))
    with refuses(ModelError, "part_wrong", "--vae", "a checkpoint of Stable Diffusion"):
        describe_checkpoint(str(path), given=ModelParts(vae=str(path)))


def test_a_transformer_in_a_schedule_takes_the_rest_from_the_first_checkpoint(
    tiny: TinyMaker, tmp_path: Path, generated: Generated, request_for: RequestMaker
) -> None:
    tensors = transformer_of(tiny("z-image"), "z-image")
    first = saved(tensors, tmp_path / "first.safetensors")
    other = saved({name: one * 1.1 for name, one in tensors.items()}, tmp_path / "other.safetensors")
    saved(transformer_of(tiny("chroma"), "chroma"), tmp_path / "foreign.safetensors")
    parts = ModelParts(text_encoders=(str(tiny("z-image") / "text_encoder"),))
    facts = own_facts("diffusers", str(first), tmp_path / "out", parts=parts)
    assert facts.checkpoints == ("first.safetensors", "first", "other.safetensors", "other")
    engine = make_engine("diffusers", checkpoint=str(first), device="cpu", parts=parts)
    for name, path in (("other", other), ("first", first)):
        request = request_for(steps=1, cfg_scale=1.0, checkpoint=name)
        image = engine.generate(request, CancelToken())
        torch.testing.assert_close(image, generated(path, parts), atol=1e-5, rtol=0)
    assert (generated(first, parts) - generated(other, parts)).abs().max() > 1e-3


def dequantized(tensors: Mapping[str, torch.Tensor], mark: str) -> dict[str, torch.Tensor]:
    """Return the weights of a file of 8 bits in float32."""
    plain = {}
    for name, one in tensors.items():
        if name != "scaled_fp8" and not (mark and name.endswith(mark)):
            factor = tensors.get(name.removesuffix("weight") + mark, torch.ones(1))
            plain[name] = one if one.dtype == torch.float32 else one.float() * (factor if mark else 1.0)
    return plain


@pytest.mark.parametrize("kind", LAYOUTS)
def test_weights_in_eight_bits_draw_the_bits_of_the_same_weights_in_float32(
    kind: str, tiny: TinyMaker, tmp_path: Path, generated: Generated
) -> None:
    tensors = in_eight_bits(transformer_of(tiny(kind), kind), "float8_e4m3fn", "scale_weight")
    path = saved(tensors, tmp_path / "8bit.safetensors")
    plain = saved(dequantized(tensors, "scale_weight"), tmp_path / "plain.safetensors")
    assert torch.equal(
        generated(tiny(kind), ModelParts(str(path))), generated(tiny(kind), ModelParts(str(plain)))
    )


@pytest.mark.parametrize(
    ("form", "mark"),
    [
        ("float8_e4m3fn", ""),
        ("float8_e5m2", ""),
        ("float8_e4m3fn", "scale_weight"),
        ("float8_e4m3fn", "weight_scale"),
        ("int8", "weight_scale"),
    ],
)
def test_weights_in_eight_bits_stay_in_eight_bits(
    form: str, mark: str, tiny: TinyMaker, tmp_path: Path
) -> None:
    tensors = in_eight_bits(transformer_of(tiny("flux"), "flux"), form, mark)
    network = transformer(tiny("flux"), saved(tensors, tmp_path / "8bit.safetensors"))
    plain = saved(dequantized(tensors, mark), tmp_path / "plain.safetensors")
    reference = transformer(tiny("flux"), plain)
    stored = stored_layers(network)
    linears = [layer for layer in reference.modules() if isinstance(layer, torch.nn.Linear)]
    assert len(stored) == len(linears) > 20
    for name, layer in stored.items():
        assert layer.weight.element_size() == 1
        expected = reference.get_submodule(name)
        eye = torch.eye(layer.in_features)
        assert torch.equal(layer(eye), expected(eye))


def test_a_cast_of_the_network_leaves_stored_weights_alone(tiny: TinyMaker, tmp_path: Path) -> None:
    tensors = in_eight_bits(transformer_of(tiny("flux"), "flux"), "float8_e4m3fn", "")
    network = transformer(tiny("flux"), saved(tensors, tmp_path / "8bit.safetensors"))
    assert network.dtype == torch.float32
    assert network.to(torch.bfloat16).dtype == torch.bfloat16
    assert all(layer.weight.element_size() == 1 for layer in stored_layers(network).values())


@pytest.mark.parametrize("form", ["float8_e4m3fn", "float8_e5m2"])
def test_a_table_holds_every_number_of_eight_bits(form: str) -> None:
    every = torch.arange(256, dtype=torch.uint8).view(torch.int8)
    expected = every.view(getattr(torch, form)).float()
    torch.testing.assert_close(by_table(every, form), expected, rtol=0, atol=0, equal_nan=True)


def test_a_text_encoder_needs_no_head(tiny: TinyMaker, tmp_path: Path, generated: Generated) -> None:
    folder = tiny("flux2-klein")
    tensors = load_file(folder / "text_encoder" / "model.safetensors")
    del tensors["lm_head.weight"]
    parts = ModelParts(text_encoders=(str(saved(tensors, tmp_path / "qwen.safetensors")),))
    assert torch.equal(generated(folder, parts), generated(folder))


def test_text_encoders_in_eight_bits(tiny: TinyMaker, tmp_path: Path, generated: Generated) -> None:
    for kind in ("chroma", "qwen-image"):
        tensors = load_file(tiny(kind) / "text_encoder" / "model.safetensors")
        tensors = in_eight_bits(tensors, "float8_e4m3fn", "scale_weight")
        path = saved(tensors, tmp_path / f"{kind}.safetensors")
        plain = saved(dequantized(tensors, "scale_weight"), tmp_path / f"{kind}-plain.safetensors")
        one, other = (generated(tiny(kind), ModelParts(text_encoders=(str(path),))) for path in (path, plain))
        assert torch.equal(one, other)


@pytest.mark.parametrize("form", ["int8", pytest.param("Q8_0", marks=needs_gguf)])
def test_a_lora_acts_on_stored_weights_and_leaves_no_trace(
    form: str, tiny: TinyMaker, tmp_path: Path, request_for: RequestMaker
) -> None:
    pytest.importorskip("peft")
    folder = shutil.copytree(tiny("flux"), tmp_path / "models" / "tiny")
    tensors = transformer_of(folder, "flux")
    path = (
        saved(in_eight_bits(tensors, form, "weight_scale"), tmp_path / "8bit.safetensors")
        if form == "int8"
        else saved_as_gguf(tensors, tmp_path / "8bit.gguf", form)
    )
    layer = "single_transformer_blocks.0.attn.to_q"
    (tmp_path / "Lora").mkdir()
    lora = {f"transformer.{layer}.lora_{side}.weight": torch.randn(shape) for side, shape in LORA_SHAPES}
    saved(lora, tmp_path / "Lora" / "ink.safetensors")
    engine = make_engine("diffusers", checkpoint=str(folder), device="cpu", parts=ModelParts(str(path)))
    prompts = ("a hill", "a hill<lora:ink:1>", "a hill")
    plain, inked, again = (
        engine.generate(request_for(prompt=prompt, steps=1), CancelToken()) for prompt in prompts
    )
    assert (inked - plain).abs().max() > 1e-4
    assert torch.equal(again, plain)


LORA_SHAPES = (("A", (2, 32)), ("B", (32, 2)))


def test_factors_of_blocks(tmp_path: Path) -> None:
    values = torch.randint(-127, 127, (4, 6), dtype=torch.int8)
    factors = torch.tensor([[1.0, 2.0, 3.0], [0.5, 4.0, 8.0]])
    path = saved({"a.weight": values, "a.weight_scale": factors}, tmp_path / "m.safetensors")
    ((name, stored),) = read_weights(ModelFile(path, "transformer"))
    expected = values.float() * factors.repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert name == "a.weight"
    assert torch.equal(stored.decoded(torch.float32), expected)
    assert torch.equal(stored.taken(((2, 4), (0, 1))).decoded(torch.float32), expected[[2, 3, 0]])


@needs_gguf
@pytest.mark.parametrize("kind", LAYOUTS)
def test_ggufs_draw_what_the_folder_draws(
    kind: str, tiny: TinyMaker, tmp_path: Path, generated: Generated
) -> None:
    path = saved_as_gguf(transformer_of(tiny(kind), kind), tmp_path / "model.gguf", "Q8_0")
    plain = generated(tiny(kind))
    assert (generated(tiny(kind), ModelParts(str(path))) - plain).abs().mean() < 0.02 * plain.std()


@needs_gguf
@pytest.mark.parametrize(
    ("form", "tolerance"),
    [
        ("F16", 1e-3),
        ("BF16", 0.01),
        ("Q8_0", 0.01),
        ("Q5_0", 0.06),
        ("Q5_1", 0.06),
        ("Q4_0", 0.12),
        ("Q4_1", 0.12),
    ],
)
def test_ggufs_stay_in_their_blocks(form: str, tolerance: float, tiny: TinyMaker, tmp_path: Path) -> None:
    path = saved_as_gguf(transformer_of(tiny("flux"), "flux"), tmp_path / "model.gguf", form)
    network = transformer(tiny("flux"), path)
    weights = tiny("flux") / "transformer" / "diffusion_pytorch_model.safetensors"
    reference = transformer(tiny("flux"), weights)
    stored = stored_layers(network)
    assert bool(stored) is (form not in ("F16", "BF16"))
    for name, expected in reference.named_modules():
        if isinstance(expected, torch.nn.Linear):
            eye = torch.eye(expected.in_features)
            one, other = network.get_submodule(name)(eye), expected(eye)
            assert (one - other).abs().max() <= tolerance * other.abs().max() + 1e-6


@needs_gguf
@pytest.mark.parametrize("form", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "Q5_0", "IQ4_NL"])
def test_blocks_are_decoded_as_gguf_decodes_them(form: str) -> None:
    import gguf
    import numpy as np

    kind = gguf.GGMLQuantizationType[form]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = np.random.default_rng(0).integers(0, 60, (3, 2 * size), dtype=np.uint8)
    expected = torch.from_numpy(gguf.quants.dequantize(data, kind))
    stored = Stored(torch.from_numpy(data).view(torch.int8), form, None, (3, 2 * block))
    torch.testing.assert_close(stored.decoded(torch.float32), expected, rtol=2e-3, atol=1e-6)


def test_names_are_those_that_diffusers_converts_to() -> None:
    """On numbered rows of one column, since the converters of diffusers move rows only, and assume 3072 of them."""
    from diffusers.loaders import single_file_utils as theirs

    hidden, numbers = 3072, iter(range(10**6))

    def rows(count: int) -> torch.Tensor:
        return torch.arange(count)[:, None] + 1e7 * next(numbers)

    double = {"img_attn.qkv": 3, "txt_attn.qkv": 3, "img_attn.proj": 1, "txt_attn.proj": 1}
    double |= {f"{side}_mlp.{layer}": 4 - 3 * (layer // 2) for side in ("img", "txt") for layer in (0, 2)}
    norms = ["img_attn.norm.query_norm", "img_attn.norm.key_norm"]
    norms += ["txt_attn.norm.query_norm", "txt_attn.norm.key_norm"]
    flux = {
        f"double_blocks.1.{name}.{end}": rows(hidden * many) for name, many in double.items() for end in ENDS
    }
    flux |= {f"double_blocks.1.{name}.scale": rows(128) for name in norms}
    flux |= {
        f"single_blocks.1.{name}.{end}": rows(hidden * many) for name, many in SINGLE.items() for end in ENDS
    }
    flux |= {f"single_blocks.1.norm.{name}_norm.scale": rows(128) for name in ("query", "key")}
    flux |= {f"{name}.{end}": rows(64) for name in ("img_in", "txt_in", "final_layer.linear") for end in ENDS}
    flux |= {name.replace(".1.", ".0.", 1): one + 5e6 for name, one in flux.items() if "_blocks.1." in name}
    guide = "distilled_guidance_layer"
    chroma = {f"{guide}.{name}.{end}": rows(8) for name in ("in_proj", "out_proj") for end in ENDS}
    chroma |= {
        f"{guide}.layers.0.{name}.{end}": rows(8) for name in ("in_layer", "out_layer") for end in ENDS
    }
    chroma |= {f"{guide}.norms.0.scale": rows(8)}
    more = {
        f"{part}.{name}.{end}": rows(hidden)
        for part in ("time_in", "vector_in", "guidance_in")
        for name in ("in_layer", "out_layer")
        for end in ENDS
    }
    modulated = [f"double_blocks.{n}.{side}_mod.lin" for n in (0, 1) for side in ("img", "txt")]
    more |= {f"{name}.{end}": rows(6 * hidden) for name in modulated for end in ENDS}
    more |= {f"single_blocks.{n}.modulation.lin.{end}": rows(3 * hidden) for n in (0, 1) for end in ENDS}
    more |= {f"final_layer.adaLN_modulation.1.{end}": rows(2 * hidden) for end in ENDS}
    flux2 = {name: one for name, one in flux.items() if name.endswith((".weight", ".scale"))}
    flux2 |= {f"{name}.lin.weight": rows(18) for name in MODULATIONS}
    flux2 |= {"final_layer.adaLN_modulation.1.weight": rows(8), "time_in.in_layer.weight": rows(4)}
    guided = {f"guidance_in.{name}.weight": rows(4) for name in ("in_layer", "out_layer")}
    z_image = {f"layers.3.attention.{name}.weight": rows(9) for name in ("qkv", "out", "q_norm", "k_norm")}
    z_image |= {
        f"{name}.weight": rows(9) for name in ("x_embedder", "final_layer.linear", "t_embedder.mlp.0")
    }
    z_image |= {
        "norm_final.weight": rows(9),
        "final_layer.adaLN_modulation.1.bias": rows(9),
        "x_pad_token": rows(1),
    }
    sizes = {"layers": 4, "noise_refiner": 4, "context_refiner": 0}
    lumina2: dict[str, torch.Tensor] = {}
    for blocks, modulated_rows in sizes.items():
        for number in (0, 1):
            start = f"{blocks}.{number}"
            lumina2 |= {f"{start}.{name}.weight": rows(4) for name in LUMINA_BLOCK}
            lumina2[f"{start}.attention.qkv.weight"] = rows(2304 + 2 * 768)
            if modulated_rows:
                lumina2 |= {f"{start}.adaLN_modulation.1.{end}": rows(modulated_rows) for end in ENDS}
    lumina2 |= {f"cap_embedder.{number}.weight": rows(2) for number in (0, 1)}
    lumina2 |= {f"t_embedder.mlp.{number}.{end}": rows(2) for number in (0, 2) for end in ENDS}
    lumina2 |= {
        f"{name}.{end}": rows(2)
        for name in ("x_embedder", "final_layer.linear", "final_layer.adaLN_modulation.1", "cap_embedder.1")
        for end in ENDS
    }
    lumina2["norm_final.weight"] = rows(2)
    sana = {
        f"{name}.{end}": rows(6)
        for name in (*SANA_ENDS, *(f"blocks.{number}.{name}" for number in (0, 1) for name in SANA_BLOCK))
        for end in ENDS
        if not name.endswith(("attn.qkv", "point_conv.conv", "attention_y_norm")) or end == "weight"
    }
    sana |= {f"blocks.{number}.cross_attn.kv_linear.{end}": rows(6) for number in (0, 1) for end in ENDS}
    sana |= {
        name: rows(6)
        for name in (
            "blocks.0.scale_shift_table",
            "blocks.1.scale_shift_table",
            "final_layer.scale_shift_table",
            "pos_embed",
            "y_embedder.y_embedding",
        )
    }
    side = 4  # of SD3's transformer, which its converter takes from the context embedder
    sd3 = {f"{name}.{end}": rows(side) for name in SD3_ENDS for end in ENDS}
    sd3 |= {f"final_layer.adaLN_modulation.1.{end}": rows(2 * side) for end in ENDS} | {"pos_embed": rows(1)}
    for number, is_last in ((0, False), (1, True)):
        for part in ("x_block", "context_block"):
            start = f"joint_blocks.{number}.{part}"
            attentions = ("attn", "attn2") if part == "x_block" and not is_last else ("attn",)
            sd3 |= {f"{start}.{name}.qkv.{end}": rows(3 * side) for name in attentions for end in ENDS}
            sd3 |= {f"{start}.{name}.ln_{one}.weight": rows(2) for name in attentions for one in "qk"}
            pre_only = is_last and part == "context_block"
            modulation = 2 if pre_only else 9 if len(attentions) == 2 else 6
            sd3 |= {f"{start}.adaLN_modulation.1.{end}": rows(modulation * side) for end in ENDS}
            if not pre_only:
                names = [*(f"{name}.proj" for name in attentions), "mlp.fc1", "mlp.fc2"]
                sd3 |= {f"{start}.{name}.{end}": rows(side) for name in names for end in ENDS}
    cases: tuple[tuple[Any, Any, dict[str, torch.Tensor], int], ...] = (
        ("flux", theirs.convert_flux_transformer_checkpoint_to_diffusers, {**flux, **more}, hidden),
        ("chroma", theirs.convert_chroma_transformer_checkpoint_to_diffusers, {**flux, **chroma}, hidden),
        ("flux2-klein", theirs.convert_flux2_transformer_checkpoint_to_diffusers, flux2, hidden),
        ("flux2", theirs.convert_flux2_transformer_checkpoint_to_diffusers, {**flux2, **guided}, hidden),
        ("z-image", theirs.convert_z_image_transformer_checkpoint_to_diffusers, z_image, 0),
        ("lumina2", theirs.convert_lumina2_to_diffusers, lumina2, 2304),
        ("sana", theirs.convert_sana_transformer_to_diffusers, sana, 2),
        ("sd3", theirs.convert_sd3_transformer_checkpoint_to_diffusers, sd3, side),
    )
    for family, convert, tensors, width in cases:
        naming = naming_of(ModelFile(Path(), "transformer", family), width)
        ours = {}
        for name, one in tensors.items():
            for target in naming(name, len(one)):
                stored = Stored(one, "", None, tuple(one.shape)).taken(target.rows)
                ours[target.name] = stored.data
        expected = convert(dict(tensors))
        assert set(ours) == set(expected), family
        assert all(torch.equal(ours[name], expected[name]) for name in expected), family


ENDS = ("weight", "bias")
SINGLE = {"linear1": 7, "linear2": 1}
LUMINA_BLOCK = (
    *(f"attention.{name}" for name in ("out", "q_norm", "k_norm")),
    *(f"{name}_norm{number}" for name in ("attention", "ffn") for number in (1, 2)),
    *(f"feed_forward.w{number}" for number in (1, 2, 3)),
)
SANA_BLOCK = (
    *("attn.qkv", "attn.proj", "cross_attn.q_linear", "cross_attn.proj"),
    *(f"mlp.{name}_conv.conv" for name in ("inverted", "depth", "point")),
)
SANA_ENDS = (
    *("x_embedder.proj", "t_embedder.mlp.0", "t_embedder.mlp.2", "t_block.1", "attention_y_norm"),
    *("y_embedder.y_proj.fc1", "y_embedder.y_proj.fc2", "final_layer.linear"),
)
SD3_ENDS = (
    *("x_embedder.proj", "context_embedder", "final_layer.linear"),
    *(f"{name}_embedder.mlp.{number}" for name in "ty" for number in (0, 2)),
)
MODULATIONS = ("double_stream_modulation_img", "double_stream_modulation_txt", "single_stream_modulation")


def test_wrong_parts_are_called_by_their_names(tiny: TinyMaker, tmp_path: Path) -> None:
    """Option, file, and what the one sentence says."""
    folder = tiny("z-image")
    transformer_file = saved(transformer_of(folder, "z-image"), tmp_path / "z.safetensors")
    vae = saved(vae_of(folder, "z-image"), tmp_path / "vae.safetensors")
    text = folder / "text_encoder" / "model.safetensors"
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(transformer_file.read_bytes()[:-1])
    (tmp_path / "model.pt").write_bytes(b"\x80")
    rows = torch.ones(4, 2)
    lora = saved({"transformer.layers.0.attention.to_q.lora_A.weight": rows}, tmp_path / "lora.safetensors")
    unknown = saved({"stem.weight": rows}, tmp_path / "unknown.safetensors")
    controlnet = saved({"control_model.zero_convs.0.0.weight": rows}, tmp_path / "net.safetensors")
    shard = saved({"stem.weight": rows}, tmp_path / "model-00001-of-00002.safetensors")
    language_model = saved({"model.layers.0.self_attn.q_proj.weight": rows}, tmp_path / "llama.safetensors")
    wide = {"model.embed_tokens.weight": rows, "model.layers.0.self_attn.q_norm.weight": torch.ones(2)}
    larger = saved(wide, tmp_path / "larger.safetensors")
    foreign = saved(transformer_of(tiny("chroma"), "chroma"), tmp_path / "chroma.safetensors")
    t5 = tiny("chroma") / "text_encoder" / "model.safetensors"
    flux2_vae = saved(vae_of(tiny("flux2-klein"), "flux2-klein"), tmp_path / "vae2.safetensors")
    cases: tuple[tuple[str, Path, str, tuple[str, ...]], ...] = (
        ("transformer", tmp_path / "nowhere.safetensors", "part_not_found", ("--transformer",)),
        ("transformer", tmp_path, "part_without_configuration", ("config.json", "'transformer'")),
        ("transformer", tmp_path / "model.pt", "checkpoint_pickle", ("model.pt",)),
        ("transformer", shard, "file_of_several", ("name the folder",)),
        ("transformer", controlnet, "part_wrong", ("a ControlNet", "the folder ControlNet")),
        ("transformer", cut, "not_safetensors", ("cut off",)),
        ("transformer", lora, "part_wrong", ("a LoRA", "the transformer of Z-Image", "<lora:name:weight>")),
        ("transformer", vae, "part_wrong", ("a VAE",)),
        ("transformer", text, "part_wrong", ("the text encoder Qwen3", "name it with --text-encoder")),
        ("transformer", foreign, "part_wrong", ("the transformer of Chroma",)),
        ("transformer", language_model, "part_wrong", ("a language model",)),
        ("transformer", unknown, "part_wrong", ("unknown layout",)),
        ("transformer", tiny("chroma") / "transformer", "part_wrong", ("a ChromaTransformer2DModel",)),
        ("text_encoder", t5, "part_wrong", ("the text encoder T5", "expected Qwen3")),
        ("text_encoder", transformer_file, "part_wrong", ("the transformer of Z-Image",)),
        ("text_encoder", larger, "part_width", ("width 2", "16")),
        ("text_encoder", tiny("chroma") / "text_encoder", "part_wrong", ("a T5EncoderModel",)),
        ("vae", transformer_file, "part_wrong", ("the transformer of Z-Image", "expected AutoencoderKL")),
        ("vae", flux2_vae, "part_wrong", ("AutoencoderKLFlux2",)),
        ("vae", tiny("qwen-image") / "vae", "part_wrong", ("a AutoencoderKLQwenImage",)),
    )
    for option, path, code, words in cases:
        texts = (str(path),) if option == "text_encoder" else ()
        others = {option: str(path)} if option != "text_encoder" else {}
        with refuses(ModelError, code, *words):
            describe_checkpoint(str(folder), given=ModelParts(text_encoders=texts, **others))
    with refuses(ModelError, "part_has_no_place", "--transformer", "Stable Diffusion"):
        describe_checkpoint(str(tiny("sd1")), given=ModelParts(str(transformer_file)))
    with refuses(ModelError, "part_has_no_place", "--text-encoder", "Z-Image"):
        describe_checkpoint(str(folder), given=ModelParts(text_encoders=(str(text), str(text))))


@pytest.mark.parametrize(
    ("kind", "option", "foreign", "found", "expected"),
    [
        ("flux2", "transformer", "flux2-klein", "FLUX.2 klein", "FLUX.2 dev"),
        ("flux2", "text_encoder", "z-image", "Qwen3", "Mistral3"),
        ("flux2", "vae", "flux", "AutoencoderKL", "AutoencoderKLFlux2"),
        ("lumina2", "transformer", "z-image", "Z-Image", "Lumina 2"),
        ("lumina2", "text_encoder", "z-image", "Qwen3", "Gemma2"),
        ("sana", "transformer", "sana-sprint", "Sana-Sprint", "Sana"),
        ("sana", "text_encoder", "flux2", "Mistral3", "Gemma2"),
        ("sana", "vae", "lumina2", "AutoencoderKL", "AutoencoderDC"),
        ("sana-sprint", "transformer", "sana", "Sana", "Sana-Sprint"),
        ("pixart-sigma", "transformer", "sana", "Sana", "PixArt-Sigma"),
        ("pixart-sigma", "text_encoder", "sana", "Gemma2", "T5"),
        ("sd35", "transformer", "flux", "Flux.1", "Stable Diffusion 3"),
        ("sd35", "text_encoder", "lumina2", "Gemma2", "CLIP"),
    ],
)
def test_parts_of_other_families_are_called_by_their_names(
    kind: str, option: str, foreign: str, found: str, expected: str, tiny: TinyMaker, tmp_path: Path
) -> None:
    """In the layouts of their makers."""
    path = tmp_path / "part.safetensors"
    if option == "text_encoder":
        shutil.copy(tiny(foreign) / "text_encoder" / "model.safetensors", path)
    else:
        saved((transformer_of if option == "transformer" else vae_of)(tiny(foreign), foreign), path)
    one = {"text_encoders": (str(path),)} if option == "text_encoder" else {option: str(path)}
    with refuses(ModelError, "part_wrong", path.name, found, expected):
        describe_checkpoint(str(tiny(kind)), given=ModelParts(**one))


def test_a_file_of_network_and_vae_is_completed(tiny: TinyMaker, tmp_path: Path) -> None:
    """Stability AI publishes Stable Diffusion 3.5 so, with the text encoders beside it."""
    tensors = {
        f"model.diffusion_model.{name}": one for name, one in transformer_of(tiny("sd35"), "sd35").items()
    }
    tensors |= {f"first_stage_model.{name}": one for name, one in vae_of(tiny("sd35"), "sd35").items()}
    path = saved(tensors, tmp_path / "model.safetensors")
    with refuses(ModelError, "file_without_configuration", "a checkpoint of Stable Diffusion 3", "'model'"):
        describe_checkpoint(str(path))
    without_weights(tiny("sd35"), tmp_path / "model")
    with refuses(ModelError, "file_lacks_parts", "text_encoder, text_encoder_2, text_encoder_3;"):
        describe_checkpoint(str(path))
    texts = tuple(str(one) for one in sorted(tiny("sd35").glob("text_encoder*/model.safetensors")))
    parts = describe_checkpoint(str(path), given=ModelParts(text_encoders=texts)).parts
    assert set(parts) == {"transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3"}


def test_two_text_encoders_of_one_class_are_told_apart(tiny: TinyMaker) -> None:
    """By the names of their folders; files of one size by their order."""
    first, second = (tiny("sd3") / name for name in ("text_encoder", "text_encoder_2"))
    given = ModelParts(text_encoders=(str(second), str(first)))
    parts = describe_checkpoint(str(tiny("sd3")), given=given).parts
    assert {name: part.location for name, part in parts.items()} == {
        "text_encoder": first,
        "text_encoder_2": second,
    }
    files = tuple(str(folder / "model.safetensors") for folder in (first, second))
    parts = describe_checkpoint(str(tiny("sd3")), given=ModelParts(text_encoders=files)).parts
    assert [str(part.location) for part in parts.values()] == list(files)


@needs_gguf
def test_ggufs_of_other_networks(tiny: TinyMaker, tmp_path: Path) -> None:
    rows = {"token_embd.weight": torch.ones(4, 32), "blk.0.attn_q.weight": torch.ones(4, 32)}
    path = saved_as_gguf(rows, tmp_path / "llama.gguf", "Q8_0")
    with refuses(ModelError, "part_wrong", "a language model"):
        describe_checkpoint(str(tiny("flux")), given=ModelParts(str(path)))
    with refuses(ModelError, "not_a_checkpoint", "a language model"):
        describe_checkpoint(str(path))


def test_what_a_transformer_alone_lacks(tiny: TinyMaker, tmp_path: Path) -> None:
    path = saved(transformer_of(tiny("flux"), "flux"), tmp_path / "model.safetensors")
    with refuses(ModelError, "file_without_configuration", "the transformer of Flux.1", "'model'"):
        describe_checkpoint(str(path))
    without_weights(tiny("flux"), tmp_path / "model")
    lacking = ("vae, text_encoder, text_encoder_2", "--vae and --text-encoder", "'model'")
    with refuses(ModelError, "file_lacks_parts", *lacking):
        describe_checkpoint(str(path))
    texts = tuple(str(path) for path in tiny("flux").glob("text_encoder*/model.safetensors"))
    with refuses(ModelError, "file_lacks_parts", "lacks the model's vae;"):
        describe_checkpoint(str(path), given=ModelParts(text_encoders=texts))
    shutil.rmtree(tmp_path / "model" / "transformer")
    with refuses(ModelError, "model_component_missing", "transformer"):
        describe_checkpoint(str(path), given=ModelParts("", texts, str(tiny("flux") / "vae")))


def test_files_of_all_components_with_factors(tiny: TinyMaker, tmp_path: Path) -> None:
    """diffusers, which loads these, would leave the factors out."""
    write_single_file(tiny("sd1"), tmp_path / "plain.safetensors")
    tensors = in_eight_bits(load_file(tmp_path / "plain.safetensors"), "float8_e4m3fn", "weight_scale")
    with refuses(ModelError, "whole_file_packed", "a checkpoint of Stable Diffusion"):
        describe_checkpoint(str(saved(tensors, tmp_path / "model.safetensors")))
    start = "model.diffusion_model."
    flux = {start + name: one for name, one in transformer_of(tiny("flux"), "flux").items()}
    flux |= {f"vae.{name}": one for name, one in vae_of(tiny("flux"), "flux").items()}
    path = saved(in_eight_bits(flux, "float8_e4m3fn", "weight_scale"), tmp_path / "flux.safetensors")
    with refuses(ModelError, "file_without_configuration", "a checkpoint of Flux.1"):
        describe_checkpoint(str(path))


def test_a_mistral_without_what_no_prompt_needs(
    tiny: TinyMaker, tmp_path: Path, generated: Generated
) -> None:
    """As ComfyUI publishes it: with the tokenizer, without eyes, head and the layers after those that are read."""
    folder = tiny("flux2")
    own = load_file(folder / "text_encoder" / "model.safetensors")
    start = "language_model.model."
    text = {name.removeprefix(start): one for name, one in own.items() if name.startswith(start)}
    assert text.pop("layers.30.mlp.up_proj.weight") is not None
    text = {f"model.{name}": one for name, one in text.items() if not name.startswith("layers.30.")}
    marked = {**text, "tekken_model": torch.zeros(8, dtype=torch.uint8)}
    path = saved(marked, tmp_path / "mistral.safetensors")
    parts = ModelParts(text_encoders=(str(path),))
    assert torch.equal(generated(folder, parts), generated(folder))
    del marked["model.layers.29.self_attn.q_proj.weight"]
    short = ModelParts(text_encoders=(str(saved(marked, tmp_path / "short.safetensors")),))
    with refuses(ModelError, "component_misfit", "short.safetensors"):
        generated(folder, short)
    unmarked = saved(text, tmp_path / "unmarked.safetensors")
    with refuses(ModelError, "part_wrong", "a language model", "expected Mistral3"):
        describe_checkpoint(str(folder), given=ModelParts(text_encoders=(str(unmarked),)))


def test_a_clip_without_its_projection(tiny: TinyMaker, tmp_path: Path, generated: Generated) -> None:
    """As in files of Stable Diffusion 3, whose network reads the embedding itself."""
    tensors = load_file(tiny("sd3") / "text_encoder" / "model.safetensors")
    del tensors["text_projection.weight"]
    bare = ModelParts(text_encoders=(str(saved(tensors, tmp_path / "clip.safetensors")),))
    tensors["text_projection.weight"] = torch.eye(32)
    whole = ModelParts(text_encoders=(str(saved(tensors, tmp_path / "whole.safetensors")),))
    assert torch.equal(generated(tiny("sd3"), bare), generated(tiny("sd3"), whole))
    assert not torch.equal(generated(tiny("sd3"), bare), generated(tiny("sd3")))


def test_what_a_transformer_of_stable_diffusion_3_lacks(tiny: TinyMaker, tmp_path: Path) -> None:
    """T5 may be missing, but not where the index names it."""
    path = saved(transformer_of(tiny("sd35"), "sd35"), tmp_path / "model.safetensors")
    without_weights(tiny("sd35"), tmp_path / "model")
    texts = tuple(
        str(tiny("sd35") / name / "model.safetensors") for name in ("text_encoder", "text_encoder_2")
    )
    given = ModelParts(text_encoders=texts, vae=str(tiny("sd35") / "vae"))
    with refuses(ModelError, "file_lacks_parts", "lacks the model's text_encoder_3;", "--text-encoder"):
        describe_checkpoint(str(path), given=given)
    index = tmp_path / "model" / "model_index.json"
    content = json.loads(index.read_text())
    del content["text_encoder_3"], content["tokenizer_3"]
    index.write_text(json.dumps(content))
    parts = describe_checkpoint(str(path), given=given).parts
    assert set(parts) == {"transformer", "text_encoder", "text_encoder_2", "vae"}


def test_text_encoders_of_one_class_inside_a_file_are_told_apart_by_their_size(
    tiny: TinyMaker, tmp_path: Path
) -> None:
    """In files of Stable Diffusion 3 the larger CLIP comes first by its name."""
    folder = shutil.copytree(tiny("sd3"), tmp_path / "model")
    config = folder / "text_encoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "hidden_size": 16}))
    clips = {"clip_g": 32, "clip_l": 16}
    names = ("embeddings.position_embedding.weight", "encoder.layers.0.self_attn.q_proj.weight")
    tensors = {"model.diffusion_model.joint_blocks.0.x_block.mlp.fc1.weight": torch.ones(4, 4)}
    for clip, width in clips.items():
        start = f"text_encoders.{clip}.transformer.text_model."
        tensors |= {start + name: torch.ones(4, width) for name in names}
        tensors[f"{start}embeddings.token_embedding.weight"] = torch.ones(4, width)
    tensors |= {f"first_stage_model.{name}": one for name, one in vae_of(folder, "sd3").items()}
    parts = describe_checkpoint(str(saved(tensors, tmp_path / "model.safetensors"))).parts
    widths = {name: part.file.width for name, part in parts.items() if part.file and "text" in name}
    assert widths == {"text_encoder": 16, "text_encoder_2": 32}


def test_the_deep_autoencoder_is_that_which_diffusers_converts_to(tiny: TinyMaker) -> None:
    from diffusers.loaders.single_file_utils import convert_autoencoder_dc_checkpoint_to_diffusers

    converted = convert_autoencoder_dc_checkpoint_to_diffusers(vae_of(tiny("sana"), "sana"))
    own = load_file(tiny("sana") / "vae" / "diffusion_pytorch_model.safetensors")
    assert set(converted) == set(own)
    assert all(torch.equal(converted[name], one) for name, one in own.items())


def test_weights_that_do_not_fit_their_configuration(tiny: TinyMaker, tmp_path: Path) -> None:
    tensors = transformer_of(tiny("z-image"), "z-image")
    changes: tuple[tuple[str, dict[str, torch.Tensor], str], ...] = (
        ("more", {**tensors, "layers.1.attention.qkv.weight": torch.ones(96, 32)}, "layers.1.attention.to_q"),
        ("shape", {**tensors, "cap_embedder.0.weight": torch.ones(8)}, "(8,)"),
        ("less", {name: one for name, one in tensors.items() if "w1" not in name}, "3 tensors are missing"),
    )
    for name, changed, words in changes:
        path = saved(changed, tmp_path / f"{name}.safetensors")
        with refuses(ModelError, "component_misfit", "z-image/transformer", words):
            transformer(tiny("z-image"), path)
    packed = {**tensors, "layers.0.attention.qkv.weight": torch.ones(96, 16, dtype=torch.uint8)}
    with refuses(ModelError, "precision_unsupported", "layers.0.attention.qkv.weight", "uint8"):
        transformer(tiny("z-image"), saved(packed, tmp_path / "packed.safetensors"))
    exponents = {name.removesuffix("weight") + "weight_scale" for name in tensors if "qkv" in name}
    eight = in_eight_bits(tensors, "float8_e4m3fn", "")
    eight |= dict.fromkeys(exponents, torch.ones(96, 1, dtype=torch.uint8))
    with refuses(ModelError, "precision_unsupported", "factors in torch.uint8"):
        transformer(tiny("z-image"), saved(eight, tmp_path / "exponents.safetensors"))


def test_a_gguf_without_its_package_names_the_line_that_installs_it(
    tiny: TinyMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gguf")
    path = saved_as_gguf(transformer_of(tiny("flux"), "flux"), tmp_path / "model.gguf", "Q8_0")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingFeature, match="pip install gguf"):
        transformer(tiny("flux"), path)
