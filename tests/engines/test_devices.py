"""The device that an engine runs on: which one is chosen, in which precision, and what is never asked of it.

The path of an image runs on the device `meta`, whose tensors have no content: mixing them with tensors of the CPU is an
error, as it is on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.utils import torch_utils
from torch.utils._pytree import tree_leaves

from deforum_helpers.core.library_environment import MPS_FALLBACK, let_cpu_replace_missing_operators
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.diffusion import loading
from deforum_helpers.engines.diffusion.engine import DiffusionEngine
from deforum_helpers.engines.diffusion.residency import reader_of
from deforum_helpers.models import devices
from deforum_helpers.models.devices import best_device, dtype_of, is_out_of_memory, network_dtype
from deforum_helpers.models.weights.checkpoints import ModelParts
from tests.engines import tiny_models
from tests.engines.conftest import RequestMaker
from tests.engines.maker_layouts import in_eight_bits, saved, transformer_of
from tests.engines.tiny_models import MAKERS, VARIANTS
from tests.without_float64 import WithoutFloat64

META = torch.device("meta")
HALF = torch.float16, torch.bfloat16


@pytest.mark.parametrize(
    ("there", "best"),
    [((), "cpu"), (("mps",), "mps"), (("mps", "xpu"), "xpu"), (("mps", "xpu", "cuda"), "cuda")],
)
def test_one_place_chooses_the_device(
    tmp_path: Path,
    there: tuple[str, ...],
    best: str,
    monkeypatch: pytest.MonkeyPatch,
    tiny: Callable[[str], Path],
) -> None:
    found = {kind: (lambda kind=kind: kind in there) for kind in ("cuda", "xpu", "mps")}
    monkeypatch.setattr(devices, "_ACCELERATORS", found)
    assert best_device().type == best
    assert make_engine("diffusers", checkpoint=str(tiny("sd1"))).device.type == best
    assert make_engine("diffusers", checkpoint=str(tiny("sd1")), device="cpu").device.type == "cpu"


@pytest.mark.parametrize(
    ("device", "bfloat16", "expected"),
    [
        ("cpu", True, (torch.float32, torch.float32)),
        ("cuda", True, HALF),
        ("cuda", False, (torch.float16, torch.float16)),
        ("mps", True, HALF),
        ("mps", False, (torch.float16, torch.float16)),
        ("xpu", True, HALF),
    ],
)
def test_precision_follows_the_hardware(
    device: str, bfloat16: bool, expected: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6) if bfloat16 else (7, 5))
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda *version: bfloat16)
    assert tuple(network_dtype(torch.device(device), made_for) for made_for in HALF) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", [tiny_models.unet, tiny_models.autoencoder])
def test_a_network_computes_in_the_dtype_of_its_weights(make: Callable[[], Any], dtype: torch.dtype) -> None:
    network = make().to(dtype)
    # Weights that stay exact, and stored ones that are no floats, say nothing of the others.
    network._keep_in_fp32_modules = ["conv_in", "encoder"]
    for weight in (*network.conv_in.parameters(),) if hasattr(network, "conv_in") else ():
        weight.data = weight.data.double()
    assert dtype_of(network) == network.dtype == dtype
    network.register_parameter("_early", torch.nn.Parameter(torch.zeros(1, dtype=torch.int8), False))
    assert dtype_of(network) == network.dtype == dtype


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_recognized(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize(
    ("platform", "given", "expected"), [("darwin", {}, "1"), ("darwin", {MPS_FALLBACK: "0"}, "0")]
)
def test_a_mac_runs_missing_operators_on_its_cpu(platform: str, given: dict[str, str], expected: str) -> None:
    let_cpu_replace_missing_operators(given, platform)
    assert given == {MPS_FALLBACK: expected}
    other: dict[str, str] = {}
    let_cpu_replace_missing_operators(other, "linux")
    assert other == {}


@pytest.fixture
def device_without_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict(torch_utils._DTYPE_UNSUPPORTED_DEVICES)
    monkeypatch.setattr(torch_utils, "_DTYPE_UNSUPPORTED_DEVICES", known)
    monkeypatch.setattr(loading, "has_float64", lambda device: False)


def stream_to_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let diffusers bring layers to `meta`, where they stay: it knows no such device, and no content comes back."""
    from diffusers.hooks import group_offloading

    def transfer(group: Any, tensor: Any, source: Any, stream: Any) -> None:
        moved = source.to(META)
        if isinstance(tensor, torch.nn.Parameter):
            moved = torch.nn.Parameter(moved, requires_grad=False)
        torch.utils.swap_tensors(tensor, moved)

    monkeypatch.setattr(group_offloading, "TorchDeviceBackend", lambda device: None)
    monkeypatch.setattr(group_offloading.ModuleGroup, "_transfer_tensor_to_device", transfer)
    monkeypatch.setattr(group_offloading.ModuleGroup, "offload_", lambda group: None)


@pytest.mark.usefixtures("device_without_float64")
@pytest.mark.parametrize(
    ("kind", "offload"),
    [("sd1", "model"), *((kind, "streamed") for kind in MAKERS if kind not in ("sd1", *VARIANTS))],
)
def test_images_are_generated_without_float64_and_stay_on_the_device(
    kind: str,
    offload: str,
    tiny: Callable[[str], Path],
    request_for: RequestMaker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if offload == "streamed":
        stream_to_meta(monkeypatch)
    engine = DiffusionEngine(str(tiny(kind)), device="meta", offload=offload, memory=lambda device: None)
    image, mask = torch.rand(3, 48, 32, device=META), torch.rand(48, 32, device=META)
    request = request_for(
        prompt="a (hill:1.2)",
        sampler="Euler a",
        steps=1,
        init_image=image,
        mask=mask,
        denoising_strength=0.6,
        noise_source="inverted",
        autoencoder_correction=True,
    )
    with WithoutFloat64(value=1.0):
        found = engine.generate(request, CancelToken())
    assert (found.device, found.dtype, found.shape) == (META, torch.float32, (3, 48, 32))


@pytest.mark.usefixtures("device_without_float64")
def test_weights_in_eight_bits_are_streamed_too(
    tiny: Callable[[str], Path], request_for: RequestMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = in_eight_bits(transformer_of(tiny("flux"), "flux"), "float8_e4m3fn", "scale_weight")
    parts = ModelParts(transformer=str(saved(tensors, tmp_path / "8bit.safetensors")))
    images = [
        DiffusionEngine(str(tiny("flux")), device="cpu", offload=mode, parts=parts).generate(
            request_for(steps=1), CancelToken()
        )
        for mode in ("none", "streamed")
    ]
    assert torch.equal(*images)
    stream_to_meta(monkeypatch)
    engine = DiffusionEngine(
        str(tiny("flux")), device="meta", offload="streamed", parts=parts, memory=lambda device: None
    )
    with WithoutFloat64(value=1.0):
        assert engine.generate(request_for(steps=1), CancelToken()).device == META


@pytest.mark.usefixtures("device_without_float64")
@pytest.mark.parametrize("kind", ["sdxl", "flux", "z-image"])
def test_the_tokens_of_a_streamed_text_encoder_are_made_on_its_device(
    tiny: Callable[[str], Path], request_for: RequestMaker, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Its weights are elsewhere, so that its own `device` would be a wrong place."""
    stream_to_meta(monkeypatch)
    engine = DiffusionEngine(str(tiny(kind)), device="meta", offload="streamed", memory=lambda device: None)
    model = engine._model(None, None)
    given: list[torch.Tensor] = []
    for text_encoder in model.modules_by_role()["text"]:
        reader_of(text_encoder).register_forward_pre_hook(
            lambda module, args, kwargs: given.extend(tree_leaves((args, kwargs))), with_kwargs=True
        )
    with WithoutFloat64(value=1.0):
        engine.generate(request_for(steps=1), CancelToken())
    assert {leaf.device for leaf in given if isinstance(leaf, torch.Tensor)} == {META}


def test_float64_would_be_seen() -> None:
    with WithoutFloat64():
        torch.ones(1, dtype=torch.float64)
        with pytest.raises(TypeError, match="float64"):
            torch.ones(1, device=META).double()
