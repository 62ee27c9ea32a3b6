from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from deforum_helpers.core.errors import ModelError, NotFinite, OutOfMemory
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import FreeU, GenerateRequest
from deforum_helpers.engines.demo.engine import MODEL_FOLDER
from deforum_helpers.engines.diffusion import engine as engine_module
from deforum_helpers.engines.diffusion import lora
from deforum_helpers.engines.diffusion.autoencoder import Canvas
from deforum_helpers.engines.diffusion.clip_text import token_blocks, token_ids, weighted
from deforum_helpers.engines.diffusion.conditioning import Conditioning, EmbeddingCache, blended
from deforum_helpers.engines.diffusion.engine import DiffusionEngine, tiling_applied
from deforum_helpers.engines.diffusion.loading import has_fast_bfloat16
from tests.engines import tiny_models
from tests.refusals import refuses

RequestMaker = Callable[..., GenerateRequest]
TinyMaker = Callable[[str], Path]


@pytest.fixture
def engine(tiny: TinyMaker) -> DiffusionEngine:
    return make_engine("diffusers", checkpoint=str(tiny("sd1")), device="cpu")


def generate(engine: DiffusionEngine, request: GenerateRequest) -> torch.Tensor:
    return engine.generate(request, CancelToken())


class TestPrompts:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("(a hill:1.0)", "a hill"),
            ("a hill AND snow:0", "a hill"),
            ("a hill:0.5 AND a hill:0.5", "a hill"),
            ("[snow:a hill:0]", "a hill"),
            ("[a hill:snow:4]", "a hill"),
        ],
    )
    def test_two_ways_to_say_it(
        self, engine: DiffusionEngine, request_for: RequestMaker, one: str, other: str
    ) -> None:
        torch.testing.assert_close(
            generate(engine, request_for(prompt=one)),
            generate(engine, request_for(prompt=other)),
            atol=2e-3,
            rtol=0,
        )

    @pytest.mark.parametrize(
        "prompt",
        ["snow", "(a hill:1.5)", "a hill AND snow:0.5", "a BREAK hill", "[a hill:snow:0.5]", "[a hill|snow]"],
    )
    def test_what_makes_another_image(
        self, engine: DiffusionEngine, request_for: RequestMaker, prompt: str
    ) -> None:
        assert not torch.equal(generate(engine, request_for(prompt=prompt)), generate(engine, request_for()))

    def test_long_prompts_are_read_to_their_end(
        self, engine: DiffusionEngine, request_for: RequestMaker
    ) -> None:
        long = ", ".join(["a hill"] * 60)
        one = generate(engine, request_for(prompt=long + " snow"))
        assert not torch.equal(one, generate(engine, request_for(prompt=long + " red")))

    def test_embeddings_are_made_once_and_equal_fresh_ones(
        self, engine: DiffusionEngine, tiny: TinyMaker, request_for: RequestMaker
    ) -> None:
        first = generate(engine, request_for())
        encoder = engine._loaded[1].parts["text_encoder"]
        calls: list[int] = []
        encoder.register_forward_hook(lambda *_: calls.append(1))
        assert torch.equal(generate(engine, request_for()), first)
        assert calls == []
        generate(engine, request_for(prompt="snow"))
        generate(engine, request_for(clip_skip=2))
        assert len(calls) == 3, "the new prompt, and both prompts at another clip skip"
        fresh = make_engine("diffusers", checkpoint=str(tiny("sd1")), device="cpu")
        assert torch.equal(
            generate(fresh, request_for(prompt="snow")), generate(engine, request_for(prompt="snow"))
        )

    def test_the_cache_keeps_the_latest(self) -> None:
        cache = EmbeddingCache(size=2)
        entries = [Conditioning(torch.zeros(1, 1, 1)) for _ in range(4)]
        for key, entry in zip("abac", entries, strict=True):
            cache.get(key, lambda entry=entry: entry)
        assert cache.get("a", lambda: entries[3]) is entries[0]
        assert cache.get("b", lambda: entries[3]) is entries[3]

    def test_negative_parts_blend_by_weight(self) -> None:
        one = Conditioning(torch.ones(1, 77, 2), torch.ones(1, 3))
        three = Conditioning(torch.full((1, 154, 2), 3.0), torch.full((1, 3), 3.0))
        mixed = blended([(one, 0.5), (three, 1.5)])
        assert mixed.tokens.shape == (1, 154, 2)
        torch.testing.assert_close(mixed.tokens, torch.full((1, 154, 2), 2.5))
        torch.testing.assert_close(mixed.pooled, torch.full((1, 3), 2.5))

    @pytest.mark.parametrize(("kind", "same"), [("sd1", False), ("sd2", False), ("sdxl", True)])
    def test_clip_skip(self, tiny: TinyMaker, request_for: RequestMaker, kind: str, same: bool) -> None:
        engine = make_engine("diffusers", checkpoint=str(tiny(kind)), device="cpu")
        images = [generate(engine, request_for(clip_skip=skip)) for skip in (1, 2, 3, 12)]
        assert torch.equal(images[0], images[1]) is same, "XL takes the last layer but one by itself"
        assert not torch.equal(images[1], images[2])
        assert torch.equal(images[2], images[3]), "no more layers are left out than there are"


class TestLeanLayers:
    @pytest.fixture(params=["bfloat16", "float32"])
    def exact_and_lean(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> tuple[DiffusionEngine, DiffusionEngine]:
        """The built-in model as diffusers computes it, and lean with products of a dtype, on any CPU."""
        monkeypatch.setattr(engine_module, "has_fast_bfloat16", lambda device: request.param == "bfloat16")
        engines = [make_engine("demo", device="cpu")._engine for _ in range(2)]
        engines[0]._lean_on_cpu = False
        for one in engines:
            one._model(None, None)
        return engines[0], engines[1]

    def test_images_are_nearly_those_of_float32(
        self, exact_and_lean: tuple[DiffusionEngine, DiffusionEngine], request_for: RequestMaker
    ) -> None:
        exact, lean = exact_and_lean
        products, between = lean_dtypes(lean)
        least_db = 45 if products == torch.bfloat16 else 80
        assert between == torch.float32
        first = request_for(prompt="a river valley", width_px=128, height_px=128, sampler="DPM++ 2M")
        image = generate(exact, first)
        assert psnr_db(generate(lean, first), image) >= least_db
        following = replace(
            first,
            init_image=image,
            denoising_strength=0.5,
            noise_source="inverted",
            autoencoder_correction=True,
        )
        found = generate(lean, following)
        assert psnr_db(found, generate(exact, following)) >= least_db
        assert torch.equal(generate(lean, following), found)
        assert found.dtype == torch.float32

    def test_what_changes_the_layers_for_an_image_still_does(
        self, exact_and_lean: tuple[DiffusionEngine, DiffusionEngine], request_for: RequestMaker
    ) -> None:
        """Tiling, where both sides of the image meet; its padding is not that of the convolution after upsampling."""
        plain = request_for(width_px=128, height_px=128, cfg_scale=1.0)
        tiled = replace(plain, tiling=True)
        images = [[generate(one, request) for one in exact_and_lean] for request in (plain, tiled)]
        assert not torch.equal(images[0][1], images[1][1])
        assert psnr_db(*images[1]) >= 45

    def test_other_models_keep_the_layers_of_diffusers(
        self, engine: DiffusionEngine, monkeypatch: pytest.MonkeyPatch, request_for: RequestMaker
    ) -> None:
        monkeypatch.setattr(engine_module, "has_fast_bfloat16", lambda device: True)
        generate(engine, request_for(steps=1))
        model = engine._loaded[1]
        layers = [layer for part in (model.network, model.autoencoder.vae) for layer in part.modules()]
        assert not [layer for layer in layers if "cpu_layers" in type(layer).__module__]
        assert {weight.dtype for layer in layers for weight in layer.parameters()} == {torch.float32}

    def test_the_model_by_its_own_name_is_the_same(self, request_for: RequestMaker) -> None:
        images = []
        for checkpoint in (None, str(MODEL_FOLDER)):
            engine = make_engine("demo", device="cpu")._engine
            images.append(generate(engine, request_for(steps=1, checkpoint=checkpoint)))
        assert torch.equal(*images)

    def test_another_vae_is_left_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine_module, "has_fast_bfloat16", lambda device: True)
        shutil.copytree(MODEL_FOLDER / "vae", tmp_path / "vae")
        engine = make_engine("demo", device="cpu")._engine
        vae = engine._model(None, str(tmp_path / "vae")).autoencoder.vae
        assert {weight.dtype for weight in vae.parameters()} == {torch.float32}
        assert lean_dtypes(engine)[0] == torch.bfloat16

    @pytest.mark.parametrize(("found", "fast"), [({"avx512_bf16": True}, True), ({"avx2": True}, False)])
    def test_the_cpu_decides(
        self, monkeypatch: pytest.MonkeyPatch, found: dict[str, bool], fast: bool
    ) -> None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
        assert has_fast_bfloat16(torch.device("cpu")) is fast
        assert not has_fast_bfloat16(torch.device("cuda"))
        monkeypatch.delattr(torch.cpu, "get_capabilities")
        assert not has_fast_bfloat16(torch.device("cpu")), "older versions of torch do not report it"


def lean_dtypes(engine: DiffusionEngine) -> tuple[torch.dtype, torch.dtype]:
    """Return the dtypes of the U-Net's large products and of what is between them."""
    network = engine._loaded[1].network
    return network.down_blocks[0].resnets[0].conv1.weight.dtype, network.dtype


def psnr_db(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(-10 * torch.log10((one - other).square().mean()))


class TestTokenBlocks:
    def test_attention_scales_tokens_and_keeps_the_mean(self) -> None:
        # Means: (1 + 3) / 2 = 2 before, (1 + 6) / 2 = 3.5 after; so everything is scaled by 2 / 3.5.
        hidden = torch.tensor([[[1.0], [3.0]]])
        torch.testing.assert_close(weighted(hidden, [[1.0, 2.0]]), torch.tensor([[[4 / 7], [24 / 7]]]))
        assert weighted(hidden, [[1.0, 1.0]]) is hidden

    def test_attention_on_embeddings_without_a_mean(self) -> None:
        hidden = torch.tensor([[[1.0, -1.0], [2.0, -2.0]]])
        hidden[0, 0, 0] += 2e-7
        assert weighted(hidden, [[2.0, 1.0]]).tolist() == [
            [[pytest.approx(2.0), -2.0], [2.0, -2.0]],
        ]

    def test_a_full_block_is_cut_after_a_near_comma(self) -> None:
        tokenizer = tiny_models.clip_tokenizer()
        blocks = token_blocks(tokenizer, "lake " * 70 + ", " + "snow " * 10, 75)
        assert [len(block.ids) for block in blocks] == [71, 10]

    def test_a_full_block_without_a_near_comma_is_cut_where_it_is(self) -> None:
        blocks = token_blocks(tiny_models.clip_tokenizer(), "lake, " + "snow " * 90, 75)
        assert [len(block.ids) for block in blocks] == [75, 17]

    @given(st.text(alphabet="abc ,.()[]:|123BREAK", max_size=200))
    def test_no_token_is_lost(self, text: str) -> None:
        tokenizer = tiny_models.clip_tokenizer()
        blocks = token_blocks(tokenizer, text, 5)
        assert all(len(block.ids) == len(block.weights) <= 5 for block in blocks)
        whole = token_blocks(tokenizer, text, 10000)
        ids, all_ids = ([token for block in cut for token in block.ids] for cut in (blocks, whole))
        assert ids == all_ids

    def test_a_comma_of_the_next_block_does_not_begin_it(self) -> None:
        tokenizer = tiny_models.clip_tokenizer()
        comma = token_ids(tokenizer, ",")
        assert token_blocks(tokenizer, "lake " * 75 + ", snow", 75)[1].ids[:1] == comma


class TestSizes:
    @given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 8, 16, 64]))
    def test_padding_and_cropping_undo_each_other(self, width: int, height: int, multiple: int) -> None:
        canvas = Canvas(width, height, multiple)
        image = torch.rand(3, height, width)
        padded = canvas.padded(image)
        assert padded.shape[2] % multiple == padded.shape[3] % multiple == 0
        assert padded.shape[2] - height < multiple
        assert torch.equal(canvas.cropped(padded), image)

    def test_the_demo_model_generates_at_multiples_of_64(self, request_for: RequestMaker) -> None:
        engine = make_engine("demo", device="cpu")
        sizes: list[torch.Size] = []
        generate(engine._engine, request_for(steps=1))
        network = engine._engine._loaded[1].network
        network.register_forward_hook(lambda module, args, output: sizes.append(args[0].shape))
        assert generate(engine._engine, request_for(width_px=100, height_px=130, steps=1)).shape == (
            3,
            130,
            100,
        )
        assert sizes == [torch.Size([2, 12, 12, 8])]

    def test_seed_resize_keeps_the_middle(self, engine: DiffusionEngine, request_for: RequestMaker) -> None:
        plain = generate(engine, request_for(width_px=64, height_px=64))
        resized = generate(engine, request_for(width_px=64, height_px=64, seed_resize_from_px=(32, 32)))
        same = generate(engine, request_for(width_px=64, height_px=64, seed_resize_from_px=(64, 64)))
        assert not torch.equal(plain, resized)
        assert torch.equal(plain, same)


class TestNoise:
    def test_subseed(self, engine: DiffusionEngine, request_for: RequestMaker) -> None:
        off = generate(engine, request_for(subseed=5, subseed_strength=0.0))
        assert torch.equal(off, generate(engine, request_for()))
        half = generate(engine, request_for(subseed=5, subseed_strength=0.5))
        assert not torch.equal(half, off)
        full = generate(engine, request_for(subseed=5, subseed_strength=1.0))
        torch.testing.assert_close(full, generate(engine, request_for(seed=5)), atol=1e-3, rtol=0)

    def test_noise_multiplier_belongs_to_image_to_image(
        self, engine: DiffusionEngine, request_for: RequestMaker
    ) -> None:
        init = torch.rand(3, 48, 32)
        request = request_for(init_image=init, denoising_strength=0.5)
        assert not torch.equal(
            generate(engine, request), generate(engine, replace(request, noise_multiplier=0.8))
        )
        assert torch.equal(
            generate(engine, request_for()), generate(engine, replace(request_for(), noise_multiplier=0.8))
        )


class TestNetworkState:
    def test_tiling_makes_the_network_blind_to_where_the_border_is(self, engine: DiffusionEngine) -> None:
        model = engine._model(None, None)
        latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
        moved = latents.roll((4, 6), (2, 3))
        with torch.no_grad():
            with tiling_applied(model.modules()):
                tiled, tiled_moved = (model.autoencoder.decode(entry) for entry in (latents, moved))
            plain, plain_moved = (model.autoencoder.decode(entry) for entry in (latents, moved))
        torch.testing.assert_close(tiled.roll((8, 12), (2, 3)), tiled_moved, atol=1e-4, rtol=0)
        assert (plain.roll((8, 12), (2, 3)) - plain_moved).abs().max() > 1e-2

    @pytest.mark.parametrize("change", [{"tiling": True}, {"freeu": FreeU(1.2, 1.4, 0.9, 0.2)}])
    def test_a_change_lasts_for_one_image(
        self, engine: DiffusionEngine, request_for: RequestMaker, change: dict[str, object]
    ) -> None:
        before = generate(engine, request_for())
        assert not torch.equal(generate(engine, request_for(**change)), before)
        assert torch.equal(generate(engine, request_for()), before)

    def test_a_change_is_undone_after_an_error(
        self, engine: DiffusionEngine, request_for: RequestMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = generate(engine, request_for())
        with monkeypatch.context() as patched:
            patched.setattr(engine._loaded[1].network, "forward", lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                generate(engine, request_for(tiling=True, freeu=FreeU(1.2, 1.4, 0.9, 0.2)))
        assert torch.equal(generate(engine, request_for()), before)


class TestModels:
    def test_a_vae_of_ones_own(
        self, engine: DiffusionEngine, tmp_path: Path, request_for: RequestMaker
    ) -> None:
        torch.manual_seed(1)
        tiny_models.autoencoder().save_pretrained(str(tmp_path / "other"))
        tiny_models.autoencoder(latent_channels=8).save_pretrained(str(tmp_path / "foreign"))
        own = generate(engine, request_for())
        other = generate(engine, request_for(vae=str(tmp_path / "other")))
        assert not torch.equal(other, own)
        assert torch.equal(generate(engine, request_for()), own)
        with refuses(ModelError, "vae_misfit", "8"):
            generate(engine, request_for(vae=str(tmp_path / "foreign")))
        with refuses(ModelError, "vae_not_found", "'nowhere'"):
            generate(engine, request_for(vae="nowhere"))

    def test_a_vae_beside_the_checkpoint_has_a_name(
        self, tiny: TinyMaker, tmp_path: Path, request_for: RequestMaker
    ) -> None:
        shutil.copytree(tiny("sd1"), tmp_path / "models" / "one")
        torch.manual_seed(1)
        tiny_models.autoencoder().save_pretrained(str(tmp_path / "VAE" / "soft"))
        engine = make_engine("diffusers", checkpoint=str(tmp_path / "models" / "one"), device="cpu")
        named = generate(engine, request_for(vae="soft"))
        assert not torch.equal(named, generate(engine, request_for()))
        assert torch.equal(named, generate(engine, request_for(vae=str(tmp_path / "VAE" / "soft"))))

    def test_a_scheduled_checkpoint_is_a_neighbour(
        self, tiny: TinyMaker, tmp_path: Path, request_for: RequestMaker
    ) -> None:
        shutil.copytree(tiny("sd1"), tmp_path / "one")
        shutil.copytree(tiny("sd2"), tmp_path / "two")
        engine = make_engine("diffusers", checkpoint=str(tmp_path / "one"), device="cpu")
        own = generate(engine, request_for())
        two = make_engine("diffusers", checkpoint=str(tiny("sd2")), device="cpu")
        assert torch.equal(generate(engine, request_for(checkpoint="two")), generate(two, request_for()))
        assert torch.equal(generate(engine, request_for()), own)
        with refuses(ModelError, "checkpoint_not_found", "'three'"):
            generate(engine, request_for(checkpoint="three"))

    def test_broken_weights_are_named(
        self, tiny: TinyMaker, tmp_path: Path, request_for: RequestMaker
    ) -> None:
        folder = shutil.copytree(tiny("sd1"), tmp_path / "broken")
        weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        with refuses(ModelError, "model_damaged", "unet of the model 'broken'"):
            generate(make_engine("diffusers", checkpoint=str(folder), device="cpu"), request_for())

    def test_an_image_of_nan_is_an_error(self, engine: DiffusionEngine, request_for: RequestMaker) -> None:
        generate(engine, request_for())
        engine._loaded[1].network.conv_in.weight.fill_(float("nan"))
        with refuses(NotFinite, "image_not_finite"):
            generate(engine, request_for())

    @pytest.mark.parametrize(
        "error",
        [
            torch.cuda.OutOfMemoryError("CUDA out of memory"),
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        ],
    )
    def test_missing_memory_has_its_own_error(
        self,
        engine: DiffusionEngine,
        request_for: RequestMaker,
        monkeypatch: pytest.MonkeyPatch,
        error: RuntimeError,
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        model = engine._model(None, None)
        monkeypatch.setattr(model.network, "forward", fail)
        with refuses(OutOfMemory, "engine_out_of_memory", "32x48") as caught:
            generate(engine, request_for())
        assert caught.value.retryable

    def test_other_errors_stay_themselves(
        self, engine: DiffusionEngine, request_for: RequestMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("shapes do not match")

        monkeypatch.setattr(engine._model(None, None).network, "forward", fail)
        with pytest.raises(RuntimeError, match="shapes"):
            generate(engine, request_for())


class TestLoras:
    @pytest.fixture
    def loras(self, tmp_path: Path) -> Path:
        folder = tmp_path / "Lora"
        generator = torch.Generator().manual_seed(5)
        unet = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
        text = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"
        for name, layers in {
            "ink": [(unet, 16)],
            "words": [(text, 32)],
            "both": [(unet, 16), (text, 32)],
        }.items():
            tensors = {}
            for layer, width in layers:
                tensors[f"{layer}.lora_A.weight"] = torch.randn(2, 32, generator=generator)
                tensors[f"{layer}.lora_B.weight"] = torch.randn(width, 2, generator=generator)
            (folder / "folder").mkdir(parents=True, exist_ok=True)
            save_file(tensors, str(folder / "folder" / f"{name}.safetensors"))
        save_file({"nonsense": torch.zeros(1)}, str(folder / "foreign.safetensors"))
        return folder

    @pytest.fixture
    def engine(self, tiny: TinyMaker, loras: Path) -> DiffusionEngine:
        (loras.parent / "Stable-diffusion").mkdir()
        checkpoint = loras.parent / "Stable-diffusion" / "tiny"
        checkpoint.symlink_to(tiny("sd1"), target_is_directory=True)
        return make_engine("diffusers", checkpoint=str(checkpoint), device="cpu")

    @pytest.mark.parametrize("name", ["ink", "words", "both"])
    def test_a_lora_changes_the_image_and_leaves_no_trace(
        self, engine: DiffusionEngine, request_for: RequestMaker, name: str
    ) -> None:
        plain = generate(engine, request_for())
        inked = generate(engine, request_for(prompt=f"a hill<lora:{name}:0.8>"))
        assert not torch.equal(inked, plain)
        assert torch.equal(generate(engine, request_for()), plain)
        assert torch.equal(generate(engine, request_for(prompt=f"a hill<lora:{name}:0.8>")), inked)

    def test_weights_count(self, engine: DiffusionEngine, request_for: RequestMaker) -> None:
        plain, weak, strong, twice, two_kinds = (
            generate(engine, request_for(prompt=f"a hill{tags}"))
            for tags in (
                "<lora:both:0>",
                "<lora:both:0.5>",
                "<lora:both:1>",
                "<lora:both:0.5><lora:both:0.5>",
                "<lora:both:0.5:1>",
            )
        )
        assert torch.equal(plain, generate(engine, request_for()))
        assert torch.equal(strong, twice)
        assert not torch.equal(weak, strong)
        assert not torch.equal(two_kinds, strong)
        assert not torch.equal(two_kinds, weak)

    @pytest.mark.parametrize("name", ["missing", "../outside", "folder/ink"])
    def test_a_lora_that_is_not_there_is_left_out(
        self, engine: DiffusionEngine, request_for: RequestMaker, name: str
    ) -> None:
        """The checks told of it; no name leads out of the folder."""
        plain = generate(engine, request_for(prompt="a hill"))
        assert torch.equal(generate(engine, request_for(prompt=f"a hill<lora:{name}:1>")), plain)

    def test_a_video_reads_a_lora_once_and_says_nothing(
        self,
        engine: DiffusionEngine,
        request_for: RequestMaker,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        plain = generate(engine, request_for())
        capfd.readouterr()
        read: list[str] = []
        load = lora._load
        monkeypatch.setattr(lora, "_load", lambda *of: (read.append(of[1]), load(*of)))
        tags = ("<lora:ink:1>", "<lora:ink:0.5>", "<lora:ink:1>", "<lora:ink:1><lora:both:1>")
        strong, weak, strong_again, two = (
            generate(engine, request_for(prompt=f"a hill{tag}")) for tag in tags
        )
        assert read == ["ink", "ink", "both"]
        assert torch.equal(strong, strong_again)
        assert not torch.equal(strong, weak)
        assert not torch.equal(strong, two)
        assert torch.equal(generate(engine, request_for()), plain)
        assert capfd.readouterr() == ("", "")

    def test_a_lora_that_was_trained_on_is_read_again(
        self, engine: DiffusionEngine, request_for: RequestMaker, loras: Path
    ) -> None:
        before = generate(engine, request_for(prompt="a hill<lora:words:1>"))
        file = loras / "folder" / "words.safetensors"
        save_file({name: 2 * tensor for name, tensor in load_file(file).items()}, file)
        os.utime(file, ns=(1, 1))
        assert not torch.equal(generate(engine, request_for(prompt="a hill<lora:words:1>")), before)

    def test_a_lora_of_another_model_is_named(
        self, engine: DiffusionEngine, request_for: RequestMaker
    ) -> None:
        with refuses(ModelError, "lora_misfit", "'foreign'"):
            generate(engine, request_for(prompt="<lora:foreign:1>"))
        generate(engine, request_for())

    def test_without_a_folder_there_are_no_loras(self, tiny: TinyMaker, request_for: RequestMaker) -> None:
        engine = make_engine("diffusers", checkpoint=str(tiny("sd1")), device="cpu")
        plain = generate(engine, request_for(prompt="a hill"))
        assert torch.equal(generate(engine, request_for(prompt="a hill<lora:ink:1>")), plain)


def test_the_tiny_models_are_what_the_index_says(tiny: TinyMaker) -> None:
    index = json.loads((tiny("flux") / "model_index.json").read_text())
    assert index["tokenizer_2"] == ["transformers", "T5TokenizerFast"]
