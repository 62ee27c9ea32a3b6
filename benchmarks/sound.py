"""Analysis of a sound of five minutes, as the first check of its settings does it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.rows import Row
from deforum_helpers.media.ffmpeg import find_ffmpeg, run_ffmpeg
from deforum_helpers.media.sound_analysis import RATE_HZ

NAME = "sound"
BAR = "levels, onsets and beats of 5 minutes of mp3, with the import of librosa: 10,000 ms"

SECONDS = 300
_ANALYSIS = """
import sys, time
from pathlib import Path
from deforum_helpers.media.sound_analysis import track_beats
from deforum_helpers.media.containers import time_limit
from deforum_helpers.media.sound_analysis import ONSET_RATE_HZ, measure_sound
begun = time.perf_counter()
found = measure_sound(Path(sys.argv[1]), time_limit(600, "The benchmark"))
measured = time.perf_counter()
beats = track_beats(found.onsets["onset"], ONSET_RATE_HZ)
assert len(beats) > 500
print(measured - begun, time.perf_counter() - measured)
"""


def write_music(path: Path) -> None:
    """Write five minutes of drums at 120 beats per minute over a changing tone."""
    t = np.arange(SECONDS * RATE_HZ, dtype=np.float32) / RATE_HZ
    since_beat = t % 0.5
    kick = np.sin(2 * np.pi * 50 * since_beat) * np.exp(-12 * since_beat)
    noise = np.random.default_rng(1).standard_normal(len(t)).astype(np.float32)
    hat = noise * np.exp(-60 * (t % 0.25))
    tone = np.sin(2 * np.pi * 220 * t) * (1 + np.sin(t / 3))
    samples = np.round((0.5 * kick + 0.1 * hat + 0.1 * tone) * 20_000).astype("<i2")
    raw = path.with_suffix(".raw")
    raw.write_bytes(samples.tobytes())
    run_ffmpeg(
        find_ffmpeg(None),
        [
            "-f",
            "s16le",
            "-ar",
            str(RATE_HZ),
            "-ac",
            "1",
            "-i",
            str(raw),
            "-ac",
            "2",
            "-ar",
            "44100",
            str(path),
        ],
        "Writing the music",
        300,
    )
    raw.unlink()


def run() -> list[Row]:
    """Measure in new processes, because librosa is imported once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "music.mp3"
        write_music(path)
        times: list[tuple[float, float]] = []
        for _ in range(3):
            done = subprocess.run(
                [sys.executable, "-c", _ANALYSIS, str(path)], capture_output=True, text=True, check=True
            )
            decoding, tracking = map(float, done.stdout.split())
            times.append((decoding, tracking))
    decoding, tracking = min(times, key=sum)
    return [
        Row("levels and onsets of 5 minutes", decoding * 1000),
        Row("beats of 5 minutes, with the import of librosa", tracking * 1000),
        Row("together", (decoding + tracking) * 1000, 10_000.0),
    ]
