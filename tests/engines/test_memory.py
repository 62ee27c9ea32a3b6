"""Memory of the device: what models need, which parts leave it, and what happens when it runs out."""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from safetensors.torch import save_file
from small_runs import prepared
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deforum_api.hosts import standalone
from deforum_api.hosts.flags import make_parser
from deforum_api.hosts.own_host import health
from deforum_helpers.__main__ import main
from deforum_helpers.core.errors import OutOfMemory
from deforum_helpers.core.progress import CancelToken, Progress
from deforum_helpers.core.registry import UnknownName
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.diffusion import autoencoder as autoencoder_module
from deforum_helpers.engines.diffusion import engine as engine_module
from deforum_helpers.engines.diffusion.autoencoder import autoencoder_of
from deforum_helpers.engines.diffusion.engine import DiffusionEngine
from deforum_helpers.engines.diffusion.residency import Residency, memory_needs, weight_bytes
from deforum_helpers.engines.diffusion.stored_weights import (
    Stored,
    StoredLinear,
    block_layers,
    in_eight_bits,
)
from deforum_helpers.engines.memory import (
    MODES,
    RESERVED_BYTES,
    WORKSPACE,
    MemoryNeeds,
    MemoryPlan,
    OffloadMode,
    Precision,
    fitting_precision,
    lower_plan,
    plan_memory,
)
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.models.devices import DeviceMemory
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.segment_process import EngineChoice
from tests.engines.conftest import RequestMaker
from tests.engines.tiny_models import MAKERS, VARIANTS
from tests.refusals import refuses

GB = 10**9
META = torch.device("meta")
Tiny = Callable[[str], Path]


def needs(**gigabytes: float) -> MemoryNeeds:
    given = {"text": 2.0, "network": 5.0, "autoencoder": 0.5, "layer": 0.1, "sampling": 1.0, "decoding": 3.0}
    return MemoryNeeds(**{name: int(size * GB) for name, size in {**given, "tile": 0.5, **gigabytes}.items()})


class TestPlan:
    @pytest.mark.parametrize(
        ("free", "total", "mode", "tiled"),
        [
            (24, 24, "none", False),
            (10, 24, "model", False),
            (7, 24, "streamed", False),
            (8, 8, "model", True),
            (4, 8, "streamed", True),
            (3, 3, "streamed", True),
        ],
    )
    def test_the_fastest_that_is_free_is_taken(
        self, free: float, total: float, mode: OffloadMode, tiled: bool
    ) -> None:
        plan = plan_memory(needs(), free * GB, total * GB)
        assert (plan.mode, plan.tiled) == (mode, tiled)
        assert plan.fits == (plan.peak <= free * GB)

    def test_tiles_do_not_depend_on_what_is_free_now(self) -> None:
        tiled = {plan_memory(needs(), free * GB, 12 * GB).tiled for free in range(1, 13)}
        assert len(tiled) == 1

    def test_a_mode_can_be_demanded(self) -> None:
        assert plan_memory(needs(), 24 * GB, 24 * GB, "streamed").mode == "streamed"
        plan = plan_memory(needs(), 4 * GB, 24 * GB, "none")
        assert (plan.mode, plan.fits) == ("none", False)

    def test_without_a_device_memory_nothing_leaves(self) -> None:
        assert plan_memory(needs(network=900), None, None) == MemoryPlan(
            "none", False, needs(network=900).peak("none")
        )
        assert plan_memory(needs(), None, None, "model").mode == "model"

    @pytest.mark.parametrize(
        ("total", "mode", "expected"),
        [
            (24, None, "native"),
            (7.5, None, "native"),  # in tiles
            (5, None, "int8"),
            (3, None, "native"),  # does not fit in 8 bits either
            (5, "streamed", "native"),
            (7, "none", "int8"),
            (None, None, "native"),
        ],
    )
    def test_8_bits_are_chosen_where_they_alone_spare_the_streaming(
        self, total: float | None, mode: OffloadMode | None, expected: str
    ) -> None:
        native, eight_bits = needs(), needs(text=1.1, network=2.7)
        found = fitting_precision(native, eight_bits, None if total is None else int(total * GB), mode)
        assert found == expected

    def test_each_lower_plan_needs_less(self) -> None:
        plan: MemoryPlan | None = plan_memory(needs(), 24 * GB, 24 * GB)
        peaks = []
        while plan is not None:
            peaks.append(plan.peak)
            plan = lower_plan(plan, needs(), decoding=not plan.tiled)
        assert len(peaks) == 4
        assert peaks == sorted(peaks, reverse=True)


# The makers' configurations, in the words of diffusers and transformers. Sources: the model_index.json and config.json
# files of the models runwayml/stable-diffusion-v1-5, stabilityai/stable-diffusion-xl-base-1.0,
# black-forest-labs/FLUX.2-klein-4B, Qwen/Qwen3-4B and Efficient-Large-Model/Sana_1600M_1024px_diffusers; Lumina 2's are
# diffusers' own defaults.
CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}
QWEN3_4B = {
    "vocab_size": 151936,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "tie_word_embeddings": True,
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}
SDXL_UNET = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
KLEIN_4B = {
    "in_channels": 128,
    "num_layers": 5,
    "num_single_layers": 20,
    "num_attention_heads": 24,
    "joint_attention_dim": 7680,
    "guidance_embeds": False,
}

SANA_1600M = {
    "num_layers": 20,
    "num_attention_heads": 70,
    "attention_head_dim": 32,
    "num_cross_attention_heads": 20,
    "cross_attention_head_dim": 112,
    "cross_attention_dim": 2240,
}
DEEP_CHANNELS, DEEP_BLOCKS = (128, 256, 512, 512, 1024, 1024), ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3
DEEP_SCALES = ((),) * 3 + ((5,),) * 3
DEEP_VAE = {
    "encoder_block_types": DEEP_BLOCKS,
    "decoder_block_types": DEEP_BLOCKS,
    "encoder_block_out_channels": DEEP_CHANNELS,
    "decoder_block_out_channels": DEEP_CHANNELS,
    "encoder_layers_per_block": (2, 2, 2, 3, 3, 3),
    "decoder_layers_per_block": (3, 3, 3, 3, 3, 3),
    "encoder_qkv_multiscales": DEEP_SCALES,
    "decoder_qkv_multiscales": DEEP_SCALES,
    "downsample_block_type": "Conv",
    "upsample_block_type": "interpolate",
}


def clip(config: Mapping[str, Any]) -> Any:
    return transformers.CLIPTextModelWithProjection(transformers.CLIPTextConfig(**config))


def built(family: str) -> dict[str, list[Any]]:
    """Return the networks of a family in its real size and precision, without weights."""
    make: dict[str, Callable[[], tuple[list[Any], Any, Any, Any]]] = {
        "sd1": lambda: (
            [clip(CLIP_L)],
            diffusers.UNet2DConditionModel(cross_attention_dim=768),
            diffusers.AutoencoderKL(**VAE),
            torch.float16,
        ),
        "sdxl": lambda: (
            [clip(CLIP_L), clip(CLIP_G)],
            diffusers.UNet2DConditionModel(**SDXL_UNET),
            diffusers.AutoencoderKL(**VAE),
            torch.float16,
        ),
        "lumina2": lambda: (
            [],
            diffusers.Lumina2Transformer2DModel(),
            diffusers.AutoencoderKL(**VAE),
            torch.bfloat16,
        ),
        "sana": lambda: (
            [],
            diffusers.SanaTransformer2DModel(**SANA_1600M),
            diffusers.AutoencoderDC(**DEEP_VAE),
            torch.bfloat16,
        ),
        "klein-4b": lambda: (
            [transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**QWEN3_4B))],
            diffusers.Flux2Transformer2DModel(**KLEIN_4B),
            diffusers.AutoencoderKLFlux2(**VAE),
            torch.bfloat16,
        ),
    }
    with META:
        texts, network, vae, dtype = make[family]()
    for module in (*texts, network, vae):
        torch.nn.Module.to(module, dtype)
    if family == "sdxl":
        torch.nn.Module.to(vae, torch.float32)  # its configuration says force_upcast
    return {"text": texts, "network": [network], "autoencoder": [vae]}


class FusedAttention(TorchFunctionMode):
    """Attention that stores no matrix, as on every accelerator; `meta` has none of its own."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not torch.nn.functional.scaled_dot_product_attention:
            return function(*args, **(kwargs or {}))
        query, _, value = [*args, *(kwargs or {}).values()][:3]
        return query.new_empty(*query.shape[:-1], value.shape[-1])


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive at one moment, those of `modules` left out."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage()._cdata for tensor in (*module.parameters(), *module.buffers())}
        self.live = self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.known:
                    self.known.add(storage._cdata)
                    self.live += storage.nbytes()
                    self.peak = max(self.peak, self.live)
                    weakref.finalize(storage, self.gone, storage._cdata, storage.nbytes())
        return output

    def gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size


def counted(module: Any, call: Callable[[], object]) -> int:
    live = LiveBytes(module)
    with torch.no_grad(), live, FusedAttention():
        call()
    return live.peak


def network_call(family: str, network: Any, size: int, batch: int) -> Callable[[], object]:
    """Return a call of the network as its family makes it, for square images of `size` pixels."""

    def empty(*shape: int, dtype: Any = network.dtype) -> Any:
        return torch.empty(shape, dtype=dtype, device=META)

    cells, patches = size // 8, (size // 16) ** 2
    if family in ("sd1", "sdxl"):
        added = {"text_embeds": empty(batch, 1280), "time_ids": empty(batch, 6)}
        width = network.config.cross_attention_dim
        return lambda: network(
            empty(batch, 4, cells, cells),
            empty(dtype=torch.float32),
            encoder_hidden_states=empty(batch, 77, width),
            added_cond_kwargs=added if family == "sdxl" else None,
        )
    if family == "sana":
        cells = size // 32
        words = network.config.caption_channels
        return lambda: network(
            empty(batch, 32, cells, cells),
            encoder_hidden_states=empty(batch, 300, words),
            timestep=empty(batch),
        )
    if family == "lumina2":
        return lambda: network(
            hidden_states=empty(batch, 16, cells, cells),
            timestep=empty(batch),
            encoder_hidden_states=empty(batch, 256, network.config.cap_feat_dim),
            encoder_attention_mask=torch.ones(batch, 256, dtype=torch.bool),
        )
    return lambda: network(
        hidden_states=empty(batch, patches, network.config.in_channels),
        timestep=empty(batch),
        guidance=None,
        encoder_hidden_states=empty(batch, 512, network.config.joint_attention_dim),
        txt_ids=empty(512, 4, dtype=torch.float32),
        img_ids=empty(patches, 4, dtype=torch.float32),
    )


@pytest.fixture(scope="module")
def real() -> Callable[[str], dict[str, list[Any]]]:
    made: dict[str, dict[str, list[Any]]] = {}

    def get(family: str) -> dict[str, list[Any]]:
        return made.setdefault(family, {}) or made[family].update(built(family)) or made[family]

    return get


Real = Callable[[str], dict[str, list[Any]]]


class TestNeeds:
    @pytest.mark.parametrize(
        ("family", "parameters"),
        [("sd1", 860), ("sdxl", 2567), ("klein-4b", 3876), ("sana", 1605), ("lumina2", 2610)],
    )
    def test_real_networks_have_their_published_size(self, real: Real, family: str, parameters: int) -> None:
        assert weight_bytes(real(family)["network"]) == pytest.approx(2e6 * parameters, rel=0.01)

    @pytest.mark.parametrize(
        ("family", "batch"), [("sd1", 2), ("sdxl", 1), ("klein-4b", 1), ("sana", 2), ("lumina2", 1)]
    )
    def test_sampling_is_estimated_at_no_less_than_is_counted(
        self, real: Real, family: str, batch: int
    ) -> None:
        modules = real(family)
        factor, patch = (32, 1) if family == "sana" else (8, 2)
        found = memory_needs(modules, (1024, 1024), factor, batch, patch).sampling / WORKSPACE
        (network,) = modules["network"]
        peak = counted(network, network_call(family, network, 1024, batch))
        assert peak * 0.995 <= found <= peak * 1.75

    @pytest.mark.parametrize("family", ["sd1", "sdxl", "sana"])
    def test_decoding_is_estimated_at_no_less_than_is_counted(self, real: Real, family: str) -> None:
        modules = real(family)
        (vae,) = modules["autoencoder"]
        found = memory_needs(modules, (768, 768), 8, 1)
        for size, estimate in ((768, found.decoding), (512, found.tile)):
            cells, channels = size // autoencoder_of(vae).factor, vae.config.latent_channels
            latents = torch.empty(1, channels, cells, cells, dtype=vae.dtype, device=META)
            images = torch.empty(1, 3, size, size, dtype=vae.dtype, device=META)
            for call in (lambda: vae.decode(latents), lambda: vae.encode(images)):  # noqa: B023
                assert counted(vae, call) * 0.995 <= estimate / WORKSPACE

    def test_the_text_encoder_is_estimated_at_no_less_than_is_counted(self, real: Real) -> None:
        modules = real("klein-4b")
        (text,) = modules["text"]
        tokens = torch.zeros(1, 512, dtype=torch.int64, device=META)
        more = {"attention_mask": {"full_attention": None}, "output_hidden_states": True, "use_cache": False}
        peak = counted(text.model, lambda: text.model(tokens, **more))
        found = memory_needs(modules, (512, 512), 8, 1).encoding / WORKSPACE
        assert peak * 0.995 <= found <= peak * 2

    @pytest.mark.parametrize(
        ("family", "size", "batch", "gibibytes", "mode"),
        [
            ("sd1", 512, 2, 4, "none"),
            ("sdxl", 1024, 2, 8, "model"),
            ("klein-4b", 1024, 1, 8, "streamed"),
            ("klein-4b", 1024, 1, 12, "model"),
        ],
    )
    def test_a_mode_is_chosen_that_fits(
        self, real: Real, family: str, size: int, batch: int, gibibytes: int, mode: OffloadMode
    ) -> None:
        found = memory_needs(real(family), (size, size), 8, batch)
        total = gibibytes * 2**30
        plan = plan_memory(found, total - 600_000_000, total)  # a desktop and the libraries have the rest
        assert (plan.mode, plan.fits) == (mode, True)
        assert RESERVED_BYTES < plan.peak <= total - 600_000_000


def stored_linear(form: str, rows: int = 256, columns: int = 512) -> StoredLinear:
    """Return a layer with random weights in 8 bits or GGUF blocks, which computes in bfloat16."""
    width = columns
    if form not in ("int8", "float8_e4m3fn"):
        gguf = pytest.importorskip("gguf")
        weights, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[form]]
        width = columns // weights * size
    generator = torch.Generator().manual_seed(1)
    data = torch.randint(0, 100, (rows, width), dtype=torch.int8, generator=generator)
    scale = torch.ones(rows, 1) if width == columns else None
    return StoredLinear(Stored(data, form, scale, (rows, columns)), None, torch.bfloat16)


@pytest.mark.parametrize("form", ["int8", "float8_e4m3fn", "Q8_0", "Q4_K", "Q5_K", "IQ4_XS"])
def test_a_stored_layer_is_counted_at_what_it_decodes_its_weights_to(form: str) -> None:
    layer = stored_linear(form)
    found = counted(layer, lambda: layer(torch.zeros(1, 512, dtype=torch.bfloat16)))
    assert found * 0.995 <= layer.decoding_bytes <= found * 2.5
    assert layer.decoding_bytes > 4 * weight_bytes([layer])


def test_the_largest_decoded_layer_is_part_of_the_needs(tiny: Tiny) -> None:
    model = DiffusionEngine(str(tiny("flux2-klein")), device="cpu")._model(None, None)
    modules = model.modules_by_role()
    plain = memory_needs(modules, (64, 64), 8, 1)
    for role, path in (("network", "proj_out"), ("text", "model.norm")):
        module: Any = modules[role][0]  # type: ignore[index]
        module.set_submodule(path, stored_linear("int8"))
    found, decoding = memory_needs(modules, (64, 64), 8, 1), stored_linear("int8").decoding_bytes
    assert (found.sampling - plain.sampling, found.encoding - plain.encoding) == (decoding, decoding)


@pytest.mark.parametrize("kind", ["sdxl", "flux2-klein"])
def test_needs_in_a_precision_are_those_of_the_model_in_it(tiny: Tiny, kind: str) -> None:
    model = DiffusionEngine(str(tiny(kind)), device="cpu")._model(None, None)

    def found(precision: Precision | None) -> MemoryNeeds:
        return memory_needs(model.modules_by_role(), (64, 64), 8, 1, precision=precision)

    native, eight_bits = found(None), found("int8")
    assert found("native") == native
    model.quantize("int8")
    assert found(None) == found("int8") == eight_bits
    assert found("native") == native
    assert eight_bits.network < 0.7 * native.network


def test_in_8_bits_klein_is_not_streamed_on_8_gigabytes(real: Real) -> None:
    def found(precision: Precision) -> MemoryNeeds:
        return memory_needs(real("klein-4b"), (1024, 1024), 8, 1, precision=precision)

    total = 8 * 2**30
    assert fitting_precision(found("native"), found("int8"), total) == "int8"
    plan = plan_memory(found("int8"), total - 600_000_000, total)
    assert (plan.mode, plan.fits) == ("model", True)


class Moves(torch.nn.Module):
    """A network that notes where it is."""

    def __init__(self) -> None:
        super().__init__()
        self.place = "cpu"

    def to(self, device: Any) -> Any:
        self.place = str(device)
        return self


class TestResidency:
    @pytest.mark.parametrize(
        ("mode", "while_encoding", "while_sampling"),
        [
            ("none", ["meta", "meta", "meta"], ["meta", "meta", "meta"]),
            ("model", ["meta", "cpu", "cpu"], ["cpu", "meta", "meta"]),
        ],
    )
    def test_parts_take_turns(
        self, mode: OffloadMode, while_encoding: list[str], while_sampling: list[str]
    ) -> None:
        text, network, vae = parts = Moves(), Moves(), Moves()
        modules = {"text": (text,), "network": (network,), "autoencoder": (vae,)}
        plan = MemoryPlan(mode, False, 0)
        residency = Residency(lambda: modules, META, needs(), plan)  # type: ignore[arg-type,return-value]
        for role in ("autoencoder", "text", "network", "autoencoder"):
            residency.need(role)  # type: ignore[arg-type]
        assert [part.place for part in parts] == while_sampling
        residency.need("text")
        assert [part.place for part in parts] == while_encoding
        residency.leave()
        assert [part.place for part in parts] == ["cpu"] * 3
        residency.need("network")
        assert network.place == "meta"


class Forgetful(NullEngine):
    """An engine that notes something of its memory while it generates."""

    def __init__(self) -> None:
        super().__init__()
        self.memory_plan = MemoryPlan("model", True, 7 * GB)
        self.memory_notes: tuple[str, ...] = ("An old note.",)

    def generate(self, request: Any, cancel: Any) -> Any:
        self.memory_notes += ("Memory ran out.",)
        return super().generate(request, cancel)


class TestReports:
    def test_a_job_warns_of_what_happened_to_the_memory_meanwhile(self, tmp_path: Path) -> None:
        job = prepared(tmp_path, max_frames=3, skip_video_creation=True)
        seen: list[Progress] = []
        result = run_job(job, Forgetful(), CancelToken(), seen.append)
        assert [text for text in result.warnings if "emory" in text or "note" in text] == ["Memory ran out."]
        assert "Memory ran out." in seen[-1].warnings

    def test_health_tells_the_plan(self, tmp_path: Path) -> None:
        facts = own_facts("null", None, tmp_path)
        assert health(facts)["memory"] is None
        assert health(facts, NullEngine())["memory"] is None
        found = health(facts, Forgetful())["memory"]
        assert found == {
            "offload": "model",
            "precision": "native",
            "tiled": True,
            "peak_bytes": 7 * GB,
            "fits": True,
            "notes": ["An old note."],
        }

    def test_the_option_reaches_the_engine(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Tiny
    ) -> None:
        folder = str(tiny("sd1"))
        words = ["--ckpt", folder, "--deforum-offload", "streamed", "--deforum-outdir", str(tmp_path)]
        words += ["--deforum-precision", "fp8"]
        engine = standalone._engine("diffusers", make_parser().parse_args(words))
        assert (engine._mode, engine._precision) == ("streamed", "fp8")
        choice = EngineChoice("diffusers", folder, device="cpu", offload="model", precision="int8")
        chosen: Any = make_engine(**vars(choice))
        assert (chosen._mode, chosen._precision) == ("model", "int8")
        made: list[dict[str, Any]] = []
        monkeypatch.setattr("deforum_helpers.engines.make_engine", lambda name, **more: made.append(more))
        settings = tmp_path / "settings.txt"
        settings.write_text('{"max_frames": 2}')
        command = ["run", str(settings), "--ckpt", folder, "--offload", "model", "--out", str(tmp_path)]
        command += ["--precision", "int8"]
        with contextlib.suppress(AttributeError):  # there is no engine to render with
            main(command)
        assert (made[0]["offload"], made[0]["precision"]) == ("model", "int8")


def engine_with(
    folder: Path, free: float = 100, offload: str = "auto", precision: str = "auto"
) -> DiffusionEngine:
    """Return an engine on the CPU that takes it for a device with `free` GB."""
    memory = DeviceMemory(int(free * GB), int(free * GB))
    return DiffusionEngine(
        str(folder), device="cpu", offload=offload, precision=precision, memory=lambda device: memory
    )


def draw(engine: Any, request: Any) -> Any:
    return engine.generate(request, CancelToken())


@pytest.fixture
def init_image() -> Any:
    return torch.rand(3, 48, 32, generator=torch.Generator().manual_seed(3))


class TestModes:
    @pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind not in VARIANTS])
    def test_no_mode_changes_a_bit(
        self, tiny: Tiny, request_for: RequestMaker, init_image: Any, kind: str
    ) -> None:
        requests = [
            request_for(steps=1),
            request_for(prompt="red snow", steps=2, init_image=init_image, denoising_strength=0.6),
        ]
        images = {}
        for mode in ("none", "model", "streamed"):
            engine = engine_with(tiny(kind), offload=mode)
            images[mode] = [draw(engine, request) for request in requests]
            assert engine.memory_plan is not None
            assert engine.memory_plan.mode == mode
        for found, expected in zip(images["model"] + images["streamed"], images["none"] * 2, strict=True):
            assert torch.equal(found, expected)

    def test_streamed_layers_are_away_between_two_images(
        self, tiny: Tiny, request_for: RequestMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine = engine_with(tiny("flux2-klein"), offload="streamed")
        draw(engine, request_for(steps=1))
        model = engine._model(None, None)
        layers = [layer for layer in model.network.modules() if isinstance(layer, torch.nn.Linear)]
        assert all(hasattr(layer, "_diffusers_hook") for layer in layers)
        assert model.residency is not None

    def test_unknown_modes_are_refused(self, tiny: Tiny) -> None:
        with refuses(UnknownName, "unknown_choice", "streamed"):
            make_engine("diffusers", checkpoint=str(tiny("sd1")), device="cpu", offload="sometimes")


class TestPrecision:
    @pytest.mark.parametrize(
        ("kind", "precision"),
        [
            *((kind, "int8") for kind in MAKERS if kind not in VARIANTS),
            ("sd1", "fp8"),
            ("flux2-klein", "fp8"),
        ],
    )
    def test_weights_in_8_bits_draw_nearly_the_same(
        self, tiny: Tiny, request_for: RequestMaker, kind: str, precision: str
    ) -> None:
        plain = draw(engine_with(tiny(kind)), request_for(steps=1))
        engine = engine_with(tiny(kind), precision=precision)
        found = draw(engine, request_for(steps=1))
        assert not torch.equal(found, plain)
        assert (found - plain).abs().mean() < 0.05 * plain.std()
        assert engine.memory_plan is not None
        assert engine.memory_plan.precision == precision
        assert engine.memory_notes == (), "it was asked for"
        network = engine._model(None, None).network
        assert all(isinstance(layer, StoredLinear) for _, layer in block_layers(network))

    def test_the_stored_weights_are_the_nearest(self) -> None:
        weight = torch.randn(6, 256, generator=torch.Generator().manual_seed(1))
        weight[2], weight[3, 7] = 0.0, 50.0
        for precision, error in (("int8", 1 / 254), ("fp8", 1 / 16)):
            stored = in_eight_bits(weight, precision)  # type: ignore[arg-type]
            found = stored.decoded(torch.float32)
            assert stored.scale is not None
            assert stored.scale.shape == (6, 2)
            largest = weight.reshape(6, 2, 128).abs().amax(-1, keepdim=True)
            off = (found - weight).abs().reshape(6, 2, 128)
            limit = largest * error if precision == "int8" else weight.abs().reshape(6, 2, 128) * error
            assert (off <= limit * 1.001 + 1e-3 * largest / 448).all()
        assert in_eight_bits(weight[:, :100], "int8").decoded(torch.float32)[0, 0] != 0

    def test_a_small_device_takes_8_bits_and_says_so_and_larger_images_change_no_smaller_ones(
        self, tiny: Tiny, request_for: RequestMaker
    ) -> None:
        small, large = request_for(steps=1), request_for(steps=1, width_px=96, height_px=96)
        folder = tiny("sd1")
        native, eight_bits = (draw(engine_with(folder, precision=one), small) for one in ("native", "int8"))
        probe = engine_with(folder)
        model = probe._model(None, None)

        def least(request: Any, precision: Precision) -> int:
            needs = probe._needs(model, probe._canvas(model, request), precision)
            return min(needs.peak(mode, tiled) for mode in MODES[:2] for tiled in (False, True))

        between = (least(large, "int8") + least(large, "native")) // 2
        assert least(small, "native") < between < least(large, "native"), "the sizes of this test"
        engine = engine_with(folder, free=between / GB)
        assert torch.equal(draw(engine, small), native)
        assert engine.memory_notes == ()
        draw(engine, large)
        assert engine.memory_plan is not None
        assert engine.memory_plan.precision == "int8"
        assert [note.code for note in engine.memory_notes] == ["memory_in_8_bits"]  # type: ignore[attr-defined]
        assert torch.equal(draw(engine, small), native)
        tight = engine_with(folder, free=(least(small, "int8") + least(small, "native")) / 2 / GB)
        assert torch.equal(draw(tight, small), eight_bits)

    def test_a_lora_acts_on_it_and_leaves_no_trace(
        self, tiny: Tiny, request_for: RequestMaker, tmp_path: Path
    ) -> None:
        pytest.importorskip("peft")
        (tmp_path / "checkpoints").mkdir()
        folder = tmp_path / "checkpoints" / "sd1"
        folder.symlink_to(tiny("sd1"), target_is_directory=True)
        (tmp_path / "Lora").mkdir()
        layer = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
        engine = engine_with(folder, precision="int8")
        plain = draw(engine, request_for(steps=1))
        weight = engine._model(None, None).network.get_submodule(layer).weight
        lora = {
            f"unet.{layer}.lora_A.weight": torch.randn(2, weight.shape[1]),
            f"unet.{layer}.lora_B.weight": torch.randn(weight.shape[0], 2),
        }
        save_file(lora, str(tmp_path / "Lora" / "ink.safetensors"))
        inked = draw(engine, request_for(steps=1, prompt="a hill<lora:ink:1>"))
        assert (inked - plain).abs().max() > 1e-4
        assert torch.equal(draw(engine, request_for(steps=1)), plain)

    @pytest.mark.gpu
    @pytest.mark.parametrize("precision", ["int8", "fp8"])
    @pytest.mark.parametrize("kind", ["sdxl", "flux2-klein"])
    def test_gpu_weights_in_8_bits(
        self, tiny: Tiny, request_for: RequestMaker, kind: str, precision: str
    ) -> None:
        def drawn(offload: str, precision: str) -> Any:
            engine = DiffusionEngine(str(tiny(kind)), device="cuda", offload=offload, precision=precision)
            return draw(engine, request_for(steps=2))

        plain = drawn("none", "native")
        found = drawn("none", precision)
        assert not torch.equal(found, plain)
        assert (found - plain).abs().mean() < 0.1 * plain.std()
        for offload in ("model", "streamed"):
            assert torch.equal(drawn(offload, precision), found)

    def test_unknown_precisions_are_refused(self, tiny: Tiny) -> None:
        with refuses(UnknownName, "unknown_choice", "fp8"):
            make_engine("diffusers", checkpoint=str(tiny("sd1")), device="cpu", precision="fp4")

    def test_a_repeated_size_is_not_counted_again(
        self, tiny: Tiny, request_for: RequestMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine = engine_with(tiny("sd1"))
        draw(engine, request_for(steps=1))
        monkeypatch.setattr(engine_module, "memory_needs", lambda *_, **__: pytest.fail("counted again"))
        draw(engine, request_for(steps=1))


class TestOutOfMemory:
    def failing(self, monkeypatch: pytest.MonkeyPatch, target: Any, name: str, times: int) -> None:
        own, left = getattr(target, name), [times]

        def fail(*args: Any, **more: Any) -> Any:
            if left[0] > 0:
                left[0] -= 1
                raise torch.cuda.OutOfMemoryError("out of memory")
            return own(*args, **more)

        monkeypatch.setattr(target, name, fail)

    def test_the_image_is_repeated_with_the_same_bits(
        self,
        tiny: Tiny,
        request_for: RequestMaker,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        expected = draw(engine_with(tiny("sd1")), request_for())
        engine = engine_with(tiny("sd1"))
        draw(engine, request_for(seed=9))
        self.failing(monkeypatch, engine._model(None, None).network, "forward", 1)
        with caplog.at_level(logging.WARNING, "deforum_helpers"):
            assert torch.equal(draw(engine, request_for()), expected)
        assert engine.memory_plan is not None
        assert engine.memory_plan.mode == "model"
        assert [note.code for note in engine.memory_notes] == ["memory_stepped_down"]  # type: ignore[attr-defined]
        assert engine.memory_notes[0] in caplog.messages
        assert torch.equal(draw(engine, request_for()), expected)

    def test_a_second_time_the_job_fails(
        self, tiny: Tiny, request_for: RequestMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine = engine_with(tiny("sd1"))
        self.failing(monkeypatch, engine._model(None, None).network, "forward", 2)
        with refuses(OutOfMemory, "engine_out_of_memory", "32x48"):
            draw(engine, request_for())
        assert len(engine.memory_notes) == 1
        draw(engine, request_for())

    def test_a_demanded_mode_is_kept(
        self, tiny: Tiny, request_for: RequestMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine = engine_with(tiny("sd1"), offload="none")
        self.failing(monkeypatch, engine._model(None, None).network, "forward", 1)
        with refuses(OutOfMemory, "engine_out_of_memory"):
            draw(engine, request_for())

    def test_in_the_vae_tiles_help(
        self, tiny: Tiny, request_for: RequestMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = draw(engine_with(tiny("sd1")), request_for())
        engine = engine_with(tiny("sd1"))
        vae = engine._model(None, None).autoencoder.vae
        self.failing(monkeypatch, vae, "decode", 1)
        monkeypatch.setattr(autoencoder_module, "TILE_PX", 32)
        found = draw(engine, request_for())
        assert vae.use_tiling
        assert [note.code for note in engine.memory_notes] == ["memory_tiled"]  # type: ignore[attr-defined]
        assert not torch.equal(found, expected)
        assert (found - expected).abs().mean() < 0.1
        draw(engine, request_for(tiling=True))
        assert not vae.use_tiling

    def test_scarce_memory_is_told(self, tiny: Tiny, request_for: RequestMaker) -> None:
        engine = engine_with(tiny("sd1"), free=0.01)
        draw(engine, request_for())
        assert engine.memory_plan is not None
        assert engine.memory_plan.mode == "streamed"
        assert [note.code for note in engine.memory_notes] == ["memory_scarce"]  # type: ignore[attr-defined]

    def test_larger_images_are_planned_again(self, tiny: Tiny, request_for: RequestMaker) -> None:
        engine = engine_with(tiny("sd1"), free=(RESERVED_BYTES + 1_000_000) / GB)
        draw(engine, request_for(steps=1))
        assert engine.memory_plan is not None
        small = engine.memory_plan
        draw(engine, request_for(width_px=96, height_px=96, steps=1))
        assert engine.memory_plan.peak > small.peak
        assert not engine.memory_plan.fits
