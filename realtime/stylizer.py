"""An engine with colour and a memory around it: batches of frames to stylised frames."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from models.moments import Moments
from realtime.cuts import color_histogram, is_cut
from realtime.engines import Engine
from realtime.frame import Frame
from realtime.pixels import with_color_of

# How often the carried statistics are measured, and how far they then move. PSNR in dB against
# every frame's own statistics, on eight real clips (webcam to spinning dancer; in bf16, which alone
# gives 53), mean of all and of the worst clip (`python -m models.check_folding`):
#     every 3, by 0.3: 48.0, 41.7    every 5, by 0.3: 46.3, 39.3    every 10, by 0.3: 44.0, 34.2
#     every 3, by 0.5: 49.6, 44.8    every 5, by 0.5: 47.7, 41.6    never: 39.8, 26.2
# More weight, or a longer wait, shows as a jump at every refresh where the light changes. Every
# fifth frame costs 15 to 20 % of the time at 640x360, 10 % at 1280x720.
REFRESH_EVERY = 5
REFRESH_WEIGHT = 0.3


class Stylizer:
    """Turns an iterator of batches into an iterator of frames: as many, in order, of their size.

    carry: the frames are a video, so norm statistics go from frame to frame (where the engine can);
    they are measured anew at every scene cut. Without it each frame is a picture by itself.
    keep_color: paint the luminance only.
    The memory lasts from call to call, so a clip in pieces gives what the whole clip gives. Use a
    new Stylizer for a new clip. The batch size changes no pixel by more than one level: frames of
    a batch are computed apart, but sums may run in another order.
    """

    def __init__(self, engine: Engine, *, keep_color: bool = False, carry: bool = True) -> None:
        self.engine, self.keep_color = engine, keep_color
        self.carry = carry and engine.carries
        self._statistics: Moments | None = None
        self._histogram: np.ndarray | None = None
        self._shape: tuple[int, ...] = ()
        self._age = 0  # frames that the statistics have served for

    def __call__(self, batches: Iterable[list[Frame]]) -> Iterator[Frame]:
        for batch in batches:
            for run, refresh in self._runs(batch):
                images = np.stack([frame.image for frame in run])
                for frame, stylized in zip(run, self._stylize(images, refresh), strict=True):
                    if self.keep_color:
                        stylized = with_color_of(stylized, frame.image)
                    yield replace(frame, image=stylized)

    def _runs(self, batch: list[Frame]) -> Iterator[tuple[list[Frame], bool]]:
        """The batch in pieces that are computed together; and whether the statistics are due.

        Where they are, the frame is a piece by itself, whatever the batch size.
        """
        run: list[Frame] = []
        for frame in batch:
            cut = self.carry and self._is_cut(frame.image)
            starts = cut or frame.image.shape != self._shape
            refresh = self.carry and (starts or self._age == REFRESH_EVERY)
            if run and (starts or refresh):
                yield run, False
                run = []
            if starts:
                self._shape, self._statistics = frame.image.shape, None
            self._age = 1 if refresh else self._age + 1
            run.append(frame)
            if refresh:
                yield run, True
                run = []
        if run:
            yield run, False

    def _is_cut(self, image: np.ndarray) -> bool:
        before, self._histogram = self._histogram, color_histogram(image)
        return before is None or is_cut(before, self._histogram)

    def _stylize(self, images: np.ndarray, refresh: bool) -> np.ndarray:
        if refresh:
            stylized, self._statistics = self.engine.refresh(
                images, self._statistics, REFRESH_WEIGHT
            )
            return stylized
        if self._statistics is not None:
            return self.engine.carry(images, self._statistics)
        return self.engine(images)
