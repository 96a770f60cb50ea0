"""Eq. 3.2: what is executed under partial control, and that no policy can foresee the coin."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.mixture import MixedPolicy, _below, _coin, act, executed, mix, slot_budgets
from sparring.nets import ActorCritic, NetworkConfig, actor_critic
from sparring.policies import CallablePolicy, ConstantPolicy, RandomPolicy, TabularPolicy
from sparring.types import Box, Control, Decision, Discrete, Policy, Spaces, ThreatModel, View, check_budget

BATCH = 4000
SPACES = Spaces(Box((3,)), Box((2,), -1.0, 1.0))
OBSERVATION = np.random.default_rng(0).normal(size=(BATCH, 3)).astype(np.float32)
VIEW = View(OBSERVATION)


def key(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**32, 2, np.uint32)


def noisy(observation: np.ndarray, rng: np.random.Generator, sign: float) -> np.ndarray:
    return sign + rng.normal(size=(len(observation), 2)).astype(np.float32)


def pair(kind: Any) -> tuple[Policy, Policy]:
    if kind == "host":
        return CallablePolicy(partial(noisy, sign=1.0)), CallablePolicy(partial(noisy, sign=-1.0))
    if kind == "both":
        return RandomPolicy(SPACES.action), CallablePolicy(partial(noisy, sign=-1.0))
    config = NetworkConfig(kind, (8, 8))
    return actor_critic(SPACES, config, key(1)), actor_critic(SPACES, config, key(2))


def play(policy: Policy, steps: int) -> tuple[list[np.ndarray], list[Any]]:
    state, actions, controlled = policy.initial_state(BATCH), [], []
    for t in range(steps):
        decision = act(policy, key(100 + t), View(OBSERVATION * (1 + t)), state)
        state = decision.state
        actions.append(np.asarray(decision.action))
        controlled.append(decision.controlled)
    return actions, controlled


def rates(policy: Policy, n: int, batch: int = 100_000) -> np.ndarray:
    """How often each of n actions is executed."""
    decision = act(policy, key(3), View(np.ones((batch, 1), np.float32)), policy.initial_state(batch))
    return np.bincount(np.asarray(decision.action), minlength=n) / batch


def near(got: np.ndarray, wanted: np.ndarray, batch: int = 100_000) -> None:
    """Within five standard deviations of a binomial proportion: by chance once in 1.7 million."""
    wanted = np.asarray(wanted, float)
    assert got.shape == wanted.shape
    assert (np.abs(got - wanted) <= 5 * np.sqrt(wanted * (1 - wanted) / batch)).all(), (got, wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "control"),
    [("lstm", "step"), ("mlp", "blend"), ("host", "step"), ("host", "episode"), ("host", "blend"), ("both", "episode")],
)
def test_the_two_ends_of_the_budget_replay_the_two_policies(kind: str, control: Control) -> None:
    """Bit for bit; blended, the benign policy draws from another key, so only budget 1 does (DECISIONS 27)."""
    benign, adversarial = pair(kind)
    for budget, only in ((0.0, benign), (1.0, adversarial)):
        mixed, controlled = play(mix(benign, adversarial, budget, control), 3)
        alone, _ = play(only, 3)
        for t in range(3):
            if control != "blend" or budget == 1:
                np.testing.assert_array_equal(mixed[t], alone[t])
            assert np.asarray(controlled[t]).all() == (budget == 1)
            assert np.asarray(controlled[t]).any() == (budget == 1)


@pytest.mark.parametrize(("kind", "budget"), [("mlp", 0.3), ("host", 0.1), ("host", 0.9)])
def test_control_is_drawn_at_every_step(kind: str, budget: float) -> None:
    benign, adversarial = pair(kind)
    steps = 8
    actions, controlled = play(mix(benign, adversarial, budget), steps)
    coins = np.array([np.asarray(c) for c in controlled])
    # 5 standard deviations of a binomial proportion: by chance once in 1.7 million.
    sd = math.sqrt(budget * (1 - budget) / coins.size)
    assert abs(coins.mean() - budget) < 5 * sd
    # Correlation of consecutive coins of one match, and of neighbouring matches: its deviation is 1 / sqrt(n).
    for ours, others in ((coins[:-1], coins[1:]), (coins[:, :-1], coins[:, 1:])):
        assert abs(np.corrcoef(ours.ravel(), others.ravel())[0, 1]) < 5 / math.sqrt(ours.size)
    of_benign, of_adversarial = play(benign, steps)[0], play(adversarial, steps)[0]
    for t in range(steps):
        expected = np.where(coins[t][:, None], of_adversarial[t], of_benign[t])
        np.testing.assert_array_equal(actions[t], expected)


@pytest.mark.parametrize("kind", ["mlp", "host"])
def test_the_coin_is_independent_of_the_actions(kind: str) -> None:
    _, adversarial = pair(kind)
    policy = mix(adversarial, adversarial, 0.5)
    decision = act(policy, key(0), VIEW, policy.initial_state(BATCH))
    coin = np.asarray(decision.controlled)
    for dimension in np.asarray(decision.action).T:
        assert abs(np.corrcoef(coin, dimension)[0, 1]) < 5 / math.sqrt(BATCH)


class Splits(eqx.Module):
    """A user's policy that begins as most do, `_, k = split(key)`, and plays 1 or 2 evenly."""

    @property
    def traceable(self) -> bool:
        return True

    def initial_state(self, batch: int) -> Any:
        del batch
        return ()

    def act(self, key: Any, view: View, state: Any) -> Decision:
        _, k = jax.random.split(key)
        return Decision(jnp.where(jax.random.uniform(k, (view.observation.shape[0],)) < 0.5, 1, 2), state)


def always(action: int, host: bool = False, n: int = 3) -> Policy:
    if host:
        return CallablePolicy(lambda observation, rng: np.full(len(observation), action))
    return TabularPolicy(np.eye(n, dtype=np.float32)[[action]])


@pytest.mark.slow
def test_a_policy_that_splits_its_key_does_not_hold_the_coins() -> None:
    """Eq. 3.2 by hand: [1 - eps, eps / 2, eps / 2], and the other way round (DECISIONS 26)."""
    near(rates(mix(always(0), Splits(), 0.3), 3), np.array([0.7, 0.15, 0.15]))
    near(rates(mix(always(0), Splits(), 0.7), 3), np.array([0.3, 0.35, 0.35]))
    near(rates(mix(Splits(), always(0), 0.5), 3), np.array([0.5, 0.25, 0.25]))
    near(rates(mix(Splits(), mix(Splits(), always(0), 0.5), 0.5), 3), np.array([0.25, 0.375, 0.375]))


@pytest.mark.slow
def test_the_coin_is_independent_of_every_split_of_the_key() -> None:
    """The numbers that a policy draws from `split(key, n)[i]` say nothing about the coin, for i up to 256.

    Of 256 correlations the largest is below five standard deviations, 1 / sqrt(batch): by chance once in 6,800.
    """
    given = jnp.asarray(key(8))
    for number in (1, 2, 5):
        coin = np.asarray(_coin(given, BATCH, 0.5, True, number), float)
        keys = jax.random.split(given, 256)
        drawn = np.asarray(jax.vmap(lambda k: jax.random.uniform(k, (BATCH,)))(keys))
        first = np.asarray(jax.vmap(lambda k: jax.random.uniform(jax.random.split(k)[0], (BATCH,)))(keys))
        for numbers in (drawn, first):
            numbers = numbers - numbers.mean(1, keepdims=True)
            correlation = numbers @ (coin - coin.mean()) / (BATCH * numbers.std(1) * coin.std())
            assert np.abs(correlation).max() < 5 / math.sqrt(BATCH)


@pytest.mark.slow
@pytest.mark.parametrize("host", [False, True], ids=["traceable", "host"])
def test_nested_mixtures_are_trees_of_mixtures(host: bool) -> None:
    """Products of the probabilities along each branch, by hand."""
    a, b, c = (always(action, host) for action in range(3))
    for policy, wanted in (
        (mix(mix(a, b, 0.5), c, 0.5), [0.25, 0.25, 0.5]),
        (mix(mix(a, b, 0.3), c, 0.7), [0.21, 0.09, 0.7]),
        (mix(a, mix(b, c, 0.5), 0.5), [0.5, 0.25, 0.25]),
        (mix(mix(a, b, 0.5), mix(a, c, 0.5), 0.5), [0.5, 0.25, 0.25]),
    ):
        near(rates(policy, 3), np.array(wanted))


def nests(depth: int) -> st.SearchStrategy[Any]:
    """Trees of mixtures: an action, or (benign, adversarial, budget)."""
    leaf = st.integers(0, 3)
    return st.recursive(
        leaf, lambda inner: st.tuples(inner, inner, st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0])), max_leaves=depth
    )


def made(nest: Any, host: bool) -> Policy:
    if isinstance(nest, int):
        return always(nest, host, n=4)
    return mix(made(nest[0], host), made(nest[1], host), nest[2])


def wanted(nest: Any) -> np.ndarray:
    if isinstance(nest, int):
        return np.eye(4)[nest]
    return (1 - nest[2]) * wanted(nest[0]) + nest[2] * wanted(nest[1])


@given(nests(6))
@settings(max_examples=60)
def test_any_nest_on_the_host_executes_its_tree_of_mixtures(nest: Any) -> None:
    near(rates(made(nest, host=True), 4, 20_000), wanted(nest), 20_000)


@pytest.mark.slow
@given(nests(5))
@settings(max_examples=8)  # each one is compiled
def test_any_nest_within_jax_executes_its_tree_of_mixtures(nest: Any) -> None:
    near(rates(made(nest, host=False), 4, 20_000), wanted(nest), 20_000)


@given(nests(8))
def test_each_mixture_in_a_nest_has_a_coin_of_its_own(nest: Any) -> None:
    """All numbers in a nest differ, and a mix's own is the highest of those within it."""

    def look(policy: Policy) -> list[int]:
        if not isinstance(policy, MixedPolicy):
            return []
        inner = look(policy.benign) + look(policy.adversarial)
        assert policy.number > max(inner, default=0)
        return [*inner, policy.number]

    numbers = look(made(nest, host=True))
    assert len(set(numbers)) == len(numbers)


class Holder:
    """A user's policy that asks another one with its own key."""

    traceable = False

    def __init__(self, held: Any) -> None:
        self.held = held

    def initial_state(self, batch: int) -> Any:
        return self.held[0].initial_state(batch)

    def act(self, key: Any, view: View, state: Any) -> Decision:
        return self.held[0].act(key, view, state)


class Asking(Holder):
    """One that asks a function."""

    def __init__(self, held: Any, function: Any) -> None:
        super().__init__(held)
        self.function = function

    def act(self, key: Any, view: View, state: Any) -> Decision:
        return self.function(key, view)


def test_a_mix_that_a_users_policy_holds_has_a_coin_of_its_own() -> None:
    """In a container or in an enclosing function: [.25 .25 .5] is executed, as for the plain nest."""
    zero, one, two = (CallablePolicy(lambda o, rng, a=a: np.full(len(o), a)) for a in range(3))
    view, inner = View(np.zeros((20_000, 1), np.float32)), mix(zero, one, 0.5)
    enclosing = Asking((zero,), lambda key, view: inner.act(key, view, inner.initial_state(len(view.observation))))
    for benign in (inner, Holder([inner]), enclosing):
        policy = mix(benign, two, 0.5)
        assert policy.number == 2
        action = policy.act(np.array([3, 4], np.uint32), view, policy.initial_state(20_000)).action
        np.testing.assert_allclose(np.bincount(action, minlength=3) / 20_000, [0.25, 0.25, 0.5], atol=0.02)


def test_mixes_beside_each_other_have_coins_of_their_own() -> None:
    """Two coins a match: of four pairs of actions, each is met in a quarter of the matches."""
    constant = [CallablePolicy(lambda o, rng, a=a: np.full(len(o), a)) for a in range(4)]
    left, right = (mix(constant[i], constant[i + 1], 0.5, "episode") for i in (0, 2))
    policy, view, n = mix(left, right, 0.5), View(np.zeros((4000, 1), np.float32)), 4000
    state, seen = policy.initial_state(n), []
    for step in range(16):
        decision = policy.act(np.array([step, 7], np.uint32), view, state)
        state = decision.state
        seen.append(decision.action)
    met = [(np.array(seen) == action).any(0) for action in range(4)]
    pairs = [(met[a] & met[b]).mean() for a in (0, 1) for b in (2, 3)]
    np.testing.assert_allclose(pairs, 0.25, atol=0.04)
    # Mixed once more, what was taken out of a nest does not meet its own number.
    assert mix(policy.adversarial, constant[0], 0.5).number > 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlp", "host"])
@pytest.mark.parametrize("control", ["step", "episode"])
def test_a_mixture_in_a_mixture_controls_what_both_coins_leave_to_it(kind: str, control: Control) -> None:
    benign, adversarial = pair(kind)
    other = ConstantPolicy(SPACES.action)
    policy = mix(other, mix(benign, adversarial, 0.4, control), 0.5, control)
    actions, controlled = play(policy, 3)
    of_benign, of_adversarial = play(benign, 3)[0], play(adversarial, 3)[0]
    for t in range(3):
        coin = np.asarray(controlled[t])
        # .5 x .4 with coins of their own; one coin for both would leave .4 to it.
        assert abs(coin.mean() - 0.2) < 5 * math.sqrt(0.16 / BATCH)
        np.testing.assert_array_equal(actions[t][coin], of_adversarial[t][coin])
        still = (actions[t] == 0).all(1)
        assert abs(still.mean() - 0.5) < 5 * math.sqrt(0.25 / BATCH)
        np.testing.assert_array_equal(actions[t][~coin & ~still], of_benign[t][~coin & ~still])


@pytest.mark.parametrize("budget", [0.0, 0.25, 0.3, 2 / 3, 1.0, 1e-9, 5e-7])
def test_digits_are_compared_as_the_numbers_that_they_write(budget: float) -> None:
    """By brute force with digits to the base 4: of all 256 numbers of 4 digits exactly those below the budget count."""
    numbers = np.array(list(product(range(4), repeat=4)), np.uint16)
    below = np.asarray(_below(jnp.asarray(numbers.T), jnp.float32(budget), base=4))
    value = numbers @ (4.0 ** -np.arange(1, 5))
    # A number of four digits is below the budget if it is below the budget's first four digits.
    np.testing.assert_array_equal(below, value < np.floor(np.float64(np.float32(budget)) * 256) / 256)


@pytest.mark.parametrize("budget", [1e-9, 1e-6, 1e-4])
def test_small_budgets_have_their_rate(budget: float) -> None:
    """The share of all 2^48 numbers of three 16-bit digits that are below the budget is the budget to 2^-48.

    As the digits are compared one after the other, the share is a sum over the first digit that differs.
    """
    budget = float(np.float32(budget))
    share, prefix = 0.0, 1.0
    first: list[np.ndarray] = []
    rest = budget
    for place in range(3):
        rest *= 65536
        digit = math.floor(rest)
        rest -= digit
        every = np.arange(65536, dtype=np.uint16)
        digits = [np.full(65536, d, np.uint16) for d in first] + [every] + [np.zeros(65536, np.uint16)] * (2 - place)
        below = np.asarray(_below(jnp.asarray(np.stack(digits)), jnp.float32(budget)))
        # Those that agree so far are settled by this digit, but for the one that agrees again.
        settled = every != digit
        share += prefix * below[settled].sum() / 65536
        prefix /= 65536
        first.append(digit)  # pyright: ignore[reportArgumentType]
    assert share == pytest.approx(budget, abs=2**-47)


@pytest.mark.slow
@pytest.mark.parametrize("host", [False, True], ids=["traceable", "host"])
def test_a_budget_of_a_ten_thousandth_is_a_ten_thousandth(host: bool) -> None:
    coins = np.asarray(_coin(key(5), 4_000_000, 1e-4, traceable=not host, number=1))
    assert abs(coins.sum() - 400) < 5 * 20  # five standard deviations of a Poisson count of 400


@pytest.mark.parametrize("kind", ["mlp", "host"])
def test_one_coin_for_a_match(kind: str) -> None:
    policy = mix(*pair(kind), 0.3, "episode")
    _, controlled = play(policy, 4)
    first = np.asarray(controlled[0])
    assert abs(first.mean() - 0.3) < 5 * math.sqrt(0.21 / BATCH)
    for later in controlled[1:]:
        np.testing.assert_array_equal(np.asarray(later), first)
    fresh = act(policy, key(999), VIEW, policy.initial_state(BATCH))
    again = np.asarray(fresh.controlled)
    assert abs(np.corrcoef(first, again)[0, 1]) < 5 / math.sqrt(BATCH)  # a new match, a new coin
    # What benign matches return is another value than the controlled ones': the critic is not to learn it.
    np.testing.assert_array_equal(fresh.valued, again)


@pytest.mark.parametrize("kind", ["mlp", "host"])
def test_the_critic_learns_from_all_steps_where_control_is_drawn_at_each(kind: str) -> None:
    policy = mix(*pair(kind), 0.3)
    assert act(policy, key(1), VIEW, policy.initial_state(BATCH)).valued is None


@pytest.mark.parametrize("kind", ["mlp", "host"])
def test_blending_is_the_convex_combination(kind: str) -> None:
    """Both policies' noise is executed at once, so they draw independently (DECISIONS 27)."""
    benign, adversarial = pair(kind)
    policy = mix(benign, adversarial, 0.25, "blend")
    decision = act(policy, key(100), VIEW, policy.initial_state(BATCH))
    proposed = np.asarray(decision.proposed)
    np.testing.assert_array_equal(proposed, play(adversarial, 1)[0][0])
    assert np.asarray(decision.controlled).all()
    other = (np.asarray(decision.action) - 0.25 * proposed) / 0.75  # what the benign policy chose
    same_key = play(benign, 1)[0][0]
    np.testing.assert_allclose(other.mean(0), same_key.mean(0), atol=0.1)
    np.testing.assert_allclose(other.std(0), same_key.std(0), rtol=0.1)
    if kind == "host":  # pure noise around +1 and -1
        for ours, theirs in zip(other.T, proposed.T, strict=True):
            assert abs(np.corrcoef(ours, theirs)[0, 1]) < 5 / math.sqrt(BATCH)


def gaussian(mean: list[float], std: list[float]) -> ActorCritic:
    made = actor_critic(Spaces(Box((1,)), Box((2,), -1.0, 1.0)), NetworkConfig("mlp", (4,)), key(1))
    last = made.actor.mlp.layers[-1]  # pyright: ignore[reportAttributeAccessIssue]
    values = (0 * last.weight, jnp.array(mean), jnp.log(jnp.array(std)))
    return eqx.tree_at(lambda n: (n.actor.mlp.layers[-1].weight, n.actor.mlp.layers[-1].bias, n.log_std), made, values)


def test_the_score_of_a_blended_policy_is_its_gradient() -> None:
    """Benign N(0, (1, .1)^2), adversarial N(.2, .3^2), budget .3, and a return of x0 + x1.

    Executed is a normal of standard deviation sqrt((.7 s_b)^2 + (.3 s_a)^2) = (.7058, .1140), and the gradient of the
    return in the adversarial mean is the budget in each dimension.
    """
    batch = 200_000
    policy = mix(gaussian([0.0, 0.0], [1.0, 0.1]), gaussian([0.2, 0.2], [0.3, 0.3]), 0.3, "blend")
    decision = act(policy, key(5), View(np.ones((batch, 1), np.float32)), policy.initial_state(batch))
    action, proposed = np.asarray(decision.action, float), np.asarray(decision.proposed, float)
    np.testing.assert_allclose(action.std(0), [0.7058, 0.1140], rtol=5 / math.sqrt(2 * batch))
    total = action.sum(1)
    products = (proposed - 0.2) / 0.09 * (total - total.mean())[:, None]
    error = products.std(0) / math.sqrt(batch)
    assert (np.abs(products.mean(0) - 0.3) < 5 * error).all()


def test_a_blend_within_a_mixture_is_learned_from_by_its_own_action() -> None:
    benign, adversarial = pair("mlp")
    policy = mix(ConstantPolicy(SPACES.action), mix(benign, adversarial, 0.25, "blend"), 0.5)
    decision = act(policy, key(100), VIEW, policy.initial_state(BATCH))
    np.testing.assert_array_equal(np.asarray(decision.proposed), play(adversarial, 1)[0][0])


def test_log_prob_and_value_are_the_adversarial_policys() -> None:
    benign, adversarial = pair("mlp")
    policy = mix(benign, adversarial, 0.3)
    decision = act(policy, key(5), VIEW, policy.initial_state(BATCH))
    alone = act(adversarial, key(5), VIEW, adversarial.initial_state(BATCH))
    np.testing.assert_array_equal(np.asarray(decision.log_prob), np.asarray(alone.log_prob))
    np.testing.assert_array_equal(np.asarray(decision.value), np.asarray(alone.value))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlp", "host"])
def test_those_who_share_the_coins_key_are_controlled_together(kind: str) -> None:
    benign, adversarial = pair(kind)
    policy = MixedPolicy(benign, adversarial, 0.5, team=True)
    state = policy.initial_state(BATCH)
    give = jnp.asarray if kind == "mlp" else np.asarray
    view = View(give(OBSERVATION))
    one, two, other = (
        policy.act_with(give(key(own)), give(key(coin)), view, state) for own, coin in ((1, 7), (2, 7), (1, 8))
    )
    np.testing.assert_array_equal(one.controlled, two.controlled)
    assert not np.array_equal(one.action, two.action)
    assert abs(np.corrcoef(np.asarray(one.controlled), np.asarray(other.controlled))[0, 1]) < 5 / math.sqrt(BATCH)


@pytest.mark.parametrize("budget", [math.nan, math.inf, -0.1, 1.3, "x", None, [0.5]])
def test_what_is_no_probability_is_refused(budget: Any) -> None:
    policy = RandomPolicy(SPACES.action)
    for attempt in (
        lambda: check_budget(budget),
        lambda: mix(policy, policy, budget),
        lambda: ThreatModel("a", ("b",), {"b": policy}, budget),
    ):
        with pytest.raises(InputError, match=r"budget: expected a probability in \[0, 1\]"):
            attempt()


@given(st.floats(0, 1))
def test_every_probability_is_accepted(budget: float) -> None:
    assert check_budget(budget) == check_budget(np.float64(budget)) == budget


def test_unknown_control_is_refused() -> None:
    policy = RandomPolicy(SPACES.action)
    unknown: Any = "episodes"
    with pytest.raises(InputError, match="did you mean episode"):
        mix(policy, policy, 0.5, unknown)


def test_threat_model() -> None:
    policy = RandomPolicy(SPACES.action)
    threat = ThreatModel("a", "b", {"b": policy}, 0.3)
    assert (threat.victims, threat.victim, threat.attackers, threat.budget) == (("a",), "a", ("b",), 0.3)
    team = ThreatModel(("a", "d"), ("b", "c"), {"b": policy, "c": policy}, 0.3, coin="team")
    assert team.victims == ("a", "d") and team.victim == "a"
    with pytest.raises(InputError, match="both the victim and an attacker"):
        ThreatModel("a", ("a",), {"a": policy}, 0.3)
    with pytest.raises(InputError, match="nor one of them twice"):
        ThreatModel("a", ("b", "b"), {"b": policy}, 0.3)
    with pytest.raises(InputError, match="no benign policy for attacker c"):
        ThreatModel("a", ("b", "c"), {"b": policy}, 0.3)
    with pytest.raises(InputError, match="attackers: expected at least one agent, got none"):
        ThreatModel("a", (), {}, 0.3)


@pytest.mark.parametrize(("name", "value"), [("control", "steps"), ("coin", "both")])
def test_a_threat_of_unknown_control_or_coin_is_refused(name: str, value: str) -> None:
    policy = RandomPolicy(SPACES.action)
    with pytest.raises(InputError, match=f"unknown .*'{value}'"):
        ThreatModel("a", ("b",), {"b": policy}, 0.3, **{name: value})  # pyright: ignore[reportArgumentType]


def test_the_threat_is_executed_by_every_attacker() -> None:
    benign, adversarial = pair("mlp")
    threat = ThreatModel("a", ("b", "c"), {"b": benign, "c": benign}, 0.3, coin="team")
    policies = executed(threat, {"b": adversarial, "c": benign})
    assert policies == {
        "b": MixedPolicy(benign, adversarial, 0.3, team=True),
        "c": MixedPolicy(benign, benign, 0.3, team=True),
    }
    with pytest.raises(InputError, match="no adversarial policy for attacker c"):
        executed(threat, {"b": adversarial})


@pytest.mark.parametrize("kind", ["mlp", "host"])
def test_the_same_key_gives_the_same_decision(kind: str) -> None:
    policy = mix(*pair(kind), 0.5)
    for a, b in zip(play(policy, 2)[0], play(policy, 2)[0], strict=True):
        np.testing.assert_array_equal(a, b)
    other = act(policy, key(3), VIEW, policy.initial_state(BATCH)).action
    assert not np.array_equal(np.asarray(other), play(policy, 1)[0][0])


def test_traceable_if_both_are() -> None:
    network, host = pair("mlp")[0], pair("host")[0]
    assert MixedPolicy(network, network, 0.5).traceable
    assert not MixedPolicy(network, host, 0.5).traceable
    assert not MixedPolicy(host, network, 0.5).traceable
    assert isinstance(MixedPolicy(network, host, 0.5), Policy)


def test_policies_of_other_shapes_are_refused() -> None:
    policy = mix(RandomPolicy(Box((3,), 0.0, 1.0)), RandomPolicy(Box((2,), 0.0, 1.0)), 0.5)
    with pytest.raises(
        InputError, match=r"the benign policy's actions have shape \[4000, 3\], the adversarial pol.*2\]"
    ):
        policy.act(key(1), VIEW, policy.initial_state(BATCH))


def test_discrete_actions_cannot_be_blended() -> None:
    policy = mix(RandomPolicy(Discrete(3)), RandomPolicy(Discrete(3)), 0.5, "blend")
    with pytest.raises(InputError, match="blend combines continuous actions, and these are discrete"):
        policy.act(key(1), VIEW, policy.initial_state(BATCH))


def test_observations_that_are_dicts() -> None:
    """The number of matches is that of any part; with NumPy arrays the call is compiled."""
    view = View({"a": {"b": np.zeros((7, 2), np.float32)}, "c": np.zeros(7, np.int64)})
    policy = mix(RandomPolicy(SPACES.action), RandomPolicy(SPACES.action), 0.5)
    assert act(policy, key(1), view, policy.initial_state(7)).action.shape == (7, 2)


@pytest.mark.parametrize("kind", ["mlp", "host"])
def test_each_slot_has_a_budget_of_its_own(kind: str) -> None:
    """Four budgets, each in a quarter of the slots: how often each quarter is controlled is a binomial proportion."""
    budgets = np.tile(np.array([0.0, 0.1, 0.7, 1.0], np.float32), BATCH // 4)
    policy = replace(mix(*pair(kind), 0.5), budget=budgets)
    steps = 40
    coins = np.array([np.asarray(c) for c in play(policy, steps)[1]])
    for number, budget in enumerate((0.0, 0.1, 0.7, 1.0)):
        mine = coins[:, number::4]
        near(np.array([mine.mean()]), np.array([budget]), mine.size)
    # Nothing is to be learned from slots that are never attacked.
    decision = act(policy, key(1), View(OBSERVATION), policy.initial_state(BATCH))
    np.testing.assert_array_equal(decision.valued, budgets > 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlp", "host"])
def test_a_budget_for_each_slot_is_that_budget_in_each_kind_of_control(kind: str) -> None:
    """Bit for bit what one budget for all would do in the slots that have it."""
    budgets = np.tile(np.array([0.0, 0.3, 1.0, 0.3], np.float32), BATCH // 4)
    for control in get_args(Control):
        mixed = mix(*pair(kind), 0.5, control)
        together = play(replace(mixed, budget=budgets), 3)[0]
        for budget in (0.0, 0.3, 1.0):
            alone = play(replace(mixed, budget=float(np.float32(budget))), 3)[0]
            here = budgets == np.float32(budget)
            for ours, theirs in zip(together, alone, strict=True):
                np.testing.assert_allclose(ours[here], theirs[here], rtol=1e-6)


def test_slots_are_dealt_evenly() -> None:
    budgets = slot_budgets(128, 0.7, 0.25)
    assert budgets.dtype == np.float32 and (budgets == 0).sum() == 32 and (budgets == np.float32(0.7)).sum() == 96
    # In every second slot as in the others: there past opponents are met.
    assert abs(int((budgets[::2] == 0).sum()) - 16) <= 1
    for slots, share in ((64, 0.5), (64, 0.1), (4, 0.5), (7, 0.3), (128, 0.02)):
        clean = slot_budgets(slots, 1.0, share) == 0
        assert clean.sum() == round(share * slots) and abs(int(clean[::2].sum()) - int(clean[1::2].sum())) <= 1
    spread = slot_budgets(100, 0.7, 0.2, (0.2, 0.6))
    attacked = spread[spread > 0]
    np.testing.assert_allclose(np.sort(attacked), np.linspace(0.2, 0.6, 80), rtol=1e-6)
    assert abs(float(attacked.mean()) - 0.4) < 1e-6
    halves = [half[half > 0].mean() for half in (spread[::2], spread[1::2])]
    assert abs(halves[0] - halves[1]) < 0.02
    np.testing.assert_array_equal(slot_budgets(5, 0.3), np.full(5, 0.3, np.float32))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((4, 0.5, -0.1), r"clean-share: expected a share in \[0, 1\)"),
        ((4, 0.5, 0.9), "leaves a match to attack"),
        ((4, 0.5, 0.1), "0.1 of 4 matches side by side is none"),
        ((4, 0.5, 0.0, (0.6, 0.2)), "budget-range: expected the lower budget first"),
        ((4, 0.5, 0.0, (0.6, 1.2)), r"budget: expected a probability in \[0, 1\]"),
    ],
)
def test_slots_that_cannot_be_dealt_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        slot_budgets(*settings)
