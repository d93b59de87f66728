"""Opens live sources by name: cameras, addresses, filter graphs, files, the sample clip."""

import errno
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import av
from av.container import InputContainer
from av.device import enumerate_input_devices

from impasto.models.errors import SourceError
from impasto.realtime.files.addresses import address_error, is_address, without_password
from impasto.realtime.files.containers import open_media
from impasto.realtime.live.feeds import Feed, MediaFeed
from impasto.realtime.live.live_source import LiveSource, Timing
from impasto.realtime.samples import SAMPLE_VIDEO

DEFAULT_SIZE, DEFAULT_RATE = (720, 1280), Fraction(30)  # requested by default
_SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "srt", "rtp", "tcp", "rtmp", "rtmps")
# What an address, or a playlist behind it, may reach: the network, but no local file.
_PROTOCOLS = "rtsp,rtsps,http,https,httpproxy,tls,tcp,udp,udplite,rtp,srtp,srt,rtmp,rtmps,crypto"
# What USB 2 can carry: three transactions of 1024 bytes in each of 8000 microframes per second.
# Raw video of 640x480 at 30 fps fits, at 16 bits a pixel; anything larger needs JPEG.
_RAW_BYTES_PER_SECOND = 24_576_000
_FINAL = {errno.EACCES, errno.EPERM, errno.ENOENT, errno.EBUSY, errno.ENODEV, errno.ENXIO}
_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
_QUERYCAP = 0x80685600  # VIDIOC_QUERYCAP
_CAPTURE = 0x1 | 0x1000  # V4L2_CAP_VIDEO_CAPTURE, V4L2_CAP_VIDEO_CAPTURE_MPLANE

_log = logging.getLogger(__name__)
Options = dict[str, str]


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of this machine."""

    number: int  # for `--camera`; on Linux that of /dev/video
    name: str  # for the user
    device: str  # for FFmpeg


def open_live(
    name: str,
    *,
    size: tuple[int, int] | None = None,
    frame_rate: Fraction | None = None,
    loop: bool = False,
    timing: Timing | None = None,
    log: Callable[[str], None] = _log.info,
) -> LiveSource:
    """Open a live source by name.

    name: a camera's number or name, "test" for the sample clip, repeated, an address such as
    rtsp://, "lavfi:" and an FFmpeg filter graph, or a file, which is played at its frame rate (with
    `loop`, repeatedly).
    size: (height, width) requested from a camera or the sample clip; frame_rate likewise.
    timing, log: see LiveSource. Raises SourceError if it cannot be opened, or the name is unknown.
    """
    size = DEFAULT_SIZE if size is None else size
    rate = DEFAULT_RATE if frame_rate is None else frame_rate
    timing = timing or Timing()
    return LiveSource(_feed_for(name, size, rate, loop, timing), timing=timing, log=log)


def list_cameras() -> list[Camera]:
    """The cameras that FFmpeg lists, by number; none on systems where it cannot."""
    try:
        devices = enumerate_input_devices(capture_format())
    except (ValueError, av.FFmpegError):
        return []
    cameras: list[Camera] = []
    for device in devices:
        if device.media_types and "video" not in device.media_types:
            continue
        if capture_format() == "v4l2" and not _captures_video(device.name):
            continue
        digits = re.fullmatch(r"/dev/video(\d+)", device.name)
        number = int(digits[1]) if digits else len(cameras)
        cameras.append(Camera(number, device.description or device.name, device.name))
    return sorted(cameras, key=lambda camera: camera.number)


def capture_format() -> str:
    """FFmpeg's input format for the cameras of this system."""
    return _FORMATS.get(sys.platform, "v4l2")


def option_sets(format: str, size: tuple[int, int], rate: Fraction) -> list[Options]:
    """Options to open a camera with, best first; the last set is empty or nearly so.

    MJPEG comes first if raw video of this size and rate exceeds USB 2.
    """
    mode = {"video_size": f"{size[1]}x{size[0]}", "framerate": f"{rate}"}
    if format == "v4l2":
        sets = [mode | {"input_format": "mjpeg"}, mode]
        if 2 * size[0] * size[1] * rate <= _RAW_BYTES_PER_SECOND:
            sets.reverse()
        return [*sets, {"video_size": mode["video_size"]}, {}]
    if format == "avfoundation":  # few cameras support its default, 29.97 fps
        rates = [{"framerate": text} for text in dict.fromkeys((f"{rate}", "30", "15"))]
        return [mode | {"pixel_format": "nv12"}, mode, *rates, {}]
    if format == "dshow":  # chooses JPEG if only that has the size and rate
        buffer = {"rtbufsize": "64M"}
        return [mode | buffer, {"video_size": mode["video_size"]} | buffer, buffer]
    return [{}]


def open_device(device: str, format: str, sets: Sequence[Options], title: str) -> InputContainer:
    """Open a device with the first set of options that it accepts. Raises SourceError."""
    refused = []
    for options in sets:
        try:
            return av.open(device, format=format, options=options)
        except av.FFmpegError as error:  # some are ValueErrors, too
            reason = _device_error(device, error)
            if error.errno in _FINAL:
                raise SourceError(f"{title}: {reason}") from error
            if reason not in refused:
                refused.append(reason)
        except ValueError:
            raise SourceError(f"{title}: PyAV's FFmpeg does not support {format}") from None
    raise SourceError(f"{title}: {'; '.join(refused)}; is it a camera? try another size or rate")


def open_address(address: str, title: str, timing: Timing) -> InputContainer:
    """Open a network address. Raises SourceError."""
    scheme = urlsplit(address).scheme.lower()
    options = {
        "protocol_whitelist": _PROTOCOLS,
        # Microseconds. Enough for a stream without audio, for which FFmpeg waits longer.
        "analyzeduration": "1000000",
        "live_start_index": "-1",  # HLS: the newest segment, not three back
    }
    if scheme.startswith("rtsp"):
        options |= {"rtsp_transport": "tcp", "allowed_media_types": "video"}
    if scheme in ("udp", "rtp"):
        options |= {"overrun_nonfatal": "1", "fifo_size": "50000"}  # packets of 188 bytes: 9 MB
    try:
        timeout = (timing.open, _stall_seconds(address, timing))
        return av.open(address, options=options, timeout=timeout)
    except av.FFmpegError as error:
        raise SourceError(f"{title}: {address_error(address, error, timing.open)}") from error


def _feed_for(name: str, size: tuple[int, int], rate: Fraction, loop: bool, timing: Timing) -> Feed:
    if rate <= 0 or min(size) < 2:
        raise SourceError(f"expected a size and a rate, got {size[1]}x{size[0]} at {rate} fps")
    if not name:
        raise SourceError("expected a camera, an address or a file, got an empty name")
    if name == "test":
        return _filter_graph(sample_graph(size, rate), "sample clip")
    if name.startswith("lavfi:"):
        return _filter_graph(name.removeprefix("lavfi:"), name)
    if is_address(name):
        return _address(name, timing)
    if not re.fullmatch(r"\d+", name) and Path(name).exists() and not _is_device(name):
        opening = partial(open_media, name)
        return MediaFeed(name, opening, paced=True, loop=loop, stall_seconds=None)
    camera = _camera(name)
    title = f"camera {camera.number} ({camera.name})"
    sets = option_sets(capture_format(), size, rate)
    opening = partial(_open_camera, camera, sets, title)
    return MediaFeed(
        title,
        opening,
        paced=False,
        requested=(size, rate),
        open_seconds=1.5 * timing.open,
        stall_seconds=timing.stall,
    )


def _open_camera(camera: Camera, sets: Sequence[Options], title: str) -> InputContainer:
    """Open a camera by its name if it has moved: plugged in again, it may get another device file.

    Another camera may have its old one by then. Raises SourceError.
    """
    cameras = list_cameras()
    same_name = [other for other in cameras if other.name == camera.name]
    if camera not in same_name and len(same_name) == 1:
        camera = same_name[0]
    elif camera not in same_name and camera.device in {other.device for other in cameras}:
        raise SourceError(f"{title}: it is not plugged in; {_listed(cameras)}")
    format = capture_format()
    device = f"video={camera.device}" if format == "dshow" else camera.device
    return open_device(device, format, sets, title)


def sample_graph(size: tuple[int, int], rate: Fraction) -> str:
    """A filter graph that repeats the sample clip endlessly, scaled and cropped to (height, width).

    5 ms of one core for a frame of 1280x720.
    """
    path = SAMPLE_VIDEO.as_posix()
    for special in (r"[\\':]", r"[\\'\[\],;]"):  # escaped as an option, then as part of a graph
        path = re.sub(special, r"\\\g<0>", path)
    fitted = f"{size[1]}:{size[0]}"
    return (
        f"movie={path}:loop=0,setpts=N/FRAME_RATE/TB,fps={rate},"
        f"scale={fitted}:force_original_aspect_ratio=increase,crop={fitted}:exact=1"
    )


def _filter_graph(graph: str, title: str) -> Feed:
    def opening() -> InputContainer:
        try:
            return av.open(graph, format="lavfi")
        except av.FFmpegError as error:
            raise SourceError(f"{title}: {error.strerror}; expected a filter graph") from error

    return MediaFeed(title, opening, paced=True, stall_seconds=None)


def _address(address: str, timing: Timing) -> Feed:
    scheme = urlsplit(address).scheme.lower()
    if scheme not in _SCHEMES:
        near = " or ".join(f"{known}://" for known in get_close_matches(scheme, _SCHEMES, 2))
        advice = f"did you mean {near}?" if near else f"supported: {', '.join(_SCHEMES)}"
        raise SourceError(f"cannot read from {scheme}:// addresses; {advice}")
    title = without_password(address)
    opening = partial(open_address, address, title, timing)
    return MediaFeed(
        title,
        opening,
        open_seconds=1.5 * timing.open,
        stall_seconds=_stall_seconds(address, timing),
    )


def _stall_seconds(address: str, timing: Timing) -> float:
    return timing.segment if ".m3u8" in address else timing.stall


def _camera(name: str) -> Camera:
    """The camera of this number, device or name. Raises SourceError."""
    cameras = list_cameras()
    number = int(name) if name.isdecimal() else None
    for camera in cameras:
        if number == camera.number or name == camera.device:
            return camera
    if _is_device(name) or (number is not None and _is_device(f"/dev/video{number}")):
        device = name if number is None else f"/dev/video{number}"
        digits = re.search(r"\d+$", device)
        return Camera(int(digits[0]) if digits else 0, device, device)
    named = [c for c in cameras if name.casefold() == c.name.casefold()]
    named = named or [c for c in cameras if name.casefold() in c.name.casefold()]
    if number is None and len(named) == 1:
        return named[0]
    if number is None and len(named) > 1:
        raise SourceError(f"{name!r} is ambiguous; {_listed(named)}; give a number")
    if number is not None:
        raise SourceError(f"no camera {number}; {_listed(cameras)}")
    if Path(name).suffix or "/" in name or os.sep in name:
        raise SourceError(f"{name} does not exist; check the name")
    raise SourceError(f"{name!r} is not a camera, address or file; {_listed(cameras)}")


def _listed(cameras: Iterable[Camera]) -> str:
    listed = ", ".join(f"{camera.number} ({camera.name})" for camera in cameras)
    return f"cameras: {listed}" if listed else "no camera found; 'test' needs none"


def _is_device(name: str) -> bool:
    return sys.platform == "linux" and Path(name).is_char_device()


def _captures_video(device: str) -> bool:
    """Whether a V4L2 device captures video; cameras also have devices for metadata only.

    struct v4l2_capability has its device_caps at byte 88 of 104.
    """
    if sys.platform != "linux":
        return True
    import fcntl

    answer = bytearray(104)
    try:
        node = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return True  # opening it will report what is wrong
    try:
        fcntl.ioctl(node, _QUERYCAP, answer)
    except OSError:
        return True
    finally:
        os.close(node)
    capabilities = int.from_bytes(answer[88:92], sys.byteorder)
    return capabilities == 0 or bool(capabilities & _CAPTURE)


def _device_error(device: str, error: av.FFmpegError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        if sys.platform == "linux":
            return (
                f"no permission to read {device}; run 'sudo usermod -aG video $USER' and log in "
                "again"
            )
        return "no permission; allow the terminal to use the camera in the system settings"
    if error.errno == errno.EBUSY:
        users = ", ".join(_users_of(device)) or "another program"
        return f"it is in use by {users}; close that first"
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return f"it is not plugged in; {_listed(list_cameras())}"
    return error.strerror or str(error)


def _users_of(device: str) -> list[str]:
    """Programs that have a device open, as "name (pid)"; other users' programs are not visible."""
    users = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            opened = {os.readlink(link) for link in (process / "fd").iterdir()}
            if os.path.realpath(device) in opened and process.name != f"{os.getpid()}":
                users.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
        except OSError:
            continue
    return users
