from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident
from typing import Any

import diffusers
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deforum_helpers.engines.diffusion.cpu_layers import doubling_kernel, start_beside, use_lean_layers


def channels_last(*shape: int) -> torch.Tensor:
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return noise.contiguous(memory_format=torch.channels_last)


def unet(**changes: Any) -> nn.Module:
    torch.manual_seed(0)
    options: dict[str, Any] = {
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 8,
        "norm_num_groups": 8,
        "attention_head_dim": 2,
    }
    return diffusers.UNet2DConditionModel(**{**options, **changes}).eval().requires_grad_(False)


def vae() -> nn.Module:
    torch.manual_seed(0)
    blocks = {"block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8}
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return diffusers.AutoencoderKL(**blocks, **kinds).eval().requires_grad_(False)


def predicted(network: Any) -> torch.Tensor:
    text = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(2))
    found: torch.Tensor = network(channels_last(2, 4, 12, 20), 300, text, return_dict=False)[0]
    return found


def there_and_back(network: Any) -> torch.Tensor:
    latent = network.encode(channels_last(1, 3, 24, 40)).latent_dist.mode()
    found: torch.Tensor = network.decode(latent.float()).sample
    return found.float()


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], torch.Tensor], int]] = {
    "unet": (unet, predicted, 8),
    "vae": (vae, there_and_back, 3),
    # What these layers do not know stays as diffusers computes it.
    "unet of linear projections": (lambda: unet(use_linear_projection=True), predicted, 7),
    "unet of scaled times": (lambda: unet(resnet_time_scale_shift="scale_shift"), predicted, 7),
    "unet of halved outputs": (lambda: unet(mid_block_scale_factor=2.0), predicted, 8),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("dtype", "share"), [(torch.float32, 1e-4), (torch.bfloat16, 0.05)])
def test_networks_compute_the_same(name: str, dtype: torch.dtype, share: float) -> None:
    make, run, lean_kinds = NETWORKS[name]
    network = make()
    with torch.no_grad():
        expected = run(network)
        use_lean_layers(network, dtype)
        found = run(network)
        assert torch.equal(run(network), found)
    kinds = {type(layer) for layer in network.modules() if "cpu_layers" in type(layer).__module__}
    assert len(kinds) == lean_kinds
    assert float((found - expected).abs().max()) <= share * float(expected.abs().max())


def threads_of_a_new_thread() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
class TestSamplesAtTheSameTime:
    def inputs(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        text = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(2))
        return channels_last(3, 4, 12, 20), torch.tensor([300.0, 20.0, 800.0]), text

    def test_each_sample_has_its_own_time_and_text(self) -> None:
        network, inputs, seen = unet(), self.inputs(), set()
        use_lean_layers(network, torch.float32)
        network.conv_in.register_forward_hook(lambda *_: seen.add((get_ident(), torch.get_num_threads())))
        with torch.inference_mode():
            together = network(*inputs, return_dict=False)[0]
            assert len(seen) == 2
            assert {threads for _, threads in seen} == {1}
            alone = [
                network(*(rows[i : i + 1] for rows in inputs), return_dict=False)[0]
                for i in range(len(together))
            ]
        torch.testing.assert_close(together, torch.cat(alone))
        assert threads_of_a_new_thread() == torch.get_num_threads() == 2

    def test_an_error_in_one_sample_is_raised(self) -> None:
        network = unet()
        use_lean_layers(network, torch.float32)

        def fail(_layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            if len(inputs[0]) == 1:
                raise ValueError("one sample")

        network.conv_in.register_forward_pre_hook(fail)
        with torch.inference_mode(), pytest.raises(ValueError, match="one sample"):
            network(*self.inputs(), return_dict=False)


class TestKeptResults:
    """What a layer keeps of a text and of a time is that of the weights and inputs of the moment."""

    def called(self, network: Any, time: float, text: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = network(channels_last(2, 4, 12, 20), time, text, return_dict=False)[0]
        return found

    @pytest.mark.parametrize("threads", [1, 2])
    def test_texts_and_times_come_back(self, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        plain, lean = unet(), unet()
        use_lean_layers(lean, torch.float32)
        random = torch.Generator().manual_seed(3)
        texts = [torch.randn(2, 5, 8, generator=random) for _ in range(6)]
        for time, which in [(300, 0), (20, 1), (300, 1), (300, 0), *((20 * i, i % 6) for i in range(80))]:
            expected = self.called(plain, time, texts[which])
            torch.testing.assert_close(self.called(lean, time, texts[which]), expected, atol=1e-5, rtol=1e-4)

    def test_a_text_that_is_changed_in_place_is_another(self) -> None:
        plain, lean = unet(), unet()
        use_lean_layers(lean, torch.float32)
        text = torch.zeros(2, 5, 8)
        for _ in range(2):
            text += 1
            expected = self.called(plain, 300, text)
            torch.testing.assert_close(self.called(lean, 300, text), expected, atol=1e-5, rtol=1e-4)

    def test_a_copy_of_a_network_keeps_nothing_of_other_tensors(self) -> None:
        first = unet()
        use_lean_layers(first, torch.float32)
        text = torch.ones(2, 5, 8)
        self.called(first, 300, text)
        second = copy.deepcopy(first)
        for _ in range(20):  # the copy's tensors have ids of their own, which new tensors may be given
            text = text + 1
            expected = self.called(first, 300, text)
            assert torch.equal(self.called(second, 300, text), expected)

    @pytest.mark.parametrize(
        "name", ["to_q", "to_k", "to_v", "to_out.0", "time_emb_proj", "linear_1", "proj", "conv_shortcut"]
    )
    def test_layers_of_a_lora_count(self, name: str) -> None:
        """A LoRA of changing weight, as peft places it around the layer of that name."""

        class Around(nn.Module):
            def __init__(self, layer: nn.Module) -> None:
                super().__init__()
                self.layer, self.weight_of_lora = layer, 1.0

            def __getattr__(self, attribute: str) -> Any:
                try:
                    return super().__getattr__(attribute)
                except AttributeError:
                    return getattr(super().__getattr__("layer"), attribute)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                found: torch.Tensor = self.layer(x) * self.weight_of_lora
                return found

        plain, lean, text = unet(), unet(), torch.ones(2, 5, 8)
        use_lean_layers(lean, torch.float32)
        arounds: list[Around] = []
        self.called(lean, 300, text)
        for network in (plain, lean):
            for path, module in list(network.named_modules()):
                if path.endswith("." + name):
                    parent, _, child = path.rpartition(".")
                    arounds.append(Around(module))
                    setattr(network.get_submodule(parent), child, arounds[-1])
        assert arounds
        for weight in (1.0, 1.3, 0.6):
            for one in arounds:
                one.weight_of_lora = weight
            expected = self.called(plain, 300, text)
            torch.testing.assert_close(self.called(lean, 300, text), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.usefixtures("two_threads")
def test_work_beside_has_threads_of_its_own() -> None:
    with torch.no_grad():
        found = start_beside(lambda: (get_ident(), torch.get_num_threads(), torch.is_grad_enabled()))
    ident, threads, gradients = found.result()
    assert (ident != get_ident(), threads, gradients) == (True, 1, False)
    assert torch.get_num_threads() == 2


def test_kernel_that_doubles() -> None:
    one_row = torch.zeros(1, 1, 3, 3)
    one_row[..., 1, :] = torch.tensor([1.0, 2.0, 3.0])
    kernel = doubling_kernel(one_row)
    assert kernel[0, 0].tolist() == [[0] * 4, [3, 5, 3, 1], [3, 5, 3, 1], [0] * 4]


def test_upsampling_in_one_step() -> None:
    weight, image = channels_last(3, 2, 3, 3), channels_last(1, 2, 5, 4)
    expected = F.conv2d(F.interpolate(image, scale_factor=2, mode="nearest"), weight, padding=1)
    found = F.conv_transpose2d(image, doubling_kernel(weight), stride=2, padding=1)
    torch.testing.assert_close(found, expected)
