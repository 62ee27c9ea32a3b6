"""Sky: gradient, sun, moon, stars, clouds, aurora, planets, rainbow, lightning."""

from __future__ import annotations

import torch

from tools.demo_model.noise import smoothstep

SKY_DEPTH = 20000.0  # metres


def mix(a, b, t):
    """a at t = 0, b at t = 1."""
    return a + (b - a) * t


def gradient(p, elev):
    """Sky colour [B, 3, ...] at sine of elevation `elev` [B, H, W]."""
    z, m, h = (p["sky"][:, k, :, None, None] for k in range(3))
    e = elev[:, None].clamp_min(0)
    return mix(mix(h, m, smoothstep(0.0, 0.2, e)), z, smoothstep(0.12, 0.62, e))


class Sky:
    def __init__(self, params, noise, tiles, u, s):
        """u: [B, 1, W] and s: [B, H, 1] tangent coordinates (right, up) of the pixels."""
        self.p = params
        self.q = {k: v.view(-1, 1, 1) for k, v in params.items() if v.dim() == 1}
        self.noise, self.tiles = noise, tiles
        self.u, self.s = torch.broadcast_tensors(u, s)
        self.inv = 1 / torch.sqrt(1 + self.u**2 + self.s**2)

    def render(self):
        """Linear RGB [B, 3, H, W] of the sky behind everything."""
        q, p = self.q, self.p
        elev = self.s * self.inv
        base = gradient(p, elev)
        angle = (self.u * q["sun_x"] + self.s * q["sun_y"] + q["sun_z"]) * self.inv
        sun = p["sun"][:, :, None, None]
        glow = q["glow"] * (0.22 * angle.clamp_min(0) ** 6 + 0.4 * angle.clamp_min(0) ** 40)
        c = base + sun * glow[:, None] * 0.55
        c = c + self.stars(elev)
        c = self.planet(c)
        c = c + self.aurora()
        c = c + self.disk(angle, sun)
        c = self.clouds(c, base, sun, angle)
        c = self.rainbow(c)
        c = self.retro_sun(c)
        return c + self.lightning()

    def stars(self, elev):
        """Stars, milky way and nebulas."""
        q = self.q
        H, W = self.u.shape[1:]
        star = self.tiles.lookup("stars", q["seed"] * 37, H, W)
        band = self.noise.fbm(self.u * 1.3 + q["seed"], self.s * 1.3 + self.u * 0.9, 4)
        milky = torch.exp(-(((self.s - 0.35 - 0.5 * self.u + 0.15 * band) * 4) ** 2)) * (0.6 + 0.5 * band)
        neb = self.noise.fbm(self.u * 1.6 - q["seed"], self.s * 1.6 + q["seed"] * 0.3, 4)
        hue = torch.stack([0.5 + 0.5 * neb, 0.25 + 0.2 * band, 0.6 - 0.3 * neb], 1).clamp_min(0)
        cloud = hue * ((0.5 + neb).clamp_min(0) ** 2 * 0.3 * q["nebula"])[:, None]
        glow = torch.stack([0.20 * milky, 0.22 * milky, 0.36 * milky], 1) * 0.35
        fade = (q["stars"] * smoothstep(-0.02, 0.12, elev))[:, None]
        return (star[:, None] * 1.5 + glow) * fade + cloud * (q["nebula"] > 0)[:, None]

    def disk(self, angle, sun):
        """Sun or moon with its halo."""
        q = self.q
        dist = torch.sqrt((2 - 2 * angle).clamp_min(1e-9))
        radius = torch.where(
            q["moon"] > 0, torch.full_like(q["moon"], 0.05), torch.full_like(q["moon"], 0.032)
        )
        body = 1 - smoothstep(radius * 0.9, radius * 1.05, dist)
        spots = 0.8 + 0.35 * self.noise.fbm(self.u * 26 + q["seed"], self.s * 26, 3)
        bright = torch.where(q["moon"] > 0, 1.6 * spots, torch.full_like(dist, 5.0))
        halo = torch.exp(-dist * 18) * torch.where(q["moon"] > 0, 0.35, 0.8)
        k = ((body * bright + halo) * (q["glow"] > 0.02) * (q["storm"] <= 0) * (1 - q["retro"]))[:, None]
        colour = torch.where(
            (q["moon"] > 0)[:, None],
            torch.tensor([0.9, 0.93, 1.0], device=sun.device).view(1, 3, 1, 1).expand(sun.shape),
            sun,
        )
        return k * colour

    def clouds(self, c, base, sun, angle):
        """Colour c behind a high layer of clouds and a bank at the horizon."""
        q, n = self.q, self.noise
        up = self.s.clamp_min(0.015)
        x, y = self.u / up * 0.55 + q["seed"], 1 / up * 0.55 - q["seed"] * 0.7
        f = n.fbm(x, y, 5, 0.55)
        toward = n.fbm(x + 0.25 * q["sun_x"], y + 0.25 * q["sun_z"], 3, 0.55)
        th = 0.75 - 1.35 * q["cover"]
        plane = smoothstep(th, th + 0.55, f) * smoothstep(0.02, 0.14, self.s)
        lit = (0.5 + 1.1 * (f - toward) + 0.25 * angle).clamp(0, 1.2)
        bx, by = self.u * 2.6 + q["seed"] * 1.3, self.s * 3.4
        top = (
            0.10
            + 0.22 * n(self.u * 1.3 + q["seed"], q["seed"] + 0 * self.s) * 1.6
            + 0.25 * (q["cover"] - 0.3)
        )
        puff = (
            (1 - 1.3 * n(bx * 1.5, by * 1.5).abs()) * 0.5
            + (1 - 1.3 * n(bx * 3.4 + 3, by * 3.4).abs()) * 0.26
            + 0.2 * (1 - 1.3 * n(bx * 7.9, by * 7.9).abs())
            - 0.5
        )
        bank = (
            smoothstep(0, 0.05, top + 0.16 * puff - self.s)
            * smoothstep(0.15, 0.4, q["cover"])
            * smoothstep(-0.01, 0.05, self.s)
        )
        bank_lit = (0.35 + 1.1 * puff + 2.2 * (self.s - top + 0.1) + 0.5 * q["sun_x"] * 0).clamp(0, 1.15)
        # mean sky light fills the shadow side of clouds
        sky_mean = self.p["sky"].mean(1)[:, :, None, None]
        light = sun * 0.34 * (0.45 + 0.55 * q["glow"].clamp(0, 1))[:, None] + sky_mean * 0.75 + base * 0.25
        shade = sky_mean * 0.55 + base * 0.25
        dark = (1 - 0.55 * q["storm"])[:, None]
        for density, lightness in ((plane, lit), (bank, bank_lit)):
            col = mix(shade, light, lightness[:, None]) * dark
            edge = (
                (density * (1 - density) * 4 * angle.clamp_min(0) ** 12)[:, None]
                * sun
                * 0.5
                * q["glow"][:, None]
            )
            c = mix(c, col + edge, density[:, None] * 0.93)
        return c

    def aurora(self):
        """Three curtains of northern lights."""
        q, n = self.q, self.noise
        total = torch.zeros_like(self.u)
        high = torch.zeros_like(self.u)
        for k in range(3):
            foot = (
                0.12 + 0.1 * k + 0.16 * n(self.u * 1.4 + q["seed"] + 9 * k, q["seed"] * 0.3 + k + 0 * self.s)
            )
            rise = self.s - foot
            ray = 0.45 + 0.55 * n(self.u * 16 + 40 * k + 2 * rise, q["seed"] + rise * 0.6)
            i = (
                smoothstep(0, 0.04, rise)
                * torch.exp(-rise.clamp_min(0) * (5 - k))
                * ray.clamp_min(0)
                * (0.5 + 0.7 * n(self.u * 2.7 - 7 * k, q["seed"] + 0 * self.s)).clamp_min(0.1)
            )
            total, high = total + i, high + i * rise.clamp_min(0) * 3
        a = torch.stack(
            [
                0.25 * high + 0.02 * total,
                0.75 * total * (1 - 0.4 * high.clamp(0, 1)),
                0.32 * total + 0.5 * high,
            ],
            1,
        )
        b = torch.stack([0.42 * total, 0.10 * total + 0.35 * high, 0.5 * total], 1)
        return mix(a, b, q["aurora_hue"][:, None] ** 2) * (q["aurora"] * 0.62)[:, None]

    def planet(self, c):
        """Colour c behind a striped planet, with a ring if it has one."""
        q, n = self.q, self.noise
        x, y = (self.u - q["planet_x"]) / q["planet_r"], (self.s - q["planet_y"]) / q["planet_r"]
        r2 = x * x + y * y
        nz = torch.sqrt((1 - r2).clamp_min(0))
        light = (-0.55 * x + 0.45 * y + 0.65 * nz).clamp(0, 1)
        tilt = y * 0.94 + x * 0.34
        bands = n.fbm(tilt * 2.6 + q["seed"], x * 0.35 + 4, 4)
        hue = self.p["ground"][:, 1, :, None, None].sqrt()
        body = (
            mix(hue * 1.15, 1.1 - hue * 0.6, (0.5 + 0.8 * bands)[:, None].clamp(0, 1))
            * (light * 1.1 + 0.03)[:, None]
        )
        inside = ((1 - smoothstep(0.96, 1.0, r2)) * q["planet"])[:, None]
        halo = (
            q["planet"]
            * torch.exp(-(torch.sqrt(r2) - 1).clamp_min(0) * 9)
            * 0.25
            * (0.4 + 0.6 * (-0.55 * x + 0.45 * y).clamp(0, 1))
        )[:, None]
        c = mix(c + hue * halo, body, inside)
        a, b = (x * 0.94 - y * 0.34), (x * 0.34 + y * 0.94) * 3.6
        rr = torch.sqrt(a * a + b * b)
        ring = (
            smoothstep(1.25, 1.32, rr)
            * (1 - smoothstep(2.0, 2.1, rr))
            * (0.55 + 0.45 * torch.sin(rr * 26))
            * q["ring"]
            * q["planet"]
        )
        ring = ring * (1 - ((r2 < 1) & (b > 0)).float())
        return mix(c, hue * 0.5 + 0.45, (ring * 0.7)[:, None])

    def rainbow(self, c):
        """Colour c with a bow in front."""
        q = self.q
        r = torch.sqrt((self.u - q["rainbow_x"]) ** 2 + (self.s + 0.32) ** 2)
        t = (r - 0.62) / 0.075
        col = torch.stack(
            [
                torch.exp(-(((t - 1) * 2.2) ** 2)) + 0.3 * torch.exp(-(((t + 0.1) * 3) ** 2)),
                torch.exp(-(((t - 0.5) * 2.4) ** 2)),
                torch.exp(-((t * 2.4) ** 2)),
            ],
            1,
        )
        return c + col * (q["rainbow"] * 0.3 * smoothstep(-0.02, 0.1, self.s))[:, None]

    def retro_sun(self, c):
        """Striped synthwave sun."""
        q = self.q
        cx, cy = q["sun_x"], q["sun_y"] + 0.02
        r = torch.sqrt((self.u - cx) ** 2 + (self.s - cy) ** 2) / 0.2
        t = ((self.s - cy) / 0.2 + 1) / 2
        stripe = (torch.sin((1 - t) ** 1.3 * 40) > (-1.2 + 2.0 * (1 - t))).float() * (t < 0.6) + (t >= 0.6)
        col = mix(
            torch.tensor([1.6, 0.1, 0.5], device=c.device).view(1, 3, 1, 1),
            torch.tensor([1.8, 1.2, 0.2], device=c.device).view(1, 3, 1, 1),
            t[:, None].clamp(0, 1),
        )
        c = (
            c
            + torch.tensor([0.5, 0.05, 0.3], device=c.device).view(1, 3, 1, 1)
            * (torch.exp(-(r - 1).clamp_min(0) * 2.2) * q["retro"] * 0.6)[:, None]
        )
        return mix(c, col, ((1 - smoothstep(0.97, 1.0, r)) * stripe * q["retro"])[:, None])

    def lightning(self):
        """One bolt with a branch."""
        q, n = self.q, self.noise
        x0 = 0.7 * torch.sin(q["seed"] * 12.3) * q["tan"]
        path = (
            x0
            + 0.10 * n(self.s * 5 + q["seed"], q["seed"] + 0 * self.u)
            + 0.03 * n(self.s * 22, q["seed"] + 0 * self.u)
        )
        d = (self.u - path).abs()
        branch = (
            self.u
            - path
            - 0.5 * (0.25 - self.s).clamp_min(0)
            - 0.02 * n(self.s * 24, q["seed"] * 2 + 0 * self.u)
        ).abs() + 9 * (self.s > 0.25)
        bolt = torch.exp(-d * 420) * 4 + torch.exp(-d * 16) * 0.3 + torch.exp(-branch * 520) * 2
        return (bolt * q["bolt"] * (self.s > -0.02))[:, None] * torch.tensor(
            [0.8, 0.85, 1.0], device=self.u.device
        ).view(1, 3, 1, 1)
