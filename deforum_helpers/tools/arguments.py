"""The arguments of the tools, declared once and named like the options of their commands; imported without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.settings.schema import names
from deforum_helpers.settings.tables import (
    DEPTH_ALGORITHMS,
    INTERPOLATION_ENGINES,
    UPSCALE_FACTORS,
    UPSCALE_MODELS,
    UPSCALER_SUFFIXES,
)
from deforum_helpers.tools import messages

MODES = ("Depth", "Anime Remove Background", "Mixed", "None (just grayscale)")
THRESHOLDINGS = ("None", "Simple", "Simple (Auto-value)", "Adaptive (Mean)", "Adaptive (Gaussian)")

# Spelling of classic Deforum.
OTHER_SPELLINGS: Mapping[str, str] = {"Depth (Midas/Adabins)": "Depth"}
WITH_DEPTH = ("Depth", "Mixed")
WITH_FIGURES = ("Anime Remove Background", "Mixed")

SLOWEST = 10
LOWEST_FPS, HIGHEST_FPS = 1, 240
# Bounds of the numbers in `DepthLook`.
DEPTH_RANGES: Mapping[str, tuple[int, int]] = {
    "lower": (0, 255),
    "upper": (0, 255),
    "block_size": (3, 255),
    "c": (-255, 255),
    "blur": (0, 255),
}

Kind = Literal["text", "texts", "int", "float", "bool"]
_TYPES: Mapping[Kind, str] = {
    "text": "string",
    "texts": "array",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
}
_ALLOWED: Mapping[Kind, str] = {
    "text": "text",
    "texts": "a list of texts",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}
LONGEST_TEXT = 4096
LARGEST = 10**9


@dataclass(frozen=True)
class Argument:
    """One argument of a tool.

    Args:
        kind: type of the value.
        help: description for users.
        default: value if the argument is omitted; None = no value.
        needed: whether the argument is required.
        choices: allowed texts; empty = any.
        file_suffixes: endings of files whose names are allowed beside the choices; empty = none.
        low, high: bounds of a number, or None.
    """

    kind: Kind
    help: str
    default: Any = None
    needed: bool = False
    choices: tuple[str, ...] = ()
    file_suffixes: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the value."""
        known: dict[str, Any] = {
            **names(self.choices, self.file_suffixes),
            "minimum": self.low,
            "maximum": self.high,
        }
        if self.kind == "texts":
            known["items"] = {"type": "string"}
        if not self.needed and self.default is not None:
            known["default"] = self.default
        bounds = {name: value for name, value in known.items() if value is not None}
        return {"type": _TYPES[self.kind], "description": self.help, **bounds}


def _ranged(name: str, kind: Kind, help: str, default: float) -> Argument:
    low, high = DEPTH_RANGES[name]
    return Argument(kind, help, default, low=low, high=high)


_VIDEO = Argument(
    "text",
    "Path or URL of a video, or path of a folder or pattern of images, shown at 15 per second.",
    needed=True,
)
_KEEP = Argument("bool", "Keep the images beside the video.", default=False)
_FPS = Argument(
    "float",
    "Frames per second of a video of images, interpolated ones included.",
    15.0,
    low=LOWEST_FPS,
    high=HIGHEST_FPS,
)
_SOUND = Argument("text", "Path or URL of a sound or video file, for a video of images.")

TOOLS: Mapping[str, Mapping[str, Argument]] = {
    "interpolate": {
        "video": Argument("text", f"{_VIDEO.help} With images, fps is their rate."),
        "pictures": Argument("texts", "Instead of a video: paths or URLs of images, in order."),
        "engine": Argument("text", "Interpolation engine.", "Flow", choices=INTERPOLATION_ENGINES[1:]),
        "times": Argument("int", "Factor for the number of frames; RIFE up to 10.", 2, low=2, high=300),
        "slower": Argument(
            "int", "Factor by which the video is slowed down, without sound.", low=2, high=SLOWEST
        ),
        "fps": _FPS,
        "sound": _SOUND,
        "keep_pictures": _KEEP,
    },
    "upscale": {
        "video": _VIDEO,
        "model": Argument(
            "text",
            "Upscaling model, or the name of a model file.",
            "Lanczos",
            choices=UPSCALE_MODELS,
            file_suffixes=UPSCALER_SUFFIXES,
        ),
        "factor": Argument(
            "text", "Upscaling factor; only x4 with the x4plus models.", "x2", choices=UPSCALE_FACTORS
        ),
        "keep_pictures": _KEEP,
    },
    "vid2depth": {
        "video": _VIDEO,
        "mode": Argument("text", "Content of the depth video.", "Depth", choices=MODES),
        "algorithm": Argument(
            "text", "Depth model.", "Depth-Anything-V2-Small", choices=tuple(DEPTH_ALGORITHMS)
        ),
        "thresholding": Argument("text", "Threshold between black and white.", "None", choices=THRESHOLDINGS),
        "lower": _ranged("lower", "int", "Threshold of Simple, in gray levels.", 127),
        "upper": _ranged("upper", "int", "Gray level above the threshold.", 255),
        "block_size": _ranged(
            "block_size", "int", "Side of the area that Adaptive averages, in pixels; odd.", 11
        ),
        "c": _ranged("c", "float", "Gray levels by which a pixel must exceed that area's average.", 2.0),
        "far_is_bright": Argument(
            "bool", "Show far things bright; with gray levels: keep them.", default=False
        ),
        "blur": _ranged("blur", "float", "Standard deviation of the final blur, in pixels.", 0.0),
        "keep_pictures": _KEEP,
    },
    "stitch": {
        "pattern": Argument(
            "text",
            "Path of numbered images, as in frames/shot_%09d.png, or of one of them; relative to the output "
            "folder.",
            needed=True,
        ),
        "fps": _FPS,
        "sound": _SOUND,
    },
}


def schema_of(tool: str) -> dict[str, Any]:
    """Return the JSON schema of a tool's arguments."""
    arguments = TOOLS[tool]
    return {
        "type": "object",
        "properties": {name: argument.schema for name, argument in arguments.items()},
        "required": [name for name, argument in arguments.items() if argument.needed],
        "additionalProperties": False,
    }


def typed_arguments(tool: str, submitted: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments of a tool, converted to their types, with defaults for those omitted.

    Choices and bounds are left to the checks of each tool.

    Raises:
        SettingsError: arguments are unknown, missing, or of another type; lists all problems.
    """
    declared, problems = TOOLS[tool], []
    for name in submitted:
        if name not in declared:
            allowed = ", ".join(declared)
            message = messages.UNKNOWN_ARGUMENT(name=name[:80], tool=tool, allowed=allowed)
            problems.append(Problem(message, name[:80], allowed=allowed))
    values = {}
    for name, argument in declared.items():
        given = submitted.get(name)
        if given is None:
            if argument.needed:
                problems.append(Problem(messages.ARGUMENT_MISSING(name=name, help=argument.help), name))
            values[name] = argument.default
        elif (value := _typed(given, argument.kind)) is None:
            allowed = _ALLOWED[argument.kind]
            found = repr(given)[:80]
            message = messages.ARGUMENT_TYPE(name=name, found=found, allowed=allowed)
            problems.append(Problem(message, name, found=found, allowed=allowed))
        else:
            values[name] = value
    if problems:
        raise SettingsError(problems)
    return values


def _typed(value: Any, kind: Kind) -> Any:
    """Return a JSON value converted to `kind`, None if it has another type."""
    if kind == "text":
        return value if isinstance(value, str) and 0 < len(value.strip()) <= LONGEST_TEXT else None
    if kind == "texts":
        texts = value if isinstance(value, list) else []
        return value if texts and all(_typed(one, "text") for one in texts) else None
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > LARGEST:
        return None
    if kind == "float":
        return float(value)
    return int(value) if float(value).is_integer() else None
