"""Sounds whose beats, onsets and levels are known, and files of them."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from deforum_helpers.media.sound_analysis import RATE_HZ


def clicks(times_s: np.ndarray, duration_s: float) -> np.ndarray:
    """Return a sound with a click of 30 ms at each time."""
    samples = np.zeros(int(duration_s * RATE_HZ), np.float32)
    t = np.arange(int(0.03 * RATE_HZ)) / RATE_HZ
    click = (0.7 * np.sin(2 * np.pi * 1000 * t) * np.exp(-200 * t)).astype(np.float32)
    for start in np.round(times_s * RATE_HZ).astype(int):
        end = min(start + len(click), len(samples))
        samples[start:end] += click[: end - start]
    return samples


def drums(times_s: np.ndarray, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a low drum at even beats and a burst of noise at odd ones, each as a sound."""
    kick, snare = (np.zeros(int(duration_s * RATE_HZ), np.float32) for _ in range(2))
    t = np.arange(int(0.15 * RATE_HZ)) / RATE_HZ
    low = 0.8 * np.sin(2 * np.pi * (45 * t + 1.5 * (1 - np.exp(-t / 0.03)))) * np.exp(-12 * t)
    noise = 0.2 * np.random.default_rng(1).standard_normal(len(t)) * np.exp(-30 * t)
    for number, start in enumerate(np.round(times_s * RATE_HZ).astype(int)):
        sound, hit = (snare, noise) if number % 2 else (kick, low)
        end = min(start + len(hit), len(sound))
        sound[start:end] += hit[: end - start].astype(np.float32)
    return kick, snare


def write_wav(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ, width: int = 2) -> Path:
    """Write samples within -1..1, (n,) or (n, channels), with `width` bytes each."""
    whole = np.round(np.clip(samples, -1, 1) * (2 ** (8 * width - 1) - 1)).astype("<i4")
    raw = whole.reshape(-1, 1).view(np.uint8)[:, :width]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(np.ascontiguousarray(raw).tobytes())
    return path
