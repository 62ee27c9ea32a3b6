"""Images to latents and back: sizes that the model can generate, and the scale of its latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from deforum_helpers.core.errors import NotFinite
from deforum_helpers.engines import messages
from deforum_helpers.engines.memory import TILE_PX, pixels_per_cell
from deforum_helpers.image.transfers import constant
from deforum_helpers.image.types import Image
from deforum_helpers.models.devices import dtype_of


@dataclass(frozen=True)
class Canvas:
    """The requested image as a part of the image that the model generates.

    Args:
        width_px, height_px: requested size.
        multiple_px: both sides of the generated image are multiples of this.
    """

    width_px: int
    height_px: int
    multiple_px: int

    @property
    def generated_px(self) -> tuple[int, int]:
        """(width, height) of the generated image."""
        return self._rounded(self.width_px), self._rounded(self.height_px)

    def _rounded(self, side: int) -> int:
        return -(-side // self.multiple_px) * self.multiple_px

    @property
    def _margins(self) -> tuple[int, int]:
        width, height = self.generated_px
        return (width - self.width_px) // 2, (height - self.height_px) // 2

    def padded(self, image: Image) -> torch.Tensor:
        """Return `image` (3, H, W) with its borders replicated, (1, 3, generated height, generated width)."""
        width, height = self.generated_px
        left, top = self._margins
        right, bottom = width - self.width_px - left, height - self.height_px - top
        batch = image.unsqueeze(0)
        if (left, right, top, bottom) == (0, 0, 0, 0):
            return batch
        return torch.nn.functional.pad(batch, (left, right, top, bottom), mode="replicate")

    def cropped(self, batch: torch.Tensor) -> Image:
        """Return the requested image, (3, H, W) with channels_last strides, cut out of a generated batch."""
        left, top = self._margins
        image = batch[0, :, top : top + self.height_px, left : left + self.width_px]
        return image.permute(1, 2, 0).contiguous().permute(2, 0, 1)


@dataclass(frozen=True)
class Autoencoder:
    """A diffusers autoencoder: AutoencoderKL, AutoencoderTiny or AutoencoderDC; `autoencoder_of` chooses the class."""

    vae: Any

    @property
    def factor(self) -> int:
        """Pixels per latent cell and side."""
        return pixels_per_cell(self.vae.config)

    @property
    def channels(self) -> int:
        return int(self.vae.config.latent_channels)

    @property
    def _scale_and_shift(self) -> tuple[float, float]:
        config = self.vae.config
        return float(config.scaling_factor), float(getattr(config, "shift_factor", None) or 0.0)

    def encode(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the mean latent (N, C, h, w) float32 of images (N, 3, H, W) 0..1, without sampling the posterior."""
        pixels = (batch * 2 - 1).to(dtype_of(self.vae)).contiguous(memory_format=torch.channels_last)
        return self._normed(self._encoded(pixels).float())

    def _encoded(self, pixels: torch.Tensor) -> torch.Tensor:
        encoded = self.vae.encode(pixels, return_dict=False)[0]
        return encoded if isinstance(encoded, torch.Tensor) else encoded.mode()

    def _decoded(self, latents: torch.Tensor) -> torch.Tensor:
        return self.vae.decode(latents, return_dict=False)[0]

    def _normed(self, latent: torch.Tensor) -> torch.Tensor:
        """Scale the autoencoder's latents to the deviation that the network was trained with."""
        scale, shift = self._scale_and_shift
        return (latent - shift) * scale

    def _unnormed(self, latents: torch.Tensor) -> torch.Tensor:
        """Undo `_normed`."""
        scale, shift = self._scale_and_shift
        return latents / scale + shift

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the images of latents (N, C, h, w), float32 (N, 3, H, W) 0..1.

        Raises:
            NotFinite: the image holds NaN or infinite values.
        """
        decoded = self._decoded_in(latents, dtype_of(self.vae))
        finite = bool(torch.isfinite(decoded).all())
        if not finite and dtype_of(self.vae) == torch.float16:
            # Some VAEs overflow now and then; float32 and back changes no weight.
            self.vae.float()
            try:
                decoded = self._decoded_in(latents, torch.float32)
            finally:
                self.vae.half()
            finite = bool(torch.isfinite(decoded).all())
        if not finite:
            raise NotFinite(messages.NOT_FINITE())
        return (decoded / 2 + 0.5).clamp(0, 1)

    def _decoded_in(self, latents: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        scaled = self._unnormed(latents).to(dtype).contiguous(memory_format=torch.channels_last)
        return self._decoded(scaled).float()


@dataclass(frozen=True)
class NormedAutoencoder(Autoencoder):
    """FLUX.2's autoencoder: each channel has a mean and a deviation for each of the four cells of a 2x2 patch."""

    def _normed(self, latent: torch.Tensor) -> torch.Tensor:
        mean, deviation = self._statistics(latent)
        return (latent - mean) / deviation

    def _unnormed(self, latents: torch.Tensor) -> torch.Tensor:
        mean, deviation = self._statistics(latents)
        return latents * deviation + mean

    def _statistics(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (mean, deviation), each (C, h, w) of `latents`, whose sides are even."""
        layer = self.vae.bn
        deviation = (layer.running_var.float() + self.vae.config.batch_norm_eps).sqrt()
        channels, height, width = latents.shape[1:]
        mean, deviation = (
            numbers.to(latents.device).view(channels, 2, 2).repeat(1, height // 2, width // 2)
            for numbers in (layer.running_mean.float(), deviation)
        )
        return mean, deviation


@dataclass(frozen=True)
class VideoAutoencoder(Autoencoder):
    """Qwen-Image's autoencoder: an image is a video of one frame; each channel has a mean and a deviation."""

    @property
    def channels(self) -> int:
        return int(self.vae.config.z_dim)

    def _encoded(self, pixels: torch.Tensor) -> torch.Tensor:
        return super()._encoded(pixels.unsqueeze(2)).squeeze(2)

    def _decoded(self, latents: torch.Tensor) -> torch.Tensor:
        return super()._decoded(latents.unsqueeze(2)).squeeze(2)

    def _normed(self, latent: torch.Tensor) -> torch.Tensor:
        mean, deviation = self._statistics(latent)
        return (latent - mean) / deviation

    def _unnormed(self, latents: torch.Tensor) -> torch.Tensor:
        mean, deviation = self._statistics(latents)
        return latents * deviation + mean

    def _statistics(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        config = self.vae.config
        mean, deviation = (
            constant(tuple(numbers), latents.device).view(1, -1, 1, 1)
            for numbers in (config.latents_mean, config.latents_std)
        )
        return mean, deviation


def set_tiles(vae: Any, tiled: bool) -> None:
    """Let a VAE work on tiles of at most `TILE_PX`, which overlap and blend, or on the whole image.

    VAEs that know no tiles are left alone.
    """
    if not hasattr(vae, "use_tiling"):
        return
    vae.use_tiling = tiled
    # VAEs of videos have tiles of their own size, which are smaller.
    if tiled and hasattr(vae, "tile_latent_min_size"):
        vae.tile_sample_min_size = TILE_PX
        vae.tile_latent_min_size = TILE_PX // autoencoder_of(vae).factor


def autoencoder_of(vae: Any) -> Autoencoder:
    """Return the autoencoder around a loaded VAE of any family."""
    return _AUTOENCODERS.get(type(vae).__name__, Autoencoder)(vae)


_AUTOENCODERS: Mapping[str, type[Autoencoder]] = {
    "AutoencoderKLFlux2": NormedAutoencoder,
    "AutoencoderKLQwenImage": VideoAutoencoder,
}


# Sampling changes any area by less than this, in part towards the grid of its latents, which slows the camera's motion
# and accumulates over frames. 1 = from black to white.
SMALL_CHANGE = 0.05
# The autoencoder's loss is restored in areas that change by less than this.
KEPT_CHANGE = 0.06
# Below 1, so that artefacts fade within some frames instead of accumulating.
KEPT_SHARE = 0.9
CHANGE_AREA_PX = 9


def without_autoencoder_loss(image: Image, before: Image, before_decoded: Image) -> Image:
    """Return `image` with the autoencoder's loss restored wherever sampling changed little.

    Every frame passes through the autoencoder and the network, so unchanged areas lose some detail and drift a little
    with each frame. Where sampling changed the content, its change is kept in full and no former detail is restored.

    Args:
        image: (3, H, W) decoded after sampling, 0..1.
        before: (3, H, W) the init image.
        before_decoded: (3, H, W) the init image after the autoencoder alone.
    """
    change = image - before_decoded
    padding = CHANGE_AREA_PX // 2
    size = change.abs().mean(0, keepdim=True)[None]
    size = torch.nn.functional.avg_pool2d(size, CHANGE_AREA_PX, 1, padding, count_include_pad=False)[0]
    taken = 1 - torch.exp(-((size / SMALL_CHANGE) ** 2))
    kept = KEPT_SHARE * torch.exp(-((size / KEPT_CHANGE) ** 2))
    return (before_decoded + taken * change + kept * (before - before_decoded)).clamp(0, 1)
