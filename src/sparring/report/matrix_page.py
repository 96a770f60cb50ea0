"""Pages about a matrix: one heat map and tables, in one HTML file that needs no network and no script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sparring.report import plots
from sparring.report.templates import rendered, shell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST = 44  # characters of a name in the figure; the tables have all of it


class Table(NamedTuple):
    """A table of a page: `rows` of as many texts as `head` has."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


class Heat(NamedTuple):
    """What is drawn: a number and its text for every row and column; None where there is no number."""

    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    texts: Sequence[Sequence[str]]
    row_label: str
    column_label: str
    unit: str  # what the numbers are
    ends: tuple[float, float] | None = None  # of the colours; None: the least and the largest number
    harm_is_low: bool = False  # the victim is worse off where the number is low


def page_of(
    name: str,
    eyebrow: str,
    title: str,
    lines: Sequence[str],
    heat: Heat,
    tables: Sequence[Table],
    commands: Sequence[str],
    earlier: Sequence[str] = (),
) -> tuple[str, str]:
    """The page as HTML, and its figure as SVG; the same arguments give the same text.

    Args:
      name: of the figure; figures of one page have different names.
      eyebrow: what kind of page it is.
      title: its title.
      lines: the finding, one sentence or more a line.
      heat: the figure.
      tables: what stands below it.
      commands: what makes it again.
      earlier: what made the audits that these commands read.
    """
    from markupsafe import Markup

    figure = heat_figure(name, title, eyebrow, heat)
    values = {
        "eyebrow": eyebrow,
        "title": title,
        "lines": lines,
        "figure": Markup(plots.on_page(figure)),
        "unit": heat.unit,
        "tables": tables,
        "commands": [shell(command) for command in commands],
        "earlier": [shell(command) for command in earlier],
    }
    return rendered("matrix.html.j2", values), figure


def heat_figure(name: str, title: str, caption: str, heat: Heat) -> str:
    """A shaded table, darker where the victim is worse off: an SVG whose size goes with the number of cells."""

    def draw(figure: Figure) -> None:
        import matplotlib
        import numpy as np

        axes = figure.add_subplot()
        values = np.array([[np.nan if value is None else value for value in row] for row in heat.values], float)
        known = values[np.isfinite(values)]
        least, most = heat.ends or ((float(known.min()), float(known.max())) if len(known) else (0.0, 1.0))
        most = most if most > least else least + 1.0
        shades = matplotlib.colormaps["Oranges_r" if heat.harm_is_low else "Oranges"]
        image = axes.imshow(values, vmin=least, vmax=most, cmap=shades, aspect="auto")
        for i, texts in enumerate(heat.texts):
            for j, text in enumerate(texts):
                place = (values[i, j] - least) / (most - least)
                dark = (1 - place if heat.harm_is_low else place) > 0.6
                axes.annotate(text, (j, i), ha="center", va="center", color="white" if dark else "black")
        axes.set_xticks(range(len(heat.columns)), [_short(column) for column in heat.columns], rotation=20, ha="right")
        axes.set_yticks(range(len(heat.rows)), [_short(row) for row in heat.rows])
        axes.set_xlabel(heat.column_label)
        axes.set_ylabel(heat.row_label)
        axes.spines[:].set_visible(False)
        axes.grid(visible=False)
        figure.colorbar(image, shrink=0.9, label=heat.unit)

    return plots.svg(name, title, caption, 420 + 150 * len(heat.columns), 240 + 60 * len(heat.rows), draw)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"...{name[3 - _LONGEST :]}"
