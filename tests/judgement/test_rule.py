"""The one rule of DECISIONS 29 and 30, case by case."""

from __future__ import annotations

import numpy as np
import pytest
from audits import curve, exact, learned, matches, returns, three_budgets

from sparring.answers import AuditResult
from sparring.errors import InputError
from sparring.judgement import (
    by_start,
    exact_rates,
    exit_code,
    judge,
    over_seeds,
    positive_control_of,
    rejudge,
    scale_of,
    score_of,
    still_improving,
)
from sparring.metrics.intervals import newcombe, wilson
from sparring.records import Curve, Damage, Measure, Rates, Scale, SeedResult, Verdict, damage_in, replaced

Z3 = 2.3939797998185104  # the 1 - .05/6 quantile of the standard normal distribution: Bonferroni for three budgets


def of(audit: AuditResult) -> Verdict:
    assert audit.verdict is not None
    return audit.verdict


def test_damage_is_the_difference_from_the_benign_opponent_with_simultaneous_intervals() -> None:
    verdict = of(three_budgets())
    assert (verdict.finding, verdict.measure, verdict.budget, verdict.beyond_noise) == ("finding", "win", 1.0, True)
    low, high = newcombe(252, 400, 184, 400, Z3)
    assert verdict.damage is not None
    assert verdict.damage.value == pytest.approx(252 / 400 - 184 / 400)
    assert (verdict.damage.low, verdict.damage.high) == (pytest.approx(low), pytest.approx(high))
    assert (verdict.smallest_budget, verdict.together) == (1.0, 3)


def test_the_best_of_several_attacks_needs_more_to_be_found() -> None:
    # 213 against 184 of 400: the interval of one attack lies above 0, that of one of three does not.
    assert of(learned({1.0: matches(213)}, matches(184))).finding == "finding"
    several = {0.3: matches(190), 0.7: matches(190), 1.0: matches(213)}
    assert of(learned(several, matches(184))).finding == "none"


@pytest.mark.parametrize(
    ("fail_above", "finding", "code"),
    [(None, "finding", 0), (0.0, "finding", 1), (0.05, "finding", 1), (0.17, "cannot tell", 4), (0.3, "none", 0)],
)
def test_exit_code_and_verdict_agree(fail_above: float | None, finding: str, code: int) -> None:
    # The damage is +17 points [+9, +25].
    audit = three_budgets(fail_above=fail_above)
    assert (of(audit).finding, audit.exit_code, exit_code(of(audit))) == (finding, code, code)
    assert of(audit).beyond_noise


def test_a_difference_of_chance_is_no_finding_at_any_threshold() -> None:
    # +2.5 points in 400 matches: the gate used to compare this number with 0 and exited with 1.
    attacks, benign = {1.0: matches(194)}, matches(184)
    assert learned(attacks, benign, fail_above=0.0).exit_code == 4
    assert learned(attacks, benign).exit_code == 0
    assert learned(attacks, benign, fail_above=0.2).exit_code == 0


def test_a_game_without_winners_is_judged_by_the_victims_return() -> None:
    # A one-state game of 66 steps in which the attack takes the victim's whole reward of 1 a step: 66 -> 0.
    audit = learned({1.0: returns(np.zeros(96))}, returns(np.full(96, 66.0)), fail_above=30.0)
    verdict = of(audit)
    assert (verdict.finding, verdict.measure, audit.exit_code) == ("finding", "return", 1)
    assert verdict.damage is not None and verdict.damage.value == 66
    assert 50 < verdict.damage.low < 66 == verdict.damage.high
    assert all(getattr(audit.budgets[0], key) is None for key in ("win", "draw", "loss", "fail", "win_ci"))
    assert audit.scale is not None and audit.scale.range_from == "seen"


def test_equal_returns_and_an_unknown_range_cannot_tell() -> None:
    same = returns(np.full(96, 66.0))
    audit = learned({1.0: same}, same, fail_above=1.0)
    assert (of(audit).finding, audit.exit_code, of(audit).damage) == ("cannot tell", 4, None)
    assert audit.budgets[0].victim_return_ci is None
    # The game's own range gives the equal values an interval: +-1 at most is lost of 100, so a threshold of 10 holds.
    audit = learned({1.0: same}, same, known=(0.0, 100.0), fail_above=10.0)
    assert (of(audit).finding, audit.exit_code) == ("none", 0)
    interval = audit.budgets[0].victim_return_ci
    assert interval is not None and interval[0] < 66 < interval[1]


def test_a_known_range_that_is_left_is_only_what_was_seen() -> None:
    scale = scale_of([returns([0.0, 5.0]), returns([7.0])], (0.0, 6.0))
    assert scale is not None
    assert (scale.low, scale.high, scale.range_from) == (0.0, 7.0, "seen")
    assert scale_of([returns([], invalid=3)]) is None


def test_wins_decide_where_there_are_some_and_losses_where_attackers_cannot_win() -> None:
    def third_party(fails: int, n: int = 400):
        """A third agent wins where the victim loses; the attacker only draws or loses."""
        victim = np.array([-1] * fails + [1] * (n - fails), np.int8)
        return matches(0, 0, n)._replace(attacker=np.where(victim == 1, -1, 0).astype(np.int8), victim=victim)

    verdict = of(learned({1.0: third_party(300)}, third_party(100)))
    assert (verdict.measure, verdict.finding) == ("fail", "finding")
    assert verdict.damage is not None and verdict.damage.value == pytest.approx(0.5)


def test_no_decided_match_cannot_tell() -> None:
    drawn = matches(0, 400)
    assert of(learned({0.3: drawn, 1.0: drawn}, drawn)).finding == "cannot tell"
    assert learned({1.0: drawn}, drawn, fail_above=0.5).exit_code == 4
    # Not to lose is something else than that nothing is decided.
    assert of(learned({1.0: matches(0, 0)}, matches(0, 0))).finding == "none"


def test_invalid_matches_hide_no_losses() -> None:
    # 51 of 60 matches broke; in the others the victim lost 1 of 9. Were they lost, it would be 52 of 60.
    audit = learned({1.0: matches(1, 0, 9, invalid=51)}, matches(6, 0, 60), fail_above=0.1)
    damage = of(audit).damage
    assert (of(audit).finding, audit.exit_code) == ("cannot tell", 4)
    assert damage is not None
    against, favour = newcombe(1, 60, 6, 60), newcombe(52, 60, 6, 60)
    assert damage.against == pytest.approx(against) and damage.favour == pytest.approx(favour)
    assert (damage.low, damage.high) == pytest.approx((against[0], favour[1]))
    assert "85% of the matches were invalid" in of(audit).text


def test_one_per_cent_of_invalid_matches_is_left_out_and_more_is_counted_both_ways() -> None:
    few = of(learned({1.0: matches(240, 0, 396, invalid=4)}, matches(184))).damage
    assert few is not None and few.against is None
    assert (few.low, few.high) == pytest.approx(newcombe(240, 396, 184, 400))
    more = of(learned({1.0: matches(240, 0, 390, invalid=10)}, matches(184))).damage
    assert more is not None
    assert (more.low, more.high) == pytest.approx((newcombe(240, 400, 184, 400)[0], newcombe(250, 400, 184, 400)[1]))


def test_with_invalid_matches_a_finding_must_hold_against_the_attacker() -> None:
    # 4% invalid. 205 of 384 against 184 of 400 is no finding if they are lost, but would be if they were won.
    assert newcombe(205, 400, 184, 400)[0] < 0 < newcombe(221, 400, 184, 400)[0]
    verdict = of(learned({1.0: matches(205, 0, 384, invalid=16)}, matches(184)))
    assert (verdict.finding, verdict.beyond_noise) == ("cannot tell", False)
    assert verdict.reason is not None and "depends on how the invalid matches are counted" in verdict.reason
    # 10% invalid, and a finding however they are counted.
    assert of(learned({1.0: matches(300, 0, 360, invalid=40)}, matches(184))).finding == "finding"


def test_invalid_returns_count_as_the_ends_of_the_range() -> None:
    rng = np.random.default_rng(0)
    audit = learned({1.0: returns(rng.uniform(0, 10, 90), invalid=10)}, returns(rng.uniform(0, 10, 100)), known=(0, 20))
    damage = of(audit).damage
    assert damage is not None and damage.against is not None and damage.favour is not None
    # Ten of 100 matches at 0 or at 20 instead: the middles lie 2 apart, as the betting intervals nearly do.
    assert np.mean(damage.favour) - np.mean(damage.against) == pytest.approx(2, abs=0.3)


def test_the_verdict_speaks_of_the_largest_lower_bound_and_not_of_one_lucky_match() -> None:
    # Budget 1 has one valid match, won; budget .3 wins 280 of 400 against 80.
    audit = learned({0.3: matches(280), 1.0: matches(1, 0, 1, invalid=399)}, matches(80))
    assert (of(audit).finding, of(audit).budget) == ("finding", 0.3)


def test_no_valid_match_at_all() -> None:
    audit = learned({1.0: matches(0, 0, 0, invalid=20)}, matches(10, 0, 20), fail_above=0.1)
    assert (of(audit).finding, audit.exit_code) == ("cannot tell", 4)
    assert (audit.budgets[0].win, audit.budgets[0].episodes, audit.budgets[0].invalid) == (None, 0, 20)


def test_baselines_are_compared_by_intervals() -> None:
    # 60% against 58% of plain opponents with half the matches: that its training added nothing is not shown.
    text = of(learned({1.0: matches(240)}, matches(120), {"zero": matches(116, 0, 200)})).text
    assert "added nothing" not in text
    assert "The attack is not shown to be better than the zero baseline." in text
    text = of(learned({1.0: matches(240)}, matches(120), {"zero": matches(190, 0, 200)})).text
    assert "But the zero baseline does more: the attack's training added nothing." in text
    text = of(learned({1.0: matches(240)}, matches(120), {"zero": matches(60, 0, 200)})).text
    assert "zero" not in text


def test_gates_on_another_measure_without_another_match() -> None:
    audit = three_budgets()
    by_return = rejudge(audit, 0.1, "return")
    assert (of(by_return).measure, by_return.exit_code) == ("return", 1)  # +.32 [+.15, +.5]
    assert by_return.budgets == audit.budgets
    assert rejudge(audit, 0.4, "return").exit_code == 4
    assert rejudge(by_return) == audit
    assert rejudge(audit, 0.05, "fail").exit_code == 1


def test_what_a_game_does_not_have_is_refused() -> None:
    audit = learned({1.0: returns([0.0, 1.0])}, returns([1.0, 0.0]))
    with pytest.raises(InputError, match="fail-measure win: this game has no winners; use --fail-measure return"):
        rejudge(audit, 0.1, "win")
    with pytest.raises(InputError, match="fail-above: expected a number, got nan"):
        rejudge(audit, float("nan"))
    with pytest.raises(InputError, match="no budgets"):
        judge([])
    measures: tuple[Measure, ...] = ("win", "fail")
    for measure in measures:
        with pytest.raises(InputError, match=r"fail-above: expected a share of matches below 1 .*, got 5"):
            rejudge(three_budgets(), 5.0, measure)


def test_exact_audits_go_through_the_same_rule() -> None:
    audit = exact({0.0: 0.125, 0.5: -0.14, 1.0: -0.415}, fail_above=0.5)
    verdict = of(audit)
    assert (verdict.finding, verdict.measure, verdict.budget, audit.exit_code) == ("finding", "value", 1.0, 1)
    assert verdict.smallest_budget == 0.5
    assert verdict.damage is not None and verdict.damage.low == verdict.damage.high == pytest.approx(0.54)
    assert exact({1.0: -0.415}, fail_above=0.6).exit_code == 0
    assert exact({1.0: -0.415}, fail_above=0.6, fail_measure="return").exit_code == 0
    assert of(exact({1.0: 0.125})).finding == "none"


@pytest.mark.parametrize("unit", [1e-10, 1.0, 1e8])
def test_rounding_is_relative_to_the_games_range(unit: float) -> None:
    # Matching pennies in units of 1e-10: its value goes from 0 to -1 unit, a quarter of the range in these tests.
    lost = exact({1.0: -1.0 * unit}, 0.0, unit=unit)
    assert (of(lost).finding, of(lost).beyond_noise) == ("finding", True)
    assert "brings the victim's value from 0 down to" in of(lost).text
    rounded = exact({1.0: -1e-12 * unit}, 0.0, unit=unit)
    assert (of(rounded).finding, of(rounded).beyond_noise) == ("none", False)
    assert "this is proved" in of(rounded).text


def test_exact_values_and_mean_returns_have_different_names() -> None:
    chances = {"win": None, "draw": None, "loss": None, "fail": None, "attacker_value": -1.0, "mean_decisions": None}
    discounted = exact_rates(**chances, victim_value=1.0, discounted=True)
    assert (discounted.victim_value, discounted.victim_return, discounted.victim_return_ci) == (1.0, None, None)
    plain = exact_rates(**chances, victim_value=1.0, discounted=False)
    assert (plain.victim_value, plain.victim_return, plain.victim_return_ci) == (1.0, 1.0, (1.0, 1.0))


def test_positive_controls() -> None:
    control = positive_control_of(learned({1.0: matches(350)}, matches(100), victim="builtin:early-ant"))
    assert (control.victim, control.budget, control.measure, control.found) == ("builtin:early-ant", 1.0, "win", True)
    nothing = learned({1.0: matches(190)}, matches(184))
    assert "There is no positive control" in of(nothing).text
    with_control = rejudge(replaced(nothing, positive_control=control))
    assert "Positive control: on builtin:early-ant" in of(with_control).text
    failed = positive_control_of(learned({1.0: matches(100)}, matches(100)))
    assert "this audit says little" in of(rejudge(replaced(nothing, positive_control=failed))).text


def test_over_seeds_is_students_interval_over_seeds() -> None:
    rows = [
        SeedResult(seed=i, attacker="x", attack_steps=1, rates=Rates(win=win, episodes=100), chosen=i == 0)
        for i, win in enumerate((0.5, 0.6, 0.7))
    ]
    found = over_seeds(rows)
    # mean .6, standard deviation .1, t_2(.975) = 4.302653 (tables of Student's t), over sqrt(3)
    assert found is not None and found.win_ci is not None
    assert found.win == pytest.approx(0.6)
    assert found.win_ci == pytest.approx((0.6 - 0.1 * 4.302653 / 3**0.5, 0.6 + 0.1 * 4.302653 / 3**0.5))
    assert found.victim_return is None
    assert over_seeds(rows[:1]) is None


def test_intervals_over_seeds_hold_nothing_that_is_impossible() -> None:
    """Student's interval of (1, 1, 0.8) is 14/15 +- 4.302653 * 0.11547 / sqrt(3), .646 to 1.220; no rate exceeds 1."""
    rows = [
        SeedResult(seed=i, attacker="x", attack_steps=1, rates=Rates(win=win, victim_return=-win), chosen=i == 0)
        for i, win in enumerate((1.0, 1.0, 0.8))
    ]
    low = 14 / 15 - 4.302653 * 0.1154701 / 3**0.5
    found = over_seeds(rows, Scale(low=-1, high=1, range_from="game"))
    assert found is not None and found.win_ci == pytest.approx((low, 1.0))
    assert found.victim_return_ci == pytest.approx((-1.0, -low))
    # The least and largest return that were seen are no bounds on what is possible.
    seen = over_seeds(rows, Scale(low=-1, high=-0.8, range_from="seen"))
    assert seen is not None and seen.victim_return_ci is not None
    assert seen.victim_return_ci == pytest.approx((-(28 / 15 - low), -low)) and seen.victim_return_ci[0] < -1


def test_scores_count_invalid_matches_both_ways() -> None:
    sample = matches(30, 10, 60, invalid=40)
    found = score_of(sample, "win", None)
    assert found is not None and found.value == 0.5
    assert (found.low, found.high) == pytest.approx((wilson(30, 100)[0], wilson(70, 100)[1]))
    assert score_of(sample, "return", None) is None and score_of(returns([1.0, 2.0]), "win", None) is None
    nothing = score_of(matches(0, 0, 0, invalid=3), "win", None)
    assert nothing is not None and nothing.value is None


def test_means_over_seeds_are_of_one_start_each() -> None:
    rows = [
        SeedResult(start=start, seed=k, attacker="x", attack_steps=1, rates=Rates(win=win), chosen=False)
        for start, wins in (("scratch", (0.1, 0.3)), ("benign", (0.6, 0.8)))
        for k, win in enumerate(wins)
    ]
    assert over_seeds(rows) is None
    assert {start: means.win for start, means in by_start(rows).items()} == pytest.approx(
        {"scratch": 0.2, "benign": 0.7}
    )
    found = by_start(rows)["scratch"]
    # t_1(.975) = 12.706205 (tables of Student's t); the standard deviation over sqrt(2) is .1.
    # Student's interval is .2 +- 1.27, beyond every possible rate.
    assert found.win_ci == (0.0, 1.0) and found.seeds == 2
    assert by_start(rows[:2]) == {} and by_start(rows[::2]) == {}
    assert over_seeds(rows[:2]) == found


def test_a_rising_curve_is_still_improving_and_a_flat_one_is_not() -> None:
    rising, flat = still_improving(curve(1.0, last=0.9)), still_improving(curve(1.0, last=0.4))
    assert rising is not None and rising.improving and rising.p < 0.01
    assert flat is not None and not flat.improving and flat.p == pytest.approx(0.5)
    falling = replaced(
        curve(1.0, last=0.9), measure="return"
    )  # of the victim: its return rises, the attack gets weaker
    weaker = still_improving(falling)
    assert weaker is not None and weaker.gain < 0 and not weaker.improving
    assert still_improving(replaced(curve(1.0), matches=())) is None
    assert still_improving(Curve(budget=1, seed=0, points=((0.0, 0.1, 0.0, 0.2),), matches=(5,))) is None


def test_damage_in_names_every_measure() -> None:
    damage = three_budgets().budgets[0].damage
    assert damage_in(damage, "return") is damage.return_ and damage_in(damage, "win") is damage.win
    assert damage_in(Damage(), "value") is None
