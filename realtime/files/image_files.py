"""Which image files make a film: numbered by a pattern such as frames/%05d.png, or of a folder."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from impasto.models.errors import SourceError
from impasto.realtime.files.image_encoding import WRITABLE_SUFFIXES
from impasto.realtime.files.images import IMAGE_SUFFIXES, images_in

_NUMBER = re.compile(r"%(?:0?(\d+))?d")
_NAMED_RUNS = 6  # in a note


@dataclass(frozen=True)
class ImageFiles:
    """The files of a sequence by their numbers, in order; `name` is that of the pattern or folder.

    is_numbered: the numbers are in the file names and count the frames, so a gap takes time.
    gaps: numbers between the first and the last that have no file.
    """

    name: str
    paths: dict[int, Path]
    is_numbered: bool
    gaps: tuple[range, ...]

    @property
    def first(self) -> int:
        """The number of the first picture."""
        return next(iter(self.paths))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class NumberPattern:
    """A file name with a number in it, as printf and FFmpeg write it: %d, %5d or %05d.

    digits: the least number of digits, filled up with zeros; 1 for %d.
    """

    folder: Path
    before: str
    digits: int
    after: str

    def path(self, number: int) -> Path:
        """The file with this number."""
        return self.folder / f"{self.before}{number:0{self.digits}d}{self.after}"

    def files(self) -> dict[int, Path]:
        """The files that fit, by number, in order; none where there is no such folder."""
        if not self.folder.is_dir():
            return {}
        shape = re.compile(rf"{re.escape(self.before)}(\d+){re.escape(self.after)}")
        found = ((shape.fullmatch(path.name), path) for path in self.folder.iterdir())
        numbered = [(int(match[1]), path) for match, path in found if match]
        # %d also reads files whose numbers are filled up; others have to fit exactly.
        return {
            number: path
            for number, path in sorted(numbered)
            if self.digits == 1 or path.name == self.path(number).name
        }

    def __str__(self) -> str:
        shown = "%d" if self.digits == 1 else f"%0{self.digits}d"
        return str(self.folder / f"{self.before}{shown}{self.after}")


def number_pattern(path: str | Path) -> NumberPattern | None:
    """The pattern in the name of image files such as frames/%05d.png; None if there is none.

    A file of exactly that name is no pattern. "%%" stands for a percent sign.
    """
    path = Path(path)
    parts = path.name.replace("%%", "\0")
    match = _NUMBER.search(parts)
    if match is None or path.suffix.lower() not in IMAGE_SUFFIXES or path.exists():
        return None
    before, after = (part.replace("\0", "%") for part in _NUMBER.split(parts, 1)[::2])
    return NumberPattern(path.parent, before, int(match[1] or 1), after)


def is_sequence_target(path: Path) -> bool:
    """Whether a name to write to is that of numbered pictures."""
    return path.suffix.lower() in WRITABLE_SUFFIXES and number_pattern(path) is not None


def check_sequence_source(source: str) -> None:
    """Raise SourceError for a pattern of files that are not read as pictures: frames/%04d.exr."""
    path = Path(source)
    is_pattern = _NUMBER.search(path.name) is not None and not path.exists()
    if is_pattern and path.suffix and path.suffix.lower() not in IMAGE_SUFFIXES:
        usable = ", ".join(IMAGE_SUFFIXES)
        raise SourceError(f"pictures in sequence cannot be {path.suffix}: convert them to {usable}")


def numbered_images(pattern: NumberPattern) -> ImageFiles:
    """The files of a pattern. Raises SourceError if there are none."""
    paths = pattern.files()
    if not paths:
        raise SourceError(f"no file matches {pattern}: check the folder and the digits")
    return ImageFiles(str(pattern), paths, is_numbered=True, gaps=_gaps(paths))


def images_as_film(paths: Sequence[Path], name: str) -> ImageFiles:
    """Pictures as they come, each one frame. Raises SourceError if there are none.

    Where their names differ by one number alone, those between that are missing are known; times
    of day in file names, which leave out most numbers, are not taken for that.
    """
    if not paths:
        raise SourceError(f"no file matches {name}")
    names = [re.fullmatch(r"(.*?)(\d+)(\D*)", path.name) for path in paths]
    gaps: tuple[range, ...] = ()
    if len({(match[1], match[3]) if match else () for match in names}) == 1:
        gaps = _gaps(int(match[2]) for match in names if match)
    gaps = gaps if sum(map(len, gaps)) < len(paths) else ()
    return ImageFiles(name, dict(enumerate(paths)), is_numbered=False, gaps=gaps)


def _gaps(numbers: Iterable[int]) -> tuple[range, ...]:
    """The numbers from the first to the last that are not among these."""
    return tuple(range(a + 1, b) for a, b in pairwise(sorted(numbers)) if b > a + 1)


def folder_as_film(folder: Path) -> ImageFiles:
    """The pictures of a folder, "frame10" after "frame9". Raises SourceError if it has none."""
    return images_as_film(images_in(folder), str(folder))


def in_words(runs: Sequence[range]) -> str:
    """Numbers for a note: "4 to 6, 9"."""
    named = [f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    more = len(named) - _NAMED_RUNS
    return ", ".join(named[:_NAMED_RUNS]) + (f" and {more} more" if more > 0 else "")


def runs_of(numbers: Iterable[int]) -> list[range]:
    """Numbers as runs without gaps, in order."""
    runs: list[range] = []
    for number in sorted(numbers):
        if runs and number == runs[-1].stop:
            runs[-1] = range(runs[-1].start, number + 1)
        else:
            runs.append(range(number, number + 1))
    return runs
