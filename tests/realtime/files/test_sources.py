"""Films from file objects and from the web, and into file objects."""

import io
from fractions import Fraction
from pathlib import Path

import pytest

from impasto.models.errors import OutputClosedError, SinkError, SourceError
from impasto.realtime.files import addresses, containers
from impasto.realtime.files.convert import stylize_video
from impasto.realtime.files.pipes import InputPipe, OutputPipe
from impasto.realtime.files.video_reader import VideoReader
from tests.media import make_clip, numbers_of
from tests.realtime.files.conversion import identity, languages, numbers, payloads, times
from tests.realtime.files.web import CERTIFICATE, web_server


class TestPipes:
    def test_a_file_object_in_and_out(self, tmp_path: Path) -> None:
        clip = make_clip(
            tmp_path / "in.mkv", frames=25, audio=["eng"], subtitles=["deu"], chapters=["A", "B"]
        )
        written = io.BytesIO()
        with clip.open("rb") as file:
            report = stylize_video(InputPipe(file), OutputPipe(written), identity)
        assert report.frames == 25 and report.missing_frames == 0
        out = tmp_path / "out.mkv"
        out.write_bytes(written.getvalue())
        assert numbers(out) == list(range(25)) and times(out) == times(clip)
        assert payloads(out, "audio") == payloads(clip, "audio")
        assert payloads(out, "subtitle") == payloads(clip, "subtitle")
        assert languages(out, "audio") == ["eng"]

    @pytest.mark.parametrize(
        ("extension", "sound"), [(".mkv", True), (".webm", True), (".ts", True), (".y4m", False)]
    )
    def test_every_format_of_a_pipe(self, extension: str, sound: bool, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mkv", frames=25, audio=["eng"])
        written, out = io.BytesIO(), tmp_path / f"out{extension}"
        stylize_video(clip, OutputPipe(written, extension), identity)
        out.write_bytes(written.getvalue())
        assert numbers(out) == list(range(25))
        assert bool(languages(out, "audio")) == sound

    def test_pictures_from_a_pipe(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mkv", frames=5, audio=["eng"], sar=Fraction(4, 3))
        with clip.open("rb") as file:
            report = stylize_video(InputPipe(file), tmp_path / "out" / "%d.png", identity)
        assert len(list((tmp_path / "out").iterdir())) == 5
        assert report.notes == (
            "audio stream 1 (aac, eng) was left out: pictures have none",
            "pixels of 4/3 become square: give a size of WxH, or it looks squeezed",
        )

    def test_a_cover_in_matroska_is_kept(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=5, cover=True, faststart=True)
        with clip.open("rb") as file:
            stylize_video(InputPipe(file), tmp_path / "piped.mkv", identity)
        stylize_video(clip, tmp_path / "read.mkv", identity)
        piped, read = tmp_path / "piped.mkv", tmp_path / "read.mkv"
        assert payloads(piped, "video", 1) == payloads(read, "video", 1) != []

    @pytest.mark.parametrize("name", ["in.ts", "in.mkv"])
    def test_sound_is_that_of_the_file(self, name: str, tmp_path: Path) -> None:
        """Read in one pass, or twice: the same packets, of a part too."""
        clip = make_clip(tmp_path / name, frames=50, audio=["eng"])
        part = {"start": Fraction(1, 2), "end": Fraction(3, 2)}
        with clip.open("rb") as file:
            stylize_video(InputPipe(file), tmp_path / "piped.mkv", identity, **part)  # type: ignore[arg-type]
        stylize_video(clip, tmp_path / "read.mkv", identity, **part)  # type: ignore[arg-type]
        assert numbers(tmp_path / "piped.mkv") == numbers(tmp_path / "read.mkv")
        assert payloads(tmp_path / "piped.mkv", "audio") == payloads(tmp_path / "read.mkv", "audio")

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "standard input is empty: nothing was written to it"),
            (b"hello\n" * 100, "cannot read standard input: it is not a film"),
            (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", "cannot read standard input: it is"),
            (b"ffconcat version 1.0\nfile /etc/hostname\n", "cannot read standard input: it is"),
        ],
    )
    def test_what_is_no_film(self, data: bytes, message: str, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=f"^{message}"):
            stylize_video(InputPipe(io.BytesIO(data)), tmp_path / "out.mp4", identity)
        assert not list(tmp_path.iterdir())

    def test_a_reader_that_leaves(self, tmp_path: Path) -> None:
        class Gone(io.BytesIO):
            def write(self, data: object) -> int:
                raise BrokenPipeError(32, "Broken pipe")

        clip = make_clip(tmp_path / "in.mkv", frames=5)
        with pytest.raises(OutputClosedError, match="^the reader of standard output is gone$"):
            stylize_video(clip, OutputPipe(Gone()), identity)

    def test_a_format_that_needs_seeking(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mkv", frames=2)
        written = io.BytesIO()
        with pytest.raises(SinkError, match=r"^\.mp4 cannot be written to standard output"):
            stylize_video(clip, OutputPipe(written, ".mp4"), identity)
        assert not written.getvalue()


class TestWeb:
    def test_a_film_with_its_sound_in_one_request(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=25, audio=["eng"], faststart=True)
        with web_server(tmp_path) as root:
            report = stylize_video(f"{root}in.mp4", tmp_path / "out.mp4", identity)
        assert report.frames == 25
        assert numbers(tmp_path / "out.mp4") == list(range(25))
        assert payloads(tmp_path / "out.mp4", "audio") == payloads(clip, "audio")

    def test_redirections_are_followed(self, tmp_path: Path) -> None:
        make_clip(tmp_path / "in.mkv", frames=5)
        with (
            web_server(tmp_path) as root,
            VideoReader(f"{root}redirect/in.mkv", start=Fraction(1, 25)) as film,
        ):
            assert numbers_of(film) == [1, 2, 3, 4]

    def test_a_playlist_of_parts(self, tmp_path: Path) -> None:
        """HLS, RFC 8216: every part continues the clock of the one before."""
        make_clip(tmp_path / "a.ts", frames=25, audio=["eng"])
        playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n"
        (tmp_path / "film.m3u8").write_text(playlist)
        with web_server(tmp_path) as root:
            report = stylize_video(f"{root}film.m3u8", tmp_path / "out.mkv", identity)
        assert report.frames == 25 and numbers(tmp_path / "out.mkv") == list(range(25))
        assert len(payloads(tmp_path / "out.mkv", "audio")) == len(
            payloads(tmp_path / "a.ts", "audio")
        )

    @pytest.mark.parametrize("part", ["file://{}/secret.ts", "{}/secret.ts", "secret.ts"])
    def test_a_playlist_reaches_no_local_file(self, part: str, tmp_path: Path) -> None:
        make_clip(tmp_path / "secret.ts", frames=5)
        served = tmp_path / "served"
        served.mkdir()
        parts = part.format(tmp_path)
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{parts}\n#EXT-X-ENDLIST\n"
        (served / "film.m3u8").write_text(playlist)
        (served / "list.txt").write_text(f"ffconcat version 1.0\nfile '{parts}'\n")
        with web_server(served) as root:
            for name in ("film.m3u8", "list.txt", f"to-disk{tmp_path}/secret.ts"):
                with pytest.raises(SourceError, match="^cannot read http://127.0.0.1"):
                    VideoReader(root + name)

    def test_what_goes_wrong_is_one_line_without_the_password(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(containers, "OPEN_SECONDS", 0.2)
        (tmp_path / "page.html").write_text("<html>no film</html>")
        with web_server(tmp_path) as root:
            at = root.replace("//", "//me:secret@") + "{}?key=secret"
            found = {}
            for name in ("nothing.mp4", "page.html", "silence"):
                with pytest.raises(SourceError) as caught:
                    VideoReader(at.format(name))
                found[name] = str(caught.value)
        assert found["nothing.mp4"].startswith(
            f"cannot read {root}nothing.mp4: Server returned 404"
        )
        assert found["page.html"] == f"cannot read {root}page.html: it does not send video"
        assert found["silence"].startswith(f"cannot read {root}silence: no data within 0.2 s")
        assert "secret" not in " ".join(found.values())
        with pytest.raises(SourceError, match="connection refused"):
            VideoReader(f"{root}in.mp4")  # the server is gone

    def test_who_an_https_server_is_gets_checked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_clip(tmp_path / "in.mkv", frames=3)
        certificate = tmp_path / "certificate.pem"
        certificate.write_text(CERTIFICATE)
        with web_server(tmp_path, certificate) as root:
            with pytest.raises(SourceError, match="its certificate is not trusted"):
                VideoReader(f"{root}in.mkv")
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # OpenSSL's own
            with VideoReader(f"{root}in.mkv") as film:
                assert numbers_of(film) == [0, 1, 2]

    def test_a_connection_that_breaks_off(self, tmp_path: Path) -> None:
        make_clip(tmp_path / "in.mp4", frames=50, size=(240, 320), faststart=True)
        with web_server(tmp_path) as root:
            report = stylize_video(f"{root}half/in.mp4", tmp_path / "out.mp4", identity)
        assert 0 < report.frames < 50 and report.missing_frames == 50 - report.frames

    @pytest.mark.parametrize("address", ["rtsp://host/film", "ftp://host/a.mp4", "file:///a.mp4"])
    def test_other_addresses(self, address: str) -> None:
        with pytest.raises(SourceError, match="only from http:// and https://"):
            VideoReader(address)

    def test_a_name_in_the_report(self) -> None:
        address = addresses.WebAddress("https://me:secret@example.org:8080/films/a%20b.mp4?key=1")
        assert str(address) == "https://example.org:8080/films/a%20b.mp4"
        assert address.name == "a%20b.mp4"
