"""`robosumo-zoo:FILE.npy`: the agents that OpenAI published with RoboSumo (Al-Shedivat et al. 2017).

A file is one flat float32 vector of all weights. The files have no licence, so none comes with this package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from sparring.errors import InputError
from sparring.loaders import check_spaces
from sparring.nets import ActorCritic, NetworkConfig, actor_critic, normalizer
from sparring.types import AgentID, Box, Game, Spaces

HIDDEN = 64
MAX_BYTES = 2**20
BODIES = {"ant": (120, 8), "bug": (164, 12), "spider": (208, 16)}  # observations, actions


def load(argument: str, game: Game, agent: AgentID) -> ActorCritic:
    """The published agent in a file.

    Raises:
      InputError: missing or oversized file, wrong number of weights, NaN, or another body than the agent's.
    """
    source = f"robosumo-zoo:{argument}"
    vector = _read(Path(argument), source)
    sizes = {_size(d, u, lstm): (body, lstm) for body, (d, u) in BODIES.items() for lstm in (False, True)}
    if vector.size not in sizes:
        known = ", ".join(f"{n} ({body} {'lstm' if lstm else 'mlp'})" for n, (body, lstm) in sizes.items())
        raise InputError(f"{source}: expected one of {known} weights, got {vector.size}")
    body, lstm = sizes[vector.size]
    check_spaces(*BODIES[body], game, agent, f"{source} (a published {body})")
    return _network(vector, *BODIES[body], lstm, source)


def _read(path: Path, source: str) -> np.ndarray:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{source}: {path.stat().st_size} bytes, expected at most {MAX_BYTES}")
        vector = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{source}: no such file") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{source}: not a readable .npy file of numbers ({error})") from error
    if not isinstance(vector, np.ndarray) or vector.ndim != 1 or not np.issubdtype(vector.dtype, np.floating):
        raise InputError(f"{source}: expected one flat vector of floats")
    if not np.isfinite(vector).all():
        raise InputError(f"{source}: {np.count_nonzero(~np.isfinite(vector))} of the weights are NaN or infinite")
    return vector.astype(np.float32)


def _size(d: int, u: int, lstm: bool) -> int:
    def network(out: int) -> int:
        if lstm:
            return (d + 1) * HIDDEN + (2 * HIDDEN + 1) * 4 * HIDDEN + (HIDDEN + 1) * out
        return (d + 1) * HIDDEN + (HIDDEN + 1) * HIDDEN + (HIDDEN + 1) * out

    return 3 + 2 * d + 1 + network(1) + network(u) + u


def _network(vector: np.ndarray, d: int, u: int, lstm: bool, source: str) -> ActorCritic:
    position = 3  # the return's filter, which nothing here needs

    def take(*shape: int) -> np.ndarray:
        nonlocal position
        size = int(np.prod(shape))
        position += size
        return vector[position - size : position].reshape(shape)

    def dense(layer: Any, d_in: int, d_out: int) -> Any:
        weight, bias = take(d_in, d_out), take(d_out)
        return eqx.tree_at(lambda m: (m.weight, m.bias), layer, (jnp.asarray(weight.T), jnp.asarray(bias)))

    def mlp(net: Any, out: int) -> Any:
        widths = [d, HIDDEN, HIDDEN, out]
        layers = tuple(dense(layer, widths[i], widths[i + 1]) for i, layer in enumerate(net.mlp.layers))
        return eqx.tree_at(lambda n: n.mlp.layers, net, layers)

    def recurrent(net: Any, out: int) -> Any:
        embed = dense(net.embed, d, HIDDEN)
        kernel, bias = take(2 * HIDDEN, 4 * HIDDEN), take(4 * HIDDEN)
        # The file's gates are i, j, f, o with 1 added to f at run time; Equinox's are i, f, g, o.
        gates = np.r_[0:HIDDEN, 2 * HIDDEN : 3 * HIDDEN, HIDDEN : 2 * HIDDEN, 3 * HIDDEN : 4 * HIDDEN]
        bias = bias + np.repeat(np.array([0, 0, 1, 0], np.float32), HIDDEN)
        cell = eqx.tree_at(
            lambda c: (c.weight_ih, c.weight_hh, c.bias),
            net.cell,
            tuple(jnp.asarray(x) for x in (kernel[:HIDDEN, gates].T, kernel[HIDDEN:, gates].T, bias[gates])),
        )
        head = dense(net.head, HIDDEN, out)
        return eqx.tree_at(lambda n: (n.embed, n.cell, n.head), net, (embed, cell, head))

    total, squares, count = take(d), take(d), take(1)[0]
    if count <= 0:
        raise InputError(f"{source}: expected statistics of some observations, got a count of {count:g}")
    mean = total / count
    norm = eqx.tree_at(
        lambda n: (n.mean, n.var, n.count),
        normalizer(d),
        (jnp.asarray(mean), jnp.asarray(squares / count - mean**2), jnp.float32(count)),
    )
    config = NetworkConfig("lstm" if lstm else "mlp", (HIDDEN,) if lstm else (HIDDEN, HIDDEN))
    template: Any = actor_critic(Spaces(Box((d,)), Box((u,), -1.0, 1.0)), config, np.zeros(2, np.uint32))
    fill = recurrent if lstm else mlp
    critic = fill(template.critic, 1)
    actor = fill(template.actor, u)
    return ActorCritic(norm, actor, critic, jnp.asarray(take(u)), template.observation, template.action)
