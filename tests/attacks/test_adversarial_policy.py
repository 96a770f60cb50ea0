from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from sparring import checkpoint
from sparring.attacks.adversarial_policy import AttackConfig, adversarial_policy, attack_learner
from sparring.errors import InputError
from sparring.exact import markov as exact_markov
from sparring.exact.markov_game import random_game
from sparring.exact.problem import MarkovProblem
from sparring.games.finite import infosets
from sparring.games.markov import SampledMarkovGame
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame, as_markov
from sparring.learners.ppo import PPOConfig
from sparring.learners.tables import tabulate
from sparring.mixture import MixedPolicy, mix
from sparring.nets import NetworkConfig, actor_critic
from sparring.play.rollout import rollout
from sparring.policies import ConstantPolicy, RandomPolicy, TabularPolicy
from sparring.training import Opponents, Reward, train
from sparring.types import Box, Discrete, Spaces, ThreatModel

SMALL = NetworkConfig("mlp", (16, 16))
RPS = MatrixGame(ROCK_PAPER_SCISSORS, num_games=256)
RANDOM = random_game(seed=1, S=3, A=2, B=3, gamma=0.8, k=3)
SAMPLED = SampledMarkovGame(RANDOM.game, num_games=128, horizon=32)
MATCHES, HORIZON = 20_000, 40
LEMMA = random_game(seed=5, S=3, A=2, B=2, gamma=0.7, k=3)
LEMMA_SAMPLED = SampledMarkovGame(LEMMA.game, MATCHES, HORIZON)  # .7^40 = 6e-7: what is cut off does not matter


def learned(game: Any, threat: ThreatModel, nu: np.ndarray, config: AttackConfig, rounds: int) -> np.ndarray:
    """The probabilities [S, B] of the adversarial policy after so many rounds, read off the network."""
    method = adversarial_policy(game, threat, TabularPolicy(nu.astype(np.float32)), config)
    *_, last = islice(train(game, method, seed=0), rounds)
    agent = threat.attackers[0]
    return tabulate(last.learners[agent].network, infosets(game, agent))


@pytest.mark.slow
@pytest.mark.parametrize("budget", [0.3, 1.0])
def test_a_learned_attack_on_rock_paper_scissors_is_nearly_a_best_response(budget: float) -> None:
    nu, benign = np.array([[0.5, 0.3, 0.2]]), np.full((1, 3), 1 / 3)
    threat = ThreatModel("row", ("col",), {"col": TabularPolicy(benign)}, budget)
    ppo = PPOConfig(learning_rate=1e-2, minibatch=1024, epochs=4, normalize_observations=False, network=SMALL)
    config = AttackConfig(num_games=256, steps_per_round=8, ppo=ppo)
    alpha = learned(RPS, threat, nu, config, 25)
    problem = MarkovProblem(as_markov(ROCK_PAPER_SCISSORS), benign, budget)
    best, reached, before = problem.best_response(nu).value, problem.value(nu, alpha), problem.value(nu, benign)
    assert best - 1e-9 <= reached <= best + 0.05
    assert reached < before - 0.5 * (before - best)  # .05 alone would be met by doing nothing at a small budget


@pytest.mark.long
@pytest.mark.parametrize("budget", [0.3, 1.0])
def test_a_learned_attack_on_a_markov_game_is_nearly_a_best_response(budget: float) -> None:
    """Rewards are in [0, 1], so (1 - gamma) times a value is too: the .05 is of that scale."""
    made = RANDOM
    threat = ThreatModel("victim", ("attacker",), {"attacker": TabularPolicy(made.benign)}, budget)
    ppo = PPOConfig(
        learning_rate=1e-2, gamma=0.8, minibatch=1024, epochs=4, normalize_observations=False, network=SMALL
    )
    config = AttackConfig(num_games=128, steps_per_round=32, ppo=ppo)
    alpha = learned(SAMPLED, threat, made.nu, config, 25)
    best = exact_markov.best_response(made.game, made.nu, made.benign, budget).value
    reached, before = (
        exact_markov.expected_value(made.game, made.nu, MarkovProblem(made.game, made.benign, budget).played(policy))
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
    q = exact_markov.q_attacker(made.game, made.nu, MarkovProblem(made.game, made.benign, budget).played(made.alpha))
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


@pytest.mark.slow
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


UNIFORM, FIRST = RandomPolicy(Discrete(3)), ConstantPolicy(Discrete(3))


def setup(control: Any = "step", others: Any = None, **changes: Any) -> Any:
    game = MatrixGame(ROCK_PAPER_SCISSORS, num_games=2)
    threat = ThreatModel("row", ("col",), {"col": UNIFORM}, 0.3, others, control)
    return threat, adversarial_policy(game, threat, UNIFORM, replace(AttackConfig(), **changes))


def opponents(current: Mapping[str, Any], steps: int = 0) -> Opponents:
    return Opponents(current, {}, steps)


def test_who_plays_and_for_what() -> None:
    threat, method = setup(control="episode", steps_per_round=7)
    assert (list(method.sides), method.steps_per_round) == (["col"], 7)
    side = method.sides["col"]
    # Eq. 3.1: minus the victim's reward.
    assert (side.seats, side.reward, side.every) == (("col",), Reward({"row": -1.0}), 1)
    assert method.play(opponents({"col": FIRST})) == {
        "row": UNIFORM,
        "col": MixedPolicy(threat.benign["col"], FIRST, 0.3, "episode"),
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Reward(), Reward({"row": -2.0})),
        (Reward(draw=-0.5, shaping={"push": 1.0}), Reward({"row": -2.0}, draw=-0.5, shaping={"push": 1.0})),
        (Reward(outcome=1.0), Reward(outcome=1.0)),
        (Reward({"col": 1.0}), Reward({"col": 1.0})),
    ],
)
def test_the_attackers_reward(given: Reward, expected: Reward) -> None:
    """By default minus the victim's, times `victim_scale`; a goal that is given is taken as it is."""
    _, method = setup(reward=given, victim_scale=2.0)
    assert method.sides["col"].reward == expected


def test_the_curriculum_wakes_the_victim_up() -> None:
    _, method = setup(curriculum_steps=1000)
    for steps, passive in ((0, 1.0), (250, 0.75), (1000, 0.0), (5000, 0.0)):
        victim = method.play(opponents({"col": FIRST}, steps))["row"]
        assert isinstance(victim, MixedPolicy)
        assert victim.adversarial == FIRST
        assert (victim.budget, victim.control) == (passive, "episode")  # passive for a whole match


def test_bad_input_is_refused() -> None:
    game = MatrixGame(ROCK_PAPER_SCISSORS, num_games=2)
    threat = ThreatModel("row", ("col",), {"col": UNIFORM}, 0.3)
    with pytest.raises(InputError, match="start=benign needs a policy with weights"):
        adversarial_policy(game, threat, UNIFORM, AttackConfig(start="benign"))
    with pytest.raises(InputError, match=r"^[^\n]*no policy for victim row[^\n]*$"):
        adversarial_policy(game, threat, {}, AttackConfig())
    with pytest.raises(InputError, match=r"^[^\n]*unknown agent of matrix/custom 'third'[^\n]*$"):
        setup(others={"third": FIRST})
    stranger = ThreatModel("row", ("cool",), {"cool": UNIFORM}, 0.3)
    with pytest.raises(InputError, match="unknown agent of matrix/custom 'cool': did you mean col"):
        adversarial_policy(game, stranger, UNIFORM, AttackConfig())


def test_start_from_the_benign_weights() -> None:
    spaces = Spaces(Box((1,)), Discrete(3))
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
