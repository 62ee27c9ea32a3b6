"""Layers of Stable Diffusion's U-Nets and VAEs in the forms that a CPU computes fastest.

diffusers writes them for GPUs. On a CPU, a pass over memory costs as much as a small convolution. These layers work in
place, keep one memory layout, and convolve upsampled images without repeating their pixels. The samples of a batch are
evaluated at the same time, since threads that share one small layer mostly wait for each other. Where the CPU
multiplies bfloat16 in hardware, most products are in bfloat16 and the activations between them in float32, because
products of the attention and sums in bfloat16 would change the image. The decoder of a VAE is in bfloat16 throughout.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import Barrier
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention import FeedForward
from diffusers.models.autoencoders.vae import Decoder
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.upsampling import Upsample2D
from torch import nn


class LeanResnetBlock(ResnetBlock2D):
    """A residual block, (B, C, h, w) -> (B, C', h, w); its convolutions may be in another dtype than its inputs."""

    def forward(
        self, input_tensor: torch.Tensor, temb: torch.Tensor | None = None, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        hidden = self.norm1(input_tensor).to(self.conv1.weight.dtype)
        hidden = self.conv1(F.silu(hidden, inplace=True))
        if temb is not None:
            hidden = hidden.add_(self.time_emb_proj(F.silu(temb)).to(hidden.dtype)[:, :, None, None])
        hidden = self.conv2(F.silu(self.norm2(hidden), inplace=True)).to(input_tensor.dtype)
        return hidden.add_(
            input_tensor if self.conv_shortcut is None else pointwise(self.conv_shortcut, input_tensor)
        )

    @staticmethod
    def replaces(block: Any) -> bool:
        """Return whether this class computes the same as `block`."""
        if block.upsample is not None or block.downsample is not None or block.skip_time_act:
            return False
        common = isinstance(block.nonlinearity, nn.SiLU) and block.output_scale_factor == 1
        return common and block.time_embedding_norm != "scale_shift"

    def prepare(self, dtype: torch.dtype) -> None:
        """Compute the convolutions in `dtype`."""
        for layer in (self.conv1, self.conv2):
            layer.to(dtype)


def pointwise(conv: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Return a convolution of single pixels, (B, C, h, w) -> (B, C', h, w), as the product that it is."""
    if (
        type(conv) is not nn.Conv2d or conv.kernel_size != (1, 1) or conv.padding != (0, 0)
    ):  # or a LoRA's layer
        found: torch.Tensor = conv(pixels)
        return found
    return F.linear(pixels.permute(0, 2, 3, 1), conv.weight.flatten(1), conv.bias).permute(0, 3, 1, 2)


class LeanUpsample(Upsample2D):
    """Repeats each pixel in both directions and convolves, in one operation: (B, C, h, w) -> (B, C', 2h, 2w)."""

    kernel: torch.Tensor

    def forward(
        self, hidden_states: torch.Tensor, output_size: Any = None, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        conv = self.conv
        # Tiling changes the padding, and a LoRA puts its own layer around the convolution.
        if output_size is not None or type(conv) is not nn.Conv2d or conv.padding_mode != "zeros":
            return super().forward(hidden_states, output_size)
        dtype = self.kernel.dtype
        bias = None if conv.bias is None else conv.bias.to(dtype)
        output = F.conv_transpose2d(hidden_states.to(dtype), self.kernel, bias, stride=2, padding=1)
        return output.to(hidden_states.dtype)

    @staticmethod
    def replaces(layer: Any) -> bool:
        """Return whether this class computes the same as `layer`."""
        conv = getattr(layer, "conv", None)
        if not isinstance(conv, nn.Conv2d) or not layer.interpolate or layer.norm is not None:
            return False
        return (conv.kernel_size, conv.padding, conv.stride, conv.groups) == ((3, 3), (1, 1), (1, 1), 1)

    def prepare(self, dtype: torch.dtype) -> None:
        """Convolve in `dtype`."""
        kernel = doubling_kernel(self.conv.weight.float()).to(dtype)
        self.register_buffer("kernel", kernel, persistent=False)


def doubling_kernel(weight: torch.Tensor) -> torch.Tensor:
    """Return the transposed convolution that equals repeating each pixel and then convolving.

    Along one side, an even place sees the pixel before it once and its own pixel twice, so their weights are w0 and
    w1 + w2; an odd place sees its own with w0 + w1 and the next with w2. With stride 2 and padding 1 that is the kernel
    (w2, w1 + w2, w0 + w1, w0): (1, 2, 3) becomes (3, 5, 3, 1). Per pixel, 4 products replace 9.

    Args:
        weight: (out, in, 3, 3) of a convolution with padding 1.

    Returns:
        (in, out, 4, 4).
    """
    for side in (2, 3):
        w0, w1, w2 = weight.unbind(side)
        weight = torch.stack((w2, w1 + w2, w0 + w1, w0), side)
    return weight.transpose(0, 1).contiguous()


class LeanFeedForward(FeedForward):
    """The feed-forward layers of a transformer block; they may be in another dtype than their inputs."""

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        hidden = hidden_states.to(self.net[-1].weight.dtype)
        return super().forward(hidden).to(hidden_states.dtype)

    @staticmethod
    def replaces(layers: Any) -> bool:
        """Return whether this class computes the same as `layers`."""
        return isinstance(layers.net[-1], nn.Linear)

    def prepare(self, dtype: torch.dtype) -> None:
        """Compute the layers in `dtype`."""
        self.net.to(dtype)


class LeanTransformer(Transformer2DModel):
    """Attention over the cells of a latent, (B, C, h, w) -> the same; copies nothing where that is channels_last."""

    def forward(
        self, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor | None = None, **kwargs: Any
    ) -> Any:
        # A LoRA puts its own layers around the projections; masks and other options are left to diffusers.
        lora = any(type(layer) is not nn.Conv2d for layer in (self.proj_in, self.proj_out))
        if lora or kwargs.pop("return_dict", True) or any(option is not None for option in kwargs.values()):
            return super().forward(hidden_states, encoder_hidden_states, **kwargs)
        batch, channels, height, width = hidden_states.shape
        cells = self.norm(hidden_states).permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        cells = F.linear(cells, self.proj_in.weight.flatten(1), self.proj_in.bias)
        for block in self.transformer_blocks:
            cells = block(cells, encoder_hidden_states=encoder_hidden_states)
        cells = F.linear(cells, self.proj_out.weight.flatten(1), self.proj_out.bias)
        return (cells.view(batch, height, width, channels).permute(0, 3, 1, 2).add_(hidden_states),)

    @staticmethod
    def replaces(model: Any) -> bool:
        """Return whether this class computes the same as `model`."""
        return bool(model.is_input_continuous) and not model.use_linear_projection

    def prepare(self, dtype: torch.dtype) -> None:
        """Leave the attention in float32."""


# Up to this size of a latent, to wake all threads for each layer of one sample takes longer than what they save.
_SMALL_CELLS = 1024


class LeanUNet(UNet2DConditionModel):
    """A U-Net, (B, C, h, w) -> the same, that divides a batch among the threads instead of each layer's work."""

    def forward(
        self, sample: torch.Tensor, timestep: Any, encoder_hidden_states: torch.Tensor, **kwargs: Any
    ) -> Any:
        threads = torch.get_num_threads()
        others = [value for name, value in kwargs.items() if name != "return_dict"]
        if kwargs.get("return_dict", True) or any(value is not None for value in others) or threads == 1:
            return super().forward(sample, timestep, encoder_hidden_states, **kwargs)
        workers = min(len(sample), threads)
        is_small = sample.shape[2] * sample.shape[3] <= _SMALL_CELLS
        share = threads // max(workers, 2 if is_small else 1)
        times = torch.as_tensor(timestep, device=sample.device).expand(len(sample))
        parts = zip(
            *(rows.tensor_split(workers) for rows in (sample, times, encoder_hidden_states)), strict=True
        )
        is_inference = torch.is_inference_mode_enabled()

        def predicted(part: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
            with torch.inference_mode(is_inference):
                found: torch.Tensor = super(LeanUNet, self).forward(*part, return_dict=False)[0]
            return found

        pool = _threads_with(share, workers)
        evaluated = [pool.submit(predicted, part) for part in parts]
        wait(evaluated)
        return (torch.cat([one.result() for one in evaluated]),)

    @staticmethod
    def replaces(network: Any) -> bool:
        """Return whether this class computes the same as `network`."""
        return True

    def prepare(self, dtype: torch.dtype) -> None:
        """Leave the layers that are not listed here as they are."""


@cache
def _threads_with(share: int, workers: int) -> ThreadPoolExecutor:
    """Return `workers` threads, each of which computes a layer on `share` threads; they are kept for all evaluations.

    A thread of torch begins with the number that any thread has set last, so all are started before the caller's
    number is set again: threads that others start are to begin with that.
    """
    threads, begun = torch.get_num_threads(), Barrier(workers + 1)

    def begin() -> None:
        torch.set_num_threads(share)
        torch.get_num_threads()  # by which torch takes the number as this thread's own
        begun.wait()

    pool = ThreadPoolExecutor(workers, "samples", begin)
    for _ in range(workers):
        pool.submit(int)
    begun.wait()
    torch.set_num_threads(threads)
    return pool


class LeanDecoder(Decoder):
    """The decoder of a VAE, in one dtype; its errors stay as small as they are, since no sampling follows."""

    def forward(self, sample: torch.Tensor, latent_embeds: torch.Tensor | None = None) -> torch.Tensor:
        return super().forward(sample.to(self.conv_out.weight.dtype), latent_embeds)

    @staticmethod
    def replaces(decoder: Any) -> bool:
        """Return whether this class computes the same as `decoder`."""
        return True

    def prepare(self, dtype: torch.dtype) -> None:
        """Decode in `dtype`."""
        self.to(dtype)
        self.conv_act.inplace = True


_LEAN: dict[type, Any] = {
    ResnetBlock2D: LeanResnetBlock,
    Upsample2D: LeanUpsample,
    FeedForward: LeanFeedForward,
    Transformer2DModel: LeanTransformer,
    UNet2DConditionModel: LeanUNet,
    Decoder: LeanDecoder,
}


def use_lean_layers(network: Any, dtype: torch.dtype) -> None:
    """Replace layers of a U-Net or VAE in float32 for good.

    Args:
        network: UNet2DConditionModel or AutoencoderKL of diffusers; other layers of it are left alone.
        dtype: of products.
    """
    # Kernels are made of a layer's weights before a layer around it rounds them.
    for layer in reversed(list(network.modules())):
        lean = _LEAN.get(type(layer))
        if lean is not None and lean.replaces(layer):
            layer.__class__ = lean
            layer.prepare(dtype)
