"""Diffusers folders of tiny random networks, made in code: the real classes of every family, in miniature."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPTextConfig, CLIPTokenizer

from deforum_helpers.engines.demo.engine import MODEL_FOLDER

_VOCABULARY = 1606  # of the built-in model's tokenizer, which lends its words
_BETAS = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def clip_tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(str(MODEL_FOLDER / "tokenizer"), local_files_only=True)


def t5_tokenizer() -> Any:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(f"▁{word}", -1.0) for word in ("a", "hill", "snow", "red")]
    pieces += [(letter, -2.0) for letter in "▁abcdefghijklmnopqrstuvwxyz,.:0123456789"]
    backend = Tokenizer(models.Unigram(pieces, unk_id=2))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def clip(width: int = 32, projected: bool = False, act: str = "quick_gelu") -> Any:
    config = CLIPTextConfig(
        vocab_size=_VOCABULARY,
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=77,
        projection_dim=32,
        bos_token_id=1604,
        eos_token_id=1605,
        pad_token_id=1605,
        hidden_act=act,
        initializer_factor=2.0,
    )
    kind = transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel
    return kind(config)


_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
)


def qwen_tokenizer() -> Any:
    """Return a tokenizer of bytes, with the marks of a chat."""
    vocabulary = {byte: number for number, byte in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    tokenizer = transformers.Qwen2Tokenizer(vocab=vocabulary, merges=[], chat_template=_CHAT)
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    return tokenizer


def qwen3(layers: int, headed: bool = False) -> Any:
    config = transformers.Qwen3Config(
        vocab_size=260,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        initializer_range=0.5,
    )
    return (transformers.Qwen3ForCausalLM if headed else transformers.Qwen3Model)(config)


def t5(width: int = 32) -> Any:
    config = transformers.T5Config(
        vocab_size=64,
        d_model=width,
        d_kv=8,
        d_ff=37,
        num_layers=1,
        num_heads=4,
        relative_attention_num_buckets=8,
    )
    return transformers.T5EncoderModel(config)


def autoencoder(latent_channels: int = 4, shift: float | None = None) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=latent_channels,
        norm_num_groups=4,
        layers_per_block=1,
        scaling_factor=0.5,
        shift_factor=shift,
    )


def unet(**changes: Any) -> Any:
    options: dict[str, Any] = {
        "sample_size": 32,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 2,
        "cross_attention_dim": 32,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    return diffusers.UNet2DConditionModel(**{**options, **changes})


def sd1(folder: Path) -> None:
    _save(folder, "StableDiffusionPipeline", {"prediction_type": "epsilon"}, unet=unet())


def sd2(folder: Path) -> None:
    network = unet(use_linear_projection=True, attention_head_dim=(2, 4))
    config = {"prediction_type": "v_prediction"}
    _save(folder, "StableDiffusionPipeline", config, unet=network, text_encoder=clip(act="gelu"))


def lcm(folder: Path) -> None:
    config = {"prediction_type": "epsilon", "timestep_spacing": "leading"}
    _save(folder, "LatentConsistencyModelPipeline", config, unet=unet(time_cond_proj_dim=8))


def sdxl(folder: Path) -> None:
    network = unet(
        cross_attention_dim=64,
        use_linear_projection=True,
        attention_head_dim=(2, 4),
        transformer_layers_per_block=(1, 2),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
    )
    _save(
        folder,
        "StableDiffusionXLPipeline",
        {"prediction_type": "epsilon"},
        unet=network,
        text_encoder_2=clip(projected=True, act="gelu"),
        tokenizer_2=clip_tokenizer(),
    )


def sd3(folder: Path) -> None:
    network = diffusers.SD3Transformer2DModel(
        sample_size=32,
        patch_size=2,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        out_channels=4,
        pos_embed_max_size=64,
    )
    _save(
        folder,
        "StableDiffusion3Pipeline",
        {"shift": 3.0},
        vae=autoencoder(shift=0.1),
        transformer=network,
        text_encoder=clip(projected=True),
        text_encoder_2=clip(projected=True),
        tokenizer_2=clip_tokenizer(),
    )


def flux(folder: Path) -> None:
    network = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=True,
    )
    _save(
        folder,
        "FluxPipeline",
        {"shift": 3.0, "use_dynamic_shifting": True},
        vae=autoencoder(shift=0.1),
        transformer=network,
        text_encoder_2=t5(),
        tokenizer_2=t5_tokenizer(),
    )


def z_image(folder: Path) -> None:
    network = diffusers.ZImageTransformer2DModel(
        in_channels=4,
        dim=32,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[4, 6, 6],
        axes_lens=[512, 64, 64],
    )
    torch.nn.init.normal_(network.x_pad_token)
    torch.nn.init.normal_(network.cap_pad_token)
    _save(
        folder,
        "ZImagePipeline",
        {"shift": 3.0, "use_dynamic_shifting": False},
        vae=autoencoder(shift=0.1),
        transformer=network,
        text_encoder=qwen3(3),
        tokenizer=qwen_tokenizer(),
    )


def _flux2_network(guidance_embeds: bool) -> Any:
    return diffusers.Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=48,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=guidance_embeds,
    )


_MISTRAL_CHAT = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'system' %}"
    "[SYSTEM_PROMPT]{{ message.content[0].text }}[/SYSTEM_PROMPT]"
    "{% else %}[INST]{{ message.content[0].text }}[/INST]{% endif %}{% endfor %}"
)


def mistral_tokenizer() -> Any:
    """Return a tokenizer of bytes that begins texts with a mark and pads them on the left."""
    vocabulary = {byte: number for number, byte in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    marks = ["<s>", "</s>", "<pad>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.add_special_tokens(marks)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
        chat_template=_MISTRAL_CHAT,
    )


def flux2(folder: Path) -> None:
    config = transformers.Mistral3Config(
        text_config={
            "model_type": "mistral",
            "vocab_size": 280,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 31,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 8,
            "initializer_range": 0.5,
        },
        vision_config={
            "model_type": "pixtral",
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "head_dim": 8,
            "image_size": 32,
            "patch_size": 16,
        },
    )
    _save(
        folder,
        "Flux2Pipeline",
        {"shift": 3.0, "use_dynamic_shifting": True},
        vae=flux2_autoencoder(),
        transformer=_flux2_network(guidance_embeds=True),
        text_encoder=transformers.Mistral3ForConditionalGeneration(config),
        tokenizer=mistral_tokenizer(),
    )


def flux2_klein(folder: Path, **entries: Any) -> None:
    _save(
        folder,
        "Flux2KleinPipeline",
        {"shift": 3.0, "use_dynamic_shifting": True},
        {"is_distilled": False, **entries},
        vae=flux2_autoencoder(),
        transformer=_flux2_network(guidance_embeds=False),
        text_encoder=qwen3(28, headed=True),
        tokenizer=qwen_tokenizer(),
    )


def flux2_klein_distilled(folder: Path) -> None:
    flux2_klein(folder, is_distilled=True)


def sd35(folder: Path) -> None:
    """Make a Stable Diffusion 3.5 (medium): normed queries and keys, and a second attention in some blocks."""
    network = diffusers.SD3Transformer2DModel(
        sample_size=32,
        patch_size=2,
        in_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        out_channels=4,
        pos_embed_max_size=64,
        qk_norm="rms_norm",
        dual_attention_layers=(0,),
    )
    _save(
        folder,
        "StableDiffusion3Pipeline",
        {"shift": 3.0},
        vae=autoencoder(shift=0.1),
        transformer=network,
        text_encoder=clip(projected=True),
        text_encoder_2=clip(projected=True),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=t5(64),
        tokenizer_3=t5_tokenizer(),
    )


def chroma(folder: Path) -> None:
    network = diffusers.ChromaTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        axes_dims_rope=(4, 4, 8),
        approximator_num_channels=8,
        approximator_hidden_dim=16,
        approximator_layers=1,
    )
    _save(
        folder,
        "ChromaPipeline",
        {"shift": 1.0, "use_dynamic_shifting": True},
        vae=autoencoder(shift=0.1),
        transformer=network,
        text_encoder=t5(),
        tokenizer=t5_tokenizer(),
    )


def qwen_image(folder: Path) -> None:
    network = diffusers.QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(4, 4, 8),
    )
    vae = diffusers.AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2],
        num_res_blocks=1,
        temperal_downsample=[False],
        latents_mean=[0.1, -0.1, 0.2, 0.0],
        latents_std=[0.5, 0.4, 0.6, 0.5],
    )
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 260,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "initializer_range": 0.5,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0},
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
        },
    )
    scheduler = {
        "shift": 1.0,
        "use_dynamic_shifting": True,
        "base_shift": 0.5,
        "max_shift": 0.9,
        "max_image_seq_len": 8192,
        "shift_terminal": 0.02,
    }
    _save(
        folder,
        "QwenImagePipeline",
        scheduler,
        vae=vae,
        transformer=network,
        text_encoder=transformers.Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=qwen_tokenizer(),
    )


def gemma_tokenizer() -> Any:
    """Return a tokenizer of letters that begins texts with a mark."""
    letters = "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,.:;-+<>'()0123456789\n"
    marks = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
    vocabulary = {piece: number for number, piece in enumerate((*marks, *letters))}
    tokenizer = transformers.GemmaTokenizer(vocab=vocabulary, merges=[])
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", vocabulary["<bos>"])]
    )
    return tokenizer


def gemma2(layers: int) -> Any:
    config = transformers.Gemma2Config(
        vocab_size=90,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        sliding_window=1024,
        initializer_range=0.5,
    )
    return transformers.Gemma2Model(config)


def deep_autoencoder() -> Any:
    return diffusers.AutoencoderDC(
        latent_channels=4,
        attention_head_dim=4,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 16),
        decoder_block_out_channels=(8, 16),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        scaling_factor=0.5,
    )


def _sana_network(**options: Any) -> Any:
    return diffusers.SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=16,
        caption_channels=16,
        **options,
    )


def sana(folder: Path) -> None:
    scheduler = {
        "flow_shift": 3.0,
        "use_flow_sigmas": True,
        "prediction_type": "flow_prediction",
        "algorithm_type": "dpmsolver++",
        "solver_order": 2,
        "solver_type": "midpoint",
    }
    _save(
        folder,
        "SanaPipeline",
        scheduler,
        vae=deep_autoencoder(),
        transformer=_sana_network(),
        text_encoder=gemma2(2),
        tokenizer=gemma_tokenizer(),
    )


def sana_sprint(folder: Path) -> None:
    _save(
        folder,
        "SanaSprintPipeline",
        {"prediction_type": "trigflow", "sigma_data": 0.5},
        vae=deep_autoencoder(),
        transformer=_sana_network(guidance_embeds=True, qk_norm="rms_norm_across_heads"),
        text_encoder=gemma2(2),
        tokenizer=gemma_tokenizer(),
    )


def pixart_sigma(folder: Path) -> None:
    network = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        cross_attention_dim=16,
        sample_size=32,
        caption_channels=32,
    )
    _save(
        folder,
        "PixArtSigmaPipeline",
        {"prediction_type": "epsilon", "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"},
        transformer=network,
        text_encoder=t5(),
        tokenizer=t5_tokenizer(),
    )


def lumina2(folder: Path) -> None:
    network = diffusers.Lumina2Transformer2DModel(
        sample_size=32,
        in_channels=4,
        hidden_size=24,
        num_layers=1,
        num_refiner_layers=1,
        num_attention_heads=2,
        num_kv_heads=1,
        multiple_of=16,
        axes_dim_rope=(4, 4, 4),
        axes_lens=(300, 512, 512),
        cap_feat_dim=16,
    )
    _save(
        folder,
        "Lumina2Pipeline",
        {"shift": 6.0},
        vae=autoencoder(shift=0.1),
        transformer=network,
        text_encoder=gemma2(3),
        tokenizer=gemma_tokenizer(),
    )


def flux2_autoencoder() -> Any:
    vae = diffusers.AutoencoderKLFlux2(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        layers_per_block=1,
    )
    vae.bn.running_mean.normal_(std=0.1)
    vae.bn.running_var.uniform_(0.2, 0.4)
    return vae


def _save(
    folder: Path,
    pipeline: str,
    scheduler: Mapping[str, Any],
    entries: Mapping[str, Any] | None = None,
    **parts: Any,
) -> None:
    parts = {"vae": autoencoder(), "text_encoder": clip(), "tokenizer": clip_tokenizer(), **parts}
    index: dict[str, Any] = {"_class_name": pipeline, "scheduler": ["diffusers", "DDIMScheduler"]}
    index.update(entries or {})
    for name, part in parts.items():
        part.save_pretrained(str(folder / name))
        library = "diffusers" if type(part).__module__.startswith("diffusers") else "transformers"
        index[name] = [library, _class_name(name, part)]
    noised = scheduler.get("prediction_type") in ("epsilon", "v_prediction")
    (folder / "scheduler").mkdir()
    config = {**_BETAS, **scheduler} if noised else dict(scheduler)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    (folder / "model_index.json").write_text(json.dumps(index))


def _class_name(name: str, part: Any) -> str:
    if name.startswith("tokenizer"):
        known = (CLIPTokenizer, transformers.Qwen2Tokenizer, transformers.GemmaTokenizer)
        if isinstance(part, known):
            return type(part).__name__
        return "T5TokenizerFast" if part.chat_template is None else "PixtralProcessor"
    return type(part).__name__


def control_net(folder: Path, model: Path, seed: int = 0, channels: tuple[int, ...] = (8, 16)) -> Path:
    """Make a ControlNet for the tiny model in `model`, in the folder of diffusers; it steers from the first step on."""
    torch.manual_seed(seed)
    network = diffusers.UNet2DConditionModel.from_pretrained(str(model), subfolder="unet")
    steering = diffusers.ControlNetModel.from_unet(network, conditioning_embedding_out_channels=channels)
    with torch.no_grad():
        for layer in (*steering.controlnet_down_blocks, steering.controlnet_mid_block):
            layer.weight.normal_(std=0.5)  # as they come they add nothing
        steering.controlnet_cond_embedding.conv_out.weight.normal_(std=0.5)
    steering.save_pretrained(str(folder))
    return folder


MAKERS: Mapping[str, Callable[[Path], None]] = {
    "sd1": sd1,
    "sd2": sd2,
    "lcm": lcm,
    "sdxl": sdxl,
    "sd3": sd3,
    "flux": flux,
    "z-image": z_image,
    "flux2": flux2,
    "flux2-klein": flux2_klein,
    "flux2-klein-distilled": flux2_klein_distilled,
    "sd35": sd35,
    "chroma": chroma,
    "qwen-image": qwen_image,
    "sana": sana,
    "sana-sprint": sana_sprint,
    "pixart-sigma": pixart_sigma,
    "lumina2": lumina2,
}


# Of a family that another kind stands for, where a test is about the parts of a model.
VARIANTS = ("sd2", "lcm", "sd3", "flux2-klein-distilled", "sana-sprint")


def make(kind: str, folder: Path) -> Path:
    """Make the tiny model `kind` in `folder`, the same on every run."""
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is deprecated", FutureWarning)  # within diffusers
        MAKERS[kind](folder)
    return folder
