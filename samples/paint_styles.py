"""Four style pictures of our own, each from a rule and a seed.

python samples/paint_styles.py samples
"""

import argparse
from pathlib import Path

import numpy as np

from scenery.jpeg import write_jpeg
from scenery.noise import band, fractal, ramp

SIDE = 640


def _mix(colours: np.ndarray, at: np.ndarray | float) -> np.ndarray:
    """Colours along a palette (K, 3), linearly between its entries; at in [0, 1]."""
    place = np.clip(np.asarray(at), 0, 1) * (len(colours) - 1)
    low = np.minimum(place.astype(int), len(colours) - 2)
    share = (place - low)[..., None]
    return colours[low] * (1 - share) + colours[low + 1] * share


def _relief(height: np.ndarray, strength: float) -> np.ndarray:
    """Light on a relief from the upper left: 1 where it is flat."""
    dy, dx = np.gradient(height)
    return np.clip(1 - strength * (dx + dy), 0.4, 1.6)


def flow_field(seed: int = 11) -> np.ndarray:
    """Thick strokes of paint that follow swirling currents under a yellow moon: night blues,
    teal, ochre and coral. Returns (640, 640, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    stream = 52 * fractal(SIDE, SIDE, seed, roughness=0.0, coarsest=0.5) + 0.55 * y - 0.15 * x
    light = np.zeros((SIDE, SIDE), np.float32)
    for cx, cy, radius, turn in (
        (455, 165, 95, 3.2),
        (170, 250, 80, -2.6),
        (330, 470, 90, 2.2),
        (85, 95, 50, 2.0),
        (560, 420, 70, -2.2),
    ):
        distance = np.hypot(x - cx, y - cy)
        stream += turn * radius * np.exp(-((distance / radius) ** 2)) * 0.8
        light += 0.9 * np.exp(-((distance / (0.55 * radius)) ** 2)) * (turn > 1.9)
    dy, dx = np.gradient(stream)
    angle = np.arctan2(-dx, dy)

    night = np.array(
        [
            (0.04, 0.07, 0.20),
            (0.07, 0.18, 0.42),
            (0.12, 0.36, 0.62),
            (0.25, 0.58, 0.66),
            (0.66, 0.78, 0.64),
            (0.96, 0.80, 0.36),
            (0.99, 0.90, 0.62),
        ]
    )
    tone = 0.33 + 0.13 * fractal(SIDE, SIDE, seed + 1, coarsest=0.35) + 0.62 * light
    tone += 0.05 * np.sin(stream / 6.5)
    picture = _mix(night, tone - 0.2)
    thickness = np.zeros((SIDE, SIDE))
    bristles = rng.uniform(0.75, 1.2, 4096)
    for length, width, count in ((70, 15.0, 1500), (46, 9.0, 3600), (26, 5.0, 6500)):
        for _ in range(count):
            px, py = rng.uniform(0, SIDE, 2)
            colour = _mix(night, tone[int(py), int(px)] + rng.normal(0, 0.055))
            if rng.random() < 0.05:
                colour = np.array(
                    [(0.92, 0.42, 0.30), (0.86, 0.60, 0.28), (0.55, 0.28, 0.45)][
                        int(rng.integers(3))
                    ]
                )
            colour = np.clip(colour * rng.uniform(0.86, 1.14), 0, 1)
            _stroke(
                picture,
                thickness,
                angle,
                (px, py),
                length * rng.uniform(0.6, 1.3),
                width * rng.uniform(0.6, 1.1),
                colour,
                bristles,
                int(rng.integers(4000)),
            )
    lit = picture * _relief(thickness, 0.45)[..., None]
    return np.round(255 * np.clip(lit, 0, 1)).astype(np.uint8)


def _stroke(
    picture: np.ndarray,
    thickness: np.ndarray,
    angle: np.ndarray,
    start: tuple[float, float],
    length: float,
    width: float,
    colour: np.ndarray,
    bristles: np.ndarray,
    first: int,
) -> None:
    """Lay one stroke along the field of angles: its bristles leave ridges of paint. In place."""
    x, y = start
    steps = int(length / 1.2)
    offsets = np.arange(-width / 2, width / 2, 0.7)
    ridge = bristles[first : first + offsets.size]
    for k in range(steps):
        a = angle[int(np.clip(y, 0, SIDE - 1)), int(np.clip(x, 0, SIDE - 1))]
        c, s = np.cos(a), np.sin(a)
        taper = min(1.0, 4.0 * k / steps, 2.5 * (1 - k / steps))
        keep = np.abs(offsets) <= taper * width / 2 + 0.4
        qx = np.round(x - s * offsets[keep]).astype(int)
        qy = np.round(y + c * offsets[keep]).astype(int)
        inside = (qx >= 0) & (qx < SIDE) & (qy >= 0) & (qy < SIDE)
        qx, qy, load = qx[inside], qy[inside], ridge[keep][inside]
        picture[qy, qx] += (colour * (0.82 + 0.18 * load)[:, None] - picture[qy, qx]) * 0.85
        thickness[qy, qx] = load
        x, y = x + 1.2 * c, y + 1.2 * s


def stained_glass(seed: int = 5) -> np.ndarray:
    """A window of leaded glass: a sun over hills and water, in glowing uneven panes.
    Returns (640, 640, 3) uint8."""
    rng = np.random.default_rng(seed)
    sun = np.array((330.0, 235.0))
    seeds, colours = [], []

    def pane(x: float, y: float) -> None:
        d = float(np.hypot(x - sun[0], y - sun[1]))
        ridge = 400 + 42 * np.sin(x / 95.0) + 20 * np.sin(x / 41.0 + 2)
        shore = 500 + 16 * np.sin(x / 70.0 + 1)
        if d < 74:
            hue = [(1.0, 0.84, 0.25), (1.0, 0.72, 0.15), (1.0, 0.93, 0.55)]
        elif y < ridge:
            ring = int((d - 74) // 62)
            hue = [
                [(0.98, 0.50, 0.12), (0.95, 0.38, 0.14), (1.0, 0.62, 0.2)],
                [(0.86, 0.20, 0.20), (0.78, 0.16, 0.30), (0.92, 0.32, 0.25)],
                [(0.52, 0.16, 0.48), (0.40, 0.18, 0.58), (0.62, 0.2, 0.42)],
                [(0.14, 0.24, 0.66), (0.10, 0.34, 0.74), (0.2, 0.2, 0.55)],
                [(0.06, 0.44, 0.70), (0.05, 0.26, 0.60), (0.12, 0.56, 0.74)],
            ][min(ring, 4)]
        elif y < shore:
            hue = [(0.10, 0.50, 0.24), (0.28, 0.62, 0.20), (0.05, 0.38, 0.28), (0.55, 0.68, 0.18)]
        else:
            hue = [(0.04, 0.42, 0.58), (0.08, 0.58, 0.66), (0.05, 0.28, 0.52), (0.70, 0.86, 0.80)]
            if abs(x - sun[0]) < 60 and rng.random() < 0.55:
                hue = [(1.0, 0.74, 0.25), (0.98, 0.55, 0.2)]
        seeds.append((x, y))
        colours.append(hue[int(rng.integers(len(hue)))])

    # Panes in rings about the sun above, in rows below: the leading then draws the subject.
    for ring, radius in enumerate(np.arange(26, 620, 44)):
        around = max(5, int(2 * np.pi * radius / 58))
        for k in range(around):
            a = 2 * np.pi * (k + 0.5 * (ring % 2)) / around + rng.normal(0, 0.03)
            x, y = sun + (radius + rng.normal(0, 3)) * np.array((np.cos(a), np.sin(a)))
            if -40 < x < 680 and -40 < y < 395:
                pane(x, y)
    for row, y in enumerate(np.arange(412, 690, 30)):
        for x in np.arange(-40, 690, 66) + 33 * (row % 2):
            pane(x + rng.normal(0, 9), y + rng.normal(0, 5))

    big = np.mgrid[: 2 * SIDE, : 2 * SIDE].astype(np.float32) / 2
    bend = [3.0 * band(2 * SIDE, 2 * SIDE, 120, seed + k) for k in (1, 2)]
    y, x = big[0] + bend[0], big[1] + bend[1]
    nearest = np.full(x.shape, np.inf, np.float32)
    second, owner = nearest.copy(), np.zeros(x.shape, int)
    for k, (cx, cy) in enumerate(seeds):
        d = np.hypot(x - cx, y - cy)
        closer = d < nearest
        second = np.where(closer, nearest, np.minimum(second, d))
        owner[closer], nearest[closer] = k, d[closer]
    glass = np.array(colours)[owner] * rng.uniform(0.82, 1.12, (len(seeds), 1))[owner]
    edge = second - nearest
    ripple = band(2 * SIDE, 2 * SIDE, 16, seed + 4, stretch=2.5)
    seedy = ramp(band(2 * SIDE, 2 * SIDE, 9, seed + 5), 2.2, 2.8)
    glow = 0.66 + 0.5 * ramp(edge, 0, 38) + 0.07 * ripple + 0.25 * seedy
    sunlight = np.exp(-np.hypot(big[1] - sun[0], big[0] - sun[1]) / 260)
    glass = glass * (glow * (0.8 + 0.45 * sunlight))[..., None]
    glass += 0.10 * ramp(edge, 12, 40)[..., None]
    lead = ramp(edge, 5.4, 3.6)
    rounded = np.clip(1 - edge / 5.0, 0, 1)
    metal = 0.10 + 0.20 * _relief(rounded * 9, 0.5) - 0.16
    picture = glass * (1 - lead[..., None]) + metal[..., None] * lead[..., None]
    picture = picture.reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3))
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def ink_hatching(seed: int = 3) -> np.ndarray:
    """An engraving of mountains, trees and clouds in crossed ink lines on old paper.
    Returns (640, 640, 3) uint8."""
    n = 2 * SIDE
    y, x = np.mgrid[:n, :n].astype(np.float32) / 2
    tone, course, bulge = _landscape(x, y, seed)
    wobble = 1.6 * band(n, n, 160, seed + 20) + 0.35 * band(n, n, 36, seed + 21)
    ink: np.ndarray = np.zeros((n, n), np.float32)
    # Each further set of lines starts where the tone gets darker, and swells with it.
    for turn, pitch, start in (
        (0.0, 5.0, 0.06),
        (0.55, 4.8, 0.36),
        (-0.7, 5.2, 0.58),
        (1.35, 4.6, 0.76),
    ):
        angle = course + turn
        across = y * np.cos(angle) - x * np.sin(angle) + wobble + bulge * (turn == 0)
        wave = np.abs(np.mod(across / pitch, 1) - 0.5) * 2  # 0 in the middle of a line
        swell = np.clip((tone - start) / (1.05 - start), 0, 1)
        thick = 0.06 + 0.54 * swell
        line = np.clip((thick - wave) * pitch * 0.9 + 0.5, 0, 1) * (swell > 0.015)
        ink = np.maximum(ink, line)
    breaks = ramp(band(n, n, 7, seed + 22) + 0.5 * band(n, n, 3, seed + 23), 2.0, 1.3)
    ink = ink * (0.15 + 0.85 * breaks)
    paper = (
        np.array((0.945, 0.905, 0.82))
        * (1 + 0.012 * band(n, n, 4, seed + 24) + 0.02 * fractal(n, n, seed + 25))[..., None]
    )
    picture = paper * (1 - ink[..., None]) + np.array((0.10, 0.09, 0.12)) * ink[..., None]
    picture = picture.reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3))
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def _landscape(
    x: np.ndarray, y: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The engraved view: darkness in [0, 1], the direction of the lines (radians, one for each
    thing) and how far (pixels) the form under them pushes them up. Each (H, W) float32."""
    n = x.shape[0]
    tone: np.ndarray = 0.40 - 0.26 * ramp(y, 0, 330)
    course: np.ndarray = np.zeros_like(tone)
    bulge: np.ndarray = np.zeros_like(tone)

    def put(mine: np.ndarray, dark: np.ndarray, turn: float, push: np.ndarray) -> None:
        nonlocal tone, course, bulge
        tone, course = np.where(mine, dark, tone), np.where(mine, np.float32(turn), course)
        bulge = np.where(mine, push, bulge)

    cloud = band(n, n, 420, seed + 3, stretch=1.7) + 0.35 * band(n, n, 150, seed + 1, stretch=1.4)
    puff = 1 - np.abs(band(n, n, 150, seed + 2, stretch=1.2))
    body = cloud + 0.5 * puff - 0.35
    lit = body - np.roll(body, (34, -34), (0, 1))  # the sun is at the upper right
    put((body > 0) & (y < 330), np.clip(0.16 - 0.5 * lit, 0.0, 0.55), 0.35, 9 * body)
    sun = np.hypot(x - 455, y - 120)
    rays = 0.5 + 0.5 * np.cos(np.arctan2(y - 120, x - 455) * 28)
    tone = tone * np.clip(ramp(sun, 60, 190) + 0.35 * rays * ramp(sun, 44, 60), 0, 1)
    tone = np.where(np.abs(sun - 42) < 1.2, 0.95, np.where(sun < 42, 0.0, tone))

    for k, (foot, height, dark, turn) in enumerate(
        ((330, 105, 0.26, 0.5), (410, 150, 0.42, -0.75), (475, 70, 0.58, 0.9))
    ):
        rng = np.random.default_rng(seed + 30 + k)
        s = x[:1] / SIDE * 2 * np.pi
        peaks = sum(
            (1 - np.abs(np.sin(m * s / 2 + rng.uniform(0, 6.28)))) / m for m in (1.3, 3, 5, 9, 17)
        )
        ridge = foot - height * np.asarray(peaks)
        spur = band(n, n, 210, seed + 5 + k, stretch=0.55) + 0.45 * band(
            n, n, 80, seed + 8 + k, stretch=0.55
        )
        slope = spur - np.roll(spur, -26, 1) + 0.5 * np.gradient(ridge, axis=1) * 2
        side = np.clip(dark + 0.34 * slope, 0.03, 0.95) * ramp(y - ridge, 260, 40)
        rim = (y - ridge) < 1.6
        put(y > ridge, np.where(rim, 0.95, side), turn, 5 * spur)

    shore = 515 + 3 * np.sin(x / 60)
    glitter = np.exp(-(((x - 455) / (16 + 0.4 * np.maximum(y - 515, 0))) ** 2))
    ripple = 0.34 + 0.3 * np.sin(y * 0.42 + 1.5 * np.sin(x / 47)) * ramp(y, 500, 620)
    put(y > shore, np.clip(ripple * (1 - 1.2 * glitter), 0, 1), 0.0, 2.5 * np.sin(x / 21 + y / 9))
    needles = band(n, n, 18, seed + 40)
    for cx, foot, tall in (
        (70, 620, 340),
        (128, 606, 215),
        (14, 612, 250),
        (580, 612, 200),
        (626, 625, 300),
    ):
        s = (foot - y) / tall
        tier = np.mod(s * 9, 1)
        reach = tall * 0.20 * (1 - s) * (0.5 + 0.65 * (1 - tier)) + 2.5 * needles
        fir = (np.abs(x - cx) < reach) & (s > 0.06) & (s < 1)
        trunk = (np.abs(x - cx) < 5) & (s >= 0) & (s <= 0.1)
        across = (x - cx) / np.maximum(reach, 1)
        put(fir | trunk, np.clip(0.64 + 0.3 * tier - 0.42 * across, 0.2, 1), 1.15, 6 * across)
    bank = 600 + 12 * np.sin(x / 80 + 2) + 4 * np.sin(x / 23)
    tufts = band(n, n, 46, seed + 41, stretch=0.5)
    put(y > bank, np.clip(0.58 + 0.2 * tufts, 0.15, 1), -1.2, 4 * tufts)
    return tone.astype(np.float32), course.astype(np.float32), bulge.astype(np.float32)


def paper_waves(seed: int = 9) -> np.ndarray:
    """A print in four inks with grain and off-set colours: scalloped waves under a red sun.
    Returns (640, 640, 3) uint8."""
    n = 2 * SIDE
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:n, :n].astype(np.float32) / 2
    paper = np.array((0.965, 0.935, 0.86))
    red, blue, teal, ochre = (np.zeros((n, n), np.float32) for _ in range(4))
    sun = np.hypot(x - 415, y - 190)
    red = np.maximum(red, ramp(sun, 118, 117) * (0.55 + 0.45 * ramp(y, 70, 300)))
    ochre = np.maximum(ochre, 0.75 * ramp(y, 0, 420) * (sun > 117))
    for bar, left, right in (
        (120, 300, 640),
        (150, 380, 700),
        (250, -20, 330),
        (275, 60, 250),
        (90, -20, 180),
    ):
        end = np.clip(x, left + 7, right - 7)
        cloud = np.hypot(x - end, y - bar - 3 * np.sin(end / 40)) < 7
        ochre, red = np.where(cloud, 0.0, ochre), np.where(cloud, 0.0, red)
    radius = 62.0
    for row in range(9):
        base = 372 + row * 34
        for k in range(-1, 8):
            cx = (k + 0.5 * (row % 2)) * 2 * radius * 0.86 + rng.normal(0, 2)
            cy = base + radius * 0.5 + rng.normal(0, 2)
            d = np.hypot(x - cx, (y - cy))
            disc = (d < radius) & (y < cy + radius)
            ring = (np.floor(d / (radius / 5.0)) % 2 == 0) | (d > radius - 5)
            deep = 0.35 + 0.6 * row / 8
            ochre, red = np.where(disc, 0.0, ochre), np.where(disc, 0.0, red)
            blue = np.where(disc, np.where(ring, deep, 0.0), blue)
            teal = np.where(disc, np.where(ring, 0.25, 0.65 - 0.05 * row), teal)
            foam = disc & (d > radius - 12) & (d < radius - 5)
            blue, teal = np.where(foam, 0.0, blue), np.where(foam, 0.0, teal)
    picture = np.broadcast_to(paper, (n, n, 3)).copy()
    inks = (
        (ochre, (0.98, 0.76, 0.36), (0, 0)),
        (red, (0.93, 0.27, 0.22), (3, -2)),
        (teal, (0.22, 0.66, 0.66), (-2, 3)),
        (blue, (0.12, 0.22, 0.50), (1, 1)),
    )
    for k, (amount, colour, shift) in enumerate(inks):
        # Each ink has its own grain, and its plate sits a little off.
        speckle = band(n, n, 3.0, seed + k) + 0.6 * band(n, n, 7.0, seed + 10 + k)
        grainy = ramp(amount * 3.4 + 0.75 * speckle, 0.9, 1.5) * ramp(amount, 0.02, 0.2)
        cover = np.roll(np.pad(grainy, 4, mode="edge"), shift, (0, 1))[4:-4, 4:-4, None]
        picture = picture * (1 - cover * (1 - np.asarray(colour)))
    picture = picture.reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3))
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)


PICTURES = {
    "flow_field": flow_field,
    "stained_glass": stained_glass,
    "ink_hatching": ink_hatching,
    "paper_waves": paper_waves,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the .jpg files go")
    folder = parser.parse_args().folder
    for name, paint in PICTURES.items():
        write_jpeg(folder / f"{name}.jpg", paint())


if __name__ == "__main__":
    main()
