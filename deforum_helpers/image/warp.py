"""The camera move of a frame: the picture fetched anew from its predecessor, by exactly one resampling."""

from __future__ import annotations

import torch

from deforum_helpers.camera.projection import FARTHEST_PX, Lens, flat_maps, inverse, lens, sampling_maps
from deforum_helpers.camera.types import Matrix
from deforum_helpers.image.sampling import Padding, Sampling, sample, sample_cpu
from deforum_helpers.image.surface import Sight
from deforum_helpers.image.types import Depth, Image
from deforum_helpers.registry import choose

FLAT_PADDINGS: dict[str, Padding] = {"replicate": "border", "wrap": "wrap"}
PADDINGS: dict[str, Padding] = {"border": "border", "reflection": "reflection", "zeros": "zeros"}
SAMPLINGS: dict[str, Sampling] = {"bicubic": "bicubic", "bilinear": "bilinear", "nearest": "nearest"}


def warp_flat(image: Image, dst_from_src: Matrix, border: str, sampling_mode: str = "bilinear") -> Image:
    """Return `image` moved by a 2D matrix.

    With dst_from_src = [[1, 0, 3], [0, 1, 0], [0, 0, 1]] the content moves three pixels to the right.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        dst_from_src: (3, 3) of `camera.flat.flat_matrix`; of zoom 0 it leaves the first pixel alone, as classic.
        border: "replicate" repeats the edge, "wrap" continues on the other side.
        sampling_mode: "bicubic", "bilinear" or "nearest".

    Raises:
        UnknownName: no such border or sampling mode.
    """
    sampling = choose(SAMPLINGS, sampling_mode, "sampling_mode")
    padding = choose(FLAT_PADDINGS, border, "border")
    if not dst_from_src[:, :2].any():
        return image[None, :, :1, :1].expand(1, *image.shape).contiguous(memory_format=torch.channels_last)[0]
    height_px, width_px = image.shape[1:]
    map_x, map_y = flat_maps((width_px, height_px), inverse(dst_from_src))
    if image.device.type == "cpu":
        return sample_cpu(image, map_x, map_y, sampling, padding)
    columns, rows = (torch.from_numpy(plane).to(image.device) for plane in (map_x, map_y))
    return sample(image, columns, rows, sampling, padding)


def warp_depth(
    image: Image,
    depth: Depth | None,
    next_from_prev: Matrix,
    *,
    fov_deg: float,
    aspect: float,
    padding_mode: str,
    sampling_mode: str,
    flip_dst_from_src: Matrix | None = None,
) -> Image:
    """Return `image` as the 3D camera sees it after its move.

    At depth 1, fov 70 degrees and aspect 1, translation_x = 20 moves the content 0.0714 widths to the left.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        depth: (H, W) float32 on the image's device, larger = farther, or None for a plane at depth 1.
        next_from_prev: (4, 4) of `camera.pose.next_from_prev`.
        fov_deg: field of view, degrees; negative turns the motion round.
        aspect: divides horizontal motion.
        padding_mode: "border", "reflection" or "zeros".
        sampling_mode: "bicubic", "bilinear" or "nearest".
        flip_dst_from_src: (3, 3) perspective flip of the picture before the move, or None.

    Raises:
        UnknownName: no such padding or sampling mode.
        SettingsError: the field of view or the aspect ratio has no lens.
    """
    padding = choose(PADDINGS, padding_mode, "padding_mode")
    sampling = choose(SAMPLINGS, sampling_mode, "sampling_mode")
    height_px, width_px = image.shape[1:]
    size_px = (width_px, height_px)
    optics = lens(fov_deg, aspect, size_px)
    if image.device.type == "cpu":
        z = None if depth is None else depth.detach().contiguous().numpy()
        maps = sampling_maps(z, size_px, next_from_prev, optics, flip_dst_from_src)
        return sample_cpu(image, *maps, sampling, padding)
    z_plane = torch.ones((1, 1), device=image.device) if depth is None else depth
    return sample(
        image, *_maps(z_plane, size_px, next_from_prev, optics, flip_dst_from_src), sampling, padding
    )


def fetched(image: torch.Tensor, sight: Sight, sampling_mode: str) -> torch.Tensor:
    """Return (C, H, W) float32 `image` as the camera sees it after its move; where nothing is seen, any of its colours.

    Args:
        image: (C, H, W) float32, 0..1.
        sight: what the camera sees of it.
        sampling_mode: "bicubic", "bilinear" or "nearest".

    Raises:
        UnknownName: no such sampling mode.
    """
    sampling = choose(SAMPLINGS, sampling_mode, "sampling_mode")
    if image.device.type == "cpu":
        moved = sample_cpu(image, sight.map_x.numpy(), sight.map_y.numpy(), sampling, "border")
    else:
        moved = sample(image, sight.map_x, sight.map_y, sampling, "border")
    # Next to a jump of depth, a kernel would mix what is near with what is far, a little more at every frame.
    height_px, width_px = image.shape[1:]
    lines = sight.map_y.round().clamp(0, height_px - 1).long()
    columns = sight.map_x.round().clamp(0, width_px - 1).long()
    edges = sight.behind | sight.before
    patched = torch.where(edges, image[:, lines, columns], moved)
    return patched[None].contiguous(memory_format=torch.channels_last)[0]


def _maps(
    z: torch.Tensor, size_px: tuple[int, int], next_from_prev: Matrix, optics: Lens, flip: Matrix | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the columns and rows to sample at, (H, W) float32 on z's device: the torch form of `sampling_maps`."""
    width_px, height_px = size_px
    columns = torch.arange(width_px, dtype=torch.float32, device=z.device)
    rows = torch.arange(height_px, dtype=torch.float32, device=z.device)[:, None]
    x = torch.linspace(-1, 1, width_px, device=z.device)
    y = torch.linspace(-1, 1, height_px, device=z.device)[:, None]
    x_then, y_then, z_then = (a * x + b * y + c * z + d for a, b, c, d in next_from_prev[:3].tolist())
    map_x = columns - optics.scale_x_px * (x_then / z_then - x / z)
    map_y = rows - optics.scale_y_px * (y_then / z_then - y / z)
    if flip is not None:
        a, b, c = inverse(flip).tolist()
        weight = c[0] * map_x + c[1] * map_y + c[2]
        map_x, map_y = ((line[0] * map_x + line[1] * map_y + line[2]) / weight for line in (a, b))
    return _finite(map_x), _finite(map_y)


def _finite(coordinates: torch.Tensor) -> torch.Tensor:
    bounded = coordinates.nan_to_num(nan=FARTHEST_PX, posinf=FARTHEST_PX, neginf=-FARTHEST_PX)
    return bounded.clamp(-FARTHEST_PX, FARTHEST_PX)
