"""Drawings of plants and objects with a supersampled pen, and the tables of their names."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

SUPER = 3


def mix(a, b, t):
    """Blend two RGB tuples."""
    return tuple(int(a[i] + (b[i] - a[i]) * max(0.0, min(1.0, t))) for i in range(3))


class Pen:
    """A supersampled drawing with normalised coordinates: x in [0, 1], y up in [0, 1]."""

    def __init__(self, width, height):
        self.size = (width * SUPER, height * SUPER)
        self.rgb, self.glow = Image.new("RGBA", self.size, (0, 0, 0, 0)), Image.new("L", self.size, 0)
        self.draw, self.draw_glow = ImageDraw.Draw(self.rgb), ImageDraw.Draw(self.glow)
        self.aspect = height / width

    def pts(self, points):
        """Pixel positions of points."""
        return [(x * self.size[0], (1 - y) * self.size[1]) for x, y in points]

    def poly(self, points, color, glow=0):
        """Filled polygon; `glow` 0..255 is its own light."""
        self.draw.polygon(self.pts(points), fill=(*color, 255))
        self.draw_glow.polygon(self.pts(points), fill=glow)

    def rect(self, x0, y0, x1, y1, color, glow=0):
        """Filled rectangle between two corners."""
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, glow)

    def blob(self, x, y, r, color, squash=1.0, glow=0):
        """Ellipse with horizontal radius r (in widths); round on screen when squash is 1."""
        (px, py), rx = self.pts([(x, y)])[0], r * self.size[0]
        box = [px - rx, py - rx * squash, px + rx, py + rx * squash]
        self.draw.ellipse(box, fill=(*color, 255))
        self.draw_glow.ellipse(box, fill=glow)

    def line(self, points, width, color, glow=0):
        """Line of a width given in widths of the drawing."""
        w = max(1, int(width * self.size[0]))
        self.draw.line(self.pts(points), fill=(*color, 255), width=w, joint="curve")
        self.draw_glow.line(self.pts(points), fill=glow, width=w)

    def tensor(self):
        """float32 [5, h, w]: straight RGB, alpha, emission, colours bled outwards against dark fringes."""
        w, h = self.size[0] // SUPER, self.size[1] // SUPER
        rgba = np.asarray(self.rgb, np.float32) / 255
        alpha = torch.from_numpy(rgba[..., 3])[None, None]
        stack = torch.from_numpy(rgba[..., :3]).permute(2, 0, 1)[None] * alpha
        glow = torch.from_numpy(np.asarray(self.glow, np.float32) / 255)[None, None] * alpha
        small = F.interpolate(torch.cat([stack, glow, alpha], 1), (h, w), mode="area")
        a = small[:, 4:]
        far = F.avg_pool2d(small, 9, 1, 4)
        rgb = torch.where(a > 0.02, small[:, :3] / a.clamp_min(0.02), far[:, :3] / far[:, 4:].clamp_min(0.01))
        return torch.cat([rgb, a, small[:, 3:4] / a.clamp_min(0.02)], 1)[0]


def draw_conifer(pen, r, leaf=(38, 72, 44), snow=0.0, slim=1.0):
    pen.rect(0.475, 0, 0.525, 0.15, (70, 48, 34))
    tiers = r.randint(7, 10)
    for k in range(tiers):
        t = k / tiers
        y, half = 0.08 + 0.86 * t, (0.40 * (1 - t) ** 0.9 + 0.03) * r.uniform(0.85, 1.05) * slim
        top = min(0.995, y + 0.95 / tiers * 1.7)
        for side, light in ((1, 0.0), (-1, 0.5)):
            n = 5
            edge = [
                (
                    0.5 + side * half * (j / n),
                    y - 0.022 * (j % 2) - 0.035 * (j / n) + r.uniform(-0.008, 0.008),
                )
                for j in range(n + 1)
            ]
            c = mix(leaf, (112, 150, 84), light * 0.45 + 0.25 * t + r.uniform(-0.05, 0.05))
            pen.poly([(0.5, top), *edge], c)
            if r.random() < snow:
                cap = [(x, yy + 0.008) for x, yy in edge] + [
                    (x * 0.9 + 0.05, yy + 0.05) for x, yy in reversed(edge)
                ]
                pen.poly(cap, mix((205, 218, 235), (250, 252, 255), light * 2))


def draw_crown(pen, r, dark, light, cy=0.62, rx=0.36, ry=0.33, trunk=(82, 60, 46), n=150):
    sway = r.uniform(-0.04, 0.04)
    pen.poly([(0.465, 0), (0.535, 0), (0.515 + sway, 0.5), (0.485 + sway, 0.5)], trunk)
    for _ in range(4):
        a = r.uniform(-0.9, 0.9)
        pen.line([(0.5 + sway * 0.6, 0.3), (0.5 + 0.25 * math.sin(a), 0.3 + 0.3 * math.cos(a))], 0.018, trunk)
    lobes = [(r.uniform(-0.55, 0.55), r.uniform(-0.5, 0.55), r.uniform(0.35, 0.6)) for _ in range(6)] + [
        (0, 0, 0.7)
    ]
    for k in range(n):
        t = k / n
        lx, ly, lr = r.choice(lobes)
        a, d = r.uniform(0, 6.28), math.sqrt(r.random()) * lr
        x, y = lx + d * math.cos(a), ly + d * math.sin(a)
        shade = 0.5 + 0.38 * (y * 0.8 - x * 0.55) + 0.3 * (t - 0.5) + r.uniform(-0.13, 0.13)
        pen.blob(
            0.5 + sway + x * rx,
            cy + y * ry,
            r.uniform(0.03, 0.065) * (1.25 - 0.5 * t),
            mix(dark, light, shade),
            0.85,
        )


def draw_palm(pen, r):
    lean = r.uniform(-0.22, 0.22)
    pts = [(0.5 + lean * (k / 8) ** 2, 0.78 * k / 8) for k in range(9)]
    pen.line(pts, 0.05, (104, 80, 58))
    pen.line([(p[0] - 0.012, p[1]) for p in pts], 0.014, (160, 128, 92))
    cx, cy = pts[-1]
    for k in range(13):
        a = -0.5 + 4.14 * k / 12 + r.uniform(-0.12, 0.12)
        length, droop = r.uniform(0.28, 0.38), r.uniform(0.12, 0.26)
        spine = [
            (cx + length * t * math.cos(a), cy + 0.6 * length * t * math.sin(a) - droop * t * t)
            for t in np.linspace(0, 1, 8)
        ]
        c = mix(
            (26, 66, 34), (128, 172, 74), 0.5 + 0.35 * math.sin(a) - 0.25 * math.cos(a) + r.uniform(-0.1, 0.1)
        )
        pen.poly(
            [(px, py + 0.018) for px, py in spine[:-1]]
            + [spine[-1]]
            + [
                (px, py - 0.035 * (1 - abs(2 * i / 7 - 1)))
                for i, (px, py) in reversed(list(enumerate(spine[:-1])))
            ],
            c,
        )


def draw_cactus(pen, r):
    def limb(points, w):
        pen.line(points, w, (44, 84, 52))
        pen.line([(x - w * 0.22, y) for x, y in points], w * 0.35, (110, 148, 86))
        for x, y in (points[0], points[-1]):
            pen.blob(x, y, w / 2, (60, 100, 60))

    limb([(0.5, 0.0), (0.5, 0.9)], 0.13)
    for side in r.sample([-1, 1], r.randint(1, 2)):
        y = r.uniform(0.3, 0.5)
        limb([(0.5, y), (0.5 + side * 0.2, y), (0.5 + side * 0.2, y + r.uniform(0.15, 0.3))], 0.09)


def draw_branches(pen, r, x, y, angle, length, width, depth, color):
    x2, y2 = x + length * math.sin(angle), y + length * math.cos(angle) * 0.75
    pen.line([(x, y), (x2, y2)], width, mix(color, (30, 26, 30), 0.2 + 0.1 * depth))
    if depth:
        for s in (-1, 1):
            draw_branches(
                pen,
                r,
                x2,
                y2,
                angle + s * r.uniform(0.25, 0.6),
                length * r.uniform(0.62, 0.8),
                width * 0.66,
                depth - 1,
                color,
            )


def draw_blades(pen, r, n, h, dark, light, flower=None, glow=0):
    for _k in range(n):
        x, top = r.uniform(0.02, 0.98), h * r.uniform(0.45, 1.0)
        lean = r.uniform(-0.12, 0.12)
        c = mix(dark, light, r.random())
        pen.poly([(x - 0.012, 0), (x + 0.012, 0), (x + lean, top)], c)
        if flower and r.random() < 0.75:
            f = r.choice(flower)
            pen.blob(x + lean, top, r.uniform(0.022, 0.04), f, glow=glow)
            pen.blob(x + lean - 0.008, top + 0.006, 0.012, mix(f, (255, 255, 255), 0.5), glow=glow)


def draw_spikes(pen, r, n, h, stem, dark, light):
    """Lavender or wheat: stems with a long coloured ear."""
    for _ in range(n):
        x, top, lean = r.uniform(0.02, 0.98), h * r.uniform(0.6, 1), r.uniform(-0.08, 0.08)
        pen.line([(x, 0), (x + lean, top * 0.6)], 0.012, stem)
        for k in range(6):
            t = 0.5 + 0.5 * k / 6
            pen.blob(x + lean * t * 1.2, top * t, 0.022, mix(dark, light, r.random() * 0.6 + 0.07 * k), 1.3)


def draw_house(pen, r, snow=False):
    wall, roof = (
        r.choice([(214, 200, 176), (188, 160, 130), (230, 224, 212), (168, 120, 96)]),
        r.choice([(150, 66, 48), (92, 76, 74), (120, 84, 58)]),
    )
    if snow:
        roof = (232, 238, 248)
    pen.rect(0.1, 0, 0.9, 0.36, mix(wall, (60, 60, 80), 0.15))
    pen.rect(0.1, 0, 0.45, 0.36, wall)
    pen.poly([(0.04, 0.34), (0.96, 0.34), (0.8, 0.64), (0.22, 0.64)], mix(roof, (30, 30, 40), 0.2))
    pen.poly([(0.04, 0.34), (0.45, 0.34), (0.25, 0.66)], roof)
    pen.poly([(0.1, 0.34), (0.41, 0.34), (0.25, 0.58)], wall)
    pen.rect(0.66, 0.58, 0.74, 0.78, (120, 84, 72))
    pen.rect(0.22, 0, 0.31, 0.2, (80, 56, 44))
    for x in (0.52, 0.7):
        pen.rect(x, 0.13, x + 0.11, 0.27, (255, 205, 110), 255)
    pen.rect(0.21, 0.36, 0.3, 0.46, (255, 205, 110), 255)


def draw_coral(pen, r):
    c = r.choice(
        [(255, 96, 110), (255, 150, 70), (220, 90, 220), (250, 205, 90), (120, 220, 200), (255, 130, 170)]
    )
    if r.random() < 0.5:
        for _k in range(5):
            draw_branches(pen, r, 0.5, 0, r.uniform(-0.9, 0.9), 0.22, 0.06, 3, c)
    else:
        for _k in range(60):
            a, d = r.uniform(0, 3.14), math.sqrt(r.random()) * 0.42
            pen.blob(
                0.5 + d * math.cos(a),
                0.02 + 0.6 * d * math.sin(a),
                0.06,
                mix(
                    mix(c, (40, 20, 60), 0.4),
                    mix(c, (255, 255, 255), 0.3),
                    d * 1.6 * math.sin(a) + r.uniform(-0.1, 0.2),
                ),
            )


def draw_kelp(pen, r):
    for _ in range(5):
        x, ph, h = r.uniform(0.15, 0.85), r.uniform(0, 6), r.uniform(0.6, 0.98)
        pts = [(x + 0.06 * math.sin(ph + 7 * t), h * t) for t in np.linspace(0, 1, 16)]
        c = mix((30, 90, 50), (120, 160, 60), r.random())
        pen.line(pts, 0.022, c)
        for i, (px, py) in enumerate(pts[1:]):
            s = 1 if i % 2 else -1
            pen.poly(
                [(px, py), (px + s * 0.1, py + 0.035), (px, py + 0.02)],
                mix(c, (190, 210, 90), r.random() * 0.5),
            )


def draw_mushroom(pen, r):
    c = r.choice([(90, 230, 255), (255, 100, 220), (150, 255, 140), (180, 120, 255)])
    for _ in range(r.randint(1, 3)):
        x, h, w = r.uniform(0.3, 0.7), r.uniform(0.4, 0.85), r.uniform(0.16, 0.28)
        pen.poly([(x - 0.03, 0), (x + 0.03, 0), (x + 0.015, h), (x - 0.015, h)], (196, 190, 214), 60)
        cap = [(x + w * math.cos(a), h + w * 0.8 * math.sin(a)) for a in np.linspace(0, math.pi, 14)]
        pen.poly(cap, mix(c, (60, 20, 90), 0.35), 150)
        for _ in range(7):
            a, d = r.uniform(0.3, 2.8), r.uniform(0.2, 0.8) * w
            pen.blob(
                x + d * math.cos(a), h + 0.7 * d * math.sin(a), 0.02, mix(c, (255, 255, 255), 0.5), glow=255
            )


def draw_crystal(pen, r, c=None, glow=140):
    c = c or r.choice([(120, 220, 255), (230, 120, 255), (255, 150, 190), (140, 255, 210)])
    for _ in range(r.randint(4, 6)):
        a, h, w = r.uniform(-0.6, 0.6), r.uniform(0.4, 0.95), r.uniform(0.04, 0.08)
        tip, mid = (
            (0.5 + h * 0.5 * math.sin(a), h * math.cos(a)),
            (0.5 + h * 0.38 * math.sin(a), h * 0.8 * math.cos(a)),
        )
        pen.poly(
            [(0.5 - w, 0), (mid[0] - w, mid[1]), tip, (mid[0], mid[1]), (0.5, 0)],
            mix(c, (255, 255, 255), 0.45),
            glow,
        )
        pen.poly(
            [(0.5, 0), mid, tip, (mid[0] + w, mid[1]), (0.5 + w, 0)], mix(c, (20, 20, 80), 0.35), glow // 2
        )


def draw_rock(pen, r, base=(118, 110, 104), tall=0.55):
    pts = [
        (0.5 + 0.45 * math.cos(a) * r.uniform(0.8, 1.05), max(0, tall * math.sin(a) * r.uniform(0.75, 1.1)))
        for a in np.linspace(0, math.pi, 9)
    ]
    pen.poly(pts, mix(base, (30, 28, 40), 0.45))
    top = (r.uniform(0.4, 0.55), tall * 0.6)
    for k in range(8):
        pen.poly(
            [pts[k], pts[k + 1], top],
            mix(
                mix(base, (30, 28, 40), 0.5), mix(base, (255, 245, 230), 0.35), k / 7 + r.uniform(-0.15, 0.15)
            ),
        )


PLANT_DRAW = {
    "conifer": lambda p, r: draw_conifer(p, r),
    "snowy_conifer": lambda p, r: draw_conifer(p, r, (40, 62, 58), 0.85),
    "broadleaf": lambda p, r: draw_crown(p, r, (24, 52, 22), (134, 164, 62)),
    "autumn": lambda p, r: draw_crown(
        p,
        r,
        *r.choice(
            [((120, 34, 18), (250, 150, 40)), ((130, 70, 14), (255, 206, 70)), ((96, 20, 24), (228, 84, 50))]
        ),
    ),
    "blossom": lambda p, r: draw_crown(
        p, r, *r.choice([((176, 84, 122), (255, 214, 230)), ((196, 140, 170), (255, 244, 250))])
    ),
    "palm": draw_palm,
    "cactus": draw_cactus,
    "dead_tree": lambda p, r: [
        draw_branches(p, r, 0.5, 0, r.uniform(-0.12, 0.12), 0.3, 0.06, 5, (74, 62, 58))
    ],
    "grass": lambda p, r: draw_blades(p, r, 90, 0.5, (44, 74, 28), (150, 176, 72)),
    "flowers": lambda p, r: draw_blades(
        p,
        r,
        80,
        0.5,
        (44, 84, 34),
        (140, 180, 80),
        [(255, 255, 255), (255, 214, 70), (240, 110, 160), (160, 110, 240), (240, 80, 60)],
    ),
    "house": draw_house,
    "coral": draw_coral,
    "kelp": draw_kelp,
    "mushroom": draw_mushroom,
    "crystal": draw_crystal,
    "rock": draw_rock,
    "reeds": lambda p, r: draw_spikes(p, r, 26, 0.9, (104, 116, 62), (104, 74, 44), (176, 140, 84)),
    "cypress": lambda p, r: draw_conifer(p, r, (30, 60, 36), 0, 0.42),
    "snowy_house": lambda p, r: draw_house(p, r, True),
    "poppies": lambda p, r: draw_blades(
        p, r, 90, 0.5, (50, 84, 34), (130, 170, 70), [(230, 40, 30), (250, 70, 40), (214, 24, 34)]
    ),
    "lavender": lambda p, r: draw_spikes(p, r, 46, 0.55, (90, 120, 84), (84, 54, 150), (190, 150, 240)),
    "wheat": lambda p, r: draw_spikes(p, r, 56, 0.6, (170, 140, 70), (190, 140, 54), (250, 216, 120)),
    "birch": lambda p, r: draw_crown(p, r, (70, 96, 30), (196, 206, 90), 0.62, 0.24, 0.34, (220, 216, 206)),
    "ice": lambda p, r: draw_crystal(p, r, (190, 226, 245), 0),
}
PLANTS = list(PLANT_DRAW)


def draw_lighthouse(p, r):
    draw_rock(p, r, (104, 98, 92), 0.2)
    for k in range(6):
        y0, y1, w0, w1 = 0.12 + 0.11 * k, 0.23 + 0.11 * k, 0.085 - 0.006 * k, 0.079 - 0.006 * k
        c = (236, 232, 226) if k % 2 else (206, 52, 44)
        p.poly([(0.5 - w0, y0), (0.5 + w0, y0), (0.5 + w1, y1), (0.5 - w1, y1)], mix(c, (40, 40, 70), 0.3))
        p.poly([(0.5 - w0, y0), (0.5 + w0 * 0.1, y0), (0.5 + w1 * 0.1, y1), (0.5 - w1, y1)], c)
    p.rect(0.43, 0.78, 0.57, 0.8, (60, 60, 66))
    p.rect(0.455, 0.8, 0.545, 0.88, (255, 236, 160), 255)
    p.poly([(0.44, 0.88), (0.56, 0.88), (0.5, 0.96)], (170, 44, 40))


def draw_castle(p, r):
    stone = r.choice([(168, 156, 146), (196, 182, 160), (136, 132, 142)])
    roof = r.choice([(70, 84, 124), (136, 60, 52), (84, 70, 110)])
    for x, w, h in (
        (0.5, 0.13, 0.62),
        (0.26, 0.09, 0.5),
        (0.74, 0.09, 0.46),
        (0.12, 0.07, 0.36),
        (0.89, 0.07, 0.34),
        (0.4, 0.06, 0.74),
        (0.62, 0.05, 0.7),
    ):
        p.rect(x - w / 2, 0, x + w / 2, h, mix(stone, (40, 40, 66), 0.3))
        p.rect(x - w / 2, 0, x + w * 0.1, h, stone)
        p.poly([(x - w * 0.62, h), (x + w * 0.62, h), (x, h + w * 2.1)], mix(roof, (20, 20, 40), 0.25))
        p.poly([(x - w * 0.62, h), (x, h), (x, h + w * 2.1)], roof)
        p.rect(x - 0.012, h - 0.12, x + 0.012, h - 0.07, (255, 206, 110), 255)
    p.rect(0.08, 0, 0.92, 0.24, mix(stone, (60, 56, 80), 0.15))
    for k in range(14):
        p.rect(0.08 + k * 0.06, 0.24, 0.115 + k * 0.06, 0.27, mix(stone, (60, 56, 80), 0.15))
    p.rect(0.46, 0, 0.54, 0.13, (50, 40, 38))
    for k in range(6):
        p.rect(0.16 + 0.13 * k, 0.13, 0.18 + 0.13 * k, 0.17, (255, 206, 110), 255)


def draw_sailboat(p, r):
    c = r.choice([(250, 246, 236), (240, 120, 70), (220, 60, 60), (250, 220, 150)])
    p.poly([(0.2, 0.1), (0.8, 0.1), (0.72, 0.0), (0.28, 0.0)], (96, 58, 40))
    p.poly([(0.18, 0.12), (0.82, 0.12), (0.8, 0.09), (0.2, 0.09)], (180, 130, 90))
    p.line([(0.5, 0.1), (0.5, 0.95)], 0.012, (70, 52, 40))
    p.poly([(0.52, 0.14), (0.82, 0.16), (0.52, 0.92)], mix(c, (60, 60, 90), 0.25))
    p.poly([(0.48, 0.14), (0.24, 0.16), (0.48, 0.82)], c)


def balloon_seam(x):
    """Points of the seam at -1..1 across the balloon, bottom to top."""
    steps = np.linspace(0.35, math.pi, 14)
    return [(0.5 + x * 0.36 * math.sin(t) ** 0.8, 0.62 - 0.36 * math.cos(t)) for t in steps]


def draw_balloon(p, r):
    cols = r.choice(
        [
            [(226, 60, 50), (250, 210, 90)],
            [(60, 110, 200), (245, 245, 245)],
            [(240, 130, 40), (120, 50, 130)],
            [(70, 170, 140), (250, 240, 200)],
            [(230, 80, 140), (255, 200, 220)],
        ]
    )
    n = 9
    for k in range(n):
        a0, a1 = math.pi * k / n, math.pi * (k + 1) / n
        x0, x1 = -math.cos(a0), -math.cos(a1)
        c = mix(cols[k % 2], (30, 24, 50), 0.45 * max(0, (x0 + x1) / 2) + 0.05)
        p.poly(balloon_seam(x0) + list(reversed(balloon_seam(x1))), c)
    p.line([(0.42, 0.3), (0.46, 0.13)], 0.006, (60, 50, 40))
    p.line([(0.58, 0.3), (0.54, 0.13)], 0.006, (60, 50, 40))
    p.rect(0.45, 0.04, 0.55, 0.13, (120, 80, 46))
    p.blob(0.5, 0.26, 0.03, (255, 190, 80), glow=255)


def draw_birds(p, r):
    for _ in range(r.randint(4, 9)):
        x, y, s, f = r.uniform(0.1, 0.9), r.uniform(0.2, 0.8), r.uniform(0.03, 0.07), r.uniform(-0.4, 1)
        p.line(
            [
                (x - s, y + s * f),
                (x - s * 0.4, y + s * 0.55),
                (x, y),
                (x + s * 0.4, y + s * 0.55),
                (x + s, y + s * f),
            ],
            0.01,
            (36, 34, 40),
        )


def draw_windmill(p, r):
    p.poly([(0.36, 0), (0.64, 0), (0.58, 0.55), (0.42, 0.55)], (190, 176, 160))
    p.poly([(0.36, 0), (0.5, 0), (0.5, 0.55), (0.42, 0.55)], (228, 216, 200))
    p.poly([(0.4, 0.55), (0.6, 0.55), (0.5, 0.68)], (110, 62, 48))
    p.rect(0.46, 0, 0.54, 0.13, (80, 54, 44))
    p.rect(0.47, 0.3, 0.53, 0.38, (255, 210, 120), 255)
    a0 = r.uniform(0, 1.5)
    for k in range(4):
        a = a0 + k * math.pi / 2
        dx, dy = math.cos(a), math.sin(a)
        p.line([(0.5, 0.58), (0.5 + 0.36 * dx, 0.58 + 0.36 * dy)], 0.014, (90, 66, 50))
        p.poly(
            [
                (0.5 + 0.08 * dx, 0.58 + 0.08 * dy),
                (0.5 + 0.36 * dx, 0.58 + 0.36 * dy),
                (0.5 + 0.36 * dx - 0.07 * dy, 0.58 + 0.36 * dy + 0.07 * dx),
                (0.5 + 0.08 * dx - 0.07 * dy, 0.58 + 0.08 * dy + 0.07 * dx),
            ],
            (244, 232, 208),
        )


def draw_pagoda(p, r):
    roof = r.choice([(64, 74, 84), (150, 52, 44), (56, 96, 84)])
    for k in range(5):
        y, w = 0.02 + 0.17 * k, 0.3 - 0.045 * k
        p.rect(0.5 - w * 0.7, y, 0.5 + w * 0.7, y + 0.12, (188, 74, 54))
        p.rect(0.5, y, 0.5 + w * 0.7, y + 0.12, (136, 50, 44))
        for j in (-1, 0, 1):
            p.rect(
                0.5 + j * w * 0.4 - 0.02, y + 0.03, 0.5 + j * w * 0.4 + 0.02, y + 0.09, (255, 208, 120), 255
            )
        p.poly(
            [
                (0.5 - w * 1.25, y + 0.12),
                (0.5 - w * 0.9, y + 0.115),
                (0.5 + w * 0.9, y + 0.115),
                (0.5 + w * 1.25, y + 0.12),
                (0.5 + w * 0.6, y + 0.19),
                (0.5 - w * 0.6, y + 0.19),
            ],
            roof,
        )
    p.line([(0.5, 0.85), (0.5, 0.98)], 0.014, (210, 170, 80))


def draw_traveler(p, r):
    c = r.choice([(40, 40, 50), (150, 40, 40), (50, 60, 100)])
    p.line([(0.46, 0), (0.48, 0.4)], 0.07, (36, 34, 40))
    p.line([(0.55, 0), (0.52, 0.4)], 0.07, (30, 28, 36))
    p.poly([(0.38, 0.32), (0.62, 0.32), (0.58, 0.78), (0.42, 0.78)], c)
    p.blob(0.5, 0.87, 0.075, (70, 52, 46), 1.1)
    p.rect(0.36, 0.48, 0.46, 0.74, mix(c, (120, 90, 60), 0.6))


def draw_fish(p, r):
    c = r.choice([(255, 170, 60), (120, 200, 255), (255, 240, 110), (240, 110, 120)])
    for _ in range(r.randint(5, 10)):
        x, y, s = r.uniform(0.12, 0.88), r.uniform(0.1, 0.9), r.uniform(0.04, 0.08)
        k = mix(c, (40, 60, 120), r.random() * 0.4)
        p.blob(x, y, s, k, 0.5)
        p.poly([(x + s * 0.8, y), (x + s * 1.6, y + s * 0.5), (x + s * 1.6, y - s * 0.5)], k)


def draw_ufo(p, r):
    p.blob(0.5, 0.56, 0.16, (170, 220, 235), 0.8, 120)
    p.blob(0.5, 0.5, 0.4, (120, 124, 140), 0.28)
    p.blob(0.5, 0.52, 0.38, (180, 184, 200), 0.2)
    for k in range(7):
        p.blob(0.2 + 0.1 * k, 0.47 - 0.03 * math.sin(math.pi * k / 6), 0.022, (140, 255, 200), glow=255)


def draw_jellyfish(p, r):
    c = r.choice([(255, 150, 220), (150, 200, 255), (200, 150, 255)])
    p.poly(
        [(0.5 + 0.28 * math.cos(a), 0.6 + 0.26 * math.sin(a)) for a in np.linspace(0, math.pi, 20)], c, 120
    )
    for k in range(9):
        x = 0.26 + 0.06 * k
        p.line(
            [
                (x + 0.03 * math.sin(3 * t + k), 0.6 - 0.55 * t * (0.6 + 0.4 * math.sin(k * 2) ** 2))
                for t in np.linspace(0, 1, 10)
            ],
            0.014,
            mix(c, (255, 255, 255), 0.3),
            90,
        )


def draw_tower(p, r):
    c = (110, 112, 130)
    p.poly([(0.42, 0), (0.58, 0), (0.53, 0.8), (0.47, 0.8)], c)
    p.poly([(0.42, 0), (0.5, 0), (0.5, 0.8), (0.47, 0.8)], mix(c, (255, 255, 255), 0.25))
    p.blob(0.5, 0.66, 0.12, (150, 154, 170), 0.5)
    p.line([(0.5, 0.8), (0.5, 0.99)], 0.012, (190, 60, 60))
    for k in range(7):
        p.rect(0.41 + 0.028 * k, 0.655, 0.425 + 0.028 * k, 0.68, (255, 220, 140), 255)


def draw_ship(p, r):
    p.poly([(0.06, 0.2), (0.94, 0.22), (0.82, 0.0), (0.16, 0.0)], (84, 52, 38))
    p.rect(0.06, 0.17, 0.2, 0.28, (110, 70, 48))
    p.line([(0.94, 0.22), (1, 0.3)], 0.012, (84, 52, 38))
    for x, h in ((0.28, 0.75), (0.5, 0.92), (0.72, 0.74)):
        p.line([(x, 0.18), (x, h)], 0.014, (60, 42, 32))
        for k in range(3):
            y = 0.26 + (h - 0.3) * k / 3
            w = 0.11 - 0.018 * k
            p.poly(
                [(x - w, y), (x + w, y), (x + w * 0.8, y + 0.17 * h), (x - w * 0.8, y + 0.17 * h)],
                mix((238, 226, 202), (120, 110, 120), 0.12 * k + (0.15 if x > 0.5 else 0)),
            )


def draw_whale(p, r):
    c = (58, 72, 92)
    p.poly([(0.44, 0), (0.56, 0), (0.53, 0.45), (0.47, 0.45)], c)
    p.poly(
        [
            (0.5, 0.42),
            (0.3, 0.62),
            (0.1, 0.66),
            (0.22, 0.78),
            (0.5, 0.6),
            (0.78, 0.78),
            (0.9, 0.66),
            (0.7, 0.62),
        ],
        mix(c, (150, 170, 190), 0.2),
    )


OBJECT_DRAW = {
    "lighthouse": draw_lighthouse,
    "castle": draw_castle,
    "sailboat": draw_sailboat,
    "balloon": draw_balloon,
    "birds": draw_birds,
    "windmill": draw_windmill,
    "pagoda": draw_pagoda,
    "traveler": draw_traveler,
    "fish": draw_fish,
    "ufo": draw_ufo,
    "jellyfish": draw_jellyfish,
    "tower": draw_tower,
    "ship": draw_ship,
    "whale": draw_whale,
    "lone_tree": lambda p, r: draw_crown(p, r, (24, 46, 22), (128, 158, 64), n=260),
    "cherry_tree": lambda p, r: draw_crown(p, r, (176, 84, 122), (255, 214, 230), n=260),
    "spire": lambda p, r: draw_rock(p, r, (120, 108, 100), 0.98),
    "cabin": draw_house,
    "palm_tree": draw_palm,
}
OBJECTS = list(OBJECT_DRAW)
