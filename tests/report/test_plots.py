from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
from audits import curve, exact, learned, matches, returns, three_budgets

from sparring.answers import AuditResult
from sparring.records import replaced
from sparring.report import plots


def drawn(audit: AuditResult) -> dict[str, str]:
    assert audit.verdict is not None
    return plots.figures(audit, audit.verdict)


def test_figures_are_well_formed_and_the_same_every_time() -> None:
    audit = three_budgets()
    found = drawn(audit)
    assert found.keys() == {"damage", "curves"} and found == drawn(audit)
    for svg in found.values():
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
        assert "date" not in svg.lower()


def test_the_figures_of_a_page_share_no_clip_path() -> None:
    seen: set[str] = set()
    for svg in drawn(three_budgets()).values():
        root = ElementTree.fromstring(svg)
        found = {element.attrib["id"] for element in root.iter("{http://www.w3.org/2000/svg}clipPath")}
        assert not seen & found
        seen |= found


def test_the_damage_figure_shows_budgets_names_and_damage() -> None:
    svg = plots.damage_figure(three_budgets(), "win")
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


def test_without_winners_the_figure_shows_the_victims_return() -> None:
    rng = np.random.default_rng(0)
    attacks, benign = (
        {0.5: returns(rng.normal(64, 8, 96)), 1.0: returns(rng.normal(20, 8, 96))},
        returns(np.full(96, 66)),
    )
    falling = replaced(curve(1.0), measure="return")
    audit = learned(attacks, benign, curves=(falling,))
    found = drawn(audit)
    assert "mean return of the victim" in found["damage"] and ">50%<" not in found["damage"]
    assert found["damage"].count("damage +") == 1  # at budget 1 alone
    for tick in (">20<", ">60<"):  # the axis holds what is shown
        assert tick in found["damage"]
    assert "return while training" in found["curves"]


def test_one_budget_and_odd_names_are_fine() -> None:
    name = "a$b$ <script> & \\frac_x^2"
    audit = learned({1.0: matches(0, 0, 20)}, matches(10, 0, 20), game=name)
    for svg in drawn(audit).values():
        assert not list(ElementTree.fromstring(svg).iter("script"))
    assert "a$b$ &lt;script&gt; &amp; \\frac_x^2" in drawn(audit)["damage"]


def test_what_was_not_measured_has_no_figure() -> None:
    audit = three_budgets(curves=(replaced(curve(1.0), points=(), matches=()),))
    assert drawn(audit).keys() == {"damage"}


def test_on_a_page_a_figure_takes_the_page_s_colours() -> None:
    svg = plots.damage_figure(three_budgets(), "fail")
    assert "losses of the victim" in svg
    assert plots.INK in svg
    assert plots.PAPER in svg
    page = plots.on_page(svg)
    assert page.startswith("<svg")
    assert plots.INK not in page
    assert plots.PAPER not in page
    assert "currentColor" in page


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.damage_figure(three_budgets(), "win")
    assert dict(matplotlib.rcParams) == before


def test_the_module_itself_loads_no_matplotlib() -> None:
    code = "import sys, sparring.report.html, sparring.report.video; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "jinja2", "av", "PIL", "jax"} & set(loaded)


def test_the_figures_of_an_exact_audit() -> None:
    found = drawn(exact({0.5: -0.14, 1.0: -0.415}))
    assert found.keys() == {"exploitability", "shift"}
    for svg in found.values():
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    svg = found["exploitability"]
    for text in ("most robust victim", "first opponent", "openspiel/kuhn_poker", "0.5"):
        assert text in svg


def test_the_figure_of_a_defence_has_the_optimum_and_plain_numbers() -> None:
    svg = plots.defence_figure({"last": [[0, 0.4], [1, 0.2], [1000, 0.1]]}, 0.05, "Hardening", "a game")
    for text in ("most robust victim", "last", ">1000<"):
        assert text in svg
    assert "mathdefault" not in svg
