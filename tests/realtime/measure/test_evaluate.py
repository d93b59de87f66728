"""`impasto eval`: its figures where the answer is known, and its output.

Exact flow comes from the rendered sample clip.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from impasto.models.judge import StyleMetrics
from impasto.models.loss_network import load_loss_network
from impasto.realtime.files.images import write_image
from impasto.realtime.measure.candidates import Painted
from impasto.realtime.measure.evaluate import evaluate_clip
from impasto.realtime.measure.originals import read_clip
from impasto.realtime.measure.warping import (
    EstimatedMotion,
    remaining_detail,
    shot_starts,
    warping_error_of,
)
from impasto.realtime.temporal.modes import STEADINESS
from tests.media import make_clip
from tests.pictures import make_pictures
from tests.realtime.conftest import Impasto

SAMPLES = Path(__file__).parents[3] / "samples"
HEIGHT, WIDTH = 144, 256


@pytest.fixture(scope="module")
def harbor():
    """The module that rendered the sample clip, and knows its motion."""
    sys.path.insert(0, str(SAMPLES))
    import harbor

    return harbor


class ExactMotion:
    """Of the sample clip, reduced, away from the water, which mirrors what moves."""

    def __init__(self, harbor) -> None:
        self.harbor = harbor
        self.known = {}

    def __call__(self, later: int, earlier: int):
        if (later, earlier) not in self.known:
            self.known[later, earlier] = self.trace(later, earlier)
        return self.known[later, earlier]

    def trace(self, later: int, earlier: int):
        now, then = later / 30, earlier / 30
        flow = self.harbor.flow(now, then, HEIGHT, WIDTH)
        hidden = self.harbor.occlusion(now, then, HEIGHT, WIDTH)
        return flow, ~hidden & ~self.harbor.on_water(now, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def exact(harbor) -> ExactMotion:
    return ExactMotion(harbor)


@pytest.fixture(scope="module")
def clip() -> list[np.ndarray]:
    return read_clip(SAMPLES / "harbor.mp4", size=HEIGHT, frames=3)


class TestWarpingError:
    def test_of_the_sample_under_its_exact_motion(self, clip, exact) -> None:
        found = warping_error_of(clip, exact, [0] * 3, long_term=2)
        # What is left is compression and bilinear lookup in fine detail: 0.03 for pictures as
        # rendered, at rigging and windows (tests/samples); the clip shrunk is smoother.
        assert 0.001 < found.short_term < 0.03
        assert 0.001 < found.long_term < 0.03
        unmoved = [clip[0], *(np.roll(frame, 6, axis=1) for frame in clip[1:])]
        assert warping_error_of(unmoved, exact, [0] * 3).short_term > 0.05

    def test_estimated_motion_comes_close_to_the_exact_one(self, clip, exact) -> None:
        known = warping_error_of(clip, exact, [0] * 3)
        estimated = warping_error_of(clip, EstimatedMotion(clip), [0] * 3)
        assert estimated.short_term == pytest.approx(known.short_term, abs=0.01)

    def test_is_the_flicker_where_nothing_moves(self) -> None:
        still = np.full((40, 50, 3), 100, np.uint8)
        frames = [still, still + 10, still + 30]

        def at_rest(later: int, earlier: int):
            return np.zeros((40, 50, 2), np.float32), np.ones((40, 50), bool)

        found = warping_error_of(frames, at_rest, [0, 0, 0], long_term=2)
        assert found.short_term == pytest.approx(15 / 255, rel=1e-4)
        assert found.long_term == pytest.approx(30 / 255, rel=1e-4)
        assert warping_error_of(frames, at_rest, [0, 0, 0]).long_term is None  # 10 frames

    def test_is_never_taken_across_a_cut(self) -> None:
        first, second = make_pictures(1, 60, 80)[0], 255 - make_pictures(1, 60, 80, seed=5)[0] // 3
        starts = shot_starts([first, first, second, second])
        assert starts == [0, 0, 2, 2]
        frames = [first, first, second, second]
        found = warping_error_of(frames, EstimatedMotion([first] * 4), starts, long_term=1)
        assert found.short_term == found.long_term == 0
        alone = warping_error_of([first, second], EstimatedMotion([first] * 2), [0, 1])
        assert alone.short_term is None and alone.long_term is None


def test_a_row_for_each_mode_with_the_input_beside_it() -> None:
    frames = list(make_pictures(3, 64, 80))
    asked = []

    def paint(images, mode):
        asked.append(mode)
        return Painted([255 - image for image in images], 0.25)

    metrics = StyleMetrics(load_loss_network("compact"), None, side=64)
    rows = evaluate_clip(frames, paint, metrics)
    assert tuple(asked) == STEADINESS == tuple(row["steadiness"] for row in rows)
    for row in rows:
        assert row["e_warp"] == pytest.approx(row["input_e_warp"])  # a negative moves alike
        assert row["ratio"] == pytest.approx(1) and row["ratio_long"] is None
        assert row["fps"] == 4 and row["sharpness"] == pytest.approx(1)
        left = [row["detail"], row["detail_least"], row["detail_most"]]
        assert left == ([None] * 3 if row["steadiness"] == "off" else [1, 1, 1])
        assert row["content"] > 0 and row["style"] is None


class TestRemainingDetail:
    """Of a film of noise, whose energy is known."""

    PLAIN = np.random.default_rng(0).integers(60, 190, (4, 64, 96, 1), np.uint8).repeat(3, axis=3)

    def test_the_film_itself_has_all_of_it(self) -> None:
        left = remaining_detail(self.PLAIN, self.PLAIN)
        assert (left.whole, left.least, left.most) == (1, 1, 1)
        black = np.zeros_like(self.PLAIN)
        assert remaining_detail(black, black).whole == 1

    def test_half_the_contrast_is_a_quarter_of_the_energy(self) -> None:
        left = remaining_detail(self.PLAIN // 2, self.PLAIN)
        assert left.least == pytest.approx(0.25, abs=0.02)
        assert left.most == pytest.approx(0.25, abs=0.02)

    def test_a_border_drawn_out_is_seen_in_its_region(self) -> None:
        smeared = self.PLAIN.copy()
        smeared[:, :, :16] = smeared[:, :, 16:17]  # rows repeated along the border
        left = remaining_detail(smeared, self.PLAIN)
        assert left.whole > 0.8 and left.least < 0.1
        across, down = left.regions
        assert (across[:, 0] < 0.1).all() and (down[:, 0] > 0.8).all()
        assert across[:, 1:] == pytest.approx(1, abs=0.01)


class TestCommand:
    @pytest.fixture(autouse=True)
    def compared_at_small_sizes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("side", "painting_side"):
            monkeypatch.setitem(StyleMetrics.__init__.__kwdefaults__, name, 64)

    @pytest.fixture
    def video(self, tmp_path: Path) -> Path:
        return make_clip(tmp_path / "in.mp4", frames=4, size=(64, 96))

    @pytest.fixture
    def picture(self, tmp_path: Path) -> Path:
        path = tmp_path / "pictures" / "a.png"
        path.parent.mkdir()
        write_image(path, make_pictures(1, 60, 80)[0])
        return path

    def test_json(self, video, picture, style, impasto: Impasto) -> None:
        given = ("--picture", picture, "--picture", picture.parent, "--clip", video)
        limits = ("--frames", 3, "--side", 64, "--engine", "torch")
        ran = impasto("eval", "--style", style, *given, "--painting", picture, *limits, "--json")
        assert (ran.code, ran.err) == (0, "")
        found = json.loads(ran.out)
        about = {"style", "strength", "network", "loss_network", "painting", "notes"}
        assert {*found} == about | {"pictures", "mean", "clips"}
        figures = {"content", "style", "strokes", "layers", "vigor", "grid"}
        figures |= {"total", "total_variation", "sharpness"}
        assert [set(row) for row in found["pictures"]] == [figures | {"picture"}] * 2
        one, other = found["pictures"]
        assert one["strokes"] == other["strokes"] == found["mean"]["strokes"] > 0
        assert len(one["layers"]) == 5 and one["style"] > 0
        assert len(one["vigor"]) == 4 and all(value > 0 for value in one["vigor"])
        assert [row["steadiness"] for row in found["clips"]] == list(STEADINESS)
        for row in found["clips"]:
            assert (row["frames"], row["width"], row["height"]) == (3, 96, 64)
            assert row["e_warp"] > 0 and row["ratio"] > 0 and row["style"] > 0

    def test_a_table_and_what_is_left_out(self, video, style, impasto: Impasto) -> None:
        frames = video.with_name("frames")
        frames.mkdir()
        for number, image in enumerate(make_pictures(3, 64, 80)):
            write_image(frames / f"{number}.png", image)
        options = ("--engine", "torch", "--side", 64)
        ran = impasto("eval", "--style", style, "--clip", frames, *options)
        assert (ran.code, ran.err) == (0, "")
        assert "style loss: left out" in ran.out
        assert all(word in ran.out for word in ("E_warp", "ratio", "hold", "flow", "frames"))

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            ((), 2, "--picture"),
            (("--picture", "x.png", "--original", "y.png"), 2, "--original"),
            (("--painted", "x.png", "--picture", "y.png"), 2, "--original"),
            (("--picture", "x.png", "--gatys", 5), 2, "--painting"),
            (("--picture", "nowhere.png"), 1, "nowhere.png"),
            (("--clip", "nowhere.mp4"), 1, "nowhere.mp4"),
            (("--picture", "x.png", "--painting", "nowhere.jpg"), 1, "nowhere.jpg"),
            (
                ("--clip", "x.mp4", "--vgg19-weights", "t", "--loss-network", "vgg16"),
                2,
                "--vgg19-weights",
            ),
        ],
    )
    def test_errors_are_one_line(self, arguments, code, message, style, impasto: Impasto) -> None:
        ran = impasto("eval", "--style", style, *arguments)
        assert ran.code == code and message in ran.error_line

    def test_a_clip_of_one_frame_has_no_steadiness(self, picture, style, impasto: Impasto) -> None:
        ran = impasto("eval", "--style", style, "--clip", picture.parent)
        assert ran.code == 1 and "two or more" in ran.error_line

    def test_weights_of_another_network(self, picture, style, impasto: Impasto) -> None:
        ran = impasto("eval", "--style", style, "--picture", picture, "--vgg19-weights", style)
        assert ran.code == 1 and "is of no network that is known here" in ran.error_line


def test_video_takes_steadiness(tmp_path: Path, style: Path, impasto: Impasto) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=6)
    for mode in STEADINESS:
        out = tmp_path / f"{mode}.mp4"
        ran = impasto(
            "video", clip, out, "--style", style, "--engine", "torch", "--steadiness", mode
        )
        assert (ran.code, ran.err) == (0, "") and f"{out}: 6 frames" in ran.out
    assert impasto("video", clip, out, "--style", style, "--steadiness", "much").code == 2
