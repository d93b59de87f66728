"""Speed of one conversion from file to file, run as `impasto video` runs it, in a new process."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time, time

# None of these loads PyTorch, so the new process does so only if an engine needs it.
from impasto.models.styles import load_weights
from impasto.realtime.cpu import work_in_batch
from impasto.realtime.engines.select import open_engine
from impasto.realtime.files.codecs import EncoderOptions
from impasto.realtime.files.convert import stylize_video
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.measure.timing import Figures, in_turns, stylizing
from impasto.realtime.memory import memory_mb
from impasto.realtime.stylizer import Stylizer, default_steadiness


def convert_in_new_process(
    clip: Path,
    style: str,
    device: str,
    *,
    network: str = "auto",
    engine: str = "auto",
    codec: str | None = None,
    hwaccel: str | None = None,
    batch: int = 1,
    end: float | None = None,
) -> Figures:
    """Convert `clip` with these options of `impasto video`; return the time of each stage.

    Times ending in _ms are milliseconds a frame, those in _s seconds. Raises what the conversion
    raises.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        options = (network, engine, codec, hwaccel, batch, end)
        work = pool.submit(_convert, clip, style, device, *options, time())
        return work.result()


def _convert(
    clip: Path,
    style: str,
    device: str,
    network: str,
    engine_name: str,
    codec: str | None,
    hwaccel: str | None,
    batch: int,
    end: float | None,
    began: float,
) -> Figures:
    work_in_batch()
    with VideoReader(clip) as source:
        size = source.info.height, source.info.width
    weights = load_weights(style, network=network)
    engine = open_engine(weights, engine=engine_name, device=device, size=size)
    ready, computed = time() - began, process_time()
    with TemporaryDirectory() as folder:
        report = stylize_video(
            clip,
            Path(folder) / clip.name,
            Stylizer(engine, steadiness=default_steadiness(weights.architecture, device)),
            batch_size=batch,
            encoder=EncoderOptions(codec=codec),
            hwaccel=hwaccel,
            end=end,
        )
    computed = process_time() - computed
    peak = memory_mb("VmHWM")

    alone = [stylizing(engine, size, folded=engine.has_running_statistics)]
    frames = report.frames
    return {
        "clip": clip.name,
        "width": size[1],
        "height": size[0],
        "frames": frames,
        "network": weights.architecture,
        "engine": engine.name,
        "precision": engine.precision,
        "reason": engine.reason,
        "notes": engine.notes,
        "codec": codec or "h264",
        "hwaccel": hwaccel,
        "batch": batch,
        "fps": frames / report.seconds,
        # Without the time until the first frame, in which an engine gets ready for its size.
        "steady_fps": (frames - 1) / (report.seconds - report.first_frame_s),
        "network_fps": 1 / median(in_turns(alone, 9)[0]),
        "first_frame_s": ready + report.first_frame_s,
        "decode_ms": 1e3 * report.decode_s / frames,
        "stylize_ms": 1e3 * report.stylize_s / frames,
        "encode_ms": 1e3 * report.encode_s / frames,
        "processor_ms": 1e3 * computed / frames,  # of all cores, for all stages
        "peak_memory_mb": peak,
    }
