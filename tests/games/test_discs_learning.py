"""In `discs/duel` whole trainings take seconds: self-play gets stronger, and an attack on the early disc is found."""

from __future__ import annotations

from dataclasses import replace

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

MATCHES = 600
VICTIM, ATTACKER = "disc0", "disc1"


def trained(game: Game, method: Method, rounds: int) -> TrainState:
    for state in train(game, method, seed=0):
        if state.round == rounds:
            return state
    raise AssertionError("training is endless")


def wins(first: Policy, second: Policy, seed: int) -> int:
    """How many of the matches the second seat wins."""
    game = make("discs/duel", 300)
    played = evaluate(game, {VICTIM: first, ATTACKER: second}, MATCHES, np.random.default_rng(seed))
    assert played.outcome is not None
    return int((played.outcome[ATTACKER] == 1).sum())


def test_self_play_gets_stronger() -> None:
    """After 16 rounds the disc beats itself as it was after the first one; the interval is clear of one half."""
    config = SelfPlayConfig(**{**SELF_PLAY, "ppo": PPOConfig(**SELF_PLAY["ppo"], network=NetworkConfig(**NETWORK))})
    game = make("discs/duel", config.num_games)
    before, after = (trained(game, self_play(game, config), rounds).learners[SELF].network for rounds in (1, 16))
    low, _ = wilson(wins(before, after, 1), MATCHES)
    assert low > 0.5


def test_an_attack_on_the_early_disc_is_found() -> None:
    """From the early disc's own weights, at a budget of .7: what the attack wins more than the benign opponent.

    The benign opponent is the early disc too, whose win rate is 1/2 because the seats are alike.
    """
    settings = {name: value for name, value in ATTACK.items() if name != "reward"}
    ppo = PPOConfig(**{**ATTACK["ppo"], "normalize_observations": False, "warmup_updates": 1, "learning_rate": 1e-3})
    config = AttackConfig(**{**settings, "start": "benign", "reward": Reward(outcome=1.0), "ppo": ppo})
    game = make("discs/duel", config.num_games)
    early = load("builtin:disc-early", game, VICTIM)
    threat = ThreatModel((VICTIM,), (ATTACKER,), {ATTACKER: early}, 0.7)
    method = adversarial_policy(game, threat, early, config)
    state = trained(game, method, 16)
    final = method.sides[ATTACKER].learner.final
    assert final is not None
    attack = executed(threat, {ATTACKER: final(state.learners[ATTACKER])})[ATTACKER]
    low, _ = newcombe(wins(early, attack, 2), MATCHES, wins(early, early, 3), MATCHES)
    assert low > 0


@pytest.mark.parametrize("budget", [0.3, 0.7, 1.0])
def test_the_shipped_attackers_still_win(budget: float) -> None:
    game = make("discs/duel", 1)
    early = load("builtin:disc-early", game, VICTIM)
    adversarial = load(f"builtin:disc-early-attack-{budget:g}", game, ATTACKER)
    threat = ThreatModel((VICTIM,), (ATTACKER,), {ATTACKER: early}, budget)
    attack = executed(threat, {ATTACKER: adversarial})[ATTACKER]
    low, _ = newcombe(wins(early, attack, 4), MATCHES, wins(early, early, 5), MATCHES)
    assert low > 0


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


def test_a_shaped_reward_pays_for_pushing() -> None:
    """The shaping terms have the names that the game reports."""
    config = SelfPlayConfig(
        num_games=8, steps_per_round=4, reward=Reward(outcome=1.0, shaping=SHAPING, shaping_steps=10_000)
    )
    game = make("discs/duel", 8)
    config = replace(config, ppo=PPOConfig(epochs=1, minibatch=32, network=NetworkConfig(**NETWORK)))
    state = trained(game, self_play(game, config), 1)
    assert np.isfinite(state.metrics[SELF]["policy_loss"])
