"""Random scenes: the parameters of the renderer (builder, daylight, single objects) and the words for captions."""

from __future__ import annotations

import math

import numpy as np
import torch

from tools.demo_model import scene_builders  # noqa: F401 (it registers the scenes)
from tools.demo_model.drawings import OBJECTS
from tools.demo_model.scene_parts import (
    OBJECT_SLOTS,
    PALETTE_P,
    PALETTES,
    SCENES,
    SEASONS,
    STYLE_P,
    STYLES,
    TAU,
    TIME_P,
    TIMES,
    WEATHER_P,
    defaults,
    srgb,
    uni,
)

# a scene with one of these never has snow falling
SNOWLESS = ("desert", "island", "beach", "reef", "alien", "volcano", "canyon")
GRADED = ("photo", "oil painting", "low poly", "comic")


def chosen(rng, fixed):
    """Scene, time, weather, season, style and palette: pinned by `fixed` or random, and made consistent."""
    names = list(SCENES)
    weights = np.array([SCENES[n][1] for n in names])
    name = fixed.get("scene") or str(rng.choice(names, p=weights / weights.sum()))
    time = fixed.get("time") or str(rng.choice(list(TIME_P), p=list(TIME_P.values())))
    weather = fixed.get("weather") or str(rng.choice(list(WEATHER_P), p=list(WEATHER_P.values())))
    season = fixed.get("season") or str(rng.choice(SEASONS, p=[0.2, 0.4, 0.2, 0.2]))
    style = fixed.get("style") or str(rng.choice(STYLES, p=STYLE_P))
    palette = fixed.get("palette")
    if palette is None:
        palette = str(rng.choice(PALETTES, p=PALETTE_P)) if style in GRADED else ""
    if weather == "aurora" and not fixed.get("time"):
        time = "night"
    if weather == "aurora" and time != "night":
        weather = "clear"
    if weather == "rainbow" and time in ("night", "dusk"):
        weather = "cloudy"
    if weather == "snowfall" and not fixed.get("season"):
        season = "winter"
    if name == "reef" or (weather == "snowfall" and (season != "winter" or name in SNOWLESS)):
        weather = "clear"
    facts = {"scene": name, "time": time, "weather": weather}
    return facts | {"season": season, "palette": palette, "style": style}


def sample(rng, fixed=None):
    """One random scene: (params: dict of floats and colour lists, words: dict for the caption).

    `fixed` may pin any of scene, time, weather, season, palette, style; `rng` is a numpy Generator.
    """
    fixed = fixed or {}
    words = chosen(rng, fixed)
    p = defaults()
    words["kind"] = str(SCENES[words["scene"]][0](p, rng, words["season"]))
    p.update(ox=uni(rng, 0, 5e4), oz=uni(rng, 0, 5e4), seed=uni(rng, 0, 900))
    if words["style"] == "synthwave":
        p.update(grid=1.0, retro=float(rng.random() < 0.75))
        words["time"] = fixed.get("time") or str(rng.choice(["sunset", "dusk", "night"]))
    sky_params(p, rng, words["time"], words["weather"], words["scene"])
    if p["retro"]:
        p.update(sun_x=uni(rng, -0.2, 0.2), sun_y=uni(rng, 0.12, 0.2), sun_z=0.98)
    words["objects"] = place_objects(p, rng, words["scene"])
    words["high"], words["wide"] = p["height"] > 45, p["tan"] > 0.7
    p["style"], p["palette"] = STYLES.index(words["style"]), PALETTES.index(words["palette"])
    return p, words


def collate(params, device="cpu"):
    """List of parameter dicts -> dict of tensors: [B] for scalars, [B, 3, 3] or [B, 3] for colours."""
    return {k: torch.tensor(np.array([q[k] for q in params], np.float32), device=device) for k in params[0]}


def sky_params(p, r, time, weather, name):
    """Put sun, sky colours and clouds for a time of day and a weather into the parameter dict p."""
    t = TIMES[time]
    tint = r.normal(0, 5, (3, 3)) if time != "night" else r.normal(0, 2, (3, 3))
    pairs = zip(t["sky"], tint, strict=True)
    sky = np.array([srgb(*np.clip(np.array(c) + d, 2, 255)) for c, d in pairs])
    sun = np.array(srgb(*t["sun"])) * t["power"]
    place_sun(p, r, time, t)
    if name == "alien" and r.random() < 0.7:
        sky = sky[:, r.permutation(3)] * (0.75 if time == "day" else 1.0)
        p["stars"] = max(p["stars"], 0.4)
    sky, sun = weathered(p, r, weather, sky, sun)
    if p["under"]:
        sky, sun = under_water(p, r, time)
    p["sky"], p["sun"] = sky.tolist(), sun.tolist()


def place_sun(p, r, time, t):
    """Direction of the sun (or moon), and the numbers that depend on the time of day alone."""
    elev = math.radians(uni(r, *t["elev"]))
    front = r.random() < (0.62 if time in ("sunset", "dawn", "golden") else 0.3)
    az = uni(r, -0.5, 0.5) if front else uni(r, 0.7, TAU - 0.7)
    flat, night = math.cos(elev), float(time == "night")
    p.update(sun_x=math.sin(az) * flat, sun_y=math.sin(elev), sun_z=math.cos(az) * flat)
    p.update(stars=t["stars"] * uni(r, 0.6, 1.0), glow=t["glow"], lit=t["lit"], amb=t["amb"])
    p.update(moon=night, night=night, cover=uni(r, 0.0, 0.28))


def weathered(p, r, weather, sky, sun):
    """Sky [3, 3] and sun [3] colours under a weather; its other numbers go into p."""
    if weather == "cloudy":
        p["cover"] = uni(r, 0.45, 0.75)
    grey = sky.mean(1, keepdims=True) * np.array([[0.92, 1.0, 1.12]])
    if weather in ("storm", "rain"):
        storm = weather == "storm"
        p.update(
            cover=0.95, storm=1.0 if storm else 0.5, rain=float(not storm or r.random() < 0.5), stars=0.0
        )
        p.update(bolt=float(storm and r.random() < 0.6), glow=p["glow"] * 0.2)
        sky, sun = (grey * 0.8 + sky * 0.2) * (0.42 if storm else 0.65), sun * 0.34
    if weather == "fog":
        p.update(fog=p["fog"] * uni(r, 6, 14), haze=1.4)
        sky, sun = sky * 0.6 + grey * 0.4, sun * 0.55
        sky[0] = sky[0] * 0.5 + sky[2] * 0.5
    if weather == "snowfall":
        p.update(flakes=1.0, cover=0.9, fog=p["fog"] * 4, stars=0.0)
        sky, sun = grey * 0.85 + sky * 0.15, sun * 0.3
    if weather == "aurora":
        p.update(aurora=uni(r, 0.5, 1.0), cover=uni(r, 0, 0.15), stars=1.0, aurora_hue=uni(r, 0, 1))
    if weather == "rainbow":
        p.update(rainbow=uni(r, 0.5, 1.0), cover=uni(r, 0.35, 0.6), rainbow_x=uni(r, -0.5, 0.5))
    return sky, sun


def under_water(p, r, time):
    """Sky [3, 3] and sun [3] colours under water, where there is no weather."""
    depth, dark = uni(r, 0.55, 1.0), 0.35 if time in ("night", "dusk") else 1.0
    sky = np.array([srgb(120, 225, 235), srgb(50, 160, 205), srgb(24, 104, 160)]) * depth * dark
    p.update(sun_x=0.2, sun_y=0.95, sun_z=0.2, cover=0.0, rain=0.0, flakes=0.0, bolt=0.0, rainbow=0.0)
    p.update(stars=0.0, moon=0.0, glow=0.0, aurora=0.0)
    return sky, np.array(srgb(238, 246, 240)) * 2.2 * max(dark, 0.3)


# which objects may stand in which scene: (object, size range m, where)
OBJECTS_IN = {
    "lighthouse": (("coast", "ocean", "island", "arctic", "beach"), (34, 55), "shore"),
    "castle": (
        ("mountains", "lake", "meadow", "forest", "river", "village", "snow", "coast"),
        (70, 150),
        "grand",
    ),
    "sailboat": (("lake", "ocean", "coast", "island", "beach", "river"), (9, 16), "water"),
    "ship": (("ocean", "coast", "island", "arctic"), (28, 48), "water"),
    "balloon": (
        (
            "mountains",
            "canyon",
            "desert",
            "lake",
            "meadow",
            "fields",
            "river",
            "village",
            "city",
            "forest",
            "snow",
        ),
        (26, 48),
        "sky",
    ),
    "birds": (
        (
            "mountains",
            "lake",
            "coast",
            "ocean",
            "beach",
            "island",
            "meadow",
            "fields",
            "river",
            "city",
            "canyon",
            "forest",
            "desert",
        ),
        (30, 60),
        "sky",
    ),
    "windmill": (("meadow", "fields", "village", "river"), (22, 34), "land"),
    "pagoda": (("mountains", "lake", "forest", "river", "waterfall", "meadow"), (34, 60), "land"),
    "traveler": (
        ("mountains", "desert", "snow", "canyon", "meadow", "beach", "alien", "forest", "volcano", "fields"),
        (1.8, 1.9),
        "near",
    ),
    "fish": (("reef",), (2.5, 5), "swim"),
    "jellyfish": (("reef",), (2, 4), "swim"),
    "ufo": (("alien", "city", "desert"), (40, 70), "sky"),
    "tower": (("city",), (280, 380), "skyline"),
    "whale": (("ocean", "arctic"), (14, 20), "water"),
    "lone_tree": (("meadow", "desert", "fields", "lake"), (12, 18), "land"),
    "cherry_tree": (("lake", "meadow", "village", "river"), (9, 13), "land"),
    "spire": (("alien", "coast", "ocean", "canyon"), (50, 110), "any"),
    "cabin": (("mountains", "lake", "forest", "snow", "meadow", "river"), (7, 9), "land"),
    "palm_tree": (("beach", "island"), (9, 14), "tall"),
}


OFTEN = {
    "castle": 3.0,
    "palm_tree": 4.0,
    "sailboat": 2.0,
    "ship": 1.5,
    "lighthouse": 1.6,
    "cabin": 1.5,
    "windmill": 1.3,
}


# how many of an object may stand together: (fewest, most)
MANY = {
    "balloon": (1, 4),
    "fish": (2, 4),
    "sailboat": (1, 3),
    "birds": (1, 2),
    "palm_tree": (1, 3),
    "jellyfish": (1, 3),
}
SLOT_KEYS = ("on", "kind", "u", "z", "lift", "size", "sky", "need", "variant")
EMPTY_SLOT = {**dict.fromkeys(SLOT_KEYS, 0.0), "z": 50.0, "size": 1.0}
SHARE_WITH_OBJECTS = {"reef": 1.0, "ocean": 0.85, "beach": 0.85, "island": 0.75}


def place_objects(p, r, name):
    """Fill the object slots of p for scene `name`; returns the words of the objects placed."""
    allowed = [o for o, (where, _, _) in OBJECTS_IN.items() if name in where]
    slots, words = [], []
    if allowed and r.random() < SHARE_WITH_OBJECTS.get(name, 0.64):
        weights = np.array([OFTEN.get(o, 1.0) for o in allowed])
        count = min(len(allowed), 1 + int(r.random() < 0.3))
        for word in r.choice(allowed, count, replace=False, p=weights / weights.sum()):
            if word == "tower" and p["waterline"] < -100 and r.random() < 0.3:
                continue
            words.append(str(word))
            _, size, where = OBJECTS_IN[word]
            fewest, most = MANY.get(word, (1, 1))
            wanted = min(int(r.integers(fewest, most + 1)), OBJECT_SLOTS - len(slots))
            slots += [one_object(p, r, word, uni(r, *size), where) for _ in range(wanted)]
    for k, slot in enumerate(slots + [EMPTY_SLOT] * (OBJECT_SLOTS - len(slots))):
        p.update({f"o{k}_{key}": float(slot[key]) for key in SLOT_KEYS})
    return words


def one_object(p, r, word, size, where):
    """One object slot: screen direction u (tangent units), depth z (m), lift (m above ground, or slope when `sky`)."""
    apparent = {
        "sky": uni(r, 0.05, 0.16),
        "swim": uni(r, 0.18, 0.42),
        "near": uni(r, 0.05, 0.14),
        "skyline": uni(r, 0.45, 0.7),
        "water": uni(r, 0.1, 0.42),
        "grand": uni(r, 0.28, 0.62),
        "tall": uni(r, 0.4, 0.85),
    }.get(where, uni(r, 0.16, 0.42))
    z = size / (apparent * 2 * p["tan"])
    if where == "skyline":
        z = uni(r, 700, 1100)
    if where == "water":
        z = max(z, p["height"] / (p["tan"] * 0.9))
    if where == "near":
        z = max(z, 9.0)
    u = uni(r, -0.75, 0.75) * p["tan"]
    lift = uni(r, 0.12, 0.75) * p["tan"] if where in ("sky", "swim") else 0.0
    if word == "birds":
        lift = uni(r, 0.2, 0.7) * p["tan"]
    return {
        "on": 1.0,
        "kind": OBJECTS.index(word),
        "u": u,
        "z": z,
        "lift": lift,
        "size": size,
        "sky": float(where in ("sky", "swim")),
        "need": {"water": -1.0, "shore": 0.0, "any": 0.0, "skyline": 0.0}.get(where, 1.0),
        "variant": r.integers(6),
    }
