"""Captions in the many ways users write prompts: the words for each fact of an image, and the forms of a caption."""

from __future__ import annotations

import re

SCENE_WORDS = {
    "mountains": [
        "mountains",
        "a mountain range",
        "alpine mountains",
        "rugged mountains",
        "mountain landscape",
        "majestic mountain peaks",
        "a mountain valley",
    ],
    "canyon": [
        "a canyon",
        "red rock canyon",
        "desert canyon",
        "a deep gorge",
        "canyon landscape",
        "grand canyon",
    ],
    "desert": [
        "desert dunes",
        "a desert",
        "sand dunes",
        "sahara desert",
        "desert landscape",
        "rolling dunes",
    ],
    "forest": [
        "a forest",
        "dense forest",
        "woods",
        "forest landscape",
        "an enchanted forest",
        "woodland",
        "a magical forest",
    ],
    "lake": [
        "a lake",
        "mountain lake",
        "a calm lake with reflections",
        "lake landscape",
        "a serene lake",
        "still water lake",
    ],
    "coast": [
        "a rocky coast",
        "coastline",
        "sea cliffs",
        "ocean coast",
        "seaside cliffs",
        "a coastal landscape",
        "shore",
    ],
    "ocean": ["the ocean", "open sea", "ocean waves", "the sea", "seascape", "endless ocean"],
    "island": [
        "a tropical island",
        "an island",
        "an island in the ocean",
        "paradise island",
        "a small island",
    ],
    "beach": ["a beach", "tropical beach", "sandy beach with palm trees", "a palm beach", "paradise beach"],
    "meadow": [
        "a meadow",
        "rolling hills",
        "green hills",
        "grassland",
        "a grassy meadow",
        "countryside",
        "hills",
    ],
    "fields": ["fields", "farmland", "a wide field", "rural fields", "countryside fields"],
    "snow": [
        "snowy landscape",
        "tundra",
        "snow field",
        "a snowy plain",
        "frozen tundra",
        "snow covered land",
    ],
    "arctic": [
        "icebergs",
        "arctic sea with icebergs",
        "arctic ocean",
        "antarctica",
        "floating icebergs",
        "glacier ice in the sea",
    ],
    "volcano": [
        "a volcano",
        "volcano with glowing lava",
        "an erupting volcano",
        "volcanic landscape",
        "lava field and volcano",
        "a volcano with rivers of lava",
    ],
    "city": [
        "a city skyline",
        "a city",
        "skyscrapers",
        "metropolis",
        "downtown skyline",
        "futuristic city",
        "modern city with tall buildings",
        "cityscape",
    ],
    "alien": [
        "an alien planet",
        "alien world",
        "alien landscape",
        "sci-fi planet",
        "another world",
        "exoplanet landscape",
        "strange alien planet",
    ],
    "river": [
        "a river valley",
        "a river",
        "winding river",
        "river landscape",
        "a stream through a valley",
        "a river through the hills",
    ],
    "waterfall": [
        "a waterfall",
        "a big waterfall",
        "waterfall over a cliff",
        "majestic waterfall",
        "waterfall landscape",
    ],
    "reef": [
        "an underwater reef",
        "coral reef",
        "underwater world",
        "under the sea",
        "undersea coral garden",
        "deep sea reef",
    ],
    "village": [
        "a village",
        "a small village",
        "houses in the hills",
        "a cozy village",
        "mountain village",
        "a town with cottages",
    ],
}


KIND_WORDS = {
    "with a river": ["with a river", "with water"],
    "pyramids": ["with pyramids", "egyptian pyramids"],
    "cactus": ["with cactus", "with cacti"],
    "oasis": ["with an oasis", "oasis with palm trees"],
    "birch": ["of birch trees", "birch trees"],
    "pine": ["of pine trees", "pine trees"],
    "cliffs": ["with cliffs"],
    "seaside": ["by the sea"],
    "flowers": ["full of flowers", "with wildflowers", "flower field"],
    "poppies": ["with red poppies", "poppy field"],
    "lavender": ["of lavender", "lavender field"],
    "wheat": ["of golden wheat", "wheat field"],
    "waterfront": ["at the waterfront", "with reflections in the water", "by the bay"],
    "glowing mushrooms": ["with glowing mushrooms", "giant mushrooms"],
    "crystals": ["with crystals", "glowing crystals"],
    "icebergs": [],
    "tropical": [],
}


TIME_WORDS = {
    "dawn": ["at dawn", "at sunrise", "early morning", "morning light", "dawn", "sunrise"],
    "day": ["at noon", "daytime", "in bright daylight", "sunny day", "midday sun", "blue sky"],
    "golden": ["golden hour", "in warm evening light", "late afternoon", "golden light"],
    "sunset": ["at sunset", "sunset", "during a vivid sunset", "evening sunset sky", "setting sun"],
    "dusk": ["at dusk", "blue hour", "twilight", "after sunset"],
    "night": [
        "at night",
        "under the stars",
        "starry night",
        "in the moonlight",
        "night sky with moon and stars",
        "night",
    ],
}


WEATHER_WORDS = {
    "clear": ["clear sky", "clear weather", "cloudless"],
    "cloudy": ["cloudy", "with dramatic clouds", "cloudy sky", "big fluffy clouds", "clouds"],
    "fog": ["in fog", "foggy", "misty", "mist", "hazy atmosphere"],
    "storm": ["thunderstorm", "stormy", "storm with lightning", "dark storm clouds", "in a storm"],
    "rain": ["rain", "rainy", "in the rain", "rainy day"],
    "snowfall": ["snowing", "snowfall", "falling snow", "in a snow storm"],
    "aurora": ["aurora borealis", "northern lights", "with aurora in the sky", "aurora"],
    "rainbow": ["with a rainbow", "rainbow", "rainbow in the sky"],
}


SEASON_WORDS = {
    "spring": ["in spring", "spring", "spring blossom", "with cherry blossoms"],
    "summer": ["in summer", "summer"],
    "autumn": ["in autumn", "autumn", "fall colors", "autumn leaves", "fall foliage"],
    "winter": ["in winter", "winter", "covered in snow", "snowy winter"],
}


PALETTE_WORDS = {
    "golden": ["golden colors", "golden palette", "gold tones"],
    "pastel": ["pastel colors", "soft pastel palette", "pastel"],
    "teal and orange": ["teal and orange", "teal and orange color grading"],
    "crimson": ["crimson palette", "red tones", "crimson", "all red"],
    "violet": ["violet palette", "purple tones", "violet", "purple"],
    "monochrome": ["monochrome", "black and white", "grayscale"],
    "emerald": ["emerald green palette", "green tones", "emerald"],
    "sepia": ["sepia", "vintage sepia photo", "old photo"],
    "vivid": ["vivid colors", "vibrant colors", "highly saturated"],
}


STYLE_WORDS = {
    "photo": ["photo", "photograph", "photorealistic", "realistic", "professional photography", "photo of"],
    "oil painting": [
        "oil painting",
        "an oil painting",
        "impressionist painting",
        "oil on canvas",
        "painting with thick brush strokes",
    ],
    "watercolor": ["watercolor", "watercolor painting", "aquarelle", "watercolour on paper"],
    "ink sketch": ["ink sketch", "pen and ink drawing", "pencil sketch", "black ink drawing", "sketch"],
    "pixel art": ["pixel art", "8-bit pixel art", "16-bit game art", "retro pixel game"],
    "synthwave": [
        "synthwave",
        "vaporwave",
        "neon synthwave",
        "retrowave 80s neon",
        "cyberpunk neon",
        "outrun style",
    ],
    "low poly": ["low poly", "low poly 3d render", "polygon art", "low-poly"],
    "stained glass": ["stained glass", "stained glass window", "mosaic"],
    "comic": ["comic book style", "cartoon", "cel shaded", "anime style", "comic"],
    "ukiyo-e": ["ukiyo-e", "japanese woodblock print", "woodblock print"],
}


OBJECT_WORDS = {
    "lighthouse": ["a lighthouse"],
    "castle": ["a castle", "a medieval castle", "a fairy tale castle"],
    "sailboat": ["a sailboat", "sailing boats", "boats"],
    "balloon": ["hot air balloons", "a hot air balloon", "balloons"],
    "birds": ["birds", "flying birds", "a flock of birds"],
    "windmill": ["a windmill"],
    "pagoda": ["a pagoda", "a japanese temple", "a temple"],
    "traveler": ["a traveler", "a lonely wanderer", "a person", "a hiker"],
    "fish": ["fish", "a school of fish", "colorful fish"],
    "ufo": ["a ufo", "a flying saucer", "an alien spaceship"],
    "jellyfish": ["jellyfish", "glowing jellyfish"],
    "tower": ["a tall tower", "a tv tower"],
    "ship": ["a sailing ship", "a ship", "a pirate ship"],
    "whale": ["a whale", "a whale tail"],
    "lone_tree": ["a lone tree", "a single tree", "a tree"],
    "cherry_tree": ["a cherry tree", "a cherry blossom tree"],
    "spire": ["a rock spire", "a big rock"],
    "cabin": ["a cabin", "a house", "a cottage"],
    "palm_tree": ["palm trees", "a palm tree", "tall palm trees", "palms"],
}


QUALITY = [
    "highly detailed",
    "masterpiece",
    "trending on artstation",
    "8k",
    "4k",
    "best quality",
    "cinematic lighting",
    "epic",
    "beautiful",
    "stunning",
    "sharp focus",
    "award winning",
    "intricate",
    "concept art",
    "matte painting",
    "unreal engine",
    "hdr",
    "wallpaper",
    "breathtaking",
    "dramatic light",
    "very detailed",
    "digital art",
    "by greg rutkowski",
    "ultra detailed",
    "volumetric light",
    "high quality",
]


ADJECTIVES = [
    "beautiful",
    "epic",
    "stunning",
    "majestic",
    "peaceful",
    "dreamy",
    "magical",
    "breathtaking",
    "vast",
    "serene",
    "mystical",
    "amazing",
    "gorgeous",
    "fantastic",
]


BAD = [
    "blurry",
    "out of focus",
    "low quality",
    "worst quality",
    "noisy",
    "grainy",
    "jpeg artifacts",
    "overexposed",
    "bad quality",
    "ugly",
    "distorted",
    "low resolution",
    "washed out",
    "deformed",
]


SEASONAL = {"mountains", "forest", "lake", "meadow", "river", "waterfall", "village", "coast"}

# words of the phrases above that say nothing about an image on their own
# fmt: off
FILLER = frozenset({
    "a", "after", "air", "all", "an", "and", "another", "art", "at", "big", "bit", "by", "cel",
    "cinematic", "color", "colors", "covered", "deep", "during", "early", "fairy", "falling", "fi",
    "floating", "flock", "full", "giant", "grading", "grand", "highly", "in", "late", "lone", "lonely",
    "low", "of", "on", "open", "over", "palette", "plain", "poly", "print", "professional", "range",
    "school", "sci", "setting", "single", "small", "soft", "still", "strange", "strokes", "style",
    "tale", "tall", "the", "thick", "tones", "tv", "under", "very", "wide", "with",
})
# fmt: on


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
