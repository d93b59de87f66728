"""The painted sheet of a row of gabled houses."""

import numpy as np

from scenery.canvas import Canvas
from scenery.noise import band, fractal, ramp

WALLS = [
    (0.86, 0.62, 0.26),
    (0.72, 0.27, 0.20),
    (0.90, 0.82, 0.66),
    (0.33, 0.52, 0.60),
    (0.87, 0.52, 0.44),
    (0.42, 0.55, 0.38),
    (0.93, 0.75, 0.40),
    (0.62, 0.22, 0.26),
    (0.80, 0.86, 0.84),
    (0.28, 0.36, 0.52),
    (0.91, 0.66, 0.55),
    (0.74, 0.46, 0.22),
]
SUNLIT, SHADE = np.array((1.16, 1.05, 0.88)), np.array((0.66, 0.70, 0.84))  # warm and cool
TRIM = (0.95, 0.93, 0.87)
ROOFS = [(0.55, 0.25, 0.17), (0.34, 0.27, 0.29), (0.62, 0.33, 0.20), (0.26, 0.30, 0.36)]


def _dim(colour: tuple[float, float, float], factor: float) -> tuple[float, ...]:
    return tuple(min(1.0, c * factor) for c in colour)


def _window(
    c: Canvas,
    x: float,
    y: float,
    w: float,
    h: float,
    rng: np.random.Generator,
    shutter: tuple[float, float, float] | None,
) -> None:
    """One window: frame, panes that mirror the sky, sill, lintel and the shadow it throws."""
    c.rect(x - 0.16, y - 0.2, x + w + 0.06, y + h + 0.05, (0.1, 0.08, 0.1), opacity=0.35)
    c.rect(x - 0.09, y - 0.09, x + w + 0.09, y + h + 0.12, TRIM)
    if rng.random() < 0.16:
        c.rect(x, y, x + w, y + h, (1.0, 0.80, 0.42))
        c.rect(x, y, x + w, y + 0.45 * h, (0.93, 0.58, 0.24))
    else:
        sky = rng.uniform(0.0, 0.35)
        c.rect(x, y, x + w, y + h, (0.10 + sky * 0.5, 0.15 + sky * 0.7, 0.22 + sky))
        c.polygon(
            [(x, y + 0.35 * h), (x + w, y + 0.75 * h), (x + w, y + h), (x, y + h)],
            (0.52, 0.62, 0.70),
            opacity=0.25 + sky,
        )
        if rng.random() < 0.6:  # curtains
            c.rect(x, y, x + 0.2 * w, y + h, (0.88, 0.85, 0.78), opacity=0.75)
            c.rect(x + 0.8 * w, y, x + w, y + h, (0.88, 0.85, 0.78), opacity=0.75)
    c.rect(x, y + h - 0.16, x + w, y + h, (0.05, 0.05, 0.08), opacity=0.5)
    c.rect(x + w / 2 - 0.035, y, x + w / 2 + 0.035, y + h, TRIM)
    c.rect(x, y + 0.6 * h, x + w, y + 0.6 * h + 0.06, TRIM)
    c.rect(x - 0.16, y - 0.17, x + w + 0.16, y - 0.07, TRIM)
    if shutter:
        for left in (x - 0.12 - 0.42 * w, x + w + 0.12):
            c.rect(left, y - 0.04, left + 0.42 * w, y + h + 0.04, shutter)
            for k in range(6):
                slat = y + h * (k + 0.5) / 6
                c.rect(left + 0.05, slat, left + 0.42 * w - 0.05, slat + 0.07, _dim(shutter, 0.7))


def _gable(style: str, x: float, w: float, eaves: float, rise: float) -> list[tuple[float, float]]:
    """Outline of the top of a house, from its left eaves to its right."""
    middle, top = x + w / 2, eaves + rise
    if style == "pointed":
        return [(x, eaves), (middle, top), (x + w, eaves)]
    if style == "stepped":
        steps = 4
        left = [
            p
            for k in range(steps)
            for p in (
                (x + w * k / (2 * steps + 1), eaves + rise * k / steps),
                (x + w * k / (2 * steps + 1), eaves + rise * (k + 1) / steps),
            )
        ]
        return left + [(2 * middle - px, py) for px, py in reversed(left)]
    if style == "bell":
        s = np.linspace(0, 1, 12)
        left = [(x + w * 0.42 * a, eaves + rise * (0.5 - 0.5 * np.cos(np.pi * a))) for a in s]
        return left + [(2 * middle - px, py) for px, py in reversed(left)]
    return [(x, eaves), (x + 0.12 * w, top), (x + 0.88 * w, top), (x + w, eaves)]  # hipped


def _house(
    c: Canvas,
    x: float,
    w: float,
    floors: int,
    style: str,
    number: int,
    grain: np.ndarray,
    fine: np.ndarray,
    rng: np.random.Generator,
) -> float:
    """Paint one house front; returns the height of its eaves."""
    gx, gy = c.grid()
    wall = WALLS[number % len(WALLS)]
    roof = ROOFS[int(rng.integers(len(ROOFS)))]
    storey, ground = 2.75, 3.3
    eaves = ground + storey * floors
    rise = {"pointed": 0.72 * w, "stepped": 0.6 * w, "bell": 0.62 * w, "hipped": 2.4}[style]
    outline = _gable(style, x, w, eaves, rise)

    brick = wall[0] < 0.75 and wall[1] < 0.5
    course = 0.16 if brick else 0.3
    lines = 1 - (0.16 if brick else 0.10) * (np.mod(gy, course) < 0.05)
    weather = 1 + 0.05 * grain + (0.07 if brick else 0.035) * fine
    height_light = 0.86 + 0.16 * ramp(gy, 0.0, eaves)
    skin = np.clip(
        np.asarray(wall, np.float32) * (lines * weather * height_light)[..., None], 0, 1
    ).astype(np.float32)
    tiles = 1 - 0.28 * (np.mod(gy, 0.32) < 0.1) - 0.1 * (np.mod(gx + 0.2 * gy, 0.3) < 0.07)
    tiled = np.clip(np.asarray(roof) * (tiles * (1 + 0.12 * fine + 0.08 * grain))[..., None], 0, 1)

    chimney = x + w * rng.uniform(0.15, 0.3)
    c.rect(chimney, eaves, chimney + 0.7, eaves + rise * 0.75 + 1.3, skin * 0.7)
    c.rect(
        chimney - 0.1,
        eaves + rise * 0.75 + 1.15,
        chimney + 0.8,
        eaves + rise * 0.75 + 1.4,
        _dim(wall, 0.5),
    )
    if style == "hipped":
        c.polygon(outline, tiled)
        dormer = x + w / 2
        c.polygon(
            [
                (dormer - 0.9, eaves + 0.3),
                (dormer - 0.9, eaves + 1.5),
                (dormer, eaves + 2.2),
                (dormer + 0.9, eaves + 1.5),
                (dormer + 0.9, eaves + 0.3),
            ],
            TRIM,
        )
        _window(c, dormer - 0.45, eaves + 0.5, 0.9, 1.0, rng, None)
    else:
        edge = [(px + (px - x - w / 2) * 0.04, py + 0.22) for px, py in outline]
        c.polygon(edge, tiled if style == "pointed" else TRIM)
        c.polygon(outline, skin)
        if style != "stepped":
            c.line([(px, py - 0.15) for px, py in outline], 0.16, _dim(TRIM, 0.96))
        c.ellipse(x + w / 2, eaves + rise * 0.45, 0.55, 0.7, TRIM)
        c.ellipse(x + w / 2, eaves + rise * 0.45, 0.4, 0.55, (0.14, 0.2, 0.28))
    c.rect(x, 0, x + w, eaves, skin)

    shutter = [None, (0.16, 0.34, 0.28), (0.20, 0.28, 0.45), (0.5, 0.16, 0.14)][
        int(rng.integers(4))
    ]
    across = 3 if w > 6.0 else 2
    pitch = w / across
    for floor in range(floors):
        for k in range(across):
            size = 1.0 if shutter else 1.2
            left = x + pitch * (k + 0.5) - size / 2
            _window(c, left, ground + storey * floor + 0.75, size, 1.5, rng, shutter)
        if rng.random() < 0.25:  # a flower box along the sills
            bed = ground + storey * floor + 0.55
            for k in range(across):
                at = x + pitch * (k + 0.5)
                c.rect(at - 0.6, bed - 0.15, at + 0.6, bed + 0.1, (0.25, 0.33, 0.17))
                for bloom in rng.uniform(-0.6, 0.6, 14):
                    c.ellipse(
                        at + bloom,
                        bed + rng.uniform(0.05, 0.3),
                        0.09,
                        0.09,
                        [(0.85, 0.2, 0.25), (0.95, 0.6, 0.65), (0.3, 0.5, 0.2)][
                            int(rng.integers(3))
                        ],
                    )

    c.rect(x, ground - 0.12, x + w, ground + 0.16, TRIM)
    c.rect(x, ground - 0.4, x + w, ground - 0.12, (0.05, 0.05, 0.1), opacity=0.35)
    c.rect(x + 0.25, 0.2, x + w - 0.25, ground - 0.55, _dim(wall, 0.45))
    door = x + w * rng.choice([0.2, 0.5, 0.75])
    c.rect(x + 0.5, 0.9, x + w - 0.5, ground - 0.75, (0.14, 0.17, 0.2))
    c.rect(x + 0.7, 1.0, x + w * 0.6, ground - 0.95, (0.95, 0.72, 0.38), opacity=0.8)
    c.rect(
        door - 0.55,
        0.0,
        door + 0.55,
        2.45,
        [(0.45, 0.13, 0.12), (0.12, 0.3, 0.27), (0.15, 0.2, 0.38)][int(rng.integers(3))],
    )
    if rng.random() < 0.7:  # a striped awning
        hues = [(0.78, 0.18, 0.15), (0.15, 0.42, 0.40), (0.92, 0.62, 0.15), (0.2, 0.32, 0.6)]
        stripe, hue = (w - 0.4) / 10, hues[int(rng.integers(4))]
        for k in range(10):
            left = x + 0.2 + k * stripe
            colour = hue if k % 2 else (0.96, 0.93, 0.86)
            c.rect(left, ground - 1.05, left + stripe, ground - 0.1, colour)
            c.ellipse(left + stripe / 2, ground - 1.05, stripe / 2, 0.14, _dim(colour, 0.85))
        c.rect(x + 0.1, ground - 1.75, x + w - 0.1, ground - 1.12, (0.05, 0.05, 0.1), opacity=0.4)
    # The sun stands to the right: the right edge of a front glows, the left one is in shade.
    sun = ramp(gx - 0.25 * gy, x - 0.5, x + 0.7 * w) * (1 - 0.35 * ramp(gx, x + 0.35, x))
    sun = sun * ramp(gy, 0.5, 4.5) * 0.85 + 0.15
    tint = SHADE * (1 - sun[..., None]) + SUNLIT * sun[..., None]
    across = (gx[0] >= x) & (gx[0] < x + w)
    c.rgb[:, across] = np.clip(c.rgb[:, across] * tint[:, across], 0, 1)
    return eaves


def house_row(seed: int) -> Canvas:
    """A row of gabled house fronts, 71 m long, on a transparent sheet."""
    c = Canvas(71.0, 19.0, 24.0)
    rng = np.random.default_rng(seed)
    grain, fine = fractal(*c.shape, seed), band(*c.shape, 3.0, seed + 1)
    x, previous = 0.0, 0.0
    styles = ["pointed", "hipped", "stepped", "bell", "pointed", "stepped", "hipped", "bell"]
    for number in range(40):
        w = float(rng.uniform(4.8, 7.4))
        if x + w > c.width_m - 0.5:
            break
        eaves = _house(
            c, x, w, int(rng.integers(2, 4)), styles[number % 8], number, grain, fine, rng
        )
        if eaves < previous:  # a little dark where a front meets its taller neighbour
            gx, _ = c.grid()
            c.shade(np.where((gx > x) & (gx < x + 0.7), 0.8, 1.0))
        x, previous = x + w, eaves
    return c
