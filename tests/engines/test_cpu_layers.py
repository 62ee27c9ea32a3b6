from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deforum_helpers.engines.diffusion.cpu_layers import doubling_kernel, use_lean_layers


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
    "unet": (unet, predicted, 4),
    "vae": (vae, there_and_back, 3),
    # What these layers do not know stays as diffusers computes it.
    "unet of linear projections": (lambda: unet(use_linear_projection=True), predicted, 3),
    "unet of scaled times": (lambda: unet(resnet_time_scale_shift="scale_shift"), predicted, 3),
    "unet of halved outputs": (lambda: unet(mid_block_scale_factor=2.0), predicted, 4),
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
