"""What is said of how visible an attack is."""

from __future__ import annotations

from sparring.judgement.seen import seen_line
from sparring.visibility import Area, Online, Visibility

ONLINE = Online(
    view="state",
    statistic="cusum",
    alpha=0.01,
    certified="",
    false_alarms=0.013,
    false_alarms_ci=(0.0, 0.1),
    benign_matches=100,
    caught=0.35,
    caught_ci=(0.3, 0.4),
    attacked_matches=100,
    steps=None,
    in_time=None,
)


def test_what_is_told_and_what_is_not() -> None:
    floor = Area(value=0.5, low=0.45, high=0.55)
    plain = Visibility(auc_match=Area(value=0.95, low=0.9, high=0.99, p=0.025), auc_floor=floor, online=(ONLINE,))
    assert seen_line(plain, "budget 1") == (
        "budget 1: whoever knows this attacker tells its whole matches from benign ones (AUC 0.95 [0.90, 0.99], benign "
        "against benign 0.50). While they are played, a detector catches 35% of its matches, with 1.3% false alarms."
    )
    hidden = Visibility(auc_match=Area(value=0.52, low=0.46, high=0.58, p=0.4))
    assert "are not told from benign ones" in seen_line(hidden, "budget 0.3")
    # An interval beyond chance, but a permutation test that does not agree.
    doubtful = Visibility(auc_match=Area(value=0.56, low=0.51, high=0.61, p=0.2))
    assert "are not told from benign ones" in seen_line(doubtful, "budget 0.3")
    assert (
        seen_line(Visibility(reason="n is too small"), "x")
        == "x: no classifier looked at whole matches (n is too small)."
    )
