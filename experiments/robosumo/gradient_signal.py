"""Measures why an attack does not learn: how much of its gradient is signal, and how much its critic can explain.

From the folder of the repository,

    python -m experiments.robosumo.gradient_signal --victim builtin:ant --start builtin:ant

plays matches with the Euler integrator, in which nothing is learned, and records two tables in `signal.json` in the
folder of the results (`--results`; by default the repository's `results/robosumo-learning`):

- **signal**: the part of a policy gradient's power that is the same in the gradients of different rounds, for several
  lambda of the advantage. The rest is chance: it moves the weights to and fro.
- **critic**: the part of the variance of a match's discounted outcome that a critic explains in matches to which it was
  not fitted: from what the attacker sees, and from that together with what the victim sees of itself.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.robosumo.measure import RESULTS
from experiments.robosumo.program import parser_of
from sparring.console import DONE, exit_code, progress
from sparring.errors import InputError
from sparring.files import read_json, write_json
from sparring.games import make
from sparring.games.robosumo.bodies import BODIES
from sparring.games.robosumo.learning import ATTACK
from sparring.games.robosumo.symmetry import Symmetry
from sparring.learners.gae import gae
from sparring.loaders import load
from sparring.metrics.outcome import wilson
from sparring.nets import ActorCritic, set_std
from sparring.play.rollout import rollout

GAMMA = ATTACK["ppo"]["gamma"]
LAMBDAS = (0.95, 0.9, 0.8, 0.6)
FOLDS = 4  # a critic judges one slot of matches in four, and was fitted to the other three
PROGRAM = "experiments.robosumo.gradient_signal"


class Matches(NamedTuple):
    """What an attacker sees of T steps of B matches, in its network's view."""

    own: np.ndarray  # float32 [T, B, D], observations
    other: np.ndarray  # float32 [T, B, D], the victim's, in the same view
    action: np.ndarray  # float32 [T, B, A]
    reward: np.ndarray  # float32 [T, B], 1 and -1 where a match was won or lost
    terminated: np.ndarray  # bool [T, B]
    truncated: np.ndarray  # bool [T, B]


def play(body: str, victim: str, start: str, rounds: int, seed: int, threads: int) -> tuple[ActorCritic, Matches]:
    """An attacker's network with the noise of its training, and matches in which it has full control.

    Raises:
      InputError: `start` has no weights to learn with.
    """
    game = make(f"robosumo/{body}-vs-{body},integrator=euler", ATTACK["num_games"], threads)
    first, second = game.agents
    network = load(start, game, second)
    if not isinstance(network, ActorCritic) or network.recurrent:
        raise InputError(f"start: {start} is no MLP of this package's kind")
    network = set_std(network, ATTACK["ppo"]["start_std"])
    policies = {first: load(victim, game, first), second: network}
    rng, state, found = np.random.default_rng(seed), None, []
    symmetry = Symmetry(body)

    @jax.jit
    def seen(own: Any, other: Any, action: Any) -> Any:
        if network.frame is None:
            return own, other, action
        turn = symmetry.turn(own)
        return symmetry.turned(turn, own), symmetry.turned(turn, other), symmetry.turned_action(turn, action)

    with progress(rounds, "playing rounds") as advance:
        for done in range(rounds):
            trajectory, state = rollout(game, policies, ATTACK["steps_per_round"], rng, state, (second,), (first,))
            assert trajectory.outcome is not None
            mine = trajectory.agents[second]
            own, other, action = seen(mine.observation, trajectory.seen[first], mine.action)
            reward = np.asarray(trajectory.outcome[second], np.float32)
            found.append(Matches(own, other, action, reward, mine.terminated, mine.truncated))
            advance(done + 1)
    return network, Matches(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def outcomes(matches: Matches, gamma: float) -> np.ndarray:
    """The discounted outcome that follows each step, [T, B]; NaN where the match goes on after the last step."""
    after = np.full(matches.reward.shape[1], np.nan, np.float32)
    found = np.empty_like(matches.reward)
    ended = matches.terminated | matches.truncated
    for t in reversed(range(len(found))):
        after = np.where(ended[t], matches.reward[t], gamma * after)
        found[t] = after
    return found


def judged(seen: np.ndarray, target: np.ndarray, hidden: int, epochs: int, seed: int) -> np.ndarray:
    """The values of every step, [T, B], each by a critic that was fitted to other matches.

    Args:
      seen: [T, B, D].
      target: [T, B], NaN where there is none.
      hidden: units of each of the two layers.
      epochs: passes over the data, the learning rate falling to zero.
      seed: of the weights and the order of the data.
    """
    known = ~np.isnan(target)
    mean, deviation = seen[known].mean(0), np.sqrt(np.maximum(seen[known].var(0), 1e-2))
    x, y = jnp.asarray(np.clip((seen - mean) / deviation, -5, 5)), jnp.asarray(target)
    fold = np.broadcast_to(np.arange(target.shape[1]) % FOLDS, target.shape)
    others = [np.flatnonzero(known & (fold != k)) for k in range(FOLDS)]
    fewest = min(map(len, others))
    size = min(512, fewest)
    found = np.empty_like(target)
    for k, rows in enumerate(others):
        network = eqx.nn.MLP(x.shape[-1], "scalar", hidden, 2, jnp.tanh, key=jax.random.key(seed + k))
        rng = np.random.default_rng([seed, k])
        chosen = [rng.permutation(rows)[: fewest // size * size] for _ in range(epochs)]
        critic = _fitted(network, x, y, jnp.asarray(np.stack(chosen).reshape(epochs, -1, size)))
        found[:, k::FOLDS] = _said(critic, x[:, k::FOLDS])
    return found


@eqx.filter_jit
def _said(network: eqx.nn.MLP, x: jax.Array) -> jax.Array:
    return jax.lax.map(jax.vmap(network), x)


@eqx.filter_jit
def _fitted(network: eqx.nn.MLP, x: jax.Array, y: jax.Array, rows: jax.Array) -> eqx.nn.MLP:
    """The network after a step of least squares for each minibatch of `rows` [epochs, minibatches, size]."""
    x, y, rows = x.reshape(-1, x.shape[-1]), y.reshape(-1), rows.reshape(-1, rows.shape[-1])
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-3, len(rows)))
    weights, static = eqx.partition(network, eqx.is_inexact_array)

    def loss(weights: Any, rows: jax.Array) -> jax.Array:
        return jnp.mean((jax.vmap(eqx.combine(weights, static))(x[rows]) - y[rows]) ** 2)

    def step(carry: Any, rows: jax.Array) -> tuple[Any, None]:
        weights, state = carry
        updates, state = optimizer.update(jax.grad(loss)(weights, rows), state)
        return (optax.apply_updates(weights, updates), state), None

    (weights, _), _ = jax.lax.scan(step, (weights, optimizer.init(weights)), rows)
    return eqx.combine(weights, static)


def explained(said: np.ndarray, target: np.ndarray) -> float:
    """The part of the variance of `target` that `said` explains, both [T, B]; steps with NaN are left out."""
    known = ~np.isnan(target)
    return float(1 - np.mean((target - said)[known] ** 2) / target[known].var())


def gradients(network: ActorCritic, matches: Matches, value: np.ndarray, lam: float, steps: int) -> np.ndarray:
    """The policy gradient of each round of `steps` steps, [rounds, weights of the actor]."""
    ended = matches.terminated | matches.truncated  # nothing follows a draw either
    zero = np.zeros_like(value)
    # The value after the last step is not known; the one before it is as good as the same.
    advantage = np.asarray(gae(matches.reward, value, zero, ended, zero > 0, value[-1], GAMMA, lam))
    weights, static = eqx.partition(network.actor, eqx.is_inexact_array)

    @jax.jit
    def gradient(own: jax.Array, action: jax.Array, advantage: jax.Array) -> jax.Array:
        def surrogate(weights: Any) -> jax.Array:
            head, _ = eqx.combine(weights, static)(network.normalizer(own.reshape(-1, own.shape[-1])), ())
            return (network.log_prob(head, action.reshape(head.shape)) * advantage.reshape(-1)).mean()

        return jnp.concatenate([g.ravel() for g in jax.tree.leaves(jax.grad(surrogate)(weights))])

    rounds = [slice(t, t + steps) for t in range(0, len(value) - steps + 1, steps)]
    return np.stack([gradient(matches.own[t], matches.action[t], advantage[t]) for t in rounds])


def signal_share(gradients: np.ndarray) -> tuple[float, float]:
    """The squared length of the expected gradient as a part of the expected squared length, and its standard error.

    Products of different rounds' gradients [n, P] estimate the first without bias, since their noise is independent; so
    the share can come out below zero where there is no signal. The error is the jackknife's.
    """
    n = len(gradients)
    squares, total = np.vecdot(gradients, gradients), gradients.sum(0)

    def share(whole: np.ndarray, squares: np.ndarray) -> float:
        k = len(squares)
        return float((whole @ whole - squares.sum()) / (k * (k - 1)) / squares.mean())

    without = [share(total - gradients[i], np.delete(squares, i)) for i in range(n)]
    return share(total, squares), float(np.sqrt((n - 1) * np.var(without)))


def measured(body: str, victim: str, start: str, rounds: int, seed: int, threads: int) -> dict[str, Any]:
    """Both tables of one attack."""
    if rounds < 8:
        raise InputError(f"rounds: expected at least 8, got {rounds}")
    network, matches = play(body, victim, start, rounds, seed, threads)
    target = outcomes(matches, GAMMA)
    joints = BODIES[body].nq + BODIES[body].nv
    velocity = slice(BODIES[body].nq, BODIES[body].nq + 6)
    besides = {
        "its own": matches.other[..., :0],
        "its own and the opponent's velocity": matches.other[..., velocity],
        "its own and the opponent's angles and speeds": matches.other[..., :joints],
        "its own and all that the opponent sees": matches.other,
    }
    values = {
        name: judged(np.concatenate([matches.own, more], -1), target, 64, 6, seed) for name, more in besides.items()
    }
    steps, own = ATTACK["steps_per_round"], values["its own"]
    signal = {lam: signal_share(gradients(network, matches, own, lam, steps)) for lam in LAMBDAS}
    won, lost = int((matches.reward > 0).sum()), int((matches.reward < 0).sum())
    return {
        "body": body,
        "victim": victim,
        "start": start,
        "seed": seed,
        "rounds": rounds,
        "matches": int((matches.terminated | matches.truncated).sum()),
        "win": won / max(won + lost, 1),  # of the matches that were decided
        "win_ci": list(wilson(won, won + lost)),
        "critic": {name: explained(said, target) for name, said in values.items()},
        "signal": {f"{lam:g}": {"share": share, "error": error} for lam, (share, error) in signal.items()},
    }


def record(found: Mapping[str, Any], results: Path) -> None:
    """Record it in `signal.json`; an earlier measurement of the same attack is replaced."""
    path = results / "signal.json"
    attack = ("body", "victim", "start")
    earlier = read_json(path)["attacks"] if path.exists() else []
    others = [row for row in earlier if any(row[key] != found[key] for key in attack)]
    results.mkdir(parents=True, exist_ok=True)
    write_json(path, {"attacks": [*others, found]})


def text(found: Mapping[str, Any]) -> str:
    won = f"wins {found['win']:.1%} of the decided ones of {found['matches']:,} matches"
    lines = [f"{found['start']} against {found['victim']}: {won}"]
    for lam, row in found["signal"].items():
        lines.append(
            f"  lambda {lam}: {row['share']:.2%} of a round's gradient is signal (standard error {row['error']:.2%})"
        )
    lines += [f"  a critic that sees {name}: explains {part:.1%}" for name, part in found["critic"].items()]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    return exit_code(PROGRAM, lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    parser = parser_of(PROGRAM, __doc__)
    parser.add_argument("--body", default="ant", help="ant, bug or spider")
    parser.add_argument("--victim", default="builtin:ant", help="who is attacked, at budget 1")
    parser.add_argument("--start", default="builtin:ant", help="whose weights the attack would start from")
    parser.add_argument("--rounds", type=int, default=80, help="rounds of 8,192 steps that are played")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    asked = parser.parse_args(arguments)
    found = measured(asked.body, asked.victim, asked.start, asked.rounds, asked.seed, asked.threads)
    record(found, asked.results)
    print(text(found))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
