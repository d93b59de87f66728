"""What floats, and a gull above it."""

import numpy as np

from scenery.canvas import Canvas, ramp, rgb

ROPE = "#29211f"


def _hull(c: Canvas, x0: float, x1: float, low: float, bow: float, colors: str, seed: int) -> None:
    """A hull with its bow to the right: topsides, a band below the rail, antifouling."""
    side, band, bottom = (rgb(color) for color in colors.split())
    a = np.linspace(0, 1, 24)
    deck = np.stack([x0 + (x1 - x0) * a, low + (bow - low) * a**2.2 + 0.12 * low * (1 - a) ** 2], 1)
    keel = [(x1 - 0.13 * (x1 - x0), 0.0), (x0 + 0.05 * (x1 - x0), 0.0)]
    wet = ramp(c.y, 0.3, 0.27)[..., None]
    light = (0.68 + 0.34 * ramp(c.x, x0, x1)) * (1 - 0.14 * ((c.y - 0.02 * c.x) % 0.26 < 0.04))
    skin = (side * (1 - wet) + bottom * wet) * light[..., None]
    rust = 0.5 * ramp(c.grain(seed, 30, 6, 0.3), 1.3, 2.4)
    c.polygon([*deck, *keel], skin * (1 - rust) + np.array((0.45, 0.25, 0.14)) * rust)
    c.line(deck[:-1] - (0, 0.22), 0.2, band)
    c.line(deck, 0.09, band * 0.55 + 0.4)
    c.box(x0, 0, x1 - x0, 0.09, "#0f1414", 0.55)


def trawler(seed: int) -> Canvas:
    """A wooden fishing boat, its bow to the right: 10.6 m by 8.4 m."""
    c = Canvas(10.6, 8.4, 72)
    for stay in (
        "3.1,7.4 9.9,2",
        "3.1,7.4 0.4,1.4",
        "3.1,5.6 9,1.9",
        "7.4,4.9 9.9,2.1",
        "7.4,4.9 3.1,5.4",
    ):
        c.line(stay, 0.028, ROPE)
    c.box(3.02, 1.2, 0.18, 6.4, "#c48a4a")
    c.line("3.1,3.2 0.9,5.2", 0.12, "#ad7a42")
    c.box(7.35, 1.5, 0.11, 3.5, "#bd854d")
    c.polygon("3.2,7.3 4.3,7.05 3.2,6.75", "#db3329")  # pennant
    for k in range(9):  # the net, hung to dry
        c.line([(0.9 + 0.12 * k, 5.2 - 0.1 * k), (1 + 0.2 * k, 1.4)], 0.03, "#336b5c")
        c.line([(1.0, 1.6 + 0.36 * k), (2.2 - 0.1 * k, 1.7 + 0.36 * k)], 0.025, "#336b5c")
    boards = 1 - 0.1 * (c.x % 0.3 < 0.04)
    c.polygon(
        "3.7,1.2 3.6,3.9 6.2,4 6.5,1.3",
        rgb("#ede6d1") * (boards * (0.78 + 0.24 * ramp(c.x, 3.6, 6.4)) + 0 * c.y)[..., None],
    )
    c.polygon("3.4,3.85 3.5,4.15 6.5,4.25 6.6,3.95", "#c74729")
    for x in (3.95, 4.75, 5.55):
        c.box(x, 2.75, 0.58, 0.8, "#1f2e38")
        c.polygon([(x, 2.95), (x + 0.58, 3.3), (x + 0.58, 3.55), (x, 3.55)], "#8fadbd")
    c.box(4.3, 1.2, 0.7, 1.3, "#2b5c66")
    c.ellipse(5.75, 2.2, 0.32, 0.32, "#eb591f")
    c.ellipse(5.75, 2.2, 0.16, 0.16, "#e6dfcc")
    for x, y, hue in zip(
        np.linspace(6.9, 8.8, 9),
        (1.4, 1.6, 1.45) * 3,
        ("#f2731f", "#f2c733", "#e64d33") * 3,
        strict=True,
    ):
        c.ellipse(x, y, 0.19, 0.19, hue)
    _hull(c, 0.15, 10.3, 1.15, 2.25, "#29739e #f2cc4d #9e291f", seed)
    for x in (2.0, 4.2, 6.4):
        c.ellipse(x, 0.75, 0.2, 0.3, "#ed7524")
        c.ellipse(x + 0.05, 0.82, 0.1, 0.16, "#ffb366")
    c.box(8.1, 1.05, 1, 0.25, "#f2edd9")
    c.shade(1 + 0.04 * c.grain(seed + 1, 40))
    return c


def _sail(
    c: Canvas,
    tack: tuple[float, float],
    head: tuple[float, float],
    clew: tuple[float, float],
    color: str,
) -> None:
    a = np.linspace(0, 1, 16)[:, None]
    bend = 4 * a * (1 - a)
    leech = np.array(head) * (1 - a) + np.array(clew) * a + bend * (0.5, 0)
    foot = np.array(clew) * (1 - a) + np.array(tack) * a - bend * (0, 0.12)
    light = (0.7 + 0.34 * ramp(c.x, tack[0], clew[0])) * (
        1 - 0.09 * ((c.y + 0.12 * c.x) % 1.1 < 0.05)
    )
    c.polygon([tack, *leech, *foot], rgb(color) * light[..., None])


def sloop(seed: int) -> Canvas:
    """A sailing boat under full sail, its bow to the left: 9.4 m by 12.6 m."""
    c = Canvas(9.4, 12.6, 50)
    c.line("0.35,1.35 4.1,12.3 8.9,1.1", 0.03, ROPE)
    _sail(c, (4.22, 2.1), (4.22, 12.1), (8.6, 2.0), "#ed6b38")
    c.polygon("4.2,7.4 6.75,7.2 7.15,6.2 4.2,6.3", "#fae6bd", 0.92)
    _sail(c, (0.45, 1.5), (4.05, 11.4), (5.0, 1.9), "#faf0d9")
    c.box(4.03, 1, 0.14, 11.4, "#b5854f")
    c.line("4.1,2 8.7,1.9", 0.12, "#b8854d")
    c.box(3.4, 0.9, 2.9, 0.55, "#e0cca8")
    for x in (3.7, 4.4, 5.1, 5.8):
        c.box(x, 1.1, 0.4, 0.2, "#262e38")
    for x, coat in ((7.0, "#d9332e"), (7.7, "#f2cc40")):
        c.ellipse(x, 1.35, 0.24, 0.42, coat)
        c.ellipse(x, 1.88, 0.14, 0.16, "#cc997a")
    _hull(c, 0.1, 9.2, 0.85, 1.3, "#f2ede0 #1f4d6b #245c61", seed)
    c.shade(1 + 0.03 * c.grain(seed + 1, 40))
    return c


def dinghy(seed: int, colors: str) -> Canvas:
    """A small boat with a furled sail: 5.4 m by 7.2 m."""
    c = Canvas(5.4, 7.2, 60)
    c.line("0.3,0.9 2.6,6.9 5.1,1.1", 0.03, ROPE)
    c.box(2.53, 0.6, 0.14, 6.4, "#b3804d")
    c.line("2.6,1.6 0.4,1.75", 0.26, "#ebdbb8")
    c.box(1.9, 0.6, 1.3, 0.45, "#9e754d")
    _hull(c, 0.1, 5.2, 0.72, 1.1, colors, seed)
    return c


def gull() -> Canvas:
    """A gull that glides, from behind: 1.5 m by 0.6 m."""
    c = Canvas(1.5, 0.6, 168)
    wing = np.array(
        [
            (0, 0.09),
            (0.28, 0.24),
            (0.5, 0.22),
            (0.74, 0.08),
            (0.5, 0.14),
            (0.28, 0.12),
            (0.05, -0.08),
        ]
    )
    for side in (-1, 1):
        c.polygon(wing * (side, 1) + (0.75, 0.2), "#edebe6")
        c.polygon(wing[[1, 2, 4, 5]] * (side, 0.9) + (0.75, 0.19), "#9aa4b3")
        c.polygon(wing[[2, 3, 4]] * (side, 1) + (0.75 + 0.06 * side, 0.19), "#1f1f24")
    c.ellipse(0.75, 0.19, 0.1, 0.085, "#f5f2eb")
    return c
