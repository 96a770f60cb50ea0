"""`sparring audit` where the game can only be simulated: attackers are trained, and matches are played."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sparring.commands.common import (
    Matchup,
    PolicyLike,
    as_config,
    default_victim,
    describe,
    duration,
    host_game,
    matchup,
    percent,
    play,
    policy,
    result_of,
    slots,
)
from sparring.commands.exact import solvable
from sparring.commands.learned import (
    PRESETS,
    check_training,
    curve,
    steps_per_second,
    train_attacker,
    training_speed,
    training_steps,
)
from sparring.errors import InputError, NoPicture
from sparring.files import read_json, write_json
from sparring.policy import mix
from sparring.runs import Run, versions
from sparring.types import Continuous

if TYPE_CHECKING:
    from sparring.commands.audit import Settings

BUDGETS = (0.3, 0.7, 1.0)  # each costs a training
STATES = 4_000  # of the victim's observations kept per evaluation
EVALUATIONS = "evaluations.json"
SHIPPED_EPISODES = 96  # where nothing is trained: the whole audit then takes two or three minutes on two cores


class Prepared(NamedTuple):
    pairing: Matchup
    victim: str
    budgets: tuple[float, ...]
    episodes: int
    shipped: Mapping[float, str]  # the attackers that come with the package, by budget; empty: train


def prepare(settings: Settings) -> Prepared:
    if _seeds(settings) < 1:
        raise InputError(f"seeds: expected at least 1, got {settings.seeds}")
    budgets = settings.budgets or BUDGETS
    victim = default_victim(settings.game, settings.victim_seat) if settings.victim is None else settings.victim
    shipped = _shipped(settings, victim, budgets)
    episodes = settings.episodes
    if episodes is None:
        episodes = SHIPPED_EPISODES if shipped else PRESETS[settings.preset].episodes
    game = host_game(settings.game, slots(episodes), settings.threads)
    pairing = matchup(game, victim, settings.benign, settings.victim_seat)
    check_training(settings, pairing)
    return Prepared(pairing, describe(victim), budgets, episodes, shipped)


def plan(settings: Settings, prepared: Prepared) -> dict[str, Any]:
    trained = 0 if prepared.shipped else training_steps(settings) * _seeds(settings) * len(prepared.budgets)
    evaluated = 100 * prepared.episodes * (2 + 2 * len(prepared.budgets))
    seconds = evaluated / steps_per_second(prepared.pairing)
    if trained:
        seconds += trained / training_speed(settings, prepared.pairing)
    return {
        "victim": prepared.victim,
        "attackers": "shipped" if prepared.shipped else "to be trained",
        "training_steps": trained,
        "estimate": f"about {duration(seconds)} if matches take 100 steps; under 20 MB of disk",
    }


def execute(settings: Settings, prepared: Prepared, run: Run) -> dict[str, Any]:
    begun = time.monotonic()
    pairing, episodes = prepared.pairing, prepared.episodes
    root = np.random.SeedSequence(settings.seed)
    evaluations = _Evaluations(run, pairing, settings, root)
    few = max(slots(episodes), episodes // 2)

    benign = evaluations.run("benign", pairing.benign, 0.0, episodes, (0,))
    again = evaluations.run("benign again", pairing.benign, 0.0, episodes, (1,))
    floor = _shift(benign["states"], again["states"])
    results, curves = [], []
    for i, budget in enumerate(prepared.budgets):
        attacker = _attacker(settings, run, prepared, evaluations, budget, i)
        curves += attacker.curves
        attacked = evaluations.run(f"attack, budget {budget:g}", attacker.policy, budget, episodes, (2, i))
        baselines = {"benign": benign["result"]}
        for j, name in enumerate(_baselines(pairing)):
            plain = policy(name, pairing.game, pairing.attacker_agent)
            baselines[name] = evaluations.run(f"{name}, budget {budget:g}", plain, budget, few, (3, i, j))["result"]
        results.append(
            {
                **attacked["result"],
                "attacker": attacker.source,
                "attack_steps": attacker.steps,
                "oracle": "learned (lower bound)",
                "shift": _shift(benign["states"], attacked["states"]),
                "shift_noise_floor": floor,
                "baselines": baselines,
            }
        )
        if i == 0 or results[-1]["win"] >= max(r["win"] for r in results):
            worst = (attacker.policy, budget)
    result = {
        "game": pairing.game.id,
        "victim": prepared.victim,
        "victim_seat": settings.victim_seat,
        "benign": _benign(settings),
        "seed": settings.seed,
        "command": run.config["command"] or "sparring.audit(...) from Python",
        "versions": versions(),
        "settings": {
            **as_config(settings),
            "budgets": prepared.budgets,
            "episodes": episodes,
            "seeds": _seeds(settings),
        },
        "budgets": results,
        "curves": curves,
        "wall_time_s": time.monotonic() - begun,
        "not_tested": _not_tested(settings, prepared),
        **_clip(settings, run, pairing, *worst),
    }
    from sparring.report.html import write_report

    report = write_report(result, run.folder)
    return {**result, "report": str(report)}


class _Attacker(NamedTuple):
    policy: Any
    source: str
    steps: int
    curves: list[dict[str, Any]]


def _attacker(
    settings: Settings, run: Run, prepared: Prepared, evaluations: _Evaluations, budget: float, index: int
) -> _Attacker:
    """The attacker at one budget: shipped, or the strongest of those trained (DECISIONS 22)."""
    if prepared.shipped:
        from sparring.loaders import builtin, native

        source = prepared.shipped[budget]
        _, meta = native.read(builtin.path(source.removeprefix("builtin:")))
        made = meta["provenance"]
        loaded = policy(source, prepared.pairing.game, prepared.pairing.attacker_agent)
        return _Attacker(
            loaded, source, made["steps"], [{"budget": budget, "seed": made["seed"], "points": made["curve"]}]
        )
    made_by = {"command": run.config["command"], "victim": prepared.victim}
    tried, curves = [], []
    for k in range(_seeds(settings)):
        seed = int(np.random.SeedSequence(settings.seed, spawn_key=(4, index, k)).generate_state(1)[0])
        name = f"attacker-budget-{budget:g}-{k}"
        network, path = train_attacker(run, prepared.pairing, settings, budget, seed, name, made_by)
        curves.append({"budget": budget, "seed": k, "points": curve(run.events(), name)})
        # Chosen on matches of its own, so that the reported rate is not the luckiest of several.
        wins = 0.0
        if _seeds(settings) > 1:
            label = f"choose, budget {budget:g}, seed {k}"
            wins = evaluations.run(label, network, budget, prepared.episodes, (5, index, k))["result"]["win"]
        tried.append((wins, -k, network, path))
    _, _, network, path = max(tried, key=lambda entry: entry[:2])
    return _Attacker(network, path.name, training_steps(settings), curves)


class _Evaluations:
    """Evaluations of one audit, each done once: what a resumed audit finds in the run folder is not played again."""

    def __init__(self, run: Run, pairing: Matchup, settings: Settings, root: np.random.SeedSequence) -> None:
        self._run, self._pairing, self._settings, self._root = run, pairing, settings, root
        self._path = run.folder / EVALUATIONS
        self._done: dict[str, Any] = read_json(self._path) if self._path.exists() else {}

    def run(self, label: str, adversarial: Any, budget: float, episodes: int, key: tuple[int, ...]) -> dict[str, Any]:
        """The rates (`result`) and, for the attacks and the benign opponent, `states` of the victim."""
        from sparring import checkpoint

        wanted = key[0] < 3
        file = self._run.folder / f"states-{'-'.join(map(str, key))}.safetensors"
        if label in self._done:
            return {"result": self._done[label], "states": checkpoint.load(file)[0]["states"] if wanted else None}
        seed = np.random.SeedSequence(self._root.entropy, spawn_key=key)
        control = self._settings.control
        played = play(self._pairing, adversarial, budget, episodes, seed, label, control, STATES if wanted else 0)
        result = result_of(self._pairing, played.outcomes, budget, seed)
        if wanted:
            checkpoint.save(file, {"states": played.states}, {})
        self._done[label] = result
        write_json(self._path, self._done)
        return {"result": result, "states": played.states if wanted else None}


def _shift(reference: np.ndarray, states: np.ndarray) -> float:
    from sparring.metrics.shift import wasserstein2

    return wasserstein2(reference, states)


def _shipped(settings: Settings, victim: PolicyLike, budgets: tuple[float, ...]) -> dict[float, str]:
    """The attackers that come with the package's own victim, by budget; none if the user asks for anything else."""
    from sparring.loaders.builtin import names

    if (settings.victim, settings.benign, settings.steps, settings.start) != (None, None, None, None):
        return {}
    prefix = f"{victim.removeprefix('builtin:')}-attack-"
    found = {float(n.removeprefix(prefix)): f"builtin:{n}" for n in names() if n.startswith(prefix)}
    return found if all(budget in found for budget in budgets) else {}


def _baselines(pairing: Matchup) -> tuple[str, ...]:
    action = pairing.game.spaces[pairing.attacker_agent].action
    return ("zero" if isinstance(action, Continuous) else "first", "random")


def _benign(settings: Settings) -> str:
    if settings.benign is not None:
        return describe(settings.benign)
    return "the victim's own policy" if solvable(settings.game, None) is None else "uniform"


def _seeds(settings: Settings) -> int:
    return PRESETS[settings.preset].seeds if settings.seeds is None else settings.seeds


def _not_tested(settings: Settings, prepared: Prepared) -> list[str]:
    untested = [
        "Stronger attackers: a learned attack is a lower bound on what an attacker can do, however long it trained.",
        f"Budgets other than {', '.join(f'{b:g}' for b in prepared.budgets)}.",
        f"The other seat: the victim sat in seat {settings.victim_seat}.",
        "Attacks on the victim's observations, actions or weights: the attacker only moves its own agent.",
        "Detection: the shift compares each feature's distribution, not how features go together or follow each other.",
    ]
    if not prepared.shipped and _seeds(settings) == 1:
        untested.append("The spread between training seeds: one attacker was trained per budget.")
    if settings.train_game:
        untested.append(f"Attackers trained in the evaluated game itself: they were trained in {settings.train_game}.")
    return untested


def _clip(settings: Settings, run: Run, pairing: Matchup, adversarial: Any, budget: float) -> dict[str, str]:
    """Film a match that the attacker wins; what cannot be filmed is said, and stops nothing."""
    from sparring.files import write_atomic
    from sparring.report.film import film_win

    if not settings.clip:
        return {"no_clip": "no clip was asked for (--no-clip)"}
    game = host_game(settings.game, 16, settings.threads)
    executed = mix(pairing.benign, adversarial, budget, settings.control)
    policies = {pairing.victim_agent: pairing.victim, pairing.attacker_agent: executed}
    try:
        seed = np.random.SeedSequence(settings.seed, spawn_key=(6,))
        data, suffix = film_win(game, policies, pairing.attacker_agent, seed)
    except NoPicture as reason:
        return {"no_clip": str(reason)}
    write_atomic(run.folder / f"clip{suffix}", data)
    return {"clip": f"clip{suffix}"}


def text(result: dict[str, Any]) -> str:
    from sparring.report.schema import check as audit_of
    from sparring.report.verdict import verdict

    lines = [
        f"budget {r['budget']:g}: attacker wins {percent(r, 'win')}; "
        + ", ".join(f"{name} {b['win']:.1%}" for name, b in r["baselines"].items())
        + f"; shift {r['shift']:.2f} (noise {r['shift_noise_floor']:.2f})"
        for r in result["budgets"]
    ]
    return "\n".join([verdict(audit_of(result)), "", *lines, "", f"report: {Path(result['report']).resolve()}"])


def damage(result: dict[str, Any]) -> float:
    """The largest win rate above the benign opponent's."""
    return max(r["win"] - r["baselines"]["benign"]["win"] for r in result["budgets"])
