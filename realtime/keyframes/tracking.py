"""Pixels tracked through many frames: where each came from, and how sure that is.

Flow that is chained from frame to frame is smooth in time, but drifts; flow between two frames far
apart does not drift, but trembles from frame to frame. On the sample, whose flow is known, the
median error 30 frames on was 1.6 px chained and 0.4 px direct; the warping error of a painting
propagated 20 frames was 0.014 chained and 0.024 direct. So propagated paint moves by the chain,
which is corrected slowly toward the direct flow, and where one frame must fit another exactly
(`PixelTracker.registered`) the flow is direct.
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

SIDE = 288  # px: the short side that flow is estimated at
_REGISTER_EVERY = 4  # frames
_CORRECTION = 0.3  # of the measured drift, taken back each time
_MAX_DRIFT = 3.0  # px: a direct flow further off is more likely wrong than the chain is
_SMOOTHING = 12.0  # px: drift varies slowly over a frame, errors of the flow do not
_MAX_STRETCH = 4.0  # times as long
_MAX_COMPRESSION = 4.0  # times as short
_MAX_SHEAR = 2.0  # px a pixel
_SIMILAR = (
    50.0  # levels that 5x5 pixels may differ by and still count as similar; 0 from twice that
)
_RECOVERY = 0.5  # of confidence, a frame; a loss counts at once


class PixelTracker:
    """Tracks the pixels of one picture, the key, through the pictures that follow it.

    key: (h, w, 3) uint8, from `flow.downscale`, as all that follow. After each `follow`:
    to_key: (h, w, 2) float32, the flow from the newest picture to the key, in pixels.
    confidence: (h, w) float32 in [0, 1], 1 where a pixel of the newest picture certainly shows what
    it showed in the key. similarity: the same, 1 where the flow points at something that looks
    alike, whether or not it is the same thing. Pictures may also come backwards in time.
    """

    def __init__(self, key: np.ndarray) -> None:
        self._estimator = dis_estimator()
        self._key = self._newest = key
        self._key_gray = self._gray = to_gray(key)
        self.to_key = np.zeros((*key.shape[:2], 2), np.float32)
        self.confidence = np.ones(key.shape[:2], np.float32)
        self.similarity = self.confidence
        self._from_key = self.to_key.copy()
        self._followed = 0

    def follow(self, image: np.ndarray) -> None:
        """Take the next picture, (h, w, 3) uint8."""
        before, self._newest, self._gray = self._gray, image, to_gray(image)
        forward, backward = self._flow(before, self._gray), self._flow(self._gray, before)
        last_confidence = warp(self.confidence, backward)
        last_similarity = warp(self.similarity, backward)
        self.to_key = backward + warp(self.to_key, backward)
        self._from_key = self._from_key + warp(forward, self._from_key)
        self._followed += 1
        if self._followed % _REGISTER_EVERY == 0:
            self._correct_drift()
        torn = _distorted(self.to_key)
        confidence = flow_confidence(self._key, image, self._from_key, self.to_key)
        confidence[torn] = 0
        self.confidence = _recovered(confidence, last_confidence)
        similarity = photometric_consistency(self._key, image, self.to_key, _SIMILAR)
        similarity[torn | out_of_frame(self.to_key)] = 0
        self.similarity = _recovered(similarity, last_similarity)

    def registered(self) -> tuple[np.ndarray, np.ndarray]:
        """The flow to the key and its confidence, estimated directly: no drift, less steady."""
        to_key = self._flow(self._gray, self._key_gray, self.to_key)
        from_key = self._flow(self._key_gray, self._gray, self._from_key)
        return to_key, flow_confidence(self._key, self._newest, from_key, to_key)

    def _correct_drift(self) -> None:
        direct, confidence = self.registered()
        error = direct - self.to_key
        weight = confidence * (np.abs(error).max(axis=2) < _MAX_DRIFT)
        # Seen from the key, the same error has the opposite sign.
        seen_from_key = -warp(error, self._from_key), warp(weight, self._from_key)
        self._from_key += _smooth_correction(*seen_from_key)
        self.to_key += _smooth_correction(error, weight)

    def _flow(
        self, first: np.ndarray, second: np.ndarray, initial: np.ndarray | None = None
    ) -> np.ndarray:
        # An empty array: no initial flow. OpenCV writes into one that it is given.
        return self._estimator.calc(
            first, second, np.empty(0) if initial is None else initial.copy()
        )


def _smooth_correction(error: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What to add to a flow with this error, (h, w, 2), known with this weight, (h, w)."""
    spread = cv2.GaussianBlur(np.dstack([error * weight[..., None], weight]), (0, 0), _SMOOTHING)
    return np.float32(_CORRECTION) * spread[..., :2] / np.maximum(spread[..., 2:], 0.05)


def _recovered(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """`now`, rising from `before` by a share only; it falls at once."""
    return np.minimum(now, before + _RECOVERY * (now - before).clip(0))


def _distorted(flow: np.ndarray) -> np.ndarray:
    """Where a flow stretches, compresses or shears so much that paint would smear: (H, W) bool."""
    u, v = cv2.split(flow)
    (u_down, u_across), (v_down, v_across) = np.gradient(u), np.gradient(v)
    stretched = np.minimum(u_across, v_down) < 1 / _MAX_STRETCH - 1
    compressed = np.maximum(u_across, v_down) > _MAX_COMPRESSION - 1
    sheared = np.maximum(np.abs(u_down), np.abs(v_across)) > _MAX_SHEAR
    distorted: np.ndarray = stretched | compressed | sheared
    return distorted
