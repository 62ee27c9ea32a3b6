"""Sprites of repeated objects: trees, grass, houses, corals, crystals."""

from __future__ import annotations

import math

import numpy as np

from tools.demo_model.pen import mix


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
