from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring import checkpoint
from sparring.attacks.adversarial_policy import AttackConfig, adversarial_policy, attack_learner, attack_setup
from sparring.errors import InputError
from sparring.exact import markov as exact_markov
from sparring.exact.markov_game import random_game
from sparring.exact.problem import MarkovProblem
from sparring.exact.simplex import mixed
from sparring.games.markov import SampledMarkovGame
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame, as_markov
from sparring.learners.ppo import PPOConfig
from sparring.nets import ActorCritic, NetworkConfig, actor_critic
from sparring.policy import ConstantPolicy, MixedPolicy, RandomPolicy, TabularPolicy, mix
from sparring.rollout import rollout
from sparring.training import Opponents, Reward
from sparring.types import Discrete, Game, Spaces, ThreatModel

SMALL = NetworkConfig("mlp", (16, 16))
# Shared by the budgets: every instance of a game is compiled anew.
RPS = MatrixGame(ROCK_PAPER_SCISSORS, num_games=256)
RANDOM = random_game(seed=1, S=3, A=2, B=3, gamma=0.8, k=3)
SAMPLED = SampledMarkovGame(RANDOM.game, num_games=128, horizon=32)
MATCHES, HORIZON = 20_000, 40
LEMMA = random_game(seed=5, S=3, A=2, B=2, gamma=0.7, k=3)
LEMMA_SAMPLED = SampledMarkovGame(LEMMA.game, MATCHES, HORIZON)  # .7^40 = 6e-7: what is cut off does not matter


def learned(game: Game, threat: ThreatModel, nu: np.ndarray, config: AttackConfig, rounds: int) -> np.ndarray:
    """The probabilities [S, B] of the adversarial policy after so many rounds, read off the network."""
    states = adversarial_policy(game, threat, TabularPolicy(nu), config, seed=0)
    *_, last = islice(states, rounds)
    network: ActorCritic = last.learners[threat.attackers[0]].network
    head, _, _ = network.forward(network.normalizer(jnp.eye(len(nu))), ((), ()))
    return np.asarray(jax.nn.softmax(head), np.float64)


@pytest.mark.parametrize("budget", [0.3, 1.0])
def test_a_learned_attack_on_rock_paper_scissors_is_nearly_a_best_response(budget: float) -> None:
    nu, benign = np.array([[0.5, 0.3, 0.2]]), np.full((1, 3), 1 / 3)
    threat = ThreatModel("row", ("col",), {"col": TabularPolicy(benign)}, budget)
    ppo = PPOConfig(learning_rate=1e-2, minibatch=1024, epochs=4, normalize_observations=False, network=SMALL)
    config = AttackConfig(num_games=256, steps_per_round=8, reward=Reward("victim"), ppo=ppo)
    alpha = learned(RPS, threat, nu, config, 25)
    problem = MarkovProblem(as_markov(ROCK_PAPER_SCISSORS), benign, budget)
    best, reached, before = problem.best_response(nu).value, problem.value(nu, alpha), problem.value(nu, benign)
    assert best - 1e-9 <= reached <= best + 0.05
    assert reached < before - 0.5 * (before - best)  # .05 alone would be met by doing nothing at a small budget


@pytest.mark.parametrize("budget", [0.3, 1.0])
def test_a_learned_attack_on_a_markov_game_is_nearly_a_best_response(budget: float) -> None:
    """Rewards are in [0, 1], so (1 - gamma) times a value is too: the .05 is of that scale."""
    made = RANDOM
    threat = ThreatModel("victim", ("attacker",), {"attacker": TabularPolicy(made.benign)}, budget)
    ppo = PPOConfig(
        learning_rate=1e-2, gamma=0.8, minibatch=1024, epochs=4, normalize_observations=False, network=SMALL
    )
    config = AttackConfig(num_games=128, steps_per_round=32, reward=Reward("victim"), ppo=ppo)
    alpha = learned(SAMPLED, threat, made.nu, config, 25)
    best = exact_markov.best_response(made.game, made.nu, made.benign, budget).value
    reached, before = (
        exact_markov.expected_value(made.game, made.nu, mixed(made.benign, policy, budget))
        for policy in (alpha, made.benign)
    )
    assert best - 1e-9 <= reached
    assert 0.2 * (reached - best) <= 0.05
    assert reached < before - 0.8 * (before - best)


def estimates(budget: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sampled policy gradients [n, S, B] of single matches, with and without the mask of control; the exact one."""
    made = LEMMA
    policies = {
        "victim": TabularPolicy(made.nu),
        "attacker": mix(TabularPolicy(made.benign), TabularPolicy(made.alpha), budget),
    }
    trajectory, _ = rollout(LEMMA_SAMPLED, policies, HORIZON, np.random.default_rng(seed), record=("attacker",))
    e = trajectory.agents["attacker"]
    s, a = np.asarray(e.observation).argmax(-1), np.asarray(e.action)  # [T, n]
    q = exact_markov.q_attacker(made.game, made.nu, mixed(made.benign, made.alpha, budget))
    score = 0.7 ** np.arange(HORIZON)[:, None] * q[s, a] / made.alpha[s, a]
    tables = []
    for mask in (np.asarray(e.controlled), np.ones_like(s, bool)):
        table = np.zeros((MATCHES, 3, 2))
        np.add.at(table, (np.broadcast_to(np.arange(MATCHES), s.shape), s, a), mask * score)
        tables.append(table)
    _, exact = exact_markov.gradient(made.game, made.nu, made.alpha, made.benign, budget)
    return tables[0], tables[1], exact


def worst_deviation(table: np.ndarray, exact: np.ndarray) -> float:
    """The largest distance of a mean from the exact gradient, in standard errors."""
    return float((np.abs(table.mean(0) - exact) / (table.std(0) / np.sqrt(len(table)))).max())


@pytest.mark.parametrize("budget", [0.3, 1.0])
def test_the_sampled_policy_gradient_is_lemma_d1s(budget: float) -> None:
    """sum_t gamma^t controlled_t 1{s_t = s, a_t = a} Q(s, a) / alpha(a | s) has the mean eps d(s) Q(s, a)/(1 - gamma).

    Matches are independent, so the mean of 20,000 is normal: six entries stay within 4.5 standard errors except once
    in 24,000 seeds.
    """
    masked, unmasked, exact = estimates(budget, seed=0)
    assert worst_deviation(masked, exact) < 4.5
    if budget < 1:
        assert worst_deviation(unmasked, exact) > 20  # without the mask it is another gradient
        assert worst_deviation(masked / budget, exact) > 20  # and so it is without the factor epsilon


def setup(**changes: Any) -> Any:
    game = MatrixGame(ROCK_PAPER_SCISSORS, num_games=2)
    benign = RandomPolicy(Discrete(3))
    threat = ThreatModel("row", ("col",), {"col": benign}, 0.3)
    return game, threat, attack_setup(game, threat, benign, replace(AttackConfig(), **changes), {})


def test_who_plays() -> None:
    _, threat, (sides, play) = setup(control="episode", reward=Reward("victim"))
    assert list(sides) == ["col"]
    assert sides["col"].victim == "row"
    network = ConstantPolicy(Discrete(3))
    played = play(Opponents({"col": network}, {"col": ()}, 0), np.random.default_rng(0))
    assert played == {
        "row": RandomPolicy(Discrete(3)),
        "col": MixedPolicy(threat.benign["col"], network, 0.3, "episode"),
    }


def test_the_curriculum_wakes_the_victim_up() -> None:
    _, _, (_, play) = setup(curriculum_steps=1000)
    current = {"col": ConstantPolicy(Discrete(3))}

    def faced(steps: int) -> Mapping[str, Any]:
        return play(Opponents(current, {"col": ()}, steps), np.random.default_rng(0))["row"]

    for steps, passive in ((0, 1.0), (250, 0.75), (1000, 0.0), (5000, 0.0)):
        victim = faced(steps)
        assert isinstance(victim, MixedPolicy)
        assert victim.adversarial == ConstantPolicy(Discrete(3))
        assert (victim.budget, victim.control) == (passive, "episode")  # passive for a whole match


def test_others_play_what_they_are_given() -> None:
    game, threat, _ = setup()
    policy = ConstantPolicy(Discrete(3))
    _, play = attack_setup(game, threat, policy, AttackConfig(), {"third": policy})
    assert set(play(Opponents({"col": policy}, {}, 0), np.random.default_rng(0))) == {"row", "col", "third"}


def test_bad_input_is_refused() -> None:
    game, _, _ = setup()
    policy = RandomPolicy(Discrete(3))
    team = ThreatModel("row", ("col", "third"), {"col": policy, "third": policy}, 0.3)
    with pytest.raises(InputError, match="attackers: expected one, got 2"):
        adversarial_policy(game, team, policy, AttackConfig(), seed=0)
    with pytest.raises(InputError, match="start=benign needs a policy with weights"):
        attack_learner(AttackConfig(start="benign"), policy)


def test_start_from_the_benign_weights() -> None:
    spaces = Spaces(1, Discrete(3))
    benign = actor_critic(spaces, SMALL, np.array([5, 6], np.uint32))
    key = np.array([1, 2], np.uint32)
    same = attack_learner(AttackConfig(start="benign"), benign).init(spaces, key).network
    fresh = attack_learner(AttackConfig(ppo=PPOConfig(network=SMALL)), benign).init(spaces, key).network
    given = attack_learner(AttackConfig(start="another"), RandomPolicy(Discrete(3)), benign).init(spaces, key).network
    weight = [checkpoint.flatten(n.actor)["mlp/layers/0/weight"] for n in (benign, same, given, fresh)]
    np.testing.assert_array_equal(weight[0], weight[1])
    np.testing.assert_array_equal(weight[0], weight[2])
    assert not np.array_equal(weight[0], weight[3])
    with pytest.raises(InputError, match="start=another needs a policy with weights"):
        attack_learner(AttackConfig(start="another"), benign)
