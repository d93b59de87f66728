"""The sky with its clouds, and the light of the water."""

import cv2
import numpy as np

from scenery.canvas import noise, ramp, rgb
from scenery.space import Grid, Seen, View

SUN = np.array((0.71, 0.20, 1.0))  # the direction to the sun
HAZE = np.array((0.80, 0.68, 0.56), np.float32)  # linear light
SKY = (-1.3, -0.04, 2.6, 0.72)  # left, low, width, height of the sky's picture at distance 1


def linear(color: str) -> np.ndarray:
    return rgb(color) ** 2.2


def sky(seed: int) -> np.ndarray:
    """An evening sky: (720, 2600, 4) float32, linear light, opaque."""
    left, low, width, height = SKY
    x = np.linspace(left, left + width, 2600, dtype=np.float32)[None]
    y = np.linspace(low + height, low, 720, dtype=np.float32)[:, None]
    near = np.hypot(x - SUN[0], y - SUN[1])[..., None]
    a, b = ramp(y, 0, 0.26)[..., None], ramp(y, 0.12, 0.75)[..., None]
    light = (linear("#f7cc9e") * (1 - a) + linear("#75a8d6") * a) * (1 - b) + linear("#295ca8") * b
    glow = np.exp(-near / 0.3)
    light = light * (1 - 0.55 * glow) + linear("#ffd48c") * 0.75 * glow
    light = (
        light
        + np.array((9, 6.6, 3.6)) * ramp(near, 0.034, 0.026)
        + np.array((1.5, 0.85, 0.35)) * np.exp(-near / 0.05)
    )
    # The clouds lie on a ceiling: looked up in its perspective, they crowd toward the horizon.
    tile = noise((1024, 1024), seed, 300, 5, stretch=0.8)
    away = 1 / (np.maximum(y, 0) + 0.10)
    at = [(150 * place + 0 * light[..., 0]).astype(np.float32) for place in (x * away, away)]
    relief = cv2.remap(tile, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    cover = (ramp(relief, 0.3, 1.6) * ramp(y, 0.005, 0.06) * 0.95)[..., None]
    toward_sun = relief - np.roll(relief, (8, -14), (0, 1))
    bright = np.clip(0.55 + 0.35 * toward_sun, 0, 1)[..., None]
    cloud = linear("#a88a96") * (1 - bright) + linear("#fff0d6") * 1.15 * bright
    cloud = cloud + np.array((0.9, 0.4, 0.1)) * np.exp(-near / 0.3) * (1 - 0.5 * cover)
    light = light * (1 - cover) + cloud * cover
    return np.concatenate([light, np.ones_like(cover)], axis=2).astype(np.float32)


class Waves:
    """A pattern of 48 waves that drifts as a whole, so that its flow is exact."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        length = np.geomspace(0.5, 9, 48) * rng.uniform(0.9, 1.1, 48)
        heading = rng.normal(0.9, 0.7, 48)  # radians; mostly toward us and to the side
        self.heading = np.stack([np.cos(heading), np.sin(heading)]).astype(np.float32)
        self.k = 2 * np.pi / length * self.heading
        self.steep = 0.009 * length**0.6
        self.phase = rng.uniform(0, 2 * np.pi, 48)

    def slopes(self, seen: Seen, wide: np.ndarray, long: np.ndarray) -> tuple[np.ndarray, ...]:
        """Slope along x and z, (2, H, W), and the variance of what a pixel averages away.

        wide, long: extent of a pixel along x and z, (H, 1), meters.
        """
        slope, lost = np.zeros((2, *seen.u.shape), np.float32), np.zeros_like(wide)
        for n, (kx, kz) in enumerate(self.k.T):
            fade = np.exp(-((kx * wide) ** 2 + (kz * long) ** 2) / 6)
            wave = np.cos((kx * seen.u + kz * seen.v + self.phase[n]).astype(np.float32))
            slope += self.heading[:, n, None, None] * (self.steep[n] * fade * wave)
            lost = lost + self.steep[n] ** 2 / 2 * (1 - fade**2)
        return slope, lost


def water_light(
    view: View, waves: Waves, grid: Grid, seen: Seen, mirror: np.ndarray, corner: tuple[float, ...]
) -> np.ndarray:
    """Linear light (H, W, 3) of the water at pixels below the horizon.

    seen: u, v in meters on the drifting water. mirror: the picture in still water, its first
    pixel at `corner` of the view.
    """
    depth = seen.depth[:, :1]
    wide = grid.spacing * depth / view.focal_px
    (sx, sz), lost = waves.slopes(seen, wide, wide * depth / view.eye[1])
    ray = np.moveaxis(np.stack(np.broadcast_arrays(grid.x, grid.y, 1.0)), 0, 2)
    ray = ray @ np.linalg.inv(view.matrix).T
    ray /= np.linalg.norm(ray, axis=2, keepdims=True)
    normal = np.stack([-sx, np.ones_like(sx), -sz], axis=2)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    into = (ray * normal).sum(2, keepdims=True)  # cosine between both, negative
    out = ray - 2 * into * normal
    out[..., 1] = np.abs(out[..., 1]) + 0.004
    # Where the mirror shows that direction; near things move less than the sky, which one factor
    # for all imitates.
    ahead = out @ view.matrix.T
    x = grid.x + 0.55 * (ahead[..., 0] / ahead[..., 2] - grid.x) - corner[0]
    row = 2 * view.center[1] - ahead[..., 1] / ahead[..., 2]
    at = x.astype(np.float32), (grid.y + 0.55 * (row - grid.y) - corner[1]).astype(np.float32)
    rough = ramp(lost, 0, 0.0012)[..., None]
    light = np.zeros_like(out)
    for picture, share in ((mirror, 1 - rough), (cv2.GaussianBlur(mirror, (0, 0), 6), rough)):
        light += share * cv2.remap(picture, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    fresnel = np.clip(0.03 + 0.97 * (1 - np.clip(-into, 0, 1)) ** 4.2, 0, 0.93)
    crest = np.clip(0.25 + 2.4 * sz - 1.6 * sx, 0, 1)[..., None]
    light = light * fresnel + (linear("#0f4d57") + linear("#298075") * crest) * (1 - fresnel)
    apart = (np.array((1, 0.55, 1)) * (out - SUN / np.linalg.norm(SUN)) ** 2).sum(2)
    width = 0.006 + 4 * lost
    glint = np.minimum(0.02 / width * np.exp(-apart / (2 * width)), 3.5)[..., None]
    haze = np.exp(-depth / 1600)[..., None]
    return (light + np.array((1, 0.72, 0.38)) * glint) * haze + HAZE * (1 - haze)
