"""Shared parts of scene builders: tables of light and ground, neutral numbers, plants."""

from __future__ import annotations

import math

import numpy as np

from tools.demo_model.drawings import PLANTS

TAU = 2 * math.pi


OBJECT_SLOTS = 5


def srgb(r, g, b):
    """sRGB bytes to linear light, 3 floats."""
    return [(v / 255) ** 2.2 for v in (r, g, b)]


# sky: zenith, middle, horizon; sun colour, its power, ambient light, elevation (degrees), stars, glow, lit windows
TIMES = {
    "dawn": {
        "sky": [(86, 122, 178), (224, 178, 178), (255, 212, 158)],
        "sun": (255, 186, 128),
        "power": 2.3,
        "amb": 0.75,
        "elev": (3, 10),
        "stars": 0,
        "glow": 1.0,
        "lit": 0.35,
    },
    "day": {
        "sky": [(38, 98, 190), (98, 164, 226), (198, 224, 238)],
        "sun": (255, 244, 222),
        "power": 2.5,
        "amb": 0.8,
        "elev": (30, 62),
        "stars": 0,
        "glow": 0.35,
        "lit": 0,
    },
    "golden": {
        "sky": [(84, 134, 186), (226, 192, 134), (255, 216, 144)],
        "sun": (255, 186, 88),
        "power": 3.0,
        "amb": 0.7,
        "elev": (7, 18),
        "stars": 0,
        "glow": 1.0,
        "lit": 0.1,
    },
    "sunset": {
        "sky": [(58, 62, 128), (226, 108, 84), (255, 172, 66)],
        "sun": (255, 112, 42),
        "power": 2.5,
        "amb": 0.6,
        "elev": (1, 6),
        "stars": 0.05,
        "glow": 1.5,
        "lit": 0.6,
    },
    "dusk": {
        "sky": [(18, 28, 76), (54, 72, 140), (196, 124, 130)],
        "sun": (140, 120, 170),
        "power": 0.5,
        "amb": 0.85,
        "elev": (2, 8),
        "stars": 0.35,
        "glow": 0.5,
        "lit": 1.0,
    },
    "night": {
        "sky": [(5, 8, 26), (12, 21, 56), (34, 52, 94)],
        "sun": (142, 170, 228),
        "power": 0.62,
        "amb": 0.9,
        "elev": (14, 50),
        "stars": 1.0,
        "glow": 0.25,
        "lit": 1.0,
    },
}


TIME_P = {"dawn": 0.14, "day": 0.32, "golden": 0.12, "sunset": 0.17, "dusk": 0.09, "night": 0.16}


WEATHER_P = {
    "clear": 0.36,
    "cloudy": 0.26,
    "fog": 0.12,
    "storm": 0.08,
    "rain": 0.04,
    "snowfall": 0.05,
    "aurora": 0.06,
    "rainbow": 0.03,
}


SEASONS = ["spring", "summer", "autumn", "winter"]


PALETTES = [
    "",
    "golden",
    "pastel",
    "teal and orange",
    "crimson",
    "violet",
    "monochrome",
    "emerald",
    "sepia",
    "vivid",
]


PALETTE_P = [0.6, 0.05, 0.06, 0.06, 0.045, 0.055, 0.045, 0.03, 0.025, 0.03]


STYLES = [
    "photo",
    "oil painting",
    "watercolor",
    "ink sketch",
    "pixel art",
    "synthwave",
    "low poly",
    "stained glass",
    "comic",
    "ukiyo-e",
]


STYLE_P = [0.58, 0.06, 0.055, 0.05, 0.045, 0.06, 0.045, 0.035, 0.04, 0.03]


# ground colours: low, middle, rock (sRGB)
GROUNDS = {
    "green": [(66, 88, 44), (98, 110, 58), (116, 108, 100)],
    "alpine": [(70, 92, 50), (112, 110, 80), (112, 108, 110)],
    "autumn": [(140, 112, 52), (168, 116, 54), (116, 104, 96)],
    "sand": [(222, 178, 118), (232, 194, 138), (196, 140, 92)],
    "red": [(176, 92, 54), (206, 126, 76), (170, 84, 54)],
    "snow": [(196, 208, 226), (212, 222, 236), (112, 116, 130)],
    "ash": [(52, 48, 50), (70, 62, 60), (58, 52, 54)],
    "city": [(84, 86, 92), (104, 104, 110), (120, 118, 120)],
    "reef": [(186, 176, 140), (150, 150, 130), (110, 110, 112)],
    "spring": [(78, 112, 48), (108, 132, 62), (124, 116, 106)],
    "beach": [(232, 208, 160), (98, 124, 58), (122, 112, 100)],
}


ALIEN_GROUNDS = [
    [(88, 44, 110), (150, 70, 130), (70, 40, 90)],
    [(24, 84, 92), (40, 130, 120), (44, 60, 80)],
    [(170, 70, 50), (210, 110, 60), (110, 50, 50)],
    [(60, 60, 90), (110, 100, 140), (50, 50, 74)],
]


SCENES = {}


def scene(name, weight):
    """Register a scene builder: it edits the parameter dict `p` and returns the chosen sub-kind (or "")."""

    def register(build):
        SCENES[name] = (build, weight)
        return build

    return register


def uni(r, a, b):
    """Uniform random number."""
    return float(r.uniform(a, b))


def logu(r, a, b):
    """Random number, uniform in its logarithm."""
    return float(math.exp(r.uniform(math.log(a), math.log(b))))


def plants(p, slot, kinds, size, cover, near, far, clump, water=0.8):
    """Vegetation system `slot` (0 large, 1 undergrowth): species, height (m), cover 0..1, depth range (m)."""
    for k in range(3):
        p[f"v{slot}_kind{k}"] = PLANTS.index(kinds[k % len(kinds)])
    p.update(
        {
            f"v{slot}_size": size,
            f"v{slot}_cover": cover,
            f"v{slot}_near": near,
            f"v{slot}_far": far,
            f"v{slot}_clump": clump,
            f"v{slot}_water": water,
        }
    )


def ground(p, name, rng=None, jitter=9):
    """Three ground colours with a slight random tint."""
    colours = GROUNDS[name] if isinstance(name, str) else name
    shift = rng.normal(0, jitter, 3) if rng is not None else np.zeros(3)
    p["ground"] = [srgb(*np.clip(np.array(c) + shift, 4, 250)) for c in colours]


def trees_for(season, base=("conifer", "broadleaf", "conifer")):
    """Three species for a season; `base` are those of summer."""
    return {
        "spring": ("broadleaf", "blossom", base[0]),
        "summer": base,
        "autumn": ("autumn", "autumn", base[0]),
        "winter": ("snowy_conifer", "snowy_conifer", "dead_tree"),
    }[season]


# fmt: off
NEUTRAL = {
    "L": 1500.0, "fbm": 0.0, "ridge": 0.0, "env0": 0.0, "env1": 1.0, "base": 20.0, "gain": 0.5, "dune": 0.0,
    "dune_l": 120.0, "terr": 0.0, "terr_step": 60.0, "canyon": 0.0, "canyon_w": 120.0, "meander": 60.0,
    "meander_l": 900.0, "cone": 0.0, "cone_r": 900.0, "cone_x": 0.0, "cone_z": 2500.0, "crater": 0.0,
    "pyramid": 0.0, "river": 0.0, "river_w": 18.0, "city": 0.0, "city_cell": 46.0, "cliff": 0.0,
    "cliff_z": 240.0, "fall_w": 0.0, "waterline": -10000.0, "strata": 0.0, "snowline": 10000.0, "snow": 0.0,
    "lava": 0.0, "beach": 0.0, "patch": 0.5, "rocky": 1.0, "height": 6.0, "tan": 0.62, "horizon": 0.1,
    "fog": 0.00011111111111111112, "haze": 1.0, "cover": 0.25, "storm": 0.0, "stars": 0.0, "aurora": 0.0,
    "rain": 0.0, "flakes": 0.0, "rainbow": 0.0, "bolt": 0.0, "moon": 0.0, "planet": 0.0, "planet_x": 0.0,
    "planet_y": 0.3, "planet_r": 0.15, "ring": 0.0, "nebula": 0.0, "smoke": 0.0, "under": 0.0,
    "caustic": 0.0, "wave": 1.0, "grid": 0.0, "retro": 0.0, "turbid": 0.35, "side": 0.0, "side_x": 0.0,
    "side_w": 60.0, "alien": 0.0, "front": 0.0, "aurora_hue": 0.0, "rainbow_x": 0.0,
}
# fmt: on


def defaults():
    """All scalar parameters with neutral values."""
    p = dict(NEUTRAL)
    for slot in (0, 1):
        plants(p, slot, ("grass",), 1.0, 0.0, 5.0, 50.0, 40.0)
    return p
