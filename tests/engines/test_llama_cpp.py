"""Text encoders in GGUF files as llama.cpp writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from deforum_helpers.core.errors import ModelError
from deforum_helpers.engines.diffusion.component_files import network_of_file
from deforum_helpers.engines.diffusion.families_flow import FLUX2_LAYERS
from deforum_helpers.engines.diffusion.residency import reader_of, weight_bytes
from deforum_helpers.engines.diffusion.stored_weights import StoredLinear
from deforum_helpers.models.weights.checkpoints import ModelParts, describe_checkpoint, folder_components
from deforum_helpers.models.weights.headers import gguf_header
from deforum_helpers.models.weights.recognition import recognize
from tests.engines.maker_layouts import saved_as_gguf
from tests.refusals import refuses

pytest.importorskip("gguf")

TinyMaker = Callable[[str], Path]
Tensors = dict[str, torch.Tensor]
Names = tuple[tuple[str, str], ...]

LLAMA: Names = (
    ("embed_tokens.", "token_embd."),
    ("layers.", "blk."),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
)
NAMES: Mapping[str, Names] = {
    "z-image": (("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm"), *LLAMA),
    "qwen-image": LLAMA,
    "chroma": (
        ("shared.", "token_embd."),
        ("encoder.block.", "enc.blk."),
        ("encoder.final_layer_norm", "enc.output_norm"),
        ("layer.0.SelfAttention.relative_attention_bias", "attn_rel_b"),
        ("layer.0.SelfAttention.q", "attn_q"),
        ("layer.0.SelfAttention.k", "attn_k"),
        ("layer.0.SelfAttention.v", "attn_v"),
        ("layer.0.SelfAttention.o", "attn_o"),
        ("layer.0.layer_norm", "attn_norm"),
        ("layer.1.DenseReluDense.wi_0", "ffn_gate"),
        ("layer.1.DenseReluDense.wi_1", "ffn_up"),
        ("layer.1.DenseReluDense.wo", "ffn_down"),
        ("layer.1.layer_norm", "ffn_norm"),
    ),
    "lumina2": (
        ("post_attention_layernorm", "post_attention_norm"),
        ("pre_feedforward_layernorm", "ffn_norm"),
        ("post_feedforward_layernorm", "post_ffw_norm"),
        *LLAMA,
    ),
}
ARCHITECTURES = {"z-image": "qwen3", "qwen-image": "qwen2vl", "chroma": "t5encoder", "lumina2": "gemma2"}
PARTS_OF_TEXT = ("model.language_model.", "language_model.model.", "language_model.", "model.")


def in_llama_cpp(tensors: Tensors, names: Names) -> Tensors:
    """Return a text encoder's tensors by llama.cpp's names, without what reads images."""
    made = {}
    for name, one in tensors.items():
        if "visual." in name or "vision_tower." in name or "projector." in name:
            continue
        start = next((start for start in PARTS_OF_TEXT if name.startswith(start)), "")
        name = name[len(start) :]
        for own, other in names:
            name = name.replace(own, other)
        whole = {"norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
        made[whole.get(name, name)] = one
    return made


@pytest.mark.parametrize("kind", NAMES)
def test_names_of_tensors(kind: str, tiny: TinyMaker, tmp_path: Path) -> None:
    folder = tiny(kind) / "text_encoder"
    if kind == "chroma":
        folder = tmp_path / "gated"
        sizes = {"vocab_size": 64, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4}
        config = transformers.T5Config(**sizes, feed_forward_proj="gated-gelu")
        transformers.T5EncoderModel(config).save_pretrained(folder)
    theirs = in_llama_cpp(load_file(folder / "model.safetensors"), NAMES[kind])
    if kind == "lumina2":  # as llama.cpp does with Gemma
        theirs = {name: one + 1 if "norm" in name else one for name, one in theirs.items()}
    path = saved_as_gguf(theirs, tmp_path / f"{kind}.gguf", "F32", ARCHITECTURES[kind])
    library, class_name = folder_components(tiny(kind))[1]["text_encoder"]
    network = network_of_file(recognize(path), library, class_name, folder, torch.float32)
    reference = network_of_file(
        recognize(folder / "model.safetensors"), library, class_name, folder, torch.float32
    )
    ours, expected = network.state_dict(), reference.state_dict()
    unread = ("visual.", "lm_head.") if kind == "qwen-image" else ()
    assert set(ours) == {name for name in expected if not any(part in name for part in unread)}
    assert all(torch.equal(ours[name], expected[name]) for name in ours)


def mistral(folder: Path, layers: int) -> transformers.Mistral3ForConditionalGeneration:
    """Return a Mistral 3 whose rows are whole blocks, and write its configuration."""
    text = {
        "model_type": "mistral",
        "vocab_size": 64,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
    }
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    eyes = {"model_type": "pixtral", **sizes, "head_dim": 8, "image_size": 32, "patch_size": 16}
    config = transformers.Mistral3Config(text_config=text, vision_config=eyes)
    config.save_pretrained(folder)
    torch.manual_seed(3)
    return transformers.Mistral3ForConditionalGeneration(config).eval()


def turned(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Return queries or keys with the two halves of each head alternating, as llama.cpp's converter writes them."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def mistral_gguf(model: Any, path: Path, form: str, architecture: str = "llama") -> Path:
    tensors = in_llama_cpp(model.state_dict(), LLAMA)
    for name, one in tensors.items():
        if name.endswith(("attn_q.weight", "attn_k.weight")):
            tensors[name] = turned(one, 4 if "attn_q" in name else 2)
    return saved_as_gguf(tensors, path, form, architecture, "tekken")


def hidden(model: Any) -> torch.Tensor:
    """Return what FLUX.2 dev reads of a prompt with padding before it."""
    ids = torch.arange(12).reshape(2, 6) * 5 % 64
    mask = torch.ones(2, 6, dtype=torch.long)
    mask[1, :3] = 0
    with torch.no_grad():
        layers = reader_of(model)(
            input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False
        ).hidden_states
    return torch.cat([layers[number] for number in FLUX2_LAYERS], -1)


@pytest.mark.parametrize(
    ("form", "architecture", "tolerance"),
    [("F32", "llama", 1e-5), ("F32", "mistral3", 1e-5), ("Q8_0", "llama", 0.02), ("Q4_0", "llama", 0.3)],
)
def test_a_mistral_has_the_hidden_states_of_the_original(
    form: str, architecture: str, tolerance: float, tmp_path: Path
) -> None:
    model = mistral(tmp_path, 33)
    path = mistral_gguf(model, tmp_path / "mistral.gguf", form, architecture)
    file = recognize(path)
    assert (file.component, file.network, file.layout, file.width) == (
        "text_encoder",
        "Mistral3",
        "llama.cpp",
        64,
    )
    network: Any = network_of_file(file, "transformers", type(model).__name__, tmp_path, torch.float32)
    expected = hidden(model)
    assert (hidden(network) - expected).norm() < tolerance * expected.norm()
    stored = [layer for layer in network.modules() if isinstance(layer, StoredLinear)]
    assert len(stored) == (0 if form == "F32" else 7 * max(FLUX2_LAYERS))
    sizes = {name: tensor.size_bytes for name, tensor in gguf_header(path)[1].items()}
    unread = sum(
        sizes[name] for name in sizes if name.startswith(("blk.30.", "blk.31.", "blk.32.", "output"))
    )
    embeddings = 4 * 64 * 64 - sizes["token_embd.weight"]  # decoded: a prompt reads rows of them
    assert 0 <= weight_bytes([network]) - (sum(sizes.values()) - unread + embeddings) < 4 * 64
    assert len(network.model.language_model.layers) == max(FLUX2_LAYERS)
    assert not any("lm_head" in name or "vision" in name for name in network.state_dict())


def test_a_mistral_without_the_layers_that_nothing_reads(tmp_path: Path) -> None:
    model = mistral(tmp_path, 33)
    expected = hidden(model)
    model.model.language_model.layers = model.model.language_model.layers[:30]
    file = recognize(mistral_gguf(model, tmp_path / "short.gguf", "F32"))
    network = network_of_file(file, "transformers", type(model).__name__, tmp_path, torch.float32)
    torch.testing.assert_close(hidden(network), expected, rtol=1e-4, atol=1e-5)
    model.model.language_model.layers = model.model.language_model.layers[:29]
    shorter = recognize(mistral_gguf(model, tmp_path / "shorter.gguf", "F32"))
    with refuses(ModelError, "component_misfit", "shorter.gguf"):
        network_of_file(shorter, "transformers", type(model).__name__, tmp_path, torch.float32)


def test_a_mistral_with_names_of_transformers_and_its_tokenizer(tmp_path: Path) -> None:
    """As ComfyUI's file becomes a GGUF: the bytes of the tokenizer are floats."""
    model = mistral(tmp_path, 33)
    start = "model.language_model."
    text = {name.replace(start, "model."): one for name, one in model.state_dict().items() if start in name}
    path = saved_as_gguf({**text, "tekken_model": torch.zeros(8)}, tmp_path / "cow.gguf", "F32", "cow")
    network = network_of_file(recognize(path), "transformers", type(model).__name__, tmp_path, torch.float32)
    torch.testing.assert_close(hidden(network), hidden(model), rtol=1e-4, atol=1e-5)


def test_a_mistral_belongs_to_flux2(tiny: TinyMaker, tmp_path: Path) -> None:
    path = mistral_gguf(mistral(tmp_path, 31), tmp_path / "wide.gguf", "Q8_0")
    with refuses(ModelError, "part_width", "the text encoder Mistral3 of width 64", "16"):
        describe_checkpoint(str(tiny("flux2")), given=ModelParts(text_encoders=(str(path),)))
    with refuses(ModelError, "part_wrong", "the text encoder Mistral3", "expected Qwen3"):
        describe_checkpoint(str(tiny("z-image")), given=ModelParts(text_encoders=(str(path),)))


@pytest.mark.parametrize(
    ("architecture", "tokenizer", "names", "words"),
    [
        ("llama", "llama-bpe", ("token_embd", "blk.0.attn_q"), "a language model (llama)"),
        ("qwen2", "qwen2", ("token_embd", "blk.0.attn_q"), "a language model (qwen2)"),
        ("qwen3vl", "qwen2", ("token_embd", "blk.0.attn_q_norm"), "a language model (qwen3vl)"),
        ("gemma3", "default", ("token_embd", "blk.0.attn_q_norm"), "a language model (gemma3)"),
        ("clip", "", ("v.blk.0.attn_q", "mm.0"), "reads images"),
    ],
)
def test_language_models_that_no_family_reads(
    architecture: str, tokenizer: str, names: tuple[str, ...], words: str, tiny: TinyMaker, tmp_path: Path
) -> None:
    tensors = {f"{name}.weight": torch.ones(4, 32) for name in names}
    path = saved_as_gguf(tensors, tmp_path / "other.gguf", "Q8_0", architecture, tokenizer)
    for kind in ("flux2", "z-image"):
        with refuses(ModelError, "part_wrong", "other.gguf", words):
            describe_checkpoint(str(tiny(kind)), given=ModelParts(text_encoders=(str(path),)))
