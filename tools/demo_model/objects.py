"""Sprites of single objects: lighthouse, castle, ships, balloons, animals."""

from __future__ import annotations

import math

import numpy as np

from tools.demo_model.pen import mix
from tools.demo_model.plants import draw_crown, draw_house, draw_palm, draw_rock


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
