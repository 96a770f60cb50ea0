from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from audits import matches, returns

from sparring.errors import InputError
from sparring.matches import Evaluation, read_matches, write_matches


def test_matches_are_read_as_they_were_written(tmp_path: Path) -> None:
    made = [
        Evaluation("benign", 0.0, 0, matches(3, 2, 10, invalid=1)),
        Evaluation('attack, budget "0.3"', 0.3, 17, matches(7, 0, 10)),
    ]
    path = write_matches(tmp_path / "matches.csv", made)
    assert path.read_text().splitlines()[0] == (
        "evaluation,match,attacker_outcome,victim_outcome,length,invalid,budget,seed,attacker_return,victim_return,"
        "return.ant0,return.ant1"
    )
    assert len(path.read_text().splitlines()) == 1 + 11 + 10
    found = read_matches(path)
    for ours, theirs in zip(found, made, strict=True):
        assert ours[:3] == theirs[:3]
        for a, b in zip(ours.sample[:6], theirs.sample[:6], strict=True):
            first, second = np.asarray(a), np.asarray(b)
            assert np.array_equal(first, second) and first.dtype == second.dtype
        assert {k: v.tolist() for k, v in ours.sample.returns.items()} == {
            k: v.tolist() for k, v in theirs.sample.returns.items()
        }


def test_a_game_without_winners_has_empty_outcomes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=5) * 1e-7
    path = write_matches(tmp_path / "matches.csv", [Evaluation("benign", 0.0, 0, returns(values))])
    (found,) = read_matches(path)
    assert found.sample.attacker is None and found.sample.victim is None
    assert found.sample.victim_return.tolist() == values.tolist()  # to the last bit


def test_what_cannot_be_written_or_read_is_said(tmp_path: Path) -> None:
    one = Evaluation("benign", 0.0, 0, matches(1, 0, 2))
    with pytest.raises(InputError, match="same label"):
        write_matches(tmp_path / "matches.csv", [one, one])
    with pytest.raises(InputError, match="no evaluations"):
        write_matches(tmp_path / "matches.csv", [])
    with pytest.raises(InputError, match="expected the agents ant0, ant1"):
        other = one.sample._replace(returns={"a": np.zeros(2)})
        write_matches(tmp_path / "matches.csv", [one, one._replace(label="x", sample=other)])
    assert list(tmp_path.iterdir()) == []
    path = write_matches(tmp_path / "matches.csv", [one])
    text = path.read_text()
    for change, message in (
        (text.replace("victim_outcome", "victim"), "expected the columns evaluation"),
        (text + "benign,3\n", "line 4: expected 12 entries, got 2"),
        (text.replace(",200,", ",long,", 1), "an entry is no number"),
        ("", "no table of matches"),
    ):
        path.write_text(change)
        with pytest.raises(InputError, match=message):
            read_matches(path)
