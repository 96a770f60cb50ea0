from __future__ import annotations

from typing import Any

import pytest

from sparring.errors import InputError
from sparring.report.schema import check, check_exact, is_exact


def test_a_complete_audit_passes_unchanged(audit: Any) -> None:
    assert check(audit) is audit


def test_every_required_key_is_missed(audit: Any) -> None:
    optional = {"no_clip"}
    for key in audit.keys() - optional:
        with pytest.raises(InputError, match=f"the audit lacks '{key}'"):
            check({name: value for name, value in audit.items() if name != key})
    check({name: value for name, value in audit.items() if name not in optional})
    for key in list(audit["budgets"][1]):
        short = {name: value for name, value in audit["budgets"][1].items() if name != key}
        with pytest.raises(InputError, match=rf"budgets\[1\] lacks '{key}'"):
            check({**audit, "budgets": [audit["budgets"][0], short]})


def test_what_is_wrong_is_named(audit: Any) -> None:
    def refused(change: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            check({**audit, "budgets": [audit["budgets"][0] | change]})

    refused({"win": 1.2}, r"budgets\[0\]\.win: expected a rate in \[0, 1\]")
    refused({"win": None}, r"budgets\[0\]\.win: expected a rate")
    refused({"loss_ci": [0.1]}, r"budgets\[0\]\.loss: expected a rate")
    refused({"episodes": 0}, r"budgets\[0\]\.episodes: expected at least one match, got 0")
    refused({"baselines": {}}, r"budgets\[0\]\.baselines lacks 'benign'")
    refused({"baselines": {"benign": {"win": 1}}}, r"budgets\[0\]\.baselines\.benign lacks 'attacker_return'")
    refused({"baselines": [1]}, r"budgets\[0\]\.baselines: expected a JSON object, got list")
    refused({"victim_return": None}, r"budgets\[0\]\.victim_return: expected a number, got None")
    refused({"budget": "1"}, r"budgets\[0\]\.budget: expected a number, got '1'")
    with pytest.raises(InputError, match="the audit's 'settings': expected a dict, got list"):
        check({**audit, "settings": []})
    with pytest.raises(InputError, match="the audit has no budgets"):
        check({**audit, "budgets": []})
    with pytest.raises(InputError, match=r"curves\[0\] lacks 'points'"):
        check({**audit, "curves": [{"budget": 1, "seed": 0}]})


def test_exact_audits_are_a_kind_of_their_own(audit: Any, exact_audit: Any) -> None:
    assert is_exact(exact_audit) and not is_exact(audit)
    assert check_exact(exact_audit) is exact_audit
    with pytest.raises(InputError, match=r"budgets\[0\] lacks"):
        check(exact_audit | {"curves": []})
    for key in exact_audit:
        with pytest.raises(InputError, match=f"the audit lacks '{key}'"):
            check_exact({name: value for name, value in exact_audit.items() if name != key})
    first = exact_audit["budgets"][0]
    for key in first:
        with pytest.raises(InputError, match=rf"budgets\[0\] lacks '{key}'"):
            check_exact({**exact_audit, "budgets": [{n: v for n, v in first.items() if n != key}]})


def test_an_exact_game_may_have_no_winner(exact_audit: Any) -> None:
    none = {f"{key}{suffix}": None for key in ("win", "draw", "loss") for suffix in ("", "_ci")}
    for result in exact_audit["budgets"]:
        result |= none
    check_exact(exact_audit)
    for change, message in (
        ({"expl": None}, r"budgets\[0\]\.expl: expected a number"),
        ({"win": 1.5}, r"budgets\[0\]\.win: expected a probability or null, got 1.5"),
        ({"baselines": {}}, r"budgets\[0\]\.baselines lacks 'benign'"),
    ):
        with pytest.raises(InputError, match=message):
            check_exact({**exact_audit, "budgets": [exact_audit["budgets"][0] | change]})
