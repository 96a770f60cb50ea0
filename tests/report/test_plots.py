from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from sparring.report import plots

FIGURES = (plots.damage_figure, plots.curves_figure, plots.shift_figure)


@pytest.mark.parametrize("draw", FIGURES)
def test_figures_are_well_formed_and_the_same_every_time(draw: Any, audit: Any) -> None:
    svg = draw(audit)
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert svg == draw(audit)
    assert "date" not in svg.lower()


def test_the_figures_of_a_page_share_no_clip_path(audit: Any) -> None:
    seen: set[str] = set()
    for draw in FIGURES:
        root = ElementTree.fromstring(draw(audit) or "")
        found = {element.attrib["id"] for element in root.iter("{http://www.w3.org/2000/svg}clipPath")}
        assert not seen & found
        seen |= found


def test_the_damage_figure_shows_budgets_names_and_damage(audit: Any) -> None:
    svg = plots.damage_figure(audit)
    for text in ("0.25", "0.5", "attacker", "benign opponent", "random opponent", "zero opponent", "400 matches"):
        assert text in svg
    # Only budget 1 is beyond the noise: 63% against 46%.
    assert svg.count(" pts") == 1
    assert "+17 pts" in svg
    assert ElementTree.fromstring(svg).attrib["viewBox"] == "0 0 675 315"  # 900 x 420 pixels in points


def test_the_matrix_shows_every_rate_that_there_is() -> None:
    svg = plots.matrix_figure(["ant", "bug"], [[0.5, 0.124], [float("nan"), 0.95]], "Who beats whom", "400 matches")
    for text in ("ant", "bug", ">50<", ">12<", ">95<", "400 matches"):
        assert text in svg
    assert ">nan<" not in svg


def test_one_budget_and_odd_names_are_fine(audit: Any) -> None:
    audit["budgets"] = audit["budgets"][:1]
    audit["game"] = "a$b$ <script> & \\frac_x^2"
    audit["budgets"][0] |= {"win": 0.0, "win_ci": [0.0, 0.01], "shift_noise_floor": None}
    for draw in FIGURES:
        root = ElementTree.fromstring(draw(audit) or "")
        assert not list(root.iter("script"))
    assert "a$b$ &lt;script&gt; &amp; \\frac_x^2" in plots.damage_figure(audit)


def test_what_was_not_measured_has_no_figure(audit: Any) -> None:
    audit["curves"] = [{"budget": 1, "seed": 0, "points": []}]
    assert plots.curves_figure(audit) is None
    for result in audit["budgets"]:
        result["shift"] = None
    assert plots.shift_figure(audit) is None


def test_on_a_page_a_figure_takes_the_page_s_colours(audit: Any) -> None:
    svg = plots.damage_figure(audit)
    assert plots.INK in svg
    assert plots.PAPER in svg
    page = plots.on_page(svg)
    assert page.startswith("<svg")
    assert plots.INK not in page
    assert plots.PAPER not in page
    assert "currentColor" in page


def test_drawing_leaves_matplotlib_as_it_was(audit: Any) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.damage_figure(audit)
    assert dict(matplotlib.rcParams) == before


def test_the_module_itself_loads_no_matplotlib() -> None:
    code = "import sys, sparring.report.html, sparring.report.video; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "jinja2", "av", "PIL", "jax"} & set(loaded)


def test_the_figures_of_an_exact_audit(exact_audit: Any) -> None:
    for draw in (plots.exploitability_figure, plots.exact_shift_figure):
        svg = draw(exact_audit)
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
        assert svg == draw(exact_audit)
    svg = plots.exploitability_figure(exact_audit)
    for text in ("most robust victim", "first opponent", "openspiel/kuhn_poker", "0.5"):
        assert text in svg


def test_the_figure_of_a_defence_has_the_optimum_and_plain_numbers() -> None:
    svg = plots.defence_figure({"last": [[0, 0.4], [1, 0.2], [1000, 0.1]]}, 0.05, "Hardening", "a game")
    for text in ("most robust victim", "last", ">1000<"):
        assert text in svg
    assert "mathdefault" not in svg
