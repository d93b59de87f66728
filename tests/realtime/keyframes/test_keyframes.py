"""Keyframes: which are chosen, how they are painted and kept, and how they go through a film."""

import json
from collections.abc import Iterator
from fractions import Fraction
from inspect import signature
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.models.errors import SinkError, SourceError
from impasto.models.gatys.optimize import Settings, StyleImage, paint
from impasto.realtime.cli.keyframes import keyframes as keyframes_command
from impasto.realtime.files.images import read_image, write_image
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import Frame
from impasto.realtime.keyframes import paint as keyframes_module
from impasto.realtime.keyframes.color_transfer import recoloring
from impasto.realtime.keyframes.paint import Folder, Painted, paint_keyframes
from impasto.realtime.keyframes.propagate import Carry, Source, composed
from impasto.realtime.keyframes.refine import STEPS, Added, retouched
from impasto.realtime.keyframes.render import unpainted
from impasto.realtime.keyframes.selection import Keyframe, Rule, Shots, find_shots
from impasto.realtime.keyframes.tracking import Track, _stretched
from impasto.realtime.pixels import as_tensor
from impasto.realtime.temporal.flow import resize_flow
from tests.media import SIZE, make_clip
from tests.realtime.conftest import Impasto

QUICK = Settings(steps=2, levels=1)


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth coloured noise: trackable everywhere."""
    import cv2

    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) * (255 / (high - low))).astype(np.uint8)


def panned(count: int, step: int = 2, size: tuple[int, int] = (96, 128)) -> list[np.ndarray]:
    """A view that moves to the right over a wide texture by `step` px a frame."""
    height, width = size
    wide = texture(height, width + step * count)
    return [wide[:, step * k : step * k + width].copy() for k in range(count)]


def frames_of(images: list[np.ndarray], rate: int = 25) -> list[Frame]:
    return [Frame(image, k, Fraction(1, rate)) for k, image in enumerate(images)]


def found(frames: list[Frame], rule: Rule, **more: object) -> Shots:
    return list(find_shots(frames, rule, **more))[-1]  # type: ignore[arg-type]


class TestChoice:
    def test_what_stands_still_has_one(self) -> None:
        shots = found(frames_of([texture(96, 128)] * 60), Rule())
        assert [(k.number, k.reason) for k in shots.keyframes] == [(0, "begins")]

    def test_a_cut_begins_a_shot(self) -> None:
        images = [texture(96, 128)] * 9 + [255 - texture(96, 128) // 4] * 9
        shots = found(frames_of(images), Rule())
        assert [(k.number, k.reason, k.shot) for k in shots.keyframes] == [
            (0, "begins", 0),
            (9, "cut", 1),
        ]
        assert shots.cuts == {0, 9} and shots.frames == 18

    def test_a_view_that_moves_on_has_more(self) -> None:
        shots = found(frames_of(panned(60)), Rule())
        numbers = [k.number for k in shots.keyframes]
        # 2 px a frame of 128: a third of the view is gone after some 22 frames.
        assert [k.reason for k in shots.keyframes[1:]] == ["view"] * (len(numbers) - 1)
        assert all(12 <= gap <= 30 for gap in np.diff(numbers)) and len(numbers) >= 3

    def test_every_so_often_and_at_cuts(self) -> None:
        images = [texture(48, 64)] * 30 + [255 - texture(48, 64) // 4] * 30
        shots = found(frames_of(images), Rule(every=Fraction(1, 2)))
        assert [k.number for k in shots.keyframes] == [0, 13, 26, 30, 43, 56]

    @given(times=st.lists(st.fractions(0, Fraction(99, 100)), min_size=1, max_size=4))
    def test_at_takes_what_is_shown_then(self, times: list[Fraction]) -> None:
        frames = frames_of([np.zeros((16, 16, 3), np.uint8)] * 25)
        shots = found(frames, Rule(at=tuple(times)), end=Fraction(1))
        assert [k.number for k in shots.keyframes] == sorted({int(t * 25) for t in times})

    @pytest.mark.parametrize("time", [Fraction(1), Fraction(100)])
    def test_at_impossible_times(self, time: Fraction) -> None:
        frames = frames_of([np.zeros((16, 16, 3), np.uint8)] * 25)
        with pytest.raises(SourceError, match="no frame at"):
            found(frames, Rule(at=(time,)), end=Fraction(1))

    def test_no_more_lie_between_than_memory_holds(self) -> None:
        frames = frames_of([texture(48, 64)] * 50)
        shots = found(frames, Rule(every=Fraction(10), most_apart=20))
        assert [(k.number, k.reason) for k in shots.keyframes][1:] == [
            (20, "memory"),
            (40, "memory"),
        ]


class TestTrack:
    def test_follows_a_pan(self) -> None:
        images = panned(16)
        track = Track(images[0])
        for image in images[1:]:
            track.follow(image)
        inside = track.to_key[16:-16, 16:-48]  # what was in view at first
        np.testing.assert_allclose(inside[..., 0], 30, atol=1)  # 15 frames of 2 px
        np.testing.assert_allclose(inside[..., 1], 0, atol=1)
        assert track.trust[16:-16, 16:-48].mean() > 0.9
        assert track.trust[:, -20:].mean() < 0.1  # came into view since

    def test_what_looks_alike_fits_though_its_motion_is_anything(self) -> None:
        dice = np.random.default_rng(0)
        sand = [dice.integers(100, 140, (96, 128, 3), np.uint8) for _ in range(5)]
        track = Track(sand[0])
        for image in sand[1:]:
            track.follow(image)
        inside = (slice(12, -12), slice(12, -12))
        assert track.trust[inside].mean() < 0.5 < 0.8 < track.fitting[inside].mean()
        track.follow(np.full_like(sand[0], 255))
        assert track.fitting.max() == 0

    def test_paint_is_not_drawn_out_for_ever(self) -> None:
        flow = np.zeros((40, 60, 2), np.float32)
        flow[:, 20:40, 0] = -np.arange(20)  # all from one column
        torn = _stretched(flow)
        assert torn[:, 21:39].all() and not torn[:, :19].any()
        flow[:, 20:40, 0] = -0.5 * np.arange(20)  # twice as long
        assert not _stretched(flow)[:, 21:38].any()

    def test_enlarged_flow_counts_larger_pixels(self) -> None:
        flow = np.full((10, 20, 2), (1.0, 2.0), np.float32)
        np.testing.assert_allclose(resize_flow(flow, (30, 40)), np.full((30, 40, 2), (2.0, 6.0)))


class TestRecoloring:
    def test_gives_mean_and_covariance(self) -> None:
        image, target = texture(64, 64, 1) // 2 + 40, texture(64, 64, 2) // 3 + 80
        target[..., 0] //= 2
        pixels = recoloring(image, target)(image).reshape(-1, 3).astype(float)
        wanted = target.reshape(-1, 3).astype(float)
        np.testing.assert_allclose(pixels.mean(0), wanted.mean(0), atol=0.5)  # levels are rounded
        np.testing.assert_allclose(np.cov(pixels.T), np.cov(wanted.T), atol=0.02 * np.var(wanted))

    def test_of_itself_changes_nothing(self) -> None:
        image = texture(32, 32)
        np.testing.assert_array_equal(recoloring(image, image)(image), image)

    def test_grey_has_no_colours_to_spread(self) -> None:
        grey = np.full((8, 8, 3), 100, np.uint8)
        assert np.isfinite(recoloring(grey, texture(8, 8)).matrix).all()


def plain(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
    """What fills in, for tests: black."""
    for batch in batches:
        for frame in batch:
            yield Frame(np.zeros_like(frame.image), frame.pts, frame.time_base)


class TestCarry:
    def carried(
        self, images: list[np.ndarray], keys: dict[int, np.ndarray], **more: int
    ) -> list[np.ndarray]:
        carry = Carry(keys, keys.__getitem__, {0}, plain, **more)
        frames = frames_of(images)
        out = list(carry(iter([frame] for frame in frames)))
        assert [frame.pts for frame in out] == [frame.pts for frame in frames]
        return [frame.image for frame in out]

    def test_paint_moves_with_the_view(self) -> None:
        images = panned(11)
        # Painted by a rule that keeps places: the carried painting is then known exactly.
        keys = {0: 255 - images[0], 10: 255 - images[10]}
        for image, painted in zip(images, self.carried(images, keys), strict=True):
            apart = np.abs(painted.astype(int) - (255 - image))[8:-8, 8:-8]
            assert apart.mean() < 3  # levels, of interpolation twice

    def test_keyframes_come_out_as_they_are(self) -> None:
        images = panned(6)
        keys = {0: texture(96, 128, 5), 5: texture(96, 128, 6)}
        out = self.carried(images, keys)
        np.testing.assert_array_equal(out[0], keys[0])
        np.testing.assert_array_equal(out[5], keys[5])

    def test_what_stands_still_does_not_change(self) -> None:
        images = [texture(96, 128)] * 7
        key = texture(96, 128, 3)
        for painted in self.carried(images, {0: key, 6: key})[1:-1]:
            np.testing.assert_allclose(painted, key.astype(int), atol=2)

    def test_before_the_first_keyframe_it_is_carried_back(self) -> None:
        images = [texture(96, 128)] * 5
        key = texture(96, 128, 3)
        np.testing.assert_allclose(self.carried(images, {4: key})[0], key.astype(int), atol=2)

    @pytest.mark.parametrize("most_held", [1, 2, 3, 100])
    def test_however_many_may_wait_all_frames_come(self, most_held: int) -> None:
        images = panned(10)
        assert len(self.carried(images, {0: images[0]}, most_held=most_held)) == 10

    def test_nothing_passes_a_cut(self) -> None:
        images = [texture(96, 128)] * 4 + [texture(96, 128, 9)] * 4
        carry = Carry({0}, {0: np.full((96, 128, 3), 200, np.uint8)}.__getitem__, {0, 4}, plain)
        out = list(carry(iter([frame] for frame in frames_of(images))))
        assert carry.filled == pytest.approx(4, abs=0.2)
        assert out[3].image.mean() > 190

    def test_what_no_source_knows_is_filled_in_softly(self) -> None:
        image = np.full((40, 60, 3), 180, np.uint8)
        trust = np.tile(np.linspace(1, 0, 60, dtype=np.float32), (40, 1))
        out, share = composed(
            [Source(image, np.zeros_like(trust), trust, trust, 1.0)], np.full_like(image, 60)
        )
        assert share == pytest.approx(0.5, abs=0.01)
        # The tone of what fills in was moved to what lies around: there is no seam to be seen.
        assert np.abs(np.diff(out[..., 0].astype(int), axis=1)).max() <= 5
        assert out[:, :5].min() >= 175

    def test_of_two_that_cannot_be_trusted_the_one_that_fits_is_shown(self) -> None:
        none, all_ = np.zeros((40, 60), np.float32), np.ones((40, 60), np.float32)
        fits, not_ = (np.full((40, 60, 3), level, np.uint8) for level in (180, 90))
        for nearness in (0.1, 0.5, 0.9):
            sources = [
                Source(fits, none, 0.01 * all_, all_, nearness),
                Source(not_, none, none, none, 1 - nearness),
            ]
            out, share = composed(sources, np.full_like(fits, 20))
            assert share == 1
            np.testing.assert_array_equal(out, fits)

    def test_what_can_be_trusted_counts_more_than_what_is_near(self) -> None:
        none, all_ = np.zeros((40, 60), np.float32), np.ones((40, 60), np.float32)
        trusted, near = (np.full((40, 60, 3), level, np.uint8) for level in (180, 90))
        sources = [
            Source(trusted, none, all_, all_, 0.4),
            Source(near, none, 0.01 * all_, all_, 0.6),
        ]
        out, _ = composed(sources, trusted)
        assert out.min() >= 178


class TestRetouching:
    frames = frames_of(panned(5))
    styles = [StyleImage(as_tensor(texture(90, 100, seed=5)))]

    def test_every_frame_is_painted_on(self) -> None:
        whole = retouched(plain, self.styles, QUICK, steps=1)
        painted = list(whole([frame] for frame in self.frames))
        assert [frame.pts for frame in painted] == [frame.pts for frame in self.frames]
        assert all(frame.image.any() for frame in painted)

    def test_of_what_stands_still_each_frame_is_further_on(self) -> None:
        frames = frames_of([self.frames[0].image] * 5)
        whole = retouched(unpainted, self.styles, QUICK, steps=2)
        content = as_tensor(frames[0].image)
        totals = [
            next(paint(content, self.styles, QUICK, init=as_tensor(frame.image))).total
            for frame in whole([frame] for frame in frames)
        ]
        assert sorted(totals, reverse=True) == totals and totals[-1] < 0.8 * totals[0]

    def test_what_was_added_moves_along(self) -> None:
        before, after = panned(2, step=4)
        change = as_tensor(texture(96, 128, 6))[0].permute(1, 2, 0).numpy() - 0.5
        moved = Added(before, change).moved_to(after)
        inside = np.s_[12:-12, 12:-12]
        away = np.abs(moved - np.roll(change, -4, axis=1))[inside]
        assert moved.dtype == np.float32 and away.mean() < 0.03 < np.abs(change[inside]).mean() / 3

    def test_nothing_that_was_added_is_seen_after_a_cut(self) -> None:
        before, after = texture(96, 128, 1), texture(96, 128, 2)
        moved = Added(before, np.full((96, 128, 3), 0.5, np.float32)).moved_to(after)
        assert np.abs(moved).mean() < 0.05

    def test_the_command_takes_as_many_steps_as_the_figures_are_of(self) -> None:
        assert signature(keyframes_command).parameters["retouch"].default == STEPS

    def test_no_steps_are_nothing(self) -> None:
        assert retouched(plain, self.styles, QUICK, steps=0) is plain


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    path = tmp_path / "painting.png"
    write_image(path, texture(64, 64, 8))
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=6, audio=["eng"])


@pytest.fixture(scope="module")
def painted_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The clip, and a folder with its keyframes: to be copied, not changed."""
    root = tmp_path_factory.mktemp("keyframes")
    clip = make_clip(root / "in.mp4", frames=6, audio=["eng"])
    painted(clip, Folder(root / "out"))
    return clip, root / "out"


def painted(clip: Path, folder: Folder, settings: Settings = QUICK) -> list[Painted]:
    frames = [Frame(f.image, f.pts, f.time_base) for f in VideoReader(clip)]
    keys = [Keyframe(n, frames[n].pts, n / 25, 0, "every") for n in (0, 4)]
    shots = Shots(keys, {frames[0].pts}, len(frames))
    return list(paint_keyframes(frames, shots, [texture(64, 64, 8)], settings, folder))


class TestPainting:
    def test_pictures_and_notes_are_kept(self, painted_once: tuple[Path, Path]) -> None:
        _, folder = painted_once
        pictures = sorted(folder.glob("*.png"))
        assert [p.name for p in pictures] == ["keyframe_000000.png", "keyframe_000004.png"]
        for picture, number in zip(pictures, (0, 4), strict=True):
            assert read_image(picture).shape == (*SIZE, 3)
            note = json.loads(picture.with_suffix(".json").read_text())
            assert note["settings"]["steps"] == 2 and note["frame"] == number
        assert len(list(folder.iterdir())) == 4

    def test_what_is_there_is_used_again(
        self, painted_once: tuple[Path, Path], tmp_path: Path
    ) -> None:
        clip, folder = painted_once
        copytree(folder, tmp_path / "out")
        before = [path.read_bytes() for path in sorted(folder.glob("*.png"))]
        (tmp_path / "out" / "keyframe_000004.json").unlink()  # stopped between its two files
        again = painted(clip, Folder(tmp_path / "out", resume=True))
        assert [one.reused for one in again] == [True, False]
        assert [one.path.read_bytes() for one in again] == before  # same input, same picture

    def test_other_settings_are_not_taken_for_the_same(
        self, painted_once: tuple[Path, Path], tmp_path: Path
    ) -> None:
        clip, folder = painted_once
        copytree(folder, tmp_path / "out")
        before = [path.read_bytes() for path in sorted(folder.glob("*.png"))]
        other = Settings(steps=2, levels=1, style_weight=3.0)
        with pytest.raises(SinkError, match="another film, painting or setting"):
            painted(clip, Folder(tmp_path / "out", resume=True), other)
        now = [path.read_bytes() for path in sorted((tmp_path / "out").glob("*.png"))]
        assert now == before
        replaced = painted(clip, Folder(tmp_path / "out", resume=True, overwrite=True), other)
        assert not any(one.reused for one in replaced)

    def test_one_that_exists_is_refused_before_any_is_painted(self, tmp_path: Path) -> None:
        folder = Folder(tmp_path / "out")
        key = Keyframe(3, 3, 0.1, 0, "view")
        folder.picture(key).write_bytes(b"mine")
        with pytest.raises(SinkError, match="--resume"):
            folder.check([key])

    def test_a_later_one_stays_near_the_last(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        still = texture(48, 48)
        frames = frames_of([still] * 3)
        shots = Shots([Keyframe(n, n, 0.0, 0, "every") for n in (0, 2)], {0}, 3)
        settings = Settings(steps=8, levels=1, init="noise")

        def apart(folder: str) -> float:
            styles = [texture(48, 48, 8)]
            done = list(paint_keyframes(frames, shots, styles, settings, Folder(tmp_path / folder)))
            first, second = (read_image(p.path).astype(float) for p in done)
            return float(np.abs(first - second).mean())

        held = apart("held")
        monkeypatch.setattr(keyframes_module, "AGREEMENT_WEIGHT", 0.0)
        # Less than half is not to be had: 8 steps leave the first one unfinished.
        assert held < 0.7 * apart("free")


class TestCommand:
    ARGUMENTS = ("--steps", "2", "--fill", "content", "--every", "0.12s")

    def test_lists_them(self, clip: Path, tmp_path: Path, impasto: Impasto) -> None:
        ran = impasto(
            "keyframes",
            clip,
            "--dry-run",
            "--every",
            "0.12s",
            "--json",
            "--sheet",
            tmp_path / "s.png",
        )
        rows = json.loads(ran.out)["keyframes"]
        assert ran.code == 0 and [row["number"] for row in rows] == [0, 3]
        assert read_image(tmp_path / "s.png").ndim == 3

    def test_paints_and_carries(
        self, clip: Path, painting: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        out = tmp_path / "out.mp4"
        arguments = (clip, painting, tmp_path / "keys", *self.ARGUMENTS, "--video", out)
        ran = impasto("keyframes", *arguments, "--json")
        assert ran.code == 0, ran.err
        figures = json.loads(ran.out)
        assert figures["frames_written"] == 6 and len(figures["painted"]) == 2
        with VideoReader(out) as film, VideoReader(clip) as original:
            assert [f.pts for f in film] == [f.pts for f in original]
        import av

        with av.open(str(out)) as container:
            assert len(container.streams.audio) == 1
        ran = impasto("keyframes", *arguments, "--resume")
        assert ran.code == 1 and "out.mp4 exists" in ran.error_line
        ran = impasto("keyframes", *arguments, "--resume", "--overwrite", "--json")
        assert ran.code == 0
        assert all(row["reused"] for row in json.loads(ran.out)["painted"])

    def test_one_frame_is_a_film(self, painting: Path, tmp_path: Path, impasto: Impasto) -> None:
        one = make_clip(tmp_path / "one.mp4", frames=1)
        ran = impasto(
            *("keyframes", one, painting, tmp_path / "keys", *self.ARGUMENTS),
            *("--video", tmp_path / "out.mp4"),
        )
        assert ran.code == 0, ran.err
        with VideoReader(tmp_path / "out.mp4") as film:
            assert len(list(film)) == 1

    def test_teaches_a_style(
        self,
        clip: Path,
        painting: Path,
        tmp_path: Path,
        impasto: Impasto,
        library: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from dataclasses import replace

        from impasto.models.training.finetune import RECIPE, finetune

        changed = {"recipe": replace(RECIPE, steps=2, batch=1)}
        monkeypatch.setattr(finetune, "__kwdefaults__", finetune.__kwdefaults__ | changed)
        style = tmp_path / "mine.safetensors"
        ran = impasto(
            *("keyframes", clip, painting, tmp_path / "keys", *self.ARGUMENTS),
            *("--teach", "--save-style", style, "--fill", "dawn", "--size", "64"),
        )
        assert ran.code == 0, ran.err
        write_image(tmp_path / "a.png", texture(64, 64))
        ran = impasto("image", tmp_path / "a.png", tmp_path / "b.png", "--style", style)
        assert ran.code == 0, ran.err

    @pytest.mark.parametrize(
        ("arguments", "code", "says"),
        {
            "no painting": (["CLIP", "--every", "1"], 2, "PAINTING"),
            "two rules": (["CLIP", "PAINTING", "KEYS", "--intra", "--every", "1"], 2, "one of"),
            "every nothing": (["CLIP", "PAINTING", "KEYS", "--every", "0s"], 2, "above zero"),
            "at what": (["CLIP", "PAINTING", "KEYS", "--at", "noon"], 2, "mm:ss"),
            "at too late": (["CLIP", "PAINTING", "KEYS", "--at", "0:07"], 1, "no frame at 7 s"),
            "no film": (["NOTHING", "PAINTING", "KEYS"], 1, "nothing.mp4"),
            "no painting there": (["CLIP", "NOTHING", "KEYS"], 1, "nothing.mp4"),
            "no folder for it": (["CLIP", "PAINTING", "NOTHING/keys"], 1, "no folder"),
            "a file, not a folder": (["CLIP", "PAINTING", "PAINTING"], 1, "painting.png"),
            "sound only": (["SOUND", "PAINTING", "KEYS"], 1, "sound.mp4"),
            "too small": (["SMALL", "PAINTING", "KEYS"], 1, "too small"),
            "no style's name": (
                ["CLIP", "PAINTING", "KEYS", "--teach", "--save-style", "a.pt"],
                1,
                ".safetensors",
            ),
            "not a video's name": (
                ["CLIP", "PAINTING", "KEYS", "--video", "x.png"],
                1,
                "the kind of video",
            ),
            "onto what is read": (
                ["CLIP", "PAINTING", "KEYS", "--overwrite", "--video", "CLIP"],
                1,
                "is the source",
            ),
            "not a sheet's name": (["CLIP", "--dry-run", "--sheet", "s.xyz"], 1, "a picture"),
            "no such style": (["CLIP", "PAINTING", "KEYS", "--fill", "nobody"], 1, "nobody"),
        }.values(),
    )
    def test_bad_input(
        self,
        arguments: list[str],
        code: int,
        says: str,
        clip: Path,
        painting: Path,
        tmp_path: Path,
        impasto: Impasto,
    ) -> None:
        from tests.media import make_audio_only

        names = {
            "CLIP": clip,
            "PAINTING": painting,
            "KEYS": tmp_path / "keys",
            "NOTHING": tmp_path / "nothing.mp4",
            "NOTHING/keys": tmp_path / "nothing" / "keys",
        }
        if "SOUND" in arguments:
            names["SOUND"] = make_audio_only(tmp_path / "sound.mp4")
        if "SMALL" in arguments:
            names["SMALL"] = make_clip(tmp_path / "small.mp4", size=(8, 64), frames=2)
        ran = impasto("keyframes", *(names.get(word, word) for word in arguments))
        assert ran.code == code and says in ran.error_line
        assert not list(tmp_path.rglob("keyframe_*"))  # told before anything is painted

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a Linux device")
    def test_full_disk(self, clip: Path, painting: Path, tmp_path: Path, impasto: Impasto) -> None:
        (tmp_path / "keys").mkdir()
        (tmp_path / "keys" / "keyframe_000003.partial.png").symlink_to("/dev/full")
        ran = impasto("keyframes", clip, painting, tmp_path / "keys", *self.ARGUMENTS)
        assert ran.code == 1 and "No space left" in ran.error_line
        assert (tmp_path / "keys" / "keyframe_000000.png").exists()

    def test_stopped_by_hand(
        self,
        clip: Path,
        painting: Path,
        tmp_path: Path,
        impasto: Impasto,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from impasto.realtime.keyframes import paint

        keep = Folder.keep

        def stop(self: Folder, *given: object) -> None:
            keep(self, *given)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(paint.Folder, "keep", stop)
            arguments = (clip, painting, tmp_path / "keys", *self.ARGUMENTS)
            ran = impasto("keyframes", *arguments)
        assert ran.code == 130 and "--resume" in ran.error_line
        ran = impasto("keyframes", *arguments, "--resume", "--json")
        assert [row["reused"] for row in json.loads(ran.out)["painted"]] == [True, False]
