"""A folder of paintings in a live session: a new one is gone over to once it is complete."""

from pathlib import Path

import pytest

from impasto.realtime.files.images import write_image
from impasto.realtime.live.controls import Controls
from impasto.realtime.live.loop import NoWindow
from impasto.realtime.live.style_folder import StyleFolder
from tests.pictures import make_pictures

PICTURE = make_pictures(1, 40, 60)[0]


class Session:
    """A folder with one painting, looked at every second."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        write_image(folder / "first.png", PICTURE)
        self.folder, self.styles, self.now = folder, [str(folder / "first.png")], 0.0
        self.screen = StyleFolder(NoWindow(), folder, self.styles, clock=lambda: self.now)
        self.controls = Controls()

    def look(self) -> str:
        self.now += 1
        self.controls = self.screen.read_input(self.controls)
        return Path(self.styles[self.controls.style]).name


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path / "paintings")


def test_a_new_painting_is_gone_over_to(session: Session) -> None:
    assert session.look() == "first.png"
    write_image(session.folder / "second.png", PICTURE)
    assert [session.look(), session.look(), session.look()] == ["first.png", *2 * ["second.png"]]
    assert len(session.styles) == 2


def test_one_that_is_being_written_is_waited_for(session: Session) -> None:
    growing = session.folder / "growing.png"
    for size in range(3):
        growing.write_bytes(b"x" * size)
        assert session.look() == "first.png"
    assert session.look() == "growing.png"


def test_between_looks_nothing_is_read(session: Session) -> None:
    session.look()
    write_image(session.folder / "second.png", PICTURE)
    session.look()
    session.now -= 0.9
    assert session.look() == "first.png"


def test_a_folder_that_is_emptied_or_gone_ends_nothing(session: Session) -> None:
    (session.folder / "first.png").unlink()
    assert session.look() == "first.png"
    session.folder.rmdir()
    assert session.look() == "first.png"
