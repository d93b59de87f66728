"""The painted sheets of what floats: boats, a buoy, the foam they leave."""

import numpy as np

from scenery.canvas import Canvas
from scenery.noise import band, fractal, ramp

RGB = tuple[float, float, float]
LINE = (0.16, 0.13, 0.12)


def _hull(
    c: Canvas,
    x0: float,
    x1: float,
    low: float,
    bow: float,
    colours: tuple[RGB, RGB, RGB],
    seed: int,
) -> None:
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
    for a, b in [
        ((3.1, 7.4), (9.9, 2.0)),
        ((3.1, 7.4), (0.4, 1.4)),
        ((3.1, 5.6), (9.0, 1.9)),
        ((7.4, 4.9), (9.9, 2.1)),
        ((7.4, 4.9), (3.1, 5.4)),
        ((3.1, 6.6), (1.0, 1.5)),
    ]:
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
    white = np.clip(
        np.array((0.93, 0.90, 0.82)) * (boards * (0.78 + 0.24 * ramp(gx, 3.6, 6.4)))[..., None],
        0,
        1,
    ).astype(np.float32)
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
        c.ellipse(
            x,
            1.35 + rng.uniform(0, 0.35),
            r,
            r,
            [(0.95, 0.45, 0.12), (0.95, 0.78, 0.2), (0.9, 0.3, 0.2)][int(rng.integers(3))],
        )
    for x in (0.9, 1.5):
        c.rect(x, 1.0, x + 0.55, 1.6, (0.25, 0.45, 0.62))
        c.rect(x, 1.35, x + 0.55, 1.42, (0.15, 0.3, 0.45))
    _hull(
        c,
        0.15,
        10.3,
        1.15,
        2.25,
        ((0.16, 0.45, 0.62), (0.95, 0.80, 0.30), (0.62, 0.16, 0.12)),
        seed + 3,
    )
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

    def sail(
        tack: tuple[float, float],
        head: tuple[float, float],
        clew: tuple[float, float],
        belly: float,
        hue: RGB,
        shadow: float,
    ) -> None:
        curve = 4 * s * (1 - s)
        leech = [
            (head[0] + (clew[0] - head[0]) * a + belly * b, head[1] + (clew[1] - head[1]) * a)
            for a, b in zip(s, curve, strict=True)
        ]
        foot = [
            (clew[0] + (tack[0] - clew[0]) * a, clew[1] + (tack[1] - clew[1]) * a - 0.12 * b)
            for a, b in zip(s, curve, strict=True)
        ]
        across = ramp(gx, min(tack[0], clew[0]), max(tack[0], clew[0]))
        seams = 1 - 0.09 * (np.mod(gy + 0.12 * gx, 1.1) < 0.05)
        cloth = (shadow + (1.04 - shadow) * across) * seams * (1 + 0.02 * fine + 0.025 * grain)
        c.polygon(
            [tack, *leech, *foot],
            np.clip(np.asarray(hue) * cloth[..., None], 0, 1).astype(np.float32),
        )

    c.line([(mast, 12.3), (0.35, 1.35)], 0.03, LINE)
    c.line([(mast, 12.3), (8.9, 1.1)], 0.03, LINE)
    sail((mast + 0.12, 2.1), (mast + 0.12, 12.1), (8.6, 2.0), 0.55, (0.93, 0.42, 0.22), 0.72)
    c.polygon(
        [(mast + 0.1, 7.4), (6.75, 7.2), (7.15, 6.2), (mast + 0.1, 6.3)],
        (0.98, 0.90, 0.74),
        opacity=0.92,
    )
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
    _hull(
        c,
        0.1,
        9.2,
        0.85,
        1.3,
        ((0.95, 0.93, 0.88), (0.12, 0.3, 0.42), (0.14, 0.36, 0.38)),
        seed + 2,
    )
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


def buoy() -> Canvas:
    """A red and white channel buoy, 3 m high."""
    c = Canvas(1.6, 3.2, 80.0)
    gx, gy = c.grid()
    light = 0.5 + 0.55 * ramp(gx, 0.2, 1.2)
    bands = (np.mod(np.floor(gy / 0.5), 2))[..., None]
    skin = np.array((0.88, 0.20, 0.14)) * (1 - bands) + np.array((0.96, 0.93, 0.86)) * bands
    c.polygon(
        [(0.6, 0.5), (0.72, 2.6), (0.88, 2.6), (1.0, 0.5)],
        np.clip(skin * light[..., None], 0, 1).astype(np.float32),
    )
    c.polygon(
        [(0.2, 0.0), (0.15, 0.35), (0.35, 0.62), (1.25, 0.62), (1.45, 0.35), (1.4, 0.0)],
        np.clip(np.array((0.86, 0.19, 0.13)) * light[..., None], 0, 1).astype(np.float32),
    )
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
