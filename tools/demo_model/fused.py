"""Fused CUDA kernels of the renderer's hot formulas, compiled by NVRTC through torch."""

from __future__ import annotations

from pathlib import Path

import torch

PARAMS = [
    "ox",
    "oz",
    "L",
    "gain",
    "env0",
    "env1",
    "ridge",
    "fbm",
    "base",
    "river",
    "river_w",
    "meander",
    "meander_l",
    "seed",
    "dune",
    "dune_l",
    "cone_x",
    "cone_z",
    "cone_r",
    "cone",
    "crater",
    "canyon",
    "canyon_w",
    "front",
    "side",
    "side_x",
    "side_w",
    "cliff",
    "cliff_z",
    "terr",
    "terr_step",
    "waterline",
    "pyramid",
    "city",
    "city_cell",
]

KERNELS = Path(__file__).with_name("kernels.cu")


def source():
    """Kernel source with the names of the packed parameters in front."""
    names = "".join(f"#define p_{name} P[{k}]\n" for k, name in enumerate(PARAMS))
    return f"#define NPARAMS {len(PARAMS)}\n{names}{KERNELS.read_text(encoding='utf-8')}"


class Fused:
    """Launches the kernels on CUDA tensors."""

    def __init__(self, texture):
        """texture: float32 [1024, 1024] on the device."""
        code = source()
        self.kernels = {n: torch.cuda._compile_kernel(code, n) for n in ("height", "fbm", "sprites")}
        self.tex, self.constants = texture.contiguous(), {}

    def pair(self, a, b, device):
        """Two constants as a cached tensor."""
        if (a, b) not in self.constants:
            self.constants[a, b] = torch.tensor([a, b], dtype=torch.float32, device=device)
        return self.constants[a, b]

    @staticmethod
    def pack(params):
        """float32 [B, NPARAMS]."""
        return torch.stack([params[n].float().view(-1) for n in PARAMS], 1).contiguous()

    def launch(self, name, count, *args):
        """Run a kernel with one thread per element."""
        self.kernels[name](grid=((count + 255) // 256, 1, 1), block=(256, 1, 1), args=[*args, count])

    def height(self, packed, x, z, px, octaves, boxes):
        """Terrain.height on packed parameters; x, z, px broadcastable [B, *, *]."""
        shape = torch.broadcast_shapes(x.shape, z.shape, px.shape)
        x, z, px = (t.float().expand(shape).contiguous() for t in (x, z, px))
        out = torch.empty(shape, device=x.device)
        per_image = out.numel() // shape[0]
        self.launch("height", out.numel(), out, x, z, px, packed, self.tex, per_image, octaves, int(boxes))
        return out

    def fbm(self, x, y, octaves, gain, scale=None):
        """Noise.fbm; `scale` replaces its normalisation."""
        x, y = (t.float().contiguous() for t in torch.broadcast_tensors(x, y))
        scale = scale or 1.5 / sum(gain**k for k in range(octaves))
        out = torch.empty_like(x)
        self.launch("fbm", x.numel(), out, x, y, self.tex, octaves, self.pair(gain, scale, x.device))
        return out

    def sprites(self, f, atlas, rows, columns, lo, hi):
        """billboards.paint_layers in place on frame f; columns [5, B, K, W]. Returns pixel counts [B, K]."""
        _, batch, layers, width = columns.shape
        f.colour, f.depth, tone = (t.float().contiguous() for t in (f.colour, f.depth, f.fog_tone))
        water = f.water.to(torch.uint8).contiguous()
        seen = torch.zeros(batch, layers, device=columns.device)
        scalars = (f.sprite_sun, f.sprite_sky, f.sprite_glow, f.q["under"] * 0.75, f.fog_rate, f.cam)
        light = torch.cat([t.reshape(batch, -1).float() for t in scalars], 1).contiguous()
        slopes = f.s.reshape(batch, -1).float().contiguous()
        shape = (batch, layers, f.H, width, atlas.shape[2], atlas.shape[3], rows)
        pictures = (f.colour, f.depth, water, seen, columns.float().contiguous(), atlas, slopes, light, tone)
        self.launch("sprites", batch * f.H * width, *pictures, *shape, self.pair(lo, hi, columns.device))
        f.water = water.bool()
        return seen
