"""In `discs/duel` whole trainings take seconds: self-play gets stronger, and an attack on the early disc is found."""

from __future__ import annotations

import numpy as np
import pytest

from sparring.attacks.adversarial_policy import AttackConfig, adversarial_policy
from sparring.defences.self_play import SELF, SelfPlayConfig, self_play
from sparring.games import make
from sparring.games.discs.learning import ATTACK, NETWORK, SELF_PLAY, SHAPING
from sparring.learners.ppo import PPOConfig
from sparring.loaders import builtin, load
from sparring.metrics.intervals import newcombe, wilson
from sparring.mixture import executed
from sparring.nets import ActorCritic, NetworkConfig
from sparring.play.evaluate import evaluate
from sparring.training import Method, Reward, TrainState, train
from sparring.types import Game, Policy, ThreatModel

MATCHES = 3000
MANY = 12_000  # where the difference is of 4 points
VICTIM, ATTACKER = "disc0", "disc1"


def trained(game: Game, method: Method, *rounds: int, seed: int = 0) -> list[TrainState]:
    """The states of one training after so many rounds, ascending."""
    states = []
    for state in train(game, method, seed=seed):
        if state.round in rounds:
            states.append(state)
        if len(states) == len(rounds):
            return states
    raise AssertionError("training is endless")


def wins(first: Policy, second: Policy, seed: int, matches: int = MATCHES) -> int:
    """How many of the matches the second seat wins."""
    game = make("discs/duel", 300)
    played = evaluate(game, {VICTIM: first, ATTACKER: second}, matches, np.random.default_rng(seed))
    assert played.outcome is not None
    return int((played.outcome[ATTACKER] == 1).sum())


@pytest.mark.long
def test_self_play_gets_stronger() -> None:
    """After 16 rounds with the shaped reward it beats itself as it was after one; the interval is clear of one half."""
    ppo = PPOConfig(**SELF_PLAY["ppo"], network=NetworkConfig(**NETWORK))
    reward = Reward(outcome=1.0, shaping=SHAPING, shaping_steps=100_000)
    # Without a past, whose growth is compiled again and again.
    config = SelfPlayConfig(**{**SELF_PLAY, "past": 0.0, "snapshot_every": 0, "reward": reward, "ppo": ppo})
    game = make("discs/duel", config.num_games)
    before, after = (s.learners[SELF].network for s in trained(game, self_play(game, config), 1, 16))
    low, _ = wilson(wins(before, after, 1), MATCHES)
    assert low > 0.5


@pytest.mark.slow
def test_an_attack_on_the_early_disc_is_found() -> None:
    """From the early disc's own weights, a quarter of a million steps: it wins more than the benign opponent.

    The benign opponent is the early disc too, whose win rate is 1/2 because the seats are alike. Seeds of training
    differ, so the stronger of two is taken, chosen on matches of its own.
    """
    settings = {name: value for name, value in ATTACK.items() if name != "reward"}
    quick = {
        "normalize_observations": False,
        "warmup_updates": 1,
        "average": 0.9,
        "decay_updates": 30,
        "start_std": 0.2,
    }
    ppo = PPOConfig(**{**ATTACK["ppo"], **quick})
    config = AttackConfig(**{**settings, "start": "benign", "reward": Reward(outcome=1.0), "ppo": ppo})
    game = make("discs/duel", config.num_games)
    early = load("builtin:disc-early", game, VICTIM)
    threat = ThreatModel((VICTIM,), (ATTACKER,), {ATTACKER: early}, 0.7)
    method = adversarial_policy(game, threat, early, config)
    final = method.sides[ATTACKER].learner.final
    assert final is not None
    tried = []
    for seed in (0, 1):
        (state,) = trained(game, method, 30, seed=seed)
        tried.append(executed(threat, {ATTACKER: final(state.learners[ATTACKER])})[ATTACKER])
    attack = max(tried, key=lambda one: wins(early, one, 8))
    low, _ = newcombe(wins(early, attack, 2), MATCHES, wins(early, early, 3), MATCHES)
    assert low > 0


@pytest.mark.parametrize("budget", [pytest.param(b, marks=pytest.mark.long) for b in (0.3, 0.7)] + [1.0])
@pytest.mark.slow
def test_the_shipped_attackers_still_win(budget: float) -> None:
    game = make("discs/duel", 1)
    early = load("builtin:disc-early", game, VICTIM)
    adversarial = load(f"builtin:disc-early-attack-{budget:g}", game, ATTACKER)
    threat = ThreatModel((VICTIM,), (ATTACKER,), {ATTACKER: early}, budget)
    attack = executed(threat, {ATTACKER: adversarial})[ATTACKER]
    low, _ = newcombe(wins(early, attack, 4, MANY), MANY, wins(early, early, 5, MANY), MANY)
    assert low > 0


@pytest.mark.slow
def test_the_shipped_disc_plays_in_both_seats() -> None:
    """It beats the early disc wherever it sits."""
    game = make("discs/duel", 1)
    strong, early = (
        {agent: load(f"builtin:{name}", game, agent) for agent in game.agents} for name in ("disc", "disc-early")
    )
    assert isinstance(strong[VICTIM], ActorCritic)
    assert wilson(wins(early[VICTIM], strong[ATTACKER], 6), MATCHES)[0] > 0.5
    assert wilson(wins(strong[VICTIM], early[ATTACKER], 7), MATCHES)[1] < 0.5


def test_shipped_discs_are_small() -> None:
    shipped = [name for name in builtin.names() if name.startswith("disc")]
    assert len(shipped) == 5
    for name in shipped:
        assert builtin.path(name).stat().st_size < 100_000
