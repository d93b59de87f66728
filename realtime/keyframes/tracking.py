"""Pixels followed through many frames: where each came from, and how far that can be trusted.

Flow that is chained from frame to frame is smooth in time, but drifts; flow between two frames far
apart does not drift, but trembles from frame to frame. On the sample, whose flow is known, the
median error 30 frames on was 1.6 px chained and 0.4 px direct; the warping error of a painting
carried 20 frames was 0.014 chained and 0.024 direct. So what is carried moves by the chain, which
is drawn slowly to the direct flow, and what must fit exactly (`Track.registered`) is direct.
"""

from __future__ import annotations

import cv2
import numpy as np

from impasto.realtime.temporal.flow import (
    dis_estimator,
    flow_confidence,
    out_of_frame,
    photometric_consistency,
    to_gray,
    warp,
)
from impasto.realtime.temporal.flow import downscale as downscale  # for `shots`

SIDE = 288  # px: the short side that flow is estimated at
_REGISTER_EVERY = 4  # frames
_PULL = 0.3  # of the drift that is seen, taken back each time
_FAR = 3.0  # px: a direct flow further off than this is more likely wrong than the chain is
_SMOOTH = 12.0  # px: drift varies slowly over a picture, errors of the flow do not
_MOST_DRAWN = 4.0  # times as long
_MOST_PRESSED = 4.0  # times as short
_MOST_SHEAR = 2.0  # px a pixel
_UNLIKE = 50.0  # levels that 5x5 pixels may differ by for paint to fit; from twice that none does
_RECOVERY = 0.5  # of trust, a frame; its loss is believed at once


class Track:
    """Follows the pixels of one picture, the key, through the pictures that come after it.

    key: (h, w, 3) uint8, from `reduced`, as all that follow. After each `follow`:
    to_key: (h, w, 2) float32, from the newest picture to the key. trust: (h, w) float32, 1 where a
    place of the newest picture is sure to show what it showed in the key, 0 where it does not.
    fitting: the same, 1 where what the flow points at looks alike, be it the same thing or not.
    Pictures may as well come backwards in time.
    """

    def __init__(self, key: np.ndarray) -> None:
        self._estimator = dis_estimator()
        self._key = self._newest = key
        self._key_grey = self._grey = to_gray(key)
        self.to_key = np.zeros((*key.shape[:2], 2), np.float32)
        self.trust = np.ones(key.shape[:2], np.float32)
        self.fitting = self.trust
        self._from_key = self.to_key.copy()
        self._followed = 0

    def follow(self, image: np.ndarray) -> None:
        """Take the next picture."""
        before, self._newest, self._grey = self._grey, image, to_gray(image)
        there, back = self._flow(before, self._grey), self._flow(self._grey, before)
        # What was trusted of the places these came from.
        seen, was_fitting = warp(self.trust, back), warp(self.fitting, back)
        self.to_key = back + warp(self.to_key, back)
        self._from_key = self._from_key + warp(there, self._from_key)
        self._followed += 1
        if self._followed % _REGISTER_EVERY == 0:
            self._draw_to_direct()
        torn = _stretched(self.to_key)
        trust = flow_confidence(self._key, image, self._from_key, self.to_key)
        trust[torn] = 0
        self.trust = _recovered(trust, seen)
        fitting = photometric_consistency(self._key, image, self.to_key, _UNLIKE)
        fitting[torn | out_of_frame(self.to_key)] = 0
        self.fitting = _recovered(fitting, was_fitting)

    def registered(self) -> tuple[np.ndarray, np.ndarray]:
        """The flow to the key and its trust, as `to_key` and `trust`, without drift."""
        to_key = self._flow(self._grey, self._key_grey, self.to_key)
        from_key = self._flow(self._key_grey, self._grey, self._from_key)
        return to_key, flow_confidence(self._key, self._newest, from_key, to_key)

    def _draw_to_direct(self) -> None:
        to_key, trust = self.registered()
        self._from_key += self._drift(self._from_key, self.to_key, to_key, trust, there=True)
        self.to_key += self._drift(self._from_key, self.to_key, to_key, trust, there=False)

    def _drift(
        self,
        from_key: np.ndarray,
        chained: np.ndarray,
        direct: np.ndarray,
        trust: np.ndarray,
        *,
        there: bool,
    ) -> np.ndarray:
        """How far to move the flow to the key (or, `there`, the flow from it), smooth in space."""
        error = direct - chained
        weight = trust * (np.abs(error).max(axis=2) < _FAR)
        if there:  # the same error, seen from the key, is the other way round
            error, weight = -warp(error, from_key), warp(weight, from_key)
        spread = cv2.GaussianBlur(np.dstack([error * weight[..., None], weight]), (0, 0), _SMOOTH)
        return np.float32(_PULL) * spread[..., :2] / np.maximum(spread[..., 2:], 0.05)

    def _flow(
        self, first: np.ndarray, second: np.ndarray, initial: np.ndarray | None = None
    ) -> np.ndarray:
        # An empty array: no flow to begin with. One that is given would be changed.
        return self._estimator.calc(
            first, second, np.empty(0) if initial is None else initial.copy()
        )


def _recovered(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    return np.minimum(now, before + _RECOVERY * (now - before).clip(0))


def _stretched(flow: np.ndarray) -> np.ndarray:
    """Where paint would smear, as it is drawn out, pressed together or sheared too much: bool."""
    u, v = cv2.split(flow)
    (u_down, u_across), (v_down, v_across) = np.gradient(u), np.gradient(v)
    along = np.minimum(u_across, v_down) < 1 / _MOST_DRAWN - 1
    pressed = np.maximum(u_across, v_down) > _MOST_PRESSED - 1
    sheared = np.maximum(np.abs(u_down), np.abs(v_across)) > _MOST_SHEAR
    found: np.ndarray = along | pressed | sheared
    return found
