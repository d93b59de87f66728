"""The painted sheets of what floats, flies or stands in the water."""

import numpy as np

from scenery.canvas import Canvas
from scenery.noise import band, fractal, ramp

RGB = tuple[float, float, float]
LINE = (0.16, 0.13, 0.12)


def _hull(c: Canvas, x0: float, x1: float, low: float, bow: float, colours: tuple[RGB, RGB, RGB],
          seed: int) -> None:  # fmt: skip
    """A hull with its bow to the right: topsides, a band below the rail, antifouling."""
    gx, gy = c.grid()
    fine, grain = band(*c.shape, 3.0, seed), fractal(*c.shape, seed + 1, coarsest=0.2)
    s = np.linspace(0, 1, 24)
    sheer = low + (bow - low) * s**2.2 + 0.12 * low * (1 - s) ** 2
    deck = [(x0 + (x1 - x0) * a, float(y)) for a, y in zip(s, sheer, strict=True)]
    length = x1 - x0
    keel = [(x1 - 0.13 * length, 0.0), (x0 + 0.05 * length, 0.0)]
    top, stripe, bottom = (np.asarray(colour, np.float32) for colour in colours)
    planks = 1 - 0.12 * (np.mod(gy - 0.02 * (gx - x0), 0.26) < 0.04)
    light = (0.68 + 0.34 * ramp(gx, x0, x1)) * (1 + 0.04 * fine + 0.06 * grain) * planks
    rust = ramp(grain + 0.8 * band(*c.shape, 9.0, seed + 2, stretch=0.25), 1.3, 2.4)
    rust = rust[..., None] * 0.5
    skin = top * light[..., None] * (1 - rust) + np.array((0.45, 0.25, 0.14)) * rust
    waterline = ramp(gy, 0.30, 0.27)[..., None]
    skin = skin * (1 - waterline) + bottom * (0.8 + 0.08 * fine[..., None]) * waterline
    c.polygon([*deck, *keel], np.clip(skin, 0, 1).astype(np.float32))
    c.line([(x, y - 0.22) for x, y in deck[:-1]], 0.2, stripe)
    c.line(deck, 0.09, stripe * 0.55 + 0.4)
    c.rect(x0, 0.0, x1, 0.09, (0.06, 0.08, 0.08), opacity=0.55)


def trawler(seed: int) -> Canvas:
    """A wooden fishing boat, 10.5 m long and 8 m high, its bow to the right."""
    c = Canvas(10.6, 8.4, 72.0)
    fine, grain = band(*c.shape, 3.0, seed), fractal(*c.shape, seed + 1)
    gx, gy = c.grid()
    rng = np.random.default_rng(seed)
    for a, b in [((3.1, 7.4), (9.9, 2.0)), ((3.1, 7.4), (0.4, 1.4)), ((3.1, 5.6), (9.0, 1.9)),
                 ((7.4, 4.9), (9.9, 2.1)), ((7.4, 4.9), (3.1, 5.4)), ((3.1, 6.6), (1.0, 1.5))]:  # fmt: skip
        c.line([a, b], 0.028, LINE)
    c.rect(3.02, 1.2, 3.2, 7.6, (0.62, 0.42, 0.22))
    c.rect(3.12, 1.2, 3.2, 7.6, (0.86, 0.63, 0.36))
    c.line([(3.1, 3.2), (0.9, 5.2)], 0.12, (0.68, 0.48, 0.26))
    c.rect(7.35, 1.5, 7.46, 5.0, (0.74, 0.52, 0.3))
    c.polygon([(3.2, 7.3), (4.3, 7.05), (3.2, 6.75)], (0.86, 0.2, 0.16))  # pennant
    c.polygon([(3.2, 7.15), (3.9, 7.05), (3.2, 6.95)], (0.98, 0.94, 0.86))
    for k in range(9):  # the net, hung to dry
        c.line([(0.9 + 0.12 * k, 5.2 - 0.1 * k), (1.0 + 0.2 * k, 1.4)], 0.03, (0.2, 0.42, 0.36))
    for k in range(12):
        y = 1.6 + 0.28 * k
        c.line([(1.0, y), (2.2 - 0.07 * k, y + 0.1)], 0.025, (0.2, 0.42, 0.36))
    boards = (1 + 0.05 * fine + 0.07 * grain) * (1 - 0.1 * (np.mod(gx, 0.3) < 0.04))
    white = np.clip(np.array((0.93, 0.90, 0.82)) * (boards * (0.78 + 0.24 * ramp(gx, 3.6, 6.4)))
                    [..., None], 0, 1).astype(np.float32)  # fmt: skip
    c.polygon([(3.7, 1.2), (3.6, 3.9), (6.2, 4.0), (6.5, 1.3)], white)  # wheelhouse
    c.polygon([(3.4, 3.85), (3.5, 4.15), (6.5, 4.25), (6.6, 3.95)], (0.78, 0.28, 0.16))
    for x in (3.95, 4.75, 5.55):
        c.rect(x, 2.75, x + 0.58, 3.55, (0.12, 0.18, 0.22))
        c.polygon([(x, 2.95), (x + 0.58, 3.3), (x + 0.58, 3.55), (x, 3.55)], (0.56, 0.68, 0.74))
    c.rect(4.3, 1.2, 5.0, 2.5, (0.17, 0.36, 0.40))
    c.ellipse(5.75, 2.2, 0.32, 0.32, (0.92, 0.35, 0.12))
    c.ellipse(5.75, 2.2, 0.16, 0.16, (0.9, 0.87, 0.8))
    c.rect(4.6, 4.2, 4.72, 5.1, (0.85, 0.85, 0.82))
    c.rect(4.2, 4.95, 5.1, 5.08, (0.9, 0.9, 0.88))
    for _ in range(13):  # floats and crates on deck
        x, r = rng.uniform(6.8, 8.9), rng.uniform(0.14, 0.22)
        c.ellipse(x, 1.35 + rng.uniform(0, 0.35), r, r,
                  [(0.95, 0.45, 0.12), (0.95, 0.78, 0.2), (0.9, 0.3, 0.2)][int(rng.integers(3))])  # fmt: skip
    for x in (0.9, 1.5):
        c.rect(x, 1.0, x + 0.55, 1.6, (0.25, 0.45, 0.62))
        c.rect(x, 1.35, x + 0.55, 1.42, (0.15, 0.3, 0.45))
    _hull(c, 0.15, 10.3, 1.15, 2.25, ((0.16, 0.45, 0.62), (0.95, 0.80, 0.30), (0.62, 0.16, 0.12)),
          seed + 3)  # fmt: skip
    for x in (2.0, 4.2, 6.4):
        c.ellipse(x, 0.75, 0.2, 0.3, (0.93, 0.46, 0.14))
        c.ellipse(x + 0.05, 0.82, 0.1, 0.16, (1.0, 0.7, 0.4))
    c.rect(8.1, 1.05, 9.1, 1.3, (0.95, 0.93, 0.85))
    for k in range(5):  # the registration, too small to read
        c.rect(8.16 + 0.19 * k, 1.09, 8.26 + 0.19 * k, 1.26, (0.1, 0.1, 0.12))
    return c


def sloop(seed: int) -> Canvas:
    """A sailing boat under full sail, 9 m long and 12.5 m high, its bow to the left."""
    c = Canvas(9.4, 12.6, 50.0)
    gx, gy = c.grid()
    fine, grain = band(*c.shape, 4.0, seed), fractal(*c.shape, seed + 1)
    s = np.linspace(0, 1, 16)
    mast = 4.1

    def sail(tack: tuple[float, float], head: tuple[float, float], clew: tuple[float, float],
             belly: float, hue: RGB, shadow: float) -> None:  # fmt: skip
        curve = 4 * s * (1 - s)
        leech = [(head[0] + (clew[0] - head[0]) * a + belly * b, head[1] + (clew[1] - head[1]) * a)
                 for a, b in zip(s, curve, strict=True)]  # fmt: skip
        foot = [(clew[0] + (tack[0] - clew[0]) * a, clew[1] + (tack[1] - clew[1]) * a - 0.12 * b)
                for a, b in zip(s, curve, strict=True)]  # fmt: skip
        across = ramp(gx, min(tack[0], clew[0]), max(tack[0], clew[0]))
        seams = 1 - 0.09 * (np.mod(gy + 0.12 * gx, 1.1) < 0.05)
        cloth = (shadow + (1.04 - shadow) * across) * seams * (1 + 0.02 * fine + 0.025 * grain)
        c.polygon([tack, *leech, *foot], np.clip(np.asarray(hue) * cloth[..., None], 0, 1)
                  .astype(np.float32))  # fmt: skip

    c.line([(mast, 12.3), (0.35, 1.35)], 0.03, LINE)
    c.line([(mast, 12.3), (8.9, 1.1)], 0.03, LINE)
    sail((mast + 0.12, 2.1), (mast + 0.12, 12.1), (8.6, 2.0), 0.55, (0.93, 0.42, 0.22), 0.72)
    c.polygon([(mast + 0.1, 7.4), (6.75, 7.2), (7.15, 6.2), (mast + 0.1, 6.3)],
              (0.98, 0.90, 0.74), opacity=0.92)  # fmt: skip
    sail((0.45, 1.5), (mast - 0.05, 11.4), (mast + 0.9, 1.9), 0.3, (0.98, 0.94, 0.85), 0.70)
    c.rect(mast - 0.07, 1.0, mast + 0.07, 12.4, (0.55, 0.38, 0.22))
    c.rect(mast, 1.0, mast + 0.07, 12.4, (0.85, 0.66, 0.42))
    c.line([(mast, 2.0), (8.7, 1.9)], 0.12, (0.72, 0.52, 0.3))
    c.rect(3.4, 0.9, 6.3, 1.45, (0.88, 0.80, 0.66))
    for x in (3.7, 4.4, 5.1, 5.8):
        c.rect(x, 1.1, x + 0.4, 1.3, (0.15, 0.18, 0.22))
    for x, coat in ((7.0, (0.85, 0.2, 0.18)), (7.7, (0.95, 0.8, 0.25))):
        c.ellipse(x, 1.35, 0.24, 0.42, coat)
        c.ellipse(x, 1.88, 0.14, 0.16, (0.8, 0.6, 0.48))
    _hull(c, 0.1, 9.2, 0.85, 1.3, ((0.95, 0.93, 0.88), (0.12, 0.3, 0.42), (0.14, 0.36, 0.38)),
          seed + 2)  # fmt: skip
    c.rgb[:], c.alpha[:] = c.rgb.copy(), c.alpha.copy()
    return c


def dinghy(seed: int, top: RGB, stripe: RGB, mast: bool) -> Canvas:
    """A small open boat, 5 m long; with a mast and a furled sail, or with oars."""
    c = Canvas(5.4, 7.2 if mast else 2.4, 60.0)
    if mast:
        c.line([(2.6, 6.9), (5.1, 1.1)], 0.03, LINE)
        c.line([(2.6, 6.9), (0.3, 0.9)], 0.03, LINE)
        c.rect(2.53, 0.6, 2.67, 7.0, (0.70, 0.50, 0.30))
        c.line([(2.6, 1.6), (0.4, 1.75)], 0.26, (0.92, 0.86, 0.72))
        for x in (0.8, 1.3, 1.8, 2.3):
            c.rect(x, 1.52, x + 0.06, 1.86, (0.3, 0.25, 0.2))
    else:
        c.line([(0.5, 1.4), (3.4, 0.7)], 0.09, (0.78, 0.58, 0.34))
        c.rect(1.4, 0.6, 1.6, 1.3, (0.25, 0.3, 0.3))
        c.ellipse(1.5, 1.45, 0.3, 0.25, (0.2, 0.2, 0.22))
    c.rect(1.9, 0.6, 3.2, 1.05, (0.62, 0.46, 0.30))
    _hull(c, 0.1, 5.2, 0.72, 1.1, (top, stripe, (0.35, 0.12, 0.10)), seed)
    c.ellipse(3.4, 0.45, 0.16, 0.22, (0.93, 0.9, 0.82))
    return c


def lighthouse(seed: int) -> Canvas:
    """A rocky point with a lighthouse and the keeper's cottage: 64 m by 34 m."""
    c = Canvas(64.0, 35.0, 20.0)
    gx, gy = c.grid()
    grain, rough = fractal(*c.shape, seed, roughness=1.3), band(*c.shape, 14.0, seed + 1)
    fine = band(*c.shape, 4.0, seed + 2)
    # The tower first: rocks hide its foot.
    x, foot, top = 37.0, 6.0, 27.0

    def half(y: np.ndarray | float) -> np.ndarray | float:
        return 2.5 - 0.95 * (y - foot) / (top - foot)

    side = (gx - x) / half(gy)
    round_light = np.clip(0.50 + 0.52 * ramp(side, -1.0, 0.75) - 0.2 * ramp(side, 0.8, 1.0), 0, 1.1)
    bands = np.mod(np.floor((gy - foot) / 4.2), 2)[..., None]
    paint = np.array((0.97, 0.95, 0.90)) * (1 - bands) + np.array((0.82, 0.18, 0.14)) * bands
    stain = 1 + 0.04 * fine + 0.05 * grain
    tower = np.clip(paint * (round_light * stain)[..., None], 0, 1).astype(np.float32)
    c.polygon([(x - half(foot), foot), (x + half(foot), foot), (x + half(top), top),
               (x - half(top), top)], tower)  # fmt: skip
    for y in (10.5, 16.0, 21.5):
        c.rect(x - 0.35, y, x + 0.35, y + 1.2, (0.16, 0.2, 0.26))
    c.rect(x - 2.3, top, x + 2.3, top + 0.5, (0.25, 0.25, 0.28))
    for k in np.linspace(-2.2, 2.2, 9):
        c.rect(x + k - 0.05, top + 0.5, x + k + 0.05, top + 1.5, (0.2, 0.2, 0.24))
    c.rect(x - 2.3, top + 1.45, x + 2.3, top + 1.6, (0.2, 0.2, 0.24))
    c.rect(x - 1.2, top + 0.5, x + 1.2, top + 3.1, (1.0, 0.88, 0.52))
    c.ellipse(x, top + 1.8, 0.6, 0.7, (1.0, 1.0, 0.88))
    for k in (-1.2, -0.4, 0.4, 1.2):
        c.rect(x + k - 0.06, top + 0.5, x + k + 0.06, top + 3.1, (0.2, 0.2, 0.24))
    c.polygon([(x - 1.6, top + 3.1), (x, top + 5.0), (x + 1.6, top + 3.1)], (0.70, 0.16, 0.13))
    c.line([(x, top + 4.8), (x, top + 6.4)], 0.1, (0.2, 0.2, 0.22))
    c.rect(23, 6, 33, 9.6, (0.90, 0.87, 0.80))  # the cottage
    c.rect(30.5, 6, 33, 9.6, (1.0, 0.97, 0.90))
    c.polygon([(22.4, 9.5), (24.2, 12.4), (31.8, 12.4), (33.6, 9.5)], (0.60, 0.27, 0.19))
    c.polygon([(30.3, 9.5), (31.8, 12.4), (33.6, 9.5)], (0.78, 0.40, 0.27))
    for k in range(3):
        c.rect(24 + 2.2 * k, 7.2, 25.1 + 2.2 * k, 8.6, (0.18, 0.24, 0.3))
    c.rect(28.2, 12, 29.1, 13.8, (0.55, 0.30, 0.22))
    profile = (8.2 * np.exp(-(((gx - 32) / 15) ** 2)) + 4.5 * np.exp(-(((gx - 12) / 9) ** 2))
               + 3.2 * np.exp(-(((gx - 54) / 7) ** 2)) + 0.9 * grain[:1] + 0.45 * rough[:1] - 0.9)  # fmt: skip
    relief = rough + 0.7 * fine + 1.1 * grain
    slope = np.roll(relief, 3, 1) - np.roll(relief, -3, 1) + 0.6 * (relief - np.roll(relief, -3, 0))
    light = np.clip(0.62 - 0.20 * slope, 0.12, 1.25)[..., None]
    grass = (ramp(gy + 0.8 * rough, profile - 2.2, profile - 0.8) * ramp(gy, 2.0, 3.6))[..., None]
    rock = np.array((0.52, 0.44, 0.37)) * light
    green = np.array((0.50, 0.55, 0.22)) * (0.62 + 0.4 * light)
    wet = (1 - 0.55 * ramp(gy + 0.25 * rough, 1.6, 0.6))[..., None]
    cover = np.clip((profile + 0.25 * fine - gy) * c.scale + 0.5, 0, 1)
    c.lay(cover.astype(np.float32),
          np.clip((rock * (1 - grass) + green * grass) * wet, 0, 1).astype(np.float32))  # fmt: skip
    return c


def gull(seed: int) -> Canvas:
    """A gull from behind and below, its wings spread: 1.5 m by 0.8 m; `Sheet.bend` flaps it."""
    c = Canvas(1.52, 0.6, 168.0)
    middle, y = c.width_m / 2, 0.16
    for side in (-1, 1):
        def at(x: float, h: float, side: int = side) -> tuple[float, float]:
            return middle + side * x, y + h

        c.polygon([at(0.0, 0.09), at(0.25, 0.10), at(0.5, 0.06), at(0.73, -0.02), at(0.5, -0.02),
                   at(0.28, -0.06), at(0.05, -0.08)], (0.93, 0.92, 0.90))  # fmt: skip
        c.polygon([at(0.05, -0.02), at(0.28, -0.03), at(0.5, 0.0), at(0.5, -0.02),
                   at(0.28, -0.07), at(0.05, -0.08)], (0.60, 0.64, 0.70))  # fmt: skip
        c.polygon([at(0.58, 0.035), at(0.73, -0.02), at(0.55, -0.005)], (0.12, 0.12, 0.14))
    c.ellipse(middle, y - 0.01, 0.1, 0.085, (0.96, 0.95, 0.92))
    c.ellipse(middle, y - 0.05, 0.085, 0.045, (0.68, 0.70, 0.74))
    c.ellipse(middle + 0.03, y + 0.06, 0.05, 0.05, (0.99, 0.98, 0.95))
    c.polygon([(middle + 0.06, y + 0.07), (middle + 0.14, y + 0.05), (middle + 0.06, y + 0.04)],
              (0.95, 0.66, 0.16))  # fmt: skip
    return c


def mooring(seed: int) -> Canvas:
    """Three weathered piles with a rope between them and a gull at rest: 4.6 m by 3.4 m."""
    c = Canvas(4.7, 3.5, 110.0)
    gx, gy = c.grid()
    streak = band(*c.shape, 6.0, seed, stretch=0.16)
    fine, grain = band(*c.shape, 3.0, seed + 1), fractal(*c.shape, seed + 2)
    for x, top, half in ((0.55, 2.45, 0.2), (2.25, 2.85, 0.23), (4.0, 2.2, 0.19)):
        side = (gx - x) / half
        light = 0.42 + 0.72 * ramp(side, -1.0, 0.7) - 0.18 * ramp(side, 0.75, 1.0)
        wood = np.array((0.52, 0.42, 0.33)) * (light * (1 + 0.16 * streak + 0.08 * fine))[..., None]
        weed = ramp(gy + 0.12 * grain + 0.08 * streak, 0.95, 0.45)[..., None]
        wood = wood * (1 - weed) + np.array((0.20, 0.26, 0.11)) * (
            light * (0.8 + 0.3 * fine))[..., None] * weed  # fmt: skip
        shell = (ramp(fine + 0.5 * grain, 1.0, 1.5) * ramp(gy, 1.25, 0.9) * ramp(gy, 0.2, 0.5))
        wood = wood * (1 - shell[..., None]) + np.array((0.78, 0.75, 0.68)) * shell[..., None]
        c.rect(x - half, 0, x + half, top, np.clip(wood, 0, 1).astype(np.float32))
        c.ellipse(x, top, half, 0.06, (0.66, 0.56, 0.44))
        for k in range(3):
            c.rect(x - half - 0.015, top - 0.55 + 0.07 * k, x + half + 0.015,
                   top - 0.49 + 0.07 * k, (0.80 - 0.1 * (k % 2), 0.66, 0.42))  # fmt: skip
    for x0, y0, x1, y1 in ((0.55, 1.95, 2.25, 2.35), (2.25, 2.35, 4.0, 1.7)):
        s = np.linspace(0, 1, 24)
        rope = [(x0 + (x1 - x0) * a, y0 + (y1 - y0) * a - 2.2 * a * (1 - a)) for a in s]
        c.line(rope, 0.075, (0.46, 0.36, 0.22))
        c.line([(x + 0.008, y + 0.016) for x, y in rope], 0.03, (0.88, 0.74, 0.50))
    x, y = 2.25, 2.89  # the gull
    c.line([(x - 0.02, y), (x - 0.02, y + 0.12)], 0.02, (0.9, 0.6, 0.2))
    c.line([(x + 0.05, y), (x + 0.05, y + 0.12)], 0.02, (0.9, 0.6, 0.2))
    c.ellipse(x, y + 0.2, 0.2, 0.11, (0.97, 0.96, 0.93))
    c.polygon([(x - 0.36, y + 0.13), (x - 0.05, y + 0.29), (x + 0.13, y + 0.2), (x - 0.1, y + 0.12)],
              (0.58, 0.62, 0.68))  # fmt: skip
    c.polygon([(x - 0.38, y + 0.12), (x - 0.2, y + 0.2), (x - 0.18, y + 0.15)], (0.1, 0.1, 0.12))
    c.ellipse(x + 0.17, y + 0.35, 0.085, 0.08, (1.0, 0.99, 0.96))
    c.polygon([(x + 0.24, y + 0.37), (x + 0.36, y + 0.32), (x + 0.24, y + 0.32)], (0.95, 0.68, 0.15))
    c.ellipse(x + 0.2, y + 0.37, 0.015, 0.015, (0.05, 0.05, 0.05))
    return c


def buoy() -> Canvas:
    """A red and white channel buoy, 3 m high."""
    c = Canvas(1.6, 3.2, 80.0)
    gx, gy = c.grid()
    light = 0.5 + 0.55 * ramp(gx, 0.2, 1.2)
    bands = (np.mod(np.floor(gy / 0.5), 2))[..., None]
    skin = np.array((0.88, 0.20, 0.14)) * (1 - bands) + np.array((0.96, 0.93, 0.86)) * bands
    c.polygon([(0.6, 0.5), (0.72, 2.6), (0.88, 2.6), (1.0, 0.5)],
              np.clip(skin * light[..., None], 0, 1).astype(np.float32))  # fmt: skip
    c.polygon([(0.2, 0.0), (0.15, 0.35), (0.35, 0.62), (1.25, 0.62), (1.45, 0.35), (1.4, 0.0)],
              np.clip(np.array((0.86, 0.19, 0.13)) * light[..., None], 0, 1).astype(np.float32))  # fmt: skip
    c.ellipse(0.8, 2.75, 0.16, 0.2, (1.0, 0.85, 0.4))
    return c


def wake(seed: int) -> Canvas:
    """The foam a boat leaves, seen from above: 22 m by 7 m, the boat's bow at the right end."""
    c = Canvas(22.0, 7.0, 24.0)
    gx, gy = c.grid()
    foam = fractal(*c.shape, seed, roughness=1.3, coarsest=0.06) + 0.6 * band(
        *c.shape, 8.0, seed + 1, stretch=3.0
    )
    behind = np.clip((21.0 - gx) / 21.0, 0, 1)
    spread = 0.35 + 2.7 * behind
    off = np.abs(gy - c.height_m / 2)
    arms = np.exp(-(((off - spread) / (0.16 + 0.5 * behind)) ** 2)) * (1 - behind) ** 1.3
    churn = 0.8 * np.exp(-((off / (0.5 + 0.6 * behind)) ** 2)) * ramp(gx, 13, 10) * (1 - behind)
    cover = np.clip((arms + 1.3 * churn) * (0.7 + 0.6 * foam), 0, 0.9) * ramp(gx, 21.3, 20.5)
    c.lay(cover.astype(np.float32), (0.90, 0.94, 0.93))
    return c
