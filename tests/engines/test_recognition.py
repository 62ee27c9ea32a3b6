"""Model files are recognized by their headers alone, whatever they are called."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from deforum_helpers.core.errors import ModelError
from deforum_helpers.models.weights.checkpoints import title_of
from deforum_helpers.models.weights.headers import _GGUF_TYPES
from deforum_helpers.models.weights.recognition import ModelFile, recognize
from tests.refusals import refuses

Tensors = Mapping[str, tuple[str, tuple[int, ...]]]
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1}


def written(path: Path, tensors: Tensors) -> Path:
    """Write a `.safetensors` file of zeros."""
    header, end = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = SIZES[dtype]
        for side in shape:
            size *= side
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    return path


def of_names(path: Path, *names: str) -> ModelFile:
    return recognize(written(path / "m.safetensors", dict.fromkeys(names, ("F16", (4, 2)))))


FLUX = ("double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight", "txt_in.weight")
Z_IMAGE = (
    "cap_embedder.0.weight",
    "layers.0.adaLN_modulation.0.weight",
    "layers.0.attention.qkv.weight",
    "x_embedder.weight",
)
KLEIN = ("double_blocks.0.img_attn.qkv.weight", "single_stream_modulation.lin.weight")
VAE = ("encoder.down.0.block.0.conv1.weight", "decoder.up.0.block.0.conv1.weight", "decoder.conv_in.weight")
LUMINA = ("cap_embedder.0.weight", "layers.0.adaLN_modulation.1.weight")
SANA = ("blocks.0.cross_attn.q_linear.weight", "blocks.0.mlp.inverted_conv.conv.weight", "t_block.1.weight")
PIXART = ("blocks.0.cross_attn.q_linear.weight", "blocks.0.mlp.fc1.weight", "t_block.1.weight")
QWEN3 = ("model.embed_tokens.weight", "model.layers.0.self_attn.q_norm.weight")


@pytest.mark.parametrize(
    ("names", "component", "family", "layout"),
    [
        (FLUX, "transformer", "flux", "original"),
        ((*FLUX, "distilled_guidance_layer.in_proj.bias"), "transformer", "chroma", "original"),
        (KLEIN, "transformer", "flux2-klein", "original"),
        (Z_IMAGE, "transformer", "z-image", "original"),
        ((*KLEIN, "guidance_in.in_layer.weight"), "transformer", "flux2", "original"),
        (("joint_blocks.0.x_block.mlp.fc1.weight",), "transformer", "sd3", "original"),
        (LUMINA, "transformer", "lumina2", "original"),
        (SANA, "transformer", "sana", "original"),
        ((*SANA, "cfg_embedder.mlp.0.weight"), "transformer", "sana-sprint", "original"),
        (PIXART, "transformer", "pixart-sigma", "original"),
        (
            ("txt_norm.weight", "transformer_blocks.0.attn.add_q_proj.weight"),
            "transformer",
            "qwen-image",
            "diffusers",
        ),
    ],
)
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
def test_transformers(
    tmp_path: Path, names: tuple[str, ...], component: str, family: str, layout: str, prefix: str
) -> None:
    found = of_names(tmp_path, *(prefix + name for name in names))
    assert (found.component, found.family, found.layout, found.prefix) == (component, family, layout, prefix)


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        ("flux", "flux"),
        ("z-image", "z-image"),
        ("flux2-klein", "flux2-klein"),
        ("chroma", "chroma"),
        ("qwen-image", "qwen-image"),
        ("sd3", "sd3"),
        ("flux2", "flux2"),
        ("lumina2", "lumina2"),
        ("sana", "sana"),
        ("sana-sprint", "sana-sprint"),
        ("pixart-sigma", "pixart-sigma"),
    ],
)
def test_files_of_a_diffusers_folder(tiny: Callable[[str], Path], kind: str, family: str) -> None:
    found = recognize(tiny(kind) / "transformer" / "diffusion_pytorch_model.safetensors")
    assert (found.component, found.family, found.layout) == ("transformer", family, "diffusers")
    assert found.precision == "float32"
    vae = recognize(tiny(kind) / "vae" / "diffusion_pytorch_model.safetensors")
    network = {"flux2-klein": "AutoencoderKLFlux2", "qwen-image": "AutoencoderKLQwenImage"}
    network |= {"flux2": "AutoencoderKLFlux2", "sana": "AutoencoderDC", "sana-sprint": "AutoencoderDC"}
    assert (vae.component, vae.network, vae.width) == ("vae", network.get(kind, "AutoencoderKL"), 4)


@pytest.mark.parametrize(
    ("kind", "folder", "network", "width"),
    [
        ("flux", "text_encoder", "CLIP", 32),
        ("flux", "text_encoder_2", "T5", 32),
        ("sd3", "text_encoder", "CLIP", 32),
        ("chroma", "text_encoder", "T5", 32),
        ("z-image", "text_encoder", "Qwen3", 16),
        ("flux2-klein", "text_encoder", "Qwen3", 16),
        ("qwen-image", "text_encoder", "Qwen2.5-VL", 16),
        ("flux2", "text_encoder", "Mistral3", 16),
        ("lumina2", "text_encoder", "Gemma2", 16),
    ],
)
def test_text_encoders(tiny: Callable[[str], Path], kind: str, folder: str, network: str, width: int) -> None:
    found = recognize(tiny(kind) / folder / "model.safetensors")
    assert (found.component, found.network, found.width) == ("text_encoder", network, width)


@pytest.mark.parametrize(
    ("names", "component", "words"),
    [
        (("lora_unet_x.lora_down.weight",), "lora", "LoRA"),
        (("transformer.single_blocks.0.proj.lora_A.weight", *FLUX), "lora", "LoRA"),
        (("control_model.zero_convs.0.0.weight",), "controlnet", "ControlNet"),
        (VAE, "vae", "VAE"),
        (QWEN3, "text_encoder", "Qwen3"),
        (("model.layers.0.self_attn.q_proj.weight", "lm_head.weight"), "language_model", "language model"),
        ((*PIXART, "csize_embedder.mlp.0.weight"), "transformer", "PixArt-Alpha"),
        ((*SANA, "blocks.0.mlp.t_conv.weight"), "transformer", "SANA-Video"),
        (("input_blocks.0.0.weight", "output_blocks.0.0.weight"), "unet", "U-Net"),
        (("a", "b"), "unknown", "unknown layout"),
    ],
)
def test_other_files_are_called_by_their_names(
    tmp_path: Path, names: tuple[str, ...], component: str, words: str
) -> None:
    found = of_names(tmp_path, *names)
    assert (found.component, found.family) == (component, None)
    assert words in title_of(found)


@pytest.mark.parametrize(
    ("names", "family"),
    [
        (("cond_stage_model.x", "first_stage_model.x"), "sd"),
        (
            (
                "conditioner.embedders.1.x",
                "model.diffusion_model.input_blocks.0",
                "model.diffusion_model.output_blocks.0",
            ),
            "sdxl",
        ),
        (
            ("model.diffusion_model.double_blocks.0.x", "vae.decoder.x", "text_encoders.t5xxl.transformer.x"),
            "flux",
        ),
        ((*(f"model.diffusion_model.{name}" for name in Z_IMAGE), "vae.x", "text_encoders.x"), "z-image"),
    ],
)
def test_files_of_all_components(tmp_path: Path, names: tuple[str, ...], family: str) -> None:
    found = of_names(tmp_path, *names)
    assert (found.component, found.family) == ("checkpoint", family)


@pytest.mark.parametrize(
    ("dtype", "precision"),
    [("BF16", "bfloat16"), ("F8_E4M3", "float8_e4m3fn"), ("F8_E5M2", "float8_e5m2"), ("I8", "int8")],
)
@pytest.mark.parametrize("scale", ["", "weight_scale", "scale_weight"])
def test_precisions(tmp_path: Path, dtype: str, precision: str, scale: str) -> None:
    tensors: dict[str, tuple[str, tuple[int, ...]]] = dict.fromkeys(FLUX, (dtype, (32, 32)))
    tensors["img_in.bias"] = ("F32", (32,))
    if scale:
        tensors[f"double_blocks.0.img_attn.qkv.{scale}"] = ("F32", ())
    found = recognize(written(tmp_path / "m.safetensors", tensors))
    assert (found.family, found.precision, found.is_scaled) == ("flux", precision, bool(scale))


def test_ggufs(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    import numpy as np

    def write(names: tuple[str, ...], architecture: str) -> Path:
        writer = gguf.GGUFWriter(str(tmp_path / f"{architecture}.gguf"), architecture)
        writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
        writer.add_array("tokenizer.ggml.scores", [0.5, 1.0])
        kind = gguf.GGMLQuantizationType.Q4_0
        for name in names:
            writer.add_tensor(name, gguf.quants.quantize(np.ones((4, 64), np.float32), kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return tmp_path / f"{architecture}.gguf"

    path = write(FLUX, "flux")
    found = recognize(path)
    assert (found.component, found.family, found.layout, found.precision) == (
        "transformer",
        "flux",
        "original",
        "Q4_0",
    )
    assert found.size_bytes == len(FLUX) * 4 * 36  # two blocks of 18 bytes in each of four rows
    language_model = recognize(write(("token_embd.weight", "blk.0.attn_q.weight"), "llama"))
    assert (language_model.component, language_model.family) == ("language_model", None)
    path.write_bytes(path.read_bytes()[:-40])
    with refuses(ModelError, "not_gguf", "flux.gguf"):
        recognize(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"GGUF", "damaged"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "damaged"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "damaged"),
        (struct.pack("<Q", 2) + b'{"a"', ".safetensors"),
    ],
)
def test_what_is_no_gguf(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    with refuses(ModelError, "not_gguf", reason):
        recognize(tmp_path / "m.gguf")


def test_the_types_of_ggufs_have_the_sizes_that_the_package_gguf_gives_them() -> None:
    gguf = pytest.importorskip("gguf")
    for number, (name, *sizes) in _GGUF_TYPES.items():
        kind = gguf.GGMLQuantizationType.__members__.get(name)
        if kind is not None:  # versions of the package know more or fewer
            assert (int(kind), list(gguf.GGML_QUANT_SIZES[kind])) == (number, sizes), name


def test_a_gguf_that_is_one_of_several(tmp_path: Path) -> None:
    """As llama.cpp numbers them, from 0."""
    count, number = (
        struct.pack("<Q", len(name)) + name + struct.pack("<IH", 2, value)
        for name, value in ((b"split.count", 3), (b"split.no", 1))
    )
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + count + number)
    with refuses(ModelError, "gguf_split", "part 2 of 3"):
        recognize(tmp_path / "m.gguf")


def of_entries(entries: object, tensors: bytes = bytes(8)) -> bytes:
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + tensors


ENTRY: Mapping[str, object] = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\0" * 64, "damaged"),
        (struct.pack("<Q", 2**60) + b"{}", "damaged"),
        (of_entries({"a": ENTRY})[:30], "damaged"),
        (of_entries({"a": ENTRY}, bytes(7)), "cut off"),
        (of_entries({"a": ENTRY}, bytes(9)), "damaged"),
        (of_entries([ENTRY]), "damaged"),
        (of_entries({"a": 1}), "damaged"),
        (of_entries({"a": {**ENTRY, "shape": [-2]}}), "damaged"),
        (of_entries({"a": {**ENTRY, "shape": "2"}}), "damaged"),
        (of_entries({"a": {**ENTRY, "dtype": ["F32"]}}), "damaged"),
        (of_entries({"a": {**ENTRY, "data_offsets": [8, 0]}}), "damaged"),
        (b"GGUF" + bytes(60), ".gguf"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS"),
        (b"\n<!DOCTYPE html><html></html>", "a web page"),
        (b"PK\x03\x04" + bytes(60), "a pickle"),
    ],
)
def test_what_is_no_safetensors(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "m.safetensors").write_bytes(content)
    with refuses(ModelError, "not_safetensors", "m.safetensors", reason):
        recognize(tmp_path / "m.safetensors")


def test_a_file_with_another_ending(tmp_path: Path) -> None:
    path = written(tmp_path / "m.safetensors", dict.fromkeys(FLUX, ("F16", (4, 2))))
    with refuses(ModelError, "not_safetensors", "'.json'", ".safetensors"):
        recognize(path.rename(tmp_path / "m.json"))


def test_a_file_without_tensors(tmp_path: Path) -> None:
    assert "without tensors" in title_of(recognize(written(tmp_path / "m.safetensors", {})))
