"""The live loop, with a real network and generated cameras; no window, or a screen that looks."""

import json
import subprocess
import sys
import threading
from dataclasses import replace
from fractions import Fraction
from time import monotonic

import numpy as np
import pytest

from impasto.models.errors import SourceError, WeightsError
from impasto.realtime.cli.main import main
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import Frame
from impasto.realtime.live.cameras import open_live
from impasto.realtime.live.controls import Controls
from impasto.realtime.live.loop import LiveStylizer, NoWindow, Outputs, run_live, stylize_newest
from impasto.realtime.live.rate_control import SCALES, AdaptiveScale, Step
from impasto.realtime.threads import DroppingSink
from tests.pictures import make_pictures


def stylizer(style_files, controls=None, scale=None, **given) -> LiveStylizer:
    scale = scale or AdaptiveScale(30)
    return LiveStylizer(style_files, controls or Controls(), scale, engine="torch", **given)


def frame(height=96, width=128, seed=0, pts=0) -> Frame:
    return Frame(make_pictures(1, height, width, seed=seed)[0], pts, Fraction(1, 1_000_000))


def slow_down(scale: AdaptiveScale) -> None:
    """As if every frame took a second."""
    now = monotonic()
    for tenths in range(100):
        scale.update(now + tenths / 10, 1.0)
    assert scale.value == SCALES[-1]


class Until:
    """A screen whose user changes the controls when frame number so-and-so is shown."""

    def __init__(self, **at) -> None:
        self.changes = {int(number[1:]): changes for number, changes in at.items()}
        self.shown: list[np.ndarray] = []
        self.lines: list[list[str]] = []

    def show(self, original, stylized, controls, *, style_name, lines) -> None:
        assert original.shape == stylized.shape
        self.shown.append(stylized)
        self.lines.append(list(lines))

    def read_input(self, controls: Controls) -> Controls:
        for number in [n for n in self.changes if n <= len(self.shown)]:
            controls = replace(controls, **self.changes.pop(number))
        return controls


QUIT = {"quit": True}


def test_images_are_as_large_as_their_frames_whatever_the_scale(style_files):
    scale = AdaptiveScale(30)
    stylize = stylizer(style_files, scale=scale)
    assert stylize(frame()).image.shape == (96, 128, 3)
    stylize.controls = Controls(stroke=1.5)
    larger = stylize(frame())
    assert larger.image.shape == (96, 128, 3) and larger.scale == pytest.approx(1 / 1.5, abs=0.01)
    slow_down(scale)
    smallest = stylize(frame(50, 67))
    assert smallest.image.shape == (50, 67, 3)


def test_a_pinned_size_is_kept(style_files):
    scale = AdaptiveScale(30)
    slow_down(scale)
    smallest = stylizer(style_files, scale=scale, size=(48, 64))(frame(128, 160))
    assert smallest.scale == pytest.approx(64 / 128)  # no smaller than is useful
    assert stylizer(style_files, scale=scale, size=(80, 100))(frame(160, 200)).scale == 0.5


def test_a_session_begins_with_the_step_that_held_the_last_time(style_files, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = stylizer(style_files)
    first(frame())
    first.scale.begin_at(Step(0.75, 3))
    first.scale.held = True  # which takes some seconds
    for _ in range(2):
        first(frame())
    assert stylizer(style_files)(frame()).scale == 0.75
    assert stylizer(style_files)(frame(128, 160)).scale == 1.0
    assert stylizer(style_files, size=(96, 128))(frame()).scale == 1.0


def test_every_second_frame_shows_moved_paint_unless_the_scene_is_another(style_files):
    stylize = stylizer(style_files)
    plain = stylize(frame()).image.astype(int)
    stylize.scale.step = Step(1.0, 2)
    shown = [stylize(frame()) for _ in range(4)]
    assert [each.moved for each in shown] == [False, True, False, True]
    assert all(np.abs(each.image - plain).mean() < 1 for each in shown)
    dark = frame()
    dark.image[:] //= 8
    assert [stylize(each).moved for each in (frame(), dark, dark)] == [False, False, True]


def test_stylizing_follows_the_controls(style_files):
    stylize = stylizer(style_files, transition_seconds=20)  # slow enough for a busy machine
    plain = stylize(frame()).image
    stylize.controls = Controls(keep_color=True)
    kept = stylize(frame()).image.astype(int) - frame().image
    assert np.abs(kept[..., 0] - kept[..., 2]).mean() < 3 < np.abs(plain.astype(int) - kept).mean()
    stylize.controls = Controls(style=1)
    seen = {stylize(frame()).image.tobytes()}
    ends = monotonic() + 60
    while len(seen) < 4:  # on its way to the other style, through several mixtures
        assert monotonic() < ends, "the style did not change"
        seen.add(stylize(frame()).image.tobytes())


def test_a_style_that_cannot_be_had_is_reported_once_and_the_last_one_stays(two_sizes):
    """It has no network of the session's size, or its file is gone."""
    said = []
    stylize = stylizer(["noon", str(two_sizes / "dawn.fine.safetensors")], log=said.append)
    shown = stylize(frame()).image.astype(int)
    stylize.controls = Controls(style=1)
    for _ in range(2):
        assert np.abs(stylize(frame()).image - shown).mean() < 1  # folded, it rounds otherwise
    (_, refused) = said
    assert "has no fast network" in refused
    stylize.controls = Controls(style=0, strength=0.5)
    # The style turns over some time, so a fast machine sees more frames on the way.
    assert any(np.abs(stylize(frame()).image - shown).mean() > 2 for _ in range(500))


def test_the_first_style_must_be_there(two_sizes):
    with pytest.raises(WeightsError, match="noon has no fine network"):
        stylizer(["noon", "dawn"], network="fine")


def test_a_mask_goes_by_the_time_since_the_first_frame(style_files):
    asked = []

    def mask(time, size):
        asked.append((time, size))
        white = np.zeros(size, np.uint8)
        white[:, size[1] // 2 :] = 255
        return white

    stylize = stylizer(style_files, mask=mask)
    for pts in (2_000_000, 2_040_000):
        given = frame(pts=pts)
        image = stylize(given).image
        differ = (image != given.image).any(axis=(0, 2))
        assert not differ[:64].any() and differ[64:].any()
    assert asked == [(0, (96, 128)), (Fraction(1, 25), (96, 128))]


def test_frozen_and_too_fast_frames_are_not_stylized(style_files):
    stylize = stylizer(style_files)
    frames = [frame(pts=number * 10_000) for number in range(60)]  # 100 a second
    assert 18 <= len(list(stylize_newest(iter(frames), stylize, 30.0))) <= 20
    stylize.controls = Controls(frozen=True)
    assert list(stylize_newest(iter(frames), stylize, 30.0)) == []


def test_shows_counts_and_stops(style_files):
    before = threading.active_count()
    screen = Until(n5=QUIT)
    with open_live("test", size=(96, 128), frame_rate=Fraction(30)) as source:
        readouts = run_live(source, screen, stylizer(style_files), fps=30.0)
    assert len(screen.shown) >= 5
    assert 1 <= readouts.overall.count <= len(screen.shown)
    assert readouts.overall.delay_ms(0.5) > 0
    assert any("128x96" in line for line in screen.lines[0])
    assert threading.active_count() == before


def test_a_session_ends_with_its_file_or_its_time(style_files, tmp_path):
    with open_live("lavfi:testsrc2=size=128x96:rate=30:duration=0.5") as source:
        readouts = run_live(source, NoWindow(), stylizer(style_files), fps=30.0, seconds=0.2)
    assert readouts.overall.count >= 1


def test_a_frozen_picture_can_be_left(style_files):
    before = threading.active_count()
    screen = Until(n3={"frozen": True}, n9=QUIT)
    with open_live("test", size=(96, 128), frame_rate=Fraction(30)) as source:
        run_live(source, screen, stylizer(style_files), fps=30.0)
    assert threading.active_count() == before


class Silent:
    """A camera that gives one frame, and then none until it is closed."""

    epoch = 0.0

    def __init__(self) -> None:
        self._closed = threading.Event()

    def __iter__(self):
        yield frame()
        self._closed.wait()

    def close(self) -> None:
        self._closed.set()


def test_a_camera_that_has_fallen_silent_can_be_left(style_files):
    before = threading.active_count()
    run_live(Silent(), Until(n3=QUIT), stylizer(style_files), fps=30.0)
    assert threading.active_count() == before


class Broken:
    """A camera that fails after some frames."""

    epoch = 0.0

    def __iter__(self):
        yield frame()
        raise SourceError("the camera is gone")


def test_an_error_of_the_source_arrives(style_files):
    before = threading.active_count()
    with pytest.raises(SourceError, match="the camera is gone"):
        run_live(Broken(), Until(), stylizer(style_files), fps=30.0)
    assert threading.active_count() == before


class Kept:
    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.pauses = 0

    def write(self, frame: Frame) -> None:
        self.frames.append(frame)

    def pause(self) -> None:
        self.pauses += 1

    def close(self) -> None:
        pass


def test_outputs_get_what_the_controls_say(style_files):
    stream, recording, pictures = Kept(), Kept(), Kept()

    said: list[str] = []
    sinks = [
        DroppingSink(s, "sink", said.append, depth=1000) for s in (stream, recording, pictures)
    ]
    outputs = Outputs([sinks[0]], recorder=sinks[1], snapshots=sinks[2])
    record, pause = {"recording": True}, {"recording": False, "snapshot": True}
    screen = Until(n3=record, n20=pause, n40=QUIT)
    with open_live("test", size=(96, 128), frame_rate=Fraction(30)) as source:
        readouts = run_live(source, screen, stylizer(style_files), fps=30.0, outputs=outputs)
    for sink in sinks:
        sink.close()
    assert said == []
    waited = readouts.overall.count - len(stream.frames)  # for the network, on a busy machine
    assert waited in (0, 1) and len(stream.frames) > len(recording.frames) >= 1
    assert recording.pauses == 1 and len(pictures.frames) == 1
    times = [f.pts for f in stream.frames]
    assert times == sorted(set(times))


class Loading:
    """A camera whose first frame is five seconds old when it is shown; then come `more`."""

    def __init__(self, more: int) -> None:
        self.epoch = monotonic() - 5
        self.more, self.shown = more, threading.Event()

    def __iter__(self):
        yield frame()
        for _ in range(self.more):
            self.shown.wait(60)
            yield frame(pts=int((monotonic() - self.epoch) * 1_000_000))


class Notices(NoWindow):
    """A screen that lets the camera know when it shows a frame."""

    def __init__(self, camera: Loading) -> None:
        self.camera = camera

    def show(self, *_: object, **__: object) -> None:
        self.camera.shown.set()


@pytest.mark.parametrize("more", [0, 1])
def test_a_frame_that_waited_for_the_network_is_recorded_only_if_no_other_comes(style_files, more):
    camera, stream = Loading(more), Kept()
    sink = DroppingSink(stream, "sink", lambda line: None, depth=1000)
    outputs = Outputs([sink], recorder=None, snapshots=None)
    run_live(camera, Notices(camera), stylizer(style_files), fps=30.0, outputs=outputs)
    sink.close()
    assert [kept.pts >= 5_000_000 for kept in stream.frames] == ([True] if more else [False])


def test_a_run_lasts_until_the_second_frame_as_one_has_no_rate(style_files):
    camera = Loading(2)
    readouts = run_live(camera, Notices(camera), stylizer(style_files), fps=30.0, seconds=0.0)
    assert readouts.overall.count == 2 and readouts.overall.fps > 0


def test_from_the_command_line_into_a_file(style_files, tmp_path, capsys):
    target = tmp_path / "out.mp4"
    arguments = [
        "live",
        "--style",
        style_files[0],
        "--camera",
        "test",
        "--no-window",
        "--seconds",
        "1",
    ]
    arguments += ["--capture", "160x120", "--record", str(target), "--engine", "torch"]
    assert main([*arguments, "--snapshots", str(tmp_path)]) == 0
    with VideoReader(target) as recorded:
        frames = list(recorded)
    assert len(frames) >= 2 and frames[0].image.shape == (120, 160, 3)
    said = capsys.readouterr().out
    assert "engine: torch" in said and "fps" in said


def test_the_first_frame_is_shown_before_pytorch_loads(style_files, tmp_path):
    code = f"""if True:
        import sys
        from impasto.realtime.cli.main import main
        from impasto.realtime.engines import fidelity
        from impasto.realtime.live.loop import NoWindow
        fidelity._SIZE = 48, 64  # int8 is compared on small pictures
        loaded = []
        NoWindow.show = lambda *_, **__: loaded.append("torch" in sys.modules)
        arguments = ["--camera", "test", "--no-window", "--seconds", "0.1", "--capture", "64x48"]
        arguments += ["--device", "cpu", "--style", {style_files[0]!r}]
        sys.exit(main(["live", *arguments]) or loaded[0])
    """
    pytest.importorskip("openvino")
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--camera", "7"], "camera"),
        (["--camera", "no/such/file.mp4"], "no/such/file.mp4"),
        (["--camera", "test", "--style", "great_vawe"], "great_wave"),
        (["--camera", "test", "--stream", "gopher://x"], "cannot stream to this address"),
        (["--camera", "test", "--record", "no/such/folder/out.mp4"], "no/such/folder"),
        (["--camera", "test", "--snapshots", "no/such"], "no folder"),
    ],
)
def test_what_cannot_work_is_reported_in_one_line(given, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["live", "--no-window", "--seconds", "1", *given]) == 1
    told = capsys.readouterr().err.strip()
    assert words in told and "\n" not in told
    assert list(tmp_path.iterdir()) == []


def test_cameras_are_listed(capsys):
    assert main(["live", "--list-cameras"]) == 0
    assert capsys.readouterr().out.strip()


def test_bench_live_has_the_promised_shape(style_files, capsys, monkeypatch):
    monkeypatch.setattr("impasto.realtime.measure.bench_live._COUNTED", 10)
    arguments = ["bench", "--live", "--style", style_files[0], "--size", "128x96", "--seconds", "1"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["width"], found["height"], found["target_fps"]) == (128, 96, 30)
    assert found["shown_fps"] > 0 and found["dropped"] >= 0
    delay = found["delay_ms"]
    assert 0 < delay["p50"] <= delay["p95"] <= delay["max"]
    assert 0 < found["working_scale"]["min"] <= found["working_scale"]["median"] <= 1
    assert set(found["rss_mb"]) == {"start", "end"}
    other = found["other_ms"]
    parts = [other[part] for part in ("camera", "scaling", "window")]
    assert min(parts) >= 0 and sum(parts) == pytest.approx(other["all"], abs=0.2)
