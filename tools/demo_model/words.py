"""Words of captions: the ways in which users name each fact of an image."""

from __future__ import annotations

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
