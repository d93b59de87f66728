"""Live sources by name: cameras, network addresses, filter graphs, files played, a test picture."""

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
from impasto.realtime.files.containers import open_media
from impasto.realtime.live.feeds import Feed, GeneratedFeed, MediaFeed
from impasto.realtime.live.live_source import LiveSource, Timing

DEFAULT_SIZE, DEFAULT_RATE = (720, 1280), Fraction(30)  # asked for where nothing else is
_SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "srt", "rtp", "tcp", "rtmp", "rtmps")
# What an address, or a playlist behind it, may reach: the network, and no file here.
_PROTOCOLS = "rtsp,rtsps,http,https,httpproxy,tls,tcp,udp,udplite,rtp,srtp,srt,rtmp,rtmps,crypto"
# What a camera can send raw over USB 2: three transactions of 1024 bytes in each of 8000
# microframes a second. 640x480 at 30 fps fits, in 16 bits a pixel; anything more needs JPEG.
_RAW_BYTES_PER_SECOND = 24_576_000
_FINAL = {errno.EACCES, errno.EPERM, errno.ENOENT, errno.EBUSY, errno.ENODEV, errno.ENXIO}
_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
_QUERYCAP, _CAPTURES = 0x80685600, 0x1 | 0x1000  # VIDIOC_QUERYCAP; one plane or several

_log = logging.getLogger(__name__)
Options = dict[str, str]


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of this machine."""

    number: int  # for `--camera`; on Linux that of /dev/video
    name: str  # for people
    device: str  # for FFmpeg


def open_live(
    name: str,
    *,
    size: tuple[int, int] | None = None,
    frame_rate: Fraction | None = None,
    loop: bool = False,
    timing: Timing | None = None,
    say: Callable[[str], None] = _log.info,
) -> LiveSource:
    """Open a live source by what a user calls it.

    name: a camera's number or name, "test", an address such as rtsp://, "lavfi:" and a graph of
    FFmpeg's filters, or a file, which is played at its own pace (with `loop` again and again).
    size: (height, width) asked of a camera or of the test picture; frame_rate likewise.
    say: see LiveSource. Raises SourceError where it cannot be opened, or is nothing of the kind.
    """
    size = DEFAULT_SIZE if size is None else size
    rate = DEFAULT_RATE if frame_rate is None else frame_rate
    timing = timing or Timing()
    return LiveSource(_feed(name, size, rate, loop, timing), timing=timing, say=say)


def list_cameras() -> list[Camera]:
    """The cameras that FFmpeg finds here, by number; none where it knows no cameras at all."""
    try:
        devices = enumerate_input_devices(capture_format())
    except (ValueError, av.FFmpegError):
        return []
    cameras: list[Camera] = []
    for device in devices:
        if device.media_types and "video" not in device.media_types:
            continue
        if capture_format() == "v4l2" and not _captures(device.name):
            continue
        digits = re.fullmatch(r"/dev/video(\d+)", device.name)
        number = int(digits[1]) if digits else len(cameras)
        cameras.append(Camera(number, device.description or device.name, device.name))
    return sorted(cameras, key=lambda camera: camera.number)


def capture_format() -> str:
    """What FFmpeg calls the cameras of this system."""
    return _FORMATS.get(sys.platform, "v4l2")


def option_sets(format: str, size: tuple[int, int], rate: Fraction) -> list[Options]:
    """What to ask a camera for, best first; the last asks for nothing.

    MJPEG first where raw pictures of this size and rate do not fit through USB 2.
    """
    mode = {"video_size": f"{size[1]}x{size[0]}", "framerate": f"{rate}"}
    if format == "v4l2":
        ways = [mode | {"input_format": "mjpeg"}, mode]
        if 2 * size[0] * size[1] * rate <= _RAW_BYTES_PER_SECOND:
            ways.reverse()
        return [*ways, {"video_size": mode["video_size"]}, {}]
    if format == "avfoundation":  # its own default, 29.97 fps, few cameras know
        rates = [{"framerate": text} for text in dict.fromkeys((f"{rate}", "30", "15"))]
        return [mode | {"pixel_format": "nv12"}, mode, *rates, {}]
    if format == "dshow":  # takes JPEG by itself where only that has the size and rate
        room = {"rtbufsize": "64M"}
        return [mode | room, {"video_size": mode["video_size"]} | room, room]
    return [{}]


def open_device(device: str, format: str, sets: Sequence[Options], title: str) -> InputContainer:
    """Open a device with the first set of options that it takes. Raises SourceError."""
    refused = []
    for options in sets:
        try:
            return av.open(device, format=format, options=options)
        except av.FFmpegError as error:  # some of which are ValueErrors, too
            reason = _why_no_device(device, error)
            if error.errno in _FINAL:
                raise SourceError(f"{title}: {reason}") from error
            if reason not in refused:
                refused.append(reason)
        except ValueError:
            raise SourceError(f"{title}: the FFmpeg of this PyAV is without {format}") from None
    raise SourceError(f"{title}: {'; '.join(refused)}; is it a camera? try another size or rate")


def open_address(address: str, title: str, timing: Timing) -> InputContainer:
    """Open a network address. Raises SourceError."""
    scheme = urlsplit(address).scheme.lower()
    options = {
        "protocol_whitelist": _PROTOCOLS,
        # Enough for what has pictures only; by default a second is spent waiting for sound.
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
        raise SourceError(f"{title}: {_why_no_answer(scheme, error, timing)}") from error


def _feed(name: str, size: tuple[int, int], rate: Fraction, loop: bool, timing: Timing) -> Feed:
    if rate <= 0 or min(size) < 2:
        raise SourceError(f"expected a size and a rate, got {size[1]}x{size[0]} at {rate} fps")
    if not name:
        raise SourceError("expected a camera, an address or a file, got no name")
    if name == "test":
        return GeneratedFeed(size, rate)
    if name.startswith("lavfi:"):
        return _graph(name)
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", name):
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
        asked=(size, rate),
        open_seconds=1.5 * timing.open,
        stall_seconds=timing.stall,
    )


def _open_camera(camera: Camera, sets: Sequence[Options], title: str) -> InputContainer:
    """Open it, where it is now: plugged in again, it may have another place, and its own a new one.

    Raises SourceError.
    """
    cameras = list_cameras()
    named = [there for there in cameras if there.name == camera.name]
    if camera not in named and len(named) == 1:
        camera = named[0]
    elif camera not in named and camera.device in {there.device for there in cameras}:
        raise SourceError(f"{title}: it is not plugged in; {_listed(cameras)}")
    format = capture_format()
    device = f"video={camera.device}" if format == "dshow" else camera.device
    return open_device(device, format, sets, title)


def _graph(name: str) -> Feed:
    graph = name.removeprefix("lavfi:")

    def opening() -> InputContainer:
        try:
            return av.open(graph, format="lavfi")
        except av.FFmpegError as error:
            raise SourceError(f"{name}: {error.strerror}; give a graph of filters") from error

    return MediaFeed(name, opening, paced=True, stall_seconds=None)


def _address(address: str, timing: Timing) -> Feed:
    scheme = urlsplit(address).scheme.lower()
    if scheme not in _SCHEMES:
        near = " or ".join(f"{known}://" for known in get_close_matches(scheme, _SCHEMES, 2))
        advice = f"did you mean {near}?" if near else f"known are {', '.join(_SCHEMES)}"
        raise SourceError(f"{scheme}:// is not a kind of address to read from; {advice}")
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


def without_password(address: str) -> str:
    """An address as it may be shown: no name and password, and no query that may hold a key."""
    parts = urlsplit(address)
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}{parts.path}"


def _camera(name: str) -> Camera:
    """The camera of that number, device or name. Raises SourceError."""
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
        raise SourceError(f"{name!r} may be any of: {_listed(named)}; say which by its number")
    if number is not None:
        raise SourceError(f"there is no camera {number}; {_listed(cameras)}")
    if Path(name).suffix or "/" in name or os.sep in name:
        raise SourceError(f"{name} does not exist; check the name")
    raise SourceError(f"{name!r} is no camera, address or file; {_listed(cameras)}")


def _listed(cameras: Iterable[Camera]) -> str:
    listed = ", ".join(f"{camera.number} ({camera.name})" for camera in cameras)
    return f"cameras here: {listed}" if listed else "no camera is found here; 'test' needs none"


def _is_device(name: str) -> bool:
    return sys.platform == "linux" and Path(name).is_char_device()


def _captures(device: str) -> bool:
    """Whether a V4L2 node gives pictures; those beside it that give only their data do not.

    struct v4l2_capability has its device_caps at byte 88 of 104.
    """
    if sys.platform != "linux":
        return True
    import fcntl

    answer = bytearray(104)
    try:
        node = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return True  # what is wrong with it is said when it is opened
    try:
        fcntl.ioctl(node, _QUERYCAP, answer)
    except OSError:
        return True
    finally:
        os.close(node)
    can = int.from_bytes(answer[88:92], sys.byteorder)
    return can == 0 or bool(can & _CAPTURES)


def _why_no_device(device: str, error: av.FFmpegError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        if sys.platform == "linux":
            return (
                f"no permission for {device}; join its group with 'sudo usermod -aG video "
                "$USER' and log in again"
            )
        return "no permission; allow the terminal to use the camera in the system's settings"
    if error.errno == errno.EBUSY:
        users = ", ".join(_users_of(device)) or "another program"
        return f"it is in use by {users}; close that first"
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return f"it is not plugged in; {_listed(list_cameras())}"
    return error.strerror or str(error)


def _users_of(device: str) -> list[str]:
    """Programs that have a device open, as "name (process)"; those of other users hide it."""
    users = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            opened = {os.readlink(link) for link in (process / "fd").iterdir()}
            if os.path.realpath(device) in opened and process.name != f"{os.getpid()}":
                users.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
        except OSError:
            continue
    return users


def _why_no_answer(scheme: str, error: av.FFmpegError, timing: Timing) -> str:
    if isinstance(error, (av.error.ExitError, av.error.TimeoutError)):
        return f"nothing came in {timing.open:g} s; is it on, and sending?"
    if isinstance(error, av.error.ProtocolNotFoundError):
        return f"the FFmpeg of this PyAV is without {scheme}; have it sent by rtsp, http or udp"
    if isinstance(error, av.error.ConnectionRefusedError):
        return "it refuses to connect; is it on, and the port right?"
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return f"it wants a name and a password: {scheme}://NAME:PASSWORD@..."
    if isinstance(error, (av.error.HTTPNotFoundError, av.error.HTTPForbiddenError)):
        return f"{error.strerror}; check what comes after the host"
    if isinstance(error, av.error.InvalidDataError):
        return "what it sends is no video"
    if error.errno == errno.EIO:
        return "it cannot be reached; check the host's name and the network"
    return error.strerror or str(error)
