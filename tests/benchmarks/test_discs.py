# Benchmarks are programs beside the package: the tests put their folder on the path themselves.
# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import discs


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_all_seeds_count(seeds: int) -> None:
    done = discs.train_both(seeds, 1)
    assert done["steps"] == seeds * 128 * 64 and done["seconds"] > 0
