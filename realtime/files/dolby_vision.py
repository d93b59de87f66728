"""Dolby Vision: the profile whose pictures need its own decoder is refused."""

import struct
from collections.abc import Mapping
from typing import Any

import av
from av.video.stream import VideoStream

from impasto.models.errors import SourceError
from impasto.realtime.pixels import UNSPECIFIED

_TAGS = ("dvh1", "dvhe", "dav1")  # of streams in MP4 that only a Dolby Vision decoder can show
_IPT_C2 = 15  # MatrixCoefficients of H.273
_OFFSETS = struct.Struct("@3N")  # AVDOVIMetadata: where its header, mapping and color parts are


def refuse_dolby_vision_5(
    frame: av.VideoFrame, side_data: Mapping[str, Any], stream: VideoStream, path: object
) -> None:
    """Raise SourceError for Dolby Vision of profile 5 (and 10.0, the same in AV1).

    Its pictures are in the color space IPT-C2, reshaped scene by scene; shown as anything else
    they are green and purple. The other profiles have a base layer in HLG, PQ or SDR, which is
    read instead.
    """
    untagged = frame.color_trc == UNSPECIFIED and frame.colorspace in (UNSPECIFIED, _IPT_C2)
    if (untagged and stream.codec_tag in _TAGS) or _is_ipt(side_data.get("DOVI_METADATA")):
        raise SourceError(
            f"{path} is Dolby Vision of profile 5, which has no picture for other decoders; "
            "convert it to HDR10 or SDR with a program that supports Dolby Vision"
        )


def _is_ipt(metadata: Any) -> bool:
    """Whether the metadata of a frame (AVDOVIMetadata) is of profile 5.

    By the rule of FFmpeg's decoder: VDR RPU profile 0, and a base layer in full range.
    """
    if metadata is None:
        return False
    data = bytes(metadata)
    header = _OFFSETS.unpack_from(data)[0]
    # AVDOVIRpuDataHeader: uint8 rpu_type, uint16 rpu_format, uint8 vdr_rpu_profile, five more,
    # uint8 bl_video_full_range_flag.
    vdr_rpu_profile, full_range = data[header + 4], data[header + 10]
    return vdr_rpu_profile == 0 and bool(full_range)
