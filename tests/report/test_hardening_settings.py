"""The settings on a hardening's page are those that its method reads."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

import sparring

RPS, KUHN = "matrix/rps", "openspiel/kuhn_poker"
ALWAYS = {"game", "method", "agent of the victim", "agents of the attackers", "benign opponent", "budget", "seed"}
ALWAYS |= {"the victim starts from", "iterate that is handed over"}


def settings_on(page: Path) -> dict[str, str]:
    """The table of settings on a page."""
    table = page.read_text().partition("<h2>Settings</h2>")[2].partition("</table>")[0]
    return {html.unescape(n): html.unescape(v) for n, v in re.findall("<tr><td>(.*?)</td><td>(.*?)</td></tr>", table)}


@pytest.mark.parametrize(
    ("method", "rows"),
    [
        ("self-play", set()),
        ("double-oracle", {"the attackers start from"}),
        ("fictitious-play", {"the attackers start from"}),
        ("retrain", {"the attackers start from"}),
        (
            "magnetic",
            {
                "the attackers start from",
                "learning rate of the victim",
                "the step size falls as (t + 1) to the power of minus",
                "temperature at the start",
                "the temperature falls as (t + 1) to the power of minus",
            },
        ),
    ],
)
def test_a_method_that_is_computed_shows_what_it_reads(method: Any, rows: set[str], tmp_path: Path) -> None:
    sparring.defend(RPS, method=method, updates=3, budget=0.5, out=str(tmp_path / "run"))
    shown = settings_on(tmp_path / "run" / "report.html")
    assert set(shown) == ALWAYS | {"updates"} | rows
    assert (shown["budget"], shown["benign opponent"], shown["the victim starts from"]) == ("0.5", "uniform", "uniform")
    assert (shown["updates"], shown["agent of the victim"], shown["agents of the attackers"]) == ("3", "row", "col")
    if rows:
        start = "the best response to the victim" if method == "retrain" else "uniform"
        assert shown["the attackers start from"] == start


@pytest.mark.slow
def test_gradients_have_two_directions_in_trees_alone(tmp_path: Path) -> None:
    for i, (game, direction) in enumerate(((RPS, None), (KUHN, "true"))):
        given = {"direction": direction} if direction else {}
        sparring.defend(game, method="two-timescale", ratio=4, updates=3, out=str(tmp_path / f"{i}"), **given)
        shown = settings_on(tmp_path / f"{i}" / "report.html")
        assert shown.get("direction of the gradients") == direction
        assert shown["the attackers' learning rate over the victim's"] == "4"


@pytest.mark.slow
def test_networks_have_a_learner_and_no_updates(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"oracle": "learned", "method": "regularised", "steps": 64, "num_games": 16}
    sparring.defend(RPS, **asked, out=str(tmp_path / "run"))
    shown = settings_on(tmp_path / "run" / "report.html")
    more = {"the attackers start from", "learner", "steps of all matches together", "learning rate of the victim"}
    assert set(shown) == ALWAYS | more | {"weight of the magnet", "matches side by side"}
    assert (shown["learner"], shown["weight of the magnet"]) == ("a2c", "0.1")
