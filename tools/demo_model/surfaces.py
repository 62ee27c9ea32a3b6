"""Paint what lies behind the billboards: sky, lit ground (rock, sand, snow, lava, city walls, falls) and water."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tools.demo_model.noise import hash01, smoothstep
from tools.demo_model.sky import SKY_DEPTH, Sky, mix


def light_ground(f):
    """Paint sky and lit ground."""
    q, p = f.q, f.p
    sky = Sky(p, f.world.noise, f.world.tiles, f.u, f.s)
    backdrop = smoke(f, sky.render())
    n = f.normals()
    base, emit = albedo(f, n)
    shadow = f.shadows() * (
        0.55
        + 0.45
        * smoothstep(
            -0.35,
            0.3,
            f.world.noise((f.x + q["ox"]) / 700, (f.depth + q["oz"]) / 700)
            + 0.6
            - 1.2 * q["cover"] * (1 - q["storm"]),
        )
    )
    facing = (n[:, 0] * q["sun_x"] + n[:, 1] * q["sun_y"] + n[:, 2] * q["sun_z"]).clamp_min(0) * shadow
    # soft wrap light keeps slopes facing away from the sun readable
    sky_light = f.sky_light() * (0.5 + 0.5 * n[:, 1:2]) + 0.30 * p["sky"][:, 1:].mean(1)[:, :, None, None] * (
        1 - n[:, 1:2]
    )
    colour = base * (p["sun"][:, :, None, None] * facing[:, None] + sky_light) + emit
    colour = colour + caustics(f, base)
    colour = grid_lines(f, colour)
    f.colour = torch.where(f.sky_mask[:, None], backdrop, f.fogged(colour, f.depth))
    f.depth = torch.where(f.sky_mask, torch.full_like(f.depth, SKY_DEPTH), f.depth)
    f.backdrop, f.emission = backdrop, emit


def smoke(f, c):
    """Plume above the crater."""
    q, n = f.q, f.world.noise
    z = q["cone_z"]
    u0, s0 = q["cone_x"] / z, (q["cone"] * 0.66 + q["base"] - f.cam) / z
    rise = (f.s - s0).clamp_min(0)
    sway = 0.35 * rise**1.3 * torch.sign(torch.sin(q["seed"] * 7)) + 0.05 * n(
        rise * 4 + q["seed"], q["seed"] + 0 * rise
    )
    width = 0.035 + 0.34 * rise**0.8
    d = (f.u - u0 - sway) / width
    puff = n.fbm(f.u * 7 + q["seed"], f.s * 7 - q["seed"], 4)
    dens = (
        smoothstep(1.15, 0.25, d.abs() + 0.75 * puff) * smoothstep(-0.03, 0.04, f.s - s0 + 0.02) * q["smoke"]
    )
    hot = torch.exp(-rise * 9)
    sky = f.p["sky"].mean(1)[:, :, None, None]
    col = (
        sky * 0.5
        + f.p["sun"][:, :, None, None] * 0.07 * (1 + puff - 0.5 * d)[:, None]
        + torch.stack([1.5 * hot, 0.32 * hot, 0.06 * hot], 1)
    )
    return mix(c, col, (dens * 0.9)[:, None])


def albedo(f, n):
    """Ground reflectance [B, 3, H, W] and emission [B, 3, H, W] for unit normals n [B, 3, H, W]."""
    grain = f.detail()
    patch = f.world.noise.fbm((f.x + f.q["ox"]) / 90, (f.depth + f.q["oz"]) / 90, 3) + 0.35 * grain
    c = shore_and_snow(f, soil_and_rock(f, n, grain, patch), n, grain, patch)
    c, emit = lava(f, c, torch.zeros_like(c), grain)
    c, emit = facades(f, c, emit, n)
    return falls(f, c, grain), emit


def soil_and_rock(f, n, grain, patch):
    """Soil in patches of two colours, rock where it is steep, strata in canyons: [B, 3, H, W]."""
    q, noise, still = f.q, f.world.noise, f.q["seed"] + 0 * f.y
    low, mid, rock = (f.p["ground"][:, k, :, None, None] for k in range(3))
    c = mix(low, mid, (0.5 + q["patch"] * 1.2 * patch).clamp(0, 1)[:, None])
    steep = smoothstep(0.86, 0.62, n[:, 1] + 0.05 * grain) * q["rocky"].clamp(0, 1)
    layer = noise(f.y / 9 + 0.6 * patch, still) + 0.5 * noise(f.y / 2.3 + 0.3 * patch, still)
    rock = rock * (1 + 0.35 * grain + 0.25 * layer)[:, None]
    c = mix(c, rock.clamp(0, 1), steep[:, None])
    share = (0.5 + 1.2 * noise(f.y / 23 + 7, still)).clamp(0, 1)[:, None] * 0.6
    band = mix(mix(low, mid, (0.5 + layer).clamp(0, 1)[:, None]), rock * 1.1, share)
    walls = q["strata"][:, None] * smoothstep(0.98, 0.8, n[:, 1])[:, None]
    return mix(c, band * (1 + 0.2 * grain)[:, None], walls)


def shore_and_snow(f, c, n, grain, patch):
    """Sand near the water, wet rims, snow above the snow line: [B, 3, H, W]."""
    q, shore = f.q, f.q["waterline"] > -100
    above = f.y - q["waterline"]
    sand = torch.tensor([0.78, 0.62, 0.40], device=c.device).view(1, 3, 1, 1)
    beach = smoothstep(3.2, 1.2, above + 1.5 * patch - q["beach"]) * q["beach"].clamp(0, 1) * shore
    c = mix(c, sand * (1 + 0.12 * grain)[:, None], beach[:, None])
    c = c * (1 - 0.45 * smoothstep(1.6, 0.1, above) * shore)[:, None]
    white = torch.tensor([0.60, 0.66, 0.75], device=c.device).view(1, 3, 1, 1)
    flat = smoothstep(0.45, 0.72, n[:, 1] + 0.08 * grain)
    snow = smoothstep(-40, 40, f.y - q["snowline"] + 90 * patch) * flat
    return mix(c, white * (1 + 0.05 * grain)[:, None], snow[:, None])


def lava(f, c, emit, grain):
    """Glowing streams on the cone and cracks around it: reflectance and emission."""
    q, noise = f.q, f.world.noise
    X, Z = f.x + q["ox"], f.depth + q["oz"]
    dx, dz = f.x - q["cone_x"], f.depth - q["cone_z"]
    r = torch.sqrt(dx * dx + dz * dz) / q["cone_r"]
    ang = torch.atan2(dx, -dz)
    stream = 1 - (noise(ang * 2.2 + q["seed"], r * 1.6 + 0.2 * noise(X / 60, Z / 60)) * 1.8).abs() * (
        4 + 12 * (1 - r).clamp(0, 1)
    )
    crack = 1 - (noise(X / 46, Z / 46) + 0.3 * noise(X / 11, Z / 11)).abs() * 9
    hot = torch.maximum(stream.clamp(0, 1) * (r < 0.95) * (r > 0.1), crack.clamp(0, 1) * (r > 0.85) * 0.9)
    hot = torch.maximum(hot, smoothstep(0.155, 0.12, r)) * q["lava"]
    colour = torch.stack([3.2 * hot, 0.75 * hot**1.6, 0.12 * hot**3], 1)
    return c, emit + colour * (1 + 0.3 * grain)[:, None]


def facades(f, c, emit, n):
    """Windows on city walls; also fixes the wall normals in place."""
    q, T = f.q, f.terrain
    zin = f.depth + 0.012 * f.depth + 0.8
    box, h1, h2 = T.box_height(f.x * zin / f.depth, zin)
    near, _, _ = T.box_height(f.x, f.depth)
    box = torch.maximum(box, near)
    base = T.height(f.x, f.depth, f.depth * f.px, 3, False)
    rise = f.y - base
    wall = (rise > 0.6) & (rise < box - 0.5) & (q["city"] > 0)
    roof = (rise >= box - 0.5) & (box > 1) & (q["city"] > 0)
    cell = q["city_cell"]
    a = (f.x * zin / f.depth + q["ox"]) / cell
    b = (zin + q["oz"]) / cell
    side = ((a - torch.floor(a) - 0.5).abs() > (b - torch.floor(b) - 0.5).abs()) & wall
    n[:, 0] = torch.where(side, -torch.sign(f.x), torch.where(wall, torch.zeros_like(a), n[:, 0]))
    n[:, 1] = torch.where(wall, torch.zeros_like(a), n[:, 1])
    n[:, 2] = torch.where(wall & ~side, -torch.ones_like(a), torch.where(side, torch.zeros_like(a), n[:, 2]))
    step = torch.exp2(torch.ceil(torch.log2((f.depth * f.px * 6.5 / 3.2).clamp_min(1))))
    wu, wv = (f.x + f.depth + q["ox"]) / (3.2 * step), rise / (3.6 * step)
    window = ((wu - torch.floor(wu) - 0.5).abs() < 0.3) & ((wv - torch.floor(wv) - 0.5).abs() < 0.32) & wall
    on = hash01(torch.floor(wu), torch.floor(wv), h1 * 9 + q["seed"])
    tone = (0.12 + 0.38 * h1)[:, None] * torch.stack(
        [1 + 0.25 * h2, torch.ones_like(h2), 1.25 - 0.35 * h2], 1
    )
    c = torch.where((wall | roof)[:, None], tone, c)
    glass = torch.stack([0.10 + 0 * h1, 0.15 + 0 * h1, 0.22 + 0 * h1], 1)
    c = torch.where(window[:, None], glass, c)
    warm = torch.stack([1.6 + 0 * on, 1.05 + 0.3 * h2, 0.45 + 0.9 * h1 * h2], 1)
    lit = window & (on < 0.12 + 0.38 * q["lit"] * (0.4 + h2))
    return c, emit + warm * (lit * q["lit"] * (0.25 + on * 1.3))[:, None]


def falls(f, c, grain):
    """White water over the cliff and the mist at its foot."""
    q = f.q
    d = (f.x - q["cone_x"] - 1.5 * f.world.noise(f.y / 14, q["seed"] + 0 * f.y)).abs()
    streak = 0.75 + 0.45 * f.world.noise(f.x * 1.3, f.y * 0.06 + q["seed"])
    k = (
        smoothstep(q["fall_w"] * 1.05, q["fall_w"] * 0.8, d)
        * (q["fall_w"] > 0)
        * (f.depth > q["cliff_z"] - 60)
        * (f.depth < q["cliff_z"] + 60)
    )
    mist = (
        torch.exp(-(f.y - q["waterline"]).clamp_min(0) / 9)
        * torch.exp(-(d - q["fall_w"]).clamp_min(0) / 14)
        * (q["fall_w"] > 0)
        * (f.depth > q["cliff_z"] - 50)
        * 0.8
    )
    white = torch.stack([0.82 * streak, 0.9 * streak, 0.98 * streak], 1)
    return mix(
        mix(c, white, k[:, None]),
        torch.full_like(c, 0.85),
        (mist * (0.6 + 0.4 * grain)).clamp(0, 0.9)[:, None],
    )


def caustics(f, base):
    """Webs of light on the ground under water."""
    q, n = f.q, f.world.noise
    a = n(f.x / 1.7 + q["ox"], f.depth / 1.7 + 0.5 * n(f.x / 3, f.depth / 3))
    b = n(f.x / 1.1 - q["ox"], f.depth / 1.3 + 4)
    web = (1 - (a * 2.4).abs()).clamp_min(0) ** 3 + (1 - (b * 2.4).abs()).clamp_min(0) ** 3
    return base * (web * q["caustic"] * 0.7)[:, None]


def grid_lines(f, c):
    """Neon ground grid of the synthwave style."""
    q = f.q
    cell = 6.0
    glow = 0
    for v in (f.x, f.depth):
        d = ((v / cell - torch.round(v / cell)) * cell).abs()
        w = 0.06 + f.depth * f.px * 0.9
        glow = glow + torch.exp(-((d / w) ** 2)) * (1 / (1 + (f.depth / 160) ** 2))
    neon = torch.tensor([1.7, 0.12, 1.3], device=c.device).view(1, 3, 1, 1)
    return mix(c, c * 0.35, q["grid"][:, None]) + neon * (glow * q["grid"] * ~f.sky_mask * ~f.water)[:, None]


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
