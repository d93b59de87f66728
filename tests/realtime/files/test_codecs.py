"""Codecs and containers: every pair is written and read back; the rest is refused at once."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from impasto.models.errors import SinkError
from impasto.realtime.files.codecs import CODECS, CONTAINERS, EncoderOptions, encoding_for
from impasto.realtime.files.video_writer import VideoWriter
from tests.media import (
    RATE,
    SIZE,
    SOFTWARE_CODECS,
    decoded,
    frames_of,
    info_of,
    number_of,
    numbered_picture,
    write_video,
)

pytestmark = pytest.mark.usefixtures("no_file_is_left_open")


class TestCodecs:
    @pytest.mark.parametrize(("ext", "codec"), SOFTWARE_CODECS)
    def test_every_codec_in_every_container(self, ext: str, codec: str, tmp_path: Path) -> None:
        path = tmp_path / f"out{ext}"
        sink = write_video(path, frames_of(12), info_of(), codec=codec)
        pictures, times, duration = decoded(path)
        assert [number_of(picture) for picture in pictures] == list(range(12))
        assert times == [n / RATE for n in range(12)]
        # MPEG-TS keeps no durations: readers guess that of the last frame.
        assert abs(duration - 12 / RATE) <= (1 / RATE if ext == ".ts" else 0)
        assert sink.notes == []
        error = np.mean(
            [np.abs(numbered_picture(n) - p.astype(float)) for n, p in [(5, pictures[5])]]
        )
        assert error < 6  # of 255: chroma at half size around hard edges, and the codec's own loss

    @pytest.mark.parametrize(("ext", "codec"), SOFTWARE_CODECS)
    def test_odd_sizes_are_kept(self, ext: str, codec: str, tmp_path: Path) -> None:
        path = tmp_path / f"out{ext}"
        size = (49, 67)
        sink = write_video(path, frames_of(3, size), info_of(size), codec=codec)
        pictures, _, _ = decoded(path)
        assert [picture.shape for picture in pictures] == [(*size, 3)] * 3
        assert [number_of(picture) for picture in pictures] == [0, 1, 2]
        assert len(sink.notes) == (codec in ("h264", "hevc"))

    @pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "prores"])
    def test_ten_bits(self, codec: str, tmp_path: Path) -> None:
        path = tmp_path / "out.mkv"
        write_video(path, frames_of(3), info_of(), codec=codec, bit_depth=10)
        with av.open(str(path)) as container:
            form = container.streams.video[0].format
            assert form is not None and form.components[0].bits == 10

    def test_ten_bits_are_refused_where_unsupported(self, tmp_path: Path) -> None:
        with pytest.raises(SinkError, match="10 bits.*choose from.*av1"):
            VideoWriter(
                tmp_path / "out.webm",
                info_of(),
                encoder=EncoderOptions(codec="vp9", bit_depth=10),
            )
        assert list(tmp_path.iterdir()) == []

    def test_the_extension_chooses_the_codec(self) -> None:
        chosen = {ext: encoding_for(Path(f"a{ext}"), SIZE).codec for ext in CONTAINERS}
        assert chosen == {
            ".mp4": "h264",
            ".m4v": "h264",
            ".mov": "h264",
            ".mkv": "h264",
            ".ts": "h264",
            ".webm": "vp9",
            ".avi": "mpeg4",
            ".gif": "gif",
            ".webp": "webp",
            ".apng": "apng",
            ".y4m": "raw",
        }
        assert encoding_for(Path("A.MP4"), SIZE).codec == "h264"

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("a.mp5", {}, r"'.mp5' is not supported: use .*\.mp4"),
            ("a", {}, r"'a' has none: use .*\.mp4"),
            ("a.mp4", {"codec": "h265"}, "unknown codec 'h265': choose from .*hevc"),
            ("a.webm", {"codec": "h264"}, r"choose from vp9, av1.*\.mp4"),
            ("a.mp4", {"crf": 99}, "crf from 0 to 51, got 99"),
            ("a.mp4", {"preset": "warp"}, "no preset 'warp': choose from ultrafast"),
            ("a.gif", {"preset": "fast"}, "has no presets"),
            ("a.gif", {"crf": 5}, "does not support a crf"),
            ("a.gif", {"bitrate": 100_000}, "does not support a bitrate"),
            ("a.mp4", {"bitrate": 3}, "1000 bits a second or more"),
            ("a.mp4", {"crf": 20, "bitrate": 100_000}, "not both"),
        ],
    )
    def test_unsupported_options_are_refused_at_once(
        self, name: str, options: dict[str, Any], message: str, tmp_path: Path
    ) -> None:
        with pytest.raises(SinkError, match=message) as caught:
            VideoWriter(tmp_path / name, info_of(), encoder=EncoderOptions(**options))
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("codec", [c for c in CODECS if CODECS[c].hardware])
    def test_hardware_encoders_work_or_say_what_they_need(self, codec: str, tmp_path: Path) -> None:
        try:
            write_video(
                tmp_path / "out.mp4", frames_of(3, (144, 256)), info_of((144, 256)), codec=codec
            )
        except SinkError as error:
            assert "it needs an NVIDIA GPU" in str(error)
            assert list(tmp_path.iterdir()) == []
        else:
            assert len(decoded(tmp_path / "out.mp4")[0]) == 3

    @pytest.mark.parametrize(
        ("ext", "options"),
        [
            (".mp4", {"preset": "medium", "crf": 30}),
            (".mp4", {"codec": "hevc", "preset": "superfast"}),
            (".mp4", {"codec": "av1", "preset": "12", "crf": 50}),
            (".webm", {"preset": "5", "bitrate": 200_000}),
            (".mov", {"codec": "prores", "preset": "proxy"}),
            (".avi", {"crf": 20}),
            (".mp4", {"bitrate": 200_000}),
        ],
    )
    def test_options_are_accepted_by_the_encoder(
        self, ext: str, options: dict[str, Any], tmp_path: Path
    ) -> None:
        path = tmp_path / f"out{ext}"
        write_video(path, frames_of(12), info_of(), **options)
        assert [number_of(picture) for picture in decoded(path)[0]] == list(range(12))

    @pytest.mark.parametrize("codec", ["hevc", "av1"])
    def test_a_size_that_an_encoder_refuses(
        self, codec: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        tiny = [replace(frame, image=frame.image[:2, :2]) for frame in frames_of(3)]
        with pytest.raises(SinkError, match="did not open at 2x2: Invalid argument; try another"):
            write_video(
                tmp_path / "out.mp4", tiny, replace(info_of(), height=2, width=2), codec=codec
            )
        assert list(tmp_path.iterdir()) == [] and capfd.readouterr() == ("", "")

    def test_a_lower_crf_is_a_larger_file(self, tmp_path: Path) -> None:
        sizes = []
        for crf in (10, 40):
            write_video(tmp_path / f"{crf}.mp4", frames_of(12), info_of(), crf=crf)
            sizes.append((tmp_path / f"{crf}.mp4").stat().st_size)
        assert sizes[0] > 1.5 * sizes[1]


def test_narrow_hevc_in_10_bits_does_not_crash(tmp_path: Path) -> None:
    """In a separate process, as x265's vector code would crash this one."""
    script = (
        "import sys, numpy as np\n"
        "from fractions import Fraction\n"
        "from impasto.realtime.frame import Frame, StreamInfo\n"
        "from impasto.realtime.files.video_writer import VideoWriter\n"
        "from impasto.realtime.files.codecs import EncoderOptions\n"
        "rng, tick = np.random.default_rng(0), Fraction(1, 25)\n"
        "options = EncoderOptions(codec='hevc', bit_depth=10)\n"
        "for width in (34, 40, 48):\n"
        "    info = StreamInfo(64, width, tick)\n"
        "    path = f'{sys.argv[1]}/{width}.mp4'\n"
        "    with VideoWriter(path, info, encoder=options) as sink:\n"
        "        for index in range(12):\n"
        "            image = rng.integers(0, 256, (64, width, 3), dtype=np.uint8)\n"
        "            sink.write(Frame(image, index, tick))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True)
    assert ran.returncode == 0, ran.stderr
    assert [len(decoded(tmp_path / f"{width}.mp4")[0]) for width in (34, 40, 48)] == [12] * 3
