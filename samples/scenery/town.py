"""What stands on land: houses on a quay, a lighthouse, hills, a jetty."""

import numpy as np

from scenery.canvas import Canvas, Color, noise, ramp, rgb

WALLS = "#db9e42 #b84533 #e6d1a8 #548599 #de8570 #6b8c61 #edbf66 #9e3842 #ccdbd6 #475c85 #e8a88c"
ROOFS = "#8c402b #57454a #9e5433 #424d5c"
WARE = "#c72e26 #266b66 #eb9e26 #33529a #f2e8d8"
TRIM, GLASS, DARK = "#f2eddd", "#24333f", "#120f14"


def _pick(rng: np.random.Generator, colors: str) -> str:
    return str(rng.choice(colors.split()))


def _window(c: Canvas, x: float, y: float, rng: np.random.Generator) -> None:
    """One window, 1 m by 1.5 m: its shadow, frame, panes and sill."""
    c.box(x - 0.18, y - 0.22, 1.3, 1.75, DARK, 0.3)
    c.box(x - 0.1, y - 0.1, 1.2, 1.7, TRIM)
    if rng.random() < 0.2:  # a lamp behind it
        c.box(x, y, 1, 1.5, "#f5b45a")
        c.box(x, y, 1, 0.6, "#e08a3c")
    else:
        c.box(x, y, 1, 1.5, GLASS)
        sky = [(x, y + 0.4), (x + 1, y + 1.0), (x + 1, y + 1.5), (x, y + 1.5)]
        c.polygon(sky, "#8fa9ba", rng.uniform(0.3, 0.7))
    c.box(x + 0.46, y, 0.08, 1.5, TRIM)
    c.box(x, y + 0.9, 1, 0.08, TRIM)
    c.box(x - 0.16, y - 0.2, 1.32, 0.12, TRIM)


def _gable(style: int, w: float, rise: float) -> list[tuple[float, float]]:
    """Outline of a roof over a front `w` wide: pointed, stepped, bell-shaped or hipped."""
    if style == 0:
        left = [(0.0, 0.0), (w / 2, rise)]
    elif style == 1:
        left = [(w * (k // 2) / 9, rise * ((k + 1) // 2) / 4) for k in range(9)]
    elif style == 2:
        left = [(0.42 * w * a, rise * (0.5 - 0.5 * np.cos(np.pi * a))) for a in np.linspace(0, 1)]
    else:
        left = [(0.0, 0.0), (0.12 * w, 0.5 * rise)]
    return left + [(w - x, y) for x, y in reversed(left)]


def _house(w: float, number: int, rng: np.random.Generator) -> Canvas:
    """One front, `w` wide."""
    c, wall = Canvas(w, 19, 24), rgb(WALLS.split()[number % 11])
    eaves, style = 3.3 + 2.75 * rng.integers(2, 4), number % 4
    rise = (0.72, 0.62, 0.62, 0.8)[style] * w
    bricks = 1 - 0.1 * ((c.y % 0.3 < 0.05) | ((c.x + 0.25 * (c.y % 0.6 < 0.3)) % 0.5 < 0.04))
    skin = wall * (bricks * (0.86 + 0.14 * ramp(c.y, 0, eaves)))[..., None]
    tiles = rgb(_pick(rng, ROOFS)) * (1 - 0.28 * ((c.y + 0 * c.x) % 0.32 < 0.1))[..., None]
    outline = [(x, eaves + y) for x, y in _gable(style, w, rise)]
    c.box(0.2 * w, eaves, 0.7, 0.75 * rise + 1.2, skin * 0.7)
    c.box(0.2 * w - 0.1, eaves + 0.75 * rise + 1, 0.9, 0.25, wall * 0.5)
    c.polygon([(x, y + 0.25) for x, y in outline], tiles if style in (0, 3) else TRIM)
    c.polygon(outline, tiles if style == 3 else skin)
    c.box(0, 0, w, eaves, skin)
    if style == 3:  # a dormer
        dormer = ((-1, 0), (-1, 1.9), (0, 2.7), (1, 1.9), (1, 0))
        c.polygon([(w / 2 + x, eaves + y) for x, y in dormer], TRIM)
        _window(c, w / 2 - 0.5, eaves + 0.2, rng)
    else:
        c.ellipse(w / 2, eaves + 0.45 * rise, 0.55, 0.7, TRIM)
        c.ellipse(w / 2, eaves + 0.45 * rise, 0.4, 0.55, GLASS)
    across = 3 if w > 6 else 2
    for y in np.arange(4.05, eaves - 1, 2.75):
        for k in range(across):
            _window(c, w * (k + 0.5) / across - 0.5, y, rng)
    c.box(0, 3.15, w, 0.3, TRIM)
    c.box(0.3, 0.2, w - 0.6, 2.6, GLASS)  # the shop
    c.box(0.7, 1, 0.5 * w, 1.3, "#f2b860", 0.8)
    c.box(w * rng.uniform(0.15, 0.7), 0, 1.1, 2.45, _pick(rng, "#73211f #1f4d45 #263361"))
    hue = _pick(rng, WARE)
    for k in range(10):  # the awning
        c.box(0.2 + k * (w - 0.4) / 10, 2.1, (w - 0.4) / 10, 1, TRIM if k % 2 else hue)
    c.box(0.2, 1.5, w - 0.4, 0.6, DARK, 0.45)
    # The sun stands to the right: the right edge of a front glows, the left one is in shade.
    sun = (ramp(c.x - 0.25 * c.y, -0.5, 0.7 * w) * ramp(c.y, 0.5, 4.5) * 0.85 + 0.15)[..., None]
    c.shade(rgb("#a8b3d6") * (1 - sun) + np.array((1.16, 1.05, 0.88)) * sun)
    return c


def houses(seed: int) -> Canvas:
    """A row of gabled fronts: 71 m by 19 m."""
    rng, c = np.random.default_rng(seed), Canvas(71, 19, 24)
    fronts = [_house(float(rng.uniform(5.2, 7.2)), number, rng).picture for number in range(13)]
    c.picture = np.concatenate(fronts, axis=1)[:, : c.x.size]
    c.shade(1 + 0.05 * c.grain(seed, 8) + 0.05 * c.grain(seed + 1, 200))
    return c


def quay(seed: int) -> Canvas:
    """The wall of the quay, 1.6 m high, and who stands on its edge: 71 m by 6.5 m."""
    c, rng = Canvas(71, 6.5, 24), np.random.default_rng(seed)
    for x in rng.uniform(1, 70, 46):  # people
        c.box(x - 0.17, 1.6, 0.34, 0.9, "#24262f")
        c.ellipse(x, 2.7, 0.27, 0.42, _pick(rng, WARE))
        c.ellipse(x, 3.2, 0.14, 0.17, "#d19a7a")
    for x in np.arange(3.0, 71, 9):  # lamps
        c.box(x - 0.07, 1.6, 0.14, 3.8, "#21302e")
        c.ellipse(x, 5.4, 0.24, 0.3, "#ffe69e")
    stone = 1 - 0.4 * ((c.y % 0.4 < 0.05) | ((c.x + 0.55 * (c.y % 0.8 < 0.4)) % 1.1 < 0.05))
    weed = ramp(c.y + 0.05 * c.grain(seed, 20)[..., 0], 0.75, 0.25)[..., None]
    c.box(0, 0, 71, 1.6, rgb("#8f8575") * stone[..., None] * (1 - weed) + rgb("#2b361a") * weed)
    c.box(0, 1.5, 71, 0.18, "#c2b59e")
    for x in np.arange(2.0, 71, 4.5):
        c.ellipse(x, 0.9, 0.38, 0.4, DARK)
    c.shade(1 + 0.08 * c.grain(seed + 1, 8))
    return c


def hills(
    seed: int,
    width: float,
    height: float,
    scale: float,
    color: Color,
    woods: float,
    rough: float = 8,
) -> Canvas:
    """A chain of hills, lit from the right; `woods` (0 to 1) roughens it."""
    c = Canvas(width, height, scale)
    ridge = np.sin(np.pi * c.x / width) ** 0.4 * (
        0.55 + 0.16 * noise((1, c.x.size), seed, 0.4 * c.x.size, rough)
    )
    crowns = c.grain(seed + 1, 14, 4)[..., 0]
    relief = c.grain(seed + 2, 300, 12, 0.6)[..., 0] + woods * 0.7 * crowns
    light = 0.8 + 0.35 * (relief - np.roll(relief, (4, -4), (0, 1)))
    edge = (height * ridge - c.y) * scale + woods * 3 * crowns
    c.fill(np.clip(edge + 0.5, 0, 1), rgb(color) * np.clip(light, 0.3, 1.5)[..., None])
    return c


def lighthouse(seed: int) -> Canvas:
    """A rocky point with a lighthouse and the keeper's cottage: 64 m by 35 m."""
    c = Canvas(64, 35, 20)
    side = (c.x - 37) / (2.5 - 0.95 * (c.y - 6) / 21)
    light = 0.5 + 0.55 * ramp(side, -1, 0.75) - 0.2 * ramp(side, 0.8, 1)
    bands = (np.floor((c.y - 6) / 4.2) % 2)[..., None]
    c.polygon(
        "34.5,6 39.5,6 38.55,27 35.45,27",
        (rgb("#f7f2e6") * (1 - bands) + rgb("#d12e24") * bands) * light[..., None],
    )
    for y in (10.5, 16, 21.5):
        c.box(36.65, y, 0.7, 1.2, GLASS)
    c.box(34.7, 27, 4.6, 0.5, DARK)
    c.line("34.8,28.5 39.2,28.5", 0.15, DARK)
    c.box(35.8, 27.5, 2.4, 2.6, "#ffe085")
    for x in (34.8, 35.8, 36.6, 37.4, 38.2, 39.2):
        c.line([(x, 27.5), (x, 28.5 if x in (34.8, 39.2) else 30)], 0.1, DARK)
    c.polygon("35.4,30.1 37,32.2 38.6,30.1", "#b32921")
    c.box(23, 6, 7.5, 3.6, "#dcd3c2")
    c.box(30.5, 6, 2.5, 3.6, "#fff7e6")
    c.polygon("22.4,9.5 24.2,12.4 31.8,12.4 33.6,9.5", "#994530")
    for x in (24.0, 26.2, 28.4):
        c.box(x, 7.2, 1.1, 1.4, GLASS)
    ground = 8.2 * np.exp(-(((c.x - 32) / 15) ** 2)) + 4.5 * np.exp(-(((c.x - 12) / 9) ** 2))
    ground += 3.2 * np.exp(-(((c.x - 54) / 7) ** 2)) - 0.9
    crags = c.grain(seed, 40, 5)[..., 0]
    shade = np.clip(0.6 + 0.5 * (crags - np.roll(crags, (3, -3), (0, 1))), 0.15, 1.2)[..., None]
    grass = ramp(c.y + 0.5 * crags, ground - 2.2, ground - 0.8)[..., None]
    rock = (rgb("#85705e") * (1 - grass) + rgb("#9aa044") * grass) * shade
    rock *= 1 - 0.5 * ramp(c.y, 1.6, 0.6)[..., None]
    c.fill(np.clip((ground + 0.25 * crags - c.y) * c.scale, 0, 1), rock)
    return c


def piles(seed: int) -> Canvas:
    """Three weathered piles, a rope between them, and a gull at rest: 4.7 m by 3.5 m."""
    c = Canvas(4.7, 3.5, 110)
    streaks, spots = c.grain(seed, 60, 5, 0.15), c.grain(seed + 1, 12)
    weed = ramp(c.y[..., None] + 0.1 * streaks, 0.95, 0.45)
    for x, top, half in ((0.55, 2.45, 0.2), (2.25, 2.85, 0.23), (4.0, 2.2, 0.19)):
        light = (0.45 + 0.7 * ramp((c.x - x) / half, -1, 0.7))[..., None] * (1 + 0.16 * streaks)
        wood = (rgb("#856b54") * (1 - weed) + rgb("#33421c") * weed) * light
        c.box(
            x - half,
            0,
            2 * half,
            top,
            wood + 0.5 * ramp(spots, 1.2, 1.6) * ramp(c.y, 1.25, 0.9)[..., None],
        )
        c.ellipse(x, top, half, 0.06, "#a88f70")
        c.box(x - half - 0.015, top - 0.55, 2 * half + 0.03, 0.18, "#c9a86b")
    for x0, y0, x1, y1 in ((0.55, 1.95, 2.25, 2.35), (2.25, 2.35, 4.0, 1.7)):
        a = np.linspace(0, 1, 24)
        rope = np.stack([x0 + (x1 - x0) * a, y0 + (y1 - y0) * a - 2.2 * a * (1 - a)], 1)
        c.line(rope, 0.075, "#755c38")
        c.line(rope + (0.008, 0.016), 0.03, "#e0bd80")
    c.line("2.23,2.85 2.23,3", 0.02, "#e6992f")
    c.line("2.3,2.85 2.3,3", 0.02, "#e6992f")
    c.ellipse(2.25, 3.09, 0.2, 0.11, "#f7f5ed")
    c.polygon("1.89,3.02 2.2,3.18 2.38,3.09 2.15,3.01", "#949eae")
    c.polygon("1.87,3.01 2.05,3.09 2.07,3.04", DARK)
    c.ellipse(2.42, 3.24, 0.085, 0.08, "#fffcf5")
    c.polygon("2.49,3.26 2.61,3.21 2.49,3.21", "#f2ad26")
    c.ellipse(2.45, 3.26, 0.015, 0.015, DARK)
    return c
