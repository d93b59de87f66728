"""Training images: folders of any layout, hidden files, large ones, and what cannot be read."""

from pathlib import Path

import pytest

from impasto.models.errors import SourceError
from impasto.realtime.files.images import write_image
from impasto.realtime.painting import training_images
from impasto.realtime.painting.training_images import TrainingImages
from tests.media import make_clip
from tests.pictures import make_pictures


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A folder like that of COCO: splits in folders, annotations, and what file managers leave."""
    folder = tmp_path / "coco"
    for name in ("annotations", "train2017", "val2017", ".trash"):
        (folder / name).mkdir(parents=True)
    (folder / "annotations" / "captions_train2017.json").write_text("{}")
    for index, picture in enumerate(make_pictures(6, 40, 60)):
        split = ("train2017", "val2017")[index % 2]
        write_image(folder / split / f"{index:012}.jpg", picture)
    write_image(folder / ".trash" / "old.jpg", make_pictures(1, 40, 60)[0])
    (folder / "train2017" / "._000000000000.jpg").write_text("no picture")
    return folder


def gathered(folder: Path, *paths: Path) -> TrainingImages:
    folder.mkdir(exist_ok=True)
    images = TrainingImages(folder, side=32)
    for path in paths:
        images.add(path, lambda: None)
    return images


def test_all_pictures_below_a_folder(coco: Path, tmp_path: Path) -> None:
    images = gathered(tmp_path / "work", coco)
    names = [f"{file.parent.name}/{file.stem[-1]}" for file in images.files]
    assert names == [f"train2017/{n}" for n in "024"] + [f"val2017/{n}" for n in "135"]
    assert {tuple(images.read(file).shape) for file in images.files} == {(3, 32, 48)}
    assert not list(images.folder.iterdir())  # small files are read again


@pytest.mark.parametrize("frames", [3, 10, 11, 19, 20])
def test_images_are_counted_before_they_are_gathered(
    frames: int, coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_images, "_MAX_FRAMES", 10)
    video, picture = make_clip(tmp_path / "film.mp4", frames=frames), tmp_path / "one.png"
    write_image(picture, make_pictures(1, 40, 60)[0])
    images = gathered(tmp_path / "work", coco, video, picture)
    counts = [images.count(path) for path in (coco, video, picture)]
    assert sum(counts) == len(images.files) and counts == [6, min(frames, 10), 1]


def test_large_files_are_reduced_once(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_images, "_SLOW_TO_READ", 100)
    images = gathered(tmp_path / "work", coco)
    first = images.read(images.files[0])
    (kept,) = images.folder.iterdir()
    written = kept.stat().st_mtime_ns
    assert (images.read(images.files[0]) == first).all() and kept.stat().st_mtime_ns == written
    write_image(images.files[0], make_pictures(1, 40, 60, seed=9)[0], overwrite=True)
    assert (images.read(images.files[0]) != first).any()  # another picture now


def test_what_cannot_be_read_is_left_out(coco: Path, tmp_path: Path) -> None:
    (coco / "train2017" / "000000000001.jpg").write_text("no picture")
    images = gathered(tmp_path / "work", coco)
    assert len(images.first_readable(images.files, 7)) == 6 and len(images.unreadable) == 1
    with pytest.raises(SourceError, match="there are 6 pictures in .*coco: at least 8"):
        images.check([coco])


def test_every_25th_is_held_back(tmp_path: Path) -> None:
    images = TrainingImages(tmp_path, side=32)
    images.files = [Path(str(number)) for number in range(60)]
    assert [str(file) for file in images.held_back] == ["0", "25", "50"]
    assert len(images.training) == 57 and not set(images.training) & set(images.held_back)
