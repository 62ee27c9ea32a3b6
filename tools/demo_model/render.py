"""Batched landscape renderer: parameters -> image, depth and visible objects, on CPU or GPU.

Column ray casting (the camera has no roll and a lens shift instead of pitch): each image column marches once over the
height field; every pixel of the column is then found by a search in the running maximum of the elevation."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tools.demo_model.billboards import objects, plants
from tools.demo_model.frame import SKY_DEPTH, Frame
from tools.demo_model.ground import light_ground
from tools.demo_model.noise import smoothstep
from tools.demo_model.sky import mix
from tools.demo_model.styles import apply_styles
from tools.demo_model.water import paint_water


def weather(f):
    """Falling snow and rain, and shafts of light under water."""
    q, tiles = f.q, f.world.tiles
    flakes = tiles.lookup("flakes", q["seed"] * 53, f.H, f.W) * q["flakes"]
    rain = tiles.lookup("rain", q["seed"] * 91, f.H, f.W) * q["rain"] * 0.22
    tone = f.p["sky"].mean(1)[:, :, None, None] * 1.3 + 0.12
    f.colour = mix(f.colour, tone.expand_as(f.colour), (flakes * 0.85 + rain).clamp(0, 1)[:, None])
    shafts = (
        f.world.noise(f.u * 5 + f.s * 1.2 + q["seed"], q["seed"] + 0 * f.s).clamp_min(0)
        * smoothstep(-0.3, 0.5, f.s)
        * q["under"]
    )
    f.colour = f.colour + f.p["sky"][:, 2, :, None, None] * (shafts * 0.7)[:, None]


def develop(f):
    """Bloom, exposure, filmic curve, gamma: display RGB in 0..1."""
    c = f.colour.clamp(0, 12)
    bright = F.avg_pool2d((c - 0.9).clamp_min(0), 8)
    for _ in range(2):
        bright = F.avg_pool2d(bright, 5, 1, 2, count_include_pad=False)
    c = c + F.interpolate(bright, (f.H, f.W), mode="bilinear") * 0.35
    mean = f.p["sky"].mean((1, 2))
    exposure = 1.0 * (0.30 / (mean + 0.09 * f.p["sun"].mean(1) + 0.055)).clamp(0.75, 3.2) ** 0.85
    c = c * exposure.view(-1, 1, 1, 1)
    c = (c * (2.51 * c + 0.03)) / (c * (2.43 * c + 0.59) + 0.14)
    return c.clamp(1e-5, 1) ** (1 / 2.2)


@torch.no_grad()
def render(params, world, H=512, W=512, samples=640):
    """Render one batch; `samples` rays per column. Returns RGB [B, 3, H, W] in 0..1, depth [B, 1, H, W] (m) and
    the pixel counts of the object slots [B, slots]."""
    f = Frame(params, world, H, W)
    f.set_fog()
    f.cast(samples)
    light_ground(f)
    plants(f, 0)
    plants(f, 1)
    seen = objects(f)
    paint_water(f)
    weather(f)
    rgb = apply_styles(develop(f), params, world)
    return rgb, f.depth[:, None].clamp(1, SKY_DEPTH), seen
