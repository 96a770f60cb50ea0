"""Double oracle where a game can only be simulated (PSRO, Lanctot et al. 2017): populations instead of one pair.

Each side keeps a population. In turn an attacker is trained against the mixture of the victims, and a victim against
the mixture of the attackers; then all pairs play, and the game between the populations is solved: the mixtures are its
maximin strategies, exact for the mean returns that were measured. One policy is drawn for each match and kept
(DECISIONS 28), so what comes out is a mixed strategy: some victims, and how likely each is. That what is trained is a
best response is not proven (DECISIONS 22).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparring.errors import InputError
from sparring.files import read_json, write_atomic, write_json
from sparring.oracles.defending import VICTIM_FILE, Hardening, harden
from sparring.oracles.hardening_curve import FIELDS
from sparring.oracles.learned import LearnedOracle
from sparring.runs import Run
from sparring.types import Policy

if TYPE_CHECKING:
    from sparring.nets import ActorCritic

ITERATIONS = 4  # best responses that join each side, by default
ATTACKER, VICTIM, PAIRS = "attacker", "victim", "pairs"  # the jobs of an iteration, in this order
SOLVED = "solved.json"  # of `pairs`: mean returns of the victim, and the mixtures


def jobs_of(iterations: int) -> list[str]:
    """The names of all jobs in their order: `attacker-1`, `victim-1`, `pairs-1`, `attacker-2` and so on."""
    return [f"{kind}-{number}" for number in range(1, iterations + 1) for kind in (ATTACKER, VICTIM, PAIRS)]


def steps_of(steps: int, iterations: int) -> int:
    """Of each best response, so that all of them together take about `steps`."""
    return max(1, steps // (2 * iterations))


def work(name: str, run: Run, hardening: Hardening, oracle: LearnedOracle, matches: int, seed: int) -> None:
    """Do the job called `name` in the folder of `run`; those before it lie beside it.

    Raises:
      Stopped: Ctrl-C or SIGTERM; a checkpoint has been written.
    """
    kind, _, digits = name.partition("-")
    number, jobs, budget = int(digits), run.folder.parent, hardening.budget
    if kind == ATTACKER:
        victims = _victims(jobs, number - 1, hardening)
        _against(oracle, _mixed(victims, _weights(jobs, number - 1, "victims"))).attack(budget, run, seed)
    elif kind == VICTIM:
        # The new attacker has met nobody but the mixture that it was trained against: it is given an even share.
        known = np.array(_weights(jobs, number - 1, "attackers")) * (number - 1) / number
        attackers = _attackers(jobs, number, oracle, budget)
        harden(run, hardening, seed, _mixed(attackers, [*known.tolist(), 1 / number]))
    else:
        _set_against_each_other(number, run, hardening, oracle, matches, seed)


def _set_against_each_other(
    number: int, run: Run, hardening: Hardening, oracle: LearnedOracle, matches: int, seed: int
) -> None:
    """Play the pairs that an iteration has brought, and solve the game between the populations."""
    jobs, budget, threat = run.folder.parent, hardening.budget, hardening.question.threat
    victims, attackers = _victims(jobs, number, hardening), _attackers(jobs, number, oracle, budget)
    payoffs = np.full((len(victims), len(attackers)), np.nan)
    if number > 1:
        known = np.array(read_json(jobs / f"{PAIRS}-{number - 1}" / SOLVED)["payoffs"])
        payoffs[: known.shape[0], : known.shape[1]] = known
    for i, j in np.argwhere(np.isnan(payoffs)).tolist():
        pair = int(np.random.SeedSequence([seed, i, j]).generate_state(1)[0])
        adversarial = {threat.attackers[0]: attackers[j]}
        played = _against(oracle, victims[i]).evaluate(adversarial, budget, matches, run, f"{i}-{j}", pair)
        returns = played.returns[threat.victim][~played.invalid]
        if not len(returns):
            raise InputError(f"{hardening.question.game}: all {matches} matches of a pair were invalid; see --episodes")
        payoffs[i, j] = float(returns.mean())
    mine, theirs, value = solved(payoffs)
    found = {"payoffs": payoffs.tolist(), "victims": mine.tolist(), "attackers": theirs.tolist(), "value": value}
    write_json(run.folder / SOLVED, found)


def solved(payoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Maximin strategies of the row player, who is paid, and of the column player, and the value: a linear program."""
    from sparring.games.finite import nash
    from sparring.games.matrix import MatrixGame

    game = MatrixGame(payoffs)
    mine, theirs = (nash(game, agent)[0] for agent in game.agents)
    return mine, theirs, float(mine @ payoffs @ theirs)


def gather(folder: Path, iterations: int, hardening: Hardening) -> Path:
    """Write the victims that are ever drawn and their mixture into `folder`; returns the mixture's file."""
    from sparring.loaders import mixture, native

    jobs = folder / "jobs"
    weights = _weights(jobs, iterations, "victims")
    kept = []
    for number, (network, weight) in enumerate(zip(_victims(jobs, iterations, hardening), weights, strict=True)):
        if weight > 0:
            kept.append((f"victim-{number}.safetensors", weight))
            path = folder / kept[-1][0]
            if number:
                write_atomic(path, (jobs / f"{VICTIM}-{number}" / VICTIM_FILE).read_bytes())
            else:
                native.save(network, path)
    mixture.save(folder / mixture.FILE, [name for name, _ in kept], [weight for _, weight in kept])
    return folder / mixture.FILE


def rows_of(jobs: Path, iterations: int, steps: int) -> list[list[float | None]]:
    """The course of it, as rows of `HardeningCurve`: the value of the game between the populations, the victim's."""
    rows: list[list[float | None]] = []
    for number in range(1, iterations + 1):
        found = read_json(jobs / f"{PAIRS}-{number}" / SOLVED)
        known: dict[str, Any] = {"steps": 2 * number * steps, "matches": 0, "score": found["value"], "pool": number + 1}
        rows.append([known.get(name) for name in FIELDS])
    return rows


def _victims(jobs: Path, number: int, hardening: Hardening) -> list[ActorCritic]:
    """The starting victim, and those of the first iterations."""
    from sparring.nets import set_std
    from sparring.oracles.defending import hardened

    start = hardening.start
    if hardening.victim.start_std:
        start = set_std(start, hardening.victim.start_std)
    return [start, *(hardened(jobs / f"{VICTIM}-{i}") for i in range(1, number + 1))]


def _attackers(jobs: Path, number: int, oracle: LearnedOracle, budget: float) -> list[ActorCritic]:
    """The attackers of the first iterations."""
    agent = oracle.question.threat.attackers[0]
    found: list[Any] = [oracle.found(budget, jobs / f"{ATTACKER}-{i}").adversarial[agent] for i in range(1, number + 1)]
    return found


def _weights(jobs: Path, number: int, side: str) -> list[float]:
    """The mixture of a side after so many iterations; before the first one there is one victim, and no attacker."""
    if not number:
        return [1.0] if side == "victims" else []
    return read_json(jobs / f"{PAIRS}-{number}" / SOLVED)[side]


def _mixed(policies: Sequence[ActorCritic], weights: Sequence[float]) -> Policy:
    from sparring.policies import MixturePolicy, stacked

    return MixturePolicy(stacked(policies), np.array(weights, np.float32))


def _against(oracle: LearnedOracle, victim: Policy) -> LearnedOracle:
    question = oracle.question
    return replace(oracle, question=replace(question, victims={question.threat.victim: victim}))
