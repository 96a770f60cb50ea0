"""How the settings of a learned attack are resolved, and what training plays."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from sparring.commands.attack import Settings
from sparring.errors import InputError
from sparring.games import make
from sparring.nets import NetworkConfig, actor_critic
from sparring.oracles.curves import curve_of
from sparring.oracles.hardening import longest_match
from sparring.oracles.preparation import discount, rounds_of, shipped_attackers, training_of
from sparring.oracles.seating import ask, family_learning

KUHN = "openspiel/kuhn_poker"


def training(game: Any, victim: Any = "random", benign: Any = None, **more: Any) -> Any:
    settings = Settings(game=game, victim=victim, benign=benign, **more)
    return training_of(settings, ask(settings, victim))


@pytest.mark.slow
@pytest.mark.parametrize(("seat", "name"), [("0", "builtin:bug"), ("1", "builtin:ant")])
def test_an_attack_starts_from_the_agent_that_comes_with_the_package(seat: str, name: str) -> None:
    found = training("robosumo/ant-vs-bug,integrator=euler", benign="zero", victim_seat=(seat,))
    assert found.config.start == name and len(found.start) == 1


def test_else_from_the_benign_weights_else_from_scratch() -> None:
    spaces = make(KUHN).spaces["player1"]
    weights = actor_critic(spaces, NetworkConfig(hidden=(4,)), jax.random.key_data(jax.random.key(0)))
    assert training(KUHN, benign=weights).config.start == "benign"
    assert training(KUHN, benign="uniform").config.start == "scratch"
    assert training(KUHN, benign=weights, start="scratch").config.start == "scratch"
    with pytest.raises(InputError, match="start=benign: the benign policy has no weights"):
        training(KUHN, start="benign")


@pytest.mark.parametrize(
    ("steps", "num_games", "length", "expected"),
    [
        # 3 rounds of 128 steps would be 24,576; three of 105 are 20,160.
        (20_000, 64, 128, (3, 105)),
        (20_480, 64, 32, (10, 32)),
        (1, 64, 128, (1, 1)),
    ],
)
def test_rounds_are_sized_to_the_steps_that_are_asked_for(
    steps: int, num_games: int, length: int, expected: tuple[int, int]
) -> None:
    rounds, taken = rounds_of(steps, num_games, length)
    assert (rounds, taken) == expected
    assert 0 <= rounds * taken * num_games - steps < num_games * rounds
    assert rounds_of(steps, num_games, length, fixed=True) == (rounds, length)


def test_the_steps_that_are_reported_are_those_that_are_taken() -> None:
    config = training(KUHN, preset="smoke").config
    assert config.steps == 64 * config.steps_per_round * config.ppo.decay_updates == 20_160


def test_a_game_s_own_discount_is_learned_with() -> None:
    from sparring.exact.markov_game import random_game
    from sparring.games.markov import SampledMarkovGame

    game = SampledMarkovGame(random_game(0, 2, 2, 2, 0.5, 2).game, horizon=7)
    assert training(game, victim="uniform").config.ppo.gamma == 0.5
    assert training(KUHN).config.ppo.gamma == 1.0  # what a tree is worth is not discounted
    assert discount(ask(Settings(game=game, victim="uniform"), "uniform")) == 0.5
    assert (longest_match(game), longest_match(make("matrix/rps")), longest_match(make(KUHN))) == (7, 1, 3)


def test_shipped_attackers_are_for_whoever_changes_nothing() -> None:
    """Training settings that nothing reads would be ignored: then attackers are trained."""
    from sparring.commands.audit import Settings as Audit

    game = "robosumo/ant-vs-ant"
    assert set(shipped_attackers(Audit(game=game), (0.3, 1.0))) == {0.3, 0.7, 1.0}
    assert not shipped_attackers(Audit(game=game), (0.31,))
    changes: list[dict[str, Any]] = [{"preset": "paper"}, {"seeds": 5}, {"control": "episode"}, {"reward": "shaped"}]
    changes += [
        {"train_game": f"{game},integrator=euler"},
        {"learning_rate": 0.1},
        {"gae_lambda": 1.0},
        {"steps": 1},
        {"victim": "zero"},
    ]
    for change in changes:
        assert not shipped_attackers(Audit(game=game, **change), (1.0,)), change


def test_what_is_asked_of_ppo_reaches_it() -> None:
    from sparring.commands.attack import Settings, prepare
    from sparring.oracles.learned import LearnedOracle

    asked = Settings(game="discs/duel", victim="builtin:disc", gae_lambda=1.0, learning_rate=2e-4, steps=8192)
    oracle = prepare(asked).oracle
    assert isinstance(oracle, LearnedOracle) and oracle.training is not None
    assert (oracle.training.config.ppo.gae_lambda, oracle.training.config.ppo.learning_rate) == (1.0, 2e-4)
    # A training of one round has no warm-up, after which nothing would be left.
    assert oracle.training.config.ppo.warmup_updates == 0
    usual = prepare(Settings(game="discs/duel", victim="builtin:disc")).oracle
    assert isinstance(usual, LearnedOracle) and usual.training is not None
    assert (usual.training.config.ppo.gae_lambda, usual.training.config.ppo.warmup_updates) == (0.95, 5)


def test_a_broken_learning_module_is_not_taken_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sparring.games

    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/__init__.py").write_text("")
    monkeypatch.setattr(sparring.games, "__path__", [*sparring.games.__path__, str(tmp_path)])
    assert family_learning("broken/game") is None
    assert family_learning("package.module:factory") is None
    (tmp_path / "broken/learning.py").write_text("import no_such_module_at_all\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        family_learning("broken/game")
    assert "sparring.games.broken.learning" not in sys.modules


def test_a_curve_has_wins_or_where_nobody_wins_returns() -> None:
    events = [
        {"steps": 10 * i, "rewards": {"v": 6.0}, "sides": {"a": {"matches": 2, "win": i % 2, "draw": 0, "loss": 1}}}
        for i in range(1, 7)
    ]
    won = curve_of(events, "v", "a", 0.5, 3, points=2)
    # Rounds 1-3 have wins 1, 0, 1 of 6 matches, rounds 4-6 wins 0, 1, 0 of 6.
    assert won is not None and [p[:2] for p in won.points] == [(30.0, 2 / 6), (60.0, 1 / 6)]
    assert (won.budget, won.seed, won.measure, won.matches) == (0.5, 3, "win", (6, 6))
    assert all(low <= rate <= high for _, rate, low, high in won.points)
    for event in events:
        for name in ("win", "draw", "loss"):
            del event["sides"]["a"][name]
    returns = curve_of(events, "v", "a", 0.5, 3, points=2)
    # Each round's rewards are 6 for 2 matches: 3 for each.
    assert returns is not None and returns.measure == "return"
    assert [p[1:] for p in returns.points] == [(3.0, 3.0, 3.0)] * 2
    assert curve_of([], "v", "a", 0.5, 3) is None


@pytest.mark.slow
def test_the_game_as_it_was_asked_for_is_stepped_in_training() -> None:
    """A wrapper that forwards the id and turns rewards around must be the game: not the one that its id names."""
    from sparring.games.hosted import hosted

    class Turned:
        steps = 0

        def __init__(self, num_games: int) -> None:
            self._game = hosted(make("matrix/rps", num_games))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._game, name)

        id = property(lambda self: self._game.id)
        agents = property(lambda self: self._game.agents)
        spaces = property(lambda self: self._game.spaces)
        num_games = property(lambda self: self._game.num_games)

        def reset(self, seed: int) -> Any:
            return self._game.reset(seed)

        def step(self, actions: Any) -> Any:
            type(self).steps += 1
            step = self._game.step(actions)
            return step._replace(reward={agent: -reward for agent, reward in step.reward.items()})

        def get_state(self) -> Any:
            return self._game.get_state()

        def set_state(self, state: Any) -> Any:
            return self._game.set_state(state)

        def close(self) -> None: ...

    import sparring

    settings = {"victim": "first", "benign": "random", "steps": 6_000, "num_games": 32, "steps_per_round": 16}
    result = sparring.attack(Turned, **settings, minibatch=64, learning_rate=1e-2, episodes=64, start="scratch")
    assert result["game"] == "Turned" and Turned.steps > 6_000 / 32
    # With rewards turned around the attacker wins by scissors against rock, which the plain game would punish.
    assert result["victim_return"] < -0.8 < result["baseline"]["victim_return"]
    assert result["win"] is not None and np.isfinite(result["damage"]["return"]["low"])


@pytest.mark.slow
def test_progress_says_which_matches_are_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sparring.jobs import Job, do
    from sparring.oracles.learned import LearnedOracle
    from sparring.runs import Run

    monkeypatch.chdir(tmp_path)
    oracle = LearnedOracle(ask(Settings(game="matrix/rps", victim="first"), "first"))
    attack = oracle.adversarial("first")
    with Run.create(tmp_path / "run", "matrix/rps", "attack", 0, {}) as run:
        oracle.evaluate(attack, 0.3, 4, run, "matches", 0)
        oracle.evaluate(None, 0.0, 4, run, "benign-matches", 0)

    def work(config: Any, at: Run) -> None:
        oracle.evaluate(attack, 0.3, 4, at, "matches", 0)

    for name in ("zero-0.3", "attack-0.3-0"):
        do(Job(name, {}), tmp_path / name, work)
    assert capsys.readouterr().err.splitlines() == [
        "matches, budget 0.3: 4/4",
        "matches, benign opponent: 4/4",
        "matches, zero-0.3: 4/4",
        "matches, attack-0.3-0: 4/4",
    ]
