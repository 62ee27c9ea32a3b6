"""Single objects: which may stand in which scene, how large and where."""

from __future__ import annotations

import numpy as np

from tools.demo_model.atlas import OBJECTS
from tools.demo_model.scene_parts import OBJECT_SLOTS, uni

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
