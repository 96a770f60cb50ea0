"""Hardening by sampled learners in games that can be enumerated: the victim is a network, its exploitability exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sparring.commands.exact import Contest
from sparring.errors import InputError
from sparring.policy import Policy, TabularPolicy
from sparring.types import ThreatModel

if TYPE_CHECKING:
    from sparring.commands.defend import Settings
    from sparring.defences.adversarial_training import Adversary
    from sparring.exact.dynamics import Iterate
    from sparring.games.finite import FiniteGame


def check(settings: Settings, arena: Contest) -> None:
    """Find out before anything is started whether learning can be.

    Raises:
      InputError: more than two agents, a victim to start from, or fewer than one match.
    """
    if len(arena.game.agents) != 2:
        raise InputError(f"oracle=learned: expected a game of two agents, {arena.game.id} has {len(arena.game.agents)}")
    if settings.victim != "uniform":
        raise InputError("oracle=learned: the victim starts as a new network, near uniform; leave --victim out")
    if settings.num_games < 1:
        raise InputError(f"num-games: expected at least 1, got {settings.num_games}")


def iterates(settings: Settings, arena: Contest, learning_rate: float, ratio: float) -> Iterator[Iterate]:
    """The tables of the victim and of the adversarial policy, before the first and after each round of training."""
    from sparring.defences.adversarial_training import defence_setup, exact_oracle, method, tabulate
    from sparring.exact.dynamics import Iterate
    from sparring.exact.problem import uniform
    from sparring.games import make
    from sparring.games.finite import infosets
    from sparring.learners.a2c import A2CConfig
    from sparring.learners.rpg import RPGConfig
    from sparring.training import TrainState, initial_state, train

    problem = arena.problem
    game = make(settings.game, settings.num_games)
    victim, attacker = arena.victim, arena.attackers[0]
    rows, attacker_rows = infosets(arena.game, victim), infosets(arena.game, attacker)
    threat = ThreatModel(victim, (attacker,), {attacker: TabularPolicy(problem.benign)}, problem.budget)
    longest, gamma = _longest_match(arena.game)
    config_of = {"a2c": A2CConfig, "rpg": RPGConfig}[settings.learner]
    # A round of 2 L - 1 steps holds a whole match of at most L.
    learner = config_of(learning_rate=learning_rate, gamma=gamma)
    config = replace(method(settings.method, learner, ratio), steps_per_round=2 * longest - 1)
    adversary = None
    if settings.method == "min-oracle":
        adversary = exact_oracle(problem, rows)
    elif settings.method == "retrain":
        adversary = _always(TabularPolicy(problem.best_response(uniform(problem.victim_actions)).policy))
    sides, play = defence_setup(game, threat, config, adversary, {})

    def iterate(state: TrainState) -> Iterate:
        nu = tabulate(sides[victim].learner.policy(state.learners[victim]), rows)
        if attacker in sides:
            alpha = tabulate(sides[attacker].learner.policy(state.learners[attacker]), attacker_rows)
        else:
            alpha = problem.best_response(nu).policy
        return Iterate(nu, alpha, state.round)

    yield iterate(initial_state(game, sides, play, settings.seed))
    for state in train(game, sides, play, settings.seed, config.steps_per_round):
        yield iterate(state)


def _always(policy: Policy) -> Adversary:
    return lambda _: policy


def _longest_match(game: FiniteGame) -> tuple[int, float]:
    """Steps that a match takes at most, and the discount."""
    from sparring.games.markov import SampledMarkovGame
    from sparring.games.matrix import MatrixGame

    if isinstance(game, MatrixGame):
        return 1, 1.0
    if isinstance(game, SampledMarkovGame):
        return game.horizon, game.game.gamma
    tree = game.tree
    moves = (tree.actor >= 0).astype(np.int64)
    for begin, end in zip(tree.level[1:-1], tree.level[2:], strict=True):
        moves[begin:end] += moves[tree.parent[begin:end]]
    return int(moves.max()), 1.0
