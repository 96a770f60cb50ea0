"""How fast RoboSumo is played and learned, against its physics alone and against Stable-Baselines3.

a     physics alone: MuJoCo steps 128 matches under random torques, by its batch or its rollout module
b     `rollout`: victim, benign and adversarial policies play, budget 0.5
c-N   `adversarial_policy`: rounds of 128 steps of 128 matches, then 10 epochs of PPO in minibatches of N
d-N   Stable-Baselines3's PPO on the same game, the same steps per round, epochs and minibatch, by the better of its
      vector environments; victim and benign policy play inside each environment
e-N   `adversarial_training`: as c-N, but victim and attacker both learn
split   which shares of c-2048's and c-64's time go to physics, inference, update and the rest
memory  the peak of c-2048 in a process of its own
pool    the peak of e-2048 in a process of its own, half of the opponents from pools of 100 snapshots

Rates are steps of matches (0.05 s each) per second, matches starting anew when they end. All sections are set up and
warmed up (compiled) first and then take turns; a section's rate is its best turn, since disturbance from outside only
slows. Needs the extra `bench` for d: pip install 'sparring[bench]'.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from speed_sections import (
    MATCHES,
    BatchPhysics,
    RolloutPhysics,
    Scale,
    Turns,
    attack,
    baselines3,
    both_sides,
    physics,
    play,
)

from sparring.files import write_json
from sparring.games.robosumo.sumo import RoboSumo

MEMORY_LIMITS = {"memory": 1500, "pool": 2000}  # MB
SNAPSHOTS = 100
TARGETS = {  # least ratio of the first section's rate to the second's
    ("b", "a"): 0.90,
    ("c-2048", "a"): 0.80,
    ("c-64", "a"): 0.70,
    ("c-2048", "d-2048"): 1.2,
    ("c-64", "d-64"): 2.5,
    ("e-2048", "a"): 0.70,
    ("e-64", "a"): 0.55,
}
SECTIONS = ("a", "b", "c-2048", "c-64", "d-2048", "d-64", "e-2048", "e-64", "split", "memory", "pool")


def variants(section: str, scale: Scale) -> dict[str, Turns]:
    """The ways to do what a section measures, of which the fastest counts."""
    kind, _, minibatch = section.partition("-")
    if kind == "a":
        return {"batch": physics(BatchPhysics, scale), "rollout": physics(RolloutPhysics, scale)}
    if kind == "b":
        return {"": play(scale)}
    if kind == "c":
        return {"": attack(int(minibatch), scale)}
    if kind == "e":
        return {"": both_sides(int(minibatch), scale)}
    return {v: baselines3(int(minibatch), v, scale) for v in ("SubprocVecEnv", "DummyVecEnv")}


def measure(sections: Sequence[str], scale: Scale) -> dict[str, dict[str, Any]]:
    """Rates of the sections' variants, all in turn."""
    running = {(section, name): turns for section in sections for name, turns in variants(section, scale).items()}
    for which, turns in running.items():
        print(f"warm-up of {' '.join(which)}: {next(turns):.1f} s", file=sys.stderr, flush=True)
    rates: dict[tuple[str, str], list[float]] = {which: [] for which in running}
    for _ in range(scale.repeats):
        for which, turns in running.items():
            rates[which].append(scale.steps * MATCHES / next(turns))
    out: dict[str, dict[str, Any]] = {}
    for (section, name), found in rates.items():
        if section not in out or max(found) > out[section]["best"]:
            out[section] = {"variant": name, "best": max(found), "median": median(found), "turns": found}
    return out


def split_of(minibatch: int, scale: Scale) -> dict[str, float]:
    """Which shares of training's time go to physics, inference, update and the rest."""
    import jax

    from sparring.play import rollout

    parts = {"physics": 0.0, "inference": 0.0, "update": 0.0}

    def clocked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            start = time.perf_counter()
            result = jax.block_until_ready(function(*arguments))
            parts[name] += time.perf_counter() - start
            return result

        return timed

    with (
        patch.object(RoboSumo, "_advance", clocked("physics", RoboSumo._advance)),
        patch.object(rollout, "decide", clocked("inference", rollout.decide)),
    ):
        turns = attack(minibatch, scale, partial(clocked, "update"))
        next(turns)
        parts.update(dict.fromkeys(parts, 0.0))
        total = sum(turns)
    parts["rest"] = total - sum(parts.values())
    return {name: seconds / total for name, seconds in parts.items()}


def peak_memory(section: str, threads: int, quick: bool) -> float:
    """MB that c-2048 takes at most, or training with pools, in a process of its own."""
    child = (
        "import re, sys; from collections import deque; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
        "import speed_sections as s; scale = s.Scale(*map(int, sys.argv[3:7])); "
        "deque(s.attack(2048, scale) if sys.argv[2] == 'memory' else s.both_sides(2048, scale, int(sys.argv[7])), 0); "
        # Not ru_maxrss, which begins with what the process that started this one had.
        r"print(int(re.search(r'VmHWM:\s*(\d+)', Path('/proc/self/status').read_text())[1]) / 1024)"
    )
    # A pool fills by one snapshot a round, so that it is full sooner where rounds are short.
    steps = 16 if quick else 32 if section == "pool" else 128
    words = (section, steps, steps, 1, threads, 4 if quick else SNAPSHOTS)
    told = [sys.executable, "-c", child, str(Path(__file__).parent), *map(str, words)]
    return float(subprocess.run(told, check=True, stdout=subprocess.PIPE, text=True).stdout)


def compare(rates: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The ratios of best rates that have a target and of which both sections were measured."""
    return [
        {"ratio": f"{first} / {second}", "value": rates[first]["best"] / rates[second]["best"], "target": target}
        for (first, second), target in TARGETS.items()
        if first in rates and second in rates
    ]


def report(results: Mapping[str, Any]) -> str:
    """The results as a table, in words of one line each."""
    lines = [f"{'section':<8} {'best':>7} {'median':>7} steps/s"]
    for section, rate in results["rates"].items():
        lines.append(f"{section:<8} {rate['best']:7.0f} {rate['median']:7.0f} {rate['variant']}")
    for ratio in results["ratios"]:
        said = "" if ratio["value"] >= ratio["target"] else ": MISSED"
        lines.append(f"{ratio['ratio']}: {ratio['value']:.2f}, target at least {ratio['target']}{said}")
    for section, parts in results["split"].items():
        lines.append(f"{section}: " + ", ".join(f"{name} {100 * share:.1f}%" for name, share in parts.items()))
    for section, peak in results["memory_mb"].items():
        limit = MEMORY_LIMITS[section]
        lines.append(f"{section}: {peak:.0f} MB, limit {limit}{'' if peak < limit else ': TOO MUCH'}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="sections, such as a,b,c-2048 (default: all)", default=",".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="short turns: does it run? The ratios mean nothing")
    parser.add_argument("--repeats", type=int, help="turns of each section (default: 5, or 2 if quick)")
    parser.add_argument("--threads", type=int, default=0, help="that step the physics (default: all cores)")
    parser.add_argument("--json", type=Path, help="file to write every figure to")
    asked = parser.parse_args(arguments)
    sections = asked.only.split(",")
    if unknown := [section for section in sections if section not in SECTIONS]:
        parser.error(f"--only: expected some of {','.join(SECTIONS)}, got {unknown[0]!r}")
    repeats = asked.repeats or (2 if asked.quick else 5)
    scale = Scale(16 if asked.quick else 128, 16 if asked.quick else 128, repeats, asked.threads)
    rates = measure([section for section in sections if section not in ("split", *MEMORY_LIMITS)], scale)
    results = {
        "cores": os.cpu_count(),
        "quick": asked.quick,
        "rates": rates,
        "ratios": compare(rates),
        "split": {f"c-{size}": split_of(size, scale) for size in (2048, 64)} if "split" in sections else {},
        "memory_mb": {s: peak_memory(s, asked.threads, asked.quick) for s in MEMORY_LIMITS if s in sections},
    }
    print(report(results))
    if asked.json:
        write_json(asked.json, results)
    missed = [ratio for ratio in results["ratios"] if ratio["value"] < ratio["target"]]
    return int(bool(missed) or any(peak >= MEMORY_LIMITS[name] for name, peak in results["memory_mb"].items()))


if __name__ == "__main__":
    sys.exit(main())
