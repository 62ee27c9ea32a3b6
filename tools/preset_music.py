"""Make the music of the presets that follow a sound: eight bars of electronic music at 110 beats per minute.

    python -m tools.preset_music [--out config/presets]

Every sample is computed here, so the piece belongs to the project and carries its license.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.media.ffmpeg import find_ffmpeg, run_ffmpeg
from deforum_helpers.ui.preset_list import FOLDER

NAME = "eight_bars.ogg"
BPM, BARS, RATE_HZ = 110.0, 8, 44_100
BEAT_S = 60.0 / BPM
TAIL_S = 1.0
# The chord of each bar, in semitones above A: minor, then its relatives, and back.
CHORDS = ((0, 3, 7), (-4, 0, 3), (3, 7, 10), (-2, 2, 5)) * 2

Samples = NDArray[np.float64]


def _time(seconds: float) -> Samples:
    return np.arange(int(seconds * RATE_HZ)) / RATE_HZ


def _add(track: Samples, beat: float, sound: Samples) -> None:
    start = round(beat * BEAT_S * RATE_HZ)
    end = min(start + len(sound), len(track))
    track[start:end] += sound[: end - start]


def _kick() -> Samples:
    t = _time(0.35)
    return np.sin(2 * np.pi * (48 * t + 2.6 * (1 - np.exp(-t / 0.03)))) * np.exp(-9 * t)


def _snare(noise: np.random.Generator) -> Samples:
    t = _time(0.25)
    crack = np.diff(noise.standard_normal(len(t) + 1)) * np.exp(-22 * t)
    return 0.35 * crack + 0.5 * np.sin(2 * np.pi * 190 * t) * np.exp(-28 * t)


def _hat(noise: np.random.Generator, length_s: float) -> Samples:
    t = _time(length_s)
    return np.diff(noise.standard_normal(len(t) + 2), 2) * np.exp(-t * 6 / length_s)


def _tone(semitones: float, beats: float, bright: int) -> Samples:
    """Return a plucked tone of `semitones` above A2, with `bright` harmonics."""
    t = _time(beats * BEAT_S)
    pitch_hz = 110 * 2 ** (semitones / 12)
    wave = sum(np.sin(2 * np.pi * n * pitch_hz * t) / n * np.exp(-n * t / 0.5) for n in range(1, bright + 1))
    fade = np.minimum(1, np.minimum(t / 0.004, (t[-1] - t) / 0.02))
    return np.asarray(wave * fade, np.float64)


def piece() -> Samples:
    """Return the piece, (samples, 2), within -1..1."""
    noise = np.random.default_rng(110)
    length = int((BARS * 4 * BEAT_S + TAIL_S) * RATE_HZ)
    drums, bass, lead, pad = (np.zeros(length) for _ in range(4))
    kick = _kick()
    for bar, chord in enumerate(CHORDS):
        for beat in range(4):
            at = bar * 4 + beat
            _add(drums, at, kick)
            if beat % 2:
                _add(drums, at, 0.7 * _snare(noise))
            if bar >= 1:
                _add(drums, at + 0.5, 0.10 * _hat(noise, 0.12))
            if bar >= 4:
                for sixteenth in (0.25, 0.75):
                    _add(drums, at + sixteenth, 0.05 * _hat(noise, 0.05))
            for eighth in (0.0, 0.5):
                _add(bass, at + eighth, 0.4 * _tone(chord[0] - 12 + 12 * (eighth > 0 and beat == 3), 0.45, 5))
            if bar >= 2:
                for sixteenth in range(4):
                    note = chord[(beat + sixteenth) % 3] + 12 + 12 * (sixteenth % 2)
                    _add(lead, at + sixteenth / 4, 0.12 * _tone(note, 0.6, 7))
        for note in chord:
            _add(pad, bar * 4, 0.05 * _tone(note, 4, 3))
        if bar % 4 == 3:  # a fill leads to the next four bars
            for hit in (3.25, 3.5, 3.75):
                _add(drums, bar * 4 + hit, 0.5 * _snare(noise))
    for note in CHORDS[0]:
        _add(pad, BARS * 4, 0.1 * _tone(note, TAIL_S / BEAT_S, 3))
    echo = round(0.75 * BEAT_S * RATE_HZ)
    answer = np.concatenate([np.zeros(echo), lead[:-echo]])
    left, right = lead + 0.2 * answer, 0.6 * lead + 0.5 * answer
    mix = np.stack([left, right], axis=1) + (0.6 * drums + bass + pad)[:, None]
    return np.asarray(np.tanh(1.2 * mix) * 0.9, np.float64)


def main() -> int:
    """Write the piece; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "music.raw"
        raw.write_bytes(np.round(piece() * 32_767).astype("<i2").tobytes())
        source = ["-f", "s16le", "-ar", str(RATE_HZ), "-ac", "2", "-i", str(raw)]
        target = ["-map_metadata", "-1", "-c:a", "libvorbis", "-q:a", "3", str(options.out / NAME)]
        run_ffmpeg(find_ffmpeg(None), [*source, *target], "Writing the music", 120)
    print(f"{options.out / NAME}: {(options.out / NAME).stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
