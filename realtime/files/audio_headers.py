"""Sample rate and channels by the header of an audio frame, for codecs that may change in between.

Broadcasts change from stereo to 5.1 and back; each frame then says what it has.
"""

from typing import NamedTuple

_MPEG_RATES = (44100, 48000, 32000)
_AC3_RATES = (48000, 44100, 32000)
_AC3_CHANNELS = (2, 1, 2, 3, 3, 4, 4, 5)  # by acmod
_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


class AudioFormat(NamedTuple):
    """What a frame header says; channels: with the low-frequency one, 0 if it does not say."""

    rate: int  # Hz
    channels: int


def header_format(codec: str, data: bytes) -> AudioFormat | None:
    """The format of the frame that `data` begins with; None for no header, or another codec.

    codec: FFmpeg's name: mp1, mp2, mp3, ac3, eac3, or aac, whose ADTS header MPEG-TS carries.
    """
    if len(data) < 7:
        return None
    if codec in ("mp1", "mp2", "mp3"):
        return _mpeg_audio(data)
    if codec in ("ac3", "eac3"):
        return _eac3(data) if data[5] >> 3 > 10 else _ac3(data)
    return _adts(data) if codec == "aac" else None


def _mpeg_audio(data: bytes) -> AudioFormat | None:
    """ISO/IEC 11172-3, 2.4.1.3; ISO/IEC 13818-3 and MPEG-2.5 halve the rates."""
    version, layer, rate = data[1] >> 3 & 3, data[1] >> 1 & 3, data[2] >> 2 & 3
    if data[0] != 0xFF or data[1] < 0xE0 or version == 1 or not layer or rate == 3:
        return None
    halved = {3: 0, 2: 1, 0: 2}[version]
    return AudioFormat(_MPEG_RATES[rate] >> halved, 1 if data[3] >> 6 == 3 else 2)


def _ac3(data: bytes) -> AudioFormat | None:
    """ETSI TS 102 366, 4.3.1 and 4.3.2."""
    if data[:2] != b"\x0b\x77" or data[4] >> 6 == 3:
        return None
    mode = data[6] >> 5
    # Before the bit of the low-frequency channel: two for each mix level that the mode has.
    skipped = 2 * ((mode & 1 and mode != 1) + bool(mode & 4) + (mode == 2))
    low = (int.from_bytes(data[6:8].ljust(2, b"\0")) >> (12 - skipped)) & 1
    return AudioFormat(_AC3_RATES[data[4] >> 6], _AC3_CHANNELS[mode] + low)


def _eac3(data: bytes) -> AudioFormat | None:
    """ETSI TS 102 366, E.1.2.1, of an independent substream."""
    code, half = data[4] >> 6, data[4] >> 4 & 3
    if data[:2] != b"\x0b\x77" or data[2] >> 6 == 1 or (code == 3 and half == 3):
        return None
    rate = _AC3_RATES[half] // 2 if code == 3 else _AC3_RATES[code]
    return AudioFormat(rate, _AC3_CHANNELS[data[4] >> 1 & 7] + (data[4] & 1))


def _adts(data: bytes) -> AudioFormat | None:
    """ISO/IEC 14496-3, 1.A.2.2.1."""
    rate = data[2] >> 2 & 15
    if data[0] != 0xFF or data[1] & 0xF6 != 0xF0 or rate >= len(_ADTS_RATES):
        return None
    channels = (data[2] & 1) << 2 | data[3] >> 6
    return AudioFormat(_ADTS_RATES[rate], 8 if channels == 7 else channels)
