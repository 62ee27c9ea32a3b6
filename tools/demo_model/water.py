"""Paint water: reflections, colour by depth, foam, glitter."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tools.demo_model.noise import smoothstep
from tools.demo_model.sky import mix


def paint_water(f):
    """Reflections, colour by depth, foam and sun glitter on all water pixels."""
    q, n = f.q, f.world.noise
    zw = torch.where(f.water, f.depth, torch.full_like(f.depth, 50.0))
    x = f.u * zw
    rough = q["wave"] * (1 / (1 + (zw / 500)))
    w1 = n.fbm(x / 5 + q["seed"], zw / 2.2, 3) * rough
    w2 = n.fbm(x / 7 - q["seed"], zw / 3.1 + 7, 3) * rough
    swell = n(x / 40 + q["seed"], zw / 13) * (q["wave"] - 0.8).clamp_min(0) * 0.5
    up = (-f.s).clamp_min(0.0005)
    mirror = reflection(f, up, w1, w2, swell)
    cosine = up / torch.sqrt(1 + f.u**2 + up**2)
    fresnel = (0.10 + 0.84 * (1 - cosine - 0.10 * w1.abs()).clamp(0, 1) ** 3.2)[:, None]
    under = (q["waterline"] - f.terrain.height(x, zw, zw * f.px, 6, False)).clamp_min(0)
    sky = f.sky_light() + f.p["sun"][:, :, None, None] * q["sun_y"][:, None].clamp_min(0.1) * 0.6
    body = water_colour(f, sky, under) * (1 + 0.35 * swell + 0.2 * w2)[:, None]
    c = mix(body, mirror, fresnel) + glitter(f, w1, w2, up)
    shore = smoothstep(0.6, 0.2, under + 0.5 * w1 + 0.3 * w2 + 0.004 * zw) * 0.7 * (q["wave"] > 0.3)
    crests = smoothstep(0.62, 0.9, w1 + 0.7 * swell) * (q["wave"] > 1) * 0.5
    c = mix(c, (sky * 0.75).expand_as(c), (shore + crests).clamp(0, 0.9)[:, None])
    f.colour = torch.where(f.water[:, None], f.fogged(c, zw), f.colour)


def reflection(f, up, w1, w2, swell):
    """Mirrored image [B, 3, H, W], found by repeated look-up along the columns of the screen."""
    height = f.cam - f.q["waterline"]
    index = torch.arange(f.H, device=up.device, dtype=torch.float32).view(1, -1, 1).expand_as(f.depth)
    dry = torch.where(f.water, torch.full_like(index, -1), index)
    shore = torch.cummax(dry, 1).values.long().clamp_min(0)
    z_hit = f.depth.gather(1, shore)
    s_top, ds = f.s[:, :1], (f.s[:, 0:1] - f.s[:, 1:2])
    for _ in range(3):
        target = up - 2 * height / z_hit + 0.035 * w1 + 0.02 * swell
        row = ((s_top - target) / ds).clamp(0, f.H - 1)
        z_hit = f.depth.gather(1, torch.minimum(row.round().long(), shore)).clamp_min(1.0)
    row = torch.minimum(row, shore.float())
    gx = (f.u / f.tan_x + 0.012 * w2).expand_as(row)
    grid = torch.stack([gx, (row + 0.5) / f.H * 2 - 1], -1)
    return F.grid_sample(f.colour, grid, padding_mode="border", align_corners=False)


def water_colour(f, sky, under):
    """Colour of the water itself [B, 3, H, W], `under` metres above the ground."""
    clear, lagoon, sand = (
        torch.tensor(rgb, device=under.device).view(1, 3, 1, 1)
        for rgb in ([0.012, 0.05, 0.085], [0.0, 0.30, 0.34], [0.42, 0.55, 0.42])
    )
    t = f.q["turbid"][:, None]
    shallow = torch.exp(-under / 1.6)[:, None] * (0.4 + 0.6 * t)
    return mix(mix(clear, lagoon, t) * sky, sand * sky, shallow)


def glitter(f, w1, w2, up):
    """Sun on the facets of the waves [B, 3, H, W]."""
    q = f.q
    nx, nz = 0.16 * w2, 0.22 * w1
    norm = torch.sqrt(1 + nx * nx + nz * nz)
    inv = 1 / torch.sqrt(1 + f.u**2 + up**2)
    dx, dy, dz = f.u * inv, -up * inv, inv
    dot = (dx * nx + dy + dz * nz) / norm
    rx, ry, rz = dx - 2 * dot * nx / norm, dy - 2 * dot / norm, dz - 2 * dot * nz / norm
    spec = (rx * q["sun_x"] + ry * q["sun_y"] + rz * q["sun_z"]).clamp_min(0) ** 90
    return f.p["sun"][:, :, None, None] * (spec * 1.8 * (1 - q["storm"]))[:, None]
