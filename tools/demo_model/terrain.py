"""Height fields: one formula for all scenes, switched by per-image amplitudes."""

from __future__ import annotations

import torch

from tools.demo_model.noise import hash01, smoothstep


class Terrain:
    """World: x right, y up, z forward, metres; the camera stands above the origin."""

    def __init__(self, params, noise):
        self.p = {k: v.view(-1, 1, 1) for k, v in params.items() if v.dim() == 1}
        self.noise, self.fused = noise, noise.fused
        if self.fused:
            self.packed = self.fused.pack(params)

    def fractal(self, x, z, px, octaves):
        """fbm and ridged sums over shared octaves; octaves smaller than 3 pixels (px, metres) fade out."""
        p, freq = self.p, 1.0
        a, b = torch.broadcast_tensors((x + p["ox"]) / p["L"], (z + p["oz"]) / p["L"])
        fb, ridge, prev, amp = (
            torch.zeros_like(a),
            torch.zeros_like(a),
            torch.ones_like(a),
            torch.ones_like(p["gain"]),
        )
        px = px if torch.is_tensor(px) else torch.full_like(p["L"], px)
        limit = (p["L"] / (3.0 * px)).expand_as(a)
        for k in range(octaves):
            n, fade = self.noise(a + 5.7 * k, b - 3.3 * k), (limit / freq).clamp(0, 1)
            fb = fb + amp * n * fade
            r = (1 - 1.5 * n.abs()).clamp_min(0) ** 2
            ridge, prev = ridge + amp * prev * (0.3 + (r - 0.3) * fade), r.clamp(0.15, 1)
            a, b = 1.616 * a + 1.212 * b, -1.212 * a + 1.616 * b
            amp, freq = amp * p["gain"], freq * 2.02
        return fb, ridge

    def centre_line(self, z):
        """x of the river or canyon axis at distance z."""
        p = self.p
        return p["meander"] * (1.6 * self.noise(z / p["meander_l"] + p["seed"], p["seed"] * 1.7 + 0 * z)) + 8

    def box_height(self, x, z):
        """City blocks: building height at (x, z), 0 in the streets; and the cell's two hashes."""
        p = self.p
        cell = p["city_cell"]
        a, b = (x + p["ox"]) / cell, (z + p["oz"]) / cell
        i, j = torch.floor(a), torch.floor(b)
        h1, h2 = hash01(i, j, p["seed"]), hash01(j, i, p["seed"] + 3.1)
        inside = ((a - i - 0.5).abs() < 0.3 + 0.1 * h2) & ((b - j - 0.5).abs() < 0.3 + 0.1 * h1)
        cx, cz = (i + 0.5) * cell - p["ox"], (j + 0.5) * cell - p["oz"]
        far = torch.exp(-((cx - p["cone_x"]) ** 2 + (cz - p["cone_z"]) ** 2) / p["cone_r"] ** 2)
        reach = torch.maximum((a - i - 0.5).abs(), (b - j - 0.5).abs())
        tier = torch.where(
            (h1 > 0.42) & (reach > 0.19),
            0.58 + 0.3 * h2,
            torch.where((h2 > 0.72) & (reach < 0.05), 1.22 + 0 * h2, 1.0 + 0 * h2),
        )
        height = (
            tier
            * p["city"]
            * (0.12 + 0.25 * h1 + h2**3 * 0.8 * far + 0.5 * far * h1)
            * smoothstep(p["env0"], p["env0"] + 60, torch.sqrt(cx**2 + cz**2))
        )
        return height * inside, h1, h2

    def height(self, x, z, px, octaves=9, boxes=True):
        """Ground height (m) at x, z (broadcastable [B, *, *]) with pixel footprint px (m)."""
        p = self.p
        if self.fused:
            return self.fused.height(self.packed, x, z, px, octaves, boxes)
        fb, ridge = self.fractal(x, z, px, octaves)
        env = smoothstep(p["env0"], p["env1"], torch.sqrt(x * x + z * z))
        rise = p["ridge"] * env * (ridge - 0.3)
        axis = (x - self.centre_line(z)).abs()
        valley = torch.where(
            p["river"] > 0, smoothstep(p["river_w"] * 2, p["river_w"] * 2 + 700, axis), torch.ones_like(axis)
        )
        h = p["base"] + p["fbm"] * fb * (0.35 + 0.65 * torch.maximum(valley, p["canyon"] * 0)) + rise * valley
        h = self.add_dunes(h, fb, x, z)
        h = h + self.cone_height(x, z, fb) + self.canyon_height(axis, fb)
        across = torch.where(
            p["front"] > 0,
            z - p["env0"] + 20,
            x * torch.sign(p["side"]) - p["side_x"] * torch.sign(p["side"]),
        )
        h = h + p["side"].abs() * smoothstep(-0.4, 1.0, (across + p["side_w"] * 0.9 * fb) / p["side_w"])
        edge = smoothstep(p["cliff_z"] - 3, p["cliff_z"] + 5, z + 20 * fb + 0.0016 * (x - p["cone_x"]) ** 2)
        h = h + p["cliff"] * edge * (1 + 0.12 * fb)
        step = h / p["terr_step"]
        frac = step - torch.floor(step)
        h = torch.lerp(
            h,
            (torch.floor(step) + smoothstep(0.35, 0.65, frac)) * p["terr_step"],
            p["terr"] * (h > p["waterline"]),
        )
        carve = (p["river"] > 0) * (1 - smoothstep(p["river_w"], p["river_w"] * 2.6, axis + 5 * fb))
        h = torch.lerp(h, torch.full_like(h, -3.0), carve)
        pyr = self.pyramids(x, z)
        h = torch.maximum(h, pyr)
        if boxes:
            h = h + self.box_height(x, z)[0] * (h > p["waterline"])
        return h

    def add_dunes(self, h, fb, x, z):
        """Height h with dunes on it."""
        p = self.p
        a, b = (x + p["ox"]) / p["dune_l"], (z + p["oz"]) / p["dune_l"]
        big = self.noise(a * 0.6 + 0.3 * fb, b * 1.1)
        crest = (1 - (1.6 * big).abs()).clamp_min(0)
        small = self.noise(a * 2.3 + 4, b * 1.3 + big * 1.5)
        return h + p["dune"] * (crest**1.4 * 1.3 + 0.22 * (1 - small.abs()) * crest)

    def cone_height(self, x, z, fb):
        """Volcano (crater 1) or island (crater 0)."""
        p = self.p
        r = torch.sqrt((x - p["cone_x"]) ** 2 + (z - p["cone_z"]) ** 2) / p["cone_r"]
        t = (1 - r * (1 + 0.22 * fb)).clamp(0, 1)
        slope = t**1.7
        rim = 0.86**1.7
        volcano = torch.where(t > 0.86, rim - (t - 0.86) * 2.2, slope)
        return p["cone"] * torch.where(
            p["crater"] > 0, volcano * (1 + 0.05 * fb), smoothstep(0, 0.75, t) * (1 + 0.35 * fb)
        )

    def canyon_height(self, axis, fb):
        """Two steps of the canyon wall at distance `axis` (m) from its middle."""
        p = self.p
        d = axis + 55 * fb
        w = p["canyon_w"]
        return p["canyon"] * (
            0.5 * smoothstep(w, w + 55, d) + 0.5 * smoothstep(w * 2.1 + 40, w * 2.1 + 120, d + 40 * fb)
        )

    def pyramids(self, x, z):
        """Height of three pyramids, far below ground where there are none."""
        p, best = self.p, None
        for dx, dz, k in ((0, 0, 1.0), (330, 190, 0.8), (-300, 330, 0.6)):
            m = torch.maximum((x - p["cone_x"] - dx).abs(), (z - p["cone_z"] - dz).abs())
            h = (
                p["base"]
                + (p["pyramid"] * k - m / 0.8).clamp_min(-40) * (p["pyramid"] > 0)
                - 300 * (p["pyramid"] <= 0)
            )
            best = h if best is None else torch.maximum(best, h)
        return best
