"""Layers of Stable Diffusion's U-Nets and VAEs in the forms that a CPU computes fastest.

diffusers writes them for GPUs. On a CPU, a pass over memory costs as much as a small convolution. These layers work in
place, keep one memory layout, and convolve upsampled images without repeating their pixels. The samples of a batch are
evaluated at the same time, since threads that share one small layer mostly wait for each other. Where the CPU
multiplies bfloat16 in hardware, most products are in bfloat16 and the activations between them in float32, because
products of the attention and sums in bfloat16 would change the image. The decoder of a VAE is in bfloat16 throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from threading import Barrier
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from diffusers.models.activations import GEGLU
from diffusers.models.attention import BasicTransformerBlock, FeedForward
from diffusers.models.attention_processor import AttnProcessor2_0
from diffusers.models.autoencoders.vae import Decoder
from diffusers.models.embeddings import TimestepEmbedding
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.upsampling import Upsample2D
from torch import nn

T = TypeVar("T")

# Results are kept for the steps of a frame, and for both prompts and those that they change to.
STEPS = 64
TEXTS = 4


class Kept:
    """Results of a function of one tensor, for the tensors that it was called with last; nobody changes those.

    Many layers are given the same few tensors in each frame: the embeddings of a step's time and of a prompt.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._results: dict[int, tuple[torch.Tensor, Any]] = {}

    def of(self, tensor: torch.Tensor, compute: Callable[[torch.Tensor], Any]) -> Any:
        """Return the result of `compute`, which is called for a new object only."""
        found = self._results.get(id(tensor))
        if found is None or found[0] is not tensor:
            found = (tensor, compute(tensor))
            if len(self._results) >= self._most:
                self._results = {}
            self._results[id(tensor)] = found
        return found[1]


class LeanResnetBlock(ResnetBlock2D):
    """A residual block, (B, C, h, w) -> (B, C', h, w); its convolutions may be in another dtype than its inputs."""

    times: Kept

    def forward(
        self, input_tensor: torch.Tensor, temb: torch.Tensor | None = None, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        dtype, products = input_tensor.dtype, self.conv1.weight.dtype
        hidden = F.silu(normed(self.norm1, input_tensor), inplace=True).to(products)
        hidden = convolved(self.conv1, hidden).to(dtype)
        if temb is not None:
            is_own = type(self.time_emb_proj) is nn.Linear  # and no LoRA's
            hidden.add_(self.times.of(temb, self._shift) if is_own else self._shift(temb))
        hidden = F.silu(normed(self.norm2, hidden), inplace=True).to(products)
        hidden = convolved(self.conv2, hidden).to(dtype)
        shortcut = self.conv_shortcut
        return hidden.add_(input_tensor if shortcut is None else pointwise(shortcut, input_tensor))

    def _shift(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return what is added to all pixels at a time of sampling, (B, C', 1, 1)."""
        shift: torch.Tensor = self.time_emb_proj(F.silu(embedding))[:, :, None, None]
        return shift

    @staticmethod
    def replaces(block: Any) -> bool:
        """Return whether this class computes the same as `block`."""
        if block.upsample is not None or block.downsample is not None or block.skip_time_act:
            return False
        common = isinstance(block.nonlinearity, nn.SiLU) and block.output_scale_factor == 1
        return common and block.time_embedding_norm != "scale_shift"

    def prepare(self, dtype: torch.dtype) -> None:
        """Compute the convolutions in `dtype`."""
        self.times = Kept(STEPS)
        for layer in (self.conv1, self.conv2):
            layer.to(dtype)


def normed(norm: nn.GroupNorm, pixels: torch.Tensor) -> torch.Tensor:
    """Return normalized groups of channels; the call of a module takes a fifth of the time of the smallest ones."""
    return torch.group_norm(pixels, norm.num_groups, norm.weight, norm.bias, norm.eps)


def convolved(conv: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor
    if type(conv) is nn.Conv2d:
        found = conv._conv_forward(pixels, conv.weight, conv.bias)
    else:
        found = conv(pixels)  # a LoRA's layer
    return found


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
        kernel = kernel.contiguous(memory_format=torch.channels_last)
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
        gated = self.net[0]
        if type(gated) is not GEGLU or type(gated.proj) is not nn.Linear:
            return super().forward(hidden).to(hidden_states.dtype)
        # The two halves of the projection, each in memory of its own.
        (weight, gate_weight), (bias, gate_bias) = gated.proj.weight.chunk(2), gated.proj.bias.chunk(2)
        gate = F.gelu(F.linear(hidden, gate_weight, gate_bias))
        return self.net[-1](F.linear(hidden, weight, bias).mul_(gate)).to(hidden_states.dtype)

    @staticmethod
    def replaces(layers: Any) -> bool:
        """Return whether this class computes the same as `layers`."""
        return isinstance(layers.net[-1], nn.Linear)

    def prepare(self, dtype: torch.dtype) -> None:
        """Compute the layers in `dtype`."""
        self.net.to(dtype)


class LeanTransformerBlock(BasicTransformerBlock):
    """Attention among cells and to a text, then feed-forward layers, (B, N, C) -> the same.

    Keys and values of a text are computed once for all steps.
    """

    own: torch.Tensor
    texts: Kept

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        encoder_hidden_states: torch.Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        options = (attention_mask, *args, *kwargs.values())
        own, other = self.attn1, self.attn2
        if encoder_hidden_states is None or any(one is not None for one in options) or not _plain(own, other):
            return super().forward(hidden_states, attention_mask, encoder_hidden_states, *args, **kwargs)
        heads = own.heads
        queries, keys, values = F.linear(layer_normed(self.norm1, hidden_states), self.own).chunk(3, -1)
        found = _attended(heads, queries, _heads(heads, keys), _heads(heads, values))
        hidden_states = own.to_out[0](found).add_(hidden_states)
        queries = F.linear(layer_normed(self.norm2, hidden_states), other.to_q.weight)
        found = _attended(heads, queries, *self.texts.of(encoder_hidden_states, self._keys_and_values))
        hidden_states = other.to_out[0](found).add_(hidden_states)
        return self.ff(layer_normed(self.norm3, hidden_states)).add_(hidden_states)

    def _keys_and_values(self, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return those of a text, each (B, heads, T, C / heads)."""
        other = self.attn2
        keys, values = (F.linear(text, layer.weight) for layer in (other.to_k, other.to_v))
        return _heads(other.heads, keys), _heads(other.heads, values)

    @staticmethod
    def replaces(block: Any) -> bool:
        """Return whether this class computes the same as `block`."""
        if block.norm_type != "layer_norm" or block.pos_embed is not None or block.attn2 is None:
            return False
        own, other = block.attn1, block.attn2
        if block.only_cross_attention or own.is_cross_attention or not other.is_cross_attention:
            return False
        return all(
            type(one.processor) is AttnProcessor2_0
            and one.to_q.bias is None
            and one.rescale_output_factor == 1
            and not one.residual_connection
            and all(getattr(one, name) is None for name in ("group_norm", "spatial_norm", "norm_q", "norm_k"))
            and not one.norm_cross
            for one in (own, other)
        )

    def prepare(self, dtype: torch.dtype) -> None:
        """Leave the attention in float32."""
        weights = [getattr(self.attn1, name).weight for name in _PROJECTIONS]
        self.register_buffer("own", torch.cat(weights), persistent=False)
        self.texts = Kept(TEXTS)


_PROJECTIONS = ("to_q", "to_k", "to_v")


def _plain(*attentions: Any) -> bool:
    """Return whether all layers of attentions are the model's own; a LoRA puts others around them."""
    return all(
        type(layer) is nn.Linear
        for one in attentions
        for layer in (one.to_q, one.to_k, one.to_v, one.to_out[0])
    )


def layer_normed(norm: nn.LayerNorm, cells: torch.Tensor) -> torch.Tensor:
    return torch.layer_norm(cells, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _heads(count: int, cells: torch.Tensor) -> torch.Tensor:
    """Return the values of each head, (B, N, C) -> (B, heads, N, C / heads)."""
    batch, length, channels = cells.shape
    return cells.view(batch, length, count, channels // count).transpose(1, 2)


def _attended(heads: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return attention's sums of values, (B, N, C), for queries of this shape."""
    found = F.scaled_dot_product_attention(_heads(heads, queries), keys, values)
    return found.transpose(1, 2).reshape(queries.shape)


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
        cells = normed(self.norm, hidden_states).permute(0, 2, 3, 1).reshape(batch, height * width, channels)
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

    texts: tuple[torch.Tensor, ...]
    times: dict[tuple[Any, ...], torch.Tensor]

    def forward(
        self, sample: torch.Tensor, timestep: Any, encoder_hidden_states: torch.Tensor, **kwargs: Any
    ) -> Any:
        others = [value for name, value in kwargs.items() if name != "return_dict"]
        if kwargs.get("return_dict", True) or any(value is not None for value in others):
            return super().forward(sample, timestep, encoder_hidden_states, **kwargs)
        times = torch.as_tensor(timestep, device=sample.device).expand(len(sample))
        is_inference = not torch.is_grad_enabled()

        def predicted(sample: torch.Tensor, times: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode(is_inference):
                text = self._same(text)
                found: torch.Tensor = super(LeanUNet, self).forward(sample, times, text, return_dict=False)[0]
            return found

        threads = torch.get_num_threads()
        if threads == 1:
            return (predicted(sample, times, encoder_hidden_states),)
        workers = min(len(sample), threads)
        is_small = sample.shape[2] * sample.shape[3] <= _SMALL_CELLS
        pool = _threads_with(threads // max(workers, 2 if is_small else 1), workers, "samples")
        parts = (rows.tensor_split(workers) for rows in (sample, times, encoder_hidden_states))
        evaluated = [pool.submit(predicted, *part) for part in zip(*parts, strict=True)]
        wait(evaluated)
        return (torch.cat([one.result() for one in evaluated]),)

    def _same(self, text: torch.Tensor) -> torch.Tensor:
        """Return the object that equals a text, for which layers have kept what they computed."""
        for known in self.texts:
            if torch.equal(known, text):
                return known
        own = text.clone()
        self.texts = (own, *self.texts)[:TEXTS]
        return own

    def get_time_embed(self, sample: torch.Tensor, timestep: Any) -> torch.Tensor | None:
        """Return the embedding of times, (B, C); equal times have the same object."""
        key = (*torch.as_tensor(timestep).flatten().tolist(), len(sample), sample.dtype)
        found = self.times.get(key)
        if found is None:
            found = super().get_time_embed(sample, timestep)
            if len(self.times) >= STEPS:
                self.times = {}
            self.times[key] = found
        return found

    @staticmethod
    def replaces(network: Any) -> bool:
        """Return whether this class computes the same as `network`."""
        return True

    def prepare(self, dtype: torch.dtype) -> None:
        """Compute the first convolution in `dtype`; in the last one that would change the image."""
        self.texts, self.times = (), {}
        if type(self.conv_in) is nn.Conv2d:
            LeanConvolution.replace(self.conv_in, dtype)


class LeanConvolution(nn.Conv2d):
    """A convolution with products in a dtype of its own, whose weights and outputs are in that of its inputs.

    torch has no fast float32 form for small inputs of few channels.
    """

    products: torch.dtype

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        bias = None if self.bias is None else self.bias.to(self.products)
        found = self._conv_forward(input.to(self.products), self.weight.to(self.products), bias)
        return found.to(input.dtype)

    @classmethod
    def replace(cls, conv: Any, products: torch.dtype) -> None:
        """Make this class of a convolution."""
        conv.__class__, conv.products = cls, products


class LeanTimeEmbedding(TimestepEmbedding):
    """Layers after the embedding of a time, (B, C) -> (B, C'); computed once for each time."""

    times: Kept

    def forward(self, sample: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        is_own = type(self.linear_1) is type(self.linear_2) is nn.Linear  # and no LoRA's
        if condition is not None or not is_own:
            return super().forward(sample, condition)
        found: torch.Tensor = self.times.of(sample, super().forward)
        return found

    @staticmethod
    def replaces(layers: Any) -> bool:
        """Return whether this class computes the same as `layers`."""
        return True

    def prepare(self, dtype: torch.dtype) -> None:
        """Leave the layers in float32."""
        self.times = Kept(STEPS)


def start_beside(work: Callable[[], T]) -> Future[T]:
    """Start `work` on half of torch's threads, without gradients, beside what the caller computes meanwhile.

    A network whose layers are small leaves half of the cores idle.
    """
    without_gradients: Callable[[], T] = torch.no_grad()(work)
    return _threads_with(max(torch.get_num_threads() // 2, 1), 1, "beside").submit(without_gradients)


@cache
def _threads_with(share: int, workers: int, name: str) -> ThreadPoolExecutor:
    """Return `workers` threads, each of which computes a layer on `share` threads; they are kept for all calls.

    A thread of torch begins with the number that any thread has set last, so all are started before the caller's
    number is set again: threads that others start are to begin with that.
    """
    threads, begun = torch.get_num_threads(), Barrier(workers + 1)

    def begin() -> None:
        torch.set_num_threads(share)
        torch.get_num_threads()  # by which torch takes the number as this thread's own
        begun.wait()

    pool = ThreadPoolExecutor(workers, name, begin)
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
    BasicTransformerBlock: LeanTransformerBlock,
    Transformer2DModel: LeanTransformer,
    UNet2DConditionModel: LeanUNet,
    TimestepEmbedding: LeanTimeEmbedding,
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
