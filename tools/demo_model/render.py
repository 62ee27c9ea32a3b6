"""Batched landscape renderer: parameters -> image, depth and visible objects, on CPU or GPU.

Column ray casting (the camera has no roll and a lens shift instead of pitch): each image column marches once over the
height field; every pixel of the column is then found by a search in the running maximum of the elevation."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tools.demo_model.billboards import objects, plants
from tools.demo_model.noise import smoothstep
from tools.demo_model.sky import SKY_DEPTH, gradient, mix
from tools.demo_model.styles import apply_styles
from tools.demo_model.surfaces import light_ground, paint_water
from tools.demo_model.terrain import Terrain

Z_NEAR, Z_FAR = 1.5, 9000.0


def fog(colour, z, tone, rate):
    """Mix [B, 3, H, W] towards `tone` with distance z (m)."""
    f = 1 - torch.exp(-((z * rate) ** 1.1))
    return torch.cat(
        [
            mix(colour[:, k : k + 1], tone[:, k : k + 1], (f**e)[:, None])
            for k, e in enumerate((1.0, 0.97, 0.9))
        ],
        1,
    )


class Frame:
    """State of one batch while it is painted: linear colour, depth, water mask."""

    def __init__(self, params, world, H, W):
        self.p, self.world, self.H, self.W = params, world, H, W
        self.q = {k: v.view(-1, 1, 1) for k, v in params.items() if v.dim() == 1}
        dev = world.device
        self.terrain = Terrain(params, world.noise)
        aspect = W / H
        tan_x = self.q["tan"] * max(1.0, aspect) ** 0.5
        self.tan_x, self.tan_y = tan_x, tan_x / aspect
        col = (torch.arange(W, device=dev).view(1, 1, -1) + 0.5) / W * 2 - 1
        row = 1 - (torch.arange(H, device=dev).view(1, -1, 1) + 0.5) / H * 2
        self.u = col * tan_x
        self.s = (row + self.q["horizon"]) * self.tan_y
        self.px = tan_x * 2 / W
        self.set_camera()

    def set_camera(self):
        """Place the camera `height` metres above the ground before it."""
        z = (
            torch.linspace(0, 30, 8, device=self.world.device)
            .view(1, -1, 1)
            .expand(len(self.q["tan"]), -1, 1)
        )
        h = self.terrain.height(0 * z, z, 0 * z + 0.5, 6).amax(1, keepdim=True)
        self.cam = torch.maximum(h, self.q["waterline"]) + self.q["height"]

    def cast(self, samples):
        """Depth z, hit height y, sky mask and water mask, all [B, H, W]."""
        dev, q = self.world.device, self.q
        z = Z_NEAR * (Z_FAR / Z_NEAR) ** (torch.arange(samples, device=dev).view(1, -1, 1) / (samples - 1))
        ground = self.terrain.height(self.u * z, z, z * self.px)
        top = torch.maximum(ground, q["waterline"])
        elev = ((top - self.cam) / z).transpose(1, 2).contiguous()
        best = torch.cummax(elev, 2).values
        s = self.s.transpose(1, 2).expand(-1, self.W, -1).contiguous()
        idx = torch.searchsorted(best, s)
        sky = idx >= samples
        hi = idx.clamp(1, samples - 1)
        e0, e1 = elev.gather(2, hi - 1), elev.gather(2, hi)
        t = ((s - e0) / (e1 - e0).clamp_min(1e-6)).clamp(0, 1)
        lz = torch.log(z).view(-1)
        depth = torch.exp(lz[hi - 1] + (lz[hi] - lz[hi - 1]) * t).transpose(1, 2)
        sky = sky.transpose(1, 2)
        flat = q["waterline"] > -100
        zw = ((self.cam - q["waterline"]) / (-self.s).clamp_min(1e-5)).clamp(Z_NEAR, Z_FAR).expand_as(depth)
        low = self.terrain.height(self.u * depth, depth, depth * self.px, 7, False) < q["waterline"] + 0.02
        water = flat & low & ~sky & (self.s < 0)
        self.depth = torch.where(water, zw, depth)
        self.sky_mask, self.water = sky, water
        self.x, self.y = self.u * self.depth, self.cam + self.s * self.depth

    def normals(self):
        """Upward unit normals [B, 3, H, W] by forward differences."""
        eps = self.depth * self.px * 1.2 + 0.05
        h0 = self.terrain.height(self.x, self.depth, eps, 9, False)
        hx = self.terrain.height(self.x + eps, self.depth, eps, 9, False)
        hz = self.terrain.height(self.x, self.depth + eps, eps, 9, False)
        n = torch.stack([(h0 - hx) / eps, torch.ones_like(h0), (h0 - hz) / eps], 1)
        self.ground_h = h0
        return n / n.norm(dim=1, keepdim=True)

    def shadows(self, steps=12):
        """Sun visibility 0..1 [B, H, W], marched at half resolution."""
        q = self.q
        x, z, y = (t[:, ::2, ::2] for t in (self.x, self.depth, self.y))
        blocked = torch.full_like(x, -1.0)
        for k in range(steps):
            t = (3 + 0.004 * z) * 1.75**k
            h = self.terrain.height(x + q["sun_x"] * t, z + q["sun_z"] * t, t * 0.12 + z * self.px, 5)
            blocked = torch.maximum(blocked, (h - y - q["sun_y"] * t) / t - 0.01)
        open_ = 1 - smoothstep(-0.01, 0.07, blocked)
        return F.interpolate(open_[:, None], (self.H, self.W), mode="bilinear")[:, 0]

    def detail(self):
        """Noise about 8 pixels wide at every distance, [-1, 1]."""
        level = torch.log2(self.depth * self.px * 7)
        lo, out = torch.floor(level), 0
        for k in (0, 1):
            f = torch.exp2(-(lo + k))
            w = (1 - (level - lo)) if k == 0 else (level - lo)
            out = out + w * self.world.noise(self.x * f + 3.3 * (lo + k), self.depth * f * 0.6 + self.y * f)
        return out

    def sky_light(self):
        """Light of the whole sky [B, 3, 1, 1]."""
        return (self.p["sky"][:, 0] * 0.5 + self.p["sky"][:, 1] * 0.6 + self.p["sky"][:, 2] * 0.25)[
            :, :, None, None
        ] * self.q["amb"][:, None] + 0.004

    def set_fog(self):
        """Horizon colour [B, 3, H, W] and density of the fog, and the light on billboards."""
        q, p = self.q, self.p
        low = torch.where(
            q["under"] > 0, self.s.expand(-1, -1, self.W), (self.s * 0 + 0.03).expand(-1, self.H, self.W)
        )
        angle = (self.u * q["sun_x"] + 0.05 * q["sun_y"] + q["sun_z"]) / torch.sqrt(1 + self.u**2)
        glow = (0.22 * angle.clamp_min(0) ** 6 + 0.25 * angle.clamp_min(0) ** 40) * q["glow"] * 0.5
        self.fog_tone = gradient(p, low) * 0.96 + p["sun"][:, :, None, None] * glow[:, None]
        self.fog_rate = q["fog"] * q["haze"]
        facing = 0.4 + 0.6 * (0.5 - 0.5 * q["sun_z"])
        self.sprite_sun = p["sun"][:, :, None, None] * facing[:, None] * 0.62
        self.sprite_sky = self.sky_light() * 0.9
        self.sprite_glow = (q["lit"] * 1.7 + 0.08 + 1.2 * q["alien"])[:, None]

    def fogged(self, colour, z):
        """Colour [B, 3, H, W] seen through z metres of air."""
        return fog(colour, z, self.fog_tone, self.fog_rate)


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
