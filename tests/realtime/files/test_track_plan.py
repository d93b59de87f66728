"""Any sound, subtitle or data stream into any container: nothing fails after the first frame."""

from pathlib import Path
from typing import Any

import av
import pytest

from impasto.realtime import stylize_video
from tests.realtime.files.conversion import identity, numbers, packets
from tests.realtime.files.sounds import (
    Sound,
    beep_time,
    heard,
    loudest_tone,
    make_film,
    picture_time,
    streams,
)

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")

_PCM_LE = ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le")
# What players of a container decode, by the containers' own documents and their makers' lists.
_PLAYED = {
    ".mp4": {"aac", "ac3", "eac3", "alac", "flac", "opus", "mp3"},
    ".mov": {"aac", "ac3", "eac3", "alac", "mp3", "amr_nb", "adpcm_ima_qt", "pcm_alaw", "pcm_mulaw"}
    | {"pcm_s8", "pcm_s16be", "pcm_s24be", "pcm_f32be", *_PCM_LE},
    ".webm": {"opus", "vorbis"},
    ".ts": {"mp2", "mp3", "aac", "ac3", "eac3", "opus"},
    ".avi": {"mp2", "mp3", "ac3", "eac3", "aac", "flac", "vorbis", "wmav2", "adpcm_ms", *_PCM_LE}
    | {"adpcm_ima_wav", "pcm_alaw", "pcm_mulaw"},
}
# Codecs by a container that has all of them: sound tracks of one film.
_SOURCES: dict[str, list[Sound]] = {
    ".mkv": [
        Sound(codec, "stereo", 48000, seconds=0.3)
        for codec in (
            *("pcm_s16le", "pcm_u8", "pcm_s32le", "flac", "libopus", "vorbis", "mp2"),
            *("libmp3lame", "ac3", "eac3", "aac", "wavpack"),
        )
    ],
    ".mov": [
        *(Sound(c, "stereo", 48000, seconds=0.3) for c in ("pcm_s8", "pcm_s16be", "pcm_s24be")),
        *(Sound(c, "mono", 48000, seconds=0.3) for c in ("pcm_f32be", "pcm_f64le", "alac")),
        *(Sound(c, "mono", 8000, seconds=0.3) for c in ("pcm_alaw", "libopencore_amrnb")),
        Sound("adpcm_ima_qt", "stereo", 44100, seconds=0.3),
    ],
    ".avi": [
        Sound("adpcm_ms", "stereo", 44100, seconds=0.3),
        Sound("adpcm_ima_wav", "mono", 22050, seconds=0.3),
    ],
    ".ts": [
        Sound(codec, "stereo", 48000, seconds=0.3)
        for codec in ("aac", "mp2", "ac3", "eac3", "libopus")
    ],
    ".vob": [Sound("pcm_dvd", "stereo", 48000, seconds=0.3)],
    ".m2ts": [Sound("pcm_bluray", "stereo", 48000, seconds=0.3)],
    ".wmv": [Sound("wmav2", "stereo", 44100, seconds=0.3)],
    ".flv": [Sound("nellymoser", "mono", 22050, seconds=0.3)],
}


@pytest.fixture(scope="module", params=_SOURCES)
def film(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / f"film{request.param}"
    return make_film(path, *_SOURCES[request.param], frames=3, rate=10)


@pytest.mark.parametrize("target", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts"])
def test_every_sound_is_heard_in_every_container(film: Path, target: str, tmp_path: Path) -> None:
    sounds = _SOURCES[film.suffix]
    out = tmp_path / f"out{target}"
    report = stylize_video(film, out, identity)
    assert report.frames == 3
    before = [str(codec) for kind, codec in streams(film) if kind == "audio"]
    after = [str(codec) for kind, codec in streams(out) if kind == "audio"]
    assert len(after) == len(sounds)
    for index, (sound, old, new) in enumerate(zip(sounds, before, after, strict=True)):
        assert new in _PLAYED.get(target, {new})
        if old.startswith("pcm_") and target in (".mov", ".mkv", ".avi"):
            assert new.startswith("pcm_")  # nothing is lost
        noted = [note for note in report.notes if f"({old}): " in note and "re-encoded" in note]
        assert new == old or noted
        samples, rate, _ = heard(out, index)
        assert samples.shape[0] == av.AudioLayout(sound.layout).nb_channels
        assert samples.shape[1] / rate == pytest.approx(sound.seconds, abs=0.25)
        assert loudest_tone(samples, rate) == pytest.approx(sound.tone, abs=8)


def test_adpcm_in_avi_with_a_wrong_bit_rate_in_its_header_is_whole(tmp_path: Path) -> None:
    """As FFmpeg 5 wrote it: 16,000 bytes a second, of 48 packets of 1024."""
    film = make_film(tmp_path / "in.avi", Sound("adpcm_ms", "stereo"), frames=25)
    data = bytearray(film.read_bytes())
    format_at = data.rindex(b"strf", 0, data.index(b"movi")) + 8  # a WAVEFORMATEX
    data[format_at + 8 : format_at + 12] = (16_000).to_bytes(4, "little")
    film.write_bytes(data)
    report = stylize_video(film, tmp_path / "out.avi", identity)
    assert not [note for note in report.notes if "audio" in note]
    before, after = heard(film)[0], heard(tmp_path / "out.avi")[0]
    assert after.shape == before.shape


@pytest.mark.parametrize("name", ["in.mkv", "in.avi"])
def test_pcm_without_a_layout_becomes_aac_in_mp4(name: str, tmp_path: Path) -> None:
    """Matroska and AVI do not say which speakers stereo PCM is for."""
    clip = make_film(tmp_path / name, Sound("pcm_s16le", "stereo", seconds=1), frames=25)
    for target in ("out.mp4", "out.m4v"):
        report = stylize_video(clip, tmp_path / target, identity)
        assert streams(tmp_path / target) == [("video", "h264"), ("audio", "aac")]
        assert heard(tmp_path / target)[0].shape == (2, pytest.approx(48000, abs=1200))
        assert [note for note in report.notes if "re-encoded as aac" in note]


@pytest.mark.parametrize(
    ("layout", "target", "expected"),
    [
        ("quad", ".mp4", "quad"),
        ("5.0", ".mp4", "5.0"),
        ("5.0(side)", ".mp4", "5.0"),
        ("5.1(side)", ".mp4", "5.1"),
        ("4.1", ".mp4", "5.1"),
        ("hexagonal", ".mp4", "7.1"),
        ("6.1", ".mp4", "7.1"),
        ("7.1", ".ts", "7.1"),
        ("4.0", ".webm", "5.1"),
        ("5.0", ".webm", "5.0"),
        ("5.0", ".avi", "5.0"),
    ],
)
def test_surround_stays_as_the_encoder_can(
    layout: str, target: str, expected: str, tmp_path: Path
) -> None:
    clip = make_film(tmp_path / "in.mov", Sound("pcm_s24be", layout, seconds=0.3), frames=3)
    out = tmp_path / f"out{target}"
    report = stylize_video(clip, out, identity)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].layout.name == expected
    if expected != layout:
        assert [note for note in report.notes if note.endswith(f", {expected}")]


def test_surround_that_becomes_stereo_is_noted(tmp_path: Path) -> None:
    clip = make_film(tmp_path / "in.mkv", Sound("wavpack", "5.0", seconds=0.3), frames=3)
    report = stylize_video(clip, tmp_path / "out.avi", identity)
    assert heard(tmp_path / "out.avi")[0].shape[0] == 2
    assert [note for note in report.notes if note.endswith("re-encoded as mp3, stereo")]


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_late_sound_has_silence_before_it_in_avi(codec: str, tmp_path: Path) -> None:
    """The beep is 0.4 s into a sound that starts 0.3 s late; AVI has no times of sound."""
    clip = make_film(tmp_path / "in.mkv", Sound(codec, start=0.3, seconds=1, beep=0.4))
    report = stylize_video(clip, tmp_path / "out.avi", identity)
    assert beep_time(tmp_path / "out.avi") - picture_time(tmp_path / "out.avi") == pytest.approx(
        0.7, abs=0.05
    )
    assert [note for note in report.notes if "0.30 s late" in note]


def test_a_pause_in_the_sound_stays_in_avi(tmp_path: Path) -> None:
    clip = make_film(tmp_path / "in.mkv", Sound(seconds=1, pause=(0.3, 0.5), beep=0.8), frames=25)
    report = stylize_video(clip, tmp_path / "out.avi", identity)
    assert beep_time(tmp_path / "out.avi") == pytest.approx(0.8, abs=0.05)
    assert [note for note in report.notes if "it pauses at 0:00" in note]


@pytest.mark.parametrize("target", [".webm", ".mp4", ".mkv", ".mov", ".avi", ".ts"])
def test_sound_that_changes_becomes_one_layout_and_rate(target: str, tmp_path: Path) -> None:
    """Two recordings joined, as broadcasts change at advertisements: stereo, then mono."""
    parts = [
        make_film(tmp_path / "a.ts", Sound("mp2", "stereo", 48000), frames=25),
        make_film(
            tmp_path / "b.ts",
            Sound("mp2", "mono", 44100, tone=660),
            frames=25,
            options={"output_ts_offset": "1"},
        ),
    ]
    clip, out = tmp_path / "in.ts", tmp_path / f"out{target}"
    clip.write_bytes(b"".join(part.read_bytes() for part in parts))
    report = stylize_video(clip, out, identity)
    assert report.frames == 50
    samples, rate, _ = heard(out)
    assert samples.shape[0] == 2 and samples.shape[1] / rate == pytest.approx(2, abs=0.1)
    quarter = rate // 4
    for start, tone in ((2 * quarter, 440), (6 * quarter, 660)):
        assert loudest_tone(samples[:, start : start + quarter], rate) == pytest.approx(tone, abs=4)
    assert [note for note in report.notes if "changes at 0:01" in note and "stereo" in note]


@pytest.mark.parametrize(("codec", "clock"), [("ac3", "1"), ("aac", "500")])
def test_the_richest_layout_is_taken(codec: str, clock: str, tmp_path: Path) -> None:
    """A film of 5.1 after an advertisement in stereo; its clock may start anew."""
    parts = [
        make_film(tmp_path / "a.ts", Sound(codec, "stereo"), frames=25),
        make_film(
            tmp_path / "b.ts",
            Sound(codec, "5.1"),
            frames=25,
            options={"output_ts_offset": clock},
        ),
    ]
    clip = tmp_path / "in.ts"
    clip.write_bytes(b"".join(part.read_bytes() for part in parts))
    report = stylize_video(clip, tmp_path / "out.mp4", identity)
    samples, rate, _ = heard(tmp_path / "out.mp4")
    assert samples.shape[0] == 6 and samples.shape[1] / rate == pytest.approx(2, abs=0.1)
    assert [n for n in report.notes if "changes at 0:01; re-encoded as aac, 5.1" in n]


@pytest.mark.parametrize("target", [".webm", ".mp4", ".avi"])
def test_a_damaged_header_in_the_sound_is_no_end(target: str, tmp_path: Path) -> None:
    """One MPEG frame of a mono track says that it is stereo."""
    clip = make_film(tmp_path / "in.avi", Sound("libmp3lame", "mono", 44100, seconds=1))
    data = bytearray(clip.read_bytes())
    at = data.index(b"\xff\xfb", len(data) // 2)
    data[at + 3] &= 0x3F  # ISO/IEC 11172-3: 11 is one channel, 00 is stereo
    clip.write_bytes(data)
    out = tmp_path / f"out{target}"
    report = stylize_video(clip, out, identity)
    samples, rate, _ = heard(out)
    assert report.frames == 25 and samples.shape[0] == 1
    assert samples.shape[1] / rate == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("target", [".mkv", ".webm", ".avi"])
def test_an_absurd_timestamp_of_sound_is_not_carried_over(target: str, tmp_path: Path) -> None:
    """From 0.8 s on the sound of a film of one second is five hours late."""
    film = make_film(tmp_path / "film.mkv", Sound(seconds=1))
    clip, out = tmp_path / "in.mkv", tmp_path / f"out{target}"
    with av.open(str(film)) as before, av.open(str(clip), "w") as after:
        copies: list[Any] = [after.add_stream_from_template(s, opaque=True) for s in before.streams]
        for packet in before.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio" and packet.dts >= 800:  # milliseconds
                packet.pts, packet.dts = packet.pts + 18_000_000, packet.dts + 18_000_000
            packet.stream = copies[packet.stream_index]
            after.mux(packet)
    report = stylize_video(clip, out, identity)
    with av.open(str(out)) as container:
        assert float(container.duration or 0) / av.time_base < 3
    samples, rate, _ = heard(out)
    assert samples.shape[1] / rate == pytest.approx(0.8, abs=0.1)
    assert [note for note in report.notes if "were damaged, and left out" in note]


@pytest.mark.parametrize(("start", "end"), [(0.4, None), (0.4, 1.2)])
def test_a_cut_of_sound_that_is_re_encoded(start: float, end: float | None, tmp_path: Path) -> None:
    clip = make_film(tmp_path / "in.mkv", Sound("tta", seconds=2, beep=1), frames=50)
    stylize_video(clip, tmp_path / "out.mp4", identity, start=start, end=end)
    assert beep_time(tmp_path / "out.mp4") == pytest.approx(0.6, abs=0.03)
    samples, rate, _ = heard(tmp_path / "out.mp4")
    assert samples.shape[1] / rate == pytest.approx((end or 2) - start, abs=1.1 if end else 0.1)


def test_what_cannot_be_written_is_refused_before_the_first_frame(tmp_path: Path) -> None:
    """A stylizer that is never asked: the trial header shows that the encoder does not open."""
    from impasto.models.errors import SinkError
    from impasto.realtime.files.codecs import EncoderOptions

    painted = []

    def watching(batches):  # type: ignore[no-untyped-def]
        for batch in batches:
            painted.extend(batch)
            yield from batch

    clip = make_film(tmp_path / "in.mkv", frames=3)
    with pytest.raises(SinkError, match="needs an NVIDIA GPU"):
        stylize_video(
            clip, tmp_path / "out.mp4", watching, encoder=EncoderOptions(codec="h264_nvenc")
        )
    assert not painted and not list(tmp_path.glob("out*"))


def test_numbers_and_packets_are_complete(tmp_path: Path) -> None:
    """The survey and the trial read the film too; the conversion still has all of it."""
    clip = make_film(tmp_path / "in.ts", Sound("mp2"), frames=25)
    stylize_video(clip, tmp_path / "out.ts", identity)
    assert numbers(tmp_path / "out.ts") == list(range(25))
    before, after = packets(clip, "audio"), packets(tmp_path / "out.ts", "audio")
    assert [data for _, data in before] == [data for _, data in after]
