"""Sun, sky colours and clouds of a time of day and a weather."""

from __future__ import annotations

import math

import numpy as np

from tools.demo_model.scene_parts import TAU, TIMES, srgb, uni


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
