# Benchmarks are programs beside the package: the tests put their folder on the path themselves.
# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from pathlib import Path

import opengl
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import clips


@pytest.mark.slow
def test_a_film_is_timed() -> None:
    opengl.needed()
    assert clips.films((1.0,))() > 0


@pytest.mark.parametrize(("met", "end"), [(True, "limit 4"), (False, "MISSED")])
def test_figures_are_compared_with_their_limits(met: bool, end: str) -> None:
    said = clips.report({"best": {"draw": 0.25, "panel": 0.5}, "ratio": 2.0, "met": met})
    assert "panel: 0.50 s of CPU" in said and said.endswith(end)
