"""Paintings as styles while the picture goes on: predicted in a thread of their own."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from impasto.realtime.painting_styles import with_predicted_styles


class Predictions:
    """Gives styles in which paintings are replaced by the styles predicted for them.

    log: gets a line about each painting, from another thread.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._styles: dict[str, Future[str]] = {}

    def __call__(self, style: str, *, wait: bool = False) -> str | None:
        """The style as `models.styles.load_style` takes it; None while it is being predicted.

        wait: never None. Raises SourceError and WeightsError, and tries again the next time.
        """
        if style not in self._styles:
            self._styles[style] = self._begin(style)
        prediction = self._styles[style]
        if not wait and not prediction.done():
            return None
        if prediction.exception() is not None:
            del self._styles[style]
        return prediction.result()

    def _begin(self, style: str) -> Future[str]:
        executor = ThreadPoolExecutor(1, "predict")
        prediction = executor.submit(with_predicted_styles, style, self._log)
        executor.shutdown(wait=False)
        return prediction
