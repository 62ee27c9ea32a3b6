"""Make the still and the animated thumbnail of each preset from its video.

    python -m tools.preset_thumbnails [--out config/presets] [NAME ...]

Renders with the built-in model, some minutes per preset.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image as Picture

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import prepare
from deforum_helpers.ui.preset_list import preset_settings, presets

STILL_PX, MOVING_PX, FRAMES, FPS = 256, 112, 16, 6
STILL_QUALITY, MOVING_QUALITY = 80, 55
# How far into the video the still is taken: the first scene has settled there.
STILL_AT = 0.2


def write_pictures(name: str, frames: Sequence[Path], out: Path) -> None:
    """Write NAME.jpg and NAME.webp into the folder `out`, made from a video's frames."""
    still = _square(frames[int(STILL_AT * len(frames))], STILL_PX)
    still.save(out / f"{name}.jpg", quality=STILL_QUALITY, optimize=True)
    places = [number * (len(frames) - 1) // (FRAMES - 1) for number in range(FRAMES)]
    first, *others = (_square(frames[place], MOVING_PX) for place in places)
    first.save(
        out / f"{name}.webp",
        save_all=True,
        append_images=others,
        duration=1000 // FPS,
        loop=0,
        quality=MOVING_QUALITY,
        method=6,
    )


def _square(path: Path, side_px: int) -> Picture.Image:
    """Return the centre of a frame as a square of `side_px`."""
    with Picture.open(path) as opened:
        width, height = opened.size
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        cut = opened.convert("RGB").crop((left, top, left + side, top + side))
    return cut.resize((side_px, side_px), Picture.Resampling.LANCZOS)


def main() -> int:
    """Render the named presets, or all, and make their thumbnails; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=presets()[0].path.parent)
    options = parser.parse_args()
    engine = make_engine("demo")
    for name in options.names or [preset.name for preset in presets()]:
        with tempfile.TemporaryDirectory() as folder:
            prepared = prepare(preset_settings(name), own_facts("demo", None, Path(folder)))
            result = run_job(prepared, engine, CancelToken(), lambda progress: None)
            frames = sorted(result.outdir.glob(f"{result.timestring}_[0-9]*.png"))
            write_pictures(name, frames, options.out)
        print(name, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
