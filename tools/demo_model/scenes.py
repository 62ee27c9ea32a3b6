"""Random scene descriptions: the parameters of the renderer and the words for captions."""

from __future__ import annotations

import numpy as np
import torch

from tools.demo_model import land_scenes, water_scenes, wild_scenes  # noqa: F401 (they register their scenes)
from tools.demo_model.daylight import sky_params
from tools.demo_model.placing import place_objects
from tools.demo_model.scene_parts import (
    PALETTE_P,
    PALETTES,
    SCENES,
    SEASONS,
    STYLE_P,
    STYLES,
    TIME_P,
    WEATHER_P,
    defaults,
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
