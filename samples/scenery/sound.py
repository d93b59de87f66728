"""The sound of a harbor, synthesized: waves and a bell."""

import numpy as np

RATE = 48_000  # samples a second


def _noise(count: int, low_hz: float, high_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Noise between two frequencies, with soft edges; standard deviation 1."""
    hz = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 1e-3)
    gain = 1 / ((1 + (low_hz / hz) ** 4) * (1 + (hz / high_hz) ** 3))
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * gain, count)
    return noise / noise.std()


def _waves(t: np.ndarray, seed: int) -> np.ndarray:
    """Swell that comes and goes, and the lapping at the quay; one channel."""
    rng = np.random.default_rng(seed)
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * t / 4.1 + seed)
    since = (t + 0.3 * seed) % 0.83
    lapping = since * np.exp(-since / 0.11) / 0.04
    bands = (60, 500), (500, 3500), (300, 1600)
    deep, foam, near = (_noise(t.size, *band, rng) for band in bands)
    return 0.9 * swell**2 * deep + 0.3 * swell**3 * foam + 0.22 * lapping * near


def _bell(t: np.ndarray, start: float) -> np.ndarray:
    """One stroke: the partials of a church bell, the high ones fading first."""
    since, tone = np.maximum(t - start, 0), np.zeros_like(t)
    partials = (0.5, 0.5, 3.2), (1, 1, 2.2), (1.19, 0.7, 1.6), (1.5, 0.5, 1.3), (2, 0.8, 1.1)
    for ratio, gain, fade in partials:
        tone += gain * np.exp(-since / fade) * np.sin(2 * np.pi * 392 * ratio * since)
    return tone * (1 - np.exp(-since / 0.003))


def soundtrack(seconds: float) -> np.ndarray:
    """Two channels, planar: (2, seconds * RATE) float32 in [-1, 1]."""
    t = np.arange(round(seconds * RATE)) / RATE
    sound = 0.055 * np.stack([_waves(t, 1), _waves(t, 2)])
    for start in (1.1, 3.0, 4.9):
        sound += np.outer((0.075, 0.025), _bell(t, start))
    edge = np.clip(np.minimum(t, seconds - t) / 0.25, 0, 1)
    return np.clip(sound * edge, -1, 1).astype(np.float32)
