"""The settings that a hardening has read, in words: no others, and those that were left to a default as well."""

from __future__ import annotations

from typing import Any

from sparring.answers import DefendResult
from sparring.console import number
from sparring.oracles.hardening import GRADIENT, LEARNER, NUM_GAMES
from sparring.oracles.options import PRESETS
from sparring.oracles.population import ITERATIONS
from sparring.records import EXACT, benign_name

Rows = list[tuple[str, Any]]
UPDATED = ("two-timescale", "single-timescale", "regularised", "self-play", "fictitious-play")  # read attacker-rounds
# In games that can only be simulated: what is shown where it was given.
GIVEN = {
    "train_game": "game of the training",
    "reward": "reward of the attackers",
    "num_games": "matches side by side",
    "steps_per_round": "steps of each match between two updates",
    "epochs": "PPO: passes over each round's steps",
    "minibatch": "PPO: steps per gradient step",
}


def settings_of(record: DefendResult) -> list[tuple[str, str]]:
    """What was read, as names and values in words; what is None was not read."""
    rows: Rows = [
        ("game", record.game),
        ("method", record.method),
        ("agent of the victim", _agents(record, record.victims or (record.victim_seat,))),
        ("agents of the attackers", _agents(record, record.attackers)),
        ("benign opponent", benign_name(record.benign, record.victim)),
        ("remaining agents", record.others),
    ]
    rows += _enumerated(record) if record.expl is not None else _simulated(record)
    rows.append(("seed", record.seed))
    return [(name, _shown(value)) for name, value in rows if value is not None]


def _enumerated(record: DefendResult) -> Rows:
    given, method, exact = record.settings, record.method, record.oracle == EXACT
    rated, decay = not exact or method in GRADIENT or method == "magnetic", given.get("decay") or 0.0
    unread = ("min-oracle", "self-play")  # both begin with a best response to the victim
    start = "uniform" if method not in unread else None
    if method == "retrain":
        start = "the best response to the victim" if exact else "the best response to the uniform victim"
    elif not exact and method != "min-oracle":
        start = "new networks"
    return [
        ("budget", record.budget),
        ("the victim starts from", record.start if exact else "new networks"),
        ("the attackers start from", start),
        ("learner", None if exact else given.get("learner") or LEARNER),
        ("updates" if exact else "steps of all matches together", record.steps),
        ("learning rate of the victim", record.learning_rate if rated else None),
        ("the attackers' learning rate over the victim's", record.ratio if method == "two-timescale" else None),
        ("the step size falls as (t + 1) to the power of minus", decay if exact and rated else None),
        ("direction of the gradients", record.direction),
        ("temperature at the start", record.temperature),
        ("the temperature falls as (t + 1) to the power of minus", record.cooling),
        ("weight of the magnet", record.magnet),
        ("matches side by side", None if exact else given.get("num_games") or NUM_GAMES),
        ("iterate that is handed over", record.output),
    ]


def _simulated(record: DefendResult) -> Rows:
    given, method, after = record.settings, record.method, record.after
    new = "scratch" in (record.start, record.attacker_start)
    fixed, rounds = given.get("attacker"), given.get("attacker_rounds") or 1
    responses = given.get("iterations") or ITERATIONS
    fresh = after is not None and after.attacked is not None
    training = record.budget if record.budget_range is None else "spread evenly over a range"
    return [
        ("budget of the training", training),
        ("range of budgets of the training", record.budget_range),
        ("budget of the fresh attackers", record.budget if fresh else None),
        ("share of the matches at budget 0", record.clean_share),
        ("the victim starts from", record.start),
        ("the attackers start from", None if method == "retrain" else record.attacker_start),
        ("fixed attacker", (fixed or "trained first, as the fresh ones") if method == "retrain" else None),
        ("fresh attackers start from", record.fresh_start if fresh else None),
        ("architecture of new networks", (given.get("architecture") or "mlp") if new else None),
        ("steps of all matches together", record.steps),
        ("steps of each fresh attacker", after.attack_steps if fresh and after is not None else None),
        ("matches of each evaluation", given.get("episodes") or PRESETS["standard"].episodes),
        ("learning rate of the victim", record.learning_rate),
        ("the attackers' learning rate over the victim's", record.ratio if method == "two-timescale" else None),
        ("updates of the attackers for each of the victim's", rounds if method in UPDATED else None),
        ("best responses of each side", responses if method == "double-oracle" else None),
        ("weight of the magnet", record.magnet),
        *((words, given.get(name)) for name, words in GIVEN.items()),
    ]


def _agents(record: DefendResult, seats: tuple[int, ...]) -> str:
    return ", ".join(record.agents[seat] if record.agents else f"seat {seat}" for seat in seats)


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " to ".join(map(_shown, value))
    if isinstance(value, float):
        return number(value, ".6g")
    return f"{value:,}" if isinstance(value, int) else str(value)
