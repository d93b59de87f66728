"""Films and streams behind network addresses: which are read, how, and what goes wrong."""

import errno
import re
import ssl
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import av

from impasto.models.errors import SourceError

OPEN_SECONDS, READ_SECONDS = 15.0, 30.0  # without data, after which an address is given up
# What an address, or a playlist behind it, may reach: the web, but no local file.
_WEB = "http,https,httpproxy,tcp,tls,crypto"
_PLAYLISTS = {"hls"}  # with the addresses of parts, which are read under the same rule


@dataclass(frozen=True)
class WebAddress:
    """The address of a film, http:// or https://. Raises SourceError for another scheme."""

    url: str

    def __post_init__(self) -> None:
        scheme = urlsplit(self.url).scheme.lower()
        if scheme not in ("http", "https"):
            raise SourceError(
                f"cannot convert from {scheme}:// addresses, only from http:// and https://; "
                "impasto live takes rtsp://, udp://, srt:// and rtmp://"
            )

    @property
    def name(self) -> str:
        """That of the film: the last part of the path."""
        return PurePosixPath(urlsplit(self.url).path).name or str(self)

    def __str__(self) -> str:
        return without_password(self.url)


def is_address(name: str) -> bool:
    """Whether a name is an address, such as https://example.org/film.mp4."""
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", name) is not None


def web_options(allowed_formats: set[str]) -> dict[str, str]:
    """FFmpeg's options to read a film from the web.

    allowed_formats: demuxers for a file on disk. A conversion reads more slowly than a server
    sends, and one that is tired of it is asked again for the rest.
    """
    return _certificates() | {
        "protocol_whitelist": _WEB,
        "format_whitelist": ",".join(sorted(allowed_formats | _PLAYLISTS)),
        "reconnect": "1",
        "reconnect_delay_max": "8",
    }


def _certificates() -> dict[str, str]:
    """FFmpeg's options to check who a server is, which it does not do by itself.

    It knows no certificates of authorities either: they are those of Python, or of certifi.
    """
    file = ssl.get_default_verify_paths().cafile
    if file is None and find_spec("certifi") is not None:
        file = import_module("certifi").where()
    return {"tls_verify": "1", "ca_file": file} if file is not None else {}


def without_password(address: str) -> str:
    """An address without user name, password and query, which may hold a key."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def address_error(address: str, error: Exception, seconds: float) -> str:
    """Why an address cannot be read, in a few words; seconds: how long it was waited for."""
    scheme = urlsplit(address).scheme.lower()
    if isinstance(error, (av.error.ExitError, av.error.TimeoutError)):
        return f"no data within {seconds:g} s; is it on, and sending?"
    if isinstance(error, av.error.ProtocolNotFoundError):
        return f"PyAV's FFmpeg does not support {scheme}; use rtsp, http or udp"
    if isinstance(error, av.error.ConnectionRefusedError):
        return "connection refused; is it on, and is the port right?"
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return f"it needs a user name and password: {scheme}://NAME:PASSWORD@..."
    if isinstance(error, (av.error.HTTPNotFoundError, av.error.HTTPForbiddenError)):
        return f"{error.strerror}; check the path after the host"
    if isinstance(error, (av.error.InvalidDataError, av.error.ArgumentError)):
        return "it does not send video"
    if getattr(error, "errno", None) == errno.EIO and scheme == "https":
        return "it cannot be reached, or its certificate is not trusted; check the host name"
    if getattr(error, "errno", None) == errno.EIO:
        return "it cannot be reached; check the host name and the network"
    return getattr(error, "strerror", None) or str(error)
