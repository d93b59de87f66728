"""Frame rate and latency of the live path, from the sample clip to a hidden window."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from statistics import median
from time import process_time, thread_time

from impasto.realtime.frame import Frame
from impasto.realtime.live.cameras import open_live
from impasto.realtime.live.controls import Controls
from impasto.realtime.live.loop import LiveStylizer, NoWindow, Readouts, run_live
from impasto.realtime.live.overlay import compose
from impasto.realtime.live.rate_control import AdaptiveScale
from impasto.realtime.measure.timing import Figures, machine
from impasto.realtime.memory import memory_mb
from impasto.realtime.pixels import quickly_resized
from impasto.realtime.stroke import at_size_of

_COUNTED, _SKIPPED = 60, 5  # frames


class _ProcessMonitor(NoWindow):
    """Samples the memory of the process with the first frame and every 30th after it."""

    def __init__(self) -> None:
        self.rss_mb: list[float | None] = []
        self.cpu_began = 0.0
        self._shown = 0

    def show(self, *_: object, **__: object) -> None:
        if not self._shown:
            self.cpu_began = process_time()
        if self._shown % 30 == 0:
            self.rss_mb.append(memory_mb("VmRSS"))
        self._shown += 1


def bench_live(
    style: str,
    *,
    size: tuple[int, int] = (720, 1280),
    fps: int = 30,
    seconds: float = 60.0,
    device: str = "auto",
    network: str = "auto",
) -> Figures:
    """Stylize the sample clip at `size` (height, width) and `fps` for `seconds`; plain data.

    "shown_fps": frames that reached the window; "dropped": frames that were stale before they were
    stylized; "moved_frames": shown with the paint of the frame before (see `live.moved_paint`);
    "delay_ms": from capture to the window; "working_scale": share of the height and width that
    frames are stylized at, also sampled once a second; "cpu_seconds": of all cores, from the first
    frame on; "other_ms": see `time_without_network`, at the median working scale; "rss_mb": memory
    after a tenth of the time (when all is loaded) and at the end, None where the
    system does not report it. Raises WeightsError and EngineError.
    """
    screen = _ProcessMonitor()
    stylize = LiveStylizer(
        [style], Controls(readouts=False), AdaptiveScale(fps), device=device, network=network
    )
    stylize.open_ahead(size)
    with open_live("test", size=size, frame_rate=Fraction(fps)) as source:
        readouts = run_live(source, screen, stylize, fps=fps, seconds=seconds)
    assert stylize.engine is not None
    cpu_seconds = process_time() - screen.cpu_began
    figures = shown(readouts, fps)
    scale = figures["working_scale"]["median"]
    return {
        "width": size[1],
        "height": size[0],
        "target_fps": fps,
        "seconds": seconds,
        "engine": stylize.engine.name,
        "precision": stylize.engine.precision,
        "network": stylize.network,
        **figures,
        "cpu_seconds": round(cpu_seconds, 1),
        "other_ms": time_without_network(size, fps, scale),
        "rss_mb": {
            "start": screen.rss_mb[len(screen.rss_mb) // 10],
            "end": screen.rss_mb[-1],
        },
        "machine": machine(stylize.engine.device),
    }


def time_without_network(size: tuple[int, int], fps: int, scale: float) -> Figures:
    """Processor time of a live frame but for the network, in ms of one core; plain data.

    size: (height, width) of the frames; scale: share of it to stylize at. "camera": decoding (here,
    the sample clip and its filters) and conversion to RGB; "scaling": to the working size and back;
    "window": the picture as the window shows it, mirrored and with readouts, without the system's
    part; "all": their sum. Times are means over two seconds.
    """
    import cv2

    spent: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def counted(part: str) -> Iterator[None]:
        began = thread_time()
        yield
        spent[part] += thread_time() - began

    def handle(frame: Frame) -> None:
        working = round(size[0] * scale), round(size[1] * scale)
        with counted("scaling"):
            small = quickly_resized(frame.image, working)
            image = at_size_of(small, frame.image, small=small)
        with counted("window"):
            picture = compose(frame.image, image, Controls(), lines=["30 fps"] * 4)
            cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # those of others are not counted
    try:
        with open_live("test", size=size, frame_rate=Fraction(fps)) as source:
            frames = iter(source)
            for frame in islice(frames, _SKIPPED):
                handle(frame)
            spent.clear()
            began = process_time()
            for frame in islice(frames, _COUNTED):
                handle(frame)
            total = process_time() - began
    finally:
        cv2.setNumThreads(threads)
    spent["camera"] = total - spent["scaling"] - spent["window"]
    parts = {part: spent[part] for part in ("camera", "scaling", "window")} | {"all": total}
    return {part: round(1e3 * seconds / _COUNTED, 1) for part, seconds in parts.items()}


def shown(readouts: Readouts, fps: int) -> Figures:
    """The figures of the read-outs, over the run or its last ten minutes."""
    overall, scales = readouts.overall, list(readouts.scales)
    return {
        "shown_fps": round(overall.fps, 2),
        "dropped": readouts.dropped,
        "moved_frames": readouts.moved,
        "delay_ms": {
            name: round(overall.delay_ms(share), 1)
            for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
        },
        "working_scale": {
            "min": min(scales),
            "median": median(scales),
            "each_second": scales[::fps],
        },
    }
