"""The commands in this process: files, output, and exit codes."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from impasto.models import machine_cache
from impasto.realtime.cli.figures import show_bench
from impasto.realtime.engines import devices, select
from impasto.realtime.files.images import read_image, read_picture, write_image
from tests.media import frame_count, make_clip, numbered_picture
from tests.pictures import make_pictures
from tests.realtime.conftest import Impasto
from tests.realtime.files.photos import photo_exif

ROOT = Path(__file__).parents[3]
COMMANDS = ("video", "live", "image", "styles", "bench", "eval", "doctor")


def size_of(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        return container.streams.video[0].height, container.streams.video[0].width


class TestHelp:
    def test_lists_the_commands(self, impasto: Impasto) -> None:
        ran = impasto("--help")
        assert ran.code == 0 and ran.err == ""
        assert all(command in ran.out for command in COMMANDS)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_has_an_example(self, command: str, impasto: Impasto) -> None:
        ran = impasto(command, "--help")
        assert ran.code == 0 and f"Example: impasto {command}" in ran.out

    def test_no_arguments_is_help(self, impasto: Impasto) -> None:
        ran = impasto()
        assert ran.code == 2 and "Usage: impasto" in ran.out

    def test_version(self, impasto: Impasto) -> None:
        assert impasto("--version").out.startswith("impasto ")


class TestVideo:
    def test_converts(self, clip: Path, library: Path, impasto: Impasto) -> None:
        out = clip.with_name("out.mp4")
        ran = impasto("video", clip, out, "--style", "dawn")
        assert ran.code == 0 and ran.err == ""
        assert frame_count(out) == 10 and size_of(out) == size_of(clip)
        with av.open(str(out)) as container:
            assert container.streams.audio[0].metadata["language"] == "eng"
        assert "engine: " in ran.out and f"{out}: 10 frames" in ran.out

    def test_engines_are_timed_once(
        self,
        clip: Path,
        style: Path,
        tmp_path: Path,
        impasto: Impasto,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(machine_cache, "user_cache_path", lambda name: tmp_path / name)
        monkeypatch.delitem(select._OPENERS, "openvino", raising=False)  # it compiles for long
        command = ("video", clip, tmp_path / "out.mp4", "--style", style, "--device", "cpu")
        first, again = (impasto(*command, "--overwrite") for _ in range(2))
        assert "fps at 64x48" in first.out and "when last measured" not in first.out
        assert "fps at 64x48" in again.out and "when last measured" in again.out

    def test_options_reach_the_file(self, clip: Path, style: Path, impasto: Impasto) -> None:
        out = clip.with_name("out.mkv")
        chosen = (
            "--size 96x72 --fps 50 --start 0:00.2 --end 0.3 --codec hevc --bit-depth 10 --crf 30"
        )
        ran = impasto("video", clip, out, "--style", style, *chosen.split())
        assert (ran.code, ran.err) == (0, "")
        assert size_of(out) == (72, 96) and frame_count(out) == 5
        with av.open(str(out)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "hevc" and stream.format.name == "yuv420p10le"

    def test_keep_color(self, clip: Path, style: Path, tmp_path: Path, impasto: Impasto) -> None:
        from fractions import Fraction

        from impasto.realtime.files.video_reader import VideoReader

        for name, options in (("stylized", []), ("kept", ["--keep-color"])):
            out = tmp_path / f"{name}.mp4"
            impasto("video", clip, out, "--style", style, "--crf", 1, "--end", 0.05, *options)

        def chroma(path: Path) -> np.ndarray:
            with VideoReader(path, end=Fraction(1, 20)) as source:
                image = next(iter(source)).image.astype(float)
            return image - image.mean(axis=2, keepdims=True)

        kept, stylized = (
            np.abs(chroma(tmp_path / f"{name}.mp4") - chroma(clip)).mean()
            for name in ("kept", "stylized")
        )
        assert kept < 0.5 * stylized

    def test_batches_change_nothing(self, clip: Path, style: Path, impasto: Impasto) -> None:
        files = [clip.with_name(f"{n}.mkv") for n in (1, 4)]
        for n, path in zip((1, 4), files, strict=True):
            # one engine for both: the automatic choice may fall differently from run to run
            same = ("--engine", "torch", "--precision", "fp32")
            assert impasto("video", clip, path, "--style", style, "--batch", n, *same).code == 0
        frames = []
        for path in files:
            with av.open(str(path)) as container:
                frames.append([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
        differences = np.abs(np.subtract(*(np.asarray(f, np.int16) for f in frames)))
        assert differences.mean() < 0.1  # float32 may add up in another order

    @pytest.mark.parametrize("option", [["--strength", "0.5"], ["--style", "dawn:0.6+dusk:0.4"]])
    def test_mixes(self, option: list[str], clip: Path, library: Path, impasto: Impasto) -> None:
        ran = impasto("video", clip, clip.with_name("o.mp4"), "--style", "dawn", *option)
        assert (ran.code, ran.err) == (0, "")

    def test_into_a_folder(self, clip: Path, style: Path, tmp_path: Path, impasto: Impasto) -> None:
        folder = tmp_path / "out"
        folder.mkdir()
        assert impasto("video", clip, folder, "--style", style).code == 0
        assert [p.name for p in folder.iterdir()] == ["in.mp4"]

    def test_tiny_and_odd(self, style: Path, tmp_path: Path, impasto: Impasto) -> None:
        clip = make_clip(tmp_path / "in.mkv", size=(9, 15), pix_fmt="yuv444p", frames=3)
        assert impasto("video", clip, tmp_path / "out.mkv", "--style", style).code == 0
        assert size_of(tmp_path / "out.mkv") == (9, 15)

    def test_json(self, clip: Path, library: Path, impasto: Impasto) -> None:
        out = clip.with_name("out.mp4")
        ran = impasto("video", clip, out, "--style", "dawn", "--json")
        report = json.loads(ran.out)
        assert ran.code == 0 and ran.err == ""
        (row,) = report["files"]
        assert row["frames"] == 10 and row["lost"] == 0 and row["error"] is None
        assert row["target"] == str(out) and row["fps"] > 0
        assert [line.split(":")[0] for line in report["chosen"]] == ["engine"]

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
    def test_a_name_that_is_not_text(
        self, clip: Path, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        source = clip.rename(tmp_path / os.fsdecode(b"\xff.mp4"))
        out = tmp_path / os.fsdecode(b"\xfe \xf6.mp4")
        ran = impasto("video", source, out, "--style", style)
        assert (ran.code, ran.err) == (0, "") and out.exists()
        assert "\\udcfe" in ran.out

    def test_overwrite(self, clip: Path, style: Path, impasto: Impasto) -> None:
        out = clip.with_name("out.mp4")
        out.write_bytes(b"old")
        assert impasto("video", clip, out, "--style", style, "--overwrite").code == 0
        assert frame_count(out) == 10

    def test_traceback_shows_all(self, clip: Path, style: Path, impasto: Impasto) -> None:
        out = clip.with_name("no") / "out.mp4"
        ran = impasto("video", clip, out, "--style", style, "--traceback")
        assert ran.code == 1 and ran.err.startswith("Traceback") and "SinkError" in ran.err

    def test_an_internal_error_is_one_line(
        self, clip: Path, style: Path, impasto: Impasto, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*arguments: object, **options: object) -> None:
            raise ZeroDivisionError("by nothing")

        monkeypatch.setattr("impasto.realtime.files.convert.stylize_video", broken)
        ran = impasto("video", clip, clip.with_name("out.mp4"), "--style", style)
        assert ran.code == 1
        assert ran.error_line == (
            "impasto: internal error: ZeroDivisionError: by nothing; "
            "please report it with the output of --traceback"
        )


class TestSeveral:
    @pytest.fixture
    def clips(self, tmp_path: Path) -> Iterator[Path]:
        folder = tmp_path / "clips"
        (folder / "deep").mkdir(parents=True)
        make_clip(folder / "b.mkv", frames=3)
        make_clip(folder / "a.mp4", frames=4, size=(32, 48))
        make_clip(folder / "deep" / "a.mp4", frames=2)
        (folder / "notes.txt").write_text("not a video")
        yield folder

    def test_a_folder(self, clips: Path, style: Path, tmp_path: Path, impasto: Impasto) -> None:
        out = tmp_path / "out"
        ran = impasto("video", clips, out, "--style", style)
        assert (ran.code, ran.err) == (0, "")
        assert {p.name: frame_count(p) for p in out.iterdir()} == {"a.mp4": 4, "b.mkv": 3}
        assert ran.out.endswith("2 of 2 files are done\n")

    def test_a_folder_again(
        self, clips: Path, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        (clips / "c.mp4").write_bytes((clips / "a.mp4").read_bytes())
        command = ("video", clips, tmp_path / "out", "--style", style)
        assert impasto(*command).code == 0
        (tmp_path / "out" / "b.mkv").unlink()
        ran = impasto(*command, "--json")
        report = json.loads(ran.out)
        assert (ran.code, report["done"], report["skipped"], report["failed"]) == (0, 1, 2, 0)
        assert [row["skipped"] is None for row in report["files"]] == [False, True, False]
        left_out = [Path(entry["path"]).name for entry in report["left_out"]]
        assert left_out == ["deep", "notes.txt"]

    def test_one_file_again(self, clip: Path, style: Path, impasto: Impasto) -> None:
        out = clip.with_name("out.mp4")
        out.write_bytes(b"mine")
        command = ("video", clip, out, "--style", style)
        assert "exists" in impasto(*command).error_line
        ran = impasto(*command, "--skip-existing")
        assert (ran.code, ran.out, ran.err) == (0, f"{out} was there already\n", "")
        assert out.read_bytes() == b"mine"
        assert impasto(*command, "--skip-existing", "--overwrite").code == 2

    def test_a_choice_is_logged_once(
        self, clips: Path, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        make_clip(clips / "wide.mp4", frames=1, size=(48, 96))
        ran = impasto("video", clips, tmp_path / "out", "--style", style, "--engine", "torch")
        assert ran.out.count("engine: ") == 1
        assert "wide.mp4: 1 frame in" in ran.out

    def test_a_pattern(self, clips: Path, style: Path, tmp_path: Path, impasto: Impasto) -> None:
        out = tmp_path / "out"
        assert impasto("video", clips / "**" / "*.mp4", out, "--style", style).code == 0
        assert frame_count(out / "a.mp4") == 4 and frame_count(out / "deep" / "a.mp4") == 2

    def test_json_has_a_row_for_each(
        self, clips: Path, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        (clips / "c.mp4").write_text("not a video either")
        ran = impasto("video", clips, tmp_path / "out", "--style", style, "--json")
        rows = json.loads(ran.out)["files"]
        assert ran.code == 1
        assert [Path(row["source"]).name for row in rows] == ["a.mp4", "b.mkv", "c.mp4"]
        assert [row["error"] is None for row in rows] == [True, True, False]


class TestImage:
    @pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.webp", "out.tif", "out.bmp"])
    def test_stylizes_one(self, name: str, library: Path, tmp_path: Path, impasto: Impasto) -> None:
        write_image(tmp_path / "in.png", numbered_picture(3, (47, 65)))
        ran = impasto("image", tmp_path / "in.png", tmp_path / name, "--style", "dawn")
        assert (ran.code, ran.err) == (0, "")
        assert read_image(tmp_path / name).shape == (47, 65, 3)

    @pytest.mark.parametrize("name", ["out.png", "out.webp", "out.tiff", "out.jpg"])
    @pytest.mark.parametrize("size", [(), ("--size", "24x32")])
    def test_transparency_is_kept_where_it_can_be(
        self, name: str, size: tuple[str, ...], style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        picture = np.dstack([numbered_picture(3), np.full((48, 64), 255, np.uint8)])
        picture[:, :32, 3] = 0
        write_image(tmp_path / "in.png", picture)
        out = tmp_path / name
        assert impasto("image", tmp_path / "in.png", out, "--style", style, *size).code == 0
        back = read_image(out, alpha=True)
        if name == "out.jpg":
            assert back.shape[2] == 3
            return
        middle = back.shape[1] // 2  # where resizing blurs the edge
        assert (back[:, : middle - 3, 3] == 0).all() and (back[:, middle + 3 :, 3] == 255).all()
        assert (back[:, : middle - 3, :3] == 255).all()
        assert back[:, middle + 3 :, :3].std() > 1

    @pytest.mark.parametrize("command", ["image", "paint"])
    def test_date_and_place_are_kept_unless_dropped(
        self, command: str, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        source = tmp_path / "in.jpg"
        Image.fromarray(numbered_picture(3)).save(source, exif=photo_exif(6))
        how: tuple[object, ...] = ("--style", style)
        if command == "paint":
            how = (source, "--steps", 1, "--size", 32)
        for option, kept in (((), True), (("--no-metadata",), False)):
            out = tmp_path / f"{kept}.jpg"
            first, *rest = how if command == "paint" else (None, *how)
            files = (source, out) if first is None else (source, first, out)
            assert impasto(command, *files, *rest, *option).code == 0
            with Image.open(out) as back:
                assert back.height > back.width
                assert (back.getexif().get_ifd(0x8769).get(0x9003) is not None) == kept
                assert bool(back.getexif().get_ifd(0x8825)) == kept

    def test_what_is_changed_is_noted(self, style: Path, tmp_path: Path, impasto: Impasto) -> None:
        first, *others = (Image.fromarray(numbered_picture(number)) for number in range(3))
        first.save(tmp_path / "in.png", save_all=True, append_images=others)
        ran = impasto("image", tmp_path / "in.png", tmp_path / "out.jpg", "--style", style)
        assert ran.code == 0 and "out.jpg: animated, 3 frames" in ran.out
        assert "impasto video" in ran.out

    def test_16_bits(self, style: Path, tmp_path: Path, impasto: Impasto) -> None:
        write_image(tmp_path / "in.png", numbered_picture(3).astype(np.uint16) * 257 + 100)
        for name in ("out.png", "out.tif"):
            assert (
                impasto("image", tmp_path / "in.png", tmp_path / name, "--style", style).code == 0
            )
            assert read_picture(tmp_path / name).remainder is not None

    def test_a_folder(self, style: Path, tmp_path: Path, impasto: Impasto) -> None:
        source, out = tmp_path / "in", tmp_path / "out"
        source.mkdir()
        write_image(source / "a.png", numbered_picture(1, (40, 40)))
        write_image(source / "b.jpg", numbered_picture(2, (32, 64)))
        ran = impasto("image", source, out, "--style", style, "--size", "24", "--json")
        sizes = [(row["width"], row["height"]) for row in json.loads(ran.out)["files"]]
        assert ran.code == 0 and sizes == [(24, 24), (48, 24)]
        assert sorted(p.name for p in out.iterdir()) == ["a.png", "b.jpg"]

    def test_photos_of_phones_become_jpeg(
        self, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        pillow_heif.register_heif_opener()
        source, out = tmp_path / "in", tmp_path / "out"
        source.mkdir()
        Image.fromarray(numbered_picture(1)).save(source / "a.HEIC", exif=photo_exif(1))
        Image.fromarray(numbered_picture(1)).save(source / "b.gif")
        assert impasto("image", source, out, "--style", style).code == 0
        assert sorted(path.name for path in out.iterdir()) == ["a.jpg", "b.png"]

    def test_the_same_picture_each_time(
        self, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        source, out = tmp_path / "in", tmp_path / "out"
        source.mkdir()
        for name, number in (("a.png", 1), ("b.png", 200), ("c.png", 1)):
            write_image(source / name, numbered_picture(number))
        assert impasto("image", source, out, "--style", style).code == 0
        a, b, c = (read_image(out / name) for name in ("a.png", "b.png", "c.png"))
        assert (a == c).all() and (a != b).any()


class TestStyles:
    def test_lists(self, library: Path, impasto: Impasto) -> None:
        ran = impasto("styles")
        assert ran.code == 0 and "dawn" in ran.out and "The dusk" in ran.out

    def test_json(self, library: Path, impasto: Impasto) -> None:
        rows = json.loads(impasto("styles", "--json").out)
        assert [row["name"] for row in rows] == ["dawn", "dusk"]

    def test_sheet(self, library: Path, tmp_path: Path, impasto: Impasto) -> None:
        write_image(tmp_path / "in.png", numbered_picture(5, (72, 128)))
        sheet = tmp_path / "sheet.png"
        ran = impasto("styles", "--sheet", sheet, "--on", tmp_path / "in.png")
        assert (ran.code, ran.err) == (0, "")
        height, width = read_image(sheet).shape[:2]
        assert width > 2 * 128 and height > 72
        ran = impasto("styles", "--sheet", sheet)
        assert ran.code == 1 and "exists" in ran.error_line
        assert impasto("styles", "--sheet", sheet, "--overwrite").code == 0
        height, width = read_image(sheet).shape[:2]
        assert width > 2 * 640 and height > 360  # the sample image

    def test_on_needs_a_sheet(self, impasto: Impasto) -> None:
        assert impasto("styles", "--on", "a.png").code == 2


@pytest.mark.usefixtures("small_figures")
class TestLearn:
    def test_a_painting_becomes_a_style(self, tmp_path: Path, impasto: Impasto) -> None:
        film, painting = make_clip(tmp_path / "film.mp4"), tmp_path / "painting.png"
        write_image(painting, make_pictures(1, 90, 120)[0])
        style, small = tmp_path / "mine.safetensors", ("--steps", "1", "--size", "64")
        ran = impasto("learn", painting, style, "--photos", film, *small, "--json")
        assert ran.code == 0 and json.loads(ran.out)["pictures"] == 12
        assert impasto("image", painting, tmp_path / "out.png", "--style", style).code == 0
        again = impasto("learn", painting, style, "--photos", film, *small)
        assert again.code == 1 and "exists" in again.error_line

    def test_the_classic_network(self, tmp_path: Path, impasto: Impasto) -> None:
        film, painting = make_clip(tmp_path / "film.mp4"), tmp_path / "painting.png"
        write_image(painting, make_pictures(1, 90, 120)[0])
        style, sheet, losses = (tmp_path / f"mine.{x}" for x in ("safetensors", "png", "csv"))
        ran = impasto(
            *("learn", painting, style, "--photos", film, "--network", "classic", "--steps", "1"),
            *("--size", "48", "--batch", "1", "--loss-network", "compact"),
            *("--sheet", sheet, "--csv", losses),
        )
        assert ran.code == 0 and "classic network from random weights, 1 steps of 1" in ran.out
        assert sheet.exists() and losses.read_text().startswith("step,seconds,content,style,tv")
        out = tmp_path / "out.png"
        assert impasto("image", painting, out, "--style", style).code == 0

    @pytest.mark.parametrize(
        ("options", "code", "words"),
        [
            (["--batch", "1"], 2, "--batch 1 needs --preset johnson2016"),
            (["--network", "classic", "--start", "dawn"], 1, "has no classic network"),
            (["--style-layers", "relu5_4"], 1, "compact has no layer relu5_4"),
            (["--sheet", "sheet.mp4"], 1, ".mp4"),
        ],
    )
    def test_refused(
        self,
        options: list[str],
        code: int,
        words: str,
        tmp_path: Path,
        library: Path,
        impasto: Impasto,
    ) -> None:
        painting, photos = tmp_path / "painting.png", tmp_path / "photos"
        photos.mkdir()
        for index, picture in enumerate(make_pictures(8, 50, 60)):
            write_image(photos / f"{index}.png", picture)
        write_image(painting, make_pictures(1, 90, 120)[0])
        options = ["--start", "dawn", *options, "--loss-network", "compact"]
        ran = impasto("learn", painting, tmp_path / "a.safetensors", "--photos", photos, *options)
        assert ran.code == code and words in ran.err
        assert {path.name for path in tmp_path.iterdir()} == {"painting.png", "photos"}

    def test_no_painting(self, tmp_path: Path, impasto: Impasto) -> None:
        ran = impasto("learn", tmp_path / "gone.jpg", tmp_path / "mine.safetensors")
        assert ran.code == 1 and "gone.jpg" in ran.error_line


class TestDoctor:
    @pytest.fixture(autouse=True)
    def timed_small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from impasto.realtime.measure import capability

        monkeypatch.setattr(capability, "_TIMED", (48, 64))
        monkeypatch.setattr(capability, "_FILM_SECONDS", 0.1)
        monkeypatch.setattr(capability, "find_spec", lambda name: None)  # no OpenVINO: quicker

    def test_a_healthy_machine(self, library: Path, impasto: Impasto) -> None:
        ran = impasto("doctor", "--json")
        found = json.loads(ran.out)
        assert ran.code == 0 and found["problems"] == []
        assert found["encoders"]["h264"] == "ok" and found["cpu"]["cores"] >= 1
        assert found["styles"] == {"dawn": "ok", "dusk": "ok"}
        assert isinstance(found["microphones"], list)
        assert any("CUDA graphs" in part for part in found["experimental"])
        # The package or its driver is mostly missing, which is no problem.
        assert found["virtual_camera"] == "ok" or "virtual camera" in found["virtual_camera"]
        assert set(found["devices"]) == set(devices.EXPERIMENTAL)
        assert found["speed"]["lines"][0].startswith("live video at 30 fps, painted in full: ")
        out = impasto("doctor").out
        assert "h264: ok" in out and "impasto video: about " in out.splitlines()[-2]

    def test_damaged_weights_are_a_problem(
        self, library: Path, tmp_path: Path, impasto: Impasto, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from impasto.models import styles

        for path in library.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        os.truncate(tmp_path / "dusk.fast.safetensors", 1000)
        monkeypatch.setattr(styles, "WEIGHTS", tmp_path)
        ran = impasto("doctor", "--json")
        (problem,) = json.loads(ran.out)["problems"]
        assert ran.code == 1 and "dusk.fast.safetensors is damaged" in problem


class TestBench:
    def test_missing_clip(self, library: Path, tmp_path: Path, impasto: Impasto) -> None:
        ran = impasto("bench", "--clip", tmp_path / "gone.mp4")
        assert ran.code == 1 and "gone.mp4" in ran.error_line

    def test_unknown_style(self, library: Path, impasto: Impasto) -> None:
        ran = impasto("bench", "--style", "dwan")
        assert ran.code == 1 and "did you mean dawn" in ran.error_line

    def test_figures_are_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        at = {"engine": "torch", "precision": "bf16", "width": 640, "height": 360}
        times = {"ms": 10.0, "ms_min": 9.0, "ms_max": 12.5}
        alone = {**at, "engine": "openvino", "precision": "int8"}  # no classic network is in int8
        figures = {
            "networks": [
                {"network": "fast", "folded": True, "fps": 100.0, **at, **times},
                {"network": "fast", "folded": True, "fps": 130.0, **alone, **times},
                {"network": "classic", "folded": False, "fps": 4.0, **at, **times},
            ],
            "limit": {"bf16": {"matmul_gflops": 200.0, "convolution_gflops": 150.0}},
            "machine": {"cores": 2},
            "summary": {"lines": ["live video at 30 fps", "impasto video: about 9 fps"]},
        }
        show_bench(figures)
        printed = capsys.readouterr().out
        assert printed.endswith("live video at 30 fps\nimpasto video: about 9 fps\n")
        assert (
            "int8" in printed
            and "25.0" in printed
            and "10.0 (9.0 to 12.5)" in printed
            and "200 gflops" in printed
        )
        assert "no conversion was timed" in printed
        conversion = {"clip": "a.mp4", "fps": 80.0, "network_fps": 100.0, "first_frame_s": 2.5}
        conversion |= {"steady_fps": 85.0, "network": "fine"}
        spent = {"decode_ms": 1.0, "stylize_ms": 9.0, "encode_ms": 2.0, "peak_memory_mb": 900}
        spent["processor_ms"] = 17.25
        on_gpu = [{"network": "fine", **at, "batch": 4, "fps": 900.0}]
        show_bench(figures | {"end_to_end": {**conversion, **spent, **at}, "on_gpu": on_gpu})
        printed = capsys.readouterr().out
        assert "(fine, 100.0 fps" in printed
        assert any(line.split()[:2] == ["fine", "torch"] for line in printed.splitlines())
        assert "80.0 fps, 80% of the network alone" in printed and "85.0 fps from it on" in printed


class TestDevice:
    @pytest.mark.parametrize("device", devices.NAMES[2:])
    def test_one_that_is_missing_is_refused_before_anything_is_loaded(
        self, tmp_path: Path, impasto: Impasto, monkeypatch: pytest.MonkeyPatch, device: str
    ) -> None:
        monkeypatch.setattr(devices, "cuda_devices", lambda: 0)
        monkeypatch.setattr(devices, "sys", SimpleNamespace(platform="haiku"))
        for command in (
            ("video", "gone.mp4", tmp_path / "out.mp4", "--style", "gone"),
            ("image", "gone.png", tmp_path / "out.png", "--style", "gone"),
            ("live", "--style", "gone", "--no-window"),
            ("bench", "--style", "gone"),
            ("eval", "gone.png", "--style", "gone"),
        ):
            ran = impasto(*command, "--device", device)
            assert ran.code == 2 and "use --device cpu" in ran.error_line
            assert "gone" not in ran.error_line

    @pytest.mark.parametrize("command", ["paint", "keyframes", "learn"])
    def test_painting_by_optimization_takes_two(self, impasto: Impasto, command: str) -> None:
        ran = impasto(command, "a", "b", "c", "--device", "gpu")
        assert ran.code == 2 and "expected auto, cpu or cuda" in ran.error_line
