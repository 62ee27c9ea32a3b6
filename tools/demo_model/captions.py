"""Captions in the many ways users write prompts, made from the words of scenes.sample."""

from __future__ import annotations

import re

from tools.demo_model.words import (
    ADJECTIVES,
    BAD,
    FILLER,
    KIND_WORDS,
    OBJECT_WORDS,
    PALETTE_WORDS,
    QUALITY,
    SCENE_WORDS,
    SEASON_WORDS,
    SEASONAL,
    STYLE_WORDS,
    TIME_WORDS,
    WEATHER_WORDS,
)

CONTENT = (
    SCENE_WORDS,
    KIND_WORDS,
    TIME_WORDS,
    WEATHER_WORDS,
    SEASON_WORDS,
    PALETTE_WORDS,
    STYLE_WORDS,
    OBJECT_WORDS,
)

VIEWS = {
    "high": ["aerial view", "view from above", "drone shot", "bird's eye view"],
    "wide": ["wide angle", "panorama", "panoramic view"],
}


def content_words():
    """Words for content of the training images, lower case, sorted."""
    phrases = [phrase for table in CONTENT for choices in table.values() for phrase in choices]
    words = {word for phrase in phrases for word in re.findall(r"[a-z][a-z']+", phrase.lower())}
    return sorted(words - FILLER)


def other_words():
    """Words of captions that name no content: praise, blame, style and grammar; lower case, sorted."""
    phrases = [*QUALITY, *ADJECTIVES, *BAD, *VIEWS["high"], *VIEWS["wide"], *FILLER]
    words = {word for phrase in phrases for word in re.findall(r"[a-z][a-z']+", phrase.lower())}
    return sorted(words - set(content_words()))


def pick(rng, items):
    """One of the items."""
    return items[int(rng.integers(len(items)))]


def facts(rng, w):
    """Caption parts that are true of the image, with the frequencies at which users name them."""
    parts = {"scene": pick(rng, SCENE_WORDS[w["scene"]])}
    kind = KIND_WORDS.get(w["kind"], [])
    if kind and rng.random() < 0.85:
        parts["scene"] += " " + pick(rng, kind)
    seen = [pick(rng, OBJECT_WORDS[o]) for o in w["objects"] if rng.random() < 0.88]
    parts["objects"] = seen
    told = {
        "time": (TIME_WORDS, w["time"], 0.4 if w["time"] == "day" else 0.9),
        "weather": (WEATHER_WORDS, w["weather"], 0.2 if w["weather"] == "clear" else 0.93),
        "season": (
            SEASON_WORDS,
            w["season"],
            (0.85 if w["season"] != "summer" else 0.35) if w["scene"] in SEASONAL else 0,
        ),
        "palette": (PALETTE_WORDS, w["palette"], 0.95),
        "style": (STYLE_WORDS, w["style"], 0.22 if w["style"] == "photo" else 0.96),
    }
    for key, (table, value, chance) in told.items():
        if value in table and value != "" and rng.random() < chance:
            parts[key] = pick(rng, table[value])
    if w["scene"] == "reef":
        parts.pop("weather", None)
        if w["time"] not in ("night", "dusk"):
            parts.pop("time", None)
    if w.get("high") and rng.random() < 0.4:
        parts["view"] = pick(rng, VIEWS["high"])
    elif w.get("wide") and rng.random() < 0.25:
        parts["view"] = pick(rng, VIEWS["wide"])
    return parts


def caption(rng, words):
    """One caption string for a scene; `words` as from scenes.sample (objects reduced to the visible ones)."""
    parts, form = facts(rng, words), rng.random()
    if words.get("bad"):
        return ", ".join(
            [pick(rng, BAD) for _ in range(int(rng.integers(1, 5)))]
            + ([parts["scene"]] if rng.random() < 0.5 else [])
        )
    extras = [parts[k] for k in ("time", "weather", "season", "palette", "style", "view") if k in parts]
    if form < 0.16:
        text = short(rng, parts)
    elif form < 0.5:
        tags = [parts["scene"]] + parts["objects"] + extras
        rng.shuffle(tags)
        text = ", ".join(tags)
    else:
        text = sentence(rng, parts)
    if rng.random() < 0.4:
        text += ", " + ", ".join(pick(rng, QUALITY) for _ in range(int(rng.integers(1, 6))))
    return text


def short(rng, parts):
    """Two to four words: scene with the strongest other fact."""
    scene = parts["scene"]
    for key in ("style", "palette", "weather", "time", "season"):
        if key in parts and (key in ("style", "palette") or rng.random() < 0.7):
            return f"{parts[key]} {scene}" if rng.random() < 0.3 else f"{scene} {parts[key]}"
    return scene if not parts["objects"] else f"{parts['objects'][0]} {scene}"


def sentence(rng, parts):
    """A natural sentence."""
    scene = parts["scene"]
    if rng.random() < 0.35 and not scene.startswith("the "):
        bare = scene.split(" ", 1)[1] if scene.split(" ")[0] in ("a", "an") else scene
        adjective = pick(rng, ADJECTIVES)
        article = ("an " if adjective[0] in "aeiou" else "a ") if scene != bare else ""
        scene = article + adjective + " " + bare
    if parts["objects"]:
        joined = " and ".join(parts["objects"])
        scene = f"{scene} with {joined}" if rng.random() < 0.6 else f"{joined} in {scene}"
    tail = [parts[k] for k in ("time", "weather", "season") if k in parts]
    rng.shuffle(tail)
    glue = pick(rng, [" ", ", "])
    body = scene + (glue + tail[0] if tail else "") + "".join(", " + t for t in tail[1:])
    look = [parts[k] for k in ("palette", "view") if k in parts]
    style = parts.get("style")
    if style and rng.random() < 0.5:
        return ", ".join([f"{style} of {body}" if not style.endswith(" of") else f"{style} {body}", *look])
    return ", ".join(
        [body] + look + ([pick(rng, ["{}", "in the style of {}", "{} style"]).format(style)] if style else [])
    )
