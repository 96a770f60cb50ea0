"""How the discs that come with the package were made, and what they are worth: one program, from nothing to files.

    python experiments/discs/train.py --out runs/discs

1. Self-play in `discs/duel`, with a snapshot each after .3, 1 and 3 million steps, and on to 8 million.
2. All snapshots against each other.
3. Attacks on the disc of 1 million steps and on the last one at the budgets .3, .7 and 1, with several seeds, and what
   they win beside the benign opponent, the attacked disc itself.
4. `--ship` writes the last disc, that of 1 million steps (the early one) and its strongest attackers into the package.

What is finished lies in the folder and is not done again. Everything runs in one thread.
"""

from __future__ import annotations

import os

# One thread is as fast as two for networks of this size, and leaves the other core to other work.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import argparse
import csv
import io
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sparring import files
from sparring.attacks.adversarial_policy import AttackConfig, adversarial_policy
from sparring.console import DONE, exit_code
from sparring.defences.self_play import SELF, SelfPlayConfig, self_play
from sparring.games import make
from sparring.games.discs.learning import ATTACK, NETWORK, SELF_PLAY
from sparring.learners.ppo import PPOConfig
from sparring.loaders import builtin, native
from sparring.metrics.intervals import newcombe, wilson
from sparring.mixture import executed
from sparring.nets import ActorCritic, NetworkConfig
from sparring.play.evaluate import evaluate
from sparring.policies import simple_policy
from sparring.training import Method, Reward, TrainState, train
from sparring.types import Game, Policy, ThreatModel

GAME = "discs/duel"
MARKS = (300_000, 1_000_000, 3_000_000)  # steps of self-play
LAST = 8_000_000  # where it ends
EARLY = 1_000_000
BUDGETS = (0.3, 0.7, 1.0)
VICTIM, ATTACKER = "disc0", "disc1"
ATTACK_STEPS = 1_000_000
CROSS_MATCHES, ATTACK_MATCHES = 2000, 4000
SLOTS = 500  # matches side by side when something is measured


def self_play_config(steps: int) -> SelfPlayConfig:
    """The family's defaults; the learning rate is constant, so that early snapshots do not depend on the end."""
    ppo = PPOConfig(**SELF_PLAY["ppo"], network=NetworkConfig(**NETWORK))
    return SelfPlayConfig(**{**SELF_PLAY, "steps": steps, "ppo": ppo})


def attack_config(steps: int) -> AttackConfig:
    """The family's defaults, from the benign opponent's weights; the learning rate falls to zero."""
    settings = {name: value for name, value in ATTACK.items() if name != "reward"}
    rounds = -(-steps // (settings["num_games"] * settings["steps_per_round"]))
    ppo = PPOConfig(**ATTACK["ppo"], normalize_observations=False, decay_updates=rounds)
    return AttackConfig(**{**settings, "steps": steps, "start": "benign", "reward": Reward(outcome=1.0), "ppo": ppo})


def snapshots(folder: Path, seed: int, marks: Sequence[int]) -> dict[int, ActorCritic]:
    """The policies that self-play had at the marks, trained or read."""
    paths = {mark: folder / f"disc-{mark}-seed{seed}.safetensors" for mark in marks}
    if not all(path.exists() for path in paths.values()):
        config = self_play_config(max(marks))
        game = make(GAME, config.num_games)
        method = self_play(game, config)
        for state, seconds in _timed(game, method, seed, config.steps):
            for mark, path in paths.items():
                if state.steps >= mark and not path.exists():
                    network = _final(method, SELF, state)
                    _save(network, path, "self-play", seed, state.steps, seconds, config, "")
    return {mark: native.read(path)[0] for mark, path in paths.items()}


def last(folder: Path, seed: int, mark: int, begun: ActorCritic, begun_mark: int) -> ActorCritic:
    """Self-play gone on with from a snapshot: half of the matches against the past, a learning rate that falls."""
    path = folder / f"disc-{mark}-seed{seed}.safetensors"
    if not path.exists():
        steps = mark - begun_mark
        config = self_play_config(steps)
        rounds = -(-steps // (config.num_games * config.steps_per_round))
        ppo = replace(config.ppo, start_std=0.25, min_std=0.15, decay_updates=rounds)
        config = replace(config, past=0.5, ppo=ppo)
        game = make(GAME, config.num_games)
        method = self_play(game, config, begun)
        for state, seconds in _timed(game, method, seed, steps):
            if state.steps >= steps:
                total, start = begun_mark + state.steps, f"the disc of {begun_mark:,} steps"
                _save(_final(method, SELF, state), path, "self-play", seed, total, seconds, config, "", start)
    return native.read(path)[0]


def attacker(folder: Path, victim: ActorCritic, mark: int, budget: float, seed: int, steps: int) -> ActorCritic:
    """The adversarial policy against the snapshot of that mark, trained or read."""
    path = folder / f"attack-{mark}-{budget:g}-seed{seed}.safetensors"
    if not path.exists():
        config = attack_config(steps)
        game = make(GAME, config.num_games)
        threat = ThreatModel((VICTIM,), (ATTACKER,), {ATTACKER: victim}, budget)
        method = adversarial_policy(game, threat, victim, config)
        for state, seconds in _timed(game, method, seed, config.steps):
            if state.steps >= config.steps:
                network = _final(method, ATTACKER, state)
                _save(network, path, "attack", seed, state.steps, seconds, config, f"the disc of {mark:,} steps")
    return native.read(path)[0]


def _timed(game: Game, method: Method, seed: int, steps: int) -> Iterator[tuple[TrainState, float]]:
    """The states of a training until it has taken its steps, and the seconds since it began."""
    begun = time.monotonic()
    for state in train(game, method, seed):
        yield state, time.monotonic() - begun
        if state.round % 20 == 0:
            metrics = {side: float(values["explained_variance"]) for side, values in state.metrics.items()}
            rate = state.steps / (time.monotonic() - begun)
            print(f"{state.steps:,} steps, {rate:,.0f}/s, explained variance {metrics}", file=sys.stderr, flush=True)
        if state.steps >= steps:
            return


def _final(method: Method, side: str, state: TrainState) -> ActorCritic:
    """The policy to keep, with the little noise that `end_std` says."""
    final = method.sides[side].learner.final
    assert final is not None
    network = final(state.learners[side])
    assert isinstance(network, ActorCritic)
    return network


def _save(
    network: ActorCritic,
    path: Path,
    kind: str,
    seed: int,
    steps: int,
    seconds: float,
    config: Any,
    victim: str,
    start: str = "",
) -> None:
    settings = files.plain({"kind": kind, "victim": victim, "start": start, "config": _without_defaults(config)})
    made = {"game": GAME, "seed": seed, "steps": steps, "minutes": round(seconds / 60, 1), "settings": settings}
    native.save(network, path, made)


def _without_defaults(config: Any) -> dict[str, Any]:
    plain, default = asdict(config), asdict(type(config)())
    return {name: value for name, value in plain.items() if value != default[name]}


def rates(first: Policy, second: Policy, matches: int, seed: int) -> dict[str, Any]:
    """What the second seat wins against the first one, with 95% intervals."""
    game = make(GAME, min(SLOTS, matches))
    played = evaluate(game, {VICTIM: first, ATTACKER: second}, matches, np.random.default_rng(seed))
    assert played.outcome is not None
    won, lost = (int((played.outcome[ATTACKER] == value).sum()) for value in (1, -1))
    return {
        "win": won / matches,
        "win_ci": list(wilson(won, matches)),
        "draw": (matches - won - lost) / matches,
        "loss": lost / matches,
        "episodes": matches,
        "length": float(played.length.mean()),
    }


def cross(discs: Mapping[int, Policy], seed: int) -> dict[str, dict[str, Any]]:
    """Each disc in the second seat against all discs and the plain policies in the first one."""
    spaces = make(GAME).spaces[VICTIM]
    plain = {name: simple_policy(name, spaces) for name in ("zero", "random")}
    others = {f"{mark:,} steps": disc for mark, disc in discs.items()} | plain
    return {
        f"{mark:,} steps": {name: rates(other, disc, CROSS_MATCHES, seed) for name, other in others.items() if other}
        for mark, disc in discs.items()
    }


def measured_attack(victim: Policy, adversarial: Policy, budget: float, seed: int) -> dict[str, Any]:
    """What the attack wins, and how much more than the benign opponent, the victim's own weights."""
    threat = ThreatModel((VICTIM,), (ATTACKER,), {ATTACKER: victim}, budget)
    attack = rates(victim, executed(threat, {ATTACKER: adversarial})[ATTACKER], ATTACK_MATCHES, seed)
    benign = rates(victim, victim, ATTACK_MATCHES, seed + 1)
    counts = [round(r["win"] * ATTACK_MATCHES) for r in (attack, benign)]
    low, high = newcombe(counts[0], ATTACK_MATCHES, counts[1], ATTACK_MATCHES)
    return {"attack": attack, "benign": benign, "damage": attack["win"] - benign["win"], "damage_ci": [low, high]}


def ship(folder: Path, crossed: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], seed: int, command: str) -> None:
    """Copy the discs, and the attackers of the early one, into the package, with what was measured of them."""
    for mark, name in ((LAST, "disc"), (EARLY, "disc-early")):
        own, early = f"{mark:,} steps", f"{EARLY:,} steps"
        measured = {
            "builtin:disc-early" if other == early else f"the disc of {other}" if other[0].isdigit() else other: found
            for other, found in crossed[own].items()
            if other != own
        }
        _ship(folder / f"disc-{mark}-seed{seed}.safetensors", name, command, measured)
    early = native.read(folder / f"disc-{EARLY}-seed{seed}.safetensors")[0]
    for budget in BUDGETS:
        best = max((r for r in rows if (r["victim"], r["budget"]) == (EARLY, budget)), key=lambda r: r["attack"]["win"])
        path = folder / f"attack-{EARLY}-{budget:g}-seed{best['seed']}.safetensors"
        # Measured again: the matches by which it was chosen flatter it.
        found = measured_attack(early, native.read(path)[0], budget, 3000)
        files.write_json(folder / f"shipped-{budget:g}.json", {"seed": best["seed"], **found})
        measured = {f"builtin:disc-early at budget {budget:g}": found["attack"]}
        _ship(path, f"disc-early-attack-{budget:g}", command, measured)


def _ship(path: Path, name: str, command: str, measured: Mapping[str, Any]) -> None:
    network, meta = native.read(path)
    keys = ("win", "win_ci", "draw", "loss", "episodes")
    shown = {opponent: {key: found[key] for key in keys} for opponent, found in measured.items()}
    native.save(network, builtin.path(name), {**meta["provenance"], "command": command, "measured": shown})


def write_tables(folder: Path, crossed: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """`cross.csv` and `attacks.csv`, rates with their 95% intervals."""
    lines = [["disc", "opponent", "win", "low", "high", "draw", "matches", "mean length"]]
    for disc, opponents in crossed.items():
        lines += [[disc, other, *_numbers(found), f"{found['length']:.1f}"] for other, found in opponents.items()]
    _write_csv(folder / "cross.csv", lines)
    lines = [
        ["victim", "budget", "seed", "win", "low", "high", "draw", "matches", "benign win", "damage", "low", "high"]
    ]
    for row in rows:
        damage = [f"{value:.4f}" for value in (row["benign"]["win"], row["damage"], *row["damage_ci"])]
        lines.append([row["victim"], row["budget"], row["seed"], *_numbers(row["attack"]), *damage])
    _write_csv(folder / "attacks.csv", lines)


def _numbers(found: Mapping[str, Any]) -> list[Any]:
    return [*(f"{value:.4f}" for value in (found["win"], *found["win_ci"], found["draw"])), found["episodes"]]


def _write_csv(path: Path, lines: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    files.write_atomic(path, text.getvalue().encode())


def _written(path: Path, make_it: Any) -> Any:
    """The JSON file's content; it is made where it does not exist."""
    if not path.exists():
        files.write_json(path, make_it())
    return files.read_json(path)


def main(arguments: Sequence[str] | None = None) -> int:
    return exit_code("train", lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for networks and measurements")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attack-seeds", type=int, default=3, help="attackers per victim and budget")
    parser.add_argument("--part", type=float, default=1.0, help="of all steps, to try it out")
    parser.add_argument("--ship", action="store_true", help="write the discs into the package (not with --part)")
    asked = parser.parse_args(arguments)
    folder: Path = asked.out
    folder.mkdir(parents=True, exist_ok=True)
    marks = [round(mark * asked.part) for mark in MARKS]
    discs = snapshots(folder, asked.seed, marks)
    end = round(LAST * asked.part)
    discs[end] = last(folder, asked.seed, end, discs[max(marks)], max(marks))
    crossed = _written(folder / f"cross-seed{asked.seed}.json", lambda: cross(discs, 1000))
    rows = []
    for mark in (round(EARLY * asked.part), end):
        for budget in BUDGETS:
            for seed in range(asked.attack_seeds):
                victim = discs[mark]
                network = attacker(folder, victim, mark, budget, seed, round(ATTACK_STEPS * asked.part))
                path = folder / f"measured-{mark}-{budget:g}-seed{seed}.json"
                measure = partial(measured_attack, victim, network, budget, 2000 + 10 * seed)
                rows.append({"victim": mark, "budget": budget, "seed": seed, **_written(path, measure)})
                print(json.dumps({key: rows[-1][key] for key in ("victim", "budget", "seed", "damage", "damage_ci")}))
    write_tables(folder, crossed, rows)
    if asked.ship:
        words = sys.argv[1:] if arguments is None else arguments
        ship(folder, crossed, rows, asked.seed, f"python experiments/discs/train.py {' '.join(words)}")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
