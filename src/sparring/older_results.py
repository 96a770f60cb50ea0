"""Audits of the first version, which had no `schema`, as JSON objects of today's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sparring.errors import InputError
from sparring.metrics.intervals import newcombe, simultaneous, z_of
from sparring.records import BENIGN, EXACT, LEARNED

_RATES = ("win", "draw", "loss")
_LATER = ("agents", "victims", "reward", "scale", "verdict", "exit_code")  # what no audit of the first version had
_KEPT = ("game", "victim", "victim_seat", "benign", "seed", "command", "versions", "settings", "wall_time_s")


class Old(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit of the first version surely had."""

    game: str
    victim: str
    victim_seat: int
    benign: str
    seed: int
    command: str
    versions: dict[str, str]
    settings: dict[str, Any]
    wall_time_s: float
    not_tested: tuple[str, ...]
    budgets: tuple[dict[str, Any], ...]
    oracle: str = LEARNED  # only exact audits had it
    attackers: tuple[int, ...] = ()
    curves: tuple[dict[str, Any], ...] = ()
    clip: str | None = None
    no_clip: str | None = None


def audit_of_version_1(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The audit as an object of `sparring.audit/2`, without a verdict.

    Damage in wins is computed anew from the counts. Learned audits kept no returns of single matches, so their damage
    in returns is null. The victim's losses (`fail`) are the attacker's wins: there were two agents with one winner.

    Raises:
      InputError: it does not look like one, or a field is missing or of another type.
    """
    _check(data, name)
    try:
        old = msgspec.convert(data, Old)
        exact = old.oracle == EXACT
        results = [_budget(result, exact, len(old.budgets)) for result in old.budgets]
    except msgspec.ValidationError as error:
        raise InputError(f"{name}: {error}: it was written by another program, or by hand") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{name}: a budget lacks {error}: it was written by another program, or by hand") from None
    return {
        "schema": "sparring.audit/2",
        **{key: data[key] for key in _KEPT},
        "victims": [old.victim_seat],
        "attackers": list(old.attackers or (1 - old.victim_seat,)),
        "oracle": EXACT if exact else LEARNED,
        "reward": {"weights": {"the victim": -1.0}},
        "scale": _scale(results) if exact else None,
        "budgets": results,
        "curves": list(old.curves),
        "not_tested": list(old.not_tested),
        "train_game": old.settings.get("train_game"),
        "control": old.settings.get("control", "step"),
        "clip": old.clip,
        "no_clip": old.no_clip,
    }


def _check(data: Mapping[str, Any], name: str) -> None:
    """Refuse a file that lost its schema, or never had to do with audits.

    Raises:
      InputError: it lacks what the first version had, or has what only later ones have.
    """
    lacking = [field.name for field in msgspec.structs.fields(Old) if field.required and field.name not in data]
    later = [key for key in _LATER if key in data]
    if not lacking and not later:
        return
    why = f"has {later[0]}, which these do not have" if later else f"has no {lacking[0]}"
    raise InputError(
        f"{name} has no schema, as only audits of sparring's first version have none, and it is no such audit: it "
        f"{why}; give a file as sparring wrote it"
    )


def _budget(result: Mapping[str, Any], exact: bool, together: int) -> dict[str, Any]:
    plain = {name: rates for name, rates in result["baselines"].items() if name != BENIGN}
    benign = result["baselines"][BENIGN]
    return {
        **{key: value for key, value in result.items() if key not in ("oracle", "baselines", "mean_length")},
        **_rates(result, exact),
        "baselines": {name: _rates(rates, exact) for name, rates in result["baselines"].items()},
        "damage": _damage(result, benign, exact, together),
        "versus": {name: _damage(result, rates, exact, together * len(plain)) for name, rates in plain.items()},
        "shift_measure": "total variation" if exact else "wasserstein-2",
    }


def _rates(rates: Mapping[str, Any], exact: bool) -> dict[str, Any]:
    found = {key: rates[key] for name in _RATES for key in (name, f"{name}_ci")}
    found |= {"fail": rates["win"], "fail_ci": rates["win_ci"]}
    found |= {key: rates[key] for key in ("episodes", "invalid")}
    found["mean_decisions" if exact else "mean_length"] = rates["mean_length"]
    if exact:  # the same key meant a discounted value here (DECISIONS 32)
        returns = {f"{side}_return{end}": None for side in ("victim", "attacker") for end in ("", "_ci")}
        return found | returns | {f"{side}_value": rates[f"{side}_return"] for side in ("victim", "attacker")}
    return found | {
        f"{side}_return{end}": rates[f"{side}_return{end}"] for side in ("victim", "attacker") for end in ("", "_ci")
    }


def _damage(ours: Mapping[str, Any], theirs: Mapping[str, Any], exact: bool, together: int) -> dict[str, Any]:
    if exact:
        value = theirs["victim_return"] - ours["victim_return"]
        win = None if ours["win"] is None else _difference(ours["win"] - theirs["win"])
        return {"win": win, "fail": win, "value": _difference(value)}
    counts = [(round(rates["win"] * rates["episodes"]), rates["episodes"]) for rates in (ours, theirs)]
    ends = newcombe(*counts[0], *counts[1], z_of(simultaneous(together)))
    win = _difference(ours["win"] - theirs["win"], *ends)
    return {"win": win, "fail": win}


def _difference(value: float, low: float | None = None, high: float | None = None) -> dict[str, float]:
    return {"value": value, "low": value if low is None else low, "high": value if high is None else high}


def _scale(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The range of the values in the audit: the game's own was not kept."""
    values = [rates["victim_value"] for result in results for rates in (result, *result["baselines"].values())]
    return {"low": min(values, default=0.0), "high": max(values, default=0.0), "range_from": "seen"}
