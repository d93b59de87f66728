"""Audio in another codec, language codes and timestamps, where a container needs others."""

from pathlib import Path

import av
import numpy as np
import pytest

from impasto.realtime import stylize_video
from tests.media import make_clip
from tests.realtime.files.conversion import identity, languages, packets

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")


@pytest.mark.parametrize(
    ("audio_codec", "source", "target", "expected"),
    [
        ("aac", ".mp4", ".webm", "opus"),
        ("libmp3lame", ".mkv", ".webm", "opus"),
        ("libopus", ".mkv", ".avi", "mp3"),
        ("flac", ".mkv", ".ts", "aac"),
        ("tta", ".mkv", ".mp4", "aac"),
    ],
)
def test_audio_is_reencoded_with_a_note(
    audio_codec: str, source: str, target: str, expected: str, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / f"in{source}", audio=("eng",), audio_codec=audio_codec, frames=50)
    out = tmp_path / f"out{target}"
    report = stylize_video(clip, out, identity)
    assert [
        note
        for note in report.notes
        if "audio" in note and "does not support it; re-encoded as" in note
    ]
    with av.open(str(out)) as container:
        stream = container.streams.audio[0]
        assert expected in stream.codec_context.codec.canonical_name
        audio = np.concatenate(
            [f.to_ndarray().reshape(-1) for f in container.decode(stream)], dtype=np.float32
        )
        rate = stream.rate
    assert abs(len(audio) / rate - 2) < 0.1
    spectrum = np.abs(np.fft.rfft(audio[rate // 2 : rate * 3 // 2]))
    assert abs(int(spectrum.argmax()) - 440) <= 1  # Hz: the tone is still there


def test_mov_uses_its_own_language_codes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", audio=("deu",), subtitles=("zho",))
    stylize_video(clip, tmp_path / "out.mov", identity)
    assert languages(tmp_path / "out.mov", "audio") == ["ger"]
    assert languages(tmp_path / "out.mov", "subtitle") == ["chi"]


def test_millisecond_timestamps_of_matroska_become_even_in_mp4(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", audio=("eng",), frames=50)
    stylize_video(clip, tmp_path / "out.mp4", identity)
    samples = [time * 48000 for time, _ in packets(tmp_path / "out.mp4", "audio")]
    assert {b - a for a, b in zip(samples[1:], samples[2:], strict=False)} == {1024}
