"""The sound of a harbour, synthesised: water, a bell, gulls."""

import numpy as np

RATE = 48_000  # samples a second


def _noise(count: int, low_hz: float, high_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Noise between two frequencies, with soft edges; standard deviation 1."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hz = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 1e-3)
    pass_band = 1 / ((1 + (low_hz / hz) ** 4) * (1 + (hz / high_hz) ** 3))
    noise = np.fft.irfft(spectrum * pass_band, count)
    return noise / noise.std()


def _waves(seconds: float, seed: int) -> np.ndarray:
    """Swell that comes and goes, and the lapping at the quay; one channel."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE)
    t = np.arange(count) / RATE
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * t / 4.1 + rng.uniform(0, 6.28))
    lapping = np.zeros(count)
    for start in np.arange(rng.uniform(0, 0.6), seconds, 0.83):
        since = np.maximum(t - start - rng.uniform(0, 0.3), 0)
        lapping += since * np.exp(-since / 0.11) / 0.04
    return (
        0.9 * swell**2 * _noise(count, 60, 500, rng)
        + 0.30 * swell**3 * _noise(count, 500, 3500, rng)
        + 0.22 * lapping * _noise(count, 300, 1600, rng)
    )


def _bell(t: np.ndarray, start: float, hz: float) -> np.ndarray:
    """One stroke: the partials of a church bell, the high ones fading first."""
    since = np.maximum(t - start, 0.0)
    partials = [
        (0.5, 0.5, 3.2),
        (1.0, 1.0, 2.2),
        (1.19, 0.7, 1.6),
        (1.5, 0.45, 1.3),
        (2.0, 0.8, 1.1),
        (2.51, 0.3, 0.7),
        (2.66, 0.25, 0.6),
        (4.17, 0.2, 0.35),
    ]
    tone = sum(
        gain * np.exp(-since / fade) * np.sin(2 * np.pi * hz * ratio * since)
        for ratio, gain, fade in partials
    )
    return np.asarray(tone) * (1 - np.exp(-since / 0.003))


def _gull(t: np.ndarray, start: float, hz: float, cries: int) -> np.ndarray:
    """A few cries, each gliding up and then down, with a harsh edge."""
    sound = np.zeros_like(t)
    for k in range(cries):
        length = 0.34 - 0.03 * k
        s = np.clip((t - start - 0.42 * k) / length, 0, 1)
        glide = hz * (1 + 0.35 * np.sin(np.pi * s**0.6) - 0.18 * s)
        phase = 2 * np.pi * np.cumsum(glide) / RATE
        voice = sum(
            np.sin(n * phase + 0.3 * np.sin(2 * np.pi * 70 * t)) / n**0.8 for n in range(1, 6)
        )
        sound += voice * np.sin(np.pi * s) ** 0.7 * (1 - 0.12 * k)
    return sound


def soundtrack(seconds: float) -> np.ndarray:
    """Two channels, planar: (2, seconds * RATE) float32 in [-1, 1]."""
    t = np.arange(round(seconds * RATE)) / RATE
    left, right = 0.055 * _waves(seconds, 1), 0.055 * _waves(seconds, 2)
    for start, hz, pan, gain in (
        (1.1, 392.0, 0.25, 0.10),
        (3.0, 392.0, 0.25, 0.085),
        (4.9, 392.0, 0.25, 0.075),
    ):
        stroke = gain * _bell(t, start, hz)
        left, right = left + (1 - pan) * stroke, right + pan * stroke
    for start, hz, pan, cries in ((0.3, 1150.0, 0.8, 3), (3.7, 1320.0, 0.35, 4)):
        cry = 0.028 * _gull(t, start, hz, cries)
        left, right = left + (1 - pan) * cry, right + pan * cry
    edge = np.clip(np.minimum(t, seconds - t) / 0.25, 0, 1)
    return np.clip(np.stack([left, right]) * edge, -1, 1).astype(np.float32)
