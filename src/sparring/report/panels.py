"""Several matches as the panels of one film, each with a caption and a mark where its attacker was controlled."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

MARK = (220, 40, 40)  # RGB of the border of a controlled step, and of the word that says so
CONTROLLED = "controlled"
_INK, _PAPER = (36, 41, 46), (254, 254, 254)


class Reel:
    """The pictures of one match in their order. Kept compressed: a match has hundreds, which look much alike."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] | None = None
        self._pictures: list[bytes] = []

    def add(self, picture: np.ndarray) -> None:
        """Append a picture, `uint8 [H, W, 3]`, of the size of the others."""
        assert self._shape in (None, picture.shape), "a game draws pictures of one size"
        self._shape = picture.shape
        self._pictures.append(zlib.compress(picture.tobytes(), 1))

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def shape(self) -> tuple[int, ...]:
        assert self._shape is not None, "no picture yet"
        return self._shape

    def __getitem__(self, index: int) -> np.ndarray:
        data = zlib.decompress(self._pictures[index])
        return np.frombuffer(data, np.uint8).reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Panel:
    """One match of a film."""

    name: str  # what was played, for the caption
    controlled: np.ndarray  # bool [T], whether the attacker was controlled at each step
    outcome: str  # how it ended, for the caption
    reel: Reel  # T pictures: each shows the moment in which the step begins


class SideBySide(Sequence[np.ndarray]):
    """The frames of a film, `uint8 [H, W, 3]`, of panels in rows: at most two in a row for up to four panels.

    Frame t shows step t of every match. A border around a panel says that the attacker was controlled in this step. A
    match that is over keeps its last picture, and its caption says how it ended. When all are over the film stays for
    `rest` more frames.
    """

    def __init__(self, panels: Sequence[Panel], rest: int = 0) -> None:
        self._panels = tuple(panels)
        self._columns = math.ceil(math.sqrt(len(self._panels)))
        height, width = np.max([panel.reel.shape[:2] for panel in self._panels], axis=0).tolist()
        width += width % 2  # films have even sizes; a caption has one, too
        self._size = (width, height + height % 2 + len(caption("", "", width)))  # of a panel with its caption
        self._kept: dict[int, np.ndarray] = {}
        self._length = max(len(panel.reel) for panel in self._panels) + rest

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not 0 <= index < self._length:
            raise IndexError(index)
        width, height = self._size
        rows = math.ceil(len(self._panels) / self._columns)
        frame = np.full((rows * height, self._columns * width, 3), 255, np.uint8)
        for number, panel in enumerate(self._panels):
            row, column = divmod(number, self._columns)
            self._paint(frame[row * height : (row + 1) * height, column * width : (column + 1) * width], panel, index)
        return frame

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(self._length))

    def _paint(self, cell: np.ndarray, panel: Panel, index: int) -> None:
        """Draw one panel, with its caption below it, into its white part of the frame."""
        last = len(panel.reel) - 1
        over, marked = index > last, index <= last and bool(panel.controlled[index])
        said = panel.outcome if over else CONTROLLED if marked else ""
        strip = caption(panel.name, said, self._size[0], MARK if marked else _INK)
        below = len(cell) - len(strip)
        cell[below:] = strip
        scene = cell[:below]
        picture = self._last_of(panel) if index >= last else panel.reel[index]
        top, left = ((scene.shape[axis] - picture.shape[axis]) // 2 for axis in (0, 1))
        scene[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        if marked:
            border = border_of(self._size[0])
            for side in (scene[:border], scene[-border:], scene[:, :border], scene[:, -border:]):
                side[...] = MARK

    def _last_of(self, panel: Panel) -> np.ndarray:
        """The last picture, which is shown again and again."""
        if id(panel) not in self._kept:
            self._kept[id(panel)] = panel.reel[len(panel.reel) - 1]
        return self._kept[id(panel)]


def border_of(width: int) -> int:
    """Pixels of the border that marks a step, in a panel of such a width."""
    return max(2, width // 80)


@lru_cache(maxsize=64)
def caption(name: str, said: str, width: int, colour: tuple[int, int, int] = _INK) -> np.ndarray:
    """A strip `uint8 [H, width, 3]` with a name on the left and what is said of the match on the right.

    Matplotlib writes it, which draws the figures of the report too: captions need nothing that is not there.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = max(14, width // 16)
    height += height % 2
    dpi = 100
    figure = Figure((width / dpi, height / dpi), dpi, facecolor=_shares(_PAPER))
    # A game's or policy's name may contain a dollar sign.
    look = {"fontsize": 0.5 * height * 72 / dpi, "family": "DejaVu Sans", "va": "center", "parse_math": False}
    margin = 0.5 * height / width
    figure.text(margin, 0.5, name, ha="left", color=_shares(_INK), **look)
    figure.text(1 - margin, 0.5, said, ha="right", color=_shares(colour), **look)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    strip = np.asarray(canvas.buffer_rgba())[:height, :width, :3].copy()
    strip.flags.writeable = False  # it is shared
    return strip


def _shares(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    red, green, blue = (part / 255 for part in colour)
    return red, green, blue
